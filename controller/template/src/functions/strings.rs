//! Strings: cutting, searching, joining.

use sealops_formats::Plaintext;

use super::Function;
use super::convert::{OUT_OF_RANGE, panics, push_rune, sprint, strslice, strval};
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::quote::quote;
use crate::go::runes::{decode, iterate};
use crate::value::{Map, Text, Type, Value};

const INT_STRING: &[Type] = &[Type::INT, Type::String];
const STRING: &[Type] = &[Type::String];
const STRING_2: &[Type] = &[Type::String, Type::String];
const STRING_3: &[Type] = &[Type::String, Type::String, Type::String];

pub(crate) const TABLE: &[Function] = &[
    Function::new("hello", &[], |_, _| Ok(Value::from("Hello!"))),
    Function::new("abbrev", INT_STRING, |context, args| abbreviate(context, 0, args[0].as_int()?, &args[1])),
    Function::new("abbrevboth", &[Type::INT, Type::INT, Type::String], |context, args| {
        abbreviate(context, args[0].as_int()?, args[1].as_int()?, &args[2])
    }),
    Function::new("trunc", INT_STRING, trunc),
    Function::new("trim", STRING, |context, args| cut(context, &args[0], trim_space)),
    Function::new("substr", &[Type::INT, Type::INT, Type::String], substr),
    Function::new("repeat", INT_STRING, |context, args| {
        repeated(context, args[1].as_text()?.as_bytes(), args[0].as_int()?).map(Value::string)
    }),
    Function::new("trimall", STRING_2, trim_all),
    Function::new("trimAll", STRING_2, trim_all),
    Function::new("trimSuffix", STRING_2, |context, args| {
        let suffix = args[0].as_text()?.as_bytes();
        cut(context, &args[1], |text| text.strip_suffix(suffix).unwrap_or(text))
    }),
    Function::new("trimPrefix", STRING_2, |context, args| {
        let prefix = args[0].as_text()?.as_bytes();
        cut(context, &args[1], |text| text.strip_prefix(prefix).unwrap_or(text))
    }),
    Function::new("contains", STRING_2, |context, args| {
        let (part, text) = (args[0].as_text()?.as_bytes(), args[1].as_text()?.as_bytes());
        context.charge_steps(text.len() as u64 / 64)?;
        Ok(Value::Bool(find(text, part, 0).is_some()))
    }),
    Function::new("hasPrefix", STRING_2, |_, args| {
        Ok(args[1].as_text()?.as_bytes().starts_with(args[0].as_text()?.as_bytes()).into())
    }),
    Function::new("hasSuffix", STRING_2, |_, args| {
        Ok(args[1].as_text()?.as_bytes().ends_with(args[0].as_text()?.as_bytes()).into())
    }),
    Function::variadic("quote", &[], Type::Any, quote_all),
    Function::variadic("squote", &[], Type::Any, squote_all),
    Function::variadic("cat", &[], Type::Any, cat),
    Function::new("indent", INT_STRING, |context, args| indent(context, b"", args)),
    Function::new("nindent", INT_STRING, |context, args| indent(context, b"\n", args)),
    Function::new("replace", STRING_3, |context, args| {
        let text = args[2].as_text()?;
        replace(context, text.as_bytes(), args[0].as_text()?.as_bytes(), args[1].as_text()?.as_bytes())
            .map(Value::string)
    }),
    Function::new("plural", &[Type::String, Type::String, Type::INT], |_, args| {
        Ok(args[usize::from(args[2].as_int()? != 1)].clone())
    }),
    Function::new("toString", &[Type::Any], |context, args| strval(context, &args[0]).map(Value::String)),
    Function::new("split", STRING_2, |context, args| {
        let parts = split(context, args[1].as_text()?.as_bytes(), args[0].as_text()?.as_bytes(), -1)?;
        numbered(context, parts)
    }),
    Function::new("splitn", &[Type::String, Type::INT, Type::String], |context, args| {
        let (separator, text) = (args[0].as_text()?.as_bytes(), args[2].as_text()?.as_bytes());
        let parts = split(context, text, separator, args[1].as_int()?)?;
        numbered(context, parts)
    }),
    Function::new("splitList", STRING_2, |context, args| {
        let parts = split(context, args[1].as_text()?.as_bytes(), args[0].as_text()?.as_bytes(), -1)?;
        strings(context, parts)
    }),
    Function::new("toStrings", &[Type::Any], |context, args| {
        let texts = strslice(context, &args[0])?;
        strings(context, texts)
    }),
    Function::new("join", &[Type::String, Type::Any], |context, args| {
        let texts = strslice(context, &args[1])?;
        join(context, &texts, args[0].as_text()?.as_bytes()).map(Value::string)
    }),
    Function::new("sortAlpha", &[Type::Any], sort_alpha),
];

