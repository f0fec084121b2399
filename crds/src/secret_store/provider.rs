//! The provider of a store: ours to read, or foreign and kept as it came.

use std::fmt;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{AwsProvider, KubernetesProvider, VaultProvider, WebhookProvider};

/// The kind of place and its settings; written as the only property of `spec.provider`.
///
/// Its `Debug` prints the name of a provider that is not known and none of its settings.
#[derive(Clone, PartialEq)]
pub enum Provider {
    /// Values that stand in the store object itself, for tests.
    Fake(FakeProvider),
    /// Secrets of a namespace, here or in another cluster.
    Kubernetes(KubernetesProvider),
    /// Any HTTP endpoint.
    Webhook(WebhookProvider),
    /// KV stores of Vault.
    Vault(Box<VaultProvider>),
    /// KV stores of OpenBao: the settings are a part of Vault's.
    OpenBao(Box<VaultProvider>),
    /// Secrets Manager or Parameter Store of AWS.
    Aws(Box<AwsProvider>),
    /// A provider that is not known, or settings of a known one that make no sense; survives a round trip unchanged.
    Other {
        /// Name of the property.
        name: String,
        /// Its value.
        config: Value,
    },
}

impl Provider {
    /// Name of [`Provider::Fake`].
    pub const FAKE: &'static str = "fake";
    /// Name of [`Provider::Kubernetes`].
    pub const KUBERNETES: &'static str = "kubernetes";
    /// Name of [`Provider::Webhook`].
    pub const WEBHOOK: &'static str = "webhook";
    /// Name of [`Provider::Vault`].
    pub const VAULT: &'static str = "vault";
    /// Name of [`Provider::OpenBao`].
    pub const OPEN_BAO: &'static str = "openBao";

    /// Name of [`Provider::Aws`].
    pub const AWS: &'static str = "aws";

    /// Returns the name of the property.
    pub fn name(&self) -> &str {
        match self {
            Self::Fake(_) => Self::FAKE,
            Self::Kubernetes(_) => Self::KUBERNETES,
            Self::Webhook(_) => Self::WEBHOOK,
            Self::Vault(_) => Self::VAULT,
            Self::OpenBao(_) => Self::OPEN_BAO,
            Self::Aws(_) => Self::AWS,
            Self::Other { name, .. } => name,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fake(fake) => f.debug_tuple("Fake").field(fake).finish(),
            Self::Kubernetes(settings) => f.debug_tuple("Kubernetes").field(settings).finish(),
            Self::Webhook(settings) => f.debug_tuple("Webhook").field(settings).finish(),
            Self::Vault(settings) => f.debug_tuple("Vault").field(settings).finish(),
            Self::OpenBao(settings) => f.debug_tuple("OpenBao").field(settings).finish(),
            // Fields that are not known can hold anything.
            Self::Aws(_) => f.debug_struct("Aws").finish_non_exhaustive(),
            Self::Other { name, .. } => f.debug_struct("Other").field("name", name).finish_non_exhaustive(),
        }
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Fake(fake) => map.serialize_entry(Self::FAKE, fake)?,
            Self::Kubernetes(settings) => map.serialize_entry(Self::KUBERNETES, settings)?,
            Self::Webhook(settings) => map.serialize_entry(Self::WEBHOOK, settings)?,
            Self::Vault(settings) => map.serialize_entry(Self::VAULT, settings)?,
            Self::OpenBao(settings) => map.serialize_entry(Self::OPEN_BAO, settings)?,
            Self::Aws(settings) => map.serialize_entry(Self::AWS, settings)?,
            Self::Other { name, config } => map.serialize_entry(name, config)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(properties) = Value::deserialize(deserializer)? else {
            return Err(D::Error::custom("spec.provider has to be an object"));
        };
        let mut properties = properties.into_iter();
        let (Some((name, config)), None) = (properties.next(), properties.next()) else {
            return Err(D::Error::custom("spec.provider has to have exactly one property"));
        };
        Ok(known(&name, &config).unwrap_or(Self::Other { name, config }))
    }
}

