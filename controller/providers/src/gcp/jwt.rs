//! JSON Web Tokens that a service account signs (RFC 7515, RFC 7523): RS256.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sealops_formats::{Plaintext, base64};

use super::credentials::ServiceAccount;
use crate::ProviderErrorKind;
use crate::json::Json;

/// Returns the claims, signed: `HEADER.CLAIMS.SIGNATURE`.
///
/// # Errors
/// Fails where the account's key is no RSA key in PEM.
pub(super) fn sign(account: &ServiceAccount, claims: &Json) -> Result<Plaintext, ProviderErrorKind> {
    let key = key(&account.private_key).ok_or_else(|| {
        ProviderErrorKind::Unauthenticated(
            "the private_key of the service account is no RSA key in PEM".to_owned(),
        )
    })?;
    let mut header = vec![("alg", Json::text("RS256")), ("typ", Json::text("JWT"))];
    if !account.private_key_id.is_empty() {
        header.push(("kid", Json::text(account.private_key_id.as_str())));
    }
    let mut token = url_safe(Json::map(header).to_text().expose());
    token.push(b".");
    token.push(url_safe(claims.to_text().expose()).expose());
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.expose(), &mut signature)
        .map_err(|_| ProviderErrorKind::Failed("the login cannot be signed".to_owned()))?;
    token.push(b".");
    token.push(url_safe(&signature).expose());
    Ok(token)
}

fn key(pem: &Plaintext) -> Option<KeyPair> {
    match PrivateKeyDer::from_pem_slice(pem.expose()).ok()? {
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

/// Encodes as base64 for addresses, without padding.
fn url_safe(bytes: &[u8]) -> Plaintext {
    let mut text = Plaintext::with_capacity(bytes.len().div_ceil(3) * 4);
    for &letter in base64::encode(bytes).expose() {
        match letter {
            b'+' => text.push(b"-"),
            b'/' => text.push(b"_"),
            b'=' => {}
            other => text.push(&[other]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_for_addresses_has_no_padding() {
        assert_eq!(url_safe(&[0xfb, 0xff, 0xfe, 0xff]).expose(), b"-__-_w");
    }

    #[test]
    fn a_key_that_is_none_is_not_quoted() {
        for pem in ["", "hunter2", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"] {
            let account = ServiceAccount {
                email: "a@b".to_owned(),
                private_key: pem.into(),
                private_key_id: "1".to_owned(),
                token_url: "https://t".to_owned(),
                universe: String::new(),
            };
            let error = sign(&account, &Json::Null).err().unwrap().to_string();
            assert!(error.contains("private_key") && !error.contains("hunter2"), "{error}");
        }
    }
}
