//! Logins: one token per session, renewed while it is used, taken again when it died, revoked at the end.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use sealops_formats::Plaintext;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Json;
use super::client::{Call, Client, Verb, token_header};
use crate::ProviderErrorKind;

/// How long a token that the server just confirmed is not asked about again.
const CONFIRMED: Duration = Duration::from_secs(2);
/// A token with less life than this left is replaced before it is used.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// Wait before a renewal that failed is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// How a session gets its token. `mount` is the path of the auth method, without `auth/`.
pub enum Login {
    /// No token: the server decides.
    None,
    /// A token that stands somewhere. It is neither renewed nor revoked: it is somebody else's.
    Token(Plaintext),
    /// AppRole.
    AppRole {
        /// `approle`.
        mount: String,
        /// Role id.
        role_id: Plaintext,
        /// Secret id; empty where the role needs none.
        secret_id: Plaintext,
    },
    /// Kubernetes and JWT: the same request.
    Jwt {
        /// `kubernetes`, `jwt`.
        mount: String,
        /// Role; empty is the mount's default.
        role: String,
        /// Token of a service account, or any other JWT.
        jwt: Plaintext,
    },
    /// User name and password: userpass, LDAP.
    Password {
        /// `userpass`, `ldap`.
        mount: String,
        /// User.
        username: String,
        /// Password.
        password: Plaintext,
    },
    /// The client certificate of the connection.
    Certificate {
        /// `cert`.
        mount: String,
        /// Name of the certificate role; empty tries all.
        name: String,
    },
}

impl Login {
    fn request(&self) -> Option<(String, Json)> {
        Some(match self {
            Self::None | Self::Token(_) => return None,
            Self::AppRole { mount, role_id, secret_id } => {
                let mut body = vec![("role_id", Json::Text(role_id.duplicate()))];
                if !secret_id.is_empty() {
                    body.push(("secret_id", Json::Text(secret_id.duplicate())));
                }
                (format!("auth/{mount}/login"), Json::map(body))
            }
            Self::Jwt { mount, role, jwt } => {
                let body = [("jwt", Json::Text(jwt.duplicate())), ("role", Json::text(role.as_str()))];
                (format!("auth/{mount}/login"), Json::map(body))
            }
            Self::Password { mount, username, password } => {
                let body = [("password", Json::Text(password.duplicate()))];
                (format!("auth/{mount}/login/{username}"), Json::map(body))
            }
            Self::Certificate { mount, name } => {
                let named = (!name.is_empty()).then(|| ("name", Json::text(name.as_str())));
                (format!("auth/{mount}/login"), Json::map(named))
            }
        })
    }
}

/// A server and a token for it.
pub struct Session {
    client: Arc<Client>,
    login: Login,
    /// Namespace of the auth method, where it is another than the requests'.
    login_namespace: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// Counts logins, so that of many that find the token dead only one takes a new one.
    generation: u64,
    confirmed: Option<Instant>,
}

struct Token {
    header: HeaderValue,
    /// End of its life and the moment from which it is renewed; `None` for a token without an end.
    life: Option<(Instant, Instant)>,
    revocable: bool,
    accessor: Option<String>,
}

impl Session {
    /// Makes a session; nothing is sent yet. A login goes to `login_namespace`, or else where the requests go.
    pub fn new(client: Client, login: Login, login_namespace: Option<String>) -> Self {
        Self { client: Arc::new(client), login, login_namespace, state: Mutex::default() }
    }

    /// Returns the server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Logs in, unless that is done or not needed.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Unauthenticated`] where the server refuses, and what else keeps it from answering.
    pub async fn open(&self) -> Result<(), ProviderErrorKind> {
        if self.login.request().is_some() {
            self.token().await?;
        }
        Ok(())
    }

