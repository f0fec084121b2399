//! Hand-written cases of the deterministic functions for keys, certificates and passwords: Go gives the same bytes, or
//! fails too.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use sealops_formats::{Plaintext, base64};
use sealops_template::FunctionSet;
use sealops_template::functions::{external_secrets, sealed_secrets};
use sealops_testenv::Parts;
use serde_json::{Value, json};

use super::crypto::{Data, render, store};

/// Cases by function, for both sets.
const BOTH: &[(&str, &[&str])] = &[
    (
        "derivePassword",
        &[
            r#"{{ derivePassword 1 "long" "password" "user" "example.com" }}"#,
            r#"{{ derivePassword 2 "maximum" .user .empty .uni }}"#,
            r#"{{ derivePassword 4294967295 "medium" "" "" "" }}"#,
            r#"{{ derivePassword 0 "basic" .raw .raw .raw }}"#,
            r#"{{ derivePassword 1 "pin" "a" "b" "c" }}{{ derivePassword 1 "short" "a" "b" "c" }}"#,
            r#"{{ derivePassword 1 "none" "a" "b" "c" }}"#,
            r#"{{ derivePassword -1 "pin" "a" "b" "c" }}"#,
            r#"{{ derivePassword 4294967296 "pin" "a" "b" "c" }}"#,
            r#"{{ derivePassword "1" "pin" "a" "b" "c" }}"#,
            r#"{{ derivePassword 1 "pin" "a" "b" 5 }}"#,
            r#"{{ derivePassword 1 "pin" "a" "b" }}"#,
        ],
    ),
    (
        "decryptAES",
        &[
            r#"{{ decryptAES "key" .aes }}"#,
            r#"{{ decryptAES "other" "" }}"#,
            r#"{{ decryptAES "key" "not base64" }}"#,
            r#"{{ decryptAES "key" "AAAA" }}"#,
            r#"{{ decryptAES "key" (.aes | trunc 40) }}"#,
            r#"{{ decryptAES "key" (printf "%s" .aes | trunc 24) }}"#,
            r#"{{ decryptAES "key" 5 }}"#,
            r#"{{ decryptAES "key" }}"#,
        ],
    ),
    (
        "encryptAES",
        &[
            r#"[{{ encryptAES "key" "" }}]"#,
            r#"{{ encryptAES "key" .user | decryptAES "key" }}"#,
            r#"{{ encryptAES "" .uni | decryptAES "" }}"#,
            r#"{{ encryptAES .raw .raw | decryptAES .raw }}"#,
            r#"{{ encryptAES 1 "a" }}"#,
            r#"{{ encryptAES "a" }}"#,
        ],
    ),
    (
        "buildCustomCert",
        &[
            r#"{{ $c := buildCustomCert (b64enc .leaf) (b64enc .rsa) }}{{ $c.Cert }}{{ $c.Key }}"#,
            r#"{{ (buildCustomCert (b64enc .eccert) (b64enc .ec)).Key }}"#,
            r#"{{ (buildCustomCert (b64enc .eccert) (b64enc .ec8)).Cert | sha256sum }}"#,
            r#"{{ buildCustomCert .leaf .rsa }}"#,
            r#"{{ buildCustomCert (b64enc .leaf) (b64enc .leaf) }}"#,
            r#"{{ buildCustomCert (b64enc .rsa) (b64enc .rsa) }}"#,
            r#"{{ buildCustomCert (b64enc "x") (b64enc .rsa) }}"#,
            r#"{{ buildCustomCert 1 2 }}"#,
            r#"{{ (buildCustomCert (b64enc .leaf) (b64enc .rsa)).Nope }}"#,
        ],
    ),
    (
        "bcrypt",
        &[
            r#"{{ bcrypt "a" | len }}"#,
            r#"{{ bcrypt "" | trunc 7 }}"#,
            r#"{{ bcrypt (repeat 72 "a") | trunc 7 }}"#,
            r#"{{ bcrypt (repeat 73 "a") }}"#,
            r#"{{ bcrypt 5 }}"#,
            r#"{{ bcrypt }}"#,
        ],
    ),
    (
        "genPrivateKey",
        &[
            r#"{{ genPrivateKey "ecdsa" | trunc 31 }}"#,
            r#"{{ genPrivateKey "ed25519" | len }}"#,
            r#"{{ genPrivateKey "nonsense" }}"#,
            r#"{{ genPrivateKey "RSA" }}"#,
            r#"{{ genPrivateKey 5 }}"#,
            r#"{{ genPrivateKey }}"#,
        ],
    ),
    (
        "genCA",
        &[
            r#"{{ (genCA "a" 1).Cert | trunc 27 }}"#,
            r#"{{ (genCA "a" 1).Key | trunc 31 }}"#,
            r#"{{ genCA "a" 1 | typeOf }}{{ genCA "a" 1 | kindOf }}"#,
            r#"{{ genCA "a" }}"#,
            r#"{{ genCA 1 "a" }}"#,
            r#"{{ (genCA "a" 3650000).Cert | trunc 27 }}"#,
        ],
    ),
    (
        "genCAWithKey",
        &[
            r#"{{ eq (genCAWithKey "a" 1 .rsa).Key .rsa1 }}"#,
            r#"{{ eq (genCAWithKey "a" 1 .ec).Key .ec }}"#,
            r#"{{ eq (genCAWithKey "a" 1 .ec8).Key .ec }}"#,
            r#"{{ genCAWithKey "a" 1 .leaf }}"#,
            r#"{{ genCAWithKey "a" 1 "" }}"#,
            r#"{{ genCAWithKey "a" 1 5 }}"#,
        ],
    ),
    (
        "genSelfSignedCert",
        &[
            r#"{{ (genSelfSignedCert "a" nil nil 1).Cert | trunc 27 }}"#,
            r#"{{ (genSelfSignedCert "a" (list "10.0.0.1" "::1") (list "a.b") 1).Key | trunc 31 }}"#,
            r#"{{ genSelfSignedCert "a" (list "300.0.0.1") nil 1 }}"#,
            r#"{{ genSelfSignedCert "a" (list 1) nil 1 }}"#,
            r#"{{ genSelfSignedCert "a" nil (list 1) 1 }}"#,
            r#"{{ genSelfSignedCert "a" "b" nil 1 }}"#,
        ],
    ),
    (
        "genSelfSignedCertWithKey",
        &[
            r#"{{ eq (genSelfSignedCertWithKey "a" nil nil 1 .ec8).Key .ec }}"#,
            r#"{{ eq (genSelfSignedCertWithKey "a" nil (list "*.a") 1 .rsa).Key .rsa1 }}"#,
            r#"{{ genSelfSignedCertWithKey "a" nil nil 1 "x" }}"#,
            r#"{{ genSelfSignedCertWithKey "a" nil nil 1 }}"#,
            r#"{{ genSelfSignedCertWithKey "a" nil nil "1" .ec }}"#,
        ],
    ),
    (
        "genSignedCert",
        &[
            r#"{{ $ca := genCA "a" 1 }}{{ (genSignedCert "b" nil nil 1 $ca).Cert | trunc 27 }}"#,
            r#"{{ (genSignedCert "b" nil nil 1 (buildCustomCert (b64enc .leaf) (b64enc .rsa))).Cert | trunc 27 }}"#,
            r#"{{ (genSignedCert "b" nil nil 1 (buildCustomCert (b64enc .root) (b64enc .rsa))).Cert | trunc 27 }}"#,
            r#"{{ genSignedCert "b" nil nil 1 .leaf }}"#,
            r#"{{ genSignedCert "b" nil nil 1 }}"#,
            r#"{{ genSignedCert "b" nil nil 1 nil }}"#,
        ],
    ),
    (
        "genSignedCertWithKey",
        &[
            r#"{{ $ca := genCAWithKey "a" 1 .ec }}{{ eq (genSignedCertWithKey "b" nil nil 1 $ca .rsa).Key .rsa1 }}"#,
            r#"{{ $ca := genCAWithKey "a" 1 .rsa }}{{ eq (genSignedCertWithKey "b" nil nil 1 $ca .ec8).Key .ec }}"#,
            r#"{{ $ca := genCAWithKey "a" 1 .ec }}{{ genSignedCertWithKey "b" nil nil 1 $ca "" }}"#,
            r#"{{ $ca := genCAWithKey "a" 1 .ec }}{{ genSignedCertWithKey "b" (list "x") nil 1 $ca .ec }}"#,
            r#"{{ genSignedCertWithKey "b" nil nil 1 (dict "Cert" .leaf) .ec }}"#,
        ],
    ),
    (
        "randInt",
        &[
            "{{ randInt 5 6 }}",
            "{{ randInt 5 5 }}",
            "{{ randInt 6 5 }}",
            r#"{{ randInt "a" 5 }}"#,
            "{{ randInt 5 }}",
            "{{ randInt -7 -6 }}",
        ],
    ),
    (
        "randBytes",
        &[
            "[{{ randBytes 0 }}]",
            "{{ randBytes -1 }}",
            "{{ randBytes 5 | len }}",
            r#"{{ randBytes "a" }}"#,
            "{{ randBytes }}",
        ],
    ),
    (
        "randAlphaNum",
        &[
            "[{{ randAlphaNum 0 }}]",
            "[{{ randAlphaNum -1 }}]",
            "{{ randAlphaNum 5 | len }}",
            r#"{{ randAlphaNum "a" }}"#,
            "{{ randAlphaNum 1.5 }}",
        ],
    ),
    (
        "randAlpha",
        &[
            "[{{ randAlpha 0 }}]",
            "[{{ randAlpha -1 }}]",
            "{{ randAlpha 5 | len }}",
            r#"{{ randAlpha "a" }}"#,
            "{{ randAlpha }}",
        ],
    ),
    (
        "randNumeric",
        &[
            "[{{ randNumeric 0 }}]",
            "[{{ randNumeric -1 }}]",
            "{{ randNumeric 5 | len }}",
            r#"{{ randNumeric "a" }}"#,
            "{{ randNumeric }}",
        ],
    ),
    (
        "randAscii",
        &[
            "[{{ randAscii 0 }}]",
            "[{{ randAscii -1 }}]",
            "{{ randAscii 5 | len }}",
            r#"{{ randAscii "a" }}"#,
            "{{ randAscii }}",
        ],
    ),
    (
        "shuffle",
        &[
            r#"{{ shuffle "aaa" }}"#,
            r#"[{{ shuffle "" }}]"#,
            r#"{{ shuffle "☂☂" }}"#,
            "{{ shuffle 5 }}",
            "{{ shuffle }}",
            r#"{{ shuffle "abc" | len }}"#,
        ],
    ),
    (
        "uuidv4",
        &[
            "{{ uuidv4 | len }}",
            "{{ uuidv4 1 }}",
            r#"{{ uuidv4 | splitList "-" | len }}"#,
            "{{ typeOf uuidv4 }}",
            r#"{{ uuidv4 | regexMatch "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$" }}"#,
        ],
    ),
];

