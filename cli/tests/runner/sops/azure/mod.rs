//! Keys in Azure Key Vault. A fake of ours stands in for Azure; Azure's own library and the real sops judge it first.

mod conformance;
mod faults;
mod logins;
mod operations;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealops_testenv::{FakeAzure, with_mounts};
use tempfile::TempDir;

use super::world::{Outcome, Side, World, finish};

/// Nothing of these is shown by ours, whatever happens.
const SECRETS: [&str; 5] =
    [FakeAzure::SECRET, FakeAzure::TOKEN, FakeAzure::FEDERATED, FakeAzure::IDENTITY_HEADER, FakeAzure::TEXT];

/// A fake and what programs need to find it.
struct Cloud {
    fake: FakeAzure,
    folder: TempDir,
}

impl Cloud {
    fn start() -> Self {
        let fake = FakeAzure::start(&["k"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hosts"), fake.hosts()).unwrap();
        fs::write(folder.path().join("ca.pem"), fake.ca_pem()).unwrap();
        Self { fake, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The URL of the key `k`, without a version.
    fn key(&self) -> String {
        format!("{}/keys/k", self.fake.vault())
    }

    /// A command that finds the fake, without credentials.
    fn bare(&self, world: &World, program: &Path) -> Command {
        let mut command = with_mounts(program, &[(&self.path("hosts"), Path::new("/etc/hosts"))]);
        world.environment(&mut command);
        command
            .env("SSL_CERT_FILE", self.path("ca.pem"))
            .env("REQUESTS_CA_BUNDLE", self.path("ca.pem"))
            .env("EDITOR", "sed -i s/three/four/")
            .env("RUST_LOG", "trace");
        command
    }

    /// As [`Self::bare`], with the client's secret.
    fn command(&self, world: &World, program: &Path) -> Command {
        let mut command = self.bare(world, program);
        command
            .env("AZURE_TENANT_ID", FakeAzure::TENANT)
            .env("AZURE_CLIENT_ID", FakeAzure::CLIENT)
            .env("AZURE_CLIENT_SECRET", FakeAzure::SECRET);
        command
    }

    fn run(&self, world: &World, side: Side, line: &[&str]) -> Outcome {
        self.run_with(world, side, line, &[])
    }

    fn run_with(&self, world: &World, side: Side, line: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(world, side.program());
        command.args(line).envs(variables.iter().copied());
        shown(side, finish(command, &[]))
    }

    fn sealops(&self, world: &World, line: &[&str]) -> Outcome {
        let mut command = self.command(world, Path::new(env!("CARGO_BIN_EXE_sealops")));
        command.args(line);
        shown(Side::Ours, finish(command, &[]))
    }
}

/// No credential and no body in anything that ours shows, at any level.
fn shown(side: Side, outcome: Outcome) -> Outcome {
    let out = String::from_utf8_lossy(&outcome.out);
    for secret in SECRETS.iter().filter(|_| side == Side::Ours) {
        assert!(!outcome.err.contains(secret) && !out.contains(secret), "{secret} in {}", outcome.err);
    }
    outcome
}
