//! `decrypt`: an encrypted file, or one value of it, becomes readable.

use std::path::PathBuf;

use sealops_crypto::sops::{PathError, ValuePath, extract};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, EmitError, Format, Layout, Node, Tree};

use super::code;
use super::open::{self, Source};
use super::output::{Content, Output};
use super::session::{Session, Types};
use crate::error::CommandError;

/// What `decrypt` is asked for.
#[derive(Debug)]
pub(crate) struct Decryption {
    pub(crate) source: Source,
    /// What names the formats: the file, or `--filename-override`.
    pub(crate) name: PathBuf,
    pub(crate) types: Types,
    pub(crate) extract: Option<ValuePath>,
    pub(crate) ignore_mac: bool,
    pub(crate) output: Output,
}

/// Decrypts and writes.
///
/// # Errors
/// Every reason has SOPS's exit code.
pub(crate) fn run(session: &Session, decryption: &Decryption) -> Result<(), CommandError> {
    let text = plaintext(session, decryption)?;
    decryption.output.write(text.expose(), Content::Plain)
}

/// Decrypts.
pub(crate) fn plaintext(session: &Session, decryption: &Decryption) -> Result<Plaintext, CommandError> {
    let (input, output) = decryption.types.of(&decryption.name);
    let layout = session.layout(output, Some(&decryption.name))?;
    let file = open::load(&decryption.source, input)?;
    let tree = open::open(session, &decryption.source, file, decryption.ignore_mac)?.into_tree();
    match &decryption.extract {
        Some(path) => extracted(tree, path, output, &layout),
        None => plain_text(&tree, output, &layout),
    }
}

/// Reads `--extract`; an empty text is none.
pub(crate) fn read_extract(text: &str) -> Result<Option<ValuePath>, CommandError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |error: String| {
        CommandError::code(code::EXTRACT_PATH, format!("error parsing --extract path: {error}"))
    };
    read_path(text).map(Some).map_err(wrong)
}

/// Reads a path. What stands in front of the first bracket must end as a part of a path does, which it cannot.
pub(crate) fn read_path(text: &str) -> Result<ValuePath, String> {
    let first = text.split('[').next().unwrap_or_default();
    if !first.is_empty() {
        return Err(format!("component {first} doesn't end with ]"));
    }
    ValuePath::parse(text).map_err(|error| error.to_string())
}

/// Returns a plain text in its format.
pub(crate) fn plain_text(tree: &Tree, output: Format, layout: &Layout) -> Result<Plaintext, CommandError> {
    tree::emit(output, tree, layout).map_err(|error| emit_error(output, &error))
}

fn emit_error(output: Format, error: &EmitError) -> CommandError {
    let failure = CommandError::code(code::EMIT, format!("Error dumping file: {error}"));
    if output == Format::Binary {
        failure.hint("this is probably no encrypted binary file: --output-type selects another format")
    } else {
        failure
    }
}

/// A mapping is printed as a file, a text bare, anything else as the format writes it.
fn extracted(
    mut tree: Tree,
    path: &ValuePath,
    output: Format,
    layout: &Layout,
) -> Result<Plaintext, CommandError> {
    let absent = |error: PathError| CommandError::input(format!("error truncating tree: {error}"));
    let node = extract(&tree, path).map_err(absent)?;
    if let Some(text) = node.as_text() {
        return Ok(text.duplicate());
    }
    if let Node::Map(map) = node {
        let map = map.duplicate();
        // The other documents stay, as with sops.
        if let Some(first) = tree.documents.first_mut() {
            *first = map;
        }
        return plain_text(&tree, output, layout);
    }
    tree::emit_value(output, node, layout)
        .map_err(|error| CommandError::code(code::EMIT, format!("Error dumping tree: {error}")))
}
