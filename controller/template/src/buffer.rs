//! Growing results.

use sealops_formats::Plaintext;

use crate::budget::BudgetError;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Text, Value};

/// Bytes that a function builds: whatever it reserves is charged before, so a result can never be larger than its budget.
#[derive(Default)]
pub struct Buffer {
    bytes: Plaintext,
    capacity: usize,
    /// The result of the whole template: it has a bound of its own.
    output: bool,
}

/// Bytes copied at once that cost a step.
const LARGE: usize = 128;
/// The first reservation.
const SMALLEST: usize = 64;

impl Buffer {
    /// Makes an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the buffer of the template's result.
    pub(crate) fn output() -> Self {
        Self { output: true, ..Self::default() }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Where the budget is spent.
    pub fn push(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Result<(), FunctionError> {
        self.reserve(context, bytes.len())?;
        self.bytes.push(bytes);
        Ok(())
    }

    /// Appends a byte `count` times.
    ///
    /// # Errors
    /// Where the budget is spent.
    pub fn fill(&mut self, context: &mut Context<'_>, byte: u8, count: usize) -> Result<(), FunctionError> {
        self.reserve(context, count)?;
        let chunk = [byte; 256];
        let mut left = count;
        while left > 0 {
            let now = left.min(chunk.len());
            self.bytes.push(&chunk[..now]);
            left -= now;
        }
        Ok(())
    }

    fn reserve(&mut self, context: &mut Context<'_>, more: usize) -> Result<(), FunctionError> {
        let needed = self.bytes.len().saturating_add(more);
        if more >= LARGE {
            context.charge_steps((more / LARGE) as u64)?;
        }
        if needed <= self.capacity {
            return Ok(());
        }
        let mut capacity = needed.max(self.capacity * 2).max(SMALLEST);
        if self.output {
            let limit = context.limits().output_bytes;
            if needed > limit {
                return Err(BudgetError::Output(limit).into());
            }
            capacity = capacity.min(limit);
        } else {
            context.charge_bytes(capacity)?;
        }
        let mut grown = Plaintext::with_capacity(capacity);
        grown.push(self.bytes.expose());
        self.bytes = grown;
        self.capacity = capacity;
        Ok(())
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes as a Go string; they are charged already.
    pub fn into_value(self) -> Value {
        Value::String(Text::from(self.bytes))
    }

    pub(crate) fn into_plaintext(self) -> Plaintext {
        self.bytes
    }
}
