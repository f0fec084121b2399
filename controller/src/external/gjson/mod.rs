//! Paths into JSON in the language of Go's gjson, which upstream uses for `remoteRef.property`.
//!
//! ```text
//!   name.first   keys, `\` escapes, * ? wildcards        friends.#(age>45)#.first   queries
//!   list.1  list.#  list.#.key                            {name,n:age}  [a,b]        several paths
//!   a.b|c   a pipe ends what `#` fans out                 @reverse  @join:{…}        modifiers
//! ```
//!
//! Unlike gjson, a text that is not JSON holds nothing. Results are bounded ([`MAX_RESULT_BYTES`]).

mod modifiers;
mod query;

use sealops_formats::Plaintext;

use super::json::{self, Kind};

/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 16 << 10;
/// Deepest nesting of a path's steps.
const MAX_DEPTH: usize = 128;
/// Largest text that a path makes, in bytes.
const MAX_RESULT_BYTES: usize = 16 << 20;

/// Returns what is at a path, as gjson's `String()`: strings without quotes, lists and objects as they stand, null empty.
/// `None` where there is nothing.
pub(super) fn get(text: &str, path: &str) -> Option<Plaintext> {
    if path.len() > MAX_PATH_BYTES || !json::is_valid(text) {
        return None;
    }
    let raw = find(text, path, 0)?;
    let raw_text = raw.expose_str()?;
    Some(match json::kind(raw_text) {
        Kind::Null => Plaintext::default(),
        Kind::Text => json::text(raw_text)?,
        Kind::Number if !is_integer(raw_text.trim()) => json::plain_number(raw_text).into(),
        _ => raw_text.trim().into(),
    })
}

fn is_integer(raw: &str) -> bool {
    raw.strip_prefix('-').unwrap_or(raw).bytes().all(|byte| byte.is_ascii_digit())
}

/// A value that queries compare.
enum Plain {
    Text(Plaintext),
    Number(f64),
    Bool(bool),
    Other,
}

impl Plain {
    fn of(raw: &str) -> Self {
        match json::kind(raw) {
            Kind::Text => Self::Text(json::text(raw).unwrap_or_default()),
            Kind::Number => Self::Number(raw.trim().parse().unwrap_or_default()),
            Kind::Bool => Self::Bool(raw.trim() == "true"),
            _ => Self::Other,
        }
    }
}

/// Returns the JSON at a path.
fn find(raw: &str, path: &str, depth: usize) -> Option<Plaintext> {
    if depth > MAX_DEPTH {
        return None;
    }
    let raw = raw.trim();
    match path.as_bytes().first() {
        Some(b'@' | b'!') if path.len() > 1 => {
            let made = if path.starts_with('@') { modifiers::apply(raw, path) } else { fixed(path) };
            if let Some((made, rest)) = made {
                return follow(made, rest, depth);
            }
        }
        Some(b'[' | b'{') if path.len() > 1 => {
            if let Some((made, rest)) = several(raw, path, depth) {
                return follow(made, rest, depth);
            }
        }
        Some(b'.') if path.starts_with("..") => {
            let mut lines = Plaintext::default();
            lines.push(b"[");
            lines.push(raw.as_bytes());
            lines.push(b"]");
            return find(lines.expose_str()?, path[2..].trim_start_matches('.'), depth + 1);
        }
        _ => {}
    }
    match json::kind(raw) {
        Kind::Object => in_object(raw, path, depth),
        Kind::List => in_list(raw, path, depth),
        _ => None,
    }
}

/// Goes on in a text that was made, after `.` or `|`.
fn follow(made: Plaintext, rest: &str, depth: usize) -> Option<Plaintext> {
    if made.len() > MAX_RESULT_BYTES {
        return None;
    }
    match rest.strip_prefix(['.', '|']) {
        Some(rest) => find(made.expose_str()?, rest, depth + 1),
        None => Some(made).filter(|made| !made.is_empty()),
    }
}

/// `!"text"` and `!17`: JSON that stands in the path itself.
fn fixed(path: &str) -> Option<(Plaintext, &str)> {
    let text = &path[1..];
    let length = match text.as_bytes().first()? {
        b'{' | b'[' | b'(' | b'"' => balanced(text),
        _ => text.find('|').unwrap_or(text.len()),
    };
    let (value, rest) = text.split_at(length);
    json::is_valid(value).then(|| (value.into(), rest))
}

