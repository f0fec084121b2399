//! The providers `vault` and `openBao`.
#![allow(rustdoc::bare_urls, reason = "these texts become descriptions in the definitions")]

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CaProvider, SecretSelector, ServiceAccountSelector};
use crate::tolerant::null_default;

/// KV stores of Vault or OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultProvider {
    /// Address of the server, such as https://vault.example.com:8200.
    pub server: String,
    /// How to log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<VaultAuth>,
    /// Mount of the KV store. Without it, keys begin with their mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Version of the KV store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub version: Option<VaultKvVersion>,
    /// Namespace of Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Authorities in PEM, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Authorities in another object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
    /// Client certificate of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<VaultClientTls>,
    /// Whether reads see this store's own writes, where several servers answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_your_writes: Option<bool>,
    /// Whether a server that lags behind passes requests on, in place of refusing them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_inconsistent: Option<bool>,
    /// Further headers of each request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub headers: BTreeMap<String, String>,
    /// Whether pushes name the version that they replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_and_set: Option<VaultCheckAndSet>,
}

words! {
    /// Version of a KV store.
    pub enum VaultKvVersion {
        /// One value per key.
        V1 = "v1",
        /// Versions and metadata.
        V2 = "v2",
    }
}

/// A client certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultClientTls {
    /// The certificate, in PEM; its key in the Secret is `tls.crt` unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretSelector>,
    /// Its private key, in PEM; its key in the Secret is `tls.key` unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretSelector>,
}

/// Whether pushes name the version that they replace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultCheckAndSet {
    /// Whether they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
}

/// How to log in to Vault: the first way that is set, in the order of these fields.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultAuth {
    /// Namespace of Vault in which the login is, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretSelector>,
    /// By AppRole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_role: Option<VaultAppRole>,
    /// As a service account of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<VaultKubernetesAuth>,
    /// As a user of LDAP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ldap: Option<VaultPasswordAuth>,
    /// As a user of Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<VaultPasswordAuth>,
    /// By a JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<VaultJwtAuth>,
    /// By a client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<VaultCertAuth>,
    /// By an identity of AWS; kept, not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Object>"))]
    pub iam: Option<Value>,
    /// By an identity of Google Cloud; kept, not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Object>"))]
    pub gcp: Option<Value>,
}

/// Prints which ways are set.
impl fmt::Debug for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultAuth")
            .field("namespace", &self.namespace)
            .field("token_secret_ref", &self.token_secret_ref)
            .field("app_role", &self.app_role)
            .field("kubernetes", &self.kubernetes)
            .field("ldap", &self.ldap)
            .field("user_pass", &self.user_pass)
            .field("jwt", &self.jwt)
            .field("cert", &self.cert)
            .field("iam", &self.iam.is_some())
            .field("gcp", &self.gcp.is_some())
            .finish()
    }
}

/// By AppRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultAppRole {
    /// Mount of the auth method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Role id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_id: Option<String>,
    /// Role id in a Secret, where `roleId` is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_ref: Option<SecretSelector>,
    /// Secret id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretSelector>,
}

/// As a service account of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultKubernetesAuth {
    /// Mount of the auth method; `path` in a store of OpenBao.
    #[serde(alias = "path", skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// The service account of which a token is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// A token in a Secret; its key there is `token` unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretSelector>,
    /// Role of Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// By name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultPasswordAuth {
    /// Mount of the auth method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretSelector>,
}

/// By a JWT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultJwtAuth {
    /// Mount of the auth method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Role of Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The JWT in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretSelector>,
    /// A token of a service account, made for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_service_account_token: Option<VaultServiceAccountToken>,
}

/// A token of a service account, made for a login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultServiceAccountToken {
    /// The service account.
    pub service_account_ref: ServiceAccountSelector,
    /// Whom the token is for; `vault` unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    /// Its life, in seconds; 600 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

/// By a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultCertAuth {
    /// Mount of the auth method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Name of the certificate role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_role: Option<String>,
    /// The certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<SecretSelector>,
    /// Its private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretSelector>,
}
