//! What becomes of a value of a store: properties, maps of properties, names of keys, decoding.

use std::collections::BTreeMap;

use sealops_crds::external_secret::{ConversionStrategy, DecodingStrategy, NullBytePolicy};
use sealops_formats::{Plaintext, base64};
use sealops_providers::{Dialect, PropertyRule, RemoteValue, ValueRule};

use super::json::{self, Kind, Numbers};
use super::{Failure, gjson};

/// Longest key of a Secret.
const MAX_KEY: usize = 253;

/// Returns one value: all of it, or a property. `key` is the name in the store, for the texts.
pub(super) fn single(
    value: &RemoteValue,
    property: Option<&str>,
    dialect: Dialect,
    key: &str,
) -> Result<Plaintext, Failure> {
    match (value, property) {
        (RemoteValue::Entries(entries), None) => Ok(as_object(entries)),
        (RemoteValue::Entries(entries), Some(property)) => {
            let literal = entries.get(property).map(Plaintext::duplicate);
            let found = literal.or_else(|| below_entry(entries, property));
            let none = || format!("property {property} does not exist in data of secret \"{key}\"");
            found.ok_or_else(|| Failure::cause(none()))
        }
        (RemoteValue::Bytes(value), None) => Ok(whole(value, dialect)),
        (RemoteValue::Bytes(value), Some(_)) if dialect.property == PropertyRule::Ignored => {
            Ok(value.duplicate())
        }
        (RemoteValue::Bytes(value), Some(property)) => {
            property_of(value, property, dialect).ok_or_else(|| no_property(property, dialect, key))
        }
    }
}

/// A property that is missing counts as a missing value in the fake store only; the others fail whatever the deletion
/// policy is, in the words of Vault or of AWS.
fn no_property(property: &str, dialect: Dialect, key: &str) -> Failure {
    match (dialect.property, dialect.values) {
        (PropertyRule::Path, _) => Failure::missing(),
        (_, ValueRule::Rewritten) => Failure::cause(format!("cannot find secret data for key: {property:?}")),
        _ => Failure::cause(format!("key {property} does not exist in secret {key}")),
    }
}

/// The value as upstream holds it: Vault's is read and written again, numbers as they stand.
fn whole(value: &Plaintext, dialect: Dialect) -> Plaintext {
    let is_rewritten = dialect.values == ValueRule::Rewritten && dialect.property != PropertyRule::Ignored;
    match value.expose_str().filter(|text| is_rewritten && json::is_valid(text)) {
        Some(text) => rewritten(text, Numbers::AsWritten),
        None => value.duplicate(),
    }
}

fn rewritten(raw: &str, numbers: Numbers) -> Plaintext {
    let mut out = Plaintext::default();
    json::rewrite(raw, numbers, &mut out);
    out
}

fn below_entry(entries: &BTreeMap<String, Plaintext>, property: &str) -> Option<Plaintext> {
    let (entry, path) = property.split_once('.')?;
    gjson::get(entries.get(entry)?.expose_str()?, path)
}

fn as_object(entries: &BTreeMap<String, Plaintext>) -> Plaintext {
    let quoted: BTreeMap<&str, Plaintext> =
        entries.iter().map(|(key, value)| (key.as_str(), json::quoted(value))).collect();
    json::write_object(quoted.iter().map(|(key, value)| (*key, value)))
}

fn property_of(value: &Plaintext, property: &str, dialect: Dialect) -> Option<Plaintext> {
    let value = whole(value, dialect);
    let text = value.expose_str()?;
    let literal = || {
        let (_, raw) = json::fields(text)?.into_iter().rev().find(|(key, _)| key == property)?;
        match (dialect.values, json::kind(raw)) {
            (ValueRule::Rewritten, Kind::Number) => Some(raw.trim().into()),
            (ValueRule::Rewritten, _) => Some(value_of(raw, ValueRule::Rewritten)),
            (ValueRule::Raw, _) => gjson::get(raw, "@this"),
        }
    };
    match dialect.property {
        PropertyRule::Path => gjson::get(text, property),
        PropertyRule::PathThenLiteral => gjson::get(text, property).or_else(literal),
        _ => literal().or_else(|| gjson::get(text, property)),
    }
}

/// Splits a value into its properties.
pub(super) fn properties(
    value: &RemoteValue,
    property: Option<&str>,
    dialect: Dialect,
    key: &str,
) -> Result<BTreeMap<String, Plaintext>, Failure> {
    let value = match (value, property) {
        (RemoteValue::Entries(entries), None) => {
            return Ok(entries.iter().map(|(key, value)| (key.clone(), value.duplicate())).collect());
        }
        (value, property) => single(value, property, dialect, key)?,
    };
    fields_of(&value, dialect.values)
}

/// Splits the text of a JSON object.
pub(super) fn fields_of(value: &Plaintext, rule: ValueRule) -> Result<BTreeMap<String, Plaintext>, Failure> {
    let text = value.expose_str().map(str::trim).unwrap_or_default();
    if json::is_valid(text) && json::kind(text) == Kind::Null {
        return Ok(BTreeMap::new());
    }
    let fields = json::fields(text)
        .ok_or_else(|| Failure::cause("unable to unmarshal secret: the value is not a JSON object"))?;
    Ok(fields.into_iter().map(|(key, raw)| (key, value_of(raw, rule))).collect())
}

