//! The walk over a tree that finds its leaves in order, and which of them are encrypted.
//!
//! A comment counts for the next sibling and for everything below it: each level has a list of active comments, which a
//! comment joins before it is judged itself, and which is emptied after each value.

use std::ops::Range;

use sealops_formats::tree::{Comment, Entry, Item, Map, Node, Scalar, Tree, TreePath};

use super::selector::{Selector, SelectorKind};
use super::value::EncryptedText;

/// A key that is no text: nothing can be encrypted under it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Tree contains a non-string key (type {go_type}) under {path:?}. Only string keys are supported")]
pub struct NonTextKey {
    /// The keys above it, joined by colons.
    pub path: String,
    /// Go's name for the key's type.
    pub go_type: &'static str,
}

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Encrypt,
    Decrypt,
}

/// Where a leaf stands in the tree.
pub(super) enum Slot<'t> {
    /// A comment in a map.
    Comment(&'t mut Comment),
    /// A value in a map.
    Node(&'t mut Node),
    /// An element of a list: a value, a comment, or the encrypted text of a comment.
    Item(&'t mut Item),
}

/// A leaf that is visited: a comment or a scalar, never null.
pub(super) struct Leaf<'t> {
    pub(super) slot: Slot<'t>,
    /// Its authenticated path in [`Leaves::paths`].
    pub(super) path: Range<usize>,
    pub(super) encrypted: bool,
    /// Whether the MAC covers it, if it is a value.
    pub(super) hashed: bool,
}

impl Leaf<'_> {
    /// Returns the comment, where this is one now.
    pub(super) fn comment(&self) -> Option<&Comment> {
        match &self.slot {
            Slot::Comment(comment) => Some(comment),
            Slot::Item(Item::Comment(comment)) => Some(comment),
            _ => None,
        }
    }

    /// Returns the scalar, where this is one now.
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.slot {
            Slot::Node(Node::Scalar(scalar)) | Slot::Item(Item::Node(Node::Scalar(scalar))) => Some(scalar),
            _ => None,
        }
    }
}

/// All leaves of a tree in document order.
pub(super) struct Leaves<'t> {
    pub(super) leaves: Vec<Leaf<'t>>,
    /// The authenticated paths, one after the other.
    pub(super) paths: Vec<u8>,
    /// Whether the selector matched anything.
    pub(super) matched: bool,
}

impl Leaves<'_> {
    /// Returns the keys above a leaf for a message.
    pub(super) fn path_text(&self, leaf: &Leaf<'_>) -> String {
        path_text(&self.paths[leaf.path.clone()])
    }
}

/// Returns an authenticated path for a message: the keys, joined by colons.
pub(super) fn path_text(aad: &[u8]) -> String {
    String::from_utf8_lossy(aad.strip_suffix(b":").unwrap_or(aad)).into_owned()
}

/// Finds the leaves. Without a selector everything is encrypted.
pub(super) fn leaves<'t>(
    tree: &'t mut Tree,
    selector: Option<&Selector>,
    direction: Direction,
) -> Result<Leaves<'t>, NonTextKey> {
    let mut walk = Walk {
        selector,
        direction,
        path: TreePath::new(),
        key_matches: 0,
        comment_levels: Vec::new(),
        found: Leaves { leaves: Vec::new(), paths: Vec::new(), matched: false },
    };
    for document in &mut tree.documents {
        walk.map(document)?;
    }
    Ok(walk.found)
}

struct Walk<'s, 't> {
    selector: Option<&'s Selector>,
    direction: Direction,
    path: TreePath,
    /// How many keys of the path match.
    key_matches: usize,
    /// For each level, whether one of its active comments matches.
    comment_levels: Vec<bool>,
    found: Leaves<'t>,
}

