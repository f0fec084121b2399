//! `external-secrets`: the command line of External Secrets Operator 2.9.0, as its image and its chart call it.
//!
//! Runs the half of ExternalSecrets only. The subcommands `webhook` and `certcontroller` do what upstream's do, so that its
//! chart works with this image. Our own chart needs neither: a ValidatingAdmissionPolicy holds the rules.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sealops_controller::cluster::leader::Timing;
use sealops_controller::cluster::log::{InfoStream, LogFormat, LogOptions};
use sealops_controller::cluster::receiver::ReceiverOptions;
use sealops_controller::cluster::run::Connection;
use sealops_controller::cluster::run_external::{ElectionOptions, ExternalRunOptions, Reconcilers};
use sealops_controller::cluster::serving::{CertControllerOptions, TlsOptions, WebhookOptions};
use sealops_controller::cluster::throttle::Rate;
use sealops_controller::cluster::watch::Namespaces;
use sealops_controller::external::StoreRules;
use sealops_controller::object::ObjectKey;
use sealops_controller::pflag::{self, Flag, Kind, ParseError, Parsed};

mod table;
use table::{CERT_CONTROLLER, CONTROLLER, SILENT, WEBHOOK};

/// The name that asks for this command line.
pub(crate) const NAME: &str = "external-secrets";
/// How many workers there are at least: a value of upstream's default would leave the machine idle.
const LEAST_WORKERS: usize = 8;
/// Upstream's default of `--crd-names`.
const DEFINITIONS: [&str; 3] = [
    "externalsecrets.external-secrets.io",
    "clustersecretstores.external-secrets.io",
    "secretstores.external-secrets.io",
];

/// What a command line asks for.
pub(crate) enum Asked {
    /// The controller.
    Controller(Box<Result<ExternalRunOptions, String>>),
    /// The admission webhook.
    Webhook(Result<WebhookOptions, String>),
    /// What keeps its certificate.
    CertController(Result<CertControllerOptions, String>),
}

/// A command line that was understood.
pub(crate) struct Command {
    /// How to log.
    pub(crate) logging: LogOptions,
    /// What to run.
    pub(crate) asked: Asked,
    /// Flags that were given and have no effect here.
    pub(crate) silent: Vec<&'static str>,
}

/// Reads the command line; what ends the process at once has its exit code.
pub(crate) fn read(arguments: &[OsString]) -> Result<Command, ExitCode> {
    let rest = arguments.get(1..).unwrap_or_default();
    let (subcommand, flags) = match rest.first().and_then(|word| word.to_str()) {
        Some("webhook") => (Some("webhook"), WEBHOOK),
        Some("certcontroller") => (Some("certcontroller"), CERT_CONTROLLER),
        _ => (None, CONTROLLER),
    };
    let rest = if subcommand.is_some() { &rest[1..] } else { rest };
    let parsed = match parse(flags, rest, subcommand) {
        Ok(parsed) => parsed,
        Err(End::Help) => {
            say(&mut std::io::stdout(), &usage(flags, subcommand));
            return Err(ExitCode::SUCCESS);
        }
        Err(End::Bad(problem)) => {
            say(
                &mut std::io::stderr(),
                &format!("Error: {problem}\n{}\n{problem}\n", usage(flags, subcommand)),
            );
            return Err(ExitCode::FAILURE);
        }
    };
    let asked = match subcommand {
        None => Asked::Controller(Box::new(options(&parsed))),
        Some("webhook") => Asked::Webhook(webhook(&parsed)),
        Some(_) => Asked::CertController(cert_controller(&parsed)),
    };
    let silent = SILENT.iter().copied().filter(|name| parsed.has(name)).collect();
    Ok(Command { logging: logging(flags, &parsed), asked, silent })
}

enum End {
    Help,
    Bad(String),
}

fn parse(flags: &'static [Flag], arguments: &[OsString], subcommand: Option<&str>) -> Result<Parsed, End> {
    match pflag::parse(flags, arguments) {
        Ok(parsed) => match word(flags, arguments).filter(|_| subcommand.is_none()) {
            Some(word) => Err(End::Bad(format!("unknown command {word:?} for {NAME:?}"))),
            None => Ok(parsed),
        },
        Err(ParseError::Help) => Err(End::Help),
        Err(ParseError::Bad(problem)) if problem == "unknown flag: --help" => Err(End::Help),
        Err(ParseError::Bad(problem)) => Err(End::Bad(problem)),
    }
}

