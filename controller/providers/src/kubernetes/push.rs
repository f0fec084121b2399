//! Writing Secrets of the remote side. What is there already and is not named stays.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;
use serde::Deserialize;
use serde_json::Value;

use super::api::{CONFLICT, Object};
use super::{KubernetesStore, fail};
use crate::json::Json;
use crate::{BoxFuture, ProviderError, ProviderErrorKind, PushTarget, SecretsWriter};

/// Attempts where somebody else writes at the same time.
const ATTEMPTS: usize = 5;
const METADATA: (&str, &str) = ("kubernetes.external-secrets.io/v1alpha1", "PushSecretMetadata");

/// What the PushSecret says about the remote Secret beside its data.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Metadata {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// About labels and annotations of the source, which are not carried over here.
    source_merge_policy: Option<String>,
    target_merge_policy: Option<String>,
    remote_namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    api_version: String,
    kind: String,
    #[serde(default)]
    spec: Metadata,
}

impl Metadata {
    fn read(value: Option<&Value>) -> Result<Self, ProviderErrorKind> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Self::default()) };
        let (version, kind) = METADATA;
        let refuse = |problem: &str| {
            ProviderErrorKind::Invalid(format!(
                "unable to parse metadata parameters: failed to parse {version} {kind}: error unmarshaling JSON: while \
                 decoding JSON: {problem}"
            ))
        };
        if let Some(field) = unknown_field(value) {
            return Err(refuse(&format!("json: unknown field \"{field}\"")));
        }
        let envelope = Envelope::deserialize(value).map_err(|_| refuse("a field has the wrong type"))?;
        if (envelope.api_version.as_str(), envelope.kind.as_str()) != METADATA {
            return Err(ProviderErrorKind::Invalid(format!(
                "unable to parse metadata parameters: expected apiVersion {version} and kind {kind}"
            )));
        }
        Ok(envelope.spec)
    }

    /// Puts labels and annotations on an object.
    fn apply(&self, object: &mut Object) -> Result<(), ProviderErrorKind> {
        let texts = |map: &BTreeMap<String, String>| -> BTreeMap<String, Plaintext> {
            map.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
        };
        match self.target_merge_policy.as_deref().unwrap_or_default() {
            "Ignore" if object.exists() => {}
            "" | "Merge" | "Ignore" => {
                object.labels.extend(texts(&self.labels));
                object.annotations.extend(texts(&self.annotations));
            }
            "Replace" => {
                object.labels = texts(&self.labels);
                object.annotations = texts(&self.annotations);
            }
            other => {
                return Err(ProviderErrorKind::Invalid(format!("targetMergePolicy {other:?} is not known")));
            }
        }
        let policy = self.source_merge_policy.as_deref().unwrap_or_default();
        if !matches!(policy, "" | "Merge" | "Replace") {
            return Err(ProviderErrorKind::Invalid(format!("sourceMergePolicy {policy:?} is not known")));
        }
        Ok(())
    }
}

/// Names the first field that is not known, as Go does.
fn unknown_field(value: &Value) -> Option<&str> {
    const OUTER: [&str; 3] = ["apiVersion", "kind", "spec"];
    const INNER: [&str; 5] =
        ["labels", "annotations", "sourceMergePolicy", "targetMergePolicy", "remoteNamespace"];
    let first = |value: &'_ Value, known: &[&str]| {
        value.as_object()?.keys().find(|key| !known.contains(&key.as_str())).cloned()
    };
    let name = first(value, &OUTER).or_else(|| first(value.get("spec")?, &INNER))?;
    let spec = value.get("spec").and_then(Value::as_object);
    let places = [value.as_object(), spec];
    places.into_iter().flatten().find_map(|map| map.keys().find(|key| **key == name)).map(String::as_str)
}

impl KubernetesStore {
    fn namespace_of(&self, metadata: &Metadata) -> Result<String, ProviderErrorKind> {
        match metadata.remote_namespace.as_deref().filter(|name| !name.is_empty()) {
            Some(name) if self.is_cluster || name == self.api.namespace() => Ok(name.to_owned()),
            Some(_) => Err(ProviderErrorKind::Forbidden(
                "metadata.spec.remoteNamespace is for ClusterSecretStores only".to_owned(),
            )),
            None => Ok(self.api.namespace().to_owned()),
        }
    }

    async fn change(
        &self,
        target: &PushTarget,
        change: impl Fn(&mut Object) -> Result<Change, ProviderErrorKind>,
    ) -> Result<(), ProviderErrorKind> {
        let metadata = Metadata::read(target.metadata.as_ref())?;
        let namespace = self.namespace_of(&metadata)?;
        for attempt in 1.. {
            let found = self.api.get(&namespace, &target.key).await?;
            let mut object = found.unwrap_or_else(|| Object::new(&target.key));
            let done = match change(&mut object)? {
                Change::None => return Ok(()),
                Change::Delete => self.api.delete(&namespace, &object).await,
                Change::Write => self.api.write(&namespace, &object).await,
            };
            match done {
                Err(ProviderErrorKind::Unavailable(text)) if text == CONFLICT && attempt < ATTEMPTS => {}
                done => return done,
            }
        }
        Ok(())
    }
}

/// What becomes of the remote Secret.
enum Change {
    None,
    Write,
    Delete,
}