/// The first step of a path within an object.
struct Step<'a> {
    /// The key with its escapes.
    key: &'a str,
    has_wildcard: bool,
    rest: Rest<'a>,
}

/// What follows a step.
enum Rest<'a> {
    /// Nothing.
    End,
    /// A path below.
    Below(&'a str),
    /// A path that begins anew with the result.
    Piped(&'a str),
}

fn step(path: &str) -> Step<'_> {
    let bytes = path.as_bytes();
    let (mut at, mut has_wildcard) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'*' | b'?' => has_wildcard = true,
            b'|' => return Step { key: &path[..at], has_wildcard, rest: Rest::Piped(&path[at + 1..]) },
            b'.' => {
                let rest = &path[at + 1..];
                let starts_anew =
                    matches!(rest.as_bytes().first(), Some(b'[' | b'{' | b'!')) || modifiers::starts(rest);
                let rest = if starts_anew { Rest::Piped(rest) } else { Rest::Below(rest) };
                return Step { key: &path[..at], has_wildcard, rest };
            }
            _ => {}
        }
        at += 1;
    }
    Step { key: path, has_wildcard, rest: Rest::End }
}

fn unescaped(key: &str) -> String {
    let mut out = String::new();
    let mut characters = key.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

fn in_object(raw: &str, path: &str, depth: usize) -> Option<Plaintext> {
    let step = step(path);
    let plain = unescaped(step.key);
    for (key, value) in json::fields(raw)? {
        let matches = if step.has_wildcard { like(&key, step.key) } else { key == plain };
        if !matches {
            continue;
        }
        match step.rest {
            Rest::End => return Some(value.into()),
            Rest::Piped(rest) => return find(value, rest, depth + 1),
            Rest::Below(rest) => {
                if let Some(found) = find(value, rest, depth + 1) {
                    return Some(found);
                }
            }
        }
    }
    None
}

fn in_list(raw: &str, path: &str, depth: usize) -> Option<Plaintext> {
    let items = json::items(raw)?;
    if let Some(rest) = path.strip_prefix("#(").or_else(|| path.strip_prefix("#[")) {
        return query::select(&items, rest, depth);
    }
    if path == "#" {
        return Some(items.len().to_string().into());
    }
    if let Some(rest) = path.strip_prefix("#|") {
        return find(&items.len().to_string(), rest, depth + 1);
    }
    if let Some(rest) = path.strip_prefix("#.") {
        let (each, pipe) = split_pipe(rest);
        let found = items.iter().filter_map(|item| find(item, each, depth + 1));
        return piped(list(found), pipe, depth);
    }
    let step = step(path);
    let item = items.get(step.key.parse::<usize>().ok()?)?;
    match step.rest {
        Rest::End => Some((*item).into()),
        Rest::Below(rest) | Rest::Piped(rest) => find(item, rest, depth + 1),
    }
}

fn piped(made: Plaintext, pipe: Option<&str>, depth: usize) -> Option<Plaintext> {
    match pipe {
        Some(rest) => find(made.expose_str()?, rest, depth + 1),
        None => Some(made).filter(|made| made.len() <= MAX_RESULT_BYTES),
    }
}

/// Writes a list of JSON texts.
fn list(items: impl Iterator<Item = Plaintext>) -> Plaintext {
    let mut out = Plaintext::default();
    out.push(b"[");
    for (index, item) in items.enumerate() {
        out.push(if index == 0 { b"" } else { b"," });
        out.push(item.expose());
    }
    out.push(b"]");
    out
}

/// Splits a path at its first pipe outside of brackets and strings.
fn split_pipe(path: &str) -> (&str, Option<&str>) {
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'(' | b'[' | b'{' => at += balanced(&path[at..]),
            b'|' => return (&path[..at], Some(&path[at + 1..])),
            _ => at += 1,
        }
    }
    (path, None)
}

