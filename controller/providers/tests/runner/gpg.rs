use std::process::Command;
use std::time::Duration;

use crate::run_peer::run_peer;
use anyhow::{Context, Result};
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::Plaintext;

use super::{GpgHome, local_keys, sops_file};

const PEER: Duration = Duration::from_secs(60);
const FINGERPRINT: &str = "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4";
const SUBKEY: &str = "71D962851765394F76DB9CFC25294A17CD90507F";

fn part() -> KeyPart {
    KeyPart::new(Plaintext::from(b"0123456789abcdef0123456789abcdef".as_slice()))
}

fn pgp(fingerprint: &str) -> MasterKey {
    MasterKey::Pgp { fingerprint: fingerprint.to_owned() }
}

fn test_keys() -> Result<String> {
    sops_file("pgp/sops_functional_tests_key.asc")
}

/// gpg and the built-in implementation, each reading what the other wrote.
#[test]
fn gpg_and_the_built_in_read_each_other() -> Result<()> {
    let home = GpgHome::with_key(&test_keys()?)?;
    let armored = test_keys()?;
    let with_gpg = local_keys(&[("GNUPGHOME", home.path())]);
    let built_in = local_keys(&[("SEALOPS_PGP_KEY", &armored), ("SOPS_GPG_EXEC", "/nonexistent/gpg")]);
    let mut pairs = 0;
    for fingerprint in [FINGERPRINT.to_owned(), format!("{SUBKEY}!"), FINGERPRINT.to_lowercase()] {
        for (writer, name) in [(&with_gpg, "gpg"), (&built_in, "built in")] {
            let wrapped = writer
                .wrap(&pgp(&fingerprint), &part())
                .unwrap_or_else(|error| panic!("{name} {fingerprint}: {error}"));
            assert!(wrapped.starts_with("-----BEGIN PGP MESSAGE-----"), "{wrapped}");
            assert_eq!(wrapped, wrapped.trim());
            for reader in [&with_gpg, &built_in] {
                let opened = reader.unwrap(&pgp(&fingerprint), &wrapped).unwrap();
                assert_eq!(opened.plaintext().expose(), part().plaintext().expose());
                pairs += 1;
            }
        }
    }
    assert_eq!(pairs, 12);
    Ok(())
}

/// A key under a passphrase that gpg made: rsa2048 with a subkey for encryption.
#[test]
fn the_key_file_and_its_passphrase_are_used() -> Result<()> {
    let home = GpgHome::with_key(&test_keys()?)?;
    let gpg = |arguments: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new("gpg");
        command.args([
            "--batch",
            "--homedir",
            home.path(),
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "pa ss",
        ]);
        command.args(arguments);
        let output = run_peer(command, b"", PEER)?;
        anyhow::ensure!(output.status.success(), "gpg {arguments:?}: {}", output.stderr);
        Ok(output.stdout)
    };
    gpg(&["--quick-generate-key", "sealops test <t@example.com>", "ed25519", "sign", "never"])?;
    let fingerprint = || -> Result<String> {
        let listed = String::from_utf8(gpg(&["--with-colons", "--list-keys", "t@example.com"])?)?;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).context("no fingerprint")?;
        Ok(line.split(':').nth(9).context("no fingerprint")?.to_owned())
    };
    let fingerprint = fingerprint()?;
    let file = home.0.path().join("key.asc");
    let keys = |passphrase: &str| {
        local_keys(&[
            ("SEALOPS_PGP_KEY_FILE", file.to_str().unwrap()),
            ("SEALOPS_PGP_PASSPHRASE", passphrase),
            ("SOPS_GPG_EXEC", "/nonexistent/gpg"),
        ])
    };
    std::fs::write(&file, gpg(&["--armor", "--export-secret-keys", &fingerprint])?)?;
    // So far the key signs only.
    let error = keys("pa ss").wrap(&pgp(&fingerprint), &part()).unwrap_err();
    assert!(error.contains("has no valid subkey for encryption"), "{error}");
    gpg(&["--quick-add-key", &fingerprint, "cv25519", "encr", "never"])?;
    std::fs::write(&file, gpg(&["--armor", "--export-secret-keys", &fingerprint])?)?;
    let wrapped = keys("pa ss").wrap(&pgp(&fingerprint), &part()).unwrap();
    let opened = keys("pa ss").unwrap(&pgp(&fingerprint), &wrapped).unwrap();
    assert_eq!(opened.plaintext().expose(), part().plaintext().expose());
    assert!(keys("wrong").unwrap(&pgp(&fingerprint), &wrapped).is_err());
    Ok(())
}

#[test]
fn failures_are_told_in_sops_words() -> Result<()> {
    let home = GpgHome::with_key(&test_keys()?)?;
    let keys = local_keys(&[("GNUPGHOME", home.path())]);
    let error = keys.wrap(&pgp("0000000000000000000000000000000000000000"), &part()).unwrap_err();
    assert!(
        error.starts_with("could not encrypt data key with PGP key: GnuPG binary error: failed to encrypt sops data key with pgp: gpg: "),
        "{error}"
    );
    let error = keys.wrap(&pgp("--output=/tmp/x"), &part()).unwrap_err();
    assert!(error.contains("is no fingerprint"), "{error}");
    let error = keys.unwrap(&pgp(FINGERPRINT), "not a message").unwrap_err();
    assert!(
        error.starts_with("could not decrypt data key with PGP key: GnuPG binary error: failed to decrypt sops data key with pgp: gpg: "),
        "{error}"
    );
    let missing =
        local_keys(&[("SOPS_GPG_EXEC", "/nonexistent/gpg")]).unwrap(&pgp(FINGERPRINT), "x").unwrap_err();
    assert!(missing.contains("executable file not found"), "{missing}");
    Ok(())
}

/// B7 72: cut and changed messages, and texts that are none.
#[test]
fn bad_input_72_of_messages() -> Result<()> {
    let armored = test_keys()?;
    let keys = local_keys(&[("SEALOPS_PGP_KEY", &armored), ("SOPS_GPG_EXEC", "/nonexistent/gpg")]);
    let wrapped = keys.wrap(&pgp(FINGERPRINT), &part()).unwrap();
    let mut refused = 0;
    for length in (0..wrapped.len()).step_by(7) {
        refused += usize::from(keys.unwrap(&pgp(FINGERPRINT), &wrapped[..length]).is_err());
    }
    assert_eq!(refused, wrapped.len().div_ceil(7));
    let bytes = wrapped.as_bytes();
    for at in (40..bytes.len() - 40).step_by(11) {
        let mut changed = bytes.to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(changed)?;
        if let Ok(opened) = keys.unwrap(&pgp(FINGERPRINT), &text) {
            assert_eq!(opened.plaintext().expose(), part().plaintext().expose(), "at {at}");
        }
    }
    Ok(())
}
