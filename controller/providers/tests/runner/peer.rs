//! The real sops reads what is written here, and the other way round.

use std::path::Path;
use std::time::Duration;

use crate::peers::Peers;
use crate::run_peer::run_peer;
use anyhow::{Context, Result, ensure};
use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{
    ClearFile, DataKey, DataKeyWrapping, EncryptedFile, EncryptionSettings, Inline, KeyGroups, KeyKind,
    MasterKey, Selector, SelectorKind, Timestamp,
};
use sealops_formats::tree::{Format, Layout, emit, parse};
use sealops_providers::local::LocalKeys;

use super::{GpgHome, age_constant, local_keys, sops_file};

const PEER: Duration = Duration::from_secs(60);
const PGP: &str = "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4";

/// Both sides' keys: an age identity, and gpg's home.
struct Keys {
    home: GpgHome,
    identity: String,
    recipient: String,
    local: LocalKeys,
}

impl Keys {
    fn new() -> Result<Self> {
        let home = GpgHome::with_key(&sops_file("pgp/sops_functional_tests_key.asc")?)?;
        let identity = age_constant("mockIdentity")?;
        let local =
            local_keys(&[("SOPS_AGE_KEY", &identity), ("GNUPGHOME", home.path()), ("HOME", home.path())]);
        Ok(Self { recipient: age_constant("mockRecipient")?, local, home, identity })
    }

    fn sops(&self, arguments: &[&str], file: &Path) -> Result<Vec<u8>> {
        let mut command = Peers::locate()?.sops()?;
        command.args(arguments).arg(file).current_dir(self.home.0.path());
        command
            .env("SOPS_AGE_KEY", &self.identity)
            .env("GNUPGHOME", self.home.path())
            .env("HOME", self.home.path());
        let output = run_peer(command, b"", PEER)?;
        ensure!(output.status.success(), "sops {arguments:?} {}: {}", file.display(), output.stderr);
        Ok(output.stdout)
    }

    fn encrypt(
        &self,
        format: Format,
        text: &str,
        groups: KeyGroups,
        settings: &EncryptionSettings,
    ) -> Result<String> {
        let now = Timestamp::from_unix(1_790_000_000)?;
        let key = DataKey::generate(&mut SystemRandom)?;
        let mut wrapping = DataKeyWrapping::new(&key, groups, &mut SystemRandom)?;
        let wrapped: Vec<_> = wrapping
            .tasks()
            .iter()
            .map(|task| (task.position, self.local.wrap(task.key, task.part)))
            .collect();
        for (position, result) in wrapped {
            match result {
                Ok(text) => wrapping.wrapped(position, text),
                Err(reason) => wrapping.failed(position, vec![reason]),
            }
        }
        let groups = wrapping.finish(&now)?;
        let (file, _) = ClearFile::new(parse(format, text.as_bytes())?, format)?.encrypt(
            &key,
            groups,
            settings,
            &mut SystemRandom,
            &now,
            &Inline,
        )?;
        let text = emit(format.envelope(), &file.into_tree()?, &Layout::default())?;
        Ok(String::from_utf8(text.expose().to_vec())?)
    }

    fn decrypt(&self, format: Format, text: &[u8]) -> Result<String> {
        let file = EncryptedFile::new(parse(format.envelope(), text)?, format)?;
        let mut recovery = file.recovery(&KeyKind::DEFAULT_ORDER);
        while let Some(attempt) = recovery.next_attempt() {
            match self.local.unwrap(attempt.key, attempt.wrapped) {
                Ok(part) => recovery.succeeded(attempt.position, part),
                Err(reason) => recovery.failed(attempt.position, vec![reason]),
            }
        }
        let key = recovery.finish()?;
        let text = emit(format, file.open(key, &Inline)?.tree(), &Layout::default())?;
        Ok(String::from_utf8(text.expose().to_vec())?)
    }

    fn age(&self) -> MasterKey {
        MasterKey::Age { recipient: self.recipient.clone() }
    }
}

fn pgp() -> MasterKey {
    MasterKey::Pgp { fingerprint: PGP.to_owned() }
}

