//! The same for several files: all at once, one summary.

use std::path::{Path, PathBuf};

use crate::error::{CommandError, Kind};
use crate::sops::{code, threads};
use crate::ui;

/// Does something with every file; each failure is told, and the summary at the end is one line.
///
/// # Errors
/// The failure itself for one file; for several the number of them, with the exit code that they have in common.
pub(super) fn each(
    paths: &[PathBuf],
    done: &str,
    work: impl Fn(&Path) -> Result<(), CommandError> + Sync,
) -> Result<(), CommandError> {
    if let [path] = paths {
        return work(path);
    }
    let results = threads::map_files(paths, |path| work(path));
    let mut codes = Vec::new();
    for (path, result) in paths.iter().zip(results) {
        if let Err(error) = result {
            codes.push(match error.kind {
                Kind::Code(code) => code,
                _ => code::GENERIC,
            });
            ui::report(&error.within(path.display()));
        }
    }
    let good = paths.len() - codes.len();
    match codes.first() {
        None => {
            ui::note(&format!("{good} files {done}"));
            Ok(())
        }
        Some(first) => {
            let code = if codes.iter().all(|code| code == first) { *first } else { code::GENERIC };
            Err(CommandError::code(code, format!("{good} files {done}, {} failed", codes.len())))
        }
    }
}
