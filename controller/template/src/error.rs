//! What goes wrong, in Go's words where Go has words for it, and without a value.

use thiserror::Error;

use crate::budget::BudgetError;
use crate::value::Value;

/// A template's text is not a template: `template: NAME:LINE: …`.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    /// The template's name.
    pub name: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong; quotes template source at most.
    pub message: String,
}

/// An execution failed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{text}")]
pub struct ExecError {
    /// The whole text, as Go words it: `template: NAME:LINE:COLUMN: executing "NAME" at <SOURCE>: …`.
    pub text: String,
    /// The bound that was reached, if that is what went wrong.
    pub budget: Option<BudgetError>,
    /// The capability that was missing, if that is what went wrong: `a clock`, `randomness`.
    pub missing_capability: Option<&'static str>,
}

/// Why a function failed. The engine puts the place and `error calling NAME: ` before it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FunctionError {
    /// The function's own reason. Never a value, or a part of one.
    #[error("{0}")]
    Failed(String),
    /// A bound was reached; ends the execution.
    #[error("{0}")]
    Budget(#[from] BudgetError),
    /// The caller gave no such capability.
    #[error("needs {0}, which templates do not get here")]
    Capability(&'static str),
}

impl FunctionError {
    /// Makes a failure. The text must not contain a value.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// An argument is not of the type that the signature promised. The type is named, not the value.
    pub fn wrong_type(wanted: &str, value: &Value) -> Self {
        Self::Failed(format!(
            "wrong type for value; expected {}; got {}",
            wanted.trim_start_matches("as_"),
            value.type_name()
        ))
    }
}
