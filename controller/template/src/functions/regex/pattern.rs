//! Go's regular expressions, rewritten for the `regex` crate.
//!
//! Both are in linear time and agree on most of the syntax, but not on what `\d` or `\b` mean beyond ASCII, on repeated
//! repetition, on braces that are no repetition, and on what is special within a class. So the pattern is read by Go's
//! rules (`regexp/syntax`, with Perl flags) and written anew, with everything escaped that could be taken for more.

use regex::bytes::{Regex, RegexBuilder};

/// The largest repetition count, also of nested ones together: Go's bound.
const MAX_REPEAT: u32 = 1000;
/// Nested groups. Go allows 1000, which nobody writes.
const MAX_NESTING: usize = 100;
/// Bytes of a compiled pattern.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Bytes of the cache of a search.
const MAX_CACHE_BYTES: usize = 1 << 20;

/// A compiled pattern.
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// The name of each group but the whole match.
    pub(super) names: Vec<Option<String>>,
    /// About how many states it has.
    pub(super) weight: u64,
}

impl Pattern {
    /// Compiles a pattern; `None` where Go would not, and where it is too large.
    pub(super) fn compile(text: &str) -> Option<Self> {
        let mut reader =
            Reader { rest: text, out: String::with_capacity(text.len() * 2), names: Vec::new(), depth: 0 };
        let size = reader.alternatives()?;
        if !reader.rest.is_empty() {
            // A closing parenthesis too many.
            return None;
        }
        let regex = RegexBuilder::new(&reader.out)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_CACHE_BYTES)
            .nest_limit(4 * u32::try_from(MAX_NESTING).unwrap_or(100))
            .build()
            .ok()?;
        Some(Self { regex, names: reader.names, weight: size.states.max(1) })
    }
}

/// What is known of a part of a pattern.
#[derive(Clone, Copy)]
struct Size {
    states: u64,
    /// The largest product of nested repetition counts.
    repeats: u64,
}

impl Size {
    const ONE: Self = Self { states: 1, repeats: 1 };

    fn and(self, other: Self) -> Self {
        Self { states: self.states.saturating_add(other.states), repeats: self.repeats.max(other.repeats) }
    }
}

struct Reader<'t> {
    rest: &'t str,
    out: String,
    names: Vec<Option<String>>,
    depth: usize,
}

const PERL_CLASSES: [(char, &str); 3] = [('d', "0-9"), ('s', r"\t\n\x0C\r\x20"), ('w', "0-9A-Za-z_")];

