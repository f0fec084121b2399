//! `set`, `unset` and `extract`: one value of a decrypted file, by its path.
//!
//! A path is `["key"][0]["key"]`, as on SOPS's command line. List positions count elements; SOPS counts comments, too
//! (a mistake that this does not repeat).

use sealops_formats::tree::{Entry, Item, Key, Map, Node, Tree};

use super::file::OpenFile;

/// Most steps of a path.
pub const MAX_STEPS: usize = 256;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// A path to a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValuePath(Vec<Step>);

/// Why a path leads nowhere. Keys and positions only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The text is no path. The words are SOPS's.
    #[error("invalid path: {0}")]
    Syntax(&'static str),
    /// A key that is not there. The words are SOPS's.
    #[error("component ['{0}'] not found")]
    NoSuchKey(String),
    /// A position behind the end. The words are SOPS's.
    #[error("component [{0}] accesses out of bounds")]
    OutOfBounds(usize),
    /// A position in something that is no list. The words are SOPS's.
    #[error("component [{0}] is integer, but tree part is not a slice")]
    NotAList(usize),
    /// A key in something that is no map.
    #[error("component ['{0}'] is a key, but the tree part is not a map")]
    NotAMap(String),
    /// The file has no document.
    #[error("the file holds no document")]
    Empty,
}

impl ValuePath {
    /// Reads a path: each part in brackets, a text in quotes a key, anything else a number.
    ///
    /// # Errors
    /// Returns what is wrong with the text, without quoting it.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut steps = Vec::new();
        for part in text.split('[').skip(1) {
            let part =
                part.strip_suffix(']').ok_or(PathError::Syntax("component is not properly terminated"))?;
            let quoted = |quote: char| part.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            steps.push(match quoted('"').or_else(|| quoted('\'')) {
                Some(key) => Step::Key(key.to_owned()),
                None => Step::Index(
                    part.parse().map_err(|_| PathError::Syntax("component is neither key nor position"))?,
                ),
            });
        }
        match steps.len() {
            0 => Err(PathError::Syntax("no component in brackets")),
            count if count > MAX_STEPS => Err(PathError::Syntax("too many components")),
            _ => Ok(Self(steps)),
        }
    }

    /// Returns the steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl From<Vec<Step>> for ValuePath {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

impl OpenFile {
    /// Returns the value at a path of the first document; the empty path is not one.
    ///
    /// # Errors
    /// Returns the step that leads nowhere.
    pub fn extract(&self, path: &ValuePath) -> Result<&Node, PathError> {
        extract(&self.tree, path)
    }

    /// Sets a value in the first document; what is missing on the way is made. Returns whether anything changed.
    ///
    /// A position behind the end of a list appends.
    ///
    /// # Errors
    /// Returns the step that does not fit what is there.
    pub fn set(&mut self, path: &ValuePath, value: Node) -> Result<bool, PathError> {
        check_steps(self.tree.documents.first().ok_or(PathError::Empty)?, &path.0)?;
        self.remember_nonces();
        let map = self.tree.documents.first_mut().ok_or(PathError::Empty)?;
        let Some((Step::Key(key), rest)) = path.0.split_first() else { return Err(PathError::Empty) };
        Ok(set_in_map(map, key, rest, value))
    }

    /// Removes a value from the first document.
    ///
    /// # Errors
    /// Returns the step that leads nowhere; nothing is removed then.
    pub fn unset(&mut self, path: &ValuePath) -> Result<(), PathError> {
        extract(&self.tree, path)?;
        self.remember_nonces();
        let map = self.tree.documents.first_mut().ok_or(PathError::Empty)?;
        unset_in_map(map, &path.0)
    }
}

/// Returns the value at a path of the first document.
///
/// # Errors
/// Returns the step that leads nowhere.
pub fn extract<'t>(tree: &'t Tree, path: &ValuePath) -> Result<&'t Node, PathError> {
    let document = tree.documents.first().ok_or(PathError::Empty)?;
    let (first, rest) = path.0.split_first().ok_or(PathError::Syntax("no component in brackets"))?;
    let mut node = match first {
        Step::Key(key) => document.find(key).ok_or_else(|| PathError::NoSuchKey(key.clone()))?,
        Step::Index(index) => return Err(PathError::NotAList(*index)),
    };
    for step in rest {
        node = match (step, node) {
            (Step::Key(key), Node::Map(map)) => {
                map.find(key).ok_or_else(|| PathError::NoSuchKey(key.clone()))?
            }
            (Step::Key(key), _) => return Err(PathError::NotAMap(key.clone())),
            (Step::Index(index), Node::Seq(items)) => {
                nodes(items).nth(*index).ok_or(PathError::OutOfBounds(*index))?
            }
            (Step::Index(index), _) => return Err(PathError::NotAList(*index)),
        };
    }
    Ok(node)
}

/// Returns the elements of a list without its comments.
fn nodes(items: &[Item]) -> impl Iterator<Item = &Node> {
    items.iter().filter_map(|item| match item {
        Item::Node(node) => Some(node),
        Item::Comment(_) => None,
    })
}

