//! Certificates of a server inside the cluster: an authority, and what it issues.
//!
//! In the forms of External Secrets Operator's certificate controller (2.9), which reads them again: RSA 2048, PKCS#1 keys,
//! subject `O=external-secrets, CN=external-secrets` of the authority.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SerialNumber,
};
use sealops_formats::Plaintext;
use time::OffsetDateTime;

use crate::sealing::{Certificate, GenerateError, KeyError, KeyPairPem, SealingKey};
use crate::sealing::{encode_certificate, encode_pem, pkcs1_of};

/// Subject of the authority, and the one name that its certificate is for.
const AUTHORITY: &str = "external-secrets";

/// A certificate authority for one server.
pub struct Authority {
    certificate: String,
    private_key: Plaintext,
    pair: rcgen::KeyPair,
}

/// Prints nothing of the key.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A time of validity, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Start.
    pub not_before: i64,
    /// End.
    pub not_after: i64,
}

impl Authority {
    /// Generates an authority.
    ///
    /// # Errors
    /// Returns [`GenerateError`] by cause.
    pub fn generate(validity: Validity) -> Result<Self, GenerateError> {
        let (pkcs8, private_key) = generate_key()?;
        let pair = rcgen::KeyPair::try_from(pkcs8.expose()).map_err(|_| GenerateError::Failed)?;
        let mut params = params(Some(AUTHORITY), AUTHORITY, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let certificate = params.self_signed(&pair).map_err(|_| GenerateError::Failed)?;
        Ok(Self { certificate: encode_certificate(certificate.der()), private_key, pair })
    }

    /// Reads an authority of this kind.
    ///
    /// # Errors
    /// Returns what is no RSA certificate or key, or that they do not belong together.
    pub fn from_pem(certificate: &[u8], private_key: &Plaintext) -> Result<Self, KeyError> {
        let read = Certificate::from_pem(certificate)?;
        SealingKey::from_pem(private_key)?.check_certificate(&read)?;
        let blocks = pem::parse_many(private_key.expose()).map_err(|_| KeyError::Missing)?;
        let block = blocks.into_iter().find(|block| block.tag().ends_with("PRIVATE KEY"));
        let der = Plaintext::from(block.ok_or(KeyError::Missing)?.into_contents());
        let pair = rcgen::KeyPair::try_from(der.expose()).map_err(|_| KeyError::NotRsa)?;
        Ok(Self { certificate: read.pem().to_owned(), private_key: private_key.duplicate(), pair })
    }

    /// Returns its certificate in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns its key in PEM.
    pub fn private_key(&self) -> &Plaintext {
        &self.private_key
    }

    /// Issues the certificate of a server for one DNS name, with a new key.
    ///
    /// # Errors
    /// Returns [`GenerateError`] by cause.
    pub fn issue(&self, dns_name: &str, validity: Validity) -> Result<KeyPairPem, GenerateError> {
        let (pkcs8, private_key) = generate_key()?;
        let pair = rcgen::KeyPair::try_from(pkcs8.expose()).map_err(|_| GenerateError::Failed)?;
        let mut params = params(None, dns_name, validity)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = self::params(Some(AUTHORITY), AUTHORITY, validity)?;
        let issuer = Issuer::from_params(&own, &self.pair);
        let certificate = params.signed_by(&pair, &issuer).map_err(|_| GenerateError::Failed)?;
        Ok(KeyPairPem { private_key, certificate: encode_certificate(certificate.der()) })
    }
}

/// A new key: PKCS#8, and PKCS#1 in PEM.
fn generate_key() -> Result<(Plaintext, Plaintext), GenerateError> {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| GenerateError::Failed)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map_err(|_| GenerateError::Failed)?;
    let pkcs1 = pkcs1_of(der.as_ref()).map_err(|_| GenerateError::Failed)?;
    Ok((Plaintext::from(der.as_ref()), encode_pem("RSA PRIVATE KEY", pkcs1.expose())))
}

/// Names are printable strings in Go's order, so that what one authority issues names the other one's subject.
fn params(
    organization: Option<&str>,
    name: &str,
    validity: Validity,
) -> Result<CertificateParams, GenerateError> {
    let moment = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| GenerateError::Validity);
    let printable = |text: &str| {
        PrintableString::try_from(text).map(DnValue::PrintableString).map_err(|_| GenerateError::Failed)
    };
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| GenerateError::Failed)?;
    serial[0] &= 0x7f; // RFC 5280: serial numbers are positive
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|_| GenerateError::Failed)?;
    params.not_before = moment(validity.not_before)?;
    params.not_after = moment(validity.not_after)?;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    params.distinguished_name = DistinguishedName::new();
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, printable(organization)?);
    }
    params.distinguished_name.push(DnType::CommonName, printable(name)?);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_survives_its_own_text() {
        let validity = Validity { not_before: 1_700_000_000, not_after: 2_000_000_000 };
        let made = Authority::generate(validity).unwrap();
        let read = Authority::from_pem(made.certificate().as_bytes(), made.private_key()).unwrap();
        assert_eq!(read.certificate(), made.certificate());
        assert!(made.private_key().expose().starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
        let issued = read.issue("webhook.system.svc", validity).unwrap();
        let certificate = Certificate::from_pem(issued.certificate.as_bytes()).unwrap();
        assert_eq!(certificate.not_after(), validity.not_after);
        assert!(SealingKey::from_pem(&issued.private_key).unwrap().check_certificate(&certificate).is_ok());
        assert!(matches!(
            Authority::from_pem(made.certificate().as_bytes(), &issued.private_key),
            Err(KeyError::Mismatch)
        ));
        assert!(Authority::from_pem(b"", made.private_key()).is_err());
        assert!(!format!("{made:?}").contains("BEGIN"));
    }
}