    /// Asks the server whether the token is alive.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Unauthenticated`] where it is not.
    pub async fn check(&self) -> Result<(), ProviderErrorKind> {
        let lookup = || async {
            let (token, generation) = self.token().await?;
            Ok::<_, ProviderErrorKind>((self.lookup(token.as_ref()).await, generation))
        };
        let (result, generation) = lookup().await?;
        if matches!(result, Err(ProviderErrorKind::Denied(_))) && self.login.request().is_some() {
            self.forget(generation).await;
            return refused(lookup().await?.0);
        }
        refused(result)
    }

    async fn lookup(&self, token: Option<&HeaderValue>) -> Result<(), ProviderErrorKind> {
        self.client.call(&Call::get("auth/token/lookup-self"), token).await.map(drop)
    }

    /// Sends a request with the token. Where it is denied because a token of ours died, it is sent once more with a
    /// new one.
    ///
    /// # Errors
    /// As the login and [`Client`] say.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Option<Json>, ProviderErrorKind> {
        let (token, generation) = self.token().await?;
        let denied = match self.client.call(call, token.as_ref()).await {
            Err(error @ ProviderErrorKind::Denied(_)) => error,
            result => return result,
        };
        if self.login.request().is_none() || !self.is_dead(token.as_ref(), generation).await? {
            return Err(denied);
        }
        self.forget(generation).await;
        let (token, _) = self.token().await?;
        self.client.call(call, token.as_ref()).await
    }

    /// Returns the token and the count of its login; logs in or renews where that is due. Those who come meanwhile wait
    /// for this one.
    async fn token(&self) -> Result<(Option<HeaderValue>, u64), ProviderErrorKind> {
        match &self.login {
            Login::None => return Ok((None, 0)),
            Login::Token(token) => return Ok((Some(token_header(token)?), 0)),
            _ => {}
        }
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some((end, renewal)) = state.token.as_ref().and_then(|token| token.life) {
            if now + LAST_MOMENT >= end {
                state.token = None;
            } else if now >= renewal {
                self.renew(&mut state).await;
            }
        }
        if state.token.is_none() {
            state.token = Some(self.log_in().await?);
            state.generation += 1;
            state.confirmed = Some(Instant::now());
        }
        Ok((state.token.as_ref().map(|token| token.header.clone()), state.generation))
    }

    async fn log_in(&self) -> Result<Token, ProviderErrorKind> {
        if let Login::Password { username, .. } = &self.login
            && (username.is_empty() || username.contains('/'))
        {
            // It would name another path.
            return Err(ProviderErrorKind::Invalid(format!("{username:?} is no user name")));
        }
        let Some((path, body)) = self.login.request() else {
            return Err(ProviderErrorKind::Failed("there is nothing to log in with".to_owned()));
        };
        let mut call = Call::put(&path, body);
        call.namespace = self.login_namespace.as_deref();
        let answer = self.client.call(&call, None).await.map_err(|error| match error {
            ProviderErrorKind::Denied(text) | ProviderErrorKind::Failed(text) => {
                ProviderErrorKind::Unauthenticated(text)
            }
            ProviderErrorKind::NotFound => {
                ProviderErrorKind::Unauthenticated(format!("there is no auth method at {path}"))
            }
            other => other,
        })?;
        let token = answer.and_then(|answer| answer.take("auth")).and_then(|auth| Token::read(&auth));
        token.ok_or_else(|| ProviderErrorKind::Failed(format!("the answer to PUT {path} has no token")))
    }

    /// Renews the token. One that cannot be renewed is used until its end.
    async fn renew(&self, state: &mut State) {
        let Some(token) = state.token.as_mut() else { return };
        let mut call = Call::put("auth/token/renew-self", Json::map::<&str>([]));
        call.namespace = self.login_namespace.as_deref();
        match self.client.call(&call, Some(&token.header)).await {
            Ok(Some(answer)) => {
                if let Some(renewed) = answer.take("auth").and_then(|auth| Token::read(&auth)) {
                    *token = renewed;
                }
            }
            // It died: the next one takes a new one.
            Err(ProviderErrorKind::Denied(_)) => state.token = None,
            _ => {
                if let Some((end, renewal)) = &mut token.life {
                    *renewal = (Instant::now() + RENEW_AGAIN).min(*end);
                }
            }
        }
    }

    /// Asks the server whether a denied request was denied because the token died.
    async fn is_dead(&self, token: Option<&HeaderValue>, generation: u64) -> Result<bool, ProviderErrorKind> {
        let state = self.state.lock().await;
        if state.generation != generation {
            return Ok(true);
        }
        if state.confirmed.is_some_and(|confirmed| confirmed.elapsed() < CONFIRMED)
            && state
                .token
                .as_ref()
                .is_some_and(|token| token.life.is_none_or(|(end, _)| Instant::now() < end))
        {
            return Ok(false);
        }
        drop(state);
        match self.lookup(token).await {
            Ok(()) => {
                self.state.lock().await.confirmed = Some(Instant::now());
                Ok(false)
            }
            Err(ProviderErrorKind::Denied(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn forget(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.token = None;
        }
    }

    /// Returns the accessor of the session's own token, and the seconds until it ends.
    pub(crate) async fn accessor(&self) -> Option<(String, Option<i64>)> {
        let state = self.state.lock().await;
        let token = state.token.as_ref()?;
        let left = token.life.map(|(end, _)| end.saturating_duration_since(Instant::now()).as_secs());
        Some((token.accessor.clone()?, left.and_then(|seconds| i64::try_from(seconds).ok())))
    }

    /// Leaves the token to its own end: what hangs on it has to live on.
    pub(crate) async fn keep_token(&self) {
        if let Some(token) = &mut self.state.lock().await.token {
            token.revocable = false;
        }
    }

    /// Revokes the token, where it is this session's own. A session that is dropped does so too, as long as its runtime
    /// lives; nobody learns whether that worked.
    ///
    /// # Errors
    /// As [`Client`] says; a token that is dead already is revoked.
    pub async fn close(&self) -> Result<(), ProviderErrorKind> {
        let token = self.state.lock().await.token.take();
        match token.filter(|token| token.revocable) {
            Some(token) => revoke(&self.client, self.login_namespace.as_deref(), &token.header).await,
            None => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(token) = self.state.get_mut().token.take().filter(|token| token.revocable) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (client, namespace) = (Arc::clone(&self.client), self.login_namespace.take());
        runtime.spawn(async move { revoke(&client, namespace.as_deref(), &token.header).await });
    }
}

async fn revoke(
    client: &Client,
    namespace: Option<&str>,
    token: &HeaderValue,
) -> Result<(), ProviderErrorKind> {
    let mut call = Call::new(Verb::Put, "auth/token/revoke-self");
    call.namespace = namespace;
    match client.call(&call, Some(token)).await {
        Ok(_) | Err(ProviderErrorKind::Denied(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A lookup that is denied says that the token is none.
fn refused(result: Result<(), ProviderErrorKind>) -> Result<(), ProviderErrorKind> {
    result.map_err(|error| match error {
        ProviderErrorKind::Denied(text) => ProviderErrorKind::Unauthenticated(text),
        other => other,
    })
}

impl Token {
    /// Reads the `auth` part of an answer.
    fn read(auth: &Json) -> Option<Self> {
        let header = token_header(auth.text_at("client_token")?).ok()?;
        let renewable = auth.is_true("renewable");
        let seconds =
            auth.integer_at("lease_duration").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        let life = (seconds > 0).then(|| {
            let (now, length) = (Instant::now(), Duration::from_secs(seconds));
            let renewal = if renewable { length * 2 / 3 } else { length };
            (now + length, now + renewal)
        });
        // Batch tokens cannot be revoked.
        let revocable = auth.str_at("token_type") != Some("batch");
        let accessor = auth.str_at("accessor").filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self { header, life, revocable, accessor })
    }
}
