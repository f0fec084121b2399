//! Template text to tokens (`text/template/parse/lex.go`).

use std::borrow::Cow;

use crate::go::quote::quoted;
use crate::go::runes;
use crate::template::Delimiters;

/// What a token is. The order matters: all after `Keyword` are keywords.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the names are Go's")]
pub(crate) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Keyword,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

fn keyword(word: &[u8]) -> Option<Kind> {
    Some(match word {
        b"." => Kind::Dot,
        b"block" => Kind::Block,
        b"break" => Kind::Break,
        b"continue" => Kind::Continue,
        b"define" => Kind::Define,
        b"else" => Kind::Else,
        b"end" => Kind::End,
        b"if" => Kind::If,
        b"range" => Kind::Range,
        b"nil" => Kind::Nil,
        b"template" => Kind::Template,
        b"with" => Kind::With,
        _ => return None,
    })
}

/// A token: its place, and its text or the error's.
#[derive(Clone)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) line: usize,
    pub(crate) text: Cow<'s, [u8]>,
}

impl Token<'_> {
    /// A token that no text has, for empty places.
    pub(crate) const NONE: Self = Self { kind: Kind::Error, at: 0, line: 0, text: Cow::Borrowed(b"") };

    /// Returns the text as an error shows it.
    pub(crate) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => text.into_owned(),
            kind if kind > Kind::Keyword => format!("<{text}>"),
            _ if self.text.len() > 10 => {
                let end = runes::iterate(&self.text).nth(10).map_or(self.text.len(), |(at, ..)| at);
                format!("{}...", quoted(&self.text[..end]))
            }
            _ => quoted(&self.text),
        }
    }
}

/// Which words are keywords: a function of that name makes it a function.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) break_: bool,
    pub(crate) continue_: bool,
}

/// The place in the text.
pub(crate) struct Lexer<'s> {
    input: &'s [u8],
    left: &'s [u8],
    right: &'s [u8],
    at: usize,
    start: usize,
    line: usize,
    start_line: usize,
    depth: usize,
    inside: bool,
    words: Words,
}

/// What a state leads to.
enum Next<'s> {
    Token(Token<'s>),
    Text,
    LeftDelim,
    Comment,
}

const SPACES: &[u8] = b" \t\r\n";

fn is_space(byte: u8) -> bool {
    SPACES.contains(&byte)
}

fn trims_before(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space(*space))
}

