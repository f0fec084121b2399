//! Template text to a tree (`text/template/parse`).

mod lexer;
pub(crate) mod nodes;
mod parser;
mod source;

pub(crate) use parser::{Trees, parse};
