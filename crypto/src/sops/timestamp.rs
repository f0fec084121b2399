//! Points in time in the metadata: RFC 3339 with whole seconds, as text, because the text is authenticated.

use std::fmt;

use sealops_formats::tree::Time;
use time::OffsetDateTime;

/// A point in time as SOPS writes it: `2026-01-02T03:04:05Z`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Timestamp(String);

/// A text that is no RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time is not in RFC 3339 format")]
pub struct NotATime;

impl Timestamp {
    /// Makes the time of a new file from seconds since 1970.
    ///
    /// # Errors
    /// Fails for a year that RFC 3339 cannot write.
    pub fn from_unix(seconds: i64) -> Result<Self, NotATime> {
        let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| NotATime)?;
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        if !(0..=9999).contains(&year) {
            return Err(NotATime);
        }
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        Ok(Self(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")))
    }

    /// Reads a time and writes it anew, as SOPS does before it authenticates it: fractions are dropped, `+00:00` is `Z`.
    ///
    /// # Errors
    /// Fails where the text is no RFC 3339 time.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        Time::parse_rfc3339(text).map(|time| Self::from_time(&time)).ok_or(NotATime)
    }

    pub(super) fn from_time(time: &Time) -> Self {
        Self(time.to_rfc3339_seconds())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
