//! Where a value stands in its text.

use std::ops::Range;

/// A value with its bytes.
#[derive(Debug)]
pub(super) struct Place {
    /// The value's own bytes, without anchor and tag; of a block map only its start is meant.
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Quotes),
    List(Vec<Place>),
    /// A map with the brackets of JSON or without.
    Map {
        in_brackets: bool,
        entries: Vec<Entry>,
    },
    Alias,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// Nothing is written at all.
    Absent,
    Plain,
    Single,
    Double,
    /// `|`, with the column of its text.
    Literal(usize),
    /// `>`.
    Folded,
}

impl Place {
    /// Goes down as far as the path exists; returns what is left of it.
    pub(super) fn walk<'a, 'b>(&'a self, path: &'b [String]) -> (&'a Self, &'b [String]) {
        let Some((key, rest)) = path.split_first() else { return (self, path) };
        match self.child(key) {
            Some(child) => child.walk(rest),
            None => (self, path),
        }
    }

    /// Of two equal keys the last one counts.
    fn child(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::List(items) => items.get(key.parse::<usize>().ok()?),
            Kind::Map { entries, .. } => {
                entries.iter().rev().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }

    /// Returns whether keys can be added: it is a map, or nothing yet.
    pub(super) fn can_grow(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Map { .. } | Kind::Scalar(Quotes::Absent) => true,
            Kind::Scalar(Quotes::Plain) => matches!(&text[self.span.clone()], "null" | "~" | "Null" | "NULL"),
            _ => false,
        }
    }

    /// Names the place: two places of one text never start at the same byte unless one is a map without brackets.
    pub(super) fn id(&self) -> usize {
        self.span.start
    }

    /// Returns the end of the value's last byte that is no white space.
    pub(super) fn end(&self, text: &str) -> usize {
        match &self.kind {
            Kind::Map { in_brackets: false, entries } => {
                let last = entries.iter().map(|entry| entry.value.end(text).max(entry.key_span.end));
                last.max().unwrap_or(self.span.start)
            }
            Kind::List(items) if self.span.is_empty() || !text[self.span.clone()].starts_with('[') => {
                items.iter().map(|item| item.end(text)).max().unwrap_or(self.span.start)
            }
            _ => self.span.start + text[self.span.clone()].trim_end().len(),
        }
    }
}
