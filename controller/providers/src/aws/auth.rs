//! Who asks AWS: where credentials come from, and roles that are taken with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::identity::IdentityCache;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::types::Tag;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use sealops_formats::Plaintext;

use super::mfa::{Devices, MfaSessions};
use super::{chain, error, mfa};

/// Longest time for a login: instance metadata that is not there, roles one after the other.
pub(super) const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time for a call with its login.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// Name of sessions that are opened for stores, as External Secrets names them.
pub(super) const STORE_SESSION: &str = "external-secrets-provider-aws";
/// Longest name of a session, in bytes (STS).
const MAX_SESSION_NAME_BYTES: usize = 64;
/// Longest region that is accepted.
const MAX_REGION_BYTES: usize = 32;

/// Where the first credentials come from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Base {
    /// AWS's own order: environment, `AWS_PROFILE` or the default profile, web identity, container, instance metadata.
    Environment,
    /// This profile, before the environment.
    Profile(String),
    /// These keys.
    Keys(Credentials),
    /// A role for a token of somebody whom AWS trusts.
    WebIdentity {
        /// ARN of the role.
        role: String,
        /// The token.
        token: Arc<Plaintext>,
    },
}

/// A role that is taken with the credentials before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// Name of the session, as CloudTrail shows it.
    pub session_name: String,
    /// What the role's owner asks for.
    pub external_id: Option<String>,
    /// Tags of the session.
    pub tags: BTreeMap<String, String>,
    /// Names of the tags that further sessions inherit.
    pub transitive_tags: Vec<String>,
}

/// Returns SOPS's name for a session: `sops@HOST`, of the host the characters that SOPS lets through. A hyphen is not
/// among them: upstream's expression has one by mistake as a range, and trust policies may name the result.
pub fn session_name(host: &str) -> String {
    let passes = |letter: &char| {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '=' | ',' | '.' | '@' | '[' | '\\' | ']' | '^' | '_')
    };
    let mut name: String = "sops@".chars().chain(host.chars().filter(passes)).collect();
    name.truncate(MAX_SESSION_NAME_BYTES);
    name
}

/// Returns whether a text can be a region: it becomes part of a host's name.
pub(super) fn is_region(text: &str) -> bool {
    (1..=MAX_REGION_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Loads the settings and credentials for a region. Nothing is asked before the first call, and nobody for codes of MFA
/// devices before [`Devices::ready`].
pub(super) async fn load(
    client: &SharedHttpClient,
    region: &str,
    base: &Base,
    roles: &[Role],
    sessions: Option<&Arc<MfaSessions>>,
) -> (SdkConfig, Devices) {
    load_all(client, region, base, roles, None, sessions).await
}

/// As [`load`], with another address of STS, and where nobody can be asked.
pub(super) async fn load_with_sts(
    client: &SharedHttpClient,
    region: &str,
    base: &Base,
    roles: &[Role],
    sts_address: Option<&str>,
) -> SdkConfig {
    load_all(client, region, base, roles, sts_address, None).await.0
}

async fn load_all(
    client: &SharedHttpClient,
    region: &str,
    base: &Base,
    roles: &[Role],
    sts_address: Option<&str>,
    sessions: Option<&Arc<MfaSessions>>,
) -> (SdkConfig, Devices) {
    let region = Region::new(region.to_owned());
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client.clone())
        .sleep_impl(TokioSleep::new())
        .region(region.clone())
        .identity_cache(IdentityCache::lazy().load_timeout(LOGIN_TIMEOUT).build())
        .timeout_config(TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).build())
        // It takes an answer that is some seconds late for a stalled upload; the HTTP client has limits of its own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    match base {
        Base::Environment => {}
        Base::Profile(name) => {
            let settings = ProviderConfig::empty()
                .with_http_client(client.clone())
                .with_sleep_impl(TokioSleep::new())
                .with_region(Some(region));
            loader = loader.profile_name(name).credentials_provider(chain::of_profile(name, &settings));
        }
        Base::Keys(keys) => loader = loader.credentials_provider(keys.clone()),
        Base::WebIdentity { .. } => loader = loader.no_credentials(),
    }
    let mut config = loader.load().await;
    if matches!(base, Base::Environment) {
        let credentials = chain::of_environment(&config);
        config = with_credentials(config, credentials);
    }
    let (mut config, devices) = mfa::with_devices(config, base, sessions).await;
    let sts = |config: &SdkConfig| {
        let mut builder = aws_sdk_sts::config::Builder::from(config);
        builder.set_endpoint_url(
            sts_address.map(ToOwned::to_owned).or_else(|| config.endpoint_url().map(Into::into)),
        );
        aws_sdk_sts::Client::from_conf(builder.build())
    };
    if let Base::WebIdentity { role, token } = base {
        let credentials =
            WebIdentityRole { client: sts(&config), role: role.clone(), token: Arc::clone(token) };
        config = with_credentials(config, credentials);
    }
    for role in roles {
        let credentials = AssumedRole { client: sts(&config), role: role.clone() };
        config = with_credentials(config, credentials);
    }
    (config, devices)
}

