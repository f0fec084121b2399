//! Base64 for addresses (RFC 4648 section 5), without padding.

use sealops_formats::{Plaintext, base64};

pub(super) fn encode(bytes: &[u8]) -> Plaintext {
    let text = base64::encode(bytes);
    let mut out = Plaintext::with_capacity(text.len());
    for byte in text.expose().iter().filter(|byte| **byte != b'=') {
        out.push(&[match byte {
            b'+' => b'-',
            b'/' => b'_',
            byte => *byte,
        }]);
    }
    out
}

/// Decodes; padding is accepted. `None` is a text that is none, or empty.
pub(super) fn decode(text: &Plaintext) -> Option<Plaintext> {
    let mut padded = Plaintext::with_capacity(text.len() + 3);
    for byte in text.expose().iter().filter(|byte| **byte != b'=') {
        padded.push(&[match byte {
            b'-' => b'+',
            b'_' => b'/',
            b'+' | b'/' => return None,
            byte => *byte,
        }]);
    }
    while !padded.len().is_multiple_of(4) {
        padded.push(b"=");
    }
    base64::decode(padded.expose()).ok().filter(|bytes| !bytes.is_empty())
}

/// Returns whether a text has no other letters.
pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_not_written_and_is_taken() {
        let bytes = [0xfb, 0xff, 0xfe, 0x01];
        assert_eq!(encode(&bytes).expose_str(), Some("-__-AQ"));
        for text in ["-__-AQ", "-__-AQ=="] {
            assert_eq!(decode(&text.into()).unwrap().expose(), bytes, "{text}");
        }
        for text in ["+//+AQ", "-__-A", "", "hunter2!"] {
            assert!(decode(&text.into()).is_none(), "{text}");
        }
        assert!(is_text("-__-AQ") && !is_text("a=") && !is_text(""));
    }
}
