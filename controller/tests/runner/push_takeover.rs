//! PushSecrets change hands: from the real External Secrets Operator 0.20.4 to ours and back, over stores of four kinds.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use sealops_formats::base64;
use sealops_testenv::{AuditMark, ControlPlane, ExternalSecretsOperator, OpenBaoServer, eventually};
use serde_json::{Value, json};

use super::cluster_kinds::api;
use super::eso::http::Webhook;
use super::harness::*;

const NAMESPACE: &str = "shop";
const REMOTE: &str = "remote";
const STORES: [&str; 4] = ["kubernetes", "vault", "webhook", "fake"];
const KINDS: [&str; 2] = ["SecretStore", "ClusterSecretStore"];
const SHAPES: usize = 13;
const OBJECTS: usize = STORES.len() * KINDS.len() * SHAPES;
/// Who writes Secrets of the remote namespace.
const WRITER: &str = "system:serviceaccount:shop:writer";

struct Scene {
    plane: ControlPlane,
    vault: OpenBaoServer,
    webhook: Webhook,
}

/// What was written where, since a moment.
struct Mark {
    audit: AuditMark,
    vault: usize,
    webhook: usize,
}

/// Writes to the three stores that can be looked into from outside: Kubernetes, Vault, webhook.
#[derive(Debug, PartialEq, Eq)]
struct Writes {
    kubernetes: usize,
    deletions: usize,
    vault: usize,
    webhook: usize,
}

const NOTHING: Writes = Writes { kubernetes: 0, deletions: 0, vault: 0, webhook: 0 };

