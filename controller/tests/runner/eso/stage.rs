//! The servers that every scenario shares, and what a step does to them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use http::Request;
use kube::Client;
use sealops_formats::base64;
use sealops_testenv::{ControlPlane, Moto, OpenBao};
use serde_json::{Map, Value, json};

use super::http::{Webhook, send};
use super::names::Names;
use super::outcome::{PERSON, RUNNER};
use super::scenario::Observe;
use super::world::World;

/// The servers.
pub struct Stage {
    pub plane: ControlPlane,
    pub client: Client,
    pub world: World,
    pub vault: OpenBao,
    pub moto: Moto,
    pub webhook: Webhook,
}

const CLUSTER_SCOPED: [&str; 7] = [
    "Namespace",
    "ClusterSecretStore",
    "ClusterExternalSecret",
    "ClusterPushSecret",
    "ClusterGenerator",
    "ClusterRole",
    "ClusterRoleBinding",
];
const TIMES: [&str; 5] = ["created_time", "updated_time", "ARN", "CreatedDate", "VersionId"];

impl Stage {
    pub async fn set_up(plane: ControlPlane) -> Result<Self> {
        let client = plane.client()?;
        let world = World::watch(&client);
        let (vault, moto) = tokio::task::spawn_blocking(|| (OpenBao::start(), Moto::start())).await?;
        let stage =
            Self { plane, client, world, vault: vault?, moto: moto?, webhook: Webhook::start().await? };
        for (path, body) in [
            ("sys/mounts/kv1", json!({ "type": "kv", "options": { "version": "1" } })),
            ("sys/auth/approle", json!({ "type": "approle" })),
            ("sys/auth/userpass", json!({ "type": "userpass" })),
        ] {
            stage.vault("POST", path, Some(&body)).await?;
        }
        Ok(stage)
    }

    /// The placeholders that are the same for a whole scenario.
    pub fn names(&self, fresh: &str) -> Names {
        let texts = vec![
            ("${WEBHOOK}", self.webhook.url(fresh)),
            ("${VAULT}", self.vault.url()),
            ("${KUBE_CA}", base64::encode_public(self.plane.ca_pem().as_bytes())),
            ("${KUBE}", self.plane.url()),
        ];
        Names { fresh: fresh.to_owned(), texts }
    }

    async fn vault(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = [("X-Vault-Token", OpenBao::ROOT_TOKEN), ("Content-Type", "application/json")];
        let (status, text) =
            send(self.vault.address(), method, &format!("/v1/{path}"), &headers, &body).await?;
        match status {
            404 => Ok(None),
            200..300 => Ok(serde_json::from_str(&text).ok()),
            _ => bail!("OpenBao: {method} {path} gives {status}: {text}"),
        }
    }