/// Cases for Sealed Secrets' set.
const SEALED: &[(&str, &[&str])] = &[(
    "htpasswd",
    &[
        r#"{{ htpasswd "a" "b" | trunc 9 }}"#,
        r#"{{ htpasswd "a:b" "c" }}"#,
        r#"{{ htpasswd "" "" | len }}"#,
        r#"{{ htpasswd "a" (repeat 73 "b") }}"#,
        r#"{{ htpasswd "a" }}"#,
        r#"{{ htpasswd 1 "b" }}"#,
    ],
)];

/// Cases for External Secrets' set.
const EXTERNAL: &[(&str, &[&str])] = &[
    (
        "filterPEM",
        &[
            r#"{{ .bundle | filterPEM "CERTIFICATE" }}"#,
            r#"{{ .bundle | filterPEM "private key" }}"#,
            r#"[{{ .bundle | filterPEM "RSA PRIVATE KEY" }}]"#,
            r#"[{{ "" | filterPEM "CERTIFICATE" }}]"#,
            r#"{{ "junk" | filterPEM "CERTIFICATE" }}"#,
            r#"{{ print "junk\n" .leaf "rest" | filterPEM "CERTIFICATE" }}"#,
            r#"[{{ print .leaf "rest" | filterPEM "X" }}]"#,
            r#"{{ .headers | filterPEM "A" }}"#,
            r#"{{ .leaf | filterPEM 1 }}"#,
            r#"{{ filterPEM "A" }}"#,
        ],
    ),
    (
        "filterCertChain",
        &[
            r#"{{ .shuffled | filterCertChain "leaf" }}"#,
            r#"{{ .shuffled | filterCertChain "intermediate" }}"#,
            r#"{{ .shuffled | filterCertChain "root" }}"#,
            r#"[{{ .shuffled | filterCertChain "nothing" }}]"#,
            r#"[{{ .root | filterCertChain "leaf" }}{{ .leaf | filterCertChain "intermediate" }}{{ .leaf | filterCertChain "root" }}]"#,
            r#"{{ print .leaf .eccert | filterCertChain "leaf" }}"#,
            r#"{{ print .leaf .leaf | filterCertChain "leaf" }}"#,
            r#"{{ print .root .root | filterCertChain "leaf" }}"#,
            r#"{{ "" | filterCertChain "leaf" }}"#,
            r#"{{ .rsa | filterCertChain "leaf" }}"#,
            r#"{{ 5 | filterCertChain "leaf" }}"#,
        ],
    ),
    (
        "certSANs",
        &[
            r#"{{ .leaf | certSANs | join "," }}"#,
            r#"{{ .root | certSANs | toJson }}"#,
            r#"{{ print "junk" .leaf | certSANs | len }}"#,
            r#"{{ .leaf | certSANs | typeOf }}"#,
            r#"{{ "junk" | certSANs }}"#,
            r#"{{ .rsa | certSANs }}"#,
            r#"{{ 5 | certSANs }}"#,
        ],
    ),
    (
        "jwkPublicKeyPem",
        &[
            "{{ jwkPublicKeyPem .rsapub }}",
            "{{ jwkPublicKeyPem .ecpub }}",
            "{{ jwkPublicKeyPem .edpub }}",
            "{{ jwkPublicKeyPem .jwkrsa }}",
            "{{ jwkPublicKeyPem .jwkec }}",
            "{{ jwkPublicKeyPem .jwked }}",
            r#"{{ jwkPublicKeyPem "{}" }}"#,
            r#"{{ jwkPublicKeyPem "" }}"#,
            r#"{{ jwkPublicKeyPem "{\"kty\":\"oct\",\"k\":\"AAAA\"}" }}"#,
            r#"{{ jwkPublicKeyPem "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}" }}"#,
            r#"{{ jwkPublicKeyPem 5 }}"#,
        ],
    ),
    (
        "jwkPrivateKeyPem",
        &[
            "{{ jwkPrivateKeyPem .jwkrsa }}",
            "{{ jwkPrivateKeyPem .jwkec }}",
            "{{ jwkPrivateKeyPem .jwked }}",
            "{{ jwkPrivateKeyPem .rsapub }}",
            "{{ jwkPrivateKeyPem .ecpub }}",
            "{{ jwkPrivateKeyPem .edpub }}",
            r#"{{ jwkPrivateKeyPem "[]" }}"#,
            r#"{{ jwkPrivateKeyPem (.jwked | replace "\"d\": \"" "\"d\": \"AAAA") }}"#,
            r#"{{ jwkPrivateKeyPem 5 }}"#,
        ],
    ),
    (
        "pkcs12key",
        &[
            "{{ .nopass | b64dec | pkcs12key }}",
            "{{ .ecp12 | b64dec | pkcs12key }}",
            "{{ .withpass | b64dec | pkcs12key }}",
            r#"{{ "" | pkcs12key }}"#,
            r#"{{ "junk" | pkcs12key }}"#,
            "{{ .nopass | pkcs12key }}",
            "{{ 5 | pkcs12key }}",
            "{{ .leaf | pkcs12key }}",
        ],
    ),
    (
        "pkcs12keyPass",
        &[
            r#"{{ .withpass | b64dec | pkcs12keyPass "fake-pass" }}"#,
            r#"{{ .legacy | b64dec | pkcs12keyPass "fake-pass" }}"#,
            r#"{{ .legacy | b64dec | pkcs12keyPass "wrong" }}"#,
            r#"{{ .nopass | b64dec | pkcs12keyPass "" }}"#,
            r#"{{ .nopass | b64dec | pkcs12keyPass "☂" }}"#,
            r#"{{ .nopass | b64dec | pkcs12keyPass "𝄞" }}"#,
            r#"{{ pkcs12keyPass "a" }}"#,
        ],
    ),
    (
        "pkcs12cert",
        &[
            "{{ .nopass | b64dec | pkcs12cert }}",
            "{{ .ecp12 | b64dec | pkcs12cert }}",
            "{{ .legacy | b64dec | pkcs12cert }}",
            r#"{{ .nopass | b64dec | trunc 100 | pkcs12cert }}"#,
            "{{ 5 | pkcs12cert }}",
            r#"{{ "" | pkcs12cert }}"#,
        ],
    ),
    (
        "pkcs12certPass",
        &[
            r#"{{ .withpass | b64dec | pkcs12certPass "fake-pass" }}"#,
            r#"{{ .legacy | b64dec | pkcs12certPass "fake-pass" }}"#,
            r#"{{ .withpass | b64dec | pkcs12certPass "" }}"#,
            r#"{{ .ecp12 | b64dec | pkcs12certPass "" }}"#,
            r#"{{ .withpass | b64dec | pkcs12certPass 5 }}"#,
        ],
    ),
    (
        "pemToPkcs12",
        &[
            "{{ pemToPkcs12 .leaf .rsa | b64dec | pkcs12key }}",
            "{{ pemToPkcs12 (print .leaf .chain) .rsa | b64dec | pkcs12cert }}",
            "{{ pemToPkcs12 .eccert .ec | b64dec | pkcs12key }}",
            "{{ pemToPkcs12 .leaf .leaf }}",
            "{{ pemToPkcs12 .rsa .rsa }}",
            r#"{{ pemToPkcs12 "" .rsa }}"#,
            r#"{{ pemToPkcs12 .leaf "" }}"#,
            "{{ pemToPkcs12 .leaf }}",
            "{{ pemToPkcs12 .leaf 5 }}",
        ],
    ),
    (
        "pemToPkcs12Pass",
        &[
            r#"{{ pemToPkcs12Pass .leaf .rsa "pw" | b64dec | pkcs12keyPass "pw" }}"#,
            r#"{{ pemToPkcs12Pass .leaf .rsa "" | b64dec | pkcs12cert }}"#,
            r#"{{ pemToPkcs12Pass .leaf .rsa "ü☂" | b64dec | pkcs12keyPass "ü☂" }}"#,
            r#"{{ pemToPkcs12Pass .leaf .rsa "𝄞" }}"#,
            r#"{{ pemToPkcs12Pass .leaf .rsa "pw" | b64dec | pkcs12keyPass "other" }}"#,
            r#"{{ pemToPkcs12Pass .leaf .rsa }}"#,
        ],
    ),
    (
        "fullPemToPkcs12",
        &[
            "{{ fullPemToPkcs12 (print .leaf .chain) .rsa | b64dec | pkcs12cert }}",
            "{{ fullPemToPkcs12 (print .leaf .root .int) .rsa | b64dec | pkcs12cert }}",
            "{{ fullPemToPkcs12 (print .leaf .eccert) .rsa | b64dec | pkcs12cert }}",
            "{{ fullPemToPkcs12 .leaf .rsa | b64dec | pkcs12key }}",
            r#"{{ fullPemToPkcs12 (print .leaf "junk") .rsa }}"#,
            "{{ fullPemToPkcs12 .leaf .int }}",
        ],
    ),
    (
        "fullPemToPkcs12Pass",
        &[
            r#"{{ fullPemToPkcs12Pass (print .leaf .chain) .rsa "pw" | b64dec | pkcs12certPass "pw" }}"#,
            r#"{{ fullPemToPkcs12Pass (print .leaf .chain) .rsa "" | b64dec | pkcs12certPass "" }}"#,
            r#"{{ fullPemToPkcs12Pass .eccert .ec8 "a" | b64dec | pkcs12keyPass "a" }}"#,
            r#"{{ fullPemToPkcs12Pass .leaf .rsa 5 }}"#,
            r#"{{ fullPemToPkcs12Pass "" "" "" }}"#,
        ],
    ),
    (
        "pemTruststoreToPKCS12",
        &[
            "{{ pemTruststoreToPKCS12 .chain | trunc 3 }}",
            r#"{{ pemTruststoreToPKCS12 "" | trunc 3 }}"#,
            "{{ pemTruststoreToPKCS12 .rsa }}",
            r#"{{ pemTruststoreToPKCS12 "junk" }}"#,
            "{{ pemTruststoreToPKCS12 5 }}",
            "{{ pemTruststoreToPKCS12 .root | b64dec | pkcs12cert }}",
        ],
    ),
    (
        "pemTruststoreToPKCS12Pass",
        &[
            r#"{{ pemTruststoreToPKCS12Pass .chain "pw" | trunc 3 }}"#,
            r#"{{ pemTruststoreToPKCS12Pass .chain "𝄞" }}"#,
            r#"{{ pemTruststoreToPKCS12Pass .chain }}"#,
            r#"{{ pemTruststoreToPKCS12Pass (print .root "\n\n") "a" }}"#,
            r#"{{ pemTruststoreToPKCS12Pass 1 2 }}"#,
        ],
    ),
    (
        "rsaDecrypt",
        &[
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" (.oaep256 | b64dec) .rsa }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA1" (.oaep1 | b64dec) .rsa1 }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "None" (.oaep256 | b64dec) .rsa }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "nonsense" (.oaep256 | b64dec) .rsa }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA512" (.oaep256 | b64dec) .rsa }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" (.v15 | b64dec) .rsa }}"#,
            r#"{{ rsaDecrypt "None" "None" .user "" }}"#,
            r#"{{ rsaDecrypt "RSA-PKCS1" "None" .user .rsa }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" "" .rsa }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" (.oaep256 | b64dec) .ec8 }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" (.oaep256 | b64dec) .leaf }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" (.oaep256 | b64dec) "" }}"#,
            r#"{{ rsaDecrypt "RSA-OAEP" "SHA256" 5 .rsa }}"#,
        ],
    ),
];

