//! A decrypted file, which is changed and encrypted again.

use sealops_formats::tree::{Format, MetadataError, Tree, join_metadata};

use super::encryption::encrypt_tree;
use super::{EncryptError, EncryptedFile, Warning};
use crate::random::Random;
use crate::sops::crypt::{Executor, Plan};
use crate::sops::data_key::DataKey;
use crate::sops::groups::KeyGroups;
use crate::sops::metadata::{Metadata, SOPS_VERSION};
use crate::sops::stash::{Stash, digest_of};
use crate::sops::timestamp::Timestamp;
use crate::sops::walk::{self, Direction};

/// A decrypted file that knows how to be encrypted again.
pub struct OpenFile {
    pub(in crate::sops) tree: Tree,
    pub(super) metadata: Metadata,
    pub(super) format: Format,
    pub(super) key: DataKey,
    /// Nonces by leaf, as long as the tree is as it was opened.
    pub(super) plans: Option<Vec<Plan>>,
    pub(super) stash: Stash,
    pub(super) warnings: Vec<Warning>,
}

impl OpenFile {
    /// Returns the decrypted tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the decrypted tree, for writing it out.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Returns the decrypted tree with the metadata in it, for showing both (`edit --show-master-keys`).
    ///
    /// # Errors
    /// Fails where the data itself has a key of the metadata.
    pub fn into_tree_with_metadata(self, format: Format) -> Result<Tree, MetadataError> {
        join_metadata(format, self.tree, &self.metadata.to_map())
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the data key, for wrapping it anew.
    pub fn data_key(&self) -> &DataKey {
        &self.key
    }

    /// Returns what should be told.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Takes another tree for the same file (`edit`). What is equal in both keeps its ciphertext.
    pub fn replace_tree(&mut self, tree: Tree) {
        self.remember_nonces();
        self.tree = tree;
    }

    /// Takes other key groups, which wrap the same data key.
    pub fn replace_groups(&mut self, groups: KeyGroups) {
        self.metadata.key_groups = groups;
    }

    /// Names the version that writes the file now, if the file names an older one (`edit` does this).
    pub fn raise_version(&mut self) {
        let newer = |version: &String| version_numbers(version) >= version_numbers(SOPS_VERSION);
        if !self.metadata.version.as_ref().is_some_and(newer) {
            self.metadata.version = Some(SOPS_VERSION.to_owned());
        }
    }

    /// Takes a new data key and the groups that wrap it (`rotate`). Every value is encrypted anew.
    pub fn rotate(&mut self, key: DataKey, groups: KeyGroups) {
        self.plans = None;
        self.stash = Stash::default();
        self.key = key;
        self.metadata.key_groups = groups;
    }

    /// Encrypts the file again. A value that did not change keeps its ciphertext.
    ///
    /// # Errors
    /// Returns the value that cannot be encrypted.
    pub fn seal(
        mut self,
        random: &mut dyn Random,
        now: &Timestamp,
        executor: &dyn Executor,
    ) -> Result<EncryptedFile, EncryptError> {
        self.remember_nonces();
        let (key, stash) = (&self.key, &mut self.stash);
        encrypt_tree(&mut self.tree, &mut self.metadata, key, stash, random, now, executor)?;
        Ok(EncryptedFile { tree: self.tree, metadata: self.metadata, format: self.format })
    }

    /// Turns the nonces by position into nonces by content, before the tree changes.
    pub(in crate::sops) fn remember_nonces(&mut self) {
        let Some(plans) = self.plans.take() else { return };
        let selector = self.metadata.selector.as_ref();
        // Encrypted elements of lists are comments now, so the walk goes as for encryption.
        let Ok(leaves) = walk::leaves(&mut self.tree, selector, Direction::Encrypt) else { return };
        for (leaf, plan) in leaves.leaves.iter().zip(plans) {
            let (Some(nonce), Some(type_name)) = (plan.nonce, plan.type_name) else { continue };
            let aad = &leaves.paths[leaf.path.clone()];
            match (leaf.comment(), leaf.scalar().map(|scalar| scalar.to_plain_bytes())) {
                (Some(comment), _) => {
                    self.stash.put(digest_of(&self.key, aad, comment.text.expose()), type_name, nonce);
                }
                (_, Some(Ok(bytes))) => {
                    self.stash.put(digest_of(&self.key, aad, bytes.expose()), type_name, nonce);
                }
                _ => {}
            }
        }
    }
}

/// Prints no content.
impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// Returns the numbers of a version, for comparing.
fn version_numbers(version: &str) -> Vec<u64> {
    let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    core.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}
