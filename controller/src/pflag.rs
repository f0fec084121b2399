//! Command lines as Go's `spf13/pflag` 1.0 reads them: one table of flags gives parser, usage and environment names.
//!
//! Here and not in the command line, because the controller answers to upstream's flags too and `cli` uses this crate.
//!
//! clap cannot be taught its grammar (`-o=yaml`, booleans that take a value after `=` only, positional arguments that
//! are ignored) nor its error texts, which wrappers match.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::time::Duration;

use crate::external::go_duration;

/// One flag.
#[derive(Debug)]
pub struct Flag {
    /// Name, without dashes.
    pub name: &'static str,
    /// One-letter name.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
    /// Shown in the usage; empty hides the flag.
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or `=true` and `=false`.
    Bool,
    /// As [`Kind::Bool`], and on by default.
    On,
    /// A whole number in any of Go's bases, with its default.
    Int(i64),
    /// A fraction, with its default as Go prints it.
    Float(&'static str),
    /// A duration of Go, with its default as Go prints it.
    Duration(&'static str),
    /// A text, with its default.
    Text(&'static str),
    /// One of these words; the first is the default.
    Word(&'static [&'static str]),
    /// Texts, repeated or separated by commas.
    Texts,
    /// Texts, repeated.
    TextArray,
    /// A whole number.
    Number,
    /// klog's own flags: any value, ignored, and not read from the environment.
    Ignored(&'static str),
    /// klog's own switches.
    IgnoredBool,
}

/// What a command line said.
#[derive(Debug, Default)]
pub struct Parsed(BTreeMap<&'static str, Vec<String>>);

/// A command line that is not understood.
#[derive(Debug, PartialEq, Eq)]
pub enum ParseError {
    /// pflag's text.
    Bad(String),
    /// `-h`, which is no flag here and still asks for help.
    Help,
}

impl Parsed {
    /// Returns the last value given, or the default.
    pub fn text<'a>(&'a self, flags: &'a [Flag], name: &str) -> &'a str {
        let default = || match flags.iter().find(|flag| flag.name == name).map(|flag| flag.kind) {
            Some(Kind::Text(default)) => default,
            Some(Kind::Word(words)) => words[0],
            _ => "",
        };
        self.given(name).unwrap_or_else(default)
    }

    /// Returns the last value given, unless it is empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// Returns whether a switch that is off by default was turned on.
    pub fn is_set(&self, name: &str) -> bool {
        self.given(name).and_then(parse_bool) == Some(true)
    }

    /// Returns whether a switch that is on by default was left so.
    pub fn is_on(&self, name: &str) -> bool {
        self.given(name).and_then(parse_bool) != Some(false)
    }

    /// Returns the last number given.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.given(name).and_then(|text| parse_int(text).ok())
    }

    /// Returns the last fraction given.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.given(name).and_then(|text| text.parse().ok())
    }

    /// Returns the last duration given; a negative one is zero.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.given(name).and_then(go_duration)
    }

    /// Returns every value given.
    pub fn list(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.last().map(String::as_str)
    }

    /// Takes what the command line leaves open from `PREFIX_FLAG` variables; values that do not fit are ignored.
    pub fn fill_from_environment(&mut self, flags: &'static [Flag], prefix: &str) {
        for flag in flags.iter().filter(|flag| !matches!(flag.kind, Kind::Ignored(_) | Kind::IgnoredBool)) {
            let variable = format!("{prefix}_{}", flag.name.to_uppercase().replace('-', "_"));
            if let Ok(value) = env::var(variable)
                && !value.is_empty()
                && !self.0.contains_key(flag.name)
            {
                let _ = self.put(flag, &value);
            }
        }
    }

    fn put(&mut self, flag: &'static Flag, value: &str) -> Result<(), ParseError> {
        let problem = match flag.kind {
            Kind::Bool | Kind::On | Kind::IgnoredBool if parse_bool(value).is_none() => {
                format!("strconv.ParseBool: parsing {value:?}: invalid syntax")
            }
            Kind::Int(_) if let Err(problem) = parse_int(value) => {
                format!("strconv.ParseInt: parsing {value:?}: {problem}")
            }
            Kind::Float(_) if value.parse::<f64>().is_err() => {
                format!("strconv.ParseFloat: parsing {value:?}: invalid syntax")
            }
            Kind::Duration(_) if go_duration(value).is_none() => duration_problem(value),
            Kind::Number if value.parse::<i32>().is_err() => {
                format!("strconv.ParseInt: parsing {value:?}: invalid syntax")
            }
            Kind::Word(words) if !words.contains(&value) => format!("must be one of: {}", words.join(", ")),
            _ => {
                let values = self.0.entry(flag.name).or_default();
                match flag.kind {
                    Kind::Texts => values.extend(value.split(',').map(str::to_owned)),
                    _ => values.push(value.to_owned()),
                }
                return Ok(());
            }
        };
        let name = match flag.short {
            Some(short) => format!("-{short}, --{}", flag.name),
            None => format!("--{}", flag.name),
        };
        Err(ParseError::Bad(format!("invalid argument {value:?} for {name:?} flag: {problem}")))
    }
}

/// Reads the arguments behind the program's name. Positional ones are ignored.
pub fn parse(flags: &'static [Flag], arguments: &[OsString]) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut rest = arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            parse_long(flags, &mut parsed, long, &argument, &mut rest)?;
        } else if argument.len() > 1 && argument.starts_with('-') {
            parse_short(flags, &mut parsed, &argument, &mut rest)?;
        }
    }
    Ok(parsed)
}

