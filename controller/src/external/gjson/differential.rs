//! Documents and paths, generated, answered here and by Go's gjson 1.18.

use std::collections::BTreeMap;

use sealops_testenv::{GjsonAnswer, ask_gjson};

use super::get;

/// Questions of a run.
const QUESTIONS: usize = 6000;
/// Every element that a run has to have, in documents and in paths.
const ELEMENTS: [&str; 55] = [
    "broken",
    "control",
    "duplicate",
    "escape",
    "exponent",
    "float",
    "integer",
    "surrogate",
    "unicode",
    "white",
    "key",
    "escaped key",
    "star",
    "question mark",
    "index",
    "count",
    "each",
    "nothing",
    "pipe",
    "dotted pipe",
    "lines",
    "literal",
    "list of paths",
    "object of paths",
    "named path",
    "first ==",
    "first !=",
    "first <",
    "first <=",
    "first >",
    "first >=",
    "first %",
    "first !%",
    "first =",
    "all",
    "has",
    "nested query",
    "plain query",
    "~true",
    "~false",
    "~null",
    "~*",
    "@reverse",
    "@ugly",
    "@pretty",
    "@this",
    "@valid",
    "@flatten",
    "@join",
    "@keys",
    "@values",
    "@tostr",
    "@fromstr",
    "@group",
    "@dig",
];

