//! When an ExternalSecret fetches again.

use std::time::Duration;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::{RefreshPolicy, SyncWindows, WindowKind};

pub use sealops_providers::go_duration;

use super::cron::Schedule;
use super::{Failure, object_version};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);
/// Windows in a row that are looked through.
const MAX_WINDOWS: usize = 1000;
/// Longest wait for a window; then it is looked again.
const LONGEST_CLOSED: Duration = Duration::from_secs(24 * 3600);

/// When the next fetch is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// After a time.
    In(Duration),
    /// Not before something changes.
    OnChange,
}

impl Due {
    /// Returns how long to wait, `None` for a change.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::In(wait) => Some(wait),
            Self::OnChange => None,
        }
    }
}

/// Returns when an object fetches, by its policy, interval, windows and what it fetched last. `now` is in seconds since
/// 1970. `moved` says that something which it reads has changed: under Periodic that makes a refresh due.
///
/// # Errors
/// Returns the field for an interval or policy that cannot be read; only this object stops.
pub fn due(external: &ExternalSecret, now: i64, moved: bool) -> Result<Due, Failure> {
    let status = external.status.as_ref();
    let version =
        status.and_then(|status| status.synced_resource_version.as_deref()).filter(|text| !text.is_empty());
    let time = status
        .and_then(|status| status.refresh_time.as_deref())
        .and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let same_object = version.is_some_and(|version| version == object_version(external));
    let synced = version.is_some() && time.is_some();
    match external.spec.refresh_policy.as_ref() {
        Some(RefreshPolicy::CreatedOnce) => Ok(if synced { Due::OnChange } else { Due::Now }),
        Some(RefreshPolicy::OnChange) => Ok(if synced && same_object { Due::OnChange } else { Due::Now }),
        Some(RefreshPolicy::Other(_)) => {
            Err(Failure::invalid("spec.refreshPolicy", "the policy is not known"))
        }
        Some(RefreshPolicy::Periodic) | None => {
            let interval = interval(external)?;
            let Some(time) = time else { return Ok(Due::Now) };
            let Some(interval) = interval else { return Ok(if synced { Due::OnChange } else { Due::Now }) };
            let elapsed = now - time.as_second();
            if !same_object || elapsed < 0 {
                return Ok(Due::Now);
            }
            let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
            let left = seconds.saturating_sub(elapsed);
            if left > 0 && !moved {
                return Ok(Due::In(Duration::from_secs(left.unsigned_abs())));
            }
            Ok(match external.spec.sync_windows.as_ref().map(|windows| opens(windows, now)) {
                Some(wait) if !wait.is_zero() => Due::In(wait),
                _ => Due::Now,
            })
        }
    }
}

/// Returns how long windows keep a periodic refresh waiting; zero is not at all. A window that cannot be read counts as
/// none.
fn opens(windows: &SyncWindows, now: i64) -> Duration {
    let wait_until = |at: i64| Duration::from_secs((at - now).max(1).unsigned_abs());
    let read: Vec<(Schedule, i64)> = windows
        .windows
        .iter()
        .filter_map(|window| {
            let duration = i64::try_from(go_duration(&window.duration)?.as_secs()).ok()?;
            Some((Schedule::parse(&window.schedule)?, duration))
        })
        .collect();
    let ends =
        |at: i64| read.iter().filter_map(|(schedule, duration)| end_of_window(schedule, *duration, at)).max();
    if windows.kind == Some(WindowKind::Deny) {
        let mut at = now;
        for _ in 0..MAX_WINDOWS {
            match ends(at) {
                Some(end) => at = end,
                None if at == now => return Duration::ZERO,
                None => return wait_until(at),
            }
        }
        return LONGEST_CLOSED;
    }
    if ends(now).is_some() {
        return Duration::ZERO;
    }
    let next = read.iter().filter_map(|(schedule, _)| schedule.next(now)).min();
    next.map_or(LONGEST_CLOSED, wait_until).min(LONGEST_CLOSED)
}

/// Returns when the window that is open at a moment ends; `None` where none is.
fn end_of_window(schedule: &Schedule, duration: i64, at: i64) -> Option<i64> {
    let mut last = schedule.next(at.saturating_sub(duration)).filter(|firing| *firing <= at)?;
    for _ in 0..MAX_WINDOWS {
        match schedule.next(last).filter(|firing| *firing <= at) {
            Some(later) => last = later,
            None => break,
        }
    }
    Some(last.saturating_add(duration))
}

