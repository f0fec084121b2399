//! Roles that want the code of an MFA device: who is asked, and the sessions that codes have opened.
//!
//! ```text
//!   ready(), before a call and without its time limits ──► one question a profile ──► STS ──► session, kept here
//!   provide_credentials(), within a call                ──► the session that is kept; never a question
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use sealops_formats::Plaintext;
use tokio::sync::oneshot;

use super::auth::{self, Base};
use super::profile::{self, Origin, ProfileRole};
use super::{chain, error};
use crate::ProviderErrorKind;

/// A session that ends so soon is opened anew before a call.
const EARLY: Duration = Duration::from_secs(300);
/// Most digits of a code; AWS's have six.
const MAX_CODE_BYTES: usize = 16;

type Ask = dyn Fn(&str) -> Option<Plaintext> + Send + Sync;
type Session = Result<Credentials, ProviderErrorKind>;

/// Asks for codes of MFA devices and keeps the sessions that they open, one a profile. What was refused is not asked
/// for again. One of these serves a whole process.
pub struct MfaSessions {
    ask: Arc<Ask>,
    /// One question after the other.
    asking: tokio::sync::Mutex<()>,
    known: Mutex<HashMap<String, Session>>,
}

impl fmt::Debug for MfaSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaSessions")
    }
}

impl MfaSessions {
    /// Takes who asks: it gets the question, may block, and returns what was typed, or nothing where nobody can be asked.
    pub fn new(ask: impl Fn(&str) -> Option<Plaintext> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ask: Arc::new(ask), asking: tokio::sync::Mutex::default(), known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what there is for a profile that lasts so long.
    fn lasting(&self, profile: &str, at_least: Duration) -> Option<Session> {
        let session = self.known().get(profile)?.clone();
        let end = SystemTime::now() + at_least;
        let over = session.as_ref().is_ok_and(|session| session.expiry().is_some_and(|expiry| expiry < end));
        (!over).then_some(session)
    }

    async fn code(&self, role: &ProfileRole, serial: &str) -> Result<Plaintext, ProviderErrorKind> {
        let question =
            format!("AWS profile {:?}, device {serial:?}\nAssume Role MFA token code:", role.profile);
        let (ask, (answer, answered)) = (Arc::clone(&self.ask), oneshot::channel());
        // Of its own, not of the runtime: the process does not wait for an answer that it no longer needs.
        let thread = thread::Builder::new().name("mfa".to_owned());
        let asked = thread.spawn(move || drop(answer.send(ask(&question))));
        let typed = match asked {
            Ok(_) => answered.await.ok().flatten(),
            Err(_) => None,
        };
        let typed = typed.ok_or_else(|| nobody(role, serial))?;
        let code = typed.expose_str().map(str::trim).unwrap_or_default();
        if !(1..=MAX_CODE_BYTES).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ProviderErrorKind::Unauthenticated(format!(
                "AWS profile {:?} wants the code of the MFA device {serial:?}, which has six digits: what was typed is no \
                 code",
                role.profile
            )));
        }
        Ok(Plaintext::from(code))
    }
}

fn nobody(role: &ProfileRole, serial: &str) -> ProviderErrorKind {
    ProviderErrorKind::Unauthenticated(format!(
        "AWS profile {:?} takes its role with a code of the MFA device {serial:?}, and nobody gave one (there is no \
         terminal, or no answer on it): put a session of `aws sts get-session-token --serial-number {serial:?} \
         --token-code CODE` into the environment, or use a profile without mfa_serial, with credential_process for \
         example",
        role.profile
    ))
}

/// A role of a profile, taken with the credentials before it.
#[derive(Debug)]
struct RoleOfProfile {
    client: aws_sdk_sts::Client,
    role: ProfileRole,
    sessions: Option<Arc<MfaSessions>>,
}

impl ProvideCredentials for RoleOfProfile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl RoleOfProfile {
    async fn credentials(&self) -> provider::Result {
        let session = match (&self.role.serial, &self.sessions) {
            (None, _) => self.assume(None).await,
            (Some(serial), None) => Err(nobody(&self.role, serial)),
            (Some(_), Some(sessions)) => {
                sessions.lasting(&self.role.profile, Duration::ZERO).unwrap_or_else(|| {
                    let text = format!("the session of AWS profile {:?} has ended", self.role.profile);
                    Err(ProviderErrorKind::Unauthenticated(text))
                })
            }
        };
        session.map_err(CredentialsError::provider_error)
    }

    /// Opens the session, if it needs a code and there is none yet.
    async fn ready(&self) -> Result<(), ProviderErrorKind> {
        let (Some(serial), Some(sessions)) = (&self.role.serial, &self.sessions) else { return Ok(()) };
        if let Some(session) = sessions.lasting(&self.role.profile, EARLY) {
            return session.map(drop);
        }
        let _one = sessions.asking.lock().await;
        if let Some(session) = sessions.lasting(&self.role.profile, EARLY) {
            return session.map(drop);
        }
        let session = match sessions.code(&self.role, serial).await {
            Ok(code) => self.assume(Some((serial, &code))).await,
            Err(error) => Err(error),
        };
        sessions.known().insert(self.role.profile.clone(), session.clone());
        session.map(drop)
    }