/// Makes a `[]string`.
pub(super) fn strings(context: &mut Context<'_>, texts: Vec<Text>) -> Result<Value, FunctionError> {
    context.list_of(&Type::String, texts.into_iter().map(Value::String).collect())
}

/// Returns where `part` begins at or after `from`.
pub(super) fn find(text: &[u8], part: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(text.get(from..)?, part).map(|at| at + from)
}

fn cut(
    context: &mut Context<'_>,
    value: &Value,
    keep: impl FnOnce(&[u8]) -> &[u8],
) -> Result<Value, FunctionError> {
    let text = value.as_text()?;
    let kept = keep(text.as_bytes());
    if kept.len() == text.len() { Ok(value.clone()) } else { context.text(kept) }
}

/// `strings.TrimSpace`
pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    trim_runes(text, |rune| rune.is_some_and(char::is_whitespace))
}

/// Cuts runes off both ends; an invalid byte is the rune `None`.
fn trim_runes(mut text: &[u8], goes: impl Fn(Option<char>) -> bool) -> &[u8] {
    while let (rune, width @ 1..) = decode(text)
        && goes(rune)
    {
        text = &text[width..];
    }
    while let (rune, width @ 1..) = decode_last(text)
        && goes(rune)
    {
        text = &text[..text.len() - width];
    }
    text
}

/// `utf8.DecodeLastRune`
fn decode_last(text: &[u8]) -> (Option<char>, usize) {
    for width in 1..=text.len().min(4) {
        let (rune, decoded) = decode(&text[text.len() - width..]);
        if rune.is_some() && decoded == width {
            return (rune, width);
        }
    }
    (None, usize::from(!text.is_empty()))
}

fn trim_all(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let cutset = args[0].as_text()?.as_bytes();
    context.charge_steps((cutset.len() as u64 * args[1].as_text()?.len() as u64) / 64)?;
    if cutset.is_ascii() {
        return cut(context, &args[1], |text| {
            trim_runes(text, |rune| {
                rune.is_some_and(|rune| u8::try_from(rune).is_ok_and(|byte| cutset.contains(&byte)))
            })
        });
    }
    let runes: Vec<_> = iterate(cutset).map(|(_, rune, _)| rune).collect();
    let broken = |rune: Option<char>| rune.is_none() || rune == Some(char::REPLACEMENT_CHARACTER);
    let any_broken = runes.iter().any(|rune| broken(*rune));
    cut(context, &args[1], |text| {
        trim_runes(text, |rune| if broken(rune) { any_broken } else { runes.contains(&rune) })
    })
}

