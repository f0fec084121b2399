//! What pushing to both stores of AWS has in common: marks, settings, properties of JSON values.

use std::collections::BTreeMap;

use sealops_crypto::random::{Random, SystemRandom};
use sealops_formats::Plaintext;
use serde::Deserialize;
use serde_json::Value;

use crate::ProviderErrorKind;
use crate::json::Json;

/// The tag that says who wrote a value. Values without it are not touched.
pub(super) const MARK: (&str, &str) = ("managed-by", "external-secrets");
/// Deepest property that can be set.
const MAX_STEPS: usize = 32;

/// Settings of a pushed value: `spec` of a `PushSecretMetadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PushSettings {
    pub(super) tags: BTreeMap<String, String>,
    /// Whether tags beside the mark are named.
    #[serde(skip)]
    pub(super) names_tags: bool,
    pub(super) description: String,
    /// Secrets Manager: `binary` (unset) or `string`.
    pub(super) secret_push_format: String,
    /// Secrets Manager writes it so, and Parameter Store `kmsKeyID`.
    #[serde(alias = "kmsKeyID")]
    pub(super) kms_key_id: String,
    pub(super) resource_policy: Option<ResourcePolicy>,
    /// Secrets Manager: regions that get a copy; `None` leaves them as they are.
    pub(super) replication_locations: Option<Vec<String>>,
    /// Parameter Store: `String` (unset), `StringList`, `SecureString`.
    pub(super) secret_type: String,
    pub(super) tier: Tier,
}

/// A policy of a secret. Its text is read beforehand ([`crate::PushTarget::resource_policy`]).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ResourcePolicy {
    pub(super) block_public_policy: Option<bool>,
}

/// Tier of a parameter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tier {
    #[serde(rename = "type")]
    pub(super) name: String,
    pub(super) policies: Option<Value>,
}

impl PushSettings {
    /// Reads them; without any the defaults count.
    ///
    /// # Errors
    /// Returns what makes no sense, or is not supported.
    pub(super) fn read(metadata: Option<&Value>) -> Result<Self, ProviderErrorKind> {
        let invalid = |text: &str| ProviderErrorKind::Invalid(format!("metadata of the push: {text}"));
        let mut settings = match metadata {
            None | Some(Value::Null) => Self::default(),
            Some(Value::Object(fields)) => {
                if fields.get("kind").and_then(Value::as_str) != Some("PushSecretMetadata") {
                    return Err(invalid("the kind has to be PushSecretMetadata"));
                }
                match fields.get("spec") {
                    None | Some(Value::Null) => Self::default(),
                    // serde's messages quote values.
                    Some(spec) => Self::deserialize(spec).map_err(|_| invalid("spec has a wrong field"))?,
                }
            }
            Some(_) => return Err(invalid("it has to be an object")),
        };
        if settings.tags.contains_key(MARK.0) {
            return Err(invalid("a tag managed-by cannot be given: it is the mark of External Secrets"));
        }
        settings.names_tags = !settings.tags.is_empty();
        settings.tags.insert(MARK.0.to_owned(), MARK.1.to_owned());
        if settings.description.is_empty() {
            settings.description = format!("secret '{}:{}'", MARK.0, MARK.1);
        }
        Ok(settings)
    }

    /// Returns the tags as AWS takes them.
    pub(super) fn tags(&self) -> Json {
        let tag = |(key, value): (&String, &String)| {
            Json::map([("Key", Json::text(key.as_str())), ("Value", Json::text(value.as_str()))])
        };
        Json::List(self.tags.iter().map(tag).collect())
    }
}

/// What is asked of AWS so that a value has the wanted tags.
#[derive(Default)]
pub(super) struct TagChanges {
    /// Keys that go.
    pub(super) gone: Option<Json>,
    /// All wanted tags, where one is new or changed.
    pub(super) set: Option<Json>,
}

impl PushSettings {
    /// Compares the tags of a value with the wanted ones.
    pub(super) fn tag_changes(&self, current: &BTreeMap<String, String>) -> TagChanges {
        let gone = current.keys().filter(|key| !self.tags.contains_key(*key));
        let gone: Vec<Json> = gone.map(|key| Json::text(key.as_str())).collect();
        let is_new = self.tags.iter().any(|(key, value)| current.get(key) != Some(value));
        TagChanges { gone: (!gone.is_empty()).then_some(Json::List(gone)), set: is_new.then(|| self.tags()) }
    }
}

/// Returns tags as the metadata of a value: a JSON object.
pub(super) fn tags_as_metadata(tags: BTreeMap<String, String>) -> Plaintext {
    Json::map(tags.into_iter().map(|(key, value)| (key, Json::text(value)))).to_text()
}

/// Whether a read found something.
pub(super) fn found<T>(read: Result<T, ProviderErrorKind>) -> Result<bool, ProviderErrorKind> {
    match read {
        Ok(_) => Ok(true),
        Err(ProviderErrorKind::NotFound) => Ok(false),
        Err(kind) => Err(kind),
    }
}

