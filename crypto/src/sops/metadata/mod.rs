//! The metadata of an encrypted file: who can open it, what is encrypted, and the MAC.
//!
//! Read is what any version from 3.0 to 3.13 wrote; written is what 3.13.3 writes. Nothing here is authenticated.

mod emit;
mod field;
mod parse;
mod reader;

pub use field::Field;
pub use parse::{MAX_KEYS, MetadataProblem};

use super::groups::KeyGroups;
use super::selector::Selector;
use super::timestamp::Timestamp;

/// The version of SOPS that new files name.
pub const SOPS_VERSION: &str = "3.13.3";

/// Metadata of an encrypted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// When a value was last changed; authenticated with the MAC.
    pub last_modified: Timestamp,
    /// The encrypted MAC; empty where the file has none.
    pub mac: String,
    /// The version of SOPS that wrote the file; missing in some files, which SOPS itself refuses.
    pub version: Option<String>,
    /// What is encrypted; `None` is everything (a new binary file).
    pub selector: Option<Selector>,
    /// Whether the MAC covers encrypted values only.
    pub mac_only_encrypted: bool,
    /// Who can open the file.
    pub key_groups: KeyGroups,
    /// Fields that this version does not know. They are kept; SOPS drops them.
    pub(super) unknown: Vec<(String, Field)>,
}

impl Metadata {
    /// Returns the names of fields that this version does not know.
    pub fn unknown_fields(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|(name, _)| name.as_str())
    }
}