fn trims_after(text: &[u8]) -> bool {
    matches!(text, [space, b'-', ..] if is_space(*space))
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn is_alphanumeric(rune: Option<char>) -> bool {
    rune.is_some_and(|rune| rune == '_' || runes::is_letter(rune) || runes::is_digit(rune))
}

impl<'s> Lexer<'s> {
    pub(crate) fn new(input: &'s [u8], delimiters: &'s Delimiters, words: Words) -> Self {
        let (left, right) = (delimiters.left.as_bytes(), delimiters.right.as_bytes());
        Self {
            input,
            left: if left.is_empty() { b"{{" } else { left },
            right: if right.is_empty() { b"}}" } else { right },
            at: 0,
            start: 0,
            line: 1,
            start_line: 1,
            depth: 0,
            inside: false,
            words,
        }
    }

    /// Returns the next token.
    pub(crate) fn next_token(&mut self) -> Token<'s> {
        let mut next = if self.inside { Next::Token(self.inside_action()) } else { Next::Text };
        loop {
            next = match next {
                Next::Token(token) => return token,
                Next::Text => self.text(),
                Next::LeftDelim => self.left_delim(),
                Next::Comment => self.comment(),
            }
        }
    }

    fn rest(&self) -> &'s [u8] {
        &self.input[self.at..]
    }

    /// Returns the rune here: `Ok(None)` at an invalid byte, and its width; `Err` at the end.
    fn peek(&self) -> Result<(Option<char>, usize), ()> {
        let (rune, width) = runes::decode(self.rest());
        if width == 0 { Err(()) } else { Ok((rune, width)) }
    }

    /// Goes over one rune and returns it; `None` at the end, U+FFFD for an invalid byte.
    fn next(&mut self) -> Option<char> {
        let (rune, width) = self.peek().ok()?;
        self.at += width;
        self.line += usize::from(rune == Some('\n'));
        Some(rune.unwrap_or(runes::ERROR))
    }

    fn token(&mut self, kind: Kind) -> Token<'s> {
        let text = Cow::Borrowed(&self.input[self.start..self.at]);
        let token = Token { kind, at: self.start, line: self.start_line, text };
        self.start = self.at;
        self.start_line = self.line;
        token
    }

    fn ignore(&mut self) {
        self.line += newlines(&self.input[self.start..self.at]);
        self.start = self.at;
        self.start_line = self.line;
    }

    /// Makes an error token; nothing is read after it.
    fn error(&mut self, message: impl Into<String>) -> Token<'s> {
        let text = Cow::Owned(message.into().into_bytes());
        let token = Token { kind: Kind::Error, at: self.start, line: self.start_line, text };
        self.input = b"";
        self.at = 0;
        self.start = 0;
        token
    }

    fn accept(&mut self, valid: &[u8]) -> bool {
        let fits = self.rest().first().is_some_and(|byte| valid.contains(byte));
        self.at += usize::from(fits);
        fits
    }

    fn accept_run(&mut self, valid: &[u8]) {
        while self.accept(valid) {}
    }

    fn text(&mut self) -> Next<'s> {
        let Some(found) = find(self.rest(), self.left) else {
            self.at = self.input.len();
            if self.at > self.start {
                self.line += newlines(&self.input[self.start..self.at]);
                return Next::Token(self.token(Kind::Text));
            }
            return Next::Token(self.token(Kind::Eof));
        };
        if found > 0 {
            self.at += found;
            let before = &self.input[self.start..self.at];
            let mut trimmed = 0;
            if trims_before(&self.input[self.at + self.left.len()..]) {
                trimmed = before.iter().rev().take_while(|byte| is_space(**byte)).count();
            }
            self.at -= trimmed;
            self.line += newlines(&self.input[self.start..self.at]);
            let token = self.token(Kind::Text);
            self.at += trimmed;
            self.ignore();
            if !token.text.is_empty() {
                return Next::Token(token);
            }
        }
        Next::LeftDelim
    }

    /// Returns whether an action ends here, and whether that trims what follows.
    fn at_right_delim(&self) -> (bool, bool) {
        let rest = self.rest();
        if trims_after(rest) && rest[2..].starts_with(self.right) {
            return (true, true);
        }
        (rest.starts_with(self.right), false)
    }

    fn left_delim(&mut self) -> Next<'s> {
        self.at += self.left.len();
        let marker = if trims_before(self.rest()) { 2 } else { 0 };
        if self.rest()[marker..].starts_with(b"/*") {
            self.at += marker;
            self.ignore();
            return Next::Comment;
        }
        let token = self.token(Kind::LeftDelim);
        self.inside = true;
        self.at += marker;
        self.ignore();
        self.depth = 0;
        Next::Token(token)
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().iter().take_while(|byte| is_space(**byte)).count();
    }

    fn comment(&mut self) -> Next<'s> {
        self.at += 2;
        let Some(end) = find(self.rest(), b"*/") else {
            return Next::Token(self.error("unclosed comment"));
        };
        self.at += end + 2;
        let (ends, trims) = self.at_right_delim();
        if !ends {
            return Next::Token(self.error("comment ends before closing delimiter"));
        }
        self.ignore();
        self.at += if trims { 2 } else { 0 } + self.right.len();
        if trims {
            self.skip_spaces();
        }
        self.ignore();
        Next::Text
    }

    fn right_delim(&mut self) -> Token<'s> {
        let (_, trims) = self.at_right_delim();
        if trims {
            self.at += 2;
            self.ignore();
        }
        self.at += self.right.len();
        let token = self.token(Kind::RightDelim);
        if trims {
            self.skip_spaces();
            self.ignore();
        }
        self.inside = false;
        token
    }

    fn inside_action(&mut self) -> Token<'s> {
        if self.at_right_delim().0 {
            if self.depth == 0 {
                return self.right_delim();
            }
            return self.error("unclosed left paren");
        }
        let Some(rune) = self.next() else {
            return self.error("unclosed action");
        };
        match rune {
            ' ' | '\t' | '\r' | '\n' => {
                self.at -= 1;
                self.line -= usize::from(rune == '\n');
                self.space()
            }
            '=' => self.token(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return self.error("expected :=");
                }
                self.token(Kind::Declare)
            }
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted(b'"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted(b'\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_string(),
            '$' => self.field_or_variable(Kind::Variable),
            '.' if self.rest().first().is_some_and(|byte| !byte.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at -= 1;
                self.number()
            }
            _ if is_alphanumeric(Some(rune)) => self.identifier(),
            '(' => {
                self.depth += 1;
                self.token(Kind::LeftParen)
            }
            ')' if self.depth == 0 => self.error("unexpected right paren"),
            ')' => {
                self.depth -= 1;
                self.token(Kind::RightParen)
            }
            ' '..='~' => self.token(Kind::Char),
            _ => self.error(format!("unrecognized character in action: {}", unicode(Some(rune)))),
        }
    }

    fn space(&mut self) -> Token<'s> {
        let mut spaces = 0;
        while self.rest().first().is_some_and(|byte| is_space(*byte)) {
            self.next();
            spaces += 1;
        }
        // The last space may belong to a trim marker.
        let last = &self.input[self.at - 1..];
        if trims_after(last) && last[2..].starts_with(self.right) {
            self.at -= 1;
            self.line -= usize::from(self.rest()[0] == b'\n');
            if spaces == 1 {
                return self.right_delim();
            }
        }
        self.token(Kind::Space)
    }

    /// Goes over letters and digits; returns the error where the word does not end there.
    fn word(&mut self) -> Option<Token<'s>> {
        while let Ok((rune, _)) = self.peek() {
            if !is_alphanumeric(rune) {
                break;
            }
            self.next();
        }
        if self.at_terminator() {
            return None;
        }
        let rune = self.peek().ok().and_then(|(rune, _)| rune);
        Some(self.error(format!("bad character {}", unicode(rune))))
    }

    fn identifier(&mut self) -> Token<'s> {
        if let Some(error) = self.word() {
            return error;
        }
        match keyword(&self.input[self.start..self.at]) {
            Some(Kind::Break) if !self.words.break_ => self.token(Kind::Identifier),
            Some(Kind::Continue) if !self.words.continue_ => self.token(Kind::Identifier),
            Some(kind) => self.token(kind),
            None if matches!(&self.input[self.start..self.at], b"true" | b"false") => self.token(Kind::Bool),
            None => self.token(Kind::Identifier),
        }
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token<'s> {
        if self.at_terminator() {
            return self.token(if kind == Kind::Variable { kind } else { Kind::Dot });
        }
        match self.word() {
            Some(error) => error,
            None => self.token(kind),
        }
    }

    fn at_terminator(&self) -> bool {
        match self.rest().first() {
            None => true,
            Some(byte) => is_space(*byte) || b".,|:)(".contains(byte) || self.rest().starts_with(self.right),
        }
    }

    fn quoted(&mut self, quote: u8, kind: Kind, unterminated: &str) -> Token<'s> {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.next(), None | Some('\n')) => {}
                None | Some('\n' | '\\') => return self.error(unterminated),
                Some(rune) if rune == char::from(quote) => return self.token(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Token<'s> {
        loop {
            match self.next() {
                None => return self.error("unterminated raw quoted string"),
                Some('`') => return self.token(Kind::RawString),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Token<'s> {
        let good = self.scan_number();
        let complex = good && matches!(self.rest().first(), Some(b'+' | b'-'));
        if !good || complex && (!self.scan_number() || self.input[self.at - 1] != b'i') {
            let text = quoted(&self.input[self.start..self.at]);
            return self.error(format!("bad number syntax: {text}"));
        }
        self.token(if complex { Kind::Complex } else { Kind::Number })
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        if self.accept(b"0") {
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
            } else if self.accept(b"oO") {
                digits = b"01234567_";
            } else if self.accept(b"bB") {
                digits = b"01_";
            }
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        let exponent: &[u8] = match digits.len() {
            11 => b"eE",
            23 => b"pP",
            _ => b"",
        };
        if self.accept(exponent) {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if self.peek().is_ok_and(|(rune, _)| is_alphanumeric(rune)) {
            self.next();
            return false;
        }
        true
    }
}

/// Writes a rune as `%#U` does; the end of the text is the rune -1.
fn unicode(rune: Option<char>) -> String {
    match rune {
        None => "U+FFFFFFFFFFFFFFFF".to_owned(),
        Some(rune) if runes::is_print(rune) => format!("U+{:04X} '{rune}'", rune as u32),
        Some(rune) => format!("U+{:04X}", rune as u32),
    }
}
