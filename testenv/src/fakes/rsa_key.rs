//! An RSA key that a fake holds, by AWS-LC.
use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};

/// A key.
pub(super) struct RsaKey {
    private: OaepPrivateDecryptingKey,
    public: OaepPublicEncryptingKey,
    /// Modulus, exponent.
    pub(super) numbers: (Vec<u8>, Vec<u8>),
}

impl RsaKey {
    pub(super) fn generate() -> Result<Self> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).context("an RSA key")?;
        let public = key.public_key();
        let der: PublicKeyX509Der<'_> = public.as_der().context("its public key")?;
        let numbers = numbers(der.as_ref()).context("the public key in DER")?;
        Ok(Self {
            public: OaepPublicEncryptingKey::new(public).context("OAEP")?,
            private: OaepPrivateDecryptingKey::new(key).context("OAEP")?,
            numbers,
        })
    }

    /// RSA-OAEP with SHA-256 for both of its hashes.
    pub(super) fn encrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.public.ciphertext_size()];
        let out = self.public.encrypt(&OAEP_SHA256_MGF1SHA256, bytes, &mut out, None).ok()?;
        Some(out.to_vec())
    }

    pub(super) fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.private.min_output_size()];
        let out = self.private.decrypt(&OAEP_SHA256_MGF1SHA256, bytes, &mut out, None).ok()?;
        Some(out.to_vec())
    }
}

/// Reads modulus and exponent of a `SubjectPublicKeyInfo`.
fn numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (info, _) = element(der)?;
    let (_, rest) = element(info)?;
    let (bits, _) = element(rest)?;
    let (key, _) = element(bits.get(1..)?)?;
    let (modulus, rest) = element(key)?;
    let (exponent, _) = element(rest)?;
    let plain = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    Some((plain(modulus), plain(exponent)))
}

/// Splits the content of the first element from what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (length, start) = match first {
        0..=0x7f => (first, 2),
        _ => {
            let count = first & 0x7f;
            let bytes = der.get(2..2 + count)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
        }
    };
    Some((der.get(start..start + length)?, der.get(start + length..)?))
}
