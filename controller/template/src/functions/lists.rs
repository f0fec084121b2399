//! Lists.

use super::Function;
use super::Origin::{ExternalSecrets, SealedSecrets};
use super::convert::{OUT_OF_RANGE, elements, panics, to_int, truncate};
use super::reflection::deep_equal;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{List, Text, Type, Value};

const ANY: &[Type] = &[Type::Any];
const ANY_2: &[Type] = &[Type::Any, Type::Any];
const INT_ANY: &[Type] = &[Type::INT, Type::Any];

pub(crate) const TABLE: &[Function] = &[
    Function::variadic("list", &[], Type::Any, list),
    Function::variadic("tuple", &[], Type::Any, list),
    Function::new("append", ANY_2, push),
    Function::new("push", ANY_2, push),
    Function::new("mustAppend", ANY_2, push),
    Function::new("mustPush", ANY_2, push),
    Function::new("prepend", ANY_2, prepend),
    Function::new("mustPrepend", ANY_2, prepend),
    Function::new("first", ANY, first),
    Function::new("mustFirst", ANY, first),
    Function::new("rest", ANY, rest),
    Function::new("mustRest", ANY, rest),
    Function::new("last", ANY, last),
    Function::new("mustLast", ANY, last),
    Function::new("initial", ANY, initial),
    Function::new("mustInitial", ANY, initial),
    Function::new("reverse", ANY, reverse),
    Function::new("mustReverse", ANY, reverse),
    Function::new("compact", ANY, compact),
    Function::new("mustCompact", ANY, compact),
    Function::new("uniq", ANY, uniq),
    Function::new("mustUniq", ANY, uniq),
    Function::variadic("without", ANY, Type::Any, without),
    Function::variadic("mustWithout", ANY, Type::Any, without),
    Function::new("has", ANY_2, has),
    Function::new("mustHas", ANY_2, has),
    Function::variadic("slice", ANY, Type::Any, slice::<false>).only(SealedSecrets),
    Function::variadic("slice", ANY, Type::Any, slice::<true>).only(ExternalSecrets),
    Function::variadic("mustSlice", ANY, Type::Any, slice::<false>).only(SealedSecrets),
    Function::variadic("mustSlice", ANY, Type::Any, slice::<true>).only(ExternalSecrets),
    Function::variadic("concat", &[], Type::Any, concat),
    Function::new("chunk", INT_ANY, chunk),
    Function::new("mustChunk", INT_ANY, chunk),
];

/// Returns the items of a slice.
///
/// # Errors
/// Nil, with which Go panics, and everything else that is no slice; `what` is sprig's beginning of the text.
fn items(context: &mut Context<'_>, value: &Value, what: &str) -> Result<Vec<Value>, FunctionError> {
    if value.is_nil() {
        return panics("runtime error: invalid memory address or nil pointer dereference");
    }
    match elements(context, value)? {
        Some(items) => Ok(items),
        None => Err(FunctionError::failed(format!("{what} {}", value.kind_name()))),
    }
}

/// A nil `[]interface {}`, which some of these functions return for an empty list.
fn nil_list() -> Value {
    List::nil(&Type::Any).into()
}

fn list(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if args.is_empty() {
        // What Go's reflection makes of no arguments is an empty slice, not nil.
        return context.list(Vec::new());
    }
    context.list(args.to_vec())
}

fn push(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut items = items(context, &args[0], "Cannot push on type")?;
    items.push(args[1].clone());
    context.list(items)
}

fn prepend(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut items = items(context, &args[0], "Cannot prepend on type")?;
    items.insert(0, args[1].clone());
    context.list(items)
}

fn first(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let items = items(context, &args[0], "Cannot find first on type")?;
    Ok(items.first().cloned().unwrap_or(Value::Nil))
}

fn last(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let items = items(context, &args[0], "Cannot find last on type")?;
    Ok(items.last().cloned().unwrap_or(Value::Nil))
}

fn rest(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let items = items(context, &args[0], "Cannot find rest on type")?;
    items.get(1..).map_or_else(|| Ok(nil_list()), |rest| context.list(rest.to_vec()))
}

fn initial(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut items = items(context, &args[0], "Cannot find initial on type")?;
    if items.pop().is_none() { Ok(nil_list()) } else { context.list(items) }
}

fn reverse(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut items = items(context, &args[0], "Cannot find reverse on type")?;
    items.reverse();
    context.list(items)
}

fn compact(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut items = items(context, &args[0], "Cannot compact on type")?;
    items.retain(Value::is_true);
    context.list(items)
}

fn contains(context: &mut Context<'_>, items: &[Value], wanted: &Value) -> Result<bool, FunctionError> {
    for item in items {
        if deep_equal(context, wanted, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut kept = Vec::new();
    for item in items(context, &args[0], "Cannot find uniq on type")? {
        if !contains(context, &kept, &item)? {
            kept.push(item);
        }
    }
    context.list(kept)
}

fn without(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut kept = Vec::new();
    for item in items(context, &args[0], "Cannot find without on type")? {
        // sprig asks whether the item is among the omitted ones.
        if !contains(context, &args[1..], &item)? {
            kept.push(item);
        }
    }
    context.list(kept)
}

fn has(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if args[1].is_nil() {
        return Ok(false.into());
    }
    let items = items(context, &args[1], "Cannot find has on type")?;
    Ok(contains(context, &items, &args[0])?.into())
}

fn slice<const LENIENT: bool>(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let items = items(context, &args[0], "list should be type of slice or array but")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = args.get(1).map_or(0, to_int::<LENIENT>);
    let end = args.get(2).map_or_else(|| i64::try_from(items.len()).unwrap_or(0), to_int::<LENIENT>);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let Some(part) = range.and_then(|(start, end)| items.get(start..end)) else {
        return panics("reflect.Value.Slice: slice index out of bounds");
    };
    match (&args[0], range) {
        (Value::Bytes(bytes), Some((start, end))) => {
            Ok(Value::Bytes(Text::from(bytes.as_bytes().get(start..end).unwrap_or_default())))
        }
        (Value::List(list), _) => context.list_of(list.element(), part.to_vec()),
        _ => panics(OUT_OF_RANGE),
    }
}

fn concat(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut all = Vec::new();
    for list in args {
        all.append(&mut items(context, list, "Cannot concat type")?);
    }
    if all.is_empty() { Ok(nil_list()) } else { context.list(all) }
}

/// sprig's `chunk`, with what its arithmetic makes of sizes below 1.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "as upstream")]
fn chunk(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    const BAD_LENGTH: &str = "runtime error: makeslice: len out of range";
    let size = args[0].as_int()?;
    let items = items(context, &args[1], "Cannot chunk type")?;
    let length = items.len() as i64;
    let count = truncate(((length - 1) as f64 / size as f64).floor() + 1.0);
    let Ok(count) = usize::try_from(count) else { return panics(BAD_LENGTH) };
    if size < 1 && count > 0 {
        return panics(BAD_LENGTH);
    }
    let mut chunks = Vec::new();
    if count > 0 {
        for part in items.chunks(usize::try_from(size).unwrap_or(usize::MAX)) {
            chunks.push(context.list(part.to_vec())?);
        }
    }
    context.list_of(&Type::LIST, chunks)
}
