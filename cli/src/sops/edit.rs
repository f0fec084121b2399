//! `edit`: plaintext in an editor, ciphertext on the disk.
//!
//! ```text
//!   open (or: new data key, sample) ──► workplace in memory ──► editor ──► unchanged: 200
//!        ▲                                  ▲                      └──────► seal and write ──► done
//!        │ from the original text,          └── "press enter" ◄─────────────────┘ failed
//!        │ each time anew                   no one there, or a signal: the edit is saved, encrypted
//! ```
//!
//! The data key is at hand before the editor opens, so nothing behind it needs a key service. An edit that cannot become
//! the file is saved beside it as a SOPS file of its own, for the same keys: plaintext never gets to a disk.

mod attempt;
mod rescue;
mod signals;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sealops_formats::Plaintext;
use sealops_formats::tree::MAX_BYTES;

use self::attempt::Attempt;
use self::rescue::Rescue;
use super::editor::Editor;
use super::encrypt::Choice;
use super::output::{Content, Output};
use super::session::{Session, Types};
use super::workplace::Workplace;
use super::{Front, code};
use crate::error::CommandError;
use crate::files::{self, io_text};
use crate::ui;

const PRESS_ENTER: &str = "Press enter to return to the editor, or Ctrl+C to exit.";

/// What `edit` is asked for.
#[derive(Debug)]
pub(crate) struct Edition {
    pub(crate) path: PathBuf,
    pub(crate) types: Types,
    pub(crate) ignore_mac: bool,
    pub(crate) show_master_keys: bool,
    /// For a file that is not there yet.
    pub(crate) choice: Choice,
}

/// The text that is edited, shared with the thread that waits for signals.
struct Desk {
    place: Workplace,
    file: PathBuf,
    shown: Plaintext,
    rescue: Rescue,
    /// The edit has become the file.
    written: bool,
}

/// Edits a file.
///
/// # Errors
/// Every reason has SOPS's exit code; an edit that was made is in the file then, or saved.
pub(crate) fn run(session: &Session, edition: &Edition) -> Result<(), CommandError> {
    let output = Output::in_place(&edition.path);
    let attempt = Attempt::prepare(session, edition)?;
    let place = Workplace::new().map_err(|error| cannot("create temporary directory", &error))?;
    if !place.is_in_memory() {
        session.warn("no folder in memory is to be had (XDG_RUNTIME_DIR, /dev/shm): the text is on a disk while you edit");
    }
    let name = edition.path.file_name().unwrap_or_default();
    let file = place
        .write(name, attempt.shown().expose())
        .map_err(|error| cannot("create temporary file", &error))?;
    let rescue = Rescue::new(&edition.path, attempt.key(), attempt.groups());
    let desk = Arc::new(Mutex::new(Desk {
        place,
        file,
        shown: attempt.shown().duplicate(),
        rescue,
        written: false,
    }));
    signals::watch(&desk).map_err(|error| cannot("watch for signals", &error))?;
    let result = edit(session, &output, &attempt, &desk);
    let mut desk = lock(&desk);
    if result.is_err() {
        desk.save();
    }
    desk.place.remove();
    // The thread that waits for signals holds the desk, too.
    desk.written = true;
    result
}

fn cannot(what: &str, error: &io::Error) -> CommandError {
    CommandError::code(code::WRITE, format!("Could not {what}: {}", io_text(error)))
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn edit(
    session: &Session,
    output: &Output,
    attempt: &Attempt,
    desk: &Mutex<Desk>,
) -> Result<(), CommandError> {
    let failed = |error: String| CommandError::code(code::EDITOR, format!("Could not run editor: {error}"));
    let editor = Editor::from_environment().map_err(failed)?;
    let file = lock(desk).file.clone();
    loop {
        let status = editor.run(&file).map_err(|error| failed(io_text(&error)))?;
        if !status.success() {
            return Err(failed(status.to_string().replace("exit status: ", "exit status ")));
        }
        // From here to the end of the turn a signal has to wait.
        let mut desk = lock(desk);
        let edited = desk.edited()?;
        if edited.ct_eq(&desk.shown) {
            return Err(CommandError::code(code::UNCHANGED, "File has not changed, exiting."));
        }
        let written =
            attempt.seal(session, &edited).and_then(|text| output.write(text.expose(), Content::Encrypted));
        let Err(error) = written else {
            desk.written = true;
            return Ok(());
        };
        drop(desk);
        tell(session, &error);
        if !somebody_presses_enter() {
            return Err(error);
        }
    }
}

fn tell(session: &Session, error: &CommandError) {
    match session.front {
        Front::Sops => ui::log_line("CMD", "error", &format!("{} {PRESS_ENTER}", error.error)),
        Front::Sealops => {
            ui::report(error);
            ui::note(PRESS_ENTER);
        }
    }
}

/// Returns false at the end of the input: then nobody is there who could edit again.
fn somebody_presses_enter() -> bool {
    matches!(io::stdin().lock().read(&mut [0]), Ok(1))
}

impl Desk {
    /// Reads what the editor has left.
    fn edited(&self) -> Result<Plaintext, CommandError> {
        files::read(&self.file, MAX_BYTES).map_err(|error| {
            CommandError::code(code::READ, format!("Could not read edited file: {}", error.error))
        })
    }

    /// Saves an edit that has not become the file; says where.
    fn save(&self) {
        if self.written {
            return;
        }
        let Ok(edited) = self.edited() else { return };
        if edited.ct_eq(&self.shown) {
            return;
        }
        match self.rescue.save(&edited) {
            Ok(path) => ui::note(&format!(
                "your edit is saved, encrypted for the keys of the file: sops decrypt {}",
                path.display()
            )),
            Err(error) => ui::report(&error.within("your edit could not be saved anywhere")),
        }
    }
}
