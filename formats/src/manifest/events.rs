//! The parser's events: without comments, within the limits, and with our words for what is wrong.

use granit_parser::{Event, Parser, ScanError, Span, StrInput};

use super::{MAX_DEPTH, ParseError};

/// The events of a text.
pub(super) struct Events<'input> {
    parser: Parser<'input, StrInput<'input>>,
    /// Nodes until now, each use of an alias counted.
    pub(super) count: usize,
    /// The most that `count` may be.
    most: usize,
}

impl<'input> Events<'input> {
    pub(super) fn new(text: &'input str, most: usize) -> Self {
        Self { parser: Parser::new_from_str(text), count: 0, most }
    }

    /// Returns the event that begins the next document's value; `None` at the end of the text.
    pub(super) fn next_document(&mut self) -> Result<Option<(Event<'input>, Span)>, ParseError> {
        loop {
            match self.next()? {
                Some((
                    Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd,
                    _,
                )) => {}
                found => return Ok(found),
            }
        }
    }

    /// Returns the next event of a value that began at `span`.
    pub(super) fn expect_next(&mut self, span: Span) -> Result<(Event<'input>, Span), ParseError> {
        self.next()?.ok_or_else(|| fail(span, "the document ends in the middle"))
    }

    /// Counts a node.
    pub(super) fn enter(&mut self, span: Span, depth: usize) -> Result<(), ParseError> {
        self.count += 1;
        self.check_count(span)?;
        if depth > MAX_DEPTH { Err(fail(span, "the document is nested too deeply")) } else { Ok(()) }
    }

    /// Fails where there are too many nodes.
    pub(super) fn check_count(&self, span: Span) -> Result<(), ParseError> {
        if self.count > self.most { Err(fail(span, "the document has too many nodes")) } else { Ok(()) }
    }

    fn next(&mut self) -> Result<Option<(Event<'input>, Span)>, ParseError> {
        loop {
            match self.parser.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(found)) => return Ok(Some(found)),
                Some(Err(error)) => return Err(syntax(&error)),
                None => return Ok(None),
            }
        }
    }
}

pub(super) fn line(span: Span) -> usize {
    span.start.line()
}

pub(super) fn fail(span: Span, problem: &str) -> ParseError {
    ParseError::Syntax { line: line(span), column: span.start.col() + 1, problem: problem.to_owned() }
}

/// Keeps the category of a scanner error and drops its words, which may quote the text.
fn syntax(error: &ScanError) -> ParseError {
    let kind = format!("{:?}", error.kind());
    let name: String = kind.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut problem = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !problem.is_empty() {
            problem.push(' ');
        }
        problem.push(character.to_ascii_lowercase());
    }
    let marker = error.marker();
    ParseError::Syntax {
        line: marker.line(),
        column: marker.col() + 1,
        problem: format!("this is not YAML ({problem})"),
    }
}
