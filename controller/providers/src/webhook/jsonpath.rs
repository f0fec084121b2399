//! JSONPath as upstream's library (PaesslerAG/jsonpath) reads it: the part of it that paths into answers use.
//!
//! ```text
//!   $   .name   ['name']   [0]   [-1]   [1:3]   [0,2]   ['a','b']   .*   [*]   ..name   ..*   [?(@.a == 'b' && @.n > 1)]
//! ```
//!
//! A path that names at most one place yields its value, or an error where it is not there; any other path yields the list
//! of what it finds, in the order of the answer (keys sorted).

use sealops_formats::Plaintext;

use super::filter::{self, Filter};
use crate::json::Json;

/// Longest path, and most steps of one.
pub(super) const MAX_PATH_BYTES: usize = 4096;
const MAX_STEPS: usize = 64;
/// Values that one step may find.
const MAX_FOUND: usize = 100_000;

/// A path that makes no sense, or leads nowhere. Quotes neither path nor answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathError {
    /// It is no path of the dialect.
    Parse(&'static str),
    /// There is nothing at the place that it names.
    Nothing,
    /// It finds too much.
    TooMuch,
}

/// A path.
pub(super) struct Path {
    steps: Vec<Step>,
}

enum Step {
    /// One name or position.
    One(Name),
    /// Several.
    Each(Vec<Name>),
    Slice(Option<i64>, Option<i64>),
    All,
    /// This value and everything below.
    Descend,
    Filter(Filter),
}

pub(super) enum Name {
    Key(String),
    Position(i64),
}

/// What a path finds.
pub(super) enum Found<'a> {
    One(&'a Json),
    List(Vec<&'a Json>),
}

impl Path {
    /// Parses a path.
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH_BYTES {
            return Err(PathError::Parse("the path is too long"));
        }
        let rest = text.trim().strip_prefix('$').ok_or(PathError::Parse("a path begins with $"))?;
        let steps = parse_steps(rest)?;
        Ok(Self { steps })
    }

    /// Parses what follows `@` in a filter; returns the rest of the text.
    pub(super) fn parse_relative(text: &str) -> Result<(Self, &str), PathError> {
        let mut steps = Vec::new();
        let mut rest = text;
        while rest.starts_with(['.', '[']) {
            rest = parse_step(rest, &mut steps)?;
        }
        Ok((Self { steps }, rest))
    }

    /// Returns what the path finds.
    pub(super) fn find<'a>(&self, json: &'a Json) -> Result<Found<'a>, PathError> {
        let several = self.steps.iter().any(|step| !matches!(step, Step::One(_)));
        let mut found = vec![json];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                step.apply(value, &mut next);
                if next.len() > MAX_FOUND {
                    return Err(PathError::TooMuch);
                }
            }
            found = next;
        }
        match (several, found.first()) {
            (true, _) => Ok(Found::List(found)),
            (false, Some(one)) => Ok(Found::One(one)),
            (false, None) => Err(PathError::Nothing),
        }
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Json, next: &mut Vec<&'a Json>) {
        match self {
            Self::One(name) => next.extend(name.of(value)),
            Self::Each(names) => next.extend(names.iter().filter_map(|name| name.of(value))),
            Self::Slice(from, to) => next.extend(slice(value, *from, *to)),
            Self::All => children(value, next),
            Self::Descend => descend(value, next),
            Self::Filter(filter) => {
                let mut all = Vec::new();
                children(value, &mut all);
                next.extend(all.into_iter().filter(|child| filter.accepts(child)));
            }
        }
    }
}

impl Name {
    fn of<'a>(&self, value: &'a Json) -> Option<&'a Json> {
        match (self, value) {
            (Self::Key(key), Json::Map(entries)) => entries.get(key),
            (Self::Position(at), Json::List(items)) => {
                let length = i64::try_from(items.len()).ok()?;
                let at = if *at < 0 { length.checked_add(*at)? } else { *at };
                items.get(usize::try_from(at).ok()?)
            }
            _ => None,
        }
    }
}

fn children<'a>(value: &'a Json, next: &mut Vec<&'a Json>) {
    match value {
        Json::List(items) => next.extend(items),
        Json::Map(entries) => next.extend(entries.values()),
        _ => {}
    }
}

