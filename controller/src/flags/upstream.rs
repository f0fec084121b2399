//! `controller`: the command line of Sealed Secrets' controller 0.40.0, as its image calls it.
//!
//! Runs with the rights that upstream's manifests grant: no Lease (one replica), no ConfigMaps, a status that is
//! replaced. Different on purpose: `--max-unseal-retries` never gives up, `--kubeclient-qps` holds nothing back unless it
//! is given, `--old-gc-behavior` deletes what belonged to the object only, bad values end the process with a text.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use sealops_controller::cluster::api::StatusWrite;
use sealops_controller::cluster::http::Limits;
use sealops_controller::cluster::keys::KeyOptions;
use sealops_controller::cluster::log::{InfoStream, LogFormat, LogOptions};
use sealops_controller::cluster::metrics::ObjectLabels;
use sealops_controller::cluster::receiver::ReceiverOptions;
use sealops_controller::cluster::run::{Connection, HttpOptions, RunOptions};
use sealops_controller::cluster::sealed::SealedOptions;
use sealops_controller::cluster::throttle::Rate;
use sealops_controller::cluster::watch::Namespaces;
use sealops_controller::pflag::{self, Flag, Kind, ParseError, Parsed};
use sealops_controller::sealed::{KeyOrder, OpenOptions};
use sealops_controller::templates::TemplateOptions;

use crate::Setup;

/// The name that asks for this command line.
pub(crate) const NAME: &str = "controller";
/// Upstream panics where it cannot start.
pub(crate) const FAILURE: u8 = 2;
const VERSION: &str = "v0.40.0";
const DAY: Duration = Duration::from_secs(86_400);
const TIMEOUT: Duration = Duration::from_secs(120);
const WORKERS: usize = 16;

const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: None, kind, help }
}

/// Upstream's flags with its defaults; what is not in its help is not in ours.
static FLAGS: &[Flag] = &[
    flag("accept-deprecated-v1-data", Kind::On, "Accept the deprecated field spec.data."),
    flag("additional-namespaces", Kind::Text(""), "More namespaces to watch, separated by commas."),
    flag("all-namespaces", Kind::On, "Watch all namespaces, or the controller's own only."),
    flag("allow-token-secrets", Kind::Bool, ""),
    flag(
        "key-cutoff-time",
        Kind::Text(""),
        "Make a new key if the latest is older. RFC1123 with a numeric zone.",
    ),
    flag(
        "key-order-priority",
        Kind::Text("CertNotBefore"),
        "Order keys by CertNotBefore or SecretCreationTimestamp.",
    ),
    flag("key-prefix", Kind::Text("sealed-secrets-key"), "Prefix of the names of keys."),
    flag("key-renew-period", Kind::Duration("720h0m0s"), "Age at which a new key is made (0: never)."),
    flag("key-size", Kind::Int(4096), "RSA bits of a new key."),
    flag("key-ttl", Kind::Duration("87600h0m0s"), "Validity of a new certificate."),
    flag("kubeclient-burst", Kind::Int(10), "Requests to the API server at once."),
    flag("kubeclient-qps", Kind::Float("5"), "Requests to the API server a second (negative: no limit)."),
    flag("label-selector", Kind::Text(""), "Handle sealed secrets with these labels only."),
    flag("listen-addr", Kind::Text(":8080"), "Address of the HTTP interface."),
    flag("listen-metrics-addr", Kind::Text(":8081"), "Address of the metrics."),
    flag("log-format", Kind::Text("text"), "Form of the log (text|json)."),
    flag("log-info-stdout", Kind::On, "Log info to stdout, and errors and warnings to stderr."),
    flag("log-level", Kind::Text("INFO"), "Least level that is logged (INFO|ERROR)."),
    flag("max-unseal-retries", Kind::Int(5), "Failures after which the status calls an object stalled."),
    flag("metrics-omit-secret-labels", Kind::Bool, "Name no object in the metric condition_info."),
    flag("my-cn", Kind::Text(""), "Common name in new certificates."),
    flag("old-gc-behavior", Kind::Bool, "Delete the Secret of a sealed secret that is gone."),
    flag("privatekey-annotations", Kind::Text(""), "Annotations of new keys, separated by commas."),
    flag("privatekey-labels", Kind::Text(""), "Labels of new keys, separated by commas."),
    flag("rate-limit", Kind::Int(2), "Requests a second to verify and rotate."),
    flag("rate-limit-burst", Kind::Int(2), "Requests beyond the rate limit at once."),
    flag("read-timeout", Kind::Duration("2m0s"), "Time for reading a request."),
    flag("rotate-period", Kind::Duration("720h0m0s"), ""),
    flag("skip-recreate", Kind::Bool, "Do not watch secrets, nor make deleted ones again."),
    flag("trusted-proxies", Kind::Text(""), ""),
    flag("update-status", Kind::On, "Write the status of sealed secrets."),
    flag("version", Kind::Bool, "Print the version and exit."),
    flag("watch-for-secrets", Kind::Bool, "Watch for keys that somebody else makes."),
    flag("write-timeout", Kind::Duration("2m0s"), "Time for writing an answer."),
];

