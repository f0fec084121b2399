//! The keys that a controller or a recovery holds, and the order in which they are tried.

use std::sync::Arc;

use sealops_formats::Plaintext;

use super::cipher::SealedParts;
use super::{Fingerprint, Label, SealingKey};

/// A key with its place in the order.
#[derive(Debug, Clone)]
pub struct RingKey {
    /// The key.
    pub key: Arc<SealingKey>,
    /// Ordering time, in seconds since 1970: the latest is the current key; of equal ones the first given.
    pub order: i64,
}

/// An immutable set of sealing keys, newest first. A new key makes a new ring.
#[derive(Debug, Clone, Default)]
pub struct SealingKeyRing {
    keys: Vec<RingKey>,
}

/// An opened value.
#[derive(Debug)]
pub struct Unsealed {
    /// The value.
    pub value: Plaintext,
    /// The key that opened it.
    pub key: Fingerprint,
    /// RSA private operations that this took.
    pub rsa_operations: usize,
}

/// No key opens the value. Says nothing about which step failed; the text is upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key could decrypt secret")]
pub struct UnsealError {
    /// RSA private operations that were spent.
    pub rsa_operations: usize,
}

impl SealingKeyRing {
    /// Orders the keys; of two with one fingerprint the first given stays.
    pub fn new(keys: impl IntoIterator<Item = RingKey>) -> Self {
        let mut ring: Vec<RingKey> = Vec::new();
        for key in keys {
            if ring.iter().all(|own| own.key.fingerprint() != key.key.fingerprint()) {
                ring.push(key);
            }
        }
        ring.sort_by_key(|key| std::cmp::Reverse(key.order));
        Self { keys: ring }
    }

    /// Returns the current key.
    pub fn newest(&self) -> Option<&Arc<SealingKey>> {
        self.keys.first().map(|key| &key.key)
    }

    /// Returns the key with a fingerprint.
    pub fn by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<&Arc<SealingKey>> {
        self.iter().find(|key| key.fingerprint() == fingerprint)
    }

    /// Returns the keys, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SealingKey>> {
        self.keys.iter().map(|key| &key.key)
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Opens a sealed value: the preferred key first (a hint, never trusted further), then newest to oldest. A key
    /// whose size does not fit costs nothing.
    ///
    /// # Errors
    /// Returns one error for every cause.
    pub fn unseal(
        &self,
        label: &Label,
        sealed: &[u8],
        prefer: Option<&Fingerprint>,
    ) -> Result<Unsealed, UnsealError> {
        let mut rsa_operations = 0;
        let Some(parts) = SealedParts::split(sealed) else { return Err(UnsealError { rsa_operations }) };
        let preferred = prefer.and_then(|fingerprint| self.by_fingerprint(fingerprint));
        let others = self.iter().filter(|key| preferred.is_none_or(|first| !Arc::ptr_eq(first, key)));
        for key in preferred.into_iter().chain(others) {
            if key.block_bytes != parts.block.len() {
                continue;
            }
            rsa_operations += 1;
            if let Some(value) = parts.open(&key.oaep, label) {
                return Ok(Unsealed { value, key: key.fingerprint().clone(), rsa_operations });
            }
        }
        Err(UnsealError { rsa_operations })
    }
}
