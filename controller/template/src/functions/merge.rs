//! Deep merging of maps: dario.cat/mergo 1.0.1, with what it does to interface values, intended or not.

use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{List, Map, Text, Type, Value};

/// Which side wins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Only what is missing or empty is taken over.
    Fill,
    /// Everything is taken over.
    Overwrite,
}

/// Merges `source` into `target` in place; `false` where mergo reports different types.
pub(super) fn merge(
    context: &mut Context<'_>,
    target: &Map,
    source: &Map,
    mode: Mode,
    depth: usize,
) -> Result<bool, FunctionError> {
    context.check_depth(depth)?;
    // Whether the target is empty counts for the first key only in the order of Go, which is none; see below.
    for (key, value) in source.entries() {
        context.charge_steps(1)?;
        let own = target.get(key.as_bytes());
        if value.is_nil() {
            if mode == Mode::Overwrite {
                put(context, target, source, key, Value::Nil)?;
            }
            continue;
        }
        match (&own, &value) {
            (Some(Value::Map(inner)), Value::Map(from)) if !inner.is_nil() => {
                if !merge(context, inner, from, mode, depth + 1)? {
                    return Ok(false);
                }
            }
            (Some(Value::Struct(pointer)), Value::Map(_)) if pointer.type_name.starts_with('*') => {
                if mode == Mode::Fill {
                    return Ok(false);
                }
            }
            // A slice takes the place of a value before its emptiness is looked at.
            (Some(_), Value::List(_) | Value::Bytes(_)) if mode == Mode::Overwrite => {
                put(context, target, source, key.clone(), value.clone())?;
            }
            _ => {}
        }
        let filled = own.as_ref().is_some_and(|own| !is_empty(own));
        let both_maps = matches!((&own, &value), (Some(Value::Map(_)), Value::Map(_)));
        if filled && (both_maps || matches!(value, Value::List(_) | Value::Bytes(_))) {
            continue;
        }
        if mode == Mode::Overwrite || !filled {
            put(context, target, source, key, value)?;
        }
    }
    Ok(true)
}

/// mergo's `isEmptyValue`
fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(list) => List::is_empty(list),
        Value::Map(map) => map.is_empty(),
        other => !other.is_true(),
    }
}

/// Sets an entry, if Go could assign the element of one map to the other.
fn put(
    context: &mut Context<'_>,
    target: &Map,
    source: &Map,
    key: Text,
    value: Value,
) -> Result<(), FunctionError> {
    if *target.element() != Type::Any && *target.element() != *source.element() {
        return Err(FunctionError::failed(format!(
            "reflect.Value.SetMapIndex: value of type {} is not assignable to type {}",
            source.element(),
            target.element()
        )));
    }
    target.insert(context, key, value)
}
