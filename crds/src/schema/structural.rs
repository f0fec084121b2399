//! From what schemars derives to a structural schema of apiextensions.k8s.io/v1.
//!
//! What the derived schema says about null, defaults and required fields follows from how tolerantly the types read and
//! is dropped; the table of extras says it anew.

use serde_json::{Map, Value, json};

/// Keywords that are never taken from the derived schema.
const DROPPED: &[&str] =
    &["$schema", "title", "default", "nullable", "required", "examples", "deprecated", "minimum"];
/// Formats that the API server knows; the others would only be noise.
const FORMATS: &[&str] = &["int32", "int64"];

/// Returns the structural schema of a whole object.
pub(super) fn of_object(derived: Value) -> Value {
    let mut schema = structural(derived);
    // The API server has its own schema of metadata and refuses any other.
    schema["properties"]["metadata"] = json!({ "type": "object" });
    schema
}

fn structural(derived: Value) -> Value {
    let Value::Object(node) = derived else { return derived };
    let mut node = without_null(node);
    node.retain(|keyword, _| !DROPPED.contains(&keyword.as_str()));
    if node.get("format").is_some_and(|format| !FORMATS.iter().any(|known| format == known)) {
        node.shift_remove("format");
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        // What follows the first paragraph is for the readers of the Rust documentation.
        let summary = text.split("\n\n").next().unwrap_or_default();
        *text = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(keyword) {
            *child = structural(child.take());
        }
    }
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(|child| *child = structural(child.take()));
    }
    Value::Object(in_order(node))
}

/// Drops the ways in which an `Option` says that null is fine: a second type, a word `null`, an alternative.
fn without_null(mut node: Map<String, Value>) -> Map<String, Value> {
    let alternatives = node.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_default();
    if let [Value::Object(kept), null] = alternatives.as_slice()
        && *null == json!({ "type": "null" })
    {
        node.shift_remove("anyOf");
        kept.iter().for_each(|(keyword, value)| _ = node.entry(keyword).or_insert_with(|| value.clone()));
    }
    if let Some(Value::Array(types)) = node.get("type")
        && let Some(kept) = types.iter().find(|name| *name != "null").cloned()
    {
        node.insert("type".to_owned(), kept);
    }
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    node
}

/// Puts what a reader looks for first.
fn in_order(mut node: Map<String, Value>) -> Map<String, Value> {
    let first = ["description", "type", "format", "enum"];
    let mut ordered: Map<_, _> =
        first.iter().filter_map(|keyword| node.shift_remove_entry(*keyword)).collect();
    ordered.extend(node);
    ordered
}
