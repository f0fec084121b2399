//! What may turn out to be a key, and the block collections that are open.

use super::super::{MAX_DEPTH, ParseError, ParseProblem};
use super::scan::{Scan, Scanner, SimpleKey};
use super::token::{Mark, TokenKind};

/// A key without `?` must end on its line, this many characters after its start at most.
const MAX_SIMPLE_KEY: usize = 1024;

impl<'a> Scanner<'a> {
    /// Returns whether what started here may still be a key.
    pub(super) fn key_is_valid(&mut self, level: usize) -> Scan<bool> {
        let Some(key) = self.simple_keys.get_mut(level) else { return Ok(false) };
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < self.mark.line || key.mark.index + MAX_SIMPLE_KEY < self.mark.index {
            if key.required {
                return Err(ParseError::new(key.mark, "the ':' of a key is missing"));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn save_key(&mut self) -> Scan<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.column();
        self.remove_key()?;
        let level = self.simple_keys.len() - 1;
        let token = self.next_token_number();
        self.simple_keys[level] = SimpleKey { possible: true, required, token, mark: self.mark };
        let taken = self.taken;
        self.key_tokens.retain(|(number, _)| *number >= taken && *number != token);
        self.key_tokens.push((token, level));
        Ok(())
    }

    pub(super) fn remove_key(&mut self) -> Scan<()> {
        let level = self.simple_keys.len() - 1;
        let key = self.simple_keys[level];
        if key.possible {
            if key.required {
                return Err(ParseError::new(key.mark, "the ':' of a key is missing"));
            }
            self.forget_key(level);
        }
        Ok(())
    }

    pub(super) fn forget_key(&mut self, level: usize) {
        let key = &mut self.simple_keys[level];
        key.possible = false;
        let gone = key.token;
        self.key_tokens.retain(|(token, _)| *token != gone);
    }

    /// Opens a block collection where the column is deeper than the open one.
    pub(super) fn roll(
        &mut self,
        column: isize,
        token: Option<usize>,
        kind: TokenKind<'a>,
        mark: Mark,
    ) -> Scan<()> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_DEPTH {
            return Err(self.error(ParseProblem::TooDeep));
        }
        self.insert(token, kind, mark);
        Ok(())
    }

    /// Closes block collections deeper than the column.
    ///
    /// An end is moved before comments at the indentation of the block that ends, so that they become its foot.
    pub(super) fn unroll(&mut self, column: isize, scan_mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut mark = scan_mark;
        mark.index = mark.index.saturating_sub(1);
        while self.indent > column {
            let mut stop = mark.index;
            for note in self.notes.all.iter().rev() {
                if note.end.index < stop {
                    break;
                }
                if isize::try_from(note.start.column).unwrap_or(isize::MAX) == self.indent + 1 {
                    mark = note.start;
                }
                stop = note.scan.index;
            }
            self.append(TokenKind::BlockEnd, mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }
}
