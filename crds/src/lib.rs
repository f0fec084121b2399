//! Plain serde types of the custom resources: `SealedSecret`, `ExternalSecret`, `SecretStore`, `ClusterSecretStore`.
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

pub mod condition;
pub mod external_secret;
pub mod metadata;
pub mod resource;
#[cfg(feature = "schema")]
pub mod schema;
pub mod sealed_secret;
pub mod secret_store;
pub mod template;

pub use condition::Condition;
pub use external_secret::{ExternalSecret, ExternalSecretSpec, ExternalSecretStatus};
pub use metadata::{Metadata, OwnerReference};
pub use resource::CustomResource;
pub use sealed_secret::{SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate};
pub use secret_store::{
    ClusterSecretStore, FakeProvider, FakeValue, Provider, SecretStore, SecretStoreSpec, SecretStoreStatus,
};

/// Name and text of each CRD file of this crate.
pub const MANIFESTS: [(&str, &str); 4] = [
    ("bitnami.com_sealedsecrets.yaml", include_str!("../bitnami.com_sealedsecrets.yaml")),
    ("external-secrets.io_externalsecrets.yaml", include_str!("../external-secrets.io_externalsecrets.yaml")),
    ("external-secrets.io_secretstores.yaml", include_str!("../external-secrets.io_secretstores.yaml")),
    (
        "external-secrets.io_clustersecretstores.yaml",
        include_str!("../external-secrets.io_clustersecretstores.yaml"),
    ),
];
