//! Logins by certificate: a statement about oneself (RFC 7523), signed with the certificate's RSA key.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sealops_crypto::random::{Random, SystemRandom};
use sealops_formats::{Plaintext, base64};

use super::base64url;
use crate::json::Json;

/// Life of a statement, in seconds.
const LIFE: u64 = 600;
/// Most certificates of a file.
const MAX_CERTIFICATES: usize = 16;

/// Signs that `client` asks `endpoint` for a token. The file has the key and its certificate in PEM; `chain`: whether all
/// certificates are sent along.
///
/// # Errors
/// Returns what is wrong with the file, for people.
pub(super) fn assertion(
    pem: &Plaintext,
    client: &str,
    endpoint: &str,
    chain: bool,
) -> Result<Plaintext, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.expose()).take(MAX_CERTIFICATES).collect();
    let certificates = found.map_err(|_| "it is no PEM file".to_owned())?;
    let first = certificates.first().ok_or("it has no certificate in PEM (PKCS#12 is not built)")?;
    let key = PrivateKeyDer::from_pem_slice(pem.expose())
        .map_err(|_| "it has no private key in PEM (keys under a password are not built)".to_owned())?;
    let key = any_supported_type(&key).map_err(|_| "its private key makes no sense".to_owned())?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).ok_or("its key is no RSA key")?;
    let mut header = vec![
        ("alg", Json::text("PS256")),
        ("typ", Json::text("JWT")),
        ("x5t#S256", Json::text(base64url::encode(&sha256(first)?))),
    ];
    if chain {
        let all = certificates.iter().map(|certificate| Json::text(base64::encode_public(certificate)));
        header.push(("x5c", Json::List(all.collect())));
    }
    let mut id = [0; 16];
    SystemRandom.fill(&mut id).map_err(|_| "there is no randomness".to_owned())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let number = |number: u64| Json::Number(Plaintext::from(number.to_string()));
    let claims = Json::map([
        ("aud", Json::text(endpoint)),
        ("exp", number(now + LIFE)),
        ("iss", Json::text(client)),
        ("jti", Json::text(base64url::encode(&id))),
        ("nbf", number(now)),
        ("sub", Json::text(client)),
    ]);
    let mut token = base64url::encode(Json::map(header).to_text().expose());
    token.push(b".");
    token.push(base64url::encode(claims.to_text().expose()).expose());
    let signature = signer.sign(token.expose()).map_err(|_| "its key does not sign".to_owned())?;
    token.push(b".");
    token.push(base64url::encode(&signature).expose());
    Ok(token)
}

fn sha256(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().ok_or("this build has no SHA-256")?;
    Ok(suite.common.hash_provider.hash(bytes).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named_without_their_text() {
        for (text, why) in [
            ("hunter2", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", "no private key"),
        ] {
            let error = assertion(&text.into(), "c", "https://l/token", false).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(sha256(b"").unwrap()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }
}
