//! `sealops-controller`: both halves, our flags. Flags that upstream has too mean the same.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sealops_controller::cluster::api::StatusWrite;
use sealops_controller::cluster::http::Limits;
use sealops_controller::cluster::keys::KeyOptions;
use sealops_controller::cluster::leader::Timing;
use sealops_controller::cluster::log::{InfoStream, LogFormat, LogOptions, Threshold};
use sealops_controller::cluster::metrics::ObjectLabels;
use sealops_controller::cluster::receiver::ReceiverOptions;
use sealops_controller::cluster::run::{Connection, HttpOptions, RunOptions};
use sealops_controller::cluster::sealed::SealedOptions;
use sealops_controller::cluster::throttle::Rate;
use sealops_controller::cluster::watch::Namespaces;
use sealops_controller::external::go_duration;
use sealops_controller::sealed::{KeyOrder, OpenOptions};
use sealops_controller::templates::TemplateOptions;

use crate::Setup;

/// Unseals SealedSecrets and synchronises ExternalSecrets.
///
/// Runs in a pod with its service account, or anywhere with a kubeconfig. Several replicas elect a leader. Called
/// `controller`, it takes the flags of Sealed Secrets' controller and handles SealedSecrets only.
#[derive(Debug, Parser)]
#[command(name = "sealops-controller", version)]
pub(crate) struct Flags {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, then the pod's own account]
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the controller: sealing keys, lease and state live there
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Namespaces to watch [default: all]
    #[arg(long, value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Handle SealedSecrets with these labels only, and watch only Secrets that have them
    #[arg(long)]
    label_selector: Option<String>,
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
    #[arg(long, default_value = "sealed-secrets-key", value_parser = super::key_prefix)]
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
    /// Age at which the current sealing key gets a successor; 0 never (SIGUSR1 makes one at once)
    #[arg(long, default_value = "720h", value_parser = duration_or_zero)]
    key_renew_period: Duration,
    /// Make a new sealing key at start if the current one is older, such as "Mon, 14 Oct 2024 21:45:30 +0200"
    #[arg(long, value_parser = super::cutoff)]
    key_cutoff_time: Option<i64>,
    /// Labels for the Secrets of new sealing keys: name=value,name=value
    #[arg(long, default_value = "")]
    privatekey_labels: String,
    /// Annotations for the Secrets of new sealing keys: name=value,name=value
    #[arg(long, default_value = "")]
    privatekey_annotations: String,
    /// Open the deprecated field spec.data
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    accept_deprecated_v1_data: bool,
    /// Make Secrets of types that are credentials of the cluster (service-account and bootstrap tokens)
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    allow_token_secrets: bool,
    /// Write the status of SealedSecrets
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    update_status: bool,
    /// Do not watch Secrets: a target that somebody deletes stays away
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    skip_recreate: bool,
    /// Failures in a row after which a status says Stalled instead of Reconciling; it is tried again all the same
    #[arg(long, default_value_t = 5)]
    max_unseal_retries: u32,
    /// Handle ExternalSecrets too
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    external_secrets: bool,
    /// Refuse stores at addresses of this pod; link-local addresses, where clouds hand out credentials, always are
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    no_local_stores: bool,
    /// Let ExternalSecrets write other objects than Secrets (spec.target.manifest); needs rights of its own
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    unsafe_allow_generic_targets: bool,
    /// Restart workloads with the annotation sealops.io/restart-on when their Secrets change; needs rights of its own
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    restart_workloads: bool,
    /// Requests to the API server at once, for each kind
    #[arg(long, default_value_t = 16)]
    workers: usize,
    /// Requests to the API server a second [default: as many as it takes]
    #[arg(long)]
    kubeclient_qps: Option<f64>,
    /// Requests to the API server at once, beside --kubeclient-qps
    #[arg(long, default_value_t = 10)]
    kubeclient_burst: u32,
    /// Requests a second and client to /v1/verify and /v1/rotate
    #[arg(long, default_value_t = 2)]
    rate_limit: u32,
    /// Requests beyond that at once
    #[arg(long, default_value_t = 2)]
    rate_limit_burst: u32,
    /// Addresses whose X-Forwarded-For is believed, besides those of the API servers
    #[arg(long, value_delimiter = ',')]
    trusted_proxies: Vec<IpAddr>,
    /// Address of certificate, verify, rotate and probes
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen_addr: SocketAddr,
    /// Address of the metrics
    #[arg(long, default_value = "0.0.0.0:8081")]
    listen_metrics_addr: SocketAddr,
    /// Address for signed notices of changed values, which refresh ExternalSecrets at once [default: none]
    #[arg(long)]
    refresh_addr: Option<SocketAddr>,
    /// File with a key that signs notices; any of several
    #[arg(long, value_delimiter = ',')]
    refresh_key_file: Vec<PathBuf>,
    /// Longest time for reading a request
    #[arg(long, default_value = "2m", value_parser = duration)]
    read_timeout: Duration,
    /// Longest time for answering a request
    #[arg(long, default_value = "2m", value_parser = duration)]
    write_timeout: Duration,
    /// Name no object in the metrics
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    metrics_omit_secret_labels: bool,
    /// DEBUG, INFO, WARN or ERROR
    #[arg(long, default_value = "INFO")]
    log_level: Threshold,
    /// text or json
    #[arg(long, default_value = "text")]
    log_format: LogFormat,
    /// Log INFO to stdout and the rest to stderr; false: all to stderr
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    log_info_stdout: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Order {
    CertNotBefore,
    SecretCreationTimestamp,
}

impl Flags {
    /// Returns what the flags ask for.
    pub(crate) fn setup(self) -> Setup {
        let info = if self.log_info_stdout { InfoStream::Stdout } else { InfoStream::Stderr };
        let logging = LogOptions { threshold: self.log_level, format: self.log_format, info };
        Setup { logging, options: self.options(), announced: None }
    }

