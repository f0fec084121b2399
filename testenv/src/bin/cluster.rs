//! `make cluster`: a control plane with sealops in it, to try things out by hand, until Ctrl-C.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sealops_testenv::{ControlPlane, ControlPlaneOptions, Process, free_port, http_get};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the output is the interface: a line to paste into another shell")]
async fn main() -> Result<()> {
    let controller = controller_argument()?;
    let repository =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("testenv has no parent folder")?;
    let options = ControlPlaneOptions {
        manifests: manifests_in(&repository.join("crds"))?,
        ..ControlPlaneOptions::default()
    };
    let control_plane = ControlPlane::start_with(options).await?;
    control_plane.apply_manifests(&manifests_in(&repository.join("deploy/kustomize/base"))?).await?;

    let kubeconfig = control_plane.admin_kubeconfig();
    let mut process = None;
    if let Some(controller) = controller {
        let (port, metrics_port) = (free_port()?, free_port()?);
        let mut command = Command::new(&controller);
        command.arg("--kubeconfig").arg(&kubeconfig).args(["--namespace", "kube-system"]);
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics_port}"));
        let mut started = Process::spawn("sealops-controller", command, control_plane.folder())?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let has_key = || http_get(address, "/v1/cert.pem", &[]).is_ok_and(|answer| answer.status == 200);
        started.wait_until(Duration::from_secs(60), has_key)?;
        process = Some(started);
        println!("# sealops seal --cert http://{address}/v1/cert.pem -f secret.yaml | kubectl apply -f -");
        println!("# metrics: http://127.0.0.1:{metrics_port}/metrics");
    }
    println!("# logs are in {}; Ctrl-C ends everything", control_plane.folder().display());
    println!("export KUBECONFIG={}", kubeconfig.display());
    tokio::signal::ctrl_c().await?;
    if let Some(status) = process.as_mut().map(Process::exited).transpose()?.flatten() {
        let log = process.map(|process| process.log()).transpose()?.unwrap_or_default();
        bail!("the controller had ended on its own ({status}):\n{log}");
    }
    Ok(())
}

/// Reads `[--controller PATH]`.
fn controller_argument() -> Result<Option<PathBuf>> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => Ok(None),
        (Some(flag), Some(path), None) if flag == "--controller" => Ok(Some(path.into())),
        _ => bail!("usage: cluster [--controller PATH]"),
    }
}

/// Joins the manifests of a folder in the order of their names; a folder that is not there has none, and what only
/// `kubectl kustomize` understands is left out.
fn manifests_in(folder: &Path) -> Result<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(String::new()) };
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| {
        file.extension().is_some_and(|extension| extension == "yaml")
            && file.file_name().is_some_and(|name| name != "kustomization.yaml")
    });
    files.sort();
    let texts =
        files.iter().map(|file| std::fs::read_to_string(file).with_context(|| file.display().to_string()));
    Ok(texts.collect::<Result<Vec<_>>>()?.join("\n---\n"))
}
