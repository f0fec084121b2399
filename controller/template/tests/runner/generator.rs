//! Makes templates: deterministic in the seed, and counting what it has used.

mod statements;
mod tables;
mod values;

use std::collections::BTreeMap;

use sealops_template::value::Type;
use sealops_template::{Function, FunctionSet};

use self::tables::*;
pub(crate) use self::tables::{OUTCOME_ONLY, data};

/// What has been generated, by name.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Parts of the language. Each must occur in a run.
pub(crate) const FEATURES: &[&str] = &[
    "action",
    "text",
    "comment",
    "trim",
    "pipeline",
    "parentheses",
    "field",
    "chained field",
    "index",
    "variable",
    "assignment",
    "if",
    "else",
    "else if",
    "with",
    "else with",
    "range list",
    "range map",
    "range int",
    "range variables",
    "range else",
    "break",
    "continue",
    "define",
    "template",
    "block",
    "nil",
    "raw string",
    "character",
    "number base",
    "float",
    "bool",
    "missing key",
    "missingkey=zero",
    "missingkey=error",
    "delimiters",
    "wrong type",
    "broken syntax",
    "bytes",
    "nested call",
];

pub(crate) struct Generator<'a> {
    state: u64,
    functions: &'a FunctionSet,
    names: Vec<&'static str>,
    pub(crate) features: Counts,
    pub(crate) used: Counts,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(seed: u64, functions: &'a FunctionSet) -> Self {
        let names = functions.names();
        Self { state: seed, functions, names, features: Counts::new(), used: Counts::new() }
    }

    /// SplitMix64
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) >> 33).unwrap_or(0) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn feature(&mut self, name: &str) {
        assert!(FEATURES.contains(&name), "{name}");
        *self.features.entry(name.to_owned()).or_default() += 1;
    }

    /// Makes a template around a call of the function `number` in turn.
    pub(crate) fn template(&mut self, number: usize) -> String {
        let name = self.names[number % self.names.len()];
        let call = self.call(name, 2);
        let mut text = match self.below(3) {
            0 => self.statement(&call, 2),
            1 => {
                let more = self.expression('A', 2);
                self.statement(&call, 1) + &self.statement(&more, 2)
            }
            _ => {
                self.feature("action");
                format!("{{{{ {call} }}}}")
            }
        };
        if self.once_in(40) {
            self.feature("broken syntax");
            text = self.broken(&text);
        }
        text
    }

    fn broken(&mut self, text: &str) -> String {
        let mut runes: Vec<char> = text.chars().collect();
        let at = self.below(runes.len());
        match self.below(3) {
            0 => drop(runes.remove(at)),
            1 => runes.insert(at, runes[at]),
            _ => runes[at] = self.pick(&['{', '}', '"', '(', ')', '|', '.', '$', '`', '-', ' ', '\n']),
        }
        runes.into_iter().collect()
    }

    /// A call with its arguments, without parentheses.
    pub(crate) fn call(&mut self, name: &str, depth: usize) -> String {
        *self.used.entry(name.to_owned()).or_default() += 1;
        let Some(function) = self.functions.find(name).copied() else { return name.to_owned() };
        let mut arguments = self.arguments(&function, depth.saturating_sub(1));
        if self.once_in(60) {
            self.feature("wrong type");
            arguments.pop();
        }
        if let Some((_, form)) = UNORDERED.iter().find(|(own, _)| *own == name) {
            return form.replace('@', &arguments.join(" "));
        }
        if name == "fromYaml" {
            // The error's text is ours: Go's may quote the value.
            return format!("omit (fromYaml {}) \"Error\"", arguments.join(" "));
        }
        let call = match arguments.pop() {
            Some(last) if self.once_in(4) => {
                self.feature("pipeline");
                format!("{last} | {name} {}", arguments.join(" "))
            }
            Some(last) => {
                arguments.push(last);
                format!("{name} {}", arguments.join(" "))
            }
            None => name.to_owned(),
        };
        let call = call.trim_end().to_owned();
        if OUTCOME_ONLY.contains(&name) { format!("len (print ({call})) | lt 0") } else { call }
    }

    fn arguments(&mut self, function: &Function, depth: usize) -> Vec<String> {
        let hint = HINTS.iter().find(|(name, _)| *name == function.name).map(|(_, hint)| *hint);
        let mut kinds: Vec<char> = match hint {
            Some(hint) => hint.chars().collect(),
            None => {
                let mut kinds: Vec<char> = function.parameters.iter().map(|kind| kind_of(*kind)).collect();
                if let Some(rest) = function.variadic {
                    let more = self.below(3);
                    kinds.extend(std::iter::repeat_n(kind_of(rest), more));
                }
                kinds
            }
        };
        if function.variadic.is_some() && kinds.len() > function.parameters.len() && self.once_in(3) {
            kinds.pop();
        }
        let slow = SLOW.contains(&function.name) && !self.once_in(12);
        let growing = GROWING.contains(&function.name);
        // What is no date means now to them.
        let dated =
            ["date", "htmlDate", "dateInZone", "date_in_zone", "htmlDateInZone"].contains(&function.name);
        kinds
            .into_iter()
            .enumerate()
            .map(|(index, kind)| {
                if slow && index == 0 {
                    self.feature("wrong type");
                    return "(list 1)".to_owned();
                }
                if !dated && self.once_in(12) {
                    self.feature("wrong type");
                    return if growing {
                        self.pick(&["\"x\"", "true", "(list)"]).to_owned()
                    } else {
                        self.expression('A', 0)
                    };
                }
                self.expression(kind, depth)
            })
            .collect()
    }

    /// An operand of a kind: a letter of [`HINTS`].
    fn expression(&mut self, kind: char, depth: usize) -> String {
        let pool = match kind {
            'R' => PATTERNS,
            'E' => REPLACEMENTS,
            'Y' => LAYOUTS,
            'G' => DATES,
            'Z' => ZONES,
            'U' => DURATIONS,
            'V' => VERSIONS,
            'C' => RANGES,
            'W' => URLS,
            'X' => ENCODED,
            'J' => JSONS,
            'M' => YAMLS,
            'P' => PATHS,
            'F' => FORMATS,
            'I' => SMALL,
            'H' => &[".pem", ".user", "\"-----BEGIN\""],
            'B' => &["\"CERTIFICATE\"", "\"leaf\"", "\"root\"", "\"intermediate\"", "\"x\""],
            'K' => &["\"12\"", "\"-7\"", "\"x\"", "\"\"", "\"99999999999999999999\"", "\"0x1\"", ".num"],
            'Q' => &[
                "(urlParse .url)",
                "(dict \"host\" \"h\" \"path\" \"a b\" \"scheme\" \"http\")",
                "(dict \"path\" 1)",
                "(dict \"userinfo\" \"u:p\" \"host\" \"h\")",
                "(dict \"opaque\" \"o\" \"scheme\" \"s\")",
                "(dict)",
                "(dict \"query\" \"q=1\" \"fragment\" \"é\" \"path\" \"x:y\")",
            ],
            'S' => return self.text(depth),
            'N' => return self.number(depth),
            'L' => return self.list(depth),
            'D' => return self.dict(depth),
            'T' => return self.time(),
            _ => return self.any(depth),
        };
        self.pick(pool).to_owned()
    }

    fn nested(&mut self, names: &[&str], depth: usize) -> String {
        let name = self.pick(names);
        self.feature("nested call");
        self.feature("parentheses");
        format!("({})", self.call(name, depth))
    }
}

fn kind_of(kind: Type) -> char {
    match kind {
        Type::String => 'S',
        Type::Int(_) | Type::Uint(_) => 'I',
        Type::Float => 'N',
        Type::List(_) => 'L',
        Type::Map(_) => 'D',
        Type::Time => 'T',
        _ => 'A',
    }
}
