//! The kinds of generators.external-secrets.io: they make values instead of fetching them.
//!
//! Kinds without types for their definitions are preserved as they came, so that none is lost: [`OPAQUE`] lists them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::metadata::Metadata;
use crate::resource::{CustomResource, Reach, resource};
use crate::secret_store::WebhookProvider;
use crate::tolerant::null_default;

mod specs;
pub use specs::*;

/// Group of all generators.
pub const GROUP: &str = "generators.external-secrets.io";
/// Group and version of all generators.
pub const API_VERSION: &str = "generators.external-secrets.io/v1alpha1";
/// Finalizer of a GeneratorState.
pub const GENERATOR_STATE_FINALIZER: &str = "generatorstate.externalsecrets.io/finalizer";
/// Label of a GeneratorState: the key of its owner.
pub const OWNER_KEY_LABEL: &str = "generators.external-secrets.io/owner-key";

/// Kind and plural of the generators whose settings are preserved as they came. Of these ECRAuthorizationToken and
/// STSSessionToken are run.
pub const OPAQUE: [(&str, &str); 10] = [
    ("ACRAccessToken", "acraccesstokens"),
    ("BeyondtrustWorkloadCredentialsDynamicSecret", "beyondtrustworkloadcredentialsdynamicsecrets"),
    ("CloudsmithAccessToken", "cloudsmithaccesstokens"),
    ("ECRAuthorizationToken", "ecrauthorizationtokens"),
    ("GCRAccessToken", "gcraccesstokens"),
    ("GithubAccessToken", "githubaccesstokens"),
    ("GitlabDeployToken", "gitlabdeploytokens"),
    ("Grafana", "grafanas"),
    ("QuayAccessToken", "quayaccesstokens"),
    ("STSSessionToken", "stssessiontokens"),
];

/// Defines a generator: an object that is its spec.
macro_rules! generator {
    ($(#[$doc:meta])* $type:ident ($spec:ty), $kind:literal, $plural:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", default)]
        pub struct $type {
            /// Group and version of this object.
            pub api_version: String,
            /// Kind of this object.
            pub kind: String,
            /// Metadata.
            #[serde(deserialize_with = "null_default")]
            pub metadata: Metadata,
            /// Settings.
            #[serde(deserialize_with = "null_default")]
            pub spec: $spec,
        }

        impl $type {
            /// API group.
            pub const GROUP: &'static str = GROUP;
            /// API version without the group.
            pub const VERSION: &'static str = "v1alpha1";
            /// `group/version`, as in the field `apiVersion`.
            pub const API_VERSION: &'static str = API_VERSION;
            /// Kind, as in the field `kind`.
            pub const KIND: &'static str = $kind;
            /// Plural resource name, as in URLs and RBAC rules.
            pub const PLURAL: &'static str = $plural;
        }

        impl Default for $type {
            fn default() -> Self {
                Self {
                    api_version: Self::API_VERSION.to_owned(),
                    kind: Self::KIND.to_owned(),
                    metadata: Metadata::default(),
                    spec: Default::default(),
                }
            }
        }

        impl CustomResource for $type {
            const GROUP: &'static str = $type::GROUP;
            const VERSION: &'static str = $type::VERSION;
            const API_VERSION: &'static str = $type::API_VERSION;
            const KIND: &'static str = $type::KIND;
            const PLURAL: &'static str = $type::PLURAL;
            const REACH: Reach = Reach::Namespaced;

            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut Metadata {
                &mut self.metadata
            }
        }
    };
}

generator! {
    /// Makes random passwords.
    Password(PasswordSpec), "Password", "passwords"
}
generator! {
    /// Makes random UUIDs of version 4.
    Uuid(UuidSpec), "UUID", "uuids"
}
generator! {
    /// Yields values that stand in the object itself, for tests.
    Fake(FakeSpec), "Fake", "fakes"
}
generator! {
    /// Makes SSH key pairs.
    SshKey(SshKeySpec), "SSHKey", "sshkeys"
}
generator! {
    /// Makes one-time passwords from a shared secret.
    Mfa(MfaSpec), "MFA", "mfas"
}
generator! {
    /// Asks an HTTP endpoint.
    Webhook(WebhookProvider), "Webhook", "webhooks"
}
generator! {
    /// Asks an engine of Vault or OpenBao.
    VaultDynamicSecret(VaultDynamicSecretSpec), "VaultDynamicSecret", "vaultdynamicsecrets"
}

/// A generator of a kind that is preserved as it came.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OpaqueGenerator {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// Settings, as they came.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Object"))]
    pub spec: Value,
}

/// A generator for all namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterGenerator {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// The generator.
    #[serde(deserialize_with = "null_default")]
    pub spec: ClusterGeneratorSpec,
    /// Never written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub status: Option<Value>,
}

resource!(ClusterGenerator, Cluster, "generators.external-secrets.io" / "v1alpha1", "clustergenerators");

