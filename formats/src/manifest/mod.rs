//! Kubernetes manifests: YAML or JSON text in, typed objects out, and back in the layout that kubectl writes.
//!
//! ```text
//!   bytes ──parse──► Document { root: Node, warnings } ──Node::read::<T>()──► T        (serde; errors say where)
//!   Node  ──to_yaml / to_json──► Plaintext
//!   bytes ──Source::parse──► Source ──apply(edits)──► Plaintext, the same text but for the values that change
//! ```
//!
//! Scalars follow the rules of `sigs.k8s.io/yaml` 1.6 (YAML 1.1 words such as `yes`, octal numbers, …), because the
//! tools that we replace and the API server's clients read manifests that way.

mod de;
mod edit;
mod emit;
mod events;
mod json;
mod node;
mod scalar;
mod yaml;

pub use de::ReadError;
pub use edit::{Edit, EditError, Source, Syntax};
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
    parse_within(bytes, MAX_NODES)
}

/// Parses with another bound than [`MAX_NODES`] on a YAML text's nodes.
///
/// # Errors
/// As [`parse`].
pub fn parse_within(bytes: &[u8], nodes: usize) -> Result<Vec<Document>, ParseError> {
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
    yaml::parse(text, nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_the_limit_and_one_above() {
        let mut text = b"# ".to_vec();
        text.resize(MAX_BYTES, b'x');
        assert_eq!(parse(&text).unwrap().len(), 0);
        text.push(b'x');
        assert_eq!(parse(&text).unwrap_err(), ParseError::TooLarge);
        let list = |nodes: usize| format!("[{}]", vec!["x"; nodes - 1].join(","));
        assert!(parse(list(MAX_NODES).as_bytes()).is_ok());
        assert!(parse(list(MAX_NODES + 1).as_bytes()).unwrap_err().to_string().contains("too many nodes"));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        assert_eq!(parse(b"a: 1\nb: \xff\n").unwrap_err(), ParseError::NotUtf8 { line: 2 });
        assert_eq!(parse(b"\xef\xbb\xbfa: 1\r\n").unwrap()[0].root.str_at(&["a"]), Some("1"));
    }

    /// Mutated manifests: never a panic, and what parses is written and read back equal.
    #[test]
    fn mutated_texts_never_panic_and_round_trip() {
        let seeds = [
            "a: &x {b: [1, 'two', \"3\\n\"], ? c : d}\ne: *x\n<<: *x\nf: |\n  text\n  more\n---\n- - x\n- ~\n...\n",
            "{\"a\": {\"b\": [1, 2.5, true, null, \"\\u00e9\"]}}\n{\"c\": \"d\"}",
            "kind: Secret # c\ndata:\n  k: >-\n    YQ==\n  \"q\": !!str 1\n  t: 2001-01-01\n",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap_or(0) % below
        };
        let alphabet = b"\n\t :-?[]{},&*!|>'\"%@`#~<=.0a\\\x00\xc3\xa9\xff";
        let mut parsed = 0;
        for round in 0..30_000 {
            let mut text = seeds[round % seeds.len()].as_bytes().to_vec();
            for _ in 0..=random(4) {
                let at = random(text.len());
                match random(3) {
                    0 => text[at] = alphabet[random(alphabet.len())],
                    1 => text.insert(at, alphabet[random(alphabet.len())]),
                    _ => drop(text.drain(at..(at + 1 + random(4)).min(text.len()))),
                }
            }
            let Ok(documents) = parse(&text) else { continue };
            for document in documents {
                parsed += 1;
                let json = to_json(&document.root);
                let again = parse(to_yaml(&document.root).expose()).unwrap();
                let back = again.first().map(|document| to_json(&document.root)).unwrap_or_default();
                let sorted =
                    |text: &crate::Plaintext| serde_json::from_slice::<serde_json::Value>(text.expose()).ok();
                assert_eq!(sorted(&json), sorted(&back), "{:?}", String::from_utf8_lossy(&text));
            }
        }
        assert!(parsed > 5_000, "only {parsed} mutated documents parsed");
    }
}
