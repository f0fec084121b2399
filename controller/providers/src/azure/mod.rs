//! Azure: logins of Microsoft Entra ID, keys of Key Vault for SOPS.
//!
//! ```text
//!   Challenge ── what a vault's 401 says: tenant and resource, checked against the vault's own name
//!       ▼
//!   Credentials ── environment ─► workload identity ─► managed identity ─► az; one token for all who wait
//!       ▼
//!   Vaults ── requests with a token
//!       ▼
//!   KeyVaults ── KeyService: encrypt, decrypt, the newest version of a key
//! ```
//!
//! This is built on the HTTP client that all backends share and not on the crates azure_identity and
//! azure_security_keyvault_keys (1.0): those have no chain of credentials, want OpenSSL for certificates, and bring about a
//! hundred packages with a second HTTP stack, whose limits on time and size and whose memory are not ours.

mod base64url;
mod certificate;
mod challenge;
mod cloud;
mod credentials;
mod entra;
mod key_vault;
mod machine;
mod vaults;

pub use cloud::authority;
pub use credentials::Credentials;
pub use key_vault::KeyVaults;

use crate::ProviderErrorKind;

/// Largest answer of a login or a vault.
const MAX_ANSWER_BYTES: usize = 1 << 20;

fn invalid(text: impl Into<String>) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text.into())
}

/// Tenants and resources go into addresses and onto a command line.
fn is_word(text: &str, more: &[u8]) -> bool {
    !text.is_empty()
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}
