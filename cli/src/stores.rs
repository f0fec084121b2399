//! What stores of a folder may use: flags of the commands that read them, and the runtime that waits for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealops_controller::external::StoreEnvironment;
use sealops_crypto::sops::KeyPolicy;
use sealops_formats::Plaintext;
use sealops_providers::{Egress, OwnIdentity, Reach};

use crate::error::CommandError;
use crate::files;

/// Largest `~/.vault-token`.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// Most seconds that stores can be given.
const MAX_SECONDS: u64 = 86_400;

/// Flags for stores. Nothing is reached without them: manifests that somebody else wrote say where Secrets are sent.
#[derive(clap::Args)]
#[command(next_help_heading = "Stores of ExternalSecrets")]
pub(crate) struct StoreFlags {
    /// Let stores ask this server, such as `https://vault.example.com:8200` or `https://*.eu-west-1.amazonaws.com`; may be
    /// repeated. A `*` stands for one label of a host
    #[arg(long, value_name = "URL")]
    allow_server: Vec<String>,
    /// Let stores ask whatever server the manifests name. They can send Secrets of the folder there
    #[arg(long, conflicts_with = "allow_server")]
    allow_network: bool,
    /// Lend this machine's own identity to stores without credentials in the folder: AWS's usual places, and VAULT_TOKEN
    /// or ~/.vault-token for the server of VAULT_ADDR in place of a service account
    #[arg(long)]
    own_identity: bool,
    /// Run generators. What they make is another at each run; some leave a lease or an account at their provider
    #[arg(long)]
    pub(crate) allow_generators: bool,
    /// Seconds for all stores together
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS))]
    store_timeout: u64,
}

impl StoreFlags {
    /// Returns what stores may use.
    ///
    /// # Errors
    /// Fails for a pattern that cannot be meant, and where a token cannot be read.
    pub(crate) fn environment(&self) -> Result<StoreEnvironment, CommandError> {
        let mut servers = if self.allow_network { KeyPolicy::open() } else { KeyPolicy::closed() };
        for pattern in &self.allow_server {
            let text = pattern.trim_end_matches('/');
            if !["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
                let text = format!("--allow-server {pattern:?}: it has to begin with https:// or http://");
                return Err(CommandError::usage(text));
            }
            servers.allow(text).map_err(|error| CommandError::usage(format!("--allow-server: {error}")))?;
        }
        let identity = if self.own_identity { OwnIdentity::StandsIn } else { OwnIdentity::Never };
        let mut reach = Reach::new(servers, identity);
        if self.own_identity
            && let Some((address, token)) = vault_login()?
        {
            reach = reach.with_vault(&address, token);
        }
        let network = cfg!(feature = "clouds");
        let egress = Egress::NoLinkLocal;
        Ok(StoreEnvironment { network, egress, reach: Arc::new(reach), ..StoreEnvironment::default() })
    }

    /// Returns how long all stores may take.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        cfg!(feature = "clouds").then(|| Duration::from_secs(self.store_timeout))
    }
}

/// Returns flags that would allow what was refused.
pub(crate) fn hints(reach: &Reach) -> Vec<String> {
    let refused = reach.refused();
    let mut hints = Vec::new();
    if !refused.servers.is_empty() {
        let flags: Vec<String> =
            refused.servers.iter().map(|server| format!("--allow-server {server}")).collect();
        hints.push(format!("{} lets stores ask there", flags.join(" ")));
    }
    if refused.identity {
        hints.push(
            "--own-identity lends this machine's identity to stores without credentials in the folder"
                .to_owned(),
        );
    }
    hints
}

/// Returns server and token of this machine's own login to Vault.
fn vault_login() -> Result<Option<(String, Plaintext)>, CommandError> {
    let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let Some(address) = text("VAULT_ADDR") else { return Ok(None) };
    if let Some(token) = text("VAULT_TOKEN") {
        return Ok(Some((address, token.into())));
    }
    let Some(home) = text("HOME") else { return Ok(None) };
    let file = PathBuf::from(home).join(".vault-token");
    if !file.exists() {
        return Ok(None);
    }
    let token = files::read(&file, MAX_TOKEN_BYTES)?;
    Ok(Some((address, Plaintext::from(token.expose().trim_ascii()))))
}

/// Waits for stores.
///
/// # Errors
/// Fails where no thread can be started.
#[cfg(feature = "clouds")]
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        CommandError::input(format!("cannot start the thread that speaks to stores: {error}"))
    })?;
    let result = runtime.block_on(work);
    // A name server that does not answer holds nobody up.
    runtime.shutdown_background();
    Ok(result)
}

/// Nothing waits here: there are no stores on a network in this build.
#[cfg(not(feature = "clouds"))]
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    Ok(pollster::block_on(work))
}
