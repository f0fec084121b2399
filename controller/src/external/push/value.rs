//! What is pushed under one remote key.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;

/// One value, or a whole Secret.
#[derive(Debug)]
pub enum Pushed {
    /// One value.
    One(Plaintext),
    /// All values of a Secret, or some of them. Stores that hold one text take them as a JSON object.
    Whole(BTreeMap<String, Plaintext>),
}

impl Pushed {
    pub(super) fn whole<'a>(values: impl Iterator<Item = (&'a String, &'a &'a Plaintext)>) -> Self {
        Self::Whole(values.map(|(key, value)| (key.clone(), value.duplicate())).collect())
    }

    /// Returns the value as one text: a whole Secret is a JSON object of strings.
    ///
    /// # Errors
    /// Returns which entry is no text.
    pub fn text(&self) -> Result<Plaintext, String> {
        match self {
            Self::One(value) => Ok(value.duplicate()),
            Self::Whole(values) => object(values),
        }
    }
}

fn object(values: &BTreeMap<String, Plaintext>) -> Result<Plaintext, String> {
    let mut out = Plaintext::from("{");
    for (index, (key, value)) in values.iter().enumerate() {
        let text = value.expose_str().ok_or_else(|| {
            format!(
                "secret key {key} holds bytes that are no text, which a JSON object cannot carry; push it by itself"
            )
        })?;
        out.push(if index == 0 { b"" } else { b"," });
        quote(key, &mut out);
        out.push(b":");
        quote(text, &mut out);
    }
    out.push(b"}");
    Ok(out)
}

/// Writes a JSON string as Go does without escaping for HTML.
fn quote(text: &str, out: &mut Plaintext) {
    out.push(b"\"");
    for character in text.chars() {
        match character {
            '"' => out.push(b"\\\""),
            '\\' => out.push(b"\\\\"),
            '\n' => out.push(b"\\n"),
            '\r' => out.push(b"\\r"),
            '\t' => out.push(b"\\t"),
            '\u{8}' => out.push(b"\\b"),
            '\u{c}' => out.push(b"\\f"),
            special @ ('\0'..'\u{20}' | '\u{2028}' | '\u{2029}') => {
                out.push(format!("\\u{:04x}", u32::from(special)).as_bytes());
            }
            other => out.push(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b"\"");
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn objects_are_json() {
        let odd = "a\"b\\c\n\t\u{1}\u{2028}<é>";
        let values = BTreeMap::from([("k".to_owned(), Plaintext::from(odd))]);
        let text = Pushed::Whole(values).text().unwrap();
        assert_eq!(text.expose_str().unwrap(), "{\"k\":\"a\\\"b\\\\c\\n\\t\\u0001\\u2028<é>\"}");
        assert_eq!(serde_json::from_slice::<Value>(text.expose()).unwrap()["k"], odd);
        let bytes = BTreeMap::from([("k".to_owned(), Plaintext::from(&[0xff][..]))]);
        let error = Pushed::Whole(bytes).text().unwrap_err();
        assert!(error.contains("secret key k"), "{error}");
    }
}
