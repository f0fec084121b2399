//! `ExternalSecret`, external-secrets.io/v1.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Condition;
use crate::metadata::Metadata;
use crate::resource::resource;
use crate::tolerant::null_default;

mod data;
pub use data::*;

/// Values of an outside store that become a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalSecret {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata; without a template its labels and annotations are copied to the Secret.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// What to fetch, when, and where to put it.
    #[serde(deserialize_with = "null_default")]
    pub spec: ExternalSecretSpec,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExternalSecretStatus>,
}

resource!(ExternalSecret, Namespaced, "external-secrets.io" / "v1", "externalsecrets");

/// What to fetch, when, and where to put it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalSecretSpec {
    /// Store of every entry that names none itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_store_ref: Option<StoreRef>,
    /// What makes a refresh; unset is Periodic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_policy: Option<RefreshPolicy>,
    /// Time between refreshes under Periodic, as Go writes durations; 0 is once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<String>,
    /// Times of day that allow or deny periodic refreshes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_windows: Option<SyncWindows>,
    /// The Secret to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Single keys.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub data: Vec<DataEntry>,
    /// Sets of keys; later ones win.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub data_from: Vec<DataFromEntry>,
}

/// Names a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct StoreRef {
    /// Name of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind of the store; unset is SecretStore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<StoreKind>,
}

words! {
    /// Kind of a store.
    pub enum StoreKind {
        /// In the namespace of its user.
        SecretStore = "SecretStore",
        /// For all namespaces.
        ClusterSecretStore = "ClusterSecretStore",
    }
}

words! {
    /// What makes a refresh.
    pub enum RefreshPolicy {
        /// Fetched once, when the Secret is made.
        CreatedOnce = "CreatedOnce",
        /// Fetched at every interval and change.
        Periodic = "Periodic",
        /// Fetched when the object changes.
        OnChange = "OnChange",
    }
}

/// Times that allow or deny periodic refreshes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SyncWindows {
    /// Whether the windows allow or deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<WindowKind>,
    /// The windows.
    #[serde(deserialize_with = "null_default")]
    pub windows: Vec<SyncWindow>,
}

/// A window that opens again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SyncWindow {
    /// When it opens: five cron fields in UTC, or a word like `@hourly`.
    pub schedule: String,
    /// How long it stays open, as Go writes durations.
    pub duration: String,
}

words! {
    /// What a window does.
    pub enum WindowKind {
        /// Refreshes happen within windows only.
        Allow = "allow",
        /// No refresh happens within a window.
        Deny = "deny",
    }
}

/// The Secret to write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Target {
    /// Name of the Secret; unset is the name of the ExternalSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who makes and owns the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_policy: Option<CreationPolicy>,
    /// What happens when the store has the values no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether the Secret can change once it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// How the Secret is made of the values.
    ///
    /// As it came, so that a template we cannot read does not hide the object; [`crate::template::Template`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::template::Template>"))]
    pub template: Option<Value>,
    /// Kind of the object to write when it is not a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
}

words! {
    /// Who makes and owns the Secret.
    pub enum CreationPolicy {
        /// The Secret is made, owned and replaced.
        Owner = "Owner",
        /// The Secret is made and replaced, without an owner.
        Orphan = "Orphan",
        /// Values are merged into a Secret that exists.
        Merge = "Merge",
        /// Nothing is written.
        None = "None",
        /// Values are merged into a Secret, which is made where it is missing.
        CreateOrMerge = "CreateOrMerge",
    }
}

words! {
    /// What happens when the store has the values no more.
    pub enum DeletionPolicy {
        /// The Secret goes when nothing is left.
        Delete = "Delete",
        /// The missing keys go.
        Merge = "Merge",
        /// The Secret stays as it is.
        Retain = "Retain",
    }
}

/// Kind of a target that is not a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Manifest {
    /// Group and version of the target.
    pub api_version: String,
    /// Kind of the target.
    pub kind: String,
}

/// What came of an ExternalSecret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalSecretStatus {
    /// Start of the last refresh that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
    /// Generation and hash of what was last synced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_resource_version: Option<String>,
    /// The Secret that was made, in the form of servicebinding.io.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// The condition Ready.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
}

/// Names the Secret that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Binding {
    /// Name of the Secret; empty until there is one.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_words_do_not_hide_the_object() {
        let written = json!({
            "refreshPolicy": "Sometimes",
            "target": { "creationPolicy": "Replace", "deletionPolicy": "Keep" },
            "data": [{ "secretKey": "a", "remoteRef": { "key": "k", "decodingStrategy": "Hex" } }],
        });
        let spec: ExternalSecretSpec = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(spec.refresh_policy, Some(RefreshPolicy::Other("Sometimes".into())));
        assert_eq!(serde_json::to_value(&spec).unwrap(), written);
    }

    #[test]
    fn every_field_survives_a_round_trip() {
        let remote = json!({ "key": "k", "metadataPolicy": "Fetch", "property": "p", "version": "1",
            "conversionStrategy": "Unicode", "decodingStrategy": "Auto", "nullBytePolicy": "Fail" });
        let written = json!({
            "secretStoreRef": { "name": "s", "kind": "ClusterSecretStore" },
            "refreshPolicy": "OnChange", "refreshInterval": "1h",
            "syncWindows": { "kind": "deny", "windows": [{ "schedule": "@hourly", "duration": "2m" }] },
            "target": { "name": "t", "creationPolicy": "Orphan", "deletionPolicy": "Merge", "immutable": true,
                "template": { "data": { "a": "{{ .a }}" }, "future": [1] }, "manifest": { "apiVersion": "v1", "kind": "ConfigMap" } },
            "data": [{ "secretKey": "a", "remoteRef": remote, "sourceRef": { "storeRef": { "name": "s" } } }],
            "dataFrom": [
                { "extract": { "key": "k" }, "rewrite": [{ "regexp": { "source": "a", "target": "b" } },
                    { "transform": { "template": "x" } }, { "merge": { "into": "i", "priority": ["a"],
                    "priorityPolicy": "Strict", "conflictPolicy": "Error", "strategy": "JSON" } }] },
                { "find": { "path": "p", "name": { "regexp": ".*" }, "tags": { "t": "v" }, "nullBytePolicy": "Ignore" } },
                { "sourceRef": { "generatorRef": { "kind": "UUID", "name": "u" } } },
            ],
        });
        let spec: ExternalSecretSpec = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), written);
    }

    #[test]
    fn missing_and_null_parts_are_readable() {
        for object in [
            json!({}),
            json!({ "metadata": null, "spec": null }),
            json!({ "spec": { "data": null, "dataFrom": null } }),
        ] {
            assert_eq!(serde_json::from_value::<ExternalSecret>(object).unwrap(), ExternalSecret::default());
        }
        let spec = json!({ "data": [{}], "dataFrom": [{ "rewrite": null }], "target": {} });
        serde_json::from_value::<ExternalSecretSpec>(spec).unwrap();
    }
}
