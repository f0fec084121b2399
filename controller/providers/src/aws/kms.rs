//! Keys of SOPS in AWS KMS.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::primitives::Blob;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::{Plaintext, base64};
use tokio::sync::OnceCell;

use super::auth::{self, Base, Role};
use super::mfa::{Devices, MfaSessions};
use super::{error, http_client};
use crate::ProviderErrorKind;
use crate::http::HttpClient;
use crate::key_service::KeyBackend;
use crate::retry::{self, Policy};

/// Time for all attempts of one call.
const DEADLINE: Duration = Duration::from_secs(45);
/// Values of an encryption context that are tried for files of SOPS before 3.3.0.
const MAX_REPEATED_VALUES: usize = 8;

/// Wraps and unwraps by AWS KMS. Every region, profile and role has one client, whose login serves all calls.
pub struct Kms {
    http: SharedHttpClient,
    session_name: String,
    sessions: Option<Arc<MfaSessions>>,
    clients: Mutex<HashMap<Account, Arc<OnceCell<Login>>>>,
}

type Login = (Client, Devices);

/// Who asks where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Account {
    region: String,
    profile: String,
    role: String,
}

/// A key, as KMS wants it.
struct Key<'a> {
    arn: &'a str,
    account: Account,
    context: &'a BTreeMap<String, String>,
}

impl Kms {
    /// Takes the client, and the name of sessions for roles ([`super::session_name`]).
    pub fn new(http: HttpClient, session_name: String) -> Self {
        Self { http: http_client::shared(http), session_name, sessions: None, clients: Mutex::default() }
    }

    /// Sets who is asked for codes of MFA devices. Without it profiles that want one are an error.
    pub fn with_mfa(self, sessions: Arc<MfaSessions>) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    async fn client(&self, account: &Account) -> Result<Client, ProviderErrorKind> {
        let cell = {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(clients.entry(account.clone()).or_default())
        };
        let (client, devices) = cell.get_or_init(|| self.connect(account)).await;
        devices.ready().await?;
        Ok(client.clone())
    }

    async fn connect(&self, account: &Account) -> Login {
        let base = match account.profile.as_str() {
            "" => Base::Environment,
            profile => Base::Profile(profile.to_owned()),
        };
        let role = (!account.role.is_empty()).then(|| Role {
            arn: account.role.clone(),
            session_name: self.session_name.clone(),
            ..Role::default()
        });
        let sessions = self.sessions.as_ref();
        let (config, devices) =
            auth::load(&self.http, &account.region, &base, role.as_slice(), sessions).await;
        // Calls are repeated here and not by the SDK, which does not look at Retry-After.
        let config = aws_sdk_kms::config::Builder::from(&config).retry_config(RetryConfig::disabled());
        (Client::from_conf(config.build()), devices)
    }

    async fn encrypt(&self, key: &Key<'_>, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        let client = self.client(&key.account).await?;
        let answer = retry::call(policy(), || async {
            let request = client
                .encrypt()
                .key_id(key.arn)
                .plaintext(Blob::new(part.plaintext().expose()))
                .set_encryption_context(context(key.context));
            request.send().await.map_err(|error| error::kind(&error))
        });
        match answer.await?.ciphertext_blob {
            Some(blob) if !blob.as_ref().is_empty() => Ok(base64::encode_public(blob.as_ref())),
            _ => Err(ProviderErrorKind::Failed("KMS answered without a ciphertext".to_owned())),
        }
    }

    async fn decrypt(&self, key: &Key<'_>, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        let blob = base64::decode(wrapped.trim().as_bytes())
            .map_err(|error| ProviderErrorKind::Failed(format!("the wrapped key is no base64: {error}")))?;
        let client = self.client(&key.account).await?;
        match self.decrypt_once(&client, key, &blob, key.context).await {
            Err(ProviderErrorKind::Failed(code)) if code == "InvalidCiphertextException" => {
                self.decrypt_old(&client, key, &blob).await
            }
            result => result,
        }
    }

