//! `updatekeys`: files get the keys that their creation rules name. Values, MAC and modification time stay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sealops_crypto::sops::{EncryptedFile, GroupDiff, KeyUpdate};
use sealops_formats::tree::Format;

use super::open::{self, Source};
use super::output::{Content, Output};
use super::session::Session;
use super::{code, words};
use crate::error::CommandError;

/// A file that may get other keys.
pub(crate) struct Candidate {
    path: PathBuf,
    output: Output,
    format: Format,
    file: EncryptedFile,
    pub(crate) update: KeyUpdate,
}

/// Reads a file and compares its keys with the rule's.
///
/// # Errors
/// Fails where the file or its rule cannot be used.
pub(crate) fn prepare(
    session: &Session,
    path: &Path,
    input: Option<Format>,
    begun: impl FnOnce(&Path),
) -> Result<Candidate, CommandError> {
    let metadata = fs::metadata(path).map_err(|error| {
        CommandError::input(format!("stat {}: {}", path.display(), crate::files::io_text(&error)))
    })?;
    if metadata.is_dir() {
        return Err(CommandError::input("can't operate on a directory"));
    }
    let found = session.config_for(Some(path))?.ok_or_else(no_config)?;
    let config = found.path.display().to_string();
    let format = input.unwrap_or_else(|| Format::of_path(&path.to_string_lossy()));
    begun(path);
    let output = Output::in_place(path);
    let file = open::load(&Source::File(path.to_owned()), format)?;
    let mut rule = session.rule_for(path, &BTreeMap::new())?.ok_or_else(|| {
        CommandError::input(format!("The config file {config} does not contain any creation rule"))
    })?;
    session.complete_groups(&mut rule.groups)?;
    let update = file.metadata().key_groups.update(&rule.groups, None);
    Ok(Candidate { path: path.to_owned(), output, format, file, update })
}

/// The text of a search that found nothing.
pub(crate) fn no_config() -> CommandError {
    CommandError::input("config file not found").hint("--config FILE names one")
}

impl Candidate {
    /// Gives the file its new keys.
    ///
    /// # Errors
    /// Fails where no key opens the file, or a new one cannot wrap; the file is as it was then.
    pub(crate) fn apply(self, session: &Session) -> Result<(), CommandError> {
        let key = session
            .keyring
            .recover(&self.file, &session.order)
            .map_err(|error| CommandError::code(code::NO_KEY, words::recovery(&error)))?;
        let groups = session.keyring.wrap(&key, self.update.target, &session.now()?).map_err(|error| {
            CommandError::input(format!("error updating one or more master keys: [{error}]"))
        })?;
        let text = open::encrypted_text(session, self.file.rewrap(groups), self.format, Some(&self.path))?;
        self.output.write(text.expose(), Content::Encrypted)
    }
}

/// Shows what changes, in sops' lines. `colour` paints what comes and goes.
pub(crate) fn describe(update: &KeyUpdate, colour: bool) -> String {
    let paint = |code, text| painted(colour, code, text);
    let (before, after) = (update.threshold_before, update.threshold_after);
    let mut text = String::new();
    if before > 0 && before == after {
        text.push_str(&format!("shamir_threshold: {after}\n"));
    } else {
        if after > 0 {
            text.push_str(&paint("32", format!("+++ shamir_threshold: {after}")));
        }
        if before > 0 {
            text.push_str(&paint("31", format!("--- shamir_threshold: {before}")));
        }
    }
    text.push_str(&describe_groups(&update.groups, colour));
    text
}

/// Shows what changes in each group, in sops' lines.
pub(crate) fn describe_groups(groups: &[GroupDiff], colour: bool) -> String {
    let mut text = String::new();
    let paint = |code, text| painted(colour, code, text);
    for (index, GroupDiff { common, added, removed }) in groups.iter().enumerate() {
        text.push_str(&paint("4", format!("Group {}", index + 1)));
        common.iter().for_each(|key| text.push_str(&format!("    {key}\n")));
        added.iter().for_each(|key| text.push_str(&paint("32", format!("+++ {key}"))));
        removed.iter().for_each(|key| text.push_str(&paint("31", format!("--- {key}"))));
    }
    text
}

fn painted(colour: bool, code: &str, text: String) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m\n") } else { format!("{text}\n") }
}
