//! How a text is quoted: go-yaml's choice, and the writing of it.

use super::chars::{at, is_blank, is_break, is_printable, width};
use super::resolve::{Resolved, resolve};
use super::token::Style;
use crate::Plaintext;

/// Returns the style in which go-yaml writes a text.
pub(super) fn style_of(text: &[u8]) -> Style {
    let wanted = if text.contains(&b'\n') {
        Style::Literal
    } else if matches!(resolve(text, true), Resolved::Text) && !was_boolean(text) && !is_base_60(text) {
        Style::Plain
    } else {
        Style::Double
    };
    let looks = Looks::of(text);
    match wanted {
        // go-yaml cannot read a literal that starts with a tab; SOPS 3.13.3 writes null for such a text.
        Style::Literal if !looks.block || text.first() == Some(&b'\t') => Style::Double,
        Style::Plain if looks.plain => Style::Plain,
        Style::Plain if looks.single => Style::Single,
        Style::Plain => Style::Double,
        other => other,
    }
}

/// Returns whether a text holds a line break in go-yaml's sense.
pub(super) fn is_multiline(text: &[u8]) -> bool {
    (0..text.len()).any(|place| is_break(text, place))
}

/// Returns whether a text holds line breaks and nothing else.
pub(super) fn is_breaks_only(text: &[u8]) -> bool {
    let mut place = 0;
    while place < text.len() && is_break(text, place) {
        place += width(text[place]);
    }
    place >= text.len()
}

/// Words that YAML 1.1 took for booleans.
fn was_boolean(text: &[u8]) -> bool {
    matches!(
        text,
        b"y" | b"Y"
            | b"yes"
            | b"Yes"
            | b"YES"
            | b"on"
            | b"On"
            | b"ON"
            | b"n"
            | b"N"
            | b"no"
            | b"No"
            | b"NO"
            | b"off"
            | b"Off"
            | b"OFF"
    )
}

/// Numbers of YAML 1.1 such as `12:30:45`: `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let (text, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, b"".as_slice()),
    };
    let digits = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'_');
    let mut parts = text.split(|byte| *byte == b':');
    let whole = parts.next().is_some_and(digits);
    let mut sixties = 0;
    let fits = parts.all(|part| {
        sixties += 1;
        matches!(part, [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
    });
    whole && fits && sixties > 0 && digits(fraction)
}

/// Which styles a text can have in block context.
struct Looks {
    plain: bool,
    single: bool,
    block: bool,
}

impl Looks {
    fn of(text: &[u8]) -> Self {
        let (Some(first), Some(last)) = (text.first(), text.last()) else {
            return Self { plain: true, single: true, block: false };
        };
        let mut indicators = starts_with_indicator(text);
        let (mut special, mut tabs, mut breaks) = (false, false, false);
        let (mut space_break, mut break_space) = (false, false);
        let mut before = Before::Start;
        let mut place = 0;
        while place < text.len() {
            let byte = text[place];
            let next = place + width(byte);
            if place > 0 {
                indicators |= match byte {
                    b':' => next >= text.len() || is_blank(text[next]),
                    b'#' => matches!(before, Before::Space | Before::Tab | Before::Break),
                    _ => false,
                };
            }
            if byte == b'\t' {
                tabs = true;
            } else if !is_printable(text, place) {
                special = true;
            }
            before = if byte == b' ' {
                break_space |= before == Before::Break;
                Before::Space
            } else if is_break(text, place) {
                breaks = true;
                space_break |= before == Before::Space;
                Before::Break
            } else if byte == b'\t' {
                Before::Tab
            } else {
                Before::Other
            };
            place = next;
        }
        let trailing_space = *last == b' ';
        let edge = *first == b' ' || trailing_space || is_break(text, 0) || before == Before::Break;
        Self {
            plain: !(edge || break_space || space_break || tabs || special || breaks || indicators),
            single: !(break_space || space_break || tabs || special),
            block: !(trailing_space || space_break || special),
        }
    }
}

fn starts_with_indicator(text: &[u8]) -> bool {
    match text {
        [b'-', b'-', b'-', ..] | [b'.', b'.', b'.', ..] => true,
        [b'?' | b':' | b'-', rest @ ..] => rest.first().is_none_or(|second| is_blank(*second)),
        [first, ..] => b"#,[]{}&*!|>'\"%@`".contains(first),
        [] => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    Space,
    Tab,
    Break,
    Other,
}

/// Writes the inside of double quotes with go-yaml's escapes.
pub(crate) fn double_quoted(out: &mut Plaintext, text: &str) {
    out.push(b"\"");
    let bytes = text.as_bytes();
    let (mut start, mut place) = (0, 0);
    while place < bytes.len() {
        let length = width(bytes[place]);
        let plain = is_printable(bytes, place)
            && !is_break(bytes, place)
            && !matches!(bytes[place], b'"' | b'\\')
            && !starts_with_mark(bytes);
        if !plain {
            out.push(&bytes[start..place]);
            if let Some(character) = text.get(place..place + length).and_then(|piece| piece.chars().next()) {
                escape(out, character);
            }
            start = place + length;
        }
        place += length;
    }
    out.push(&bytes[start..]);
    out.push(b"\"");
}

/// A text that starts with a byte order mark is escaped throughout: go-yaml asks the wrong position.
fn starts_with_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xef\xbb\xbf")
}

fn escape(out: &mut Plaintext, character: char) {
    let code = u32::from(character);
    let short = match character {
        '\0' => b'0',
        '\u{7}' => b'a',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{b}' => b'v',
        '\u{c}' => b'f',
        '\r' => b'r',
        '\u{1b}' => b'e',
        '"' => b'"',
        '\\' => b'\\',
        '\u{85}' => b'N',
        '\u{a0}' => b'_',
        '\u{2028}' => b'L',
        '\u{2029}' => b'P',
        _ if code <= 0xff => return out.push(format!("\\x{code:02X}").as_bytes()),
        _ if code <= 0xffff => return out.push(format!("\\u{code:04X}").as_bytes()),
        _ => return out.push(format!("\\U{code:08X}").as_bytes()),
    };
    out.push(&[b'\\', short]);
}

/// Returns whether the text needs the indentation written: it starts with a blank or a break.
pub(super) fn needs_indent_hint(text: &[u8]) -> bool {
    at(text, 0) == b' ' || is_break(text, 0)
}

/// Returns how the last breaks of a literal text are kept: `-` none, nothing for one, `+` all.
pub(super) fn chomping(text: &[u8]) -> &'static [u8] {
    let last = |end: usize| {
        let mut place = end.checked_sub(1)?;
        while place > 0 && at(text, place) & 0xc0 == 0x80 {
            place -= 1;
        }
        is_break(text, place).then_some(place)
    };
    match last(text.len()) {
        None => b"-",
        Some(0) => b"+",
        Some(place) if last(place).is_some() => b"+",
        Some(_) => b"",
    }
}
