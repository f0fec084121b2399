//! Places that hold secrets: one module per backend.
//!
//! A provider returns bytes and a version. It never looks into a value (properties, decoding and templates happen once,
//! in the controller), never holds the controller's own client and never sees a whole Secret.

mod fake;
#[cfg(feature = "local-keys")]
pub mod local;

use std::future::Future;
use std::pin::Pin;

use sealops_crds::secret_store::{Provider, SecretStoreSpec};
use sealops_formats::Plaintext;

/// A boxed future, so that the traits here can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which value of a store is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteKey {
    /// Name in the store.
    pub key: String,
    /// Version in the store; `None` is the newest.
    pub version: Option<String>,
}

/// A value as the store holds it.
#[derive(Debug)]
pub struct RemoteSecret {
    /// The bytes.
    pub value: Plaintext,
    /// The store's name for this version, where it has one.
    pub version: Option<String>,
}

/// Reads values.
pub trait SecretsReader: Send + Sync {
    /// Returns one value.
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>>;
}

/// An open connection to a store. What a store cannot do is absent.
pub struct StoreConnection {
    /// Reads.
    pub reader: Option<Box<dyn SecretsReader>>,
}

/// Why a provider did not do what was asked. Carries the remote name and never a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{backend} provider: {operation} {target}: {kind}")]
pub struct ProviderError {
    /// The provider's name in the CRD.
    pub backend: String,
    /// What was tried.
    pub operation: &'static str,
    /// What it was tried on.
    pub target: String,
    /// What went wrong.
    pub kind: ProviderErrorKind,
}

/// Kinds of [`ProviderError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The settings make no sense.
    #[error("{0}")]
    Invalid(String),
    /// This build has no code for the provider.
    #[error("this build of sealops has no such provider")]
    NotBuilt,
    /// The store has no such value.
    #[error("there is no such secret")]
    NotFound,
}

/// Opens a connection by a store's settings.
///
/// # Errors
/// Returns [`ProviderErrorKind::Invalid`] for settings that make no sense and [`ProviderErrorKind::NotBuilt`] for a
/// provider that is not there.
pub fn connect(store: &SecretStoreSpec) -> Result<StoreConnection, ProviderError> {
    match &store.provider {
        Some(Provider::Fake(fake)) => {
            Ok(StoreConnection { reader: Some(Box::new(fake::FakeStore::new(fake.clone()))) })
        }
        Some(Provider::Other { name, .. }) => Err(ProviderError {
            backend: name.clone(),
            operation: "open",
            target: "the store".to_owned(),
            kind: ProviderErrorKind::NotBuilt,
        }),
        None => Err(ProviderError {
            backend: "unknown".to_owned(),
            operation: "open",
            target: "the store".to_owned(),
            kind: ProviderErrorKind::Invalid("spec.provider is missing".to_owned()),
        }),
    }
}
