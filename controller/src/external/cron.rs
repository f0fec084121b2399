//! Cron schedules as `spec.syncWindows` has them: five fields in UTC, or `@hourly` and its kin, or `@every 5m`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday, date};
use jiff::tz::TimeZone;

use super::go_duration;

/// How far ahead a firing is looked for; a schedule such as 30 February has none.
const MAX_YEARS: i16 = 5;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When something happens again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Schedule {
    /// Fields of the clock and the calendar, a bit for each value.
    Calendar { minutes: u64, hours: u64, days: u64, months: u64, weekdays: u64, by_either_day: bool },
    /// A fixed time after the moment that is asked about, in seconds.
    Every(i64),
}

impl Schedule {
    /// Reads a schedule; `None` where it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => {
                if let Some(interval) = text.strip_prefix("@every ") {
                    let seconds = go_duration(interval.trim())?.as_secs().max(1);
                    return i64::try_from(seconds).ok().map(Self::Every);
                }
                text
            }
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let is_any = |field: &str| field.starts_with(['*', '?']);
        Some(Self::Calendar {
            minutes: bits(minutes, 0, 59, &[])?,
            hours: bits(hours, 0, 23, &[])?,
            days: bits(days, 1, 31, &[])?,
            months: bits(months, 1, 12, &MONTHS)?,
            weekdays: bits(weekdays, 0, 6, &DAYS)?,
            by_either_day: !is_any(days) && !is_any(weekdays),
        })
    }

    /// Returns the first firing after a moment; both in seconds since 1970.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let Self::Calendar { minutes, hours, .. } = self else {
            let Self::Every(interval) = self else { return None };
            return Some(after + interval);
        };
        let start = (after.div_euclid(60) + 1) * 60;
        let at = Timestamp::from_second(start).ok()?.to_zoned(TimeZone::UTC).datetime();
        let mut day = at.date();
        let last = date(day.year().checked_add(MAX_YEARS)?, 12, 31);
        let mut from = u32::from(at.hour().unsigned_abs()) * 60 + u32::from(at.minute().unsigned_abs());
        while day <= last {
            if !self.has_month(day) {
                day = day.last_of_month().tomorrow().ok()?;
                from = 0;
                continue;
            }
            if self.has_day(day) {
                let fires =
                    |minute: &u32| hours >> (minute / 60) & 1 == 1 && minutes >> (minute % 60) & 1 == 1;
                if let Some(minute) = (from..24 * 60).find(fires) {
                    let time = DateTime::from_parts(day, jiff::civil::Time::midnight());
                    let midnight = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
                    return Some(midnight + i64::from(minute) * 60);
                }
            }
            day = day.tomorrow().ok()?;
            from = 0;
        }
        None
    }

    fn has_month(&self, day: Date) -> bool {
        matches!(self, Self::Calendar { months, .. } if months >> day.month() & 1 == 1)
    }

    /// With both kinds of days named, either is enough.
    fn has_day(&self, day: Date) -> bool {
        let Self::Calendar { days, weekdays, by_either_day, .. } = self else { return false };
        let by_date = days >> day.day() & 1 == 1;
        let by_weekday = weekdays >> sunday_based(day.weekday()) & 1 == 1;
        if *by_either_day { by_date || by_weekday } else { by_date && by_weekday }
    }
}

fn sunday_based(day: Weekday) -> u32 {
    u32::from(day.to_sunday_zero_offset().unsigned_abs())
}

/// Reads a list of values, ranges and steps.
fn bits(field: &str, low: u32, high: u32, names: &[&str]) -> Option<u64> {
    let value = |text: &str| -> Option<u32> {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        match named {
            Some(position) => u32::try_from(position).ok().map(|position| position + low),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        }
    };
    let mut all = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(value(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (start, end) = match range {
            "*" | "?" => (low, high),
            _ => match range.split_once('-') {
                Some((start, end)) => (value(start)?, value(end)?),
                None => (value(range)?, if step.is_some() { high } else { value(range)? }),
            },
        };
        if start < low || end > high || start > end {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        all |= (start..=end).step_by(step).fold(0, |bits, value| bits | 1_u64 << value);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> Option<String> {
        let after = after.parse::<Timestamp>().unwrap().as_second();
        let next = Schedule::parse(schedule).unwrap().next(after)?;
        Some(Timestamp::from_second(next).unwrap().to_string())
    }

    #[test]
    fn firings_follow_clock_and_calendar() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z"),
            ("30 2 * * *", "2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z"),
            ("*/15 9-17 * * mon-fri", "2026-01-02T17:46:00Z", "2026-01-05T09:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("5/20 1 * JAN,MAR ?", "2026-01-31T01:46:00Z", "2026-03-01T01:05:00Z"),
            ("@hourly", "2026-12-31T23:10:00Z", "2027-01-01T00:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
        ] {
            assert_eq!(next(schedule, after).as_deref(), Some(expected), "{schedule}");
        }
        assert_eq!(next("0 0 30 2 *", "2026-01-01T00:00:00Z"), None);
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "a * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "@often",
            "* * * * 7",
        ] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
