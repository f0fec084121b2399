//! Tokens: one login for all who wait, kept until shortly before its end, taken again when it was refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderName, HeaderValue, Method, header};
use sealops_formats::Plaintext;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api::escape;
use super::credentials::{Credentials, Impersonated, ServiceAccount, TOKEN_URL, User};
use super::jwt;
use super::token_server::{MAX_ANSWER_BYTES, REQUEST_TIMEOUT, form, granted, json_of, no_token, of_answer};
use crate::ProviderErrorKind;
use crate::http::{HttpClient, Request, sensitive};
use crate::json::Json;

/// How long the metadata server of this machine is waited for, if there is one at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// How long before its end a token is not used any more; a quarter of its life, if that is shorter.
const EARLY: Duration = Duration::from_secs(180);
/// How long a service account's word holds (Google's limit), and what is asked for an impersonated account.
const LIFE_SECONDS: u64 = 3600;
/// How much the clock of this machine may be ahead.
const SKEW_SECONDS: u64 = 10;

const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Gets tokens.
pub(super) struct Login {
    http: HttpClient,
    /// Never behind a proxy.
    metadata: HttpClient,
    credentials: Credentials,
    scope: &'static str,
    /// Logins so far, successful or not.
    tried: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// Why the last login failed, for those who waited for it.
    error: Option<ProviderErrorKind>,
}

/// A token as a header.
#[derive(Clone)]
pub(super) struct Token {
    /// `Authorization`; none is needed where it is `None`.
    pub(super) header: Option<HeaderValue>,
    number: u64,
    end: Option<Instant>,
}

impl Login {
    pub(super) fn new(
        http: HttpClient,
        metadata: HttpClient,
        credentials: Credentials,
        scope: &'static str,
    ) -> Self {
        Self { http, metadata, credentials, scope, tried: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Returns whether a new token can be had after one was refused.
    pub(super) fn renews(&self) -> bool {
        !matches!(self.credentials, Credentials::None | Credentials::Token(_))
    }

    /// Returns a token: the one there is, unless it ends or is the one that was refused.
    pub(super) async fn token(&self, refused: Option<&Token>) -> Result<Token, ProviderErrorKind> {
        let before = self.tried.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.end.is_none_or(|end| Instant::now() < end)
            && refused.is_none_or(|refused| refused.number != token.number)
        {
            return Ok(token.clone());
        }
        let number = self.tried.load(Ordering::SeqCst);
        if let Some(error) = state.error.as_ref().filter(|_| number != before) {
            return Err(error.clone());
        }
        let taken = self.take(number).await;
        self.tried.fetch_add(1, Ordering::SeqCst);
        state.error = taken.as_ref().err().cloned();
        let token = taken?;
        state.token = Some(token.clone());
        Ok(token)
    }

    async fn take(&self, number: u64) -> Result<Token, ProviderErrorKind> {
        let (token, seconds) = match &self.credentials {
            Credentials::None => return Ok(Token { header: None, number, end: None }),
            credentials => self.grant(credentials, self.scope).await?,
        };
        if token.is_empty() || token.expose().iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
            return Err(ProviderErrorKind::Unauthenticated(
                "the token has characters that no token has, a line end for example".to_owned(),
            ));
        }
        let mut header = Plaintext::with_capacity(token.len() + 7);
        header.push(b"Bearer ");
        header.push(token.expose());
        let life = seconds.map(Duration::from_secs).map(|life| life - EARLY.min(life / 4));
        let end = life.and_then(|life| Instant::now().checked_add(life));
        Ok(Token { header: Some(sensitive(header.expose())?), number, end })
    }

    /// Returns a token, and how many seconds it lives.
    async fn grant(
        &self,
        credentials: &Credentials,
        scope: &str,
    ) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        match credentials {
            Credentials::None => Ok((Plaintext::default(), None)),
            Credentials::Token(token) => Ok((token.duplicate(), None)),
            Credentials::ServiceAccount(account) => self.service_account(account, scope).await,
            Credentials::User(user) => self.user(user).await,
            Credentials::External(external) => external.exchange(&self.http).await,
            Credentials::Impersonated(account) => {
                // Recursive: the future has to be boxed.
                let source = Box::pin(self.grant(&account.source, CLOUD_PLATFORM)).await?.0;
                self.impersonate(account, &source, scope).await
            }
            Credentials::Metadata { host, certain } => self.metadata(host, *certain, scope).await,
        }
    }

