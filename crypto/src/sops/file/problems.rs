//! What is told about a file, and why one does not open or close. Paths are keys only.

use sealops_formats::tree::NotEncryptable;

use crate::random::NoRandomness;
use crate::sops::go_regex::RegexError;
use crate::sops::value::ValueError;
use crate::sops::walk::NonTextKey;

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
    BrokenSelector(#[source] RegexError),
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
