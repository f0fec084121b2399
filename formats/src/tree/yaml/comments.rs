//! Comments: which are read where, and to which token they will belong.
//!
//! The rules are go-yaml's (v3.0.4), oddities included: a comment after a blank line is a head of what follows, one
//! directly below content a foot of it; a comment further left than the open block belongs to what comes next; at
//! most 512 bytes are looked through for the next comment; a CRLF counts as two line ends here.

use super::chars::{at, is_blank, is_break, is_break_or_end};
use super::scan::Scanner;
use super::token::{Mark, TokenKind};

/// Bytes of blanks and breaks that are looked through.
const PEEK: usize = 512;

/// The lines of a comment, each with its `#`; an empty one stands for a blank line.
pub(super) type Lines<'a> = Vec<&'a [u8]>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Head,
    Line,
    Foot,
}

/// A comment that waits for its token.
pub(super) struct Note<'a> {
    /// Where the search that found it began.
    pub(super) scan: Mark,
    /// It belongs to the first token at or after this place.
    pub(super) token: Mark,
    pub(super) start: Mark,
    pub(super) end: Mark,
    role: Role,
    lines: Lines<'a>,
}

/// Comments found, and those handed on.
#[derive(Default)]
pub(super) struct Notes<'a> {
    pub(super) all: Vec<Note<'a>>,
    next: usize,
    pub(super) head: Lines<'a>,
    pub(super) line: Lines<'a>,
    pub(super) foot: Lines<'a>,
}

impl Note<'_> {
    pub(super) fn is_line(&self) -> bool {
        self.role == Role::Line && !self.lines.is_empty()
    }

    pub(super) fn make_head(&mut self) {
        self.role = Role::Head;
    }
}

impl<'a> Notes<'a> {
    /// Hands on every comment that belongs to a token at this place or before it.
    pub(super) fn unfold(&mut self, token: Mark, token_is_block_end: bool) {
        while let Some(note) = self.all.get_mut(self.next).filter(|note| token.index >= note.token.index) {
            // An end has no head; it stays for the token after it.
            if note.role == Role::Head && !note.lines.is_empty() && token_is_block_end {
                break;
            }
            let into = match note.role {
                Role::Head => &mut self.head,
                Role::Line => &mut self.line,
                Role::Foot => &mut self.foot,
            };
            into.append(&mut note.lines);
            (note.scan, note.token) = (Mark::default(), Mark::default());
            (note.start, note.end) = (Mark::default(), Mark::default());
            self.next += 1;
        }
    }
}

