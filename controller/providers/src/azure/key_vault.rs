//! Keys of SOPS in Azure Key Vault: RSA-OAEP with SHA-256, by the vault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::Method;
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::Plaintext;
use tokio::sync::OnceCell;

use super::vaults::{Call, Vaults};
use super::{Credentials, base64url, invalid, is_word};
use crate::ProviderErrorKind;
use crate::http::HttpClient;
use crate::json::Json;
use crate::key_service::KeyBackend;

/// What SOPS encrypts with.
const ALGORITHM: &str = "RSA-OAEP-256";
/// Longest version, in bytes; Azure's have 32.
const MAX_VERSION_BYTES: usize = 128;

type Versions = HashMap<(String, String), Arc<OnceCell<String>>>;

/// Wraps and unwraps by keys of Azure Key Vault, of any vault.
pub struct KeyVaults {
    vaults: Vaults,
    /// Newest versions, by vault and name.
    versions: Mutex<Versions>,
}

/// A key, as the vault wants it.
struct Key<'a> {
    vault: &'a str,
    name: &'a str,
    version: &'a str,
}

impl KeyVaults {
    /// Takes the client, and who logs in.
    pub fn new(http: HttpClient, credentials: Credentials) -> Self {
        Self { vaults: Vaults::new(http, credentials), versions: Mutex::default() }
    }

    async fn encrypt(&self, key: &Key<'_>, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        let answer = self.operate(key, "encrypt", base64url::encode(part.plaintext().expose())).await?;
        let value = answer.str_at("value").map(|value| value.trim_end_matches('='));
        let value = value.filter(|value| base64url::is_text(value)).ok_or_else(|| no("ciphertext"))?;
        Ok(value.to_owned())
    }

    async fn decrypt(&self, key: &Key<'_>, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        let wrapped = wrapped.trim();
        if !base64url::is_text(wrapped) {
            return Err(ProviderErrorKind::Failed("the wrapped key is no base64url".to_owned()));
        }
        let answer = self.operate(key, "decrypt", Plaintext::from(wrapped)).await?;
        let value = answer.text_at("value").ok_or_else(|| no("plaintext"))?;
        base64url::decode(value).map(KeyPart::new).ok_or_else(|| no("plaintext"))
    }

    async fn operate(
        &self,
        key: &Key<'_>,
        operation: &str,
        value: Plaintext,
    ) -> Result<Json, ProviderErrorKind> {
        let body = Json::map([("alg", Json::text(ALGORITHM)), ("value", Json::Text(value))]).to_text();
        let path = format!("{}/{operation}", key.path()?);
        let answer = self.vaults.call(&Call { method: Method::POST, vault: key.vault, path, body }).await?;
        let used = answer.str_at("kid").and_then(version_of);
        if !key.version.is_empty() && used.is_some_and(|used| !used.eq_ignore_ascii_case(key.version)) {
            return Err(ProviderErrorKind::Failed(
                "the vault answered for another version of the key".to_owned(),
            ));
        }
        Ok(answer)
    }

    /// Returns the newest version of a key; asked for once.
    async fn newest(&self, key: &Key<'_>) -> Result<String, ProviderErrorKind> {
        let cell = {
            let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(versions.entry((key.vault.to_owned(), key.name.to_owned())).or_default())
        };
        let ask = || async {
            let call =
                Call { method: Method::GET, vault: key.vault, path: key.path()?, body: Plaintext::default() };
            let answer = self.vaults.call(&call).await?.take("key").ok_or_else(|| no("key"))?;
            let version = answer.str_at("kid").and_then(version_of);
            version.map(ToOwned::to_owned).ok_or_else(|| no("version"))
        };
        cell.get_or_try_init(ask).await.cloned()
    }
}

fn no(what: &str) -> ProviderErrorKind {
    ProviderErrorKind::Failed(format!("the answer of the vault has no {what}"))
}

/// Returns the version of a key's id: `https://VAULT/keys/NAME/VERSION`.
fn version_of(id: &str) -> Option<&str> {
    let version = id.split_once("/keys/")?.1.split_once('/')?.1;
    (is_word(version, b"-") && version.len() <= MAX_VERSION_BYTES).then_some(version)
}

