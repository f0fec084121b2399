//! Reading times by a layout, and durations.

use super::layout::{DAYS, DAYS_BEFORE, Element, MONTHS, Offset, Width, is_leap, next};
use crate::value::Time;

/// What has been read.
#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: u32,
    afternoon: Option<bool>,
    utc: bool,
    offset: Option<i64>,
    zone: Option<String>,
}

/// `time.ParseInLocation` in UTC.
pub(super) fn parse(mut layout: &[u8], mut text: &[u8]) -> Option<Time> {
    let mut fields = Fields::default();
    loop {
        let (before, element, rest) = next(layout);
        text = skip(text, before)?;
        let Some(element) = element else { break };
        layout = rest;
        text = fields.take(element, text, layout)?;
    }
    if text.is_empty() { fields.finish() } else { None }
}

/// Skips literal text; a run of spaces matches any run, or none at the end.
fn skip<'t>(mut text: &'t [u8], mut literal: &[u8]) -> Option<&'t [u8]> {
    let trim = |text: &mut &[u8]| {
        while let [b' ', rest @ ..] = *text {
            *text = rest;
        }
    };
    while let Some(first) = literal.first() {
        if *first == b' ' {
            if text.first().is_some_and(|byte| *byte != b' ') {
                return None;
            }
            trim(&mut literal);
            while let [b' ', rest @ ..] = text {
                text = rest;
            }
            continue;
        }
        text = text.strip_prefix(&[*first])?;
        literal = &literal[1..];
    }
    Some(text)
}

/// One digit or two, exactly two where `fixed`.
fn two(text: &[u8], fixed: bool) -> Option<(i64, &[u8])> {
    let digit =
        |at: usize| text.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| i64::from(byte - b'0'));
    match (digit(0)?, digit(1)) {
        (tens, Some(ones)) => Some((tens * 10 + ones, &text[2..])),
        (ones, None) if !fixed => Some((ones, &text[1..])),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    (!text.is_empty() && text.iter().all(u8::is_ascii_digit)).then(|| {
        text.iter().fold(0i64, |value, byte| value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')))
    })
}

fn within(value: i64, below: i64) -> Option<i64> {
    (value < below).then_some(value)
}

fn name<'t>(names: &[&str], length: Option<usize>, text: &'t [u8]) -> Option<(i64, &'t [u8])> {
    names.iter().zip(0..).find_map(|(name, index)| {
        let name = &name.as_bytes()[..length.unwrap_or(name.len())];
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (index, &text[name.len()..]))
    })
}