/// goutils' `AbbreviateFull`, behind the checks of sprig's `abbrev` and `abbrevboth`.
fn abbreviate(
    context: &mut Context<'_>,
    left: i64,
    width: i64,
    value: &Value,
) -> Result<Value, FunctionError> {
    let text = value.as_text()?.as_bytes();
    if width < 4 || left > 0 && width < 7 || i64::try_from(text.len()).is_ok_and(|length| length <= width) {
        return Ok(value.clone());
    }
    // Shorter than the text, and not negative.
    let width = usize::try_from(width).unwrap_or(0);
    let mut offset = usize::try_from(left).unwrap_or(0).min(text.len());
    if text.len() - offset < width - 3 {
        offset = text.len() - (width - 3);
    }
    let mut out = Plaintext::with_capacity(width);
    if offset <= 4 {
        out.push(&text[..width - 3]);
        out.push(b"...");
    } else if width < 7 {
        return Ok(Value::from(""));
    } else if offset + width - 3 < text.len() {
        let rest = &text[offset..];
        out.push(b"...");
        if rest.len() <= width - 3 {
            out.push(rest);
        } else {
            out.push(&rest[..width - 6]);
            out.push(b"...");
        }
    } else {
        out.push(b"...");
        out.push(&text[text.len() - (width - 3)..]);
    }
    context.text(out)
}

fn trunc(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let count = args[0].as_int()?;
    cut(context, &args[1], |text| {
        let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if size > text.len() {
            text
        } else if count < 0 {
            if size < text.len() { &text[text.len() - size..] } else { text }
        } else {
            &text[..size]
        }
    })
}

fn substr(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (start, end) = (args[0].as_int()?, args[1].as_int()?);
    let text = args[2].as_text()?.as_bytes();
    let (start, end) = (usize::try_from(start), usize::try_from(end));
    let range = match (start, end) {
        (Err(_), Ok(end)) => text.get(..end),
        (Err(_), Err(_)) => None,
        (Ok(start), Ok(end)) if end <= text.len() => text.get(start..end),
        (Ok(start), _) => text.get(start..),
    };
    match range {
        Some(range) => context.text(range),
        None => panics(OUT_OF_RANGE),
    }
}

/// `strings.Repeat`
pub(super) fn repeated(
    context: &mut Context<'_>,
    text: &[u8],
    count: i64,
) -> Result<Plaintext, FunctionError> {
    let Ok(count) = usize::try_from(count) else { return panics("strings: negative Repeat count") };
    let size = text.len().saturating_mul(count);
    context.charge_bytes(size)?;
    let mut out = Plaintext::with_capacity(size);
    while out.len() < size {
        out.push(text);
    }
    Ok(out)
}

fn quote_all(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut out = Plaintext::default();
    for value in args.iter().filter(|value| !value.is_nil()) {
        let text = strval(context, value)?;
        // A byte becomes ten at most.
        context.charge_bytes(text.len() * 2 + 3)?;
        let mut quoted = Vec::with_capacity(text.len() * 10 + 2);
        quote(text.as_bytes(), false, &mut quoted);
        if !out.is_empty() {
            out.push(b" ");
        }
        out.push(Plaintext::from(quoted).expose());
    }
    context.text(out)
}

fn squote_all(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut out = Plaintext::default();
    for value in args.iter().filter(|value| !value.is_nil()) {
        let text = sprint(context, value)?;
        out.push(if out.is_empty() { b"'" } else { b" '" });
        out.push(text.as_bytes());
        out.push(b"'");
    }
    context.text(out)
}

fn cat(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let given = args.iter().filter(|value| !value.is_nil());
    let texts: Vec<_> = given.map(|value| sprint(context, value)).collect::<Result<_, _>>()?;
    join(context, &texts, b" ").map(Value::string)
}

fn indent(context: &mut Context<'_>, before: &[u8], args: &[Value]) -> Result<Value, FunctionError> {
    let pad = repeated(context, b" ", args[0].as_int()?)?;
    let mut line = Plaintext::from(&b"\n"[..]);
    line.push(pad.expose());
    let body = replace(context, args[1].as_text()?.as_bytes(), b"\n", line.expose())?;
    let mut out = Plaintext::with_capacity(before.len() + pad.len() + body.len());
    out.push(before);
    out.push(pad.expose());
    out.push(body.expose());
    context.text(out)
}

