//! `SecretStore` and `ClusterSecretStore`, external-secrets.io/v1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::metadata::Metadata;
use crate::resource::resource;
use crate::tolerant::null_default;

mod aws;
mod kubernetes;
mod provider;
mod reference;
mod vault;
mod webhook;
pub use aws::*;
pub use kubernetes::*;
pub use provider::*;
pub use reference::*;
pub use vault::*;
pub use webhook::*;

/// A place that holds secrets, for its namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SecretStore {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// What the place is and how to reach it.
    #[serde(deserialize_with = "null_default")]
    pub spec: SecretStoreSpec,
    /// Whether it can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<SecretStoreStatus>,
}

resource!(SecretStore, Namespaced, "external-secrets.io" / "v1", "secretstores");

/// A place that holds secrets, for all namespaces that its conditions admit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSecretStore {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// What the place is, how to reach it and who may use it.
    #[serde(deserialize_with = "null_default")]
    pub spec: SecretStoreSpec,
    /// Whether it can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<SecretStoreStatus>,
}

resource!(ClusterSecretStore, Cluster, "external-secrets.io" / "v1", "clustersecretstores");

/// What the place is, how to reach it and who may use it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SecretStoreSpec {
    /// Class of the controller that handles this store; empty is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The kind of place and its settings, as the only property.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// How failing calls are repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
    /// Time between checks of the store, in seconds or as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::IntOrString"))]
    pub refresh_interval: Option<StoreInterval>,
    /// Namespaces that may use a ClusterSecretStore; one match is enough, none set is all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<StoreCondition>,
}

/// Time between checks of a store, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StoreInterval {
    /// Whole seconds.
    Seconds(i64),
    /// A duration as Go writes it.
    Duration(String),
}

/// How failing calls are repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RetrySettings {
    /// Repetitions at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i32>,
    /// Time between two calls, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<String>,
}

/// Namespaces that may use a ClusterSecretStore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct StoreCondition {
    /// By their labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// By name.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub namespaces: Vec<String>,
    /// By regular expressions, which match anywhere in the name unless anchored.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub namespace_regexes: Vec<String>,
}

/// Selects objects by their labels; all parts have to match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels and their values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Requirements on labels.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: String,
    /// Values for In and NotIn.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub values: Vec<String>,
}

/// Whether a store can be reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SecretStoreStatus {
    /// The condition Ready.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
    /// What the store can do: ReadOnly, WriteOnly or ReadWrite.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub capabilities: Option<Capabilities>,
}

words! {
    /// What a store can do.
    pub enum Capabilities {
        /// It is read.
        ReadOnly = "ReadOnly",
        /// It is written.
        WriteOnly = "WriteOnly",
        /// Both.
        ReadWrite = "ReadWrite",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_survives_a_round_trip() {
        let written = json!({
            "controller": "c", "provider": { "vault": { "server": "https://v" } },
            "retrySettings": { "maxRetries": 3, "retryInterval": "10s" }, "refreshInterval": 60,
            "conditions": [{ "namespaces": ["a"], "namespaceRegexes": ["^b"], "namespaceSelector": {
                "matchLabels": { "x": "y" }, "matchExpressions": [{ "key": "k", "operator": "In", "values": ["v"] }] } }],
        });
        let spec: SecretStoreSpec = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(spec.refresh_interval, Some(StoreInterval::Seconds(60)));
        assert_eq!(serde_json::to_value(&spec).unwrap(), written);
    }

    #[test]
    fn a_store_without_a_provider_is_readable() {
        for object in
            [json!({}), json!({ "spec": null }), json!({ "spec": { "provider": null, "conditions": null } })]
        {
            assert_eq!(
                serde_json::from_value::<ClusterSecretStore>(object).unwrap(),
                ClusterSecretStore::default()
            );
        }
        let status: SecretStoreStatus = serde_json::from_value(json!({ "capabilities": "All" })).unwrap();
        assert_eq!(status.capabilities, Some(Capabilities::Other("All".into())));
    }
}
