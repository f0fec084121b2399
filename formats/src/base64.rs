//! Base64 as Kubernetes reads and writes it (RFC 4648 section 4, padded).
//!
//! The decoder accepts what Go's `encoding/base64.StdEncoding` accepts and counts the offset of the first bad byte as
//! it does: that offset stands in status messages which others match. Carriage returns and line feeds are skipped
//! anywhere, non-zero trailing bits are accepted, blanks and missing padding are errors.

use std::fmt;

use crate::Plaintext;

/// A text that is not base64. Carries the offset of the first byte that does not fit, never the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBase64 {
    /// Offset into the input, in bytes, as Go counts it.
    pub offset: usize,
}

impl fmt::Display for InvalidBase64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "illegal base64 data at input byte {}", self.offset)
    }
}

impl std::error::Error for InvalidBase64 {}

/// Decodes into wiped memory.
///
/// # Errors
/// Returns the offset of the first byte that is not base64.
pub fn decode(text: &[u8]) -> Result<Plaintext, InvalidBase64> {
    let mut out = Plaintext::with_capacity(text.len() / 4 * 3 + 3);
    let mut reader = Reader { text, at: 0 };
    while let Some(quantum) = reader.quantum()? {
        let [a, b, c, d] = quantum.sextets;
        let bytes = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
        out.push(&bytes[..quantum.bytes]);
        if quantum.bytes < 3 {
            break;
        }
    }
    Ok(out)
}

/// Encodes into wiped memory.
pub fn encode(bytes: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let mut text = [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63]
            .map(|sextet| ALPHABET[usize::from(sextet)]);
        for pad in &mut text[chunk.len() + 1..] {
            *pad = b'=';
        }
        out.push(&text);
    }
    out
}

/// Encodes bytes that are no secret (ciphertext, certificates).
pub fn encode_public(bytes: &[u8]) -> String {
    encode(bytes).expose().iter().map(|&byte| char::from(byte)).collect()
}

struct Quantum {
    sextets: [u8; 4],
    bytes: usize,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn quantum(&mut self) -> Result<Option<Quantum>, InvalidBase64> {
        let mut sextets = [0; 4];
        let mut filled = 0;
        while filled < 4 {
            let Some(&byte) = self.text.get(self.at) else {
                return if filled == 0 { Ok(None) } else { Err(InvalidBase64 { offset: self.at - filled }) };
            };
            self.at += 1;
            match byte {
                b'\r' | b'\n' => {}
                b'=' => return self.padding(filled).map(|bytes| Some(Quantum { sextets, bytes })),
                _ => {
                    sextets[filled] = sextet(byte).ok_or(InvalidBase64 { offset: self.at - 1 })?;
                    filled += 1;
                }
            }
        }
        Ok(Some(Quantum { sextets, bytes: 3 }))
    }

    /// Reads what may follow the first `=`; returns how many bytes the quantum holds.
    fn padding(&mut self, filled: usize) -> Result<usize, InvalidBase64> {
        if filled < 2 {
            return Err(InvalidBase64 { offset: self.at - 1 });
        }
        if filled == 2 {
            self.skip_line_ends();
            match self.text.get(self.at) {
                None => return Err(InvalidBase64 { offset: self.text.len() }),
                Some(b'=') => self.at += 1,
                Some(_) => return Err(InvalidBase64 { offset: self.at - 1 }),
            }
        }
        self.skip_line_ends();
        if self.at < self.text.len() { Err(InvalidBase64 { offset: self.at }) } else { Ok(filled - 1) }
    }

    fn skip_line_ends(&mut self) {
        while matches!(self.text.get(self.at), Some(b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, usize> {
        decode(text.as_bytes()).map(|value| value.expose().to_vec()).map_err(|error| error.offset)
    }

    #[test]
    fn round_trips_every_length() {
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(decoded(&encode_public(&bytes)), Ok(bytes));
        }
    }

    #[test]
    fn knows_the_vectors_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(encode_public(bytes.as_bytes()), text);
            assert_eq!(decoded(text), Ok(bytes.as_bytes().to_vec()));
        }
    }

    #[test]
    fn accepts_what_go_accepts() {
        assert_eq!(decoded("Zm\r\n9v\n"), Ok(b"foo".to_vec()));
        assert_eq!(decoded("Zg=\n=\n"), Ok(b"f".to_vec()));
        assert_eq!(decoded("Zh=="), Ok(b"f".to_vec()), "trailing bits are ignored");
    }

    /// Offsets printed by Go 1.26's `base64.StdEncoding.DecodeString` for the same inputs.
    #[test]
    fn counts_bad_offsets_as_go_does() {
        for (text, offset) in [
            ("!!", 0),
            ("Zm9v Zg==", 4),
            ("Zm9vZg", 4),
            ("Z", 0),
            ("Zg=", 3),
            ("Zg=a", 2),
            ("Zg==a", 4),
            ("=", 0),
            ("Zm8=\nx", 5),
        ] {
            assert_eq!(decoded(text), Err(offset), "{text:?}");
        }
    }
}
