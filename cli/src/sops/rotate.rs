//! `rotate`: a new data key, every value encrypted anew.

use std::path::PathBuf;

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{KeyKind, MasterKey};

use super::audit::Action;
use super::encrypt;
use super::open::{self, Source};
use super::output::{Content, Output};
use super::session::{KeyFlags, Session, Types};
use super::threads::Threads;
use crate::error::CommandError;

/// Where flags put their keys (`getMasterKeys` of sops' main.go).
pub(crate) const FLAG_ORDER: [KeyKind; 7] = [
    KeyKind::Kms,
    KeyKind::Pgp,
    KeyKind::GcpKms,
    KeyKind::HuaweiKms,
    KeyKind::AzureKeyVault,
    KeyKind::HcVault,
    KeyKind::Age,
];

/// What `rotate` is asked for.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) path: PathBuf,
    pub(crate) name: PathBuf,
    pub(crate) types: Types,
    pub(crate) add: KeyFlags,
    pub(crate) remove: KeyFlags,
    pub(crate) ignore_mac: bool,
    pub(crate) output: Output,
}

/// Rotates and writes.
///
/// # Errors
/// Every reason has SOPS's exit code.
pub(crate) fn run(session: &Session, rotation: &Rotation) -> Result<(), CommandError> {
    let (input, output) = rotation.types.of(&rotation.name);
    session.layout(output, Some(&rotation.name))?;
    let mut add = rotation.add.read(&FLAG_ORDER)?;
    let mut remove = rotation.remove.read(&FLAG_ORDER)?;
    session.complete(add.iter_mut().chain(&mut remove))?;
    let source = Source::File(rotation.path.clone());
    let file = open::load(&source, input)?;
    session.audit.record(Action::Rotate, &source)?;
    let mut opened = open::open(session, &source, file, rotation.ignore_mac)?;
    let mut groups = opened.metadata().key_groups.clone();
    groups.add_keys(add);
    remove_keys(session, &mut groups, &remove);
    let (key, groups) = encrypt::new_key(session, groups)?;
    opened.rotate(key, groups);
    session.audit.record(Action::Encrypt, &source)?;
    let file = opened
        .seal(&mut SystemRandom, &session.now()?, &Threads)
        .map_err(|error| encrypt::encrypt_error(&error))?;
    let text = open::encrypted_text(session, file, output, Some(&rotation.name))?;
    rotation.output.write(text.expose(), Content::Encrypted)
}

fn remove_keys(session: &Session, groups: &mut sealops_crypto::sops::KeyGroups, keys: &[MasterKey]) {
    for key in keys {
        if groups.remove_keys(std::slice::from_ref(key)) == 0 {
            session.warn(&format!("{key} is no key of the file: there is nothing to remove"));
        }
    }
}
