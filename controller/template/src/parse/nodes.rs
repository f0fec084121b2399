//! The tree of a template.

use crate::functions::Function;
use crate::value::Text;

/// A sequence of nodes.
pub(crate) struct List {
    pub(crate) at: usize,
    pub(crate) nodes: Vec<Node>,
}

/// Commands connected by `|`, and the variables that take the result.
pub(crate) struct Pipe {
    pub(crate) at: usize,
    /// `=` rather than `:=`.
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<Node>,
    pub(crate) commands: Vec<Command>,
}

/// An operand, or a function or field with arguments.
pub(crate) struct Command {
    pub(crate) at: usize,
    pub(crate) words: Vec<Node>,
}

/// `if`, `range` or `with`.
pub(crate) struct Branch {
    pub(crate) at: usize,
    pub(crate) pipe: Pipe,
    pub(crate) list: List,
    pub(crate) otherwise: Option<List>,
}

/// A number, as each type that can hold it.
pub(crate) struct Number {
    pub(crate) at: usize,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) text: String,
    pub(crate) ideal: Ideal,
}

/// What a number is where nothing says its type: Go's ideal constants.
#[derive(Clone, Copy)]
pub(crate) enum Ideal {
    Int(i64),
    Float(f64),
    Overflow,
}

/// A node, with its place in the text.
pub(crate) enum Node {
    Text { at: usize, text: Text },
    Action { at: usize, pipe: Pipe },
    Break { at: usize },
    Continue { at: usize },
    If(Box<Branch>),
    Range(Box<Branch>),
    With(Box<Branch>),
    Template { at: usize, name: String, pipe: Option<Pipe> },
    Pipe(Pipe),
    Identifier { at: usize, name: String, function: Function },
    Variable { at: usize, names: Vec<String> },
    Dot { at: usize },
    Nil { at: usize },
    Field { at: usize, names: Vec<String> },
    Chain { at: usize, base: Box<Node>, names: Vec<String> },
    Bool { at: usize, value: bool },
    Number(Number),
    String { at: usize, quoted: String, text: Text },
}

impl Node {
    /// Returns the place in the text.
    pub(crate) fn at(&self) -> usize {
        match self {
            Self::Text { at, .. }
            | Self::Action { at, .. }
            | Self::Break { at }
            | Self::Continue { at }
            | Self::Template { at, .. }
            | Self::Identifier { at, .. }
            | Self::Variable { at, .. }
            | Self::Dot { at }
            | Self::Nil { at }
            | Self::Field { at, .. }
            | Self::Chain { at, .. }
            | Self::Bool { at, .. }
            | Self::String { at, .. } => *at,
            Self::If(branch) | Self::Range(branch) | Self::With(branch) => branch.at,
            Self::Pipe(pipe) => pipe.at,
            Self::Number(number) => number.at,
        }
    }
}

impl List {
    /// Returns whether executing prints nothing but white space, so that another definition may replace it.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.iter().all(
            |node| matches!(node, Node::Text { text, .. } if String::from_utf8_lossy(text.as_bytes()).trim().is_empty()),
        )
    }
}
