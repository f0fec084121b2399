//! The keys of this machine, judged by the real gpg, age and sops.
#![allow(missing_docs, clippy::unwrap_used)]
#![allow(dead_code, unreachable_pub, reason = "testenv's files have more than these tests use")]

// Three files of testenv, and not the crate: these tests need no cluster, and should not wait for a client of one.
#[path = "../../../../testenv/src/parts.rs"]
mod parts;
#[path = "../../../../testenv/src/peers.rs"]
mod peers;
mod process;
#[path = "../../../../testenv/src/run_peer.rs"]
mod run_peer;

mod age_keys;
mod age_vectors;
#[cfg(feature = "aws")]
mod aws;
mod gpg;
mod peer;
mod sops_files;
#[cfg(feature = "vault")]
mod vault;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use sealops_formats::Plaintext;
use sealops_providers::local::{Environment, LocalKeys, NoPrompt, Prompt};

use parts::Parts;
use run_peer::run_peer;

/// Keys that see these variables, `PATH`, and nothing else.
fn local_keys(variables: &[(&str, &str)]) -> LocalKeys {
    local_keys_asking(variables, Arc::new(NoPrompt))
}

fn local_keys_asking(variables: &[(&str, &str)], prompt: Arc<dyn Prompt>) -> LocalKeys {
    let path = std::env::var("PATH").unwrap_or_default();
    let all = variables.iter().copied().chain([("PATH", path.as_str())]);
    LocalKeys::new(Environment::new(all), prompt)
}

/// Answers every question for a passphrase with the same one, and counts.
struct Answers(&'static str, std::sync::atomic::AtomicUsize);

impl Answers {
    fn new(answer: &'static str) -> Arc<Self> {
        Arc::new(Self(answer, std::sync::atomic::AtomicUsize::new(0)))
    }

    fn asked(&self) -> usize {
        self.1.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Prompt for Answers {
    fn passphrase(&self, _: &str) -> Option<Plaintext> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some(Plaintext::from(self.0))
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _: &str) {}
}

/// A file of SOPS's own repository.
fn sops_file(path: &str) -> Result<String> {
    let path = Parts::locate()?.path("sops-files")?.join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// A constant of SOPS's tests for age keys.
fn age_constant(name: &str) -> Result<String> {
    let text = sops_file("age/keysource_test.go")?;
    let start = text.find(&format!("\t{name} ")).with_context(|| format!("no constant {name}"))?;
    let value = text[start..].split_once("= ").context("no value")?.1;
    let quote = value.chars().next().context("no quote")?;
    Ok(value[1..].split_once(quote).context("no end")?.0.to_owned())
}

/// A home of gpg with a key in it; its agent ends with it. The path is short: it becomes part of a socket's.
struct GpgHome(tempfile::TempDir);

impl GpgHome {
    fn with_key(armored: &str) -> Result<Self> {
        let home = Self(tempfile::Builder::new().prefix("g").tempdir_in("/tmp")?);
        let mut import = Command::new("gpg");
        import.args(["--batch", "--homedir", home.path(), "--import"]);
        let output = run_peer(import, armored.as_bytes(), std::time::Duration::from_secs(60))?;
        ensure!(output.status.success(), "gpg --import: {}", output.stderr);
        Ok(home)
    }

    fn path(&self) -> &str {
        Path::new(self.0.path()).to_str().unwrap()
    }
}

impl Drop for GpgHome {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--homedir", self.path(), "--kill", "gpg-agent"]).status();
    }
}