impl<'a> Key<'a> {
    fn new(key: &'a MasterKey) -> Result<Self, ProviderErrorKind> {
        let MasterKey::AzureKeyVault { vault_url, name, version } = key else {
            return Err(ProviderErrorKind::Unsupported("a key that is none of Azure Key Vault"));
        };
        let vault = vault_url.trim_end_matches('/');
        let rest = vault.strip_prefix("https://").unwrap_or_default();
        let (name_of_host, port) = rest.split_once(':').unwrap_or((rest, "443"));
        if !is_word(name_of_host, b".-") || name_of_host.ends_with('.') || port.parse::<u16>().is_err() {
            return Err(invalid(format!(
                "{vault_url:?} is no address of a vault: it has to be https://NAME.vault.azure.net"
            )));
        }
        Ok(Self { vault, name, version })
    }

    /// Returns the path below the vault. Without a version it is that of the newest.
    fn path(&self) -> Result<String, ProviderErrorKind> {
        if !is_word(self.name, b"-") {
            return Err(invalid(format!("{:?} is no name of a key", self.name)));
        }
        if self.version.is_empty() {
            return Ok(format!("keys/{}", self.name));
        }
        if !is_word(self.version, b"-") || self.version.len() > MAX_VERSION_BYTES {
            return Err(invalid(format!("{:?} is no version of a key", self.version)));
        }
        Ok(format!("keys/{}/{}", self.name, self.version))
    }
}

impl KeyBackend for KeyVaults {
    const NAME: &'static str = "Azure Key Vault";

    async fn wrap_part(&self, key: &MasterKey, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        self.encrypt(&Key::new(key)?, part).await
    }

    async fn unwrap_part(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        self.decrypt(&Key::new(key)?, wrapped).await
    }

    async fn completed(&self, key: &MasterKey) -> Result<Option<MasterKey>, ProviderErrorKind> {
        let MasterKey::AzureKeyVault { vault_url, name, version } = key else { return Ok(None) };
        if !version.is_empty() {
            return Ok(None);
        }
        let version = self.newest(&Key::new(key)?).await?;
        let (vault_url, name) = (vault_url.clone(), name.clone());
        Ok(Some(MasterKey::AzureKeyVault { vault_url, name, version }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(vault_url: &str, name: &str, version: &str) -> MasterKey {
        let (vault_url, name, version) = (vault_url.to_owned(), name.to_owned(), version.to_owned());
        MasterKey::AzureKeyVault { vault_url, name, version }
    }

    #[test]
    fn paths_stay_below_the_vault() {
        let path = |vault: &str, name: &str, version: &str| {
            let key = key(vault, name, version);
            Key::new(&key).and_then(|key| key.path()).ok()
        };
        assert_eq!(path("https://v.vault.azure.net/", "k", "1").as_deref(), Some("keys/k/1"));
        assert_eq!(path("https://v.vault.azure.net:8443", "k", "").as_deref(), Some("keys/k"));
        for (vault, name, version) in [
            ("http://v.vault.azure.net", "k", "1"),
            ("https://v.vault.azure.net/x", "k", "1"),
            ("https://user@v.vault.azure.net", "k", "1"),
            ("https://v.vault.azure.net.", "k", "1"),
            ("https://v.vault.azure.net?x", "k", "1"),
            ("", "k", "1"),
            ("https://v.vault.azure.net", "..", "1"),
            ("https://v.vault.azure.net", "k/../../secrets", "1"),
            ("https://v.vault.azure.net", "k", "../x"),
            ("https://v.vault.azure.net", "", "1"),
        ] {
            assert_eq!(path(vault, name, version), None, "{vault} {name} {version}");
        }
    }

    #[test]
    fn versions_come_from_ids() {
        assert_eq!(version_of("https://v.vault.azure.net/keys/k/0ab1"), Some("0ab1"));
        for id in ["https://v/keys/k", "https://v/keys/k/", "https://v/keys/k/a/b", "k", ""] {
            assert_eq!(version_of(id), None, "{id}");
        }
    }
}
