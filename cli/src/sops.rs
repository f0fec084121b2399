//! Files encrypted by SOPS: what the commands under the name `sops` and the verbs of `sealops` share.
//!
//! ```text
//!   flags ──► Session (configuration, keys, words) ──► encrypt, decrypt, edit, rotate, value, keys of files, exec, verify
//!                │                                       │
//!                └── Keyring ── age, gpg; network_keys   └── Output: stdout, a file, in place (temp, fsync, rename)
//! ```
//!
//! Both fronts do the same; [`Front`] chooses the words, and where a configuration is searched. Exit codes are SOPS's.

pub(crate) mod audit;
pub(crate) mod consent;
pub(crate) mod decrypt;
pub(crate) mod edit;
pub(crate) mod editor;
pub(crate) mod encrypt;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod groups;
pub(crate) mod journal;
#[cfg(feature = "clouds")]
pub(crate) mod key_server;
pub(crate) mod keyring;
pub(crate) mod local_keys;
#[cfg(feature = "clouds")]
pub(crate) mod network_keys;
#[cfg(not(feature = "clouds"))]
#[path = "sops/no_network_keys.rs"]
pub(crate) mod network_keys;
pub(crate) mod open;
pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod publish;
pub(crate) mod rotate;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod threads;
pub(crate) mod updatekeys;
pub(crate) mod value;
pub(crate) mod variables;
pub(crate) mod verify;
pub(crate) mod words;
pub(crate) mod workplace;

/// Exit codes of sops 3.13.3 (`cmd/sops/codes`).
pub(crate) mod code {
    pub(crate) const GENERIC: u8 = 1;
    pub(crate) const READ: u8 = 2;
    pub(crate) const WRITE: u8 = 3;
    pub(crate) const EMIT: u8 = 4;
    pub(crate) const CONTEXT: u8 = 6;
    pub(crate) const INDEX: u8 = 7;
    pub(crate) const CONFLICT: u8 = 8;
    pub(crate) const ENCRYPT: u8 = 23;
    pub(crate) const DECRYPT: u8 = 25;
    pub(crate) const KEYS_OF_NO_FILE: u8 = 49;
    pub(crate) const MAC: u8 = 51;
    pub(crate) const EXTRACT_PATH: u8 = 91;
    pub(crate) const NO_DOCUMENT: u8 = 92;
    pub(crate) const NO_FILE: u8 = 100;
    pub(crate) const ORDER: u8 = 112;
    pub(crate) const NO_KEY: u8 = 128;
    pub(crate) const UNCHANGED: u8 = 200;
    pub(crate) const EDITOR: u8 = 201;
    pub(crate) const ALREADY_ENCRYPTED: u8 = 203;
}

/// Whose words are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Those of sops, for scripts.
    Sops,
    /// Ours.
    Sealops,
}
