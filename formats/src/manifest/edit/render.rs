//! New text for one place, in the manner of what stands around it.

use std::ops::Range;

use super::Syntax;
use super::place::{Entry, Kind, Place, Quotes};
use crate::manifest::emit::yaml_word;

/// A patch of the text.
pub(super) type Patch = (Range<usize>, String);

/// Returns the patch that puts a value in place of a leaf, in the same quotes; `None` where that is not possible.
pub(super) fn replaced(text: &str, place: &Place, syntax: Syntax, value: &str) -> Option<Patch> {
    let Kind::Scalar(quotes) = &place.kind else {
        return matches!(place.kind, Kind::Alias).then(|| (place.span.clone(), word(value, syntax, true)));
    };
    let span = place.span.start..place.end(text);
    let simple = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    let new = match quotes {
        _ if syntax == Syntax::Json => word(value, syntax, true),
        // The blank after the colon is there only when something follows.
        Quotes::Absent => format!(" {}", word(value, syntax, true)),
        Quotes::Plain => word(value, syntax, true),
        Quotes::Single if simple => format!("'{}'", value.replace('\'', "''")),
        Quotes::Single | Quotes::Double => quoted(value),
        Quotes::Literal(column) if simple => lines(text, &span, *column, value),
        // Folding makes blanks of line ends, which base64 does not allow.
        Quotes::Folded if simple => value.to_owned(),
        Quotes::Literal(_) | Quotes::Folded => return None,
    };
    Some((span, new))
}

/// Breaks a value as the first line of the old one was.
fn lines(text: &str, span: &Range<usize>, column: usize, value: &str) -> String {
    let old = &text[span.clone()];
    let width = old.lines().next().map_or(0, |line| line.trim_end().len());
    if !old.contains('\n') || width == 0 {
        return value.to_owned();
    }
    let lines: Vec<&str> =
        value.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    lines.join(&format!("{}{}", line_end(text), " ".repeat(column)))
}

/// Keys that a map does not have yet.
#[derive(Debug, Default)]
pub(super) struct Additions(Vec<(String, Tree)>);

#[derive(Debug)]
enum Tree {
    Leaf(String),
    Map(Additions),
}

impl Additions {
    pub(super) fn put(&mut self, path: &[String], value: &str) {
        let Some((key, rest)) = path.split_first() else { return };
        let index = self.0.iter().position(|(own, _)| own == key).unwrap_or_else(|| {
            self.0.push((key.clone(), Tree::Map(Self::default())));
            self.0.len() - 1
        });
        match &mut self.0[index].1 {
            Tree::Map(map) if !rest.is_empty() => map.put(rest, value),
            tree => *tree = Tree::Leaf(value.to_owned()),
        }
    }
}

/// Returns the patch that adds keys to a map, or makes a map of nothing.
pub(super) fn added(text: &str, place: &Place, syntax: Syntax, additions: &Additions) -> Patch {
    let at = line_indent(text, place.span.start);
    match &place.kind {
        Kind::Map { entries, in_brackets } => match entries.last() {
            Some(last) if *in_brackets => in_brackets_after(text, last, syntax, additions),
            Some(_) => {
                // Behind the line on which the map ends, in the column of its keys.
                let column = entries.iter().map(|entry| column_of(text, entry.key_span.start)).max();
                let end = place.end(text);
                let line = text[end..].find('\n').map_or(text.len(), |length| end + length);
                let line = if text[..line].ends_with('\r') { line - 1 } else { line };
                let block = block(additions, column.unwrap_or(0), line_end(text));
                (line..line, format!("{}{block}", line_end(text)))
            }
            None if syntax == Syntax::Json => {
                (place.span.clone(), bracketed(additions, syntax, step(text, at)))
            }
            None => below(text, place, additions, at),
        },
        _ if syntax == Syntax::Json => (place.span.clone(), bracketed(additions, syntax, step(text, at))),
        _ => below(text, place, additions, at),
    }
}

