//! A file before it is encrypted.

use sealops_formats::tree::{Format, Map, Node, Scalar, Tree, has_metadata, parse};

use super::encryption::encrypt_tree;
use super::{ClearFileError, EncryptError, EncryptedFile, Warning};
use crate::random::Random;
use crate::sops::crypt::Executor;
use crate::sops::data_key::DataKey;
use crate::sops::groups::KeyGroups;
use crate::sops::metadata::{Metadata, SOPS_VERSION};
use crate::sops::selector::Selector;
use crate::sops::stash::Stash;
use crate::sops::timestamp::Timestamp;
use crate::sops::value::EncryptedText;

/// A file that is not encrypted.
#[derive(Debug)]
pub struct ClearFile {
    tree: Tree,
    format: Format,
}

/// How a file shall be encrypted.
#[derive(Debug, Clone, Default)]
pub struct EncryptionSettings {
    /// What is encrypted; `None` is the default ([`Selector::default`]). Without meaning for a binary file.
    pub selector: Option<Selector>,
    /// Whether the MAC covers encrypted values only. Without meaning for a binary file.
    pub mac_only_encrypted: bool,
}

impl ClearFile {
    /// Takes a parsed text.
    ///
    /// # Errors
    /// Refuses what is encrypted already (a binary file by its envelope), and a file without documents.
    pub fn new(tree: Tree, format: Format) -> Result<Self, ClearFileError> {
        let first = tree.documents.first().ok_or(ClearFileError::Empty)?;
        // The first document only, as SOPS: a reserved key in a later one is found when the metadata is put in.
        let encrypted = match format {
            Format::Binary => is_binary_envelope(first),
            _ => has_metadata(format, first),
        };
        if encrypted { Err(ClearFileError::AlreadyEncrypted) } else { Ok(Self { tree, format }) }
    }

    /// Returns the tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Encrypts everything that the settings select.
    ///
    /// `groups` come from a [`DataKeyWrapping`](crate::sops::DataKeyWrapping) of the same key.
    ///
    /// # Errors
    /// Returns the value that cannot be encrypted. The file is gone then; nothing was written anywhere.
    pub fn encrypt(
        mut self,
        key: &DataKey,
        groups: KeyGroups,
        settings: &EncryptionSettings,
        random: &mut dyn Random,
        now: &Timestamp,
        executor: &dyn Executor,
    ) -> Result<(EncryptedFile, Vec<Warning>), EncryptError> {
        let mut warnings = Vec::new();
        let (selector, mac_only_encrypted) = if self.format == Format::Binary {
            if settings.selector.is_some() || settings.mac_only_encrypted {
                warnings.push(Warning::IgnoredForBinary);
            }
            (None, false)
        } else {
            (Some(settings.selector.clone().unwrap_or_default()), settings.mac_only_encrypted)
        };
        let mut metadata = Metadata {
            last_modified: now.clone(),
            mac: String::new(),
            version: Some(SOPS_VERSION.to_owned()),
            selector,
            mac_only_encrypted,
            key_groups: groups,
            unknown: Vec::new(),
        };
        let matched =
            encrypt_tree(&mut self.tree, &mut metadata, key, &mut Stash::default(), random, now, executor)?;
        if let Some(selector) =
            settings.selector.as_ref().filter(|_| !matched && self.format != Format::Binary)
        {
            warnings.push(Warning::SelectorMatchedNothing {
                field: selector.kind().field(),
                all_plaintext: !selector.kind().encrypts_by_default(),
            });
        }
        Ok((EncryptedFile { tree: self.tree, metadata, format: self.format }, warnings))
    }
}

/// Returns whether the content of a binary file is the JSON that encryption of a binary file gives.
fn is_binary_envelope(document: &Map) -> bool {
    let Some(Node::Scalar(Scalar::Str(text))) = document.find("data") else {
        return false;
    };
    // Plaintext that looks nothing like it costs no parsing.
    if !text.expose().trim_ascii_start().starts_with(b"{") {
        return false;
    }
    let Ok(tree) = parse(Format::Json, text.expose()) else { return false };
    let Some(map) = tree.documents.first() else { return false };
    let encrypted_data = map
        .find("data")
        .and_then(Node::as_text)
        .is_some_and(|data| data.is_empty() || EncryptedText::parse(data.expose()).is_some());
    has_metadata(Format::Json, map) && encrypted_data
}
