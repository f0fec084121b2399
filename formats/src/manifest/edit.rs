//! Edits of a manifest's text: only the bytes of the values that change are touched.
//!
//! ```text
//!   text ──parse──► Source (where every value stands) ──apply(edits)──► new text ──parsed and compared──► checked
//! ```
//!
//! Comments, order, quotes, indentation and line ends stay. The new text is read again before it is handed out: a
//! layout that is not understood gives an error and never a file with another meaning.

mod json;
mod place;
mod render;
mod yaml;

use std::collections::BTreeMap;
use std::ops::Range;

use self::place::Place;
use self::render::{Additions, replaced};
use super::{Document, MAX_BYTES, Node, ParseError, ScalarKind, Value, parse};
use crate::Plaintext;

/// A text with the places of its values.
pub struct Source {
    /// Without a byte order mark.
    text: Plaintext,
    has_mark: bool,
    syntax: Syntax,
    places: Vec<Place>,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// JSON objects, one after another.
    Json,
    /// YAML documents.
    Yaml,
}

/// One value to set; maps on the way are made where they are missing. Not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which document, counted as [`parse`] does.
    pub document: usize,
    /// Keys (and numbers of list items) from the top.
    pub path: Vec<String>,
    /// The text to stand there.
    pub value: String,
}

/// Why a text cannot be edited. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The value stands in a layout that is not edited.
    #[error(
        "line {line}: {path}: this is written in a way that cannot be edited (an alias, a merge key, a tag)"
    )]
    Layout {
        /// Line, from 1.
        line: usize,
        /// Keys from the top, joined by dots.
        path: String,
    },
    /// The edited text would mean something else than it should.
    #[error("the edited text would change more than it should; are values shared by anchors and aliases?")]
    Meaning,
}

const MARK: &str = "\u{feff}";

impl Source {
    /// Finds every value of a text.
    ///
    /// # Errors
    /// Those of [`parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > MAX_BYTES {
            return Err(ParseError::TooLarge);
        }
        // For its error, which names the line.
        let Ok(whole) = std::str::from_utf8(bytes) else {
            return match parse(bytes) {
                Err(error) => Err(error),
                Ok(_) => Err(ParseError::NotUtf8 { line: 1 }),
            };
        };
        let text = whole.strip_prefix(MARK).unwrap_or(whole);
        let has_mark = text.len() < whole.len();
        let is_json = text.trim_start().starts_with('{') && super::json::parse(text).is_ok();
        let (syntax, places) = match is_json {
            true => (Syntax::Json, json::places(text)),
            false => (Syntax::Yaml, yaml::places(text)?),
        };
        Ok(Self { text: text.into(), has_mark, syntax, places })
    }

    /// Returns how the text is written.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Returns the text with the edits made.
    ///
    /// # Errors
    /// Returns where a value cannot be edited; nothing is edited then.
    pub fn apply(&self, edits: &[Edit]) -> Result<Plaintext, EditError> {
        let text = self.text.expose_str().ok_or(EditError::Meaning)?;
        let mut patches: Vec<(Range<usize>, String)> = Vec::new();
        let mut additions: BTreeMap<usize, (&Place, Additions)> = BTreeMap::new();
        for edit in edits {
            let root = self.places.get(edit.document).ok_or(EditError::Meaning)?;
            let (place, rest) = root.walk(&edit.path);
            if rest.is_empty() {
                let new = replaced(text, place, self.syntax, &edit.value);
                patches.push(new.ok_or_else(|| layout(text, place, &edit.path))?);
            } else if place.can_grow(text) {
                let (_, tree) = additions.entry(place.id()).or_insert_with(|| (place, Additions::default()));
                tree.put(rest, &edit.value);
            } else {
                return Err(layout(text, place, &edit.path));
            }
        }
        for (place, tree) in additions.into_values() {
            patches.push(render::added(text, place, self.syntax, &tree));
        }
        let new = patched(text, patches).ok_or(EditError::Meaning)?;
        self.check(&new, edits)?;
        let mut out = Plaintext::with_capacity(new.len() + MARK.len());
        if self.has_mark {
            out.push(MARK.as_bytes());
        }
        out.push(new.expose());
        Ok(out)
    }

    /// Reads the new text and compares it with the old one in which the values were set.
    fn check(&self, new: &Plaintext, edits: &[Edit]) -> Result<(), EditError> {
        let read = |text: &Plaintext| parse(text.expose()).map_err(|_| EditError::Meaning);
        let (mut wanted, mut found) = (read(&self.text)?, read(new)?);
        for edit in edits {
            let document = wanted.get_mut(edit.document).ok_or(EditError::Meaning)?;
            put(&mut document.root, &edit.path, &edit.value).ok_or(EditError::Meaning)?;
            // A block keeps its line ends, which base64 passes over.
            if !edit.value.contains('\n')
                && let Some(node) = found.get_mut(edit.document).and_then(|own| at(&mut own.root, &edit.path))
                && let Value::Scalar(ScalarKind::Text, text) = &mut node.value
            {
                let kept: Vec<u8> =
                    text.expose().iter().filter(|byte| !b"\r\n".contains(byte)).copied().collect();
                *text = kept.into();
            }
        }
        let equal = |(a, b): (&Document, &Document)| same(&a.root, &b.root);
        match wanted.len() == found.len() && wanted.iter().zip(&found).all(equal) {
            true => Ok(()),
            false => Err(EditError::Meaning),
        }
    }
}

