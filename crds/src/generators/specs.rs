//! The settings of the generators that we run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret_store::{AwsAuth, RetrySettings, SecretSelector, VaultProvider};
use crate::tolerant::null_default;

/// How a password is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordSpec {
    /// Number of characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<i64>,
    /// How many of them are digits; unset is a quarter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digits: Option<i64>,
    /// How many of them are symbols; unset is a quarter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbols: Option<i64>,
    /// The symbols to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol_characters: Option<String>,
    /// Whether there are no upper-case letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_upper: Option<bool>,
    /// Whether a character may occur twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_repeat: Option<bool>,
    /// How the password is encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<PasswordEncoding>,
    /// Keys that get a password each; unset is `password`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub secret_keys: Vec<String>,
}

words! {
    /// How a password is encoded.
    pub enum PasswordEncoding {
        /// Standard base64.
        Base64 = "base64",
        /// URL-safe base64.
        Base64Url = "base64url",
        /// Base32.
        Base32 = "base32",
        /// Hexadecimal, in lower case.
        Hex = "hex",
        /// Not at all.
        Raw = "raw",
    }
}

/// A UUID has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct UuidSpec {}

/// Values that stand in the object itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FakeSpec {
    /// Class of the controller that runs this generator; empty is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The values by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub data: BTreeMap<String, String>,
}

impl fmt::Debug for FakeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSpec")
            .field("controller", &self.controller)
            .field("keys", &self.data.keys())
            .finish_non_exhaustive()
    }
}

/// How an SSH key pair is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SshKeySpec {
    /// Kind of key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<SshKeyType>,
    /// Bits of an RSA key, 2048 unless set, or of the curve of an ECDSA key; without effect on Ed25519.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_size: Option<i64>,
    /// Comment of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

words! {
    /// Kind of an SSH key.
    pub enum SshKeyType {
        /// RSA.
        Rsa = "rsa",
        /// ECDSA on a curve of NIST.
        Ecdsa = "ecdsa",
        /// Ed25519.
        Ed25519 = "ed25519",
    }
}

/// How a one-time password is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct MfaSpec {
    /// The shared secret, in base32.
    #[serde(deserialize_with = "null_default")]
    pub secret: SecretSelector,
    /// Number of digits; unset is 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<i64>,
    /// Seconds that a password holds; unset is 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_period: Option<i64>,
    /// Has no effect: it is always sha1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The time to make it for; unset is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// How an engine of Vault or OpenBao is asked.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VaultDynamicSecretSpec {
    /// Class of the controller that runs this generator; empty is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// How to reach the server: as the settings of a Vault store.
    #[serde(deserialize_with = "null_default")]
    pub provider: VaultProvider,
    /// Path of the engine's endpoint.
    pub path: String,
    /// HTTP method; unset is GET. LIST and DELETE are such; any other word writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Body of a write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Anything"))]
    pub parameters: Option<Value>,
    /// Query of a GET, LIST or DELETE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_parameters: Option<BTreeMap<String, Vec<String>>>,
    /// Which part of the answer is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_type: Option<VaultResultType>,
    /// Whether an empty answer is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_empty_response: Option<bool>,
    /// How failing calls are repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
}

impl fmt::Debug for VaultDynamicSecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultDynamicSecretSpec").field("path", &self.path).finish_non_exhaustive()
    }
}

words! {
    /// Which part of an answer of Vault is taken.
    pub enum VaultResultType {
        /// `data`.
        Data = "Data",
        /// `auth`.
        Auth = "Auth",
        /// All of it.
        Raw = "Raw",
    }
}

/// How a login to a registry of AWS is asked for. The definition keeps the object as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EcrAuthorizationTokenSpec {
    /// Region.
    pub region: String,
    /// First credentials; none are those of the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// ARN of the role that is taken with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `private` (also unset), or `public` for the public registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// How a session of AWS is asked for. The definition keeps the object as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StsSessionTokenSpec {
    /// Region.
    pub region: String,
    /// First credentials; none are those of the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// ARN of the role that is taken with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_parameters: Option<StsRequestParameters>,
}

/// What is asked of STS for a session.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StsRequestParameters {
    /// Life of the session, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<i32>,
    /// Serial number or ARN of a second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Code that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_code: Option<String>,
}

impl fmt::Debug for StsRequestParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StsRequestParameters")
            .field("serial_number", &self.serial_number)
            .finish_non_exhaustive()
    }
}