/// Returns how many cases a function has here.
pub(crate) fn count(name: &str) -> usize {
    let tables = [BOTH, SEALED, EXTERNAL];
    tables
        .iter()
        .flat_map(|table| table.iter())
        .filter(|(own, _)| *own == name)
        .map(|(_, cases)| cases.len())
        .sum()
}

fn data() -> Data {
    let mut data = store("template-pkcs12-write");
    data.extend(store("template-pkcs12-legacy"));
    let decrypt = store("template-rsa-decrypt");
    for (key, value) in &decrypt {
        let name = if key == "key1" { "rsa1" } else { key };
        data.insert(name.to_owned(), value.duplicate());
    }
    for (key, value) in store("template-jwk") {
        let name = if key.ends_with("pub") { key } else { format!("jwk{key}") };
        data.insert(name, value);
    }
    for (key, value) in [("user", "amber"), ("empty", ""), ("uni", "Ünïcode ☂")] {
        data.insert(key.to_owned(), value.into());
    }
    data.insert("raw".into(), vec![0xff, 0x00, 0xfe, b'a'].into());
    data.insert("headers".into(), "-----BEGIN A-----\nX: y\nProc-Type: 4\n\nYWJj\n-----END A-----\n".into());
    let aes = render(&sealed_secrets(), r#"{{ encryptAES "key" "secret text" }}"#, &data).unwrap();
    data.insert("aes".into(), aes);
    data
}

/// Asks Go for all cases of a set.
fn ask(part: &str, cases: &[&str], data: &Data) -> Vec<Value> {
    let path = Parts::locate().unwrap().path(part).unwrap();
    let mut oracle = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let encoded: BTreeMap<&String, String> =
        data.iter().map(|(key, value)| (key, base64::encode_public(value.expose()))).collect();
    let requests: String = cases
        .iter()
        .map(|template| {
            let template = base64::encode_public(template.as_bytes());
            json!({ "name": "t", "template": template, "data": encoded, "missingkey": "error" }).to_string()
                + "\n"
        })
        .collect();
    let mut stdin = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(requests.as_bytes()).unwrap());
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(answers.len(), cases.len());
    answers
}

