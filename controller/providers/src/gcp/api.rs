//! One request to Google and its answer.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue, header};

use super::credentials::Credentials;
use super::login::{Login, Token};
use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request};
use crate::json::Json;
use crate::retry::{self, Policy, retry_after};

const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// How a service is reached, and by whom.
pub struct Settings {
    /// For everything but the metadata server.
    pub http: HttpClient,
    /// For the metadata server, which is never behind a proxy.
    pub metadata: HttpClient,
    /// `https://cloudkms.googleapis.com`.
    pub endpoint: String,
    /// Who asks.
    pub credentials: Credentials,
    /// The project whose quota counts, where it is not the account's.
    pub quota_project: Option<String>,
}

/// A service with its login.
pub(super) struct Api {
    http: HttpClient,
    endpoint: String,
    login: Login,
    quota_project: Option<HeaderValue>,
}

impl Api {
    /// Takes what the tokens have to be good for.
    ///
    /// # Errors
    /// Fails for a project that cannot stand in a header.
    pub(super) fn new(settings: Settings, scope: &'static str) -> Result<Self, ProviderErrorKind> {
        let Settings { http, metadata, mut endpoint, credentials, quota_project } = settings;
        endpoint.truncate(endpoint.trim_end_matches('/').len());
        let quota_project = quota_project.map(|project| {
            HeaderValue::from_str(&project)
                .map_err(|_| ProviderErrorKind::Invalid(format!("{project:?} is no name of a project")))
        });
        let login = Login::new(http.clone(), metadata, credentials, scope);
        Ok(Self { http, endpoint, login, quota_project: quota_project.transpose()? })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends what `make` makes, again where that can help; a token that is refused is taken anew once.
    ///
    /// # Errors
    /// Returns what the login or the status says. Of the body a closed set of words is told.
    pub(super) async fn call(
        &self,
        deadline: Duration,
        make: impl Fn() -> Request + Sync,
    ) -> Result<Json, ProviderErrorKind> {
        let policy = Policy { deadline, ..Policy::default() };
        retry::call(policy, || self.once(&make)).await
    }

    async fn once(&self, make: &(impl Fn() -> Request + Sync)) -> Result<Json, ProviderErrorKind> {
        let token = self.login.token(None).await?;
        let answer = self.send(make(), &token).await?;
        if answer.status != 401 || !self.login.renews() {
            return judge(&answer);
        }
        let token = self.login.token(Some(&token)).await?;
        judge(&self.send(make(), &token).await?)
    }

    async fn send(&self, mut request: Request, token: &Token) -> Result<Answer, ProviderErrorKind> {
        if let Some(token) = &token.header {
            request.headers.insert(header::AUTHORIZATION, token.clone());
        }
        if let Some(project) = &self.quota_project {
            request.headers.insert(USER_PROJECT, project.clone());
        }
        self.http.send(request).await
    }
}

/// Codes of Google's errors (google.rpc.Code) and reasons (google.api.ErrorReason) that may be repeated.
const WORDS: &[&str] = &[
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
    "ABORTED",
    "ALREADY_EXISTS",
    "RESOURCE_EXHAUSTED",
    "CANCELLED",
    "DATA_LOSS",
    "UNKNOWN",
    "INTERNAL",
    "UNIMPLEMENTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "SERVICE_DISABLED",
    "BILLING_DISABLED",
    "API_KEY_INVALID",
    "USER_PROJECT_DENIED",
    "CONSUMER_SUSPENDED",
    "CONSUMER_INVALID",
    "IAM_PERMISSION_DENIED",
    "ACCESS_TOKEN_EXPIRED",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
    "ACCOUNT_STATE_INVALID",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    "CREDENTIALS_MISSING",
    "RESOURCE_PROJECT_INVALID",
    "SECURITY_POLICY_VIOLATED",
    "LOCATION_POLICY_VIOLATED",
];

/// Makes an answer a result.
fn judge(answer: &Answer) -> Result<Json, ProviderErrorKind> {
    let json = Json::parse(&answer.body);
    let status = answer.status;
    if (200..300).contains(&status) {
        return json.ok_or_else(|| ProviderErrorKind::Failed("the answer makes no sense".to_owned()));
    }
    let words = words(json.as_ref());
    let text = if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {words}") };
    Err(match (status, retry_after(&answer.headers)) {
        (401, _) => ProviderErrorKind::Unauthenticated(text),
        (403, _) => ProviderErrorKind::Denied(text),
        (429, after) => ProviderErrorKind::Throttled(after),
        (500.., Some(after)) => ProviderErrorKind::Throttled(Some(after)),
        (408 | 500.., _) => ProviderErrorKind::Unavailable(text),
        _ => ProviderErrorKind::Failed(text),
    })
}

fn words(json: Option<&Json>) -> String {
    let Some(error) = json.and_then(|json| json.get("error")) else { return String::new() };
    let known = |said: Option<&str>| WORDS.iter().copied().find(|word| Some(*word) == said);
    let mut words: Vec<&str> = known(error.str_at("status")).into_iter().collect();
    if let Some(Json::List(details)) = error.get("details") {
        words.extend(details.iter().filter_map(|detail| known(detail.str_at("reason"))).take(1));
    }
    words.join(", ")
}

/// Escapes all but letters, digits and `-._~`.
pub(super) fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;
    use crate::Retry;

    fn judged(status: u16, after: Option<&'static str>, body: &str) -> ProviderErrorKind {
        let mut headers = HeaderMap::new();
        headers.extend(after.map(|after| (header::RETRY_AFTER, HeaderValue::from_static(after))));
        judge(&Answer { status, headers, body: body.into() }).err().unwrap()
    }

    #[test]
    fn statuses_say_whether_trying_again_helps() {
        for (status, after, retry) in [
            (429, None, Retry::Backoff),
            (429, Some("7"), Retry::After(Duration::from_secs(7))),
            (503, Some("7"), Retry::After(Duration::from_secs(7))),
            (500, None, Retry::Backoff),
            (400, None, Retry::Never),
            (403, Some("7"), Retry::Never),
            (404, None, Retry::Never),
        ] {
            assert_eq!(judged(status, after, "{}").retry(), retry, "{status} {after:?}");
        }
    }

    #[test]
    fn only_known_words_are_told() {
        let body = r#"{"error":{"code":403,"message":"hunter2","status":"PERMISSION_DENIED",
            "details":[{"reason":"HUNTER2"},{"reason":"SERVICE_DISABLED","metadata":{"a":"hunter2"}}]}}"#;
        assert_eq!(
            judged(403, None, body).to_string(),
            "access was denied: HTTP 403, PERMISSION_DENIED, SERVICE_DISABLED"
        );
        for body in ["hunter2", r#"{"error":"hunter2"}"#, r#"{"error":{"status":"HUNTER2"}}"#] {
            assert_eq!(judged(400, None, body).to_string(), "HTTP 400");
        }
    }
}
