//! The tree of one document.

use std::collections::HashSet;

use super::scalar;
use crate::Plaintext;

/// One document of a text.
#[derive(Debug)]
pub struct Document {
    /// The top node.
    pub root: Node,
    /// What a person should know although it is legal.
    pub warnings: Vec<Warning>,
}

/// Something legal that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Line, from 1.
    pub line: usize,
    /// Keys from the top, joined by dots.
    pub path: String,
    /// What it is.
    pub kind: WarningKind,
}

/// Kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// The key stands twice in one map; the last one counts.
    DuplicateKey,
    /// An unquoted word or number is no text in YAML 1.1, and its text form differs from what was typed.
    Reinterpreted,
}

/// A value with the line it starts on (0 where it was not read from YAML).
#[derive(Debug, Default)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// Any value. A leaf may be a secret, so its text is a [`Plaintext`].
#[derive(Debug, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A word, number or text; the text is in the form that Kubernetes gives it when a text is wanted.
    Scalar(ScalarKind, Plaintext),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the source.
    Map(Vec<(String, Node)>),
}

/// What a scalar is when no particular type is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    /// `true` or `false`.
    Bool,
    /// A whole number of at most 64 bits.
    Int,
    /// Any other number.
    Float,
    /// Text.
    Text,
}

/// Collects the entries of a map; a key that comes again replaces the earlier one.
#[derive(Default)]
pub(super) struct Entries {
    entries: Vec<(String, Node)>,
    seen: HashSet<String>,
}

impl Entries {
    /// Adds an entry; returns whether the key was there before.
    pub(super) fn put(&mut self, key: String, node: Node) -> bool {
        let again = !self.seen.insert(key.clone());
        if again {
            self.entries.retain(|(own, _)| *own != key);
        }
        self.entries.push((key, node));
        again
    }

    /// Adds an entry unless the key is there.
    pub(super) fn put_if_absent(&mut self, key: String, node: Node) {
        if !self.seen.contains(&key) {
            self.put(key, node);
        }
    }

    /// Returns the entries in order.
    pub(super) fn finish(self) -> Vec<(String, Node)> {
        self.entries
    }
}

impl Node {
    /// Returns a text leaf.
    pub fn text(text: impl Into<Plaintext>) -> Self {
        Self { line: 0, value: Value::Scalar(ScalarKind::Text, text.into()) }
    }

    /// Returns `true` or `false` as a leaf.
    pub fn bool(value: bool) -> Self {
        let text = if value { "true" } else { "false" };
        Self { line: 0, value: Value::Scalar(ScalarKind::Bool, text.into()) }
    }

    /// Returns a map in the given order.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Self {
        let entries = entries.into_iter().map(|(key, node)| (key.into(), node)).collect();
        Self { line: 0, value: Value::Map(entries) }
    }

    /// Returns the node under a key, or `None` where this is no map or has no such key.
    pub fn child(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Returns the node under a key for changing.
    pub fn child_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Returns the node under a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.child(key))
    }

    /// Returns the text under a path of keys, for names and kinds (no secrets): `None` unless it is a scalar.
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        match &self.at(path)?.value {
            Value::Scalar(_, text) => text.expose_str(),
            _ => None,
        }
    }

    /// Returns whether there is nothing here.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Turns the words and numbers of the map at `path` into text, as typed readers in Go do for string maps.
    pub fn stringify_map(&mut self, path: &[&str]) {
        let mut node = self;
        for key in path {
            let Some(child) = node.child_mut(key) else { return };
            node = child;
        }
        let Value::Map(entries) = &mut node.value else { return };
        for (_, entry) in entries {
            match &mut entry.value {
                Value::Scalar(kind, _) => *kind = ScalarKind::Text,
                value @ Value::Null => *value = Value::Scalar(ScalarKind::Text, Plaintext::default()),
                _ => {}
            }
        }
    }

    /// Returns a deep copy, on purpose (aliases). Long texts count as several nodes: an alias of one is small.
    pub(super) fn duplicate(&self, count: &mut usize) -> Self {
        *count += 1;
        if let Value::Scalar(_, text) = &self.value {
            *count += text.len() / BYTES_PER_NODE;
        }
        let value = match &self.value {
            Value::Null => Value::Null,
            Value::Scalar(kind, text) => Value::Scalar(*kind, text.duplicate()),
            Value::List(items) => Value::List(items.iter().map(|item| item.duplicate(count)).collect()),
            Value::Map(entries) => {
                Value::Map(entries.iter().map(|(key, node)| (key.clone(), node.duplicate(count))).collect())
            }
        };
        Self { line: self.line, value }
    }
}

/// Bytes of a copied text that count as a node.
const BYTES_PER_NODE: usize = 256;

/// Converts data that is no secret, such as a sealed object.
impl From<serde_json::Value> for Node {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(value) => return Self::bool(value),
            Json::Number(number) => {
                let (kind, text) = scalar::json_number(&number);
                Value::Scalar(kind, text.into())
            }
            Json::String(text) => Value::Scalar(ScalarKind::Text, text.into()),
            Json::Array(items) => Value::List(items.into_iter().map(Self::from).collect()),
            Json::Object(map) => {
                Value::Map(map.into_iter().map(|(key, value)| (key, Self::from(value))).collect())
            }
        };
        Self { line: 0, value }
    }
}