fn parse_long(
    flags: &'static [Flag],
    parsed: &mut Parsed,
    long: &str,
    argument: &str,
    rest: &mut impl Iterator<Item = String>,
) -> Result<(), ParseError> {
    if long.starts_with(['-', '=']) {
        return Err(ParseError::Bad(format!("bad flag syntax: {argument}")));
    }
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    let Some(flag) = flags.iter().find(|flag| flag.name == name) else {
        return Err(ParseError::Bad(format!("unknown flag: --{name}")));
    };
    let value = match value {
        Some(value) => value,
        None if flag.kind.needs_no_value() => "true".to_owned(),
        None => rest.next().ok_or_else(|| ParseError::Bad(format!("flag needs an argument: --{name}")))?,
    };
    parsed.put(flag, &value)
}

fn parse_short(
    flags: &'static [Flag],
    parsed: &mut Parsed,
    argument: &str,
    rest: &mut impl Iterator<Item = String>,
) -> Result<(), ParseError> {
    let mut letters = argument[1..].chars();
    while let Some(letter) = letters.next() {
        let Some(flag) = flags.iter().find(|flag| flag.short == Some(letter)) else {
            return Err(match letter {
                'h' => ParseError::Help,
                _ => ParseError::Bad(format!("unknown shorthand flag: '{letter}' in {argument}")),
            });
        };
        let tail = letters.as_str();
        if let Some(value) = tail.strip_prefix('=') {
            return parsed.put(flag, value);
        }
        if flag.kind.needs_no_value() {
            parsed.put(flag, "true")?;
            continue;
        }
        let next = if tail.is_empty() { rest.next() } else { Some(tail.to_owned()) };
        let missing = || ParseError::Bad(format!("flag needs an argument: '{letter}' in {argument}"));
        return parsed.put(flag, &next.ok_or_else(missing)?);
    }
    Ok(())
}

/// Returns the list of flags in pflag's layout.
pub fn usage(flags: &[Flag]) -> String {
    let mut rows: Vec<(&str, String, String)> = Vec::new();
    for flag in flags.iter().filter(|flag| !flag.help.is_empty()) {
        let short = flag.short.map_or("      ".to_owned(), |short| format!("  -{short}, "));
        let quoted = |text: &str| if text.is_empty() { String::new() } else { format!("{text:?}") };
        let (value, default) = match flag.kind {
            Kind::Bool | Kind::IgnoredBool => ("", String::new()),
            Kind::On => ("", "true".to_owned()),
            Kind::Int(default) => (" int", default.to_string()),
            Kind::Float(default) => (" float32", default.to_owned()),
            Kind::Duration(default) => (" duration", default.to_owned()),
            Kind::Text(default) => (" string", quoted(default)),
            Kind::Word(words) => (" string", quoted(words[0])),
            Kind::Texts => (" strings", String::new()),
            Kind::TextArray => (" stringArray", String::new()),
            Kind::Number => (" Level", String::new()),
            Kind::Ignored(value) => (value, String::new()),
        };
        let default = if default.is_empty() { default } else { format!(" (default {default})") };
        rows.push((flag.name, format!("{short}--{}{value}", flag.name), format!("{}{default}", flag.help)));
    }
    rows.sort_by_key(|row| row.0);
    let width = rows.iter().map(|row| row.1.len()).max().unwrap_or_default() + 4;
    rows.iter().map(|(_, left, right)| format!("{left:width$}{right}\n")).collect()
}

impl Kind {
    fn needs_no_value(self) -> bool {
        matches!(self, Self::Bool | Self::On | Self::IgnoredBool)
    }
}

/// The words of Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Reads a number as Go's `strconv.ParseInt(text, 0, 64)` does; the error is the end of Go's text.
fn parse_int(text: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err("invalid syntax");
    }
    let number = i128::from_str_radix(digits, base).map_err(|_| "value out of range")?;
    i64::try_from(if negative { -number } else { number }).map_err(|_| "value out of range")
}

