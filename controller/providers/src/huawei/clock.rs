//! Times as Huawei Cloud writes them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealops_formats::tree::Time;

const DAY: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;
/// Days of 400 years.
const CYCLE: u64 = 146_097;

/// Returns how long it is since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Writes seconds since 1970 as `20060102T150405Z`.
pub(super) fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / DAY + EPOCH, seconds % DAY);
    // Years begin in March here, so a leap day is the last of its year.
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + cycle * 400 + next;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Reads RFC 3339 in UTC as seconds since 1970; `None` is no such time, or one before 1970.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let time = Time::parse_rfc3339(text).filter(|time| time.offset_minutes == 0)?;
    let (month, early) = match u64::from(time.month) {
        month @ 3.. => (month - 3, 0),
        month => (month + 9, 1),
    };
    let year = u64::from(time.year).checked_sub(early)?;
    let day = (153 * month + 2) / 5 + u64::from(time.day) - 1;
    let days = (year / 400 * CYCLE + year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day)
        .checked_sub(EPOCH)?;
    Some(days * DAY + u64::from(time.hour) * 3600 + u64::from(time.minute) * 60 + u64::from(time.second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (at, written, text) in [
            (0, "19700101T000000Z", "1970-01-01T00:00:00Z"),
            (951_782_399, "20000228T235959Z", "2000-02-28T23:59:59Z"),
            (951_782_400, "20000229T000000Z", "2000-02-29T00:00:00Z"),
            (951_868_800, "20000301T000000Z", "2000-03-01T00:00:00Z"),
            (1_735_689_599, "20241231T235959Z", "2024-12-31T23:59:59.250000Z"),
            (4_107_542_400, "21000301T000000Z", "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(stamp(at), written);
            assert_eq!(seconds(text), Some(at), "{text}");
        }
        for text in
            ["", "2024-01-01", "1969-12-31T23:59:59Z", "2024-01-01T00:00:00+01:00", "0000-01-01T00:00:00Z"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