/// The providers of upstream (2.9.0, and those that earlier v1 definitions had) of which we know the name alone.
///
/// The definitions list them, so that they outlive a write and a misspelt name is refused.
#[cfg_attr(not(feature = "schema"), expect(dead_code, reason = "only the schema lists them"))]
pub(crate) const FOREIGN: &[&str] = &[
    "akeyless",
    "alibaba",
    "aws",
    "azurekv",
    "barbican",
    "beyondtrust",
    "beyondtrustworkloadcredentials",
    "bitwardensecretsmanager",
    "chef",
    "cloudrusm",
    "conjur",
    "crd",
    "delinea",
    "device42",
    "doppler",
    "dvls",
    "fortanix",
    "gcpsm",
    "github",
    "gitlab",
    "ibm",
    "infisical",
    "keepersecurity",
    "nebiusmysterybox",
    "ngrok",
    "onboardbase",
    "onepassword",
    "onepasswordSDK",
    "openBao",
    "oracle",
    "ovh",
    "passbolt",
    "passworddepot",
    "previder",
    "pulumi",
    "scaleway",
    "secretserver",
    "senhasegura",
    "volcengine",
    "yandexcertificatemanager",
    "yandexlockbox",
];

/// The error of a known provider is dropped on purpose: serde's messages quote the value.
fn known(name: &str, config: &Value) -> Option<Provider> {
    match name {
        Provider::FAKE => FakeProvider::deserialize(config).ok().map(Provider::Fake),
        Provider::KUBERNETES => KubernetesProvider::deserialize(config).ok().map(Provider::Kubernetes),
        Provider::WEBHOOK => WebhookProvider::deserialize(config).ok().map(Provider::Webhook),
        Provider::VAULT => VaultProvider::deserialize(config).ok().map(|it| Provider::Vault(Box::new(it))),
        Provider::OPEN_BAO => {
            VaultProvider::deserialize(config).ok().map(|it| Provider::OpenBao(Box::new(it)))
        }
        Provider::AWS => AwsProvider::deserialize(config).ok().map(|it| Provider::Aws(Box::new(it))),
        _ => None,
    }
}

/// Values that stand in the store object itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FakeProvider {
    /// The values.
    #[serde(default)]
    pub data: Vec<FakeData>,
    /// What the check of the store says: 0 ready, 1 unknown, 2 error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<i64>,
}

/// One value of the fake provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FakeData {
    /// Its name.
    pub key: String,
    /// The value.
    pub value: FakeValue,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A value of the fake provider: cannot be printed and is wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FakeValue(String);

impl FakeValue {
    /// Returns the bytes of the value.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the bytes of the value without a copy; wiping them is the caller's from here on.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).into_bytes()
    }
}

impl From<String> for FakeValue {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for FakeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeValue")
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Provider {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Provider".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut properties = serde_json::Map::new();
        for name in FOREIGN {
            let description = "A provider whose settings are kept as they came.";
            let foreign = schemars::json_schema!({
                "description": description,
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
            });
            properties.insert((*name).to_owned(), foreign.to_value());
        }
        for (name, schema) in [
            (Self::FAKE, generator.subschema_for::<FakeProvider>()),
            (Self::KUBERNETES, generator.subschema_for::<KubernetesProvider>()),
            (Self::WEBHOOK, generator.subschema_for::<WebhookProvider>()),
            (Self::VAULT, generator.subschema_for::<VaultProvider>()),
        ] {
            properties.insert(name.to_owned(), schema.to_value());
        }
        schemars::json_schema!({ "type": "object", "properties": properties })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn foreign_providers_survive_unchanged() {
        let written = json!({ "oracle": { "server": "https://v", "auth": { "z": [1, null, { "a": 1.5 }], "a": true } } });
        let provider: Provider = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(provider.name(), "oracle");
        assert_eq!(serde_json::to_string(&provider).unwrap(), written.to_string());
    }

    #[test]
    fn odd_settings_of_fake_survive_and_stay_unprinted() {
        for config in [
            json!({ "data": [{ "key": "k", "value": 4711 }] }),
            json!({ "data": "hunter2" }),
            json!("hunter2"),
            json!(null),
        ] {
            let written = json!({ "fake": config });
            let provider: Provider = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&provider).unwrap(), written);
            assert_eq!(format!("{provider:?}"), r#"Other { name: "fake", .. }"#);
        }
    }

