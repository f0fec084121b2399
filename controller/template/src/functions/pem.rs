//! PEM (RFC 7468) as Go's `encoding/pem` reads and writes it: `filterPEM`, and blocks for the functions beside it.
//!
//! Other readers disagree with Go on what stands between blocks, on headers and on trailing blanks, and a template's
//! result would change with them. Go 1.26: the first END line decides, and the last BEGIN before it belongs to it.

use std::collections::BTreeMap;

use sealops_formats::{Plaintext, base64};

use super::{Function, Origin, chain};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

/// `filterPEM`, `filterCertChain`, `certSANs`.
pub(crate) const TABLE: &[Function] = &[
    Function::new("filterPEM", &[Type::String, Type::String], filter_pem).only(Origin::ExternalSecrets),
    Function::new("filterCertChain", &[Type::String, Type::String], filter_chain)
        .only(Origin::ExternalSecrets),
    Function::new("certSANs", &[Type::String], sans).only(Origin::ExternalSecrets),
];

fn filter_pem(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args[1].as_text()?;
    context.charge_bytes(2 * text.len())?;
    let kept = filter(args[0].as_text()?.as_bytes(), text.as_bytes()).map_err(FunctionError::Failed)?;
    context.text(kept)
}

fn filter_chain(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args[1].as_text()?.as_bytes();
    context.charge_bytes(2 * text.len())?;
    let kept = chain::filter(args[0].as_text()?.as_bytes(), text).map_err(FunctionError::Failed)?;
    context.text(kept)
}

fn sans(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args[0].as_text()?.as_bytes();
    context.charge_bytes(text.len())?;
    let names = chain::sans(text).map_err(FunctionError::Failed)?;
    let names = names.into_iter().map(|name| context.text(name.into_bytes())).collect::<Result<_, _>>()?;
    context.list_of(&Type::String, names)
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";
const LINE: usize = 64;

/// Block type of certificates.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";
/// Block type of keys in PKCS#8.
pub(super) const PRIVATE_KEY: &str = "PRIVATE KEY";

/// One block.
pub(super) struct Block<'a> {
    /// What stands after BEGIN.
    pub(super) kind: &'a [u8],
    headers: BTreeMap<&'a [u8], &'a [u8]>,
    /// The decoded content.
    pub(super) bytes: Plaintext,
}

/// Returns the first block and what follows it; without a block, everything.
pub(super) fn decode(data: &[u8]) -> (Option<Block<'_>>, &[u8]) {
    let mut rest = data;
    loop {
        let Some(end) = find(rest, END) else { return (None, data) };
        let after_end = end + END.len();
        match block(rest, end) {
            Attempt::Block(block, rest) => return (Some(block), rest),
            Attempt::None => return (None, data),
            Attempt::Skip => rest = &rest[after_end..],
        }
    }
}

enum Attempt<'a> {
    Block(Block<'a>, &'a [u8]),
    /// Not here; look after this END line.
    Skip,
    /// The text ends within a block.
    None,
}

/// Reads the block whose END line begins at `end` (at its line feed).
fn block(text: &[u8], end: usize) -> Attempt<'_> {
    let Some(begin) = rfind(&text[..end], BEGIN) else { return Attempt::Skip };
    if begin > 0 && text[begin - 1] != b'\n' {
        return Attempt::Skip;
    }
    let mut at = begin + BEGIN.len();
    let (line, next) = line(text, at);
    at = next;
    let Some(kind) = line.strip_suffix(DASHES) else { return Attempt::Skip };
    let mut headers = BTreeMap::new();
    loop {
        if at >= text.len() {
            return Attempt::None;
        }
        let (line, next) = self::line(text, at);
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { break };
        headers.insert(line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        at = next;
    }
    if !headers.is_empty() && at > end {
        return Attempt::Skip;
    }
    let trailer = &text[(end + END.len()).min(text.len())..];
    let Some(rest_of_line) = trailer.strip_prefix(kind).and_then(|rest| rest.strip_prefix(DASHES)) else {
        return Attempt::Skip;
    };
    if !self::line(rest_of_line, 0).0.is_empty() {
        return Attempt::Skip;
    }
    let mut bytes = Plaintext::default();
    if end > at {
        let text: Plaintext = text[at..end]
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b' ' | b'\t'))
            .collect::<Vec<_>>()
            .into();
        match base64::decode(text.expose()) {
            Ok(decoded) => bytes = decoded,
            Err(_) => return Attempt::Skip,
        }
    }
    let rest = &text[self::line(text, end + 1).1..];
    Attempt::Block(Block { kind, headers, bytes }, rest)
}

