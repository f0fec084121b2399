//! Classes of characters as go-yaml sees them. A position past the end reads as NUL.

/// Returns the byte at a position.
pub(super) fn at(text: &[u8], position: usize) -> u8 {
    text.get(position).copied().unwrap_or(0)
}

/// Space or tab.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Carriage return, line feed, next line, line or paragraph separator.
pub(super) fn is_break(text: &[u8], position: usize) -> bool {
    match at(text, position) {
        b'\r' | b'\n' => true,
        0xc2 => at(text, position + 1) == 0x85,
        0xe2 => at(text, position + 1) == 0x80 && matches!(at(text, position + 2), 0xa8 | 0xa9),
        _ => false,
    }
}

/// A break or the end.
pub(super) fn is_break_or_end(text: &[u8], position: usize) -> bool {
    at(text, position) == 0 || is_break(text, position)
}

/// Space, tab, a break or the end.
pub(super) fn is_blank_or_end(text: &[u8], position: usize) -> bool {
    is_blank(at(text, position)) || is_break_or_end(text, position)
}

/// What anchors and tag handles are made of.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a character of one byte is part of a plain scalar wherever it stands.
pub(super) fn is_ordinary(byte: u8) -> bool {
    const ORDINARY: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = b'!';
        while byte <= b'~' {
            table[byte as usize] = !matches!(byte, b':' | b',' | b'?' | b'[' | b']' | b'{' | b'}');
            byte += 1;
        }
        table
    };
    ORDINARY[usize::from(byte)]
}

/// The bytes of the character that starts with this one.
pub(super) fn width(byte: u8) -> usize {
    match byte {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
        _ => 1,
    }
}

/// What the emitter writes unescaped: nothing beyond the basic plane, no controls but line feed.
pub(super) fn is_printable(text: &[u8], position: usize) -> bool {
    match (at(text, position), at(text, position + 1), at(text, position + 2)) {
        (b'\n' | b' '..=b'~' | 0xee, ..) | (0xc3..=0xec, ..) => true,
        (0xc2, second, _) => second >= 0xa0,
        (0xed, second, _) => second < 0xa0,
        (0xef, second, third) => {
            !(second == 0xbb && third == 0xbf || second == 0xbf && matches!(third, 0xbe | 0xbf))
        }
        _ => false,
    }
}
