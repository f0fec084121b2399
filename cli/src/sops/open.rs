//! Reading encrypted files: text to tree, metadata, data key, values.

use std::io;
use std::path::{Path, PathBuf};

use sealops_crypto::sops::{DataKey, EncryptedFile, MacError, MetadataProblem, OpenError, OpenFile};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Format, MAX_BYTES};

use super::audit::Action;
use super::session::Session;
use super::threads::Threads;
use super::{code, words};
use crate::error::CommandError;
use crate::files;

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Stdin,
}

impl Source {
    /// Reads everything.
    ///
    /// # Errors
    /// Fails where it cannot be read, or is too large.
    pub(crate) fn read(&self) -> Result<Plaintext, CommandError> {
        match self {
            Self::File(path) => files::read(path, MAX_BYTES).map_err(|error| {
                CommandError::code(code::READ, format!("Error reading file: {}", error.error))
            }),
            Self::Stdin => files::read_from(io::stdin().lock(), MAX_BYTES)
                .map_err(|error| {
                    CommandError::code(
                        code::READ,
                        format!("Error reading from stdin: {}", files::io_text(&error)),
                    )
                })?
                .ok_or_else(|| files::too_large("stdin", MAX_BYTES)),
        }
    }
}

/// Reads an encrypted file; its values stay encrypted.
///
/// # Errors
/// Fails where it cannot be read, is not of its format, or has no usable metadata.
pub(crate) fn load(source: &Source, format: Format) -> Result<EncryptedFile, CommandError> {
    parse(&source.read()?, format)
}

/// As [`load`], of a text.
pub(crate) fn parse(text: &Plaintext, format: Format) -> Result<EncryptedFile, CommandError> {
    let tree = tree::parse(format.envelope(), text.expose()).map_err(|error| match format {
        Format::Yaml => CommandError::input(format!("Error unmarshaling input YAML: {error}")),
        Format::Dotenv => CommandError::input(error),
        _ => CommandError::input(format!("Could not unmarshal input data: {error}")),
    })?;
    EncryptedFile::new(tree, format).map_err(metadata_error)
}

fn metadata_error(problem: MetadataProblem) -> CommandError {
    let missing = matches!(problem, MetadataProblem::Missing);
    let error = CommandError::input(problem);
    if missing { error.hint("the file is not encrypted: `sops encrypt FILE` does that") } else { error }
}

/// Recovers a file's data key.
///
/// # Errors
/// Returns how every key failed.
pub(crate) fn recover(session: &Session, file: &EncryptedFile) -> Result<DataKey, CommandError> {
    session
        .keyring
        .recover(file, &session.order)
        .map_err(|error| CommandError::code(code::NO_KEY, words::recovery(&error)))
}

/// Decrypts a file and checks its MAC, unless that is not wanted. `source` is where it was read, for the audit.
///
/// # Errors
/// Returns which key, record, value or check failed.
pub(crate) fn open(
    session: &Session,
    source: &Source,
    file: EncryptedFile,
    ignore_mac: bool,
) -> Result<OpenFile, CommandError> {
    let key = recover(session, &file)?;
    session.audit.record(Action::Decrypt, source)?;
    open_with(session, file, key, ignore_mac)
}

fn open_with(
    session: &Session,
    file: EncryptedFile,
    key: DataKey,
    ignore_mac: bool,
) -> Result<OpenFile, CommandError> {
    let opened = if ignore_mac { file.open_unverified(key, &Threads) } else { file.open(key, &Threads) };
    let opened = opened.map_err(|error| open_error(&error))?;
    for warning in opened.warnings().iter().filter_map(words::warning) {
        session.warn(&warning);
    }
    Ok(opened)
}

/// Neither MAC is told: they are hashes of plaintexts.
pub(crate) fn open_error(error: &OpenError) -> CommandError {
    let hint = "--ignore-mac shows what is there, which anyone who can write the file may have put together";
    match error {
        OpenError::Mac(MacError::Mismatch) => CommandError::code(
            code::MAC,
            "MAC mismatch. File has another MAC than its values: it was changed without the key",
        )
        .hint(hint),
        OpenError::Mac(MacError::Missing) => {
            CommandError::code(code::MAC, "MAC mismatch. File has no MAC, computed one is not shown")
                .hint(hint)
        }
        OpenError::Mac(error) => CommandError::code(code::MAC, error).hint(hint),
        error => CommandError::code(code::DECRYPT, format!("Error decrypting tree: {error}")),
    }
}

/// Returns the text of an encrypted file.
///
/// # Errors
/// Fails where the format has no form for it.
pub(crate) fn encrypted_text(
    session: &Session,
    file: EncryptedFile,
    output: Format,
    path: Option<&Path>,
) -> Result<Plaintext, CommandError> {
    let wrong = |error: &dyn std::fmt::Display| {
        CommandError::code(code::EMIT, format!("Could not marshal tree: {error}"))
    };
    let layout = session.layout(output, path)?;
    let tree = file.into_tree_as(output).map_err(|error| wrong(&error))?;
    tree::emit(output.envelope(), &tree, &layout).map_err(|error| wrong(&error))
}
