//! ExternalSecrets in a running cluster: the same seam as for SealedSecrets, with a clock.

mod links;
mod notices;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use jiff::Timestamp;
use sealops_crds::secret_store::SecretStoreSpec;
use sealops_crds::{
    ClusterSecretStore, CustomResource, ExternalSecret, Metadata, SecretStore, SecretStoreStatus,
};
use tokio::sync::watch;
use tracing::{debug, warn};

use self::links::{Links, StoreVersion};
use super::api::{SecretApi, StatusWrite};
use super::commit::{Committed, commit};
use super::driver::{LONGEST_WAIT, Shared, Term, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue, random_fraction};
use super::watch::{Namespaces, Seen, config_maps, objects, secrets};
use crate::external::{
    self, Decision, Done, FINALIZER, Failure, Generators, Moment, Options, Settled, StoreKey, Stores,
    Surroundings,
};
use crate::object::ObjectKey;
use crate::outcome::{Change, CommitError, CommitErrorKind, Event, Outcome, Retry};

const KIND: &str = "ExternalSecret";
/// Share of an interval by which refreshes are spread, so that what started together does not stay together.
const JITTER: f64 = 0.05;
/// Between two users of a store that has changed, up to [`LONGEST_SPREAD`] for all of them.
const SPREAD: Duration = Duration::from_millis(20);
/// Longest time over which the users of a store are spread.
const LONGEST_SPREAD: Duration = Duration::from_secs(30);

/// Everything that the workers share.
pub struct ExternalDriver {
    shared: Shared,
    namespaces: Namespaces,
    workers: usize,
    stores: Arc<dyn Stores>,
    generators: Arc<dyn Generators>,
    options: Options,
    links: Mutex<Links>,
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

/// One thing that one of the watches shows.
enum News {
    Object(Seen<ExternalSecret>),
    Secret(Seen<Metadata>),
    ConfigMap(Seen<Metadata>),
    Store(Seen<SecretStore>),
    ClusterStore(Seen<ClusterSecretStore>),
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
            moved: Mutex::default(),
            said: Said::default(),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows ExternalSecrets, their targets and what they read until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let (client, namespaces) = (&self.shared.client, &self.namespaces);
        let mut news: SelectAll<BoxStream<'static, News>> = SelectAll::new();
        news.push(objects::<ExternalSecret>(client, namespaces, None).map(News::Object).boxed());
        news.push(secrets(client, namespaces, None).map(News::Secret).boxed());
        news.push(config_maps(client, namespaces).map(News::ConfigMap).boxed());
        news.push(objects::<SecretStore>(client, namespaces, None).map(News::Store).boxed());
        // What has no namespace needs a right that goes with all of them.
        if *namespaces == Namespaces::All {
            let cluster = objects::<ClusterSecretStore>(client, namespaces, None);
            news.push(cluster.map(News::ClusterStore).boxed());
        }
        let (mut listed, mut cluster_listed) = (false, false);
        while let Some(seen) = news.next().await {
            match seen {
                News::Object(seen) => self.saw_object(seen),
                News::Secret(seen) => self.saw_secret(seen),
                News::ConfigMap(Seen::Applied(key, map)) => {
                    let readers = lock(&self.links).put_config_map(&key, &map);
                    self.moved(readers);
                }
                News::ConfigMap(_) => {}
                News::Store(seen) => {
                    listed |= matches!(seen, Seen::Complete(_));
                    self.saw_store(seen, !listed, |store| (store.spec, store.status));
                }
                News::ClusterStore(seen) => {
                    cluster_listed |= matches!(seen, Seen::Complete(_));
                    self.saw_store(seen, !cluster_listed, |store| (store.spec, store.status));
                }
            }
        }
    }

    fn saw_object(&self, seen: Seen<ExternalSecret>) {
        match seen {
            Seen::Applied(key, object) => {
                if lock(&self.links).put_object(&key, &object) {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.forget(&key),
            Seen::Complete(listed) => {
                let gone = lock(&self.links).objects_outside(&listed);
                gone.iter().for_each(|key| self.forget(key));
            }
        }
    }

    fn forget(&self, key: &ObjectKey) {
        self.shared.metrics.external_gone(ExternalKind::ExternalSecret, &key.namespace, &key.name);
        lock(&self.links).forget_object(key);
        lock(&self.moved).remove(key);
        self.said.forget(key);
        self.shared.queue.forget(key);
    }

    /// Any change of a target is looked at; what we wrote ourselves turns out to be right and costs one GET.
    fn saw_secret(&self, seen: Seen<Metadata>) {
        let mut links = lock(&self.links);
        let (owners, readers) = match seen {
            Seen::Applied(key, secret) => links.put_secret(&key, &secret),
            Seen::Deleted(key) => links.forget_secret(&key),
            // Some may have gone while the watch was away.
            Seen::Complete(listed) => {
                let gone = links.secrets_outside(&listed);
                gone.iter().map(|key| links.forget_secret(key)).fold(
                    (Vec::new(), Vec::new()),
                    |mut all, (owners, readers)| {
                        all.0.extend(owners);
                        all.1.extend(readers);
                        all
                    },
                )
            }
        };
        drop(links);
        owners.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Drift));
        self.moved(readers);
    }

