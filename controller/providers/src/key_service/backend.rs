//! What the backends that are asked directly have in common.

use sealops_crypto::sops::{KeyPart, MasterKey};

use super::KeyService;
use crate::{BoxFuture, ProviderError, ProviderErrorKind};

/// A backend that is asked directly. Each is a [`KeyService`], whose errors name backend, operation and key.
pub trait KeyBackend: Send + Sync {
    /// The backend's name in errors.
    const NAME: &'static str;

    /// Names a key in errors.
    fn target(key: &MasterKey) -> String {
        key.to_string()
    }

    /// As [`KeyService::wrap`].
    fn wrap_part(
        &self,
        key: &MasterKey,
        part: &KeyPart,
    ) -> impl Future<Output = Result<String, ProviderErrorKind>> + Send;

    /// As [`KeyService::unwrap`].
    fn unwrap_part(
        &self,
        key: &MasterKey,
        wrapped: &str,
    ) -> impl Future<Output = Result<KeyPart, ProviderErrorKind>> + Send;

    /// As [`KeyService::complete`].
    fn completed(
        &self,
        _: &MasterKey,
    ) -> impl Future<Output = Result<Option<MasterKey>, ProviderErrorKind>> + Send {
        async { Ok(None) }
    }

    /// As [`KeyService::close`].
    fn give_back(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

impl<T: KeyBackend> KeyService for T {
    fn wrap<'a>(
        &'a self,
        key: &'a MasterKey,
        part: &'a KeyPart,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        named::<T, _>("encrypt with", key, self.wrap_part(key, part))
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a MasterKey,
        wrapped: &'a str,
    ) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        named::<T, _>("decrypt with", key, self.unwrap_part(key, wrapped))
    }

    fn complete<'a>(&'a self, key: &'a MasterKey) -> BoxFuture<'a, Result<Option<MasterKey>, ProviderError>> {
        named::<T, _>("find the newest version of", key, self.completed(key))
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(self.give_back())
    }
}

fn named<'a, B: KeyBackend, T>(
    operation: &'static str,
    key: &'a MasterKey,
    work: impl Future<Output = Result<T, ProviderErrorKind>> + Send + 'a,
) -> BoxFuture<'a, Result<T, ProviderError>> {
    Box::pin(async move {
        work.await.map_err(|kind| ProviderError {
            backend: B::NAME.to_owned(),
            operation,
            target: B::target(key),
            kind,
        })
    })
}
