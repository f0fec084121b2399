//! `time.Time`.

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

impl Time {
    /// Makes a time in UTC.
    pub fn utc(seconds: i64, nanos: u32) -> Self {
        Self { seconds, nanos, offset: 0, zone: "UTC".into() }
    }
}
