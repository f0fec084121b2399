//! What the settings of a store refer to.

use serde::{Deserialize, Serialize};

use crate::tolerant::null_default;

/// Names a key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SecretSelector {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace. A SecretStore reads its own namespace, whatever stands here; a ClusterSecretStore without one
    /// reads the namespace of its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Key in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Names a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccountSelector {
    /// Name of the service account.
    pub name: String,
    /// Its namespace. A SecretStore uses its own namespace, whatever stands here; a ClusterSecretStore without one uses
    /// the namespace of its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whom its tokens are for.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub audiences: Vec<String>,
}

/// Where the certificates of authorities are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CaProvider {
    /// Kind of object that holds them.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub type_: Option<CaProviderType>,
    /// Name of the object.
    pub name: String,
    /// Key in the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its namespace: required in a ClusterSecretStore, its own or none in a SecretStore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

words! {
    /// Kind of object that holds the certificates of authorities.
    pub enum CaProviderType {
        /// A Secret.
        Secret = "Secret",
        /// A ConfigMap.
        ConfigMap = "ConfigMap",
    }
}
