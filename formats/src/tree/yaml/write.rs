//! The writer under the emitter: columns, comments in their slots, and scalars in their styles.

use super::super::EmitError;
use super::chars::{is_break, width};
use super::emit::Emitter;
use super::text::{chomping, is_breaks_only, needs_indent_hint};
use crate::Plaintext;

impl Emitter {
    pub(super) fn plain(&mut self, text: &[u8]) {
        if !text.is_empty() && !self.whitespace {
            self.put(b" ", 1);
        }
        self.put(text, 1);
        if !text.is_empty() {
            self.whitespace = false;
        }
        self.indention = false;
    }

    pub(super) fn single(&mut self, text: &[u8]) {
        self.indicator(b"'", true, false, false);
        let mut breaks = false;
        let mut place = 0;
        while place < text.len() {
            let next = place + width(text[place]);
            if is_break(text, place) {
                if !breaks && text[place] == b'\n' {
                    self.put_break();
                }
                self.write_break(&text[place..next]);
                breaks = true;
            } else {
                if breaks && text[place] != b' ' {
                    self.write_indent();
                }
                if text[place] == b'\'' {
                    self.put(b"'", 1);
                }
                self.put(&text[place..next], 1);
                if text[place] != b' ' {
                    self.indention = false;
                    breaks = false;
                }
            }
            place = next;
        }
        self.indicator(b"'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    pub(super) fn literal(&mut self, text: &[u8]) {
        self.indicator(b"|", true, false, false);
        if needs_indent_hint(text) {
            // go-yaml writes the layout's indentation here, which is wrong inside of lists: what SOPS writes there it
            // cannot read. Where there are breaks only, nothing is indented.
            let parent = self.indents.last().copied().unwrap_or(0).max(0);
            let columns = if is_breaks_only(text) { self.best_indent } else { self.indent - parent };
            self.indicator(columns.to_string().as_bytes(), false, false, false);
        }
        self.indicator(chomping(text), false, false, false);
        if self.line.is_empty() {
            self.put_break();
        } else {
            self.process_line();
        }
        self.whitespace = true;
        let mut breaks = true;
        let mut place = 0;
        while place < text.len() {
            if is_break(text, place) {
                let next = place + width(text[place]);
                self.write_break(&text[place..next]);
                breaks = true;
                place = next;
                continue;
            }
            if breaks {
                self.write_indent();
            }
            let start = place;
            while place < text.len() && !is_break(text, place) {
                place += width(text[place]);
            }
            self.put(&text[start..place], 1);
            self.indention = false;
            breaks = false;
        }
    }

    pub(super) fn process_head(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.write_indent();
            self.comment(&tail);
            self.foot_indent = self.indent.max(0);
        }
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.write_indent();
            self.comment(&head);
        }
    }

    pub(super) fn process_line(&mut self) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            if !self.whitespace {
                self.put(b" ", 1);
            }
            self.comment(&line);
        }
    }

    pub(super) fn process_foot(&mut self) {
        if !self.foot.is_empty() {
            let foot = std::mem::take(&mut self.foot);
            self.write_indent();
            self.comment(&foot);
            self.foot_indent = self.indent.max(0);
        }
    }

    pub(super) fn comment(&mut self, comment: &Plaintext) {
        let text = comment.expose();
        if comment.expose_str().is_none() {
            self.failed = Some(EmitError::CommentNotText);
        }
        let (mut breaks, mut pound) = (false, false);
        let mut place = 0;
        while place < text.len() {
            if is_break(text, place) {
                let next = place + width(text[place]);
                self.write_break(&text[place..next]);
                (breaks, pound) = (true, false);
                place = next;
                continue;
            }
            if breaks {
                self.write_indent();
            }
            if !pound && text[place] != b'#' {
                self.put(b"# ", 2);
            }
            pound = true;
            let start = place;
            while place < text.len() && !is_break(text, place) {
                place += width(text[place]);
            }
            self.put(&text[start..place.min(text.len())], 1);
            self.indention = false;
            breaks = false;
        }
        if !breaks {
            self.put_break();
        }
        self.whitespace = true;
    }

    pub(super) fn indicator(&mut self, text: &[u8], spaced: bool, whitespace: bool, indention: bool) {
        if spaced && !self.whitespace {
            self.put(b" ", 1);
        }
        self.put(text, isize::try_from(text.len()).unwrap_or(0));
        self.whitespace = whitespace;
        self.indention = self.indention && indention;
    }

    pub(super) fn write_indent(&mut self) {
        const BLANKS: [u8; 64] = [b' '; 64];
        let indent = self.indent.max(0);
        if !self.indention || self.column > indent || self.column == indent && !self.whitespace {
            self.put_break();
        }
        if self.foot_indent == indent {
            self.put_break();
        }
        while self.column < indent {
            let missing = usize::try_from(indent - self.column).unwrap_or(0).min(BLANKS.len());
            self.put(&BLANKS[..missing], isize::try_from(missing).unwrap_or(0));
        }
        self.whitespace = true;
        self.foot_indent = -1;
    }

    pub(super) fn put_break(&mut self) {
        self.out.push(b"\n");
        self.column = 0;
        self.indention = true;
    }

    pub(super) fn write_break(&mut self, text: &[u8]) {
        self.out.push(text);
        self.column = 0;
        self.indention = true;
    }

    /// Appends text that holds no breaks. Only whether the column passes the indentation matters, so a text of any
    /// length may count as one column where it starts at the indentation or after it.
    pub(super) fn put(&mut self, text: &[u8], columns: isize) {
        self.out.push(text);
        if !text.is_empty() {
            self.column += columns.max(1);
        }
    }
}
