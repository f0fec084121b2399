//! Printing as Go's `fmt` does.

mod format;
mod printf;
mod value;

use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::Value;

use format::Flags;
pub(crate) use printf::printf;

/// `fmt.Fprint`: a space between operands when neither is a string.
pub(crate) fn print(
    context: &mut Context<'_>,
    out: &mut Buffer,
    values: &[Value],
) -> Result<(), FunctionError> {
    let mut printer = Printer::new(context, out);
    let mut after_string = true;
    for (index, value) in values.iter().enumerate() {
        let is_string = matches!(value, Value::String(_));
        if index > 0 && !is_string && !after_string {
            printer.push(b" ")?;
        }
        printer.operand(value, 'v')?;
        after_string = is_string;
    }
    Ok(())
}

/// `fmt.Fprintln`: a space between all operands, and a new line.
pub(crate) fn println(
    context: &mut Context<'_>,
    out: &mut Buffer,
    values: &[Value],
) -> Result<(), FunctionError> {
    let mut printer = Printer::new(context, out);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            printer.push(b" ")?;
        }
        printer.operand(value, 'v')?;
    }
    printer.push(b"\n")
}

/// The state of `fmt`'s `pp`.
struct Printer<'p, 'c> {
    context: &'p mut Context<'c>,
    out: &'p mut Buffer,
    flags: Flags,
    /// Showing an operand that does not fit its verb: `String` methods are not used.
    bad_verb: bool,
}

impl<'p, 'c> Printer<'p, 'c> {
    fn new(context: &'p mut Context<'c>, out: &'p mut Buffer) -> Self {
        Self { context, out, flags: Flags::default(), bad_verb: false }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), FunctionError> {
        self.out.push(self.context, bytes)
    }
}
