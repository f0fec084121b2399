//! Go's built-in functions (`text/template/funcs.go`).

use super::{Function, Special};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::FunctionError;
use crate::functions::{compare, escape};
use crate::print;
use crate::value::{List, Map, Text, Type, UintKind, Value};

type Called = Result<Value, FunctionError>;

pub(crate) const TABLE: &[Function] = &[
    Function::variadic("and", &[Type::Reflect], Type::Reflect, done_by_the_engine).special(Special::And),
    Function::variadic("or", &[Type::Reflect], Type::Reflect, done_by_the_engine).special(Special::Or),
    Function::variadic("call", &[Type::Reflect], Type::Reflect, done_by_the_engine).special(Special::Call),
    Function::new("not", &[Type::Reflect], |_, arguments| Ok(Value::Bool(!arguments[0].is_true()))),
    Function::variadic("index", &[Type::Reflect], Type::Reflect, index),
    Function::variadic("slice", &[Type::Reflect], Type::Reflect, slice),
    Function::new("len", &[Type::Reflect], length),
    Function::variadic("print", &[], Type::Any, print),
    Function::variadic("printf", &[Type::String], Type::Any, printf),
    Function::variadic("println", &[], Type::Any, println),
    Function::variadic("html", &[], Type::Any, escape::html),
    Function::variadic("js", &[], Type::Any, escape::js),
    Function::variadic("urlquery", &[], Type::Any, escape::urlquery),
    Function::variadic("eq", &[Type::Reflect], Type::Reflect, compare::eq),
    Function::new("ne", &[Type::Reflect, Type::Reflect], compare::ne),
    Function::new("lt", &[Type::Reflect, Type::Reflect], compare::lt),
    Function::new("le", &[Type::Reflect, Type::Reflect], compare::le),
    Function::new("gt", &[Type::Reflect, Type::Reflect], compare::gt),
    Function::new("ge", &[Type::Reflect, Type::Reflect], compare::ge),
];

fn done_by_the_engine(_: &mut Context<'_>, _: &[Value]) -> Called {
    Err(FunctionError::failed("internal error: not a plain function"))
}

fn print(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    let mut out = Buffer::new();
    print::print(context, &mut out, arguments)?;
    Ok(out.into_value())
}

fn println(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    let mut out = Buffer::new();
    print::println(context, &mut out, arguments)?;
    Ok(out.into_value())
}

fn printf(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    let mut out = Buffer::new();
    print::printf(context, &mut out, arguments[0].as_text()?.as_bytes(), &arguments[1..])?;
    Ok(out.into_value())
}

fn length(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    let length = match &arguments[0] {
        Value::String(text) | Value::Bytes(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Nil => return Err(FunctionError::failed("len of nil pointer")),
        // Go asks an invalid value for its type.
        Value::Missing => {
            return Err(FunctionError::failed("reflect: call of reflect.Value.Type on zero Value"));
        }
        other => return Err(FunctionError::failed(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::int(length as i64))
}

/// Returns a position in something with `capacity` places. Go shows a position that is out of range.
fn position(index: &Value, capacity: usize) -> Result<usize, FunctionError> {
    let position = match index {
        Value::Int(_, index) | Value::Duration(index) => usize::try_from(*index).ok(),
        Value::Uint(_, index) => usize::try_from(*index).ok(),
        Value::Nil | Value::Missing => {
            return Err(FunctionError::failed("cannot index slice/array with nil"));
        }
        other => {
            let text = format!("cannot index slice/array with type {}", other.type_name());
            return Err(FunctionError::failed(text));
        }
    };
    position
        .filter(|position| *position <= capacity)
        .ok_or_else(|| FunctionError::failed("index out of range"))
}

fn index(_: &mut Context<'_>, arguments: &[Value]) -> Called {
    let mut item = arguments[0].clone();
    if item.is_nil() {
        return Err(FunctionError::failed("index of untyped nil"));
    }
    for index in &arguments[1..] {
        item = match &item {
            Value::Nil | Value::Missing => return Err(FunctionError::failed("index of nil pointer")),
            Value::String(text) | Value::Bytes(text) => {
                let at = position(index, text.len())?;
                let byte = text.as_bytes().get(at).ok_or_else(|| out_of_range(&item))?;
                Value::Uint(UintKind::Uint8, u64::from(*byte))
            }
            Value::List(list) => {
                let at = position(index, list.len())?;
                list.items().get(at).cloned().ok_or_else(|| out_of_range(&item))?
            }
            Value::Map(map) => entry(map, index)?,
            other => {
                return Err(FunctionError::failed(format!("can't index item of type {}", other.type_name())));
            }
        };
    }
    Ok(item)
}

/// One beyond the end passes the check of positions and fails in `reflect`.
fn out_of_range(item: &Value) -> FunctionError {
    let kind = if matches!(item, Value::String(_)) { "string" } else { "slice" };
    FunctionError::failed(format!("reflect: {kind} index out of range"))
}

fn entry(map: &Map, index: &Value) -> Called {
    match index {
        Value::String(key) => Ok(map.get(key.as_bytes()).unwrap_or_else(|| zero(map.element()))),
        Value::Nil | Value::Missing => Err(FunctionError::failed("value is nil; should be of type string")),
        other => {
            Err(FunctionError::failed(format!("value has type {}; should be string", other.type_name())))
        }
    }
}

/// Returns the zero value of a map's element type.
fn zero(element: &Type) -> Value {
    if *element == Type::String { Value::from("") } else { Value::Nil }
}

fn slice(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    let (item, indexes) = (&arguments[0], &arguments[1..]);
    if item.is_nil() {
        return Err(FunctionError::failed("slice of untyped nil"));
    }
    if indexes.len() > 3 {
        return Err(FunctionError::failed(format!("too many slice indexes: {}", indexes.len())));
    }
    let length = match item {
        Value::String(_) if indexes.len() == 3 => {
            return Err(FunctionError::failed("cannot 3-index slice a string"));
        }
        Value::String(text) | Value::Bytes(text) => text.len(),
        Value::List(list) => list.len(),
        other => {
            return Err(FunctionError::failed(format!("can't slice item of type {}", other.type_name())));
        }
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, length)?;
    }
    let [from, to, end] = bounds;
    if from > to || to > end {
        return Err(FunctionError::failed("invalid slice index"));
    }
    Ok(match item {
        Value::String(text) => context.text(&text.as_bytes()[from..to])?,
        Value::Bytes(text) => {
            context.charge_bytes(to - from)?;
            Value::Bytes(Text::from(&text.as_bytes()[from..to]))
        }
        Value::List(list) => {
            context.charge_bytes((to - from) * size_of::<Value>())?;
            Value::List(List::of(list.element(), list.items()[from..to].to_vec()))
        }
        _ => Value::Missing,
    })
}
