//! Dictionaries.

use std::collections::BTreeMap;

use super::Function;
use super::convert::{panics, strval};
use super::merge::{Mode, merge};
use super::strings::strings;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Map, Text, Type, Value};

const DICT_STRING: &[Type] = &[Type::DICT, Type::String];
const ANY: &[Type] = &[Type::Any];

pub(crate) const TABLE: &[Function] = &[
    Function::variadic("dict", &[], Type::Any, dict),
    Function::new("get", DICT_STRING, |_, args| {
        Ok(args[0].as_map()?.get(args[1].as_text()?.as_bytes()).unwrap_or_else(|| Value::from("")))
    }),
    Function::new("set", &[Type::DICT, Type::String, Type::Any], |context, args| {
        args[0].as_map()?.insert(context, args[1].as_text()?.clone(), args[2].clone())?;
        Ok(args[0].clone())
    }),
    Function::new("unset", DICT_STRING, |_, args| {
        drop(args[0].as_map()?.remove(args[1].as_text()?.as_bytes()));
        Ok(args[0].clone())
    }),
    Function::new("hasKey", DICT_STRING, |_, args| {
        Ok(args[0].as_map()?.contains(args[1].as_text()?.as_bytes()).into())
    }),
    Function::variadic("pluck", &[Type::String], Type::DICT, |context, args| {
        let key = args[0].as_text()?.as_bytes();
        let maps: Vec<&Map> = args[1..].iter().map(Value::as_map).collect::<Result<_, _>>()?;
        context.list(maps.into_iter().filter_map(|map| map.get(key)).collect())
    }),
    Function::variadic("keys", &[], Type::DICT, |context, args| {
        let mut keys = Vec::new();
        for map in args {
            context.charge_bytes(map.as_map()?.len() * size_of::<Value>())?;
            keys.append(&mut map.as_map()?.keys());
        }
        strings(context, keys)
    }),
    Function::new("values", &[Type::DICT], |context, args| {
        let map = args[0].as_map()?;
        context.charge_bytes(map.len() * size_of::<Value>())?;
        context.list(map.entries().into_iter().map(|(_, value)| value).collect())
    }),
    Function::variadic("pick", &[Type::DICT], Type::String, |context, args| {
        let map = args[0].as_map()?;
        let mut picked = BTreeMap::new();
        for key in &args[1..] {
            if let Some(value) = map.get(key.as_text()?.as_bytes()) {
                picked.insert(key.as_text()?.clone(), value);
            }
        }
        context.map(picked)
    }),
    Function::variadic("omit", &[Type::DICT], Type::String, |context, args| {
        let map = args[0].as_map()?;
        context.charge_steps(map.len() as u64)?;
        let mut kept: BTreeMap<Text, Value> = map.entries().into_iter().collect();
        for key in &args[1..] {
            drop(kept.remove(key.as_text()?));
        }
        context.map(kept)
    }),
    Function::variadic("merge", &[Type::DICT], Type::DICT, |context, args| {
        merge_all(context, args, Mode::Fill).map(|done| if done { args[0].clone() } else { Value::from("") })
    }),
    Function::variadic("mergeOverwrite", &[Type::DICT], Type::DICT, |context, args| {
        merge_all(context, args, Mode::Overwrite)
            .map(|done| if done { args[0].clone() } else { Value::from("") })
    }),
    Function::variadic("mustMerge", &[Type::DICT], Type::DICT, |context, args| {
        if merge_all(context, args, Mode::Fill)? { Ok(args[0].clone()) } else { panics(DIFFERENT) }
    }),
    Function::variadic("mustMergeOverwrite", &[Type::DICT], Type::DICT, |context, args| {
        if merge_all(context, args, Mode::Overwrite)? { Ok(args[0].clone()) } else { panics(DIFFERENT) }
    }),
    Function::new("deepCopy", ANY, deep_copy),
    Function::new("mustDeepCopy", ANY, deep_copy),
    Function::variadic("dig", &[], Type::Any, dig),
];

const DIFFERENT: &str = "src and dst must be of same type";

fn dict(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut entries = BTreeMap::new();
    for pair in args.chunks(2) {
        let key = strval(context, &pair[0])?;
        entries.insert(key, pair.get(1).cloned().unwrap_or_else(|| Value::from("")));
    }
    context.map(entries)
}

/// Merges every further map into the first; `false` where the types do not go together.
fn merge_all(context: &mut Context<'_>, args: &[Value], mode: Mode) -> Result<bool, FunctionError> {
    for source in &args[1..] {
        if !merge(context, args[0].as_map()?, source.as_map()?, mode, 0)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// mitchellh/copystructure 1.2.0
fn deep_copy(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if args[0].is_nil() {
        return panics("reflect: call of reflect.Value.Type on zero Value");
    }
    copy_below(context, &args[0], 0)
}

fn copy_below(context: &mut Context<'_>, value: &Value, depth: usize) -> Result<Value, FunctionError> {
    context.check_depth(depth)?;
    match value {
        Value::List(list) if !list.is_nil() => {
            let mut items = Vec::new();
            for item in list.items() {
                items.push(copy_below(context, item, depth + 1)?);
            }
            context.list_of(list.element(), items)
        }
        Value::Map(map) if !map.is_nil() => {
            let mut entries = BTreeMap::new();
            for (key, value) in map.entries() {
                entries.insert(key, copy_below(context, &value, depth + 1)?);
            }
            if *map.element() == Type::Any {
                return context.map(entries);
            }
            let texts = entries.into_iter().map(|(key, value)| Ok((key, value.as_text()?.clone())));
            let texts: Vec<_> = texts.collect::<Result<_, FunctionError>>()?;
            context.charge_bytes(texts.len() * crate::value::ENTRY_BYTES)?;
            Ok(Map::of_strings(texts).into())
        }
        other => {
            context.charge_steps(1)?;
            Ok(other.clone())
        }
    }
}

fn dig(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [keys @ .., default, dict] = args else {
        return panics("dig needs at least three arguments");
    };
    if keys.is_empty() {
        return panics("dig needs at least three arguments");
    }
    let dictionary = |value: &Value| match value {
        Value::Map(map) if *map.element() == Type::Any => Ok(map.clone()),
        other => Err(FunctionError::failed(format!(
            "interface conversion: interface {{}} is {}, not map[string]interface {{}}",
            other.type_name().replace("<nil>", "nil")
        ))),
    };
    let mut current = dictionary(dict)?;
    for key in keys {
        key.as_text()?;
    }
    for (index, key) in keys.iter().enumerate() {
        context.charge_steps(1)?;
        let Some(step) = current.get(key.as_text()?.as_bytes()) else { return Ok(default.clone()) };
        if index + 1 == keys.len() {
            return Ok(step);
        }
        current = dictionary(&step)?;
    }
    Ok(default.clone())
}
