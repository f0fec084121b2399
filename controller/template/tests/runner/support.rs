//! What the tests share.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;
use sealops_template::value::{Map, Text, Type, Value};
use sealops_template::{
    Capabilities, Context, Function, FunctionError, FunctionSet, Limits, Options, Template,
};

fn list(context: &mut Context<'_>, arguments: &[Value]) -> Result<Value, FunctionError> {
    context.list(arguments.to_vec())
}

fn dict(_: &mut Context<'_>, arguments: &[Value]) -> Result<Value, FunctionError> {
    let mut entries = BTreeMap::<Text, Value>::new();
    for pair in arguments.chunks_exact(2) {
        entries.insert(pair[0].as_text()?.clone(), pair[1].clone());
    }
    Ok(Value::Map(Map::new(entries)))
}

/// Go's functions, and sprig's `list` and `dict` to make values with.
pub(crate) fn builtins() -> FunctionSet {
    FunctionSet::builtins().with(Function::variadic("list", &[], Type::Any, list)).with(Function::variadic(
        "dict",
        &[],
        Type::Any,
        dict,
    ))
}

/// Parses and executes; the error as its text.
pub(crate) fn render(
    text: &str,
    functions: &FunctionSet,
    options: Options,
    data: &[(&str, &[u8])],
    limits: Limits,
) -> Result<Vec<u8>, String> {
    let values: Vec<_> = data.iter().map(|(key, value)| (*key, Plaintext::from(*value))).collect();
    let root = Value::of_strings(values.iter().map(|(key, value)| (*key, value)));
    let template =
        Template::parse("key", text.as_bytes(), functions, options).map_err(|error| error.to_string())?;
    let output =
        template.execute(&root, limits, Capabilities::default()).map_err(|error| error.to_string())?;
    Ok(output.expose().to_vec())
}