fn descend<'a>(value: &'a Json, next: &mut Vec<&'a Json>) {
    next.push(value);
    if next.len() > MAX_FOUND {
        return;
    }
    match value {
        Json::List(items) => items.iter().for_each(|item| descend(item, next)),
        Json::Map(entries) => entries.values().for_each(|item| descend(item, next)),
        _ => {}
    }
}

fn slice(value: &Json, from: Option<i64>, to: Option<i64>) -> &[Json] {
    let Json::List(items) = value else { return &[] };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let bound =
        |at: i64| usize::try_from((if at < 0 { length + at } else { at }).clamp(0, length)).unwrap_or(0);
    let (from, to) = (bound(from.unwrap_or(0)), bound(to.unwrap_or(length)));
    items.get(from..to).unwrap_or_default()
}

fn parse_steps(text: &str) -> Result<Vec<Step>, PathError> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = parse_step(rest, &mut steps)?;
    }
    Ok(steps)
}

/// Reads one step; returns what follows.
fn parse_step<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, PathError> {
    if steps.len() >= MAX_STEPS {
        return Err(PathError::Parse("the path has too many steps"));
    }
    if let Some(rest) = text.strip_prefix("..") {
        steps.push(Step::Descend);
        return if rest.starts_with('[') { Ok(rest) } else { named(rest, steps) };
    }
    if let Some(rest) = text.strip_prefix('.') {
        return named(rest, steps);
    }
    let rest = text.strip_prefix('[').ok_or(PathError::Parse("a step begins with . or ["))?.trim_start();
    if let Some(rest) = rest.strip_prefix("?(") {
        let (filter, rest) = filter::parse(rest)?;
        steps.push(Step::Filter(filter));
        let rest = rest.trim_start().strip_prefix(')').ok_or(PathError::Parse("a filter ends with )]"))?;
        return rest.trim_start().strip_prefix(']').ok_or(PathError::Parse("a filter ends with )]"));
    }
    bracket(rest, steps)
}

fn named<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, PathError> {
    if let Some(rest) = text.strip_prefix('*') {
        steps.push(Step::All);
        return Ok(rest);
    }
    let ends = |c: char| matches!(c, '.' | '[' | ']' | '(' | ')' | '=' | '!' | '<' | '>' | '&' | '|' | ' ');
    let end = text.find(ends).unwrap_or(text.len());
    if end == 0 {
        return Err(PathError::Parse("a name is missing"));
    }
    steps.push(Step::One(Name::Key(text[..end].to_owned())));
    Ok(&text[end..])
}

fn bracket<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, PathError> {
    const UNCLOSED: PathError = PathError::Parse("a bracket is not closed");
    if let Some(rest) = text.strip_prefix('*') {
        steps.push(Step::All);
        return rest.trim_start().strip_prefix(']').ok_or(UNCLOSED);
    }
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.starts_with(['\'', '"']) {
            let (key, after) = quoted(rest)?;
            names.push(Name::Key(key));
            rest = after;
        } else {
            let end = rest.find([',', ']']).ok_or(UNCLOSED)?;
            let (inside, after) = rest.split_at(end);
            if let Some((from, to)) = inside.split_once(':') {
                steps.push(Step::Slice(number(from)?, number(to)?));
                return after.strip_prefix(']').ok_or(PathError::Parse("a slice is not supported in a list"));
            }
            let position = number(inside)?.ok_or(PathError::Parse("a position is missing"))?;
            names.push(Name::Position(position));
            rest = after;
        }
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(']') {
            rest = after;
            break;
        }
        rest = rest.strip_prefix(',').ok_or(UNCLOSED)?;
    }
    let first = names.pop();
    steps.push(match first {
        Some(only) if names.is_empty() => Step::One(only),
        last => {
            names.extend(last);
            Step::Each(names)
        }
    });
    Ok(rest)
}

fn number(text: &str) -> Result<Option<i64>, PathError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| PathError::Parse("this form of bracket is not supported"))
}

/// Reads a text in quotes; returns what follows.
pub(super) fn quoted(text: &str) -> Result<(String, &str), PathError> {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    let mut out = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            c if Some(c) == quote => return Ok((out, &text[at + 1..])),
            c => out.push(c),
        }
    }
    Err(PathError::Parse("a quote is not closed"))
}

