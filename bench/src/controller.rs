//! The real controller and ours, started on one cluster by turns.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sealops_testenv::{
    AuditEntry, AuditMark, Process, SealedSecretsController, eventually, free_port, http_get,
};
use tempfile::TempDir;

use crate::cluster::{Cluster, HOME, PATIENCE};

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// sealed-secrets 0.40.0 with its client limits lifted.
    Real,
    /// sealops-controller.
    Ours,
}

impl Side {
    /// Both, in the order of a pair.
    pub(crate) const BOTH: [Self; 2] = [Self::Real, Self::Ours];

    /// Returns the name for messages and namespaces.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Ours => "ours",
        }
    }

    fn user(self) -> String {
        match self {
            Self::Real => format!("system:serviceaccount:{HOME}:{}", SealedSecretsController::NAME),
            Self::Ours => USER.to_owned(),
        }
    }

    /// What counts the objects it has looked at.
    fn counter(self) -> &'static str {
        match self {
            Self::Real => "sealed_secrets_controller_unseal_requests_total",
            Self::Ours => "sealops_reconcile_total",
        }
    }
}

/// A running controller.
pub(crate) struct Running {
    side: Side,
    handle: Handle,
    metrics_port: u16,
    mark: AuditMark,
}

enum Handle {
    Real(Box<SealedSecretsController>),
    Ours { process: Box<Process>, _folder: TempDir },
}

/// How a controller stands when it has come to rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    /// From the start of the process to the last thing it did.
    pub(crate) wall_seconds: f64,
    /// Processor time since the start of the process.
    pub(crate) cpu_seconds: f64,
    /// Resident set.
    pub(crate) rss_bytes: f64,
}

/// Requests of one user.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writes {
    pub(crate) secrets: usize,
    pub(crate) statuses: usize,
    pub(crate) events: usize,
}

impl Running {
    /// Starts a controller; it may still be about to lead.
    pub(crate) async fn start(side: Side, cluster: &Cluster, program: &Path) -> Result<Self> {
        let mark = cluster.plane.audit().mark()?;
        let (handle, metrics_port) = match side {
            Side::Real => {
                let real = SealedSecretsController::start(&cluster.plane, HOME, &LIMITS_LIFTED).await?;
                let port = real.metrics_port();
                (Handle::Real(Box::new(real)), port)
            }
            Side::Ours => {
                let (process, folder, port) = start_process(cluster, program)?;
                (Handle::Ours { process, _folder: folder }, port)
            }
        };
        Ok(Self { side, handle, metrics_port, mark })
    }

    /// Waits until it has looked at `least` objects and has done nothing for a second.
    pub(crate) async fn wait_rest(&mut self, least: usize) -> Result<Rest> {
        let (side, metrics) = (self.side, self.metrics_port);
        let process = self.process();
        let mut last = Quiet { counter: 0.0, changed: None, polls: 0 };
        let what = format!("the controller ({}) comes to rest", side.name());
        let wall_seconds = eventually(&what, PATIENCE, async || {
            tokio::time::sleep(POLL).await;
            if !has_compared(side, process) {
                return None;
            }
            let now = age(process.pid()).ok()?;
            let counter = counter(metrics, side.counter()).unwrap_or_default();
            let enough = side == Side::Ours || counter >= least as f64;
            last.note(counter, now);
            last.changed.filter(|_| enough && last.polls >= POLLS_AT_REST)
        })
        .await?;
        Ok(Rest { wall_seconds, cpu_seconds: cpu_seconds(process)?, rss_bytes: process.rss_bytes()? as f64 })
    }

    /// Counts what it has written since its start.
    pub(crate) fn writes(&self, cluster: &Cluster) -> Result<Writes> {
        let user = self.side.user();
        let mut writes = Writes::default();
        for entry in cluster.plane.audit().since(self.mark)? {
            if entry.user != user || !is_write(&entry) {
                continue;
            }
            match entry.resource.as_str() {
                "secrets" => writes.secrets += 1,
                "sealedsecrets" => writes.statuses += 1,
                "events" => writes.events += 1,
                _ => {}
            }
        }
        Ok(writes)
    }

    /// Ends it as a rollout would.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process().terminate(Duration::from_secs(30))?;
        Ok(())
    }

    fn process(&mut self) -> &mut Process {
        match &mut self.handle {
            Handle::Real(real) => real.process(),
            Handle::Ours { process, .. } => process,
        }
    }
}

/// When the counter changed last.
pub(crate) struct Quiet {
    pub(crate) counter: f64,
    pub(crate) changed: Option<f64>,
    pub(crate) polls: u32,
}

impl Quiet {
    /// Takes a reading at a time.
    pub(crate) fn note(&mut self, counter: f64, now: f64) {
        if self.changed.is_none() || counter != self.counter {
            *self = Self { counter, changed: Some(now), polls: 0 };
        } else {
            self.polls += 1;
        }
    }
}

/// Ours says when it has compared everything; the real one only counts what it does.
fn has_compared(side: Side, process: &Process) -> bool {
    side == Side::Real || process.log().is_ok_and(|log| log.contains("compared all SealedSecrets"))
}

/// Whether a request writes.
pub(crate) fn is_write(entry: &AuditEntry) -> bool {
    matches!(entry.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
}

/// Starts ours; returns its folder and the port of its metrics too.
pub(crate) fn start_process(cluster: &Cluster, program: &Path) -> Result<(Box<Process>, TempDir, u16)> {
    let kubeconfig = cluster.plane.kubeconfig_for(USER, &["system:masters"])?;
    let folder = tempfile::tempdir()?;
    let (port, metrics_port) = (free_port()?, free_port()?);
    let mut command = Command::new(program);
    command.env_clear();
    command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", HOME]);
    command.arg(format!("--listen-addr=127.0.0.1:{port}"));
    command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics_port}"));
    command.arg("--key-renew-period=0");
    let process = Box::new(Process::spawn("sealops-controller", command, folder.path())?);
    Ok((process, folder, metrics_port))
}

/// Returns the sum of the series whose lines begin so.
pub(crate) fn counter(port: u16, series: &str) -> Result<f64> {
    let answer = http_get(([127, 0, 0, 1], port).into(), "/metrics", &[])?;
    ensure!(answer.status == 200, "GET /metrics: {}", answer.status);
    let lines = answer.body.lines().filter(|line| line.starts_with(series));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Returns the processor time of a process. The sum over its threads is exact (`schedstat`: nanoseconds) but misses
/// threads that have ended; the process's own figure misses none but comes in ticks of 10 ms. Neither is ever too high.
pub(crate) fn cpu_seconds(process: &Process) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{}/task", process.pid()))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0.0);
    }
    Ok(process.cpu_time()?.as_secs_f64().max(nanoseconds / 1e9))
}

/// Returns the seconds since a process was started (proc(5): ticks of 10 ms since boot, field 22).
pub(crate) fn age(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let started = fields.split_whitespace().nth(19).and_then(|field| field.parse::<f64>().ok());
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let uptime = uptime.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    let (uptime, started) = uptime.zip(started).context("unexpected form of /proc")?;
    Ok(uptime - started / 100.0)
}

/// Our name in the audit log.
pub(crate) const USER: &str = "sealops";
/// No new keys, and requests as fast as the API server takes them: the peer at its best.
const LIMITS_LIFTED: [&str; 3] = ["--kubeclient-qps=5000", "--kubeclient-burst=5000", "--key-renew-period=0"];
pub(crate) const POLL: Duration = Duration::from_millis(80);
pub(crate) const POLLS_AT_REST: u32 = 10;
