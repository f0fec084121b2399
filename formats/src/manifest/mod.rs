//! Kubernetes manifests: YAML or JSON text in, typed objects out, and back in the layout that kubectl writes.
//!
//! ```text
//!   bytes ──parse──► Document { root: Node, warnings } ──Node::read::<T>()──► T        (serde; errors say where)
//!   Node  ──to_yaml / to_json──► Plaintext
//! ```
//!
//! Scalars follow the rules of `sigs.k8s.io/yaml` 1.6 (YAML 1.1 words such as `yes`, octal numbers, …), because the
//! tools that we replace and the API server's clients read manifests that way.

mod de;
mod emit;
mod json;
mod node;
mod scalar;
mod yaml;

pub use de::ReadError;
pub use emit::{to_json, to_yaml};
pub use node::{Document, Node, ScalarKind, Value, Warning, WarningKind};

/// Largest manifest text that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// Deepest nesting of maps and lists.
pub const MAX_DEPTH: usize = 128;
/// Most nodes of one text, aliases counted each time that they are used.
pub const MAX_NODES: usize = 2_000_000;

/// Why a text is not a manifest. Carries positions and categories only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is longer than [`MAX_BYTES`].
    #[error("the text is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// The bytes are not UTF-8; `offset` is the first bad byte.
    #[error("line {line}: the text is not UTF-8")]
    NotUtf8 {
        /// Line of the first bad byte, from 1.
        line: usize,
    },
    /// The syntax is broken.
    #[error("line {line}, column {column}: {problem}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Category, in words.
        problem: String,
    },
}

/// Parses every document of a text; empty documents are left out.
///
/// A text that starts with `{` is read as a stream of JSON objects first, and as YAML when it is none.
///
/// # Errors
/// Returns where the text stops being YAML or JSON, or which limit it passes.
pub fn parse(bytes: &[u8]) -> Result<Vec<Document>, ParseError> {
    if bytes.len() > MAX_BYTES {
        return Err(ParseError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ParseError::NotUtf8 {
        line: 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{')
        && let Ok(documents) = json::parse(text)
    {
        return Ok(documents);
    }
    yaml::parse(text)
}
