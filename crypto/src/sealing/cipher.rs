//! One sealed value.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey};
use sealops_formats::Plaintext;
use zeroize::{Zeroize, Zeroizing};

use super::{Certificate, Label};

/// Largest sealed value that is opened, in bytes (a Secret holds 1 MiB at most).
pub const MAX_SEALED_BYTES: usize = 4 << 20;

const SESSION_KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Why a value cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// AWS-LC refused to encrypt (no randomness, broken key).
    #[error("the RSA encryption failed")]
    Encryption,
    /// The value is larger than a sealed value may be.
    #[error("the value is larger than {} MiB", MAX_SEALED_BYTES >> 20)]
    TooLarge,
}

/// Seals a value under a fresh session key; returns `2 + k + n + 16` bytes for a `k`-byte RSA key and `n` bytes.
///
/// # Errors
/// Returns [`SealError::TooLarge`] above [`MAX_SEALED_BYTES`], and [`SealError::Encryption`] when AWS-LC fails.
pub fn seal(certificate: &Certificate, label: &Label, value: &Plaintext) -> Result<Vec<u8>, SealError> {
    let oaep = &certificate.public.oaep;
    let block_bytes = oaep.ciphertext_size();
    if value.len() + block_bytes + 2 + TAG_BYTES > MAX_SEALED_BYTES {
        return Err(SealError::TooLarge);
    }
    let mut session_key = Zeroizing::new([0; SESSION_KEY_BYTES]);
    rand::fill(session_key.as_mut()).map_err(|_| SealError::Encryption)?;

    let start = 2 + block_bytes;
    let mut sealed = vec![0; start];
    sealed[..2]
        .copy_from_slice(&u16::try_from(block_bytes).map_err(|_| SealError::Encryption)?.to_be_bytes());
    oaep.encrypt(&OAEP_SHA256_MGF1SHA256, session_key.as_ref(), &mut sealed[2..], Some(label.as_bytes()))
        .map_err(|_| SealError::Encryption)?;

    sealed.reserve_exact(value.len() + TAG_BYTES);
    sealed.extend_from_slice(value.expose());
    let tag = cipher(&AES_256_GCM, session_key.as_ref()).and_then(|cipher| {
        cipher.seal_in_place_separate_tag(zero_nonce(), Aad::empty(), &mut sealed[start..])
    });
    match tag {
        Ok(tag) => {
            sealed.extend_from_slice(tag.as_ref());
            Ok(sealed)
        }
        Err(Unspecified) => {
            sealed.zeroize();
            Err(SealError::Encryption)
        }
    }
}

fn cipher(algorithm: &'static Algorithm, session_key: &[u8]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(algorithm, session_key).map(LessSafeKey::new)
}

/// Each session key encrypts one value.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// A sealed value cut into its parts. Only lengths are judged here.
pub(super) struct SealedParts<'a> {
    pub(super) block: &'a [u8],
    body: &'a [u8],
}

impl<'a> SealedParts<'a> {
    /// Cuts the bytes; `None` when they are too short or too long.
    pub(super) fn split(sealed: &'a [u8]) -> Option<Self> {
        if sealed.len() > MAX_SEALED_BYTES {
            return None;
        }
        let (length, rest) = sealed.split_first_chunk::<2>()?;
        let (block, body) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        (body.len() >= TAG_BYTES).then_some(Self { block, body })
    }

    /// Opens with one private key. All failures are one: neither the caller nor a clock learns which step failed
    /// more than what RSA-OAEP in AWS-LC and the AES-GCM tag check (both constant time) tell.
    pub(super) fn open(&self, key: &OaepPrivateDecryptingKey, label: &Label) -> Option<Plaintext> {
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let session_key =
            key.decrypt(&OAEP_SHA256_MGF1SHA256, self.block, &mut buffer, Some(label.as_bytes())).ok()?;
        let algorithm = match session_key.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        let (ciphertext, tag) = self.body.split_last_chunk::<TAG_BYTES>()?;
        let mut value = Zeroizing::new(vec![0; ciphertext.len()]);
        cipher(algorithm, session_key)
            .and_then(|cipher| {
                cipher.open_separate_gather(zero_nonce(), Aad::empty(), ciphertext, tag, &mut value)
            })
            .ok()?;
        Some(Plaintext::from(std::mem::take(&mut *value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// specs: key 00…1f, zero nonce, `bar`.
    #[test]
    fn gcm_matches_the_published_value() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let mut data = *b"bar";
        let tag = cipher(&AES_256_GCM, &key)
            .and_then(|cipher| cipher.seal_in_place_separate_tag(zero_nonce(), Aad::empty(), &mut data))
            .unwrap();
        let hex: String = data.iter().chain(tag.as_ref()).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "6cddc7b232f732dccdef9837bfe6a3dd78a06f");
    }
}
