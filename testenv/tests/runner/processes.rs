use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sealops_testenv::{Peers, Process, free_port, run_peer, stretched};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn early_exit_is_reported_with_the_log() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut process = Process::spawn("fails", shell("echo port taken >&2; exit 7"), folder.path())?;
    let started = Instant::now();
    let error = process.wait_until(Duration::from_secs(60), || false).expect_err("it has ended").to_string();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(error.contains("fails ended before it was ready") && error.contains("exit status: 7"), "{error}");
    assert!(error.contains("port taken"), "{error}");
    Ok(())
}

#[test]
fn missed_deadline_is_reported_with_the_log() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut process = Process::spawn("slow", shell("echo still busy; exec sleep 600"), folder.path())?;
    process.wait_until(Duration::from_secs(20), || folder_log(&folder).contains("busy"))?;
    let error = process.wait_until(Duration::from_millis(50), || false).expect_err("never ready").to_string();
    assert!(error.contains("slow is not ready in time") && error.contains("still busy"), "{error}");
    Ok(())
}

fn folder_log(folder: &tempfile::TempDir) -> String {
    std::fs::read_to_string(folder.path().join("slow.log")).unwrap_or_default()
}

#[test]
fn dropped_process_is_gone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let process = Process::spawn("sleeper", shell("exec sleep 600"), folder.path())?;
    let entry = format!("/proc/{}", process.pid());
    assert!(std::path::Path::new(&entry).exists());
    drop(process);
    assert!(!std::path::Path::new(&entry).exists());
    Ok(())
}

#[test]
fn servers_die_with_a_killed_test_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cluster = Process::spawn("cluster", Command::new(env!("CARGO_BIN_EXE_cluster")), folder.path())?;
    let log = folder.path().join("cluster.log");
    let kubeconfig = || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.lines().find_map(|line| line.strip_prefix("export KUBECONFIG=").map(str::to_owned))
    };
    cluster.wait_until(Duration::from_secs(120), || kubeconfig().is_some())?;
    let config = kube::config::Kubeconfig::read_from(kubeconfig().context("no kubeconfig")?)?;
    let url = config.clusters[0]
        .cluster
        .as_ref()
        .and_then(|cluster| cluster.server.clone())
        .context("no server")?;
    let address: SocketAddr = url.trim_start_matches("https://").parse()?;
    TcpStream::connect(address)?;

    // SIGKILL: nothing is dropped.
    cluster.kill()?;
    let deadline = Instant::now() + stretched(Duration::from_secs(20));
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "the API server of a killed process still listens");
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn hanging_peer_is_killed_by_its_timeout() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certificate = folder.path().join("certificate.pem");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=t",
        "-keyout",
        "/dev/null",
        "-out",
    ]);
    openssl.arg(&certificate);
    run_peer(openssl, b"", Duration::from_secs(60))?.text()?;

    // kubeseal never returns from this input.
    let mut kubeseal = Peers::locate()?.kubeseal()?;
    kubeseal.arg("--cert").arg(&certificate);
    let started = Instant::now();
    let error = run_peer(kubeseal, b"{{{", Duration::from_secs(1)).expect_err("kubeseal hangs").to_string();
    assert!(error.contains("still runs after"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    Ok(())
}

#[test]
fn children_of_a_hanging_peer_are_killed_too() -> Result<()> {
    // The grandchild keeps the pipes open: without killing the group, reading them would take ten minutes.
    let started = Instant::now();
    let error = run_peer(shell("echo so far >&2; sleep 600; true"), b"", Duration::from_secs(1));
    assert!(error.expect_err("it sleeps").to_string().ends_with("so far"));
    assert!(started.elapsed() < Duration::from_secs(20));
    Ok(())
}

#[test]
fn peer_gets_its_input_and_its_failure_is_no_error() -> Result<()> {
    let input = vec![b'x'; 1 << 20];
    let output = run_peer(shell("cat; echo said >&2; exit 3"), &input, Duration::from_secs(20))?;
    assert_eq!(
        (output.status.code(), output.stdout == input, output.stderr.as_str()),
        (Some(3), true, "said\n")
    );
    assert!(output.text().expect_err("exit 3").to_string().contains("said"));
    Ok(())
}

#[test]
fn ports_are_free_and_differ() -> Result<()> {
    let ports: Vec<u16> = (0..50).map(|_| free_port()).collect::<Result<_>>()?;
    let mut different = ports.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), ports.len());
    Ok(())
}
