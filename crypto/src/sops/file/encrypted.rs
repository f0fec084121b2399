//! An encrypted file: whose data key is recovered, and which is opened with it.

use sealops_formats::Plaintext;
use sealops_formats::tree::{Format, MetadataError, Tree, join_metadata, split_metadata};

use super::{MacError, OpenError, OpenFile, Warning};
use crate::sops::crypt::{self, Executor, Note, Plan};
use crate::sops::data_key::DataKey;
use crate::sops::groups::KeyGroups;
use crate::sops::kind::KeyKind;
use crate::sops::mac;
use crate::sops::metadata::{Metadata, MetadataProblem};
use crate::sops::recovery::DataKeyRecovery;
use crate::sops::stash::Stash;
use crate::sops::value::ValueCipher;
use crate::sops::walk::{self, Direction, Leaves, path_text};

/// An encrypted file with its metadata.
#[derive(Debug)]
pub struct EncryptedFile {
    pub(super) tree: Tree,
    pub(super) metadata: Metadata,
    pub(super) format: Format,
}

impl EncryptedFile {
    /// Takes a parsed encrypted text.
    ///
    /// # Errors
    /// Returns why there is no usable metadata.
    pub fn new(tree: Tree, format: Format) -> Result<Self, MetadataProblem> {
        let (tree, metadata) = split_metadata(format, tree)?;
        let metadata = Metadata::parse(&metadata.ok_or(MetadataProblem::Missing)?)?;
        Ok(Self { tree, metadata, format })
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the encrypted values, without metadata.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Begins to recover the data key.
    pub fn recovery(&self, order: &[KeyKind]) -> DataKeyRecovery<'_> {
        DataKeyRecovery::new(&self.metadata.key_groups, order)
    }

    /// Decrypts all values and checks the MAC.
    ///
    /// # Errors
    /// Returns the first value that does not decrypt, or what is wrong with the MAC.
    pub fn open(self, key: DataKey, executor: &dyn Executor) -> Result<OpenFile, OpenError> {
        let (file, mac) = self.decrypt(key, executor)?;
        mac?;
        Ok(file)
    }

    /// Decrypts all values and passes over a missing or wrong MAC (`--ignore-mac`): what stands in the file may be put
    /// together by anyone who can write it.
    ///
    /// # Errors
    /// Returns the first value that does not decrypt.
    pub fn open_unverified(self, key: DataKey, executor: &dyn Executor) -> Result<OpenFile, OpenError> {
        let (mut file, mac) = self.decrypt(key, executor)?;
        if mac.is_err() {
            file.warnings.push(Warning::MacIgnored);
        }
        Ok(file)
    }

    fn decrypt(
        mut self,
        key: DataKey,
        executor: &dyn Executor,
    ) -> Result<(OpenFile, Result<(), MacError>), OpenError> {
        let cipher = ValueCipher::new(&key);
        let selector = self.metadata.selector.as_ref();
        let mut leaves = walk::leaves(&mut self.tree, selector, Direction::Decrypt)?;
        let mut plans: Vec<Plan> = leaves.leaves.iter().map(|_| Plan::default()).collect();
        crypt::run(&mut leaves, &mut plans, &cipher, false, executor).map_err(|(index, problem)| {
            OpenError::Value { path: leaves.path_text(&leaves.leaves[index]), problem }
        })?;
        for (leaf, plan) in leaves.leaves.iter_mut().zip(&plans) {
            // Not hashed, so that the MAC notices.
            leaf.hashed = plan.note != Some(Note::CommentAsValue);
        }
        let computed =
            mac::of(&leaves.leaves, self.metadata.mac_only_encrypted).map_err(|(index, problem)| {
                OpenError::NotHashable { path: leaves.path_text(&leaves.leaves[index]), problem }
            })?;
        let mut warnings = notes(&leaves, &plans);
        if selector.is_some_and(|selector| selector.broken().is_some()) {
            warnings.push(Warning::BrokenSelector);
        }
        let mac = check_mac(&cipher, &self.metadata, &computed);
        let file = OpenFile {
            tree: self.tree,
            metadata: self.metadata,
            format: self.format,
            key,
            plans: Some(plans),
            stash: Stash::default(),
            warnings,
        };
        Ok((file, mac))
    }

    /// Replaces the key groups by ones that wrap the same data key (`updatekeys`, `groups`): values, MAC and
    /// modification time stay.
    #[must_use]
    pub fn rewrap(mut self, groups: KeyGroups) -> Self {
        self.metadata.key_groups = groups;
        self
    }

    /// Puts the metadata into the tree, which then can be emitted.
    ///
    /// # Errors
    /// Fails where the data itself has a key of the metadata.
    pub fn into_tree(self) -> Result<Tree, MetadataError> {
        let format = self.format;
        self.into_tree_as(format)
    }

    /// As [`Self::into_tree`], for being emitted in another format (`--output-type`).
    ///
    /// # Errors
    /// Fails where the data itself has a key of the metadata.
    pub fn into_tree_as(self, format: Format) -> Result<Tree, MetadataError> {
        join_metadata(format, self.tree, &self.metadata.to_map())
    }

    /// Returns the values as they stand in the file, without metadata.
    pub fn into_values(self) -> Tree {
        self.tree
    }

    /// Returns the format.
    pub fn format(&self) -> Format {
        self.format
    }
}

fn notes(leaves: &Leaves<'_>, plans: &[Plan]) -> Vec<Warning> {
    let noted = leaves.leaves.iter().zip(plans).filter_map(|(leaf, plan)| {
        let path = || path_text(&leaves.paths[leaf.path.clone()]);
        match plan.note? {
            Note::PlainComment => Some(Warning::PlainComment { path: path() }),
            Note::Trailing => Some(Warning::TrailingText { path: path() }),
            Note::CommentAsValue => None,
        }
    });
    noted.collect()
}

/// Decrypts the stored MAC and compares it in constant time.
fn check_mac(cipher: &ValueCipher, metadata: &Metadata, computed: &Plaintext) -> Result<(), MacError> {
    if metadata.mac.is_empty() {
        return Err(MacError::Missing);
    }
    let aad = metadata.last_modified.as_str().as_bytes();
    let stored = cipher.decrypt(metadata.mac.as_bytes(), aad).map_err(MacError::Undecryptable)?;
    let same = stored.type_name == "str" && stored.bytes.ct_eq(computed);
    if same { Ok(()) } else { Err(MacError::Mismatch) }
}
