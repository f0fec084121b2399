//! Go's regular expressions (`regexp/syntax`, RE2) by the `regex` crate: both are linear in the text.
//!
//! The dialects differ in small things, which [`GoRegex`] translates or refuses: in Go `\d \w \s \b` are ASCII,
//! `\Q…\E` quotes, `{` that starts no count is a literal, `\1` is no octal number, and `[` in a class is a literal.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::{Regex, RegexBuilder};

/// Longest expression that is compiled, in bytes.
pub const MAX_PATTERN_BYTES: usize = 64 << 10;
/// Largest compiled expression, in bytes.
const MAX_PROGRAM_BYTES: usize = 8 << 20;
/// Largest count in `{n,m}`, as in Go.
const MAX_REPEAT: u32 = 1000;

/// Why an expression does not compile. Quotes the expression, which stands in a configuration and is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {problem}: `{pattern}`")]
pub struct RegexError {
    /// The expression.
    pub pattern: String,
    /// What is wrong.
    pub problem: &'static str,
}

/// A compiled expression of Go's dialect.
#[derive(Debug, Clone)]
pub struct GoRegex(Regex);

impl GoRegex {
    /// Compiles an expression once.
    ///
    /// # Errors
    /// Returns what Go would not accept, or what is too large.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let fail = |problem| RegexError { pattern: pattern.to_owned(), problem };
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(RegexError {
                pattern: pattern.chars().take(64).collect(),
                problem: "expression too large",
            });
        }
        let translated = Translator::new(pattern).run().map_err(fail)?;
        RegexBuilder::new(&translated)
            .size_limit(MAX_PROGRAM_BYTES)
            .build()
            .map(Self)
            .map_err(|_| fail("invalid expression"))
    }

    /// Returns whether the expression matches anywhere in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// Rewrites one expression.
struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Whether the last piece was a repetition: Go refuses a second one.
    repeated: bool,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self {
            rest: pattern.chars().peekable(),
            out: String::with_capacity(pattern.len() + 16),
            repeated: false,
        }
    }

    fn run(mut self) -> Result<String, &'static str> {
        while let Some(c) = self.rest.next() {
            let repeated = std::mem::take(&mut self.repeated);
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => self.repeat(&c.to_string(), repeated)?,
                '{' => match self.count()? {
                    Some(count) => self.repeat(&count, repeated)?,
                    None => self.out.push_str("\\{"),
                },
                '}' => self.out.push_str("\\}"),
                other => self.out.push(other),
            }
        }
        Ok(self.out)
    }

    /// Writes `*`, `+`, `?` or a count, with the `?` that makes it lazy.
    fn repeat(&mut self, operator: &str, repeated: bool) -> Result<(), &'static str> {
        if repeated {
            return Err("invalid nested repetition operator");
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// Reads `n}`, `n,}` or `n,m}` after a brace; anything else is text.
    fn count(&mut self) -> Result<Option<String>, &'static str> {
        let ahead: String = self.rest.clone().take_while(|c| *c != '}').take(12).collect();
        let (low, high) = match ahead.split_once(',') {
            Some((low, high)) => (low, (!high.is_empty()).then_some(high)),
            None => (ahead.as_str(), Some(ahead.as_str())),
        };
        let number =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && text.len() < 6;
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        if !closed || !number(low) || !high.is_none_or(number) {
            return Ok(None);
        }
        let low: u32 = low.parse().unwrap_or(u32::MAX);
        let high: Option<u32> = high.map(|high| high.parse().unwrap_or(u32::MAX));
        if low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || high < low) {
            return Err("invalid repeat count");
        }
        for _ in 0..=ahead.chars().count() {
            self.rest.next();
        }
        Ok(Some(format!("{{{ahead}}}")))
    }

    /// Checks the head of a group: the crate knows flags that Go does not.
    fn group(&mut self) -> Result<(), &'static str> {
        self.out.push('(');
        if self.rest.peek() != Some(&'?') {
            return Ok(());
        }
        let head: String =
            self.rest.clone().skip(1).take_while(|c| !matches!(c, ')' | ':' | '>' | '=' | '!')).collect();
        if head.starts_with("P<") || (head.starts_with('<') && !head.starts_with("<=")) {
            return Ok(());
        }
        if head.chars().any(|c| !matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
            return Err("invalid or unsupported Perl syntax");
        }
        Ok(())
    }

    /// Writes what follows a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), &'static str> {
        let c = self.rest.next().ok_or("trailing backslash at end of expression")?;
        let ascii =
            |class: &'static str, negated: bool| format!("[{}{class}]", if negated { "^" } else { "" });
        match c {
            'd' | 'D' => self.out.push_str(&ascii("0-9", c == 'D')),
            's' | 'S' => self.out.push_str(&ascii("\\t\\n\\f\\r ", c == 'S')),
            'w' | 'W' => self.out.push_str(&ascii("0-9A-Za-z_", c == 'W')),
            'b' if !in_class => self.out.push_str("(?-u:\\b)"),
            'B' if !in_class => self.out.push_str("(?-u:\\B)"),
            'A' if !in_class => self.out.push_str("\\A"),
            'z' if !in_class => self.out.push_str("\\z"),
            'Q' if !in_class => self.quoted(),
            'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'p' | 'P' => {
                self.out.push('\\');
                self.out.push(c);
                if matches!(c, 'p' | 'P') && self.rest.next_if_eq(&'{').is_some() {
                    self.out.push('{');
                    for inner in self.rest.by_ref().take_while(|c| *c != '}') {
                        self.out.push(inner);
                    }
                    self.out.push('}');
                }
            }
            'x' => self.hexadecimal()?,
            '0'..='7' => self.octal(c)?,
            c if c.is_ascii_punctuation() => literal(&mut self.out, c),
            _ => return Err("invalid escape sequence"),
        }
        Ok(())
    }

    /// Writes `\Q…\E` (or to the end) letter by letter.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            literal(&mut self.out, c);
        }
    }

    fn hexadecimal(&mut self) -> Result<(), &'static str> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some(c) if c.is_ascii_hexdigit() && digits.len() < 8 => digits.push(c),
                    _ => return Err("invalid escape sequence"),
                }
            }
        } else {
            for _ in 0..2 {
                digits.push(self.rest.next_if(char::is_ascii_hexdigit).ok_or("invalid escape sequence")?);
            }
        }
        let code = u32::from_str_radix(&digits, 16).map_err(|_| "invalid escape sequence")?;
        self.code(code)
    }

    /// Reads an octal number of up to three digits; one digit other than 0 alone would be a back-reference.
    fn octal(&mut self, first: char) -> Result<(), &'static str> {
        let mut code = first.to_digit(8).unwrap_or(0);
        if first != '0' && !self.rest.peek().is_some_and(|c| c.is_digit(8)) {
            return Err("invalid escape sequence");
        }
        for _ in 0..2 {
            let Some(digit) = self.rest.next_if(|c| c.is_digit(8)) else { break };
            code = code * 8 + digit.to_digit(8).unwrap_or(0);
        }
        self.code(code)
    }

    fn code(&mut self, code: u32) -> Result<(), &'static str> {
        char::from_u32(code).ok_or("invalid escape sequence")?;
        let _ = write!(self.out, "\\x{{{code:X}}}");
        Ok(())
    }

    /// Writes a bracket expression: `[`, `&` and `~` are literals inside.
    fn class(&mut self) -> Result<(), &'static str> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or("missing closing ]")?;
            match c {
                ']' if !first => break self.out.push(']'),
                '\\' => self.escape(true)?,
                '[' if self.rest.peek() == Some(&':') => self.posix(),
                '[' | ']' | '&' | '~' | '^' => literal(&mut self.out, c),
                '-' if first || self.rest.peek() == Some(&']') => self.out.push_str("\\-"),
                other => self.out.push(other),
            }
            first = false;
        }
        Ok(())
    }

    /// Writes `[:name:]`, or a literal bracket where the name is not closed.
    fn posix(&mut self) {
        let name: String =
            self.rest.clone().skip(1).take_while(|c| c.is_ascii_alphabetic() || *c == '^').collect();
        let tail: String = self.rest.clone().skip(1 + name.len()).take(2).collect();
        if tail != ":]" {
            return self.out.push_str("\\[");
        }
        let _ = write!(self.out, "[:{name}:]");
        for _ in 0..name.len() + 3 {
            self.rest.next();
        }
    }
}

