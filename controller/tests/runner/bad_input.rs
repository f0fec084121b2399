//! `security.md` B7, rows 1 to 22 and 30, on the function that both the controller and `sealops render` use. None may
//! panic, none may say more than upstream does about why a value does not open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealops_controller::sealed::{Body, Failure, OpenOptions, open, scope_of};
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{
    Certificate, CertificateError, KeyError, Label, RingKey, Scope, SealingKey, SealingKeyRing, seal,
};
use sealops_formats::base64;
use serde_json::{Value, json};

use super::both::testdata;

const GENERIC: &str = "no key could decrypt secret (x)";

fn ring() -> SealingKeyRing {
    let key = |name: &str| Arc::new(SealingKey::from_pem(&testdata(name).into()).unwrap());
    SealingKeyRing::new([
        RingKey { key: key("interop-2048.key"), order: 1 },
        RingKey { key: key("first-4096.key"), order: 0 },
    ])
}

/// The bytes of a value that opens as shop/web.
fn good() -> Vec<u8> {
    let certificate = Certificate::from_pem(&testdata("interop-2048.crt")).unwrap();
    seal(&certificate, &Label::for_secret(Scope::Strict, "shop", "web"), &"hunter2-plaintext".into()).unwrap()
}

fn object(entry: &str, value: &str) -> Value {
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": { "name": "web", "namespace": "shop", "uid": "u" },
        "spec": { "encryptedData": { entry: value } },
    })
}

