//! ClusterExternalSecrets and ClusterPushSecrets on a real API server: children in selected namespaces, and nothing left
//! behind in those that leave.

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sealops_testenv::{ControlPlane, eventually};
use serde_json::{Value, json};

use super::harness::*;

const FINALIZER: &str = "externalsecrets.external-secrets.io/ces-all";

/// The API of a kind of external-secrets.io.
pub fn api(client: &Client, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = match kind {
        "PushSecret" | "ClusterPushSecret" => ("external-secrets.io", "v1alpha1"),
        "ClusterGenerator" | "GeneratorState" => ("generators.external-secrets.io", "v1alpha1"),
        _ => ("external-secrets.io", "v1"),
    };
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, kind),
        &format!("{}s", kind.to_lowercase()),
    );
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn cluster_external_secret(interval: &str) -> Value {
    json!({ "apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", "metadata": { "name": "all" },
        "spec": {
            "externalSecretSpec": { "refreshInterval": interval, "secretStoreRef": { "name": "none" },
                "data": [{ "secretKey": "a", "remoteRef": { "key": "k" } }] },
            "externalSecretMetadata": { "labels": { "made": "yes" } },
            "namespaceSelectors": [{ "matchLabels": { "team": "blue" } }], "refreshTime": "1m" } })
}

fn cluster_push_secret() -> Value {
    json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "ClusterPushSecret", "metadata": { "name": "pushes" },
        "spec": {
            "pushSecretSpec": { "secretStoreRefs": [{ "name": "none" }], "selector": { "secret": { "name": "s" } } },
            "pushSecretName": "made", "namespaceSelectors": [{ "matchLabels": { "team": "blue" } }] } })
}

async fn relabel(client: &Client, namespace: &str, team: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "team": team } } }));
    Api::<Namespace>::all(client.clone()).patch(namespace, &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn finalizers(client: &Client, namespace: &str) -> Option<Vec<String>> {
    let found = Api::<Namespace>::all(client.clone()).get(namespace).await.ok()?;
    Some(found.metadata.finalizers.unwrap_or_default())
}

/// Waits for a status in which these namespaces are provisioned.
async fn provisioned(client: &Client, kind: &str, name: &str, namespaces: &[&str]) -> Result<Value> {
    let parents = api(client, kind, None);
    eventually(&format!("{kind} {name} has {namespaces:?}"), PATIENCE, async || {
        let status = parents.get(name).await.ok()?.data.get("status")?.clone();
        let found: Vec<&str> = status["provisionedNamespaces"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        (found == namespaces).then_some(status)
    })
    .await
}

async fn child(client: &Client, kind: &str, namespace: &str, name: &str) -> Result<DynamicObject> {
    let children = api(client, kind, Some(namespace));
    eventually(&format!("{kind} {namespace}/{name}"), PATIENCE, async || children.get_opt(name).await.ok()?)
        .await
}

async fn gone(client: &Client, kind: &str, namespace: &str, name: &str) -> Result<()> {
    let children = api(client, kind, Some(namespace));
    eventually(&format!("{kind} {namespace}/{name} is gone"), PATIENCE, async || {
        children.get_opt(name).await.ok()?.is_none().then_some(())
    })
    .await
}

/// Uses every right that these kinds need.
pub async fn exercise(plane: &ControlPlane) -> Result<()> {
    let client = plane.client()?;
    for object in [cluster_external_secret("1h"), cluster_push_secret()] {
        plane.apply_manifests(&object.to_string()).await?;
    }
    relabel(&client, "shop", "blue").await?;
    provisioned(&client, "ClusterExternalSecret", "all", &["shop"]).await?;
    provisioned(&client, "ClusterPushSecret", "pushes", &["shop"]).await?;
    for (kind, name, spec) in [
        ("ExternalSecret", "all", json!({ "refreshInterval": "5m" })),
        ("PushSecret", "made", json!({ "refreshInterval": "5m" })),
    ] {
        let children = api(&client, kind, Some("shop"));
        children.patch(name, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await?;
        eventually("the edit is undone", PATIENCE, async || {
            let child = children.get(name).await.ok()?;
            (child.data["spec"]["refreshInterval"] == "1h0m0s").then_some(())
        })
        .await?;
    }
    let cluster_generator = json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "ClusterGenerator",
        "metadata": { "name": "shared" }, "spec": { "kind": "UUID", "generator": { "uuidSpec": {} } } });
    plane.apply_manifests(&cluster_generator.to_string()).await?;
    let push = json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
        "metadata": { "name": "generated", "namespace": "shop" },
        "spec": { "secretStoreRefs": [{ "name": "none" }],
            "selector": { "generatorRef": { "kind": "ClusterGenerator", "name": "shared" } } } });
    plane.apply_manifests(&push.to_string()).await?;
    event(&client, "shop", "generated", "Errored").await?;
    relabel(&client, "shop", "red").await?;
    gone(&client, "ExternalSecret", "shop", "all").await?;
    gone(&client, "PushSecret", "shop", "made").await?;
    eventually("the namespace is let go", PATIENCE, async || {
        (!finalizers(&client, "shop").await?.iter().any(|name| name == FINALIZER)).then_some(())
    })
    .await
}

