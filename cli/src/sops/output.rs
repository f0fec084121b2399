//! Where a result goes.

use std::fs;
use std::path::{Path, PathBuf};

use super::code;
use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::ui;

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    /// A file that may be new.
    File(PathBuf),
    /// The file that was read, behind its links.
    InPlace(PathBuf),
}

/// What is in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Encrypted,
    /// Files with it are for their owner only.
    Plain,
}

impl Output {
    /// Writes the result. A file is replaced as a whole, or not at all.
    ///
    /// # Errors
    /// Fails where the file cannot be written; it is as it was then.
    pub(crate) fn write(&self, bytes: &[u8], content: Content) -> Result<(), CommandError> {
        let access = if content == Content::Plain { Access::Private } else { Access::Public };
        let (path, what) = match self {
            Self::Stdout => return ui::data(bytes),
            Self::File(path) => (path.clone(), "output file"),
            Self::InPlace(path) => (behind_links(path), "in-place file"),
        };
        files::write(&[NewFile { path, content: bytes, access }]).map_err(|error| {
            CommandError::code(code::WRITE, format!("Could not open {what} for writing: {}", error.error))
        })
    }
}

/// Returns the file that the name leads to, so that a link stays one.
pub(crate) fn behind_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
