//! The provider `webhook`: any HTTP endpoint.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CaProvider, SecretSelector};
use crate::tolerant::null_default;

/// Any HTTP endpoint. Address, headers, body and the path into the answer are templates.
///
/// Its `Debug` prints nothing of it: people write credentials into all of these.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookProvider {
    /// HTTP method; unset is GET, and POST where a value is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Address; a template.
    pub url: String,
    /// Headers; their values are templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub headers: BTreeMap<String, String>,
    /// How to log in, beside the headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<WebhookAuth>,
    /// Body; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Longest time for a request, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// What is taken from the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<WebhookResult>,
    /// Secrets that the templates see by these names. They need the label `external-secrets.io/type: webhook`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub secrets: Vec<WebhookSecret>,
    /// Authorities in PEM, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Authorities in another object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

impl fmt::Debug for WebhookProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookProvider").finish_non_exhaustive()
    }
}

/// How to log in to an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookAuth {
    /// By NTLM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ntlm: Option<NtlmAuth>,
}

/// A user and a password for NTLM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NtlmAuth {
    /// The user.
    pub username_secret: SecretSelector,
    /// The password.
    pub password_secret: SecretSelector,
}

/// What is taken from an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookResult {
    /// JSONPath of it; empty is all, as it came. A template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_path: Option<String>,
}

/// A Secret that the templates see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookSecret {
    /// Its name in the templates.
    pub name: String,
    /// The Secret; all its entries are seen.
    pub secret_ref: SecretSelector,
}
