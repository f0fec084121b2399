//! Names of RSA public keys.

use std::fmt;

use aws_lc_rs::digest;
use sealops_formats::base64;

/// OpenSSH's SHA-256 fingerprint of an RSA public key (RFC 4253 section 6.6): `SHA256:` and unpadded base64.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Computes the fingerprint from the big-endian numbers of the key.
    pub(super) fn of(modulus: &[u8], exponent: &[u8]) -> Self {
        let mut wire = Vec::with_capacity(modulus.len() + 32);
        for field in [b"ssh-rsa".to_vec(), mpint(exponent), mpint(modulus)] {
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            wire.extend_from_slice(&length.to_be_bytes());
            wire.extend_from_slice(&field);
        }
        let hash = digest::digest(&digest::SHA256, &wire);
        Self(format!("SHA256:{}", base64::encode_public(hash.as_ref()).trim_end_matches('=')))
    }

    /// Takes a fingerprint that was written down earlier. It names a key only if one has it.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the bytes of an unsigned number without leading zeros, with one in front where the high bit is set.
fn mpint(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    let digits = &number[start..];
    let mut out = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_some_and(|&byte| byte >= 0x80) {
        out.push(0);
    }
    out.extend_from_slice(digits);
    out
}
