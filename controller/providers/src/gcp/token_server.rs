//! What token servers are sent, and what they answer.

use std::time::Duration;

use sealops_formats::Plaintext;

use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request};
use crate::json::Json;
use crate::retry::retry_after;

/// Longest time for one request of a login.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer to it.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Words of token servers that may be repeated.
const WORDS: &[&str] = &[
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "access_denied",
    "unsupported_grant_type",
];

/// Sends a request for a token; returns the token, and how many seconds it lives.
pub(super) async fn granted(
    http: &HttpClient,
    mut request: Request,
) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
    request.timeout = REQUEST_TIMEOUT;
    request.max_bytes = MAX_ANSWER_BYTES;
    of_answer(&json_of(&http.send(request).await?, "the token server")?)
}

pub(super) fn of_answer(json: &Json) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
    let token = json.text_at("access_token").map(Plaintext::duplicate).ok_or_else(no_token)?;
    let seconds = json.integer_at("expires_in").and_then(|seconds| u64::try_from(seconds).ok());
    Ok((token, seconds))
}

pub(super) fn no_token() -> ProviderErrorKind {
    ProviderErrorKind::Failed("the answer to the login has no token".to_owned())
}

/// Returns the JSON of an answer that was wanted, or what its status says. Nothing of the body but [`WORDS`] is told.
pub(super) fn json_of(answer: &Answer, who: &str) -> Result<Json, ProviderErrorKind> {
    check(answer, who)?;
    Json::parse(&answer.body)
        .ok_or_else(|| ProviderErrorKind::Failed(format!("the answer of {who} is not JSON")))
}

/// Returns what a status says.
pub(super) fn check(answer: &Answer, who: &str) -> Result<(), ProviderErrorKind> {
    let status = answer.status;
    if (200..300).contains(&status) {
        return Ok(());
    }
    let json = Json::parse(&answer.body);
    let said = json.as_ref().and_then(|json| json.str_at("error"));
    let word = said.and_then(|said| WORDS.iter().find(|word| **word == said));
    let word = word.map(|word| format!(": {word}")).unwrap_or_default();
    let text = format!("{who} answered {status}{word}");
    Err(match (status, retry_after(&answer.headers)) {
        (429, after) => ProviderErrorKind::Throttled(after),
        (500.., Some(after)) => ProviderErrorKind::Throttled(Some(after)),
        (500.., None) => ProviderErrorKind::Unavailable(text),
        _ => ProviderErrorKind::Unauthenticated(text),
    })
}

/// Writes fields as a form.
pub(super) fn form(fields: &[(&str, &Plaintext)]) -> Plaintext {
    let mut body = Plaintext::default();
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            body.push(b"&");
        }
        body.push(name.as_bytes());
        body.push(b"=");
        for byte in value.expose() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                body.push(&[*byte]);
            } else {
                body.push(format!("%{byte:02X}").as_bytes());
            }
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    #[test]
    fn forms_are_escaped() {
        let body = form(&[("a", &"1/b+c=".into()), ("d", &"x y&z".into())]);
        assert_eq!(body.expose_str(), Some("a=1%2Fb%2Bc%3D&d=x%20y%26z"));
    }

    #[test]
    fn only_known_words_of_a_refusal_are_told() {
        let refused = |status, body: &str| {
            let answer = Answer { status, headers: HeaderMap::new(), body: body.into() };
            json_of(&answer, "T").err().unwrap().to_string()
        };
        assert_eq!(
            refused(400, r#"{"error":"invalid_grant","error_description":"hunter2"}"#),
            "the login was refused: T answered 400: invalid_grant"
        );
        assert_eq!(refused(401, r#"{"error":"hunter2"}"#), "the login was refused: T answered 401");
        assert_eq!(refused(503, "hunter2"), "T answered 503");
        assert_eq!(refused(200, "hunter2"), "the answer of T is not JSON");
    }
}
