//! Makes environment variables of a document.

use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Entry, Format, Layout, Map, Node, Scalar, Tree};

use crate::error::CommandError;

/// Makes variables of a flat document.
pub(crate) fn variables(tree: Tree) -> Result<Vec<(String, Plaintext)>, CommandError> {
    let document = tree.documents.into_iter().next().unwrap_or_default();
    let mut variables = Vec::new();
    for entry in document.entries {
        let Entry::Pair { key, value } = entry else { continue };
        let name = key.as_bytes().map(String::from_utf8_lossy);
        let shown = name.as_deref().unwrap_or_default().to_owned();
        let Some(name) = name else {
            let text = format!("cannot use non-string keys in environment, got {}", key.go_type());
            return Err(CommandError::input(text));
        };
        let value = match value {
            Node::Map(_) | Node::Seq(_) => {
                return Err(CommandError::input(format!(
                    "cannot use complex value in environment; offending key {shown}"
                )));
            }
            _ if shown.contains('=') => {
                return Err(CommandError::input(format!("cannot use keys with '=' in environment: {shown}")));
            }
            Node::Scalar(Scalar::Str(text)) => text,
            other => in_dotenv(other)?,
        };
        variables.push((name.into_owned(), value));
    }
    Ok(variables)
}

/// Numbers, booleans, times and null are written as in a dotenv file.
fn in_dotenv(value: Node) -> Result<Plaintext, CommandError> {
    let mut map = Map::default();
    map.push("v", value);
    let tree = Tree { documents: vec![map] };
    let line = tree::emit(Format::Dotenv, &tree, &Layout::default()).map_err(CommandError::input)?;
    let text = line.expose();
    let text = text.strip_prefix(b"v=").unwrap_or(text);
    Ok(Plaintext::from(text.strip_suffix(b"\n").unwrap_or(text)))
}
