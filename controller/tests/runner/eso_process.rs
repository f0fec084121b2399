//! The binary under the name `external-secrets`: upstream's flags, subcommands and probes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use sealops_testenv::{PeerOutput, Process, eventually, free_port, http_get, run_peer};
use tempfile::TempDir;

use super::harness::*;

/// The program under upstream's name.
pub fn program(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("external-secrets");
    if !path.exists() {
        symlink(env!("CARGO_BIN_EXE_sealops-controller"), &path)?;
    }
    Ok(path)
}

fn ended(arguments: &[&str]) -> Result<PeerOutput> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(program(folder.path())?);
    command.env_clear().args(arguments);
    run_peer(command, b"", Duration::from_secs(20))
}

pub struct Running {
    process: Process,
    probes: u16,
    metrics: u16,
    _folder: TempDir,
}

impl Running {
    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }
}

/// Starts it; the flag is the one of the probes.
pub fn start(arguments: &[&str], probe_flag: &str, kubeconfig: Option<&Path>) -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let (probes, metrics) = (free_port()?, free_port()?);
    let mut command = Command::new(program(folder.path())?);
    command.env_clear().args(arguments);
    command
        .arg(format!("{probe_flag}=127.0.0.1:{probes}"))
        .arg(format!("--metrics-addr=127.0.0.1:{metrics}"));
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    let process = Process::spawn("external-secrets", command, folder.path())?;
    Ok(Running { process, probes, metrics, _folder: folder })
}

/// Waits until it is ready, looks at all three endpoints, stops it.
async fn healthy(mut running: Running) -> Result<String> {
    let probes = local(running.probes);
    running
        .process
        .wait_until_async(PATIENCE, async || {
            http_get(probes, "/readyz", &[]).is_ok_and(|of| of.status == 200)
        })
        .await?;
    assert_eq!(http_get(probes, "/healthz", &[])?.status, 200);
    assert!(http_get(local(running.metrics), "/metrics", &[])?.body.contains("_build_info"));
    assert!(running.process.terminate(PATIENCE)?.success(), "{}", running.process.log()?);
    running.process.log()
}

#[test]
fn the_controller_runs_this_half_alone_with_the_flags_of_the_chart() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
        let arguments = [
            "--concurrent=2",
            "--loglevel=info",
            "--zap-time-encoding=epoch",
            "--enable-leader-election=true",
            "--leader-election-id=eso",
            "--store-requeue-interval=1m",
            "--enable-push-secret-reconciler=false",
        ];
        let running = start(&arguments, "--live-addr", Some(&kubeconfig))?;
        plane.apply_manifests(super::external::FIRST).await?;
        let client = plane.client()?;
        secret(&client, "shop", "app").await?;
        let leases: kube::Api<k8s_openapi::api::coordination::v1::Lease> =
            kube::Api::namespaced(client.clone(), "default");
        eventually("the lease has upstream's name", PATIENCE, async || leases.get("eso").await.ok()).await?;
        let log = healthy(running).await?;
        assert!(log.contains("no effect") && log.contains("zap-time-encoding"), "{log}");
        let keys: kube::Api<k8s_openapi::api::core::v1::Secret> = kube::Api::namespaced(client, HOME);
        let keys = keys
            .list(&kube::api::ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key"))
            .await?;
        assert!(keys.items.is_empty(), "the other half does not run");
        Ok(())
    });
}

#[test]
fn what_is_not_understood_ends_the_process_as_cobra_does() -> Result<()> {
    for (arguments, first) in [
        (&["--nope"][..], "Error: unknown flag: --nope"),
        (&["webhook", "--live-addr=:1"], "Error: unknown flag: --live-addr"),
        (&["nonsense"], "Error: unknown command \"nonsense\" for \"external-secrets\""),
        (
            &["--concurrent=x"],
            "Error: invalid argument \"x\" for \"--concurrent\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            &["--store-requeue-interval=1d"],
            "Error: invalid argument \"1d\" for \"--store-requeue-interval\" flag: time: unknown unit \"d\" in duration \"1d\"",
        ),
    ] {
        let output = ended(arguments)?;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(output.stderr.lines().next(), Some(first), "{arguments:?}");
        assert!(output.stderr.contains("Usage:\n  external-secrets"), "{}", output.stderr);
    }
    Ok(())
}

#[test]
fn flags_that_protect_are_not_dropped() -> Result<()> {
    for arguments in [
        &["--metrics-secure"][..],
        &["--metrics-auth=true"],
        &["--template-left-delimiter=[["],
        &["--enable-leader-election", "--leader-election-renew-deadline=20s"],
        &["--live-addr=nonsense"],
    ] {
        let output = ended(arguments)?;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", output.stderr);
        assert!(!output.stderr.contains("Usage:"), "{}", output.stderr);
    }
    Ok(())
}

/// Every flag of the real one's help is taken, with its default; the real one is 0.20.4, which has fewer.
#[test]
fn the_real_flags_are_all_there() -> Result<()> {
    for subcommand in [&[][..], &["webhook"], &["certcontroller"]] {
        let arguments: Vec<&str> = subcommand.iter().copied().chain(["--help"]).collect();
        let ours = ended(&arguments)?.text()?;
        let mut command = sealops_testenv::Parts::locate()?.command("external-secrets")?;
        command.args(&arguments);
        let theirs = run_peer(command, b"", Duration::from_secs(60))?.text()?;
        let (ours, theirs) = (flags(&ours), flags(&theirs));
        let mut missing: Vec<_> = theirs.iter().filter(|flag| !ours.contains(flag)).collect();
        // 2.9 has these as hidden aliases: not in the help, but taken.
        for (name, default) in missing.extract_if(.., |(name, _)| name.starts_with("experimental-")) {
            let value = if default.is_empty() { "false" } else { default };
            let flag = format!("--{name}={value}");
            let arguments: Vec<&str> = subcommand.iter().copied().chain([flag.as_str(), "--help"]).collect();
            ended(&arguments)?.text()?;
        }
        assert!(theirs.len() > 8, "{theirs:?}");
        assert!(missing.is_empty(), "{subcommand:?}: {missing:?}; ours: {ours:?}");
    }
    Ok(())
}

/// Name, type and default of each flag in a help text.
fn flags(help: &str) -> Vec<(String, String)> {
    let section = help.split("\nFlags:\n").nth(1).unwrap_or_default();
    let line = |line: &str| {
        let flag = line.trim_start().strip_prefix("--")?;
        let name = flag.split(' ').next()?.to_owned();
        let default =
            line.rsplit_once("(default ").map_or("", |(_, rest)| rest.trim_end().trim_end_matches(')'));
        Some((name, default.to_owned()))
    };
    section.lines().filter_map(line).collect()
}