impl<'a> Scanner<'a> {
    /// Reads a comment on the line of the token just read.
    pub(super) fn scan_line_comment(&mut self, token: Mark) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..PEEK).take_while(|ahead| is_blank(self.byte(*ahead))).count();
        if blanks == PEEK || self.byte(blanks) != b'#' {
            return;
        }
        self.skip_until(self.position + blanks);
        let start = self.mark;
        let line = self.read_comment_line();
        self.note(Note {
            scan: Mark::default(),
            token,
            start,
            end: Mark::default(),
            role: Role::Line,
            lines: vec![line],
        });
    }

    fn read_comment_line(&mut self) -> &'a [u8] {
        let start = self.position;
        let mut end = start;
        while !is_break_or_end(self.text, end) {
            end += 1;
        }
        self.skip_until(end);
        &self.text[start..end]
    }

    /// Reads the comments between two tokens, from the first `#` on.
    pub(super) fn scan_comments(&mut self, scan: Mark) {
        let mut back = self.queue.iter().rev();
        let mut last = back.next();
        if let (Some(entry), Some(before)) = (last, back.next())
            && matches!(entry.kind, TokenKind::FlowEntry)
        {
            last = Some(before);
        }
        let after_value = last.is_some_and(|token| matches!(token.kind, TokenKind::Value));
        let mut block = CommentBlock {
            scan,
            token: last.map_or_else(Mark::default, |token| token.start),
            start: Mark::default(),
            here: self.mark,
            lines: Vec::new(),
            first_empty: self.newlines <= 1,
            recent_empty: false,
            foot_line: self.foot_line(scan),
            after_value,
        };
        let mut ahead = 0;
        while ahead < PEEK {
            if !self.comment_step(&mut block, &mut ahead) {
                break;
            }
            ahead += 1;
        }
        if !block.lines.is_empty() {
            let end = Mark { index: (self.mark.index + ahead).saturating_sub(1), ..block.here };
            let (token, start) = (block.start, block.start);
            self.note(Note { scan: block.scan, token, start, end, role: Role::Head, lines: block.lines });
        }
    }

    /// The line on which a comment is still a foot of what stands before it.
    fn foot_line(&self, scan: Mark) -> Option<usize> {
        if scan.line == 0 {
            return None;
        }
        let below = usize::from(self.newlines == 0 && self.mark.column > 1);
        Some((self.mark.line + 1 + below).saturating_sub(self.newlines))
    }

    /// Looks at one byte; returns whether to go on.
    fn comment_step(&mut self, block: &mut CommentBlock<'a>, ahead: &mut usize) -> bool {
        block.here.column += 1;
        let place = self.position + *ahead;
        let byte = at(self.text, place);
        if is_blank(byte) {
            return true;
        }
        let closes_flow = self.flow_level > 0 && matches!(byte, b']' | b'}');
        if closes_flow || is_break_or_end(self.text, place) {
            if closes_flow || !block.recent_empty {
                self.end_comment_line(block, *ahead, closes_flow);
            }
            if !is_break(self.text, place) {
                return false;
            }
            block.first_empty = false;
            block.recent_empty = true;
            block.here.column = 0;
            block.here.line += 1;
            return true;
        }
        let column = isize::try_from(block.here.column).unwrap_or(isize::MAX);
        if !block.lines.is_empty()
            && column - 1 < self.indent.max(0)
            && block.here.column != block.start.column
        {
            // At another indentation it is a foot of what came before.
            self.end_foot(block, *ahead);
        }
        if byte != b'#' {
            return false;
        }
        self.take_comment_line(block, *ahead);
        *ahead = 0;
        true
    }

    /// A blank line, the end of a flow collection or of the text: a foot ends here, a head has a gap.
    fn end_comment_line(&mut self, block: &mut CommentBlock<'a>, ahead: usize, closes_flow: bool) {
        if block.lines.is_empty() {
            return;
        }
        let indent = self.indent.max(0);
        if closes_flow || block.is_foot_at_blank_line(indent) {
            if block.left_of(indent) {
                block.token = block.start;
            }
            self.end_foot(block, ahead);
        } else if self.byte(ahead) != 0 {
            block.lines.push(b"");
        }
    }

    fn take_comment_line(&mut self, block: &mut CommentBlock<'a>, ahead: usize) {
        let seen = self.mark.index + ahead;
        if block.lines.is_empty() {
            block.start = Mark { index: seen, ..block.here };
        }
        block.recent_empty = false;
        while self.mark.index < seen {
            if is_break(self.text, self.position) {
                self.skip_line();
            } else {
                self.skip();
            }
        }
        let line = self.read_comment_line();
        block.lines.push(line);
        block.here.column = 0;
        block.here.line = self.mark.line;
    }

    fn end_foot(&mut self, block: &mut CommentBlock<'a>, ahead: usize) {
        let end = Mark { index: self.mark.index + ahead, ..block.here };
        let lines = std::mem::take(&mut block.lines);
        let (scan, token, start) = (block.scan, block.token, block.start);
        self.note(Note { scan, token, start, end, role: Role::Foot, lines });
        block.scan = end;
        block.token = end;
    }
}

/// Comments being read.
struct CommentBlock<'a> {
    scan: Mark,
    token: Mark,
    start: Mark,
    /// Line and (from 1) column looked at.
    here: Mark,
    lines: Lines<'a>,
    first_empty: bool,
    recent_empty: bool,
    foot_line: Option<usize>,
    after_value: bool,
}

impl CommentBlock<'_> {
    fn is_foot_at_blank_line(&self, indent: isize) -> bool {
        let below = self.foot_line == Some(self.start.line) && !self.after_value;
        self.first_empty && (below || self.left_of(indent))
    }

    fn left_of(&self, indent: isize) -> bool {
        isize::try_from(self.start.column).unwrap_or(isize::MAX) - 1 < indent
    }
}
