//! Reading keys and certificates, and making them.

use std::process::Command;

use sealops_crypto::sealing::{Certificate, CertificateError, KeyError, KeySpec, SealingKey};
use sealops_formats::Plaintext;

use super::{certificate, key, read, testdata};

#[test]
fn fingerprint_is_the_one_openssh_prints() {
    let expected = "SHA256:lqBEWPqapK2FoUD0nVcAVxaBpBjzNmBaYoxGiiK4XMM";
    assert_eq!(key("interop-2048").fingerprint().as_str(), expected);
    assert_eq!(certificate("interop-2048").fingerprint().as_str(), expected);
}

#[test]
fn knows_which_certificate_belongs_to_a_key() {
    for name in ["first-4096", "second-4096", "third-2048"] {
        key(name).check_certificate(&certificate(name)).unwrap();
    }
    assert_eq!(key("first-4096").check_certificate(&certificate("second-4096")), Err(KeyError::Mismatch));
}

#[test]
fn refuses_an_expired_certificate_in_kubeseals_words() {
    let expired = Certificate::from_pem(&read("keys/expired.crt")).unwrap();
    let now = 1_800_000_000;
    let error = expired.check_not_expired(now).unwrap_err();
    assert_eq!(error.to_string(), "failed to encrypt using an expired certificate on February 3, 2020");
    expired.check_not_expired(expired.not_after()).unwrap();
    Certificate::from_pem(&read("keys/not-yet-valid.crt")).unwrap().check_not_expired(now).unwrap();
}

#[test]
fn takes_the_first_certificate_of_a_bundle() {
    let mut bundle = b"some words\n".to_vec();
    bundle.extend(read("keys/first-4096.key"));
    bundle.extend(read("keys/first-4096.crt"));
    bundle.extend(read("keys/second-4096.crt"));
    assert_eq!(Certificate::from_pem(&bundle).unwrap().fingerprint(), key("first-4096").fingerprint());
}

#[test]
fn says_why_a_certificate_is_unusable() {
    let cause = |bytes: &[u8]| Certificate::from_pem(bytes).err();
    assert_eq!(cause(b""), Some(CertificateError::Missing));
    assert_eq!(cause(&read("keys/first-4096.key")), Some(CertificateError::Missing));
    assert_eq!(cause(&read("keys/ec.crt")), Some(CertificateError::NotRsa("an elliptic curve key")));
    let broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    assert_eq!(cause(broken), Some(CertificateError::Malformed));
    assert_eq!(cause(&vec![b'x'; (1 << 20) + 1]), Some(CertificateError::TooLarge));
}

#[test]
fn says_why_a_key_is_unusable() {
    let cause = |bytes: &[u8]| SealingKey::from_pem(&Plaintext::from(bytes)).err();
    assert_eq!(cause(b""), Some(KeyError::Missing));
    assert_eq!(cause(&read("keys/first-4096.crt")), Some(KeyError::Missing));
    assert_eq!(cause(&read("keys/ec.key")), Some(KeyError::NotRsa));
    let broken = b"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(cause(broken), Some(KeyError::NotRsa));
}

#[test]
fn a_generated_pair_is_what_upstream_makes() {
    let spec =
        KeySpec { bits: 2048, common_name: String::new(), not_before: 1_700_000_000, lifetime: 315_360_000 };
    let pair = spec.generate().unwrap();
    let text = pair.private_key.expose_str().unwrap();
    assert!(text.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    let certificate = Certificate::from_pem(pair.certificate.as_bytes()).unwrap();
    SealingKey::from_pem(&pair.private_key).unwrap().check_certificate(&certificate).unwrap();
    assert_eq!((certificate.not_before(), certificate.not_after()), (1_700_000_000, 2_015_360_000));
    assert_eq!(certificate.pem(), pair.certificate);

    let folder = std::env::temp_dir().join(format!("sealops-key-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tls.crt");
    std::fs::write(&file, &pair.certificate).unwrap();
    let output =
        Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&file).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "Version: 3",
        "sha256WithRSAEncryption",
        "Key Usage: critical",
        "Encipher Only",
        "CA:TRUE",
        "Subject Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
    assert!(!text.contains("rcgen"));
    assert!(!text.contains("Digital Signature"));
}

#[test]
fn sizes_that_are_not_supported_are_errors() {
    let spec = KeySpec { bits: 1024, common_name: String::new(), not_before: 0, lifetime: 1 };
    assert!(spec.generate().is_err());
}

#[test]
fn debug_of_a_key_prints_the_fingerprint_only() {
    let text = format!("{:?}", key("first-4096"));
    assert!(text.starts_with("SealingKey(SHA256:") && text.len() < 80, "{text}");
    assert!(testdata("keys").is_dir());
}
