//! `PushSecret`, external-secrets.io/v1alpha1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Condition;
use crate::external_secret::{GeneratorRef, RewriteRegexp, RewriteTransform, StoreKind};
use crate::metadata::Metadata;
use crate::resource::resource;
use crate::secret_store::LabelSelector;
use crate::tolerant::null_default;

/// Finalizer of a PushSecret under the deletion policy Delete.
pub const PUSH_SECRET_FINALIZER: &str = "pushsecret.externalsecrets.io/finalizer";
/// Finalizer of a store that a PushSecret under the deletion policy Delete writes to.
pub const STORE_FINALIZER: &str = "secretstore.externalsecrets.io/finalizer";

/// Values of a Secret that are written to outside stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushSecret {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// What to write, where to, and what happens to it later.
    #[serde(deserialize_with = "null_default")]
    pub spec: PushSecretSpec,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<PushSecretStatus>,
}

resource!(PushSecret, Namespaced, "external-secrets.io" / "v1alpha1", "pushsecrets");

/// What to write, where to, and what happens to it later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushSecretSpec {
    /// Time between two writes, as Go writes durations; 0 is once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<String>,
    /// The stores.
    #[serde(deserialize_with = "null_default")]
    pub secret_store_refs: Vec<PushStoreRef>,
    /// What happens to a value that is in the store already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// What happens to written values when they are wanted no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<PushDeletionPolicy>,
    /// Where the values come from.
    #[serde(deserialize_with = "null_default")]
    pub selector: PushSelector,
    /// Single keys.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub data: Vec<PushData>,
    /// Sets of keys.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub data_to: Vec<PushDataTo>,
    /// How the values are changed before they are written.
    ///
    /// As it came, so that a template we cannot read does not hide the object; [`crate::template::Template`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::template::Template>"))]
    pub template: Option<Value>,
}

/// Names a store, or selects stores by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushStoreRef {
    /// Name of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels of the stores, where no name is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Kind of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<StoreKind>,
}

words! {
    /// What happens to a value that is in the store already.
    pub enum UpdatePolicy {
        /// It is replaced.
        Replace = "Replace",
        /// It stays.
        IfNotExists = "IfNotExists",
    }
}

words! {
    /// What happens to written values when they are wanted no more.
    pub enum PushDeletionPolicy {
        /// They are deleted.
        Delete = "Delete",
        /// They stay.
        None = "None",
    }
}

/// Where the values come from: one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushSelector {
    /// One or more Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<PushSecretSelector>,
    /// A generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorRef>,
}

/// Secrets of the PushSecret's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushSecretSelector {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels of the Secrets, where no name is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// One value and its place in the stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushData {
    /// The key and the place.
    #[serde(rename = "match", deserialize_with = "null_default")]
    pub match_: PushMatch,
    /// Settings for the provider of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Anything"))]
    pub metadata: Option<Value>,
    /// How key names are changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<PushConversionStrategy>,
}

/// A key of the source and a place in the stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushMatch {
    /// Key of the source; empty is all keys as one JSON object.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub secret_key: String,
    /// Place in the stores.
    #[serde(deserialize_with = "null_default")]
    pub remote_ref: PushRemoteRef,
}

/// A place in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushRemoteRef {
    /// Name in the store.
    pub remote_key: String,
    /// Property of a structured value.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub property: String,
}

words! {
    /// How key names are changed before they are matched.
    pub enum PushConversionStrategy {
        /// Not at all.
        None = "None",
        /// Code points that the strategy Unicode of an ExternalSecret wrote become characters.
        ReverseUnicode = "ReverseUnicode",
    }
}

/// A set of keys and their places in one store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushDataTo {
    /// The store; one of secretStoreRefs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<PushStoreRef>,
    /// Name of the one value that holds all keys as a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_key: Option<String>,
    /// Which keys; unset is all.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<PushDataToMatch>,
    /// Changes of the key names, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub rewrite: Vec<PushRewrite>,
    /// Settings for the provider of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Anything"))]
    pub metadata: Option<Value>,
    /// How key names are changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<PushConversionStrategy>,
}

/// Which keys are meant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushDataToMatch {
    /// Regular expression that a key has to match somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
}

/// One change of the key names: one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushRewrite {
    /// Replaces what matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<RewriteRegexp>,
    /// Renders a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<RewriteTransform>,
}

/// What was written: by store (`Kind/name`), then by place (`remoteKey` or `remoteKey/property`).
pub type SyncedPushSecrets = BTreeMap<String, BTreeMap<String, PushData>>;

/// What came of a PushSecret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PushSecretStatus {
    /// Start of the last write that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
    /// Generation and hash of what was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_resource_version: Option<String>,
    /// What was written, by store and place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_push_secrets: Option<SyncedPushSecrets>,
    /// The condition Ready.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
}
