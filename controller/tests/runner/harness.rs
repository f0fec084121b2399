//! Starts our controller on a control plane, makes objects, and looks at what became of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use sealops_crds::{MANIFESTS, SealedSecret};
use sealops_crypto::sealing::{Certificate, Label, Scope, seal};
use sealops_formats::base64;
use sealops_testenv::{
    AuditEntry, ControlPlane, ControlPlaneOptions, Process, eventually, free_port, http_get,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Namespace of the controllers in these tests.
pub const HOME: &str = "kube-system";
/// Name of the client certificate with which our controller talks to the API server.
pub const USER: &str = "sealops";
/// Long enough for a loaded machine; scaled by the test environment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A control plane with our CRDs.
pub async fn control_plane() -> Result<ControlPlane> {
    let manifests = MANIFESTS.map(|(_, yaml)| yaml).join("\n---\n");
    ControlPlane::start_with(ControlPlaneOptions { manifests, ..ControlPlaneOptions::default() }).await
}

/// Our controller, running.
pub struct Controller {
    pub process: Process,
    pub port: u16,
    pub metrics_port: u16,
    _folder: TempDir,
}

impl Controller {
    /// Starts it as a cluster administrator with two replicas' worth of caution: leader election on.
    pub async fn start(control_plane: &ControlPlane, flags: &[&str]) -> Result<Self> {
        let kubeconfig = control_plane.kubeconfig_for(USER, &["system:masters"])?;
        Self::start_as(&kubeconfig, flags).await
    }

    /// Starts it with a kubeconfig and waits until it is ready.
    pub async fn start_as(kubeconfig: &Path, flags: &[&str]) -> Result<Self> {
        let mut controller = Self::spawn(kubeconfig, flags)?;
        controller.wait_ready().await?;
        Ok(controller)
    }

    /// Starts it as [`Controller::start`] does, with further environment variables.
    pub async fn start_with(
        control_plane: &ControlPlane,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let kubeconfig = control_plane.kubeconfig_for(USER, &["system:masters"])?;
        let mut controller = Self::spawn_with(&kubeconfig, flags, variables)?;
        controller.wait_ready().await?;
        Ok(controller)
    }

    /// Starts it without waiting.
    pub fn spawn(kubeconfig: &Path, flags: &[&str]) -> Result<Self> {
        Self::spawn_with(kubeconfig, flags, &[])
    }

    fn spawn_with(kubeconfig: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, metrics_port) = (free_port()?, free_port()?);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealops-controller"));
        command.env_clear().envs(variables.iter().copied());
        command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", HOME]);
        // Every address of the private network namespace, so that the API server's service proxy reaches it too.
        command.arg(format!("--listen-addr=0.0.0.0:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics_port}"));
        command.args(["--key-size", "2048"]).args(flags);
        let process = Process::spawn("sealops-controller", command, folder.path())?;
        Ok(Self { process, port, metrics_port, _folder: folder })
    }

    pub async fn wait_ready(&mut self) -> Result<()> {
        let address = local(self.port);
        self.process
            .wait_until_async(PATIENCE, async || {
                http_get(address, "/readyz", &[]).is_ok_and(|a| a.status == 200)
            })
            .await
    }

    /// Waits until it serves a certificate, and returns it.
    pub async fn certificate(&self) -> Result<Certificate> {
        let address = local(self.port);
        let answer = eventually("the controller serves a certificate", PATIENCE, async || {
            http_get(address, "/v1/cert.pem", &[]).ok().filter(|answer| answer.status == 200)
        })
        .await?;
        Certificate::from_pem(answer.body.as_bytes()).context("the certificate cannot be read")
    }

    /// Returns the value of a metric series given with its labels.
    pub fn metric(&self, series: &str) -> Result<f64> {
        let text = http_get(local(self.metrics_port), "/metrics", &[])?.body;
        let line =
            text.lines().find(|line| line.starts_with(series) && line[series.len()..].starts_with(' '));
        Ok(line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0))
    }

    /// Waits until the queue has been empty and everything in hand done: the number of reconciles rests.
    pub async fn wait_idle(&self) -> Result<()> {
        let mut last = (-1.0, 0);
        eventually("the controller comes to rest", PATIENCE * 4, async || {
            let text = http_get(local(self.metrics_port), "/metrics", &[]).ok()?.body;
            let total: f64 = text
                .lines()
                .filter(|line| line.starts_with("sealops_reconcile_total"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum();
            last = if total == last.0 { (total, last.1 + 1) } else { (total, 0) };
            (last.1 >= 10).then_some(())
        })
        .await
    }

    pub fn log(&self) -> String {
        self.process.log().unwrap_or_default()
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The SealedSecrets of a namespace.
pub fn sealed_api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &sealed_resource())
}

pub fn sealed_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(SealedSecret::GROUP, SealedSecret::VERSION, SealedSecret::KIND);
    ApiResource::from_gvk_with_plural(&kind, SealedSecret::PLURAL)
}

