//! Sealing and opening with our own keys.

use std::sync::Arc;

use sealops_crypto::sealing::{
    Fingerprint, Label, MAX_SEALED_BYTES, RingKey, Scope, SealError, SealingKeyRing, seal,
};
use sealops_formats::Plaintext;

use super::{certificate, key};

fn ring(names: &[&str]) -> SealingKeyRing {
    let keys = names.iter().zip(0..).map(|(name, order)| RingKey { key: Arc::new(key(name)), order });
    SealingKeyRing::new(keys.collect::<Vec<_>>())
}

#[test]
fn layout_is_the_published_one() {
    let sealed =
        seal(&certificate("first-4096"), &Label::for_secret(Scope::Strict, "a", "b"), &"abc".into()).unwrap();
    assert_eq!(sealed.len(), 2 + 512 + 3 + 16);
    assert_eq!(sealed[..2], [2, 0]);
}

#[test]
fn opens_in_its_scope_only() {
    let ring = ring(&["third-2048"]);
    let places = [("shop", "web"), ("shop", "api"), ("bank", "web")];
    for sealed_scope in Scope::ALL {
        let label = Label::for_secret(sealed_scope, "shop", "web");
        let sealed = seal(&certificate("third-2048"), &label, &"value".into()).unwrap();
        for scope in Scope::ALL {
            for (namespace, name) in places {
                let other = Label::for_secret(scope, namespace, name);
                let opened = ring.unseal(&other, &sealed, None).is_ok();
                assert_eq!(opened, other == label, "{sealed_scope} as {scope} in {namespace}/{name}");
            }
        }
    }
}

#[test]
fn any_changed_byte_is_refused_with_one_error() {
    let ring = ring(&["third-2048"]);
    let label = Label::for_secret(Scope::ClusterWide, "", "");
    let sealed = seal(&certificate("third-2048"), &label, &"some plaintext".into()).unwrap();
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1 << (position % 8);
        let error = ring.unseal(&label, &changed, None).unwrap_err();
        assert_eq!(error.to_string(), "no key could decrypt secret");
    }
    for length in 0..sealed.len() {
        assert!(ring.unseal(&label, &sealed[..length], None).is_err());
    }
    let longer: Vec<u8> = sealed.iter().copied().chain([0]).collect();
    assert!(ring.unseal(&label, &longer, None).is_err());
}

#[test]
fn tries_the_hint_first_then_newest_to_oldest() {
    let ring = ring(&["first-4096", "second-4096"]);
    let label = Label::for_secret(Scope::ClusterWide, "", "");
    let old = seal(&certificate("first-4096"), &label, &"x".into()).unwrap();
    let fingerprint = certificate("first-4096").fingerprint().clone();
    assert_eq!(ring.newest().unwrap().fingerprint(), certificate("second-4096").fingerprint());
    assert_eq!(ring.unseal(&label, &old, None).unwrap().rsa_operations, 2);
    assert_eq!(ring.unseal(&label, &old, Some(&fingerprint)).unwrap().rsa_operations, 1);
    let unknown = Fingerprint::from_text("SHA256:unknown");
    assert_eq!(ring.unseal(&label, &old, Some(&unknown)).unwrap().key, fingerprint);
}

#[test]
fn a_key_of_another_size_costs_nothing() {
    let ring = ring(&["first-4096"]);
    let label = Label::for_secret(Scope::ClusterWide, "", "");
    let sealed = seal(&certificate("third-2048"), &label, &"x".into()).unwrap();
    assert_eq!(ring.unseal(&label, &sealed, None).unwrap_err().rsa_operations, 0);
}

#[test]
fn of_equal_times_the_first_given_is_current() {
    let keys = ["first-4096", "second-4096"].map(|name| RingKey { key: Arc::new(key(name)), order: 7 });
    assert_eq!(SealingKeyRing::new(keys).newest().unwrap().fingerprint(), key("first-4096").fingerprint());
}

#[test]
fn size_limit_holds_at_the_limit_and_one_above() {
    let certificate = certificate("third-2048");
    let label = Label::for_secret(Scope::ClusterWide, "", "");
    let largest = MAX_SEALED_BYTES - 2 - 256 - 16;
    let sealed = seal(&certificate, &label, &Plaintext::from(vec![7; largest])).unwrap();
    assert_eq!(ring(&["third-2048"]).unseal(&label, &sealed, None).unwrap().value.len(), largest);
    assert_eq!(seal(&certificate, &label, &Plaintext::from(vec![7; largest + 1])), Err(SealError::TooLarge));
}

/// The `rsa` crate as a second opinion on the RSA block.
#[test]
fn another_implementation_opens_the_block() {
    use rsa::pkcs1::DecodeRsaPrivateKey;
    let pem = String::from_utf8(super::read("keys/interop-2048.key")).unwrap();
    let private = rsa::RsaPrivateKey::from_pkcs1_pem(&pem).unwrap();
    let label = Label::for_secret(Scope::Strict, "shop", "web");
    let sealed = seal(&certificate("interop-2048"), &label, &"x".into()).unwrap();
    let padding = rsa::Oaep::<Sha256>::new_with_label(label.as_bytes().to_vec());
    assert_eq!(private.decrypt(padding, &sealed[2..258]).unwrap().len(), 32);
}

type Sha256 = sha2::Sha256;
