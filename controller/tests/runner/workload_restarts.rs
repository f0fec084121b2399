//! Workloads that are restarted when their Secrets change: the patches, on a real API server.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sealops_controller::restarts::{HASHES, RESTART_ON};
use sealops_testenv::{AuditMark, ControlPlane, eventually};
use serde_json::{Value, json};

use super::harness::*;

const FLAG: &str = "--restart-workloads";

const ROLLOUTS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

fn workload(version: &str, kind: &str, name: &str, on: &str, pod: Value) -> Value {
    let labels = json!({ "app": name });
    let mut spec = json!({ "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": pod } });
    match kind {
        "DaemonSet" => {}
        "StatefulSet" => {
            spec["serviceName"] = json!("none");
            spec["replicas"] = json!(0);
        }
        _ => spec["replicas"] = json!(0),
    }
    json!({ "apiVersion": version, "kind": kind,
        "metadata": { "name": name, "namespace": "shop", "annotations": { RESTART_ON: on } }, "spec": spec })
}

fn pod(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("c");
    container["image"] = json!("none");
    json!({ "containers": [container], "nodeSelector": { "none": "none" } })
}

const WORKLOADS: [(&str, &str, &str); 4] = [
    ("apps", "Deployment", "deployments"),
    ("apps", "StatefulSet", "statefulsets"),
    ("apps", "DaemonSet", "daemonsets"),
    ("argoproj.io", "Rollout", "rollouts"),
];

async fn get(client: &Client, kind: &str) -> Option<DynamicObject> {
    let (group, kind, plural) = WORKLOADS.into_iter().find(|(_, own, _)| *own == kind)?;
    let version = if group == "apps" { "v1" } else { "v1alpha1" };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "shop", &resource);
    api.get_opt(&kind.to_lowercase()).await.ok()?
}

fn remembered(object: &DynamicObject) -> Option<String> {
    object.metadata.annotations.as_ref()?.get(HASHES).cloned()
}

fn restarted(object: &DynamicObject) -> Option<String> {
    let annotations = object.data.pointer("/spec/template/metadata/annotations")?;
    annotations.get(HASHES)?.as_str().map(str::to_owned)
}

/// Our patches of each kind of workload since a moment.
fn patches(plane: &ControlPlane, mark: AuditMark) -> Result<[usize; 4]> {
    let mut counts = [0; 4];
    for (count, (_, _, plural)) in counts.iter_mut().zip(WORKLOADS) {
        *count = plane.audit().count(mark, |entry| our_write(entry, plural))?;
    }
    Ok(counts)
}

async fn all_remembered(client: &Client) -> Result<()> {
    for (_, kind, _) in WORKLOADS {
        eventually(&format!("the {kind} remembers its Secrets"), PATIENCE, async || {
            get(client, kind).await.filter(|object| remembered(object).is_some())
        })
        .await?;
    }
    Ok(())
}

async fn change_store(plane: &ControlPlane, value: &str) -> Result<()> {
    plane.apply_manifests(&super::external::FIRST.replace("value: amber", &format!("value: {value}"))).await
}