/// A JSON value as bytes: strings without quotes, null empty, the rest by the provider's rule.
pub(super) fn value_of(raw: &str, rule: ValueRule) -> Plaintext {
    match (json::kind(raw), rule) {
        (Kind::Text, _) => json::text(raw).unwrap_or_default(),
        (Kind::Null, _) => Plaintext::default(),
        (Kind::Number, ValueRule::Rewritten) => json::plain_number(raw).into(),
        (_, ValueRule::Rewritten) => rewritten(raw, Numbers::Doubles),
        (_, ValueRule::Raw) => raw.into(),
    }
}

/// Replaces the characters that a key may not have.
///
/// # Errors
/// Returns two names that become one.
pub(super) fn converted(
    values: BTreeMap<String, Plaintext>,
    strategy: Option<&ConversionStrategy>,
) -> Result<BTreeMap<String, Plaintext>, Failure> {
    let mut out = BTreeMap::new();
    for (key, value) in values {
        let name = converted_key(&key, strategy);
        if out.insert(name, value).is_some() {
            let word = strategy.map_or("Default", ConversionStrategy::as_str);
            return Err(Failure::cause(format!(
                "error applying conversion strategy {word} to keys: secret name collision during conversion: {key}"
            )));
        }
    }
    Ok(out)
}

fn converted_key(key: &str, strategy: Option<&ConversionStrategy>) -> String {
    let mut out = String::with_capacity(key.len());
    for character in key.chars() {
        if is_key_character(character) {
            out.push(character);
        } else if strategy == Some(&ConversionStrategy::Unicode) {
            out.push_str(&format!("_U{:04x}_", u32::from(character)));
        } else {
            out.push('_');
        }
    }
    out
}

fn is_key_character(character: char) -> bool {
    character.is_alphabetic() || character.is_numeric() || matches!(character, '-' | '.' | '_')
}

/// Drops empty keys, refuses those that a Secret cannot have.
pub(super) fn with_valid_keys(
    values: BTreeMap<String, Plaintext>,
) -> Result<BTreeMap<String, Plaintext>, Failure> {
    const TIP: &str = "invalid secret keys (TIP: use rewrite or conversionStrategy to change keys)";
    for key in values.keys() {
        if key.len() > MAX_KEY {
            let start = &key[..key.floor_char_boundary(MAX_KEY)];
            return Err(Failure::cause(format!(
                "{TIP}: key has length {} but max is {MAX_KEY}: (following is truncated): {start}",
                key.len()
            )));
        }
        if let Some(odd) = key.chars().find(|character| !is_key_character(*character)) {
            return Err(Failure::cause(format!(
                "{TIP}: key has invalid character {odd}, only alphanumeric, '-', '.' and '_' are allowed: {key}"
            )));
        }
    }
    Ok(values.into_iter().filter(|(key, _)| !key.is_empty()).collect())
}

/// Decodes the values of a map and judges their zero bytes.
pub(super) fn all_finished(
    values: BTreeMap<String, Plaintext>,
    decoding: Option<&DecodingStrategy>,
    zero: Option<&NullBytePolicy>,
) -> Result<BTreeMap<String, Plaintext>, Failure> {
    let decode = |(key, value): (String, Plaintext)| {
        let value = decoded(value, decoding)
            .map_err(|error| undecodable(decoding, &format!("failure decoding key {key}: {error}")))?;
        without_zero(&value, zero)?;
        Ok((key, value))
    };
    values.into_iter().map(decode).collect()
}

/// Decodes a value and judges its zero bytes.
pub(super) fn finished(
    value: Plaintext,
    decoding: Option<&DecodingStrategy>,
    zero: Option<&NullBytePolicy>,
) -> Result<Plaintext, Failure> {
    let value = decoded(value, decoding).map_err(|error| undecodable(decoding, &error))?;
    without_zero(&value, zero)?;
    Ok(value)
}

fn undecodable(strategy: Option<&DecodingStrategy>, problem: &str) -> Failure {
    let word = strategy.map_or("None", DecodingStrategy::as_str);
    Failure::cause(format!("error applying decoding strategy {word} to data: {problem}"))
}

fn without_zero(value: &Plaintext, policy: Option<&NullBytePolicy>) -> Result<(), Failure> {
    if policy == Some(&NullBytePolicy::Fail) && value.expose().contains(&0) {
        return Err(Failure::cause("the value holds a zero byte, which nullBytePolicy: Fail forbids"));
    }
    Ok(())
}

