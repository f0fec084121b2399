//! `SealedSecret`, bitnami.com/v1alpha1, with the annotations and labels that belong to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metadata::{self, Metadata};
use crate::resource::resource;
use crate::tolerant::{null_default, strings_or_empty};

/// Annotation (`true`): the values may be opened under any name in any namespace. Wins over namespace-wide.
pub const CLUSTER_WIDE: &str = "sealedsecrets.bitnami.com/cluster-wide";
/// Annotation (`true`): the values may be opened under any name in the namespace.
pub const NAMESPACE_WIDE: &str = "sealedsecrets.bitnami.com/namespace-wide";
/// Annotation (`true`) of an existing Secret: the controller may take it over and replace it.
pub const MANAGED: &str = "sealedsecrets.bitnami.com/managed";
/// Annotation (`true`) of an existing Secret: lay our keys over it and remove nothing.
pub const PATCH: &str = "sealedsecrets.bitnami.com/patch";
/// Annotation (`true`) in the template: the Secret gets no owner and outlives its `SealedSecret`.
pub const SKIP_SET_OWNER_REFERENCES: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";
/// Label of the Secrets that hold sealing keys; its value is [`SEALING_KEY_ACTIVE`].
pub const SEALING_KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
/// Value of [`SEALING_KEY_LABEL`].
pub const SEALING_KEY_ACTIVE: &str = "active";
/// The only value with which an annotation above is set.
pub const TRUE: &str = "true";
/// The condition of upstream; always the first of the list, where the printer columns look.
pub const SYNCED: &str = "Synced";
/// Condition: the Secret is as it should be. Ours, for tools that follow kstatus.
pub const READY: &str = "Ready";
/// Condition, present only while it is true: the controller is still trying. Ours.
pub const RECONCILING: &str = "Reconciling";
/// Condition, present only while it is true: nothing happens until somebody changes something. Ours.
pub const STALLED: &str = "Stalled";

/// A Secret whose values only the controller can open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SealedSecret {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata; its annotations decide the scope.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// The sealed values and the Secret to make of them.
    #[serde(deserialize_with = "null_default")]
    pub spec: SealedSecretSpec,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<SealedSecretStatus>,
}

resource!(SealedSecret, Namespaced, "bitnami.com" / "v1alpha1", "sealedsecrets");

/// The sealed values and the Secret to make of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SealedSecretSpec {
    /// Sealed values by key, in base64.
    #[serde(deserialize_with = "strings_or_empty")]
    pub encrypted_data: BTreeMap<String, String>,
    /// Deprecated: all values sealed as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the Secret looks like besides its values.
    #[serde(skip_serializing_if = "SecretTemplate::is_empty", deserialize_with = "null_default")]
    pub template: SecretTemplate,
}

/// What the Secret looks like besides its values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SecretTemplate {
    /// Metadata of the Secret; name and namespace are those of the SealedSecret.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "metadata::lenient")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::TemplateMetadata"))]
    pub metadata: Option<Metadata>,
    /// Type of the Secret.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Whether the Secret can change once it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Templates over the opened values, by key; null leaves the key out of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<BTreeMap<String, Option<String>>>,
}

impl SecretTemplate {
    /// Returns whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.metadata.is_none() && self.type_.is_none() && self.immutable.is_none() && self.data.is_none()
    }
}

/// What came of a SealedSecret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SealedSecretStatus {
    /// Generation of the spec that was last handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The condition Synced.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<SealedSecretCondition>,
}

/// Tells whether the Secret is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SealedSecretCondition {
    /// `Synced`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True` or `False`.
    pub status: String,
    /// When the condition was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<String>,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// One word for the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong; empty when nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_spec(spec: Value) -> SealedSecret {
        serde_json::from_value(json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": { "name": "web", "namespace": "shop", "creationTimestamp": null }, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn odd_encrypted_values_become_empty_strings() {
        let spec = with_spec(
            json!({ "encryptedData": { "a": "AgB", "b": 1, "c": null, "d": { "x": "y" }, "e": [1] } }),
        )
        .spec;
        let values: Vec<_> = spec.encrypted_data.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(values, [("a", "AgB"), ("b", ""), ("c", ""), ("d", ""), ("e", "")]);
    }

    #[test]
    fn encrypted_data_that_is_no_map_is_empty() {
        for odd in [json!(null), json!("x"), json!([1]), json!(true)] {
            assert!(with_spec(json!({ "encryptedData": odd })).spec.encrypted_data.is_empty());
        }
        assert!(with_spec(json!(null)).spec.encrypted_data.is_empty());
    }

    #[test]
    fn null_template_entries_are_kept() {
        let spec = json!({
            "encryptedData": {},
            "template": {
                "metadata": { "labels": { "a": "b" } }, "type": "Opaque", "immutable": true,
                "data": { "cfg": "{{ .a }}", "a": null },
            },
        });
        let sealed = with_spec(spec.clone());
        assert_eq!(sealed.spec.template.data.as_ref().unwrap()["a"], None);
        assert_eq!(serde_json::to_string(&sealed.spec).unwrap(), reordered(&spec, &sealed));
    }

    /// The expected text, with the sorted keys of the `data` map.
    fn reordered(spec: &Value, sealed: &SealedSecret) -> String {
        let mut spec = spec.clone();
        spec["template"]["data"] = serde_json::to_value(&sealed.spec.template.data).unwrap();
        spec.to_string()
    }

    #[test]
    fn null_fields_are_absent() {
        let spec = with_spec(json!({ "encryptedData": {}, "data": null, "template": null })).spec;
        assert_eq!(spec, SealedSecretSpec::default());
        let spec = with_spec(
            json!({ "template": { "metadata": null, "data": null, "type": null, "immutable": null } }),
        )
        .spec;
        assert!(spec.template.is_empty());
        assert_eq!(serde_json::to_value(&spec).unwrap(), json!({ "encryptedData": {} }));
    }

    #[test]
    fn default_is_a_whole_object() {
        let text = serde_json::to_value(SealedSecret::default()).unwrap();
        assert_eq!(text["apiVersion"], "bitnami.com/v1alpha1");
        assert_eq!(text["kind"], "SealedSecret");
        assert_eq!(text["spec"], json!({ "encryptedData": {} }));
    }

    #[test]
    fn debug_prints_no_annotation() {
        let mut sealed = SealedSecret::default();
        sealed.metadata.annotations_mut().insert("last-applied".into(), "hunter2".into());
        sealed.spec.template.metadata = Some(sealed.metadata.clone());
        assert!(!format!("{sealed:?}").contains("hunter2"));
    }
}
