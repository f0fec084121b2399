//! Types and comparison.

use super::Function;
use super::convert::panics;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

const ANY: &[Type] = &[Type::Any];
const STRING_ANY: &[Type] = &[Type::String, Type::Any];

pub(crate) const TABLE: &[Function] = &[
    Function::new("typeOf", ANY, |_, args| Ok(Value::from(args[0].type_name().as_str()))),
    Function::new("typeIs", STRING_ANY, |_, args| {
        Ok((args[0].as_text()?.as_bytes() == args[1].type_name().as_bytes()).into())
    }),
    Function::new("typeIsLike", STRING_ANY, |_, args| {
        let (target, name) = (args[0].as_text()?.as_bytes(), args[1].type_name());
        Ok((target == name.as_bytes()
            || name.strip_prefix('*').is_some_and(|name| target == name.as_bytes()))
        .into())
    }),
    Function::new("kindOf", ANY, |_, args| Ok(Value::from(args[0].kind_name()))),
    Function::new("kindIs", STRING_ANY, |_, args| {
        Ok((args[0].as_text()?.as_bytes() == args[1].kind_name().as_bytes()).into())
    }),
    Function::new("deepEqual", &[Type::Any, Type::Any], |context, args| {
        Ok(deep_equal(context, &args[0], &args[1])?.into())
    }),
    Function::new("fail", &[Type::String], |_, args| match args[0].as_text()? {
        text if text.is_literal() => {
            Err(FunctionError::failed(String::from_utf8_lossy(text.as_bytes()).into_owned()))
        }
        // A text that was computed may hold a value.
        _ => panics("the template says so, in a text that is not shown since it may hold a value"),
    }),
];

/// `reflect.DeepEqual`
pub(super) fn deep_equal(context: &mut Context<'_>, a: &Value, b: &Value) -> Result<bool, FunctionError> {
    equal_below(context, a, b, 0)
}

fn equal_below(context: &mut Context<'_>, a: &Value, b: &Value, depth: usize) -> Result<bool, FunctionError> {
    context.charge_steps(1)?;
    context.check_depth(depth)?;
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(kind, a), Value::Int(other, b)) => kind == other && a == b,
        (Value::Uint(kind, a), Value::Uint(other, b)) => kind == other && a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::String(a), Value::String(b)) | (Value::Bytes(a), Value::Bytes(b)) => {
            context.charge_steps(a.len() as u64 / 128)?;
            a == b
        }
        (Value::List(a), Value::List(b)) => {
            if a.element() != b.element() || a.is_nil() != b.is_nil() || a.len() != b.len() {
                return Ok(false);
            }
            if std::ptr::eq(a.items(), b.items()) {
                return Ok(true);
            }
            for (a, b) in a.items().iter().zip(b.items()) {
                if !equal_below(context, a, b, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.element() != b.element() || a.is_nil() != b.is_nil() || a.len() != b.len() {
                return Ok(false);
            }
            if a.is_same(b) {
                return Ok(true);
            }
            for (key, value) in a.entries() {
                let Some(other) = b.get(key.as_bytes()) else { return Ok(false) };
                if !equal_below(context, &value, &other, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Time(a), Value::Time(b)) => {
            (a.seconds, a.nanos, a.offset, &a.zone) == (b.seconds, b.nanos, b.offset, &b.zone)
        }
        (Value::Struct(a), Value::Struct(b)) => {
            if a.type_name != b.type_name || a.fields.len() != b.fields.len() {
                return Ok(false);
            }
            for ((_, a), (_, b)) in a.fields.iter().zip(&b.fields) {
                if !equal_below(context, a, b, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (a, b) => a.is_nil() && b.is_nil(),
    })
}
