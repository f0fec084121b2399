//! Semantic versions and their ranges: Masterminds/semver 3.4.0.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Function;
use super::convert::panics;
use crate::value::{Struct, StructKind, Text, Type, UintKind, Value};

pub(crate) const TABLE: &[Function] = &[
    Function::new("semver", &[Type::String], |context, args| {
        let text = args[0].as_text()?;
        context.charge_bytes(text.len() * 16 + 2048)?;
        match text.as_str().and_then(Version::parse) {
            Some(version) => Ok(version.value(text, StructKind::Pointer, true)),
            None => panics(INVALID),
        }
    }),
    Function::new("semverCompare", &[Type::String, Type::String], |context, args| {
        let (range, version) = (args[0].as_text()?, args[1].as_text()?);
        context.charge_bytes((range.len() + version.len()) * 16)?;
        let Some(range) = range.as_str().and_then(Range::parse) else { return panics("improper constraint") };
        let Some(version) = version.as_str().and_then(Version::parse) else { return panics(INVALID) };
        Ok(range.contains(&version).into())
    }),
];

const INVALID: &str = "invalid semantic version";

/// A part of a version behind `-` or `+`.
const IDENTIFIERS: &str = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*";

#[derive(Clone)]
struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(&format!(
                r"^v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({IDENTIFIERS}))?(?:\+({IDENTIFIERS}))?$"
            ))
            .ok()
        });
        let parts = FORM.as_ref()?.captures(text)?;
        let number = |index: usize| parts.get(index).map_or(Some(0), |part| part.as_str().parse().ok());
        let word = |index: usize| parts.get(index).map_or("", |part| part.as_str()).to_owned();
        let version =
            Self { numbers: [number(1)?, number(2)?, number(3)?], prerelease: word(4), metadata: word(5) };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = |part: &str| part.len() > 1 && part.starts_with('0') && digits(part);
        (!version.prerelease.split('.').any(leading_zero)).then_some(version)
    }

    /// Compares without metadata.
    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_prereleases(&self.prerelease, &other.prerelease),
            }
        })
    }

    fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut text = format!("{major}.{minor}.{patch}");
        if !self.prerelease.is_empty() {
            text += &format!("-{}", self.prerelease);
        }
        if !self.metadata.is_empty() {
            text += &format!("+{}", self.metadata);
        }
        text
    }

    /// Makes the value, with the results of the methods that need no arguments as fields.
    fn value(&self, original: &Text, kind: StructKind, steps: bool) -> Value {
        let number = |index: usize| Value::Uint(UintKind::Uint64, self.numbers[index]);
        let text = Text::from(self.text());
        let mut fields = vec![
            ("Major", number(0)),
            ("Minor", number(1)),
            ("Patch", number(2)),
            ("Prerelease", Value::from(self.prerelease.as_str())),
            ("Metadata", Value::from(self.metadata.as_str())),
            ("Original", Value::String(original.clone())),
            ("String", Value::String(text.clone())),
        ];
        if steps {
            let v = if original.as_bytes().starts_with(b"v") { "v" } else { "" };
            for (name, index) in [("IncMajor", 0), ("IncMinor", 1), ("IncPatch", 2)] {
                let next = self.incremented(index);
                let original = Text::from(format!("{v}{}", next.text()));
                fields.push((name, next.value(&original, StructKind::Struct, false)));
            }
        }
        let type_name = if kind == StructKind::Pointer { "*semver.Version" } else { "semver.Version" };
        Value::Struct(Rc::new(Struct { type_name, kind, fields, display: Some(text) }))
    }

    fn incremented(&self, index: usize) -> Self {
        let mut numbers = self.numbers;
        // A prerelease of a patch becomes that patch.
        if index < 2 || self.prerelease.is_empty() {
            numbers[index] = numbers[index].wrapping_add(1);
        }
        numbers[index + 1..].fill(0);
        Self { numbers, prerelease: String::new(), metadata: String::new() }
    }
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match compare_identifiers(a.unwrap_or(""), b.unwrap_or("")) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

fn compare_identifiers(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

/// Alternatives, each of comparisons that must all hold.
struct Range(Vec<Vec<Comparison>>);

struct Comparison {
    operator: String,
    version: Version,
    /// Which part is missing or a wildcard: 0 for the major, 3 for none.
    given: usize,
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    // The bar is part of upstream's class of digits and wildcards.
    let part = r"[0-9|xX*]+";
    format!(r"v?({part})(\.{part})?(\.{part})?(-{IDENTIFIERS})?(?:\+{IDENTIFIERS})?")
});
const OPERATOR: &str = r"(?:=||!=|>|<|>=|=>|<=|=<|~|~>|\^)";
const SPACE: &str = r"[\t\n\f\r ]";

