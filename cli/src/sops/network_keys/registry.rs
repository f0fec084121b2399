//! Who asks for keys of which kind.

use std::sync::Arc;

use sealops_crypto::sops::{KeyKind, KeyPart, MasterKey};
use sealops_providers::{BoxFuture, KeyService, ProviderError, ProviderErrorKind};

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

/// Returns the client of a key service: `tcp://HOST:PORT` or `unix:///PATH`.
pub(super) fn remote(uri: &str) -> Arc<dyn KeyService> {
    Arc::new(NotYet(uri.to_owned()))
}

/// Stands in for key services.
struct NotYet(String);

impl NotYet {
    fn refuse<T>(&self, operation: &'static str) -> Result<T, ProviderError> {
        Err(ProviderError {
            backend: "key service".to_owned(),
            operation,
            target: self.0.clone(),
            kind: ProviderErrorKind::Invalid("not part of this version yet".to_owned()),
        })
    }
}

impl KeyService for NotYet {
    fn wrap<'a>(&'a self, _: &'a MasterKey, _: &'a KeyPart) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async { self.refuse("wrap by") })
    }

    fn unwrap<'a>(&'a self, _: &'a MasterKey, _: &'a str) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        Box::pin(async { self.refuse("unwrap by") })
    }
}
