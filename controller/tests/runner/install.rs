//! The three ways to install, into a real API server, each followed by the controller with just the rights that came.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use sealops_crypto::sealing::Certificate;
use sealops_testenv::{ControlPlane, ControlPlaneOptions, Parts, SealedSecretsController, run_peer};

use super::both::Side;
use super::harness::*;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// A control plane that knows no definition of ours.
async fn bare() -> Result<ControlPlane> {
    let plane = ControlPlane::start_with(ControlPlaneOptions::default()).await?;
    plane.ensure_namespace("shop").await?;
    Ok(plane)
}

fn helm(plane: &ControlPlane, arguments: &[&str]) -> Result<String> {
    let home = tempfile::tempdir()?;
    let mut command = Parts::locate()?.command("helm")?;
    command.env_clear().env("HOME", home.path()).env("KUBECONFIG", plane.admin_kubeconfig());
    command.args(arguments).arg(deploy("helm/sealed-secrets")).args(["--namespace", HOME]);
    run_peer(command, b"", Duration::from_secs(120))?.text()
}

/// Seals an object for a certificate, and waits until it is a Secret.
async fn unseal(plane: &ControlPlane, certificate: &Certificate, name: &str) -> Result<()> {
    let client = plane.client()?;
    create(&sealed_api(&client, "shop"), Draft::new("shop", name, vec![("a", b"one")]).sealed(certificate))
        .await?;
    synced(&client, "shop", name, "True").await?;
    secret(&client, "shop", name).await?;
    Ok(())
}

/// What the API server refused to the installed account.
fn refused(plane: &ControlPlane) -> Result<BTreeSet<String>> {
    let entries = plane.audit().since_start()?;
    let ours = entries
        .into_iter()
        .filter(|entry| entry.user.ends_with(":sealed-secrets-controller") && entry.code == 403);
    Ok(ours.map(|entry| format!("{} {} {}", entry.verb, entry.resource, entry.namespace)).collect())
}

#[test]
fn the_chart_installs_upgrades_and_its_controller_unseals() {
    run(async {
        let plane = bare().await?;
        let name = SealedSecretsController::NAME;
        helm(&plane, &["install", name])?;
        // The arguments are those of the Deployment, but for the ports, which tests choose.
        let deployments = Api::<Deployment>::namespaced(plane.client()?, HOME);
        let pod = deployments.get(name).await?.spec.template.spec.context("no pod")?;
        let container = pod.containers.into_iter().next().context("no container")?;
        assert_eq!(container.command, Some(vec!["controller".to_owned()]));
        let arguments = container.args.unwrap_or_default();
        let listens = arguments.iter().position(|word| word == "--listen-addr").context("no address")?;
        let flags: Vec<&str> =
            arguments[..listens].iter().map(String::as_str).chain(["--key-size=2048"]).collect();
        let program = Side::Ours.program()?;
        let mut controller = SealedSecretsController::start_program(&plane, HOME, program, &flags).await?;
        controller.wait_ready(&plane, HOME).await?;
        let certificate = Certificate::from_pem(controller.certificate_pem()?.as_bytes())?;
        unseal(&plane, &certificate, "web").await.with_context(|| controller.log())?;
        assert_eq!(refused(&plane)?, BTreeSet::new());
        helm(&plane, &["upgrade", name, "--set", "keyrenewperiod=24h,pdb.create=true", "--reuse-values"])?;
        let args = deployments.get(name).await?.spec.template.spec.context("no pod")?;
        let args =
            args.containers.into_iter().next().and_then(|container| container.args).unwrap_or_default();
        assert!(args.windows(2).any(|pair| pair == ["--key-renew-period", "24h"]), "{args:?}");
        Ok(())
    });
}

#[test]
fn the_static_manifest_installs_and_its_controller_unseals() {
    run(async {
        let plane = bare().await?;
        plane.apply_manifests(&std::fs::read_to_string(deploy("static/sealops.yaml"))?).await?;
        unseals_as_installed(&plane).await
    });
}

#[test]
fn the_kustomization_installs_and_its_controller_unseals() {
    run(async {
        let plane = bare().await?;
        for (_, definition) in sealops_crds::MANIFESTS {
            plane.apply_manifests(definition).await?;
        }
        let mut command = Parts::locate()?.command("kustomize")?;
        command.env_clear().arg("build").arg(deploy("kustomize/overlays/two-replicas"));
        let built = run_peer(command, b"", Duration::from_secs(60))?.text()?;
        plane.apply_manifests(&built).await?;
        let deployments = Api::<Deployment>::namespaced(plane.client()?, HOME);
        let replicas = deployments.get(SealedSecretsController::NAME).await?.spec.replicas;
        assert_eq!(replicas, Some(2));
        unseals_as_installed(&plane).await
    });
}

/// Runs the controller under its own name with the account that the manifests made.
async fn unseals_as_installed(plane: &ControlPlane) -> Result<()> {
    let kubeconfig = plane.service_account_kubeconfig(HOME, SealedSecretsController::NAME).await?;
    let controller = Controller::start_as(&kubeconfig, &[]).await?;
    let certificate = controller.certificate().await?;
    unseal(plane, &certificate, "web").await.with_context(|| controller.log())?;
    assert_eq!(refused(plane)?, BTreeSet::new());
    Ok(())
}