/// A small generator of numbers: the same questions in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn in_(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A value of a document, before it is written.
#[derive(Clone)]
enum Json {
    /// Number, literal or string, as it stands in the text.
    Leaf(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Writes documents and paths into them, and counts what they have.
struct Writer {
    dice: Dice,
    counts: BTreeMap<&'static str, usize>,
}

const KEYS: [&str; 16] = [
    "a",
    "b",
    "name",
    "first",
    "last",
    "age",
    "ok",
    "list",
    "fav.movie",
    "x*y",
    "ключ",
    "k y",
    "0",
    "deep",
    "@at",
    "na|me",
];
const TEXTS: [&str; 12] = ["Tom", "Dale", "tom", "", "a b", "true", "37", "D*", "naïve", "f", "0", "x<y&z"];

impl Writer {
    fn count(&mut self, element: &'static str) {
        *self.counts.entry(element).or_default() += 1;
    }

    fn value(&mut self, depth: usize) -> Json {
        match self.dice.below(if depth > 3 { 5 } else { 10 }) {
            0..=2 => self.text(),
            3 | 4 => self.number_or_word(),
            5 => {
                let length = self.dice.below(5);
                Json::List((0..length).map(|_| self.value(depth + 1)).collect())
            }
            6 | 7 => {
                // Objects of one shape, which queries want.
                let length = 1 + self.dice.below(4);
                Json::List((0..length).map(|_| self.object(depth + 1)).collect())
            }
            _ => self.object(depth + 1),
        }
    }

    fn object(&mut self, depth: usize) -> Json {
        let length = self.dice.below(6);
        let mut fields = Vec::new();
        for _ in 0..length {
            let key = (*self.dice.one(&KEYS)).to_owned();
            if fields.iter().any(|(own, _)| *own == key) {
                self.count("duplicate");
            }
            if !key.is_ascii() {
                self.count("unicode");
            }
            fields.push((key, self.value(depth)));
        }
        Json::Object(fields)
    }

    fn text(&mut self) -> Json {
        let odd = match self.dice.below(12) {
            0 => {
                self.count("escape");
                "a\\\"b\\\\c\\/d\\n\\u0041\\u00e9"
            }
            1 => {
                self.count("surrogate");
                "\\ud83d\\ude00 \\u2028"
            }
            2 => {
                self.count("control");
                "\\u0001\\t\\b\\f"
            }
            _ => self.dice.one(&TEXTS),
        };
        Json::Leaf(format!("\"{odd}\""))
    }

    fn number_or_word(&mut self) -> Json {
        let (element, texts): (&'static str, &[&str]) = match self.dice.below(4) {
            0 => ("integer", &["0", "37", "-5", "68", "44", "9007199254740993", "12345678901234567890"]),
            1 => ("float", &["1.50", "-0.25", "37.0", "0.1", "100.000", "3.14159265358979323846"]),
            2 => ("exponent", &["1e3", "2E-2", "1.5e+10", "1e21", "12e-9", "-1E5"]),
            _ => ("key", &["true", "false", "null"]),
        };
        self.count(element);
        Json::Leaf((*self.dice.one(texts)).to_owned())
    }

    fn write(&mut self, value: &Json, wide: bool, out: &mut String) {
        match value {
            Json::Leaf(text) => out.push_str(text),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    self.white(wide, out);
                    self.write(item, wide, out);
                    self.white(wide, out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    self.white(wide, out);
                    out.push_str(&format!("{key:?}:"));
                    self.white(wide, out);
                    self.write(value, wide, out);
                }
                self.white(wide, out);
                out.push('}');
            }
        }
    }

    fn white(&mut self, wide: bool, out: &mut String) {
        if wide {
            self.count("white");
            let blank = *self.dice.one(&["", " ", "\n\t", "  \r\n"]);
            out.push_str(blank);
        }
    }

    /// Cuts a text off, or takes a byte out of it.
    fn broken(&mut self, text: &str) -> String {
        self.count("broken");
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = *self.dice.one(&places);
        if self.dice.in_(2) {
            return text[..at].to_owned();
        }
        let next = text[at..].chars().next().map_or(at, |character| at + character.len_utf8());
        format!("{}{}", &text[..at], &text[next..])
    }

    /// Returns a path that leads somewhere in a value, mostly.
    fn path(&mut self, value: &Json, depth: usize) -> String {
        let step = match value {
            _ if depth > 4 => return self.key("name"),
            _ if self.dice.in_(9) => self.modifier(value),
            _ if self.dice.in_(14) => self.paths(value, depth),
            _ if self.dice.in_(60) => {
                self.count("literal");
                return (*self.dice.one(&["!\"fixed\"", "!17", "!{\"a\":1}", "!true", "![1,2]|1"]))
                    .to_owned();
            }
            _ if self.dice.in_(25) => {
                self.count("nothing");
                return (*self.dice.one(&["nobody", "a.b.c.d", "99", "", "#x", "name.nobody"])).to_owned();
            }
            Json::Leaf(_) => return self.key("a"),
            Json::Object(fields) => self.field(fields, depth),
            Json::List(items) => self.item(items, depth),
        };
        if depth == 0 && self.dice.in_(40) {
            self.count("lines");
            return format!("..{}", self.dice.one(&["0", "#", "#.a", "0.name"]));
        }
        step
    }

    /// What stands between a step and the next.
    fn joined(&mut self, step: String, below: Option<&Json>, depth: usize) -> String {
        let Some(below) = below.filter(|_| !self.dice.in_(4)) else { return step };
        if matches!(below, Json::Leaf(_)) && !self.dice.in_(6) {
            return step;
        }
        let rest = self.path(below, depth + 1);
        if self.dice.in_(6) {
            self.count("pipe");
            return format!("{step}|{rest}");
        }
        if rest.starts_with(['[', '{', '@', '!']) {
            self.count("dotted pipe");
        }
        format!("{step}.{rest}")
    }

    fn key(&mut self, key: &str) -> String {
        self.count("key");
        let mut out = String::new();
        for character in key.chars() {
            if matches!(character, '.' | '*' | '?' | '|' | '#' | '@' | '!' | '{' | '[' | '\\') {
                self.count("escaped key");
                out.push('\\');
            }
            out.push(character);
        }
        out
    }

    fn field(&mut self, fields: &[(String, Json)], depth: usize) -> String {
        if fields.is_empty() {
            return self.key("a");
        }
        let (key, value) = self.dice.one(fields).clone();
        let count = key.chars().count();
        let step = match self.dice.below(8) {
            0 => {
                self.count("star");
                let start: String = key.chars().take(count / 2).filter(|c| c.is_alphanumeric()).collect();
                format!("{start}*")
            }
            1 if key.is_ascii() && !key.contains(['.', '*', '|', '@']) => {
                self.count("question mark");
                format!("?{}", &key[1..])
            }
            _ => self.key(&key),
        };
        self.joined(step, Some(&value), depth)
    }

    fn item(&mut self, items: &[Json], depth: usize) -> String {
        match self.dice.below(6) {
            0 => {
                self.count("count");
                (*self.dice.one(&["#", "#", "#|@this"])).to_owned()
            }
            1 | 2 => {
                let index = self.dice.below(items.len().max(1) + 1);
                self.count("index");
                self.joined(index.to_string(), items.get(index), depth)
            }
            3 => {
                self.count("each");
                let below = items.first().cloned().unwrap_or(Json::Leaf("1".to_owned()));
                format!("#.{}", self.path(&below, depth + 1))
            }
            _ => self.query(items, depth),
        }
    }

    fn query(&mut self, items: &[Json], depth: usize) -> String {
        let objects: Vec<&Vec<(String, Json)>> = items
            .iter()
            .filter_map(|item| if let Json::Object(fields) = item { Some(fields) } else { None })
            .collect();
        let field = objects.iter().find_map(|fields| fields.first()).cloned();
        let plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric());
        let (condition, below) = match field.filter(|(key, _)| plain(key)) {
            None => {
                self.count("plain query");
                let value = (*self.dice.one(&["37", "\"Tom\"", "true", "1", "\"D*\"", "44"])).to_owned();
                (format!("{}{value}", self.operator()), items.first())
            }
            Some((key, _)) if self.dice.in_(7) => {
                self.count("has");
                (key, items.first())
            }
            Some((key, Json::List(_))) => {
                self.count("nested query");
                let operator = self.operator();
                (format!("{key}.#({operator}\"Tom\")"), items.first())
            }
            Some((key, _)) if self.dice.in_(4) => {
                let sort = *self.dice.one::<&'static str>(&["~true", "~false", "~null", "~*"]);
                self.count(sort);
                (format!("{key}{}{sort}", self.dice.one(&["==", "!="])), items.first())
            }
            Some((key, value)) => {
                let wanted = match value {
                    Json::Leaf(text) if self.dice.in_(2) => text,
                    _ => (*self
                        .dice
                        .one(&["37", "\"Tom\"", "\"T*\"", "true", "null", "45.5", "Dale", "\"a\""]))
                    .to_owned(),
                };
                (format!("{key}{}{wanted}", self.operator()), items.first())
            }
        };
        let all = if self.dice.in_(2) {
            self.count("all");
            "#"
        } else {
            ""
        };
        let below = below.cloned();
        self.joined(format!("#({condition}){all}"), below.as_ref(), depth)
    }

