//! Go's layouts: a time written as Mon Jan 2 15:04:05 2006 -0700 is the pattern for others.

use crate::error::FunctionError;
use crate::value::Time;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// How many digits or characters an element has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Short,
    Zero,
    Space,
}

/// How an offset is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// `Z` for UTC.
    pub(super) iso: bool,
    pub(super) colon: bool,
    pub(super) minutes: bool,
    pub(super) seconds: bool,
}

/// An element of a layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    ShortMonth,
    Month(Width),
    LongDay,
    ShortDay,
    Day(Width),
    DayOfYear(Width),
    Hour,
    Hour12(Width),
    Minute(Width),
    Second(Width),
    LongYear,
    Year,
    Upper,
    Lower,
    Zone,
    Offset(Offset),
    /// Digits, the mark before them, and whether zeros at the end are left out.
    Fraction {
        digits: usize,
        mark: u8,
        trimmed: bool,
    },
}

const OFFSETS: [(&[u8], bool, bool, bool); 5] = [
    (b"07:00:00", true, true, true),
    (b"070000", false, true, true),
    (b"07:00", true, true, false),
    (b"0700", false, true, false),
    (b"07", false, false, false),
];

/// Finds the next element: text before it, element, rest.
pub(super) fn next(layout: &[u8]) -> (&[u8], Option<Element>, &[u8]) {
    for at in 0..layout.len() {
        if let Some((skip, element, width)) = element_at(layout, at) {
            return (&layout[..at + skip], Some(element), &layout[at + width..]);
        }
    }
    (layout, None, b"")
}

/// Returns literal bytes, the element, and the bytes of both.
fn element_at(layout: &[u8], at: usize) -> Option<(usize, Element, usize)> {
    use Width::{Short, Space, Zero};
    let rest = &layout[at..];
    let not_lower = |at: usize| !rest.get(at).is_some_and(u8::is_ascii_lowercase);
    let found = |element, width| Some((0, element, width));
    match rest {
        [b'J', b'a', b'n', ..] if rest.starts_with(b"January") => found(Element::LongMonth, 7),
        [b'J', b'a', b'n', ..] if not_lower(3) => found(Element::ShortMonth, 3),
        [b'M', b'o', b'n', ..] if rest.starts_with(b"Monday") => found(Element::LongDay, 6),
        [b'M', b'o', b'n', ..] if not_lower(3) => found(Element::ShortDay, 3),
        [b'M', b'S', b'T', ..] => found(Element::Zone, 3),
        [b'0', b'1', ..] => found(Element::Month(Zero), 2),
        [b'0', b'2', ..] => found(Element::Day(Zero), 2),
        [b'0', b'3', ..] => found(Element::Hour12(Zero), 2),
        [b'0', b'4', ..] => found(Element::Minute(Zero), 2),
        [b'0', b'5', ..] => found(Element::Second(Zero), 2),
        [b'0', b'6', ..] => found(Element::Year, 2),
        [b'0', b'0', b'2', ..] => found(Element::DayOfYear(Zero), 3),
        [b'1', b'5', ..] => found(Element::Hour, 2),
        [b'1', ..] => found(Element::Month(Short), 1),
        [b'2', b'0', b'0', b'6', ..] => found(Element::LongYear, 4),
        [b'2', ..] => found(Element::Day(Short), 1),
        // The year keeps an underscore before it.
        [b'_', b'2', b'0', b'0', b'6', ..] => Some((1, Element::LongYear, 5)),
        [b'_', b'2', ..] => found(Element::Day(Space), 2),
        [b'_', b'_', b'2', ..] => found(Element::DayOfYear(Space), 3),
        [b'3', ..] => found(Element::Hour12(Short), 1),
        [b'4', ..] => found(Element::Minute(Short), 1),
        [b'5', ..] => found(Element::Second(Short), 1),
        [b'P', b'M', ..] => found(Element::Upper, 2),
        [b'p', b'm', ..] => found(Element::Lower, 2),
        [sign @ (b'-' | b'Z'), tail @ ..] => {
            OFFSETS.iter().find(|(form, ..)| tail.starts_with(form)).map(|(form, colon, minutes, seconds)| {
                let (colon, minutes, seconds) = (*colon, *minutes, *seconds);
                (0, Element::Offset(Offset { iso: *sign == b'Z', colon, minutes, seconds }), form.len() + 1)
            })
        }
        [mark @ (b'.' | b','), digit @ (b'0' | b'9'), ..] => {
            let digits = rest[1..].iter().take_while(|byte| *byte == digit).count();
            if rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            found(Element::Fraction { digits, mark: *mark, trimmed: *digit == b'9' }, digits + 1)
        }
        _ => None,
    }
}

