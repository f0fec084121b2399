//! JSON as SOPS reads and writes it with Go's `encoding/json`.

use super::format::{EmitError, Layout, MAX_DEPTH, MAX_NODES, ParseError, ParseProblem};
use super::number::json_float;
use super::{Entry, Item, Key, Map, Node, Scalar, Tree};
use crate::Plaintext;

/// Reads one object.
///
/// SOPS ignores what follows the object and takes a text that ends after a key for a shorter one; both are errors
/// here, because they lose data.
pub(super) fn parse(text: &[u8]) -> Result<Tree, ParseError> {
    let mut reader = Reader { text, at: 0, depth: 0, nodes: 0 };
    reader.blanks();
    if reader.peek() != Some(b'{') {
        return Err(reader.fail(if reader.at == text.len() {
            ParseProblem::Truncated
        } else {
            ParseProblem::NotAnObject
        }));
    }
    let map = reader.map()?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.fail(ParseProblem::Trailing));
    }
    Ok(Tree { documents: vec![map] })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn map(&mut self) -> Result<Map, ParseError> {
        self.open()?;
        let mut map = Map::default();
        if self.eat_after_blanks(b'}') {
            self.depth -= 1;
            return Ok(map);
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            self.want(b':')?;
            self.blanks();
            let value = self.value()?;
            map.entries.push(Entry::Pair { key: Key::from_bytes(key.expose()), value });
            if self.eat_after_blanks(b'}') {
                self.depth -= 1;
                return Ok(map);
            }
            self.want(b',')?;
        }
    }

    fn list(&mut self) -> Result<Vec<Item>, ParseError> {
        self.open()?;
        let mut items = Vec::new();
        if self.eat_after_blanks(b']') {
            self.depth -= 1;
            return Ok(items);
        }
        loop {
            self.blanks();
            items.push(Item::Node(self.value()?));
            if self.eat_after_blanks(b']') {
                self.depth -= 1;
                return Ok(items);
            }
            self.want(b',')?;
        }
    }

    fn value(&mut self) -> Result<Node, ParseError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.fail(ParseProblem::TooManyNodes));
        }
        match self.peek() {
            Some(b'{') => self.map().map(Node::Map),
            Some(b'[') => self.list().map(Node::Seq),
            Some(b'"') => self.string().map(|text| Node::Scalar(Scalar::Str(text))),
            Some(b'-' | b'0'..=b'9') => self.number().map(Node::Scalar),
            Some(b't') => self.word(b"true").map(|()| Node::Scalar(Scalar::Bool(true))),
            Some(b'f') => self.word(b"false").map(|()| Node::Scalar(Scalar::Bool(false))),
            Some(b'n') => self.word(b"null").map(|()| Node::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn open(&mut self) -> Result<(), ParseError> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.fail(ParseProblem::TooDeep)) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Plaintext, ParseError> {
        self.at += 1;
        let mut start = self.at;
        let mut text: Option<Plaintext> = None;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let text = text.get_or_insert_default();
                    push_valid(text, &self.text[start..self.at]);
                    self.escape(text)?;
                    start = self.at;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.unexpected()),
            }
        }
        let piece = &self.text[start..self.at];
        self.at += 1;
        let mut text = text.unwrap_or_else(|| Plaintext::with_capacity(piece.len()));
        push_valid(&mut text, piece);
        Ok(text)
    }

    fn escape(&mut self, text: &mut Plaintext) -> Result<(), ParseError> {
        self.at += 1;
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.hex()?;
                let character = self.pair(first)?;
                text.push(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.unexpected()),
        };
        text.push(&[byte]);
        self.at += 1;
        Ok(())
    }

    /// Half a surrogate pair without the other half is the replacement character.
    fn pair(&mut self, first: u32) -> Result<char, ParseError> {
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        let before = self.at;
        if first < 0xdc00 && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, ParseError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.unexpected())?;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Scalar, ParseError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return Err(self.unexpected());
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.unexpected());
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            if self.digits() == 0 {
                return Err(self.unexpected());
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        if let Ok(number) = text.parse() {
            return Ok(Scalar::Int(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Scalar::Float(number)),
            _ => Err(self.fail(ParseProblem::NumberTooLarge)),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ParseError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(())
    }

    fn want(&mut self, byte: u8) -> Result<(), ParseError> {
        if self.eat_after_blanks(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn eat_after_blanks(&mut self, byte: u8) -> bool {
        self.blanks();
        self.eat(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn unexpected(&self) -> ParseError {
        self.fail(if self.at >= self.text.len() {
            ParseProblem::Truncated
        } else {
            ParseProblem::Syntax("this is not JSON")
        })
    }

    fn fail(&self, problem: ParseProblem) -> ParseError {
        ParseError::at(self.text, self.at, problem)
    }
}

/// Appends text; each byte that is not UTF-8 becomes the replacement character, as Go does it.
fn push_valid(text: &mut Plaintext, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            text.push("\u{fffd}".as_bytes());
        }
    }
}

/// Writes the first document and a line feed; comments have no place.
pub(super) fn emit(tree: &Tree, layout: &Layout) -> Result<Plaintext, EmitError> {
    let document = tree.documents.first().ok_or(EmitError::NoDocument)?;
    let mut writer = Writer::new(layout, tree.text_length())?;
    writer.map(document, 0)?;
    writer.out.push(b"\n");
    Ok(writer.out)
}

/// Writes one value.
pub(super) fn emit_value(value: &Node, layout: &Layout) -> Result<Plaintext, EmitError> {
    let mut writer = Writer::new(layout, value.text_length())?;
    writer.node(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: Plaintext,
    /// One level.
    indent: Vec<u8>,
}

impl Writer {
    fn new(layout: &Layout, room: usize) -> Result<Self, EmitError> {
        let indent = match layout.indent {
            None | Some(-1) => vec![b'\t'],
            Some(columns) => vec![b' '; usize::try_from(columns).map_err(|_| EmitError::Indent)?],
        };
        Ok(Self { out: Plaintext::with_capacity(room), indent })
    }

    fn node(&mut self, node: &Node, depth: usize) -> Result<(), EmitError> {
        match node {
            Node::Null => self.out.push(b"null"),
            Node::Map(map) => self.map(map, depth)?,
            Node::Seq(items) => self.list(items, depth)?,
            Node::Scalar(scalar) => write_scalar(&mut self.out, scalar)?,
        }
        Ok(())
    }

    fn map(&mut self, map: &Map, depth: usize) -> Result<(), EmitError> {
        let mut open = false;
        for entry in &map.entries {
            let Entry::Pair { key, value } = entry else { continue };
            self.next(&mut open, b"{", depth);
            quoted(&mut self.out, key.as_bytes().ok_or(EmitError::KeyNotText)?);
            self.out.push(b": ");
            self.node(value, depth + 1)?;
        }
        self.close(open, *b"{}", depth);
        Ok(())
    }

    fn list(&mut self, items: &[Item], depth: usize) -> Result<(), EmitError> {
        let mut open = false;
        for item in items {
            let Item::Node(node) = item else { continue };
            self.next(&mut open, b"[", depth);
            self.node(node, depth + 1)?;
        }
        self.close(open, *b"[]", depth);
        Ok(())
    }

    fn next(&mut self, open: &mut bool, brace: &[u8], depth: usize) {
        self.out.push(if *open { b"," } else { brace });
        *open = true;
        self.line(depth + 1);
    }

    fn close(&mut self, open: bool, braces: [u8; 2], depth: usize) {
        if open {
            self.line(depth);
            self.out.push(&braces[1..]);
        } else {
            self.out.push(&braces);
        }
    }

    fn line(&mut self, depth: usize) {
        self.out.push(b"\n");
        for _ in 0..depth {
            self.out.push(&self.indent);
        }
    }
}

/// Writes a leaf.
pub(super) fn write_scalar(out: &mut Plaintext, scalar: &Scalar) -> Result<(), EmitError> {
    match scalar {
        Scalar::Str(text) => quoted(out, text.expose()),
        Scalar::Int(number) => out.push(number.to_string().as_bytes()),
        Scalar::Uint(number) => out.push(number.to_string().as_bytes()),
        Scalar::Float(number) => out.push(json_float(*number).ok_or(EmitError::NoSuchNumber)?.as_bytes()),
        Scalar::Bool(value) => out.push(if *value { b"true" } else { b"false" }),
        Scalar::Time(time) if time.offset_minutes.abs() >= 24 * 60 => return Err(EmitError::NoSuchTime),
        Scalar::Time(time) => quoted(out, time.to_rfc3339_nano().as_bytes()),
    }
    Ok(())
}

/// Writes a text in quotes; `<`, `>`, `&` and two separators are escaped, bytes that are no text replaced.
pub fn quoted(out: &mut Plaintext, text: &[u8]) {
    out.push(b"\"");
    let (mut start, mut at) = (0, 0);
    loop {
        at += plain_length(&text[at..]);
        let Some(&byte) = text.get(at) else { break };
        if byte >= 0x80 {
            let length = valid_length(&text[at..]);
            let separator = matches!(text[at..], [0xe2, 0x80, 0xa8 | 0xa9, ..]);
            if length > 0 && !separator {
                at += length;
                continue;
            }
        }
        out.push(&text[start..at]);
        at += escaped(out, &text[at..]);
        start = at;
    }
    out.push(&text[start..]);
    out.push(b"\"");
}

/// The number of bytes that a text starts with and that stand for themselves.
fn plain_length(text: &[u8]) -> usize {
    let is_plain =
        |byte: &u8| (b' '..0x80).contains(byte) & !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
    // A whole chunk at once, without an early end: the compiler makes vector instructions of it.
    let chunks = text.as_chunks::<64>().0.iter();
    let whole =
        chunks.take_while(|chunk| chunk.iter().fold(true, |plain, byte| plain & is_plain(byte))).count() * 64;
    whole + text[whole..].iter().take_while(|byte| is_plain(byte)).count()
}

/// Writes the escape for what a text starts with, and returns the bytes that it stands for.
fn escaped(out: &mut Plaintext, text: &[u8]) -> usize {
    match text {
        [b'"', ..] => out.push(b"\\\""),
        [b'\\', ..] => out.push(b"\\\\"),
        [8, ..] => out.push(b"\\b"),
        [12, ..] => out.push(b"\\f"),
        [b'\n', ..] => out.push(b"\\n"),
        [b'\r', ..] => out.push(b"\\r"),
        [b'\t', ..] => out.push(b"\\t"),
        [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => {
            out.push(if *last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
            return 3;
        }
        [byte @ ..0x80, ..] => out.push(format!("\\u{byte:04x}").as_bytes()),
        _ => out.push(b"\\ufffd"),
    }
    1
}

/// The bytes of the character that a text starts with, 0 where it starts with none.
fn valid_length(text: &[u8]) -> usize {
    let piece = &text[..text.len().min(4)];
    piece.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(0, char::len_utf8)
}