/// Differences that are intended, by template.
const INTENDED: &[(&str, &str)] = &[];

fn compare(part: &str, functions: &FunctionSet, tables: &[&[(&str, &[&str])]]) {
    let data = data();
    let mut differences = Vec::new();
    let mut counts = BTreeMap::new();
    for (function, cases) in tables.iter().flat_map(|table| table.iter()) {
        assert!(cases.len() >= 5, "{function} has {} cases", cases.len());
        for (template, answer) in cases.iter().zip(ask(part, cases, &data)) {
            let ours = render(functions, template, &data);
            *counts.entry(*function).or_insert(0) += 1;
            let theirs: Option<Plaintext> = answer["ok"]
                .as_bool()
                .unwrap()
                .then(|| base64::decode(answer["output"].as_str().unwrap_or_default().as_bytes()).unwrap());
            let same = match (&ours, &theirs) {
                (Ok(ours), Some(theirs)) => ours.ct_eq(theirs),
                (Err(_), None) => true,
                _ => false,
            };
            if !same && !INTENDED.iter().any(|(intended, _)| intended == template) {
                let ours = ours.as_ref().map(|value| String::from_utf8_lossy(value.expose()).into_owned());
                differences.push(format!(
                    "{template}\n  ours: {ours:?}\n  Go: {:?} {}",
                    theirs.map(|value| String::from_utf8_lossy(value.expose()).into_owned()),
                    answer["error"]
                ));
            }
        }
    }
    println!("{part}: {counts:?}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn sealed_secrets_set_agrees_with_go() {
    compare("template-sealed-secrets", &sealed_secrets(), &[BOTH, SEALED]);
}

#[test]
fn external_secrets_set_agrees_with_go() {
    compare("template-external-secrets", &external_secrets(), &[BOTH, EXTERNAL]);
}
