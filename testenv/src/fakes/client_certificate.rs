//! A client that shows who it is by a certificate with an RSA key (RFC 7523), and the check of what it signs.
use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData};
use serde_json::Value;

/// A certificate and its key.
pub(super) struct ClientCertificate {
    /// Both, as PEM.
    pub(super) pem: String,
    thumbprint: Vec<u8>,
    public: Vec<u8>,
}

impl ClientCertificate {
    pub(super) fn generate() -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).context("an RSA key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        let certificate = params.self_signed(&key).context("a certificate")?;
        let thumbprint = digest(&SHA256, certificate.der()).as_ref().to_vec();
        let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
        Ok(Self { pem, thumbprint, public: key.subject_public_key_info() })
    }

    /// Returns whether `client` has signed this for that address, and lately.
    pub(super) fn signed(&self, assertion: &str, client: &str, endpoint: &str) -> bool {
        self.check(assertion, client, endpoint).unwrap_or(false)
    }

    fn check(&self, assertion: &str, client: &str, endpoint: &str) -> Option<bool> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let (header, claims) = (json(header)?, json(claims)?);
        // The standard says base64url; Microsoft's library for Go writes base64, and Entra ID takes both.
        let thumbprint = header["x5t#S256"].as_str()?;
        let thumbprint = URL_SAFE_NO_PAD.decode(thumbprint).or_else(|_| STANDARD.decode(thumbprint)).ok()?;
        let now = jiff::Timestamp::now().as_second();
        let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &self.public);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(
            header["alg"] == "PS256"
                && thumbprint == self.thumbprint
                && claims["iss"] == client
                && claims["sub"] == client
                && claims["aud"].as_str()?.ends_with(endpoint)
                && claims["jti"].as_str().is_some_and(|id| id.len() > 10)
                && claims["nbf"].as_i64()? <= now
                && (now..now + 3600).contains(&claims["exp"].as_i64()?)
                && key.verify(signed.as_bytes(), &signature).is_ok(),
        )
    }
}
