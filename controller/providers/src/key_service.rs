//! Wrapping and unwrapping of data keys, by whoever holds the master key.

#[cfg(feature = "http")]
mod backend;
#[cfg(feature = "key-service")]
mod client;
#[cfg(feature = "key-service")]
mod message;
#[cfg(feature = "key-service")]
mod server;
#[cfg(all(test, feature = "key-service"))]
mod tests;

#[cfg(feature = "http")]
pub use backend::KeyBackend;
#[cfg(feature = "key-service")]
pub use client::{KeyServiceLimits, RemoteKeyService};
#[cfg(feature = "key-service")]
pub use message::MAX_MESSAGE_BYTES;
use sealops_crypto::sops::{KeyPart, MasterKey};
#[cfg(feature = "key-service")]
pub use server::{CALL_TIMEOUT, Consent, GRACE, Listener, MAX_CALLS, MAX_CONNECTIONS, MAX_STREAMS, serve};

use crate::{BoxFuture, ProviderError};

/// Wraps and unwraps parts of data keys.
pub trait KeyService: Send + Sync {
    /// Encrypts a part; returns the text that stands in the file as `enc`.
    fn wrap<'a>(
        &'a self,
        key: &'a MasterKey,
        part: &'a KeyPart,
    ) -> BoxFuture<'a, Result<String, ProviderError>>;

    /// Decrypts a part.
    fn unwrap<'a>(
        &'a self,
        key: &'a MasterKey,
        wrapped: &'a str,
    ) -> BoxFuture<'a, Result<KeyPart, ProviderError>>;

    /// Returns the key with what it lacks, the newest version for example; `None` where it lacks nothing.
    fn complete<'a>(&'a self, _: &'a MasterKey) -> BoxFuture<'a, Result<Option<MasterKey>, ProviderError>> {
        Box::pin(async { Ok(None) })
    }

    /// Gives back what logins were given, as far as that works.
    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