    fn operator(&mut self) -> &'static str {
        const OPERATORS: [(&str, &str); 9] = [
            ("first ==", "=="),
            ("first !=", "!="),
            ("first <", "<"),
            ("first <=", "<="),
            ("first >", ">"),
            ("first >=", ">="),
            ("first %", "%"),
            ("first !%", "!%"),
            ("first =", "="),
        ];
        let (element, operator) = *self.dice.one(&OPERATORS);
        self.count(element);
        operator
    }

    fn modifier(&mut self, value: &Json) -> String {
        const MODIFIERS: [(&str, &[&str]); 13] = [
            ("@reverse", &[""]),
            ("@ugly", &[""]),
            ("@pretty", &["", ":{\"sortKeys\":true}"]),
            ("@this", &[""]),
            ("@valid", &[""]),
            ("@flatten", &["", ":{\"deep\":true}"]),
            ("@join", &["", ":{\"preserve\":true}"]),
            ("@keys", &[""]),
            ("@values", &[""]),
            ("@tostr", &["|@fromstr"]),
            ("@fromstr", &[""]),
            ("@group", &[""]),
            ("@dig", &[":name", ":a", ":first"]),
        ];
        let (name, arguments) = *self.dice.one(&MODIFIERS);
        self.count(name);
        let step = format!("{name}{}", self.dice.one(arguments));
        let rest = match value {
            _ if self.dice.in_(3) => return step,
            Json::List(_) => *self.dice.one(&["0", "#", "#.a", "1.name"]),
            _ => *self.dice.one(&["a", "name", "0", "@this", "first"]),
        };
        self.count("pipe");
        format!("{step}|{rest}")
    }

    fn paths(&mut self, value: &Json, depth: usize) -> String {
        let count = 1 + self.dice.below(3);
        let paths: Vec<String> = (0..count).map(|_| self.path(value, depth + 2)).collect();
        if self.dice.in_(2) {
            self.count("list of paths");
            return format!("[{}]", paths.join(","));
        }
        self.count("object of paths");
        let named: Vec<String> = paths
            .into_iter()
            .map(|path| match self.dice.below(3) {
                0 => {
                    self.count("named path");
                    format!("\"n\":{path}")
                }
                _ => path,
            })
            .collect();
        format!("{{{}}}", named.join(","))
    }
}

