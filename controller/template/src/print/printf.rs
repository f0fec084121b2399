//! `printf` (`fmt/print.go`: `doPrintf`).

use super::Printer;
use super::format::Flags;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::runes;
use crate::value::Value;

/// The largest width, precision and argument number that Go takes; a larger one is an error in the output.
const MAX_NUMBER: i64 = 1_000_000;

/// `fmt.Fprintf`
pub(crate) fn printf(
    context: &mut Context<'_>,
    out: &mut Buffer,
    format: &[u8],
    values: &[Value],
) -> Result<(), FunctionError> {
    let printer = Printer::new(context, out);
    Directives { printer, format, values, at: 0, argument: 0, reordered: false, good: true, indexed: false }
        .run()
}

struct Directives<'p, 'c, 'a> {
    printer: Printer<'p, 'c>,
    format: &'a [u8],
    values: &'a [Value],
    at: usize,
    argument: usize,
    /// An argument index was used.
    reordered: bool,
    /// The argument index of this directive is good.
    good: bool,
    /// The last thing read was an argument index.
    indexed: bool,
}

impl Directives<'_, '_, '_> {
    fn run(mut self) -> Result<(), FunctionError> {
        while self.at < self.format.len() {
            let rest = &self.format[self.at..];
            let literal = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
            self.printer.push(&rest[..literal])?;
            self.at += literal;
            if self.at < self.format.len() {
                self.at += 1;
                self.directive()?;
            }
        }
        if self.reordered || self.argument >= self.values.len() {
            return Ok(());
        }
        self.extra()
    }

    fn extra(&mut self) -> Result<(), FunctionError> {
        self.printer.flags = Flags::default();
        self.printer.push(b"%!(EXTRA ")?;
        for (index, value) in self.values[self.argument..].iter().enumerate() {
            if index > 0 {
                self.printer.push(b", ")?;
            }
            if value.is_nil() {
                self.printer.push(b"<nil>")?;
            } else {
                self.printer.push(value.type_name().as_bytes())?;
                self.printer.push(b"=")?;
                self.printer.operand(value, 'v')?;
            }
        }
        self.printer.push(b")")
    }

    fn here(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn directive(&mut self) -> Result<(), FunctionError> {
        self.printer.flags = Flags::default();
        self.good = true;
        self.indexed = false;
        self.read_flags();
        self.argument_index();
        self.width()?;
        self.precision()?;
        if !self.indexed {
            self.argument_index();
        }
        let Some(rest) = self.format.get(self.at..).filter(|rest| !rest.is_empty()) else {
            return self.printer.push(b"%!(NOVERB)");
        };
        let (verb, width) = runes::decode(rest);
        let verb = verb.unwrap_or(runes::ERROR);
        self.at += width;
        self.print(verb)
    }

    fn print(&mut self, verb: char) -> Result<(), FunctionError> {
        if verb == '%' {
            return self.printer.push(b"%");
        }
        if !self.good {
            return self.printer.push(format!("%!{verb}(BADINDEX)").as_bytes());
        }
        let Some(value) = self.values.get(self.argument) else {
            return self.printer.push(format!("%!{verb}(MISSING)").as_bytes());
        };
        if matches!(verb, 'v' | 'w') {
            let flags = &mut self.printer.flags;
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        self.argument += 1;
        self.printer.operand(value, verb)
    }

    fn read_flags(&mut self) {
        let flags = &mut self.printer.flags;
        while let Some(byte) = self.format.get(self.at) {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
    }

    fn width(&mut self) -> Result<(), FunctionError> {
        if self.here() == Some(b'*') {
            self.at += 1;
            self.indexed = false;
            let Some(width) = self.star() else {
                return self.printer.push(b"%!(BADWIDTH)");
            };
            let flags = &mut self.printer.flags;
            flags.width = Some(width.unsigned_abs() as usize);
            if width < 0 {
                flags.minus = true;
                flags.zero = false;
            }
            return Ok(());
        }
        self.printer.flags.width = self.number();
        if self.indexed && self.printer.flags.width.is_some() {
            self.good = false;
        }
        Ok(())
    }

    fn precision(&mut self) -> Result<(), FunctionError> {
        // A point at the very end is the verb.
        if self.here() != Some(b'.') || self.at + 1 >= self.format.len() {
            return Ok(());
        }
        self.at += 1;
        if self.indexed {
            self.good = false;
        }
        self.argument_index();
        if self.here() == Some(b'*') {
            self.at += 1;
            self.indexed = false;
            match self.star() {
                Some(precision) if precision >= 0 => self.printer.flags.precision = Some(precision as usize),
                _ => self.printer.push(b"%!(BADPREC)")?,
            }
            return Ok(());
        }
        self.printer.flags.precision = Some(self.number().unwrap_or(0));
        Ok(())
    }

    /// Takes the next argument as width or precision.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.argument)?;
        self.argument += 1;
        let number = match value {
            Value::Int(_, value) | Value::Duration(value) => *value,
            Value::Uint(_, value) => i64::try_from(*value).ok()?,
            _ => return None,
        };
        (-MAX_NUMBER..=MAX_NUMBER).contains(&number).then_some(number)
    }

    /// Reads digits. A number that is too large swallows the rest of the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        match parse_number(self.format, self.at, self.format.len()) {
            Ok((number, at)) => {
                self.at = at;
                number
            }
            Err(()) => {
                self.at = self.format.len();
                None
            }
        }
    }

    /// Reads `[n]`.
    fn argument_index(&mut self) {
        self.indexed = false;
        if self.here() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = if rest.len() < 3 { None } else { rest.iter().position(|byte| *byte == b']') };
        let Some(close) = close else {
            self.at += 1;
            self.good = false;
            return;
        };
        self.at += close + 1;
        match parse_number(rest, 1, close) {
            Ok((Some(number), end)) if end == close => {
                self.indexed = true;
                if (1..=self.values.len()).contains(&number) {
                    self.argument = number - 1;
                } else {
                    self.good = false;
                }
            }
            _ => self.good = false,
        }
    }
}

/// Reads digits from `start` to at most `end`; returns the number, if there is one, and where it ends.
fn parse_number(text: &[u8], start: usize, end: usize) -> Result<(Option<usize>, usize), ()> {
    let (mut number, mut at) = (None, start);
    while at < end && text[at].is_ascii_digit() {
        let before = number.unwrap_or(0);
        if before > MAX_NUMBER as usize {
            return Err(());
        }
        number = Some(before * 10 + usize::from(text[at] - b'0'));
        at += 1;
    }
    Ok((number, at))
}