const DOCUMENTS: &[(&str, &str)] = &[
    (
        "x.yaml",
        "# c\na: text\nb: 12\nc: 1.5\nd: true\ne: null\nf: \"\"\ng:\n    - x\n    # in list\n    - x\n    - h_unencrypted: why\ni: 2024-01-02T03:04:05Z\n",
    ),
    ("x.yaml", "a: 1\n---\nb: 2\n"),
    ("x.json", "{\n\t\"a\": \"text\",\n\t\"b\": [\n\t\t1,\n\t\t2.5,\n\t\ttrue,\n\t\tnull\n\t]\n}\n"),
    ("x.env", "# c\nA=text\nB=two words\n"),
    ("x.ini", "[section]\nkey   = value\nother = 1\n"),
    ("x.bin", "any bytes\n"),
];

#[test]
fn the_real_sops_opens_ours_and_we_open_its() -> Result<()> {
    let keys = Keys::new()?;
    let mut both_ways = 0;
    for (name, text) in DOCUMENTS {
        let format = Format::of_path(name);
        for group in [vec![keys.age()], vec![pgp()], vec![pgp(), keys.age()]] {
            let file = keys.home.0.path().join(name);
            let ours =
                keys.encrypt(format, text, KeyGroups::new([group], 0), &EncryptionSettings::default())?;
            std::fs::write(&file, &ours)?;
            let theirs = keys.sops(&["decrypt"], &file).with_context(|| ours.clone())?;
            assert_eq!(String::from_utf8(theirs)?, *text, "{name}");
            assert_eq!(keys.decrypt(format, ours.as_bytes())?, *text, "{name}");
            std::fs::write(&file, text)?;
            for flags in [["encrypt", "--age", &keys.recipient], ["encrypt", "--pgp", PGP]] {
                let encrypted = keys.sops(&flags, &file)?;
                assert_eq!(keys.decrypt(format, &encrypted)?, *text, "{name} {flags:?}");
                both_ways += 1;
            }
        }
    }
    assert_eq!(both_ways, DOCUMENTS.len() * 6);
    Ok(())
}

#[test]
fn selectors_and_shamir_groups_agree_with_the_real_sops() -> Result<()> {
    let keys = Keys::new()?;
    let text = "# enc: yes\nsecret_e: 1\nb_u: two\ndata:\n    k: v\n    # clear\n    l: w\n";
    let file = keys.home.0.path().join("x.yaml");
    let mut compared = 0;
    for kind in SelectorKind::ALL {
        let pattern = match kind {
            SelectorKind::UnencryptedSuffix => "_u",
            SelectorKind::EncryptedSuffix => "_e",
            SelectorKind::UnencryptedRegex | SelectorKind::EncryptedRegex => "^data$",
            SelectorKind::UnencryptedCommentRegex => "clear",
            SelectorKind::EncryptedCommentRegex => "enc: yes",
        };
        for mac_only_encrypted in [false, true] {
            let settings =
                EncryptionSettings { selector: Some(Selector::new(kind, pattern)?), mac_only_encrypted };
            let groups = KeyGroups::new([vec![keys.age()], vec![pgp()]], 2);
            let ours = keys.encrypt(Format::Yaml, text, groups, &settings)?;
            std::fs::write(&file, &ours)?;
            assert_eq!(String::from_utf8(keys.sops(&["decrypt"], &file)?)?, text, "{}", kind.field());

            let flag = format!("--{}", kind.field().replace('_', "-"));
            let mut arguments = vec!["-e", "--age", &keys.recipient, &flag, pattern];
            if mac_only_encrypted {
                arguments.push("--mac-only-encrypted");
            }
            std::fs::write(&file, text)?;
            let theirs = keys.sops(&arguments, &file)?;
            assert_eq!(keys.decrypt(Format::Yaml, &theirs)?, text, "{}", kind.field());
            // The same lines are encrypted on both sides.
            let shape = |text: &str| -> Vec<bool> {
                let body = text.split("sops:\n").next().unwrap_or_default();
                body.lines().map(|line| line.contains("ENC[")).collect()
            };
            assert_eq!(shape(&ours), shape(&String::from_utf8(theirs)?), "{}", kind.field());
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
    Ok(())
}
