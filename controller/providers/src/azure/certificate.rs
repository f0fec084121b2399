//! Logins by certificate: a statement about oneself (RFC 7523), signed with the certificate's RSA key.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};
use sealops_crypto::pkcs12::{self, Work};
use sealops_crypto::random::{Random, SystemRandom};
use sealops_formats::{Plaintext, base64};

use super::base64url;
use crate::json::Json;

/// Life of a statement, in seconds.
const LIFE: u64 = 600;
/// Most certificates of a file.
const MAX_CERTIFICATES: usize = 16;
/// Most rounds of key derivation for one file: a few seconds.
const MAX_ROUNDS: u32 = 4_000_000;
/// What every block of a PEM file begins with.
const PEM: &[u8] = b"-----BEGIN ";

/// Signs that `client` asks `endpoint` for a token. The file has the key and its certificate: PEM, or PKCS#12 with a
/// password or without; `chain`: whether all certificates are sent along.
///
/// # Errors
/// Returns what is wrong with the file, for people.
pub(super) fn assertion(
    file: &Plaintext,
    password: Option<&Plaintext>,
    client: &str,
    endpoint: &str,
    chain: bool,
) -> Result<Plaintext, String> {
    let (key, mut certificates) = match password {
        None if has_pem(file) => in_pem(file)?,
        password => in_pkcs12(file, password)?,
    };
    let key = any_supported_type(&key).map_err(|_| "its private key makes no sense".to_owned())?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).ok_or("its key is no RSA key")?;
    // The key's certificate is the first that is sent, wherever it stands in the file.
    let own = |certificate: &CertificateDer<'static>| {
        let pair = CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key)).keys_match();
        !matches!(pair, Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)))
    };
    let place = certificates.iter().position(own).ok_or("none of its certificates is that of its key")?;
    certificates[..=place].rotate_right(1);
    let first = &certificates[0];
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

type Pair = (PrivateKeyDer<'static>, Vec<CertificateDer<'static>>);

fn has_pem(file: &Plaintext) -> bool {
    file.expose().windows(PEM.len()).any(|window| window == PEM)
}

fn in_pem(file: &Plaintext) -> Result<Pair, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(file.expose()).take(MAX_CERTIFICATES).collect();
    let certificates = found.map_err(|_| "it is no PEM file".to_owned())?;
    if certificates.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(file.expose());
    let key = keys.next().and_then(Result::ok);
    let key = key.ok_or("it has no private key (one under a password has to be in PKCS#12)")?;
    match keys.next() {
        None => Ok((key, certificates)),
        Some(_) => Err("it has several private keys".to_owned()),
    }
}

fn in_pkcs12(file: &Plaintext, password: Option<&Plaintext>) -> Result<Pair, String> {
    let secret = password.map(Plaintext::expose).unwrap_or_default();
    let contents =
        pkcs12::read(&mut Rounds(MAX_ROUNDS), secret, file.expose()).map_err(|error| match password {
            Some(_) => format!("as PKCS#12, which AZURE_CLIENT_CERTIFICATE_PASSWORD asks for: {error}"),
            None => format!("it has no PEM, and as PKCS#12: {error}"),
        })?;
    let certificates = contents.certificates.into_iter().take(MAX_CERTIFICATES).map(Into::into).collect();
    Ok((PrivatePkcs8KeyDer::from(contents.key.expose().to_vec()).into(), certificates))
}

/// Rounds of key derivation that are left.
struct Rounds(u32);

impl Work for Rounds {
    fn rounds(&mut self, rounds: u32) -> Result<(), pkcs12::Error> {
        self.0 = self.0.checked_sub(rounds).ok_or(pkcs12::Error::Stopped)?;
        Ok(())
    }

    fn fill(&mut self, _: &mut [u8]) -> Result<(), pkcs12::Error> {
        Err(pkcs12::Error::Stopped)
    }
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
            ("hunter2", "this is no PKCS#12 file"),
            ("-----BEGIN X-----\naHVudGVyMg==\n-----END X-----\n", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", "no private key"),
        ] {
            let error = assertion(&text.into(), None, "c", "https://l/token", false).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        let error = assertion(&"-----BEGIN".into(), Some(&"hunter2".into()), "c", "e", false).unwrap_err();
        assert!(error.contains("AZURE_CLIENT_CERTIFICATE_PASSWORD") && !error.contains("hunter2"), "{error}");
        assert_eq!(sha256(b"").unwrap()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }
}