#[test]
fn a_change_restarts_who_asked_once_and_a_start_restarts_nobody() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        plane.apply_manifests(ROLLOUTS).await?;
        plane.wait_crd_established("rollouts.argoproj.io").await?;
        let controller = Controller::start(&plane, &[FLAG]).await?;
        change_store(&plane, "amber").await?;
        let certificate = controller.certificate().await?;
        let sealed =
            |value: &'static [u8]| Draft::new("shop", "web", vec![("a", value)]).sealed(&certificate);
        let objects = sealed_api(&client, "shop");
        create(&objects, sealed(b"one")).await?;
        secret(&client, "shop", "app").await?;
        secret(&client, "shop", "web").await?;
        let plain = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "plain", "namespace": "shop" },
            "stringData": { "a": "one" } });
        plane.apply_manifests(&plain.to_string()).await?;
        let from = json!({ "envFrom": [{ "secretRef": { "name": "app" } }] });
        for object in [
            workload("apps/v1", "Deployment", "deployment", "app", pod(json!({}))),
            workload("apps/v1", "StatefulSet", "statefulset", "auto", pod(from)),
            workload("apps/v1", "DaemonSet", "daemonset", "web,plain", pod(json!({}))),
            workload("argoproj.io/v1alpha1", "Rollout", "rollout", "app, web", pod(json!({}))),
        ] {
            plane.apply_manifests(&object.to_string()).await?;
        }
        all_remembered(&client).await?;
        for (_, kind, _) in WORKLOADS {
            assert_eq!(get(&client, kind).await.as_ref().and_then(restarted), None, "{kind} was restarted");
        }
        controller.wait_idle().await?;

        // A label of the Secret is no change.
        let mark = plane.audit().mark()?;
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        let label = Patch::Merge(json!({ "metadata": { "labels": { "x": "y" } } }));
        secrets.patch("web", &PatchParams::default(), &label).await?;
        controller.wait_idle().await?;

        // A changed value restarts those that wait for it, once.
        change_store(&plane, "blue").await?;
        for kind in ["Deployment", "StatefulSet", "Rollout"] {
            let object = eventually(&format!("the {kind} is restarted"), PATIENCE, async || {
                get(&client, kind).await.filter(|object| restarted(object).is_some())
            })
            .await?;
            assert_eq!(restarted(&object), remembered(&object), "{kind}");
            let text = event(&client, "shop", &kind.to_lowercase(), "Restarted").await?;
            assert_eq!(text, "restarted, since these Secrets have changed: app");
        }
        controller.wait_idle().await?;
        assert_eq!(patches(&plane, mark)?, [1, 1, 0, 1]);

        // A SealedSecret's target counts as well.
        let patch = Patch::Merge(json!({ "spec": sealed(b"two")["spec"] }));
        objects.patch("web", &PatchParams::default(), &patch).await?;
        eventually("the DaemonSet is restarted", PATIENCE, async || {
            get(&client, "DaemonSet").await.filter(|object| restarted(object).is_some())
        })
        .await?;

        // A start without a change restarts nobody; a change while nobody looked is found.
        controller.wait_idle().await?;
        drop(controller);
        let mark = plane.audit().mark()?;
        let again = Controller::start(&plane, &[FLAG]).await?;
        eventually("every workload was looked at", PATIENCE, async || {
            let looks =
                again.metric("sealops_reconcile_total{kind=\"Workload\",result=\"unchanged\"}").ok()?;
            (looks >= 3.0).then_some(())
        })
        .await?;
        // The Rollout waits for two of the Secrets, so its second restart may come late.
        assert_eq!(patches(&plane, mark)?[..3], [0, 0, 0]);
        drop(again);
        let before = get(&client, "DaemonSet").await.as_ref().and_then(restarted);
        let change = Patch::Merge(json!({ "stringData": { "a": "two" } }));
        secrets.patch("plain", &PatchParams::default(), &change).await?;
        let _third = Controller::start(&plane, &[FLAG]).await?;
        eventually("the change is found", PATIENCE, async || {
            get(&client, "DaemonSet").await.filter(|object| restarted(object) != before)
        })
        .await?;
        Ok(())
    });
}

#[test]
fn without_the_flag_nothing_is_read_or_written() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        let object = workload("apps/v1", "Deployment", "deployment", "app", pod(json!({})));
        plane.apply_manifests(&object.to_string()).await?;
        change_store(&plane, "amber").await?;
        secret(&client, "shop", "app").await?;
        controller.wait_idle().await?;
        let entries = plane.audit().since_start()?;
        assert!(!entries.iter().any(|entry| entry.user == USER && entry.resource == "deployments"));
        Ok(())
    });
}
