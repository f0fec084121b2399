//! INI as SOPS reads and writes it with go-ini (v1.67.3), sections of one name allowed more than once.
//!
//! ```text
//!   ; comment of the section          section ──► entry of the document, `DEFAULT` always the first
//!   [section]                         its comment ──► first entry of the section
//!   ; comment of the key              comment of a key ──► *after* the key
//!   key = value ; more of it
//! ```

use std::collections::HashMap;

use super::dotenv::stringified;
use super::format::{EmitError, MAX_NODES, ParseError, ParseProblem};
use super::json::{quoted, write_scalar};
use super::{Comment, Entry, Key, Map, Node, Tree};
use crate::Plaintext;

const DEFAULT: &[u8] = b"DEFAULT";
const TRIPLE: &[u8] = b"\"\"\"";

/// Reads sections.
pub(super) fn parse(text: &[u8]) -> Result<Tree, ParseError> {
    let text = match text {
        [0xef, 0xbb, 0xbf, rest @ ..] | [0xfe, 0xff, rest @ ..] | [0xff, 0xfe, rest @ ..] => rest,
        _ => text,
    };
    let mut reader = Reader { text, at: 0, line: 0, comment: Plaintext::default() };
    let mut sections = vec![Section::new(DEFAULT)];
    let mut counter = 1;
    // Of each key of the section.
    let mut lines = HashMap::new();
    let mut nodes = 0;
    while let Some(line) = reader.next_line() {
        let line = trim_start(line);
        nodes += 1;
        if nodes > MAX_NODES {
            return Err(reader.fail(ParseProblem::TooManyNodes));
        }
        match line.first() {
            None => {}
            Some(b'#' | b';') => reader.comment.push(line),
            Some(b'[') => {
                sections.push(reader.section(line)?);
                counter = 1;
                lines.clear();
            }
            Some(_) => {
                let number = reader.line;
                let (name, value) = reader.key(line, &mut counter)?;
                // SOPS would lose the first value without a word.
                if let Some(first) = lines.insert(name.clone(), number) {
                    return Err(reader.fail(ParseProblem::DuplicateKey { first }));
                }
                let comment = reader.take_comment();
                if let Some(section) = sections.last_mut() {
                    section.set(name, value, comment);
                }
            }
        }
    }
    let mut document = Map::default();
    for section in sections {
        let name = Key::from_bytes(&section.name);
        document.push(name, Node::Map(section.into_map()));
    }
    Ok(Tree { documents: vec![document] })
}

#[derive(Default)]
struct Section {
    name: Vec<u8>,
    comment: Plaintext,
    keys: Vec<(Vec<u8>, Plaintext, Plaintext)>,
    places: HashMap<Vec<u8>, usize>,
}

impl Section {
    fn new(name: &[u8]) -> Self {
        Self { name: name.to_vec(), ..Self::default() }
    }

    /// Sets a key; one that is there keeps its place.
    fn set(&mut self, name: Vec<u8>, value: Plaintext, comment: Plaintext) {
        if let Some(place) = self.places.get(&name) {
            let (_, old, remark) = &mut self.keys[*place];
            (*old, *remark) = (value, comment);
        } else {
            self.places.insert(name.clone(), self.keys.len());
            self.keys.push((name, value, comment));
        }
    }

    fn into_map(self) -> Map {
        let mut map = Map::default();
        if !self.comment.is_empty() {
            map.entries.push(comment_entry(&self.comment));
        }
        for (name, value, comment) in self.keys {
            map.push(Key::from_bytes(&name), value);
            if !comment.is_empty() {
                map.entries.push(comment_entry(&comment));
            }
        }
        map
    }
}

