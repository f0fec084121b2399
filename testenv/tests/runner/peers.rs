use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use sealops_testenv::{
    ControlPlane, Peers, SealedSecretsController, eventually, expose_through_service_proxy, run_peer,
};

const PEER: Duration = Duration::from_secs(60);

#[tokio::test]
async fn real_controller_unseals_what_real_kubeseal_sealed_through_the_service_proxy() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = "kube-system";
    let controller = SealedSecretsController::start(control_plane, namespace, &["--key-size=2048"]).await?;
    expose_through_service_proxy(control_plane, namespace, SealedSecretsController::NAME, controller.port())
        .await?;

    let kubeseal = |arguments: &[&str]| -> Result<std::process::Command> {
        let mut command = Peers::locate()?.kubeseal()?;
        command.args(arguments).env("KUBECONFIG", control_plane.admin_kubeconfig());
        Ok(command)
    };
    let fetched = run_peer(kubeseal(&["--fetch-cert"])?, b"", PEER)?.text()?;
    assert_eq!(fetched.trim(), controller.certificate_pem()?.trim());

    control_plane.ensure_namespace("sealed").await?;
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: sealed}, stringData: {password: hunter2}}";
    let sealed = run_peer(kubeseal(&["--format", "yaml"])?, secret.as_bytes(), PEER)?.text()?;
    assert!(!sealed.contains("hunter2"));
    control_plane.apply_manifests(&sealed).await?;

    let secrets = Api::<Secret>::namespaced(control_plane.client()?, "sealed");
    let unsealed =
        eventually("the controller unseals", PEER, async || secrets.get_opt("db").await.ok()?).await?;
    let data = unsealed.data.context("the Secret has no data")?;
    assert_eq!(data.get("password").map(|value| value.0.as_slice()), Some(b"hunter2".as_slice()));
    Ok(())
}

#[test]
fn real_sops_answers() -> Result<()> {
    let mut command = Peers::locate()?.sops()?;
    command.args(["--version", "--disable-version-check"]);
    assert!(run_peer(command, b"", PEER)?.text()?.contains("3.13.3"));
    Ok(())
}
