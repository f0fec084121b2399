//! When an ExternalSecret fetches again.

use std::time::Duration;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::RefreshPolicy;

pub use sealops_providers::go_duration;

use super::{Failure, object_version};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);

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

/// Returns when an object fetches, by its policy, interval and what it fetched last. `now` is in seconds since 1970.
///
/// # Errors
/// Returns the field for an interval or policy that cannot be read; only this object stops.
pub fn due(external: &ExternalSecret, now: i64) -> Result<Due, Failure> {
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
            let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
            Ok(match seconds.saturating_sub(elapsed) {
                left if same_object && elapsed >= 0 && left > 0 => {
                    Due::In(Duration::from_secs(left.unsigned_abs()))
                }
                _ => Due::Now,
            })
        }
    }
}

/// Returns the interval between fetches; `None` for zero, which means never again.
pub(super) fn interval(external: &ExternalSecret) -> Result<Option<Duration>, Failure> {
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
        assert_eq!(due(&external, 100).unwrap(), Due::Now);
        external.status = Some(ExternalSecretStatus {
            refresh_time: Some("1970-01-01T00:01:40Z".into()),
            synced_resource_version: Some(object_version(&external)),
            ..ExternalSecretStatus::default()
        });
        assert_eq!(due(&external, 160).unwrap(), Due::In(Duration::from_secs(3540)));
        assert_eq!(due(&external, 3700).unwrap(), Due::Now);
        assert_eq!(due(&external, 50).unwrap(), Due::Now, "a refresh time in the future counts as none");
        external.metadata.annotations_mut().insert("force-sync".into(), "1".into());
        assert_eq!(due(&external, 160).unwrap(), Due::Now);
        external.spec.refresh_interval = Some("0".into());
        assert_eq!(due(&external, 160).unwrap(), Due::OnChange, "upstream: 0 ignores edits too");
        external.spec.refresh_interval = Some("1d".into());
        assert!(due(&external, 160).is_err());
    }
}