impl<'t> Walk<'_, 't> {
    fn map(&mut self, map: &'t mut Map) -> Result<(), NonTextKey> {
        self.comment_levels.push(false);
        for entry in &mut map.entries {
            match entry {
                Entry::Comment(comment) => {
                    let encrypted = self.judge_comment(comment.text.expose());
                    self.push(Slot::Comment(comment), encrypted);
                }
                Entry::Pair { key, value } => {
                    if !self.path.push(key) {
                        let path = path_text(self.path.aad());
                        return Err(NonTextKey { path, go_type: key.go_type() });
                    }
                    let matches = self.key_matches(key.as_bytes().unwrap_or_default());
                    self.key_matches += usize::from(matches);
                    match value {
                        Node::Null => {}
                        Node::Map(map) => self.map(map)?,
                        Node::Seq(items) => self.list(items)?,
                        Node::Scalar(_) => {
                            let encrypted = self.judge();
                            self.push(Slot::Node(value), encrypted);
                        }
                    }
                    self.key_matches -= usize::from(matches);
                    self.path.pop();
                    self.end_of_comments();
                }
            }
        }
        self.comment_levels.pop();
        Ok(())
    }

    fn list(&mut self, items: &'t mut [Item]) -> Result<(), NonTextKey> {
        self.comment_levels.push(false);
        for item in items {
            match item {
                Item::Comment(comment) => {
                    let encrypted = self.judge_comment(comment.text.expose());
                    self.push(Slot::Item(item), encrypted);
                    continue;
                }
                Item::Node(Node::Null) => {}
                Item::Node(Node::Map(map)) => self.map(map)?,
                Item::Node(Node::Seq(items)) => self.list(items)?,
                Item::Node(Node::Scalar(scalar)) => {
                    let encrypted = self.judge();
                    // An encrypted comment of a list stands there as an element. SOPS takes it for a value here and
                    // forgets the marker above it (getsops/sops#2281).
                    if encrypted && self.direction == Direction::Decrypt && is_encrypted_comment(scalar) {
                        if let Scalar::Str(text) = scalar {
                            self.judge_comment(text.expose());
                        }
                        self.push(Slot::Item(item), true);
                        continue;
                    }
                    self.push(Slot::Item(item), encrypted);
                }
            }
            self.end_of_comments();
        }
        self.comment_levels.pop();
        Ok(())
    }

    fn push(&mut self, slot: Slot<'t>, encrypted: bool) {
        let start = self.found.paths.len();
        self.found.paths.extend_from_slice(self.path.aad());
        let path = start..self.found.paths.len();
        self.found.leaves.push(Leaf { slot, path, encrypted, hashed: true });
    }

    fn key_matches(&mut self, key: &[u8]) -> bool {
        let matches =
            self.selector.is_some_and(|selector| !selector.kind().by_comment() && selector.is_match(key));
        self.found.matched |= matches;
        matches
    }

    /// Decides about a value here.
    fn judge(&self) -> bool {
        let Some(selector) = self.selector else { return true };
        let matches = if selector.kind().by_comment() {
            self.comment_levels.contains(&true)
        } else {
            self.key_matches > 0
        };
        matches != selector.kind().encrypts_by_default()
    }

    /// Makes a comment active and decides about it. A comment that exempts is exempt itself; one that marks stays
    /// readable unless another one before it marks it.
    fn judge_comment(&mut self, text: &[u8]) -> bool {
        let before = self.judge();
        let Some(selector) = self.selector.filter(|selector| selector.kind().by_comment()) else {
            return before;
        };
        if selector.is_match(text) {
            self.found.matched = true;
            if let Some(level) = self.comment_levels.last_mut() {
                *level = true;
            }
        }
        if selector.kind() == SelectorKind::EncryptedCommentRegex { before } else { self.judge() }
    }

    fn end_of_comments(&mut self) {
        if let Some(level) = self.comment_levels.last_mut() {
            *level = false;
        }
    }
}

fn is_encrypted_comment(scalar: &Scalar) -> bool {
    let Scalar::Str(text) = scalar else { return false };
    EncryptedText::parse(text.expose()).is_some_and(|fields| fields.type_name == "comment")
}
