//! What a YAML scalar means: the table of go-yaml (v3.0.4).

use super::super::time::split_offset;
use super::super::{Scalar, Time};
use super::token::{Style, Text};
use crate::base64;

/// What a scalar without tag is.
#[derive(Clone, Copy)]
pub(super) enum Resolved {
    Null,
    Text,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Time(Time),
}

/// The value cannot have the type that its tag names.
pub(super) struct WrongTag;

/// Returns the value of a scalar, `None` for null.
pub(super) fn value(text: &Text<'_>, style: Style, tag: Option<&str>) -> Result<Option<Scalar>, WrongTag> {
    let text_value = || Some(Scalar::Str(text.to_plaintext()));
    let resolved = match tag {
        None if style != Style::Plain => return Ok(text_value()),
        None => resolve(text.bytes(), true),
        Some("!!binary") => {
            return base64::decode(text.bytes()).map(|bytes| Some(Scalar::Str(bytes))).map_err(|_| WrongTag);
        }
        Some(tag) => match tagged(text.bytes(), tag)? {
            Some(resolved) => resolved,
            None => return Ok(text_value()),
        },
    };
    Ok(match resolved {
        Resolved::Null => None,
        Resolved::Text => text_value(),
        Resolved::Bool(value) => Some(Scalar::Bool(value)),
        Resolved::Int(number) => Some(Scalar::Int(number)),
        Resolved::Uint(number) => Some(Scalar::Uint(number)),
        Resolved::Float(number) => Some(Scalar::Float(number)),
        Resolved::Time(time) => Some(Scalar::Time(time)),
    })
}

/// Returns what a tag makes of a text; `None` where the tag is none that decides.
fn tagged(text: &[u8], tag: &str) -> Result<Option<Resolved>, WrongTag> {
    if !matches!(tag, "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp") {
        return Ok(None);
    }
    #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
    match (tag, resolve(text, tag == "!!timestamp")) {
        ("!!float", Resolved::Int(number)) => Ok(Some(Resolved::Float(number as f64))),
        ("!!bool", found @ Resolved::Bool(_))
        | ("!!int", found @ (Resolved::Int(_) | Resolved::Uint(_)))
        | ("!!float", found @ Resolved::Float(_))
        | ("!!null", found @ Resolved::Null)
        | ("!!timestamp", found @ Resolved::Time(_)) => Ok(Some(found)),
        _ => Err(WrongTag),
    }
}

/// Returns what an unquoted text is.
pub(super) fn resolve(text: &[u8], times: bool) -> Resolved {
    let Some(first) = text.first() else { return Resolved::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => match special(text) {
            Some(number) => Resolved::Float(number),
            None => fraction(text).map_or(Resolved::Text, Resolved::Float),
        },
        b'0'..=b'9' | b'+' | b'-' => number(text, times),
        _ => Resolved::Text,
    }
}

fn word(text: &[u8]) -> Resolved {
    match text {
        b"true" | b"True" | b"TRUE" => Resolved::Bool(true),
        b"false" | b"False" | b"FALSE" => Resolved::Bool(false),
        b"~" | b"null" | b"Null" | b"NULL" => Resolved::Null,
        _ => Resolved::Text,
    }
}

fn special(text: &[u8]) -> Option<f64> {
    match text {
        b".nan" | b".NaN" | b".NAN" => Some(f64::NAN),
        b".inf" | b".Inf" | b".INF" | b"+.inf" | b"+.Inf" | b"+.INF" => Some(f64::INFINITY),
        b"-.inf" | b"-.Inf" | b"-.INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn number(text: &[u8], times: bool) -> Resolved {
    if let Some(number) = special(text) {
        return Resolved::Float(number);
    }
    if times && let Some(time) = timestamp(text) {
        return Resolved::Time(time);
    }
    if text.contains(&b'_') {
        let plain: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'_').collect();
        return plain_number(&plain);
    }
    plain_number(text)
}

fn plain_number(text: &[u8]) -> Resolved {
    let Ok(words) = std::str::from_utf8(text) else { return Resolved::Text };
    if let Some(integer) = integer(words) {
        return integer;
    }
    if looks_like_float(text)
        && let Some(number) = finite(text)
    {
        return Resolved::Float(number);
    }
    Resolved::Text
}

/// Reads what Go's `ParseInt` and `ParseUint` read with base 0.
fn integer(words: &str) -> Option<Resolved> {
    let (sign, digits) = match words.as_bytes().first()? {
        b'-' => (Some(true), &words[1..]),
        b'+' => (Some(false), &words[1..]),
        _ => (None, words),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match (i64::try_from(magnitude), sign) {
        (Ok(number), Some(true)) => Some(Resolved::Int(-number)),
        (Ok(number), _) => Some(Resolved::Int(number)),
        (Err(_), Some(true)) if magnitude == 1 << 63 => Some(Resolved::Int(i64::MIN)),
        (Err(_), None) => Some(Resolved::Uint(magnitude)),
        _ => None,
    }
}

/// `[-+]? (. digits | digits (. digits*)?) ([eE] [-+]? digits)?`
fn looks_like_float(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if whole == 0 && count == 0 {
            return false;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

fn finite(text: &[u8]) -> Option<f64> {
    let words = std::str::from_utf8(text).ok()?;
    words.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Reads what starts with a dot, where underscores may separate digits.
fn fraction(text: &[u8]) -> Option<f64> {
    if !text.contains(&b'_') {
        return finite(text);
    }
    let digit =
        |place: Option<usize>| place.and_then(|place| text.get(place)).is_some_and(u8::is_ascii_digit);
    let apart = |place: usize| digit(place.checked_sub(1)) && digit(Some(place + 1));
    let fits = (0..text.len()).filter(|place| text[*place] == b'_').all(apart);
    let plain: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'_').collect();
    if fits { finite(&plain) } else { None }
}

/// Reads the four layouts of go-yaml.
fn timestamp(text: &[u8]) -> Option<Time> {
    let year = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if year != 4 || text.get(4) != Some(&b'-') {
        return None;
    }
    let words = std::str::from_utf8(text).ok()?;
    if let Some(at) = words.find(['T', 't']) {
        let (clock, offset) = split_offset(&words[at + 1..])?;
        let mut time = Time::from_parts(&words[..at], Some(clock), false)?;
        time.offset_minutes = offset;
        return Some(time);
    }
    match words.split_once(' ') {
        // Go takes any number of blanks for one.
        Some((date, clock)) => Time::from_parts(date, Some(clock.trim_start_matches(' ')), false),
        None => Time::from_parts(words, None, false),
    }
}
