//! The functions for keys, certificates and passwords: what they make, and what they refuse.

use std::collections::BTreeMap;
use std::path::Path;

use sealops_formats::Plaintext;
use sealops_formats::manifest;
use sealops_template::functions::{external_secrets, sealed_secrets};
use sealops_template::{
    Capabilities, ExecError, FunctionSet, Limits, MissingKey, Options, Template, Value, system,
};

pub type Data = BTreeMap<String, Plaintext>;

/// Renders a template with everything allowed.
pub fn render(functions: &FunctionSet, text: &str, data: &Data) -> Result<Plaintext, String> {
    try_render(functions, text, data, system::capabilities(), Limits::default()).map_err(|error| error.text)
}

pub fn try_render(
    functions: &FunctionSet,
    text: &str,
    data: &Data,
    capabilities: Capabilities<'_>,
    limits: Limits,
) -> Result<Plaintext, ExecError> {
    let options = Options { missing_key: MissingKey::Error, ..Options::default() };
    let template = Template::parse("t", text.as_bytes(), functions, options).map_err(|error| ExecError {
        text: error.to_string(),
        budget: None,
        missing_capability: None,
    })?;
    let root = Value::of_strings(data.iter().map(|(key, value)| (key.as_str(), value)));
    template.execute(&root, limits, capabilities)
}

/// Returns what the fake store of a recorded scenario holds.
pub fn store(scenario: &str) -> Data {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/eso"))
        .join(scenario)
        .join("01-apply.yaml");
    let text = std::fs::read(path).unwrap();
    let documents = manifest::parse(&text).unwrap();
    let data = documents[0].root.at(&["spec", "provider", "fake", "data"]).unwrap();
    let manifest::Value::List(entries) = &data.value else { panic!("no list") };
    entries
        .iter()
        .map(|entry| (entry.str_at(&["key"]).unwrap().to_owned(), entry.str_at(&["value"]).unwrap().into()))
        .collect()
}

pub fn text(functions: &FunctionSet, template: &str, data: &Data) -> String {
    match render(functions, template, data) {
        Ok(value) => value.expose_str().unwrap().to_owned(),
        Err(error) => panic!("{template}: {error}"),
    }
}

fn none() -> Data {
    Data::new()
}

#[test]
fn random_texts_have_the_alphabet_and_length_of_upstream() {
    for set in [sealed_secrets(), external_secrets()] {
        for (template, length, fits) in [
            ("{{ randAlphaNum 500 }}", 500, char::is_alphanumeric as fn(char) -> bool),
            ("{{ randAlpha 500 }}", 500, char::is_alphabetic),
            ("{{ randNumeric 500 }}", 500, char::is_numeric),
            ("{{ randAscii 500 }}", 500, |c| (' '..='~').contains(&c)),
            ("{{ randBytes 6 }}", 8, |c| c.is_ascii_alphanumeric() || "+/=".contains(c)),
            ("{{ randAlphaNum 0 }}", 0, |_| false),
            ("{{ randAlphaNum -1 }}", 0, |_| false),
            ("{{ shuffle \"aaaa\" }}", 4, |c| c == 'a'),
            ("{{ randInt 5 6 }}", 1, |c| c == '5'),
            ("{{ randInt -3 -2 }}", 2, |c| "-3".contains(c)),
            ("{{ uuidv4 }}", 36, |c| c.is_ascii_hexdigit() || c == '-'),
        ] {
            let made = text(&set, template, &none());
            assert_eq!(made.chars().count(), length, "{template}");
            assert!(made.chars().all(fits), "{template}: {made}");
        }
        let all = text(&set, "{{ randAscii 20000 }}", &none());
        let seen: std::collections::BTreeSet<char> = all.chars().collect();
        assert_eq!(seen.len(), 95, "each character of ASCII comes");
        let mut numbers: Vec<_> =
            text(&set, "{{ range until 200 }}{{ randInt 0 3 }}{{ end }}", &none()).chars().collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, ['0', '1', '2']);
        let shuffled = text(&set, "{{ shuffle \"abcdefghijklmnopqrstuvwxyz0123456789ü☂\" }}", &none());
        let mut sorted: Vec<char> = shuffled.chars().collect();
        sorted.sort_unstable();
        assert_eq!(sorted.into_iter().collect::<String>(), "0123456789abcdefghijklmnopqrstuvwxyzü☂");
        let uuid = text(&set, "{{ uuidv4 }}", &none());
        assert_eq!((&uuid[14..15], "89ab".contains(&uuid[19..20])), ("4", true), "{uuid}");
    }
}

