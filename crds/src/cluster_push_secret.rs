//! `ClusterPushSecret`, external-secrets.io/v1alpha1.

use serde::{Deserialize, Serialize};

use crate::cluster_external_secret::{ChildMetadata, FailedNamespace};
use crate::condition::Condition;
use crate::metadata::Metadata;
use crate::push_secret::PushSecretSpec;
use crate::resource::resource;
use crate::secret_store::LabelSelector;
use crate::tolerant::null_default;

/// PushSecrets in all namespaces that are selected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPushSecret {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// The PushSecret to make, and where.
    #[serde(deserialize_with = "null_default")]
    pub spec: ClusterPushSecretSpec,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ClusterPushSecretStatus>,
}

resource!(ClusterPushSecret, Cluster, "external-secrets.io" / "v1alpha1", "clusterpushsecrets");

/// The PushSecret to make, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPushSecretSpec {
    /// Spec of each PushSecret.
    #[serde(deserialize_with = "null_default")]
    pub push_secret_spec: PushSecretSpec,
    /// Name of each PushSecret; unset is the name of the ClusterPushSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_secret_name: Option<String>,
    /// Metadata of each PushSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_secret_metadata: Option<ChildMetadata>,
    /// Namespaces by their labels; one match is enough.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Time between two looks at the namespaces, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
}

/// What came of a ClusterPushSecret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPushSecretStatus {
    /// Name of the PushSecrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_secret_name: Option<String>,
    /// Namespaces without a PushSecret, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub failed_namespaces: Vec<FailedNamespace>,
    /// Namespaces that have their PushSecret, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub provisioned_namespaces: Vec<String>,
    /// The condition Ready.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
}
