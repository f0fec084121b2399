//! SOPS's audit: a row in every database of `/etc/sops/audit.yaml` before a file is decrypted, encrypted or rotated.
//!
//! ```text
//!   Audit::open ── no file ──────────────► nothing is recorded
//!        │                                                            row there
//!        └─ backends ── connected at once ──► record(action, file) ──────────────► the operation
//!                             └── failed ─────────┴── failed ────────────────────► the command ends with 1
//! ```
//!
//! A row holds what is done, the operating system's name of the user, and the file's path from the root as it was named
//! (links are not followed); text from stdin has the working folder. The same is recorded under both names: `decrypt` for
//! whatever opens values (decrypting, editing, setting, rotating, running programs, publishing, verifying), `encrypt` for
//! whatever encrypts them, `rotate` for rotating. Changing keys (`updatekeys`, `groups`), key services and what only reads
//! metadata (`filestatus`, `explain`) record nothing, as with sops.
//!
//! Different from sops 3.13.3 on purpose: a file that cannot be read or says anything that is not understood is an error
//! with its line, where sops goes on without audit or panics; the connection string, which holds a password, is never
//! shown; and a command that opens no file of SOPS (`--version`, help, `explain`) asks no database.

mod config;
#[cfg(feature = "clouds")]
mod databases;
#[cfg(not(feature = "clouds"))]
#[path = "audit/no_databases.rs"]
mod databases;
#[cfg(feature = "clouds")]
mod user;

use std::path::Path;
use std::sync::Arc;

use self::databases::Databases;
use super::open::Source;
use super::session::absolute;
use super::{Front, code};
use crate::error::CommandError;
use crate::ui;

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Decrypt,
    Encrypt,
    Rotate,
}

impl Action {
    #[cfg_attr(not(feature = "clouds"), expect(dead_code, reason = "this build records nothing"))]
    fn name(self) -> &'static str {
        match self {
            Self::Decrypt => "decrypt",
            Self::Encrypt => "encrypt",
            Self::Rotate => "rotate",
        }
    }
}

/// Who is told before something is done.
#[derive(Clone)]
pub(crate) struct Audit {
    front: Front,
    /// `None` without an audit.
    databases: Option<Arc<Databases>>,
}

impl Audit {
    /// Reads the configuration, and connects to the databases that it names.
    ///
    /// # Errors
    /// Fails where the configuration cannot be used, or a database cannot be reached: without audit nothing is done.
    pub(crate) fn open(front: Front) -> Result<Self, CommandError> {
        let backends = config::read().map_err(|problem| refused(front, &[problem]))?;
        if backends.is_empty() {
            return Ok(Self { front, databases: None });
        }
        let databases = Databases::connect(backends).map_err(|problems| refused(front, &problems))?;
        Ok(Self { front, databases: Some(Arc::new(databases)) })
    }

    /// Records what is about to be done to the text of a source.
    ///
    /// # Errors
    /// Fails where a database does not have the row.
    pub(crate) fn record(&self, action: Action, source: &Source) -> Result<(), CommandError> {
        match source {
            Source::File(path) => self.record_file(action, path),
            Source::Stdin => self.record_file(action, Path::new("")),
        }
    }

    /// As [`Self::record`], for a file.
    pub(crate) fn record_file(&self, action: Action, file: &Path) -> Result<(), CommandError> {
        let Some(databases) = &self.databases else { return Ok(()) };
        let path = absolute(file);
        let recorded = match path.to_str() {
            Some(path) => databases.record(action, path),
            None => Err("the path of the file is no UTF-8 text".to_owned()),
        };
        recorded.map_err(|problem| {
            let text = format!("Failed to insert audit record: {problem}");
            failure(self.front, &[("fatal", text)])
        })
    }
}

/// Without a connection to each of the databases nothing is done.
fn refused(front: Front, problems: &[String]) -> CommandError {
    let mut lines = vec![("error", format!("connecting to audit database, defined in {}", config::PATH))];
    lines.extend(problems.iter().map(|problem| ("error", problem.clone())));
    if front == Front::Sops {
        lines.push(("fatal", "one or more audit backends reported errors, exiting".to_owned()));
    }
    failure(front, &lines)
}

fn failure(front: Front, lines: &[(&str, String)]) -> CommandError {
    let text: Vec<String> = lines
        .iter()
        .map(|(level, text)| match front {
            Front::Sops => ui::log_text("AUDIT", level, text),
            Front::Sealops => text.clone(),
        })
        .collect();
    let separator = if front == Front::Sops { "\n" } else { ": " };
    let hint = "nothing is decrypted or encrypted without its record";
    CommandError::code(code::GENERIC, text.join(separator)).hint(hint)
}