/// Writes a character that means itself.
fn literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pattern, text, and what Go 1.26.8 answers: `None` for an expression that it refuses.
    #[test]
    fn go_answers() {
        let table: &[(&str, &str, Option<bool>)] = &[
            ("^(data|stringData)$", "data", Some(true)),
            ("pass", "mypassword", Some(true)),
            (r"\d", "٣", Some(false)),
            (r"\w", "é", Some(false)),
            (r"[\w]", "é", Some(false)),
            (r"[^\W]", "é", Some(false)),
            (r"\W", "é", Some(true)),
            (r"é\b", "é", Some(false)),
            (r"\Bx", "ax", Some(true)),
            (r"\Qa.b\E+", "a.bb", Some(true)),
            (r"\Qa.b", "a.b", Some(true)),
            (r"\Qa.b\E", "axb", Some(false)),
            ("a{,3}", "a{,3}", Some(true)),
            ("a{2}", "aa", Some(true)),
            ("a{2}", "a{2}", Some(false)),
            ("a{", "a{", Some(true)),
            ("a{1001}", "", None),
            ("a{2,1}", "", None),
            ("a**", "", None),
            ("a*?", "b", Some(true)),
            ("a*??", "", None),
            (r"\1", "", None),
            (r"\101", "A", Some(true)),
            (r"\x41\x{42}", "AB", Some(true)),
            (r"\<", "<", Some(true)),
            (r"\_", "_", Some(true)),
            (r"\h", "", None),
            (r"\u{41}", "", None),
            (r"\Z", "", None),
            (r"\b{start}", "{start}", Some(false)),
            ("[[]", "[", Some(true)),
            ("[]a]", "]", Some(true)),
            ("[a&&b]", "&", Some(true)),
            ("[a~~b]", "~", Some(true)),
            ("[[:alpha:]]", "x", Some(true)),
            ("[[:alpha]", ":", Some(true)),
            ("(?i)PASS", "pass", Some(true)),
            ("(?x)a b", "", None),
            ("(?=a)", "", None),
            ("(?<=a)", "", None),
            ("(?P<n>a)", "a", Some(true)),
            ("(?<n>a)", "a", Some(true)),
            ("(?s:.)", "\n", Some(true)),
            (".", "\n", Some(false)),
            (r"\p{Greek}", "α", Some(true)),
            (r"\pN", "٣", Some(true)),
            ("a}", "a}", Some(true)),
            ("[", "", None),
            ("(", "", None),
            (")", "", None),
            ("a$", "a\n", Some(false)),
            ("*", "", None),
            ("[a-", "", None),
            ("[-a]", "-", Some(true)),
            ("[a-]", "-", Some(true)),
            ("[z-a]", "", None),
        ];
        for (pattern, text, expected) in table {
            let answer = GoRegex::new(pattern).ok().map(|regex| regex.is_match(text.as_bytes()));
            assert_eq!(answer, *expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn limits_hold() {
        assert!(GoRegex::new(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
        assert!(GoRegex::new("((a{1000}){1000}){1000}").is_err());
    }
}
