//! The folder of a control plane, and the command line of each server.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use rcgen::KeyPair;
use tempfile::TempDir;

use super::ControlPlaneOptions;
use crate::audit;
use crate::http_probe::http_get;
use crate::kubeconfig::{Credential, kubeconfig};
use crate::parts::Parts;
use crate::pki::Pki;
use crate::ports::free_port;
use crate::process::Process;

/// Where everything of one control plane is.
pub(super) struct Layout {
    pub(super) folder: TempDir,
    pub(super) pki: Pki,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    etcd: SocketAddr,
    etcd_peer: SocketAddr,
    apiserver_flags: Vec<String>,
}

impl Layout {
    /// Chooses ports and writes certificates, keys and configuration files into a new folder.
    pub(super) fn create(options: &ControlPlaneOptions) -> Result<Self> {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let layout = Self {
            folder: tempfile::Builder::new()
                .prefix("control-plane-")
                .tempdir()
                .context("no room in TMPDIR?")?,
            pki: Pki::generate()?,
            address: options.address,
            port: free_port()?,
            etcd: loopback(free_port()?),
            etcd_peer: loopback(free_port()?),
            apiserver_flags: options.apiserver_flags.clone(),
        };
        let address = layout.address.to_string();
        let names = [&address, "127.0.0.1", "10.99.0.1", "localhost", "kubernetes.default.svc"];
        let server = layout.pki.server(&names)?;
        let tokens = KeyPair::generate()?;
        let admin = layout.pki.client("admin", &["system:masters"])?;
        let admin =
            kubeconfig(&layout.url(), &layout.pki.ca_pem(), "default", &Credential::Certificate(&admin));
        let files = [
            ("ca.pem", layout.pki.ca_pem()),
            ("server.pem", server.certificate_pem),
            ("server.key", server.key_pem),
            ("tokens.key", tokens.serialize_pem()),
            ("tokens.pub", tokens.public_key_pem()),
            ("audit-policy.yaml", audit::POLICY.to_owned()),
            // There from the beginning, so that a mark can be taken before the first request.
            ("audit.log", String::new()),
            ("admin.kubeconfig", admin),
        ];
        for (name, content) in files {
            std::fs::write(layout.file(name), content).context("no room in TMPDIR?")?;
        }
        Ok(layout)
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", SocketAddr::from((self.address, self.port)))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn admin_kubeconfig(&self) -> PathBuf {
        self.file("admin.kubeconfig")
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.file("audit.log")
    }

    pub(super) fn start_etcd(&self) -> Result<Process> {
        let (client, peer) = (format!("http://{}", self.etcd), format!("http://{}", self.etcd_peer));
        let mut command = Parts::locate()?.command("etcd")?;
        command.args(["--name=t", "--unsafe-no-fsync", "--log-level=warn"]);
        self.flag(&mut command, "--data-dir", "etcd");
        command
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"));
        command
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"));
        command.arg(format!("--initial-cluster=t={peer}"));
        let mut process = Process::spawn("etcd", command, self.folder.path())?;
        process.wait_until(READY, || {
            http_get(self.etcd, "/health", &[]).is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(process)
    }

    /// Starts the API server and waits until it is ready and the namespaces that every cluster has are there.
    pub(super) async fn start_apiserver(&self, client: &Client) -> Result<Process> {
        let mut command = Parts::locate()?.command("kube-apiserver")?;
        command.arg(format!("--etcd-servers=http://{}", self.etcd));
        command
            .arg(format!("--bind-address={}", self.address))
            .arg(format!("--advertise-address={}", self.address));
        command.arg(format!("--secure-port={}", self.port));
        self.flag(&mut command, "--tls-cert-file", "server.pem");
        self.flag(&mut command, "--tls-private-key-file", "server.key");
        self.flag(&mut command, "--client-ca-file", "ca.pem");
        self.flag(&mut command, "--service-account-key-file", "tokens.pub");
        self.flag(&mut command, "--service-account-signing-key-file", "tokens.key");
        self.flag(&mut command, "--audit-policy-file", "audit-policy.yaml");
        self.flag(&mut command, "--audit-log-path", "audit.log");
        // Away from 10.99.0.1; no rotation of the audit log; no kubelets and no peers of the API server.
        command.args(["--service-cluster-ip-range=10.98.0.0/24", "--audit-log-maxsize=100000"]);
        command
            .args(["--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC"]);
        command.args(["--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"]);
        command.args(&self.apiserver_flags);
        let mut process = Process::spawn("kube-apiserver", command, self.folder.path())?;
        let namespaces = Api::<Namespace>::all(client.clone());
        let ready = async || {
            let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
            client.request_text(request).await.is_ok() && namespaces.get("default").await.is_ok()
        };
        process.wait_until_async(READY, ready).await?;
        Ok(process)
    }

    pub(super) fn spawn_controller_manager(&self) -> Result<Process> {
        let mut command = Parts::locate()?.command("kube-controller-manager")?;
        let controllers = [
            "namespace-controller",
            "garbage-collector-controller",
            "serviceaccount-controller",
            "clusterrole-aggregation-controller",
        ];
        command.arg(format!("--controllers={}", controllers.join(",")));
        self.flag(&mut command, "--kubeconfig", "admin.kubeconfig");
        self.flag(&mut command, "--service-account-private-key-file", "tokens.key");
        self.flag(&mut command, "--root-ca-file", "ca.pem");
        command.args([
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ]);
        command.arg(format!("--secure-port={}", free_port()?));
        // The default of 20 requests a second makes the collection of some hundred objects a matter of minutes.
        command.args(["--kube-api-qps=1000", "--kube-api-burst=2000"]);
        Process::spawn("kube-controller-manager", command, self.folder.path())
    }

    fn flag(&self, command: &mut Command, name: &str, file: &str) {
        command.arg(format!("{name}={}", self.file(file).display()));
    }
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layout")
            .field("folder", &self.folder)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

const READY: Duration = Duration::from_secs(90);
