//! The grammar: Go's `flag` package, and what urfave/cli does before and after it.

use std::collections::BTreeMap;
use std::env;

use super::{Flag, Kind};

/// What a command line said, under the first name of each flag.
#[derive(Debug, Default)]
pub(in crate::compat) struct Parsed {
    values: BTreeMap<&'static str, Vec<String>>,
    given: BTreeMap<&'static str, &'static str>,
    /// What is left behind the flags.
    pub(in crate::compat) rest: Vec<String>,
}

/// A command line that is not understood.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::compat) enum ParseError {
    /// The `flag` package's text.
    Usage(String),
    /// A variable that does not fit; nothing is printed but this.
    Variable(String),
    /// Two names of one flag.
    TwoForms(String),
}

impl Parsed {
    /// Reads flags until the first argument that is none, as Go's `flag` does.
    pub(in crate::compat) fn read(
        flags: impl Iterator<Item = &'static Flag> + Clone,
        arguments: &[String],
    ) -> (Self, Option<ParseError>) {
        let mut parsed = Self::default();
        if let Err(error) = parsed.fill_from_environment(flags.clone()) {
            return (parsed, Some(error));
        }
        let error = parsed.read_flags(flags, arguments).err();
        (parsed, error)
    }

    /// As [`Self::read`], with flags moved in front of other arguments.
    pub(in crate::compat) fn read_reordered(
        flags: impl Iterator<Item = &'static Flag> + Clone,
        arguments: &[String],
    ) -> (Self, Option<ParseError>) {
        let arguments = reorder(flags.clone(), arguments);
        Self::read(flags, &arguments)
    }

    /// Returns the last value, which the environment may have given.
    pub(in crate::compat) fn text(&self, name: &str) -> &str {
        self.values.get(name).and_then(|values| values.last()).map_or("", String::as_str)
    }

    /// Returns the value, unless it is empty.
    pub(in crate::compat) fn non_empty(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|value| !value.is_empty())
    }

    pub(in crate::compat) fn is_on(&self, name: &str) -> bool {
        parse_bool(self.text(name)) == Some(true)
    }

    pub(in crate::compat) fn number(&self, name: &str) -> i64 {
        parse_int(self.text(name)).unwrap_or_default()
    }

    pub(in crate::compat) fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns whether the command line itself named the flag.
    pub(in crate::compat) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    fn fill_from_environment(
        &mut self,
        flags: impl Iterator<Item = &'static Flag>,
    ) -> Result<(), ParseError> {
        for flag in flags {
            let name = flag.names[0];
            let default = match flag.kind {
                Kind::Bool => "false",
                Kind::BoolOn => "true",
                Kind::Text(default) => default,
                Kind::Texts => "",
                Kind::Number => "0",
            };
            let found = flag.variable.and_then(env::var_os).map(|value| value.to_string_lossy().into_owned());
            let value = match (found, flag.kind) {
                (Some(value), Kind::Bool | Kind::BoolOn) if value.is_empty() => "false".to_owned(),
                (Some(value), Kind::Bool | Kind::BoolOn) if parse_bool(&value).is_none() => {
                    let cause = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
                    let names = flag.names.join(", ");
                    return Err(ParseError::Variable(format!(
                        "could not parse {value} as bool value for flag {names}: {cause}"
                    )));
                }
                (Some(value), Kind::Texts) => {
                    let parts =
                        value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
                    self.values.insert(name, parts.collect());
                    continue;
                }
                (None, Kind::Texts) => continue,
                (Some(value), _) => value,
                (None, _) => default.to_owned(),
            };
            self.values.insert(name, vec![value]);
        }
        Ok(())
    }

    fn read_flags(
        &mut self,
        flags: impl Iterator<Item = &'static Flag> + Clone,
        arguments: &[String],
    ) -> Result<(), ParseError> {
        let mut rest = arguments;
        while let [argument, behind @ ..] = rest {
            if argument.len() < 2 || !argument.starts_with('-') {
                break;
            }
            rest = behind;
            if argument == "--" {
                break;
            }
            let body = argument.strip_prefix("--").unwrap_or(&argument[1..]);
            if body.is_empty() || body.starts_with(['-', '=']) {
                return Err(ParseError::Usage(format!("bad flag syntax: {argument}")));
            }
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let Some((flag, name)) = lookup(flags.clone(), name) else {
                return Err(ParseError::Usage(format!("flag provided but not defined: -{name}")));
            };
            let value = match value {
                Some(value) => value,
                None if !flag.kind.takes_value() => "true".to_owned(),
                None => {
                    let Some((next, behind)) = rest.split_first() else {
                        return Err(ParseError::Usage(format!("flag needs an argument: -{name}")));
                    };
                    rest = behind;
                    next.clone()
                }
            };
            self.put(flag, name, value)?;
        }
        self.rest = rest.to_vec();
        Ok(())
    }

    fn put(&mut self, flag: &'static Flag, name: &'static str, value: String) -> Result<(), ParseError> {
        match flag.kind {
            Kind::Bool | Kind::BoolOn if parse_bool(&value).is_none() => {
                return Err(ParseError::Usage(format!(
                    "invalid boolean value {value:?} for -{name}: parse error"
                )));
            }
            Kind::Number if parse_int(&value).is_none() => {
                return Err(ParseError::Usage(format!(
                    "invalid value {value:?} for flag -{name}: parse error"
                )));
            }
            _ => {}
        }
        let first = flag.names[0];
        let before = self.given.insert(first, name);
        if let Some(before) = before.filter(|before| *before != name) {
            let (earlier, later) = order(flag, before, name);
            return Err(ParseError::TwoForms(format!(
                "Cannot use two forms of the same flag: {later} {earlier}"
            )));
        }
        let values = self.values.entry(first).or_default();
        // The first value on the command line replaces the environment's.
        if flag.kind != Kind::Texts || before.is_none() {
            values.clear();
        }
        values.push(value);
        Ok(())
    }
}

