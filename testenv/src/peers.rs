//! The command-line tools that sealops must agree with.
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::parts::Parts;

/// The real `kubeseal` and `sops`, without any environment of the caller's.
///
/// A command from here knows only `PATH`: a developer's kubeconfig, AWS profile or key agent cannot change a test's
/// result. Set what the test needs (`KUBECONFIG`, `SOPS_AGE_KEY`, `HOME`, …) and run it by
/// [`run_peer`](crate::run_peer()), which never hangs.
#[derive(Debug, Clone, Copy)]
pub struct Peers {
    parts: &'static Parts,
}

impl Peers {
    /// Finds the peers.
    ///
    /// # Errors
    /// As [`Parts::locate`].
    pub fn locate() -> Result<Self> {
        Ok(Self { parts: Parts::locate()? })
    }

    /// Returns a command that runs kubeseal 0.40.0.
    ///
    /// # Errors
    /// As [`Parts::path`].
    pub fn kubeseal(&self) -> Result<Command> {
        self.command("kubeseal")
    }

    /// Returns a command that runs SOPS 3.13.3.
    ///
    /// # Errors
    /// As [`Parts::path`].
    pub fn sops(&self) -> Result<Command> {
        self.command("sops")
    }

    /// Returns the file with the upstream definition of `SealedSecret`.
    ///
    /// # Errors
    /// As [`Parts::path`].
    pub fn sealed_secret_crd(&self) -> Result<&'static Path> {
        self.parts.path("sealed-secrets-crd")
    }

    fn command(&self, name: &str) -> Result<Command> {
        let mut command = self.parts.command(name)?;
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        Ok(command)
    }
}
