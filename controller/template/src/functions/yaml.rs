//! YAML, as `sigs.k8s.io/yaml` 1.6 writes and reads it: by way of JSON.

use std::collections::BTreeMap;

use sealops_formats::manifest::{self, Node, ScalarKind};
use sealops_formats::{Plaintext, base64};

use super::Function;
use super::Origin::ExternalSecrets;
use super::dates::rfc3339;
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::float;
use crate::value::{Map, Text, Type, Value};

pub(crate) const TABLE: &[Function] = &[
    Function::new("toYaml", &[Type::Any], |context, args| match node(context, &args[0], 0) {
        Ok(node) => {
            let mut text = manifest::to_yaml(&node);
            let end = text.expose().strip_suffix(b"\n").map_or(text.len(), <[u8]>::len);
            text.truncate(end);
            context.text(text)
        }
        Err(FunctionError::Failed(_)) => Ok(Value::from("")),
        Err(error) => Err(error),
    })
    .only(ExternalSecrets),
    Function::new("fromYaml", &[Type::String], from_yaml).only(ExternalSecrets),
];

fn node(context: &mut Context<'_>, value: &Value, depth: usize) -> Result<Node, FunctionError> {
    context.check_depth(depth)?;
    context.charge_bytes(NODE_BYTES)?;
    let scalar = |kind, text: Plaintext| Node { line: 0, value: manifest::Value::Scalar(kind, text) };
    Ok(match value {
        Value::Missing | Value::Nil => Node::default(),
        Value::List(list) if list.is_nil() => Node::default(),
        Value::Map(map) if map.is_nil() => Node::default(),
        Value::Bool(value) => Node::bool(*value),
        Value::Int(_, value) | Value::Duration(value) => {
            scalar(ScalarKind::Int, Plaintext::from(value.to_string()))
        }
        Value::Uint(_, value) => scalar(ScalarKind::Int, Plaintext::from(value.to_string())),
        Value::Float(value) => number(*value)?,
        Value::String(text) => text_node(context, text)?,
        Value::Bytes(bytes) => Node::text(base64::encode(bytes.as_bytes())),
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.len());
            for item in list.items() {
                items.push(node(context, item, depth + 1)?);
            }
            Node { line: 0, value: manifest::Value::List(items) }
        }
        Value::Map(map) => {
            let mut entries = Vec::new();
            for (key, value) in map.entries() {
                let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
                entries.push((key, node(context, &value, depth + 1)?));
            }
            Node { line: 0, value: manifest::Value::Map(entries) }
        }
        Value::Time(time) => Node::text(rfc3339(time)?),
        Value::Struct(value) => match &value.display {
            Some(text) => text_node(context, text)?,
            None => {
                let mut entries = Vec::new();
                for (name, value) in &value.fields {
                    entries.push(((*name).to_owned(), node(context, value, depth + 1)?));
                }
                Node { line: 0, value: manifest::Value::Map(entries) }
            }
        },
    })
}

/// What a node costs.
const NODE_BYTES: usize = 96;

/// JSON has no bytes that are not text: they are U+FFFD by then.
fn text_node(context: &mut Context<'_>, text: &Text) -> Result<Node, FunctionError> {
    // Indentation and escapes.
    context.charge_bytes(text.len() * 4)?;
    if let Some(text) = text.as_str() {
        return Ok(Node::text(text));
    }
    let mut out = Plaintext::with_capacity(text.len() * 3);
    for (_, rune, _) in crate::go::runes::iterate(text.as_bytes()) {
        super::convert::push_rune(&mut out, rune);
    }
    Ok(Node::text(out))
}

/// A float as YAML finds it in JSON: a whole number below 10^21 is one there, if it fits 64 bits.
fn number(value: f64) -> Result<Node, FunctionError> {
    if !value.is_finite() {
        return Err(FunctionError::failed("json: unsupported value: a number that is not finite"));
    }
    let mut text = Vec::new();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    if value.fract() == 0.0 && (-9.223_372_036_854_775_8e18..1.844_674_407_370_955_2e19).contains(&value) {
        if value < 0.0 {
            text = (value as i64).to_string().into_bytes();
        } else {
            text = (value as u64).to_string().into_bytes();
        }
    } else {
        // go-yaml prints floats with %g.
        float::format(value, b'g', None, &mut text);
    }
    Ok(Node { line: 0, value: manifest::Value::Scalar(ScalarKind::Float, Plaintext::from(text)) })
}

/// A map in any case: sprig-style, what cannot be read is told under `Error`.
fn from_yaml(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args[0].as_text()?.as_bytes();
    context.charge_bytes(text.len() * 8)?;
    let told = |context: &mut Context<'_>, text: String| {
        context.map(BTreeMap::from([(Text::from("Error"), Value::from(text.as_str()))]))
    };
    let documents = match manifest::parse(text) {
        Ok(documents) => documents,
        Err(error) => return told(context, format!("error converting YAML to JSON: yaml: {error}")),
    };
    let Some(document) = documents.into_iter().next() else {
        return Ok(Map::nil(&Type::Any).into());
    };
    match document.root.value {
        manifest::Value::Null => Ok(Map::nil(&Type::Any).into()),
        manifest::Value::Map(_) => value(context, &document.root, 0),
        other => {
            let kind = match other {
                manifest::Value::List(_) => "array",
                manifest::Value::Scalar(ScalarKind::Bool, _) => "bool",
                manifest::Value::Scalar(ScalarKind::Text, _) => "string",
                _ => "number",
            };
            let text = format!(
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            );
            told(context, text)
        }
    }
}

fn value(context: &mut Context<'_>, node: &Node, depth: usize) -> Result<Value, FunctionError> {
    context.check_depth(depth)?;
    context.charge_steps(1)?;
    match &node.value {
        manifest::Value::Null => Ok(Value::Nil),
        manifest::Value::Scalar(ScalarKind::Text, text) => context.text(text.duplicate()),
        manifest::Value::Scalar(ScalarKind::Bool, text) => Ok(Value::Bool(text.expose() == b"true")),
        manifest::Value::Scalar(_, text) => {
            let number = text.expose_str().and_then(|text| text.parse::<f64>().ok());
            Ok(number.map_or(Value::Nil, Value::Float))
        }
        manifest::Value::List(items) => {
            let mut values = Vec::with_capacity(items.len());
            for item in items {
                values.push(value(context, item, depth + 1)?);
            }
            context.list(values)
        }
        manifest::Value::Map(entries) => {
            let mut values = BTreeMap::new();
            for (key, item) in entries {
                let item = value(context, item, depth + 1)?;
                values.insert(Text::from(key.as_str()), item);
            }
            context.map(values)
        }
    }
}