/// Returns the first word that is neither a flag nor the value of one: cobra takes it for a command.
fn word(flags: &'static [Flag], arguments: &[OsString]) -> Option<String> {
    let mut rest = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        if argument == "--" {
            return None;
        }
        match argument.strip_prefix("--") {
            None => return Some(argument.into_owned()),
            Some(long) if long.contains('=') => {}
            Some(long) => {
                let flag = flags.iter().find(|flag| flag.name == long)?;
                if !matches!(flag.kind, Kind::Bool | Kind::On) {
                    rest.next();
                }
            }
        }
    }
    None
}

fn usage(flags: &'static [Flag], subcommand: Option<&str>) -> String {
    let line = subcommand.map_or_else(|| NAME.to_owned(), |name| format!("{NAME} {name}"));
    let commands = match subcommand {
        Some(_) => String::new(),
        None => format!(
            "  {NAME} [command]\n\nAvailable Commands:\n  certcontroller Keeps the webhook's certificate\n  \
             webhook        Admits and refuses ExternalSecrets and stores\n"
        ),
    };
    format!("Usage:\n  {line} [flags]\n{commands}\nFlags:\n{}", pflag::usage(flags))
}

fn say(stream: &mut impl std::io::Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

/// Upstream's levels; below INFO there is DEBUG alone.
fn logging(flags: &'static [Flag], parsed: &Parsed) -> LogOptions {
    let level = match parsed.text(flags, "loglevel") {
        level @ ("debug" | "warn" | "error") => level,
        "dpanic" | "panic" | "fatal" => "error",
        _ => "info",
    };
    LogOptions {
        threshold: level.to_uppercase().parse().unwrap_or_default(),
        format: LogFormat::Json,
        info: InfoStream::Stderr,
    }
}

fn options(flags: &Parsed) -> Result<ExternalRunOptions, String> {
    refuse_protected_metrics(flags)?;
    for (name, default) in [("template-left-delimiter", "{{"), ("template-right-delimiter", "}}")] {
        if flags.text(CONTROLLER, name) != default {
            return Err(format!("--{name}: there is only {default:?} here"));
        }
    }
    let qps = flags.float("client-qps").unwrap_or(50.0);
    let burst = number(flags, "client-burst", 100)?;
    let concurrent = flags.int("concurrent").and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    let namespace = flags.non_empty("namespace").map(str::to_owned);
    Ok(ExternalRunOptions {
        connection: Connection::Kubeconfig(None),
        api_rate: flags.has("client-qps").then(|| Rate::per_second(qps, burst)).flatten(),
        identity: std::env::var("POD_NAME").unwrap_or_else(|_| super::identity()),
        election: election(CONTROLLER, flags)?,
        namespaces: namespace.map_or(Namespaces::All, |name| Namespaces::Some(vec![name])),
        stores: StoreRules {
            class: flags.text(CONTROLLER, "controller-class").to_owned(),
            flood_gate: flags.is_on("enable-flood-gate"),
            cluster_stores: flags.is_on("enable-cluster-store-reconciler"),
            egress: super::egress(flags.is_set("no-local-stores")),
        },
        store_interval: flags.duration("store-requeue-interval").unwrap_or(Duration::from_secs(300)),
        reconcilers: Reconcilers {
            stores: flags.is_on("enable-secret-store-reconciler"),
            cluster_stores: flags.is_on("enable-cluster-store-reconciler"),
            cluster_external_secrets: flags.is_on("enable-cluster-external-secret-reconciler"),
            push_secrets: flags.is_on("enable-push-secret-reconciler"),
            cluster_push_secrets: flags.is_on("enable-cluster-push-secret-reconciler"),
            generator_states: flags.is_on("enable-generator-state"),
        },
        generator_grace: flags.duration("generator-gc-grace-period").unwrap_or(Duration::from_secs(120)),
        generic_targets: flags.is_set("unsafe-allow-generic-targets"),
        restarts: flags
            .is_set("restart-workloads")
            .then(|| super::own_namespace(std::env::var("POD_NAMESPACE").ok())),
        workers: concurrent.max(LEAST_WORKERS),
        live: listen(CONTROLLER, flags, "live-addr")?,
        metrics: listen(CONTROLLER, flags, "metrics-addr")?,
        receiver: ReceiverOptions {
            listen: listen(CONTROLLER, flags, "refresh-addr")?,
            keys: flags.list("refresh-key-file").iter().map(PathBuf::from).collect(),
        },
    })
}

/// What protects the metrics is refused rather than dropped.
fn refuse_protected_metrics(flags: &Parsed) -> Result<(), String> {
    match ["metrics-secure", "metrics-auth"].into_iter().find(|name| flags.is_set(name)) {
        Some(name) => Err(format!(
            "--{name}: the metrics are served without TLS and login here; leave it out and limit who reaches \
             --metrics-addr, by a NetworkPolicy or a proxy"
        )),
        None => Ok(()),
    }
}

fn election(table: &'static [Flag], flags: &Parsed) -> Result<Option<ElectionOptions>, String> {
    if !flags.is_set("enable-leader-election") {
        return Ok(None);
    }
    let duration = |name, default| flags.duration(name).unwrap_or(Duration::from_secs(default));
    let timing = Timing {
        lease_duration: duration("leader-election-lease-duration", 15),
        renew_deadline: duration("leader-election-renew-deadline", 10),
        retry_period: duration("leader-election-retry-period", 2),
    };
    if !(timing.retry_period < timing.renew_deadline && timing.renew_deadline < timing.lease_duration) {
        return Err("the leader election needs retry period < renew deadline < lease duration".to_owned());
    }
    let lease = flags.text(table, "leader-election-id").to_owned();
    Ok(Some(ElectionOptions {
        timing,
        lease,
        namespace: super::own_namespace(std::env::var("POD_NAMESPACE").ok()),
    }))
}

fn webhook(flags: &Parsed) -> Result<WebhookOptions, String> {
    refuse_protected_metrics(flags)?;
    let port = number(flags, "port", 10250)?;
    let listen = super::addresses(&format!(":{port}")).map_err(|problem| format!("--port: {problem}"))?;
    let ciphers = flags.text(WEBHOOK, "tls-ciphers").split(',').map(str::trim);
    Ok(WebhookOptions {
        listen,
        health: self::listen(WEBHOOK, flags, "healthz-addr")?,
        metrics: self::listen(WEBHOOK, flags, "metrics-addr")?,
        folder: PathBuf::from(flags.text(WEBHOOK, "cert-dir")),
        dns_name: flags.text(WEBHOOK, "dns-name").to_owned(),
        check_interval: flags.duration("check-interval").unwrap_or(Duration::from_secs(300)),
        lookahead: flags.duration("lookahead-interval").unwrap_or(Duration::from_secs(90 * 24 * 3600)),
        tls: TlsOptions {
            // There is nothing below 1.2 here; a word that upstream does not know is its newest version.
            only_tls13: !matches!(flags.text(WEBHOOK, "tls-min-version"), "" | "1.0" | "1.1" | "1.2"),
            ciphers: ciphers.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        },
    })
}

fn cert_controller(flags: &Parsed) -> Result<CertControllerOptions, String> {
    refuse_protected_metrics(flags)?;
    let key = |namespace, name| {
        ObjectKey::new(flags.text(CERT_CONTROLLER, namespace), flags.text(CERT_CONTROLLER, name))
    };
    let named = flags.list("crd-names").to_vec();
    let definitions = if named.is_empty() { DEFINITIONS.map(str::to_owned).to_vec() } else { named };
    Ok(CertControllerOptions {
        connection: Connection::Kubeconfig(None),
        identity: std::env::var("POD_NAME").unwrap_or_else(|_| super::identity()),
        election: election(CERT_CONTROLLER, flags)?,
        service: key("service-namespace", "service-name"),
        secret: key("secret-namespace", "secret-name"),
        definitions,
        interval: flags.duration("crd-requeue-interval").unwrap_or(Duration::from_secs(300)),
        health: listen(CERT_CONTROLLER, flags, "healthz-addr")?,
        metrics: listen(CERT_CONTROLLER, flags, "metrics-addr")?,
    })
}

/// Reads an address; `0` switches the server off.
fn listen(flags: &'static [Flag], parsed: &Parsed, name: &str) -> Result<Vec<SocketAddr>, String> {
    match parsed.text(flags, name) {
        "0" | "" => Ok(Vec::new()),
        text => super::addresses(text).map_err(|problem| format!("--{name}: {problem}")),
    }
}

fn number(flags: &Parsed, name: &str, default: u32) -> Result<u32, String> {
    match flags.int(name) {
        None => Ok(default),
        Some(number) => u32::try_from(number).map_err(|_| format!("--{name}: {number} is out of range")),
    }
}