fn opened(object: &Value) -> Result<(), Failure> {
    let sealed: SealedSecret = serde_json::from_value(object.clone()).unwrap();
    let started = Instant::now();
    let result = open(&sealed, &ring(), None, OpenOptions::default()).map(drop);
    assert!(started.elapsed() < Duration::from_secs(20), "{object}");
    if let Err(failure) = &result {
        let told = format!("{failure:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    result
}

fn message(object: &Value) -> String {
    opened(object).unwrap_err().message
}

fn with(change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut bytes = good();
    change(&mut bytes);
    object("x", &base64::encode_public(&bytes))
}

/// Rows 1 to 6 and 8 to 11: every broken value gives upstream's one text.
#[test]
fn rows_1_to_11_broken_values_give_one_text() {
    opened(&with(|_| {})).unwrap();
    let block = 2 + 256;
    let cases: Vec<(&str, Value)> = vec![
        ("1 empty", with(Vec::clear)),
        ("2 one byte", with(|bytes| bytes.truncate(1))),
        ("3 length 0xFFFF", with(|bytes| bytes[..2].fill(0xff))),
        ("4 length 0", with(|bytes| bytes[..2].fill(0))),
        ("5 a byte less", with(|bytes| bytes[..2].copy_from_slice(&255_u16.to_be_bytes()))),
        ("5 a byte more", with(|bytes| bytes[..2].copy_from_slice(&257_u16.to_be_bytes()))),
        ("5 the size of the other key", with(|bytes| bytes[..2].copy_from_slice(&512_u16.to_be_bytes()))),
        ("6 as large as the modulus", with(|bytes| bytes[2..block].fill(0xff))),
        ("9 tag cut to 15", with(|bytes| bytes.truncate(bytes.len() - 1))),
        ("9 no tag", with(|bytes| bytes.truncate(block))),
        ("10 a bit of the block", with(|bytes| bytes[block - 1] ^= 1)),
        ("10 a bit of the tag", with(|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("10 a bit of the data", with(|bytes| bytes[block] ^= 1)),
        ("11 trailing bytes", with(|bytes| bytes.extend([0, 1, 2]))),
    ];
    for (row, object) in cases {
        assert_eq!(message(&object), GENERIC, "{row}");
    }
}

/// Row 12, as upstream reads base64.
#[test]
fn row_12_base64_as_upstream_reads_it() {
    let text = base64::encode_public(&good());
    for accepted in [format!("{}\n{}", &text[..9], &text[9..]), format!("{text}\r\n"), text.clone()] {
        opened(&object("x", &accepted)).unwrap();
    }
    let url_safe = format!("-_{}", &text[2..]);
    for refused in [
        url_safe,
        format!("{} {}", &text[..9], &text[9..]),
        format!("{text}="),
        "====".to_owned(),
        "A".to_owned(),
    ] {
        let message = message(&object("x", &refused));
        assert!(
            message.starts_with("illegal base64 data at input byte ") && message.ends_with(" (x)"),
            "{message}"
        );
    }
}

/// Row 13: the text stays upstream's; the advice names the likely cause.
#[test]
fn row_13_a_wrong_label_is_named_in_the_advice() {
    let certificate = Certificate::from_pem(&testdata("interop-2048.crt")).unwrap();
    for (scope, part) in [
        (Scope::NamespaceWide, "sealed with the scope namespace-wide, the object says strict"),
        (Scope::ClusterWide, "sealed with the scope cluster-wide, the object says strict"),
    ] {
        let sealed = seal(&certificate, &Label::for_secret(scope, "shop", "web"), &"x".into()).unwrap();
        let failure = opened(&object("x", &base64::encode_public(&sealed))).unwrap_err();
        assert_eq!(failure.message, GENERIC);
        assert!(failure.advice.as_deref().unwrap().contains(part), "{:?}", failure.advice);
    }
    let mut moved = with(|_| {});
    moved["metadata"]["name"] = json!("other");
    let failure = opened(&moved).unwrap_err();
    assert!(
        failure.advice.unwrap().contains("for the name \"other\" in the namespace \"shop\" (scope strict)")
    );
}

/// Rows 14, 15, 16: which annotation counts, and where.
#[test]
fn rows_14_to_16_scopes_as_upstream_reads_them() {
    let annotation = |pairs: &[(&str, &str)]| {
        scope_of(
            &pairs.iter().map(|(k, v)| (format!("sealedsecrets.bitnami.com/{k}"), (*v).to_owned())).collect(),
        )
    };
    assert_eq!(annotation(&[("cluster-wide", "true"), ("namespace-wide", "true")]), Scope::ClusterWide, "14");
    for value in ["True", "1", "TRUE", "yes", "", " true"] {
        assert_eq!(annotation(&[("cluster-wide", value)]), Scope::Strict, "15 {value:?}");
    }
    let mut object = with(|_| {});
    object["spec"]["template"] =
        json!({ "metadata": { "annotations": { "sealedsecrets.bitnami.com/cluster-wide": "true" } } });
    opened(&object).unwrap();
}

/// Rows 17, 18, 22: objects that contradict themselves, are several, or have no name.
#[test]
fn rows_17_18_22_odd_objects() {
    let mut both = with(|_| {});
    both["spec"]["data"] = json!("AgA=");
    assert_eq!(
        message(&both),
        "cannot use the field 'encryptedData' and the deprecated field 'data' at the same time"
    );
    let text = with(|_| {}).to_string();
    assert!(Body::read(text.as_bytes()).is_ok());
    assert!(Body::read(format!("{text}\n---\n{text}").as_bytes()).is_err(), "18");
    for field in ["name", "namespace"] {
        let mut object = with(|_| {});
        object["metadata"][field] = Value::Null;
        assert_eq!(message(&object), "the object has no name or no namespace", "22");
    }
}

/// Row 19: names of data keys are the API server's to judge; here they break nothing.
#[test]
fn row_19_odd_key_names_are_carried() {
    for name in ["../x", "", &"k".repeat(254), "ÜNI", "a\nb"] {
        let value = base64::encode_public(&good());
        opened(&object(name, &value)).unwrap();
        let message = message(&object(name, "!"));
        assert!(message.starts_with("illegal base64 data at input byte 0 ("), "{message}");
    }
}

/// Row 20: garbage has a budget; what opens costs none of it.
#[test]
fn row_20_garbage_has_a_budget() {
    let mut object = with(|_| {});
    let garbage = {
        let mut bytes = good();
        bytes[280] ^= 1;
        base64::encode_public(&bytes)
    };
    for number in 0..300 {
        object["spec"]["encryptedData"][format!("g{number:03}")] = json!(garbage);
    }
    let message = message(&object);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert!(lines[0].starts_with("no key could decrypt secret (g000, g001,"), "{message}");
    assert!(lines[1].starts_with("not tried, since too many other values of this object do not open (g256,"));
}

/// Rows 7 and 8 are vectors, which the tests of `crypto` run: session keys of 16 and 24 bytes open, others do not.
#[test]
fn rows_7_and_8_have_vectors() {
    for (bytes, opens) in [(0, false), (16, true), (24, true), (31, false), (33, false)] {
        let path = format!("{}/../testdata/vectors/sealed/session-key-{bytes}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(text.starts_with("expect: success"), opens, "{path}");
    }
}

/// Row 30: 10 MB of PEM, which no Secret can hold, is refused before it is parsed.
#[test]
fn row_30_a_flood_of_pem_is_refused() {
    let long = [testdata("interop-2048.key"), vec![b'\n'; 10 << 20]].concat();
    let started = Instant::now();
    assert!(matches!(SealingKey::from_pem(&long.clone().into()), Err(KeyError::TooLarge)));
    assert!(matches!(Certificate::from_pem(&long), Err(CertificateError::TooLarge)));
    assert!(started.elapsed() < Duration::from_secs(2));
}

/// CVE-2026-42876, B5 T07: the types that are credentials, in both formats; and the way to allow them.
#[test]
fn token_types_are_refused_by_default() {
    for type_ in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"] {
        let mut object = with(|_| {});
        object["spec"]["template"] = json!({ "type": type_ });
        let failure = opened(&object).unwrap_err();
        assert!(failure.message.contains(type_), "{}", failure.message);
        assert!(failure.advice.unwrap().contains("--allow-token-secrets"));
        let sealed: SealedSecret = serde_json::from_value(object).unwrap();
        let allowed = OpenOptions { allow_token_secrets: true, ..OpenOptions::default() };
        assert_eq!(open(&sealed, &ring(), None, allowed).unwrap().secret.type_.as_deref(), Some(type_));

        let certificate = Certificate::from_pem(&testdata("interop-2048.crt")).unwrap();
        let whole = json!({ "apiVersion": "v1", "kind": "Secret", "type": type_ }).to_string();
        let label = Label::for_secret(Scope::Strict, "shop", "web");
        let value = base64::encode_public(&seal(&certificate, &label, &whole.as_str().into()).unwrap());
        let mut old = with(|_| {});
        old["spec"] = json!({ "encryptedData": {}, "data": value });
        assert!(message(&old).contains(type_), "spec.data");
    }
    for type_ in
        ["Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "example.com/x", "helm.sh/release.v1"]
    {
        let mut object = with(|_| {});
        object["spec"]["template"] = json!({ "type": type_ });
        opened(&object).unwrap();
    }
}
