//! Dates and durations. The local zone is UTC, as in the containers of the upstreams; other zones come from a copy of
//! the IANA database in the program, so that no file is read.

mod layout;
mod parse;

use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

use super::Function;
use super::convert::{panics, parse_digits};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Time, Type, Value, duration_text};

pub(super) use layout::rfc3339;

const STRING_ANY: &[Type] = &[Type::String, Type::Any];
const IN_ZONE: &[Type] = &[Type::String, Type::Any, Type::String];
const STRING_TIME: &[Type] = &[Type::String, Type::Time];
const HTML: &[u8] = b"2006-01-02";

pub(crate) const TABLE: &[Function] = &[
    Function::new("now", &[], |context, _| Ok(Value::Time(Rc::new(context.clock()?.now())))),
    Function::new("date", STRING_ANY, |context, args| {
        in_zone(context, args[0].as_text()?.as_bytes(), &args[1], b"Local")
    }),
    Function::new("htmlDate", &[Type::Any], |context, args| in_zone(context, HTML, &args[0], b"Local")),
    Function::new("htmlDateInZone", &[Type::Any, Type::String], |context, args| {
        in_zone(context, HTML, &args[0], args[1].as_text()?.as_bytes())
    }),
    Function::new("dateInZone", IN_ZONE, date_in_zone),
    Function::new("date_in_zone", IN_ZONE, date_in_zone),
    Function::new("dateModify", STRING_TIME, modify),
    Function::new("date_modify", STRING_TIME, modify),
    Function::new("mustDateModify", STRING_TIME, must_modify),
    Function::new("must_date_modify", STRING_TIME, must_modify),
    Function::new("ago", &[Type::Any], ago),
    Function::new("duration", &[Type::Any], |context, args| {
        let seconds = match &args[0] {
            Value::String(text) => parse_digits(text.as_bytes(), 10).map_or(0, |(value, _)| value),
            Value::Int(crate::value::IntKind::Int64, value) => *value,
            _ => 0,
        };
        context.text(duration_text(seconds.wrapping_mul(SECOND)))
    }),
    Function::new("durationRound", &[Type::Any], duration_round),
    Function::new("toDate", &[Type::String, Type::String], |context, args| {
        let time = parsed(context, args)?;
        Ok(Value::Time(Rc::new(time.unwrap_or_else(|| Time::utc(ZERO_TIME, 0)))))
    }),
    Function::new("mustToDate", &[Type::String, Type::String], |context, args| {
        match parsed(context, args)? {
            Some(time) => Ok(Value::Time(Rc::new(time))),
            None => panics("the text is no time of this layout"),
        }
    }),
    Function::new("unixEpoch", &[Type::Time], |context, args| {
        context.text(args[0].as_time()?.seconds.to_string())
    }),
];

const SECOND: i64 = 1_000_000_000;
/// Go's zero time, the first of January of the year 1.
const ZERO_TIME: i64 = -62_135_596_800;

fn parsed(context: &mut Context<'_>, args: &[Value]) -> Result<Option<Time>, FunctionError> {
    let (layout, text) = (args[0].as_text()?.as_bytes(), args[1].as_text()?.as_bytes());
    context.charge_steps((layout.len() + text.len()) as u64)?;
    Ok(parse::parse(layout, text))
}

/// Makes a time of one, or of seconds since 1970; anything else means now.
fn time_of(context: &mut Context<'_>, value: &Value, int32: bool) -> Result<Time, FunctionError> {
    use crate::value::IntKind::{Int, Int32, Int64};
    match value {
        Value::Time(time) => Ok(time.as_ref().clone()),
        Value::Int(Int | Int64, seconds) => Ok(Time::utc(*seconds, 0)),
        Value::Int(Int32, seconds) if int32 => Ok(Time::utc(*seconds, 0)),
        _ => Ok(context.clock()?.now()),
    }
}

fn date_in_zone(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    in_zone(context, args[0].as_text()?.as_bytes(), &args[1], args[2].as_text()?.as_bytes())
}

fn in_zone(
    context: &mut Context<'_>,
    layout: &[u8],
    date: &Value,
    zone: &[u8],
) -> Result<Value, FunctionError> {
    let time = shifted(&time_of(context, date, true)?, zone);
    context.charge_bytes(layout.len() * 8)?;
    context.text(layout::format(layout, &time))
}

/// Shows the time in a zone, in UTC where there is none of this name.
fn shifted(time: &Time, zone: &[u8]) -> Time {
    let utc = Time::utc(time.seconds, time.nanos);
    let name = match std::str::from_utf8(zone) {
        Ok("" | "UTC" | "Local") | Err(_) => return utc,
        Ok(name) => name,
    };
    let Ok(found) = TimeZoneDatabase::bundled().get(name) else { return utc };
    // Names are files to Go, with their case; the database here does not mind.
    let Some(instant) =
        found.iana_name().filter(|own| *own == name).and(Timestamp::from_second(time.seconds).ok())
    else {
        return utc;
    };
    let info = found.to_offset_info(instant);
    Time { offset: info.offset().seconds(), zone: info.abbreviation().into(), ..utc }
}

fn added(time: &Time, nanos: i64) -> Time {
    let total = i64::from(time.nanos) + nanos.rem_euclid(SECOND);
    Time {
        seconds: time.seconds.wrapping_add(nanos.div_euclid(SECOND)).wrapping_add(total / SECOND),
        nanos: u32::try_from(total % SECOND).unwrap_or(0),
        ..time.clone()
    }
}

fn modify(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match parse::duration(args[0].as_text()?.as_bytes()) {
        Some(nanos) => Value::Time(Rc::new(added(args[1].as_time()?, nanos))),
        None => args[1].clone(),
    })
}

fn must_modify(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    match parse::duration(args[0].as_text()?.as_bytes()) {
        Some(nanos) => Ok(Value::Time(Rc::new(added(args[1].as_time()?, nanos)))),
        None => panics("time: invalid duration"),
    }
}

/// Returns `now - time` in nanoseconds, clamped.
fn since(context: &Context<'_>, time: &Time) -> Result<i64, FunctionError> {
    let now = context.clock()?.now();
    let nanos = i128::from(now.seconds) - i128::from(time.seconds);
    let nanos = nanos * i128::from(SECOND) + i128::from(now.nanos) - i128::from(time.nanos);
    Ok(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

fn ago(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let time = time_of(context, &args[0], false)?;
    let nanos = since(context, &time)?;
    // Half a second goes away from zero.
    let rest = nanos % SECOND;
    let rounded = match rest {
        rest if rest.abs() * 2 < SECOND => nanos - rest,
        rest => (nanos - rest).saturating_add(SECOND * rest.signum()),
    };
    context.text(duration_text(rounded))
}

fn duration_round(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let nanos = match &args[0] {
        Value::String(text) => parse::duration(text.as_bytes()).unwrap_or(0),
        Value::Int(crate::value::IntKind::Int64, nanos) => *nanos,
        Value::Time(time) => since(context, time)?,
        _ => 0,
    };
    let size = nanos.unsigned_abs() / SECOND.unsigned_abs();
    let exact = nanos % SECOND == 0;
    for (seconds, unit) in
        [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")]
    {
        // More than one of the unit, strictly.
        if size > seconds || size == seconds && !exact {
            return context.text(format!("{}{unit}", size / seconds));
        }
    }
    context.text("0s")
}
