//! What one execution may use up.

use std::time::{Duration, Instant};

use thiserror::Error;

/// Bytes of a template's text.
pub const MAX_TEMPLATE_BYTES: usize = 1 << 20;
/// Nested actions, parentheses and definitions of a template's text.
pub const MAX_NESTING: usize = 200;
/// Actions, commands and operands of a template's text: bounds the tree's memory.
pub const MAX_NODES: usize = 32_768;
/// Nodes evaluated, items visited, and what functions charge.
pub const MAX_STEPS: u64 = 1_000_000;
/// `template` calls inside each other.
pub const MAX_CALL_DEPTH: usize = 100;
/// Blocks, parentheses and `template` calls inside each other while executing: bounds the stack.
pub const MAX_LEVELS: usize = 500;
/// Lists and maps inside each other that a walk (printing, JSON, comparing) goes down.
pub const MAX_VALUE_DEPTH: usize = 128;
/// Bytes of the result.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Bytes of all values that the execution makes, dead ones counted.
pub const MAX_ALLOCATED_BYTES: usize = 12 << 20;
/// Private keys that the execution makes.
pub const MAX_KEYS: u32 = 8;
/// Time that the execution takes.
pub const MAX_TIME: Duration = Duration::from_secs(10);

/// Bounds of one execution.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// See [`MAX_STEPS`].
    pub steps: u64,
    /// See [`MAX_CALL_DEPTH`].
    pub call_depth: usize,
    /// See [`MAX_LEVELS`].
    pub levels: usize,
    /// See [`MAX_OUTPUT_BYTES`].
    pub output_bytes: usize,
    /// See [`MAX_ALLOCATED_BYTES`].
    pub allocated_bytes: usize,
    /// See [`MAX_KEYS`].
    pub keys: u32,
    /// See [`MAX_TIME`].
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: MAX_STEPS,
            call_depth: MAX_CALL_DEPTH,
            levels: MAX_LEVELS,
            output_bytes: MAX_OUTPUT_BYTES,
            allocated_bytes: MAX_ALLOCATED_BYTES,
            keys: MAX_KEYS,
            time: MAX_TIME,
        }
    }
}

/// The bound that was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BudgetError {
    /// Too many steps.
    #[error("the template takes more than {0} steps")]
    Steps(u64),
    /// `template` calls too deep.
    #[error("exceeded maximum template depth ({0})")]
    CallDepth(usize),
    /// Blocks, parentheses and calls too deep.
    #[error("blocks, parentheses and template calls are nested deeper than {0}")]
    Levels(usize),
    /// Nested values too deep to walk.
    #[error("lists and maps are nested deeper than {MAX_VALUE_DEPTH}")]
    ValueDepth,
    /// Too much output.
    #[error("the result is larger than {0} bytes")]
    Output(usize),
    /// Too much memory.
    #[error("the template's values need more than {0} bytes")]
    Allocated(usize),
    /// Too many keys.
    #[error("the template makes more than {0} private keys")]
    Keys(u32),
    /// Too slow.
    #[error("the template takes longer than {} ms", .0.as_millis())]
    Time(Duration),
}

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1024;

/// What is left of the [`Limits`].
pub(crate) struct Budget {
    limits: Limits,
    steps: u64,
    next_look: u64,
    allocated: usize,
    keys: u32,
    started: Instant,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, steps: 0, next_look: 0, allocated: 0, keys: 0, started: Instant::now() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn steps(&mut self, steps: u64) -> Result<(), BudgetError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.steps {
            return Err(BudgetError::Steps(self.limits.steps));
        }
        if self.steps >= self.next_look {
            self.next_look = self.steps + STEPS_PER_LOOK;
            self.time(self.started.elapsed())?;
        }
        Ok(())
    }

    pub(crate) fn time(&self, elapsed: Duration) -> Result<(), BudgetError> {
        if elapsed > self.limits.time { Err(BudgetError::Time(self.limits.time)) } else { Ok(()) }
    }

    pub(crate) fn bytes(&mut self, bytes: usize) -> Result<(), BudgetError> {
        self.allocated = self.allocated.saturating_add(bytes);
        if self.allocated > self.limits.allocated_bytes {
            return Err(BudgetError::Allocated(self.limits.allocated_bytes));
        }
        Ok(())
    }

    pub(crate) fn keys(&mut self) -> Result<(), BudgetError> {
        self.keys += 1;
        if self.keys > self.limits.keys { Err(BudgetError::Keys(self.limits.keys)) } else { Ok(()) }
    }
}