/// Returns what upstream makes of a value: texts as they are, numbers without decimals, of a list its first element.
pub(super) fn to_bytes(found: Found<'_>) -> Result<Plaintext, PathError> {
    let mut value = match found {
        Found::One(value) => value,
        Found::List(values) => *values.first().ok_or(PathError::Nothing)?,
    };
    while let Json::List(items) = value {
        value = items.first().ok_or(PathError::Nothing)?;
    }
    Ok(match value {
        Json::Null => Plaintext::default(),
        Json::Bool(value) => value.to_string().into(),
        Json::Number(text) => {
            double(text).map_or_else(|| text.duplicate(), |double| format!("{double:.0}").into())
        }
        Json::Text(text) => text.duplicate(),
        other => rewritten(other).to_text(),
    })
}

pub(super) fn double(text: &Plaintext) -> Option<f64> {
    text.expose_str()?.parse().ok()
}

/// Returns the value with its numbers as Go writes doubles.
fn rewritten(value: &Json) -> Json {
    match value {
        Json::Number(text) => {
            Json::Number(double(text).map_or_else(|| text.duplicate(), |double| go_double(double).into()))
        }
        Json::List(items) => Json::List(items.iter().map(rewritten).collect()),
        Json::Map(entries) => Json::map(entries.iter().map(|(key, value)| (key, rewritten(value)))),
        other => other.duplicate(),
    }
}

/// Writes a double as `encoding/json` does: the shortest digits, with an exponent where it is far from one.
fn go_double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"text": "amber", "n": 42, "f": 1.5, "big": 12345678901234567890, "yes": true, "nil": null,
        "list": ["a", "b"], "nums": [1, 2], "obj": {"b": 1, "a": "<"}, "my-key": "dash", "empty": [],
        "items": [{"id": "x", "v": "one", "n": 1}, {"id": "y", "v": "two", "n": 2}], "tiny": 1e-7, "huge": 1e21}"#;

    fn at(path: &str) -> Result<String, PathError> {
        let json = Json::parse(&ANSWER.into()).unwrap();
        let found = Path::parse(path)?.find(&json)?;
        to_bytes(found).map(|bytes| bytes.expose_str().unwrap().to_owned())
    }

    /// The first rows were recorded with External Secrets Operator 2.9.
    #[test]
    fn values_are_what_upstream_makes_of_them() {
        for (path, expected) in [
            ("$.text", "amber"),
            ("$.n", "42"),
            ("$.f", "2"),
            ("$.big", "12345678901234567168"),
            ("$.yes", "true"),
            ("$.nil", ""),
            ("$.list", "a"),
            ("$.obj", r#"{"a":"\u003c","b":1}"#),
            ("$.my-key", "dash"),
            ("$['text']", "amber"),
            ("$[\"text\"]", "amber"),
            ("$.list[1]", "b"),
            ("$.list[-1]", "b"),
            ("$.list[1:]", "b"),
            ("$.items[0].v", "one"),
            ("$.items[*].v", "one"),
            ("$.items[?(@.id=='y')].v", "two"),
            ("$.items[?(@.id == \"y\" && @.n > 1)].v", "two"),
            ("$.items[?(@.id == 'z' || @.n == 2)].v", "two"),
            ("$..v", "one"),
            ("$['n','f']", "42"),
            ("$.tiny", "0"),
        ] {
            assert_eq!(at(path).as_deref(), Ok(expected), "{path}");
        }
        assert!(at("$").unwrap().contains(r#""big":12345678901234567000"#));
        assert!(at("$").unwrap().contains(r#""huge":1e+21"#) && at("$").unwrap().contains(r#""tiny":1e-7"#));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        for path in
            ["$.none", "$.text.x", "$.list[2]", "$.list[-3]", "$.empty", "$.items[?(@.id=='z')].v", "$..none"]
        {
            assert_eq!(at(path), Err(PathError::Nothing), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("${}", ".a".repeat(MAX_PATH_BYTES));
        let steps = format!("${}", ".a".repeat(MAX_STEPS + 1));
        for path in [
            "",
            "text",
            "$.",
            "$[",
            "$['a",
            "$[a]",
            "$.a[?(@.b",
            "$[?(@.a ~ 1)]",
            "$x",
            "$[1:2:3]",
            &long,
            &steps,
        ] {
            assert!(matches!(at(path), Err(PathError::Parse(_))), "{path}");
        }
    }
}
