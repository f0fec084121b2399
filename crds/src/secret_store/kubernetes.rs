//! The provider `kubernetes`: Secrets of a namespace, here or in another cluster.

use serde::{Deserialize, Serialize};

use super::{CaProvider, SecretSelector, ServiceAccountSelector};

/// Secrets of a namespace, here or in another cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesProvider {
    /// The API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<KubernetesServer>,
    /// How to log in: exactly one way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<KubernetesAuth>,
    /// A kubeconfig in a Secret, in place of `server` and `auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretSelector>,
    /// Namespace of the Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_namespace: Option<String>,
}

/// The API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesServer {
    /// Its address; without `https://` that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Authorities in PEM, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Authorities in another object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

/// How to log in to the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesAuth {
    /// By a client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<KubernetesCertAuth>,
    /// By a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<KubernetesTokenAuth>,
    /// As a service account of this cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountSelector>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesCertAuth {
    /// The certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<SecretSelector>,
    /// Its private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<SecretSelector>,
}

/// A token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesTokenAuth {
    /// The token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretSelector>,
}
