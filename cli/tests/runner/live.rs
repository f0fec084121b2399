//! Our verbs against the real API server and the real controller.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value as Json, json};

use crate::kubeseal_table::Live;
use crate::sandbox::{Run, Sandbox};

fn sandbox(live: &Live) -> Result<Sandbox> {
    let sandbox = Sandbox::new();
    for (name, text) in live.files()? {
        sandbox.write(&name, text);
    }
    Ok(sandbox)
}

fn run(sandbox: &Sandbox, line: &str, stdin: &str) -> Run {
    tokio::task::block_in_place(|| sandbox.run_with(line, stdin, &[("KUBECONFIG", "live")]))
}

fn secret(name: &str) -> String {
    format!(
        "kind: Secret\napiVersion: v1\nmetadata: {{name: {name}, namespace: default, labels: {{app: x}}}}\ndata: {{a: Zm9v}}\n"
    )
}

/// The whole life of a file with the real controller: seal, validate, re-encrypt a folder, validate again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbs_work_with_the_real_controller() -> Result<()> {
    let live = Live::start().await?;
    let sandbox = sandbox(&live)?;
    for name in ["one", "two"] {
        let sealed = run(&sandbox, "sealops seal --cert keys/interop-2048.crt", &secret(name)).ok();
        sandbox.write(&format!("d/{name}.yaml"), format!("# {name}\n{sealed}"));
    }
    run(&sandbox, "sealops validate d", "").ok();
    let before = sandbox.read("d/one.yaml");
    let run_all = run(&sandbox, "sealops re-encrypt d", "");
    assert!(run_all.err.contains("2 values sealed anew"), "{}", run_all.err);
    run_all.ok();
    let after = sandbox.read("d/one.yaml");
    assert!(after.starts_with("# one\n") && after.contains("app: x") && after != before, "{after}");
    sandbox.write("served.pem", &live.certificate);
    let hint = after.lines().find(|line| line.contains("sealops.io/sealing-key")).unwrap_or_default();
    assert!(!hint.is_empty() && !before.contains(hint), "the hint names the controller's key");
    run(&sandbox, "sealops validate d", "").ok();
    run(&sandbox, "sealops validate d --key keys/interop-2048.key", "")
        .fails(1, &["2 objects cannot be opened"]);
    sandbox.write("d/renamed.yaml", after.replace("name: one", "name: other"));
    let run_bad = run(&sandbox, "sealops validate d --json", "");
    assert_eq!(run_bad.code, 1);
    let report: Json = serde_json::from_str(&run_bad.out)?;
    assert_eq!((report["opened"].as_i64(), report["failed"].as_i64()), (Some(2), Some(1)));
    backup_and_restore(&live, &sandbox).await?;
    Ok(())
}

