//! Scalars: plain, quoted and block; what stands for itself is not copied.

use super::super::ParseError;
use super::chars::{at, is_blank, is_blank_or_end, is_break, is_break_or_end, is_ordinary, width};
use super::scan::{Scan, Scanner};
use super::token::Text;
use crate::Plaintext;

/// Breaks that were read and may become a blank, themselves or nothing.
#[derive(Default)]
struct Breaks<'a> {
    first: Option<&'a [u8]>,
    more: Vec<u8>,
}

impl Breaks<'_> {
    fn any(&self) -> bool {
        self.first.is_some()
    }

    /// Writes what the breaks stand for, and forgets them: one line feed is a blank, of several the first goes.
    fn fold(&mut self, into: &mut Plaintext) {
        match self.first.take() {
            Some(b"\n") if self.more.is_empty() => into.push(b" "),
            Some(b"\n") | None => {}
            Some(other) => into.push(other),
        }
        self.keep_more(into);
    }

    /// Writes the breaks themselves, and forgets them.
    fn keep(&mut self, into: &mut Plaintext) {
        into.push(self.first.take().unwrap_or_default());
        self.keep_more(into);
    }

    fn keep_more(&mut self, into: &mut Plaintext) {
        into.push(&self.more);
        self.more.clear();
    }
}

/// The text between quotes; what is one piece of the source so far is not copied.
struct Quoted<'a> {
    source: &'a [u8],
    /// Up to here the source is in `cooked`, or means nothing.
    copied: usize,
    cooked: Option<Plaintext>,
}

