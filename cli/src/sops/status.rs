//! `filestatus`: whether a file is encrypted, by its metadata alone.

use std::path::Path;

use sealops_crypto::sops::{EncryptedFile, MetadataProblem};
use sealops_formats::tree::{self, Format};

use super::open::Source;
use crate::error::CommandError;

/// Returns whether there is metadata with a version and a MAC.
///
/// # Errors
/// Fails where the file cannot be read, is not of its format, or has broken metadata.
pub(crate) fn is_encrypted(path: &Path, format: Format) -> Result<bool, CommandError> {
    let fail = |error: &dyn std::fmt::Display| {
        CommandError::input(format!("cannot check file status: cannot load encrypted file: {error}"))
    };
    let text = Source::File(path.to_owned()).read().map_err(|error| fail(&error.error))?;
    let tree = tree::parse(format.envelope(), text.expose()).map_err(|error| fail(&error))?;
    match EncryptedFile::new(tree, format) {
        Ok(file) => Ok(file.metadata().version.is_some() && !file.metadata().mac.is_empty()),
        Err(MetadataProblem::Missing) => Ok(false),
        Err(problem) => Err(fail(&problem)),
    }
}
