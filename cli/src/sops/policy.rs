//! Which keys a file may name: a list from flags, or from the file that `SEALOPS_KEY_POLICY` names. Without one every key
//! may be asked, as by sops.

use std::path::{Path, PathBuf};

use sealops_crypto::sops::{KeyPolicy, MAX_POLICY_BYTES};

use crate::error::CommandError;
use crate::files;

/// The variable with the path of a list, under both names of the program.
pub(crate) const VARIABLE: &str = "SEALOPS_KEY_POLICY";

/// Reads the list of a file and adds patterns to it. Neither is every key.
///
/// # Errors
/// Fails where the file cannot be read, or a pattern cannot be meant.
pub(crate) fn read(file: Option<&Path>, patterns: &[String]) -> Result<KeyPolicy, CommandError> {
    let mut policy = match file {
        Some(path) => {
            let text = files::read(path, MAX_POLICY_BYTES)?;
            let text = text.expose_str().ok_or_else(|| {
                CommandError::input("the list of allowed keys is no text").within(path.display())
            })?;
            KeyPolicy::parse(text).map_err(|error| CommandError::input(error).within(path.display()))?
        }
        None => KeyPolicy::open(),
    };
    for pattern in patterns {
        policy.allow(pattern).map_err(|error| CommandError::usage(format!("--allow-key: {error}")))?;
    }
    Ok(policy)
}

/// Reads the list that the variable names.
///
/// # Errors
/// As [`read`].
pub(crate) fn of_environment() -> Result<KeyPolicy, CommandError> {
    let path = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    read(path.as_deref(), &[])
}
