//! Slash-separated paths: Go's `path`, which on Linux is `path/filepath` too.

use super::Function;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

const STRING: &[Type] = &[Type::String];

pub(crate) const TABLE: &[Function] = &[
    Function::new("base", STRING, base),
    Function::new("osBase", STRING, base),
    Function::new("dir", STRING, dir),
    Function::new("osDir", STRING, dir),
    Function::new("clean", STRING, |context, args| clean_value(context, args[0].as_text()?.as_bytes())),
    Function::new("osClean", STRING, |context, args| clean_value(context, args[0].as_text()?.as_bytes())),
    Function::new("ext", STRING, ext),
    Function::new("osExt", STRING, ext),
    Function::new("isAbs", STRING, is_abs),
    Function::new("osIsAbs", STRING, is_abs),
];

fn base(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut path = args[0].as_text()?.as_bytes();
    if path.is_empty() {
        return Ok(Value::from("."));
    }
    while let [rest @ .., b'/'] = path {
        path = rest;
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.is_empty() { Ok(Value::from("/")) } else { context.text(name) }
}

fn dir(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let path = args[0].as_text()?.as_bytes();
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    clean_value(context, &path[..end])
}

fn clean_value(context: &mut Context<'_>, path: &[u8]) -> Result<Value, FunctionError> {
    context.charge_bytes(path.len())?;
    context.text(clean(path))
}

/// `path.Clean`
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    let body = parts.join(&b'/');
    match (rooted, body.is_empty()) {
        (true, _) => [b"/", body.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => body,
    }
}

fn ext(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let name = args[0].as_text()?.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|byte| *byte == b'.').unwrap_or(name.len());
    context.text(&name[dot..])
}

fn is_abs(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(args[0].as_text()?.as_bytes().starts_with(b"/").into())
}
