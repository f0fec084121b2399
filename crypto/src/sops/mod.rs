//! SOPS's files (getsops/sops 3.13.3): values, MAC, metadata, keys, rules.
//!
//! ```text
//!   .sops.yaml ──Config──► CreationRule ──► KeyGroups, Selector          KindSpec: one row per kind of key
//!   DataKey ──DataKeyWrapping──► KeyGroups with wrapped parts            the caller asks age, gpg, a KMS
//!   Tree ──ClearFile──encrypt──► EncryptedFile ──DataKeyRecovery──► DataKey ──open──► OpenFile ──seal──► EncryptedFile
//! ```
//!
//! Nothing here reads a file, the environment or a clock, asks a service or starts a thread. Work on many values is cut
//! into [`Chunk`]s, which the caller's [`Executor`] may spread.
//!
//! Timing: AES-GCM's tag, the MAC and Shamir's arithmetic are compared and computed in constant time; what is public in
//! the file (paths, types, lengths, which values are encrypted) is not hidden.

mod config;
mod crypt;
mod data_key;
mod file;
mod go_regex;
mod groups;
mod key_policy;
mod kind;
mod mac;
mod master_key;
mod metadata;
mod recovery;
mod selector;
pub mod shamir;
mod stash;
mod timestamp;
mod tree_edit;
mod value;
mod walk;
mod wrapping;

pub use config::{
    Config, ConfigError, CreationRule, Destination, DestinationRule, MAX_CONFIG_BYTES, MAX_MERGE_DEPTH,
    StoresSettings,
};
pub use crypt::{Chunk, Executor, Inline};
pub use data_key::{DATA_KEY_BYTES, DataKey, KeyPart, WrongKeyLength};
pub use file::{
    ClearFile, ClearFileError, EncryptError, EncryptedFile, EncryptionSettings, MacError, OpenError,
    OpenFile, Warning,
};
pub use go_regex::{GoRegex, MAX_PATTERN_BYTES, RegexError};
pub use groups::{GroupDiff, GroupError, KeyGroup, KeyGroups, KeyUpdate};
pub use key_policy::{KeyPolicy, MAX_POLICY_BYTES, NotAllowed, PolicyError};
pub use kind::{KeyKind, KindSpec};
pub use master_key::{KeyEntry, KeyTextError, MasterKey};
pub use metadata::{Field, MAX_KEYS, Metadata, MetadataProblem, SOPS_VERSION};
pub use recovery::{Attempt, DataKeyRecovery, GroupResult, KeyFailure, KeyPosition, RecoveryError};
pub use selector::{DEFAULT_UNENCRYPTED_SUFFIX, Selector, SelectorKind, TooManySelectors};
pub use timestamp::{NotATime, Timestamp};
pub use tree_edit::{MAX_STEPS, PathError, Step, ValuePath, extract};
pub use value::{EncryptedText, NONCE_BYTES, ValueError};
pub use walk::NonTextKey;
pub use wrapping::{DataKeyWrapping, WrapError, WrapTask};

#[cfg(test)]
mod tests;