impl Scene {
    async fn set_up() -> Result<Self> {
        let plane = control_plane().await?;
        for namespace in [NAMESPACE, REMOTE] {
            plane.ensure_namespace(namespace).await?;
        }
        let vault = tokio::task::spawn_blocking(OpenBaoServer::start).await??;
        vault.put("sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }))?;
        let scene = Self { plane, vault, webhook: Webhook::start().await? };
        let mut objects = scene.ground();
        for kind in KINDS {
            for store in STORES {
                objects.push(scene.store(kind, store));
                objects.extend((0..SHAPES).map(|shape| push(kind, store, shape)));
            }
        }
        for shape in 0..SHAPES {
            for kind in KINDS {
                let path = format!("/{}", remote_key(kind, "webhook", shape));
                scene.webhook.route("w", &json!({ "path": path, "body": "{}" }));
            }
        }
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        scene.plane.apply_manifests(&documents.join("\n---\n")).await?;
        Ok(scene)
    }

    fn ground(&self) -> Vec<Value> {
        let rule = |group: &str, resource: &str, verbs: &[&str]| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
        let all = ["get", "list", "watch", "create", "update", "patch", "delete"];
        vec![
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "source", "namespace": NAMESPACE,
                    "labels": { "push": "yes" } }, "stringData": { "user": "amber", "pass": "onyx" } }),
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "logins", "namespace": NAMESPACE },
                "stringData": { "vault": self.vault.root_token() } }),
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "writer", "namespace": NAMESPACE } }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": { "name": "writer", "namespace": REMOTE },
                "rules": [rule("", "secrets", &all),
                    rule("authorization.k8s.io", "selfsubjectrulesreviews", &["create"])] }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": { "name": "writer", "namespace": REMOTE },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer" },
                "subjects": [{ "kind": "ServiceAccount", "name": "writer", "namespace": NAMESPACE }] }),
        ]
    }

    fn store(&self, kind: &str, store: &str) -> Value {
        let is_cluster = kind == "ClusterSecretStore";
        let place = |mut reference: Value| {
            if is_cluster {
                reference["namespace"] = json!(NAMESPACE);
            }
            reference
        };
        let provider = match store {
            "kubernetes" => json!({ "kubernetes": { "remoteNamespace": REMOTE,
                "server": { "url": self.plane.url(), "caBundle": base64::encode_public(self.plane.ca_pem().as_bytes()) },
                "auth": { "serviceAccount": place(json!({ "name": "writer" })) } } }),
            "vault" => json!({ "vault": { "server": self.vault.url(), "path": "secret", "version": "v2",
                "auth": { "tokenSecretRef": place(json!({ "name": "logins", "key": "vault" })) } } }),
            "webhook" => {
                json!({ "webhook": { "url": format!("{}/{{{{ .remoteRef.remoteKey }}}}", self.webhook.url("w")),
                "method": "POST", "body": "{{ .remoteRef.remoteKey }}", "result": { "jsonPath": "$" } } })
            }
            _ => json!({ "fake": { "data": [{ "key": "there", "value": "before" }] } }),
        };
        let mut metadata = json!({ "name": store });
        if !is_cluster {
            metadata["namespace"] = json!(NAMESPACE);
        }
        json!({ "apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": metadata,
            "spec": { "provider": provider } })
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            audit: self.plane.audit().mark()?,
            vault: self.vault_writes()?,
            webhook: self.webhook.count("w"),
        })
    }

    fn vault_writes(&self) -> Result<usize> {
        let is_write = |operation: &str| matches!(operation, "create" | "update" | "patch" | "delete");
        let requests = self.vault.requests()?;
        Ok(requests.iter().filter(|of| of.path.starts_with("secret/") && is_write(&of.operation)).count())
    }

    fn since(&self, mark: &Mark) -> Result<Writes> {
        let entries = self.plane.audit().since(mark.audit)?;
        let own = |deletes: bool| {
            let count = entries.iter().filter(|entry| {
                entry.user == WRITER
                    && entry.resource == "secrets"
                    && match entry.verb.as_str() {
                        "create" | "update" | "patch" => !deletes,
                        "delete" | "deletecollection" => deletes,
                        _ => false,
                    }
            });
            count.count()
        };
        Ok(Writes {
            kubernetes: own(false),
            deletions: own(true),
            vault: self.vault_writes()? - mark.vault,
            webhook: self.webhook.count("w") - mark.webhook,
        })
    }

    async fn theirs(&self) -> Result<ExternalSecretsOperator> {
        ExternalSecretsOperator::start(&self.plane, &[]).await
    }

    /// Waits until all are Synced; says what the others say.
    async fn all_synced(&self, who: &str, log: impl Fn() -> String) -> Result<()> {
        let pushes = api(&self.plane.client()?, "PushSecret", Some(NAMESPACE));
        let left = async || -> Option<Vec<String>> {
            let list = pushes.list(&ListParams::default()).await.ok()?;
            let ready = |object: &DynamicObject| object.data.pointer("/status/conditions/0").cloned();
            let wrong = list.items.iter().filter(|object| {
                !ready(object).is_some_and(|ready| ready["status"] == "True" && ready["reason"] == "Synced")
            });
            let left: Vec<String> =
                wrong.map(|object| format!("{:?}: {:?}", object.metadata.name, ready(object))).collect();
            (list.items.len() == OBJECTS).then_some(left)
        };
        let done =
            eventually("all are Synced", PATIENCE * 3, async || left().await.filter(Vec::is_empty)).await;
        if done.is_err() {
            let left = left().await.unwrap_or_default();
            ensure!(left.is_empty(), "{who}: {} are not Synced: {left:#?}\n{}", left.len(), log());
        }
        Ok(())
    }

    /// The remote Secrets, whole.
    async fn remote(&self) -> Result<BTreeMap<String, Value>> {
        let list =
            Api::<Secret>::namespaced(self.plane.client()?, REMOTE).list(&ListParams::default()).await?;
        list.into_iter()
            .map(|secret| {
                Ok((secret.metadata.name.clone().unwrap_or_default(), serde_json::to_value(secret)?))
            })
            .collect()
    }

    async fn statuses(&self) -> Result<BTreeMap<String, Value>> {
        let pushes = api(&self.plane.client()?, "PushSecret", Some(NAMESPACE));
        let list = pushes.list(&ListParams::default()).await?;
        Ok(list
            .into_iter()
            .map(|object| {
                let finalizers = json!(object.metadata.finalizers);
                (object.metadata.name.unwrap_or_default(), json!([finalizers, object.data["status"]]))
            })
            .collect())
    }
}

fn remote_key(kind: &str, store: &str, shape: usize) -> String {
    format!("{store}-{}-{shape:02}", if kind == "SecretStore" { "own" } else { "all" })
}

