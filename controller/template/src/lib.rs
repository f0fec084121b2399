//! Go's `text/template` for secrets: values are bytes, wiped when they go, and every call has a budget.
//!
//! ```text
//!   text ── lex ── parse ──► Template ── execute(root, Limits, Capabilities) ──► Plaintext
//!                               ▲               │
//!            FunctionSet (names) ┘               └─ Context: budget and capabilities, handed to every function
//! ```
//!
//! The language is that of Go 1.26 (`text/template`, `text/template/parse`, `fmt`). The functions are Go's built-in ones
//! and those that [`functions::sealed_secrets`] and [`functions::external_secrets`] list. No template reaches the
//! environment, a file or the network; time and randomness come from the caller, as [`Capabilities`].
//!
//! **Why an engine of our own.** The crates at hand hold UTF-8 strings, never wipe them, and have no budget for steps,
//! memory and output (gotmpl 0.6, the closest to Go, also accepts an unterminated `if`). Secret values are bytes that
//! need not be UTF-8, and carrying them as marked characters would let a value collide with the mark.
//!
//! **Differences from Go** that are intended: complex numbers are refused by the parser; values have no methods, apart
//! from those listed in [`value::Struct`]; a map cannot be put into itself; an error never contains a value.

pub mod budget;
mod buffer;
pub mod context;
pub mod error;
mod exec;
pub mod functions;
#[doc(hidden)]
pub mod fuzzing;
mod go;
mod parse;
mod print;
pub mod system;
mod template;
pub mod value;

pub use budget::Limits;
pub use buffer::Buffer;
pub use context::{Capabilities, Clock, Context, KeyKind, Random};
pub use error::{ExecError, FunctionError, ParseError};
pub use functions::{Function, FunctionSet};
pub use template::{Delimiters, MissingKey, Options, Template};
pub use value::Value;