/// Reads tags as AWS gives them.
pub(super) fn read_tags(list: Option<&Json>) -> BTreeMap<String, String> {
    let Some(Json::List(tags)) = list else { return BTreeMap::new() };
    let tag = |tag: &Json| Some((tag.str_at("Key")?.to_owned(), tag.str_at("Value")?.to_owned()));
    tags.iter().filter_map(tag).collect()
}

/// Returns whether a value may be changed.
pub(super) fn is_ours(tags: &BTreeMap<String, String>) -> bool {
    tags.get(MARK.0).is_some_and(|value| value == MARK.1)
}

/// The words of upstream for a value that somebody else wrote.
pub(super) fn not_ours() -> ProviderErrorKind {
    ProviderErrorKind::Failed("secret not managed by external-secrets".to_owned())
}

/// Sets a property of a JSON object, as a path of sjson: steps between dots, `\.` is a dot. No text is an empty object.
///
/// # Errors
/// Fails where the value is no JSON object, or something that is none is in the way.
pub(super) fn with_property(
    current: Option<&Plaintext>,
    property: &str,
    value: &Plaintext,
) -> Result<Plaintext, ProviderErrorKind> {
    let invalid = |text: &str| ProviderErrorKind::Invalid(text.to_owned());
    let mut root = match current.filter(|current| !current.is_empty()) {
        None => Json::Map(BTreeMap::new()),
        Some(current) => Json::parse(current)
            .filter(|json| matches!(json, Json::Map(_)))
            .ok_or_else(|| invalid("a property can be pushed into a secret that is a JSON object only"))?,
    };
    let steps = steps(property);
    if steps.len() > MAX_STEPS {
        return Err(invalid("the property has too many steps"));
    }
    let Some((last, inner)) = steps.split_last() else { return Err(invalid("the property is empty")) };
    let mut place = &mut root;
    for step in inner {
        let Json::Map(entries) = place else {
            return Err(invalid("the property passes a value that is no object"));
        };
        place = entries.entry(step.clone()).or_insert_with(|| Json::Map(BTreeMap::new()));
    }
    let Json::Map(entries) = place else {
        return Err(invalid("the property passes a value that is no object"));
    };
    if value.expose_str().is_none() {
        return Err(invalid("the value is no text, which a property of JSON has to be"));
    }
    entries.insert(last.clone(), Json::Text(value.duplicate()));
    Ok(root.to_text())
}

fn steps(property: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut letters = property.chars();
    while let Some(letter) = letters.next() {
        let Some(last) = steps.last_mut() else { break };
        match letter {
            '\\' => last.extend(letters.next()),
            '.' => steps.push(String::new()),
            letter => last.push(letter),
        }
    }
    steps
}

/// Returns a random UUID (version 4).
pub(super) fn uuid() -> Result<String, ProviderErrorKind> {
    let mut bytes = [0_u8; 16];
    SystemRandom.fill(&mut bytes).map_err(|error| ProviderErrorKind::Failed(error.to_string()))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn properties_are_set_in_place() {
        for (current, property, expected) in [
            (None, "a", r#"{"a":"v"}"#),
            (Some(""), "a.b", r#"{"a":{"b":"v"}}"#),
            (Some(r#"{"a":{"c":1.50},"z":0}"#), "a.b", r#"{"a":{"b":"v","c":1.50},"z":0}"#),
            (Some(r#"{"a.b":"old"}"#), r"a\.b", r#"{"a.b":"v"}"#),
        ] {
            let current = current.map(Plaintext::from);
            let set = with_property(current.as_ref(), property, &"v".into()).unwrap();
            assert_eq!(set.expose_str(), Some(expected));
        }
        for (current, property) in [("[1]", "a"), ("hunter2", "a"), (r#"{"a":1}"#, "a.b")] {
            let error = with_property(Some(&current.into()), property, &"v".into()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn settings_have_a_mark_that_nobody_else_sets() {
        let read =
            |spec: Value| PushSettings::read(Some(&json!({ "kind": "PushSecretMetadata", "spec": spec })));
        let settings = read(json!({ "tags": { "a": "b" }, "kmsKeyID": "k" })).unwrap();
        assert!(is_ours(&settings.tags) && settings.tags["a"] == "b" && settings.kms_key_id == "k");
        assert!(read(json!({ "tags": { "managed-by": "me" } })).is_err());
        assert!(
            read(json!({ "tags": "hunter2" })).is_err_and(|error| !error.to_string().contains("hunter2"))
        );
        let settings =
            read(json!({ "resourcePolicy": { "policySourceRef": { "kind": "Secret", "name": "p" } } }));
        assert_eq!(settings.unwrap().resource_policy.unwrap().block_public_policy, None);
        assert!(read(json!({ "replicationLocations": "eu-west-1" })).is_err());
        assert!(PushSettings::read(Some(&json!({ "spec": {} }))).is_err());
        assert_eq!(PushSettings::read(None).unwrap().description, "secret 'managed-by:external-secrets'");
    }

    #[test]
    fn uuids_are_of_version_4() {
        let uuid = uuid().unwrap();
        assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'4' && uuid.matches('-').count() == 4, "{uuid}");
    }
}