/// Returns the line at an offset without trailing blanks, and the offset of the next one.
fn line(text: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &text[at..];
    let (mut end, next) = match rest.iter().position(|&byte| byte == b'\n') {
        Some(feed) => (feed, at + feed + 1),
        None => (rest.len(), text.len()),
    };
    if next > at + end && end > 0 && rest[end - 1] == b'\r' {
        end -= 1;
    }
    let blank = rest[..end].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (&rest[..end - blank], next)
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn rfind(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).rposition(|window| window == needle)
}

/// Writes one block without headers.
pub(super) fn encode(kind: &str, bytes: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len() * 3 / 2 + 2 * kind.len() + 64);
    write(&mut out, kind.as_bytes(), &BTreeMap::new(), bytes);
    out
}

fn write(out: &mut Plaintext, kind: &[u8], headers: &BTreeMap<&[u8], &[u8]>, bytes: &[u8]) {
    for part in [BEGIN, kind, DASHES, b"\n"] {
        out.push(part);
    }
    let first = headers.get_key_value(b"Proc-Type".as_slice());
    for (name, value) in first.into_iter().chain(headers.iter().filter(|(name, _)| **name != *b"Proc-Type")) {
        for part in [name, b": ".as_slice(), value, b"\n"] {
            out.push(part);
        }
    }
    if !headers.is_empty() {
        out.push(b"\n");
    }
    for line in base64::encode(bytes).expose().chunks(LINE) {
        out.push(line);
        out.push(b"\n");
    }
    for part in [&END[1..], kind, DASHES, b"\n"] {
        out.push(part);
    }
}

/// Drops what stands before the first BEGIN, as upstream does since Go became stricter (golang/go#76124).
pub(super) fn trim_junk(text: &[u8]) -> &[u8] {
    &text[find(text, b"-----BEGIN").unwrap_or(0)..]
}

/// `filterPEM`: keeps the blocks of one type, whose case does not matter.
///
/// # Errors
/// Returns that there was no such block but other text.
pub(super) fn filter(kind: &[u8], text: &[u8]) -> Result<Plaintext, String> {
    let mut out = Plaintext::default();
    let mut rest = trim_junk(text);
    loop {
        let (block, after) = decode(rest);
        rest = after;
        let Some(block) = block else { break };
        if equal_fold(block.kind, kind) {
            write(&mut out, block.kind, &block.headers, block.bytes.expose());
        }
    }
    if out.is_empty() && !rest.is_empty() {
        return Err("error filtering pem: found junk".to_owned());
    }
    Ok(out)
}

fn equal_fold(one: &[u8], other: &[u8]) -> bool {
    let folded = |text| String::from_utf8_lossy(text).to_lowercase();
    one.eq_ignore_ascii_case(other) || folded(one) == folded(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        let mut rest = text.as_bytes();
        let mut found = Vec::new();
        while let (Some(block), after) = decode(rest) {
            found.push(format!(
                "{}={}",
                String::from_utf8_lossy(block.kind),
                String::from_utf8_lossy(block.bytes.expose())
            ));
            rest = after;
        }
        found
    }

    /// What Go 1.26 says to the same texts.
    #[test]
    fn reads_what_go_reads() {
        for (text, expected) in [
            ("-----BEGIN A-----\nYWJj\n-----END A-----\n", vec!["A=abc"]),
            ("-----BEGIN A-----\r\nYW Jj\t\r\n-----END A----- \t\r\n", vec!["A=abc"]),
            ("-----BEGIN A-----\nk: v\n\nYWJj\n-----END A-----", vec!["A=abc"]),
            ("junk\n-----BEGIN A-----\nYWJj\n-----END A-----\nrest", vec!["A=abc"]),
            ("junk -----BEGIN A-----\nYWJj\n-----END A-----\n", vec![]),
            ("-----BEGIN X-----\n-----BEGIN A-----\nYWJj\n-----END A-----\n", vec!["A=abc"]),
            (
                "-----BEGIN A-----\nY*Jj\n-----END A-----\n-----BEGIN B-----\nYWJj\n-----END B-----\n",
                vec!["B=abc"],
            ),
            ("-----BEGIN A-----\nYWJj\n-----END B-----\n", vec![]),
            ("-----BEGIN A-----\nYWJj\n-----END A-----x\n", vec![]),
            ("-----BEGIN A-----\n-----END A-----\n", vec!["A="]),
            ("-----BEGIN A-----\nYWJj\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(kinds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_content_is_broken_into_lines_of_64() {
        let text = encode("A", &[0; 60]);
        let lines: Vec<_> = text.expose_str().unwrap().lines().map(str::len).collect();
        assert_eq!(lines, [17, 64, 16, 15]);
    }
}
