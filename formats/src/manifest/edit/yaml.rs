//! Places in YAML, from the parser's events. The text is judged by the parser of trees; here only bytes are counted.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};

use super::place::{Entry, Kind, Place, Quotes};
use crate::manifest::events::{Events, fail};
use crate::manifest::yaml::key_text;
use crate::manifest::{MAX_NODES, ParseError};

/// Finds every value of every document; empty documents are left out, as in [`crate::manifest::parse`].
pub(super) fn places(text: &str) -> Result<Vec<Place>, ParseError> {
    let mut finder = Finder { text, events: Events::new(text, MAX_NODES) };
    let mut places = Vec::new();
    while let Some((event, span)) = finder.events.next_document()? {
        let place = finder.place(event, span, 0)?;
        let is_null = match &place.kind {
            Kind::Scalar(Quotes::Absent) => true,
            Kind::Scalar(Quotes::Plain) => {
                matches!(&text[place.span.clone()], "null" | "~" | "Null" | "NULL")
            }
            _ => false,
        };
        if !is_null {
            places.push(place);
        }
    }
    Ok(places)
}

struct Finder<'input> {
    text: &'input str,
    events: Events<'input>,
}

impl<'input> Finder<'input> {
    fn place(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<Place, ParseError> {
        self.events.enter(span, depth)?;
        let bytes = bytes(span)?;
        match event {
            Event::Scalar(_, style, ..) => {
                Ok(Place { kind: Kind::Scalar(quotes(style, span, &bytes)), span: bytes })
            }
            Event::Alias(_) => Ok(Place { span: bytes, kind: Kind::Alias }),
            Event::SequenceStart(..) => self.list(span, bytes, depth),
            Event::MappingStart(style, ..) => self.map(style == StructureStyle::Flow, span, bytes, depth),
            _ => Err(fail(span, "this is not a value")),
        }
    }

    fn list(&mut self, span: Span, start: Range<usize>, depth: usize) -> Result<Place, ParseError> {
        let mut items = Vec::new();
        loop {
            let (event, own) = self.events.expect_next(span)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Place { span: start.start..bytes(own)?.end, kind: Kind::List(items) });
            }
            items.push(self.place(event, own, depth + 1)?);
        }
    }

    fn map(
        &mut self,
        in_brackets: bool,
        span: Span,
        start: Range<usize>,
        depth: usize,
    ) -> Result<Place, ParseError> {
        let mut entries = Vec::new();
        loop {
            let (event, key_span) = self.events.expect_next(span)?;
            if matches!(event, Event::MappingEnd) {
                let span = start.start..bytes(key_span)?.end;
                return Ok(Place { span, kind: Kind::Map { in_brackets, entries } });
            }
            let Event::Scalar(text, style, _, tag) = event else {
                return Err(fail(key_span, "a key must be a word, not a list, map or alias"));
            };
            let key = key_text(&text, style, tag.is_some());
            let (event, own) = self.events.expect_next(span)?;
            let mut value = self.place(event, own, depth + 1)?;
            let key_span = bytes(key_span)?;
            if matches!(value.kind, Kind::Scalar(Quotes::Absent)) {
                // The parser puts it in front of the colon.
                let blanks = self.text[key_span.end..].bytes().take_while(|byte| *byte == b' ').count();
                let colon = key_span.end + blanks;
                if self.text[colon..].starts_with(':') {
                    value.span = colon + 1..colon + 1;
                }
            }
            entries.push(Entry { key, key_span, value });
        }
    }
}

fn bytes(span: Span) -> Result<Range<usize>, ParseError> {
    let range = span.start.byte_offset().zip(span.end.byte_offset());
    let (start, end) = range.ok_or_else(|| fail(span, "the parser lost its place"))?;
    Ok(start..end.max(start))
}

fn quotes(style: ScalarStyle, span: Span, bytes: &Range<usize>) -> Quotes {
    match style {
        ScalarStyle::Plain if bytes.is_empty() => Quotes::Absent,
        ScalarStyle::Plain => Quotes::Plain,
        ScalarStyle::SingleQuoted => Quotes::Single,
        ScalarStyle::DoubleQuoted => Quotes::Double,
        ScalarStyle::Literal => Quotes::Literal(span.indent.unwrap_or(span.start.col())),
        ScalarStyle::Folded => Quotes::Folded,
    }
}
