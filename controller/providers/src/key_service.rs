//! Wrapping and unwrapping of data keys, by whoever holds the master key.

#[cfg(feature = "key-service")]
mod client;
#[cfg(feature = "key-service")]
mod message;
#[cfg(feature = "key-service")]
mod server;

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
}
