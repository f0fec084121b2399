//! One request to Vault and its answer. Knows no login: the token is handed in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method};
use sealops_formats::{Plaintext, percent};

use super::Json;
use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request, TlsSettings, sensitive};
use crate::http_extras::Extras;
use crate::retry::{self, Policy, retry_after};

/// Longest time for one request, unless the settings say otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// Attempts, unless the settings say otherwise.
pub(super) const ATTEMPTS: u32 = 3;

const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
const INCONSISTENT: HeaderName = HeaderName::from_static("x-vault-inconsistent");

/// How a server is reached.
#[derive(Debug)]
pub struct Settings {
    /// `https://vault.example.com:8200`.
    pub address: String,
    /// Namespace of the requests; empty is the root.
    pub namespace: String,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Authorities and client certificate.
    pub tls: TlsSettings,
    /// Proxies and the like.
    pub extras: Extras,
    /// Longest time for one request.
    pub timeout: Duration,
    /// How often and how long it is tried.
    pub policy: Policy,
    /// Whether what was written is read back from servers that have it.
    pub read_your_writes: bool,
    /// Whether a server that has not is asked to pass the request on, in place of failing it.
    pub forward_inconsistent: bool,
}

impl Settings {
    /// Returns the settings for an address, with the system's authorities and the default limits.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            namespace: String::new(),
            headers: Vec::new(),
            tls: TlsSettings::default(),
            extras: Extras::default(),
            timeout: TIMEOUT,
            policy: Policy { attempts: ATTEMPTS, deadline: 2 * TIMEOUT, ..Policy::default() },
            read_your_writes: false,
            forward_inconsistent: false,
        }
    }
}

/// A server. Requests share connections.
pub struct Client {
    http: HttpClient,
    settings: Settings,
    /// State of the last write, sent back to servers that may lag behind.
    index: Mutex<Option<HeaderValue>>,
}

/// What is done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Put,
    Delete,
}

/// A request below `/v1/`.
pub(crate) struct Call<'a> {
    pub(crate) verb: Verb,
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(&'a str, &'a str)>,
    pub(crate) body: Option<Json>,
    /// Namespace in place of the settings'.
    pub(crate) namespace: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(verb: Verb, path: &'a str) -> Self {
        Self { verb, path, query: Vec::new(), body: None, namespace: None }
    }

    pub(crate) fn get(path: &'a str) -> Self {
        Self::new(Verb::Get, path)
    }

    pub(crate) fn put(path: &'a str, body: Json) -> Self {
        Self { body: Some(body), ..Self::new(Verb::Put, path) }
    }
}

impl Client {
    /// Makes a client. Certificates are looked at with the first request.
    ///
    /// # Errors
    /// Fails for an address that is none.
    pub fn new(settings: Settings) -> Result<Self, ProviderErrorKind> {
        let mut settings = settings;
        settings.address.truncate(settings.address.trim_end_matches('/').len());
        let rest = settings.address.strip_prefix("https://").or(settings.address.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(['@', '?', '#']))
        {
            let text = format!(
                "{:?} is no address of a Vault server: it has to be https://HOST:PORT",
                settings.address
            );
            return Err(ProviderErrorKind::Invalid(text));
        }
        let tls = std::mem::take(&mut settings.tls);
        let extras = std::mem::take(&mut settings.extras);
        Ok(Self { http: HttpClient::with(tls, extras), settings, index: Mutex::default() })
    }

    /// Returns the server's address, without a slash at the end.
    pub fn address(&self) -> &str {
        &self.settings.address
    }

    /// Sends a request, again where that can help.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::NotFound`] for 404, [`ProviderErrorKind::Denied`] for 403, and what else the status
    /// says. `None` is an answer without a body.
    pub(crate) async fn call(
        &self,
        call: &Call<'_>,
        token: Option<&HeaderValue>,
    ) -> Result<Option<Json>, ProviderErrorKind> {
        let url = self.url(call)?;
        let body = call.body.as_ref().map(Json::to_text);
        retry::call(self.settings.policy, || self.send(call, &url, body.as_ref(), token)).await
    }

    async fn send(
        &self,
        call: &Call<'_>,
        url: &str,
        body: Option<&Plaintext>,
        token: Option<&HeaderValue>,
    ) -> Result<Option<Json>, ProviderErrorKind> {
        let answer = self.http.send(self.request(call, url, body, token)?).await?;
        self.remember(call.verb, &answer);
        judge(call, &answer)
    }

