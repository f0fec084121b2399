//! The example files of SOPS's repository, opened with its test keys.

use anyhow::{Context, Result};
use sealops_crypto::sops::{EncryptedFile, Inline, KeyKind, MacError, OpenError};
use sealops_formats::tree::{Format, Layout, emit, parse};
use sealops_providers::local::LocalKeys;

use super::{GpgHome, local_keys, sops_file};
use crate::parts::Parts;
use crate::peers::Peers;
use crate::run_peer::run_peer;

fn read(path: &str) -> Result<EncryptedFile> {
    let format = Format::of_path(path);
    let tree = parse(format.envelope(), sops_file(path)?.as_bytes()).with_context(|| path.to_owned())?;
    EncryptedFile::new(tree, format).with_context(|| path.to_owned())
}

fn open(path: &str, keys: &LocalKeys) -> Result<String> {
    let file = read(path)?;
    let mut recovery = file.recovery(&KeyKind::DEFAULT_ORDER);
    while let Some(attempt) = recovery.next_attempt() {
        match keys.unwrap(attempt.key, attempt.wrapped) {
            Ok(part) => recovery.succeeded(attempt.position, part),
            Err(reason) => recovery.failed(attempt.position, vec![reason]),
        }
    }
    let key = recovery.finish().map_err(|error| anyhow::anyhow!("{path}: {error:?}"))?;
    let format = file.format();
    let opened = file.open(key, &Inline).with_context(|| path.to_owned())?;
    let text = emit(format, opened.tree(), &Layout::default()).with_context(|| path.to_owned())?;
    Ok(String::from_utf8(text.expose().to_vec())?)
}

/// specs/sops.md 7.2: versions 3.3.1 to 3.13.2, all formats.
const FILES: &[&str] = &[
    "example.yaml",
    "example.json",
    "example.ini",
    "example.txt",
    "examples/all_in_one/config/secret.enc.json",
    "examples/per_file/config.enc/static_github.json",
    "functional-tests/res/format.enc.yaml",
    "functional-tests/res/format.enc.json",
    "functional-tests/res/format.enc.env",
    "functional-tests/res/format.enc.ini",
    "functional-tests/res/format-2.enc.ini",
    "functional-tests/res/comments.enc.yaml",
    "functional-tests/res/comments_unencrypted_comments.yaml",
    "functional-tests/res/multiple_keys.yaml",
];

/// Both implementations of OpenPGP open them, and what comes out is what the real sops prints.
#[test]
fn the_files_of_sops_open() -> Result<()> {
    let armored = sops_file("pgp/sops_functional_tests_key.asc")?;
    let home = GpgHome::with_key(&armored)?;
    let with_gpg = local_keys(&[("GNUPGHOME", home.path())]);
    let built_in = local_keys(&[("SEALOPS_PGP_KEY", &armored), ("SOPS_GPG_EXEC", "/nonexistent/gpg")]);
    for path in FILES {
        let text = open(path, &with_gpg)?;
        assert_eq!(text, open(path, &built_in)?, "{path}");
        let mut sops = Peers::locate()?.sops()?;
        sops.arg("decrypt").arg(Parts::locate()?.path("sops-files")?.join(path));
        sops.env("GNUPGHOME", home.path()).env("HOME", home.path()).current_dir(home.path());
        assert_eq!(text, run_peer(sops, b"", std::time::Duration::from_secs(60))?.text()?, "{path}");
    }
    Ok(())
}

#[test]
fn the_file_without_a_mac_does_not_open() -> Result<()> {
    let armored = sops_file("pgp/sops_functional_tests_key.asc")?;
    let keys = local_keys(&[("SEALOPS_PGP_KEY", &armored), ("SOPS_GPG_EXEC", "/nonexistent/gpg")]);
    let error = open("functional-tests/res/no_mac.yaml", &keys).unwrap_err();
    assert_eq!(error.downcast_ref::<OpenError>(), Some(&OpenError::Mac(MacError::Missing)));
    Ok(())
}
