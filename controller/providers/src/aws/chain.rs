//! Where the SDK finds credentials by itself, in its order. Its own chain is made anew for one thing: it looks up the
//! server of `AWS_CONTAINER_CREDENTIALS_FULL_URI` by the C library, and takes no other lookup.

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

use crate::names;

/// The SDK's default chain, by the settings that were loaded.
pub(super) fn of_environment(config: &SdkConfig) -> CredentialsProviderChain {
    let settings = settings(config);
    let profile = ProfileFileCredentialsProvider::builder().configure(&settings);
    CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", profile.with_custom_provider(CONTAINER, of_container(&settings)).build())
        .or_else(
            "WebIdentityToken",
            WebIdentityTokenCredentialsProvider::builder().configure(&settings).build(),
        )
        .or_else(CONTAINER, of_container(&settings))
        .or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(&settings).build())
}

/// The credentials of a profile, as the SDK understands it.
pub(super) fn of_profile(name: &str, settings: &ProviderConfig) -> ProfileFileCredentialsProvider {
    let builder = ProfileFileCredentialsProvider::builder().profile_name(name).configure(settings);
    builder.with_custom_provider(CONTAINER, of_container(settings)).build()
}

/// The credentials of a container.
pub(super) fn of_container(settings: &ProviderConfig) -> EcsCredentialsProvider {
    EcsCredentialsProvider::builder().dns(OwnNames).configure(settings).build()
}

/// The SDK's name of that source, also in profiles.
const CONTAINER: &str = "EcsContainer";

fn settings(config: &SdkConfig) -> ProviderConfig {
    let mut settings = ProviderConfig::empty()
        .with_region(config.region().cloned())
        .with_use_fips(config.use_fips())
        .with_use_dual_stack(config.use_dual_stack())
        .with_behavior_version(config.behavior_version())
        .with_sleep_impl(TokioSleep::new());
    if let Some(client) = config.http_client() {
        settings = settings.with_http_client(client);
    }
    if let Some(retries) = config.retry_config() {
        settings = settings.with_retry_config(retries.clone());
    }
    if let Some(timeouts) = config.timeout_config() {
        settings = settings.with_timeout_config(timeouts.clone());
    }
    settings
}

#[derive(Debug)]
struct OwnNames;

impl ResolveDns for OwnNames {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = names::lookup(name, 0).await.map_err(ResolveDnsError::new)?;
            Ok(found.into_iter().map(|address| address.ip()).collect())
        })
    }
}
