//! The formats: which one a file has, and the doors in and out.

use super::{Map, Node, Scalar, Tree};
use crate::Plaintext;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 256 << 20;
/// Deepest nesting of maps and lists.
pub const MAX_DEPTH: usize = 256;
/// Most nodes of one text, each use of an alias counted.
pub const MAX_NODES: usize = 10_000_000;

/// A format that SOPS reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// `KEY=value` lines.
    Dotenv,
    /// Sections of keys.
    Ini,
    /// Anything: one value under the key `data`. Its encrypted form is JSON, see [`Format::envelope`].
    Binary,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Yaml, Self::Json, Self::Dotenv, Self::Ini, Self::Binary];

    /// Returns the format of a file by the end of its name, as SOPS decides: case counts, `.env.prod` is binary.
    pub fn of_path(path: &str) -> Self {
        match path {
            _ if path.ends_with(".yaml") || path.ends_with(".yml") => Self::Yaml,
            _ if path.ends_with(".json") => Self::Json,
            _ if path.ends_with(".env") => Self::Dotenv,
            _ if path.ends_with(".ini") => Self::Ini,
            _ => Self::Binary,
        }
    }

    /// Returns the format with this name (`yaml`, `json`, `dotenv`, `ini`, `binary`).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the name that `--input-type` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }

    /// Returns the format in which a file of this format is stored *encrypted*: JSON for binary, itself otherwise.
    pub fn envelope(self) -> Self {
        match self {
            Self::Binary => Self::Json,
            other => other,
        }
    }
}

/// How a text is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// Columns per level. YAML: 4 by default, 0 is the default too, negative is an error. JSON: a tab by default and
    /// for -1, less is an error. The other formats have no levels.
    pub indent: Option<i32>,
}

/// Why a text is not of its format. Carries positions and categories only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// Line, from 1; 0 where the text as a whole is meant.
    pub line: usize,
    /// Column, from 1; 0 where the line as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub problem: ParseProblem,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseProblem {
    /// Larger than [`MAX_BYTES`].
    #[error("the text is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// Deeper than [`MAX_DEPTH`].
    #[error("maps and lists are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_NODES`].
    #[error("the text has more than {MAX_NODES} values, or an alias makes it so")]
    TooManyNodes,
    /// Not written yet.
    #[error("the format is not supported")]
    Unsupported,
}

/// Why a tree cannot be written in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// Not written yet.
    #[error("the format is not supported")]
    Unsupported,
}

/// Reads a text.
///
/// An encrypted file is read as [`Format::envelope`] of its format.
///
/// # Errors
/// Returns where the text stops being of its format, or which limit it passes.
pub fn parse(format: Format, text: &[u8]) -> Result<Tree, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError { line: 0, column: 0, problem: ParseProblem::TooLarge });
    }
    match format {
        Format::Binary => {
            let mut map = Map::default();
            map.push("data", Scalar::Str(Plaintext::from(text)));
            Ok(Tree { documents: vec![map] })
        }
        _ => Err(ParseError { line: 0, column: 0, problem: ParseProblem::Unsupported }),
    }
}

/// Writes a tree.
///
/// An encrypted file is written as [`Format::envelope`] of its format.
///
/// # Errors
/// Fails where the format has no form for something in the tree.
pub fn emit(_format: Format, _tree: &Tree, _layout: &Layout) -> Result<Plaintext, EmitError> {
    Err(EmitError::Unsupported)
}

/// Writes one value, as `--extract` prints it (SOPS prints a text leaf bare, without this).
///
/// # Errors
/// Fails where the format has no form for the value.
pub fn emit_value(_format: Format, _value: &Node, _layout: &Layout) -> Result<Plaintext, EmitError> {
    Err(EmitError::Unsupported)
}

/// Writes the sample that `edit` shows for a file that is not there yet.
///
/// # Errors
/// Fails for a layout that the format refuses.
pub fn emit_example(_format: Format, _layout: &Layout) -> Result<Plaintext, EmitError> {
    Err(EmitError::Unsupported)
}
