//! ExternalSecrets in a running cluster: the same seam as for SealedSecrets, with a clock.

mod attempt;
mod informed;
mod judging;
mod links;
mod shown;
mod watching;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sealops_crds::ExternalSecret;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use self::attempt::{Attempt, Said};
use self::informed::{Informed, SharedReads};
use self::links::Links;
use self::shown::FirstLooks;
use super::api::{SecretApi, StatusWrite};
use super::commit::{Committed, commit};
use super::driver::{Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue, random_fraction};
use super::watch::Namespaces;
use crate::external::{
    self, Decision, FINALIZER, Failure, Generators, Moment, Options, Settled, Stores, Surroundings,
};
use crate::object::ObjectKey;
use crate::outcome::{Change, CommitError, CommitErrorKind, Outcome, Retry};

const KIND: &str = "ExternalSecret";
/// Longest time that is slept for a refresh; a longer interval is looked at again in between.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Share of an interval by which refreshes are spread, so that what started together does not stay together.
const JITTER: f64 = 0.05;

/// Everything that the workers share.
pub struct ExternalDriver {
    shared: Shared,
    namespaces: Namespaces,
    workers: usize,
    stores: Arc<dyn Stores>,
    generators: Arc<dyn Generators>,
    options: Options,
    links: Mutex<Links>,
    first_looks: Mutex<FirstLooks>,
    reads: Arc<SharedReads>,
    /// Objects that read something which has changed since their last refresh.
    moved: Mutex<HashSet<ObjectKey>>,
    said: Said,
}

/// What an [`ExternalDriver`] is told beside its connections.
pub struct ExternalOptions {
    /// Namespaces to watch.
    pub namespaces: Namespaces,
    /// Objects that are worked on at once.
    pub workers: usize,
    /// What opens stores.
    pub stores: Arc<dyn Stores>,
    /// Generators.
    pub generators: Arc<dyn Generators>,
    /// The rules of reconciling.
    pub options: Options,
}

impl ExternalDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        options: ExternalOptions,
    ) -> Arc<Self> {
        let ExternalOptions { namespaces, workers, stores, generators, options } = options;
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            namespaces,
            workers,
            stores,
            generators,
            options,
            links: Mutex::default(),
            first_looks: Mutex::default(),
            reads: Arc::default(),
            moved: Mutex::default(),
            said: Said::default(),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let again = match self.rests(&item.key) {
                Some(wait) => Again::After { wait, wrote: false },
                None => self.reconcile(&item.key, guard).await,
            };
            let result = match &again {
                Again::After { wrote: true, .. } => ReconcileResult::Written,
                Again::After { .. } => ReconcileResult::Unchanged,
                Again::Backoff | Again::OnChange => ReconcileResult::Error,
            };
            self.shared.metrics.reconcile(KIND, result);
            self.schedule(item, again);
        }
    }

    fn schedule(&self, item: Item<ObjectKey>, again: Again) {
        let queue = &self.shared.queue;
        // The guard is kept to the end: what comes for the key until then makes it dirty.
        let Item { key, guard: _guard, .. } = item;
        match again {
            Again::After { wait, .. } => {
                queue.forget(&key);
                if let Some(wait) = wait {
                    let late = wait.mul_f64(JITTER * random_fraction());
                    queue.add_after(key, Lane::Resync, (wait + late).min(LONGEST_WAIT));
                }
            }
            Again::Backoff => drop(queue.failed(key)),
            Again::OnChange => {}
        }
    }

    /// Returns how long an object has nothing to do, where that is known without asking: what woke us was our own write.
    fn rests(&self, key: &ObjectKey) -> Option<Option<Duration>> {
        if lock(&self.moved).contains(key) {
            return None;
        }
        let rest = lock(&self.links).rests(key)?;
        let Some(until) = rest else { return Some(None) };
        let wait = until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())?;
        Some(Some(wait))
    }

    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
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
    async fn mark(&self, object: &ExternalSecret, marked: bool, guard: &WriteGuard) -> bool {
        let finalizers = &object.metadata.finalizers;
        if finalizers.iter().any(|name| name == FINALIZER) == marked {
            return true;
        }
        let mut next: Vec<String> = finalizers.iter().filter(|name| *name != FINALIZER).cloned().collect();
        next.extend(marked.then(|| FINALIZER.to_owned()));
        guard.check().is_ok()
            && self.shared.api.set_finalizers(object, &next, super::FIELD_MANAGER).await.is_ok()
    }

    /// The object goes, and its target with it where the deletion policy says so. What the API server refuses for good
    /// does not hold the object.
    async fn remove(&self, key: &ObjectKey, object: &ExternalSecret, guard: &WriteGuard) -> Again {
        if object.metadata.finalizers.iter().any(|name| name == FINALIZER) {
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

    async fn commit(
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
    async fn decide(
        &self,
        object: &ExternalSecret,
        moment: Moment,
        reader: Informed,
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
    ) -> Option<Result<Decision, Failure>> {
        let (live, shared) = (self.shared.reader.clone(), Arc::clone(&self.reads));
        let mut reader = Informed { live, shared, since, lacking };
        let decided = self.decide(object, moment.clone(), reader.clone()).await?;
        let creates = |decision: &Decision| {
            decision.outcome.changes.iter().any(|change| matches!(change, Change::Create(_)))
        };
        if reader.lacking.is_none() || !decided.as_ref().is_ok_and(|decision| !creates(decision)) {
            return Some(decided);
        }
        reader.lacking = None;
        self.decide(object, moment, reader).await
    }

    async fn synchronise(
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
        };
        let (is_right, lacks) = {
            let links = lock(&self.links);
            (links.is_right(&target), is_first && links.lacks(&target))
        };
        let at_rest = Some(&moment).filter(|_| is_right).and_then(|moment| external::rests(object, moment));
        let decided = match at_rest {
            Some(decision) => Some(Ok(decision)),
            None => {
                let lacking = Some(target).filter(|_| lacks && external::only_creates(object));
                self.decide_informed(object, moment, since, lacking).await
            }
        };
        let Some(decided) = decided else { return Again::Backoff };
        let mut attempt = Attempt::default();
        let result = match decided {
            Err(failure) => Err(failure),
            Ok(decision) => match self.carry_out(key, decision, &mut attempt, guard).await {
                Ok(result) => result,
                Err(again) => return again,
            },
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
                Again::After { wait: attempt.wait, wrote: attempt.written.is_some() }
            }
            Err(failure) if failure.retry == Retry::OnChange => Again::OnChange,
            Err(_) => Again::Backoff,
        }
    }

    fn count(
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

    /// Makes a decision true. The outer error says that this attempt is void.
    async fn carry_out(
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

    /// Writes status and events; says whether the status is as it should be.
    async fn tell(
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

impl Term for ExternalDriver {
    /// One term of leadership: everything is looked at once, then what the watches and the clock bring.
    async fn term(&self, guard: &WriteGuard, mut stop: watch::Receiver<bool>) {
        lock(&self.links).begin_term();
        tokio::select! {
            () = self.judge_all() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let known = lock(&self.links).keys();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        all_of((0..self.workers).map(|_| self.work(guard))).await;
    }
}

/// When to look again.
enum Again {
    /// All is well.
    After {
        /// `None` waits for a change.
        wait: Option<Duration>,
        /// Whether the Secret was written.
        wrote: bool,
    },
    /// It failed.
    Backoff,
    /// It failed, and only a change of the object helps.
    OnChange,
}

impl Again {
    const AT_REST: Self = Self::After { wait: None, wrote: false };
}
