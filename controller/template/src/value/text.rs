//! The bytes of a Go string.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use sealops_formats::Plaintext;

/// Shared, immutable bytes of any content, wiped when the last clone goes. Ordered and compared by bytes, as in Go.
#[derive(Clone)]
pub struct Text {
    bytes: Arc<Plaintext>,
    literal: bool,
}

impl Text {
    /// Makes a text out of template source: it may appear in an error.
    pub(crate) fn literal(bytes: Plaintext) -> Self {
        Self { bytes: Arc::new(bytes), literal: true }
    }

    /// Returns whether the text stands in the template's source as it is, so that an error may quote it.
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    /// Returns the bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// Returns the bytes as text, `None` where they are not UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.bytes.expose_str()
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<T: Into<Plaintext>> From<T> for Text {
    fn from(bytes: T) -> Self {
        Self { bytes: Arc::new(bytes.into()), literal: false }
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}
