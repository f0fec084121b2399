//! Arithmetic, on anything that can be made a number.

use super::Function;
use super::Origin::{ExternalSecrets, SealedSecrets};
use super::convert::{panics, parse_digits, sprint, to_float, to_int};
use super::decimal::Decimal;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

const ANY: &[Type] = &[Type::Any];
const ANY_2: &[Type] = &[Type::Any, Type::Any];
const INT_3: &[Type] = &[Type::INT, Type::INT, Type::INT];

/// The rows of a function that weighs integers as the cast library of each upstream does.
macro_rules! both {
    ($($name:literal $shape:tt $call:ident),+ $(,)?) => {
        [$(both!(@ $name $shape $call::<false>).only(SealedSecrets), both!(@ $name $shape $call::<true>).only(ExternalSecrets)),+]
    };
    (@ $name:literal (..) $($call:tt)+) => { Function::variadic($name, &[], Type::Any, $($call)+) };
    (@ $name:literal (any ..) $($call:tt)+) => { Function::variadic($name, ANY, Type::Any, $($call)+) };
    (@ $name:literal (any) $($call:tt)+) => { Function::new($name, ANY, $($call)+) };
    (@ $name:literal (any any) $($call:tt)+) => { Function::new($name, ANY_2, $($call)+) };
}

pub(crate) const INTEGERS: &[Function] = &both![
    "int64" (any) int64,
    "int" (any) int,
    "add1" (any) add1,
    "add" (..) add,
    "sub" (any any) sub,
    "div" (any any) div,
    "mod" (any any) remainder,
    "mul" (any ..) mul,
    "biggest" (any ..) max,
    "max" (any ..) max,
    "min" (any ..) min,
];

pub(crate) const TABLE: &[Function] = &[
    Function::new("atoi", &[Type::String], |_, args| {
        let parsed = parse_digits(args[0].as_text()?.as_bytes(), 10);
        Ok(Value::int(parsed.map_or(0, |(value, _)| value)))
    }),
    Function::new("float64", ANY, |_, args| Ok(to_float(&args[0]).into())),
    Function::new("toDecimal", ANY, |context, args| {
        let text = sprint(context, &args[0])?;
        Ok(Value::int64(match parse_digits(text.as_bytes(), 8) {
            Ok((value, true)) => value,
            _ => 0,
        }))
    }),
    Function::variadic("seq", &[], Type::INT, seq),
    Function::new("until", &[Type::INT], |context, args| {
        let count = args[0].as_int()?;
        let numbers = range(context, 0, count, if count < 0 { -1 } else { 1 })?;
        context.list_of(&Type::INT, numbers.into_iter().map(Value::int).collect())
    }),
    Function::new("untilStep", INT_3, |context, args| {
        let numbers = range(context, args[0].as_int()?, args[1].as_int()?, args[2].as_int()?)?;
        context.list_of(&Type::INT, numbers.into_iter().map(Value::int).collect())
    }),
    Function::new("add1f", ANY, |context, args| fold(context, &args[0], &[Value::int(1)], Decimal::add)),
    Function::variadic("addf", &[], Type::Any, |context, args| {
        fold(context, &Value::Float(0.0), args, Decimal::add)
    }),
    Function::variadic("subf", ANY, Type::Any, |context, args| {
        fold(context, &args[0], &args[1..], Decimal::sub)
    }),
    Function::variadic("divf", ANY, Type::Any, |context, args| {
        fold(context, &args[0], &args[1..], Decimal::div)
    }),
    Function::variadic("mulf", ANY, Type::Any, |context, args| {
        fold(context, &args[0], &args[1..], Decimal::mul)
    }),
    Function::variadic("maxf", ANY, Type::Any, |_, args| Ok(extreme(args, f64::INFINITY).into())),
    Function::variadic("minf", ANY, Type::Any, |_, args| Ok(extreme(args, f64::NEG_INFINITY).into())),
    Function::new("ceil", ANY, |_, args| Ok(to_float(&args[0]).ceil().into())),
    Function::new("floor", ANY, |_, args| Ok(to_float(&args[0]).floor().into())),
    Function::variadic("round", &[Type::Any, Type::INT], Type::Float, round),
];

fn int64<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(to_int::<LENIENT>(&args[0])))
}

fn int<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int(to_int::<LENIENT>(&args[0])))
}

fn add1<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(to_int::<LENIENT>(&args[0]).wrapping_add(1)))
}

fn add<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(args.iter().map(to_int::<LENIENT>).fold(0, i64::wrapping_add)))
}

fn sub<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(to_int::<LENIENT>(&args[0]).wrapping_sub(to_int::<LENIENT>(&args[1]))))
}