/// What a question is answered, here.
fn ours(text: &str, path: &str) -> Option<Vec<u8>> {
    get(text, path).map(|found| found.expose().to_vec())
}

/// Questions whose answers differ on purpose: a text that is not JSON holds nothing here, be it the
/// document, or what `@fromstr` takes from a string.
fn is_departure(theirs: &GjsonAnswer, path: &str, ours: Option<&Vec<u8>>) -> bool {
    ours.is_none_or(Vec::is_empty) && (!theirs.valid || path.contains("@fromstr"))
}

#[test]
fn gjson_finds_the_same() {
    let mut writer = Writer { dice: Dice(0x5ea1_0b5e_55ed_c0de), counts: BTreeMap::new() };
    let mut questions = Vec::new();
    while questions.len() < QUESTIONS {
        let duplicates = writer.counts.get("duplicate").copied();
        let document = writer.value(0);
        let has_duplicates = duplicates != writer.counts.get("duplicate").copied();
        let mut text = String::new();
        let wide = writer.dice.in_(3);
        writer.write(&document, wide, &mut text);
        for _ in 0..4 {
            let path = writer.path(&document, 0);
            // A query leaves its empty list behind when the same key comes again, and equal keys are sorted by value.
            if has_duplicates && (path.contains("#(") || path.contains("sortKeys")) {
                continue;
            }
            let text = if writer.dice.in_(40) { writer.broken(&text) } else { text.clone() };
            questions.push((text, path));
        }
    }
    // A text that is JSON itself; gjson goes on into it without @fromstr too, from its first bracket.
    for text in ["{\\\"b\\\":[1,2]}", "[1,{\\\"b\\\":null}]", "17", "\\\"inner\\\"", "no JSON"] {
        for path in ["a", "a.@fromstr", "a.@fromstr.b", "a|@fromstr|#", "a.@fromstr|b.1", "a|@fromstr|@tostr"]
        {
            questions.push((format!("{{\"a\":\"{text}\"}}"), path.to_owned()));
        }
    }
    let answers = ask_gjson(&questions).unwrap();
    let (mut found, mut departures, mut differences) = (0, 0, Vec::new());
    for ((text, path), theirs) in questions.iter().zip(&answers) {
        let ours = ours(text, path);
        let wanted = theirs.exists.then(|| theirs.text.clone());
        found += usize::from(ours.is_some());
        if ours == wanted {
            continue;
        }
        if is_departure(theirs, path, ours.as_ref()) {
            departures += 1;
            continue;
        }
        let show = |side: &Option<Vec<u8>>| {
            side.as_ref().map_or("nothing".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
        };
        differences.push(format!(
            "{path}\n  in     {text}\n  gjson  {}\n  here   {}",
            show(&wanted),
            show(&ours)
        ));
    }
    println!(
        "gjson: {} questions, {found} with an answer, {departures} about texts that are no JSON, {} differences",
        questions.len(),
        differences.len()
    );
    let missing: Vec<&str> =
        ELEMENTS.iter().copied().filter(|element| !writer.counts.contains_key(element)).collect();
    let shown: Vec<String> = differences.iter().take(40).cloned().collect();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), shown.join("\n"));
    assert!(missing.is_empty(), "no question has {missing:?}");
    assert!(found > QUESTIONS / 3, "only {found} answers: the questions lead nowhere");
}
