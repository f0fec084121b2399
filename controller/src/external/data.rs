//! Fetching, and what is done to a value afterwards: once, for every provider.

use std::collections::BTreeMap;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::{
    ConversionStrategy, DecodingStrategy, NullBytePolicy, RemoteRef, SourceRef,
};
use sealops_formats::{Plaintext, base64};
use sealops_providers::{ProviderErrorKind, RemoteKey, RemoteValue};
use serde_json::value::RawValue;

use super::Failure;
use super::store::{Freshness, Stores, find_store};
use crate::object::ClusterReader;

/// Longest key of a Secret.
const MAX_KEY: usize = 253;

/// Fetches every `dataFrom`, then every `data`; later keys win.
pub(super) async fn fetch(
    external: &ExternalSecret,
    cluster: &dyn ClusterReader,
    stores: &dyn Stores,
    now: i64,
) -> Result<BTreeMap<String, Plaintext>, Failure> {
    let from = Source { external, cluster, stores, fresh: Freshness::of(external, now) };
    let mut values = BTreeMap::new();
    for (index, entry) in external.spec.data_from.iter().enumerate() {
        let place = format!("spec.dataFrom[{index}].extract");
        let fail = |cause: String| Failure::fetch(&place, &cause);
        let Some(remote) = &entry.extract else { return Err(fail("there is nothing to extract".to_owned())) };
        let value = from.value(remote, entry.source_ref.as_ref()).await.map_err(fail)?;
        for (key, value) in properties(&value).map_err(fail)? {
            let key = converted(&key, remote.conversion_strategy.as_ref());
            let Some(key) = valid_key(key).map_err(fail)? else { continue };
            let value = finished(value, remote).map_err(fail)?;
            if values.insert(key.clone(), value).is_some() && index == 0 {
                return Err(fail(format!("two keys become {key:?}")));
            }
        }
    }
    for (index, entry) in external.spec.data.iter().enumerate() {
        let place = format!("spec.data[{index}] (key: {})", entry.remote_ref.key);
        let fail = |cause: String| Failure::fetch(&place, &cause);
        let value = from.value(&entry.remote_ref, entry.source_ref.as_ref()).await.map_err(fail)?;
        values.insert(entry.secret_key.clone(), finished(value, &entry.remote_ref).map_err(fail)?);
    }
    Ok(values)
}

struct Source<'a> {
    external: &'a ExternalSecret,
    cluster: &'a dyn ClusterReader,
    stores: &'a dyn Stores,
    fresh: Freshness,
}

impl Source<'_> {
    async fn value(&self, remote: &RemoteRef, source: Option<&SourceRef>) -> Result<Plaintext, String> {
        if source.is_some_and(|source| source.generator_ref.is_some()) {
            return Err("generators are not supported by this version of sealops yet".to_owned());
        }
        let named = source.and_then(|source| source.store_ref.as_ref());
        let named = named.or(self.external.spec.secret_store_ref.as_ref()).cloned().unwrap_or_default();
        let namespace = self.external.metadata.namespace.as_deref().unwrap_or_default();
        let store = find_store(self.stores.rules(), &named, namespace, self.cluster).await;
        let store = store.map_err(|problem| problem.to_string())?;
        let handle = self.stores.open(&store, namespace, self.cluster).await.map_err(|e| e.to_string())?;
        let version = remote.version.clone().filter(|version| !version.is_empty());
        let key = RemoteKey { key: remote.key.clone(), version };
        let found = handle.get(&key, remote.property.as_deref(), self.fresh).await;
        let found = found.map_err(|error| match error.kind {
            ProviderErrorKind::NotFound => "Secret does not exist".to_owned(),
            _ => error.to_string(),
        })?;
        let RemoteValue::Bytes(value) = &found.value else {
            return Err("this provider is not supported by this version of sealops yet".to_owned());
        };
        let value = value.duplicate();
        match remote.property.as_deref().filter(|property| !property.is_empty()) {
            Some(property) => property_of(&value, property),
            None => Ok(value),
        }
    }
}

/// Returns one property: the literal key first, then a path of keys joined by dots.
fn property_of(value: &Plaintext, property: &str) -> Result<Plaintext, String> {
    if let Some(literal) = properties(value)?.remove(property) {
        return Ok(literal);
    }
    if property.contains(['#', '*', '?', '@', '|', '\\', '{', '[', '(', '!']) {
        return Err("this form of property is not supported by this version of sealops yet".to_owned());
    }
    let mut current = value.duplicate();
    for key in property.split('.') {
        current = properties(&current)
            .ok()
            .and_then(|mut properties| properties.remove(key))
            .ok_or("Secret does not exist")?;
    }
    Ok(current)
}