/// Go's text for what `time.ParseDuration` refuses.
fn duration_problem(text: &str) -> String {
    let unsigned = text.trim_start_matches(['+', '-']);
    let unit: String = unsigned
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
        .chars()
        .take_while(|c| c.is_alphabetic())
        .collect();
    let has_number = unsigned.starts_with(|c: char| c.is_ascii_digit());
    if has_number && unit.is_empty() && unsigned.chars().all(|c| c.is_ascii_digit() || c == '.') {
        format!("time: missing unit in duration {text:?}")
    } else if has_number && !["ns", "us", "µs", "μs", "ms", "s", "m", "h", ""].contains(&unit.as_str()) {
        format!("time: unknown unit {unit:?} in duration {text:?}")
    } else {
        format!("time: invalid duration {text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FLAGS: &[Flag] = &[
        Flag { name: "raw", short: None, kind: Kind::Bool, help: "h" },
        Flag { name: "format", short: Some('o'), kind: Kind::Text("json"), help: "h" },
        Flag { name: "scope", short: None, kind: Kind::Word(&["strict", "wide"]), help: "h" },
        Flag { name: "keys", short: None, kind: Kind::Texts, help: "h" },
        Flag { name: "v", short: Some('v'), kind: Kind::Number, help: "h" },
        Flag { name: "n", short: Some('n'), kind: Kind::Text(""), help: "" },
        Flag { name: "limit", short: None, kind: Kind::Int(2), help: "" },
        Flag { name: "ttl", short: None, kind: Kind::Duration("1h0m0s"), help: "" },
        Flag { name: "qps", short: None, kind: Kind::Float("5"), help: "" },
        Flag { name: "status", short: None, kind: Kind::On, help: "" },
    ];

    fn parsed(line: &str) -> Result<Parsed, String> {
        let arguments: Vec<OsString> =
            line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        parse(FLAGS, &arguments).map_err(|error| match error {
            ParseError::Bad(text) => text,
            ParseError::Help => "help".to_owned(),
        })
    }

    #[test]
    fn reads_every_spelling() {
        for line in [
            "-oyaml",
            "-o=yaml",
            "-o yaml",
            "--format=yaml",
            "--format yaml",
            "-o x -o yaml",
            "a --format yaml b",
        ] {
            assert_eq!(parsed(line).unwrap().text(FLAGS, "format"), "yaml", "{line}");
        }
        assert_eq!(parsed("--format= -- -o yaml").unwrap().text(FLAGS, "format"), "");
        assert_eq!(parsed("").unwrap().text(FLAGS, "format"), "json");
        assert_eq!(parsed("").unwrap().text(FLAGS, "scope"), "strict");
        assert_eq!(parsed("--keys a,b --keys c").unwrap().list("keys"), ["a", "b", "c"]);
        assert!(parsed("--raw").unwrap().is_set("raw"));
        assert!(!parsed("--raw --raw=false").unwrap().is_set("raw"));
        assert!(parsed("").unwrap().is_on("status") && !parsed("--status=0").unwrap().is_on("status"));
        assert_eq!(parsed("--limit 0x10").unwrap().int("limit"), Some(16));
        assert_eq!(parsed("--limit=-010").unwrap().int("limit"), Some(-8));
        assert_eq!(parsed("--qps=-1").unwrap().float("qps"), Some(-1.0));
        assert_eq!(parsed("--ttl 90s").unwrap().duration("ttl"), Some(Duration::from_secs(90)));
        assert_eq!(parsed("").unwrap().duration("ttl"), None);
        assert!(parsed("--raw false").unwrap().is_set("raw"), "a boolean takes no separate value");
    }

    /// Printed by kubeseal and controller 0.40.0.
    #[test]
    fn errors_are_those_of_pflag() {
        for (line, text) in [
            ("--nope", "unknown flag: --nope"),
            ("--nope=1", "unknown flag: --nope"),
            ("--format", "flag needs an argument: --format"),
            ("-xy", "unknown shorthand flag: 'x' in -xy"),
            ("-n", "flag needs an argument: 'n' in -n"),
            ("-=x", "unknown shorthand flag: '=' in -=x"),
            ("---x", "bad flag syntax: ---x"),
            ("-h", "help"),
            (
                "--raw=maybe",
                "invalid argument \"maybe\" for \"--raw\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            (
                "-v x",
                "invalid argument \"x\" for \"-v, --v\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "--limit=x",
                "invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "--limit=99999999999999999999",
                "invalid argument \"99999999999999999999\" for \"--limit\" flag: strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            ),
            (
                "--ttl=1d",
                "invalid argument \"1d\" for \"--ttl\" flag: time: unknown unit \"d\" in duration \"1d\"",
            ),
            ("--ttl=1", "invalid argument \"1\" for \"--ttl\" flag: time: missing unit in duration \"1\""),
            ("--ttl=x", "invalid argument \"x\" for \"--ttl\" flag: time: invalid duration \"x\""),
            (
                "--qps=x",
                "invalid argument \"x\" for \"--qps\" flag: strconv.ParseFloat: parsing \"x\": invalid syntax",
            ),
            ("--scope foo", "invalid argument \"foo\" for \"--scope\" flag: must be one of: strict, wide"),
        ] {
            assert_eq!(parsed(line).unwrap_err(), text, "{line}");
        }
    }

    #[test]
    fn usage_is_sorted_and_aligned() {
        let text = usage(FLAGS);
        assert!(text.starts_with("  -o, --format string    h (default \"json\")\n"), "{text}");
        assert!(!text.contains("--n "), "hidden");
    }
}
