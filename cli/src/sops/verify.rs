//! `sealops verify`: MAC and decryptability of files, without showing anything.

use std::fs;
use std::path::{Path, PathBuf};

use sealops_crypto::sops::{MetadataProblem, Warning};
use serde::Serialize;

use super::audit::Action;
use super::open::{self, Source};
use super::session::{Session, Types};
use super::threads::Threads;
use super::{code, words};
use crate::error::{CommandError, Kind};

/// Deepest folder.
const MAX_DEPTH: usize = 64;
/// Most files of all folders together.
const MAX_FILES: usize = 100_000;

/// How one file fares.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) file: String,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) code: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Ok,
    Failed,
    NotEncrypted,
}

/// Finds the files that are named, and those in folders that are named.
///
/// # Errors
/// Fails where a folder cannot be read, or there is too much in it.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, bool)>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() { walk(path, 0, &mut found)? } else { found.push((path.clone(), true)) }
    }
    Ok(found)
}

/// Links are not followed, and git's own folder is left out.
fn walk(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, bool)>) -> Result<(), CommandError> {
    let fail = |error: std::io::Error| {
        CommandError::input(format!("open {}: {}", folder.display(), crate::files::io_text(&error)))
    };
    if depth > MAX_DEPTH {
        return Err(CommandError::input(format!("{}: more than {MAX_DEPTH} folders deep", folder.display())));
    }
    let mut entries: Vec<_> = fs::read_dir(folder).and_then(Iterator::collect).map_err(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() && entry.file_name() != ".git" {
            walk(&entry.path(), depth + 1, found)?;
        } else if kind.is_file() {
            if found.len() >= MAX_FILES {
                return Err(CommandError::input(format!("there are more than {MAX_FILES} files")));
            }
            found.push((entry.path(), false));
        }
    }
    Ok(())
}

/// Verifies one file. `None` for one of a folder that is not encrypted.
pub(crate) fn verify(session: &Session, path: &Path, named: bool, types: &Types) -> Option<Verdict> {
    let (format, _) = types.of(path);
    let verdict = |status, problem: Option<CommandError>, warnings| Verdict {
        file: path.display().to_string(),
        status,
        code: problem.as_ref().map_or(0, |error| match error.kind {
            Kind::Code(code) => code,
            _ => code::GENERIC,
        }),
        problem: problem.map(|error| error.error),
        warnings,
    };
    let source = Source::File(path.to_owned());
    let text = match source.read() {
        Ok(text) => text,
        Err(error) => return Some(verdict(Status::Failed, Some(error), Vec::new())),
    };
    if !named && !looks_encrypted(text.expose()) {
        return None;
    }
    let file = match open::parse(&text, format) {
        Ok(file) => file,
        Err(error) if error.error == MetadataProblem::Missing.to_string() => {
            return named.then(|| verdict(Status::NotEncrypted, Some(error), Vec::new()));
        }
        Err(error) => return Some(verdict(Status::Failed, Some(error), Vec::new())),
    };
    let mut warnings: Vec<String> = file
        .metadata()
        .unknown_fields()
        .map(|name| format!("the metadata has an unknown field {name:?}"))
        .collect();
    let opened = open::recover(session, &file).and_then(|key| {
        session.audit.record(Action::Decrypt, &source)?;
        file.open(key, &Threads).map_err(|error| open::open_error(&error))
    });
    Some(match opened {
        Ok(opened) => {
            warnings.extend(opened.warnings().iter().filter_map(text_of));
            verdict(Status::Ok, None, warnings)
        }
        Err(error) => verdict(Status::Failed, Some(error), warnings),
    })
}

fn text_of(warning: &Warning) -> Option<String> {
    words::warning(warning)
}

/// Looks for what every encrypted file has, so that others of a folder need no parsing.
fn looks_encrypted(text: &[u8]) -> bool {
    let contains = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    contains(b"ENC[AES256_GCM,") && contains(b"sops")
}

/// Returns the exit code: that of the failures where they have one in common.
pub(crate) fn exit_code(verdicts: &[Verdict]) -> u8 {
    let mut codes =
        verdicts.iter().filter(|verdict| verdict.status != Status::Ok).map(|verdict| verdict.code);
    let Some(first) = codes.next() else { return 0 };
    if codes.all(|code| code == first) { first } else { code::GENERIC }
}

impl Verdict {
    /// Makes warnings failures.
    pub(crate) fn make_strict(&mut self) {
        if self.status == Status::Ok && !self.warnings.is_empty() {
            self.status = Status::Failed;
            self.code = code::GENERIC;
        }
    }
}

/// Finds files that are named, and encrypted ones in folders that are named.
///
/// # Errors
/// As [`files`].
pub(crate) fn encrypted_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let found = files(paths)?.into_iter().filter(|(path, named)| {
        *named || Source::File(path.clone()).read().is_ok_and(|text| looks_encrypted(text.expose()))
    });
    Ok(found.map(|(path, _)| path).collect())
}