impl Quoted<'_> {
    fn copy_to(&mut self, end: usize) -> &mut Plaintext {
        let text = self.cooked.get_or_insert_default();
        text.push(&self.source[self.copied..end]);
        self.copied = end;
        text
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn scan_plain(&mut self) -> Scan<Text<'a>> {
        let least = self.indent + 1;
        let start = self.position;
        let mut end = start;
        let mut cooked: Option<Plaintext> = None;
        let mut breaks = Breaks::default();
        while !self.at_document_indicator() && self.byte(0) != b'#' {
            let piece = self.position;
            let piece_end = self.plain_piece_end();
            if piece_end > piece {
                if breaks.any() {
                    let text = cooked.get_or_insert_with(|| Plaintext::from(&self.text[start..end]));
                    breaks.fold(text);
                    text.push(&self.text[piece..piece_end]);
                } else if let Some(text) = &mut cooked {
                    // The blanks since the last piece belong to the text.
                    text.push(&self.text[end..piece_end]);
                }
                self.skip_until(piece_end);
                end = piece_end;
            }
            if !is_blank(self.byte(0)) && !is_break(self.text, self.position) {
                break;
            }
            self.skip_blanks_and_breaks(&mut breaks, Some(least))?;
            if self.flow_level == 0 && self.column() < least {
                break;
            }
        }
        if breaks.any() {
            self.simple_key_allowed = true;
        }
        Ok(cooked.map_or(Text::Source(&self.text[start..end]), Text::Cooked))
    }

    /// Skips to the next character; below `least`, after a break, a tab is an error.
    fn skip_blanks_and_breaks(&mut self, breaks: &mut Breaks<'a>, least: Option<isize>) -> Scan<()> {
        loop {
            if is_blank(self.byte(0)) {
                let left = breaks.any() && least.is_some_and(|least| self.column() < least);
                if left && self.byte(0) == b'\t' {
                    return Err(self.fault("a tab where the indentation should be"));
                }
                self.skip();
            } else if is_break(self.text, self.position) {
                let value = self.skip_line();
                if breaks.any() {
                    breaks.more.extend_from_slice(value);
                } else {
                    breaks.first = Some(value);
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Returns where the run of characters of a plain scalar ends.
    fn plain_piece_end(&self) -> usize {
        let flow = self.flow_level > 0;
        let mut end = self.position;
        loop {
            end += self.text[end..].iter().take_while(|byte| is_ordinary(**byte)).count();
            match at(self.text, end) {
                b' ' | b'\t' | b'\n' | b'\r' | 0 => return end,
                b':' if is_blank_or_end(self.text, end + 1) => return end,
                b',' | b'?' | b'[' | b']' | b'{' | b'}' if flow => return end,
                0xc2 | 0xe2 if is_break(self.text, end) => return end,
                first => end += width(first),
            }
        }
    }

    pub(super) fn scan_quoted(&mut self, single: bool) -> Scan<Text<'a>> {
        let opened = self.mark;
        self.skip();
        let quote = if single { b'\'' } else { b'"' };
        let start = self.position;
        let mut text = Quoted { source: self.text, copied: start, cooked: None };
        loop {
            if self.at_document_indicator() {
                return Err(ParseError::new(opened, "a document marker inside of quotes"));
            }
            if self.position >= self.text.len() {
                return Err(ParseError::new(opened, "the closing quote is missing"));
            }
            let mut breaks = Breaks::default();
            if self.scan_quoted_words(&mut text, quote)? {
                // An escaped break stands for nothing, those after it for themselves.
                breaks.first = Some(b"");
            }
            if self.byte(0) == quote {
                break;
            }
            let (escaped, blanks) = (breaks.any(), self.position);
            self.skip_blanks_and_breaks(&mut breaks, None)?;
            if breaks.any() {
                let end = if escaped { text.copied } else { blanks };
                breaks.fold(text.copy_to(end));
                text.copied = self.position;
            }
        }
        let end = self.position;
        self.skip();
        if text.cooked.is_some() {
            text.copy_to(end);
        }
        Ok(text.cooked.map_or(Text::Source(&self.text[start..end]), Text::Cooked))
    }

    /// Reads up to a blank, a break or the closing quote; returns whether an escaped break was the last.
    fn scan_quoted_words(&mut self, text: &mut Quoted<'a>, quote: u8) -> Scan<bool> {
        let single = quote == b'\'';
        while !is_blank_or_end(self.text, self.position) {
            match (self.byte(0), self.byte(1)) {
                (b'\'', b'\'') if single => {
                    text.copy_to(self.position + 1);
                    self.skip();
                    self.skip();
                    text.copied = self.position;
                }
                (byte, _) if byte == quote => break,
                (b'\\', _) if !single => {
                    text.copy_to(self.position);
                    if is_break(self.text, self.position + 1) {
                        self.skip();
                        self.skip_line();
                        text.copied = self.position;
                        return Ok(true);
                    }
                    let mut bytes = [0; 4];
                    let length = self.scan_escape(&mut bytes)?;
                    text.copied = self.position;
                    text.copy_to(self.position).push(&bytes[..length]);
                }
                _ => self.skip_quoted_run(quote),
            }
        }
        Ok(false)
    }

    /// Steps over characters that mean themselves inside of quotes.
    fn skip_quoted_run(&mut self, quote: u8) {
        let mut end = self.position;
        loop {
            match at(self.text, end) {
                b' ' | b'\t' | b'\n' | b'\r' | b'\\' | 0 => break,
                byte if byte == quote => break,
                0xc2 | 0xe2 if is_break(self.text, end) => break,
                first => end += width(first),
            }
        }
        // In single quotes a backslash means itself.
        if end == self.position {
            self.skip();
        } else {
            self.skip_until(end);
        }
    }

    /// Reads an escape sequence and returns the length of what it stands for.
    fn scan_escape(&mut self, into: &mut [u8; 4]) -> Scan<usize> {
        let (character, digits) = match self.byte(1) {
            b'0' => ('\0', 0),
            b'a' => ('\u{7}', 0),
            b'b' => ('\u{8}', 0),
            b't' | b'\t' => ('\t', 0),
            b'n' => ('\n', 0),
            b'v' => ('\u{b}', 0),
            b'f' => ('\u{c}', 0),
            b'r' => ('\r', 0),
            b'e' => ('\u{1b}', 0),
            b' ' => (' ', 0),
            b'"' => ('"', 0),
            b'\'' => ('\'', 0),
            b'\\' => ('\\', 0),
            b'N' => ('\u{85}', 0),
            b'_' => ('\u{a0}', 0),
            b'L' => ('\u{2028}', 0),
            b'P' => ('\u{2029}', 0),
            b'x' => ('\0', 2),
            b'u' => ('\0', 4),
            b'U' => ('\0', 8),
            _ => return Err(self.fault("an unknown escape")),
        };
        self.skip();
        self.skip();
        let character = if digits == 0 { character } else { self.scan_code(digits)? };
        Ok(character.encode_utf8(into).len())
    }

    fn scan_code(&mut self, digits: usize) -> Scan<char> {
        let mut code = 0u32;
        for _ in 0..digits {
            let digit = char::from(self.byte(0)).to_digit(16);
            let digit = digit.ok_or_else(|| self.fault("an escape has too few digits"))?;
            code = code.wrapping_mul(16) | digit;
            self.skip();
        }
        char::from_u32(code).ok_or_else(|| self.fault("an escape names no character"))
    }

    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Scan<Text<'a>> {
        let start = self.mark;
        self.skip();
        let (chomp, increment) = self.scan_block_header()?;
        while is_blank(self.byte(0)) {
            self.skip();
        }
        if self.byte(0) == b'#' {
            self.scan_line_comment(start);
        }
        if !is_break_or_end(self.text, self.position) {
            return Err(self.fault("text after the head of a block scalar"));
        }
        self.skip_line();
        let mut indent = if increment == 0 { 0 } else { self.indent.max(0) + increment };
        self.scan_block_lines(literal, chomp, &mut indent)
    }

    fn scan_block_lines(&mut self, literal: bool, chomp: Chomp, indent: &mut isize) -> Scan<Text<'a>> {
        let mut text = Plaintext::default();
        let mut breaks = Breaks::default();
        self.scan_block_breaks(indent, &mut breaks.more)?;
        let mut was_blank = false;
        while self.column() == *indent && self.position < self.text.len() {
            let blank = is_blank(self.byte(0));
            if literal || was_blank || blank {
                breaks.keep(&mut text);
            } else {
                breaks.fold(&mut text);
            }
            was_blank = blank;
            let mut end = self.position;
            while !is_break_or_end(self.text, end) {
                end += 1;
            }
            text.push(&self.text[self.position..end]);
            self.skip_until(end);
            breaks.first = Some(self.skip_line());
            self.scan_block_breaks(indent, &mut breaks.more)?;
        }
        if chomp != Chomp::Strip {
            text.push(breaks.first.unwrap_or_default());
        }
        if chomp == Chomp::Keep {
            text.push(&breaks.more);
        }
        Ok(Text::Cooked(text))
    }

    fn scan_block_header(&mut self) -> Scan<(Chomp, isize)> {
        let (mut chomp, mut increment) = (Chomp::Clip, 0);
        let mut chomped = false;
        for _ in 0..2 {
            match self.byte(0) {
                sign @ (b'+' | b'-') if !chomped => {
                    chomp = if sign == b'+' { Chomp::Keep } else { Chomp::Strip };
                    chomped = true;
                }
                b'0' if increment == 0 => {
                    return Err(self.fault("the indentation of a block scalar cannot be 0"));
                }
                digit @ b'1'..=b'9' if increment == 0 => increment = isize::from(digit - b'0'),
                _ => break,
            }
            self.skip();
        }
        Ok((chomp, increment))
    }

    /// Skips indentation and empty lines; finds out the indentation where it is not known.
    fn scan_block_breaks(&mut self, indent: &mut isize, breaks: &mut Vec<u8>) -> Scan<()> {
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.column() < *indent) && self.byte(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.column());
            if (*indent == 0 || self.column() < *indent) && self.byte(0) == b'\t' {
                return Err(self.fault("a tab where the indentation should be"));
            }
            if !is_break(self.text, self.position) {
                break;
            }
            breaks.extend_from_slice(self.skip_line());
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Clip,
    Keep,
    Strip,
}
