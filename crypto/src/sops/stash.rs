//! Nonces of the values that a file had, so that what did not change is written as it was.
//!
//! A nonce is found by a digest of everything that went into the ciphertext: path and bytes. The same key, nonce, path
//! and bytes give the same ciphertext, so using it again tells nobody anything new. Each stored nonce is used once: two
//! equal values of a list keep their two ciphertexts.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest;

use super::data_key::DataKey;
use super::value::NonceBytes;

#[derive(Default)]
pub(super) struct Stash(HashMap<[u8; 32], VecDeque<(&'static str, NonceBytes)>>);

impl Stash {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers the nonce of a value with its type.
    pub(super) fn put(&mut self, digest: [u8; 32], type_name: &'static str, nonce: NonceBytes) {
        self.0.entry(digest).or_default().push_back((type_name, nonce));
    }

    /// Takes the nonce of an equal value, and the type to write.
    ///
    /// A number that an editor showed without its fraction comes back as a whole one: the bytes are the same, so the type
    /// stays what it was (SOPS writes such a value anew).
    pub(super) fn take(
        &mut self,
        digest: &[u8; 32],
        type_name: &'static str,
    ) -> Option<(&'static str, NonceBytes)> {
        let stored = self.0.get_mut(digest)?;
        let at = stored
            .iter()
            .position(|(stored, _)| *stored == type_name)
            .or_else(|| stored.iter().position(|(stored, _)| type_name == "int" && *stored == "float"))?;
        stored.remove(at)
    }
}

/// Digests a value. The data key makes it useless without the file's key.
pub(super) fn digest_of(key: &DataKey, aad: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key.bytes());
    context.update(&u64::try_from(aad.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(aad);
    context.update(bytes);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Returns the name of a type that exists; `bytes` is one of old files.
pub(super) fn type_named(name: &str) -> Option<&'static str> {
    ["str", "int", "float", "bool", "time", "comment", "bytes"].into_iter().find(|known| *known == name)
}
