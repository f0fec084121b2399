//! Keys in Huawei Cloud KMS. A fake of ours stands in for Huawei Cloud; Huawei's own SDK and the real sops judge it first.

mod conformance;
mod faults;
mod logins;
mod operations;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealops_formats::base64;
use sealops_testenv::{FakeHuawei, with_mounts};
use tempfile::TempDir;

use super::world::{Outcome, Side, World, finish};

/// Nothing of these is shown by ours, whatever happens.
const SECRETS: [&str; 7] = [
    FakeHuawei::ACCESS,
    FakeHuawei::SECRET,
    FakeHuawei::ENDING_ACCESS,
    FakeHuawei::ENDING_SECRET,
    FakeHuawei::ENDING_TOKEN,
    FakeHuawei::METADATA_TOKEN,
    FakeHuawei::TEXT,
];
const SIDES: [Side; 2] = [Side::Theirs, Side::Ours];
/// A key of the region with the global IAM.
const KEY: &str = "eu-west-101:11111111-2222-3333-4444-555555555555";
/// Variables of the access key.
const LOGIN: [(&str, &str); 2] =
    [("HUAWEICLOUD_SDK_AK", FakeHuawei::ACCESS), ("HUAWEICLOUD_SDK_SK", FakeHuawei::SECRET)];

/// A fake and what programs need to find it.
struct Cloud {
    fake: FakeHuawei,
    folder: TempDir,
}

impl Cloud {
    fn start() -> Self {
        let fake = FakeHuawei::start(&[id(KEY)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hosts"), fake.hosts()).unwrap();
        fs::write(folder.path().join("ca.pem"), fake.ca_pem()).unwrap();
        Self { fake, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that finds the fake, without credentials.
    fn bare(&self, world: &World, program: &Path) -> Command {
        let mut command = with_mounts(program, &[(&self.path("hosts"), Path::new("/etc/hosts"))]);
        world.environment(&mut command);
        command
            .env("SSL_CERT_FILE", self.path("ca.pem"))
            .env("EDITOR", "sed -i s/three/four/")
            .env("RUST_LOG", "trace");
        command
    }

    /// As [`Self::bare`], with the access key.
    fn command(&self, world: &World, program: &Path) -> Command {
        let mut command = self.bare(world, program);
        command.envs(LOGIN);
        command
    }

    fn run(&self, world: &World, side: Side, line: &[&str]) -> Outcome {
        self.run_with(world, side, line, &[])
    }

    fn run_with(&self, world: &World, side: Side, line: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(world, side.program());
        command.args(line).envs(variables.iter().copied());
        self.judged(side, finish(command, &[]))
    }

    fn sealops(&self, world: &World, line: &[&str]) -> Outcome {
        let mut command = self.command(world, Path::new(env!("CARGO_BIN_EXE_sealops")));
        command.args(line);
        self.judged(Side::Ours, finish(command, &[]))
    }

    /// As [`shown`], and no data key in it either.
    fn judged(&self, side: Side, outcome: Outcome) -> Outcome {
        for part in self.fake.parts().iter().filter(|_| side == Side::Ours) {
            let raw = base64::decode(part.as_bytes()).unwrap();
            for text in [outcome.out.as_slice(), outcome.err.as_bytes()] {
                let has = |bytes: &[u8]| text.windows(bytes.len()).any(|window| window == bytes);
                assert!(!has(part.as_bytes()) && !has(raw.expose()), "a data key is shown");
            }
        }
        shown(side, outcome)
    }

    /// Counts what KMS was asked to do, and the projects that were asked for.
    fn counts(&self) -> [usize; 3] {
        ["/kms/encrypt-data", "/kms/decrypt-data", "/v3/projects"].map(|path| self.fake.count(path))
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

/// Returns the key's part behind the region.
fn id(key: &str) -> &str {
    key.split_once(':').unwrap().1
}
