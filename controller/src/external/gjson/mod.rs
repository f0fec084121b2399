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
    string_of(raw.expose_str()?)
}

/// Returns a value as gjson's `String()` does. What a modifier left behind a list or object stays.
fn string_of(raw: &str) -> Option<Plaintext> {
    Some(match json::kind(raw) {
        Kind::Null => Plaintext::default(),
        Kind::Text => json::text(raw)?,
        Kind::Number if !is_integer(raw.trim()) => json::plain_number(raw).into(),
        Kind::Number | Kind::Bool => raw.trim().into(),
        Kind::List | Kind::Object => raw.trim_start().into(),
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
    let raw = raw.trim_start();
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
            let mut pipe = None;
            let found = in_list(&[raw], &path[2..], depth, &mut pipe);
            return piped(found, pipe, depth);
        }
        _ => {}
    }
    let mut pipe = None;
    let found = scan(raw, path, depth, &mut pipe);
    piped(found, pipe, depth)
}

/// Goes down into a list or an object. A pipe of the path ends the way down; what follows it comes after all.
fn scan<'p>(raw: &str, path: &'p str, depth: usize, pipe: &mut Option<&'p str>) -> Option<Plaintext> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json::kind(raw) {
        Kind::Object => in_object(raw, path, depth, pipe),
        Kind::List => in_list(&json::items(raw)?, path, depth, pipe),
        _ => None,
    }
}

/// Goes on behind a pipe, with nothing where nothing was found: `{…}` and some modifiers make something of it.
fn piped(found: Option<Plaintext>, pipe: Option<&str>, depth: usize) -> Option<Plaintext> {
    let found = found.filter(|found| found.len() <= MAX_RESULT_BYTES);
    match pipe {
        Some(rest) => find(found.unwrap_or_default().expose_str()?, rest, depth + 1),
        None => found,
    }
}

/// Goes on in a text that was made, after `.` or `|`.
fn follow(made: Plaintext, rest: &str, depth: usize) -> Option<Plaintext> {
    if made.len() > MAX_RESULT_BYTES {
        return None;
    }
    match rest.strip_prefix(['.', '|']) {
        Some(rest) => find(made.expose_str()?, rest, depth + 1),
        None if matches!(json::kind(made.expose_str()?), Kind::List | Kind::Object) => Some(made),
        None => Some(made.expose_str()?.trim().into()).filter(|made: &Plaintext| !made.is_empty()),
    }
}

/// `!"text"` and `!true`: JSON that stands in the path itself.
fn fixed(path: &str) -> Option<(Plaintext, &str)> {
    let text = &path[1..];
    let length = match text.as_bytes().first()? {
        b'{' | b'[' | b'"' => balanced(text),
        _ => text.find(['|', '.']).unwrap_or(text.len()),
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
                let rest = if starts_anew(rest) { Rest::Piped(rest) } else { Rest::Below(rest) };
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

fn in_object<'p>(raw: &str, path: &'p str, depth: usize, pipe: &mut Option<&'p str>) -> Option<Plaintext> {
    let step = step(path);
    if let Rest::Piped(rest) = step.rest {
        *pipe = Some(rest);
    }
    let plain = unescaped(step.key);
    for (key, value) in json::fields(raw)? {
        let matches = if step.has_wildcard { like(&key, step.key) } else { key == plain };
        if !matches {
            continue;
        }
        let Rest::Below(rest) = step.rest else { return Some(value.into()) };
        if let Some(found) = scan(value, rest, depth + 1, pipe) {
            return Some(found);
        }
    }
    None
}

fn in_list<'p>(items: &[&str], path: &'p str, depth: usize, pipe: &mut Option<&'p str>) -> Option<Plaintext> {
    if path.starts_with("#(") || path.starts_with("#[") {
        return query::select(items, &path[2..], depth, pipe);
    }
    if let Some(rest) = path.strip_prefix("#.") {
        let (each, after) = split_pipe(rest);
        *pipe = after.or(*pipe);
        return Some(list(items.iter().filter_map(|item| find(item, each, depth + 1))));
    }
    let end = path.find(['|', '.']).unwrap_or(path.len());
    let (part, rest) = path.split_at(end);
    let below = match rest.strip_prefix('.') {
        Some(below) if !starts_anew(below) || part.contains('#') => Some(below),
        _ => {
            *pipe = rest.get(1..).or(*pipe);
            None
        }
    };
    if part == "#" {
        return Some(items.len().to_string().into());
    }
    let is_index = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let item = items.get(part.parse::<usize>().ok().filter(|_| is_index)?)?;
    match below {
        Some(below) => scan(item, below, depth + 1, pipe),
        None => Some((*item).into()),
    }
}

