//! Flags that say which cluster is meant, as kubectl has them, and what is asked from it.

pub(crate) mod api;
#[cfg(feature = "cluster")]
mod client;
#[cfg(feature = "cluster")]
mod cluster;
mod controller;
pub(crate) mod objects;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::CommandError;
use crate::kubeconfig;

#[cfg(feature = "cluster")]
pub(crate) use cluster::fetch_url;
pub(crate) use controller::Controller;

/// How long a request may take unless a flag says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// kubectl's connection flags.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ConnectionFlags {
    /// Kubeconfig file; else those of KUBECONFIG, else ~/.kube/config, else the pod's service account
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_CONTEXT")]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_USER")]
    pub(crate) user: Option<String>,
    /// URL of the API server
    #[arg(long, short, value_name = "URL", env = "SEALED_SECRETS_SERVER")]
    pub(crate) server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, value_name = "TOKEN", env = "SEALED_SECRETS_TOKEN")]
    pub(crate) token: Option<String>,
    /// User name for the API server
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_USERNAME")]
    pub(crate) username: Option<String>,
    /// Password for the API server
    #[arg(long, value_name = "PASSWORD", env = "SEALED_SECRETS_PASSWORD")]
    pub(crate) password: Option<String>,
    /// CA certificate of the API server
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_CERTIFICATE_AUTHORITY")]
    pub(crate) certificate_authority: Option<String>,
    /// Client certificate for the API server
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_CLIENT_CERTIFICATE")]
    pub(crate) client_certificate: Option<String>,
    /// Client key for the API server
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_CLIENT_KEY")]
    pub(crate) client_key: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long, env = "SEALED_SECRETS_INSECURE_SKIP_TLS_VERIFY")]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Name that the API server's certificate must have
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_TLS_SERVER_NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// Proxy to the API server
    #[arg(long, value_name = "URL", env = "SEALED_SECRETS_PROXY_URL")]
    pub(crate) proxy_url: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "NAME", env = "SEALED_SECRETS_AS")]
    pub(crate) as_user: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_AS_GROUP")]
    pub(crate) as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, value_name = "UID", env = "SEALED_SECRETS_AS_UID")]
    pub(crate) as_uid: Option<String>,
    /// Longest time for one request, such as 10s or 1m
    #[arg(long, value_name = "TIME", env = "SEALED_SECRETS_REQUEST_TIMEOUT")]
    pub(crate) request_timeout: Option<String>,
}

impl ConnectionFlags {
    /// Returns the namespace of the context, for objects that name none.
    pub(crate) fn namespace(&self) -> Result<Option<String>, CommandError> {
        kubeconfig::namespace(self.kubeconfig.as_deref(), self.context.as_deref(), self.server.as_deref())
    }

    /// Returns how long a request may take. 0, which means no limit to kubectl, is our own limit.
    pub(crate) fn timeout(&self) -> Result<Duration, CommandError> {
        let Some(text) = self.request_timeout.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(DEFAULT_TIMEOUT);
        };
        let seconds = match text.parse::<u32>() {
            Ok(seconds) => Some(f64::from(seconds)),
            Err(_) => text.parse::<jiff::SignedDuration>().ok().map(|time| time.as_secs_f64()),
        };
        match seconds {
            Some(0.0) => Ok(DEFAULT_TIMEOUT),
            Some(seconds) if seconds > 0.0 => Ok(Duration::from_secs_f64(seconds)),
            _ => Err(CommandError::usage(format!("invalid value for --request-timeout: {text}"))
                .hint("a time is a number of seconds, or has a unit: 30s, 2m, 1h")),
        }
    }
}

/// Asks the controller for its certificate.
pub(crate) fn fetch_from_controller(
    flags: &ConnectionFlags,
    namespace: &str,
    name: &str,
) -> Result<Vec<u8>, CommandError> {
    let controller = Controller::find(flags, namespace, name)?;
    controller.certificate().map_err(|error| error.within("cannot fetch certificate"))
}

/// Asks a web server: this build cannot.
#[cfg(not(feature = "cluster"))]
pub(crate) fn fetch_url(url: &str, _: Duration) -> Result<Vec<u8>, CommandError> {
    Err(offline(&format!("fetching {url:?}")))
}

#[cfg(not(feature = "cluster"))]
fn offline(what: &str) -> CommandError {
    CommandError::input(format!(
        "{what} needs the feature `cluster`, which this build of sealops does not have"
    ))
    .hint("--cert FILE seals with a certificate from a file")
}
