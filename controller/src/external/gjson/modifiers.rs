//! Modifiers: `@reverse`, `@join:{"preserve":true}` and their kin.

use std::collections::{BTreeMap, HashMap};

use sealops_formats::Plaintext;

use super::super::json::{self, Kind};
use super::{balanced, list, object, string_of};

const NAMES: [&str; 14] = [
    "pretty",
    "ugly",
    "reverse",
    "this",
    "flatten",
    "join",
    "valid",
    "keys",
    "values",
    "tostr",
    "fromstr",
    "group",
    "dig",
    "jsonlines",
];
/// Width to which `@pretty` keeps lists on one line.
const WIDTH: usize = 80;

/// Returns whether a path begins with a modifier that is known.
pub(super) fn starts(path: &str) -> bool {
    path.strip_prefix('@').is_some_and(|rest| NAMES.contains(&split(rest).0))
}

/// Splits a modifier's name off.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find([':', '|', '.']).unwrap_or(text.len()))
}

/// Applies the modifier at the start of a path; returns the result and the rest of the path. `None` for a name that is
/// not known, which is a key then.
pub(super) fn apply<'p>(raw: &str, path: &'p str) -> Option<(Plaintext, &'p str)> {
    let (name, rest) = split(path.strip_prefix('@')?);
    if !NAMES.contains(&name) {
        return None;
    }
    let (argument, rest) = match rest.strip_prefix(':') {
        None => ("", rest),
        Some(text) => {
            let is_json = text.starts_with(['{', '[', '"']);
            text.split_at(if is_json { balanced(text) } else { argument_length(text) })
        }
    };
    Some((modified(name, raw, argument).unwrap_or_default(), rest))
}

/// The length of an argument that is no JSON: up to a pipe outside of brackets.
fn argument_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b'|' {
        at += if matches!(bytes[at], b'{' | b'[' | b'"' | b'(') { balanced(&text[at..]) } else { 1 };
    }
    at.min(text.len())
}

fn modified(name: &str, raw: &str, argument: &str) -> Option<Plaintext> {
    let options: HashMap<String, &str> = json::fields(argument).unwrap_or_default().into_iter().collect();
    let is_on = |option: &str| options.get(option).is_some_and(|value| value.trim() == "true");
    match name {
        "reverse" => Some(reversed(raw)),
        "flatten" => Some(flattened(raw, is_on("deep"))),
        "join" => Some(joined(raw, is_on("preserve"))),
        "keys" => Some(keys(raw)),
        "values" => Some(values(raw)),
        "ugly" => {
            let mut out = Plaintext::default();
            ugly(raw, &mut out);
            Some(out)
        }
        "pretty" => {
            let mut out = Plaintext::default();
            pretty(raw, 0, is_on("sortKeys"), &mut out);
            out.push(b"\n");
            Some(out)
        }
        "tostr" => Some(json::quoted(&raw.into())),
        // Of a string what it holds, where that is JSON.
        "fromstr" => string_of(raw).filter(|text| text.expose_str().is_some_and(json::is_valid)),
        "group" => Some(grouped(raw)),
        "dig" => Some(dug(raw, argument)),
        _ => Some(raw.into()), // this, valid
    }
}

fn member(key: &str, value: &str) -> Plaintext {
    let mut out = json::quoted(&key.into());
    out.push(b":");
    out.push(value.as_bytes());
    out
}

fn reversed(raw: &str) -> Plaintext {
    match (json::items(raw), json::fields(raw)) {
        (Some(items), _) => list(items.into_iter().rev().map(Plaintext::from)),
        (None, Some(fields)) => object(fields.iter().rev().map(|(key, value)| member(key, value))),
        (None, None) => raw.into(),
    }
}

