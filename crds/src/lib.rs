//! Plain serde types of the custom resources: `SealedSecret`, and those of external-secrets.io and its generators.
//!
//! No behaviour: nothing here can decrypt or fetch, and neither `kube` nor `k8s-openapi` is a dependency.
//! The types are tolerant readers. One odd field of one object must become a condition on that object and must not
//! hide the others, so words we do not know become `Other(…)`, null means absent, and a provider we do not know is
//! kept as it came.
//!
//! The first paragraph of a field's documentation becomes its description in the CRDs. `crds/*.yaml` are generated:
//! `cargo run -p sealops-crds --features schema --bin crdgen`.

#[macro_use]
mod tolerant;

pub mod cluster_external_secret;
pub mod cluster_push_secret;
pub mod condition;
pub mod external_secret;
pub mod generators;
pub mod metadata;
pub mod push_secret;
pub mod resource;
#[cfg(feature = "schema")]
pub mod schema;
pub mod sealed_secret;
pub mod secret_store;
pub mod template;

pub use cluster_external_secret::{
    ClusterExternalSecret, ClusterExternalSecretSpec, ClusterExternalSecretStatus,
};
pub use cluster_push_secret::{ClusterPushSecret, ClusterPushSecretSpec, ClusterPushSecretStatus};
pub use condition::Condition;
pub use external_secret::{ExternalSecret, ExternalSecretSpec, ExternalSecretStatus};
pub use metadata::{Metadata, OwnerReference};
pub use push_secret::{PushSecret, PushSecretSpec, PushSecretStatus};
pub use resource::CustomResource;
pub use sealed_secret::{SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate};
pub use secret_store::{
    ClusterSecretStore, FakeProvider, FakeValue, Provider, SecretStore, SecretStoreSpec, SecretStoreStatus,
};

/// Makes the list of files of name and text.
macro_rules! manifests {
    ($($name:literal,)+) => {
        [$(($name, include_str!(concat!("../", $name))),)+]
    };
}

/// Name and text of each CRD file of this crate.
pub const MANIFESTS: [(&str, &str); 26] = manifests![
    "bitnami.com_sealedsecrets.yaml",
    "external-secrets.io_externalsecrets.yaml",
    "external-secrets.io_secretstores.yaml",
    "external-secrets.io_clustersecretstores.yaml",
    "external-secrets.io_clusterexternalsecrets.yaml",
    "external-secrets.io_pushsecrets.yaml",
    "external-secrets.io_clusterpushsecrets.yaml",
    "generators.external-secrets.io_passwords.yaml",
    "generators.external-secrets.io_uuids.yaml",
    "generators.external-secrets.io_fakes.yaml",
    "generators.external-secrets.io_sshkeys.yaml",
    "generators.external-secrets.io_mfas.yaml",
    "generators.external-secrets.io_webhooks.yaml",
    "generators.external-secrets.io_vaultdynamicsecrets.yaml",
    "generators.external-secrets.io_clustergenerators.yaml",
    "generators.external-secrets.io_generatorstates.yaml",
    "generators.external-secrets.io_acraccesstokens.yaml",
    "generators.external-secrets.io_beyondtrustworkloadcredentialsdynamicsecrets.yaml",
    "generators.external-secrets.io_cloudsmithaccesstokens.yaml",
    "generators.external-secrets.io_ecrauthorizationtokens.yaml",
    "generators.external-secrets.io_gcraccesstokens.yaml",
    "generators.external-secrets.io_githubaccesstokens.yaml",
    "generators.external-secrets.io_gitlabdeploytokens.yaml",
    "generators.external-secrets.io_grafanas.yaml",
    "generators.external-secrets.io_quayaccesstokens.yaml",
    "generators.external-secrets.io_stssessiontokens.yaml",
];