    fn url(&self, call: &Call<'_>) -> Result<String, ProviderErrorKind> {
        let mut url = format!("{}/v1/{}", self.settings.address, escaped_path(call.path)?);
        if call.verb == Verb::List {
            url.push_str("?list=true");
        }
        for (name, value) in &call.query {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&percent::encode(name, b""));
            url.push('=');
            url.push_str(&percent::encode(value, b""));
        }
        Ok(url)
    }

    fn request(
        &self,
        call: &Call<'_>,
        url: &str,
        body: Option<&Plaintext>,
        token: Option<&HeaderValue>,
    ) -> Result<Request, ProviderErrorKind> {
        let method = match call.verb {
            Verb::Get | Verb::List => Method::GET,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        };
        let mut request = Request::new(method, url);
        request.timeout = self.settings.timeout;
        request
            .headers
            .extend(self.settings.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        request = request.header(REQUEST, HeaderValue::from_static("true"));
        let namespace = call.namespace.unwrap_or(&self.settings.namespace).trim_matches('/');
        if !namespace.is_empty() {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| ProviderErrorKind::Invalid(format!("{namespace:?} is no namespace")))?;
            request = request.header(NAMESPACE, value);
        }
        if let Some(token) = token {
            request = request.header(TOKEN, token.clone());
        }
        if self.settings.read_your_writes {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(index) = index {
                request = request.header(INDEX, index);
            }
            if self.settings.forward_inconsistent {
                request = request.header(INCONSISTENT, HeaderValue::from_static("forward-active-node"));
            }
        }
        Ok(match body {
            Some(body) => request.body("application/json", body.duplicate()),
            None => request,
        })
    }

    fn remember(&self, verb: Verb, answer: &Answer) {
        if self.settings.read_your_writes
            && matches!(verb, Verb::Put | Verb::Delete)
            && let Some(index) = answer.headers.get(INDEX)
        {
            *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
        }
    }
}

/// Returns a token as a header that is never printed.
///
/// # Errors
/// Fails for a token with a line end or other characters that no header may have.
pub(crate) fn token_header(token: &Plaintext) -> Result<HeaderValue, ProviderErrorKind> {
    if token.expose().iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return Err(ProviderErrorKind::Unauthenticated(
            "the token contains non-printable characters, a line end for example, and cannot be used"
                .to_owned(),
        ));
    }
    sensitive(token.expose())
}

/// What Vault says about an error, in words that may be repeated: each is looked for in its texts, nothing else of
/// them is.
const PHRASES: &[&str] = &[
    "permission denied",
    "invalid token",
    "missing client token",
    "invalid role or secret ID",
    "invalid role ID",
    "invalid secret id",
    "invalid username or password",
    "ldap operation failed",
    "error validating token",
    "no known key successfully validated the token signature",
    "audience claim",
    "token is expired",
    "invalid audience",
    "service account name not authorized",
    "namespace not authorized",
    "invalid role name",
    "role could not be found",
    "failed to match all constraints",
    "invalid certificate or no client certificate supplied",
    "client certificate must be supplied",
    "Vault is sealed",
    "barrier is sealed",
    "rate limit quota exceeded",
    "request path",
    "unsupported path",
    "unsupported operation",
    "no handler for route",
    VERSION_CHANGED,
    "check-and-set parameter required for this call",
    "no data provided",
    "encryption key not found",
    "invalid ciphertext: no prefix",
    "invalid ciphertext",
    "message authentication failed",
    "too old",
    "Field validation failed",
    UPGRADING,
    BRIEF,
];
/// A write named another version than there is.
pub(super) const VERSION_CHANGED: &str = "check-and-set parameter did not match the current version";
/// A KV store that becomes version 2, or was just mounted: it is ready in a moment.
const UPGRADING: &str = "Upgrading from non-versioned to versioned data";
const BRIEF: &str = "backend will be unavailable for a brief period";

/// Makes an answer a result. Nothing of the body but [`PHRASES`] comes into an error.
fn judge(call: &Call<'_>, answer: &Answer) -> Result<Option<Json>, ProviderErrorKind> {
    let body = || Json::parse(&answer.body);
    if (200..300).contains(&answer.status) {
        if answer.body.expose().trim_ascii().is_empty() {
            return Ok(None);
        }
        return body()
            .map(Some)
            .ok_or_else(|| ProviderErrorKind::Failed(format!("the answer to {} is not JSON", name(call))));
    }
    let phrase = phrase(body().as_ref());
    let text = match phrase {
        Some(phrase) => format!("{} was answered {}: {phrase}", name(call), answer.status),
        None => format!("{} was answered {}", name(call), answer.status),
    };
    Err(match answer.status {
        404 => ProviderErrorKind::NotFound,
        403 => ProviderErrorKind::Denied(text),
        401 => ProviderErrorKind::Unauthenticated(text),
        429 => ProviderErrorKind::Throttled(retry_after(&answer.headers)),
        400 if phrase == Some(UPGRADING) || phrase == Some(BRIEF) => ProviderErrorKind::Unavailable(text),
        412 | 500 | 502..=599 => ProviderErrorKind::Unavailable(text),
        300..=399 => ProviderErrorKind::Failed(format!(
            "{} is passed on to another address ({}): name the active server, nothing is sent elsewhere",
            name(call),
            answer.status
        )),
        _ => ProviderErrorKind::Failed(text),
    })
}

