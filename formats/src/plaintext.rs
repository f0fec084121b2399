//! The only type in which a secret value may live.

use std::fmt;
use std::io::{self, Read};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, optimization_barrier};

/// How much one read asks for at most, in bytes.
const MAX_READ: usize = 256 << 10;
/// How much room the first read has, in bytes: most files are smaller.
const FIRST_READ: usize = 16 << 10;

/// Owned bytes of a secret: wiped on drop, never printed, never copied by accident.
///
/// There is no `Display`, `Serialize`, `Clone` or `PartialEq`. Bytes leave only through [`Plaintext::expose`], whose
/// call sites can be searched for; a copy is made by [`Plaintext::duplicate`], and equality is
/// [`Plaintext::ct_eq`].
#[derive(Default)]
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// Returns an empty value with room for `capacity` bytes, so that filling it leaves no copy behind.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Returns the bytes. Keep the borrow short; see ARCHITECTURE.md for the places that may call this.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes to be changed in place, to encrypt them for example. As [`Plaintext::expose`].
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Returns the bytes as text, or `None` where they are not UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        Self::from(self.expose())
    }

    /// Compares in time that depends on the lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends bytes; a buffer that has to grow is wiped before it is given back.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Makes room for more bytes.
    fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if needed > self.0.capacity() {
            let mut grown = Self::with_capacity(needed.max(self.0.capacity() * 2));
            grown.0.extend_from_slice(&self.0);
            std::mem::swap(self, &mut grown);
        }
    }

    /// Appends what one read gives, and returns the number of bytes: 0 at the end.
    ///
    /// # Errors
    /// Returns the error of the read.
    pub fn read_some(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.0.len() == self.0.capacity() {
            self.reserve(FIRST_READ);
        }
        let start = self.0.len();
        self.0.resize(self.0.capacity().min(start + MAX_READ), 0);
        let result = source.read(&mut self.0[start..]);
        self.truncate(start + result.as_ref().map_or(0, |count| *count));
        result
    }

    /// Shortens to `length` bytes and wipes the rest.
    pub fn truncate(&mut self, length: usize) {
        if length < self.0.len() {
            self.0[length..].fill(0);
            optimization_barrier(&self.0[length..]);
            self.0.truncate(length);
        }
    }
}

/// Wipes what may once have been in the vector's spare room, too.
impl From<Vec<u8>> for Plaintext {
    fn from(mut bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        if bytes.capacity() > length {
            bytes.resize(bytes.capacity(), 0);
            optimization_barrier(&bytes[length..]);
            bytes.truncate(length);
        }
        Self(bytes)
    }
}

impl From<String> for Plaintext {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&[u8]> for Plaintext {
    fn from(bytes: &[u8]) -> Self {
        let mut value = Self::with_capacity(bytes.len());
        value.0.extend_from_slice(bytes);
        value
    }
}

impl From<&str> for Plaintext {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

/// Overwrites the bytes: the room behind them was never written, or is wiped already. In one go and behind a barrier, not
/// by a volatile write per byte: that was two fifths of the time of encrypting a large file.
impl Drop for Plaintext {
    fn drop(&mut self) {
        self.0.fill(0);
        optimization_barrier(self.0.as_slice());
    }
}

impl ZeroizeOnDrop for Plaintext {}

/// Prints the type's name and nothing else, not even the length.
impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext")
    }
}

/// Lets a serialiser or an encoder write straight into wiped memory.
impl std::io::Write for Plaintext {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Plaintext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Plaintext;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Plaintext, E> {
                Ok(Plaintext::from(text))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Plaintext, E> {
                Ok(Plaintext::from(text))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Plaintext, E> {
                Ok(Plaintext::from(bytes))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Plaintext, E> {
                Ok(Plaintext::default())
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing_about_the_value() {
        assert_eq!(
            format!("{:?} {:#?}", Plaintext::from("hunter2"), Plaintext::from("hunter2")),
            "Plaintext Plaintext"
        );
    }

    #[test]
    fn growing_keeps_the_bytes() {
        let mut value = Plaintext::with_capacity(1);
        for byte in 0..=255u8 {
            value.push(&[byte]);
        }
        assert_eq!(value.expose(), (0..=255u8).collect::<Vec<_>>());
        value.truncate(2);
        assert_eq!(value.expose(), [0, 1]);
    }

    #[test]
    fn a_read_uses_the_room_that_is_there() {
        let mut bytes = b"hunter2".to_vec();
        bytes.truncate(2);
        let mut value = Plaintext::from(bytes);
        let capacity = value.0.capacity();
        assert_eq!(value.read_some(&mut io::repeat(b'x').take(1)).unwrap(), 1);
        assert_eq!((value.expose(), value.0.capacity()), (&b"hux"[..], capacity));
        value.expose_mut().reverse();
        assert_eq!(value.expose(), b"xuh");
    }

    #[test]
    fn compares_by_content() {
        assert!(Plaintext::from("a").ct_eq(&Plaintext::from("a")));
        assert!(!Plaintext::from("a").ct_eq(&Plaintext::from("b")));
        assert!(!Plaintext::from("a").ct_eq(&Plaintext::from("ab")));
    }
}
