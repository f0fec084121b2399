//! Object metadata, without the parts that nobody here needs; those are carried along unread.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::tolerant::null_default;

/// Metadata of an object. A field that has no place here survives in `other`.
///
/// Its `Debug` prints where and which object it is and nothing else: annotations can hold plaintext, as
/// `kubectl.kubernetes.io/last-applied-configuration` of a Secret does.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name, unique within the namespace and kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Prefix from which the API server makes a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_name: Option<String>,
    /// Namespace; absent in cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Identity of this very object; a successor of the same name has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Version of the stored object, opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// Counts the changes of the spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// When the object was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// When the object is or was to be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
    /// Seconds between the request to delete and the deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels; [`Metadata::labels`] reads them.
    #[serde(skip_serializing_if = "is_none_or_empty")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations; [`Metadata::annotations`] reads them.
    #[serde(skip_serializing_if = "is_none_or_empty")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Objects whose end is the end of this one.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub owner_references: Vec<OwnerReference>,
    /// Names that must be gone before the object goes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub finalizers: Vec<String>,
    /// Every other field, such as `managedFields`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Metadata {
    /// Returns metadata with a namespace and a name.
    pub fn named(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), namespace: Some(namespace.into()), ..Self::default() }
    }

    /// Returns the labels; none is an empty map.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.as_ref().unwrap_or(&EMPTY)
    }

    /// Returns the annotations; none is an empty map.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        self.annotations.as_ref().unwrap_or(&EMPTY)
    }

    /// Returns the labels to change, an empty map where there were none.
    pub fn labels_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.labels.get_or_insert_default()
    }

    /// Returns the annotations to change, an empty map where there were none.
    pub fn annotations_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.annotations.get_or_insert_default()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("uid", &self.uid)
            .field("resource_version", &self.resource_version)
            .finish_non_exhaustive()
    }
}

/// An object that this one belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `group/version` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Identity of the owner.
    pub uid: String,
    /// Whether the owner is the one that manages this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether deleting the owner in the foreground waits for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// Reads metadata in which any field may have the wrong type; such a field stays in `other` as it is.
///
/// The template of a `SealedSecret` keeps unknown fields in the CRD, so nothing guards their types. What is no object is
/// no metadata.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Metadata>, D::Error> {
    let Value::Object(mut fields) = Value::deserialize(deserializer)? else {
        return Ok(None);
    };
    fields.retain(|_, value| !value.is_null());
    let (good, odd): (Map<_, _>, Map<_, _>) = fields
        .into_iter()
        .partition(|(name, value)| parse(Map::from_iter([(name.clone(), value.clone())])).is_some());
    let mut metadata = parse(good).unwrap_or_default();
    metadata.other.extend(odd);
    Ok(Some(metadata))
}

fn parse(fields: Map<String, Value>) -> Option<Metadata> {
    serde_json::from_value(Value::Object(fields)).ok()
}

fn is_none_or_empty(map: &Option<BTreeMap<String, String>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

static EMPTY: BTreeMap<String, String> = BTreeMap::new();

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Metadata {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metadata".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let written = json!({
            "name": "web",
            "labels": { "a": "b" },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "K", "name": "n", "uid": "u", "controller": true }],
            "finalizers": ["f"],
            "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:data": {} } }],
            "selfLink": "/x",
        });
        let metadata: Metadata = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(metadata.other.len(), 2);
        assert_eq!(serde_json::to_value(&metadata).unwrap(), written);
    }

    #[test]
    fn null_fields_are_absent() {
        let metadata: Metadata = serde_json::from_value(
            json!({ "name": "web", "creationTimestamp": null, "labels": null, "finalizers": null, "ownerReferences": null }),
        )
        .unwrap();
        assert_eq!(metadata, Metadata { name: Some("web".into()), ..Metadata::default() });
        assert!(metadata.labels().is_empty() && metadata.annotations().is_empty());
        assert_eq!(serde_json::to_value(&metadata).unwrap(), json!({ "name": "web" }));
    }

    #[test]
    fn debug_prints_the_identity_only() {
        let mut metadata = Metadata::named("shop", "web");
        metadata.uid = Some("u-1".into());
        metadata.resource_version = Some("7".into());
        metadata.annotations_mut().insert("last-applied".into(), "hunter2".into());
        metadata.labels_mut().insert("l".into(), "hunter2".into());
        metadata.other.insert("managedFields".into(), json!("hunter2"));
        let text = format!("{metadata:?}");
        assert!(["shop", "web", "u-1", "7"].iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("last-applied"), "{text}");
    }

    #[test]
    fn lenient_keeps_odd_fields_aside() {
        #[derive(Deserialize)]
        struct Holder(#[serde(deserialize_with = "lenient")] Option<Metadata>);
        let written = json!({ "generation": "many", "labels": { "a": "b" }, "annotations": { "n": 1 } });
        let Holder(metadata) = serde_json::from_value(written.clone()).unwrap();
        let metadata = metadata.unwrap();
        assert_eq!(metadata.labels()["a"], "b");
        assert!(metadata.annotations().is_empty());
        assert_eq!(serde_json::to_value(&metadata).unwrap(), written);
        for nothing in [json!(null), json!("text"), json!([1])] {
            let Holder(metadata) = serde_json::from_value(nothing).unwrap();
            assert!(metadata.is_none());
        }
    }
}
