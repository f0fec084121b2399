//! Requests to vaults: what a vault wants for a login is asked once, a token that died is replaced once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::{HeaderValue, Method, header};
use sealops_formats::Plaintext;
use tokio::sync::Mutex as AsyncMutex;

use super::challenge::Challenge;
use super::cloud::host;
use super::{Credentials, MAX_ANSWER_BYTES};
use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request};
use crate::json::Json;
use crate::retry::{self, Policy, retry_after};

/// Version of the interface: served by every cloud.
const API: &str = "7.4";
/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for an operation with its login and all attempts.
const DEADLINE: Duration = Duration::from_secs(50);
/// Codes of errors that are repeated; nothing else of an answer is.
const CODES: [&str; 14] = [
    "AccessDenied",
    "BadParameter",
    "Forbidden",
    "ForbiddenByConnection",
    "ForbiddenByFirewall",
    "ForbiddenByPolicy",
    "ForbiddenByRbac",
    "KeyDisabled",
    "KeyExpired",
    "KeyNotFound",
    "KeyNotYetValid",
    "KeyOperationForbidden",
    "Throttled",
    "Unauthorized",
];

type Slot = Arc<AsyncMutex<Option<Challenge>>>;

/// Vaults of any address.
pub(super) struct Vaults {
    http: HttpClient,
    credentials: Credentials,
    challenges: Mutex<HashMap<String, Slot>>,
}

/// What is asked of a vault.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) vault: &'a str,
    pub(super) path: String,
    pub(super) body: Plaintext,
}

impl Vaults {
    pub(super) fn new(http: HttpClient, credentials: Credentials) -> Self {
        Self { http, credentials, challenges: Mutex::default() }
    }

    /// Asks a vault, with its login and all attempts.
    ///
    /// # Errors
    /// Returns what the status says; of a body only [`CODES`] are told.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Json, ProviderErrorKind> {
        let late = || ProviderErrorKind::Unavailable(format!("{} did not answer in time", host(call.vault)));
        tokio::time::timeout(DEADLINE, self.exchange(call)).await.map_err(|_| late())?
    }

    /// Sends a request with a token. Where the token has died, it is sent once more with a new one.
    async fn exchange(&self, call: &Call<'_>) -> Result<Json, ProviderErrorKind> {
        let slot = {
            let mut challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(challenges.entry(call.vault.to_owned()).or_default())
        };
        let challenge = {
            let mut slot = slot.lock().await;
            match slot.as_ref() {
                Some(challenge) => challenge.clone(),
                None => slot.insert(self.challenge(call).await?).clone(),
            }
        };
        let token = self.credentials.token(call.vault, &challenge, None).await?;
        let answer = self.send(call, Some(&token)).await?;
        if answer.status != 401 {
            return read(call, &answer);
        }
        let challenge = match of_answer(call, &answer) {
            Some(challenge) => slot.lock().await.insert(challenge?).clone(),
            None => challenge,
        };
        let token = self.credentials.token(call.vault, &challenge, Some(&token)).await?;
        let answer = self.send(call, Some(&token)).await?;
        read(call, &answer)
    }

    /// Sends a request without its body and without a token, for the vault to say what it wants.
    async fn challenge(&self, call: &Call<'_>) -> Result<Challenge, ProviderErrorKind> {
        let answer = self.send(call, None).await?;
        if answer.status != 401 {
            read(call, &answer)?;
            return Err(ProviderErrorKind::Failed(format!("{} asks for no login", host(call.vault))));
        }
        of_answer(call, &answer).unwrap_or_else(|| {
            Err(ProviderErrorKind::Failed(format!("{} does not say how to log in", host(call.vault))))
        })
    }

    /// Sends a request, again where that can help. Refusals are the caller's.
    async fn send(&self, call: &Call<'_>, token: Option<&HeaderValue>) -> Result<Answer, ProviderErrorKind> {
        let url = format!("{}/{}?api-version={API}", call.vault, call.path);
        let attempt = || async {
            let mut request = Request::new(call.method.clone(), url.as_str())
                .header(header::ACCEPT, HeaderValue::from_static("application/json"));
            (request.timeout, request.max_bytes) = (TIMEOUT, MAX_ANSWER_BYTES);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, token.clone());
                if call.method == Method::POST {
                    request = request.body("application/json", call.body.duplicate());
                }
            }
            let answer = self.http.send(request).await?;
            match answer.status {
                408 | 429 | 500 | 502..=504 => Err(refusal(call, &answer)),
                _ => Ok(answer),
            }
        };
        retry::call(Policy { deadline: DEADLINE, ..Policy::default() }, attempt).await
    }
}

fn of_answer(call: &Call<'_>, answer: &Answer) -> Option<Result<Challenge, ProviderErrorKind>> {
    let header = answer.headers.get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
    Some(Challenge::read(header, call.vault))
}

fn read(call: &Call<'_>, answer: &Answer) -> Result<Json, ProviderErrorKind> {
    if answer.status != 200 {
        return Err(refusal(call, answer));
    }
    Json::parse(&answer.body)
        .ok_or_else(|| ProviderErrorKind::Failed(format!("the answer of {} is not JSON", host(call.vault))))
}

/// Makes an answer that is none an error. Of its body only [`CODES`] are told.
fn refusal(call: &Call<'_>, answer: &Answer) -> ProviderErrorKind {
    let mut text = format!("{} /{} was answered {}", call.method, call.path, answer.status);
    let body = Json::parse(&answer.body);
    let error = body.as_ref().and_then(|body| body.get("error"));
    for part in [error, error.and_then(|error| error.get("innererror"))].into_iter().flatten() {
        let said = part.str_at("code");
        if let Some(code) = CODES.iter().find(|code| said == Some(**code)) {
            text.push_str(&format!(": {code}"));
        }
    }
    match answer.status {
        401 => ProviderErrorKind::Unauthenticated(text),
        403 => ProviderErrorKind::Denied(text),
        429 => ProviderErrorKind::Throttled(retry_after(&answer.headers)),
        408 | 500 | 502..=504 => ProviderErrorKind::Unavailable(text),
        300..=399 => ProviderErrorKind::Failed(format!("{text}: nothing is sent to another address")),
        _ => ProviderErrorKind::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_codes_and_no_text() {
        let call = Call {
            method: Method::POST,
            vault: "https://v.vault.azure.net",
            path: "keys/k/1/decrypt".to_owned(),
            body: Plaintext::default(),
        };
        let text = |status, body: &str| {
            let headers = ::http::HeaderMap::new();
            refusal(&call, &Answer { status, headers, body: body.into() }).to_string()
        };
        let body =
            r#"{"error":{"code":"Forbidden","message":"hunter2","innererror":{"code":"KeyDisabled"}}}"#;
        assert_eq!(
            text(403, body),
            "access was denied: POST /keys/k/1/decrypt was answered 403: Forbidden: KeyDisabled"
        );
        assert_eq!(text(400, r#"{"error":{"code":"hunter2"}}"#), "POST /keys/k/1/decrypt was answered 400");
    }
}