/// Returns two names of a flag as they stand in its table.
fn order(flag: &Flag, one: &'static str, two: &'static str) -> (&'static str, &'static str) {
    let place = |name| flag.names.iter().position(|other| *other == name);
    if place(one) < place(two) { (one, two) } else { (two, one) }
}

fn lookup(
    mut flags: impl Iterator<Item = &'static Flag>,
    name: &str,
) -> Option<(&'static Flag, &'static str)> {
    flags.find_map(|flag| Some((flag, *flag.names.iter().find(|known| **known == name)?)))
}

/// Moves flags in front. A value follows its flag; so does the argument behind a boolean, where Go's `flag` then stops
/// and takes later flags for arguments (command.go, `reorderArgs`).
fn reorder(flags: impl Iterator<Item = &'static Flag> + Clone, arguments: &[String]) -> Vec<String> {
    let is_flag = |argument: &str| {
        let Some(body) = argument.strip_prefix('-').filter(|_| argument != "-" && argument != "--") else {
            return false;
        };
        let body = body.strip_prefix('-').unwrap_or(body);
        lookup(flags.clone(), body.split('=').next().unwrap_or_default()).is_some()
    };
    let (mut front, mut rest) = (Vec::new(), Vec::new());
    let mut value_may_follow = false;
    for (index, argument) in arguments.iter().enumerate() {
        let flag = is_flag(argument);
        if value_may_follow && !flag {
            value_may_follow = false;
            front.push(argument.clone());
        } else if argument == "--" {
            rest.insert(0, argument.clone());
            rest.extend_from_slice(&arguments[index + 1..]);
            break;
        } else if flag {
            value_may_follow = !argument.contains('=');
            front.push(argument.clone());
        } else {
            rest.push(argument.clone());
        }
    }
    front.append(&mut rest);
    front
}

/// The words of Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `strconv.ParseInt` with base 0.
fn parse_int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{body}"), base).ok()
}