/// Reads the command line. What ends the process here has its exit code; what ends it later has [`FAILURE`].
pub(crate) fn read(arguments: &[OsString]) -> Result<Setup, ExitCode> {
    let program = arguments.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let usage = |problem: &str| {
        let text = format!("Usage of {program}:\n{}{problem}", pflag::usage(FLAGS));
        let _ = std::io::stderr().write_all(text.as_bytes());
    };
    let mut flags = match pflag::parse(FLAGS, arguments.get(1..).unwrap_or_default()) {
        Ok(flags) => flags,
        Err(ParseError::Help) => {
            usage("");
            return Err(ExitCode::SUCCESS);
        }
        Err(ParseError::Bad(problem)) if problem == "unknown flag: --help" => {
            usage("");
            return Err(ExitCode::SUCCESS);
        }
        Err(ParseError::Bad(problem)) => {
            usage(&format!("{problem}\n"));
            return Err(ExitCode::from(FAILURE));
        }
    };
    if !flags.list("rotate-period").is_empty() {
        let text = "Flag --rotate-period has been deprecated, please use key-renew-period instead\n";
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    let period = renew_period(&flags);
    flags.fill_from_environment(FLAGS, "SEALED_SECRETS");
    let period = period.or_else(|| renew_period(&flags)).unwrap_or(DAY * 30);
    if flags.is_set("version") {
        let _ = std::io::stdout().write_all(format!("controller version: {VERSION}\n").as_bytes());
        return Err(ExitCode::SUCCESS);
    }
    Ok(Setup { logging: logging(&flags), options: options(&flags, period), announced: Some(VERSION) })
}

/// Both flags set one value.
fn renew_period(flags: &Parsed) -> Option<Duration> {
    flags.duration("rotate-period").or_else(|| flags.duration("key-renew-period"))
}

/// What is no level or no format is the default, as upstream has it.
fn logging(flags: &Parsed) -> LogOptions {
    let json = flags.text(FLAGS, "log-format") == "json";
    LogOptions {
        threshold: flags.text(FLAGS, "log-level").parse().unwrap_or_default(),
        format: if json { LogFormat::Json } else { LogFormat::Text },
        info: if flags.is_on("log-info-stdout") { InfoStream::Stdout } else { InfoStream::Stderr },
    }
}

fn options(flags: &Parsed, renew_period: Duration) -> Result<RunOptions, String> {
    let namespace = super::own_namespace(std::env::var("POD_NAMESPACE").ok());
    let proxies = flags.text(FLAGS, "trusted-proxies").split(',').filter(|text| !text.is_empty());
    let burst = number(flags, "kubeclient-burst", 10)?;
    Ok(RunOptions {
        connection: Connection::Pod,
        api_rate: flags.float("kubeclient-qps").and_then(|qps| Rate::per_second(qps, burst)),
        identity: std::env::var("POD_NAME").unwrap_or_else(|_| super::identity()),
        election: None,
        sealed: sealed_options(flags, &namespace)?,
        keys: key_options(flags, namespace, renew_period)?,
        watch_keys: flags.is_set("watch-for-secrets"),
        external_workers: None,
        egress: super::egress(false),
        generic_targets: false,
        restart_workloads: false,
        receiver: ReceiverOptions::default(),
        http: HttpOptions {
            listen: super::addresses(flags.text(FLAGS, "listen-addr"))?,
            listen_metrics: super::addresses(flags.text(FLAGS, "listen-metrics-addr"))?,
            limits: Limits::default().with_timeouts(
                flags.duration("read-timeout").unwrap_or(TIMEOUT),
                flags.duration("write-timeout").unwrap_or(TIMEOUT),
            ),
            rate_limit: number(flags, "rate-limit", 2)?,
            rate_limit_burst: number(flags, "rate-limit-burst", 2)?,
            trusted_proxies: proxies
                .map(|text| text.parse().map_err(|_| format!("--trusted-proxies: {text:?} is no address")))
                .collect::<Result<_, _>>()?,
        },
        revision: VERSION.to_owned(),
        object_labels: if flags.is_set("metrics-omit-secret-labels") {
            ObjectLabels::Omit
        } else {
            ObjectLabels::Publish
        },
    })
}

fn key_options(flags: &Parsed, namespace: String, renew_period: Duration) -> Result<KeyOptions, String> {
    let lifetime = flags.duration("key-ttl").unwrap_or(DAY * 3650);
    let labels = |name| super::pairs(name, flags.text(FLAGS, name));
    Ok(KeyOptions {
        namespace,
        prefix: super::key_prefix(flags.text(FLAGS, "key-prefix"))?,
        bits: number(flags, "key-size", 4096)?,
        lifetime: i64::try_from(lifetime.as_secs()).map_err(|_| "--key-ttl is too long".to_owned())?,
        common_name: flags.text(FLAGS, "my-cn").to_owned(),
        order: match flags.text(FLAGS, "key-order-priority") {
            "SecretCreationTimestamp" => KeyOrder::SecretCreationTimestamp,
            _ => KeyOrder::CertNotBefore,
        },
        renew_after: Some(renew_period).filter(|period| !period.is_zero()),
        cutoff: flags.non_empty("key-cutoff-time").map(super::cutoff).transpose()?,
        labels: labels("privatekey-labels")?,
        annotations: labels("privatekey-annotations")?,
    })
}

fn sealed_options(flags: &Parsed, namespace: &str) -> Result<SealedOptions, String> {
    Ok(SealedOptions {
        namespaces: namespaces(flags, namespace),
        labels: flags.non_empty("label-selector").map(str::to_owned),
        watch_targets: !flags.is_set("skip-recreate"),
        delete_targets: flags.is_set("old-gc-behavior"),
        status: flags.is_on("update-status").then_some(StatusWrite::Replace),
        patience: number(flags, "max-unseal-retries", 5)?,
        open: OpenOptions {
            accept_v1_data: flags.is_on("accept-deprecated-v1-data"),
            templates: TemplateOptions { allow_random_functions: true },
            allow_token_secrets: flags.is_set("allow-token-secrets"),
        },
        workers: WORKERS,
        rsa_threads: super::rsa_threads(),
    })
}

/// Any additional namespace means: not all of them.
fn namespaces(flags: &Parsed, own: &str) -> Namespaces {
    let additional = flags.text(FLAGS, "additional-namespaces");
    if flags.is_on("all-namespaces") && additional.is_empty() {
        return Namespaces::All;
    }
    let mut names = vec![own.to_owned()];
    for name in additional.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Namespaces::Some(names)
}

fn number(flags: &Parsed, name: &str, default: u32) -> Result<u32, String> {
    match flags.int(name) {
        None => Ok(default),
        Some(number) => u32::try_from(number).map_err(|_| format!("--{name}: {number} is out of range")),
    }
}
