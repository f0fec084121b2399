//! A client that shows who it is by a certificate with an RSA key (RFC 7523), and the check of what it signs.
use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData};
use serde_json::Value;

/// A certificate and its key.
pub(super) struct ClientCertificate {
    /// Both, as PEM.
    pub(super) pem: String,
    thumbprint: Vec<u8>,
    old_thumbprint: Vec<u8>,
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
        let old_thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der()).as_ref().to_vec();
        Ok(Self { pem, thumbprint, old_thumbprint, public: key.subject_public_key_info() })
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
        let (thumbprint, own, algorithm): (_, _, &'static dyn VerificationAlgorithm) =
            match header["alg"].as_str()? {
                "PS256" => (header["x5t#S256"].as_str()?, &self.thumbprint, &RSA_PSS_2048_8192_SHA256),
                // Azure's library for Python.
                "RS256" => (header["x5t"].as_str()?, &self.old_thumbprint, &RSA_PKCS1_2048_8192_SHA256),
                _ => return None,
            };
        let bare = thumbprint.trim_end_matches('=');
        let thumbprint = URL_SAFE_NO_PAD.decode(bare).or_else(|_| STANDARD_NO_PAD.decode(bare)).ok()?;
        let seconds = |name: &str| claims[name].as_f64().map(|seconds| seconds as i64);
        let now = jiff::Timestamp::now().as_second();
        let key = UnparsedPublicKey::new(algorithm, &self.public);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(
            thumbprint == *own
                && claims["iss"] == client
                && claims["sub"] == client
                && claims["aud"].as_str()?.ends_with(endpoint)
                && claims["jti"].as_str().is_some_and(|id| id.len() > 10)
                // Python's says when it was issued instead, with fractions of seconds.
                && seconds("nbf").or(seconds("iat"))? <= now
                && (now..now + 3600).contains(&seconds("exp")?)
                && key.verify(signed.as_bytes(), &signature).is_ok(),
        )
    }
}
