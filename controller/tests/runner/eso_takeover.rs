//! Taking the place of the real External Secrets Operator 0.20.4, and giving it back.
//!
//! Five kinds of stores, each as SecretStore and as ClusterSecretStore, and twenty shapes of ExternalSecrets at each.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use sealops_crds::ExternalSecret;
use sealops_testenv::{AuditEntry, AuditMark, ControlPlane, ExternalSecretsOperator, eventually};
use serde_json::{Value, json};

use super::eso_stores::{NAMESPACE, Providers, REMOTE, STORE_KINDS, STORES, api, apply, ground, reference};
use super::harness::*;

const VALUE: &str = "amber";
const SHAPES: usize = 20;
const OBJECTS: usize = STORES.len() * STORE_KINDS.len() * SHAPES;

/// An ExternalSecret, and what has to be there before it.
fn external(kind: &str, store: &str, shape: usize) -> Vec<Value> {
    let mut name = format!("{store}-{}-{shape:02}", if kind == "SecretStore" { "own" } else { "all" });
    let text = |key: &str| json!({ "secretKey": key, "remoteRef": reference(store, "text") });
    let extract = json!([{ "extract": { "key": "json" } }]);
    let mut spec = json!({
        "refreshInterval": "1h",
        "secretStoreRef": { "kind": kind, "name": store },
        "data": [text("a"), { "secretKey": "h", "remoteRef": reference(store, "host") }],
    });
    let mut metadata = json!({ "namespace": NAMESPACE });
    let mut before = Vec::new();
    match shape {
        0 => {}
        1 => metadata["labels"] = json!({ "team": "blue", "app.kubernetes.io/name": "x" }),
        2 => metadata["annotations"] = json!({ "argocd.argoproj.io/tracking-id": "a:b/c:d/e" }),
        3 => spec["dataFrom"] = extract,
        4 => spec = json!({ "secretStoreRef": spec["secretStoreRef"], "dataFrom": extract }),
        5 => spec["target"] = json!({ "creationPolicy": "Orphan" }),
        6 => spec["target"] = json!({ "deletionPolicy": "Delete" }),
        7 => spec["target"] = json!({ "immutable": true }),
        8 => spec["target"] = json!({ "name": format!("{name}-target") }),
        9 => {
            spec["target"] = json!({ "creationPolicy": "Merge", "deletionPolicy": "Merge" });
            before.push(
                json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": NAMESPACE, "name": name },
                "stringData": { "somebody": "else" } }),
            );
        }
        10 => {
            spec["target"] = json!({ "template": {
                "metadata": { "labels": { "tier": "x" }, "annotations": { "note": "{{ .h }}" } },
                "data": { "url": "https://{{ .h }}/?{{ .a | upper | b64enc }}" },
            } });
        }
        11 => spec["target"] = json!({ "template": { "mergePolicy": "Merge", "data": { "x": "{{ .a }}" } } }),
        12 => {
            spec["target"] =
                json!({ "template": { "templateFrom": [{ "literal": "one: {{ .a }}\ntwo: {{ .h }}\n" }] } });
        }
        13 => {
            spec["target"] = json!({ "template": { "type": "kubernetes.io/basic-auth",
                "data": { "username": "{{ .h }}", "password": "{{ .a }}" } } });
        }
        14 => name = format!("{name}-{}", "long".repeat(14)),
        15 => spec["refreshPolicy"] = json!("OnChange"),
        16 => spec["refreshPolicy"] = json!("CreatedOnce"),
        17 => spec["refreshInterval"] = json!("0"),
        18 => {
            let mut remote = reference(store, "b64");
            remote["decodingStrategy"] = json!("Base64");
            spec["data"] = json!([{ "secretKey": "a", "remoteRef": remote }]);
        }
        _ => {
            spec["dataFrom"] = json!([{ "extract": { "key": "json" },
                "rewrite": [{ "regexp": { "source": "^(.*)$", "target": "DB_$1" } }] }]);
        }
    }
    metadata["name"] = json!(name);
    before.push(json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": ExternalSecret::KIND,
        "metadata": metadata, "spec": spec }));
    before
}

