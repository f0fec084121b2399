//! Wrapping and unwrapping of data keys, by whoever holds the master key.

use sealops_crypto::sops::{KeyPart, MasterKey};

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
