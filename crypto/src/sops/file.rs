//! A file is in one of three states, and the type says which.
//!
//! ```text
//!   Tree ──ClearFile::new──► ClearFile ──encrypt──► EncryptedFile ──into_tree──► Tree (with metadata)
//!   Tree ──EncryptedFile::new──► EncryptedFile ──recovery──► DataKey
//!                                EncryptedFile ──open(DataKey)──► OpenFile ──seal──► EncryptedFile
//! ```

use sealops_formats::Plaintext;
use sealops_formats::tree::{
    Format, Map, Node, NotEncryptable, Tree, has_metadata, join_metadata, split_metadata,
};

use super::crypt::{self, Executor, Note, Plan};
use super::data_key::DataKey;
use super::groups::KeyGroups;
use super::kind::KeyKind;
use super::mac;
use super::metadata::{Metadata, MetadataProblem, SOPS_VERSION};
use super::recovery::DataKeyRecovery;
use super::selector::Selector;
use super::stash::{Stash, digest_of};
use super::timestamp::Timestamp;
use super::value::{NonceBytes, ValueCipher, ValueError};
use super::walk::{self, Direction, Leaves, NonTextKey, path_text};
use crate::random::{NoRandomness, Random};

/// A file that is not encrypted.
#[derive(Debug)]
pub struct ClearFile {
    tree: Tree,
    format: Format,
}

/// An encrypted file with its metadata.
#[derive(Debug)]
pub struct EncryptedFile {
    tree: Tree,
    metadata: Metadata,
    format: Format,
}

/// A decrypted file that knows how to be encrypted again.
pub struct OpenFile {
    pub(super) tree: Tree,
    metadata: Metadata,
    format: Format,
    key: DataKey,
    /// Nonces by leaf, as long as the tree is as it was opened.
    plans: Option<Vec<Plan>>,
    stash: Stash,
    warnings: Vec<Warning>,
}

/// How a file shall be encrypted.
#[derive(Debug, Clone, Default)]
pub struct EncryptionSettings {
    /// What is encrypted; `None` is the default ([`Selector::default`]). Without meaning for a binary file.
    pub selector: Option<Selector>,
    /// Whether the MAC covers encrypted values only. Without meaning for a binary file.
    pub mac_only_encrypted: bool,
}

/// Something that is accepted and should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The selector matched no key and no comment: with `encrypted_…` the whole file is readable.
    SelectorMatchedNothing {
        /// The selector's field.
        field: &'static str,
        /// Whether nothing is encrypted because of that.
        all_plaintext: bool,
    },
    /// A selector or `mac_only_encrypted` is given for a binary file, where it means nothing.
    IgnoredForBinary,
    /// A comment that should be encrypted is not: an old file, or a comment that someone put there.
    PlainComment {
        /// The keys above it.
        path: String,
    },
    /// Text after the closing bracket of an encrypted value.
    TrailingText {
        /// The keys to the value.
        path: String,
    },
    /// The file's selector does not compile; nothing matches it.
    BrokenSelector,
    /// The MAC is missing or wrong, and that was to be passed over.
    MacIgnored,
}

/// A text that shall be encrypted already is, or cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClearFileError {
    /// It holds SOPS's metadata.
    #[error("the file is already encrypted: it holds the metadata of SOPS")]
    AlreadyEncrypted,
    /// There is no document in it.
    #[error("the file holds no document")]
    Empty,
}

/// Why a tree cannot be encrypted. Paths are keys only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The selector does not compile.
    #[error("the selector is no valid expression")]
    BrokenSelector(#[source] super::go_regex::RegexError),
    /// A key that is no text.
    #[error(transparent)]
    Key(#[from] NonTextKey),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A value that has no form for encryption.
    #[error("{path}: {problem}")]
    Value {
        /// The keys to the value.
        path: String,
        /// What is wrong.
        problem: NotEncryptable,
    },
    /// The cipher failed, which it does for absurdly large values only.
    #[error("{path}: the value cannot be encrypted")]
    Cipher {
        /// The keys to the value.
        path: String,
    },
    /// An encrypted comment would exempt itself when it is read again.
    #[error(
        "{path}: Encrypted comment matches UnencryptedCommentRegex! Make sure that UnencryptedCommentRegex cannot \
         match an encrypted comment."
    )]
    CommentMatches {
        /// The keys above the comment.
        path: String,
    },
}

