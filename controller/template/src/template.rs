//! Parsed templates.

use sealops_formats::Plaintext;

use crate::budget::Limits;
use crate::context::Capabilities;
use crate::error::{ExecError, ParseError};
use crate::exec;
use crate::functions::FunctionSet;
use crate::parse::nodes::List;
use crate::parse::{self, Trees};
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
    options: Options,
    /// The text, for the line and column of errors.
    source: Plaintext,
    trees: Trees,
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
        let trees = parse::parse(name, text, functions, &options.delimiters)?;
        Ok(Self { name: name.to_owned(), options, source: Plaintext::from(text), trees })
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
        exec::execute(self, root, limits, capabilities)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn missing_key(&self) -> MissingKey {
        self.options.missing_key
    }

    pub(crate) fn tree(&self, name: &str) -> Option<(&str, &List)> {
        self.trees.get_key_value(name).map(|(name, tree)| (name.as_str(), tree))
    }

    /// Returns the place as errors write it: `NAME:LINE:COLUMN`, the column in bytes from 0.
    pub(crate) fn location(&self, at: usize) -> String {
        let before = self.source.expose().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{}:{line}:{column}", self.name)
    }
}
