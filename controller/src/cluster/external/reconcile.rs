//! One object: read, decided, written.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealops_crds::ExternalSecret;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::informed::Informed;
use super::{Again, ExternalDriver, LONGEST_WAIT};
use crate::cluster::commit::{Committed, commit, commit_manifest};
use crate::cluster::leader::WriteGuard;
use crate::cluster::ledger::StateLedger;
use crate::cluster::{FIELD_MANAGER, lock};
use crate::external::{self, Decision, Done, FINALIZER, Failure, Ledger, Moment, Settled, Surroundings};
use crate::object::{ManifestKind, ObjectKey};
use crate::outcome::{
    Change, CommitError, CommitErrorKind, Event, ManifestChange, ManifestWrite, Outcome, Retry,
};

impl ExternalDriver {
    pub(super) async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let shown = lock(&self.first_looks).take(key);
        let (is_first, since) = (shown.is_some(), shown.as_ref().map_or_else(Instant::now, |shown| shown.at));
        let read = match shown {
            Some(shown) => Ok(Some(shown.object)),
            None => self.shared.api.object::<ExternalSecret>(key).await,
        };
        let object = match read {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.forget(key);
                return Again::AT_REST;
            }
            Err(error) => {
                debug!(%error, "cannot read the object");
                return Again::Backoff;
            }
        };
        if object.metadata.deletion_timestamp.is_some() {
            return self.remove(key, &object, guard).await;
        }
        if !self.mark(&object, true, guard).await {
            return Again::Backoff;
        }
        self.synchronise(key, &object, (is_first, since), guard).await
    }

    /// Sets or takes off our finalizer; says whether it is as it should be.
    pub(super) async fn mark(&self, object: &ExternalSecret, marked: bool, guard: &WriteGuard) -> bool {
        let finalizers = &object.metadata.finalizers;
        if finalizers.iter().any(|name| name == FINALIZER) == marked {
            return true;
        }
        let mut next: Vec<String> = finalizers.iter().filter(|name| *name != FINALIZER).cloned().collect();
        next.extend(marked.then(|| FINALIZER.to_owned()));
        guard.check().is_ok() && self.shared.api.set_finalizers(object, &next, FIELD_MANAGER).await.is_ok()
    }

    /// The object goes, and its target with it where the deletion policy says so. What the API server refuses for good
    /// does not hold the object.
    pub(super) async fn remove(&self, key: &ObjectKey, object: &ExternalSecret, guard: &WriteGuard) -> Again {
        if object.metadata.finalizers.iter().any(|name| name == FINALIZER) {
            if let Some(kind) = external::wanted_manifest(object) {
                return self.remove_manifest(key, object, &kind, guard).await;
            }
            let outcome = match external::deleted(object, &self.shared.reader).await {
                Ok(outcome) => outcome,
                Err(failure) => {
                    debug!(object = %key, problem = failure.cause, "cannot read the target of an object that goes");
                    return Again::Backoff;
                }
            };
            match self.commit(key, outcome, guard).await {
                Ok(_) => {}
                Err(error) if error.kind == CommitErrorKind::Refused => {
                    warn!(object = %key, %error, "the target cannot be removed and stays");
                }
                Err(_) => return Again::Backoff,
            }
        }
        if self.mark(object, false, guard).await { Again::AT_REST } else { Again::Backoff }
    }

    /// The same for a target that is no Secret. Where those are off, it stays.
    async fn remove_manifest(
        &self,
        key: &ObjectKey,
        object: &ExternalSecret,
        kind: &ManifestKind,
        guard: &WriteGuard,
    ) -> Again {
        if self.options.generic_targets {
            let change = match external::deleted_manifest(object, kind, &self.shared.reader).await {
                Ok(change) => change,
                Err(failure) => {
                    debug!(object = %key, problem = failure.cause, "cannot read the target of an object that goes");
                    return Again::Backoff;
                }
            };
            if let Some(change) = change {
                match commit_manifest(&change, &self.shared.api, guard, "").await {
                    Ok(_) => {}
                    Err(error) if error.kind == CommitErrorKind::Refused => {
                        warn!(object = %key, %error, "the target cannot be removed and stays");
                    }
                    Err(_) => return Again::Backoff,
                }
            }
        }
        if self.mark(object, false, guard).await { Again::AT_REST } else { Again::Backoff }
    }

    pub(super) async fn commit(
        &self,
        key: &ObjectKey,
        outcome: Outcome,
        guard: &WriteGuard,
    ) -> Result<Committed, CommitError> {
        let manager = external::field_manager(&key.name).replace('/', "%2F");
        commit(outcome, &self.shared.api, guard, &manager).await
    }

    /// Decides what to write; `None` where the thread that renders was lost. Templates may take seconds of processor
    /// time, so they run where no other worker waits for them.
    pub(super) async fn decide(
        &self,
        object: &ExternalSecret,
        moment: Moment,
        reader: Informed,
        ledger: Option<Arc<StateLedger>>,
    ) -> Option<Result<Decision, Failure>> {
        let options = self.options;
        let (stores, generators) = (Arc::clone(&self.stores), Arc::clone(&self.generators));
        let object = object.clone();
        let may_take_long = external::renders(&object);
        let work = async move {
            let surroundings = Surroundings {
                cluster: &reader,
                stores: stores.as_ref(),
                generators: generators.as_ref(),
                ledger: ledger.as_deref().map(|ledger| ledger as &dyn Ledger),
                options,
            };
            external::reconcile(&object, &surroundings, &moment).await
        };
        if !may_take_long {
            return Some(work.await);
        }
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || runtime.block_on(work)).await.ok()
    }

    /// Decides with what is known; that a target is not there is believed only where it will be created, which fails if
    /// it is there after all.
    async fn decide_informed(
        &self,
        object: &ExternalSecret,
        moment: Moment,
        since: Instant,
        lacking: Option<ObjectKey>,
        ledger: Option<Arc<StateLedger>>,
    ) -> Option<Result<Decision, Failure>> {
        let (live, shared) = (self.shared.reader.clone(), Arc::clone(&self.reads));
        let mut reader = Informed { live, shared, since, lacking };
        let decided = self.decide(object, moment.clone(), reader.clone(), ledger.clone()).await?;
        let creates = |decision: &Decision| {
            decision.outcome.changes.iter().any(|change| matches!(change, Change::Create(_)))
        };
        if reader.lacking.is_none() || !decided.as_ref().is_ok_and(|decision| !creates(decision)) {
            return Some(decided);
        }
        reader.lacking = None;
        self.decide(object, moment, reader, ledger).await
    }

    pub(super) async fn synchronise(
        &self,
        key: &ObjectKey,
        object: &ExternalSecret,
        (is_first, since): (bool, Instant),
        guard: &WriteGuard,
    ) -> Again {
        let started = Timestamp::now();
        let target = ObjectKey::new(key.namespace.as_str(), external::target_name(object));
        let moment = Moment {
            now: started.as_second(),
            moved: lock(&self.moved).contains(key),
            orphans: lock(&self.links).orphans(key, object),
            left: lock(&self.left).get(key).cloned(),
        };
        let ledger = self
            .generator_grace
            .filter(|_| generates(object))
            .map(|grace| Arc::new(StateLedger::new(self.shared.api.clone(), guard.clone(), object, grace)));
        let (is_right, lacks) = {
            let links = lock(&self.links);
            (links.is_right(&target), is_first && links.lacks(&target))
        };
        let at_rest = Some(&moment).filter(|_| is_right).and_then(|moment| external::rests(object, moment));
        let decided = match at_rest {
            Some(decision) => Some(Ok(decision)),
            None => {
                let may_lack = lacks && external::only_creates(object) && !generates(object);
                let lacking = Some(target).filter(|_| may_lack);
                self.decide_informed(object, moment, since, lacking, ledger.clone()).await
            }
        };
        let mut attempt = Attempt::default();
        let result = match decided {
            None => Err(Again::Backoff),
            Some(Err(failure)) => Ok(Err(failure)),
            Some(Ok(decision)) => self.carry_out(key, decision, &mut attempt, guard).await,
        };
        if let Some(ledger) = ledger {
            if matches!(result, Ok(Ok(_))) { ledger.commit().await } else { ledger.roll_back().await }
        }
        let result = match result {
            Ok(result) => result,
            Err(again) => return again,
        };
        let settled = result.as_ref().copied();
        self.count(key, object, settled, &attempt, started);
        if settled.is_ok_and(|settled| settled != Settled::NotDue) {
            lock(&self.moved).remove(key);
        }
        if !self.tell(key, object, settled, &attempt, started, guard).await {
            return Again::Backoff;
        }
        match result {
            Ok(settled) => {
                if matches!(settled, Settled::NotDue | Settled::Synced) {
                    let rest = attempt.wait.map(|wait| Instant::now() + wait.min(LONGEST_WAIT));
                    lock(&self.links).settle(key, object, rest);
                }
                let wrote = attempt.written.is_some() || attempt.resource.is_some();
                Again::After { wait: attempt.wait, wrote }
            }
            Err(failure) if failure.retry == Retry::OnChange => Again::OnChange,
            Err(_) => Again::Backoff,
        }
    }

    /// Makes a decision true. The outer error says that this attempt is void.
    pub(super) async fn carry_out(
        &self,
        key: &ObjectKey,
        decision: Decision,
        attempt: &mut Attempt,
        guard: &WriteGuard,
    ) -> Result<Result<Settled, Failure>, Again> {
        attempt.wait = decision.outcome.again;
        if let Some(kept) = &decision.outcome.kept {
            self.judge(kept);
        }
        attempt.events = decision.events;
        attempt.bound = decision.binds;
        let (removals, writes): (Vec<Change>, Vec<Change>) =
            decision.outcome.changes.into_iter().partition(|change| matches!(change, Change::Delete(_)));
        let replaced = writes.iter().find_map(|change| match change {
            Change::Replace(secret) => secret.metadata.name.clone(),
            _ => None,
        });
        let is_void = |error: &CommitError| {
            matches!(error.kind, CommitErrorKind::Conflict | CommitErrorKind::NotLeader)
        };
        if let Some(change) = decision.manifest {
            match self.write_manifest(key, change, attempt, guard).await {
                Ok(()) => {}
                Err(error) if is_void(&error.0) => return Err(Again::Backoff),
                Err((error, is_removal)) => return Ok(Err(Failure::commit_target(&error, is_removal))),
            }
        }
        for (changes, is_removal) in [(writes, false), (removals, true)] {
            let outcome = Outcome { changes, ..Outcome::nothing() };
            match self.commit(key, outcome, guard).await {
                Ok(committed) => {
                    if let Some((change, version)) = &committed.change {
                        let written = ObjectKey::of(&change.secret().metadata);
                        lock(&self.links).judge(written, &version.resource_version);
                    }
                    attempt.add(committed);
                }
                Err(error) if is_void(&error) => return Err(Again::Backoff),
                Err(error) if is_removal => {
                    return Ok(Err(Failure::remove(&error, decision.settled == Settled::Deleted)));
                }
                Err(error) => {
                    attempt.bound &= replaced.is_some();
                    return Ok(Err(Failure::commit(&error, replaced.as_deref())));
                }
            }
        }
        Ok(decision.failed.map_or(Ok(decision.settled), Err))
    }

    /// Writes a target that is no Secret; an error says whether it was a removal.
    async fn write_manifest(
        &self,
        key: &ObjectKey,
        change: ManifestChange,
        attempt: &mut Attempt,
        guard: &WriteGuard,
    ) -> Result<(), (CommitError, bool)> {
        let is_removal = change.write == ManifestWrite::Delete;
        let manager = external::field_manager(&key.name).replace('/', "%2F");
        let version = commit_manifest(&change, &self.shared.api, guard, &manager).await;
        let version = version.map_err(|error| (error, is_removal))?;
        if is_removal {
            lock(&self.left).remove(key);
        } else {
            lock(&self.left).insert(key.clone(), version.clone());
        }
        // A write that changed nothing is no news: the API server had added fields of its own.
        if is_removal || change.write == ManifestWrite::Create || version != change.object.version() {
            let name = change.object.metadata.name.as_deref().unwrap_or_default();
            attempt.resource = Some((change.write, format!("{} {name}", change.served.kind.kind)));
        }
        Ok(())
    }
}

/// Returns whether an object uses generators.
fn generates(object: &ExternalSecret) -> bool {
    let sources = object.spec.data_from.iter().filter_map(|entry| entry.source_ref.as_ref());
    sources.into_iter().any(|source| source.generator_ref.is_some())
}

/// What an attempt has come to.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) wait: Option<Duration>,
    pub(super) events: Vec<Event>,
    pub(super) bound: bool,
    pub(super) written: Option<Change>,
    pub(super) has_removed: bool,
    pub(super) resource: Option<(ManifestWrite, String)>,
}

impl Attempt {
    pub(super) fn add(&mut self, committed: Committed) {
        self.has_removed |= !committed.removed.is_empty();
        self.written = committed.change.map(|(change, _)| change).or(self.written.take());
    }

    pub(super) fn done(&self, result: Result<Settled, &Failure>) -> Done<'_> {
        let is_deletion = result == Ok(Settled::Deleted);
        Done {
            written: self.written.as_ref(),
            removed: self.has_removed && is_deletion,
            orphans_removed: self.has_removed && !is_deletion,
            bound: self.bound || result.is_err_and(|failure| failure.bound),
            resource: self.resource.clone(),
        }
    }
}