    async fn aws(&self, call: &str, with: &Value) -> Result<(u16, Value)> {
        let service = if call.starts_with("AmazonSSM") { "ssm" } else { "secretsmanager" };
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAFAKE/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [
            ("X-Amz-Target", call),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", scope.as_str()),
        ];
        let (status, text) = send(self.moto.address(), "POST", "/", &headers, &with.to_string()).await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Sets up the provider's side: one entry of a file.
    pub async fn provide(&self, kind: &str, entry: &Value, names: &Names) -> Result<()> {
        let entry = names.object(entry);
        match kind {
            "webhook" => self.webhook.route(&names.fresh, &entry),
            "aws" => {
                let (status, answer) =
                    self.aws(entry["call"].as_str().context("a call")?, &entry["with"]).await?;
                ensure!(status == 200, "moto: {entry} gives {status}: {answer}");
            }
            _ => {
                let put = entry["put"].as_str().map(|path| ("PUT", path));
                let delete = entry["delete"].as_str().map(|path| ("DELETE", path));
                let (method, path) = put.or(delete).context("put or delete")?;
                self.vault(method, path, Some(&entry["body"]).filter(|body| !body.is_null())).await?;
            }
        }
        Ok(())
    }

    /// Reads from the providers what the record has of them.
    pub async fn observe(&self, what: &Observe, names: &Names) -> Result<Value> {
        let mut seen = Map::new();
        for path in &what.vault {
            let found = self.vault("GET", &names.fresh(path), None).await?;
            let data = found.map(|mut found| found["data"].take()).unwrap_or_default();
            seen.insert(format!("vault {path}"), names.back(&without_times(&data)));
        }
        for call in &what.aws {
            let name = call["call"].as_str().context("a call")?;
            let (status, answer) = self.aws(name, &names.object(&call["with"])).await?;
            let answer = if status == 200 { without_times(&answer) } else { Value::Null };
            seen.insert(format!("aws {name} {}", spaced(&call["with"])), names.back(&answer));
        }
        if what.webhook {
            let requests = self.webhook.requests(&names.fresh);
            let requests = requests.iter().map(|request| names.recorded(request));
            seen.insert("webhook".to_owned(), requests.collect());
        }
        Ok(Value::Object(seen))
    }

    /// Applies an object as a person does; the inner result is the API server's message where it refuses.
    pub async fn apply(&self, object: &Value, names: &Names) -> Result<Result<Value, String>> {
        let object = self.filled(object, names).await?;
        let path = path(&object, &names.fresh)?;
        let path = format!("{path}?fieldManager={RUNNER}&force=true&fieldValidation=Strict");
        self.send("PATCH", &path, "application/apply-patch+yaml", &object).await
    }

    pub async fn patch(&self, entry: &Value, names: &Names) -> Result<Result<Value, String>> {
        let entry = names.object(entry);
        let path = format!("{}?fieldManager={PERSON}", path(&reference(&entry), &names.fresh)?);
        self.send("PATCH", &path, "application/merge-patch+json", &entry["patch"]).await
    }

    pub async fn delete(&self, entry: &Value, names: &Names) -> Result<Result<Value, String>> {
        let path = path(&reference(&names.object(entry)), &names.fresh)?;
        self.send("DELETE", &path, "application/json", &json!({})).await
    }

    /// Puts in what is known only now: tokens, uids.
    pub async fn filled(&self, object: &Value, names: &Names) -> Result<Value> {
        let mut names = names.clone();
        let text = object.to_string();
        if text.contains("${TOKEN:reader}") {
            let token = self.plane.service_account_token(&names.fresh, "reader").await?;
            names.texts.push(("${TOKEN:reader}", token));
        }
        if text.contains("${UID:UUID/holder}") {
            let holder = json!({ "kind": "UUID", "apiVersion": "generators.external-secrets.io/v1alpha1", "metadata": { "name": "holder" } });
            let found =
                self.send("GET", &path(&holder, &names.fresh)?, "application/json", &Value::Null).await?;
            let found = found.map_err(anyhow::Error::msg)?;
            let uid = found["metadata"]["uid"].as_str().context("a uid")?.to_owned();
            names.texts.push(("${UID:UUID/holder}", uid));
        }
        Ok(names.object(object))
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Result<Value, String>> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request =
            Request::builder().method(method).uri(path).header("content-type", content_type).body(body)?;
        match self.client.request::<Value>(request).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
            Err(error) => Err(error.into()),
        }
    }
}

/// A kind and a name, as an object.
fn reference(entry: &Value) -> Value {
    let kind = entry["kind"].as_str().unwrap_or_default();
    let version = match kind {
        "Namespace" | "Secret" | "ConfigMap" => "v1",
        "PushSecret" | "ClusterPushSecret" => "external-secrets.io/v1alpha1",
        _ => "external-secrets.io/v1",
    };
    let metadata = json!({ "name": entry["name"], "namespace": entry["namespace"] });
    json!({ "apiVersion": version, "kind": kind, "metadata": metadata })
}

fn path(object: &Value, namespace: &str) -> Result<String> {
    let version = object["apiVersion"].as_str().context("apiVersion")?;
    let kind = object["kind"].as_str().context("kind")?;
    let name = object["metadata"]["name"].as_str().context("a name")?;
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let scope = match object["metadata"]["namespace"].as_str() {
        _ if CLUSTER_SCOPED.contains(&kind) => String::new(),
        named => format!("/namespaces/{}", named.unwrap_or(namespace)),
    };
    Ok(format!("{root}/{version}{scope}/{}s/{name}", kind.to_lowercase()))
}

fn without_times(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let is_time = TIMES.contains(&key.as_str()) && value != "";
                (key.clone(), if is_time { json!("set") } else { without_times(value) })
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_times).collect(),
        other => other.clone(),
    }
}

/// JSON with a space after each colon and comma, as the record writes calls.
fn spaced(value: &Value) -> String {
    let fields: BTreeMap<_, _> = value.as_object().into_iter().flatten().collect();
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}
