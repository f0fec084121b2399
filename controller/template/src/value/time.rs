//! `time.Time` and `time.Duration`.

use std::fmt;
use std::sync::Arc;

/// A point in time and the zone to show it in.
#[derive(Clone)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z; may be negative.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
    /// Seconds east of UTC of the zone.
    pub offset: i32,
    /// The zone's abbreviation, such as `UTC` or `CEST`; empty where Go knows only the offset.
    pub zone: Arc<str>,
}

/// A day and time of day as a calendar shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Time {
    /// Makes a time in UTC.
    pub fn utc(seconds: i64, nanos: u32) -> Self {
        Self { seconds, nanos, offset: 0, zone: "UTC".into() }
    }

    /// Returns the calendar's view in the time's own zone (proleptic Gregorian).
    pub fn civil(&self) -> Civil {
        let local = self.seconds.saturating_add(i64::from(self.offset));
        let (days, rest) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        // Years that start in March, in eras of 400 years.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }
}

/// Writes the time as Go's `Time.String` does: `2006-01-02 15:04:05.999999999 -0700 MST`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.civil();
        let sign = if civil.year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{:02}-{:02} ", civil.year.abs(), civil.month, civil.day)?;
        write!(f, "{:02}:{:02}:{:02}", civil.hour, civil.minute, civil.second)?;
        if self.nanos > 0 {
            write!(f, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        let minutes = self.offset.abs() / 60;
        let offset =
            format!("{}{:02}{:02}", if self.offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60);
        let zone = if self.zone.is_empty() { offset.as_str() } else { &self.zone };
        write!(f, " {offset} {zone}")
    }
}

/// Returns what Go's `Duration.String` does: `1h2m3.5s`, `1.5ms`, `0s`.
pub fn duration_text(nanos: i64) -> String {
    let magnitude = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let decimal = |unit: u64, name: &str| {
        let (whole, rest) = (magnitude / unit, magnitude % unit);
        let width = unit.ilog10() as usize;
        let fraction = format!("{rest:0width$}");
        let fraction = if width == 0 { "" } else { fraction.trim_end_matches('0') };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{whole}{point}{fraction}{name}")
    };
    let text = match magnitude {
        0 => "0s".to_owned(),
        1..1_000 => decimal(1, "ns"),
        1_000..1_000_000 => decimal(1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(1_000_000, "ms"),
        _ => {
            let seconds = magnitude / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let below = magnitude % 60_000_000_000;
            let fraction = format!("{:09}", below % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            let tail = format!("{}{point}{fraction}s", below / 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => tail,
                (0, _) => format!("{minutes}m{tail}"),
                _ => format!("{hours}h{minutes}m{tail}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_times_as_go_does() {
        for (time, text) in [
            (Time::utc(0, 0), "1970-01-01 00:00:00 +0000 UTC"),
            (Time::utc(951_782_400, 120_000_000), "2000-02-29 00:00:00.12 +0000 UTC"),
            (Time::utc(-62_135_596_800, 0), "0001-01-01 00:00:00 +0000 UTC"),
            (
                Time { seconds: 1_700_000_000, nanos: 0, offset: -12_600, zone: "".into() },
                "2023-11-14 18:43:20 -0330 -0330",
            ),
        ] {
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn shows_durations_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (-3_600_000_000_000, "-1h0m0s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration_text(nanos), text);
        }
    }
}