/// The first line loses its mark, with all that look like it and blanks; further lines keep theirs.
fn comment_entry(comment: &Plaintext) -> Entry {
    let text = comment.expose();
    let cut = match text.first() {
        Some(mark @ (b';' | b'#')) => text.iter().take_while(|byte| *byte == mark || **byte == b' ').count(),
        _ => 0,
    };
    Entry::Comment(Comment::new(&text[cut..]))
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    /// Comment lines that wait for a section or key.
    comment: Plaintext,
}

impl<'a> Reader<'a> {
    /// Returns the next line with its break.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.at += length;
        self.line += 1;
        Some(&rest[..length])
    }

    fn section(&mut self, line: &[u8]) -> Result<Section, ParseError> {
        let close = line.iter().rposition(|byte| *byte == b']');
        let close = close.ok_or_else(|| self.fail(ParseProblem::Syntax("unclosed section")))?;
        if close == 1 {
            return Err(self.fail(ParseProblem::Syntax("empty section name")));
        }
        let mut section = Section::new(&line[1..close]);
        self.comment.push(from_mark(&line[close + 1..]));
        section.comment = self.take_comment();
        Ok(section)
    }

    /// Reads a key with its value; keys named `-` are numbered.
    fn key(&mut self, line: &[u8], counter: &mut usize) -> Result<(Vec<u8>, Plaintext), ParseError> {
        let (name, offset) = self.key_name(line)?;
        let mut name = name.to_vec();
        if name == b"-" {
            name = format!("#{counter}").into_bytes();
            *counter += 1;
        }
        let value = self.value(&line[offset..])?;
        if name.is_empty() {
            return Err(self.fail(ParseProblem::Syntax("a key without a name")));
        }
        Ok((name, value))
    }

    fn take_comment(&mut self) -> Plaintext {
        let comment = std::mem::take(&mut self.comment);
        Plaintext::from(trim(comment.expose()))
    }

    /// Returns a key and where its value starts.
    fn key_name<'l>(&self, line: &'l [u8]) -> Result<(&'l [u8], usize), ParseError> {
        let none = || self.fail(ParseProblem::Syntax("key-value delimiter not found"));
        let delimiter = |from: usize| line[from..].iter().position(|byte| matches!(byte, b'=' | b':'));
        let quote: &[u8] = match line {
            [b'"', b'"', b'"', ..] if line.len() > 6 => TRIPLE,
            [b'"', ..] => b"\"",
            [b'`', ..] => b"`",
            _ => {
                let end = delimiter(0).ok_or_else(none)?;
                if end == 0 {
                    return Err(self.fail(ParseProblem::Syntax("empty key name")));
                }
                return Ok((trim(&line[..end]), end + 1));
            }
        };
        let start = quote.len();
        let end = start
            + find(&line[start..], quote)
                .ok_or_else(|| self.fail(ParseProblem::Syntax("missing closing key quote")))?;
        let value = end + start + delimiter(end + start).ok_or_else(none)? + 1;
        Ok((trim(&line[start..end]), value))
    }

    fn value(&mut self, text: &[u8]) -> Result<Plaintext, ParseError> {
        let line = trim_start(text);
        let quote: &[u8] = match line {
            [] => return Ok(Plaintext::default()),
            [b'"', b'"', b'"', _, ..] => TRIPLE,
            [b'`', ..] => b"`",
            _ => b"",
        };
        if !quote.is_empty() {
            let inside = &line[quote.len()..];
            return match find_last(inside, quote) {
                Some(end) => Ok(Plaintext::from(&inside[..end])),
                None => self.value_over_lines(inside, quote),
            };
        }
        let line = trim(line);
        if let Some(first) = line.strip_suffix(b"\\") {
            return Ok(self.continued_value(first));
        }
        let mut value = line;
        if let Some(mark) = line.iter().position(|byte| matches!(byte, b'#' | b';')) {
            self.comment.push(&line[mark..]);
            value = trim(&line[..mark]);
        }
        Ok(Plaintext::from(unquoted(value)))
    }

    fn value_over_lines(&mut self, first: &[u8], quote: &[u8]) -> Result<Plaintext, ParseError> {
        let mut value = Plaintext::from(first);
        loop {
            let missing = ParseProblem::Syntax("missing closing quote of a value");
            let next = self.next_line().ok_or_else(|| self.fail(missing))?;
            let Some(end) = find_last(next, quote) else {
                value.push(next);
                continue;
            };
            if trim(&next[end + quote.len()..]).ends_with(b"\\") {
                value.push(next);
                continue;
            }
            value.push(&next[..end]);
            self.comment.push(trim(from_mark(&next[end..])));
            return Ok(value);
        }
    }

    fn continued_value(&mut self, first: &[u8]) -> Plaintext {
        let mut value = Plaintext::from(first);
        while let Some(next) = self.next_line() {
            let next = trim(next);
            value.push(next);
            if !next.ends_with(b"\\") {
                break;
            }
            value.truncate(value.len() - 1);
        }
        value
    }

    fn fail(&self, problem: ParseProblem) -> ParseError {
        ParseError { line: self.line, column: 0, problem }
    }
}

