//! Tokens of Microsoft Entra ID: one request, its answer, and what of an error may be told.

use std::time::{Duration, Instant};

use ::http::{HeaderValue, Method, header};
use sealops_formats::Plaintext;

use super::MAX_ANSWER_BYTES;
use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request, sensitive};
use crate::json::Json;
use crate::retry::{self, Policy, retry_after};

/// Longest time for one request of a login.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Time before its end at which a token is renewed, at most.
const EARLY: Duration = Duration::from_secs(300);
/// Life of a token that does not say it.
pub(super) const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
/// Longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Errors of OAuth 2.0 that are repeated; nothing else of an answer is.
const ERRORS: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "invalid_resource",
    "unauthorized_client",
    "temporarily_unavailable",
];

/// A token.
#[derive(Clone)]
pub(super) struct Token {
    /// `Bearer …`, never printed.
    pub(super) header: HeaderValue,
    renewal: Instant,
}

impl Token {
    /// Makes a token of what an answer has under these names.
    pub(super) fn read(answer: &Json, name: &str, life: Option<Duration>) -> Option<Self> {
        let token = answer.text_at(name)?;
        if token.is_empty() || token.expose().iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
            return None;
        }
        let mut value = Plaintext::with_capacity(token.len() + 7);
        value.push(b"Bearer ");
        value.push(token.expose());
        let life = life.unwrap_or(UNKNOWN_LIFE).min(MAX_LIFE);
        let renewal = Instant::now() + life.saturating_sub(EARLY.min(life / 2));
        Some(Self { header: sensitive(value.expose()).ok()?, renewal })
    }

    /// Returns whether it lives long enough to be used.
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.renewal
    }
}

/// Returns whole seconds that stand there as a number or as a text.
pub(super) fn seconds(answer: &Json, name: &str) -> Option<u64> {
    match answer.get(name)? {
        Json::Number(text) | Json::Text(text) => text.expose_str()?.parse().ok(),
        _ => None,
    }
}

/// How often and how long a login is tried.
pub(super) fn policy() -> Policy {
    Policy { deadline: Duration::from_secs(30), ..Policy::default() }
}

/// A form, each value escaped.
pub(super) fn form(fields: &[(&str, &Plaintext)]) -> Plaintext {
    let mut out = Plaintext::with_capacity(512);
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b"&");
        }
        out.push(name.as_bytes());
        out.push(b"=");
        for byte in value.expose() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                out.push(&[*byte]);
            } else {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
    }
    out
}

/// Returns where an authority hands out tokens of a tenant.
pub(super) fn endpoint(authority: &str, tenant: &str) -> String {
    format!("{authority}/{tenant}/oauth2/v2.0/token")
}

/// Asks an authority for a token.
///
/// # Errors
/// Returns [`ProviderErrorKind::Unauthenticated`] where it refuses, and what else keeps it from answering.
pub(super) async fn ask(
    http: &HttpClient,
    authority: &str,
    tenant: &str,
    fields: &[(&str, &Plaintext)],
) -> Result<Token, ProviderErrorKind> {
    let url = endpoint(authority, tenant);
    let body = form(fields);
    let attempt = || async {
        let mut request = Request::new(Method::POST, url.as_str())
            .header(header::ACCEPT, HeaderValue::from_static("application/json"))
            .body("application/x-www-form-urlencoded", body.duplicate());
        (request.timeout, request.max_bytes) = (TIMEOUT, MAX_ANSWER_BYTES);
        judge(&url, &http.send(request).await?)
    };
    let answer = retry::call(policy(), attempt).await?;
    let life = seconds(&answer, "expires_in").map(Duration::from_secs);
    Token::read(&answer, "access_token", life)
        .ok_or_else(|| ProviderErrorKind::Failed(format!("the answer of {url} has no token")))
}

/// Makes an answer a result. Of an error only [`ERRORS`] and numbers are told.
pub(super) fn judge(url: &str, answer: &Answer) -> Result<Json, ProviderErrorKind> {
    let body = Json::parse(&answer.body);
    let host = super::cloud::host(url);
    if answer.status == 200 {
        return body.ok_or_else(|| ProviderErrorKind::Failed(format!("the answer of {host} is not JSON")));
    }
    let mut text = format!("{host} answered {}", answer.status);
    if let Some(body) = &body {
        let said = body.str_at("error");
        if let Some(error) = ERRORS.iter().find(|error| said == Some(**error)) {
            text.push_str(&format!(": {error}"));
        }
        if let Some(Json::List(codes)) = body.get("error_codes") {
            for code in codes.iter().take(4) {
                if let Json::Number(code) = code
                    && let Some(code) = code.expose_str().and_then(|code| code.parse::<u32>().ok())
                {
                    text.push_str(&format!(" AADSTS{code}"));
                }
            }
        }
    }
    Err(match answer.status {
        429 => ProviderErrorKind::Throttled(retry_after(&answer.headers)),
        408 | 500 | 502..=504 => ProviderErrorKind::Unavailable(text),
        400 | 401 | 403 | 404 => ProviderErrorKind::Unauthenticated(text),
        _ => ProviderErrorKind::Failed(text),
    })
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    fn judged(status: u16, body: &str) -> Result<Json, ProviderErrorKind> {
        judge("https://l.example/t", &Answer { status, headers: HeaderMap::new(), body: body.into() })
    }

    #[test]
    fn errors_tell_codes_and_no_text() {
        let body =
            r#"{"error":"invalid_client","error_description":"hunter2","error_codes":[7000215,"hunter2"]}"#;
        let text = |status, body| judged(status, body).err().unwrap().to_string();
        assert_eq!(
            text(401, body),
            "the login was refused: l.example answered 401: invalid_client AADSTS7000215"
        );
        assert_eq!(text(400, r#"{"error":"hunter2"}"#), "the login was refused: l.example answered 400");
        assert_eq!(text(503, "hunter2"), "l.example answered 503");
        assert_eq!(text(200, "hunter2"), "the answer of l.example is not JSON");
    }

    #[test]
    fn tokens_are_renewed_before_their_end_and_never_printed() {
        let answer = |token: &str| {
            Json::map([("access_token", Json::text(token)), ("expires_in", Json::text("3600"))])
        };
        let token = Token::read(&answer("hunter2"), "access_token", Some(Duration::from_secs(3600))).unwrap();
        assert!(token.is_fresh() && !format!("{:?}", token.header).contains("hunter2"));
        assert!(!Token::read(&answer("t"), "access_token", Some(Duration::ZERO)).unwrap().is_fresh());
        assert!(Token::read(&answer("hunter2\n"), "access_token", None).is_none());
        assert_eq!(seconds(&answer("t"), "expires_in"), Some(3600));
    }

    #[test]
    fn forms_are_escaped() {
        let (a, b) = (Plaintext::from("a+b &=%/ü"), Plaintext::from("x.y-z_~"));
        assert_eq!(
            form(&[("k", &a), ("l", &b)]).expose_str(),
            Some("k=a%2Bb%20%26%3D%25%2F%C3%BC&l=x.y-z_~")
        );
    }
}
