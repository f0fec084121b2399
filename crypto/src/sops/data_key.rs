//! The key of one file, and the parts of it that master keys wrap.

use sealops_formats::Plaintext;
use zeroize::Zeroizing;

use crate::random::{NoRandomness, Random};

/// Length of a data key, in bytes (AES-256).
pub const DATA_KEY_BYTES: usize = 32;

/// Encrypts the values of one file: 32 random bytes.
pub struct DataKey(Zeroizing<[u8; DATA_KEY_BYTES]>);

/// What a master key decrypted is no data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data key has {0} bytes, not {DATA_KEY_BYTES}")]
pub struct WrongKeyLength(pub usize);

impl DataKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// Returns [`NoRandomness`] when the source fails.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandomness> {
        let mut key = Zeroizing::new([0; DATA_KEY_BYTES]);
        random.fill(key.as_mut())?;
        Ok(Self(key))
    }

    /// Takes a key that a master key decrypted.
    ///
    /// # Errors
    /// Returns [`WrongKeyLength`] unless there are 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WrongKeyLength> {
        let key: &[u8; DATA_KEY_BYTES] = bytes.try_into().map_err(|_| WrongKeyLength(bytes.len()))?;
        Ok(Self(Zeroizing::new(*key)))
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    pub(super) fn bytes(&self) -> &[u8; DATA_KEY_BYTES] {
        &self.0
    }
}

/// Prints the type's name only.
impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

/// What one key group wraps: the data key itself (32 bytes), or a Shamir share of it (33 bytes).
#[derive(Debug)]
pub struct KeyPart(Plaintext);

impl KeyPart {
    /// Takes what a master key decrypted.
    pub fn new(bytes: Plaintext) -> Self {
        Self(bytes)
    }

    /// Returns the bytes that a master key encrypts.
    pub fn plaintext(&self) -> &Plaintext {
        &self.0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose()
    }
}
