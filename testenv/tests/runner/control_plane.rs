use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use sealops_testenv::{AuditEntry, ControlPlane, ControlPlaneOptions, eventually};
use serde_json::json;

fn secret(name: &str, value: &str) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        string_data: Some(BTreeMap::from([("key".to_owned(), value.to_owned())])),
        ..Secret::default()
    }
}

#[tokio::test]
async fn audit_log_has_each_request_when_its_answer_is_there() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    control_plane.ensure_namespace("audit").await?;
    let secrets = Api::<Secret>::namespaced(control_plane.client()?, "audit");
    // Other tests and the controller manager ask the same server.
    let mine = |entry: &AuditEntry| entry.namespace == "audit" && entry.user == "admin";
    let mark = control_plane.audit().mark()?;
    for number in 0..20 {
        secrets.create(&PostParams::default(), &secret(&format!("s{number}"), "value")).await?;
        assert_eq!(control_plane.audit().count(mark, mine)?, number + 1);
    }
    secrets.list(&ListParams::default()).await?;
    assert!(secrets.get_opt("none").await?.is_none());
    let mut watch = Box::pin(secrets.watch(&WatchParams::default(), "0").await?);
    let first = futures_next(&mut watch).await?;
    assert!(matches!(first, WatchEvent::Added(_)));

    let entries: Vec<AuditEntry> = control_plane.audit().since(mark)?.into_iter().filter(mine).collect();
    let of = |verb: &str| entries.iter().filter(|entry| entry.verb == verb).count();
    assert_eq!((of("create"), of("list"), of("get"), of("watch")), (20, 1, 1, 1));
    let created = entries.iter().find(|entry| entry.name == "s3").expect("an entry for s3");
    assert_eq!((created.code, created.user.as_str(), created.resource.as_str()), (201, "admin", "secrets"));
    assert!(entries.iter().any(|entry| entry.verb == "get" && entry.code == 404));
    Ok(())
}

async fn futures_next<S>(stream: &mut S) -> Result<WatchEvent<Secret>>
where
    S: futures::Stream<Item = kube::Result<WatchEvent<Secret>>> + Unpin,
{
    let next = tokio::time::timeout(Duration::from_secs(20), futures::StreamExt::next(stream)).await?;
    Ok(next.ok_or_else(|| anyhow::anyhow!("the watch ended"))??)
}

#[tokio::test]
async fn owned_secret_is_garbage_collected() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    control_plane.ensure_namespace("garbage").await?;
    let owners = Api::<ConfigMap>::namespaced(control_plane.client()?, "garbage");
    let secrets = Api::<Secret>::namespaced(control_plane.client()?, "garbage");
    let owner: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "owner" } }))?;
    let owner = owners.create(&PostParams::default(), &owner).await?;
    let mut owned = secret("owned", "value");
    owned.metadata.owner_references = Some(serde_json::from_value(json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid,
    }]))?);
    secrets.create(&PostParams::default(), &owned).await?;
    secrets.create(&PostParams::default(), &secret("free", "value")).await?;

    owners.delete("owner", &DeleteParams::default()).await?;
    eventually("the owned Secret is collected", Duration::from_secs(60), async || {
        secrets.get_opt("owned").await.ok()?.is_none().then_some(())
    })
    .await?;
    assert!(secrets.get_opt("free").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn killed_api_server_comes_back_with_its_data() -> Result<()> {
    let options = ControlPlaneOptions { controller_manager: false, ..ControlPlaneOptions::default() };
    let started = std::time::Instant::now();
    let control_plane = ControlPlane::start_with(options).await?;
    eprintln!("started in {:?}", started.elapsed());
    let secrets = Api::<Secret>::default_namespaced(control_plane.client()?);
    secrets.create(&PostParams::default(), &secret("kept", "value")).await?;

    control_plane.kill_apiserver()?;
    assert!(secrets.get("kept").await.is_err());
    control_plane.restart_apiserver().await?;
    // The same client works again: the port is the same.
    assert_eq!(secrets.get("kept").await?.metadata.name.as_deref(), Some("kept"));
    Ok(())
}

#[tokio::test]
async fn service_account_may_do_what_a_role_says_and_no_more() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let file = control_plane.service_account_kubeconfig("accounts", "reader").await?;
    control_plane
        .apply_manifests(
            "apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: Role\n\
             metadata: {name: reader, namespace: accounts}\n\
             rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]\n\
             ---\n\
             apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: RoleBinding\n\
             metadata: {name: reader, namespace: accounts}\n\
             roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}\n\
             subjects: [{kind: ServiceAccount, name: reader, namespace: accounts}]\n",
        )
        .await?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?;
    let secrets = Api::<Secret>::namespaced(kube::Client::try_from(config)?, "accounts");
    eventually("the role is in force", Duration::from_secs(20), async || {
        secrets.list(&ListParams::default()).await.ok()
    })
    .await?;
    let mark = control_plane.audit().mark()?;
    assert!(secrets.create(&PostParams::default(), &secret("no", "value")).await.is_err());
    let refused =
        |entry: &AuditEntry| entry.code == 403 && entry.user == "system:serviceaccount:accounts:reader";
    assert_eq!(control_plane.audit().count(mark, refused)?, 1);
    Ok(())
}

#[tokio::test]
async fn in_cluster_folder_is_what_a_pod_sees() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let folder = control_plane.in_cluster_folder("pods", "app").await?;
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    assert_eq!(read("namespace")?, "pods");
    assert_eq!(read("ca.crt")?, control_plane.ca_pem());
    assert_eq!(read("token")?.split('.').count(), 3);
    Ok(())
}

#[tokio::test]
async fn refused_manifest_is_an_error_at_once() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let manifest = "{apiVersion: v1, kind: Namespace, metadata: {name: Not_A_Name}}";
    let started = std::time::Instant::now();
    let error = control_plane.apply_manifests(manifest).await.expect_err("an invalid name");
    assert!(started.elapsed() < Duration::from_secs(10), "{error:#}");
    assert!(format!("{error:#}").contains("Not_A_Name"), "{error:#}");
    Ok(())
}
