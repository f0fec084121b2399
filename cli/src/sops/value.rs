//! `set` and `unset`: one value of an encrypted file.

use std::path::PathBuf;

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{PathError, ValuePath};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Entry, Format, Node, has_metadata};

use super::audit::Action;
use super::open::{self, Source};
use super::output::{Content, Output};
use super::session::{Session, Types};
use super::threads::Threads;
use super::{code, encrypt, words};
use crate::error::CommandError;

/// What `set` and `unset` are asked for.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) types: Types,
    pub(crate) place: ValuePath,
    pub(crate) ignore_mac: bool,
    pub(crate) idempotent: bool,
    pub(crate) output: Output,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Written,
    /// Nothing was different, and `--idempotent` says to leave the file alone.
    Unchanged,
}

/// Sets a value and writes the file.
///
/// # Errors
/// Every reason has SOPS's exit code.
pub(crate) fn set(session: &Session, change: &Change, value: Node) -> Result<Done, CommandError> {
    let (input, output) = change.types.of(&change.path);
    session.layout(output, Some(&change.path))?;
    let source = Source::File(change.path.clone());
    let file = open::load(&source, input)?;
    let mut opened = open::open(session, &source, file, change.ignore_mac)?;
    let changed = opened
        .set(&change.place, value)
        .map_err(|error| CommandError::code(code::INDEX, format!("Invalid set index: {error}")))?;
    if opened.tree().documents.first().is_some_and(|document| has_metadata(output, document)) {
        return Err(CommandError::code(code::ALREADY_ENCRYPTED, words::already_encrypted()));
    }
    // Sealed even if it is not written, so that what could not be sealed is told in both cases.
    seal(session, change, opened, output, changed || !change.idempotent)
}

/// Removes a value and writes the file.
///
/// # Errors
/// Every reason has SOPS's exit code.
pub(crate) fn unset(session: &Session, change: &Change) -> Result<Done, CommandError> {
    let (input, output) = change.types.of(&change.path);
    session.layout(output, Some(&change.path))?;
    let source = Source::File(change.path.clone());
    let file = open::load(&source, input)?;
    let mut opened = open::open(session, &source, file, change.ignore_mac)?;
    match opened.unset(&change.place) {
        Ok(()) => seal(session, change, opened, output, true),
        Err(PathError::NoSuchKey(_) | PathError::OutOfBounds(_)) if change.idempotent => Ok(Done::Unchanged),
        Err(PathError::NoSuchKey(key)) => Err(CommandError::input(format!("Key not found: {key}"))),
        Err(PathError::OutOfBounds(index)) => {
            Err(CommandError::input(format!("Index {index} out of bounds")))
        }
        Err(error) => Err(CommandError::input(error)),
    }
}

fn seal(
    session: &Session,
    change: &Change,
    opened: sealops_crypto::sops::OpenFile,
    output: Format,
    write: bool,
) -> Result<Done, CommandError> {
    session.audit.record_file(Action::Encrypt, &change.path)?;
    let file = opened
        .seal(&mut SystemRandom, &session.now()?, &Threads)
        .map_err(|error| encrypt::encrypt_error(&error))?;
    let text = open::encrypted_text(session, file, output, Some(&change.path))?;
    if !write {
        return Ok(Done::Unchanged);
    }
    change.output.write(text.expose(), Content::Encrypted)?;
    Ok(Done::Written)
}

/// Reads the value of `set`: JSON. Numbers without a fraction are whole numbers, which SOPS makes floats of.
///
/// # Errors
/// Fails where the text is no JSON.
pub(crate) fn read_value(text: &Plaintext) -> Result<Node, CommandError> {
    let wrong = || CommandError::code(code::INDEX, "Value for --set is not valid JSON");
    // The parser takes objects; any value is one in a field. What would close the object early gives a second field, or
    // text behind the object.
    let mut wrapped = Plaintext::from("{\"v\":");
    wrapped.push(text.expose());
    wrapped.push(b"}");
    let parsed = tree::parse(Format::Json, wrapped.expose()).map_err(|_| wrong())?;
    let map = parsed.documents.into_iter().next().ok_or_else(wrong)?;
    let mut entries = map.entries.into_iter();
    match (entries.next(), entries.next()) {
        (Some(Entry::Pair { key, value }), None) if key.as_bytes() == Some(b"v") => Ok(value),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use sealops_formats::tree::Scalar;

    use super::*;

    #[test]
    fn reads_any_json_and_nothing_else() {
        let read = |text: &str| read_value(&text.into());
        assert!(matches!(read("5").unwrap(), Node::Scalar(Scalar::Int(5))));
        assert!(matches!(read(" 2.5 \n").unwrap(), Node::Scalar(Scalar::Float(_))));
        assert!(matches!(read("null").unwrap(), Node::Null));
        assert!(matches!(read("\"x\"").unwrap(), Node::Scalar(Scalar::Str(_))));
        assert!(matches!(read("[1, {\"a\": 2}]").unwrap(), Node::Seq(items) if items.len() == 2));
        for bad in ["", "x", "1, \"w\": 2", "1}", "1} {\"a\": 2", "{", "1 2", "\"a", "1, \"v\": 2"] {
            read(bad).unwrap_err();
        }
    }
}
