//! Servers and stores of five kinds with the same values in them.

use anyhow::{Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use sealops_crds::ExternalSecret;
use sealops_formats::base64;
use sealops_testenv::{ControlPlane, Moto, OpenBao, http_call};
use serde_json::{Value, json};

use super::eso::http::Webhook;

pub const NAMESPACE: &str = "shop";
pub const REMOTE: &str = "remote";
pub const STORES: [&str; 5] = ["fake", "kubernetes", "vault", "aws", "webhook"];
pub const STORE_KINDS: [&str; 2] = ["SecretStore", "ClusterSecretStore"];

/// The servers behind the stores.
pub struct Providers {
    pub vault: OpenBao,
    pub moto: Moto,
    pub webhook: Webhook,
}

impl Providers {
    /// Starts them with the value under `text`.
    pub async fn start(value: &str) -> Result<Self> {
        let (vault, moto) = tokio::task::spawn_blocking(|| (OpenBao::start(), Moto::start())).await?;
        let all = Self { vault: vault?, moto: moto?, webhook: Webhook::start().await? };
        let whole = json!({ "host": "db", "port": "5432" }).to_string();
        for (path, text) in [("text", value), ("host", "db"), ("b64", "YW1iZXI=")] {
            all.webhook
                .route("w", &json!({ "path": format!("/{path}"), "body": json!({ "v": text }).to_string() }));
            let body = json!({ "data": { "v": text } }).to_string();
            all.put_vault(path, &body)?;
            all.put_aws(path, text)?;
        }
        all.webhook.route("w", &json!({ "path": "/json", "body": format!(r#"{{"v": {}}}"#, json!(whole)) }));
        all.put_vault("json", &format!(r#"{{"data": {whole}}}"#))?;
        all.put_aws("json", &whole)?;
        Ok(all)
    }

    fn put_vault(&self, path: &str, body: &str) -> Result<()> {
        let headers = [("X-Vault-Token", OpenBao::ROOT_TOKEN)];
        let path = format!("/v1/secret/data/{path}");
        let answer = http_call(self.vault.address(), "PUT", &path, &headers, body.as_bytes())?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(())
    }

    fn put_aws(&self, name: &str, value: &str) -> Result<()> {
        let body = json!({ "Name": name, "SecretString": value }).to_string();
        self.moto.call("secretsmanager", "eu-west-1", "secretsmanager.CreateSecret", &body).map(drop)
    }

    /// The environment that sends AWS's calls to the server.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        ["AWS_SECRETSMANAGER_ENDPOINT", "AWS_SSM_ENDPOINT", "AWS_STS_ENDPOINT"]
            .map(|name| (name, self.moto.url()))
            .to_vec()
    }

    fn provider(&self, plane: &ControlPlane, store: &str, value: &str) -> Value {
        let login = |key: &str| json!({ "name": "logins", "key": key, "namespace": NAMESPACE });
        match store {
            "fake" => json!({ "fake": { "data": [
                { "key": "text", "value": value },
                { "key": "host", "value": "db" },
                { "key": "b64", "value": "YW1iZXI=" },
                { "key": "json", "value": r#"{"host":"db","port":"5432"}"# },
            ] } }),
            "kubernetes" => json!({ "kubernetes": {
                "remoteNamespace": REMOTE,
                "server": { "url": plane.url(), "caBundle": base64::encode_public(plane.ca_pem().as_bytes()) },
                "auth": { "serviceAccount": { "name": "reader", "namespace": NAMESPACE } },
            } }),
            "vault" => json!({ "vault": {
                "server": self.vault.url(), "path": "secret", "version": "v2",
                "auth": { "tokenSecretRef": login("vault") },
            } }),
            "aws" => json!({ "aws": {
                "service": "SecretsManager", "region": "eu-west-1",
                "auth": { "secretRef": {
                    "accessKeyIDSecretRef": login("id"), "secretAccessKeySecretRef": login("key"),
                } },
            } }),
            _ => json!({ "webhook": {
                "url": format!("{}/{{{{ .remoteRef.key }}}}", self.webhook.url("w")),
                "result": { "jsonPath": "$.v" },
            } }),
        }
    }

    /// A store of each kind, in its namespace and for the cluster.
    pub fn stores(&self, plane: &ControlPlane, value: &str) -> Vec<Value> {
        let one = |kind: &str, store: &str| {
            let mut provider = self.provider(plane, store, value);
            let mut metadata = json!({ "name": store });
            if kind == "SecretStore" {
                metadata["namespace"] = json!(NAMESPACE);
                without_namespaces(&mut provider);
            }
            json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": kind, "metadata": metadata,
                "spec": { "provider": provider } })
        };
        STORE_KINDS.iter().flat_map(|kind| STORES.map(|store| one(kind, store))).collect()
    }
}

/// References of a SecretStore name no namespace.
fn without_namespaces(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("namespace");
        fields.values_mut().for_each(without_namespaces);
    }
}

/// What the stores need in the cluster.
pub fn ground(value: &str) -> Vec<Value> {
    let secret = |namespace: &str, name: &str, data: Value| {
        json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "namespace": namespace, "name": name }, "stringData": data })
    };
    vec![
        secret(NAMESPACE, "logins", json!({ "vault": OpenBao::ROOT_TOKEN, "id": "AKIAFAKE", "key": "fake" })),
        secret(REMOTE, "text", json!({ "v": value })),
        secret(REMOTE, "host", json!({ "v": "db" })),
        secret(REMOTE, "b64", json!({ "v": "YW1iZXI=" })),
        secret(REMOTE, "json", json!({ "host": "db", "port": "5432" })),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "reader", "namespace": NAMESPACE } }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": "reader", "namespace": REMOTE },
            "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"] }] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "reader", "namespace": REMOTE },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
            "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": NAMESPACE }] }),
    ]
}

/// One value of a store; the ones with entries have it under `v`.
pub fn reference(store: &str, key: &str) -> Value {
    match store {
        "kubernetes" | "vault" => json!({ "key": key, "property": "v" }),
        _ => json!({ "key": key }),
    }
}

/// Applies objects in their order.
pub async fn apply(plane: &ControlPlane, objects: &[Value]) -> Result<()> {
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    plane.apply_manifests(&documents.join("\n---\n")).await
}

/// The ExternalSecrets of a namespace.
pub fn api(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(ExternalSecret::GROUP, ExternalSecret::VERSION, ExternalSecret::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, ExternalSecret::PLURAL);
    Api::namespaced_with(client.clone(), namespace, &resource)
}
