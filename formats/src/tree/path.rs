//! Where a value stands, as SOPS authenticates it: keys only, no list positions, no document number.

use super::Key;

/// The keys from the top of a document to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreePath {
    /// Every key with a `:` after it, which is the form SOPS authenticates.
    joined: Vec<u8>,
    ends: Vec<usize>,
}

impl TreePath {
    /// Returns the path of the document itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Steps into a key; returns whether it is a text key, and stays where it is if not.
    pub fn push(&mut self, key: &Key) -> bool {
        match key.as_bytes() {
            Some(bytes) => {
                self.push_bytes(bytes);
                true
            }
            None => false,
        }
    }

    /// Steps into a key.
    pub fn push_bytes(&mut self, key: &[u8]) {
        self.joined.extend_from_slice(key);
        self.ends.push(self.joined.len());
        self.joined.push(b':');
    }

    /// Steps back out.
    pub fn pop(&mut self) {
        self.ends.pop();
        self.joined.truncate(self.ends.last().map_or(0, |end| end + 1));
    }

    /// Returns the additional authenticated data of a value here: `a:b:`, and `:` at the top.
    pub fn aad(&self) -> &[u8] {
        if self.joined.is_empty() { b":" } else { &self.joined }
    }

    /// Returns the keys from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] + 1 };
            &self.joined[start..self.ends[index]]
        })
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether this is the document itself.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_authenticated_form() {
        let mut path = TreePath::new();
        assert_eq!(path.aad(), b":");
        assert!(path.push(&Key::from("a")));
        assert!(path.push(&Key::from("b:c")));
        assert!(!path.push(&Key::Other(None)));
        assert_eq!(path.aad(), b"a:b:c:");
        assert_eq!(path.components().collect::<Vec<_>>(), [b"a".as_slice(), b"b:c"]);
        path.pop();
        assert_eq!(path.aad(), b"a:");
        path.pop();
        assert!(path.is_empty() && path.aad() == b":");
    }
}
