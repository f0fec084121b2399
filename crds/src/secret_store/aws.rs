//! The provider `aws`: Secrets Manager and Parameter Store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{SecretSelector, ServiceAccountSelector};
use crate::tolerant::null_default;

/// A service of AWS in one region, and how to log in to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsProvider {
    /// `SecretsManager` or `ParameterStore`.
    pub service: String,
    /// Region.
    pub region: String,
    /// First credentials; none are those of the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// ARN of the role that is taken in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// ARNs of roles that are taken before it, one with the other.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub additional_roles: Vec<String>,
    /// What the owner of `role` asks for.
    #[serde(rename = "externalID", skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Tags of the session of `role`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub session_tags: Vec<AwsTag>,
    /// Names of the tags that further sessions inherit.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub transitive_tag_keys: Vec<String>,
    /// Tags that tell who asks: `None` (also unset), `Simple`, `Custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_tags_policy: Option<String>,
    /// Tags that `Custom` adds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub custom_session_tags: BTreeMap<String, String>,
    /// What becomes of deleted secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<AwsDeletion>,
    /// Stands before every name that is read or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Fields that are not known, kept.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// First credentials: one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsAuth {
    /// Keys in Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AwsSecretRef>,
    /// A token of a service account, whose annotation names the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<AwsJwt>,
}

/// Keys in Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsSecretRef {
    /// Access key.
    #[serde(rename = "accessKeyIDSecretRef")]
    pub access_key_id: SecretSelector,
    /// Secret key.
    #[serde(rename = "secretAccessKeySecretRef")]
    pub secret_access_key: SecretSelector,
    /// Session token of temporary keys.
    #[serde(rename = "sessionTokenSecretRef", skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretSelector>,
}

/// A token of a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsJwt {
    /// The service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsTag {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

/// What becomes of deleted secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsDeletion {
    /// Whether they are gone at once.
    pub force_delete_without_recovery: bool,
    /// Days for which they can be restored, 7 to 30; 0 is AWS's own 30.
    pub recovery_window_in_days: i64,
}