/// Decodes by a strategy.
pub(super) fn decoded(value: Plaintext, strategy: Option<&DecodingStrategy>) -> Result<Plaintext, String> {
    match strategy {
        None | Some(DecodingStrategy::None) => Ok(value),
        Some(DecodingStrategy::Base64) => base64::decode(value.expose()).map_err(|error| error.to_string()),
        Some(DecodingStrategy::Base64Url) => url_safe(&value).map_err(|error| error.to_string()),
        Some(DecodingStrategy::Auto) => {
            Ok(base64::decode(value.expose()).or_else(|_| url_safe(&value)).unwrap_or(value))
        }
        Some(DecodingStrategy::Other(word)) => Err(format!("decoding strategy {word} is not supported")),
    }
}

fn url_safe(value: &Plaintext) -> Result<Plaintext, base64::InvalidBase64> {
    let standard: Vec<u8> = value
        .expose()
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            b'+' | b'/' => b' ', // not part of this alphabet: makes the decoder refuse it
            other => *other,
        })
        .collect();
    base64::decode(Plaintext::from(standard).expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: Dialect = Dialect { property: PropertyRule::LiteralThenPath, values: ValueRule::Raw };
    const REWRITTEN: Dialect =
        Dialect { property: PropertyRule::LiteralThenPath, values: ValueRule::Rewritten };

    fn shown(value: &Plaintext) -> &str {
        value.expose_str().unwrap()
    }

    #[test]
    fn properties_by_the_rule_of_the_provider() {
        let text =
            r#"{"s":"a\"b","n":1.50,"o":{"x": [1, 2],"q":"<"},"z":null,"a.b":"literal","a":{"b":"path"}}"#;
        for (property, raw, rewritten) in [
            ("s", "a\"b", "a\"b"),
            ("n", "1.5", "1.50"),
            ("o", r#"{"x": [1, 2],"q":"<"}"#, r#"{"q":"\u003c","x":[1,2]}"#),
            ("z", "", ""),
            ("a.b", "literal", "literal"),
            ("o.x", "[1, 2]", "[1,2]"),
        ] {
            let get =
                |dialect| single(&RemoteValue::Bytes(text.into()), Some(property), dialect, "k").unwrap();
            assert_eq!(shown(&get(RAW)), raw, "{property}");
            assert_eq!(shown(&get(REWRITTEN)), rewritten, "{property}");
        }
        let path = Dialect { property: PropertyRule::Path, ..RAW };
        let get = |dialect| single(&RemoteValue::Bytes(text.into()), Some("nope"), dialect, "k").unwrap_err();
        assert!(get(path).is_missing && !get(RAW).is_missing && !get(REWRITTEN).is_missing);
        let all = properties(&RemoteValue::Bytes(text.into()), None, RAW, "k").unwrap();
        assert_eq!((shown(&all["n"]), shown(&all["o"])), ("1.50", r#"{"x": [1, 2],"q":"<"}"#));
        let error = fields_of(&"hunter2".into(), ValueRule::Raw).unwrap_err();
        assert!(!error.cause.contains("hunter2"), "{error:?}");
    }

    #[test]
    fn entries_of_a_secret_are_found_by_name_then_by_path() {
        let dialect = Dialect { property: PropertyRule::Entry, values: ValueRule::Raw };
        let entries = || {
            RemoteValue::Entries(BTreeMap::from([
                ("a.b".to_owned(), "dot".into()),
                ("json".to_owned(), r#"{"a":{"b":"deep"}}"#.into()),
            ]))
        };
        let get = |property| single(&entries(), property, dialect, "source");
        assert_eq!(shown(&get(Some("a.b")).unwrap()), "dot");
        assert_eq!(shown(&get(Some("json.a.b")).unwrap()), "deep");
        assert_eq!(shown(&get(None).unwrap()), r#"{"a.b":"dot","json":"{\"a\":{\"b\":\"deep\"}}"}"#);
        assert!(!get(Some("none")).unwrap_err().is_missing);
    }

    #[test]
    fn auto_decodes_what_upstream_decodes() {
        for (value, expected) in [
            ("aGVsbG8gd29ybGQ/Pg==", "hello world?>"),
            ("aGVsbG8gd29ybGQ_Pj8_", "hello world?>??"),
            ("plain text", "plain text"),
            ("YWI", "YWI"),
            ("dHdvIHdvcmRz\n", "two words"),
        ] {
            assert_eq!(shown(&decoded(value.into(), Some(&DecodingStrategy::Auto)).unwrap()), expected);
        }
        assert!(decoded("aGVsbG8gd29ybGQ_Pj8_".into(), Some(&DecodingStrategy::Base64)).is_err());
    }

    #[test]
    fn keys_are_converted_and_judged() {
        assert_eq!(converted_key("a b/ü-1", None), "a_b_ü-1");
        assert_eq!(converted_key("a b", Some(&ConversionStrategy::Unicode)), "a_U0020_b");
        let map = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), Plaintext::default())).collect();
        assert!(converted(map(&["a b", "a/b"]), None).unwrap_err().cause.contains("collision"));
        assert!(with_valid_keys(map(&[&"x".repeat(254)])).is_err());
        assert!(with_valid_keys(map(&["a b"])).is_err());
        assert_eq!(with_valid_keys(map(&["", "a"])).unwrap().len(), 1);
    }
}