fn layout(text: &str, place: &Place, path: &[String]) -> EditError {
    let line = 1 + text[..place.span.start].matches('\n').count();
    EditError::Layout { line, path: path.join(".") }
}

/// Puts the patches into the text; `None` where two overlap.
fn patched(text: &str, mut patches: Vec<(Range<usize>, String)>) -> Option<Plaintext> {
    patches.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out =
        Plaintext::with_capacity(text.len() + patches.iter().map(|(_, new)| new.len()).sum::<usize>());
    let mut at = 0;
    for (range, new) in &patches {
        out.push(text.get(at..range.start)?.as_bytes());
        out.push(new.as_bytes());
        at = range.end;
    }
    out.push(text.get(at..)?.as_bytes());
    Some(out)
}

/// Sets a text in a tree; `None` where a leaf or an item that does not exist is in the way.
fn put(node: &mut Node, path: &[String], value: &str) -> Option<()> {
    let Some((key, rest)) = path.split_first() else {
        node.value = Value::Scalar(ScalarKind::Text, value.into());
        return Some(());
    };
    if node.is_null() {
        node.value = Value::Map(Vec::new());
    }
    match &mut node.value {
        Value::List(items) => put(items.get_mut(key.parse::<usize>().ok()?)?, rest, value),
        Value::Map(entries) => {
            let found = entries.iter().position(|(name, _)| name == key);
            let index = found.unwrap_or_else(|| {
                entries.push((key.clone(), Node::default()));
                entries.len() - 1
            });
            put(&mut entries[index].1, rest, value)
        }
        _ => None,
    }
}

fn at<'a>(node: &'a mut Node, path: &[String]) -> Option<&'a mut Node> {
    let Some((key, rest)) = path.split_first() else { return Some(node) };
    match &mut node.value {
        Value::List(items) => at(items.get_mut(key.parse::<usize>().ok()?)?, rest),
        Value::Map(entries) => at(&mut entries.iter_mut().find(|(name, _)| name == key)?.1, rest),
        _ => None,
    }
}

/// Compares trees; the order of a map's entries does not count.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(kind, text), Value::Scalar(other, own)) => kind == other && text.ct_eq(own),
        (Value::List(items), Value::List(own)) => {
            items.len() == own.len() && items.iter().zip(own).all(|(a, b)| same(a, b))
        }
        (Value::Map(entries), Value::Map(own)) => {
            let own: BTreeMap<&str, &Node> = own.iter().map(|(key, node)| (key.as_str(), node)).collect();
            entries.len() == own.len()
                && entries.iter().all(|(key, node)| own.get(key.as_str()).is_some_and(|own| same(node, own)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
