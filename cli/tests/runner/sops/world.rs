//! A folder in which the real sops and ours do the same, and what is left there afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use sealops_testenv::{Parts, run_peer};
use tempfile::TempDir;

/// Longer than any honest command takes, also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Recipients of the keys `testdata/keys/sops-{a,b,c}.age`.
pub(crate) const AGE_A: &str = "age19au0y7s5nqeuhh6kz9sygha6md3ae7wzekx90lzs08099ghk5a4shqvx72";
pub(crate) const AGE_B: &str = "age1psfrpgturjt9rkapyql3m3vkhagrphq8jpa4la43ppdz528md4vsm0e6lm";
pub(crate) const AGE_C: &str = "age1gg9jkjehkqhlkuhdn5phq6w0fnuf3pcwqkn67aa4566yqvjsmvmq2z7xlg";

/// Which program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Theirs,
    Ours,
}

/// Who writes, and who reads.
pub(crate) const BOTH: [(Side, Side); 2] = [(Side::Ours, Side::Theirs), (Side::Theirs, Side::Ours)];

impl Side {
    /// Returns the program under the name `sops`.
    pub(crate) fn program(self) -> &'static Path {
        static OURS: OnceLock<TempDir> = OnceLock::new();
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        match self {
            Self::Theirs => Parts::locate().unwrap().path("sops").unwrap(),
            Self::Ours => PROGRAM.get_or_init(|| {
                let folder = OURS.get_or_init(|| tempfile::tempdir().unwrap());
                let program = folder.path().join("sops");
                symlink(env!("CARGO_BIN_EXE_sealops"), &program).unwrap();
                program
            }),
        }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn ok(self) -> Vec<u8> {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }
}

/// Returns the text of an age identity file of `testdata`.
pub(crate) fn identity(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/keys");
    fs::read_to_string(Path::new(folder).join(format!("sops-{name}.age"))).unwrap()
}

/// A folder with the identities A and C in its home.
pub(crate) struct World {
    folder: TempDir,
    gnupg: Option<PathBuf>,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::Builder::new().prefix("w").tempdir().unwrap(), gnupg: None };
        world.reset();
        world
    }

    /// Uses the keyring of that folder.
    pub(crate) fn with_gnupg(mut self, folder: &Path) -> Self {
        self.gnupg = Some(folder.to_owned());
        self
    }

    /// Empties the working folder.
    pub(crate) fn reset(&self) {
        for name in ["work", "home", "tmp"] {
            let path = self.folder.path().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
        }
        fs::write(self.folder.path().join("home/keys.txt"), identity("a") + &identity("c")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the command, in the working folder and with an environment of its own.
    pub(crate) fn command(&self, side: Side) -> Command {
        let mut command = Command::new(side.program());
        self.environment(&mut command);
        command
    }

    pub(crate) fn environment(&self, command: &mut Command) {
        let home = self.folder.path().join("home");
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &home)
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("SOPS_AGE_KEY_FILE", home.join("keys.txt"))
            .env("GNUPGHOME", self.gnupg.as_deref().unwrap_or(&home));
    }

    pub(crate) fn run(&self, side: Side, arguments: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = self.command(side);
        command.args(arguments);
        finish(command, stdin)
    }

    /// Returns every file of the working folder: name, mode, content.
    pub(crate) fn files(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        collect(&self.path(""), &self.path(""), &mut found);
        found
    }

    /// Returns what is left in the folder for temporary files.
    pub(crate) fn temporary(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let folder = self.folder.path().join("tmp");
        collect(&folder, &folder, &mut found);
        found
    }
}

pub(crate) fn finish(command: Command, stdin: &[u8]) -> Outcome {
    let output = run_peer(command, stdin, TIMEOUT).unwrap();
    Outcome { code: output.status.code().unwrap_or(-1), out: output.stdout, err: output.stderr }
}

/// Returns a text with the lines of reasons put together again.
pub(crate) fn unbroken(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for line in text.lines() {
        let (before, rest) = match line.trim_start().strip_prefix("| ") {
            Some(rest) => (' ', rest),
            None => ('\n', line),
        };
        whole.push(before);
        whole.push_str(rest);
    }
    whole
}

fn collect(top: &Path, folder: &Path, found: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(top).unwrap().display().to_string();
        if metadata.is_dir() {
            found.insert(format!("{name}/"), (metadata.permissions().mode() & 0o7777, Vec::new()));
            collect(top, &path, found);
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap().display().to_string();
            found.insert(format!("{name}@"), (0, target.into_bytes()));
        } else if metadata.is_file() {
            found.insert(name, (metadata.permissions().mode() & 0o7777, fs::read(&path).unwrap()));
        }
    }
}

/// Hides what differs from run to run: ciphertexts (their lengths stay), wrapped keys, times, and where the folder is.
pub(crate) fn masked(bytes: &[u8], root: &Path) -> String {
    let text = String::from_utf8_lossy(bytes).replace(&*root.to_string_lossy(), "ROOT");
    let text = mask_values(&text);
    let text = mask_armour(&text);
    mask_times(&text)
}

fn mask_values(text: &str) -> String {
    const START: &str = "ENC[AES256_GCM,data:";
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(START) {
        let (before, found) = rest.split_at(start);
        masked.push_str(before);
        let whole = &found[..found.find(']').unwrap_or(found.len())];
        match whole.find(",type:") {
            Some(end) => {
                let data = whole[START.len()..end].split(',').next().unwrap_or_default();
                masked.push_str(&format!("ENC[{} characters", data.len()));
                rest = &found[end..];
            }
            // A text that only looks like one.
            None => {
                masked.push_str(START);
                rest = &found[START.len()..];
            }
        }
    }
    masked.push_str(rest);
    masked
}

fn mask_armour(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let (before, found) = rest.split_at(start);
        masked.push_str(before);
        masked.push_str("ARMOUR");
        let end = found.find("-----END ").map(|at| at + 9).unwrap_or(found.len());
        rest = found[end..].split_once("-----").map_or("", |(_, rest)| rest);
    }
    masked.push_str(rest);
    masked
}

/// Replaces each RFC 3339 time of this century that ends in `Z` and is of today or yesterday.
fn mask_times(text: &str) -> String {
    let now = jiff::Timestamp::now();
    let days = [now, now - jiff::SignedDuration::from_hours(24)].map(|day| day.to_string()[..11].to_owned());
    let mut masked = text.to_owned();
    for day in days {
        while let Some(start) = masked.find(&day) {
            let end = masked[start..].find('Z').map_or(masked.len(), |at| start + at + 1);
            masked.replace_range(start..end, "NOW");
        }
    }
    masked
}

/// Returns whether the text is a file that SOPS has encrypted.
pub(crate) fn is_encrypted(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("ENC[AES256_GCM,") && text.contains("lastmodified")
}
