//! YAML as SOPS reads and writes it with go-yaml (v3.0.4).
//!
//! ```text
//!   bytes ──scan──► tokens, comments ──parse──► nodes with comments ──load──► Tree
//!   Tree ──emit──► bytes
//! ```

mod chars;
mod comments;
mod emit;
mod flow;
mod keys;
mod leaf;
mod load;
mod node;
mod parse;
mod resolve;
mod scalars;
mod scan;
mod tags;
mod text;
mod token;
mod write;

pub(super) use emit::{emit, emit_value};
pub(crate) use text::double_quoted;

use self::chars::is_printable;
use self::load::{Check, Loader};
use self::node::Kind;
use self::parse::Parser;
use self::token::Mark;
use super::{ParseError, Tree};
use crate::Plaintext;

/// Reads every document of a text.
pub(super) fn parse(bytes: &[u8]) -> Result<Tree, ParseError> {
    match bytes {
        [] => Ok(Tree::default()),
        [0xff, 0xfe, rest @ ..] => parse_text(from_utf16(rest, u16::from_le_bytes)?.expose()),
        [0xfe, 0xff, rest @ ..] => parse_text(from_utf16(rest, u16::from_be_bytes)?.expose()),
        [0xef, 0xbb, 0xbf, rest @ ..] => parse_text(rest),
        _ => parse_text(bytes),
    }
}

fn parse_text(text: &[u8]) -> Result<Tree, ParseError> {
    check_characters(text)?;
    let mut parser = Parser::new(text);
    let mut documents = Vec::new();
    while let Some(document) = parser.document()? {
        if documents.is_empty() {
            check_first(&parser, &document)?;
        }
        documents.push(document);
    }
    if documents.is_empty() {
        return Err(ParseError::new(Mark::default(), "the text holds comments only"));
    }
    let mut loader = Loader::new(&parser.nodes);
    let documents: Result<_, _> = documents.iter().map(|document| loader.document(document)).collect();
    Ok(Tree { documents: documents? })
}

fn check_first(parser: &Parser<'_>, document: &node::Document<'_>) -> Result<(), ParseError> {
    match parser.nodes[document.root].kind {
        // The loader says what is wrong with another root.
        Kind::Scalar(..) | Kind::List(_) => Ok(()),
        _ => Check::new(&parser.nodes).node(document.root, true, 0),
    }
}

/// Refuses what go-yaml's reader refuses.
fn check_characters(text: &[u8]) -> Result<(), ParseError> {
    let fail = |position: usize, problem| {
        let line = text[..position].iter().filter(|byte| **byte == b'\n').count();
        Err(ParseError::new(Mark { index: 0, line, column: 0 }, problem))
    };
    if text.starts_with(b"\xef\xbb\xbf") {
        return fail(0, "two byte order marks");
    }
    if let Err(error) = std::str::from_utf8(text) {
        return fail(error.valid_up_to(), "the text is not UTF-8");
    }
    match text.iter().enumerate().position(|(place, byte)| is_refused(text, place, *byte)) {
        Some(place) => fail(place, "control characters are not allowed"),
        None => Ok(()),
    }
}

fn is_refused(text: &[u8], place: usize, byte: u8) -> bool {
    match byte {
        b' '..=b'~' | b'\n' | b'\t' | b'\r' | 0x80..=0xc1 | 0xf0.. => false,
        0xc2 => text.get(place + 1).is_some_and(|second| *second < 0xa0 && *second != 0x85),
        // A byte order mark in the text is allowed.
        0xef if text.get(place + 1) == Some(&0xbb) => false,
        _ => !is_printable(text, place),
    }
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Plaintext, ParseError> {
    let fail = || ParseError::new(Mark::default(), "the text is not UTF-16");
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(fail());
    }
    let mut text = Plaintext::with_capacity(bytes.len() * 3 / 2);
    for character in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(character.map_err(|_| fail())?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(text)
}
