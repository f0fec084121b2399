//! Status, events and metrics from the result.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use jiff::Timestamp;
use sealops_crds::ExternalSecret;
use tracing::warn;

use super::ExternalDriver;
use super::reconcile::Attempt;
use crate::cluster::api::StatusWrite;
use crate::cluster::leader::WriteGuard;
use crate::cluster::lock;
use crate::cluster::metrics::ExternalKind;
use crate::external::{self, Failure, Settled};
use crate::object::ObjectKey;

impl ExternalDriver {
    pub(super) fn count(
        &self,
        key: &ObjectKey,
        object: &ExternalSecret,
        result: Result<Settled, &Failure>,
        attempt: &Attempt,
        started: Timestamp,
    ) {
        if matches!(result, Ok(Settled::NotDue | Settled::Ignored)) {
            return;
        }
        let metrics = &self.shared.metrics;
        let took = Timestamp::now().duration_since(started).unsigned_abs();
        let is_ready = result.is_ok();
        let kind = ExternalKind::ExternalSecret;
        metrics.external_condition(kind, &key.namespace, &key.name, is_ready, took);
        let stored = object.status.as_ref().and_then(|status| status.refresh_time.as_deref());
        let stored = stored.and_then(|time| time.parse::<Timestamp>().ok()).map(Timestamp::as_second);
        let refreshed = if is_ready { Some(started.as_second()) } else { stored };
        let wait = attempt.wait.and_then(|wait| i64::try_from(wait.as_secs()).ok());
        let next = wait.map(|wait| started.as_second().saturating_add(wait));
        metrics.external_sync(&key.namespace, &key.name, is_ready, refreshed, next);
    }

    /// Writes status and events; says whether the status is as it should be.
    pub(super) async fn tell(
        &self,
        key: &ObjectKey,
        object: &ExternalSecret,
        result: Result<Settled, &Failure>,
        attempt: &Attempt,
        started: Timestamp,
        guard: &WriteGuard,
    ) -> bool {
        let now = started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut events = attempt.events.clone();
        if let Err(failure) = result {
            events.extend(failure.events.iter().cloned());
        }
        let done = attempt.done(result);
        let report = external::report(object, result, &done, &events, &now);
        let is_news = self.said.is_news(key, result.err());
        if let Err(failure) = result
            && is_news
        {
            warn!(object = %key, problem = failure.cause, "not synchronised");
        }
        if result.is_ok() || is_news {
            report.events.iter().for_each(|event| self.shared.say(object, event));
        }
        match report.status {
            Some(status) => self.shared.write_status(object, &status, StatusWrite::Apply, guard).await,
            None => true,
        }
    }
}

/// Failures that were told, so that a repetition is not news. Hashes only.
#[derive(Default)]
pub(super) struct Said {
    hasher: RandomState,
    causes: Mutex<HashMap<ObjectKey, u64>>,
}

impl Said {
    pub(super) fn is_news(&self, key: &ObjectKey, failure: Option<&Failure>) -> bool {
        let mut causes = lock(&self.causes);
        let Some(failure) = failure else {
            causes.remove(key);
            return true;
        };
        let hash = self.hasher.hash_one(&failure.cause);
        causes.insert(key.clone(), hash) != Some(hash)
    }

    pub(super) fn forget(&self, key: &ObjectKey) {
        lock(&self.causes).remove(key);
    }
}
