//! Weak conversions: what sprig makes of a value that is not of the wanted type.

use sealops_formats::Plaintext;

use super::builtins;
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::number::{parse_float, parse_int};
use crate::value::{Text, UintKind, Value};

/// Prints a value as `fmt.Sprint` does.
pub(super) fn sprint(context: &mut Context<'_>, value: &Value) -> Result<Text, FunctionError> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let print = builtins::TABLE.iter().find(|function| function.name == "print");
    let print = print.ok_or_else(|| FunctionError::failed("print is missing"))?;
    Ok((print.call)(context, std::slice::from_ref(value))?.as_text()?.clone())
}

/// Makes a string of a value by sprig's `strval`: bytes are a string already, all else is printed.
pub(super) fn strval(context: &mut Context<'_>, value: &Value) -> Result<Text, FunctionError> {
    match value {
        Value::String(text) | Value::Bytes(text) => Ok(text.clone()),
        other => sprint(context, other),
    }
}

/// Makes strings of a list's items, nil ones left out, or of the one value that is no list: sprig's `strslice`.
pub(super) fn strslice(context: &mut Context<'_>, value: &Value) -> Result<Vec<Text>, FunctionError> {
    match value {
        value if value.is_nil() => Ok(Vec::new()),
        Value::List(_) | Value::Bytes(_) => {
            let items = elements(context, value)?.unwrap_or_default();
            items.iter().filter(|item| !item.is_nil()).map(|item| strval(context, item)).collect()
        }
        other => Ok(vec![strval(context, other)?]),
    }
}

/// Returns the items of a slice, `None` for what is none. Charges for the copy.
pub(super) fn elements(
    context: &mut Context<'_>,
    value: &Value,
) -> Result<Option<Vec<Value>>, FunctionError> {
    let items = match value {
        Value::List(list) => {
            context.charge_bytes(list.len() * size_of::<Value>())?;
            list.items().to_vec()
        }
        Value::Bytes(bytes) => {
            context.charge_bytes(bytes.len() * size_of::<Value>())?;
            let bytes = bytes.as_bytes().iter();
            bytes.map(|byte| Value::Uint(UintKind::Uint8, u64::from(*byte))).collect()
        }
        _ => return Ok(None),
    };
    Ok(Some(items))
}

/// Makes an integer of anything, 0 where it makes no sense: `cast.ToInt64`.
///
/// Sealed Secrets 0.40 has spf13/cast 1.7.0, which drops decimals of zeros only; ESO has 1.10.0, which drops all.
pub(super) fn to_int<const LENIENT: bool>(value: &Value) -> i64 {
    match value {
        Value::Int(_, value) => *value,
        #[expect(clippy::cast_possible_wrap, reason = "as Go converts")]
        Value::Uint(_, value) => *value as i64,
        Value::Float(value) => truncate(*value),
        Value::Bool(value) => i64::from(*value),
        Value::Duration(value) if LENIENT => *value,
        Value::String(text) => {
            let text = text.as_str().unwrap_or("?");
            let whole = if LENIENT { trim_decimal(text) } else { trim_zero_decimal(text) };
            parse_int(whole).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Makes a float of anything, 0 where it makes no sense: `cast.ToFloat64`.
#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(_, value) => *value as f64,
        Value::Uint(_, value) => *value as f64,
        Value::Float(value) => *value,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::String(text) => text.as_str().and_then(parse_float).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// Converts as Go on amd64: what does not fit is the smallest integer.
#[expect(clippy::cast_possible_truncation, reason = "checked")]
pub(super) fn truncate(value: f64) -> i64 {
    if (-9.223_372_036_854_775_8e18..9.223_372_036_854_775_8e18).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// Drops `.000` of cast 1.7.0.
fn trim_zero_decimal(text: &str) -> &str {
    match text.rsplit_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    }
}

/// Drops the decimals of cast 1.10.0, where the whole is a plain decimal number.
fn trim_decimal(text: &str) -> &str {
    let Some((whole, decimals)) = text.split_once('.') else { return text };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if !digits.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
        return text;
    }
    if digits.is_empty() { "0" } else { whole }
}

/// Parses digits of a base with a sign, as `strconv.ParseInt`: `Err` for bad syntax, clamped where out of range.
pub(super) fn parse_digits(text: &[u8], base: u32) -> Result<(i64, bool), ()> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(|byte| char::from(*byte).is_digit(base)) {
        return Err(());
    }
    let limit = if negative { i64::MIN } else { i64::MAX };
    let value = digits.iter().try_fold(0i64, |value, byte| {
        let digit = i64::from(char::from(*byte).to_digit(base)?);
        let value = value.checked_mul(i64::from(base))?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    });
    Ok(value.map_or((limit, false), |value| (value, true)))
}

/// Appends a rune; an invalid byte becomes U+FFFD, as in Go.
pub(super) fn push_rune(out: &mut Plaintext, rune: Option<char>) {
    out.push(rune.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
}

/// Says that Go would panic with this text.
pub(super) fn panics<T>(text: &'static str) -> Result<T, FunctionError> {
    Err(FunctionError::failed(text))
}

/// Go's panic where an index is out of bounds.
pub(super) const OUT_OF_RANGE: &str = "runtime error: slice bounds out of range";
