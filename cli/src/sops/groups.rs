//! `groups add` and `groups delete`.
//!
//! Different from SOPS on purpose: a key that cannot wrap its part fails the command, and so does an index out of range.

use std::path::PathBuf;

use sealops_crypto::sops::{KeyGroups, KeyKind, MasterKey};

use super::open::{self, Source};
use super::output::{Content, Output};
use super::session::{Session, Types};
use super::{code, words};
use crate::error::CommandError;

/// Where flags put their keys (`groups add` of sops' main.go).
pub(crate) const FLAG_ORDER: [KeyKind; 7] = [
    KeyKind::Pgp,
    KeyKind::Kms,
    KeyKind::GcpKms,
    KeyKind::HcVault,
    KeyKind::AzureKeyVault,
    KeyKind::HuaweiKms,
    KeyKind::Age,
];

/// The file, and where the result goes.
#[derive(Debug)]
pub(crate) struct GroupChange {
    pub(crate) path: PathBuf,
    pub(crate) types: Types,
    pub(crate) threshold: Option<usize>,
    pub(crate) output: Output,
}

/// Adds a group at the end.
pub(crate) fn add(
    session: &Session,
    change: &GroupChange,
    mut keys: Vec<MasterKey>,
) -> Result<(), CommandError> {
    session.complete(&mut keys)?;
    rewrap(session, change, |groups| Ok(groups.with_group(keys, change.threshold)))
}

/// Deletes a group, counted from 0.
pub(crate) fn delete(session: &Session, change: &GroupChange, index: usize) -> Result<(), CommandError> {
    rewrap(session, change, |groups| {
        groups.without_group(index, change.threshold).map_err(CommandError::input)
    })
}

fn rewrap(
    session: &Session,
    change: &GroupChange,
    target: impl FnOnce(KeyGroups) -> Result<KeyGroups, CommandError>,
) -> Result<(), CommandError> {
    let (input, output) = change.types.of(&change.path);
    let file = open::load(&Source::File(change.path.clone()), input)?;
    let key = session
        .keyring
        .recover(&file, &session.order)
        .map_err(|error| CommandError::code(code::GENERIC, words::recovery(&error)))?;
    let groups = target(file.metadata().key_groups.clone())?;
    let groups = session
        .keyring
        .wrap(&key, groups, &session.now()?)
        .map_err(|error| CommandError::input(format!("error updating one or more master keys: [{error}]")))?;
    let text = open::encrypted_text(session, file.rewrap(groups), output, Some(&change.path))?;
    change.output.write(text.expose(), Content::Encrypted)
}