#[test]
fn children_follow_namespaces_and_parents() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for (namespace, team) in [("shop", "blue"), ("bank", "blue"), ("farm", "red")] {
            plane.ensure_namespace(namespace).await?;
            relabel(&client, namespace, team).await?;
        }
        let foreign = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": { "name": "all", "namespace": "bank" }, "spec": { "data": [] } });
        plane.apply_manifests(&foreign.to_string()).await?;
        let _controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(&cluster_external_secret("90m").to_string()).await?;

        let status = provisioned(&client, "ClusterExternalSecret", "all", &["shop"]).await?;
        assert_eq!(
            status,
            json!({ "externalSecretName": "all", "provisionedNamespaces": ["shop"],
                "failedNamespaces": [{ "namespace": "bank", "reason": "external secret already exists in namespace" }],
                "conditions": [{ "type": "Ready", "status": "False", "message": "one or more namespaces failed" }] })
        );
        let made = child(&client, "ExternalSecret", "shop", "all").await?;
        assert_eq!(made.data["spec"]["refreshInterval"], "1h30m0s");
        assert_eq!(made.metadata.labels.unwrap()["made"], "yes");
        let owner = &made.metadata.owner_references.unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
            ("ClusterExternalSecret", Some(true), Some(true))
        );
        assert!(finalizers(&client, "shop").await.unwrap().contains(&FINALIZER.to_owned()));

        // A child that somebody deletes comes back; a parent that changes reaches it.
        let children = api(&client, "ExternalSecret", Some("shop"));
        let before = made.metadata.uid;
        children.delete("all", &DeleteParams::default()).await?;
        eventually("the child is made again", PATIENCE, async || {
            (children.get_opt("all").await.ok()??.metadata.uid != before).then_some(())
        })
        .await?;
        plane.apply_manifests(&cluster_external_secret("2h").to_string()).await?;
        eventually("the child follows", PATIENCE, async || {
            (children.get("all").await.ok()?.data["spec"]["refreshInterval"] == "2h0m0s").then_some(())
        })
        .await?;

        // A namespace that leaves is let go, so that it can be deleted (upstream #6677); one that joins is taken in.
        relabel(&client, "shop", "red").await?;
        relabel(&client, "farm", "blue").await?;
        provisioned(&client, "ClusterExternalSecret", "all", &["farm"]).await?;
        gone(&client, "ExternalSecret", "shop", "all").await?;
        eventually("shop is let go", PATIENCE, async || {
            finalizers(&client, "shop").await?.is_empty().then_some(())
        })
        .await?;
        child(&client, "ExternalSecret", "bank", "all").await?;

        // The parent goes, and holds no namespace back.
        api(&client, "ClusterExternalSecret", None).delete("all", &DeleteParams::default()).await?;
        eventually("farm is let go", PATIENCE, async || {
            finalizers(&client, "farm").await?.is_empty().then_some(())
        })
        .await?;
        let parents = api(&client, "ClusterExternalSecret", None);
        eventually("the parent is gone", PATIENCE, async || {
            parents.get_opt("all").await.ok()?.is_none().then_some(())
        })
        .await
    });
}

#[test]
fn pushes_are_made_in_namespaces() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        relabel(&client, "shop", "blue").await?;
        let _controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(&cluster_push_secret().to_string()).await?;
        let status = provisioned(&client, "ClusterPushSecret", "pushes", &["shop"]).await?;
        assert_eq!(status["pushSecretName"], "made");
        assert_eq!(
            (&status["conditions"][0]["type"], &status["conditions"][0]["status"]),
            (&json!("Ready"), &json!("True"))
        );
        let made = child(&client, "PushSecret", "shop", "made").await?;
        assert_eq!(made.data["spec"]["secretStoreRefs"][0]["name"], "none");
        assert_eq!(event(&client, "shop", "made", "Errored").await?, "could not get source secret");
        relabel(&client, "shop", "red").await?;
        gone(&client, "PushSecret", "shop", "made").await
    });
}
