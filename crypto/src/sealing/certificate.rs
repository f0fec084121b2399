//! Certificates: what a developer seals with.

use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use sealops_formats::{Plaintext, base64};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::Fingerprint;

/// Largest certificate text that is read, in bytes.
pub const MAX_PEM_BYTES: usize = 1 << 20;

/// A sealing certificate: an RSA public key with a period of validity.
///
/// Issuer, key usage and signature are not judged: the certificate is a container for the key, as upstream uses it.
pub struct Certificate {
    pub(super) public: PublicKeyParts,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    pem: String,
}

/// The usable public key.
pub(super) struct PublicKeyParts {
    pub(super) oaep: OaepPublicEncryptingKey,
    pub(super) fingerprint: Fingerprint,
}

/// Why a text gives no sealing certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate's time is over. The text is kubeseal's.
    #[error("failed to encrypt using an expired certificate on {0}")]
    Expired(String),
    /// The certificate's structure is broken.
    #[error("the certificate is not a valid X.509 structure")]
    Malformed,
    /// There is no certificate in the text. The words are upstream's.
    #[error("data does not contain any valid RSA or ECDSA certificates")]
    Missing,
    /// The public key is of another kind.
    #[error("expected RSA public key but found {0}")]
    NotRsa(&'static str),
    /// The text is larger than [`MAX_PEM_BYTES`].
    #[error("the certificate text is larger than {} KiB", MAX_PEM_BYTES >> 10)]
    TooLarge,
    /// The RSA key has a size that is not accepted (2048 to 8192 bits are).
    #[error("the RSA key of the certificate has an unsupported size (2048 to 8192 bits are accepted)")]
    UnsupportedKeySize,
}

impl Certificate {
    /// Reads the first certificate of a PEM text; other blocks, and blocks with headers, are passed over.
    ///
    /// # Errors
    /// Returns why there is no usable RSA certificate.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        if text.len() > MAX_PEM_BYTES {
            return Err(CertificateError::TooLarge);
        }
        let blocks = pem::parse_many(text).map_err(|_| CertificateError::Missing)?;
        let block = blocks
            .into_iter()
            .find(|block| block.tag() == "CERTIFICATE" && block.headers().iter().next().is_none())
            .ok_or(CertificateError::Missing)?;
        let (_, parsed) =
            X509Certificate::from_der(block.contents()).map_err(|_| CertificateError::Malformed)?;
        let validity = parsed.validity();
        Ok(Self {
            public: PublicKeyParts::from_spki(parsed.public_key())?,
            not_before: validity.not_before.to_datetime(),
            not_after: validity.not_after.to_datetime(),
            pem: encode_certificate(block.contents()),
        })
    }

    /// Refuses a certificate whose time is over at `now` (seconds since 1970). One that is not yet valid is accepted,
    /// as upstream does.
    ///
    /// # Errors
    /// Returns kubeseal's text with the day on which it expired.
    pub fn check_not_expired(&self, now: i64) -> Result<(), CertificateError> {
        if now <= self.not_after.unix_timestamp() {
            return Ok(());
        }
        let day = self.not_after;
        Err(CertificateError::Expired(format!("{} {}, {}", day.month(), day.day(), day.year())))
    }

    /// Returns the name of the public key.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.public.fingerprint
    }

    /// Returns the start of validity, in seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.not_before.unix_timestamp()
    }

    /// Returns the end of validity, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after.unix_timestamp()
    }

    /// Returns the certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl PublicKeyParts {
    pub(super) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, CertificateError> {
        let parsed = spki.parsed().map_err(|_| CertificateError::Malformed)?;
        let rsa = match parsed {
            PublicKey::RSA(rsa) => rsa,
            PublicKey::EC(_) => return Err(CertificateError::NotRsa("an elliptic curve key")),
            _ => return Err(CertificateError::NotRsa("a key of another kind")),
        };
        let oaep = PublicEncryptingKey::from_der(spki.raw)
            .map_err(|_| CertificateError::UnsupportedKeySize)
            .and_then(|key| {
                OaepPublicEncryptingKey::new(key).map_err(|_| CertificateError::UnsupportedKeySize)
            })?;
        Ok(Self { oaep, fingerprint: Fingerprint::of(rsa.modulus, rsa.exponent) })
    }
}

/// Writes PEM (RFC 7468) into wiped memory: 64 characters a line and `\n`, as Go's encoder does.
pub(crate) fn encode_pem(tag: &str, der: &[u8]) -> Plaintext {
    let text = base64::encode(der);
    let mut out = Plaintext::with_capacity(text.len() + text.len() / 64 + 2 * tag.len() + 40);
    out.push(format!("-----BEGIN {tag}-----\n").as_bytes());
    for line in text.expose().chunks(64) {
        out.push(line);
        out.push(b"\n");
    }
    out.push(format!("-----END {tag}-----\n").as_bytes());
    out
}

/// Writes a certificate, which is no secret.
pub(crate) fn encode_certificate(der: &[u8]) -> String {
    encode_pem("CERTIFICATE", der).expose_str().unwrap_or_default().to_owned()
}