fn push(kind: &str, store: &str, shape: usize) -> Value {
    let name = remote_key(kind, store, shape);
    let entry = |key: &str, property: &str| {
        // A webhook and a fake store hold one text under a key.
        let property = if matches!(store, "kubernetes" | "vault") { property } else { "" };
        let remote = if property.is_empty() { format!("{name}-{key}") } else { name.clone() };
        let mut remote = json!({ "remoteKey": if key == "user" { name.clone() } else { remote } });
        if !property.is_empty() {
            remote["property"] = json!(property);
        }
        json!({ "match": { "secretKey": key, "remoteRef": remote } })
    };
    let mut spec = json!({
        "refreshInterval": "1h",
        "secretStoreRefs": [{ "name": store, "kind": kind }],
        "selector": { "secret": { "name": "source" } },
        "data": [entry("user", "name")],
    });
    let is_webhook = store == "webhook";
    match shape {
        1 => spec["data"] = json!([{ "match": { "remoteRef": { "remoteKey": name } } }]),
        2 | 3 if !is_webhook => spec["deletionPolicy"] = json!("Delete"),
        // 0.20.4 cannot tell whether a Secret exists.
        4 if !is_webhook && store != "kubernetes" => spec["updatePolicy"] = json!("IfNotExists"),
        5 if !is_webhook => spec["data"] = json!([entry("user", "name"), entry("pass", "word")]),
        6 => spec["template"] = json!({ "data": { "user": "{{ .user | upper }}" } }),
        7 => spec["selector"] = json!({ "secret": { "selector": { "matchLabels": { "push": "yes" } } } }),
        8 => spec["refreshInterval"] = json!("24h"),
        9 => spec["data"][0]["conversionStrategy"] = json!("ReverseUnicode"),
        _ => {}
    }
    json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec })
}

#[test]
fn pushes_change_hands_without_a_write() {
    run(async {
        let scene = Scene::set_up().await?;
        let mut theirs = scene.theirs().await?;
        scene.all_synced("theirs", || theirs.log()).await?;
        theirs.process().terminate(PATIENCE)?;
        let (remote, statuses) = (scene.remote().await?, scene.statuses().await?);
        assert!(remote.len() >= 2 * SHAPES, "{} remote Secrets", remote.len());

        let mark = scene.mark()?;
        let mut ours = Controller::start(&scene.plane, &[]).await?;
        let looked = |ours: &Controller| -> Result<f64> {
            ["unchanged", "written", "error"]
                .iter()
                .map(|result| {
                    ours.metric(&format!(
                        "sealops_reconcile_total{{kind=\"PushSecret\",result=\"{result}\"}}"
                    ))
                })
                .sum()
        };
        eventually("ours has looked at everything", PATIENCE * 3, async || {
            looked(&ours).ok().filter(|looked| *looked >= OBJECTS as f64)
        })
        .await?;
        ours.wait_idle().await?;
        assert_eq!(scene.since(&mark)?, NOTHING, "ours wrote at its start");
        assert!(scene.remote().await? == remote, "remote Secrets differ");
        assert!(scene.statuses().await? == statuses, "statuses or finalizers differ");
        println!("push: {OBJECTS} PushSecrets, theirs -> ours: no remote write, no deletion, no status");

        // Written again by ours: what is there already is not written, but the webhook cannot tell.
        let mark = scene.mark()?;
        let pushes = api(&scene.plane.client()?, "PushSecret", Some(NAMESPACE));
        let patch = Patch::Merge(json!({ "spec": { "refreshInterval": "2h" } }));
        for object in pushes.list_metadata(&ListParams::default()).await? {
            let name = object.metadata.name.unwrap_or_default();
            pushes.patch(&name, &PatchParams::default(), &patch).await?;
        }
        eventually("everything is pushed again", PATIENCE * 3, async || {
            let list = pushes.list(&ListParams::default()).await.ok()?;
            let pushed = |object: &DynamicObject| {
                let generation = object.metadata.generation.unwrap_or_default();
                let synced = object.data.pointer("/status/syncedResourceVersion").and_then(Value::as_str);
                synced.is_some_and(|synced| synced.starts_with(&format!("{generation}-")))
            };
            list.items.iter().all(pushed).then_some(())
        })
        .await?;
        ours.wait_idle().await?;
        scene.all_synced("ours", || ours.log()).await?;
        let again = scene.since(&mark)?;
        assert_eq!((again.kubernetes, again.deletions, again.vault), (0, 0, 0), "{again:?}");
        assert!(scene.remote().await? == remote, "remote Secrets differ after pushing again");
        assert!(ours.process.terminate(PATIENCE)?.success(), "{}", ours.log());

        let (statuses, mark) = (scene.statuses().await?, scene.mark()?);
        let mut theirs = scene.theirs().await?;
        theirs.wait_pushes(OBJECTS, PATIENCE * 3).await?;
        scene.all_synced("theirs again", || theirs.log()).await?;
        assert_eq!(scene.since(&mark)?, NOTHING, "theirs wrote at its start");
        assert!(scene.remote().await? == remote, "remote Secrets differ");
        assert!(scene.statuses().await? == statuses, "statuses or finalizers differ");
        theirs.process().terminate(PATIENCE)?;
        println!("push: ours -> theirs: no remote write, no deletion, no status");
        Ok(())
    });
}
