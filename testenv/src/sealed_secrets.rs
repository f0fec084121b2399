//! The real Sealed Secrets controller, which knows no configuration but the one of a pod.
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tempfile::TempDir;

use crate::control_plane::ControlPlane;
use crate::http_probe::http_get;
use crate::parts::Parts;
use crate::peers::Peers;
use crate::ports::free_port;
use crate::process::Process;

/// A running Sealed Secrets controller 0.40.0.
#[derive(Debug)]
pub struct SealedSecretsController {
    process: Process,
    port: u16,
    metrics_port: u16,
    _folder: TempDir,
}

impl SealedSecretsController {
    /// The name that `kubeseal` looks for by default, used for the service account too.
    pub const NAME: &str = "sealed-secrets-controller";

    /// Applies the upstream definition, starts the controller in `namespace` with `extra_flags` (such as
    /// `--key-renew-period=5s`) and waits until it serves and has its sealing key.
    ///
    /// It listens on every address, so on 10.99.0.1 too, and its service account may do everything. It runs in a mount
    /// namespace of its own, where `/var/run` holds nothing but the files of its service account.
    ///
    /// # Errors
    /// If it cannot be started (mount namespaces need root or `testenv/in-namespace.sh`) or is not ready in time.
    pub async fn start(control_plane: &ControlPlane, namespace: &str, extra_flags: &[&str]) -> Result<Self> {
        control_plane.in_cluster_folder(namespace, Self::NAME).await?;
        control_plane.apply_manifests(&cluster_admin(namespace)).await?;
        let program = Parts::locate()?.path("controller")?;
        let mut controller = Self::start_program(control_plane, namespace, program, extra_flags).await?;
        controller.wait_ready(control_plane, namespace).await?;
        Ok(controller)
    }

    /// Starts a program in the real one's place: same pod, same service account, same flags. Grants no rights and waits
    /// for nothing.
    ///
    /// # Errors
    /// As [`SealedSecretsController::start`].
    pub async fn start_program(
        control_plane: &ControlPlane,
        namespace: &str,
        program: &Path,
        extra_flags: &[&str],
    ) -> Result<Self> {
        let definition = Peers::locate()?.sealed_secret_crd()?;
        control_plane.apply_manifests(&std::fs::read_to_string(definition)?).await?;
        control_plane.wait_crd_established("sealedsecrets.bitnami.com").await?;
        let in_cluster = control_plane.in_cluster_folder(namespace, Self::NAME).await?;

        let folder = tempfile::Builder::new().prefix("sealed-secrets-").tempdir()?;
        let (port, metrics_port) = (free_port()?, free_port()?);
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", IN_CLUSTER, "sh"]).arg(in_cluster);
        command.arg(program);
        command.arg(format!("--listen-addr=:{port}")).arg(format!("--listen-metrics-addr=:{metrics_port}"));
        command.args(extra_flags);
        command.env("KUBERNETES_SERVICE_HOST", control_plane.address().to_string());
        command.env("KUBERNETES_SERVICE_PORT", control_plane.port().to_string());
        let process = Process::spawn("sealed-secrets", command, folder.path())?;
        Ok(Self { process, port, metrics_port, _folder: folder })
    }

    /// Waits until it serves and there is a sealing key.
    ///
    /// # Errors
    /// If it ends or is not ready in time.
    pub async fn wait_ready(&mut self, control_plane: &ControlPlane, namespace: &str) -> Result<()> {
        let secrets = Api::<Secret>::namespaced(control_plane.client()?, namespace);
        let keys = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key");
        let address = local(self.port);
        let ready = self.process.wait_until_async(Duration::from_secs(60), async || {
            let healthy = http_get(address, "/v1/cert.pem", &[]).is_ok_and(|answer| answer.status == 200);
            healthy && secrets.list(&keys).await.is_ok_and(|keys| !keys.items.is_empty())
        });
        ready.await.context("mount namespaces need root or testenv/in-namespace.sh")
    }

    /// Returns the port of its HTTP interface, which listens on every address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the port of its metrics.
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// Returns the certificate to seal with, asked directly.
    ///
    /// # Errors
    /// If the controller does not answer.
    pub fn certificate_pem(&self) -> Result<String> {
        let answer = http_get(local(self.port), "/v1/cert.pem", &[])?;
        ensure!(answer.status == 200, "GET /v1/cert.pem: {}", answer.status);
        Ok(answer.body)
    }

    /// Returns the process id, to send signals to.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns what it has logged, on both streams.
    pub fn log(&self) -> String {
        self.process.log().unwrap_or_default()
    }

    /// Returns the process, to measure, pause or end it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn cluster_admin(namespace: &str) -> String {
    let name = SealedSecretsController::NAME;
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": format!("{namespace}-{name}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
    })
    .to_string()
}

/// Puts the service account's folder ($1) at the place every pod has it, seen by this process alone, and becomes the
/// controller.
const IN_CLUSTER: &str = r#"
set -e
run=$(readlink -f /var/run)
mount -t tmpfs tmpfs "$run"
mkdir -p "$run/secrets/kubernetes.io"
ln -s "$1" "$run/secrets/kubernetes.io/serviceaccount"
shift
exec "$@"
"#;