/// A SealedSecret in the making.
pub struct Draft<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub scope: Scope,
    pub entries: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Draft<'a> {
    pub fn new(namespace: &'a str, name: &'a str, entries: Vec<(&'a str, &'a [u8])>) -> Self {
        Self { namespace, name, scope: Scope::Strict, entries }
    }

    /// Seals every entry.
    pub fn sealed(&self, certificate: &Certificate) -> Value {
        let label = Label::for_secret(self.scope, self.namespace, self.name);
        let encrypted: BTreeMap<&str, String> = self
            .entries
            .iter()
            .map(|(key, value)| {
                let sealed = seal(certificate, &label, &(*value).into()).unwrap();
                (*key, base64::encode_public(&sealed))
            })
            .collect();
        let mut object = json!({
            "apiVersion": SealedSecret::API_VERSION,
            "kind": SealedSecret::KIND,
            "metadata": { "namespace": self.namespace, "name": self.name },
            "spec": {
                "encryptedData": encrypted,
                "template": { "metadata": { "namespace": self.namespace, "name": self.name } },
            },
        });
        let annotation = match self.scope {
            Scope::Strict => None,
            Scope::NamespaceWide => Some("sealedsecrets.bitnami.com/namespace-wide"),
            Scope::ClusterWide => Some("sealedsecrets.bitnami.com/cluster-wide"),
        };
        if let Some(annotation) = annotation {
            object["metadata"]["annotations"] = json!({ annotation: "true" });
        }
        object
    }
}

/// Creates an object.
pub async fn create(api: &Api<DynamicObject>, object: Value) -> Result<DynamicObject> {
    Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}

/// Waits for a Secret.
pub async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Secret> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    eventually(&format!("Secret {namespace}/{name}"), PATIENCE, async || {
        api.get_opt(name).await.ok().flatten()
    })
    .await
}

/// Returns the decoded entries of a Secret.
pub fn data(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect()
}

/// Waits until the `Synced` condition has a status, and returns its message.
pub async fn synced(client: &Client, namespace: &str, name: &str, status: &str) -> Result<String> {
    let api = sealed_api(client, namespace);
    eventually(&format!("SealedSecret {namespace}/{name} is Synced={status}"), PATIENCE, async || {
        let object = api.get_opt(name).await.ok().flatten()?;
        let generation = object.metadata.generation;
        let condition = object.data.pointer("/status/conditions/0")?;
        let observed = object.data.pointer("/status/observedGeneration")?.as_i64();
        let matches =
            condition["type"] == "Synced" && condition["status"] == status && observed == generation;
        matches.then(|| condition["message"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// Waits for an event on an object, and returns its message.
pub async fn event(client: &Client, namespace: &str, name: &str, reason: &str) -> Result<String> {
    let api = Api::<Event>::namespaced(client.clone(), namespace);
    eventually(&format!("event {reason} on {namespace}/{name}"), PATIENCE, async || {
        let events = api.list(&ListParams::default()).await.ok()?;
        let found = events.into_iter().find(|event| {
            event.involved_object.name.as_deref() == Some(name) && event.reason.as_deref() == Some(reason)
        })?;
        Some(found.message.unwrap_or_default())
    })
    .await
}

/// Whether an audit entry is a write of our controller.
pub fn our_write(entry: &AuditEntry, resource: &str) -> bool {
    entry.user == USER
        && entry.resource == resource
        && matches!(entry.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
}

/// Runs a future on a runtime of its own.
pub fn run<T>(future: impl Future<Output = Result<T>>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// Returns reproducible bytes: the same seed gives the same test.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}
