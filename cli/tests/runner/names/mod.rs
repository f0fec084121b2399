//! Names of servers: our lookups beside those of Go's own resolver, at servers with every fault, and the commands that use
//! them.

mod cases;
mod commands;
mod judge;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A folder with the files of /etc that decide how names are looked up.
pub(crate) struct Etc(TempDir);

impl Etc {
    pub(crate) fn new(hosts: &str, resolv_conf: &str, nsswitch: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("etc").tempdir().unwrap();
        for (name, text) in [("hosts", hosts), ("resolv.conf", resolv_conf), ("nsswitch.conf", nsswitch)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
