//! Times as Huawei Cloud writes them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use sealops_formats::tree::Time;

/// Returns how long it is since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Writes seconds since 1970 as `20060102T150405Z`.
pub(super) fn stamp(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads RFC 3339 in UTC as seconds since 1970; `None` is no such time, or one before 1970.
pub(super) fn seconds(text: &str) -> Option<u64> {
    // jiff takes more than RFC 3339.
    Time::parse_rfc3339(text).filter(|time| time.offset_minutes == 0)?;
    text.parse::<Timestamp>().ok()?.as_second().try_into().ok()
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