/// Returns the ExternalSecrets that are not Ready, with what they say.
async fn not_ready(client: &kube::Client) -> Result<Vec<String>> {
    let all = api(client, NAMESPACE).list(&ListParams::default()).await?;
    ensure!(all.items.len() == OBJECTS, "{} objects", all.items.len());
    let condition = |object: &DynamicObject| object.data.pointer("/status/conditions/0").cloned();
    Ok(all
        .items
        .iter()
        .filter(|object| !condition(object).is_some_and(|ready| ready["status"] == "True"))
        .map(|object| format!("{:?}: {:?}", object.metadata.name, condition(object)))
        .collect())
}

/// Everything of the Secrets, whole.
async fn secrets(client: &kube::Client) -> Result<BTreeMap<String, Value>> {
    let list = Api::<Secret>::namespaced(client.clone(), NAMESPACE).list(&ListParams::default()).await?;
    list.into_iter()
        .map(|secret| Ok((secret.metadata.name.clone().unwrap_or_default(), serde_json::to_value(secret)?)))
        .collect()
}

/// Names that differ, never values.
fn differing(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

fn wrote(plane: &ControlPlane, mark: AuditMark, user: &str, resource: &str) -> Result<Vec<AuditEntry>> {
    let is_write = |entry: &AuditEntry| {
        entry.user == user
            && entry.resource == resource
            && entry.subresource != "token"
            && matches!(entry.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    };
    Ok(plane.audit().since(mark)?.into_iter().filter(is_write).collect())
}

async fn all_ready(client: &kube::Client, who: &str, log: impl Fn() -> String) -> Result<()> {
    let ready = eventually("all are Ready", PATIENCE * 2, async || {
        not_ready(client).await.ok().filter(Vec::is_empty)
    });
    if ready.await.is_err() {
        let left = not_ready(client).await?;
        ensure!(left.is_empty(), "{who}: {} are not Ready: {left:#?}\n{}", left.len(), log());
    }
    Ok(())
}

struct Scene {
    plane: ControlPlane,
    providers: Providers,
}

impl Scene {
    async fn set_up() -> Result<Self> {
        let scene = Self { plane: control_plane().await?, providers: Providers::start(VALUE).await? };
        for namespace in [NAMESPACE, REMOTE] {
            scene.plane.ensure_namespace(namespace).await?;
        }
        apply(&scene.plane, &ground(VALUE)).await?;
        apply(&scene.plane, &scene.providers.stores(&scene.plane, VALUE)).await?;
        let mut objects = Vec::new();
        for kind in STORE_KINDS {
            for store in STORES {
                objects.extend((0..SHAPES).flat_map(|shape| external(kind, store, shape)));
            }
        }
        apply(&scene.plane, &objects).await?;
        Ok(scene)
    }

    async fn theirs(&self) -> Result<ExternalSecretsOperator> {
        let variables = self.providers.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ExternalSecretsOperator::start(&self.plane, &variables).await
    }

    async fn ours(&self) -> Result<Controller> {
        let variables = self.providers.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Controller::start_with(&self.plane, &[], &variables).await
    }

    /// Lets ours find everything as it is: it has to write no Secret, and all stay Ready.
    async fn ours_writes_nothing(&self, before: &BTreeMap<String, Value>) -> Result<Controller> {
        let client = self.plane.client()?;
        let mark = self.plane.audit().mark()?;
        let ours = self.ours().await?;
        eventually("ours has looked at everything", PATIENCE * 5, async || {
            let looked: f64 = ["unchanged", "written", "error"]
                .iter()
                .filter_map(|result| {
                    let series =
                        format!("sealops_reconcile_total{{kind=\"ExternalSecret\",result=\"{result}\"}}");
                    ours.metric(&series).ok()
                })
                .sum();
            (looked >= OBJECTS as f64).then_some(())
        })
        .await?;
        ours.wait_idle().await?;
        let changed = differing(before, &secrets(&client).await?);
        let writes: Vec<_> =
            wrote(&self.plane, mark, USER, "secrets")?.into_iter().filter(|w| w.namespace != HOME).collect();
        let names: Vec<_> =
            writes.iter().map(|entry| format!("{} {}", entry.verb, entry.request_uri)).collect();
        assert!(names.is_empty(), "ours wrote {} Secrets: {names:#?}", names.len());
        assert_eq!(changed, Vec::<String>::new(), "Secrets differ");
        let deleted = self.plane.audit().count(mark, |entry| {
            entry.user == USER && entry.verb.starts_with("delete") && entry.namespace != HOME
        })?;
        assert_eq!(deleted, 0, "ours deleted something");
        all_ready(&client, "ours", || ours.log()).await?;
        let statuses = wrote(&self.plane, mark, USER, "externalsecrets")?.len();
        println!(
            "ours: {OBJECTS} ExternalSecrets, 0 Secrets written, 0 deletions, {statuses} writes to ExternalSecrets"
        );
        Ok(ours)
    }
}

/// Changes every spec so that its values are fetched again, and waits until that has happened.
async fn fetch_again(client: &kube::Client) -> Result<()> {
    let external = api(client, NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": { "refreshInterval": "2h" } }));
    for object in external.list_metadata(&ListParams::default()).await? {
        let name = object.metadata.name.unwrap_or_default();
        external.patch(&name, &PatchParams::default(), &patch).await?;
    }
    eventually("everything is fetched again", PATIENCE * 3, async || {
        let list = external.list(&ListParams::default()).await.ok()?;
        let fetched = |object: &DynamicObject| {
            let generation = object.metadata.generation.unwrap_or_default();
            let synced = object.data.pointer("/status/syncedResourceVersion").and_then(Value::as_str);
            object.data["spec"]["refreshPolicy"] == "CreatedOnce"
                || synced.is_some_and(|synced| synced.starts_with(&format!("{generation}-")))
        };
        list.items.iter().all(fetched).then_some(())
    })
    .await
}

/// Theirs, ours, theirs again. Ours also fetches all values anew, and finds that the Secrets are as it would make them.
#[test]
fn takes_over_from_the_real_operator_and_gives_back() {
    run(async {
        let scene = Scene::set_up().await?;
        let client = scene.plane.client()?;
        let mut theirs = scene.theirs().await?;
        all_ready(&client, "theirs", || theirs.log()).await?;
        theirs.wait_rest(OBJECTS, PATIENCE * 5).await?;
        theirs.process().terminate(PATIENCE)?;
        let before = secrets(&client).await?;
        assert!(before.len() >= OBJECTS, "{} Secrets", before.len());

        let mut ours = scene.ours_writes_nothing(&before).await?;
        let mark = scene.plane.audit().mark()?;
        fetch_again(&client).await?;
        ours.wait_idle().await?;
        let writes = wrote(&scene.plane, mark, USER, "secrets")?;
        assert!(writes.is_empty(), "ours wrote when it fetched again: {writes:#?}");
        assert_eq!(differing(&before, &secrets(&client).await?), Vec::<String>::new());
        all_ready(&client, "ours after fetching again", || ours.log()).await?;
        assert!(ours.process.terminate(PATIENCE)?.success(), "{}", ours.log());

        let mark = scene.plane.audit().mark()?;
        let theirs = scene.theirs().await?;
        theirs.wait_rest(OBJECTS, PATIENCE * 5).await?;
        let writes = wrote(&scene.plane, mark, ExternalSecretsOperator::USER, "secrets")?;
        assert!(writes.is_empty(), "theirs wrote: {writes:#?}");
        assert_eq!(differing(&before, &secrets(&client).await?), Vec::<String>::new());
        all_ready(&client, "theirs again", || theirs.log()).await?;
        println!("{OBJECTS} ExternalSecrets: theirs -> ours -> theirs, 0 Secrets written");
        Ok(())
    });
}

/// The same objects without the real operator: what ours made it leaves alone, with nothing kept between two starts.
#[test]
fn starts_again_over_five_kinds_of_stores_without_a_write() {
    run(async {
        let scene = Scene::set_up().await?;
        let client = scene.plane.client()?;
        let mut first = scene.ours().await?;
        all_ready(&client, "ours", || first.log()).await?;
        first.wait_idle().await?;
        assert!(first.process.terminate(PATIENCE)?.success(), "{}", first.log());
        let before = secrets(&client).await?;
        assert!(before.len() >= OBJECTS, "{} Secrets", before.len());
        scene.ours_writes_nothing(&before).await?;
        Ok(())
    });
}
