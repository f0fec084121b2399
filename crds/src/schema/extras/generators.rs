//! The kinds of generators.external-secrets.io.

use super::{Extra, KEY, Kind, NAME, NAMESPACE, ONE_PROPERTY, STATUS, STORE_KIND, TIME};
use crate::generators::{
    ClusterGenerator, Fake, GROUP, GeneratorState, Mfa, OPAQUE, OpaqueGenerator, Password, SshKey, Uuid,
    VaultDynamicSecret, Webhook,
};

const GENERATOR: Kind = Kind {
    group: GROUP,
    version: "v1alpha1",
    former_versions: &[],
    short_names: &[],
    categories: &["external-secrets", "external-secrets-generators"],
    columns: &[],
    extras: &[],
    ..STORE_KIND
};

/// Returns the kind at `index` of [`OPAQUE`].
pub(super) const fn opaque(index: usize) -> Kind {
    let (kind, plural) = OPAQUE[index];
    Kind { kind, plural, derived: super::super::derived::<OpaqueGenerator>, ..GENERATOR }
}

pub(super) const PASSWORD: Kind = Kind {
    kind: Password::KIND,
    plural: Password::PLURAL,
    derived: super::super::derived::<Password>,
    extras: &[("spec", PASSWORD_ROWS)],
    ..GENERATOR
};

pub(super) const UUID: Kind =
    Kind { kind: Uuid::KIND, plural: Uuid::PLURAL, derived: super::super::derived::<Uuid>, ..GENERATOR };

pub(super) const FAKE: Kind =
    Kind { kind: Fake::KIND, plural: Fake::PLURAL, derived: super::super::derived::<Fake>, ..GENERATOR };

pub(super) const SSH_KEY: Kind = Kind {
    kind: SshKey::KIND,
    plural: SshKey::PLURAL,
    derived: super::super::derived::<SshKey>,
    extras: &[("spec", SSH_KEY_ROWS)],
    ..GENERATOR
};

pub(super) const MFA: Kind = Kind {
    kind: Mfa::KIND,
    plural: Mfa::PLURAL,
    derived: super::super::derived::<Mfa>,
    extras: &[("spec", MFA_ROWS)],
    ..GENERATOR
};

pub(super) const WEBHOOK: Kind = Kind {
    kind: Webhook::KIND,
    plural: Webhook::PLURAL,
    derived: super::super::derived::<Webhook>,
    extras: &[("spec", super::providers::WEBHOOK), ("spec", WEBHOOK_ROWS)],
    ..GENERATOR
};

pub(super) const VAULT_DYNAMIC_SECRET: Kind = Kind {
    kind: VaultDynamicSecret::KIND,
    plural: VaultDynamicSecret::PLURAL,
    derived: super::super::derived::<VaultDynamicSecret>,
    extras: &[("spec", VAULT_ROWS), ("spec", super::vault::DYNAMIC)],
    ..GENERATOR
};

pub(super) const CLUSTER_GENERATOR: Kind = Kind {
    kind: ClusterGenerator::KIND,
    plural: ClusterGenerator::PLURAL,
    scope: "Cluster",
    derived: super::super::derived::<ClusterGenerator>,
    extras: &[
        ("spec", CLUSTER_GENERATOR_ROWS),
        ("spec.generator.passwordSpec", PASSWORD_ROWS),
        ("spec.generator.sshKeySpec", SSH_KEY_ROWS),
        ("spec.generator.mfaSpec", MFA_ROWS),
        ("spec.generator.webhookSpec", super::providers::WEBHOOK),
        ("spec.generator.webhookSpec", WEBHOOK_ROWS),
        ("spec.generator.vaultDynamicSecretSpec", VAULT_ROWS),
        ("spec.generator.vaultDynamicSecretSpec", super::vault::DYNAMIC),
    ],
    ..GENERATOR
};

pub(super) const GENERATOR_STATE: Kind = Kind {
    kind: GeneratorState::KIND,
    plural: GeneratorState::PLURAL,
    short_names: &["gs"],
    columns: &[
        ("GC Deadline", "string", ".spec.garbageCollectionDeadline"),
        ("Age", "date", ".metadata.creationTimestamp"),
    ],
    derived: super::super::derived::<GeneratorState>,
    extras: &[("spec", GENERATOR_STATE_ROWS), ("", STATUS)],
    status: false,
    ..GENERATOR
};

const CLUSTER_GENERATOR_ROWS: &[Extra] = &[
    ("", &[("required", r#"["generator", "kind"]"#)]),
    (
        "kind",
        &[(
            "enum",
            r#"["ACRAccessToken", "BeyondtrustWorkloadCredentialsDynamicSecret", "CloudsmithAccessToken",
                "ECRAuthorizationToken", "Fake", "GCRAccessToken", "GithubAccessToken", "GitlabDeployToken", "Grafana",
                "MFA", "Password", "QuayAccessToken", "SSHKey", "STSSessionToken", "UUID", "VaultDynamicSecret",
                "Webhook"]"#,
        )],
    ),
    ("generator", ONE_PROPERTY),
    ("generator", &[("x-kubernetes-preserve-unknown-fields", "true")]),
];

const PASSWORD_ROWS: &[Extra] = &[
    ("", &[("required", r#"["allowRepeat", "length", "noUpper"]"#)]),
    ("length", &[("default", "24")]),
    ("noUpper", &[("default", "false")]),
    ("allowRepeat", &[("default", "false")]),
    ("encoding", &[("default", r#""raw""#)]),
];

const SSH_KEY_ROWS: &[Extra] =
    &[("keyType", &[("default", r#""rsa""#)]), ("keySize", &[("minimum", "256"), ("maximum", "8192")])];

const MFA_ROWS: &[Extra] = &[
    ("", &[("required", r#"["secret"]"#)]),
    ("secret.name", NAME),
    ("secret.namespace", NAMESPACE),
    ("secret.key", KEY),
    ("when", TIME),
];

const WEBHOOK_ROWS: &[Extra] = &[("", &[("required", r#"["result", "url"]"#)])];

const VAULT_ROWS: &[Extra] = &[
    ("", &[("required", r#"["path", "provider"]"#)]),
    ("resultType", &[("default", r#""Data""#)]),
    ("allowEmptyResponse", &[("default", "false")]),
];

const GENERATOR_STATE_ROWS: &[Extra] =
    &[("", &[("required", r#"["resource", "state"]"#)]), ("garbageCollectionDeadline", TIME)];