/// Export from the cluster, lose the keys, drill, import, import again.
async fn backup_and_restore(live: &Live, sandbox: &Sandbox) -> Result<()> {
    let identity = sandbox.read("keys/backup-first.age-key");
    let recipient = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap_or_default();
    run(sandbox, &format!("sealops keys export -r {recipient} -o b.age"), "").ok();
    std::fs::remove_file(sandbox.path("d/renamed.yaml"))?;
    let drill = "sealops keys verify b.age -i keys/backup-first.age-key";
    run(sandbox, &format!("{drill} d"), "").ok();
    live.control_plane.apply_manifests(&sandbox.read("d/one.yaml")).await?;
    let report: Json = serde_json::from_str(&run(sandbox, &format!("{drill} --in-cluster --json"), "").ok())?;
    assert_eq!(report["opened"], 1);

    let api = Api::<Secret>::namespaced(live.control_plane.client()?, "kube-system");
    let label = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key");
    let keys = || async { anyhow::Ok(api.list(&label).await?.items) };
    let data = |secrets: &[Secret]| -> BTreeMap<String, Json> {
        secrets.iter().map(|own| (own.metadata.name.clone().unwrap_or_default(), json!(own.data))).collect()
    };
    let all = keys().await?;
    assert_eq!(all.len(), 2);
    let import = "sealops keys import b.age -i keys/backup-first.age-key";
    let again = run(sandbox, import, "");
    assert_eq!(again.err.matches("the key is there already").count(), 2, "{}", again.err);
    api.delete("ours", &Default::default()).await?;
    let dry = run(sandbox, &format!("{import} --dry-run"), "");
    assert!(dry.err.contains("ours: would be made\n"), "{}", dry.err);
    assert_eq!(keys().await?.len(), 1);
    let made = run(sandbox, import, "");
    assert!(made.err.contains("ours: made\n"), "{}", made.err);
    assert_eq!(data(&keys().await?), data(&all));
    // Another key under the same name: nothing is overwritten, and nothing is made.
    let foreign = json!({ "data": { "tls.key": "eA==" } });
    api.patch("ours", &PatchParams::default(), &Patch::Merge(foreign)).await?;
    run(sandbox, import, "")
        .fails(1, &["Secret kube-system/ours exists and holds something else; nothing was made"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_takes_away_what_upstream_would_leave_stale() -> Result<()> {
    let live = Live::start().await?;
    let sandbox = sandbox(&live)?;
    let plane = &live.control_plane;
    let sealed = run(&sandbox, "sealops seal", &secret("one")).ok();
    plane.apply_manifests(&sealed).await?;
    let kind = GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret");
    let sealed_secrets: Api<DynamicObject> =
        Api::namespaced_with(plane.client()?, "default", &ApiResource::from_gvk(&kind));
    let secrets = Api::<Secret>::namespaced(plane.client()?, "default");
    let patience = std::time::Duration::from_secs(30);
    sealops_testenv::eventually("the Secret is made", patience, async || {
        secrets.get_opt("one").await.ok()?
    })
    .await?;
    let synced = |object: &DynamicObject| object.data["status"]["conditions"][0]["type"] == "Synced";
    sealops_testenv::eventually("the status is there", patience, async || {
        sealed_secrets.get("one").await.ok().filter(&synced)
    })
    .await?;
    // What a controller of ours leaves behind.
    let patch = PatchParams::default();
    let mut conditions = sealed_secrets.get("one").await?.data["status"]["conditions"].clone();
    for type_ in ["Ready", "Reconciling", "Stalled"] {
        let now = "2026-01-01T00:00:00Z";
        let condition =
            json!({ "type": type_, "status": "True", "lastUpdateTime": now, "lastTransitionTime": now });
        conditions.as_array_mut().unwrap().push(condition);
    }
    let status = json!({ "status": { "conditions": conditions } });
    sealed_secrets.patch_status("one", &patch, &Patch::Merge(status)).await?;
    let annotated = json!({ "metadata": { "annotations": { "sealops.io/x": "y", "keep": "z" } } });
    secrets.patch("one", &patch, &Patch::Merge(annotated)).await?;
    plane
        .apply_manifests(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sealops-state-00, namespace: kube-system, labels: {sealops.io/state: sealed-secrets}}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: kube-system}\n---\n\
             apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: sealops-controller, namespace: kube-system}\n\
             spec: {holderIdentity: pod, leaseDurationSeconds: 15, renewTime: '2099-01-01T00:00:00.000000Z'}\n",
        )
        .await?;
    run(&sandbox, "sealops release", "").fails(1, &["the controller still runs", "hint: --force"]);
    let lease = json!({ "spec": { "renewTime": "2020-01-01T00:00:00.000000Z" } });
    let leases = Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(plane.client()?, "kube-system");
    leases.patch("sealops-controller", &patch, &Patch::Merge(lease)).await?;

    let stored = sealed_secrets.get("one").await?;
    let report: Json = serde_json::from_str(&run(&sandbox, "sealops release --dry-run --json", "").ok())?;
    let changes: Vec<String> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            format!("{}: {}", change["object"].as_str().unwrap(), change["change"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        changes,
        [
            "SealedSecret default/one: remove the conditions Ready, Reconciling, Stalled",
            "SealedSecret default/one: remove the annotations sealops.io/sealing-key",
            "Secret default/one: remove the annotations sealops.io/x",
            "ConfigMap kube-system/sealops-state-00: delete",
            "Lease kube-system/sealops-controller: delete",
        ]
    );
    assert_eq!(sealed_secrets.get("one").await?.metadata.resource_version, stored.metadata.resource_version);

    let data = secrets.get("one").await?.data;
    run(&sandbox, "sealops release", "").ok();
    let object = sealed_secrets.get("one").await?;
    let types: Vec<&str> = object.data["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|condition| condition["type"].as_str())
        .collect();
    assert_eq!(types, ["Synced"]);
    assert!(object.metadata.annotations.unwrap_or_default().is_empty());
    let target = secrets.get("one").await?;
    assert_eq!(target.metadata.annotations.unwrap_or_default().into_keys().collect::<Vec<_>>(), ["keep"]);
    assert_eq!(target.data, data);
    assert!(leases.get_opt("sealops-controller").await?.is_none());
    let run_again = run(&sandbox, "sealops release", "");
    assert!(run_again.err.ends_with("0 changes made\n"), "{}", run_again.err);
    Ok(())
}
