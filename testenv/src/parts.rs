//! Where the programs are: the `NAME=PATH` lines that `testenv/build-parts.sh` prints.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// The programs and files that the tests run against, by name (`kubeseal`, `etcd`, `bao`, …).
#[derive(Debug)]
pub struct Parts(BTreeMap<String, PathBuf>);

impl Parts {
    /// Returns the parts of this process: from the file named by `SEALOPS_TEST_PARTS`, which `make test` writes once,
    /// or else by running `testenv/build-parts.sh` (at once when everything is built, minutes when not).
    ///
    /// # Errors
    /// If the file cannot be read, or a part cannot be built; the script has then said why on standard error.
    pub fn locate() -> Result<&'static Self> {
        static PARTS: OnceLock<Result<Parts, String>> = OnceLock::new();
        PARTS
            .get_or_init(|| Self::find().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow::anyhow!(error.clone()))
    }

    /// Returns the path of the part `name`.
    ///
    /// # Errors
    /// If there is no such part, or its file is gone (a cleaned cache with an old `SEALOPS_TEST_PARTS`).
    pub fn path(&self, name: &str) -> Result<&Path> {
        let path = self.0.get(name).with_context(|| {
            format!(
                "no part named {name}: add it to testenv/build-parts.sh, or remove a stale SEALOPS_TEST_PARTS"
            )
        })?;
        ensure!(
            path.exists(),
            "{} is gone: unset SEALOPS_TEST_PARTS and run testenv/build-parts.sh",
            path.display()
        );
        Ok(path)
    }

    /// Returns a command that runs the part `name`.
    ///
    /// # Errors
    /// As [`Parts::path`].
    pub fn command(&self, name: &str) -> Result<Command> {
        self.path(name).map(Command::new)
    }

    fn find() -> Result<Self> {
        if let Some(file) = std::env::var_os("SEALOPS_TEST_PARTS").map(PathBuf::from) {
            let text = std::fs::read_to_string(&file).with_context(|| {
                format!(
                    "{} (SEALOPS_TEST_PARTS): write it with testenv/build-parts.sh, or unset it",
                    file.display()
                )
            })?;
            return Self::parse(&text);
        }
        // This file is also part of the tests of other crates: the script stands beside one of the folders above.
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut scripts = above.map(|folder| folder.join("testenv/build-parts.sh"));
        let script = scripts.find(|script| script.exists()).context("testenv/build-parts.sh is gone")?;
        let output = Command::new("bash")
            .arg(&script)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}: is bash installed?", script.display()))?;
        if !output.status.success() {
            bail!(
                "{} failed: its messages are on standard error; testenv/preflight.sh finds missing programs",
                script.display()
            );
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let (name, path) = line
                    .split_once('=')
                    .with_context(|| format!("{line:?} is not a NAME=PATH line of build-parts.sh"))?;
                Ok((name.to_owned(), PathBuf::from(path)))
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}