/// `Time.Format`
pub(super) fn format(mut layout: &[u8], time: &Time) -> Vec<u8> {
    let mut out = Vec::new();
    while !layout.is_empty() {
        let (before, element, rest) = next(layout);
        out.extend_from_slice(before);
        let Some(element) = element else { break };
        out.extend(written(element, time).bytes());
        layout = rest;
    }
    out
}

fn number(value: i64, width: Width) -> String {
    match width {
        Width::Short => value.to_string(),
        Width::Zero => format!("{value:02}"),
        Width::Space => format!("{value:>2}"),
    }
}

fn written(element: Element, time: &Time) -> String {
    let civil = time.civil();
    let local = time.seconds.saturating_add(i64::from(time.offset));
    let weekday = usize::try_from((local.div_euclid(86_400) + 4).rem_euclid(7)).unwrap_or(0);
    let month = usize::from(civil.month).saturating_sub(1);
    let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    let sign = |negative: bool| if negative { "-" } else { "" };
    match element {
        Element::LongMonth => MONTHS[month].into(),
        Element::ShortMonth => MONTHS[month][..3].into(),
        Element::Month(width) => number(civil.month.into(), width),
        Element::LongDay => DAYS[weekday].into(),
        Element::ShortDay => DAYS[weekday][..3].into(),
        Element::Day(width) => number(civil.day.into(), width),
        Element::DayOfYear(width) => {
            let day = i64::from(day_of_year(civil.year, civil.month, civil.day));
            if width == Width::Zero { format!("{day:03}") } else { format!("{day:>3}") }
        }
        Element::Hour => number(civil.hour.into(), Width::Zero),
        Element::Hour12(width) => number(hour12.into(), width),
        Element::Minute(width) => number(civil.minute.into(), width),
        Element::Second(width) => number(civil.second.into(), width),
        Element::LongYear => format!("{}{:04}", sign(civil.year < 0), civil.year.abs()),
        Element::Year => format!("{:02}", civil.year.max(0) % 100),
        Element::Upper => if civil.hour >= 12 { "PM" } else { "AM" }.into(),
        Element::Lower => if civil.hour >= 12 { "pm" } else { "am" }.into(),
        Element::Zone if time.zone.is_empty() => {
            let form = Offset { iso: false, colon: false, minutes: true, seconds: false };
            offset(time.offset, form)
        }
        Element::Zone => time.zone.as_ref().into(),
        Element::Offset(form) => offset(time.offset, form),
        Element::Fraction { digits, mark, trimmed } => fraction(time.nanos, digits, mark, trimmed),
    }
}

fn offset(seconds: i32, form: Offset) -> String {
    if form.iso && seconds == 0 {
        return "Z".into();
    }
    let (size, colon) = (seconds.abs(), if form.colon { ":" } else { "" });
    // Go decides the sign by whole minutes.
    let mut text = format!("{}{:02}", if seconds / 60 < 0 { '-' } else { '+' }, size / 3600);
    if form.minutes {
        text += &format!("{colon}{:02}", size / 60 % 60);
    }
    if form.seconds {
        text += &format!("{colon}{:02}", size % 60);
    }
    text
}

fn fraction(nanos: u32, digits: usize, mark: u8, trimmed: bool) -> String {
    if trimmed && nanos == 0 {
        return String::new();
    }
    let mut text = format!("{}{nanos:09}", char::from(mark));
    text.truncate(1 + digits);
    if trimmed {
        text.truncate(text.trim_end_matches('0').len());
        if text.len() == 1 {
            text.clear();
        }
    }
    text
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days before a month of a common year.
pub(super) const DAYS_BEFORE: [u16; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

fn day_of_year(year: i64, month: u8, day: u8) -> u16 {
    let leap_day = u16::from(month > 2 && is_leap(year));
    DAYS_BEFORE[usize::from(month).saturating_sub(1)] + leap_day + u16::from(day)
}

/// `Time.MarshalJSON` without its quotes.
///
/// # Errors
/// Years of more than four digits.
pub(in crate::functions) fn rfc3339(time: &Time) -> Result<String, FunctionError> {
    if !(0..=9999).contains(&time.civil().year) {
        return Err(FunctionError::failed("Time.MarshalJSON: year outside of range [0,9999]"));
    }
    let text = format(b"2006-01-02T15:04:05.999999999Z07:00", time);
    Ok(String::from_utf8(text).unwrap_or_default())
}
