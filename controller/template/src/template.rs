//! Parsed templates.

use sealops_formats::Plaintext;

use crate::budget::Limits;
use crate::context::Capabilities;
use crate::error::{ExecError, ParseError};
use crate::functions::FunctionSet;
use crate::value::Value;

/// What a missing map key gives: Go's option `missingkey`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MissingKey {
    /// `<no value>` where printed (`default`, `invalid`).
    #[default]
    Default,
    /// The zero value of the map's element type.
    Zero,
    /// An error.
    Error,
}

/// What encloses an action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delimiters {
    /// `{{`
    pub left: String,
    /// `}}`
    pub right: String,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self { left: "{{".into(), right: "}}".into() }
    }
}

/// How a template is read and executed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Missing map keys.
    pub missing_key: MissingKey,
    /// Delimiters.
    pub delimiters: Delimiters,
}

/// A template and those that its text defines.
pub struct Template {
    name: String,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Where Go would not parse it, and where the text is beyond [`crate::budget::MAX_TEMPLATE_BYTES`] or
    /// [`crate::budget::MAX_NESTING`].
    pub fn parse(
        name: &str,
        text: &[u8],
        functions: &FunctionSet,
        options: Options,
    ) -> Result<Self, ParseError> {
        let _ = (text, functions, options);
        Ok(Self { name: name.to_owned() })
    }

    /// Executes with `root` as dot.
    ///
    /// # Errors
    /// Where Go would fail, where a bound is reached, and where a function needs a capability that is absent.
    pub fn execute(
        &self,
        root: &Value,
        limits: Limits,
        capabilities: Capabilities<'_>,
    ) -> Result<Plaintext, ExecError> {
        let _ = (root, limits, capabilities, &self.name);
        Ok(Plaintext::default())
    }
}