    async fn decrypt_once(
        &self,
        client: &Client,
        key: &Key<'_>,
        blob: &Plaintext,
        values: &BTreeMap<String, String>,
    ) -> Result<KeyPart, ProviderErrorKind> {
        let answer = retry::call(policy(), || async {
            let request = client
                .decrypt()
                .key_id(key.arn)
                .ciphertext_blob(Blob::new(blob.expose()))
                .set_encryption_context(context(values));
            request.send().await.map_err(|error| error::kind(&error))
        });
        let answer = answer.await?;
        let other = |used: &&str| key.arn.contains(":key/") && used.starts_with("arn:") && *used != key.arn;
        if answer.key_id.as_deref().as_ref().is_some_and(other) {
            return Err(ProviderErrorKind::Failed("KMS answered for another key".to_owned()));
        }
        let part = answer.plaintext.map(|blob| Plaintext::from(blob.into_inner()));
        part.map(KeyPart::new)
            .ok_or_else(|| ProviderErrorKind::Failed("KMS answered without a plaintext".to_owned()))
    }

    /// SOPS before 3.3.0 gave every entry of the encryption context the same value, that of any one entry.
    async fn decrypt_old(
        &self,
        client: &Client,
        key: &Key<'_>,
        blob: &Plaintext,
    ) -> Result<KeyPart, ProviderErrorKind> {
        let values: BTreeSet<&String> = key.context.values().collect();
        if (2..=MAX_REPEATED_VALUES).contains(&values.len()) {
            for value in values {
                let repeated = key.context.keys().map(|name| (name.clone(), value.clone())).collect();
                if let Ok(part) = self.decrypt_once(client, key, blob, &repeated).await {
                    return Ok(part);
                }
            }
        }
        Err(ProviderErrorKind::Failed(
            "the wrapped key, or the encryption context in the file, is not what the key encrypted \
             (InvalidCiphertextException)"
                .to_owned(),
        ))
    }
}

fn policy() -> Policy {
    Policy { deadline: DEADLINE, ..Policy::default() }
}

/// None and empty are the same to KMS.
fn context(values: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!values.is_empty()).then(|| values.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

impl<'a> Key<'a> {
    fn new(key: &'a MasterKey) -> Result<Self, ProviderErrorKind> {
        let MasterKey::Kms { arn, role, context, aws_profile } = key else {
            return Err(ProviderErrorKind::Unsupported("a key that is none of AWS KMS"));
        };
        let region = region(arn)
            .ok_or_else(|| ProviderErrorKind::Invalid(format!("no valid ARN found in {arn:?}")))?
            .to_owned();
        let account = Account { region, profile: aws_profile.clone(), role: role.clone() };
        Ok(Self { arn, account, context })
    }
}

/// Returns the region of `arn:aws…:kms:REGION:ACCOUNT:key/…` or `…:alias/…`.
pub(crate) fn region(arn: &str) -> Option<&str> {
    let mut fields = arn.splitn(6, ':');
    let mut next = || fields.next();
    let (scheme, partition, service, region, account, resource) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    let word =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let named = |prefix| resource.strip_prefix(prefix).is_some_and(|name: &str| !name.is_empty());
    let fits = scheme == "arn"
        && partition.starts_with("aws")
        && word(partition)
        && service == "kms"
        && auth::is_region(region)
        && !account.is_empty()
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (named("key/") || named("alias/"));
    fits.then_some(region)
}

impl KeyBackend for Kms {
    const NAME: &'static str = "AWS KMS";

    fn target(key: &MasterKey) -> String {
        match key {
            MasterKey::Kms { arn, .. } => arn.clone(),
            other => other.to_string(),
        }
    }

    async fn wrap_part(&self, key: &MasterKey, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        self.encrypt(&Key::new(key)?, part).await
    }

    async fn unwrap_part(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        self.decrypt(&Key::new(key)?, wrapped).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_from_arns() {
        for (arn, expected) in [
            ("arn:aws:kms:eu-west-1:123456789012:key/ab-cd", Some("eu-west-1")),
            ("arn:aws-us-gov:kms:us-gov-west-1:1:alias/x/y", Some("us-gov-west-1")),
            ("arn:aws:kms:eu-west-1:123456789012:key/", None),
            ("arn:aws:s3:eu-west-1:1:key/a", None),
            ("arn:aws:kms:evil.example/x?:1:key/a", None),
            ("arn:aws:kms:eu-west-1::key/a", None),
            ("arn:gcp:kms:eu-west-1:1:key/a", None),
            ("alias/x", None),
            ("", None),
        ] {
            assert_eq!(region(arn), expected, "{arn}");
        }
    }
}