/// Takes the brackets off a list or an object.
fn unwrapped(raw: &str) -> &str {
    let raw = raw.trim();
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

fn flattened(raw: &str, deep: bool) -> Plaintext {
    fn inside(items: Vec<&str>, deep: bool) -> Vec<Plaintext> {
        let parts = items.into_iter().map(|item| match json::items(item) {
            Some(inner) if deep => super::enclosed(b"", inside(inner, true).into_iter(), b""),
            Some(_) => unwrapped(item).trim().into(),
            None => Plaintext::from(item),
        });
        parts.filter(|part| !part.is_empty()).collect()
    }
    let Some(items) = json::items(raw) else { return raw.into() };
    list(inside(items, deep).into_iter())
}

fn joined(raw: &str, preserve: bool) -> Plaintext {
    let Some(items) = json::items(raw) else { return raw.into() };
    let objects = items.into_iter().filter(|item| json::kind(item) == Kind::Object);
    if preserve {
        return object(objects.map(|item| unwrapped(item).into()));
    }
    let fields = objects.filter_map(json::fields).flatten();
    let mut order: Vec<String> = Vec::new();
    let mut last = HashMap::new();
    for (key, value) in fields {
        if last.insert(key.clone(), value).is_none() {
            order.push(key);
        }
    }
    object(order.iter().map(|key| member(key, last[key])))
}

fn keys(raw: &str) -> Plaintext {
    match json::fields(raw) {
        _ if raw.is_empty() => list(std::iter::empty()),
        Some(fields) => list(fields.into_iter().map(|(key, _)| json::quoted(&key.into()))),
        None => list(json::items(raw).unwrap_or_else(|| vec![raw]).into_iter().map(|_| "null".into())),
    }
}

fn values(raw: &str) -> Plaintext {
    match json::fields(raw) {
        _ if raw.is_empty() => list(std::iter::empty()),
        Some(fields) => list(fields.into_iter().map(|(_, value)| value.into())),
        None if json::kind(raw) == Kind::List => raw.into(),
        None => list(std::iter::once(raw.into())),
    }
}

/// `{"a":[1,2],"b":[3,4]}` becomes `[{"a":1,"b":3},{"a":2,"b":4}]`.
fn grouped(raw: &str) -> Plaintext {
    let Some(fields) = json::fields(raw) else { return Plaintext::default() };
    let mut rows = BTreeMap::<usize, Vec<Plaintext>>::new();
    for (key, value) in &fields {
        for (row, item) in json::items(value).unwrap_or_default().into_iter().enumerate() {
            rows.entry(row).or_default().push(member(key, item));
        }
    }
    list(rows.into_values().map(|members| object(members.into_iter())))
}

/// Returns a list of every value below that a path leads to.
fn dug(raw: &str, path: &str) -> Plaintext {
    fn collect(raw: &str, path: &str, depth: usize, out: &mut Vec<Plaintext>) {
        if depth > super::MAX_DEPTH {
            return;
        }
        out.extend(super::find(raw, path, depth));
        for (_, value) in json::fields(raw).unwrap_or_default() {
            collect(value, path, depth + 1, out);
        }
        for item in json::items(raw).unwrap_or_default() {
            collect(item, path, depth + 1, out);
        }
    }
    let mut found = Vec::new();
    collect(raw, path, 0, &mut found);
    list(found.into_iter())
}

/// Drops white space outside of strings.
fn ugly(raw: &str, out: &mut Plaintext) {
    let mut rest = raw;
    while let Some(at) = rest.find(['"', ' ', '\t', '\n', '\r']) {
        out.push(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let length = if rest.starts_with('"') { balanced(rest) } else { 1 };
        if rest.starts_with('"') {
            out.push(&rest.as_bytes()[..length]);
        }
        rest = &rest[length..];
    }
    out.push(rest.as_bytes());
}

/// Writes with two spaces for each level; a list without objects stays on one line where it fits.
fn pretty(raw: &str, level: usize, sort: bool, out: &mut Plaintext) {
    let raw = raw.trim();
    let indent = |level: usize, out: &mut Plaintext| {
        out.push(b"\n");
        (0..level).for_each(|_| out.push(b"  "));
    };
    if let Some(mut fields) = json::fields(raw).filter(|fields| !fields.is_empty()) {
        if sort {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
        }
        out.push(b"{");
        for (index, (key, value)) in fields.into_iter().enumerate() {
            out.push(if index == 0 { b"" } else { b"," });
            indent(level + 1, out);
            out.push(json::quoted(&key.into()).expose());
            out.push(b": ");
            pretty(value, level + 1, sort, out);
        }
        indent(level, out);
        out.push(b"}");
    } else if let Some(items) = json::items(raw).filter(|items| !items.is_empty()) {
        let mut line = Plaintext::default();
        ugly(raw, &mut line);
        let width = line.len() + items.len() + 2 * level;
        let short = width <= WIDTH && items.iter().all(|item| json::kind(item) != Kind::Object);
        out.push(b"[");
        for (index, item) in items.into_iter().enumerate() {
            match (index, short) {
                (0, true) => {}
                (_, true) => out.push(b", "),
                (0, false) => indent(level + 1, out),
                (_, false) => {
                    out.push(b",");
                    indent(level + 1, out);
                }
            }
            pretty(item, level + 1, sort, out);
        }
        if !short {
            indent(level, out);
        }
        out.push(b"]");
    } else {
        ugly(raw, out);
    }
}
