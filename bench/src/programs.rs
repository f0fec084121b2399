//! The programs under test: ours beside this executable, the peers from the test environment, all of them installed.
//!
//! Installed means copied. A linker writes its output here and there, and the kernel keeps such a file in pieces of one
//! page: each call of a program then takes up to half again as long, until the machine forgets the file and reads it
//! anew. What a package manager or an image has written in one go is kept in large pieces, for both sides.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sealops_testenv::{Parts, Peers};
use tempfile::TempDir;

/// Where the programs are.
pub(crate) struct Programs {
    /// Our command line.
    pub(crate) sealops: PathBuf,
    /// Our command line under the peer's name.
    pub(crate) as_kubeseal: PathBuf,
    /// Our command line under the name `sops`.
    pub(crate) as_sops: PathBuf,
    /// The real sops.
    pub(crate) sops: PathBuf,
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
        let install = |program: PathBuf, name: &str| -> Result<PathBuf> {
            let installed = folder.path().join("bin").join(name);
            std::fs::create_dir_all(installed.parent().context("a folder")?)?;
            std::fs::copy(&program, &installed)
                .with_context(|| format!("{} is copied", program.display()))?;
            Ok(installed)
        };
        let sealops = install(built(beside, "sealops")?, "sealops")?;
        let as_kubeseal = folder.path().join("kubeseal");
        std::os::unix::fs::symlink(&sealops, &as_kubeseal)?;
        let as_sops = folder.path().join("sops");
        std::os::unix::fs::symlink(&sealops, &as_sops)?;
        Ok(Self {
            sealops,
            as_kubeseal,
            as_sops,
            sops: install(Parts::locate()?.path("sops")?.to_owned(), "sops")?,
            controller: install(built(beside, "sealops-controller")?, "sealops-controller")?,
            launch: built(beside, "bench-launch")?,
            template: built(beside, "bench-template")?,
            kubeseal: install(Peers::locate()?.kubeseal()?.get_program().into(), "kubeseal")?,
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
