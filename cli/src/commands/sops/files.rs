//! The same for several files: all at once, one summary, and a way to go on after a signal.

use std::path::{Path, PathBuf};

use crate::error::{CommandError, Kind};
use crate::interrupt::Interrupt;
use crate::sops::journal::Journal;
use crate::sops::{code, threads};
use crate::ui;

/// Going on where an earlier run was interrupted.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::commands) struct Resume {
    /// Go on where the same command was interrupted: leave out the files that it had done
    #[arg(long)]
    pub(super) resume: bool,
}

/// What is done with every file.
pub(super) struct Task<'a> {
    /// For the summary: `rotated`.
    pub(super) done: &'a str,
    /// Everything that decides the result, besides the files: only the same command is resumed.
    pub(super) flags: String,
    pub(super) resume: bool,
}

enum End {
    Done,
    DoneBefore,
    Failed(CommandError),
    NotBegun,
}

/// Does something with every file; each failure is told, and the summary at the end is one line. After a signal what is in
/// hand is finished, and nothing new begun.
///
/// # Errors
/// The failure itself for one file; for several the number of them, with the exit code that they have in common, or 128
/// and the number of the signal.
pub(super) fn each(
    paths: &[PathBuf],
    task: &Task<'_>,
    work: impl Fn(&Path) -> Result<(), CommandError> + Sync,
) -> Result<(), CommandError> {
    if let [path] = paths {
        return work(path);
    }
    let interrupt = Interrupt::watch().map_err(CommandError::input)?;
    let journal = Journal::open(&format!("{} {}", task.done, task.flags), paths, task.resume);
    let ends = threads::map_files(paths, |path| {
        if interrupt.exit_code().is_some() {
            return End::NotBegun;
        }
        if journal.as_ref().is_some_and(|journal| journal.has(path)) {
            return End::DoneBefore;
        }
        match work(path) {
            Ok(()) => {
                journal.iter().for_each(|journal| journal.note(path));
                End::Done
            }
            Err(error) => End::Failed(error),
        }
    });
    let mut codes = Vec::new();
    let (mut good, mut before, mut left) = (0, 0, 0);
    for (path, end) in paths.iter().zip(ends) {
        match end {
            End::Done => good += 1,
            End::DoneBefore => before += 1,
            End::NotBegun => left += 1,
            End::Failed(error) => {
                codes.push(match error.kind {
                    Kind::Code(code) => code,
                    _ => code::GENERIC,
                });
                ui::report(&error.within(path.display()));
            }
        }
    }
    let mut summary = format!("{good} files {}", task.done);
    for (count, what) in [(before, "done before"), (codes.len(), "failed"), (left, "not begun")] {
        if count > 0 {
            summary.push_str(&format!(", {count} {what}"));
        }
    }
    let code = match (interrupt.exit_code(), codes.first()) {
        (Some(code), _) if left > 0 => code,
        (_, None) => {
            if let Some(journal) = journal {
                journal.remove();
            }
            ui::note(&summary);
            return Ok(());
        }
        (_, Some(first)) if codes.iter().all(|code| code == first) => *first,
        _ => code::GENERIC,
    };
    let error = CommandError::code(code, summary);
    let resumable = left > 0 && journal.is_some();
    Err(if resumable { error.hint("the same command with --resume does the rest") } else { error })
}
