//! Trees in the notation of the oracle.

use std::fmt::Write;

use sealops_formats::tree::{Comment, Entry, Format, Item, Key, Map, Node, Scalar, Tree};

pub(crate) fn tree(tree: &Tree) -> String {
    let mut out = String::new();
    for document in &tree.documents {
        map(&mut out, document);
        out.push(';');
    }
    out
}

fn map(out: &mut String, map: &Map) {
    out.push('{');
    for entry in &map.entries {
        match entry {
            Entry::Comment(found) => comment(out, found),
            Entry::Pair { key, value } => {
                match key {
                    Key::Other(Some(found)) => scalar(out, found),
                    Key::Other(None) => out.push('n'),
                    text => hex(out, 's', text.as_bytes().unwrap()),
                }
                out.push(':');
                node(out, value);
            }
        }
        out.push(',');
    }
    out.push('}');
}

fn node(out: &mut String, value: &Node) {
    match value {
        Node::Null => out.push('n'),
        Node::Map(found) => map(out, found),
        Node::Scalar(found) => scalar(out, found),
        Node::Seq(items) => {
            out.push('[');
            for item in items {
                match item {
                    Item::Comment(found) => comment(out, found),
                    Item::Node(found) => node(out, found),
                }
                out.push(',');
            }
            out.push(']');
        }
    }
}

fn scalar(out: &mut String, scalar: &Scalar) {
    match scalar {
        Scalar::Str(text) => hex(out, 's', text.expose()),
        Scalar::Int(number) => write!(out, "i{number}").unwrap(),
        Scalar::Uint(number) => write!(out, "u{number}").unwrap(),
        Scalar::Float(number) if number.is_nan() => out.push_str("fnan"),
        Scalar::Float(number) => write!(out, "f{:016x}", number.to_bits()).unwrap(),
        Scalar::Bool(value) => write!(out, "b{value}").unwrap(),
        Scalar::Time(time) => write!(out, "t{}", time.to_rfc3339_nano()).unwrap(),
    }
}

fn comment(out: &mut String, comment: &Comment) {
    hex(out, if comment.inline { '~' } else { '#' }, comment.text.expose());
}

fn hex(out: &mut String, mark: char, bytes: &[u8]) {
    out.push(mark);
    bytes.iter().for_each(|byte| write!(out, "{byte:02x}").unwrap());
}

/// The first documents without comments, with what a format cannot tell apart made equal: floats without fraction are
/// whole numbers, times are texts, and in JSON bytes that are no text replacement characters.
pub(crate) fn values(tree: &Tree, documents: usize, format: Format) -> String {
    let mut out = String::new();
    for document in tree.documents.iter().take(documents) {
        plain_map(&mut out, document, format);
        out.push(';');
    }
    out
}

fn plain_map(out: &mut String, map: &Map, format: Format) {
    out.push('{');
    for entry in &map.entries {
        let Entry::Pair { key, value } = entry else { continue };
        match key.as_bytes() {
            Some(bytes) => write!(out, "{:?}", String::from_utf8_lossy(bytes)).unwrap(),
            None => out.push('?'),
        }
        out.push(':');
        plain_node(out, value, format);
        out.push(',');
    }
    out.push('}');
}

fn plain_node(out: &mut String, value: &Node, format: Format) {
    match value {
        Node::Map(found) => plain_map(out, found, format),
        Node::Seq(items) => {
            out.push('[');
            for item in items {
                if let Item::Node(found) = item {
                    plain_node(out, found, format);
                    out.push(',');
                }
            }
            out.push(']');
        }
        Node::Scalar(Scalar::Float(number)) if number.fract() == 0.0 => {
            write!(out, "{:e}", number + 0.0).unwrap();
        }
        #[expect(clippy::cast_precision_loss, reason = "compared as floats")]
        Node::Scalar(Scalar::Int(number)) if *number != 0 => write!(out, "{:e}", *number as f64).unwrap(),
        Node::Scalar(Scalar::Int(_)) => out.push_str("0e0"),
        #[expect(clippy::cast_precision_loss, reason = "compared as floats")]
        Node::Scalar(Scalar::Uint(number)) => write!(out, "{:e}", *number as f64).unwrap(),
        Node::Scalar(Scalar::Time(time)) => write!(out, "{:?}", time.to_rfc3339_nano()).unwrap(),
        Node::Scalar(Scalar::Str(text)) if format == Format::Json => {
            let chunks = text.expose().utf8_chunks();
            let text: String = chunks
                .flat_map(|chunk| [chunk.valid().to_owned(), "\u{fffd}".repeat(chunk.invalid().len())])
                .collect();
            write!(out, "{text:?}").unwrap();
        }
        Node::Scalar(Scalar::Str(text)) => match text.expose_str() {
            Some(words) => write!(out, "{words:?}").unwrap(),
            None => hex(out, 's', text.expose()),
        },
        other => node(out, other),
    }
}

/// Makes a dump readable: the hex texts as text.
pub(crate) fn readable(dump: &str) -> String {
    let mut out = String::new();
    let mut rest = dump;
    while let Some(mark) = rest.chars().next() {
        rest = &rest[1..];
        out.push(mark);
        if matches!(mark, 's' | '#' | '~') {
            let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
            let bytes: Vec<u8> =
                (0..end / 2).map(|at| u8::from_str_radix(&rest[2 * at..2 * at + 2], 16).unwrap()).collect();
            write!(out, "{:?}", String::from_utf8_lossy(&bytes)).unwrap();
            rest = &rest[end..];
        }
    }
    out
}