impl Reader<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn next(&mut self) -> Option<char> {
        let rune = self.rest.chars().next()?;
        self.rest = &self.rest[rune.len_utf8()..];
        Some(rune)
    }

    /// Writes a rune that stands for itself.
    fn literal(&mut self, rune: char) {
        if rune.is_ascii() && !rune.is_ascii_alphanumeric() {
            self.out += &format!(r"\x{:02X}", u32::from(rune));
        } else {
            self.out.push(rune);
        }
    }

    /// Reads up to the end of the group.
    fn alternatives(&mut self) -> Option<Size> {
        let mut size = Size::ONE;
        // Whether a repetition may follow, and whether one just has.
        let mut last: Option<(Size, usize)> = None;
        loop {
            if self.rest.is_empty() || self.rest.starts_with(')') {
                break;
            }
            if self.take("|") {
                self.out.push('|');
                last = None;
                continue;
            }
            let start = self.out.len();
            if let Some(repetition) = self.repetition() {
                let (min, max) = repetition?;
                let (part, from) = last.take()?;
                let whole = repeated(part, min, max)?;
                // What is repeated stands alone, whatever it became in the rewriting.
                let operator = self.out.split_off(start);
                self.out.insert_str(from, "(?:");
                self.out.push(')');
                self.out += &operator;
                if self.take("?") {
                    self.out.push('?');
                }
                if self.repetition_follows() {
                    return None;
                }
                size = size.and(whole);
                continue;
            }
            last = self.quoted_or_atom(start)?;
            if let Some((part, _)) = last {
                size = size.and(part);
            }
        }
        Some(size)
    }

    /// Reads `\Q…\E`, a flag group, or one atom. Returns what a repetition would repeat.
    fn quoted_or_atom(&mut self, start: usize) -> Option<Option<(Size, usize)>> {
        if !self.take(r"\Q") {
            return Some(self.atom()?.map(|size| (size, start)));
        }
        let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        let mut last = None;
        let mut states = 0;
        for rune in quoted.chars() {
            last = Some((Size::ONE, self.out.len()));
            self.literal(rune);
            states += 1;
        }
        Some(last.map(|(_, at)| (Size { states, repeats: 1 }, at)))
    }

    fn repetition_follows(&self) -> bool {
        self.rest.starts_with(['*', '+', '?']) || counts(self.rest).is_some()
    }

    /// Reads `*`, `+`, `?` or `{…}`: the inner `None` where the counts are not allowed.
    fn repetition(&mut self) -> Option<Option<(u32, Option<u32>)>> {
        for (operator, min, max) in [("*", 0, None), ("+", 1, None), ("?", 0, Some(1))] {
            if self.take(operator) {
                self.out += operator;
                return Some(Some((min, max)));
            }
        }
        let (min, max, rest) = counts(self.rest)?;
        self.rest = rest;
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Some(None);
        }
        self.out += &match max {
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        };
        Some(Some((min, max)))
    }

    /// Reads one atom; `Some(None)` where it is a flag group, which nothing can repeat.
    fn atom(&mut self) -> Option<Option<Size>> {
        match self.next()? {
            '(' => return self.group(),
            '[' => self.class()?,
            '\\' => self.escape()?,
            '.' => self.out.push('.'),
            '^' => self.out.push('^'),
            '$' => self.out.push('$'),
            rune => self.literal(rune),
        }
        Some(Some(Size::ONE))
    }

    fn group(&mut self) -> Option<Option<Size>> {
        if self.take("?P<") || self.take("?<") {
            let (name, rest) = self.rest.split_once('>')?;
            let is_word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
            if name.is_empty() || !name.bytes().all(is_word) {
                return None;
            }
            self.rest = rest;
            if self.names.iter().flatten().any(|own| own == name) {
                return None;
            }
            self.names.push(Some(name.to_owned()));
            self.out.push('(');
        } else if self.take("?") {
            let end = self.rest.find([':', ')'])?;
            let flags = &self.rest[..end];
            check_flags(flags)?;
            let closes = self.rest[end..].starts_with(')');
            if closes && flags.is_empty() {
                return None;
            }
            self.rest = &self.rest[end + 1..];
            self.out += &format!("(?{flags}{}", if closes { ')' } else { ':' });
            if closes {
                return Some(None);
            }
        } else {
            self.names.push(None);
            self.out.push('(');
        }
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return None;
        }
        let size = self.alternatives()?;
        self.depth -= 1;
        if !self.take(")") {
            return None;
        }
        self.out.push(')');
        Some(Some(size))
    }

    /// Reads what follows a backslash outside of a class.
    fn escape(&mut self) -> Option<()> {
        match self.rest.chars().next()? {
            'A' => self.out += r"\A",
            'z' => self.out += r"\z",
            'b' => self.out += r"(?-u:\b)",
            'B' => self.out += r"(?-u:\B)",
            rune @ ('p' | 'P') => {
                let class = self.unicode_class(rune)?;
                self.out += &class;
                return Some(());
            }
            rune => {
                if let Some((_, class)) =
                    PERL_CLASSES.iter().find(|(own, _)| *own == rune.to_ascii_lowercase())
                {
                    self.out += &format!("[{}{class}]", if rune.is_ascii_uppercase() { "^" } else { "" });
                } else {
                    let rune = self.escaped_rune()?;
                    self.literal(rune);
                    return Some(());
                }
            }
        }
        self.next().map(drop)
    }

    /// Reads `pL`, `p{Greek}` or `p{^Greek}`.
    fn unicode_class(&mut self, sign: char) -> Option<String> {
        self.next()?;
        let mut negative = sign == 'P';
        let first = self.next()?;
        let name = if first == '{' {
            let (name, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            match name.strip_prefix('^') {
                Some(name) => {
                    negative = !negative;
                    name.to_owned()
                }
                None => name.to_owned(),
            }
        } else {
            first.to_string()
        };
        if name.is_empty() || !name.chars().all(|rune| rune == '_' || rune.is_ascii_alphanumeric()) {
            return None;
        }
        Some(format!(r"\{}{{{name}}}", if negative { 'P' } else { 'p' }))
    }

    /// Reads an escape that stands for one rune, behind its backslash.
    fn escaped_rune(&mut self) -> Option<char> {
        let octal = |rest: &str| rest.chars().next().and_then(|rune| rune.to_digit(8));
        match self.next()? {
            first @ '0'..='7' => {
                // One digit alone would be a reference back.
                if first != '0' && octal(self.rest).is_none() {
                    return None;
                }
                let mut value = first.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = octal(self.rest) else { break };
                    value = value * 8 + digit;
                    self.next();
                }
                char::from_u32(value)
            }
            'x' => {
                let digits = if self.take("{") {
                    let (digits, rest) = self.rest.split_once('}')?;
                    self.rest = rest;
                    digits
                } else {
                    let digits = self.rest.get(..2)?;
                    self.rest = &self.rest[2..];
                    digits
                };
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)
            }
            'a' => Some('\u{7}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            rune if rune.is_ascii() && !rune.is_ascii_alphanumeric() => Some(rune),
            _ => None,
        }
    }

    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.rest.starts_with("[:") && self.named_class()? {
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('\\') {
                let rune = rest.chars().next()?;
                if matches!(rune, 'p' | 'P') {
                    self.rest = rest;
                    let class = self.unicode_class(rune)?;
                    self.out += &class;
                    continue;
                }
                if let Some((_, class)) =
                    PERL_CLASSES.iter().find(|(own, _)| *own == rune.to_ascii_lowercase())
                {
                    self.rest = &rest[1..];
                    self.out += &format!("[{}{class}]", if rune.is_ascii_uppercase() { "^" } else { "" });
                    continue;
                }
            }
            let low = self.class_rune()?;
            self.literal(low);
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                let high = self.class_rune()?;
                if high < low {
                    return None;
                }
                self.out.push('-');
                self.literal(high);
            }
        }
        self.next();
        self.out.push(']');
        Some(())
    }

    fn class_rune(&mut self) -> Option<char> {
        if self.take("\\") { self.escaped_rune() } else { self.next() }
    }

    /// Reads `[:alpha:]`; `Some(false)` where the brackets do not end.
    fn named_class(&mut self) -> Option<bool> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let Some(end) = self.rest[2..].find(":]") else { return Some(false) };
        let name = &self.rest[2..2 + end];
        if !NAMES.contains(&name.trim_start_matches('^')) {
            return None;
        }
        self.out += &format!("[:{name}:]");
        self.rest = &self.rest[end + 4..];
        Some(true)
    }
}