#[test]
fn without_capabilities_every_random_function_says_what_it_needs() {
    let data = store("template-pkcs12-write");
    let templates = [
        "{{ randAlphaNum 3 }}",
        "{{ randAlpha 3 }}",
        "{{ randNumeric 3 }}",
        "{{ randAscii 3 }}",
        "{{ randBytes 3 }}",
        "{{ randInt 1 2 }}",
        "{{ shuffle \"ab\" }}",
        "{{ uuidv4 }}",
        "{{ bcrypt \"a\" }}",
        "{{ htpasswd \"a\" \"b\" \"bcrypt\" }}",
        "{{ encryptAES \"a\" \"b\" }}",
        "{{ genPrivateKey \"ed25519\" }}",
        "{{ genCA \"a\" 1 }}",
        "{{ genCAWithKey \"a\" 1 .rsa }}",
        "{{ genSelfSignedCert \"a\" nil nil 1 }}",
        "{{ genSelfSignedCertWithKey \"a\" nil nil 1 .rsa }}",
        "{{ genSignedCert \"a\" nil nil 1 (buildCustomCert (b64enc .root) (b64enc .rsa)) }}",
        "{{ genSignedCertWithKey \"a\" nil nil 1 (buildCustomCert (b64enc .root) (b64enc .rsa)) .rsa }}",
        "{{ pemToPkcs12 .leaf .rsa }}",
        "{{ fullPemToPkcs12 .leaf .rsa }}",
        "{{ pemTruststoreToPKCS12 .root }}",
    ];
    for template in templates {
        let none = Capabilities::default();
        let error = try_render(&external_secrets(), template, &data, none, Limits::default()).err().unwrap();
        assert_eq!(error.missing_capability, Some("randomness"), "{template}: {error}");
    }
}

#[test]
fn keys_and_hashes_are_counted() {
    let limits = Limits { keys: 2, ..Limits::default() };
    let two = "{{ range until 2 }}{{ genPrivateKey \"ed25519\" }}{{ end }}";
    let three = "{{ range until 3 }}{{ genPrivateKey \"ed25519\" }}{{ end }}";
    let run = |text| try_render(&sealed_secrets(), text, &none(), system::capabilities(), limits);
    assert!(run(two).is_ok());
    let error = run(three).err().unwrap();
    assert!(error.text.contains("the template makes more than 2 private keys"), "{error}");
    let limits = Limits { steps: 120_000, ..Limits::default() };
    let run = |text| try_render(&sealed_secrets(), text, &none(), system::capabilities(), limits);
    assert!(run("{{ bcrypt \"a\" }}{{ bcrypt \"b\" }}").is_ok());
    assert!(run("{{ range until 3 }}{{ bcrypt \"a\" }}{{ end }}").err().unwrap().budget.is_some());
    assert!(
        run("{{ range until 2 }}{{ derivePassword 1 \"pin\" \"a\" \"b\" \"c\" }}{{ end }}")
            .err()
            .unwrap()
            .budget
            .is_some()
    );
}

#[test]
fn aes_gives_back_what_it_took() {
    let mut data = none();
    for (length, password) in
        [(0, "p"), (1, ""), (15, "p"), (16, "long password of more than 32 bytes …"), (1000, "p")]
    {
        data.insert("text".into(), vec![7; length].into());
        data.insert("password".into(), password.into());
        let encrypted = render(&sealed_secrets(), "{{ encryptAES .password .text }}", &data).unwrap();
        data.insert("encrypted".into(), encrypted);
        let back = render(&sealed_secrets(), "{{ decryptAES .password .encrypted }}", &data).unwrap();
        assert_eq!(back.expose(), vec![7; length]);
    }
}

#[test]
fn errors_hold_no_part_of_a_value() {
    let mut data = store("template-pkcs12-write");
    data.insert("canary".into(), "hunter2-canary".into());
    data.insert(
        "canaryPem".into(),
        "-----BEGIN CANARY-----\naHVudGVyMi1jYW5hcnk=\n-----END CANARY-----\n".into(),
    );
    for function in [
        "pkcs12key",
        "pkcs12cert",
        "filterPEM \"CERTIFICATE\"",
        "filterCertChain \"leaf\"",
        "certSANs",
        "jwkPublicKeyPem",
        "jwkPrivateKeyPem",
        "rsaDecrypt \"RSA-OAEP\" \"None\" \"x\"",
        "pkcs12keyPass \"a\"",
        "pemToPkcs12 .leaf",
        "pemToPkcs12 .canaryPem",
        "fullPemToPkcs12 .leaf",
        "pemTruststoreToPKCS12",
        "decryptAES \"k\"",
        "genCAWithKey \"a\" 1",
        "buildCustomCert \"\"",
        "rsaDecrypt \"hunter2-canary\" \"a\" \"b\"",
        "genSelfSignedCertWithKey \"a\" (list .canary) nil 1",
        "genSelfSignedCertWithKey \"a\" nil (list .canaryPem) 1",
        "rsaDecrypt \"RSA-OAEP\" \"None\" .canary",
    ] {
        for value in [".canary", ".canaryPem"] {
            let template = format!("{{{{ {value} | {function} }}}}");
            let Err(error) = render(&external_secrets(), &template, &data) else { continue };
            let said = error.replace(&format!("<{function}>"), "");
            assert!(!said.contains("hunter2") && !said.contains("aHVudG"), "{template}: {error}");
        }
    }
}
