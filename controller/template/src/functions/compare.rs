//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use crate::context::Context;
use crate::error::FunctionError;
use crate::value::Value;

type Called = Result<Value, FunctionError>;
type Compared = Result<bool, FunctionError>;

/// The kinds that compare with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Uint,
    Float,
    String,
    Other,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(..) | Value::Duration(_) => Basic::Int,
        Value::Uint(..) => Basic::Uint,
        Value::Float(_) => Basic::Float,
        Value::String(_) => Basic::String,
        _ => Basic::Other,
    }
}

fn incompatible(left: &Value, right: &Value) -> FunctionError {
    let text = format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name());
    FunctionError::failed(text)
}

fn invalid() -> FunctionError {
    FunctionError::failed("invalid type for comparison")
}

pub(super) fn eq(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    let (first, rest) = (&arguments[0], &arguments[1..]);
    if rest.is_empty() {
        return Err(FunctionError::failed("missing argument for comparison"));
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(left: &Value, right: &Value) -> Compared {
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(_, left) | Value::Duration(left), Value::Int(_, right) | Value::Duration(right)) => {
            left == right
        }
        (Value::Uint(_, left), Value::Uint(_, right)) => left == right,
        (Value::Int(_, int) | Value::Duration(int), Value::Uint(_, uint))
        | (Value::Uint(_, uint), Value::Int(_, int) | Value::Duration(int)) => {
            u64::try_from(*int) == Ok(*uint)
        }
        (Value::Float(left), Value::Float(right)) => left == right,
        (Value::String(left), Value::String(right)) => left == right,
        _ if basic(left) != basic(right) => {
            if !left.is_nil() && !right.is_nil() {
                return Err(incompatible(left, right));
            }
            false
        }
        _ => equal_other(left, right)?,
    })
}

/// Compares what is of no basic kind. Go shows the values in these errors.
fn equal_other(left: &Value, right: &Value) -> Compared {
    if !left.is_nil() && !right.is_nil() && left.kind_name() != right.kind_name() {
        let text = format!("non-comparable types {}, {}", left.type_name(), right.type_name());
        return Err(FunctionError::failed(text));
    }
    let (no_left, no_right) = (is_no_value(left), is_no_value(right));
    if no_left || no_right {
        return Ok(no_left == no_right);
    }
    match (left, right) {
        (Value::Time(left), Value::Time(right)) => Ok((left.seconds, left.nanos, left.offset)
            == (right.seconds, right.nanos, right.offset)
            && left.zone == right.zone),
        (Value::Struct(left), Value::Struct(right)) => Ok(std::rc::Rc::ptr_eq(left, right)),
        _ => Err(FunctionError::failed(format!("non-comparable type {}", right.type_name()))),
    }
}

/// Nothing, a nil slice, or a nil map.
fn is_no_value(value: &Value) -> bool {
    match value {
        Value::List(list) => list.is_nil(),
        Value::Map(map) => map.is_nil(),
        other => other.is_nil(),
    }
}

fn less(left: &Value, right: &Value) -> Compared {
    if basic(left) == Basic::Other || basic(right) == Basic::Other {
        return Err(invalid());
    }
    Ok(match (left, right) {
        (Value::Int(_, left) | Value::Duration(left), Value::Int(_, right) | Value::Duration(right)) => {
            left < right
        }
        (Value::Uint(_, left), Value::Uint(_, right)) => left < right,
        (Value::Int(_, left) | Value::Duration(left), Value::Uint(_, right)) => {
            u64::try_from(*left).map_or(true, |left| left < *right)
        }
        (Value::Uint(_, left), Value::Int(_, right) | Value::Duration(right)) => {
            u64::try_from(*right).is_ok_and(|right| *left < right)
        }
        (Value::Float(left), Value::Float(right)) => left < right,
        (Value::String(left), Value::String(right)) => left < right,
        (Value::Bool(_), Value::Bool(_)) => return Err(invalid()),
        _ => return Err(incompatible(left, right)),
    })
}

fn less_or_equal(left: &Value, right: &Value) -> Compared {
    Ok(less(left, right)? || equal(left, right)?)
}

pub(super) fn ne(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    Ok(Value::Bool(!equal(&arguments[0], &arguments[1])?))
}

pub(super) fn lt(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    Ok(Value::Bool(less(&arguments[0], &arguments[1])?))
}

pub(super) fn le(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    Ok(Value::Bool(less_or_equal(&arguments[0], &arguments[1])?))
}

pub(super) fn gt(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    Ok(Value::Bool(!less_or_equal(&arguments[0], &arguments[1])?))
}

pub(super) fn ge(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    Ok(Value::Bool(!less(&arguments[0], &arguments[1])?))
}