/// Takes one pair of quotes off, where no further one of the kind is inside.
fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [first @ (b'\'' | b'"'), inside @ .., last] if first == last && !inside.contains(first) => inside,
        _ => text,
    }
}

/// Returns the comment in the rest of a line.
fn from_mark(text: &[u8]) -> &[u8] {
    text.iter().position(|byte| matches!(byte, b'#' | b';')).map_or(b"", |at| &text[at..])
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn find_last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

fn trim(text: &[u8]) -> &[u8] {
    let mut text = trim_start(text);
    while !text.is_empty() {
        let start =
            (1..=text.len().min(4)).find(|length| text[text.len() - length] & 0xc0 != 0x80).unwrap_or(1);
        match std::str::from_utf8(&text[text.len() - start..]) {
            Ok(last) if last.chars().all(char::is_whitespace) => text = &text[..text.len() - start],
            _ => break,
        }
    }
    text
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let Some(first) = text.first() {
        let length = match first {
            ..0x80 => 1,
            ..0xe0 => 2,
            _ => 3,
        };
        match text.get(..length).and_then(|piece| std::str::from_utf8(piece).ok()) {
            Some(piece) if piece.chars().all(char::is_whitespace) => text = &text[length..],
            _ => break,
        }
    }
    text
}

/// Writes every document, one section per entry.
pub(super) fn emit(tree: &Tree) -> Result<Plaintext, EmitError> {
    let mut sections = Vec::new();
    for document in &tree.documents {
        for entry in &document.entries {
            let Entry::Pair { key, value } = entry else { continue };
            let name = key.as_bytes().ok_or(EmitError::KeyNotText)?;
            let Node::Map(map) = value else { return Err(EmitError::NotASection) };
            sections.push(section_of(name, map)?);
        }
    }
    let mut out = Plaintext::with_capacity(1024);
    let count = sections.len();
    for (index, section) in sections.iter().enumerate() {
        comment_lines(&mut out, &section.comment, false);
        if index > 0 || !section.name.eq_ignore_ascii_case(DEFAULT) {
            out.push(b"[");
            out.push(&section.name);
            out.push(b"]\n");
        } else if section.keys.is_empty() {
            continue;
        }
        write_keys(&mut out, section);
        if index + 1 < count {
            out.push(b"\n");
        }
    }
    Ok(out)
}

fn section_of(name: &[u8], map: &Map) -> Result<Section, EmitError> {
    if name.is_empty() {
        return Err(EmitError::EmptyName);
    }
    let mut section = Section::new(name);
    let mut last: Option<usize> = None;
    for (index, entry) in map.entries.iter().enumerate() {
        match (entry, last) {
            (Entry::Comment(comment), _) if index == 0 => section.comment = comment.text.duplicate(),
            (Entry::Comment(comment), Some(last)) => section.keys[last].2 = comment.text.duplicate(),
            (Entry::Comment(_), None) => {}
            (Entry::Pair { key, value }, _) => {
                let name = key.as_bytes().ok_or(EmitError::KeyNotText)?;
                if name.is_empty() {
                    return Err(EmitError::EmptyName);
                }
                let value = stringified(value).ok_or(EmitError::Complex)?;
                let place = *section.places.get(name).unwrap_or(&section.keys.len());
                let comment = section.keys.get(place).map(|(_, _, comment)| comment.duplicate());
                section.set(name.to_vec(), value, comment.unwrap_or_default());
                last = Some(place);
            }
        }
    }
    Ok(section)
}

fn write_keys(out: &mut Plaintext, section: &Section) {
    let width =
        section.keys.iter().map(|(name, ..)| key_quote(name).len() * 2 + name.len()).max().unwrap_or(0);
    for (name, value, comment) in &section.keys {
        comment_lines(out, comment, true);
        let quote = key_quote(name);
        out.push(quote);
        out.push(name);
        out.push(quote);
        for _ in quote.len() * 2 + name.len()..width {
            out.push(b" ");
        }
        out.push(b" = ");
        let text = value.expose();
        let quote: &[u8] = match text {
            _ if text.iter().any(|byte| matches!(byte, b'\n' | b'`')) => TRIPLE,
            _ if text.iter().any(|byte| matches!(byte, b'#' | b';')) => b"`",
            _ if trim(text).len() != text.len() => b"\"",
            _ => b"",
        };
        out.push(quote);
        out.push(text);
        out.push(quote);
        out.push(b"\n");
    }
}

fn key_quote(name: &[u8]) -> &'static [u8] {
    if name.iter().any(|byte| matches!(byte, b'"' | b'=' | b':')) {
        b"`"
    } else if name.contains(&b'`') {
        TRIPLE
    } else {
        b""
    }
}

