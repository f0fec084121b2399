//! `sealops-controller`: flags, then [`sealops_controller::cluster::run`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sealops_controller::cluster::keys::KeyOptions;
use sealops_controller::cluster::leader::Timing;
use sealops_controller::cluster::log::{self, InfoStream, LogFormat, LogOptions, Threshold};
use sealops_controller::cluster::run::{RunOptions, run};
use sealops_controller::cluster::sealed::SealedOptions;
use sealops_controller::cluster::watch::Namespaces;
use sealops_controller::external::go_duration;
use sealops_controller::sealed::{KeyOrder, OpenOptions};
use sealops_controller::templates::TemplateOptions;

/// Unseals SealedSecrets and synchronises ExternalSecrets.
///
/// Runs in a pod with its service account, or anywhere with a kubeconfig. Several replicas elect a leader.
#[derive(Debug, Parser)]
#[command(name = "sealops-controller", version)]
struct Flags {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, then the pod's own account]
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the controller: sealing keys, lease and state live there
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Namespaces to watch [default: all]
    #[arg(long, value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Unique name of this replica [default: $POD_NAME, or host name and process id]
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Elect a leader among the replicas; false only where there is one
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// How long the other replicas wait for an unchanged lease
    #[arg(long, default_value = "15s", value_parser = duration)]
    leader_elect_lease_duration: Duration,
    /// How long after its last renewal the leader goes on writing
    #[arg(long, default_value = "10s", value_parser = duration)]
    leader_elect_renew_deadline: Duration,
    /// Between two renewals, or two attempts to lead
    #[arg(long, default_value = "2s", value_parser = duration)]
    leader_elect_retry_period: Duration,
    /// Prefix of the names of sealing key Secrets
    #[arg(long, default_value = "sealed-secrets-key")]
    key_prefix: String,
    /// RSA bits of a new sealing key
    #[arg(long, default_value_t = 4096)]
    key_size: u32,
    /// Validity of a new sealing certificate
    #[arg(long, default_value = "87600h", value_parser = seconds)]
    key_ttl: i64,
    /// Common name of a new sealing certificate
    #[arg(long, default_value = "")]
    my_cn: String,
    /// Which time makes a key the current one
    #[arg(long, default_value = "CertNotBefore")]
    key_order_priority: Order,
    /// Open the deprecated field spec.data
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    accept_deprecated_v1_data: bool,
    /// Write the status of SealedSecrets
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    update_status: bool,
    /// Handle ExternalSecrets too
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    external_secrets: bool,
    /// Requests to the API server at once, for each kind
    #[arg(long, default_value_t = 16)]
    workers: usize,
    /// Address of certificate and probes
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen_addr: SocketAddr,
    /// Address of the metrics
    #[arg(long, default_value = "0.0.0.0:8081")]
    listen_metrics_addr: SocketAddr,
    /// DEBUG, INFO, WARN or ERROR
    #[arg(long, default_value = "INFO")]
    log_level: Threshold,
    /// text or json
    #[arg(long, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Order {
    CertNotBefore,
    SecretCreationTimestamp,
}

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

fn main() -> ExitCode {
    sealops_controller::harden::no_core_dumps();
    let flags = Flags::parse();
    let logging =
        LogOptions { threshold: flags.log_level, format: flags.log_format, info: InfoStream::default() };
    let started = log::init(logging).map_err(|error| error.to_string()).and_then(|()| start(flags));
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Result<(), String> {
    let (lease, renew, retry) = (
        flags.leader_elect_lease_duration,
        flags.leader_elect_renew_deadline,
        flags.leader_elect_retry_period,
    );
    if !(retry < renew && renew < lease) {
        return Err("the leader election needs retry period < renew deadline < lease duration".to_owned());
    }
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already".to_owned())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(run(options(flags)))
}

fn options(flags: Flags) -> RunOptions {
    let namespace = flags.namespace.or_else(own_namespace).unwrap_or_else(|| "default".to_owned());
    let namespaces =
        if flags.namespaces.is_empty() { Namespaces::All } else { Namespaces::Some(flags.namespaces) };
    RunOptions {
        kubeconfig: flags.kubeconfig,
        identity: flags.identity.unwrap_or_else(identity),
        election: flags.leader_elect.then_some(Timing {
            lease_duration: flags.leader_elect_lease_duration,
            renew_deadline: flags.leader_elect_renew_deadline,
            retry_period: flags.leader_elect_retry_period,
        }),
        keys: KeyOptions {
            namespace,
            prefix: flags.key_prefix,
            bits: flags.key_size,
            lifetime: flags.key_ttl,
            common_name: flags.my_cn,
            order: match flags.key_order_priority {
                Order::CertNotBefore => KeyOrder::CertNotBefore,
                Order::SecretCreationTimestamp => KeyOrder::SecretCreationTimestamp,
            },
        },
        sealed: SealedOptions {
            namespaces,
            update_status: flags.update_status,
            open: OpenOptions {
                accept_v1_data: flags.accept_deprecated_v1_data,
                templates: TemplateOptions { allow_random_functions: true },
            },
            workers: flags.workers.max(1),
            rsa_threads: std::thread::available_parallelism().map_or(1, usize::from),
        },
        external_workers: flags.external_secrets.then_some(flags.workers.max(1)),
        listen: flags.listen_addr,
        listen_metrics: flags.listen_metrics_addr,
    }
}

fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

fn duration(text: &str) -> Result<Duration, String> {
    go_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "this is not a duration such as 1h30m".to_owned())
}

fn seconds(text: &str) -> Result<i64, String> {
    duration(text).and_then(|duration| {
        i64::try_from(duration.as_secs()).map_err(|_| "this duration is too long".to_owned())
    })
}
