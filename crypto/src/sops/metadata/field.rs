//! Metadata as plain data. None of it is secret: it stands in the file in plaintext.

use sealops_formats::tree::{Entry, Item, Map, Node, Scalar};

/// A value in the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text, or a number or time in its written form.
    Text(String),
    /// A list.
    List(Vec<Field>),
    /// A map, in order.
    Map(Vec<(String, Field)>),
}

impl Field {
    /// Reads a map; comments and keys that are no text are passed over.
    pub(crate) fn of_map(map: &Map) -> Vec<(String, Self)> {
        let pairs = map.entries.iter().filter_map(|entry| match entry {
            Entry::Pair { key, value } => {
                let key = String::from_utf8_lossy(key.as_bytes()?).into_owned();
                Some((key, Self::of(value)))
            }
            Entry::Comment(_) => None,
        });
        pairs.collect()
    }

    fn of(node: &Node) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Map(map) => Self::Map(Self::of_map(map)),
            Node::Seq(items) => Self::List(
                items
                    .iter()
                    .filter_map(|item| match item {
                        Item::Node(node) => Some(Self::of(node)),
                        Item::Comment(_) => None,
                    })
                    .collect(),
            ),
            Node::Scalar(Scalar::Bool(value)) => Self::Bool(*value),
            Node::Scalar(Scalar::Int(number)) => Self::Int(*number),
            Node::Scalar(Scalar::Uint(number)) => Self::Text(number.to_string()),
            Node::Scalar(scalar) => {
                let bytes = scalar.to_plain_bytes();
                let bytes = bytes.as_ref().map(|bytes| bytes.expose()).unwrap_or_default();
                Self::Text(String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }

    /// Writes the value.
    pub(crate) fn to_node(&self) -> Node {
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Scalar(Scalar::Bool(*value)),
            Self::Int(number) => Node::Scalar(Scalar::Int(*number)),
            Self::Text(text) => Node::from(text.as_str()),
            Self::List(items) => Node::Seq(items.iter().map(|item| Item::Node(item.to_node())).collect()),
            Self::Map(entries) => Node::Map(Self::to_map(entries)),
        }
    }

    /// Writes a map with its keys sorted, as SOPS writes metadata since 3.13.
    pub(crate) fn to_map(entries: &[(String, Self)]) -> Map {
        let mut sorted: Vec<&(String, Self)> = entries.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut map = Map::default();
        for (key, value) in sorted {
            map.push(key.as_str(), value.to_node());
        }
        map
    }
}