/// `strings.ReplaceAll`
pub(super) fn replace(
    context: &mut Context<'_>,
    text: &[u8],
    old: &[u8],
    new: &[u8],
) -> Result<Plaintext, FunctionError> {
    let mut found = Vec::new();
    if old.is_empty() {
        context.charge_steps(text.len() as u64)?;
        found.extend(iterate(text).map(|(at, ..)| at));
        found.push(text.len());
    } else {
        found.extend(memchr::memmem::find_iter(text, old));
    }
    let size = (text.len() - found.len() * old.len()).saturating_add(found.len().saturating_mul(new.len()));
    context.charge_bytes(size)?;
    let mut out = Plaintext::with_capacity(size);
    let mut from = 0;
    for at in found {
        out.push(&text[from..at]);
        out.push(new);
        from = at + old.len();
    }
    out.push(&text[from..]);
    Ok(out)
}

/// `strings.Join`
fn join(context: &mut Context<'_>, texts: &[Text], separator: &[u8]) -> Result<Plaintext, FunctionError> {
    let between = separator.len().saturating_mul(texts.len().saturating_sub(1));
    let size = texts.iter().map(Text::len).sum::<usize>().saturating_add(between);
    context.charge_bytes(size)?;
    let mut out = Plaintext::with_capacity(size);
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(separator);
        }
        out.push(text.as_bytes());
    }
    Ok(out)
}

/// `strings.SplitN`: all parts where `count` is negative, none where it is 0.
fn split(
    context: &mut Context<'_>,
    text: &[u8],
    separator: &[u8],
    count: i64,
) -> Result<Vec<Text>, FunctionError> {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if most == 0 {
        return Ok(parts);
    }
    let mut from = 0;
    let mut add = |context: &mut Context<'_>, part: &[u8]| {
        context.charge_bytes(PART_BYTES + part.len())?;
        parts.push(Text::from(part));
        Ok::<_, FunctionError>(parts.len())
    };
    let mut made = 0;
    while made + 1 < most {
        let end = if separator.is_empty() {
            // Explodes into runes; the last one is the rest.
            let (_, width) = decode(&text[from..]);
            (from + width < text.len()).then_some(from + width)
        } else {
            find(text, separator, from)
        };
        let Some(end) = end else { break };
        made = add(context, &text[from..end])?;
        from = end + separator.len();
    }
    if !(separator.is_empty() && text.is_empty()) {
        add(context, &text[from..])?;
    }
    Ok(parts)
}

/// What a part of a split text costs beside its bytes.
const PART_BYTES: usize = 80;

/// Makes the `map[string]string` with keys `_0`, `_1` … of sprig's `split`.
fn numbered(context: &mut Context<'_>, parts: Vec<Text>) -> Result<Value, FunctionError> {
    context.charge_bytes(parts.len() * PART_BYTES)?;
    let entries = parts.into_iter().enumerate();
    Ok(Map::of_strings(entries.map(|(index, part)| (Text::from(format!("_{index}")), part))).into())
}

fn sort_alpha(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut texts = match &args[0] {
        value @ (Value::List(_) | Value::Bytes(_)) => strslice(context, value)?,
        other => vec![strval(context, other)?],
    };
    context.charge_steps(texts.len() as u64)?;
    texts.sort_unstable();
    strings(context, texts)
}

/// Applies `map` to every rune, as `strings.Map`.
pub(super) fn map_runes(
    context: &mut Context<'_>,
    value: &Value,
    mut map: impl FnMut(char) -> char,
) -> Result<Value, FunctionError> {
    let text = value.as_text()?.as_bytes();
    context.charge_bytes(text.len())?;
    let mut out = Plaintext::with_capacity(text.len());
    for (_, rune, _) in iterate(text) {
        push_rune(&mut out, Some(map(rune.unwrap_or(char::REPLACEMENT_CHARACTER))));
    }
    context.text(out)
}