/// Puts credentials in place of those that there are.
pub(super) fn with_credentials(
    config: SdkConfig,
    credentials: impl ProvideCredentials + 'static,
) -> SdkConfig {
    config
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .identity_cache(IdentityCache::lazy().load_timeout(LOGIN_TIMEOUT).build())
        .build()
}

/// Returns a service's address in a region.
pub(super) fn address(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

/// Credentials of a role, for a token.
#[derive(Debug)]
struct WebIdentityRole {
    client: aws_sdk_sts::Client,
    role: String,
    token: Arc<Plaintext>,
}

impl ProvideCredentials for WebIdentityRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

impl WebIdentityRole {
    async fn assume(&self) -> provider::Result {
        let token = self.token.expose_str().ok_or_else(CredentialsError::not_loaded_no_source)?;
        let answer = self
            .client
            .assume_role_with_web_identity()
            .role_arn(&self.role)
            .role_session_name(STORE_SESSION)
            .web_identity_token(token)
            .send()
            .await
            .map_err(|error| CredentialsError::provider_error(error::login(&error)))?;
        session(answer.credentials)
    }
}

pub(super) fn session(credentials: Option<aws_sdk_sts::types::Credentials>) -> provider::Result {
    let session = credentials.ok_or_else(CredentialsError::not_loaded_no_source)?;
    Ok(Credentials::new(
        session.access_key_id,
        session.secret_access_key,
        Some(session.session_token),
        SystemTime::try_from(session.expiration).ok(),
        "AssumedRole",
    ))
}

/// Credentials of a role.
#[derive(Debug)]
struct AssumedRole {
    client: aws_sdk_sts::Client,
    role: Role,
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

impl AssumedRole {
    async fn assume(&self) -> provider::Result {
        let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build().ok();
        let tags: Vec<Tag> = self.role.tags.iter().filter_map(tag).collect();
        let transitive = self.role.transitive_tags.clone();
        let answer = self
            .client
            .assume_role()
            .role_arn(&self.role.arn)
            .role_session_name(&self.role.session_name)
            .set_external_id(self.role.external_id.clone())
            .set_tags((!tags.is_empty()).then_some(tags))
            .set_transitive_tag_keys((!transitive.is_empty()).then_some(transitive))
            .send()
            .await
            .map_err(|error| CredentialsError::provider_error(error::login(&error)))?;
        session(answer.credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_named_as_by_sops() {
        assert_eq!(session_name("build-host.example_1"), "sops@buildhost.example_1");
        assert_eq!(session_name("häß lich/"), "sops@hlich");
        assert_eq!(session_name(&"x".repeat(200)).len(), MAX_SESSION_NAME_BYTES);
    }

    #[test]
    fn regions_cannot_be_hosts() {
        assert!(is_region("eu-central-1") && is_region("us-gov-west-1"));
        for text in ["", "evil.example/", "a.b", "eu-central-1:8080", "-a", "a-", "EU", &"x".repeat(33)] {
            assert!(!is_region(text), "{text}");
        }
    }
}
