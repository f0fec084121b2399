//! JSON texts: one or more objects, one after another.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::node::{Document, Entries, Node, ScalarKind, Value};
use super::{ParseError, scalar};
use crate::Plaintext;

/// Parses a stream of JSON values. serde_json bounds the nesting (128).
pub(super) fn parse(text: &str) -> Result<Vec<Document>, ParseError> {
    serde_json::Deserializer::from_str(text)
        .into_iter::<Node>()
        .map(|result| match result {
            Ok(root) => Ok(Document { root, warnings: Vec::new() }),
            Err(error) => Err(ParseError::Syntax {
                line: error.line(),
                column: error.column(),
                problem: "this is not JSON".to_owned(),
            }),
        })
        .collect()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(Tree)?;
        Ok(Self { line: 0, value })
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Node::bool(value).value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(ScalarKind::Int, value.to_string().into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(ScalarKind::Int, value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(ScalarKind::Float, scalar::float_text(value).into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Scalar(ScalarKind::Text, text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Scalar(ScalarKind::Text, Plaintext::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Entries::default();
        while let Some((key, node)) = access.next_entry()? {
            entries.put(key, node);
        }
        Ok(Value::Map(entries.finish()))
    }
}