    fn saw_store<T: CustomResource>(
        &self,
        seen: Seen<T>,
        is_listing: bool,
        parts: impl Fn(T) -> (SecretStoreSpec, Option<SecretStoreStatus>),
    ) {
        let store_key = |key: &ObjectKey| StoreKey {
            namespace: Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: key.name.clone(),
        };
        match seen {
            Seen::Applied(key, store) => {
                let metadata = store.metadata();
                let (uid, generation) = (metadata.uid.clone(), metadata.generation);
                let (spec, status) = parts(store);
                let conditions = status.map(|status| status.conditions).unwrap_or_default();
                let is_down = conditions.iter().any(|own| own.type_ == "Ready" && own.status == "False");
                let version = StoreVersion {
                    uid: uid.unwrap_or_default(),
                    generation: generation.unwrap_or_default(),
                    is_down,
                };
                let provider = spec.provider.and_then(|provider| serde_json::to_value(provider).ok());
                let users =
                    lock(&self.links).put_store(&store_key(&key), version, provider.as_ref(), is_listing);
                self.moved(users);
            }
            Seen::Deleted(key) => lock(&self.links).forget_store(&store_key(&key)),
            Seen::Complete(_) => {}
        }
    }

    /// Has objects look again that read something which has changed: soon, and not all at the same moment.
    fn moved(&self, readers: Vec<ObjectKey>) {
        let count = u32::try_from(readers.len()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(count).min(LONGEST_SPREAD);
        for key in readers {
            lock(&self.moved).insert(key.clone());
            self.shared.queue.add_after(key, Lane::Drift, spread.mul_f64(random_fraction()));
        }
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let again = self.reconcile(&item.key, guard).await;
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

    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let object = match self.shared.api.object::<ExternalSecret>(key).await {
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
        self.synchronise(key, &object, guard).await
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
    async fn decide(&self, object: &ExternalSecret, moment: Moment) -> Option<Result<Decision, Failure>> {
        let (reader, options) = (self.shared.reader.clone(), self.options);
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

    async fn synchronise(&self, key: &ObjectKey, object: &ExternalSecret, guard: &WriteGuard) -> Again {
        let started = Timestamp::now();
        let moment = Moment {
            now: started.as_second(),
            moved: lock(&self.moved).contains(key),
            orphans: lock(&self.links).orphans(key, object),
        };
        let Some(decided) = self.decide(object, moment).await else { return Again::Backoff };
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
            Ok(_) => Again::After { wait: attempt.wait, wrote: attempt.written.is_some() },
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
                Ok(committed) => attempt.add(committed),
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

/// What an attempt has come to.
#[derive(Default)]
struct Attempt {
    wait: Option<Duration>,
    events: Vec<Event>,
    bound: bool,
    written: Option<Change>,
    has_removed: bool,
}

impl Attempt {
    fn add(&mut self, committed: Committed) {
        self.has_removed |= !committed.removed.is_empty();
        self.written = committed.change.map(|(change, _)| change).or(self.written.take());
    }

    fn done(&self, result: Result<Settled, &Failure>) -> Done<'_> {
        let is_deletion = result == Ok(Settled::Deleted);
        Done {
            written: self.written.as_ref(),
            removed: self.has_removed && is_deletion,
            orphans_removed: self.has_removed && !is_deletion,
            bound: self.bound || result.is_err_and(|failure| failure.bound),
        }
    }
}

/// Failures that were told, so that a repetition is not news. Hashes only.
#[derive(Default)]
struct Said {
    hasher: RandomState,
    causes: Mutex<HashMap<ObjectKey, u64>>,
}

impl Said {
    fn is_news(&self, key: &ObjectKey, failure: Option<&Failure>) -> bool {
        let mut causes = lock(&self.causes);
        let Some(failure) = failure else {
            causes.remove(key);
            return true;
        };
        let hash = self.hasher.hash_one(&failure.cause);
        causes.insert(key.clone(), hash) != Some(hash)
    }

    fn forget(&self, key: &ObjectKey) {
        lock(&self.causes).remove(key);
    }
}

impl Term for ExternalDriver {
    /// One term of leadership: everything is looked at once, then what the watches and the clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known = lock(&self.links).keys();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        futures::future::join_all((0..self.workers).map(|_| self.work(guard))).await;
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
