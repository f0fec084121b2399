//! OpenBao in development mode: in memory, unsealed, kv version 2 at `secret/`, one root token.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::http_probe::http_get;
use crate::parts::Parts;
use crate::ports::free_port;
use crate::process::Process;

/// A running OpenBao.
#[derive(Debug)]
pub struct OpenBao {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl OpenBao {
    /// The token that may do everything.
    pub const ROOT_TOKEN: &str = "root";

    /// Starts a server on a free port of 127.0.0.1 and waits (blocking) until its mounts answer.
    ///
    /// # Errors
    /// If it cannot be started or is not ready in time.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("openbao-").tempdir()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = Parts::locate()?.command("bao")?;
        command.args(["server", "-dev", "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={}", Self::ROOT_TOKEN));
        command.arg(format!("-dev-listen-address={address}"));
        command.env("HOME", folder.path());
        let mut process = Process::spawn("openbao", command, folder.path())?;
        // `sys/health` is 200 a moment before the mounts of the development mode exist.
        process.wait_until(Duration::from_secs(30), || {
            let path = "/v1/sys/internal/ui/mounts/secret";
            http_get(address, path, &[("X-Vault-Token", Self::ROOT_TOKEN)])
                .is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { process, address, _folder: folder })
    }

    /// Returns the server's URL, for `BAO_ADDR` and `VAULT_ADDR`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the process, to pause or end it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