/// Splits a JSON object: texts unquoted, null empty, everything else as it stands in the source.
fn properties(value: &Plaintext) -> Result<BTreeMap<String, Plaintext>, String> {
    let unreadable = |_| "unable to unmarshal secret: the value is not a JSON object".to_owned();
    let raw: Option<BTreeMap<String, &RawValue>> =
        serde_json::from_slice(value.expose()).map_err(unreadable)?;
    raw.unwrap_or_default()
        .into_iter()
        .map(|(key, raw)| {
            let text = raw.get();
            let value = match text.as_bytes().first() {
                Some(b'"') => serde_json::from_str::<Plaintext>(text).map_err(unreadable)?,
                Some(b'n') => Plaintext::default(),
                _ => Plaintext::from(text),
            };
            Ok((key, value))
        })
        .collect()
}

/// Replaces the characters that a key may not have.
fn converted(key: &str, strategy: Option<&ConversionStrategy>) -> String {
    key.chars()
        .map(|c| {
            if c.is_alphabetic() || c.is_numeric() || matches!(c, '-' | '.' | '_') {
                c.to_string()
            } else if strategy == Some(&ConversionStrategy::Unicode) {
                format!("_U{:04x}_", u32::from(c))
            } else {
                "_".to_owned()
            }
        })
        .collect()
}

/// Drops an empty key, refuses one that is too long.
fn valid_key(key: String) -> Result<Option<String>, String> {
    if key.len() > MAX_KEY {
        return Err(format!("a key is longer than {MAX_KEY} characters"));
    }
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// Decodes a value and judges its zero bytes.
fn finished(value: Plaintext, remote: &RemoteRef) -> Result<Plaintext, String> {
    let value = decoded(value, remote.decoding_strategy.as_ref())?;
    if remote.null_byte_policy == Some(NullBytePolicy::Fail) && value.expose().contains(&0) {
        return Err("the value holds a zero byte, which spec.nullBytePolicy forbids".to_owned());
    }
    Ok(value)
}

/// Decodes by a strategy.
pub(super) fn decoded(value: Plaintext, strategy: Option<&DecodingStrategy>) -> Result<Plaintext, String> {
    let url_safe = |value: &Plaintext| {
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
    };
    match strategy {
        None | Some(DecodingStrategy::None) => Ok(value),
        Some(DecodingStrategy::Base64) => base64::decode(value.expose()).map_err(|error| error.to_string()),
        Some(DecodingStrategy::Base64Url) => url_safe(&value).map_err(|error| error.to_string()),
        Some(DecodingStrategy::Auto) => {
            Ok(base64::decode(value.expose()).or_else(|_| url_safe(&value)).unwrap_or(value))
        }
        Some(DecodingStrategy::Other(_)) => Err("the decoding strategy is not known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Result<Plaintext, String>) -> Result<String, String> {
        value.map(|value| value.expose_str().unwrap().to_owned())
    }

    #[test]
    fn properties_keep_raw_json_and_unquote_text() {
        let value: Plaintext =
            r#"{"s":"a\"b","n":1.50,"o":{"x": [1, 2]},"z":null,"a.b":"literal","a":{"b":"path"}}"#.into();
        for (property, expected) in [
            ("s", "a\"b"),
            ("n", "1.50"),
            ("o", r#"{"x": [1, 2]}"#),
            ("z", ""),
            ("a.b", "literal"),
            ("o.x", "[1, 2]"),
        ] {
            assert_eq!(text(property_of(&value, property)).unwrap(), expected, "{property}");
        }
        assert_eq!(text(property_of(&value, "missing")).unwrap_err(), "Secret does not exist");
        let error = properties(&"hunter2".into()).unwrap_err();
        assert!(!error.contains("hunter2") && !error.contains('h') || error.starts_with("unable"), "{error}");
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
            assert_eq!(text(decoded(value.into(), Some(&DecodingStrategy::Auto))).unwrap(), expected);
        }
        assert!(decoded("aGVsbG8gd29ybGQ_Pj8_".into(), Some(&DecodingStrategy::Base64)).is_err());
    }

    #[test]
    fn keys_are_converted_by_strategy() {
        assert_eq!(converted("a b/ü-1", None), "a_b_ü-1");
        assert_eq!(converted("a b", Some(&ConversionStrategy::Unicode)), "a_U0020_b");
        assert!(valid_key("x".repeat(254)).is_err());
        assert_eq!(valid_key(String::new()), Ok(None));
    }
}
