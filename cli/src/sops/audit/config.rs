//! `/etc/sops/audit.yaml`. The place is fixed: no variable or flag leads around the audit.

use std::fs::File;
use std::io::ErrorKind;

use sealops_formats::Plaintext;
use sealops_formats::manifest::{self, Node, ParseError, Value};

use crate::files::{io_text, read_from};

/// Where it is.
pub(super) const PATH: &str = "/etc/sops/audit.yaml";
/// Largest configuration.
const MAX_BYTES: usize = 64 << 10;
/// Most nodes of it, aliases counted as often as they are used.
const MAX_NODES: usize = 1000;
/// Most databases.
const MAX_BACKENDS: usize = 8;

/// One database.
pub(super) struct Backend {
    /// Where it stands, for messages: the string itself holds a password.
    pub(super) place: String,
    #[cfg_attr(not(feature = "clouds"), expect(dead_code, reason = "this build connects to nothing"))]
    pub(super) connection_string: Plaintext,
}

/// Reads the databases; there is none without the file.
///
/// # Errors
/// Says what cannot be used, with its line and without a value.
pub(super) fn read() -> Result<Vec<Backend>, String> {
    // A folder that is missing or is none counts as a missing file; a link to nowhere, too.
    let file = match File::open(PATH) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(format!("{PATH}: {}", io_text(&error))),
    };
    let text = read_from(file, MAX_BYTES).map_err(|error| format!("{PATH}: {}", io_text(&error)))?;
    let text = text.ok_or_else(|| format!("{PATH}: larger than {MAX_BYTES} bytes"))?;
    backends(text.expose())
}

fn backends(text: &[u8]) -> Result<Vec<Backend>, String> {
    let documents = manifest::parse_within(text, MAX_NODES).map_err(|error| match error {
        // What a scanner says of the syntax may quote it.
        ParseError::Syntax { line, .. } => wrong(line, "this is no YAML"),
        error => format!("{PATH}: {error}"),
    })?;
    let mut documents = documents.iter();
    let Some(document) = documents.next() else { return Ok(Vec::new()) };
    if let Some(other) = documents.next() {
        return Err(wrong(other.root.line, "there is a second document"));
    }
    if let Some(warning) =
        document.warnings.iter().find(|warning| warning.kind == manifest::WarningKind::DuplicateKey)
    {
        return Err(wrong(warning.line, "a key stands here again"));
    }
    let Some(backends) = only(&document.root, "backends")? else { return Ok(Vec::new()) };
    let Some(databases) = only(backends, "postgres")? else { return Ok(Vec::new()) };
    let Value::List(databases) = &databases.value else {
        return if databases.is_null() {
            Ok(Vec::new())
        } else {
            Err(wrong(databases.line, "postgres is no list"))
        };
    };
    if databases.len() > MAX_BACKENDS {
        return Err(format!("{PATH}: more than {MAX_BACKENDS} databases"));
    }
    databases.iter().map(backend).collect()
}

fn backend(node: &Node) -> Result<Backend, String> {
    let text = only(node, "connection_string")?.map(|text| &text.value);
    let Some(Value::Scalar(_, text)) = text else {
        return Err(wrong(node.line, "connection_string is missing, or no text"));
    };
    Ok(Backend { place: format!("{PATH}:{}", node.line), connection_string: text.duplicate() })
}

/// Returns the value of a map that may have this key only: a misspelled one would be an audit that does not happen.
fn only<'n>(node: &'n Node, key: &str) -> Result<Option<&'n Node>, String> {
    match &node.value {
        Value::Null => Ok(None),
        Value::Map(entries) => match entries.iter().find(|(name, _)| name != key) {
            Some((_, other)) => Err(wrong(other.line, &format!("only {key} may stand here"))),
            None => Ok(node.child(key)),
        },
        _ => Err(wrong(node.line, &format!("there has to be a map with {key}"))),
    }
}

fn wrong(line: usize, problem: &str) -> String {
    format!("{PATH}:{line}: {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Result<usize, String> {
        backends(text.as_bytes()).map(|found| found.len())
    }

    #[test]
    fn reads_what_sops_reads() {
        for (text, found) in [
            ("", 0),
            ("# nothing\n", 0),
            ("backends:\n", 0),
            ("backends: {}\n", 0),
            ("backends:\n  postgres:\n", 0),
            ("backends:\n  postgres: []\n", 0),
            ("backends:\n  postgres:\n  - connection_string: a\n  - connection_string: 'b'\n", 2),
            ("{\"backends\": {\"postgres\": [{\"connection_string\": \"a\"}]}}", 1),
        ] {
            assert_eq!(count(text), Ok(found), "{text}");
        }
    }

    #[test]
    fn anything_else_is_an_error_with_its_line_and_without_its_text() {
        for (text, place) in [
            ("backends: hunter2\n", ":1: "),
            ("backend:\n  postgres: []\n", ":"),
            ("backends:\n  mysql: hunter2\n", ":2: only postgres"),
            ("backends:\n  postgres:\n  - connectionstring: hunter2\n", ":3: only connection_string"),
            ("backends:\n  postgres:\n  - hunter2\n", ":3: there has to be a map"),
            ("backends:\n  postgres:\n  - {}\n", ":3: connection_string is missing"),
            ("backends:\n  postgres:\n  - connection_string: [hunter2]\n", ":3: "),
            ("backends:\n  postgres: hunter2\n", ":2: postgres is no list"),
            ("backends:\n\tpostgres: hunter2\n", ":2: this is no YAML"),
            ("backends:\n  postgres: [\"hunter2\n", ": this is no YAML"),
            ("backends: {}\nbackends: {}\n", ":2: a key stands here again"),
            ("backends: {}\n---\nbackends: {}\n", "second document"),
        ] {
            let error = count(text).unwrap_err();
            assert!(error.contains(place) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(backends(b"backends: \xff").err().unwrap().contains("line 1"));
        let many = "  - connection_string: a\n".repeat(MAX_BACKENDS + 1);
        assert!(count(&format!("backends:\n  postgres:\n{many}")).unwrap_err().contains("more than 8"));
    }
}
