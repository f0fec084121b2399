//! JSON, as Go's `encoding/json` writes and reads it.

mod read;
mod write;

use super::Function;
use super::convert::panics;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

pub(super) use write::{Style, encode};

const ANY: &[Type] = &[Type::Any];
const STRING: &[Type] = &[Type::String];

pub(crate) const TABLE: &[Function] = &[
    Function::new("toJson", ANY, |context, args| or_empty(context, &args[0], Style::Html)),
    Function::new("mustToJson", ANY, |context, args| {
        encode(context, &args[0], Style::Html).map(Value::string)
    }),
    Function::new("toPrettyJson", ANY, |context, args| or_empty(context, &args[0], Style::Pretty)),
    Function::new("mustToPrettyJson", ANY, |context, args| {
        encode(context, &args[0], Style::Pretty).map(Value::string)
    }),
    Function::new("toRawJson", ANY, |context, args| encode(context, &args[0], Style::Raw).map(Value::string)),
    Function::new("mustToRawJson", ANY, |context, args| {
        encode(context, &args[0], Style::Raw).map(Value::string)
    }),
    Function::new("fromJson", STRING, |context, args| {
        let parsed = read::decode(context, args[0].as_text()?.as_bytes())?;
        Ok(parsed.value)
    }),
    Function::new("mustFromJson", STRING, |context, args| {
        let parsed = read::decode(context, args[0].as_text()?.as_bytes())?;
        match parsed.problem {
            Some(problem) => panics(problem),
            None => Ok(parsed.value),
        }
    }),
];

/// Nothing where a value has no JSON, as sprig drops the error. A spent budget is one.
fn or_empty(context: &mut Context<'_>, value: &Value, style: Style) -> Result<Value, FunctionError> {
    match encode(context, value, style) {
        Err(FunctionError::Failed(_)) => Ok(Value::from("")),
        result => result.map(Value::string),
    }
}
