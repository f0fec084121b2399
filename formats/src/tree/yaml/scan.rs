//! Text into tokens, one token queue ahead of the parser.
//!
//! The grammar is YAML 1.1 as libyaml and go-yaml (v3.0.4) read it, including where they are more lax or strict than
//! the specification. An own scanner because SOPS's trees hold comments, and where go-yaml attaches a comment depends
//! on the marks of its *tokens* and on how far it has looked ahead; parsers of other families have no such tokens.

use std::collections::VecDeque;

use super::super::{MAX_DEPTH, ParseError, ParseProblem};
use super::chars::{at, is_blank, is_blank_or_end, is_break, width};
use super::comments::{Note, Notes};
use super::token::{Mark, Style, Token, TokenKind};

pub(super) type Scan<T> = Result<T, ParseError>;

pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) position: usize,
    pub(super) mark: Mark,
    /// Line breaks since the last character that was no blank.
    pub(super) newlines: usize,
    pub(super) flow_level: usize,
    /// Column of the open block collection, -1 outside.
    pub(super) indent: isize,
    pub(super) indents: Vec<isize>,
    pub(super) simple_key_allowed: bool,
    pub(super) simple_keys: Vec<SimpleKey>,
    /// Token numbers that may turn out to start a key, with their place in `simple_keys`.
    pub(super) key_tokens: Vec<(usize, usize)>,
    pub(super) queue: VecDeque<Token<'a>>,
    pub(super) taken: usize,
    ready: bool,
    started: bool,
    pub(super) notes: Notes<'a>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct SimpleKey {
    pub(super) possible: bool,
    pub(super) required: bool,
    pub(super) token: usize,
    pub(super) mark: Mark,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            position: 0,
            mark: Mark::default(),
            newlines: 0,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            key_tokens: Vec::new(),
            queue: VecDeque::new(),
            taken: 0,
            ready: false,
            started: false,
            notes: Notes::default(),
        }
    }

    /// Makes sure that the next token is final, and returns it.
    pub(super) fn peek(&mut self) -> Scan<&Token<'a>> {
        if !self.ready {
            self.look_ahead()?;
        }
        self.queue.front().ok_or_else(|| self.fault("the text ends in the middle"))
    }

    /// Takes the token that was peeked at.
    pub(super) fn take(&mut self) -> Option<Token<'a>> {
        self.ready = false;
        self.taken += 1;
        self.queue.pop_front()
    }

    /// Comments are attached two tokens late, so that many are always read ahead; and a token that may start a key
    /// stays in the queue until that is known.
    fn look_ahead(&mut self) -> Scan<()> {
        loop {
            if self.queue.len() > 2
                || matches!(self.queue.back(), Some(Token { kind: TokenKind::StreamEnd, .. }))
            {
                let Some(&(_, level)) = self.key_tokens.iter().find(|(token, _)| *token == self.taken) else {
                    break;
                };
                if !self.key_is_valid(level)? {
                    break;
                }
            }
            self.fetch()?;
        }
        self.ready = true;
        Ok(())
    }

    fn fetch(&mut self) -> Scan<()> {
        if !self.started {
            self.started = true;
            self.append(TokenKind::StreamStart, self.mark);
            return Ok(());
        }
        let scan_mark = self.mark;
        self.skip_to_token()?;
        self.unroll(self.column(), scan_mark);
        let first = self.byte(0);
        if self.position >= self.text.len() {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 && first == b'%' {
            return self.fetch_directive();
        }
        if let Some(kind) = self.document_indicator() {
            return self.fetch_document_indicator(kind);
        }
        // A comment on the line belongs to the token before the ':' or ','.
        let mut comment_mark = self.mark;
        if (self.flow_level == 0 && first == b':' || self.flow_level > 0 && first == b',')
            && let Some(last) = self.queue.back()
        {
            comment_mark = last.start;
        }
        self.fetch_content(first)?;
        // A lone '-' has no line comment: it is the head of what follows.
        if !matches!(self.queue.back(), Some(Token { kind: TokenKind::BlockEntry, .. })) {
            self.scan_line_comment(comment_mark);
        }
        Ok(())
    }

    fn fetch_content(&mut self, first: u8) -> Scan<()> {
        let flow = self.flow_level > 0;
        let spaced = is_blank_or_end(self.text, self.position + 1);
        match first {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if spaced => self.fetch_block_entry(),
            b'?' if flow || spaced => self.fetch_key(),
            b':' if flow || spaced => self.fetch_value(),
            b'*' => self.fetch_word(TokenKind::Alias),
            b'&' => self.fetch_word(TokenKind::Anchor),
            b'!' => {
                self.save_key()?;
                self.simple_key_allowed = false;
                let (kind, start) = self.scan_tag()?;
                self.append(kind, start);
                Ok(())
            }
            b'|' | b'>' if !flow => {
                self.remove_key()?;
                self.simple_key_allowed = true;
                let style = if first == b'|' { Style::Literal } else { Style::Folded };
                let start = self.mark;
                let text = self.scan_block_scalar(style == Style::Literal)?;
                self.append(TokenKind::Scalar { text, style }, start);
                Ok(())
            }
            b'\'' | b'"' => {
                self.save_key()?;
                self.simple_key_allowed = false;
                let style = if first == b'\'' { Style::Single } else { Style::Double };
                let start = self.mark;
                let text = self.scan_quoted(style == Style::Single)?;
                self.append(TokenKind::Scalar { text, style }, start);
                Ok(())
            }
            _ if self.starts_plain(first) => {
                self.save_key()?;
                self.simple_key_allowed = false;
                let start = self.mark;
                let text = self.scan_plain()?;
                self.append(TokenKind::Scalar { text, style: Style::Plain }, start);
                Ok(())
            }
            _ => Err(self.fault("a character that cannot start a value")),
        }
    }

    fn starts_plain(&self, first: u8) -> bool {
        match first {
            b'-' => !is_blank(self.byte(1)),
            b'?' | b':' => self.flow_level == 0 && !is_blank_or_end(self.text, self.position + 1),
            b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"'
            | b'%' | b'@' | b'`' => false,
            _ => !is_blank_or_end(self.text, self.position),
        }
    }

    /// Skips blanks, breaks and comments.
    fn skip_to_token(&mut self) -> Scan<()> {
        let scan_mark = self.mark;
        loop {
            while self.byte(0) == b' '
                || (self.flow_level > 0 || !self.simple_key_allowed) && self.byte(0) == b'\t'
            {
                self.skip();
            }
            self.lift_comment_of_nested_list();
            if self.byte(0) == b'#' {
                self.scan_comments(scan_mark);
            }
            if !is_break(self.text, self.position) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// In `- # comment` with a collection below, the comment is a head: of the collection if that starts on the next
    /// line, of the item otherwise.
    fn lift_comment_of_nested_list(&mut self) {
        let mut back = self.queue.iter().rev();
        let (Some(last), Some(before)) = (back.next(), back.next()) else { return };
        if !matches!(last.kind, TokenKind::BlockEntry)
            || !matches!(before.kind, TokenKind::BlockSequenceStart)
            || is_break(self.text, self.position)
        {
            return;
        }
        let mark = self.mark;
        if let Some(note) = self.notes.all.last_mut().filter(|note| note.is_line()) {
            note.make_head();
            if note.start.line + 1 == mark.line {
                note.token = mark;
            }
        }
    }

    fn fetch_stream_end(&mut self) -> Scan<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll(-1, self.mark);
        self.remove_key()?;
        self.simple_key_allowed = false;
        self.append(TokenKind::StreamEnd, self.mark);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scan<()> {
        self.unroll(-1, self.mark);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_directive()?;
        self.append(kind, start);
        Ok(())
    }

    /// Returns the indicator where `---` or `...` starts a line.
    fn document_indicator(&self) -> Option<TokenKind<'a>> {
        let here = self.text.get(self.position..self.position + 3)?;
        if self.mark.column != 0 || !is_blank_or_end(self.text, self.position + 3) {
            return None;
        }
        match here {
            b"---" => Some(TokenKind::DocumentStart),
            b"..." => Some(TokenKind::DocumentEnd),
            _ => None,
        }
    }

    pub(super) fn at_document_indicator(&self) -> bool {
        self.document_indicator().is_some()
    }

    fn fetch_document_indicator(&mut self, kind: TokenKind<'a>) -> Scan<()> {
        self.unroll(-1, self.mark);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        (0..3).for_each(|_| self.skip());
        self.append(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind<'a>) -> Scan<()> {
        self.save_key()?;
        let token = self.next_token_number();
        self.simple_keys.push(SimpleKey { token, mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return Err(self.error(ParseProblem::TooDeep));
        }
        self.simple_key_allowed = true;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind<'a>) -> Scan<()> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(last) = self.simple_keys.pop() {
                self.key_tokens.retain(|(token, _)| *token != last.token);
            }
        }
        self.simple_key_allowed = false;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(TokenKind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.fault("a list item is not allowed here"));
            }
            self.roll(self.column(), None, TokenKind::BlockSequenceStart, self.mark)?;
        }
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(TokenKind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.fault("a mapping key is not allowed here"));
            }
            self.roll(self.column(), None, TokenKind::BlockMappingStart, self.mark)?;
        }
        self.remove_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.fetch_indicator(TokenKind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scan<()> {
        let level = self.simple_keys.len() - 1;
        if self.key_is_valid(level)? {
            let SimpleKey { token, mark, .. } = self.simple_keys[level];
            self.insert(Some(token), TokenKind::Key, mark);
            let column = isize::try_from(mark.column).unwrap_or(isize::MAX);
            self.roll(column, Some(token), TokenKind::BlockMappingStart, mark)?;
            self.forget_key(level);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.fault("a mapping value is not allowed here"));
                }
                self.roll(self.column(), None, TokenKind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.fetch_indicator(TokenKind::Value);
        Ok(())
    }

    fn fetch_word(&mut self, kind: impl FnOnce(&'a [u8]) -> TokenKind<'a>) -> Scan<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let word = self.scan_word()?;
        self.append(kind(word), start);
        Ok(())
    }

    fn fetch_indicator(&mut self, kind: TokenKind<'a>) {
        let start = self.mark;
        self.skip();
        self.append(kind, start);
    }

    pub(super) fn next_token_number(&self) -> usize {
        self.taken + self.queue.len()
    }

    pub(super) fn append(&mut self, kind: TokenKind<'a>, start: Mark) {
        self.queue.push_back(Token { kind, start });
    }

    pub(super) fn insert(&mut self, number: Option<usize>, kind: TokenKind<'a>, start: Mark) {
        match number.and_then(|number| number.checked_sub(self.taken)) {
            Some(place) => self.queue.insert(place.min(self.queue.len()), Token { kind, start }),
            None => self.append(kind, start),
        }
    }

    pub(super) fn byte(&self, ahead: usize) -> u8 {
        at(self.text, self.position + ahead)
    }

    pub(super) fn column(&self) -> isize {
        isize::try_from(self.mark.column).unwrap_or(isize::MAX)
    }

    /// Steps over one character.
    pub(super) fn skip(&mut self) {
        let first = self.byte(0);
        if !is_blank(first) {
            self.newlines = 0;
        }
        self.mark.index += 1;
        self.mark.column += 1;
        self.position += width(first);
    }

    /// Steps over the characters of a range that holds no breaks.
    pub(super) fn skip_until(&mut self, end: usize) {
        let piece = &self.text[self.position..end];
        if piece.iter().any(|byte| !is_blank(*byte)) {
            self.newlines = 0;
        }
        let characters = piece.iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
        self.mark.index += characters;
        self.mark.column += characters;
        self.position = end;
    }

    /// Steps over a break, if there is one, and returns what it counts as.
    pub(super) fn skip_line(&mut self) -> &'a [u8] {
        let (bytes, characters, value): (usize, usize, &'a [u8]) = match (self.byte(0), self.byte(1)) {
            (b'\r', b'\n') => (2, 2, b"\n"),
            (b'\r' | b'\n', _) => (1, 1, b"\n"),
            (0xc2, 0x85) => (2, 1, b"\n"),
            _ if is_break(self.text, self.position) => (3, 1, &self.text[self.position..self.position + 3]),
            _ => return b"",
        };
        self.position += bytes;
        self.mark.index += characters;
        self.mark.column = 0;
        self.mark.line += 1;
        self.newlines += 1;
        value
    }

    pub(super) fn fault(&self, problem: &'static str) -> ParseError {
        ParseError::new(self.mark, problem)
    }

    pub(super) fn error(&self, problem: ParseProblem) -> ParseError {
        ParseError { line: self.mark.line + 1, column: self.mark.column + 1, problem }
    }

    pub(super) fn note(&mut self, note: Note<'a>) {
        self.notes.all.push(note);
    }
}

impl ParseError {
    pub(super) fn new(mark: Mark, problem: &'static str) -> Self {
        Self { line: mark.line + 1, column: mark.column + 1, problem: ParseProblem::Syntax(problem) }
    }
}
