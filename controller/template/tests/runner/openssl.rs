//! What the functions make is opened by OpenSSL, with equal content.

use std::path::Path;
use std::process::Command;

use sealops_formats::{Plaintext, base64};
use sealops_template::functions::{external_secrets, sealed_secrets};
use tempfile::TempDir;

use super::crypto::{Data, render, store, text};

/// Runs OpenSSL in a folder that holds the inputs; returns what it writes.
fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(
        output.status.success(),
        "openssl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// The certificates and keys of a PKCS#12 file, without the attributes that OpenSSL prints between.
fn opened(file: &Plaintext, password: &str, what: &str) -> String {
    let bytes = base64::decode(file.expose()).unwrap();
    let folder = folder(&[("f.p12", bytes.expose())]);
    let pass = format!("pass:{password}");
    let printed = openssl(folder.path(), &["pkcs12", "-in", "f.p12", "-passin", &pass, "-nodes", what]);
    let mut inside = false;
    let keep = |line: &&str| {
        inside |= line.starts_with("-----BEGIN");
        let keep = inside;
        inside &= !line.starts_with("-----END");
        keep
    };
    printed.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

fn value(data: &Data, key: &str) -> String {
    data[key].expose_str().unwrap().to_owned()
}

#[test]
fn pkcs12_files_hold_what_was_put_in() {
    let data = store("template-pkcs12-write");
    let set = external_secrets();
    for (template, password, certificates, key) in [
        ("{{ pemToPkcs12 .leaf .rsa }}", "", vec!["leaf"], "rsa"),
        ("{{ pemToPkcs12Pass .leaf .rsa \"pw ü\" }}", "pw ü", vec!["leaf"], "rsa"),
        ("{{ pemToPkcs12 .eccert .ec }}", "", vec!["eccert"], "ec8"),
        ("{{ pemToPkcs12 .eccert .ec8 }}", "", vec!["eccert"], "ec8"),
        ("{{ fullPemToPkcs12 (print .leaf .chain) .rsa }}", "", vec!["leaf", "int", "root"], "rsa"),
        (
            "{{ fullPemToPkcs12Pass (print .leaf .chain) .rsa \"pw\" }}",
            "pw",
            vec!["leaf", "int", "root"],
            "rsa",
        ),
    ] {
        let file = render(&set, template, &data).unwrap();
        let expected: String = certificates.iter().map(|name| value(&data, name)).collect();
        assert_eq!(opened(&file, password, "-nokeys"), expected, "{template}");
        assert_eq!(opened(&file, password, "-nocerts"), value(&data, key), "{template}");
    }
}

#[test]
fn pkcs12_files_have_the_modern_profile_and_join_key_and_certificate() {
    let data = store("template-pkcs12-write");
    let file = render(&external_secrets(), "{{ pemToPkcs12Pass .leaf .rsa \"pw\" }}", &data).unwrap();
    let bytes = base64::decode(file.expose()).unwrap();
    let folder = folder(&[("f.p12", bytes.expose())]);
    let output = Command::new("openssl")
        .args(["pkcs12", "-in", "f.p12", "-passin", "pass:pw", "-nodes", "-info"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (info, content) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    for expected in
        ["MAC: sha256, Iteration 2048", "PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256"]
    {
        assert!(info.contains(expected), "{info}");
    }
    let ids: Vec<_> = content.lines().filter(|line| line.contains("localKeyID")).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{content}");
}

#[test]
fn trust_stores_are_marked_for_java() {
    let data = store("template-pkcs12-write");
    let file = render(&external_secrets(), "{{ pemTruststoreToPKCS12Pass .chain \"pw\" }}", &data).unwrap();
    assert_eq!(opened(&file, "pw", "-nokeys"), value(&data, "chain"));
    let bytes = base64::decode(file.expose()).unwrap();
    let folder = folder(&[("f.p12", bytes.expose())]);
    let printed =
        openssl(folder.path(), &["pkcs12", "-in", "f.p12", "-passin", "pass:pw", "-nodes", "-nokeys"]);
    for name in ["friendlyName: CN=Fake Intermediate", "friendlyName: CN=Fake Root"] {
        assert!(printed.contains(name), "{printed}");
    }
    assert_eq!(printed.matches("2.16.840.1.113894.746875.1.1: ").count(), 2, "{printed}");
}

#[test]
fn files_that_openssl_wrote_are_read() {
    let data = store("template-pkcs12-write");
    let set = external_secrets();
    let parts: Vec<(String, String)> =
        ["leaf", "rsa", "chain"].map(|name| (name.to_owned(), value(&data, name))).to_vec();
    let files: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, content)| (name.as_str(), content.as_bytes())).collect();
    let folder = folder(&files);
    for options in [
        &["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"][..],
        &["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-RC2-40", "-macalg", "sha1", "-legacy"],
        &["-keypbe", "PBE-SHA1-RC2-128", "-certpbe", "PBE-SHA1-RC2-128", "-macalg", "sha1", "-legacy"],
        &["-keypbe", "AES-128-CBC", "-certpbe", "AES-192-CBC", "-macalg", "sha512"],
        &["-keypbe", "AES-256-CBC", "-certpbe", "NONE", "-iter", "1"],
        &["-iter", "10000"],
    ] {
        for password in ["", "pw ü"] {
            let out = ["-out", "f.p12", "-passout", &format!("pass:{password}")].map(str::to_owned);
            let mut arguments =
                vec!["pkcs12", "-export", "-in", "leaf", "-inkey", "rsa", "-certfile", "chain"];
            arguments.extend(out.iter().map(String::as_str));
            arguments.extend(options);
            openssl(folder.path(), &arguments);
            let mut data = Data::new();
            data.insert("file".into(), std::fs::read(folder.path().join("f.p12")).unwrap().into());
            data.insert("pass".into(), password.into());
            let place = format!("{options:?} {password:?}");
            assert_eq!(text(&set, "{{ pkcs12keyPass .pass .file }}", &data), parts[1].1, "{place}");
            let chain = parts[0].1.clone() + &parts[2].1;
            assert_eq!(text(&set, "{{ pkcs12certPass .pass .file }}", &data), chain, "{place}");
            data.insert("pass".into(), "wrong".into());
            let error = render(&set, "{{ pkcs12keyPass .pass .file }}", &data).err().unwrap();
            assert!(error.ends_with("pkcs12: decryption password incorrect"), "{error}");
        }
    }
}

#[test]
fn jwks_become_the_keys_that_openssl_reads() {
    let data = store("template-jwk");
    for (private, public) in [("rsa", "rsapub"), ("ec", "ecpub"), ("ed", "edpub")] {
        let key = text(&external_secrets(), &format!("{{{{ jwkPrivateKeyPem .{private} }}}}"), &data);
        let folder = folder(&[("key", key.as_bytes())]);
        assert_eq!(openssl(folder.path(), &["pkey", "-in", "key"]), key);
        openssl(folder.path(), &["pkey", "-in", "key", "-check", "-noout"]);
        let derived = openssl(folder.path(), &["pkey", "-in", "key", "-pubout"]);
        let made = text(&external_secrets(), &format!("{{{{ jwkPublicKeyPem .{public} }}}}"), &data);
        assert_eq!(derived, made, "{public}");
    }
}

#[test]
fn private_keys_have_the_form_of_sprig() {
    for (kind, line, words) in [
        ("rsa", "-----BEGIN RSA PRIVATE KEY-----", "4096 bit"),
        ("ecdsa", "-----BEGIN EC PRIVATE KEY-----", "prime256v1"),
        ("ed25519", "-----BEGIN PRIVATE KEY-----", "ED25519"),
    ] {
        let key = text(&sealed_secrets(), &format!("{{{{ genPrivateKey \"{kind}\" }}}}"), &Data::new());
        assert!(key.starts_with(line), "{kind}");
        let folder = folder(&[("key", key.as_bytes())]);
        let printed = openssl(folder.path(), &["pkey", "-in", "key", "-text", "-noout"]);
        assert!(printed.contains(words), "{kind}");
    }
}

#[test]
fn signed_certificates_verify_against_their_authority() {
    let data = store("template-pkcs12-write");
    for (ca, cert) in [
        (
            "genCA \"test ca\" 365",
            "genSignedCert \"a.test\" (list \"192.0.2.1\" \"2001:db8::1\") (list \"a.test\" \"*.b.test\") 30 $ca",
        ),
        (
            "genCAWithKey \"test ca\" 365 .ec",
            "genSignedCertWithKey \"a.test\" (list \"192.0.2.1\" \"2001:db8::1\") (list \"a.test\" \"*.b.test\") 30 $ca .ec8",
        ),
        (
            "genCAWithKey \"test ca\" 365 .rsa",
            "genSignedCertWithKey \"a.test\" (list \"192.0.2.1\" \"2001:db8::1\") (list \"a.test\" \"*.b.test\") 30 $ca .ec",
        ),
    ] {
        let template = format!(
            "{{{{ $ca := {ca} }}}}{{{{ $c := {cert} }}}}{{{{ $ca.Cert }}}}|{{{{ $c.Cert }}}}|{{{{ $c.Key }}}}"
        );
        let made = text(&sealed_secrets(), &template, &data);
        let parts: Vec<&str> = made.split('|').collect();
        let folder = folder(&[
            ("ca", parts[0].as_bytes()),
            ("cert", parts[1].as_bytes()),
            ("key", parts[2].as_bytes()),
        ]);
        let verified = openssl(
            folder.path(),
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                "ca",
                "-purpose",
                "sslserver",
                "-verify_hostname",
                "x.b.test",
                "cert",
            ],
        );
        assert_eq!(verified.trim(), "cert: OK", "{template}");
        let own = openssl(folder.path(), &["x509", "-in", "cert", "-noout", "-pubkey"]);
        assert_eq!(openssl(folder.path(), &["pkey", "-in", "key", "-pubout"]), own);
        let printed = openssl(folder.path(), &["x509", "-in", "cert", "-noout", "-text"]);
        for expected in [
            "Issuer: CN = test ca",
            "Subject: CN = a.test",
            "DNS:a.test, DNS:*.b.test, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
            "Digital Signature, Key Encipherment",
            "TLS Web Server Authentication, TLS Web Client Authentication",
            "CA:FALSE",
        ] {
            assert!(printed.replace("CN=", "CN = ").contains(expected), "{expected}: {printed}");
        }
        let printed = openssl(folder.path(), &["x509", "-in", "ca", "-noout", "-text"]);
        for expected in ["CA:TRUE", "Digital Signature, Key Encipherment, Certificate Sign"] {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
        openssl(folder.path(), &["x509", "-in", "cert", "-noout", "-checkend", &(29 * 86400).to_string()]);
    }
}

#[test]
fn self_signed_certificates_verify_by_themselves() {
    let made = text(
        &sealed_secrets(),
        "{{ (genSelfSignedCert \"a.test\" nil (list \"a.test\") 30).Cert }}",
        &Data::new(),
    );
    let folder = folder(&[("cert", made.as_bytes())]);
    assert_eq!(openssl(folder.path(), &["verify", "-CAfile", "cert", "cert"]).trim(), "cert: OK");
}

/// crypt(3) of the system's Python or Perl is not everywhere; bcrypt is checked by hashing again under the same salt.
#[test]
fn password_hashes_verify() {
    let mut data = Data::new();
    data.insert("pass".into(), "fake-pass-1".into());
    let hash = text(&sealed_secrets(), "{{ bcrypt .pass }}", &data);
    assert!(hash.starts_with("$2a$10$") && hash.len() == 60, "{hash}");
    assert!(bcrypt::verify("fake-pass-1", &hash).unwrap());
    assert!(!bcrypt::verify("fake-pass-2", &hash).unwrap());
    let line = text(&external_secrets(), "{{ htpasswd \"amber\" .pass \"bcrypt\" }}", &data);
    assert!(bcrypt::verify("fake-pass-1", line.strip_prefix("amber:").unwrap()).unwrap());
    let line = text(&external_secrets(), "{{ htpasswd \"amber\" .pass \"sha\" }}", &data);
    let folder = folder(&[("pass", b"fake-pass-1")]);
    let digest = openssl(folder.path(), &["dgst", "-sha1", "-r", "pass"]);
    let bytes: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(line, format!("amber:{{SHA}}{}", base64::encode_public(&bytes)));
    for line in ["{{ htpasswd \"a:b\" \"c\" \"sha\" }}", "{{ htpasswd \"a:b\" \"c\" \"bcrypt\" }}"] {
        assert_eq!(text(&external_secrets(), line, &data), "invalid username: a:b");
    }
    for other in ["md5", ""] {
        let line = text(&external_secrets(), &format!("{{{{ htpasswd \"a\" \"b\" \"{other}\" }}}}"), &data);
        assert!(line.starts_with("a:$2a$10$"), "{line}");
    }
}