    fn options(self) -> Result<RunOptions, String> {
        let timing = Timing {
            lease_duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
        };
        if !(timing.retry_period < timing.renew_deadline && timing.renew_deadline < timing.lease_duration) {
            return Err("the leader election needs retry period < renew deadline < lease duration".to_owned());
        }
        Ok(RunOptions {
            connection: Connection::Kubeconfig(self.kubeconfig.clone()),
            api_rate: self.kubeclient_qps.and_then(|qps| Rate::per_second(qps, self.kubeclient_burst)),
            identity: self.identity.clone().unwrap_or_else(super::identity),
            election: self.leader_elect.then_some(timing),
            keys: self.key_options()?,
            watch_keys: true,
            external_workers: self.external_secrets.then_some(self.workers.max(1)),
            egress: super::egress(self.no_local_stores),
            generic_targets: self.unsafe_allow_generic_targets,
            restart_workloads: self.restart_workloads,
            receiver: ReceiverOptions {
                listen: self.refresh_addr.into_iter().collect(),
                keys: self.refresh_key_file.clone(),
            },
            http: HttpOptions {
                listen: vec![self.listen_addr],
                listen_metrics: vec![self.listen_metrics_addr],
                limits: Limits::default().with_timeouts(self.read_timeout, self.write_timeout),
                rate_limit: self.rate_limit,
                rate_limit_burst: self.rate_limit_burst,
                trusted_proxies: self.trusted_proxies.clone(),
            },
            revision: env!("CARGO_PKG_VERSION").to_owned(),
            object_labels: if self.metrics_omit_secret_labels {
                ObjectLabels::Omit
            } else {
                ObjectLabels::Publish
            },
            sealed: self.sealed_options(),
        })
    }

    fn key_options(&self) -> Result<KeyOptions, String> {
        Ok(KeyOptions {
            namespace: super::own_namespace(self.namespace.clone()),
            prefix: self.key_prefix.clone(),
            bits: self.key_size,
            lifetime: self.key_ttl,
            common_name: self.my_cn.clone(),
            order: match self.key_order_priority {
                Order::CertNotBefore => KeyOrder::CertNotBefore,
                Order::SecretCreationTimestamp => KeyOrder::SecretCreationTimestamp,
            },
            renew_after: Some(self.key_renew_period).filter(|period| !period.is_zero()),
            cutoff: self.key_cutoff_time,
            labels: super::pairs("privatekey-labels", &self.privatekey_labels)?,
            annotations: super::pairs("privatekey-annotations", &self.privatekey_annotations)?,
        })
    }

    fn sealed_options(self) -> SealedOptions {
        SealedOptions {
            namespaces: match self.namespaces {
                names if names.is_empty() => Namespaces::All,
                names => Namespaces::Some(names),
            },
            labels: self.label_selector,
            watch_targets: !self.skip_recreate,
            delete_targets: false,
            status: self.update_status.then_some(StatusWrite::Apply),
            patience: self.max_unseal_retries,
            open: OpenOptions {
                accept_v1_data: self.accept_deprecated_v1_data,
                templates: TemplateOptions { allow_random_functions: true },
                allow_token_secrets: self.allow_token_secrets,
            },
            workers: self.workers.max(1),
            rsa_threads: super::rsa_threads(),
        }
    }
}

fn duration_or_zero(text: &str) -> Result<Duration, String> {
    go_duration(text).ok_or_else(|| "this is not a duration such as 1h30m".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_or_zero(text).and_then(|duration| {
        Some(duration)
            .filter(|duration| !duration.is_zero())
            .ok_or_else(|| "this is not a duration such as 1h30m".to_owned())
    })
}

fn seconds(text: &str) -> Result<i64, String> {
    duration(text).and_then(|duration| {
        i64::try_from(duration.as_secs()).map_err(|_| "this duration is too long".to_owned())
    })
}
