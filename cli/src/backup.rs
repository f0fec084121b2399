//! Backups of sealing keys: a List of key Secrets in YAML, encrypted to age recipients (age-encryption.org/v1).

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use sealops_controller::object::SecretObject;
use sealops_crds::Metadata;
use sealops_formats::Plaintext;
use sealops_formats::manifest::{Node, to_yaml};
use sealops_providers::local::{AnyIdentity, age_identities, age_recipient};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::sops::local_keys;
use crate::{files, keys};

/// One who may open a backup: X25519, post-quantum, SSH, or a plugin's.
pub(crate) type Recipient = Box<dyn age::Recipient + Send + Sync>;

/// Largest backup that is read or made.
const MAX_BYTES: usize = 16 << 20;
/// Largest file with recipients or identities.
const MAX_LIST_BYTES: usize = 1 << 20;
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const BINARY: &[u8] = b"age-encryption.org/v1";

/// Who may open a backup.
pub(crate) fn recipients(given: &[String], files: &[PathBuf]) -> Result<Vec<Recipient>, CommandError> {
    let mut recipients = Vec::new();
    for text in given {
        recipients.push(recipient(text).map_err(|error| error.within("--recipient"))?);
    }
    for path in files {
        for (line, text) in lines(path)? {
            let place = format!("{}: line {line}", path.display());
            recipients.push(recipient(&text).map_err(|error| error.within(place))?);
        }
    }
    if recipients.is_empty() {
        return Err(CommandError::usage("nobody could open the backup: there is no recipient").hint(
            "age-keygen -o backup.key makes an identity and prints its recipient; --recipient age1… takes it",
        ));
    }
    Ok(recipients)
}

fn recipient(text: &str) -> Result<Recipient, CommandError> {
    age_recipient(text, &local_keys::terminal())
        .map_err(|error| CommandError::usage(format!("this is not an age recipient (age1…, ssh-…): {error}")))
}

/// Reads identities: as `age-keygen` writes them, the same under a passphrase, those of plugins, SSH keys.
pub(crate) fn identities(files: &[PathBuf]) -> Result<Vec<AnyIdentity>, CommandError> {
    let mut identities = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let text = files::read(path, MAX_LIST_BYTES)?;
        let found = age_identities(&name, text, &local_keys::environment(), &local_keys::terminal());
        let found = found.map_err(CommandError::input)?;
        if found.is_empty() {
            return Err(CommandError::input("there is no age identity in this file").within(name));
        }
        identities.extend(found);
    }
    Ok(identities)
}

fn lines(path: &Path) -> Result<Vec<(usize, Zeroizing<String>)>, CommandError> {
    let text = files::read(path, MAX_LIST_BYTES)?;
    let text = text
        .expose_str()
        .ok_or_else(|| CommandError::input("the text is not UTF-8").within(path.display()))?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|(index, line)| (index + 1, Zeroizing::new(line.to_owned()))).collect())
}

/// Returns the armored backup of key Secrets.
pub(crate) fn seal(secrets: &[SecretObject], recipients: &[Recipient]) -> Result<Vec<u8>, CommandError> {
    let items = secrets.iter().map(|secret| portable(secret).to_node()).collect();
    let list = Node::map([
        ("apiVersion", Node::text("v1")),
        ("kind", Node::text("List")),
        ("items", Node { line: 0, value: sealops_formats::manifest::Value::List(items) }),
    ]);
    let text = to_yaml(&list);
    let fail = |_| CommandError::input("the backup cannot be encrypted");
    let encryptor =
        age::Encryptor::with_recipients(recipients.iter().map(|own| own.as_ref() as &dyn age::Recipient))
            .map_err(|error| {
                CommandError::input(format!("the backup cannot be encrypted to these recipients: {error}"))
            })?;
    let mut out = Vec::new();
    let armored = ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor).map_err(fail)?;
    let mut writer = encryptor.wrap_output(armored).map_err(fail)?;
    writer.write_all(text.expose()).map_err(fail)?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(fail)?;
    Ok(out)
}

/// Returns a Secret without what belongs to the cluster that it comes from. When it was made stays: it orders keys.
fn portable(secret: &SecretObject) -> SecretObject {
    let own = &secret.metadata;
    let metadata = Metadata {
        name: own.name.clone(),
        namespace: own.namespace.clone(),
        labels: own.labels.clone(),
        annotations: own.annotations.clone(),
        creation_timestamp: own.creation_timestamp.clone(),
        ..Metadata::default()
    };
    SecretObject { metadata, ..secret.duplicate() }
}

/// Opens a backup and reads its key Secrets. A plain List, as `kubectl get -o yaml` saves it, is taken too.
pub(crate) fn open(path: &Path, identities: &[PathBuf]) -> Result<Vec<SecretObject>, CommandError> {
    let name = path.display().to_string();
    let text = files::read(path, MAX_BYTES)?;
    let start = text.expose().trim_ascii_start();
    let text = match start.starts_with(ARMOR) || start.starts_with(BINARY) {
        true => decrypt(&text, &self::identities(identities)?).map_err(|error| error.within(&name))?,
        false => text,
    };
    let secrets = keys::secrets(&text, &name)?;
    if secrets.is_empty() {
        return Err(CommandError::input("there is no key Secret in this backup").within(&name));
    }
    for secret in &secrets {
        let own = secret.metadata.name.as_deref().unwrap_or_default();
        keys::Keys::default().add_secret(secret, &format!("{name}: Secret {own}"))?;
    }
    Ok(secrets)
}

fn decrypt(text: &Plaintext, identities: &[AnyIdentity]) -> Result<Plaintext, CommandError> {
    let broken = || CommandError::input("the backup is damaged or is no age file");
    if identities.is_empty() {
        return Err(
            CommandError::usage("the backup is encrypted").hint("--identity FILE gives the age identity")
        );
    }
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(text.expose())).map_err(|_| broken())?;
    let mut reader = match decryptor.decrypt(identities.iter().map(|own| own.as_ref() as &dyn age::Identity))
    {
        Ok(reader) => reader.take(MAX_BYTES as u64 + 1),
        Err(age::DecryptError::NoMatchingKeys) => {
            return Err(CommandError::input("none of the identities opens the backup"));
        }
        Err(_) => return Err(broken()),
    };
    match files::read_from(&mut reader, MAX_BYTES) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(CommandError::input(format!("the backup is larger than {} MiB", MAX_BYTES >> 20))),
        Err(_) => Err(broken()),
    }
}
