//! `KEY=value` lines: nothing is trimmed, unquoted or expanded.

use super::format::{EmitError, MAX_NODES, ParseError, ParseProblem};
use super::number::{go_float, plain_float};
use super::{Comment, Entry, Key, Map, Node, Scalar, Tree};
use crate::Plaintext;

/// Reads lines.
pub(super) fn parse(text: &[u8]) -> Result<Tree, ParseError> {
    let mut map = Map::default();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let fail = |problem| Err(ParseError { line: index + 1, column: 0, problem });
        if map.entries.len() >= MAX_NODES {
            return fail(ParseProblem::TooManyNodes);
        }
        match line {
            [] => {}
            [b'#', comment @ ..] => map.entries.push(Entry::Comment(Comment::new(comment))),
            _ => match line.iter().position(|byte| *byte == b'=') {
                Some(equals) => {
                    let value = replaced(&line[equals + 1..], b"\\n", b"\n");
                    map.push(Key::from_bytes(&line[..equals]), value);
                }
                None => return fail(ParseProblem::Syntax("invalid dotenv input line: there is no '='")),
            },
        }
    }
    Ok(Tree { documents: vec![map] })
}

/// Writes the first document.
pub(super) fn emit(tree: &Tree) -> Result<Plaintext, EmitError> {
    let document = tree.documents.first().ok_or(EmitError::NoDocument)?;
    let mut out = Plaintext::with_capacity(1024);
    for entry in &document.entries {
        match entry {
            Entry::Comment(comment) => {
                out.push(b"#");
                out.push(comment.text.expose());
            }
            Entry::Pair { key, value } => {
                out.push(key.as_bytes().ok_or(EmitError::KeyNotText)?);
                out.push(b"=");
                match value {
                    Node::Scalar(Scalar::Str(text)) => push_replaced(&mut out, text.expose(), b"\n", b"\\n"),
                    value => out.push(stringified(value).ok_or(EmitError::Complex)?.expose()),
                }
            }
        }
        out.push(b"\n");
    }
    Ok(out)
}

/// Returns a leaf as the text that SOPS makes of it in formats that only have texts; `None` for maps and lists.
pub(super) fn stringified(value: &Node) -> Option<Plaintext> {
    Some(match value {
        Node::Map(_) | Node::Seq(_) => return None,
        Node::Null => "<nil>".into(),
        Node::Scalar(Scalar::Str(text)) => text.duplicate(),
        Node::Scalar(Scalar::Int(number)) => number.to_string().into(),
        Node::Scalar(Scalar::Uint(number)) => number.to_string().into(),
        Node::Scalar(Scalar::Bool(value)) => value.to_string().into(),
        Node::Scalar(Scalar::Time(time)) => time.to_rfc3339_seconds().into(),
        Node::Scalar(Scalar::Float(number)) => {
            let text = go_float(*number, 'E');
            if text.contains(['.', 'E']) || !number.is_finite() {
                text.into()
            } else {
                format!("{}.0", plain_float(*number)).into()
            }
        }
    })
}

/// Returns the text with every occurrence of a pair of bytes replaced.
pub(super) fn replaced(text: &[u8], what: &[u8], with: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(text.len());
    push_replaced(&mut out, text, what, with);
    out
}

fn push_replaced(out: &mut Plaintext, text: &[u8], what: &[u8], with: &[u8]) {
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with(what) {
            out.push(&text[start..at]);
            out.push(with);
            at += what.len();
            start = at;
        } else {
            at += 1;
        }
    }
    out.push(&text[start..]);
}
