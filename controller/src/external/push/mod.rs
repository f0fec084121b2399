//! PushSecret: values of Secrets that are written to stores, as External Secrets Operator 2.9 does it.
//!
//! ```text
//!   PushSecret, sources, stores (read by the cluster side) ──plan (pure)──► Plan { writes per store }
//!                                   status: what was written before ──stale──► removals
//!                                                                        │ executed by cluster/push, one by one
//!                                                                        ▼
//!                                                            Progress ──report──► status, event
//! ```
//!
//! Nothing is sent while deciding. What was written is recorded in the status whether or not all of it succeeded, so
//! that it can be removed later. Different from upstream on purpose: what a selector of several Secrets wants is
//! compared with the status once, for all of them together.

mod keys;
mod plan;
mod report;
mod value;

pub use plan::{Plan, SelectedStore, StorePlan, Write, plan, stale};
pub use report::{Report, failed, source_deleted, synced};
pub use value::Pushed;

use std::time::Duration;

use sealops_crds::push_secret::{PushData, PushDeletionPolicy, UpdatePolicy};
use sealops_crds::{ExternalSecret, ExternalSecretSpec, PushSecret};
use sealops_formats::Plaintext;
use serde_json::Value;
use std::collections::BTreeMap;

use super::{go_duration, template, version_of};
use crate::object::ObjectReader;
use crate::templates::TemplateOptions;

/// Condition message where the source cannot be had.
pub const NO_SOURCE: &str = "could not get source secret";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);
/// Upstream looks this much later than the interval ends.
const SLACK: Duration = Duration::from_secs(5);

/// Returns whether written values are removed when they are wanted no more.
pub fn deletes(push: &PushSecret) -> bool {
    push.spec.deletion_policy == Some(PushDeletionPolicy::Delete)
}

/// Returns whether values that are there already stay.
pub fn keeps_existing(push: &PushSecret) -> bool {
    push.spec.update_policy == Some(UpdatePolicy::IfNotExists)
}

/// Returns the interval between writes; `None` for zero, which means once.
///
/// # Errors
/// Returns the field for a text that is no duration.
pub fn interval(push: &PushSecret) -> Result<Option<Duration>, String> {
    let Some(text) = push.spec.refresh_interval.as_deref() else { return Ok(Some(DEFAULT_INTERVAL)) };
    let interval = go_duration(text).ok_or("spec.refreshInterval: this is not a duration such as 1h30m")?;
    Ok(Some(interval).filter(|interval| !interval.is_zero()))
}

/// When the next write is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// After a time; `None` waits for a change.
    Later(Option<Duration>),
}

/// Returns when an object is written, by what was written last. `now` is in seconds since 1970.
///
/// # Errors
/// Returns the field for an interval that cannot be read; only this object stops.
pub fn due(push: &PushSecret, now: i64) -> Result<Due, String> {
    let interval = interval(push)?;
    let status = push.status.clone().unwrap_or_default();
    if status.synced_resource_version.as_deref() != Some(version_of(&push.metadata).as_str()) {
        return Ok(Due::Now);
    }
    let Some(interval) = interval else { return Ok(Due::Later(None)) };
    let time = status.refresh_time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let Some(time) = time else { return Ok(Due::Now) };
    let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
    let left = time.as_second().saturating_add(seconds).saturating_sub(now);
    Ok(match u64::try_from(left) {
        Ok(left) if left > 0 && time.as_second() <= now => {
            Due::Later(Some(Duration::from_secs(left).saturating_add(SLACK)))
        }
        _ => Due::Now,
    })
}

/// Returns the key of an entry in the status: `remoteKey`, or `remoteKey/property`.
pub fn place_of(data: &PushData) -> String {
    let remote = &data.match_.remote_ref;
    if remote.property.is_empty() {
        remote.remote_key.clone()
    } else {
        format!("{}/{}", remote.remote_key, remote.property)
    }
}

/// Lays the template over the values of a source: its keys are added, the others stay.
///
/// # Errors
/// Returns what is wrong with the template, without a value.
pub async fn templated(
    push: &PushSecret,
    values: BTreeMap<String, Plaintext>,
    objects: &dyn ObjectReader,
    options: TemplateOptions,
) -> Result<BTreeMap<String, Plaintext>, String> {
    let Some(written) = push.spec.template.as_ref().filter(|template| !template.is_null()) else {
        return Ok(values);
    };
    let mut merged = written.clone();
    if let Value::Object(fields) = &mut merged {
        fields.insert("mergePolicy".to_owned(), Value::from("Merge"));
    }
    // The same template as that of an ExternalSecret, over a source instead of fetched values.
    let external = ExternalSecret {
        metadata: push.metadata.clone(),
        spec: ExternalSecretSpec {
            target: Some(sealops_crds::external_secret::Target {
                template: Some(merged),
                ..Default::default()
            }),
            ..ExternalSecretSpec::default()
        },
        ..ExternalSecret::default()
    };
    let gathered = template::gather(&external, objects, template::Scope::Secret)
        .await
        .map_err(|failure| failure.cause)?;
    match gathered {
        None => Ok(values),
        Some(gathered) => template::render(&external, gathered, values, options, false)
            .map(|content| content.data)
            .map_err(|failure| failure.cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealops_crds::PushSecretStatus;

    #[test]
    fn writes_follow_interval_and_changes() {
        let mut push = PushSecret::default();
        assert_eq!(due(&push, 100), Ok(Due::Now));
        push.status = Some(PushSecretStatus {
            refresh_time: Some("1970-01-01T00:01:40Z".into()),
            synced_resource_version: Some(version_of(&push.metadata)),
            ..PushSecretStatus::default()
        });
        assert_eq!(due(&push, 160), Ok(Due::Later(Some(Duration::from_secs(3545)))));
        assert_eq!(due(&push, 3700), Ok(Due::Now));
        assert_eq!(due(&push, 50), Ok(Due::Now), "a time in the future counts as none");
        push.spec.refresh_interval = Some("0s".into());
        assert_eq!(due(&push, 99_999), Ok(Due::Later(None)));
        push.metadata.annotations_mut().insert("force-sync".into(), "1".into());
        assert_eq!(due(&push, 160), Ok(Due::Now));
        push.spec.refresh_interval = Some("1d".into());
        assert!(due(&push, 160).unwrap_err().contains("spec.refreshInterval"));
    }
}
