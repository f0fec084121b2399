//! Trees into typed objects (serde), with errors that say where and never what.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Visitor, value::StrDeserializer,
};
use serde::forward_to_deserialize_any;

use super::node::{Node, ScalarKind, Value};

/// A tree that does not have the wanted shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// Line, from 1; 0 where it is not known (JSON).
    pub line: usize,
    /// Keys from the top, joined by dots.
    pub path: String,
    /// What is wrong, without the value.
    pub problem: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ReadError {}

impl Node {
    /// Reads the tree into a type.
    ///
    /// A text field takes any scalar in the form that Kubernetes gives it.
    ///
    /// # Errors
    /// Returns the place that does not fit.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        T::deserialize(self)
    }
}

impl ReadError {
    fn new(problem: impl Into<String>) -> Self {
        Self { line: 0, path: String::new(), problem: problem.into() }
    }

    /// Adds the place on the way up: the innermost line wins, keys are put in front.
    fn within(mut self, key: &str, line: usize) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self.path = if self.path.is_empty() { key.to_owned() } else { format!("{key}.{}", self.path) };
        self
    }
}

impl de::Error for ReadError {
    /// Drops the message: serde and hand-written readers quote values in it.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new("the value does not fit here")
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        use de::Unexpected as U;
        let found = match found {
            U::Bool(_) => "a boolean",
            U::Unsigned(_) | U::Signed(_) => "a whole number",
            U::Float(_) => "a number",
            U::Char(_) | U::Str(_) | U::Bytes(_) => "text",
            U::Unit | U::Option => "nothing",
            U::Seq => "a list",
            U::Map => "a map",
            _ => "something else",
        };
        Self::new(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the field {field} is missing"))
    }
}

impl<'de> Deserializer<'de> for &Node {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Scalar(kind, text) => {
                let Some(words) = text.expose_str() else { return visitor.visit_bytes(text.expose()) };
                match kind {
                    ScalarKind::Bool => visitor.visit_bool(words == "true"),
                    ScalarKind::Int => match (words.parse::<i64>(), words.parse::<u64>()) {
                        (Ok(number), _) => visitor.visit_i64(number),
                        (_, Ok(number)) => visitor.visit_u64(number),
                        _ => Err(ReadError::new("the number does not fit into 64 bits")),
                    },
                    ScalarKind::Float => visitor.visit_f64(words.parse().map_err(ReadError::custom)?),
                    ScalarKind::Text => visitor.visit_str(words),
                }
            }
            Value::List(items) => visitor.visit_seq(List { items, at: 0 }),
            Value::Map(entries) => visitor.visit_map(Map { entries, at: 0 }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::Scalar(_, text) => match text.expose_str() {
                Some(words) => visitor.visit_str(words),
                None => visitor.visit_bytes(text.expose()),
            },
            Value::Null => visitor.visit_str(""),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::Scalar(_, text) => {
                let words = text.expose_str().unwrap_or_default();
                visitor.visit_enum(StrDeserializer::<ReadError>::new(words))
            }
            Value::Map(entries) => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(Map { entries, at: 0 }))
            }
            _ => Err(ReadError::new("expected a word")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct List<'a> {
    items: &'a [Node],
    at: usize,
}

impl<'de> de::SeqAccess<'de> for List<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(item) = self.items.get(self.at) else { return Ok(None) };
        self.at += 1;
        seed.deserialize(item)
            .map(Some)
            .map_err(|error| error.within(&format!("[{}]", self.at - 1), item.line))
    }
}

struct Map<'a> {
    entries: &'a [(String, Node)],
    at: usize,
}

impl<'de> de::MapAccess<'de> for Map<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        match self.entries.get(self.at) {
            Some((key, _)) => seed.deserialize(StrDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let (key, node) = &self.entries[self.at];
        self.at += 1;
        seed.deserialize(node).map_err(|error| error.within(key, node.line))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::Plaintext;
    use crate::manifest::parse;

    #[derive(Deserialize, Debug)]
    struct Sample {
        name: String,
        #[serde(default)]
        count: Option<i64>,
        #[serde(default)]
        data: BTreeMap<String, Plaintext>,
    }

    fn read(text: &str) -> Result<Sample, String> {
        parse(text.as_bytes()).unwrap()[0].root.read().map_err(|error: ReadError| error.to_string())
    }

    #[test]
    fn text_fields_take_words_and_numbers() {
        let sample = read("name: yes\ncount: 3\ndata: {a: 1, b: x}\n").unwrap();
        assert_eq!((sample.name.as_str(), sample.count), ("true", Some(3)));
        assert_eq!(sample.data["a"].expose(), b"1");
    }

    #[test]
    fn errors_name_line_and_path_and_no_value() {
        assert_eq!(
            read("name: x\ndata:\n  a: [hunter2]\n").unwrap_err(),
            "line 3: data.a: expected text, found a list"
        );
        assert_eq!(read("name: x\ncount: hunter2\n").unwrap_err(), "line 2: count: expected i64, found text");
        assert_eq!(read("count: 1\n").unwrap_err(), "the field name is missing");
    }
}
