//! JSON in wiped memory. Numbers stay as they stand: as doubles, those above 2^53 would change.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;
use sealops_formats::tree::json_quoted;
use serde_json::value::RawValue;

/// Deepest nesting of an answer.
pub(crate) const MAX_DEPTH: usize = 128;

/// Any value. Has no `Debug`.
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it stands.
    Number(Plaintext),
    Text(Plaintext),
    List(Vec<Json>),
    /// A key that comes again replaces the earlier one.
    Map(BTreeMap<String, Json>),
}

impl Json {
    /// Parses a text; `None` where it is no JSON or too deep.
    pub(crate) fn parse(text: &Plaintext) -> Option<Self> {
        read(text.expose_str()?, MAX_DEPTH)
    }

    /// Makes a map.
    pub(crate) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Json)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Makes a text.
    pub(crate) fn text(text: impl Into<Plaintext>) -> Self {
        Self::Text(text.into())
    }

    /// Takes data that is no secret.
    pub(crate) fn public(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string().into()),
            Value::String(text) => Self::text(text.as_str()),
            Value::Array(items) => Self::List(items.iter().map(Self::public).collect()),
            Value::Object(map) => Self::map(map.iter().map(|(key, value)| (key, Self::public(value)))),
        }
    }

    /// Makes a second copy, on purpose.
    #[cfg_attr(not(any(feature = "kubernetes", feature = "webhook")), allow(dead_code, reason = "theirs"))]
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(text) => Self::Number(text.duplicate()),
            Self::Text(text) => Self::Text(text.duplicate()),
            Self::List(items) => Self::List(items.iter().map(Self::duplicate).collect()),
            Self::Map(entries) => Self::map(entries.iter().map(|(key, value)| (key, value.duplicate()))),
        }
    }

    /// Returns what a map has under a key; null is nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let Self::Map(entries) = self else { return None };
        entries.get(key).filter(|value| !matches!(value, Self::Null))
    }

    /// Takes what a map has under a key; null is nothing.
    pub(crate) fn take(self, key: &str) -> Option<Json> {
        let Self::Map(mut entries) = self else { return None };
        entries.remove(key).filter(|value| !matches!(value, Self::Null))
    }

    /// Returns the text under a key.
    pub(crate) fn text_at(&self, key: &str) -> Option<&Plaintext> {
        match self.get(key)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the text under a key, for names (no secrets).
    pub(crate) fn str_at(&self, key: &str) -> Option<&str> {
        self.text_at(key)?.expose_str()
    }

    /// Returns the whole number under a key.
    pub(crate) fn integer_at(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Self::Number(text) => text.expose_str()?.parse().ok(),
            _ => None,
        }
    }

    /// Returns whether there is `true` under a key.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Self::Bool(true)))
    }

    /// Writes it as Go does: compact, keys sorted, `<`, `>`, `&` escaped.
    pub(crate) fn to_text(&self) -> Plaintext {
        let mut out = Plaintext::with_capacity(256);
        self.write(&mut out);
        out
    }

    /// Returns the bytes that upstream makes of a value of its own: texts unquoted, null empty, the rest as JSON.
    pub(crate) fn into_bytes(self) -> Plaintext {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Null => Plaintext::default(),
            other => other.to_text(),
        }
    }

    fn write(&self, out: &mut Plaintext) {
        match self {
            Self::Null => out.push(b"null"),
            Self::Bool(true) => out.push(b"true"),
            Self::Bool(false) => out.push(b"false"),
            Self::Number(text) => out.push(text.expose()),
            Self::Text(text) => json_quoted(out, text.expose()),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    out.push(if index == 0 { b"[" } else { b"," });
                    item.write(out);
                }
                out.push(if items.is_empty() { b"[]" } else { b"]" });
            }
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push(if index == 0 { b"{" } else { b"," });
                    json_quoted(out, key.as_bytes());
                    out.push(b":");
                    value.write(out);
                }
                out.push(if entries.is_empty() { b"{}" } else { b"}" });
            }
        }
    }
}

/// Each level is scanned once more for its children: `MAX_DEPTH` times the text at most.
fn read(text: &str, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let text = text.trim_ascii();
    Some(match text.as_bytes().first()? {
        b'{' => {
            let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let read = |(key, raw): (String, &RawValue)| Some((key, read(raw.get(), depth)?));
            Json::Map(entries.into_iter().map(read).collect::<Option<_>>()?)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Json::List(items.into_iter().map(|raw| read(raw.get(), depth)).collect::<Option<_>>()?)
        }
        b'"' => Json::Text(serde_json::from_str(text).ok()?),
        b't' | b'f' => Json::Bool(serde_json::from_str(text).ok()?),
        b'n' => serde_json::from_str::<()>(text).ok().map(|()| Json::Null)?,
        _ => {
            let number: &RawValue = serde_json::from_str(text).ok()?;
            Json::Number(number.get().into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> Option<String> {
        Some(Json::parse(&text.into())?.to_text().expose_str()?.to_owned())
    }

    #[test]
    fn texts_are_written_as_go_writes_them() {
        for (text, written) in [
            (r#" {"b": 1 , "a":[ ]} "#, r#"{"a":[],"b":1}"#),
            (
                r#"{"big":12345678901234567890123,"f":1.50,"e":1E5}"#,
                r#"{"big":12345678901234567890123,"e":1E5,"f":1.50}"#,
            ),
            (
                r#"{"t":"<&>\u00e9\/\n","n":null,"y":[true,false,{}]}"#,
                "{\"n\":null,\"t\":\"\\u003c\\u0026\\u003eé/\\n\",\"y\":[true,false,{}]}",
            ),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("-0.5", "-0.5"),
        ] {
            assert_eq!(again(text).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in
            ["", " ", "{", "{}}", "[1,]", "nul", "tru", "01", "+1", "'a'", "\"a", "{\"a\"}", "hunter2", "NaN"]
        {
            assert_eq!(again(text), None, "{text}");
        }
        assert!(Json::parse(&Plaintext::from(&b"\"\xff\""[..])).is_none());
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(again(&nested(MAX_DEPTH - 1)).is_some());
        assert!(again(&nested(MAX_DEPTH)).is_none());
        assert!(again(&nested(1_000_000)).is_none());
    }

    #[test]
    fn null_is_nothing() {
        let json = Json::parse(&r#"{"a":null,"b":{"c":"d","n":7,"t":true}}"#.into()).unwrap();
        assert!(json.get("a").is_none() && json.get("x").is_none());
        let b = json.take("b").unwrap();
        assert_eq!(
            (b.str_at("c"), b.integer_at("n"), b.is_true("t"), b.is_true("c")),
            (Some("d"), Some(7), true, false)
        );
    }
}