fn compiled(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

static HYPHEN: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(&format!("{SPACE}*({}){SPACE}+-{SPACE}+({}){SPACE}*", *VERSION, *VERSION)));
static SEGMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let one = format!("{OPERATOR}{SPACE}*(?:{}){SPACE}*", *VERSION);
    compiled(&format!("^(?:{SPACE}*{one})(?:(?:{SPACE}+|,{SPACE}*){one})*$"))
});
static FOUND: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(&format!("{OPERATOR}{SPACE}*(?:{})", *VERSION)));
static WHOLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(&format!("^{SPACE}*({OPERATOR}){SPACE}*{}{SPACE}*$", *VERSION)));

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let text = rewrite_hyphens(text)?;
        let mut alternatives = Vec::new();
        for segment in text.split("||") {
            if !SEGMENT.as_ref()?.is_match(segment) {
                return None;
            }
            let found = FOUND.as_ref()?.find_iter(segment);
            alternatives.push(found.map(|part| Comparison::parse(part.as_str())).collect::<Option<_>>()?);
        }
        Some(Self(alternatives))
    }

    fn contains(&self, version: &Version) -> bool {
        self.0.iter().any(|comparisons| {
            let prereleases = comparisons.iter().any(|one| !one.version.prerelease.is_empty());
            (version.prerelease.is_empty() || prereleases) && comparisons.iter().all(|one| one.holds(version))
        })
    }
}

/// `1.2 - 2` becomes `>= 1.2, <= 2`.
fn rewrite_hyphens(text: &str) -> Option<String> {
    let mut out = text.to_owned();
    for found in HYPHEN.as_ref()?.captures_iter(text) {
        let upper = found.len() / 2;
        out = out.replacen(&found[0], &format!(">= {}, <= {} ", &found[1], &found[upper + 1]), 1);
    }
    Some(out)
}

impl Comparison {
    fn parse(text: &str) -> Option<Self> {
        let parts = WHOLE.as_ref()?.captures(text)?;
        let part = |index: usize| parts.get(index).map_or("", |part| part.as_str());
        let wild = |parts: &Captures<'_>, index: usize| {
            let part = parts.get(index).map_or("", |part| part.as_str()).trim_start_matches('.');
            matches!(part, "" | "x" | "X" | "*")
        };
        let given = (2..5).position(|index| wild(&parts, index)).unwrap_or(3);
        let version = match given {
            0 => format!("0.0.0{}", part(5)),
            1 => format!("{}.0.0{}", part(2), part(5)),
            2 => format!("{}{}.0{}", part(2), part(3), part(5)),
            _ => {
                let text = text[part(1).len()..].trim_start_matches(|c: char| c.is_ascii_whitespace());
                return Some(Self {
                    operator: part(1).to_owned(),
                    version: Version::parse(text.trim_end_matches(|c: char| c.is_ascii_whitespace()))?,
                    given,
                });
            }
        };
        Some(Self { operator: part(1).to_owned(), version: Version::parse(&version)?, given })
    }

    fn holds(&self, version: &Version) -> bool {
        let order = version.compare(&self.version);
        match self.operator.as_str() {
            "" | "=" if self.given == 3 => order.is_eq(),
            "" | "=" | "~" | "~>" => self.holds_tilde(version),
            "!=" => !self.holds_equal(version),
            ">" => self.holds_greater(version),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" => self.holds_at_most(version),
            _ => self.holds_caret(version),
        }
    }

    fn holds_equal(&self, version: &Version) -> bool {
        match self.given {
            3 => version.compare(&self.version).is_eq(),
            2 => {
                version.numbers[..2] == self.version.numbers[..2]
                    && compare_prereleases(&version.prerelease, &self.version.prerelease).is_eq()
            }
            1 => version.numbers[0] == self.version.numbers[0],
            // A wildcard alone is compared as 0.0.0.
            _ => version.compare(&self.version).is_eq(),
        }
    }

    fn holds_greater(&self, version: &Version) -> bool {
        let (own, other) = (&self.version.numbers, &version.numbers);
        match self.given {
            3 => version.compare(&self.version).is_gt(),
            _ if own[0] != other[0] => other[0] > own[0],
            1 => false,
            2 => other[1] > own[1],
            _ => version.compare(&self.version).is_gt(),
        }
    }

    fn holds_at_most(&self, version: &Version) -> bool {
        let (own, other) = (&self.version.numbers, &version.numbers);
        if self.given == 3 {
            return version.compare(&self.version).is_le();
        }
        other[0] <= own[0] && !(other[0] == own[0] && other[1] > own[1] && self.given != 1)
    }

    fn holds_tilde(&self, version: &Version) -> bool {
        let (own, other) = (&self.version.numbers, &version.numbers);
        if version.compare(&self.version).is_lt() {
            return false;
        }
        if *own == [0, 0, 0] && !matches!(self.given, 1 | 2) {
            return true;
        }
        own[0] == other[0] && (own[1] == other[1] || self.given == 1)
    }

    fn holds_caret(&self, version: &Version) -> bool {
        let (own, other) = (&self.version.numbers, &version.numbers);
        if version.compare(&self.version).is_lt() {
            return false;
        }
        if own[0] > 0 || self.given == 1 {
            return own[0] == other[0];
        }
        if other[0] > 0 {
            return false;
        }
        if own[1] > 0 || self.given == 2 {
            return own[1] == other[1];
        }
        other[1] == 0 && own[2] == other[2]
    }
}
