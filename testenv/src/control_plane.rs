//! A Kubernetes control plane without nodes: etcd, kube-apiserver, kube-controller-manager.
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use crate::audit::AuditLog;
use crate::control_plane::servers::Layout;
use crate::manifests;
use crate::process::Process;

mod accounts;
mod servers;

/// How a control plane is to be.
#[derive(Debug, Clone)]
pub struct ControlPlaneOptions {
    /// Where the API server listens; 127.0.0.1 by default.
    pub address: IpAddr,
    /// Whether the controller manager runs (namespaces, service accounts, garbage collection); it does by default.
    pub controller_manager: bool,
    /// Manifests to apply before the controller manager starts. The garbage collector learns new kinds only every
    /// 30 seconds, so definitions whose objects own others belong here.
    pub manifests: String,
    /// Further flags of the API server.
    pub apiserver_flags: Vec<String>,
}

impl Default for ControlPlaneOptions {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            controller_manager: true,
            manifests: String::new(),
            apiserver_flags: Vec::new(),
        }
    }
}

/// A running control plane of its own, gone with its value.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: whoever depends on another goes first.
    controller_manager: Option<Process>,
    apiserver: Mutex<Option<Process>>,
    _etcd: Process,
    admin: Config,
    layout: Layout,
}

impl ControlPlane {
    /// Starts a control plane with the default options: about three seconds on a quiet machine.
    ///
    /// # Errors
    /// If a server cannot be started or is not ready in time.
    pub async fn start() -> Result<Self> {
        Self::start_with(ControlPlaneOptions::default()).await
    }

    /// Starts a control plane.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn start_with(options: ControlPlaneOptions) -> Result<Self> {
        // Fails only when a provider was chosen already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let layout = Layout::create(&options)?;
        let admin = Kubeconfig::read_from(layout.admin_kubeconfig())?;
        let admin = Config::from_custom_kubeconfig(admin, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(admin.clone())?;

        let etcd = layout.start_etcd()?;
        let apiserver = layout.start_apiserver(&client).await?;
        manifests::apply(&client, &options.manifests).await?;
        let mut controller_manager = None;
        if options.controller_manager {
            let mut process = layout.spawn_controller_manager()?;
            let accounts = Api::<ServiceAccount>::default_namespaced(client.clone());
            let works = async || matches!(accounts.get_opt("default").await, Ok(Some(_)));
            process.wait_until_async(Duration::from_secs(60), works).await?;
            controller_manager = Some(process);
        }
        Ok(Self { controller_manager, apiserver: Mutex::new(Some(apiserver)), _etcd: etcd, admin, layout })
    }

    /// Returns the control plane that the tests of this process share, started by whoever comes first. Use a namespace
    /// of your own in it, and never stop its servers.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Returns a new client of the administrator (a client lives no longer than the runtime it was made in, so it is
    /// not kept).
    ///
    /// # Errors
    /// If there is no runtime here.
    pub fn client(&self) -> Result<Client> {
        Client::try_from(self.admin.clone()).context("make a client")
    }

    /// Returns the API server's URL.
    pub fn url(&self) -> String {
        self.layout.url()
    }

    /// Returns the API server's address.
    pub fn address(&self) -> IpAddr {
        self.layout.address
    }

    /// Returns the API server's port.
    pub fn port(&self) -> u16 {
        self.layout.port
    }

    /// Returns the certificate of the authority that signed the API server's certificate.
    pub fn ca_pem(&self) -> String {
        self.layout.pki.ca_pem()
    }

    /// Returns the audit log.
    pub fn audit(&self) -> AuditLog {
        AuditLog::new(self.layout.audit_log())
    }

    /// Returns the folder of this control plane, with the servers' logs; removed with it.
    pub fn folder(&self) -> &Path {
        self.layout.folder.path()
    }

    /// Kills the API server with SIGKILL. Its port stays reserved for [`restart_apiserver`](Self::restart_apiserver).
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill_apiserver(&self) -> Result<()> {
        let process = self.apiserver_slot().take();
        process.map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts the API server again, on the same port and the same data, and waits until it is ready.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.kill_apiserver()?;
        let process = self.layout.start_apiserver(&self.client()?).await?;
        *self.apiserver_slot() = Some(process);
        Ok(())
    }

    /// Stops the API server from answering (SIGSTOP) without closing its connections.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause_apiserver(&self) -> Result<()> {
        self.apiserver_slot().as_ref().context("the API server was killed")?.pause()
    }

    /// Undoes [`pause_apiserver`](Self::pause_apiserver).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume_apiserver(&self) -> Result<()> {
        self.apiserver_slot().as_ref().context("the API server was killed")?.resume()
    }

    /// Returns the controller manager, if it was asked for.
    pub fn controller_manager(&mut self) -> Option<&mut Process> {
        self.controller_manager.as_mut()
    }

    /// Applies each document of `yaml` as the administrator, server-side, waiting for what a document needs (a
    /// namespace, a definition that is not served yet).
    ///
    /// # Errors
    /// If the text is not YAML or the API server refuses an object.
    pub async fn apply_manifests(&self, yaml: &str) -> Result<()> {
        manifests::apply(&self.client()?, yaml).await
    }

    /// Waits until the custom resource definition `name` is established and its objects can be listed.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn wait_crd_established(&self, name: &str) -> Result<()> {
        manifests::wait_crd_established(&self.client()?, name).await
    }

    fn apiserver_slot(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.apiserver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
