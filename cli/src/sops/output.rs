//! Where a result goes.

use std::path::{Path, PathBuf};

use super::code;
use crate::error::CommandError;
use crate::files::{self, Access, Before, NewFile, Snapshot};
use crate::ui;

/// Where a result goes.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    Stdout,
    /// A file that may be new.
    File(PathBuf),
    /// The file that is read, behind its links, if it is still as it was then.
    InPlace(Snapshot),
}

/// What is in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Encrypted,
    /// Files with it are for their owner only.
    Plain,
}

impl Output {
    /// The file that is about to be read.
    pub(crate) fn in_place(path: &Path) -> Self {
        Self::InPlace(Snapshot::of(path))
    }

    /// Writes the result. A file is replaced as a whole, or not at all.
    ///
    /// # Errors
    /// Fails where the file cannot be written; it is as it was then.
    pub(crate) fn write(&self, bytes: &[u8], content: Content) -> Result<(), CommandError> {
        let access = if content == Content::Plain { Access::Private } else { Access::Public };
        let (path, before, what) = match self {
            Self::Stdout => return ui::data(bytes),
            Self::File(path) => (path.clone(), Before::Anything, "output file"),
            Self::InPlace(seen) => (seen.path().to_owned(), Before::Seen(seen), "in-place file"),
        };
        files::write_over(&[(NewFile { path, content: bytes, access }, before)], None).map_err(|error| {
            let text = format!("Could not open {what} for writing: {}", error.error);
            CommandError { hints: error.hints, ..CommandError::code(code::WRITE, text) }
        })
    }
}
