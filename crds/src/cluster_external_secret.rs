//! `ClusterExternalSecret`, external-secrets.io/v1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::external_secret::ExternalSecretSpec;
use crate::metadata::Metadata;
use crate::resource::resource;
use crate::secret_store::LabelSelector;
use crate::tolerant::null_default;

/// Finalizer of a ClusterExternalSecret.
pub const CLUSTER_EXTERNAL_SECRET_FINALIZER: &str =
    "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup";
/// Finalizer of a namespace that has an ExternalSecret of a ClusterExternalSecret, up to the name of the latter.
pub const NAMESPACE_FINALIZER_PREFIX: &str = "externalsecrets.external-secrets.io/ces-";

/// ExternalSecrets in all namespaces that are selected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterExternalSecret {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// The ExternalSecret to make, and where.
    #[serde(deserialize_with = "null_default")]
    pub spec: ClusterExternalSecretSpec,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ClusterExternalSecretStatus>,
}

resource!(ClusterExternalSecret, Cluster, "external-secrets.io" / "v1", "clusterexternalsecrets");

/// The ExternalSecret to make, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterExternalSecretSpec {
    /// Spec of each ExternalSecret.
    #[serde(deserialize_with = "null_default")]
    pub external_secret_spec: ExternalSecretSpec,
    /// Name of each ExternalSecret; unset is the name of the ClusterExternalSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_secret_name: Option<String>,
    /// Metadata of each ExternalSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_secret_metadata: Option<ChildMetadata>,
    /// Deprecated: one more selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Deprecated: namespaces by name.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub namespaces: Vec<String>,
    /// Namespaces by their labels; one match is enough.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Time between two looks at the namespaces, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
}

/// Labels and annotations of an object that is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ChildMetadata {
    /// Annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A namespace without its object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FailedNamespace {
    /// Name of the namespace.
    pub namespace: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Tells whether all namespaces have their object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterCondition {
    /// `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True` or `False`.
    pub status: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of a ClusterExternalSecret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterExternalSecretStatus {
    /// Name of the ExternalSecrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_secret_name: Option<String>,
    /// Namespaces without an ExternalSecret, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub failed_namespaces: Vec<FailedNamespace>,
    /// Namespaces that have their ExternalSecret, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub provisioned_namespaces: Vec<String>,
    /// The condition Ready.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<ClusterCondition>,
}
