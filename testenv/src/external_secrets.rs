//! The real External Secrets Operator, which takes its configuration from a kubeconfig.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::control_plane::ControlPlane;
use crate::http_probe::http_get;
use crate::parts::Parts;
use crate::ports::free_port;
use crate::process::{Process, eventually};

/// A running External Secrets Operator 0.20.4.
#[derive(Debug)]
pub struct ExternalSecretsOperator {
    process: Process,
    metrics_port: u16,
    _folder: TempDir,
}

impl ExternalSecretsOperator {
    /// Name of the client certificate with which it talks to the API server, as the audit log has it.
    pub const USER: &str = "external-secrets";

    /// Starts it as a cluster administrator with its limits lifted and with environment variables (such as
    /// `AWS_SECRETSMANAGER_ENDPOINT`), and waits until it serves metrics. The definitions have to be there.
    ///
    /// # Errors
    /// If it cannot be started or is not ready in time.
    pub async fn start(control_plane: &ControlPlane, variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("external-secrets-").tempdir()?;
        let (metrics_port, live_port) = (free_port()?, free_port()?);
        let mut command = Parts::locate()?.command("external-secrets")?;
        command.env_clear().envs(variables.iter().copied()).env("HOME", folder.path());
        command.env("KUBECONFIG", control_plane.kubeconfig_for(Self::USER, &["system:masters"])?);
        command.args(["--concurrent=50", "--client-qps=5000", "--client-burst=5000"]);
        command.arg(format!("--metrics-addr=127.0.0.1:{metrics_port}"));
        command.arg(format!("--live-addr=127.0.0.1:{live_port}"));
        let process = Process::spawn("external-secrets", command, folder.path())?;
        let mut operator = Self { process, metrics_port, _folder: folder };
        let metrics = operator.metrics_address();
        let serves = async || http_get(metrics, "/metrics", &[]).is_ok_and(|answer| answer.status == 200);
        operator.process.wait_until_async(Duration::from_secs(120), serves).await?;
        Ok(operator)
    }

    /// Returns how often it has looked at an ExternalSecret since it was started.
    pub fn reconciles(&self) -> f64 {
        self.reconciles_of("externalsecret")
    }

    fn reconciles_of(&self, controller: &str) -> f64 {
        let text = http_get(self.metrics_address(), "/metrics", &[]).map(|answer| answer.body);
        let text = text.unwrap_or_default();
        let own = |line: &&str| {
            line.starts_with("controller_runtime_reconcile_total{")
                && line.contains(&format!("controller=\"{controller}\""))
        };
        text.lines().filter(own).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until it has looked at so many ExternalSecrets and at none for a second.
    ///
    /// # Errors
    /// If `timeout` (stretched) passes.
    pub async fn wait_rest(&self, objects: usize, timeout: Duration) -> Result<()> {
        self.wait_rest_of("externalsecret", objects, timeout).await
    }

    /// As [`wait_rest`](Self::wait_rest), for PushSecrets.
    ///
    /// # Errors
    /// As [`wait_rest`](Self::wait_rest).
    pub async fn wait_pushes(&self, objects: usize, timeout: Duration) -> Result<()> {
        self.wait_rest_of("pushsecret", objects, timeout).await
    }

    async fn wait_rest_of(&self, controller: &str, objects: usize, timeout: Duration) -> Result<()> {
        let mut last = (0.0, 0);
        eventually("External Secrets Operator has looked at everything", timeout, async || {
            tokio::time::sleep(REST / POLLS_AT_REST).await;
            let now = self.reconciles_of(controller);
            last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
            (now >= objects as f64 && last.1 >= POLLS_AT_REST).then_some(())
        })
        .await
    }

    /// Returns what it has logged, on both streams.
    pub fn log(&self) -> String {
        self.process.log().unwrap_or_default()
    }

    /// Returns the process, to measure, pause or end it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn metrics_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.metrics_port))
    }
}

/// How long nothing has to happen.
const REST: Duration = Duration::from_secs(1);
const POLLS_AT_REST: u32 = 10;
