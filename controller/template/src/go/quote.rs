//! Go's quoted strings and characters (`strconv/quote.go`).

use super::runes;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` in double quotes; `ascii` escapes what is not ASCII.
pub(crate) fn quote(text: &[u8], ascii: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    for (at, rune, _) in runes::iterate(text) {
        escape_in(rune.ok_or(text[at]), '"', ascii, out);
    }
    out.push(b'"');
}

/// The bytes of `\U0010ffff`.
pub(crate) const LONGEST_ESCAPE: usize = 10;

/// Appends a rune, or a byte that belongs to none, as it stands between such quotes.
pub(crate) fn escape_in(rune: Result<char, u8>, quote: char, ascii: bool, out: &mut Vec<u8>) {
    match rune {
        Ok(rune) => escape(rune, quote, ascii, out),
        Err(byte) => push_hex_byte(byte, out),
    }
}

/// Appends a rune in single quotes. What is no rune is shown as U+FFFD.
pub(crate) fn quote_rune(rune: Option<char>, ascii: bool, out: &mut Vec<u8>) {
    out.push(b'\'');
    escape(rune.unwrap_or(runes::ERROR), '\'', ascii, out);
    out.push(b'\'');
}

/// Quotes template source for an error.
pub(crate) fn quoted(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(text, false, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn push_hex_byte(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn escape(rune: char, quote: char, ascii: bool, out: &mut Vec<u8>) {
    if rune == quote || rune == '\\' {
        out.extend_from_slice(&[b'\\', rune as u8]);
        return;
    }
    if if ascii { rune.is_ascii() && runes::is_print(rune) } else { runes::is_print(rune) } {
        out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    match rune {
        '\x07' => out.extend_from_slice(b"\\a"),
        '\x08' => out.extend_from_slice(b"\\b"),
        '\x0c' => out.extend_from_slice(b"\\f"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\x0b' => out.extend_from_slice(b"\\v"),
        _ if rune < ' ' || rune == '\x7f' => push_hex_byte(rune as u8, out),
        _ if (rune as u32) < 0x1_0000 => out.extend_from_slice(format!("\\u{:04x}", rune as u32).as_bytes()),
        _ => out.extend_from_slice(format!("\\U{:08x}", rune as u32).as_bytes()),
    }
}

/// Returns whether the text can stand in back quotes as it is.
pub(crate) fn can_backquote(text: &[u8]) -> bool {
    runes::iterate(text).all(|(_, rune, width)| match rune {
        Some('\u{feff}') | None => false,
        Some(_) if width > 1 => true,
        Some(rune) => (rune >= ' ' || rune == '\t') && rune != '`' && rune != '\x7f',
    })
}

/// Undoes a literal in double or back quotes, with its quotes. `None` where Go reports invalid syntax.
pub(crate) fn unquote(literal: &[u8]) -> Option<Vec<u8>> {
    let (&quote, rest) = literal.split_first()?;
    let (&last, mut rest) = rest.split_last()?;
    if last != quote {
        return None;
    }
    if quote == b'`' {
        return (!rest.contains(&b'`')).then(|| rest.iter().copied().filter(|byte| *byte != b'\r').collect());
    }
    let mut out = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        if rest[0] == b'\n' {
            return None;
        }
        let (value, tail) = unquote_char(rest, quote)?;
        match value {
            Unquoted::Byte(byte) => out.push(byte),
            Unquoted::Rune(rune) => out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = tail;
    }
    Some(out)
}

/// One character of a literal.
pub(crate) enum Unquoted {
    /// A byte, possibly a part of no rune.
    Byte(u8),
    /// A rune.
    Rune(char),
}

/// Undoes the first character of a literal's inside.
pub(crate) fn unquote_char(text: &[u8], quote: u8) -> Option<(Unquoted, &[u8])> {
    let &first = text.first()?;
    if first == quote {
        return None;
    }
    if first >= 0x80 {
        let (rune, width) = runes::decode(text);
        return Some((Unquoted::Rune(rune.unwrap_or(runes::ERROR)), &text[width..]));
    }
    if first != b'\\' {
        return Some((Unquoted::Byte(first), &text[1..]));
    }
    let &escape = text.get(1)?;
    let rest = &text[2..];
    let byte = match escape {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        b'\'' | b'"' if escape == quote => quote,
        b'x' => return Some((Unquoted::Byte(u8::try_from(digits(rest, 2, 16)?).ok()?), &rest[2..])),
        b'u' => return Some((Unquoted::Rune(char::from_u32(digits(rest, 4, 16)?)?), &rest[4..])),
        b'U' => return Some((Unquoted::Rune(char::from_u32(digits(rest, 8, 16)?)?), &rest[8..])),
        b'0'..=b'7' => {
            return Some((Unquoted::Byte(u8::try_from(digits(&text[1..], 3, 8)?).ok()?), &rest[2..]));
        }
        _ => return None,
    };
    Some((Unquoted::Byte(byte), rest))
}

fn digits(text: &[u8], count: usize, base: u32) -> Option<u32> {
    text.get(..count)?.iter().try_fold(0u32, |value, byte| {
        Some(value.checked_mul(base)?.checked_add(char::from(*byte).to_digit(base)?)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        for (text, plain, ascii) in [
            (&b"a\"b\\"[..], r#""a\"b\\""#, r#""a\"b\\""#),
            (b"\n\x00\x7f\xff", r#""\n\x00\x7f\xff""#, r#""\n\x00\x7f\xff""#),
            ("é\u{200b}\u{1f600}".as_bytes(), "\"é\\u200b\u{1f600}\"", r#""\u00e9\u200b\U0001f600""#),
        ] {
            assert_eq!(quoted(text), plain);
            let mut out = Vec::new();
            quote(text, true, &mut out);
            assert_eq!(out, ascii.as_bytes());
        }
    }

    #[test]
    fn unquotes_what_it_quotes_and_refuses_the_rest() {
        let every: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        quote(&every, false, &mut out);
        assert_eq!(unquote(&out).as_deref(), Some(&every[..]));
        assert_eq!(unquote(br#""\101\u00e9\'""#), None);
        assert_eq!(unquote(br#""\101\u00e9""#).as_deref(), Some("Aé".as_bytes()));
        assert_eq!(unquote(b"`a\\n\r\nb`").as_deref(), Some(&b"a\\n\nb"[..]));
        for wrong in [&b"\"\\q\""[..], b"\"\\x1\"", b"\"\\ud800\"", b"\"\\400\"", b"\"", b"\"a'", b"\"\\\""] {
            assert_eq!(unquote(wrong), None);
        }
    }
}
