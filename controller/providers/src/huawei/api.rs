//! One signed request and its answer.

use std::time::Duration;

use ::http::{HeaderValue, Method, header};
use sealops_formats::Plaintext;

use super::clock;
use super::signing::{Keys, Target, sign};
use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request};
use crate::json::Json;
use crate::retry::{self, Policy, retry_after};

/// Type of the bodies that are sent.
pub(super) const JSON: &str = "application/json;charset=UTF-8";
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json");
/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer; what KMS encrypts has 4 KiB at most.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// What codes of errors begin with. A code is one of these, a point and digits; nothing else of an answer is told.
const CODES: [&str; 4] = ["APIGW", "DEW", "IAM", "KMS"];
/// Most digits of a code.
const MAX_DIGITS: usize = 8;

/// Signs a request and sends it, again where that can help, each time as of now. Without a body it is a GET.
///
/// # Errors
/// Returns what the status says; of a body only a code is told.
pub(super) async fn call(
    http: &HttpClient,
    keys: &Keys,
    project: Option<&str>,
    target: &Target,
    body: Option<&Plaintext>,
    deadline: Duration,
) -> Result<Json, ProviderErrorKind> {
    let attempt = || async {
        let mut request = match body {
            Some(body) => Request::new(Method::POST, target.url()).body(JSON, body.duplicate()),
            None => Request::new(Method::GET, target.url()),
        };
        request = request.header(header::ACCEPT, ACCEPT);
        (request.timeout, request.max_bytes) = (REQUEST_TIMEOUT, MAX_ANSWER_BYTES);
        let request = sign(request, target, keys, project, clock::now().as_secs())?;
        judge(target, &http.send(request).await?)
    };
    retry::call(Policy { deadline, ..Policy::default() }, attempt).await
}

/// Makes an answer a result.
fn judge(target: &Target, answer: &Answer) -> Result<Json, ProviderErrorKind> {
    let json = Json::parse(&answer.body);
    if answer.status == 200 {
        return json.ok_or_else(|| {
            ProviderErrorKind::Failed(format!("the answer of {} is not JSON", target.host()))
        });
    }
    let mut text = format!("{} answered {}", target.host(), answer.status);
    if let Some(code) = json.as_ref().and_then(code) {
        text.push_str(&format!(": {code}"));
    }
    Err(match (answer.status, retry_after(&answer.headers)) {
        (401, _) => ProviderErrorKind::Unauthenticated(text),
        (403, _) => ProviderErrorKind::Denied(text),
        (429, after) => ProviderErrorKind::Throttled(after),
        (500 | 502..=504, Some(after)) => ProviderErrorKind::Throttled(Some(after)),
        (408 | 500 | 502..=504, _) => ProviderErrorKind::Unavailable(text),
        (300..=399, _) => ProviderErrorKind::Failed(format!("{text}: nothing is sent to another address")),
        _ => ProviderErrorKind::Failed(text),
    })
}

/// Returns the code of an error: at the top, or below `error`.
fn code(json: &Json) -> Option<&str> {
    [Some(json), json.get("error")].into_iter().flatten().find_map(|part| {
        let said = part.str_at("error_code").or_else(|| part.str_at("code"))?;
        let (kind, digits) = said.split_once('.')?;
        let number =
            (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (CODES.contains(&kind) && number).then_some(said)
    })
}

/// Returns whether a text can stand in a header.
pub(super) fn is_header(text: &Plaintext) -> bool {
    !text.is_empty() && text.expose().iter().all(|byte| (b'!'..=b'~').contains(byte))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;
    use crate::Retry;

    fn judged(status: u16, after: Option<&'static str>, body: &str) -> ProviderErrorKind {
        let target =
            Target { endpoint: "https://kms.example".to_owned(), path: "/".to_owned(), query: String::new() };
        let mut headers = HeaderMap::new();
        headers.extend(after.map(|after| (header::RETRY_AFTER, HeaderValue::from_static(after))));
        judge(&target, &Answer { status, headers, body: body.into() }).err().unwrap()
    }

    #[test]
    fn statuses_say_whether_trying_again_helps() {
        for (status, after, retry) in [
            (429, None, Retry::Backoff),
            (429, Some("7"), Retry::After(Duration::from_secs(7))),
            (503, Some("7"), Retry::After(Duration::from_secs(7))),
            (500, None, Retry::Backoff),
            (400, None, Retry::Never),
            (401, None, Retry::Never),
            (403, Some("7"), Retry::Never),
            (404, None, Retry::Never),
        ] {
            assert_eq!(judged(status, after, "{}").retry(), retry, "{status} {after:?}");
        }
    }

    #[test]
    fn errors_tell_codes_and_no_text() {
        let text = |body: &str| judged(400, None, body).to_string();
        for body in [
            r#"{"error":{"error_code":"KMS.0205","error_msg":"hunter2"}}"#,
            r#"{"error_code":"KMS.0205","error_msg":"hunter2"}"#,
        ] {
            assert_eq!(text(body), "kms.example answered 400: KMS.0205");
        }
        for body in [
            "hunter2",
            r#"{"error_code":"hunter2"}"#,
            r#"{"error_code":"KMS.hunter2"}"#,
            r#"{"error_code":"KMS."}"#,
            r#"{"error":{"code":401,"message":"hunter2"}}"#,
        ] {
            assert_eq!(text(body), "kms.example answered 400");
        }
    }
}
