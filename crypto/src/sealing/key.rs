//! Sealing keys: the private half, which opens.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::{hmac, rand};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, SerialNumber,
};
use sealops_formats::Plaintext;
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate::{CertificateError, MAX_PEM_BYTES, PublicKeyParts, encode_certificate, encode_pem};
use super::{Certificate, Fingerprint};

/// rsaEncryption (RFC 8017 appendix C).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A private key that opens sealed values.
pub struct SealingKey {
    pub(super) oaep: OaepPrivateDecryptingKey,
    pub(super) block_bytes: usize,
    fingerprint: Fingerprint,
    derivation: hmac::Key,
}

/// Prints the fingerprint only.
impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SealingKey").field(&self.fingerprint).finish()
    }
}

/// Why a text gives no sealing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The certificate beside the key is unusable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate belongs to another key.
    #[error("the certificate does not belong to the private key")]
    Mismatch,
    /// There is no private key in the text.
    #[error("data does not contain a private key in PEM (RSA PRIVATE KEY or PRIVATE KEY)")]
    Missing,
    /// The key is of another kind, broken, or of a size that is not accepted.
    #[error("the private key is not a valid RSA key of 2048 to 8192 bits")]
    NotRsa,
    /// The text is larger than a key can be.
    #[error("the private key text is larger than {} KiB", MAX_PEM_BYTES >> 10)]
    TooLarge,
}

impl SealingKey {
    /// Reads the first private key of a PEM text: PKCS#1 (`RSA PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`).
    ///
    /// # Errors
    /// Returns why there is no usable RSA key.
    pub fn from_pem(text: &Plaintext) -> Result<Self, KeyError> {
        if text.len() > MAX_PEM_BYTES {
            return Err(KeyError::TooLarge);
        }
        let blocks = pem::parse_many(text.expose()).map_err(|_| KeyError::Missing)?;
        for block in blocks {
            let tag = block.tag().to_owned();
            let der = Plaintext::from(block.into_contents());
            match tag.as_str() {
                "RSA PRIVATE KEY" => return Self::from_pkcs1(&der),
                "PRIVATE KEY" => return Self::from_pkcs1(&pkcs1_of(der.expose())?),
                "EC PRIVATE KEY" => return Err(KeyError::NotRsa),
                _ => {}
            }
        }
        Err(KeyError::Missing)
    }

    fn from_pkcs1(pkcs1: &Plaintext) -> Result<Self, KeyError> {
        let algorithm =
            AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(pkcs8::der::AnyRef::NULL) };
        let private_key =
            pkcs8::der::asn1::OctetStringRef::new(pkcs1.expose()).map_err(|_| KeyError::NotRsa)?;
        let info = PrivateKeyInfoRef::new(algorithm, private_key);
        let document = pkcs8::SecretDocument::encode_msg(&info).map_err(|_| KeyError::NotRsa)?;
        let key = PrivateDecryptingKey::from_pkcs8(document.as_bytes()).map_err(|_| KeyError::NotRsa)?;
        let public =
            AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key()).map_err(|_| KeyError::NotRsa)?;
        let (_, spki) = SubjectPublicKeyInfo::from_der(public.as_ref()).map_err(|_| KeyError::NotRsa)?;
        let fingerprint = PublicKeyParts::from_spki(&spki)?.fingerprint;
        let block_bytes = key.key_size_bytes();
        Ok(Self {
            oaep: OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::NotRsa)?,
            block_bytes,
            fingerprint,
            derivation: hmac::Key::new(hmac::HMAC_SHA256, pkcs1.expose()),
        })
    }

    /// Returns the name of the key.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Checks that a certificate belongs to this key.
    ///
    /// # Errors
    /// Returns [`KeyError::Mismatch`] where it does not.
    pub fn check_certificate(&self, certificate: &Certificate) -> Result<(), KeyError> {
        if certificate.fingerprint() == &self.fingerprint { Ok(()) } else { Err(KeyError::Mismatch) }
    }

    /// Derives a MAC key for one purpose (HMAC-SHA-256 of the purpose under the private key).
    ///
    /// Whoever knows the result learns nothing about the private key; whoever knows the private key can compute it.
    pub fn derive_mac_key(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&self.derivation, purpose.as_bytes()).as_ref())
    }
}