fn phrase(body: Option<&Json>) -> Option<&'static str> {
    let Json::List(errors) = body?.get("errors")? else { return None };
    let said = |phrase: &str| {
        errors.iter().any(|error| {
            let Json::Text(text) = error else { return false };
            text.expose_str().is_some_and(|text| text.contains(phrase))
        })
    };
    PHRASES.iter().copied().find(|phrase| said(phrase))
}

/// Names a request in an error. Paths hold names of secrets, users and keys, and no values.
fn name(call: &Call<'_>) -> String {
    let verb = match call.verb {
        Verb::Get => "GET",
        Verb::List => "LIST",
        Verb::Put => "PUT",
        Verb::Delete => "DELETE",
    };
    format!("{verb} {}", call.path)
}

/// Escapes a path for an address. Empty segments are left out, as by Vault's own client.
///
/// # Errors
/// Refuses `.` and `..`: they would lead out of the mount that a store is bound to.
fn escaped_path(path: &str) -> Result<String, ProviderErrorKind> {
    let mut escaped = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if segment == "." || segment == ".." {
            let text = format!("the path {path:?} may not have {segment:?} as a part");
            return Err(ProviderErrorKind::Invalid(text));
        }
        if !escaped.is_empty() {
            escaped.push('/');
        }
        escaped.push_str(&percent::encode(segment, b"$&+,:;=@"));
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    fn judged(status: u16, body: &str) -> Result<Option<Json>, ProviderErrorKind> {
        let answer = Answer { status, headers: HeaderMap::new(), body: body.into() };
        judge(&Call::get("secret/data/x"), &answer)
    }

    #[test]
    fn statuses_become_kinds() {
        assert!(judged(204, "").unwrap().is_none());
        assert!(judged(200, r#"{"data":{}}"#).unwrap().is_some());
        for (status, body, text) in [
            (404, "", "there is no such secret"),
            (
                403,
                r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
                "access was denied: GET secret/data/x was answered 403: permission denied",
            ),
            (503, r#"{"errors":["Vault is sealed"]}"#, "GET secret/data/x was answered 503: Vault is sealed"),
            (418, r#"{"errors":["hunter2"]}"#, "GET secret/data/x was answered 418"),
            (200, "hunter2", "the answer to GET secret/data/x is not JSON"),
            (500, "hunter2", "GET secret/data/x was answered 500"),
        ] {
            let Err(error) = judged(status, body) else { panic!("{status}") };
            assert_eq!(error.to_string(), text);
        }
        use crate::Retry;
        for (status, body, retry) in [
            (429, "", Retry::Backoff),
            (412, "", Retry::Backoff),
            (502, "", Retry::Backoff),
            (501, "", Retry::Never),
            (400, "", Retry::Never),
            (
                400,
                r#"{"errors":["Upgrading from non-versioned to versioned data. This backend …"]}"#,
                Retry::Backoff,
            ),
            (307, "", Retry::Never),
        ] {
            assert_eq!(judged(status, body).err().unwrap().retry(), retry, "{status} {body}");
        }
    }

    #[test]
    fn paths_are_escaped_and_stay_inside() {
        assert_eq!(
            escaped_path("a//b c/ü?#%/$&+,:;=@-._~/").unwrap(),
            "a/b%20c/%C3%BC%3F%23%25/$&+,:;=@-._~"
        );
        for path in ["a/../b", "..", "a/./b", "../../sys/seal"] {
            assert!(matches!(escaped_path(path), Err(ProviderErrorKind::Invalid(_))), "{path}");
        }
        assert!(escaped_path("a/...").is_ok());
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(Client::new(Settings::new("http://v:8200//")).unwrap().address(), "http://v:8200");
        for address in ["", "v:8200", "ftp://v", "https://", "https:///v1", "https://user@v", "https://v?x"] {
            assert!(Client::new(Settings::new(address)).is_err(), "{address}");
        }
    }

    #[test]
    fn tokens_with_a_line_end_are_refused_and_not_printed() {
        assert!(format!("{:?}", token_header(&"hvs.hunter2".into()).unwrap()).contains("Sensitive"));
        let error = token_header(&"hvs.hunter2\n".into()).unwrap_err().to_string();
        assert!(error.contains("non-printable") && !error.contains("hunter2"), "{error}");
    }
}