/// Why a file does not open. Paths are keys only; neither values nor MACs are told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A value does not decrypt.
    #[error("{path}: {problem}")]
    Value {
        /// The keys to the value.
        path: String,
        /// What is wrong.
        problem: ValueError,
    },
    /// A value that the MAC cannot cover.
    #[error("{path}: {problem}")]
    NotHashable {
        /// The keys to the value.
        path: String,
        /// What is wrong.
        problem: NotEncryptable,
    },
    /// A key that is no text.
    #[error(transparent)]
    Key(#[from] NonTextKey),
    /// The MAC.
    #[error(transparent)]
    Mac(#[from] MacError),
}

/// What is wrong with the MAC of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// The values are not those that were encrypted.
    #[error("MAC mismatch")]
    Mismatch,
    /// There is none.
    #[error("MAC mismatch. File has no MAC")]
    Missing,
    /// It does not decrypt: `mac` or `lastmodified` was changed.
    #[error("Cannot decrypt MAC: {0}")]
    Undecryptable(ValueError),
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
    /// `groups` come from a [`DataKeyWrapping`](super::DataKeyWrapping) of the same key.
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
    let Some(Node::Scalar(sealops_formats::tree::Scalar::Str(text))) = document.find("data") else {
        return false;
    };
    // Plaintext that looks nothing like it costs no parsing.
    if !text.expose().trim_ascii_start().starts_with(b"{") {
        return false;
    }
    let Ok(tree) = sealops_formats::tree::parse(Format::Json, text.expose()) else { return false };
    let Some(map) = tree.documents.first() else { return false };
    let encrypted_data = map
        .find("data")
        .and_then(Node::as_text)
        .is_some_and(|data| data.is_empty() || super::value::EncryptedText::parse(data.expose()).is_some());
    has_metadata(Format::Json, map) && encrypted_data
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
    pub fn into_tree(self) -> Result<Tree, sealops_formats::tree::MetadataError> {
        let format = self.format;
        self.into_tree_as(format)
    }

    /// As [`Self::into_tree`], for being emitted in another format (`--output-type`).
    ///
    /// # Errors
    /// Fails where the data itself has a key of the metadata.
    pub fn into_tree_as(self, format: Format) -> Result<Tree, sealops_formats::tree::MetadataError> {
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
    pub fn into_tree_with_metadata(
        self,
        format: Format,
    ) -> Result<Tree, sealops_formats::tree::MetadataError> {
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
    pub(super) fn remember_nonces(&mut self) {
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

/// Encrypts a tree in place and completes its metadata; returns whether the selector matched anything.
fn encrypt_tree(
    tree: &mut Tree,
    metadata: &mut Metadata,
    key: &DataKey,
    stash: &mut Stash,
    random: &mut dyn Random,
    now: &Timestamp,
    executor: &dyn Executor,
) -> Result<bool, EncryptError> {
    let selector = metadata.selector.as_ref();
    if let Some(error) = selector.and_then(Selector::broken) {
        return Err(EncryptError::BrokenSelector(error.clone()));
    }
    let cipher = ValueCipher::new(key);
    let mut leaves = walk::leaves(tree, selector, Direction::Encrypt)?;
    let hash = mac::of(&leaves.leaves, metadata.mac_only_encrypted).map_err(|(index, problem)| {
        EncryptError::Value { path: leaves.path_text(&leaves.leaves[index]), problem }
    })?;
    let mut plans = plan_nonces(&leaves, key, stash, random)?;
    crypt::run(&mut leaves, &mut plans, &cipher, true, executor)
        .map_err(|(index, _)| EncryptError::Cipher { path: leaves.path_text(&leaves.leaves[index]) })?;
    if let Some(selector) = selector.filter(|selector| selector.exempts_by_comment()) {
        let matching = leaves.leaves.iter().find(|leaf| {
            leaf.encrypted && leaf.comment().is_some_and(|comment| selector.is_match(comment.text.expose()))
        });
        if let Some(leaf) = matching {
            return Err(EncryptError::CommentMatches { path: leaves.path_text(leaf) });
        }
    }
    let matched = leaves.matched;
    let mut nonce = NonceBytes::default();
    random.fill(&mut nonce)?;
    metadata.mac = cipher
        .encrypt(hash.expose(), "str", now.as_str().as_bytes(), &nonce)
        .map_err(|_| EncryptError::Cipher { path: "mac".to_owned() })?;
    metadata.last_modified = now.clone();
    Ok(matched)
}

/// Gives every leaf that is encrypted a nonce: the one it had, or a new one.
fn plan_nonces(
    leaves: &Leaves<'_>,
    key: &DataKey,
    stash: &mut Stash,
    random: &mut dyn Random,
) -> Result<Vec<Plan>, EncryptError> {
    let mut fresh = vec![0; leaves.leaves.len() * size_of::<NonceBytes>()];
    random.fill(&mut fresh)?;
    let plans = leaves.leaves.iter().zip(fresh.as_chunks().0).map(|(leaf, fresh)| {
        let mut plan = Plan { nonce: Some(*fresh), ..Plan::default() };
        if !leaf.encrypted || stash.is_empty() {
            return plan;
        }
        let aad = &leaves.paths[leaf.path.clone()];
        let stored = match (leaf.comment(), leaf.scalar()) {
            (Some(comment), _) => stash.take(&digest_of(key, aad, comment.text.expose()), "comment"),
            (_, Some(scalar)) => scalar
                .to_plain_bytes()
                .ok()
                .and_then(|bytes| stash.take(&digest_of(key, aad, bytes.expose()), scalar.type_name())),
            _ => None,
        };
        if let Some((type_name, nonce)) = stored {
            plan.nonce = Some(nonce);
            plan.type_name = Some(type_name);
        }
        plan
    });
    Ok(plans.collect())
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

/// Returns the numbers of a version, for comparing.
fn version_numbers(version: &str) -> Vec<u64> {
    let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    core.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}
