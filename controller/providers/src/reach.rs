//! What the stores of manifests may use of the machine on which they are opened: which servers are asked, and whether this
//! machine's own identity stands in for credentials that a store does not bring.
//!
//! In a cluster the operator decides by rights and network policies. On somebody's machine a folder of manifests that
//! another person wrote decides where its Secrets are sent, so each server is named by whoever runs the command.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sealops_crypto::sops::KeyPolicy;
use sealops_formats::Plaintext;

use crate::ProviderErrorKind;

/// What becomes of stores that bring no credentials of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnIdentity {
    /// The identity of this process is used where a store names none: a controller.
    #[default]
    Bare,
    /// And in place of service accounts, whose tokens only a cluster makes.
    StandsIn,
    /// It is lent to nobody.
    Never,
}

/// What was asked for and is not allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Servers, as a list that allows them would name them.
    pub servers: BTreeSet<String>,
    /// Whether a store wanted the identity of this machine.
    pub identity: bool,
}

/// Which servers stores may ask, and as whom.
#[derive(Debug)]
pub struct Reach {
    servers: KeyPolicy,
    identity: OwnIdentity,
    /// The server of this machine's own login to Vault, and its token.
    vault: Option<(String, Plaintext)>,
    refused: Mutex<Refusals>,
}

impl Default for Reach {
    fn default() -> Self {
        Self::open()
    }
}

impl Reach {
    /// Allows every server, and the process's own identity where a store names none.
    pub fn open() -> Self {
        Self::new(KeyPolicy::open(), OwnIdentity::Bare)
    }

    /// Allows the servers of a list: patterns of scheme, host and port, such as `https://vault.example.com:8200`.
    pub fn new(servers: KeyPolicy, identity: OwnIdentity) -> Self {
        Self { servers, identity, vault: None, refused: Mutex::default() }
    }

    /// Adds this machine's own token for a Vault, which stands in for service accounts at that server only.
    #[must_use]
    pub fn with_vault(self, address: &str, token: Plaintext) -> Self {
        Self { vault: server_of(address).map(|server| (server, token)), ..self }
    }

    /// Returns this machine's own token for a Vault.
    ///
    /// # Errors
    /// Fails where there is none, or it is for another server.
    pub fn vault_token(&self, address: &str) -> Result<Plaintext, ProviderErrorKind> {
        let Some((server, token)) = &self.vault else {
            let text = "the store logs in as a service account, and this machine has no login of its own: VAULT_ADDR \
                        with VAULT_TOKEN or ~/.vault-token";
            return Err(ProviderErrorKind::Unauthenticated(text.to_owned()));
        };
        if server_of(address).as_ref() != Some(server) {
            let text =
                format!("the token of this machine is for {server} (VAULT_ADDR) and was not sent elsewhere");
            return Err(ProviderErrorKind::Forbidden(text));
        }
        Ok(token.duplicate())
    }

    /// Returns whether every server is allowed.
    pub fn is_open(&self) -> bool {
        self.servers.is_open()
    }

    /// Checks the server of an address. Path, query and user of the address count nothing.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Forbidden`] for one that is not on the list.
    pub fn server(&self, address: &str) -> Result<(), ProviderErrorKind> {
        if self.is_open() {
            return Ok(());
        }
        let Some(server) = server_of(address) else {
            return Err(ProviderErrorKind::Invalid("the address of the store is none".to_owned()));
        };
        if self.servers.check_address(&format!("{server}/")).is_ok() {
            return Ok(());
        }
        let text =
            format!("{server} is not on the list of servers that stores may ask here; nothing was sent");
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).servers.insert(server);
        Err(ProviderErrorKind::Forbidden(text))
    }

    /// Checks that the identity of this process may be used where a store names none.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Forbidden`] where it may not.
    pub fn identity(&self) -> Result<(), ProviderErrorKind> {
        if self.identity != OwnIdentity::Never {
            return Ok(());
        }
        self.note_identity();
        let text =
            "the store names no credentials, and this machine's own are not lent to it; nothing was sent";
        Err(ProviderErrorKind::Forbidden(text.to_owned()))
    }

    /// Returns whether the identity of this machine is used in place of a service account's.
    pub fn stands_in(&self) -> bool {
        if self.identity == OwnIdentity::Never {
            self.note_identity();
        }
        self.identity == OwnIdentity::StandsIn
    }

    /// Returns what was refused until now.
    pub fn refused(&self) -> Refusals {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_identity(&self) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).identity = true;
    }
}

/// Returns scheme, host and port of an address, without the port that the scheme has anyway.
fn server_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Where some readers take a backslash for a slash, the host would be another one.
    if authority.contains('\\') {
        return None;
    }
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    Some(format!("{scheme}://{}", host.strip_suffix(port).unwrap_or(&host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_by_scheme_host_and_port() {
        let policy = KeyPolicy::parse("https://vault.example:8200\nhttps://*.cloud.example\nhttp://[::1]:80");
        let reach = Reach::new(policy.unwrap(), OwnIdentity::Never);
        for address in [
            "https://vault.example:8200",
            "https://VAULT.example:8200/v1/secret?x=1",
            "https://user:hunter2@vault.example:8200/",
            "https://eu.cloud.example:443/path",
        ] {
            assert_eq!(reach.server(address), Ok(()), "{address}");
        }
        for address in [
            "http://vault.example:8200",
            "https://vault.example",
            "https://vault.example:8200@evil.example/",
            "https://evil.example/https://vault.example:8200",
            "https://evil.example\\@vault.example:8200/",
            "https://evil.example#.cloud.example",
            "https://a.b.cloud.example",
            "ftp://vault.example:8200",
            "vault.example:8200",
            "https://",
        ] {
            assert!(reach.server(address).is_err(), "{address}");
        }
        let servers = reach.refused().servers;
        assert!(servers.contains("https://evil.example") && servers.contains("https://vault.example"));
        assert!(!format!("{servers:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_open_refuses_nothing() {
        let reach = Reach::open();
        assert_eq!(reach.server("anything"), Ok(()));
        assert_eq!(reach.identity(), Ok(()));
        assert!(!reach.stands_in());
        assert_eq!(reach.refused(), Refusals::default());
    }

    #[test]
    fn an_identity_that_is_not_lent_is_remembered() {
        let reach = Reach::new(KeyPolicy::open(), OwnIdentity::Never);
        assert!(reach.identity().is_err() && !reach.stands_in());
        assert!(reach.refused().identity);
        let lent = Reach::new(KeyPolicy::closed(), OwnIdentity::StandsIn);
        assert!(lent.identity().is_ok() && lent.stands_in() && !lent.refused().identity);
    }

    #[test]
    fn a_token_goes_to_its_own_server_only() {
        let reach = Reach::new(KeyPolicy::open(), OwnIdentity::StandsIn);
        assert!(reach.vault_token("https://vault.example").is_err());
        let reach = reach.with_vault("https://vault.example/", "hunter2".into());
        assert_eq!(reach.vault_token("https://vault.example:443/x").unwrap().expose(), b"hunter2");
        let error = reach.vault_token("https://evil.example").unwrap_err().to_string();
        assert!(
            error.contains("https://vault.example (VAULT_ADDR)") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(!format!("{reach:?}").contains("hunter2"));
    }
}
