//! Writes JSON values as YAML, always in the same way.

use serde_json::Value;

/// Returns a document in block style.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// Writes a value whose lines are indented by `depth` and ends the line.
fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                indent(out, depth);
                out.push_str(&scalar_text(key));
                out.push(':');
                write_below(out, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                write_item(out, item, depth);
            }
        }
        scalar => {
            indent(out, depth);
            out.push_str(&flow(scalar));
            out.push('\n');
        }
    }
}

/// Writes a value behind a key: on the same line if it fits there.
fn write_below(out: &mut String, value: &Value, depth: usize) {
    if is_block(value) {
        out.push('\n');
        write(out, value, depth);
    } else {
        out.push(' ');
        out.push_str(&flow(value));
        out.push('\n');
    }
}

/// Writes an item of a list; its first line stands behind the dash.
fn write_item(out: &mut String, item: &Value, depth: usize) {
    let mut text = String::new();
    write(&mut text, item, depth + 1);
    indent(out, depth);
    out.push_str("- ");
    out.push_str(text.trim_start());
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar_text(text),
        other => other.to_string(),
    }
}

/// Returns a string plain where no YAML parser can take it for something else, and in JSON otherwise.
fn scalar_text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { Value::from(text).to_string() }
}

fn is_plain(text: &str) -> bool {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " ._/-,;()".contains(c))
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_lowercase().as_str())
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_nested_lists_and_maps() {
        let value = json!({ "a": [{ "b": 1, "c": ["x", [true]] }, {}], "d": { "e": [] }, "f": null });
        let text = "a:\n  - b: 1\n    c:\n      - x\n      - - true\n  - {}\nd:\n  e: []\nf: null\n";
        assert_eq!(document(&value), text);
    }

    #[test]
    fn quotes_what_could_be_something_else() {
        for text in [
            "", "true", "No", "1h0m0s", "1", "a: b", "a #b", "*x", " a", "a ", "~", "^[a]$", "é", "a\nb",
            "@hourly",
        ] {
            assert!(scalar_text(text).starts_with('"'), "{text}");
        }
        for text in ["Opaque", "date-time", "bitnami.com/v1alpha1", "A short sentence; (with) signs."] {
            assert_eq!(scalar_text(text), text);
        }
    }
}