/// Returns the place of an element among elements and comments.
fn place(items: &[Item], index: usize) -> Option<usize> {
    let mut places = items.iter().enumerate().filter(|(_, item)| matches!(item, Item::Node(_)));
    places.nth(index).map(|(place, _)| place)
}

/// Walks as far as the tree goes and checks that the steps fit it. A leaf in the way is replaced, as in SOPS.
fn check_steps(document: &Map, steps: &[Step]) -> Result<(), PathError> {
    let Some(Step::Key(first)) = steps.first() else {
        return Err(match steps.first() {
            Some(Step::Index(index)) => PathError::NotAList(*index),
            _ => PathError::Syntax("no component in brackets"),
        });
    };
    let mut node = document.find(first);
    for step in &steps[1..] {
        node = match (node, step) {
            (None | Some(Node::Null | Node::Scalar(_)), _) => None,
            (Some(Node::Map(map)), Step::Key(key)) => map.find(key),
            (Some(Node::Seq(items)), Step::Index(index)) => nodes(items).nth(*index),
            (Some(Node::Map(_)), Step::Index(index)) => return Err(PathError::NotAList(*index)),
            (Some(Node::Seq(_)), Step::Key(key)) => return Err(PathError::NotAMap(key.clone())),
        };
    }
    Ok(())
}

fn set_in_map(map: &mut Map, key: &str, rest: &[Step], value: Node) -> bool {
    let existing = map.entries.iter_mut().find_map(|entry| match entry {
        Entry::Pair { key: found, value } if found.as_bytes() == Some(key.as_bytes()) => Some(value),
        _ => None,
    });
    match existing {
        Some(node) => set_in_node(node, rest, value),
        None => {
            let mut node = Node::Null;
            set_in_node(&mut node, rest, value);
            map.entries.push(Entry::Pair { key: Key::from(key), value: node });
            true
        }
    }
}

fn set_in_node(node: &mut Node, steps: &[Step], value: Node) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        let changed = !same(node, &value);
        *node = value;
        return changed;
    };
    match step {
        Step::Key(key) => {
            if !matches!(node, Node::Map(_)) {
                *node = Node::Map(Map::default());
            }
            let Node::Map(map) = node else { return false };
            set_in_map(map, key, rest, value)
        }
        Step::Index(index) => {
            if !matches!(node, Node::Seq(_)) {
                *node = Node::Seq(Vec::new());
            }
            let Node::Seq(items) = node else { return false };
            match place(items, *index).and_then(|place| items.get_mut(place)) {
                Some(Item::Node(node)) => set_in_node(node, rest, value),
                _ => {
                    let mut node = Node::Null;
                    set_in_node(&mut node, rest, value);
                    items.push(Item::Node(node));
                    true
                }
            }
        }
    }
}

fn unset_in_map(map: &mut Map, steps: &[Step]) -> Result<(), PathError> {
    let Some((Step::Key(key), rest)) = steps.split_first() else { return Err(PathError::Empty) };
    let is_it = |entry: &Entry| match entry {
        Entry::Pair { key: found, .. } => found.as_bytes() == Some(key.as_bytes()),
        Entry::Comment(_) => false,
    };
    let at = map.entries.iter().position(is_it).ok_or_else(|| PathError::NoSuchKey(key.clone()))?;
    if rest.is_empty() {
        map.entries.remove(at);
        return Ok(());
    }
    match &mut map.entries[at] {
        Entry::Pair { value, .. } => unset_in_node(value, rest),
        Entry::Comment(_) => Ok(()),
    }
}

fn unset_in_node(node: &mut Node, steps: &[Step]) -> Result<(), PathError> {
    match (node, steps.split_first()) {
        (Node::Map(map), _) => unset_in_map(map, steps),
        (Node::Seq(items), Some((Step::Index(index), rest))) => {
            let at = place(items, *index).ok_or(PathError::OutOfBounds(*index))?;
            if rest.is_empty() {
                items.remove(at);
                return Ok(());
            }
            match &mut items[at] {
                Item::Node(node) => unset_in_node(node, rest),
                Item::Comment(_) => Ok(()),
            }
        }
        _ => Err(PathError::Empty),
    }
}

/// Compares two values: type, order and content. Inline marks of comments do not count.
fn same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Null, Node::Null) => true,
        (Node::Scalar(one), Node::Scalar(other)) => {
            let bytes = (one.to_plain_bytes(), other.to_plain_bytes());
            one.type_name() == other.type_name() && matches!(bytes, (Ok(one), Ok(other)) if one.ct_eq(&other))
        }
        (Node::Map(one), Node::Map(other)) => {
            one.entries.len() == other.entries.len()
                && one.entries.iter().zip(&other.entries).all(|pair| match pair {
                    (Entry::Comment(one), Entry::Comment(other)) => one.text.ct_eq(&other.text),
                    (Entry::Pair { key: a, value: one }, Entry::Pair { key: b, value: other }) => {
                        a.as_bytes() == b.as_bytes() && same(one, other)
                    }
                    _ => false,
                })
        }
        (Node::Seq(one), Node::Seq(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|pair| match pair {
                    (Item::Comment(one), Item::Comment(other)) => one.text.ct_eq(&other.text),
                    (Item::Node(one), Item::Node(other)) => same(one, other),
                    _ => false,
                })
        }
        _ => false,
    }
}