/// What a new key pair shall be.
#[derive(Debug, Clone)]
pub struct KeySpec {
    /// RSA bits: 2048, 3072, 4096 or 8192.
    pub bits: u32,
    /// Common name of the certificate; empty leaves the name out.
    pub common_name: String,
    /// Start of validity, in seconds since 1970.
    pub not_before: i64,
    /// Validity, in seconds.
    pub lifetime: i64,
}

/// A new key pair in the forms that upstream stores.
pub struct KeyPairPem {
    /// PKCS#1 `RSA PRIVATE KEY`.
    pub private_key: Plaintext,
    /// Self-signed `CERTIFICATE`.
    pub certificate: String,
}

/// Why no key pair was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// AWS-LC or the certificate builder failed.
    #[error("the key pair could not be generated")]
    Failed,
    /// The size is not one that AWS-LC generates.
    #[error("cannot generate an RSA key of {0} bits; the size is one of 2048, 3072, 4096, 8192")]
    KeySize(u32),
    /// The validity reaches past what a certificate can hold.
    #[error("the certificate's validity is out of range")]
    Validity,
}

impl KeySpec {
    /// Generates the key pair: about a second of CPU for 4096 bits.
    ///
    /// The certificate is what upstream's controller makes: X.509 v3, SHA256-with-RSA, random 128-bit serial, critical
    /// key usage *encipherOnly*, critical basic constraints CA.
    ///
    /// # Errors
    /// Returns [`GenerateError`] by cause.
    pub fn generate(&self) -> Result<KeyPairPem, GenerateError> {
        let size = match self.bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            other => return Err(GenerateError::KeySize(other)),
        };
        let key = PrivateDecryptingKey::generate(size).map_err(|_| GenerateError::Failed)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map_err(|_| GenerateError::Failed)?;
        let certificate = self.self_sign(der.as_ref())?;
        let pkcs1 = pkcs1_of(der.as_ref()).map_err(|_| GenerateError::Failed)?;
        let private_key = encode_pem("RSA PRIVATE KEY", pkcs1.expose());
        Ok(KeyPairPem { private_key, certificate })
    }

    fn self_sign(&self, pkcs8: &[u8]) -> Result<String, GenerateError> {
        let moment =
            |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| GenerateError::Validity);
        let mut serial = [0; 16];
        rand::fill(&mut serial).map_err(|_| GenerateError::Failed)?;
        serial[0] &= 0x7f; // RFC 5280: serial numbers are positive

        let mut params = CertificateParams::default();
        params.not_before = moment(self.not_before)?;
        params.not_after =
            moment(self.not_before.checked_add(self.lifetime).ok_or(GenerateError::Validity)?)?;
        params.serial_number = Some(SerialNumber::from(serial.to_vec()));
        params.distinguished_name = DistinguishedName::new();
        if !self.common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        }
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::EncipherOnly];
        let key_pair = rcgen::KeyPair::try_from(pkcs8).map_err(|_| GenerateError::Failed)?;
        let certificate = params.self_signed(&key_pair).map_err(|_| GenerateError::Failed)?;
        Ok(encode_certificate(certificate.der()))
    }
}

/// Takes the PKCS#1 structure out of PKCS#8 (RFC 5208).
pub(crate) fn pkcs1_of(pkcs8: &[u8]) -> Result<Plaintext, KeyError> {
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| KeyError::NotRsa)?;
    if info.algorithm.oid == RSA_ENCRYPTION {
        Ok(info.private_key.as_bytes().into())
    } else {
        Err(KeyError::NotRsa)
    }
}
