//! The programs under test: ours beside this executable, the peer from the test environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sealops_testenv::Peers;
use tempfile::TempDir;

/// Where the programs are.
pub(crate) struct Programs {
    /// Our command line.
    pub(crate) sealops: PathBuf,
    /// Our command line under the peer's name.
    pub(crate) as_kubeseal: PathBuf,
    /// Our controller.
    pub(crate) controller: PathBuf,
    /// The launcher, see `src/launch/main.rs`.
    pub(crate) launch: PathBuf,
    /// Our template engine behind the Go oracle's protocol, see `src/template/main.rs`.
    pub(crate) template: PathBuf,
    /// The real kubeseal.
    pub(crate) kubeseal: PathBuf,
    /// For files of this run.
    pub(crate) folder: TempDir,
}

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// If one was not built; building the peer is left to the test environment.
    pub(crate) fn locate() -> Result<Self> {
        let own = std::env::current_exe()?;
        let beside = own.parent().context("this executable is in no folder")?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
        let sealops = built(beside, "sealops")?;
        let as_kubeseal = folder.path().join("kubeseal");
        std::os::unix::fs::symlink(&sealops, &as_kubeseal)?;
        Ok(Self {
            sealops,
            as_kubeseal,
            controller: built(beside, "sealops-controller")?,
            launch: built(beside, "bench-launch")?,
            template: built(beside, "bench-template")?,
            kubeseal: Peers::locate()?.kubeseal()?.get_program().into(),
            folder,
        })
    }
}

fn built(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    ensure!(path.exists(), "{} is not built: run `make bench`", path.display());
    Ok(path)
}

/// Returns a file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
