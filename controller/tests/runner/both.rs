//! The real controller 0.40.0 and ours under its name, in the same place with the same flags.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use sealops_crypto::sealing::Certificate;
use sealops_testenv::{ControlPlane, Parts, SealedSecretsController, eventually};
use serde_json::json;

use super::harness::*;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Theirs,
    Ours,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Theirs, Self::Ours];

    /// The program, called `controller` in both cases.
    pub fn program(self) -> Result<&'static Path> {
        static OURS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        if self == Self::Theirs {
            return Parts::locate()?.path("controller");
        }
        let link = || -> Result<PathBuf> {
            let path = tempfile::Builder::new().prefix("as-controller-").tempdir()?.keep().join("controller");
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sealops-controller"), &path)?;
            Ok(path)
        };
        let path = OURS.get_or_init(|| link().map_err(|error| error.to_string()));
        path.as_deref().map_err(|error| anyhow::anyhow!(error.clone()))
    }
}

/// One of them at work in a namespace of its own.
pub struct Home<'a> {
    pub side: Side,
    pub plane: &'a ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub controller: SealedSecretsController,
}

impl<'a> Home<'a> {
    /// Makes the namespace, with all rights for its controller.
    pub async fn prepare(plane: &ControlPlane, namespace: &str) -> Result<Client> {
        plane.ensure_namespace(namespace).await?;
        plane.in_cluster_folder(namespace, SealedSecretsController::NAME).await?;
        let name = SealedSecretsController::NAME;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": format!("{namespace}-{name}") },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
        });
        plane.apply_manifests(&binding.to_string()).await?;
        plane.client()
    }

    /// Starts it there, and waits until it has a key.
    pub async fn start(side: Side, plane: &'a ControlPlane, namespace: &str, flags: &[&str]) -> Result<Self> {
        let client = Self::prepare(plane, namespace).await?;
        let program = side.program()?;
        let mut controller = SealedSecretsController::start_program(plane, namespace, program, flags).await?;
        controller.wait_ready(plane, namespace).await.with_context(|| format!("{side:?} {flags:?}"))?;
        Ok(Self { side, plane, client, namespace: namespace.to_owned(), controller })
    }

    pub fn certificate(&self) -> Result<Certificate> {
        Ok(Certificate::from_pem(self.controller.certificate_pem()?.as_bytes())?)
    }

    /// Seals one value and creates the object, in the controller's namespace.
    pub async fn seal(&self, name: &str) -> Result<()> {
        let object = Draft::new(&self.namespace, name, vec![("a", b"one")]).sealed(&self.certificate()?);
        create(&sealed_api(&self.client, &self.namespace), object).await?;
        Ok(())
    }

    /// As [`Home::seal`], and waits until it is unsealed.
    pub async fn unseal(&self, name: &str) -> Result<Secret> {
        self.seal(name).await?;
        self.synced(name, "True").await?;
        secret(&self.client, &self.namespace, name).await
    }

    pub async fn synced(&self, name: &str, status: &str) -> Result<String> {
        synced(&self.client, &self.namespace, name, status)
            .await
            .with_context(|| format!("{:?}: {}", self.side, self.log()))
    }

    /// The status as it is, with whatever conditions.
    pub async fn status(&self, name: &str) -> Result<serde_json::Value> {
        let object = sealed_api(&self.client, &self.namespace).get(name).await?;
        Ok(object.data.get("status").cloned().unwrap_or_default())
    }

    pub async fn has_secret(&self, name: &str) -> Result<bool> {
        Ok(Api::<Secret>::namespaced(self.client.clone(), &self.namespace).get_opt(name).await?.is_some())
    }

    /// The Secrets with the key label, oldest first.
    pub async fn keys(&self) -> Result<Vec<Secret>> {
        keys(&self.client, &self.namespace).await
    }

    pub async fn wait_keys(&self, number: usize) -> Result<Vec<Secret>> {
        eventually(&format!("{number} keys of {:?}", self.side), PATIENCE, async || {
            self.keys().await.ok().filter(|keys| keys.len() == number)
        })
        .await
        .with_context(|| self.log())
    }

    pub fn metrics(&self) -> Result<String> {
        Ok(sealops_testenv::http_get(local(self.controller.metrics_port()), "/metrics", &[])?.body)
    }

    pub fn address(&self) -> SocketAddr {
        local(self.controller.port())
    }

    pub fn log(&self) -> String {
        self.controller.log()
    }
}

/// The Secrets with the key label, oldest first.
pub async fn keys(client: &Client, namespace: &str) -> Result<Vec<Secret>> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let label = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key=active");
    let mut keys = api.list(&label).await?.items;
    keys.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
    Ok(keys)
}

pub fn testdata(name: &str) -> Vec<u8> {
    let path = format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Creates a key Secret from two texts.
pub async fn put_key(
    client: &Client,
    namespace: &str,
    name: &str,
    certificate: &[u8],
    key: &[u8],
) -> Result<Secret> {
    let encoded = sealops_formats::base64::encode_public;
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "active" },
        },
        "data": { "tls.crt": encoded(certificate), "tls.key": encoded(key) },
    });
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}

/// Creates a key Secret from `testdata/keys`.
pub async fn put_test_key(client: &Client, namespace: &str, name: &str) -> Result<Secret> {
    put_key(client, namespace, name, &testdata(&format!("{name}.crt")), &testdata(&format!("{name}.key")))
        .await
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a body and reads the answer to its end.
pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let silence = Duration::from_secs(30);
    let mut stream = TcpStream::connect_timeout(&address, silence)?;
    stream.set_read_timeout(Some(silence))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    // A server that answers before it has read everything may close; its answer is what counts.
    let _ = stream.write_all(body);
    read_answer(&mut stream)
}

pub fn read_answer(stream: &mut TcpStream) -> Result<Answer> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("no answer")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    Ok(Answer { status, head, body: bytes[end + 4..].to_vec() })
}

/// Runs openssl on a certificate.
pub fn certificate_text(pem: &str) -> Result<String> {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-text", "-nameopt", "RFC2253"]);
    let output = sealops_testenv::run_peer(command, pem.as_bytes(), Duration::from_secs(20))?;
    ensure!(output.status.success(), "{}", output.stderr);
    Ok(String::from_utf8(output.stdout)?)
}