impl SecretsWriter for KubernetesStore {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let put = async {
                let metadata = Metadata::read(target.metadata.as_ref())?;
                let entries = entries(target, value)?;
                self.change(target, |object| fill(object, &entries, &metadata)).await
            };
            put.await.map_err(|kind| fail("put", &target.key, kind))
        })
    }

    fn put_whole<'a>(
        &'a self,
        target: &'a PushTarget,
        values: &'a BTreeMap<String, Plaintext>,
    ) -> Option<BoxFuture<'a, Result<(), ProviderError>>> {
        if target.property.as_deref().is_some_and(|property| !property.is_empty()) {
            return None;
        }
        Some(Box::pin(async move {
            let put = async {
                let metadata = Metadata::read(target.metadata.as_ref())?;
                self.change(target, |object| fill(object, values, &metadata)).await
            };
            put.await.map_err(|kind| fail("put", &target.key, kind))
        }))
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let removed = self.change(target, |object| Ok(remove(object, target.property.as_deref())));
            removed.await.map_err(|kind| fail("delete", &target.key, kind))
        })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(async move {
            let found = async {
                let metadata = Metadata::read(target.metadata.as_ref())?;
                self.api.get(&self.namespace_of(&metadata)?, &target.key).await
            };
            let found = found.await.map_err(|kind| fail("exists", &target.key, kind))?;
            let property = target.property.as_deref().filter(|property| !property.is_empty());
            Ok(found.is_some_and(|object| property.is_none_or(|property| object.data.contains_key(property))))
        })
    }
}

/// Returns the entries that the remote Secret gets.
fn entries(target: &PushTarget, value: &Plaintext) -> Result<BTreeMap<String, Plaintext>, ProviderErrorKind> {
    let property = target.property.as_deref().filter(|property| !property.is_empty());
    let secret_key = target.secret_key.as_deref().filter(|key| !key.is_empty());
    match (property, secret_key) {
        (Some(property), _) => Ok(BTreeMap::from([(property.to_owned(), value.duplicate())])),
        (None, Some(_)) => Err(ProviderErrorKind::Invalid(
            "requires property in RemoteRef to push secret value if secret key is defined".to_owned(),
        )),
        (None, None) => match Json::parse(value) {
            Some(Json::Map(entries)) => {
                Ok(entries.into_iter().map(|(key, value)| (key, value.into_bytes())).collect())
            }
            _ => Err(ProviderErrorKind::Failed("a whole Secret has to be a JSON object".to_owned())),
        },
    }
}

fn fill(
    object: &mut Object,
    entries: &BTreeMap<String, Plaintext>,
    metadata: &Metadata,
) -> Result<Change, ProviderErrorKind> {
    let before = (copy(&object.labels), copy(&object.annotations));
    metadata.apply(object)?;
    let same_data =
        entries.iter().all(|(key, value)| object.data.get(key).is_some_and(|known| known.ct_eq(value)));
    let same_labels = same(&before.0, &object.labels) && same(&before.1, &object.annotations);
    if object.exists() && same_data && same_labels {
        return Ok(Change::None);
    }
    object.data.extend(copy(entries));
    Ok(Change::Write)
}

fn remove(object: &mut Object, property: Option<&str>) -> Change {
    match property.filter(|property| !property.is_empty()) {
        _ if !object.exists() => Change::None,
        None => Change::Delete,
        Some(property) if !object.data.contains_key(property) => Change::None,
        Some(_) if object.data.len() == 1 => Change::Delete,
        Some(property) => {
            object.data.remove(property);
            Change::Write
        }
    }
}

fn copy(map: &BTreeMap<String, Plaintext>) -> BTreeMap<String, Plaintext> {
    map.iter().map(|(key, value)| (key.clone(), value.duplicate())).collect()
}

fn same(one: &BTreeMap<String, Plaintext>, other: &BTreeMap<String, Plaintext>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(key, value)| other.get(key).is_some_and(|found| found.ct_eq(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_read_strictly() {
        let envelope = |spec: Value| json!({ "apiVersion": METADATA.0, "kind": METADATA.1, "spec": spec });
        let read = |value: Value| Metadata::read(Some(&value)).map_err(|error| error.to_string());
        assert_eq!(read(envelope(json!({ "labels": { "a": "b" } }))).ok().unwrap().labels["a"], "b");
        assert!(read(Value::Null).is_ok());
        assert_eq!(
            read(envelope(json!({ "nothing": "x" }))).err().unwrap(),
            "unable to parse metadata parameters: failed to parse kubernetes.external-secrets.io/v1alpha1 \
             PushSecretMetadata: error unmarshaling JSON: while decoding JSON: json: unknown field \"nothing\""
        );
        for odd in [
            json!({ "apiVersion": "v1", "kind": METADATA.1 }),
            json!("text"),
            envelope(json!({ "labels": 1 })),
            json!({ "more": 1 }),
        ] {
            assert!(read(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn whole_secrets_and_single_entries() {
        let target = |property: Option<&str>, key: Option<&str>| PushTarget {
            key: "s".into(),
            property: property.map(str::to_owned),
            secret_key: key.map(str::to_owned),
            ..PushTarget::default()
        };
        let got = entries(&target(Some("p"), Some("k")), &"v".into()).unwrap();
        assert_eq!(got["p"].expose(), b"v");
        let whole: Plaintext = r#"{"a":"1","b":"2"}"#.into();
        assert_eq!(entries(&target(None, None), &whole).unwrap()["b"].expose(), b"2");
        assert_eq!(entries(&target(Some("p"), None), &whole).unwrap()["p"].expose(), whole.expose());
        assert!(entries(&target(None, Some("k")), &"v".into()).is_err());
        let error = entries(&target(None, None), &"hunter2".into()).unwrap_err().to_string();
        assert!(!error.contains("hunter2"));
    }
}
