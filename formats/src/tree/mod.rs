//! The five formats of SOPS, read into one tree and written as SOPS 3.13.3 writes them.
//!
//! ```text
//!   text ──parse(format)──► Tree ──split_metadata──► Tree + Map (the `sops` entry, unflattened)
//!   Tree + Map ──join_metadata──► Tree ──emit(format, layout)──► text
//! ```
//!
//! Order, duplicates and comments are data: comments may be encrypted, rule what else is, and stand between the elements
//! of a list. A leaf may be a secret, so no `Debug` here says more than its kind.

mod dotenv;
mod flatten;
mod format;
mod ini;
mod json;
mod metadata;
mod number;
mod path;
mod scalar;
mod time;
mod yaml;

use std::fmt;

pub use format::{
    EmitError, Format, Layout, MAX_BYTES, MAX_DEPTH, MAX_NODES, ParseError, ParseProblem, emit, emit_example,
    emit_value, parse, parse_owned,
};
pub use metadata::{MetadataError, has_metadata, join_metadata, split_metadata};
pub use path::TreePath;
pub use scalar::{NotEncryptable, PlainBytes, Scalar, WrongPlainBytes};
pub use time::Time;

pub use json::quoted as json_quoted;
pub(crate) use yaml::double_quoted as yaml_double_quoted;

use crate::Plaintext;

/// A file: its documents in order. Only YAML has more or fewer than one.
#[derive(Debug, Default)]
pub struct Tree {
    /// The documents. A YAML text without any has none.
    pub documents: Vec<Map>,
}

/// A mapping: entries in order, duplicates possible.
#[derive(Debug, Default)]
pub struct Map {
    /// The entries, comments among them.
    pub entries: Vec<Entry>,
}

/// What stands in a mapping.
#[derive(Debug)]
pub enum Entry {
    /// A comment on a line of its own, or (inline) the one of the *next* pair.
    Comment(Comment),
    /// A key with its value.
    Pair {
        /// The key.
        key: Key,
        /// The value.
        value: Node,
    },
}

/// What stands in a list.
#[derive(Debug)]
pub enum Item {
    /// A comment between the elements, or (inline) the one of the *next* element.
    Comment(Comment),
    /// An element.
    Node(Node),
}

/// Any value.
#[derive(Debug, Default)]
pub enum Node {
    /// No value.
    #[default]
    Null,
    /// A mapping.
    Map(Map),
    /// A list.
    Seq(Vec<Item>),
    /// A leaf.
    Scalar(Scalar),
}

/// The name of an entry. SOPS encrypts trees with text keys only; the other kinds exist so that the error can say so.
pub enum Key {
    /// Text.
    Text(String),
    /// Bytes that are not UTF-8 (dotenv, INI, YAML `!!binary`).
    Bytes(Vec<u8>),
    /// A YAML key that resolves to a number, boolean, time or (`None`) null.
    Other(Option<Scalar>),
}

/// A comment line without its `#`, the blank after it included.
#[derive(Debug)]
pub struct Comment {
    /// The text.
    pub text: Plaintext,
    /// Whether it stands at the end of the line of what follows it in the tree.
    pub inline: bool,
}

impl Tree {
    /// Returns about how long the tree is as text, in bytes, so that a writer does not have to grow.
    fn text_length(&self) -> usize {
        self.documents.iter().map(Map::text_length).sum::<usize>() + BESIDE_AN_ENTRY
    }
}

/// Room for quotes, colons and indentation of one entry, and for a number.
const BESIDE_AN_ENTRY: usize = 32;

impl Map {
    fn text_length(&self) -> usize {
        let of = |entry: &Entry| match entry {
            Entry::Comment(comment) => comment.text.len(),
            Entry::Pair { key, value } => key.as_bytes().map_or(0, <[u8]>::len) + value.text_length(),
        };
        self.entries.iter().map(|entry| BESIDE_AN_ENTRY + of(entry)).sum()
    }

    /// Returns the value of the first entry with this key.
    pub fn find(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Pair { key: found, value } if found.as_bytes() == Some(key.as_bytes()) => Some(value),
            _ => None,
        })
    }

    /// Appends an entry.
    pub fn push(&mut self, key: impl Into<Key>, value: impl Into<Node>) {
        self.entries.push(Entry::Pair { key: key.into(), value: value.into() });
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        let entries = self.entries.iter().map(|entry| match entry {
            Entry::Comment(comment) => Entry::Comment(comment.duplicate()),
            Entry::Pair { key, value } => Entry::Pair { key: key.duplicate(), value: value.duplicate() },
        });
        Self { entries: entries.collect() }
    }
}

impl Node {
    fn text_length(&self) -> usize {
        match self {
            Self::Map(map) => map.text_length(),
            Self::Seq(items) => items.iter().map(|item| BESIDE_AN_ENTRY + item.text_length()).sum(),
            Self::Scalar(Scalar::Str(text)) => text.len(),
            Self::Null | Self::Scalar(_) => 0,
        }
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Map(map) => Self::Map(map.duplicate()),
            Self::Seq(items) => Self::Seq(items.iter().map(Item::duplicate).collect()),
            Self::Scalar(scalar) => Self::Scalar(scalar.duplicate()),
        }
    }

    /// Returns the text, where this is a text leaf.
    pub fn as_text(&self) -> Option<&Plaintext> {
        match self {
            Self::Scalar(Scalar::Str(text)) => Some(text),
            _ => None,
        }
    }
}

impl Item {
    fn text_length(&self) -> usize {
        match self {
            Self::Comment(comment) => comment.text.len(),
            Self::Node(node) => node.text_length(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            Self::Comment(comment) => Self::Comment(comment.duplicate()),
            Self::Node(node) => Self::Node(node.duplicate()),
        }
    }
}

impl Comment {
    /// Makes a comment on a line of its own.
    pub fn new(text: impl Into<Plaintext>) -> Self {
        Self { text: text.into(), inline: false }
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        Self { text: self.text.duplicate(), inline: self.inline }
    }
}

impl Key {
    /// Makes a key of bytes: text where they are UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_owned()),
        }
    }

    /// Returns the bytes of a text key; `None` for a key that is no text and cannot be encrypted under.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Other(_) => None,
        }
    }

    /// Returns the name of the key's type as SOPS's error texts give it.
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Bytes(_) => "string",
            Self::Other(Some(scalar)) => scalar.go_type(),
            Self::Other(None) => "<nil>",
        }
    }

    /// Makes a second copy.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.clone()),
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Other(scalar) => Self::Other(scalar.as_ref().map(Scalar::duplicate)),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Map> for Node {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<Scalar> for Node {
    fn from(scalar: Scalar) -> Self {
        Self::Scalar(scalar)
    }
}

impl From<Plaintext> for Node {
    fn from(text: Plaintext) -> Self {
        Self::Scalar(Scalar::Str(text))
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Scalar(Scalar::Str(text.into()))
    }
}

/// Keys are no secrets, but a key that is not text may stand where a value was meant.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Bytes(_) => f.write_str("Bytes"),
            Self::Other(_) => f.write_str(self.go_type()),
        }
    }
}
