//! Targets that are no Secrets, on a real API server: off by default, with rights of their own, written, repaired,
//! merged and removed as those that are.

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sealops_testenv::eventually;
use serde_json::{Value, json};

use super::cluster_kinds::api;
use super::harness::*;

/// A kind whose API server adds a field of its own.
const WIDGETS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-preserve-unknown-fields: true
            properties:
              size: {type: integer, default: 7}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"#;

fn manifests(target: &str, manifest: Value, template: Value) -> String {
    let store = json!({ "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
        "metadata": { "name": "fake", "namespace": "shop" },
        "spec": { "provider": { "fake": { "data": [{ "key": "user", "value": "amber" }] } } } });
    let object = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": { "name": target, "namespace": "shop" },
        "spec": { "secretStoreRef": { "name": "fake" },
            "target": { "manifest": manifest, "template": template, "deletionPolicy": "Delete" },
            "data": [{ "secretKey": "user", "remoteRef": { "key": "user" } }] } });
    format!("{store}\n---\n{object}")
}

fn widgets(client: &Client) -> Api<DynamicObject> {
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v1", "Widget"), "widgets");
    Api::namespaced_with(client.clone(), "shop", &resource)
}

/// Waits for the condition `Ready`; returns it.
async fn ready(client: &Client, name: &str, reason: &str) -> Result<Value> {
    let externals = api(client, "ExternalSecret", Some("shop"));
    eventually(&format!("{name} says {reason}"), PATIENCE, async || {
        let object = externals.get_opt(name).await.ok()??;
        let condition = object.data.pointer("/status/conditions/0")?.clone();
        (condition["reason"] == reason).then_some(condition)
    })
    .await
}

#[test]
fn other_kinds_are_written_with_their_own_rights_repaired_and_removed() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        for file in ["service-account.yaml", "rbac.yaml"] {
            let path = format!("{}/../deploy/kustomize/base/{file}", env!("CARGO_MANIFEST_DIR"));
            plane.apply_manifests(&std::fs::read_to_string(path)?).await?;
        }
        let kubeconfig = plane.service_account_kubeconfig(HOME, "sealed-secrets-controller").await?;
        let controller = Controller::start_as(&kubeconfig, &["--unsafe-allow-generic-targets"]).await?;
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        plane
            .apply_manifests(&manifests("conf", map, json!({ "data": { "line": "user={{ .user }}" } })))
            .await?;
        let refused = ready(&client, "conf", "ResourceSyncedError").await?;
        assert_eq!(refused["message"], "could not update secret");
        assert!(event(&client, "shop", "conf", "UpdateFailed").await?.contains("forbidden"));

        // With the rights of the chart's genericTargets it works.
        plane.apply_manifests(WIDGETS).await?;
        plane.wait_crd_established("widgets.example.com").await?;
        plane.apply_manifests(&rights()).await?;
        ready(&client, "conf", "ResourceSynced").await?;
        assert_eq!(event(&client, "shop", "conf", "Created").await?, "Created ConfigMap conf");
        let maps = Api::<ConfigMap>::namespaced(client.clone(), "shop");
        let made = maps.get("conf").await?;
        assert_eq!(made.data.unwrap()["line"], "user=amber");
        assert_eq!(made.metadata.owner_references.unwrap()[0].kind, "ExternalSecret");

        // Drift is repaired; so is a removal.
        let drift = Patch::Merge(json!({ "data": { "line": "mine", "more": "x" } }));
        maps.patch("conf", &PatchParams::default(), &drift).await?;
        eventually("the content is put right", PATIENCE, async || {
            let data = maps.get("conf").await.ok()?.data?;
            (data.len() == 1 && data["line"] == "user=amber").then_some(())
        })
        .await?;
        maps.delete("conf", &DeleteParams::default()).await?;
        eventually("it is made again", PATIENCE, async || maps.get_opt("conf").await.ok()?).await?;

        // A kind that adds fields of its own: written once, and left alone by a status of its controller.
        let widget = json!({ "apiVersion": "example.com/v1", "kind": "Widget" });
        let template =
            json!({ "templateFrom": [{ "target": "spec.login", "literal": "name: {{ .user }}" }] });
        plane.apply_manifests(&manifests("widget", widget, template)).await?;
        ready(&client, "widget", "ResourceSynced").await?;
        let made = widgets(&client).get("widget").await?;
        assert_eq!(made.data["spec"], json!({ "size": 7, "login": { "name": "amber" } }));
        controller.wait_idle().await?;
        let mark = plane.audit().mark()?;
        let status = Patch::Merge(json!({ "status": { "phase": "Ready" } }));
        widgets(&client).patch_status("widget", &PatchParams::default(), &status).await?;
        controller.wait_idle().await?;
        let writes = |verbs: &'static [&'static str]| {
            plane.audit().count(mark, |entry| {
                entry.resource == "widgets"
                    && verbs.contains(&entry.verb.as_str())
                    && entry.user.contains("sealed-secrets")
            })
        };
        assert_eq!(writes(&["create", "update", "patch"])?, 0, "its own fields are no drift");
        let drift = Patch::Merge(json!({ "spec": { "login": { "name": "eve" } } }));
        widgets(&client).patch("widget", &PatchParams::default(), &drift).await?;
        eventually("the path is put right", PATIENCE, async || {
            let spec = widgets(&client).get("widget").await.ok()?.data["spec"].clone();
            (spec["login"]["name"] == "amber").then_some(())
        })
        .await?;

        // The object goes, and its target with it.
        let externals = api(&client, "ExternalSecret", Some("shop"));
        for name in ["conf", "widget"] {
            externals.delete(name, &DeleteParams::default()).await?;
        }
        eventually("objects and targets are gone", PATIENCE, async || {
            let gone = externals.get_opt("conf").await.ok()?.is_none()
                && externals.get_opt("widget").await.ok()?.is_none()
                && maps.get_opt("conf").await.ok()?.is_none()
                && widgets(&client).get_opt("widget").await.ok()?.is_none();
            gone.then_some(())
        })
        .await
    });
}

/// The rights that the chart gives for `genericTargets`, for ConfigMaps and widgets.
fn rights() -> String {
    let verbs = ["get", "list", "watch", "create", "update", "delete"];
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "generic-targets" },
        "rules": [
            { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "update", "delete"] },
            { "apiGroups": ["example.com"], "resources": ["widgets"], "verbs": verbs },
        ] });
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "generic-targets" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "generic-targets" },
        "subjects": [{ "kind": "ServiceAccount", "name": "sealed-secrets-controller", "namespace": HOME }] });
    format!("{role}\n---\n{binding}")
}

#[test]
fn what_gives_rights_is_refused_even_with_all_rights() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let _controller = Controller::start(&plane, &["--unsafe-allow-generic-targets"]).await?;
        for (name, version, kind, word) in [
            ("secret", "v1", "Secret", "leave it out"),
            ("role", "rbac.authorization.k8s.io/v1", "Role", "gives rights"),
            ("store", "external-secrets.io/v1", "SecretStore", "gives rights"),
            ("space", "v1", "Namespace", "has no namespace"),
        ] {
            let manifest = json!({ "apiVersion": version, "kind": kind });
            plane.apply_manifests(&manifests(name, manifest, json!({}))).await?;
            let condition = ready(&client, name, "SecretSyncedError").await?;
            assert_eq!(condition["message"], "invalid generic target");
            let text = event(&client, "shop", name, "UpdateFailed").await?;
            assert!(text.contains(word), "{kind}: {text}");
        }
        Ok(())
    });
}
