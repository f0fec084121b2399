//! The formats: which one a file has, and the doors in and out.

use super::{Comment, Entry, Item, Map, Node, Scalar, Tree, dotenv, ini, json, yaml};
use crate::Plaintext;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 256 << 20;
/// Deepest nesting of maps and lists.
pub const MAX_DEPTH: usize = 256;
/// Most nodes of one text, each use of an alias counted.
pub const MAX_NODES: usize = 4_000_000;

/// Where the binary format keeps its bytes.
const BINARY_KEY: &str = "data";

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
    /// A YAML key is a list or a mapping.
    #[error("a key is a list or a mapping; only text keys are supported")]
    ComplexKey,
    /// A YAML mapping of the first document, or an INI section, has a key twice.
    #[error("mapping key already defined at line {first}")]
    DuplicateKey {
        /// Line of the first one.
        first: usize,
    },
    /// A YAML merge key (`<<`) with something else than mappings.
    #[error("map merge requires map or sequence of maps as the value")]
    Merge,
    /// A JSON text that starts with something else than `{`.
    #[error("only files with a top-level object are supported, such as {{\"data\": [...]}}")]
    NotAnObject,
    /// A JSON number beyond what a float holds.
    #[error("the number is too large")]
    NumberTooLarge,
    /// The syntax is broken; the category in words.
    #[error("{0}")]
    Syntax(&'static str),
    /// Deeper than [`MAX_DEPTH`].
    #[error("maps and lists are nested deeper than {MAX_DEPTH} levels, or an alias is inside of itself")]
    TooDeep,
    /// Larger than [`MAX_BYTES`].
    #[error("the text is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// More than [`MAX_NODES`].
    #[error("the text has more than {MAX_NODES} values, or aliases make it so")]
    TooManyNodes,
    /// Something follows the JSON object.
    #[error("there is more text after the end of the object")]
    Trailing,
    /// The text ends in the middle.
    #[error("the text ends in the middle")]
    Truncated,
    /// A YAML value that is not of the type that its tag names.
    #[error("the value does not fit its tag")]
    WrongTag,
}

/// Why a tree cannot be written in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A comment that is not UTF-8 (YAML).
    #[error("a comment is not UTF-8")]
    CommentNotText,
    /// Maps and lists in dotenv or below an INI section.
    #[error("the format has no maps and lists inside of values")]
    Complex,
    /// A section or key without a name (INI).
    #[error("a section or key has an empty name")]
    EmptyName,
    /// A negative number of columns.
    #[error("the indentation is negative")]
    Indent,
    /// A key that is a number, a boolean, a time or null.
    #[error("a key is not text")]
    KeyNotText,
    /// There is no `data`, or it is not text (binary).
    #[error("error emitting binary store: no binary data found in tree")]
    NoBinaryData,
    /// The tree has no document.
    #[error("there is nothing to write")]
    NoDocument,
    /// The format has no infinity and no NaN.
    #[error("the format has no form for infinity and NaN")]
    NoSuchNumber,
    /// The offset of a time passes a day.
    #[error("the format has no form for the offset of a time")]
    NoSuchTime,
    /// A top-level value that is no map (INI).
    #[error("section values should always be maps")]
    NotASection,
    /// `--extract` of something else than text (dotenv), or of anything (binary).
    #[error("the format has no form for a single value of this kind")]
    NotExtractable,
}

impl ParseError {
    /// Makes the error for a byte of a text.
    pub(super) fn at(text: &[u8], position: usize, problem: ParseProblem) -> Self {
        let before = &text[..position.min(text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Self { line, column: before.len() - start + 1, problem }
    }
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
        Format::Yaml => yaml::parse(text),
        Format::Json => json::parse(text),
        Format::Dotenv => dotenv::parse(text),
        Format::Ini => ini::parse(text),
        Format::Binary => Ok(binary(Plaintext::from(text))),
    }
}

/// As [`parse`], of a text that is not needed afterwards: what is binary becomes the value without a copy.
///
/// # Errors
/// Those of [`parse`].
pub fn parse_owned(format: Format, text: Plaintext) -> Result<Tree, ParseError> {
    match format {
        Format::Binary if text.len() <= MAX_BYTES => Ok(binary(text)),
        _ => parse(format, text.expose()),
    }
}

fn binary(text: Plaintext) -> Tree {
    let mut map = Map::default();
    map.push(BINARY_KEY, Scalar::Str(text));
    Tree { documents: vec![map] }
}

/// Writes a tree.
///
/// An encrypted file is written as [`Format::envelope`] of its format.
///
/// # Errors
/// Fails where the format has no form for something in the tree.
pub fn emit(format: Format, tree: &Tree, layout: &Layout) -> Result<Plaintext, EmitError> {
    match format {
        Format::Yaml => yaml::emit(tree, layout),
        Format::Json => json::emit(tree, layout),
        Format::Dotenv => dotenv::emit(tree),
        Format::Ini => ini::emit(tree),
        Format::Binary => match tree.documents.as_slice() {
            [document] => document
                .find(BINARY_KEY)
                .and_then(Node::as_text)
                .map(Plaintext::duplicate)
                .ok_or(EmitError::NoBinaryData),
            _ => Err(EmitError::NoBinaryData),
        },
    }
}

/// Writes one value, as `--extract` prints it (SOPS prints a text leaf bare, without this).
///
/// # Errors
/// Fails where the format has no form for the value.
pub fn emit_value(format: Format, value: &Node, layout: &Layout) -> Result<Plaintext, EmitError> {
    match (format, value) {
        (Format::Yaml, _) => yaml::emit_value(value),
        (Format::Json, _) => json::emit_value(value, layout),
        (Format::Ini, _) => ini::emit_value(value),
        (Format::Dotenv, Node::Scalar(Scalar::Str(text))) => Ok(text.duplicate()),
        (Format::Dotenv | Format::Binary, _) => Err(EmitError::NotExtractable),
    }
}

/// Writes the sample that `edit` shows for a file that is not there yet.
///
/// # Errors
/// Fails for a layout that the format refuses.
pub fn emit_example(format: Format, layout: &Layout) -> Result<Plaintext, EmitError> {
    const WELCOME: &str = "Welcome to SOPS! Edit this file as you please!";
    let mut map = Map::default();
    let remark = |text: &str| Entry::Comment(Comment::new(text));
    match format {
        Format::Binary => return Ok(WELCOME.into()),
        Format::Yaml | Format::Json => {
            map.push("hello", WELCOME);
            map.push("example_key", "example_value");
            map.entries.push(remark(" Example comment"));
            let values = ["example_value1", "example_value2"];
            map.push("example_array", Node::Seq(values.map(|value| Item::Node(value.into())).into()));
            map.push("example_number", Scalar::Float(1234.56789));
            let values = [true, false].map(|value| Item::Node(Scalar::Bool(value).into()));
            map.push("example_booleans", Node::Seq(values.into()));
        }
        Format::Dotenv => {
            map.entries.push(remark(" This is an example file."));
            map.push("hello", WELCOME);
            map.push("example_key", "example_value");
            map.push("example_multiline", "foo\nbar\nbaz");
        }
        Format::Ini => {
            let mut section = Map::default();
            section.entries.push(remark(" This is an example file."));
            section.push("hello", WELCOME);
            section.push("example_key", "example_value");
            map.push("Welcome!", section);
        }
    }
    emit(format, &Tree { documents: vec![map] }, layout)
}
