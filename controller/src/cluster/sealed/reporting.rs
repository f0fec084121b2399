//! What others learn of a reconcile: status, event, metrics, log. And what we remember of a failure.

use jiff::Timestamp;
use tracing::{info, warn};

use super::reconcile::{Done, Read};
use super::{Failed, SealedDriver};
use crate::cluster::index::instance_of;
use crate::cluster::leader::WriteGuard;
use crate::cluster::lock;
use crate::cluster::metrics::{ConditionValue, ReconcileResult, UnsealErrorReason};
use crate::outcome::Retry;
use crate::sealed::{self, Failure, FailureReason, Progress, says_failed};

impl SealedDriver {
    /// Returns whether this very input has failed and the stored status says so.
    pub(super) fn would_fail_again(&self, read: &Read<'_>) -> bool {
        let known = lock(&self.failed).get(read.key).cloned();
        let same = known
            .is_some_and(|known| known.repeats && known.spec == read.spec && known.keys == read.keys.version);
        same && (says_failed(&read.object) || self.options.status.is_none())
    }

    pub(super) async fn report_success(&self, read: &Read<'_>, wrote: bool, guard: &WriteGuard) -> Done {
        self.publish(read, ConditionValue::True);
        if wrote {
            info!(key = %read.key, "unsealed");
        }
        let stored = self.tell(read, Ok(()), wrote, guard).await;
        lock(&self.failed).remove(read.key);
        let result = if wrote { ReconcileResult::Written } else { ReconcileResult::Unchanged };
        if stored { Done::Settled(result) } else { Done::Again }
    }

    pub(super) async fn report_failure(
        &self,
        read: &Read<'_>,
        failure: &Failure,
        guard: &WriteGuard,
    ) -> Done {
        self.publish(read, ConditionValue::False);
        let reason = match failure.reason {
            FailureReason::Fetch => UnsealErrorReason::Fetch,
            FailureReason::Unmanaged => UnsealErrorReason::Unmanaged,
            FailureReason::Unseal => UnsealErrorReason::Unseal,
            FailureReason::Update => UnsealErrorReason::Update,
        };
        self.shared.metrics.unseal_error(reason, &read.key.namespace);
        warn!(object = %read.key, reason = ?failure.reason, problem = failure.message, "not unsealed");

        let progress = self.progress(read, failure);
        let stored = self.tell(read, Err((failure, progress)), false, guard).await;
        // The same values and keys give the same failure; everything else is tried again, ever more slowly.
        let repeats = failure.reason == FailureReason::Unseal && failure.retry == Retry::OnChange;
        let failed =
            Failed { spec: read.spec.clone(), keys: read.keys.version, reason: failure.reason, repeats };
        lock(&self.failed).insert(read.key.clone(), failed);
        let waits = repeats && stored && self.keys.current().version == read.keys.version;
        if waits { Done::Stuck } else { Done::Again }
    }

    /// A failure of the API server passes, or somebody has to see to it: so many attempts decide.
    fn progress(&self, read: &Read<'_>, failure: &Failure) -> Progress {
        let attempts = self.shared.queue.failures(read.key);
        if failure.retry == Retry::Backoff && attempts < self.options.patience {
            Progress::Retrying
        } else {
            Progress::Stalled
        }
    }

    /// Writes status and event where they are news. Returns whether the stored status is true now.
    async fn tell(
        &self,
        read: &Read<'_>,
        result: Result<(), (&Failure, Progress)>,
        wrote: bool,
        guard: &WriteGuard,
    ) -> bool {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let report = sealed::report(&read.object, result, wrote, &now);
        let mut stored = true;
        if let (Some(status), Some(how)) = (report.status, self.options.status) {
            stored = self.shared.write_status(&read.object, &status, how, guard).await;
        }
        if !stored {
            self.shared.metrics.unseal_error(UnsealErrorReason::Status, &read.key.namespace);
        }
        if let Some(event) = report.event {
            self.shared.say(&read.object, &event);
        }
        stored
    }

    /// The one condition that is a metric: upstream's alert rule takes every other value than 1 for an alarm, so
    /// `Stalled` and `Reconciling` are none.
    fn publish(&self, read: &Read<'_>, value: ConditionValue) {
        let (key, instance) = (read.key, instance_of(&read.object));
        self.shared.metrics.condition(&key.namespace, &key.name, "Synced", instance, value);
    }
}
