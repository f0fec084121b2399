//! One PushSecret: is it due, what is pushed, what is taken back, what is said.

use jiff::Timestamp;
use sealops_crds::PushSecret;
use sealops_crds::push_secret::{PUSH_SECRET_FINALIZER, SyncedPushSecrets};
use tracing::{debug, warn};

use super::execute::Failed;
use super::{Again, PushDriver, gather};
use crate::cluster::FIELD_MANAGER;
use crate::cluster::api::StatusWrite;
use crate::cluster::leader::WriteGuard;
use crate::cluster::lock;
use crate::external::push::{self, Due, Report};
use crate::object::ObjectKey;

impl PushDriver {
    pub(super) async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let object = match self.shared.api.object::<PushSecret>(key).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.forget(key);
                return Again::done(None);
            }
            Err(error) => {
                debug!(%error, "cannot read the object");
                return Again::BACKOFF;
            }
        };
        let is_marked = object.metadata.finalizers.iter().any(|name| name == PUSH_SECRET_FINALIZER);
        if object.metadata.deletion_timestamp.is_some() {
            return if is_marked { self.clean_up(&object, guard).await } else { Again::done(None) };
        }
        if is_marked != push::deletes(&object) {
            if !self.mark(&object, !is_marked, guard).await {
                return Again::BACKOFF;
            }
            // Its version is another one now, and the status is written for a version.
            return match self.shared.api.object::<PushSecret>(key).await {
                Ok(Some(object)) => self.synchronise(key, &object, guard).await,
                Ok(None) => Again::done(None),
                Err(_) => Again::BACKOFF,
            };
        }
        self.synchronise(key, &object, guard).await
    }

    /// Puts the finalizer on or takes it off. Returns whether that is stored.
    async fn mark(&self, object: &PushSecret, on: bool, guard: &WriteGuard) -> bool {
        let others = object.metadata.finalizers.iter().filter(|name| *name != PUSH_SECRET_FINALIZER);
        let own = on.then(|| PUSH_SECRET_FINALIZER.to_owned());
        let next: Vec<String> = others.cloned().chain(own).collect();
        guard.check().is_ok() && self.shared.api.set_finalizers(object, &next, FIELD_MANAGER).await.is_ok()
    }

    /// Removes everything that was written, then the finalizer.
    async fn clean_up(&self, object: &PushSecret, guard: &WriteGuard) -> Again {
        let now = now_text(Timestamp::now());
        let recorded = object.status.as_ref().and_then(|status| status.synced_push_secrets.clone());
        let mut left = recorded.unwrap_or_default();
        lock(&self.seen).complete(&ObjectKey::of(&object.metadata), &mut left);
        let stale = left.clone();
        match self.remove(object, stale, &mut left, guard).await {
            Ok(()) if self.mark(object, false, guard).await => Again::done(None),
            Ok(()) => Again::BACKOFF,
            Err(failed) => self.tell_failed(object, failed, "", Some(left), &now, guard).await,
        }
    }

    async fn synchronise(&self, key: &ObjectKey, object: &PushSecret, guard: &WriteGuard) -> Again {
        let started = Timestamp::now();
        let now = now_text(started);
        let changed = lock(&self.seen).take_change(key);
        match push::due(object, started.as_second()) {
            Err(problem) => {
                self.tell(object, push::failed(object, &problem, None, &now), guard).await;
                return Again::OnChange;
            }
            Ok(Due::Later(wait)) if !changed => {
                return Again::Done { wait, wrote: false, ready: stored_ready(object) };
            }
            Ok(_) => {}
        }
        let again = self.push(key, object, &now, guard).await;
        if changed && matches!(again, Again::Backoff(_)) {
            // What changed is not pushed yet.
            lock(&self.seen).put_back(key);
        }
        again
    }

    async fn push(&self, key: &ObjectKey, object: &PushSecret, now: &str, guard: &WriteGuard) -> Again {
        let second = now.parse::<Timestamp>().unwrap_or_default().as_second();
        let sources = match self.sources(key, object, second).await {
            Ok(gather::Sources::Foreign) => return Again::done(None),
            Ok(gather::Sources::Gone) => return self.source_gone(object, now, guard).await,
            Ok(gather::Sources::Values(sources)) => sources,
            Err(gather::Problem { message, cause }) => {
                warn!(object = %key, problem = cause, "not pushed");
                self.tell(object, push::failed(object, &message, None, now), guard).await;
                return Again::BACKOFF;
            }
        };
        let stores = match self.selected_stores(object).await {
            Ok(stores) if stores.is_empty() => return Again::done(None),
            Ok(stores) => stores,
            Err(problem) => {
                self.tell(object, push::failed(object, &problem, None, now), guard).await;
                return Again::BACKOFF;
            }
        };
        let before = object.status.as_ref().and_then(|status| status.synced_push_secrets.clone());
        let mut written = before.clone().unwrap_or_default();
        let no_source = sources.is_empty();
        let plan = push::plan(object, &sources, stores);
        let wanted = match self.carry_out(object, plan, &mut written, guard).await {
            Ok(wanted) => wanted,
            Err(failed) => {
                return self
                    .tell_failed(object, failed, "set secret failed: ", Some(written), now, guard)
                    .await;
            }
        };
        // A selector that finds nothing, perhaps for a moment, removes nothing.
        if push::deletes(object) && !no_source {
            let stale = push::stale(&before.clone().unwrap_or_default(), &wanted);
            if let Err(failed) = self.remove(object, stale, &mut written, guard).await {
                return self.tell_failed(object, failed, "", Some(written), now, guard).await;
            }
        }
        let mut report = push::synced(object, wanted, now);
        if no_source && let Some(status) = &mut report.status {
            status.synced_push_secrets = before;
        }
        if !self.tell(object, report, guard).await {
            // It may be going by now, and is then read with a record that lacks this.
            lock(&self.seen).unrecorded(key, written);
            return Again::BACKOFF;
        }
        lock(&self.seen).unrecorded(key, SyncedPushSecrets::new());
        Again::Done { wait: push::interval(object).ok().flatten(), wrote: true, ready: Some(true) }
    }

    /// The source is gone. What was written of it goes too under the deletion policy Delete.
    async fn source_gone(&self, object: &PushSecret, now: &str, guard: &WriteGuard) -> Again {
        let status = object.status.clone().unwrap_or_default();
        let is_cleaned = status.conditions.iter().any(|of| of.reason.as_deref() == Some("SourceDeleted"));
        let recorded = status.synced_push_secrets.unwrap_or_default();
        if push::deletes(object) && is_cleaned && recorded.is_empty() {
            return Again::done(None);
        }
        if !push::deletes(object) || recorded.is_empty() {
            self.tell(object, push::failed(object, push::NO_SOURCE, None, now), guard).await;
            return Again::BACKOFF;
        }
        let mut left = recorded.clone();
        if let Err(failed) = self.remove(object, recorded, &mut left, guard).await {
            return self.tell_failed(object, failed, "", Some(left), now, guard).await;
        }
        match self.tell(object, push::source_deleted(object, now), guard).await {
            true => Again::Done { wait: None, wrote: true, ready: Some(false) },
            false => Again::BACKOFF,
        }
    }

    async fn tell_failed(
        &self,
        object: &PushSecret,
        failed: Failed,
        before: &str,
        written: Option<sealops_crds::push_secret::SyncedPushSecrets>,
        now: &str,
        guard: &WriteGuard,
    ) -> Again {
        if failed.stopped {
            return Again::BACKOFF;
        }
        let message = format!("{before}{}", failed.message);
        warn!(object = %ObjectKey::of(&object.metadata), problem = message, "not pushed");
        self.tell(object, push::failed(object, &message, written, now), guard).await;
        Again::Backoff(failed.not_before)
    }

    /// Writes status and event. Returns whether they are stored.
    async fn tell(&self, object: &PushSecret, report: Report, guard: &WriteGuard) -> bool {
        if let Some(event) = &report.event {
            self.shared.say(object, event);
        }
        match report.status {
            // Replaced: what is recorded no more has to go, whoever wrote it.
            Some(status) => self.shared.write_status(object, &status, StatusWrite::Replace, guard).await,
            None => true,
        }
    }
}

/// Returns what the stored status says about `Ready`.
fn stored_ready(object: &PushSecret) -> Option<bool> {
    let conditions = &object.status.as_ref()?.conditions;
    Some(conditions.iter().find(|condition| condition.type_ == "Ready")?.status == "True")
}

fn now_text(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
