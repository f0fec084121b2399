//! JSON, looked into without a copy: values stay in the text that holds them until one of them is wanted.

use std::collections::BTreeMap;
use std::fmt;

use sealops_formats::Plaintext;
use sealops_formats::tree::json_quoted;
use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a text of JSON is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

/// Returns what a valid text of JSON is, by its first character.
pub(super) fn kind(raw: &str) -> Kind {
    match raw.trim_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

/// Returns whether a text is JSON.
pub(super) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Returns the fields of an object in their order, a name that stands twice both times.
pub(super) fn fields(raw: &str) -> Option<Vec<(String, &str)>> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(key) = map.next_key::<String>()? {
                pairs.push((key, map.next_value::<&'de RawValue>()?.get()));
            }
            Ok(pairs)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(raw);
    let pairs = reader.deserialize_map(Pairs).and_then(|pairs| {
        reader.end().map_err(|_| serde_json::Error::custom("more than one value"))?;
        Ok(pairs)
    });
    pairs.ok()
}

/// Returns the items of a list.
pub(super) fn items(raw: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// Returns the content of a string.
pub(super) fn text(raw: &str) -> Option<Plaintext> {
    serde_json::from_str(raw).ok()
}

/// Returns a number as a double prints: shortest, without an exponent.
pub(super) fn plain_number(raw: &str) -> String {
    raw.trim().parse::<f64>().map(|number| format!("{number}")).unwrap_or_default()
}

/// What becomes of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// They are read as doubles.
    Doubles,
    /// Their text stays.
    AsWritten,
}

/// Writes a value as Go's `encoding/json` writes what it read: compact, sorted, `<>&` escaped.
pub(super) fn rewrite(raw: &str, numbers: Numbers, out: &mut Plaintext) {
    match kind(raw) {
        Kind::Null | Kind::Bool => out.push(raw.trim().as_bytes()),
        Kind::Number if numbers == Numbers::AsWritten => out.push(raw.trim().as_bytes()),
        Kind::Number => out.push(go_number(raw).as_bytes()),
        Kind::Text => json_quoted(out, text(raw).unwrap_or_default().expose()),
        Kind::List => {
            out.push(b"[");
            for (index, item) in items(raw).unwrap_or_default().into_iter().enumerate() {
                out.push(if index == 0 { b"" } else { b"," });
                rewrite(item, numbers, out);
            }
            out.push(b"]");
        }
        Kind::Object => {
            let sorted: BTreeMap<String, &str> = fields(raw).unwrap_or_default().into_iter().collect();
            out.push(b"{");
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                out.push(if index == 0 { b"" } else { b"," });
                json_quoted(out, key.as_bytes());
                out.push(b":");
                rewrite(value, numbers, out);
            }
            out.push(b"}");
        }
    }
}

/// Writes an object of values that are texts of JSON already.
pub(super) fn write_object<'a>(entries: impl IntoIterator<Item = (&'a str, &'a Plaintext)>) -> Plaintext {
    let mut out = Plaintext::default();
    out.push(b"{");
    for (index, (key, value)) in entries.into_iter().enumerate() {
        out.push(if index == 0 { b"" } else { b"," });
        json_quoted(&mut out, key.as_bytes());
        out.push(b":");
        out.push(value.expose());
    }
    out.push(b"}");
    out
}

/// Returns a string as JSON; each byte that is not UTF-8 becomes an escape, as in Go.
pub(super) fn quoted(value: &Plaintext) -> Plaintext {
    let mut out = Plaintext::default();
    json_quoted(&mut out, value.expose());
    out
}

/// A double as Go's `encoding/json` writes it: an exponent for what is very large or small.
fn go_number(raw: &str) -> String {
    let number: f64 = raw.trim().parse().unwrap_or_default();
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(raw: &str) -> String {
        let mut out = Plaintext::default();
        rewrite(raw, Numbers::Doubles, &mut out);
        out.expose_str().unwrap().to_owned()
    }

    /// As recorded from upstream, and as Go's `encoding/json` is documented.
    #[test]
    fn writes_as_go_does() {
        for (raw, expected) in [
            (r#"{"b": 1, "a": "<"}"#, r#"{"a":"\u003c","b":1}"#),
            ("[1, 2.50, null, true]", "[1,2.5,null,true]"),
            ("12345678901234567890", "12345678901234567000"),
            ("1e21", "1e+21"),
            ("1.5e-7", "1.5e-7"),
            ("-0.000001", "-0.000001"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""\u2028\u0001\b""#, r#""\u2028\u0001\b""#),
        ] {
            assert_eq!(rewritten(raw), expected, "{raw}");
        }
        assert_eq!(plain_number("12345678901234567890"), "12345678901234567000");
        assert_eq!(plain_number("1e3"), "1000");
    }
}