impl Fields {
    /// Reads one element; returns what is left of the text.
    fn take<'t>(&mut self, element: Element, text: &'t [u8], layout: &[u8]) -> Option<&'t [u8]> {
        let mut rest = text;
        let mut number = |fixed: Width| {
            let (value, left) = two(text, fixed == Width::Zero)?;
            rest = left;
            Some(value)
        };
        match element {
            Element::Year => {
                let year = digits(text.get(..2)?)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
                rest = &text[2..];
            }
            Element::LongYear => {
                self.year = digits(text.get(..4)?)?;
                rest = &text[4..];
            }
            Element::ShortMonth | Element::LongMonth => {
                let (index, left) = name(&MONTHS, (element == Element::ShortMonth).then_some(3), text)?;
                self.month = Some(index + 1);
                rest = left;
            }
            Element::Month(width) => {
                self.month = Some(number(width).filter(|month| (1..=12).contains(month))?)
            }
            Element::ShortDay | Element::LongDay => {
                rest = name(&DAYS, (element == Element::ShortDay).then_some(3), text)?.1;
            }
            Element::Day(width) => {
                let text = if width == Width::Space { text.strip_prefix(b" ").unwrap_or(text) } else { text };
                let (day, left) = two(text, width == Width::Zero)?;
                self.day = Some(day);
                rest = left;
            }
            Element::DayOfYear(width) => rest = self.take_day_of_year(width, text)?,
            Element::Hour => self.hour = within(number(Width::Short)?, 24)?,
            Element::Hour12(width) => self.hour = within(number(width)?, 13)?,
            Element::Minute(width) => self.minute = within(number(width)?, 60)?,
            Element::Second(width) => {
                self.second = within(number(width)?, 60)?;
                // A fraction may stand in the text though the layout has none.
                if !matches!(next(layout).1, Some(Element::Fraction { .. })) {
                    rest = self.take_fraction(rest, None)?;
                }
            }
            Element::Upper | Element::Lower => {
                let (am, pm) = if element == Element::Upper { (b"AM", b"PM") } else { (b"am", b"pm") };
                let half = text.get(..2)?;
                self.afternoon = Some(half == pm);
                if half != am && half != pm {
                    return None;
                }
                rest = &text[2..];
            }
            Element::Offset(form) => rest = self.take_offset(form, text)?,
            Element::Zone => rest = self.take_zone(text)?,
            Element::Fraction { digits, trimmed, .. } => {
                rest = self.take_fraction(text, (!trimmed).then_some(digits))?;
            }
        }
        Some(rest)
    }

    fn take_day_of_year<'t>(&mut self, width: Width, mut text: &'t [u8]) -> Option<&'t [u8]> {
        if width == Width::Space {
            text = text.strip_prefix(b" ").unwrap_or(text);
            text = text.strip_prefix(b" ").unwrap_or(text);
        }
        let count = text.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 || width == Width::Zero && count != 3 {
            return None;
        }
        self.day_of_year = digits(&text[..count]);
        Some(&text[count..])
    }

    /// Reads exactly so many digits behind a mark, or any number of them, or nothing at all.
    fn take_fraction<'t>(&mut self, text: &'t [u8], exactly: Option<usize>) -> Option<&'t [u8]> {
        let marked = matches!(text.first(), Some(b'.' | b','));
        let run = text.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
        let count = match exactly {
            Some(count) if marked && run >= count => count,
            Some(_) => return None,
            None if marked && run > 0 => run,
            None => return Some(text),
        };
        let used = count.min(9);
        let scale = 10u32.pow(u32::try_from(9 - used).ok()?);
        self.nanos = u32::try_from(digits(&text[1..=used])?).ok()?.checked_mul(scale)?;
        Some(&text[count + 1..])
    }

    fn take_offset<'t>(&mut self, form: Offset, text: &'t [u8]) -> Option<&'t [u8]> {
        if form.iso
            && let Some(rest) = text.strip_prefix(b"Z")
        {
            self.utc = true;
            return Some(rest);
        }
        let mut at = 3;
        let mut parts = [digits(text.get(1..3)?)?, 0, 0];
        for (part, wanted) in [(1, form.minutes), (2, form.seconds)] {
            if !wanted {
                continue;
            }
            if form.colon {
                if text.get(at) != Some(&b':') {
                    return None;
                }
                at += 1;
            }
            parts[part] = digits(text.get(at..at + 2)?)?;
            at += 2;
        }
        let [hours, minutes, seconds] = parts;
        if hours > 24 || minutes > 60 || seconds > 60 {
            return None;
        }
        let sign = match text[0] {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.offset = Some(sign * ((hours * 60 + minutes) * 60 + seconds));
        Some(&text[at..])
    }

    fn take_zone<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        if let Some(rest) = text.strip_prefix(b"UTC") {
            self.utc = true;
            return Some(rest);
        }
        let width = zone_width(text)?;
        self.zone = Some(String::from_utf8_lossy(&text[..width]).into_owned());
        Some(&text[width..])
    }

    fn finish(mut self) -> Option<Time> {
        match self.afternoon {
            Some(true) if self.hour < 12 => self.hour += 12,
            Some(false) if self.hour == 12 => self.hour = 0,
            _ => {}
        }
        self.settle_day_of_year()?;
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let index = usize::try_from(month).ok()?;
        let days =
            DAYS_BEFORE.get(index)? - DAYS_BEFORE[index - 1] + u16::from(month == 2 && is_leap(self.year));
        if day < 1 || day > i64::from(days) {
            return None;
        }
        let clock = (self.hour * 60 + self.minute) * 60 + self.second;
        let seconds = days_since_1970(self.year, month, day) * 86_400 + clock;
        let zoned = |offset: i64, zone: &str| {
            let seconds = seconds - offset;
            Some(Time { seconds, nanos: self.nanos, offset: i32::try_from(offset).ok()?, zone: zone.into() })
        };
        match (&self.offset, &self.zone) {
            _ if self.utc => zoned(0, "UTC"),
            (Some(0), None) => zoned(0, "UTC"),
            // Go's mark for no offset is -1, which no text can say.
            (Some(offset), zone) => zoned(*offset, zone.as_deref().unwrap_or("")),
            (None, Some(zone)) => {
                let hours = zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok());
                // A zone that is only named has an unknown offset, which counts as none.
                let offset = hours.unwrap_or(0) * 3600;
                Some(Time { seconds: seconds - offset, ..zoned(offset, zone)? })
            }
            (None, None) => zoned(0, "UTC"),
        }
    }

    /// Makes month and day of a day of the year, which must agree with those that were read.
    fn settle_day_of_year(&mut self) -> Option<()> {
        let Some(mut day) = self.day_of_year else { return Some(()) };
        let leap = is_leap(self.year);
        let (month, day) = if leap && day == 60 {
            (2, 29)
        } else {
            if leap && day > 60 {
                day -= 1;
            }
            if !(1..=365).contains(&day) {
                return None;
            }
            let month = DAYS_BEFORE.iter().rposition(|before| i64::from(*before) < day)?;
            (i64::try_from(month).ok()? + 1, day - i64::from(DAYS_BEFORE[month]))
        };
        if self.month.is_some_and(|own| own != month) || self.day.is_some_and(|own| own != day) {
            return None;
        }
        (self.month, self.day) = (Some(month), Some(day));
        Some(())
    }
}

