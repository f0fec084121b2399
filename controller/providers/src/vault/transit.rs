//! Transit keys: Vault wraps and unwraps the data keys of SOPS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::base64;
use tokio::sync::OnceCell;

use super::client::Call;
use super::{Json, Session};
use crate::key_service::KeyBackend;
use crate::{BoxFuture, ProviderErrorKind};

/// Opens sessions: knows settings and logins.
pub trait Servers: Send + Sync {
    /// Returns a session with the server at an address.
    fn session<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Session, ProviderErrorKind>>;
}

/// Which servers a file may name. The address stands in the file, and whoever is asked there gets the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowlist {
    /// Every server.
    All,
    /// Addresses that begin with one of these, each of which ends with a slash; none is no server.
    Only(Vec<String>),
}

/// Variable of SOPS that holds the list.
pub const ALLOWLIST: &str = "SOPS_HC_VAULT_ALLOWLIST";

impl Allowlist {
    /// Reads `all`, `none`, or addresses with commas between them.
    ///
    /// # Errors
    /// Returns which entry is empty, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "all" => return Ok(Self::All),
            "none" => return Ok(Self::Only(Vec::new())),
            _ => {}
        }
        let entry = |(index, entry): (usize, &str)| {
            let entry = entry.trim_matches(' ');
            if entry.is_empty() {
                return Err(format!("{ALLOWLIST}'s entry {} is empty", index + 1));
            }
            Ok(with_slash(entry))
        };
        text.split(',').enumerate().map(entry).collect::<Result<_, _>>().map(Self::Only)
    }

    /// Returns whether a server may be asked.
    pub fn allows(&self, address: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(prefixes) => {
                let address = with_slash(address);
                prefixes.iter().any(|prefix| address.starts_with(prefix))
            }
        }
    }
}

fn with_slash(text: &str) -> String {
    if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }
}

/// Wraps and unwraps by transit keys of any server that may be asked. One session for each server.
pub struct Transit {
    servers: Box<dyn Servers>,
    allowed: Result<Allowlist, String>,
    sessions: Mutex<BTreeMap<String, Arc<OnceCell<Session>>>>,
}

impl Transit {
    /// Takes who opens sessions, and which servers may be asked; a list that makes no sense allows none.
    pub fn new(servers: Box<dyn Servers>, allowed: Result<Allowlist, String>) -> Self {
        Self { servers, allowed, sessions: Mutex::default() }
    }

    async fn ask(&self, key: &Named<'_>, verb: &str, body: Json) -> Result<Json, ProviderErrorKind> {
        let allowed = self.allowed.as_ref().map_err(|problem| ProviderErrorKind::Invalid(problem.clone()))?;
        if !allowed.allows(key.address) {
            return Err(ProviderErrorKind::Forbidden(format!(
                "Allowlist does not allow {}; nothing was sent there; add it to {ALLOWLIST} if it is yours",
                key.address
            )));
        }
        let slot = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(key.address.to_owned()).or_default())
        };
        let session = slot.get_or_try_init(|| self.servers.session(key.address)).await?;
        let path = format!("{}/{verb}/{}", key.engine, key.name);
        let answer = session.call(&Call::put(&path, body)).await.map_err(|error| match error {
            ProviderErrorKind::NotFound => {
                ProviderErrorKind::Failed(format!("there is no transit engine or no such key at {path}"))
            }
            other => other,
        })?;
        answer.and_then(|answer| answer.take("data")).ok_or_else(|| no_answer(&path))
    }
}

fn no_answer(path: &str) -> ProviderErrorKind {
    ProviderErrorKind::Failed(format!("the answer to PUT {path} has no result"))
}

/// A transit key.
struct Named<'a> {
    address: &'a str,
    engine: &'a str,
    name: &'a str,
}

impl<'a> Named<'a> {
    fn of(key: &'a MasterKey) -> Result<Self, ProviderErrorKind> {
        match key {
            MasterKey::HcVault { vault_address, engine_path, key_name } => {
                Ok(Self { address: vault_address, engine: engine_path, name: key_name })
            }
            _ => Err(ProviderErrorKind::Unsupported("this kind of key")),
        }
    }
}

impl KeyBackend for Transit {
    const NAME: &'static str = "hc_vault";

    async fn wrap_part(&self, key: &MasterKey, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        let plaintext = base64::encode(part.plaintext().expose());
        let body = Json::map([("plaintext", Json::Text(plaintext))]);
        let data = self.ask(&Named::of(key)?, "encrypt", body).await?;
        data.str_at("ciphertext").map(str::to_owned).ok_or_else(|| no_answer("encrypt"))
    }

    async fn unwrap_part(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        let body = Json::map([("ciphertext", Json::text(wrapped))]);
        let data = self.ask(&Named::of(key)?, "decrypt", body).await?;
        let text = data.text_at("plaintext").ok_or_else(|| no_answer("decrypt"))?;
        let part = base64::decode(text.expose())
            .map_err(|_| ProviderErrorKind::Failed("what the server decrypted is not base64".to_owned()))?;
        Ok(KeyPart::new(part))
    }

    async fn give_back(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        for session in sessions.values().filter_map(|session| session.get()) {
            // A token that stays dies by itself.
            let _ = session.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_allow_what_upstream_allows() {
        let list = |text: &str| Allowlist::parse(text).unwrap();
        assert_eq!(list(""), Allowlist::All);
        assert!(list("all").allows("https://anything"));
        assert!(!list("none").allows("https://v"));
        let some = list(" https://v:8200 ,http://w/");
        for (address, allowed) in [
            ("https://v:8200", true),
            ("https://v:8200/", true),
            ("http://w", true),
            ("https://v:82001", false),
            ("https://v:8200.evil.example", false),
            ("https://v", false),
            ("", false),
        ] {
            assert_eq!(some.allows(address), allowed, "{address}");
        }
        assert_eq!(Allowlist::parse("a,,b").unwrap_err(), "SOPS_HC_VAULT_ALLOWLIST's entry 2 is empty");
    }
}
