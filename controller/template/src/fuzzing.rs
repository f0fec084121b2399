//! One body for the fuzz target and for the mutation test: no input may panic, hang or pass its bounds.

use crate::budget::Limits;
use crate::context::Capabilities;
use crate::functions;
use crate::template::{MissingKey, Options, Template};
use crate::value::Value;
use sealops_formats::Plaintext;

/// Parses and executes any text under small limits, with data that the text's end gives.
///
/// The first byte chooses the function set and the options; a zero byte ends the template and starts the data.
///
/// # Panics
/// Where the engine breaks its promises: a larger output than allowed, an error without a place.
pub fn run(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let at = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let (text, data) = rest.split_at(at);
    let set = if choice & 1 == 0 { functions::sealed_secrets() } else { functions::external_secrets() };
    let missing_key = [MissingKey::Default, MissingKey::Zero, MissingKey::Error][usize::from(choice / 2 % 3)];
    let parsed = Template::parse("key", text, &set, Options { missing_key, ..Options::default() });
    let template = match parsed {
        Ok(template) => template,
        Err(error) => return assert!(error.to_string().starts_with("template: key:"), "{error}"),
    };
    let limits =
        Limits { steps: 20_000, output_bytes: 64 << 10, allocated_bytes: 1 << 20, ..Limits::default() };
    let value = Plaintext::from(data);
    let root = Value::of_strings([("a", &value), ("b", &value), ("password", &value)]);
    match template.execute(&root, limits, Capabilities::default()) {
        Ok(output) => assert!(output.len() <= limits.output_bytes),
        Err(error) => assert!(error.text.starts_with("template: "), "{error}"),
    }
}
