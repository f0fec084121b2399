//! Points in time as Go reads and writes them.

/// A point in time as it was written: civil fields and offset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, from 1.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanoseconds.
    pub nanosecond: u32,
    /// Minutes east of UTC.
    pub offset_minutes: i32,
}

impl Time {
    /// Writes RFC 3339 with the digits of the second that are needed.
    pub fn to_rfc3339_nano(&self) -> String {
        self.write(true)
    }

    /// Writes RFC 3339 with whole seconds.
    pub fn to_rfc3339_seconds(&self) -> String {
        self.write(false)
    }

    /// Reads RFC 3339, strictly.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 || bytes[10] != b'T' {
            return None;
        }
        let (date, rest) = (text.get(..10)?, text.get(11..)?);
        let (clock, offset) = split_offset(rest)?;
        if date.as_bytes()[4] != b'-' || clock.len() < 8 || clock.contains(',') {
            return None;
        }
        let mut time = Self::from_parts(date, Some(clock), true)?;
        time.offset_minutes = offset;
        Some(time)
    }

    fn write(&self, fraction: bool) -> String {
        let mut text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        );
        if fraction && self.nanosecond > 0 {
            let digits = format!(".{:09}", self.nanosecond);
            text.push_str(digits.trim_end_matches('0'));
        }
        if self.offset_minutes == 0 {
            text.push('Z');
        } else {
            let (sign, minutes) =
                (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.abs());
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        text
    }

    /// Reads `Y-M-D` and `h:m:s[.frac]`; `strict` asks for two digits everywhere.
    pub(super) fn from_parts(date: &str, clock: Option<&str>, strict: bool) -> Option<Self> {
        let mut parts = date.split('-');
        let year = digits(parts.next()?, 4, 4)?;
        let month = digits(parts.next()?, if strict { 2 } else { 1 }, 2)?;
        let day = digits(parts.next()?, if strict { 2 } else { 1 }, 2)?;
        let (hour, minute, second, nanosecond) = match clock {
            Some(clock) => read_clock(clock, strict)?,
            None => (0, 0, 0, 0),
        };
        let fits =
            parts.next().is_none() && (1..=12).contains(&month) && day >= 1 && day <= days(year, month);
        fits.then_some(Self {
            year: u16::try_from(year).ok()?,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
            hour,
            minute,
            second,
            nanosecond,
            offset_minutes: 0,
        })
    }
}

/// Splits `Z` or `+hh:mm` off the end of a clock text.
pub(super) fn split_offset(text: &str) -> Option<(&str, i32)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let at = text.len().checked_sub(6)?;
    let (clock, offset) = (text.get(..at)?, text.get(at..)?);
    let sign = match offset.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if offset.as_bytes()[3] != b':' {
        return None;
    }
    let (hours, minutes) = (digits(offset.get(1..3)?, 2, 2)?, digits(offset.get(4..)?, 2, 2)?);
    // Go's limits: 24 hours and 60 minutes pass.
    let total = i32::try_from(hours * 60 + minutes).ok()?;
    (hours <= 24 && minutes <= 60).then_some((clock, sign * total))
}

fn read_clock(text: &str, strict: bool) -> Option<(u8, u8, u8, u32)> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?, if strict { 2 } else { 1 }, 2)?;
    // Go wants two digits for what the layout writes as 04 and 05; YAML's layouts have one.
    let minute = digits(parts.next()?, if strict { 2 } else { 1 }, 2)?;
    let seconds = parts.next()?;
    let at = seconds.find(['.', ',']);
    let (whole, fraction) = at.map_or((seconds, None), |at| (&seconds[..at], Some(&seconds[at + 1..])));
    let second = digits(whole, if strict { 2 } else { 1 }, 2)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanosecond = match fraction {
        None => 0,
        Some(fraction) if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{fraction:0<9}").get(..9)?.parse().ok()?
        }
        Some(_) => return None,
    };
    Some((u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, u8::try_from(second).ok()?, nanosecond))
}

fn digits(text: &str, least: usize, most: usize) -> Option<u32> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}
