//! ExternalSecrets in a running cluster: the same seam as for SealedSecrets, with a clock.

mod informed;
mod judging;
mod links;
mod notices;
mod reconcile;
mod shown;
mod targets;
mod telling;
mod watching;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use self::informed::SharedReads;
use self::links::Links;
use self::shown::FirstLooks;
use self::telling::Said;
use super::api::SecretApi;
use super::driver::{LONGEST_WAIT, Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue, random_fraction};
use super::watch::Namespaces;
use super::workers::{self, SlowStores};
use crate::external::{Generators, Options, Stores};
use crate::object::ObjectKey;

const KIND: &str = "ExternalSecret";
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
    /// How long a replaced state of a generator is kept; `None` records no states.
    generator_grace: Option<Duration>,
    links: Mutex<Links>,
    first_looks: Mutex<FirstLooks>,
    reads: Arc<SharedReads>,
    /// Objects that read something which has changed since their last refresh.
    moved: Mutex<HashSet<ObjectKey>>,
    /// Versions of targets that are no Secrets, as their last write left them.
    left: Mutex<HashMap<ObjectKey, String>>,
    said: Said,
    slow: SlowStores,
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
    /// How long a replaced state of a generator is kept; `None` records no states.
    pub generator_grace: Option<Duration>,
}

impl ExternalDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        options: ExternalOptions,
    ) -> Arc<Self> {
        let ExternalOptions { namespaces, workers, stores, generators, options, generator_grace } = options;
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            namespaces,
            workers,
            stores,
            generators,
            options,
            generator_grace,
            links: Mutex::default(),
            first_looks: Mutex::default(),
            reads: Arc::default(),
            moved: Mutex::default(),
            left: Mutex::default(),
            said: Said::default(),
            slow: SlowStores::default(),
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
        workers::work(&self.shared.queue, |item| self.take(item, guard)).await;
    }

    async fn take(&self, item: Item<ObjectKey>, guard: &WriteGuard) {
        let stores = lock(&self.links).stores_of(&item.key);
        let again = if let Some(wait) = self.rests(&item.key) {
            Again::After { wait, wrote: false }
        } else if self.slow.is_any(&stores) {
            let wait = workers::DEFERRED.mul_f64(1.0 + random_fraction());
            return self.shared.queue.add_after(item.key.clone(), item.lane, wait);
        } else {
            self.slow.watched(&stores, self.reconcile(&item.key, guard)).await
        };
        let result = match &again {
            Again::After { wrote: true, .. } => ReconcileResult::Written,
            Again::After { .. } => ReconcileResult::Unchanged,
            Again::Backoff | Again::OnChange => ReconcileResult::Error,
        };
        self.shared.metrics.reconcile(KIND, result);
        self.schedule(item, again);
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
