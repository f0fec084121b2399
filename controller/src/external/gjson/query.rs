//! Queries: `#(first=="x")` and `#(age>45)#`.

use sealops_formats::Plaintext;

use super::super::json::{self, Kind};
use super::{Plain, find, like, list, split_pipe, string_end};

/// What a query asks of each item.
struct Query<'a> {
    path: &'a str,
    /// Empty: whether there is something at all.
    operator: &'a str,
    value: Plaintext,
}

/// Selects items; `rest` begins after the bracket that opens the query.
pub(super) fn select<'p>(
    items: &[&str],
    rest: &'p str,
    depth: usize,
    pipe: &mut Option<&'p str>,
) -> Option<Plaintext> {
    let (inner, rest) = split_query(rest)?;
    let query = parse(inner);
    let (all, rest) = match rest.strip_prefix('#') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let mut matching = items.iter().copied().filter(|item| query.matches(item, depth)).peekable();
    let each = match rest.as_bytes().first() {
        None => None,
        Some(b'|') => {
            *pipe = Some(&rest[1..]);
            None
        }
        Some(b'.') => {
            let (each, after) = split_pipe(&rest[1..]);
            // Where nothing matches, the pipe is not looked at.
            if matching.peek().is_some() {
                *pipe = after.or(*pipe);
            }
            Some(each)
        }
        Some(_) => return None,
    };
    let below = |item: &str| match each {
        Some(path) => find(item, path, depth + 1),
        None => Some(item.into()),
    };
    if all { Some(list(matching.filter_map(below))) } else { below(matching.next()?) }
}

/// Splits at the bracket that closes the query.
fn split_query(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (1_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => at = string_end(bytes, at),
            b'(' | b'[' => open += 1,
            b')' | b']' => {
                open -= 1;
                if open == 0 {
                    return Some((&text[..at], &text[at + 1..]));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn parse(inner: &str) -> Query<'_> {
    let bytes = inner.as_bytes();
    let (mut at, mut open) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'(' | b'[' => open += 1,
            b')' | b']' => open = open.saturating_sub(1),
            b'"' => at = string_end(bytes, at),
            b'=' | b'!' | b'<' | b'>' | b'%' if open == 0 => break,
            _ => {}
        }
        at += 1;
    }
    if at >= bytes.len() {
        return Query { path: inner.trim(), operator: "", value: Plaintext::default() };
    }
    let (path, rest) = inner.split_at(at);
    let known = ["==", "!=", "<=", ">=", "!%", "=", "<", ">", "%"];
    let operator = known.into_iter().find(|operator| rest.starts_with(operator)).unwrap_or("");
    let value = rest[operator.len()..].trim();
    let value = json::text(value).unwrap_or_else(|| value.into());
    Query { path: path.trim(), operator, value }
}

impl Query<'_> {
    fn matches(&self, item: &str, depth: usize) -> bool {
        let is_container = matches!(json::kind(item), Kind::Object | Kind::List);
        let found = match (self.path.is_empty(), is_container) {
            (_, true) => find(item, self.path, depth + 1),
            (true, false) => Some(Plaintext::from(item)),
            (false, false) => return false,
        };
        let wanted = self.value.expose_str().unwrap_or_default();
        if let Some(sort) = wanted.strip_prefix('~') {
            return match sort_of(found.as_ref(), sort) {
                Some(is) => compare_bool(is, self.operator, "true"),
                None => false,
            };
        }
        let Some(found) = found else { return false };
        let Some(raw) = found.expose_str() else { return false };
        match Plain::of(raw) {
            _ if self.operator.is_empty() => true,
            Plain::Text(text) => compare_text(text.expose_str().unwrap_or_default(), self.operator, wanted),
            Plain::Number(number) => {
                compare_number(number, self.operator, wanted.parse().unwrap_or_default())
            }
            Plain::Bool(is) => compare_bool(is, self.operator, wanted),
            Plain::Other => false,
        }
    }
}

/// Says whether a value is of a sort: `~true`, `~false`, `~null`, `~*`.
fn sort_of(found: Option<&Plaintext>, sort: &str) -> Option<bool> {
    let raw = found.and_then(Plaintext::expose_str);
    let truth = |raw: &str| match Plain::of(raw) {
        Plain::Bool(is) => Some(is),
        Plain::Number(number) => Some(number != 0.0),
        Plain::Text(text) => match text.expose_str().unwrap_or_default().to_lowercase().as_str() {
            "1" | "t" | "true" => Some(true),
            "0" | "f" | "false" => Some(false),
            _ => None,
        },
        Plain::Other => None,
    };
    let is_null = raw.is_none_or(|raw| json::kind(raw) == Kind::Null);
    match sort {
        "*" => Some(raw.is_some()),
        "null" => Some(is_null),
        "true" => Some(raw.and_then(truth) == Some(true)),
        "false" => Some(is_null || raw.and_then(truth) == Some(false)),
        _ => None,
    }
}

fn compare_text(text: &str, operator: &str, wanted: &str) -> bool {
    match operator {
        "=" | "==" => text == wanted,
        "!=" => text != wanted,
        "<" => text < wanted,
        "<=" => text <= wanted,
        ">" => text > wanted,
        ">=" => text >= wanted,
        "%" => like(text, wanted),
        "!%" => !like(text, wanted),
        _ => false,
    }
}

fn compare_number(number: f64, operator: &str, wanted: f64) -> bool {
    match operator {
        "=" | "==" => number == wanted,
        "!=" => number != wanted,
        "<" => number < wanted,
        "<=" => number <= wanted,
        ">" => number > wanted,
        ">=" => number >= wanted,
        _ => false,
    }
}

fn compare_bool(is: bool, operator: &str, wanted: &str) -> bool {
    let own = if is { "true" } else { "false" };
    match operator {
        "" => true,
        "=" | "==" => wanted == own,
        "!=" => wanted != own,
        ">" => is && wanted == "false",
        ">=" => is,
        "<" => !is && wanted == "true",
        "<=" => !is,
        _ => false,
    }
}
