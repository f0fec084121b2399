//! Where each format keeps SOPS's metadata, and the flattening of it.

use super::{Format, Map, Tree};

/// Why metadata cannot be taken out of a tree or put into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Two `sops` entries in the first document.
    #[error("Found duplicate sops entry")]
    Duplicate,
    /// `sops` is no mapping.
    #[error("Found sops entry that is not a mapping")]
    NotAMapping,
    /// The data has a key of the metadata.
    #[error("Found key {key:?} in encrypted data, which is a reserved key used for SOPS metadata")]
    Reserved {
        /// The key.
        key: String,
    },
    /// The data has a key that starts as the metadata's do (dotenv).
    #[error(
        "Found key {key:?} in encrypted data, which starts with the reserved key prefix \"sops_\" for SOPS metadata"
    )]
    ReservedPrefix {
        /// The key.
        key: String,
    },
    /// Flattened names contradict each other, or a list has a gap.
    #[error("Error while unflattening: {0}")]
    Unflatten(&'static str),
}

/// Returns whether a document holds metadata, by the rule of the format.
pub fn has_metadata(format: Format, document: &Map) -> bool {
    let _ = (format, document);
    false
}

/// Takes the metadata out of every document; the first document's is returned, unflattened, as it stands in the text.
///
/// # Errors
/// Fails where the first document has it twice, or it is no mapping, or it cannot be unflattened.
pub fn split_metadata(format: Format, tree: Tree) -> Result<(Tree, Option<Map>), MetadataError> {
    let _ = format;
    Ok((tree, None))
}

/// Puts the metadata into every document as its last entry, flattened where the format wants it.
///
/// # Errors
/// Fails where the data already has a key of that name.
pub fn join_metadata(format: Format, tree: Tree, metadata: &Map) -> Result<Tree, MetadataError> {
    let _ = (format, metadata);
    Ok(tree)
}