    #[test]
    fn known_providers_survive_a_round_trip() {
        let selector = |name: &str| json!({ "name": name, "namespace": "n", "key": "k" });
        let authorities = json!({ "type": "ConfigMap", "name": "ca", "key": "k", "namespace": "n" });
        for written in [
            json!({ "kubernetes": {
                "server": { "url": "https://k", "caBundle": "eA==", "caProvider": authorities },
                "auth": {
                    "cert": { "clientCert": selector("a"), "clientKey": selector("b") },
                    "token": { "bearerToken": selector("c") },
                    "serviceAccount": { "name": "d", "namespace": "n", "audiences": ["x"] },
                },
                "authRef": selector("e"), "remoteNamespace": "r",
            } }),
            json!({ "aws": {
                "service": "SecretsManager", "region": "eu-west-1", "role": "r", "additionalRoles": ["a"],
                "externalID": "e", "sessionTags": [{ "key": "k", "value": "v" }], "transitiveTagKeys": ["k"],
                "sessionTagsPolicy": "Custom", "customSessionTags": { "a": "b" }, "prefix": "p/",
                "secretsManager": { "forceDeleteWithoutRecovery": false, "recoveryWindowInDays": 7 },
                "auth": {
                    "secretRef": {
                        "accessKeyIDSecretRef": selector("a"), "secretAccessKeySecretRef": selector("b"),
                        "sessionTokenSecretRef": selector("c"),
                    },
                    "jwt": { "serviceAccountRef": { "name": "s", "namespace": "n", "audiences": ["x"] } },
                },
                "other": "hunter2",
            } }),
            json!({ "webhook": {
                "method": "POST", "url": "https://hunter2@w", "headers": { "Authorization": "hunter2" },
                "auth": { "ntlm": { "usernameSecret": selector("u"), "passwordSecret": selector("p") } },
                "body": "hunter2", "timeout": "1s", "result": { "jsonPath": "$" },
                "secrets": [{ "name": "s", "secretRef": selector("s") }],
                "caBundle": "eA==", "caProvider": authorities,
            } }),
            json!({ "vault": {
                "server": "https://v",
                "auth": {
                    "namespace": "n",
                    "tokenSecretRef": selector("t"),
                    "appRole": {
                        "path": "approle", "roleId": "r", "roleRef": selector("r"), "secretRef": selector("s"),
                    },
                    "kubernetes": {
                        "mountPath": "kubernetes", "serviceAccountRef": { "name": "d", "audiences": ["x"] },
                        "secretRef": selector("k"), "role": "r",
                    },
                    "ldap": { "path": "ldap", "username": "u", "secretRef": selector("l") },
                    "userPass": { "path": "userpass", "username": "u", "secretRef": selector("u") },
                    "jwt": {
                        "path": "jwt", "role": "r", "secretRef": selector("j"),
                        "kubernetesServiceAccountToken": {
                            "serviceAccountRef": { "name": "d" }, "audiences": ["vault"], "expirationSeconds": 600,
                        },
                    },
                    "cert": {
                        "path": "cert", "vaultRole": "r", "clientCert": selector("c"), "secretRef": selector("c"),
                    },
                    "iam": { "vaultRole": "hunter2", "secretRef": { "accessKeyIDSecretRef": selector("i") } },
                    "gcp": { "role": "hunter2" },
                },
                "path": "secret", "version": "v1", "namespace": "team", "caBundle": "eA==", "caProvider": authorities,
                "tls": { "certSecretRef": selector("a"), "keySecretRef": selector("b") },
                "readYourWrites": true, "forwardInconsistent": true, "headers": { "X-A": "b" },
                "checkAndSet": { "required": true },
            } }),
        ] {
            let provider: Provider = serde_json::from_value(written.clone()).unwrap();
            assert!(!matches!(provider, Provider::Other { .. }), "{written}");
            assert!(!format!("{provider:?}").contains("hunter2"));
            assert_eq!(serde_json::to_value(&provider).unwrap(), written);
        }
    }

    #[test]
    fn exactly_one_property() {
        for odd in [json!({}), json!({ "a": "hunter2", "b": {} }), json!("hunter2")] {
            let error = serde_json::from_value::<Provider>(odd).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn fake_values_are_not_printed() {
        let written = json!({ "fake": { "data": [{ "key": "k", "value": "hunter2", "version": "v1" }], "validationResult": 2 } });
        let provider: Provider = serde_json::from_value(written.clone()).unwrap();
        let text = format!("{provider:?}");
        assert!(text.contains("FakeValue") && !text.contains("hunter2"), "{text}");
        assert_eq!(serde_json::to_value(&provider).unwrap(), written);
        let Provider::Fake(mut fake) = provider else { panic!("not fake") };
        let value = fake.data.remove(0).value;
        assert_eq!(value.as_bytes(), b"hunter2");
        assert_eq!(value.into_bytes(), b"hunter2");
    }
}
