//! Reading JSON into `interface {}`.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;

use crate::budget::MAX_VALUE_DEPTH;
use crate::context::Context;
use crate::error::FunctionError;
use crate::functions::convert::push_rune;
use crate::go::runes::decode as decode_rune;
use crate::value::{Text, Value};

/// What became of a text. `fromJson` takes the value even where there is a problem.
pub(super) struct Parsed {
    /// Nil where the text is no JSON at all.
    pub(super) value: Value,
    /// Without a value.
    pub(super) problem: Option<&'static str>,
}

/// Why parsing stopped: the text, or the budget.
enum Stop {
    Syntax,
    Other(FunctionError),
}

impl From<FunctionError> for Stop {
    fn from(error: FunctionError) -> Self {
        Self::Other(error)
    }
}

/// Decodes a text.
///
/// # Errors
/// The budget.
pub(super) fn decode(context: &mut Context<'_>, text: &[u8]) -> Result<Parsed, FunctionError> {
    let mut reader = Reader { context, text, at: 0, out_of_range: false };
    let result = reader.value(0).and_then(|value| {
        reader.space();
        if reader.at == text.len() { Ok(value) } else { Err(Stop::Syntax) }
    });
    match result {
        Ok(value) => {
            let problem =
                reader.out_of_range.then_some("json: cannot unmarshal number into Go value of type float64");
            Ok(Parsed { value, problem })
        }
        Err(Stop::Syntax) => Ok(Parsed { value: Value::Nil, problem: Some("the text is not JSON") }),
        Err(Stop::Other(error)) => Err(error),
    }
}

struct Reader<'c, 'a, 't> {
    context: &'c mut Context<'a>,
    text: &'t [u8],
    at: usize,
    out_of_range: bool,
}

impl Reader<'_, '_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if !self.text[self.at..].starts_with(bytes) {
            return Err(Stop::Syntax);
        }
        self.at += bytes.len();
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        // Go allows a depth of 10,000; here nothing could be done with the value.
        if depth > MAX_VALUE_DEPTH {
            return Err(self.context.check_depth(depth).err().map_or(Stop::Syntax, Stop::Other));
        }
        self.context.charge_steps(1)?;
        self.space();
        match self.peek().ok_or(Stop::Syntax)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Ok(Value::String(self.string()?)),
            b't' => self.expect(b"true").map(|()| Value::Bool(true)),
            b'f' => self.expect(b"false").map(|()| Value::Bool(false)),
            b'n' => self.expect(b"null").map(|()| Value::Nil),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Stop> {
        self.expect(b"{")?;
        let mut entries = BTreeMap::new();
        self.space();
        if !self.take(b'}') {
            loop {
                self.space();
                let key = self.string()?;
                self.space();
                self.expect(b":")?;
                let value = self.value(depth + 1)?;
                entries.insert(key, value);
                self.space();
                if self.take(b'}') {
                    break;
                }
                self.expect(b",")?;
            }
        }
        Ok(self.context.map(entries)?)
    }

    fn array(&mut self, depth: usize) -> Result<Value, Stop> {
        self.expect(b"[")?;
        let mut items = Vec::new();
        self.space();
        if !self.take(b']') {
            loop {
                self.context.charge_bytes(size_of::<Value>())?;
                items.push(self.value(depth + 1)?);
                self.space();
                if self.take(b']') {
                    break;
                }
                self.expect(b",")?;
            }
        }
        Ok(self.context.list(items)?)
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Stop::Syntax) }
    }

    fn number(&mut self) -> Result<Value, Stop> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| Stop::Syntax)?;
        let value: f64 = text.parse().map_err(|_| Stop::Syntax)?;
        if value.is_finite() {
            return Ok(Value::Float(value));
        }
        self.out_of_range = true;
        Ok(Value::Nil)
    }

    fn string(&mut self) -> Result<Text, Stop> {
        self.expect(b"\"")?;
        let mut out = Plaintext::default();
        loop {
            match self.peek().ok_or(Stop::Syntax)? {
                b'"' => break,
                b'\\' => self.escape(&mut out)?,
                0..0x20 => return Err(Stop::Syntax),
                _ => {
                    let (rune, width) = decode_rune(&self.text[self.at..]);
                    push_rune(&mut out, rune);
                    self.at += width;
                }
            }
        }
        self.at += 1;
        self.context.charge_bytes(out.len() + 48)?;
        Ok(Text::from(out))
    }

    fn escape(&mut self, out: &mut Plaintext) -> Result<(), Stop> {
        self.at += 1;
        let byte = self.peek().ok_or(Stop::Syntax)?;
        self.at += 1;
        let rune = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(out),
            _ => return Err(Stop::Syntax),
        };
        push_rune(out, Some(rune));
        Ok(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
    }

    fn unicode_escape(&mut self, out: &mut Plaintext) -> Result<(), Stop> {
        let first = self.hex4(self.at).ok_or(Stop::Syntax)?;
        self.at += 4;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            // A broken second half is an escape of its own.
            if let Some(second @ 0xdc00..0xe000) = self.hex4(self.at + 2) {
                self.at += 6;
                push_rune(out, char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
                return Ok(());
            }
        }
        push_rune(out, char::from_u32(first));
        Ok(())
    }
}