/// `parseTimeZone`: bytes of what looks like a zone's abbreviation.
fn zone_width(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_offset_width(rest));
    }
    if matches!(text[0], b'+' | b'-') {
        return Some(signed_offset_width(text)).filter(|width| *width > 0);
    }
    match text.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count() {
        3 => Some(3),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        5 if text[4] == b'T' => Some(5),
        _ => None,
    }
}

fn signed_offset_width(text: &[u8]) -> usize {
    let [b'+' | b'-', rest @ ..] = text else { return 0 };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match digits(&rest[..count.min(18)]) {
        Some(hours) if hours <= 23 && count <= 18 => count + 1,
        _ => 0,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that start in March, in eras of 400 years.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1000),
    ("\u{b5}s", 1000),
    ("\u{3bc}s", 1000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `time.ParseDuration`, in nanoseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as Go"
)]
pub(super) fn duration(text: &[u8]) -> Option<i64> {
    const MOST: u64 = 1 << 63;
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if rest == b"0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let whole_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut value = 0u64;
        for byte in &rest[..whole_digits] {
            value =
                value.checked_mul(10)?.checked_add(u64::from(byte - b'0')).filter(|value| *value <= MOST)?;
        }
        rest = &rest[whole_digits..];
        let (mut fraction, mut scale, mut fraction_digits) = (0u64, 1f64, 0);
        if let [b'.', decimals @ ..] = rest {
            fraction_digits = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
            for byte in &decimals[..fraction_digits] {
                // Digits beyond what fits are dropped.
                if fraction > (MOST - 1) / 10 {
                    break;
                }
                fraction = fraction * 10 + u64::from(byte - b'0');
                scale *= 10.0;
            }
            rest = &decimals[fraction_digits..];
        }
        if whole_digits == 0 && fraction_digits == 0 {
            return None;
        }
        let end = rest.iter().position(|byte| *byte == b'.' || byte.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| name.as_bytes() == &rest[..end])?;
        rest = &rest[end..];
        value = value.checked_mul(*unit).filter(|value| *value <= MOST)?;
        if fraction > 0 {
            value += (fraction as f64 * (*unit as f64 / scale)) as u64;
        }
        total = total.checked_add(value).filter(|total| value <= MOST && *total <= MOST)?;
    }
    if negative { 0i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}
