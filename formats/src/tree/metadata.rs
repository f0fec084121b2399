//! Where each format keeps SOPS's metadata.
//!
//! ```text
//!   yaml, json   sops: {mac: …, pgp: [{fp: …}]}          (binary: its envelope is JSON)
//!   ini          [sops]  mac = …   pgp__list_0__map_fp = …    line feeds in values as the two characters \n
//!   dotenv       sops_mac=…   sops_pgp__list_0__map_fp=…
//! ```

use super::dotenv::replaced;
use super::flatten::{flatten, unflatten};
use super::{Entry, Format, Key, Map, Node, Scalar, Tree};

/// The entry that holds the metadata.
const ENTRY: &str = "sops";
/// What every key of the metadata starts with in dotenv.
const PREFIX: &str = "sops_";

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
    document.entries.iter().any(|entry| match entry {
        Entry::Pair { key, .. } => is_metadata(format, key),
        Entry::Comment(_) => false,
    })
}

/// Takes the metadata out of every document; the first document's is returned, unflattened, as it stands in the text.
///
/// # Errors
/// Fails where the first document has it twice, or it is no mapping, or it cannot be unflattened.
pub fn split_metadata(format: Format, tree: Tree) -> Result<(Tree, Option<Map>), MetadataError> {
    let mut rest = Tree { documents: Vec::with_capacity(tree.documents.len()) };
    let mut found: Option<Map> = None;
    for (index, document) in tree.documents.into_iter().enumerate() {
        // dotenv has one document; what SOPS would leave in a second one is data.
        let taken = index == 0 || format != Format::Dotenv;
        let (metadata, data): (Vec<_>, Vec<_>) = document
            .entries
            .into_iter()
            .partition(|entry| taken && matches!(entry, Entry::Pair { key, .. } if is_metadata(format, key)));
        rest.documents.push(Map { entries: data });
        if index == 0 && !metadata.is_empty() {
            found = Some(if format == Format::Dotenv { without_prefix(metadata) } else { sole(metadata)? });
        }
    }
    let metadata = match (format, found) {
        (Format::Ini, Some(flat)) => Some(unflatten(with_line_feeds(flat, b"\\n", b"\n"))?),
        (Format::Dotenv, Some(flat)) => Some(unflatten(flat)?),
        (_, found) => found,
    };
    Ok((rest, metadata))
}

/// Puts the metadata into every document as its last entry, flattened where the format wants it.
///
/// # Errors
/// Fails where the data already has a key of that name.
pub fn join_metadata(format: Format, mut tree: Tree, metadata: &Map) -> Result<Tree, MetadataError> {
    let flat = match format {
        Format::Ini => Some(with_line_feeds(flatten(metadata)?, b"\n", b"\\n")),
        Format::Dotenv => Some(flatten(metadata)?),
        _ => None,
    };
    let metadata = flat.as_ref().unwrap_or(metadata);
    for document in &mut tree.documents {
        refuse_reserved(format, document)?;
        if format == Format::Dotenv {
            document.entries.extend(metadata.duplicate().entries.into_iter().map(with_prefix));
        } else {
            document.push(ENTRY, metadata.duplicate());
        }
    }
    Ok(tree)
}

fn refuse_reserved(format: Format, document: &Map) -> Result<(), MetadataError> {
    for entry in &document.entries {
        let Entry::Pair { key, .. } = entry else { continue };
        if is_metadata(format, key) {
            let key = String::from_utf8_lossy(key.as_bytes().unwrap_or_default()).into_owned();
            return Err(if format == Format::Dotenv {
                MetadataError::ReservedPrefix { key }
            } else {
                MetadataError::Reserved { key }
            });
        }
    }
    Ok(())
}

fn is_metadata(format: Format, key: &Key) -> bool {
    match (format, key.as_bytes()) {
        (Format::Dotenv, Some(key)) => key.starts_with(PREFIX.as_bytes()),
        (_, Some(key)) => key == ENTRY.as_bytes(),
        (_, None) => false,
    }
}

fn sole(mut entries: Vec<Entry>) -> Result<Map, MetadataError> {
    match (entries.pop(), entries.is_empty()) {
        (_, false) => Err(MetadataError::Duplicate),
        (Some(Entry::Pair { value: Node::Map(map), .. }), true) => Ok(map),
        _ => Err(MetadataError::NotAMapping),
    }
}

fn without_prefix(entries: Vec<Entry>) -> Map {
    let cut = |key: &Key| {
        Key::from_bytes(key.as_bytes().unwrap_or_default().get(PREFIX.len()..).unwrap_or_default())
    };
    let entries = entries.into_iter().map(|entry| match entry {
        Entry::Pair { key, value } => Entry::Pair { key: cut(&key), value },
        comment @ Entry::Comment(_) => comment,
    });
    Map { entries: entries.collect() }
}

fn with_prefix(entry: Entry) -> Entry {
    match entry {
        Entry::Pair { key, value } => {
            let key = [PREFIX.as_bytes(), key.as_bytes().unwrap_or_default()].concat();
            Entry::Pair { key: Key::from_bytes(&key), value }
        }
        comment @ Entry::Comment(_) => comment,
    }
}

fn with_line_feeds(map: Map, what: &[u8], with: &[u8]) -> Map {
    let entries = map.entries.into_iter().map(|entry| match entry {
        Entry::Pair { key, value: Node::Scalar(Scalar::Str(text)) } => {
            Entry::Pair { key, value: replaced(text.expose(), what, with).into() }
        }
        other => other,
    });
    Map { entries: entries.collect() }
}