/// Returns the length of the brackets or string at the start of a text, or of all of it where they do not close.
fn balanced(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                if open == 0 {
                    return (at + 1).min(text.len());
                }
            }
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => {
                open -= 1;
                if open == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// `{a,"name":b}` and `[a,b]`: several paths as one value.
fn several<'p>(raw: &str, path: &'p str, depth: usize) -> Option<(Plaintext, &'p str)> {
    let length = balanced(path);
    let (selectors, rest) = path.split_at(length);
    let is_object = selectors.starts_with('{');
    let inner = selectors.strip_prefix(['{', '['])?.strip_suffix(['}', ']'])?;
    if !(rest.is_empty() || rest.starts_with(['.', '|'])) {
        return None;
    }
    let mut out = Plaintext::default();
    out.push(if is_object { b"{" } else { b"[" });
    for selector in split_selectors(inner) {
        let (name, path) = named(selector, is_object);
        let Some(found) = find(raw, path, depth + 1) else { continue };
        if out.len() > 1 {
            out.push(b",");
        }
        if is_object {
            out.push(json::quoted(&name.as_str().into()).expose());
            out.push(b":");
        }
        out.push(found.expose());
        if out.len() > MAX_RESULT_BYTES {
            return None;
        }
    }
    out.push(if is_object { b"}" } else { b"]" });
    Some((out, rest))
}

fn split_selectors(inner: &str) -> Vec<&str> {
    let bytes = inner.as_bytes();
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'(' | b'[' | b'{' | b'"' => at += balanced(&inner[at..]),
            b',' => {
                parts.push(&inner[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    if start < inner.len() {
        parts.push(&inner[start..]);
    }
    parts
}

/// Splits `name:path`; without a name the last key of the path is one, where it is simple.
fn named(selector: &str, is_object: bool) -> (String, &str) {
    let selector = selector.trim();
    let end = if selector.starts_with('"') { balanced(selector) } else { 0 };
    let colon = selector[end..].find([':', '@', '.', '(', '[', '{', '#', '|', '!']).map(|at| at + end);
    if let Some(at) = colon.filter(|&at| is_object && selector.as_bytes()[at] == b':' && at > 0) {
        let name = &selector[..at];
        let text = json::text(name).and_then(|text| text.expose_str().map(str::to_owned));
        return (text.unwrap_or_else(|| unescaped(name)), &selector[at + 1..]);
    }
    let last = selector.rsplit(['.', '|']).next().unwrap_or_default();
    let is_simple = !last.is_empty()
        && last.chars().all(|c| c > ' ' && !matches!(c, '[' | ']' | '{' | '}' | '(' | ')' | '#' | '|' | '!'));
    let name = if is_simple { unescaped(last) } else { "_".to_owned() };
    (name, selector)
}

/// Matches a text with `*` (any run) and `?` (any one), where `\` escapes.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    matches_from(&text, &parse_pattern(pattern))
}

/// A step of a wildcard pattern.
#[derive(Clone, Copy, PartialEq)]
enum Glob {
    Any,
    One,
    Exactly(char),
}

fn parse_pattern(pattern: &str) -> Vec<Glob> {
    let mut steps = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        steps.extend(match character {
            '\\' => characters.next().map(Glob::Exactly),
            '*' => Some(Glob::Any),
            '?' => Some(Glob::One),
            other => Some(Glob::Exactly(other)),
        });
    }
    steps
}

/// The usual walk with one place to come back to, so that it takes time in proportion to text times pattern.
fn matches_from(text: &[char], pattern: &[Glob]) -> bool {
    let (mut at, mut step, mut back) = (0, 0, None);
    while at < text.len() {
        match pattern.get(step) {
            Some(Glob::Any) => {
                back = Some((at, step));
                step += 1;
            }
            Some(Glob::One) => (at, step) = (at + 1, step + 1),
            Some(Glob::Exactly(wanted)) if *wanted == text[at] => (at, step) = (at + 1, step + 1),
            _ => {
                let Some((from, any)) = back else { return false };
                back = Some((from + 1, any));
                (at, step) = (from + 1, any + 1);
            }
        }
    }
    pattern[step..].iter().all(|rest| *rest == Glob::Any)
}

#[cfg(test)]
mod tests;