const BY_ZERO: &str = "runtime error: integer divide by zero";

fn div<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    match to_int::<LENIENT>(&args[1]) {
        0 => panics(BY_ZERO),
        by => Ok(Value::int64(to_int::<LENIENT>(&args[0]).wrapping_div(by))),
    }
}

fn remainder<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    match to_int::<LENIENT>(&args[1]) {
        0 => panics(BY_ZERO),
        by => Ok(Value::int64(to_int::<LENIENT>(&args[0]).wrapping_rem(by))),
    }
}

fn mul<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(args.iter().map(to_int::<LENIENT>).fold(1, i64::wrapping_mul)))
}

fn max<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(args.iter().map(to_int::<LENIENT>).max().unwrap_or(0)))
}

fn min<const LENIENT: bool>(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::int64(args.iter().map(to_int::<LENIENT>).min().unwrap_or(0)))
}

/// sprig's `untilStep`: nothing where the step leads away.
fn range(context: &mut Context<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, FunctionError> {
    if stop < start && step >= 0 || stop >= start && step <= 0 {
        return Ok(Vec::new());
    }
    let count = stop.abs_diff(start).div_ceil(step.unsigned_abs());
    // The list, and the values made of it.
    context.charge_bytes(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(8))?;
    let count = i64::try_from(count).unwrap_or(0);
    Ok((0..count).map(|index| start.wrapping_add(index.wrapping_mul(step))).collect())
}

fn seq(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let params: Vec<i64> = args.iter().map(Value::as_int).collect::<Result<_, _>>()?;
    let down = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, stop, step) = match params[..] {
        [end] => (1, end.wrapping_add(down(1, end)), down(1, end)),
        [start, end] => (start, end.wrapping_add(down(start, end)), down(start, end)),
        [start, step, end] if end < start && step > 0 => (start, end, step),
        [start, step, end] => (start, end.wrapping_add(down(start, end)), step),
        _ => return Ok(Value::from("")),
    };
    let numbers = range(context, start, stop, step)?;
    context.charge_bytes(numbers.len() * 24)?;
    let words: Vec<String> = numbers.iter().map(i64::to_string).collect();
    context.text(words.join(" "))
}

fn fold(
    context: &mut Context<'_>,
    first: &Value,
    rest: &[Value],
    operation: fn(Decimal, Decimal) -> Result<Decimal, FunctionError>,
) -> Result<Value, FunctionError> {
    let mut result = Decimal::from_float(to_float(first))?;
    for value in rest {
        context.charge_steps(64 + result.digits() / 4)?;
        result = operation(result, Decimal::from_float(to_float(value))?)?;
    }
    Ok(Value::Float(result.to_float()))
}

/// `math.Max` or `math.Min` over all: the infinity that wins beats NaN, and the zeros are ordered.
fn extreme(args: &[Value], winner: f64) -> f64 {
    let up = winner > 0.0;
    args.iter()
        .map(to_float)
        .reduce(|a, b| {
            if a == winner || b == winner {
                winner
            } else if a.is_nan() || b.is_nan() {
                f64::NAN
            } else if a == 0.0 && b == 0.0 {
                if a.is_sign_negative() == up { b } else { a }
            } else if (a > b) == up {
                a
            } else {
                b
            }
        })
        .unwrap_or(0.0)
}

fn round(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let on = args.get(2).map_or(Ok(0.5), Value::as_float)?;
    let power = power_of_ten(args[1].as_int()?);
    let digit = power * to_float(&args[0]);
    let rounded = if digit.fract() >= on { digit.ceil() } else { digit.floor() };
    Ok((rounded / power).into())
}

/// `math.Pow(10, exponent)` as Go computes it, by squaring the mantissa: not always the nearest float.
fn power_of_ten(exponent: i64) -> f64 {
    let (mut result, mut result_exponent) = (1.0_f64, 0_i64);
    // 10 is 0.625 * 2^4.
    let (mut factor, mut factor_exponent) = (0.625_f64, 4_i64);
    let mut left = exponent.unsigned_abs();
    while left != 0 {
        if factor_exponent > 1 << 12 {
            result_exponent += factor_exponent;
            break;
        }
        if left & 1 == 1 {
            result *= factor;
            result_exponent += factor_exponent;
        }
        factor *= factor;
        factor_exponent <<= 1;
        if factor < 0.5 {
            factor += factor;
            factor_exponent -= 1;
        }
        left >>= 1;
    }
    if exponent < 0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    // In two halves, so that neither leaves the range before the product does.
    let exponent = i32::try_from(result_exponent.clamp(-2200, 2200)).unwrap_or(0);
    result * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
}