fn comment_lines(out: &mut Plaintext, comment: &Plaintext, trimmed: bool) {
    if comment.is_empty() {
        return;
    }
    for line in comment.expose().split(|byte| *byte == b'\n') {
        match line {
            [mark @ (b'#' | b';'), rest @ ..] => {
                out.push(&[*mark, b' ']);
                out.push(trim(rest));
            }
            _ => {
                out.push(b"; ");
                out.push(if trimmed { trim(line) } else { line });
            }
        }
        out.push(b"\n");
    }
}

/// Writes one value as Go's JSON encoder shows SOPS's own types: a section is a list of keys and values.
pub(super) fn emit_value(value: &Node) -> Result<Plaintext, EmitError> {
    let mut out = Plaintext::default();
    write_value(&mut out, value)?;
    Ok(out)
}

fn write_value(out: &mut Plaintext, value: &Node) -> Result<(), EmitError> {
    let map = match value {
        Node::Scalar(scalar) => return write_scalar(out, scalar),
        Node::Seq(_) => return Err(EmitError::Complex),
        Node::Map(map) if !map.entries.is_empty() => map,
        Node::Null | Node::Map(_) => {
            out.push(b"null");
            return Ok(());
        }
    };
    for (index, entry) in map.entries.iter().enumerate() {
        out.push(if index == 0 { b"[{\"Key\":" } else { b",{\"Key\":" });
        match entry {
            Entry::Comment(comment) => {
                out.push(b"{\"Value\":");
                quoted(out, comment.text.expose());
                out.push(if comment.inline { b",\"Inline\":true}" } else { b",\"Inline\":false}" });
                out.push(b",\"Value\":null}");
            }
            Entry::Pair { key, value } => {
                quoted(out, key.as_bytes().ok_or(EmitError::KeyNotText)?);
                out.push(b",\"Value\":");
                write_value(out, value)?;
                out.push(b"}");
            }
        }
    }
    out.push(b"]");
    Ok(())
}