    /// Outside of Google's own universe nobody exchanges an account's word: it is the token.
    async fn service_account(
        &self,
        account: &ServiceAccount,
        scope: &str,
    ) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let number = |number: u64| Json::Number(number.to_string().into());
        let issued = now.saturating_sub(SKEW_SECONDS);
        let mut claims = vec![
            ("iss", Json::text(account.email.as_str())),
            ("scope", Json::text(scope)),
            ("iat", number(issued)),
            ("exp", number(issued + LIFE_SECONDS)),
        ];
        if !account.universe.is_empty() {
            claims.push(("sub", Json::text(account.email.as_str())));
            return Ok((jwt::sign(account, &Json::map(claims))?, Some(LIFE_SECONDS - SKEW_SECONDS)));
        }
        claims.push(("aud", Json::text(account.token_url.as_str())));
        let assertion = jwt::sign(account, &Json::map(claims))?;
        let body = form(&[
            ("grant_type", &"urn:ietf:params:oauth:grant-type:jwt-bearer".into()),
            ("assertion", &assertion),
        ]);
        self.post_form(&account.token_url, body).await
    }

    async fn user(&self, user: &User) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        let body = form(&[
            ("grant_type", &"refresh_token".into()),
            ("client_id", &user.client_id),
            ("client_secret", &user.client_secret),
            ("refresh_token", &user.refresh_token),
        ]);
        self.post_form(TOKEN_URL, body).await
    }

    async fn post_form(
        &self,
        url: &str,
        body: Plaintext,
    ) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        let request = Request::new(Method::POST, url).body("application/x-www-form-urlencoded", body);
        granted(&self.http, request).await
    }

    async fn impersonate(
        &self,
        account: &Impersonated,
        source: &Plaintext,
        scope: &str,
    ) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        let texts =
            |texts: &[String]| Json::List(texts.iter().map(|text| Json::text(text.as_str())).collect());
        let body = Json::map([
            ("scope", texts(&[scope.to_owned()])),
            ("delegates", texts(&account.delegates)),
            ("lifetime", Json::text(format!("{LIFE_SECONDS}s").as_str())),
        ]);
        let mut bearer = Plaintext::from("Bearer ");
        bearer.push(source.expose());
        let mut request = Request::new(Method::POST, account.url.as_str())
            .header(header::AUTHORIZATION, sensitive(bearer.expose())?)
            .body("application/json", body.to_text());
        request.timeout = REQUEST_TIMEOUT;
        request.max_bytes = MAX_ANSWER_BYTES;
        let answer = self.http.send(request).await?;
        let json = json_of(&answer, "the server that lets accounts be impersonated")?;
        let token = json.text_at("accessToken").map(Plaintext::duplicate);
        Ok((token.ok_or_else(no_token)?, Some(LIFE_SECONDS)))
    }

    async fn metadata(
        &self,
        host: &str,
        certain: bool,
        scope: &str,
    ) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        let mut url =
            format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes=");
        escape(&mut url, scope);
        let mut request = Request::new(Method::GET, url).header(FLAVOR, HeaderValue::from_static("Google"));
        request.timeout = METADATA_TIMEOUT;
        request.max_bytes = MAX_ANSWER_BYTES;
        let answer = match self.metadata.send(request).await {
            Ok(answer) => answer,
            Err(error) if certain => return Err(error),
            Err(_) => return Err(nobody()),
        };
        if answer.headers.get(FLAVOR).is_none_or(|flavor| flavor != "Google") {
            return Err(if certain {
                ProviderErrorKind::Unauthenticated(format!("{host} is no metadata server of Google"))
            } else {
                nobody()
            });
        }
        of_answer(&json_of(&answer, "the metadata server")?)
    }
}

fn nobody() -> ProviderErrorKind {
    ProviderErrorKind::Unauthenticated(
        "could not find default credentials: GOOGLE_APPLICATION_CREDENTIALS names no file, `gcloud auth \
         application-default login` has left none, and this machine has no metadata server of Google"
            .to_owned(),
    )
}