/// Returns the interval between fetches; `None` for zero, which means never again.
pub(crate) fn interval(external: &ExternalSecret) -> Result<Option<Duration>, Failure> {
    let periodic =
        external.spec.refresh_policy.as_ref().is_none_or(|policy| *policy == RefreshPolicy::Periodic);
    match external.spec.refresh_interval.as_deref() {
        _ if !periodic => Ok(None),
        None => Ok(Some(DEFAULT_INTERVAL)),
        Some(text) => {
            let interval = go_duration(text).ok_or_else(|| {
                Failure::invalid("spec.refreshInterval", "this is not a duration such as 1h30m")
            })?;
            Ok(Some(interval).filter(|interval| !interval.is_zero()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealops_crds::ExternalSecretStatus;

    #[test]
    fn reads_gos_durations() {
        for (text, seconds) in [
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("-5m", Some(0)),
            ("1.5h", Some(5400)),
        ] {
            assert_eq!(go_duration(text).map(|d| d.as_secs()), seconds, "{text}");
        }
        for text in ["", "1d", "soon", "1", "h", "1y", ".", "1h-5m", "9999999999h"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn periodic_refresh_follows_interval_and_changes() {
        let mut external = ExternalSecret::default();
        assert_eq!(due(&external, 100, false).unwrap(), Due::Now);
        external.status = Some(ExternalSecretStatus {
            refresh_time: Some("1970-01-01T00:01:40Z".into()),
            synced_resource_version: Some(object_version(&external)),
            ..ExternalSecretStatus::default()
        });
        assert_eq!(due(&external, 160, false).unwrap(), Due::In(Duration::from_secs(3540)));
        assert_eq!(due(&external, 3700, false).unwrap(), Due::Now);
        assert_eq!(
            due(&external, 50, false).unwrap(),
            Due::Now,
            "a refresh time in the future counts as none"
        );
        external.metadata.annotations_mut().insert("force-sync".into(), "1".into());
        assert_eq!(due(&external, 160, false).unwrap(), Due::Now);
        external.spec.refresh_interval = Some("0".into());
        assert_eq!(due(&external, 160, false).unwrap(), Due::OnChange, "upstream: 0 ignores edits too");
        external.spec.refresh_interval = Some("1d".into());
        assert!(due(&external, 160, false).is_err());
    }
    fn windows(kind: &str, schedule: &str, duration: &str) -> SyncWindows {
        let window = serde_json::json!({ "schedule": schedule, "duration": duration });
        serde_json::from_value(serde_json::json!({ "kind": kind, "windows": [window] })).unwrap()
    }

    #[test]
    fn windows_hold_periodic_refreshes_until_their_edge() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (kind, schedule, duration, now, expected) in [
            ("allow", "0 2 * * *", "1h", "2026-01-01T02:30:00Z", Duration::ZERO),
            ("allow", "0 2 * * *", "1h", "2026-01-01T03:00:00Z", minutes(23 * 60)),
            ("allow", "0 2 * * *", "1h", "2026-01-01T01:00:00Z", minutes(60)),
            ("deny", "0 2 * * *", "1h", "2026-01-01T01:59:00Z", Duration::ZERO),
            ("deny", "0 2 * * *", "1h", "2026-01-01T02:30:00Z", minutes(30)),
            ("deny", "0,30 2 * * *", "40m", "2026-01-01T02:10:00Z", minutes(60)),
            ("deny", "* * * * *", "2m", "2026-01-01T02:10:00Z", LONGEST_CLOSED),
            ("allow", "odd", "1h", "2026-01-01T02:10:00Z", LONGEST_CLOSED),
            ("deny", "odd", "1h", "2026-01-01T02:10:00Z", Duration::ZERO),
        ] {
            assert_eq!(
                opens(&windows(kind, schedule, duration), at(now)),
                expected,
                "{kind} {schedule} {now}"
            );
        }
    }

    #[test]
    fn what_moved_makes_a_periodic_refresh_due_and_no_other() {
        let mut external = ExternalSecret::default();
        external.status = Some(ExternalSecretStatus {
            refresh_time: Some("1970-01-01T00:01:40Z".into()),
            synced_resource_version: Some(object_version(&external)),
            ..ExternalSecretStatus::default()
        });
        assert_eq!(due(&external, 160, true).unwrap(), Due::Now);
        external.spec.sync_windows = Some(windows("deny", "* * * * *", "2m"));
        assert_eq!(due(&external, 160, true).unwrap(), Due::In(LONGEST_CLOSED));
        for policy in [RefreshPolicy::CreatedOnce, RefreshPolicy::OnChange] {
            external.spec.refresh_policy = Some(policy);
            assert_eq!(due(&external, 160, true).unwrap(), Due::OnChange);
        }
    }
}