    async fn assume(&self, device: Option<(&String, &Plaintext)>) -> Session {
        let role = &self.role;
        let (serial, code) = device.unzip();
        let code = code.and_then(|code| code.expose_str()).map(ToOwned::to_owned);
        let name = role.session_name.clone().unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            format!("assume-role-from-profile-{}", now.as_millis())
        });
        let answer = self
            .client
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(name)
            .set_external_id(role.external_id.clone())
            .set_duration_seconds(role.seconds)
            .set_serial_number(serial.cloned())
            .set_token_code(code)
            .send();
        let named = |kind| match kind {
            ProviderErrorKind::Unauthenticated(text) => {
                ProviderErrorKind::Unauthenticated(format!("AWS profile {:?}: {text}", role.profile))
            }
            other => other,
        };
        let answer = answer.await.map_err(|error| named(error::login(&error)))?;
        auth::session(answer.credentials).map_err(|error| named(error::of_credentials(&error)))
    }
}

/// The roles of a profile that want codes. Empty where no profile has a device.
#[derive(Debug, Clone, Default)]
pub(super) struct Devices(Vec<Arc<RoleOfProfile>>);

impl Devices {
    /// Asks for the codes that are missing, in the order of the roles. To be called before a call, and not within its
    /// time limits.
    pub(super) async fn ready(&self) -> Result<(), ProviderErrorKind> {
        for role in &self.0 {
            role.ready().await?;
        }
        Ok(())
    }
}

/// Puts the roles of a profile in place of what the SDK makes of it, if one wants a code. Without sessions nobody is
/// asked, and the credentials are an error.
pub(super) async fn with_devices(
    config: SdkConfig,
    base: &Base,
    sessions: Option<&Arc<MfaSessions>>,
) -> (SdkConfig, Devices) {
    let chain = match profile::chain(base).await {
        Ok(None) => return (config, Devices::default()),
        Ok(Some(chain)) => chain,
        Err(error) => return (auth::with_credentials(config, Refused(error)), Devices::default()),
    };
    let mut config = match origin(&config, &chain.origin) {
        Some(credentials) => auth::with_credentials(config, credentials),
        None => return (config, Devices::default()),
    };
    let mut devices = Devices::default();
    for role in chain.roles {
        let client = aws_sdk_sts::Client::new(&config);
        let role = Arc::new(RoleOfProfile { client, role, sessions: sessions.map(Arc::clone) });
        devices.0.push(Arc::clone(&role));
        config = auth::with_credentials(config, Shared(role));
    }
    (config, devices)
}

fn origin(config: &SdkConfig, origin: &Origin) -> Option<SharedCredentialsProvider> {
    let settings = ProviderConfig::empty()
        .with_region(config.region().cloned())
        .with_sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new());
    let settings = match config.http_client() {
        Some(client) => settings.with_http_client(client),
        None => settings,
    };
    Some(match origin {
        Origin::Profile(name) => SharedCredentialsProvider::new(chain::of_profile(name, &settings)),
        Origin::Keys(keys) => SharedCredentialsProvider::new(keys.clone()),
        Origin::Named(name) => match name.to_ascii_lowercase().as_str() {
            "environment" => SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()),
            "ecscontainer" => SharedCredentialsProvider::new(chain::of_container(&settings)),
            "ec2instancemetadata" => SharedCredentialsProvider::new(
                ImdsCredentialsProvider::builder().configure(&settings).build(),
            ),
            // The SDK knows no such origin either, and says so.
            _ => return None,
        },
    })
}

#[derive(Debug)]
struct Shared(Arc<RoleOfProfile>);

impl ProvideCredentials for Shared {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.provide_credentials()
    }
}

/// Stands for a profile that cannot be used.
#[derive(Debug)]
struct Refused(ProviderErrorKind);

impl ProvideCredentials for Refused {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::provider_error(self.0.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_end_are_opened_anew_and_refusals_stay() {
        let sessions = MfaSessions::new(|_| None);
        let lasts = |seconds: u64| {
            let end = SystemTime::now() + Duration::from_secs(seconds);
            Ok(Credentials::new("id", "key", None, Some(end), "test"))
        };
        let known = |session: Session| {
            sessions.known().insert("work".to_owned(), session);
            [Duration::ZERO, EARLY].map(|at_least| sessions.lasting("work", at_least).is_some())
        };
        assert_eq!(known(lasts(3600)), [true, true]);
        assert_eq!(known(lasts(200)), [true, false]);
        assert_eq!(known(lasts(0)), [false, false]);
        assert_eq!(known(Err(ProviderErrorKind::NotFound)), [true, true]);
        assert_eq!(sessions.lasting("other", Duration::ZERO), None);
    }

    #[tokio::test]
    async fn only_digits_are_a_code() {
        let role = ProfileRole { profile: "work".to_owned(), ..ProfileRole::default() };
        for (typed, fits) in
            [(" 123456\n", true), ("", false), ("hunter2", false), ("12345678901234567", false)]
        {
            let sessions = MfaSessions::new(move |_| Some(typed.into()));
            let code = sessions.code(&role, "GAHT").await;
            assert_eq!(code.is_ok(), fits, "{typed:?}");
            assert!(code.err().is_none_or(|error| !error.to_string().contains("hunter2")));
        }
        let error = MfaSessions::new(|_| None).code(&role, "GAHT").await.err().unwrap().to_string();
        assert!(
            error.contains("\"work\"") && error.contains("\"GAHT\"") && error.contains("no terminal"),
            "{error}"
        );
    }
}
