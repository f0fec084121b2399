//! Who asks for keys of which kind.

use std::sync::Arc;

use sealops_crypto::sops::{KeyKind, KeyPart, MasterKey};
use sealops_providers::key_service::{KeyServiceLimits, RemoteKeyService};
use sealops_providers::{BoxFuture, KeyService, ProviderError};

/// Returns who asks for keys of a kind. It is called once for each kind, when the first network key is wanted; a login
/// is the service's own, at its first key.
pub(super) fn service(kind: KeyKind) -> Option<Arc<dyn KeyService>> {
    match kind {
        KeyKind::Age
        | KeyKind::Pgp
        | KeyKind::Kms
        | KeyKind::HcVault
        | KeyKind::GcpKms
        | KeyKind::AzureKeyVault
        | KeyKind::HuaweiKms => None,
    }
}

/// Returns the client of a key service: `tcp://HOST:PORT` or `unix:///PATH`. It is called where the runtime is entered.
pub(super) fn remote(uri: &str) -> Arc<dyn KeyService> {
    match RemoteKeyService::new(uri, KeyServiceLimits::default()) {
        Ok(service) => Arc::new(service),
        Err(error) => Arc::new(Refusing(error)),
    }
}

/// Stands in for a key service whose address is none.
struct Refusing(ProviderError);

impl KeyService for Refusing {
    fn wrap<'a>(&'a self, _: &'a MasterKey, _: &'a KeyPart) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn unwrap<'a>(&'a self, _: &'a MasterKey, _: &'a str) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        Box::pin(async { Err(self.0.clone()) })
    }
}