/// In YAML an empty map becomes lines below its key, unless the text around it has brackets.
fn below(text: &str, place: &Place, additions: &Additions, at: usize) -> Patch {
    let line_start = text[..place.span.start].rfind('\n').map_or(0, |found| found + 1);
    if text[line_start..place.span.start].contains(['{', '[']) {
        return (place.span.clone(), bracketed(additions, Syntax::Yaml, None));
    }
    // Of `- key: {}` the key's column counts, not the dash's.
    let dashes = text[line_start + at..place.span.start].chars();
    let at = at + dashes.take_while(|letter| matches!(letter, '-' | ' ')).count();
    let start = line_start + text[line_start..place.span.start].trim_end().len();
    let block = block(additions, at + 2, line_end(text));
    (start..place.span.end, format!("{}{block}", line_end(text)))
}

fn in_brackets_after(text: &str, last: &Entry, syntax: Syntax, additions: &Additions) -> Patch {
    let end = last.value.end(text).max(last.key_span.end);
    let line_start = text[..last.key_span.start].rfind('\n').map(|found| found + 1);
    let own_line = line_start.filter(|start| text[*start..last.key_span.start].trim().is_empty());
    let column = own_line.map(|start| last.key_span.start - start);
    let mut new = String::new();
    for (key, tree) in &additions.0 {
        match column {
            Some(column) => {
                new.push_str(&format!(",{}{}", line_end(text), &text[own_line.unwrap_or(0)..][..column]));
            }
            None => new.push_str(", "),
        }
        new.push_str(&entry(key, tree, syntax, column));
    }
    (end..end, new)
}

/// Writes `{…}`: over several lines where the column of the bracket's line is given.
fn bracketed(additions: &Additions, syntax: Syntax, column: Option<usize>) -> String {
    let entries = additions.0.iter().map(|(key, tree)| entry(key, tree, syntax, column.map(|own| own + 2)));
    let entries: Vec<String> = entries.collect();
    match column {
        Some(column) => {
            let (inner, outer) = (" ".repeat(column + 2), " ".repeat(column));
            format!("{{\n{inner}{}\n{outer}}}", entries.join(&format!(",\n{inner}")))
        }
        None => format!("{{{}}}", entries.join(", ")),
    }
}

fn entry(key: &str, tree: &Tree, syntax: Syntax, column: Option<usize>) -> String {
    let value = match tree {
        Tree::Leaf(value) => word(value, syntax, true),
        Tree::Map(map) => bracketed(map, syntax, column),
    };
    format!("{}: {value}", word(key, syntax, true))
}

fn block(additions: &Additions, column: usize, line_end: &str) -> String {
    let indent = " ".repeat(column);
    let lines = additions.0.iter().map(|(key, tree)| {
        let key = word(key, Syntax::Yaml, false);
        match tree {
            Tree::Leaf(value) => format!("{indent}{key}: {}", word(value, Syntax::Yaml, false)),
            Tree::Map(map) => format!("{indent}{key}:{line_end}{}", block(map, column + 2, line_end)),
        }
    });
    lines.collect::<Vec<_>>().join(line_end)
}

fn word(value: &str, syntax: Syntax, in_brackets: bool) -> String {
    match syntax {
        Syntax::Json => quoted_json(value),
        Syntax::Yaml => yaml_word(value, in_brackets),
    }
}

fn quoted_json(value: &str) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// JSON's quoting is YAML's too, but for the escapes of characters that YAML does not print.
fn quoted(value: &str) -> String {
    let plain = yaml_word(value, true);
    if plain.starts_with('"') { plain } else { format!("\"{value}\"") }
}

/// Returns the column for a new map in brackets: only where the text has lines at all.
fn step(text: &str, column: usize) -> Option<usize> {
    text.trim().contains('\n').then_some(column)
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn line_indent(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |found| found + 1);
    text[start..].bytes().take_while(|byte| *byte == b' ').count()
}

fn column_of(text: &str, at: usize) -> usize {
    at - text[..at].rfind('\n').map_or(0, |found| found + 1)
}