/// Whether a path after a dot begins anew with what stands before the dot.
fn starts_anew(path: &str) -> bool {
    path.starts_with(['[', '{']) || modifiers::starts(path)
}

/// Writes a list of JSON texts.
fn list(items: impl Iterator<Item = Plaintext>) -> Plaintext {
    enclosed(b"[", items, b"]")
}

/// Writes an object of members that are texts already.
fn object(members: impl Iterator<Item = Plaintext>) -> Plaintext {
    enclosed(b"{", members, b"}")
}

fn enclosed(open: &[u8], parts: impl Iterator<Item = Plaintext>, close: &[u8]) -> Plaintext {
    let mut out = Plaintext::default();
    out.push(open);
    for (index, part) in parts.enumerate() {
        out.push(if index == 0 { b"" } else { b"," });
        out.push(part.expose());
    }
    out.push(close);
    out
}

/// Splits a path at its first pipe, as gjson looks for it: queries behind a dot and a list of paths at the start are
/// passed over, and nothing else is.
fn split_pipe(path: &str) -> (&str, Option<&str>) {
    let bytes = path.as_bytes();
    if path.starts_with('{') {
        let length = balanced(path);
        let rest = path[length..].strip_prefix('|');
        return rest.map_or((path, None), |rest| (&path[..length], Some(rest)));
    }
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'.' if path[at + 1..].starts_with("#(") || path[at + 1..].starts_with("#[") => {
                at += 2 + balanced(&path[at + 2..]);
            }
            b'|' => return (&path[..at], Some(&path[at + 1..])),
            _ => at += 1,
        }
    }
    (path, None)
}

/// Returns where the string that begins at `at` ends: its closing quote, or behind the text.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// Returns the length of the brackets or string at the start of a text, or of all of it where they do not close.
fn balanced(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => {
                at = string_end(bytes, at);
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
        let (name, path) = named(selector);
        let Some(found) = find(raw, path, depth + 1) else { continue };
        if out.len() > 1 {
            out.push(b",");
        }
        if is_object {
            out.push(name.expose());
            out.push(b":");
        }
        out.push(found.expose());
        if out.len() > MAX_RESULT_BYTES {
            return Some((out, "")); // refused by who goes on with it
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

/// Splits `name:path`; without a name the last key of the path is one as it stands, where it is simple. The name is JSON.
fn named(selector: &str) -> (Plaintext, &str) {
    let (name, path) = match colon(selector) {
        Some(at) => (&selector[..at], &selector[at + 1..]),
        None => ("", selector),
    };
    if !name.is_empty() {
        let is_json = name.starts_with('"') && json::is_valid(name);
        return (if is_json { name.into() } else { json::quoted(&name.into()) }, path);
    }
    let mut ends = path.match_indices(['.', '|']).filter(|(at, _)| !path[..*at].ends_with('\\'));
    let last = ends.next_back().map_or(path, |(at, _)| &path[at + 1..]);
    let is_simple =
        last.chars().all(|c| c >= ' ' && !matches!(c, '[' | ']' | '{' | '}' | '(' | ')' | '#' | '|' | '!'));
    (json::quoted(&if is_simple { last } else { "_" }.into()), path)
}

/// Returns where the colon behind a name is: outside of brackets and strings, and before any modifier of the path.
fn colon(selector: &str) -> Option<usize> {
    let bytes = selector.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'(' | b'[' | b'{' | b'"' => at += balanced(&selector[at..]),
            b'@' if at > 0 && matches!(bytes[at - 1], b'.' | b'|') => return None,
            b':' => return Some(at),
            _ => at += 1,
        }
    }
    None
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
mod differential;
#[cfg(test)]
mod tests;
