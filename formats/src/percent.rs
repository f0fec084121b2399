//! Percent-encoding of parts of addresses (RFC 3986).

/// Encodes all bytes but letters, digits, `-._~` and those to keep.
pub fn encode(text: &str, keep: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn only_what_is_kept_stands_as_it_is() {
        assert_eq!(encode("aZ09-._~", b""), "aZ09-._~");
        assert_eq!(encode("a/b=c,d e\n\u{e4}%", b""), "a%2Fb%3Dc%2Cd%20e%0A%C3%A4%25");
        assert_eq!(encode("a/b c", b"/"), "a/b%20c");
    }
}