/// The generator that a ClusterGenerator is.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterGeneratorSpec {
    /// Kind of the generator.
    pub kind: String,
    /// Its settings, as the only property, whose name says the kind once more.
    #[serde(deserialize_with = "null_default")]
    #[cfg_attr(feature = "schema", schemars(with = "AnyGenerator"))]
    pub generator: Map<String, Value>,
}

impl ClusterGeneratorSpec {
    /// Returns the settings: those under the name that belongs to the kind.
    pub fn settings(&self) -> Option<&Value> {
        let name = settings_name(&self.kind);
        self.generator.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name)).map(|(_, value)| value)
    }
}

/// Returns the name of a kind's settings in a ClusterGenerator, but for its case: `uuidspec` of `UUID`.
fn settings_name(kind: &str) -> String {
    format!("{}spec", kind.to_ascii_lowercase())
}

/// The settings of any generator; those of kinds that we do not run are preserved.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct AnyGenerator {
    /// Settings of a Fake.
    fake_spec: FakeSpec,
    /// Settings of an MFA.
    mfa_spec: MfaSpec,
    /// Settings of a Password.
    password_spec: PasswordSpec,
    /// Settings of an SSHKey.
    ssh_key_spec: SshKeySpec,
    /// Settings of a UUID.
    uuid_spec: UuidSpec,
    /// Settings of a VaultDynamicSecret.
    vault_dynamic_secret_spec: VaultDynamicSecretSpec,
    /// Settings of a Webhook.
    webhook_spec: WebhookProvider,
}

/// What a generator made and has to take back one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratorState {
    /// Group and version of this object.
    pub api_version: String,
    /// Kind of this object.
    pub kind: String,
    /// Metadata.
    #[serde(deserialize_with = "null_default")]
    pub metadata: Metadata,
    /// What was made, and until when it is wanted.
    #[serde(deserialize_with = "null_default")]
    pub spec: GeneratorStateSpec,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<GeneratorStateStatus>,
}

resource!(GeneratorState, Namespaced, "generators.external-secrets.io" / "v1alpha1", "generatorstates");

/// What was made, and until when it is wanted.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratorStateSpec {
    /// When it is taken back; unset while it is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage_collection_deadline: Option<String>,
    /// The generator as it was.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Anything"))]
    pub resource: Value,
    /// What the generator needs to take it back.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Anything"))]
    pub state: Value,
}

/// What came of a GeneratorState.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratorStateStatus {
    /// The condition Ready.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
}

/// Prints the identity only: settings and states may hold values.
macro_rules! debug_without_settings {
    ($($type:ident: $field:ident,)+) => {
        $(impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).field(stringify!($field), &self.$field).finish_non_exhaustive()
            }
        })+
    };
}

debug_without_settings! {
    OpaqueGenerator: metadata,
    ClusterGeneratorSpec: kind,
    GeneratorStateSpec: garbage_collection_deadline,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_generator_finds_its_settings() {
        for (kind, name) in [("UUID", "uuidSpec"), ("SSHKey", "sshKeySpec"), ("Password", "passwordSpec")] {
            let spec: ClusterGeneratorSpec =
                serde_json::from_value(json!({ "kind": kind, "generator": { name: { "a": 1 } } })).unwrap();
            assert_eq!(spec.settings(), Some(&json!({ "a": 1 })), "{kind}");
        }
        let odd = json!({ "kind": "UUID", "generator": { "fakeSpec": {} } });
        assert_eq!(serde_json::from_value::<ClusterGeneratorSpec>(odd).unwrap().settings(), None);
    }

    #[test]
    fn an_opaque_generator_is_preserved() {
        let written = json!({ "apiVersion": API_VERSION, "kind": "Grafana", "metadata": { "name": "g" },
            "spec": { "url": "https://g", "future": [{ "a": null }] } });
        let read: OpaqueGenerator = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
    }

    #[test]
    fn debug_prints_no_settings() {
        let spec: ClusterGeneratorSpec = serde_json::from_value(
            json!({ "kind": "Fake", "generator": { "fakeSpec": { "data": { "a": "hunter2" } } } }),
        )
        .unwrap();
        let fake: FakeSpec = serde_json::from_value(json!({ "data": { "a": "hunter2" } })).unwrap();
        let state: GeneratorStateSpec = serde_json::from_value(json!({ "state": "hunter2" })).unwrap();
        assert!(!format!("{spec:?} {fake:?} {state:?}").contains("hunter2"));
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let written = json!({ "length": 8, "digits": 1, "symbols": 2, "symbolCharacters": "-_", "noUpper": true,
            "allowRepeat": true, "encoding": "hex", "secretKeys": ["a", "b"] });
        let read: PasswordSpec = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
        assert_eq!(serde_json::from_value::<Password>(json!({ "spec": null })).unwrap(), Password::default());
    }
}