/// Go knows `i`, `m`, `s` and `U`, once negated.
fn check_flags(flags: &str) -> Option<()> {
    let (on, off) = flags.split_once('-').unwrap_or((flags, "i"));
    let known = |flags: &str| flags.chars().all(|flag| "imsU".contains(flag));
    (known(on) && known(off) && !off.is_empty()).then_some(())
}

/// Parses `{n}`, `{n,}` or `{n,m}`; anything else is text.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (inner, rest) = text.strip_prefix('{')?.split_once('}')?;
    let number = |digits: &str| {
        let plain = digits == "0" || !digits.starts_with('0');
        let valid = !digits.is_empty() && plain && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    match inner.split_once(',') {
        None => number(inner).map(|count| (count, Some(count), rest)),
        Some((min, "")) => number(min).map(|min| (min, None, rest)),
        Some((min, max)) => Some((number(min)?, Some(number(max)?), rest)),
    }
}

/// `None` where nested repetitions come to more than [`MAX_REPEAT`].
fn repeated(part: Size, min: u32, max: Option<u32>) -> Option<Size> {
    let count = u64::from(max.unwrap_or(min).max(1));
    let states = part.states.saturating_mul(count).saturating_add(1);
    let repeats = match max {
        Some(0) => 1,
        _ => part.repeats.saturating_mul(count),
    };
    let counted = min >= 2 || max.is_some_and(|max| max >= 2);
    if counted && repeats > u64::from(MAX_REPEAT) { None } else { Some(Size { states, repeats }) }
}
