//! PushSecrets in a running cluster: reads the sources and stores, has a plan made, carries it out, reports.
//!
//! A source that changes is pushed at once: its metadata is watched, from the first PushSecret on. Upstream waits for the
//! interval.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use sealops_crds::{Metadata, PushSecret};
use tokio::sync::watch;

use super::api::SecretApi;
use super::driver::{LONGEST_WAIT, Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue};
use super::watch::{Namespaces, Seen, objects, secrets};
use super::workers;
use crate::external::{Generators, Stores, version_of};
use crate::object::ObjectKey;
use crate::templates::TemplateOptions;

mod execute;
mod gather;
mod reconcile;
mod watched;

use watched::Watched;

const KIND: &str = "PushSecret";

/// Everything that the workers share.
pub struct PushDriver {
    shared: Shared,
    namespaces: Namespaces,
    workers: usize,
    stores: Arc<dyn Stores>,
    generators: Arc<dyn Generators>,
    seen: Mutex<Watched>,
    /// Tells the watch of sources that there is something to watch for.
    any: watch::Sender<bool>,
}

impl PushDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        namespaces: Namespaces,
        workers: usize,
        stores: Arc<dyn Stores>,
        generators: Arc<dyn Generators>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            namespaces,
            workers,
            stores,
            generators,
            seen: Mutex::default(),
            any: watch::Sender::new(false),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows PushSecrets and their sources until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut pushes = objects::<PushSecret>(&self.shared.client, &self.namespaces, None);
        let sources = self.watch_sources();
        tokio::pin!(sources);
        loop {
            tokio::select! {
                Some(seen) = pushes.next() => self.saw_push(seen),
                () = &mut sources => return,
                else => return,
            }
        }
    }

    async fn watch_sources(&self) {
        let mut any = self.any.subscribe();
        if any.wait_for(|any| *any).await.is_err() {
            return;
        }
        let mut sources = secrets(&self.shared.client, &self.namespaces, None);
        while let Some(seen) = sources.next().await {
            self.saw_source(seen);
        }
    }

    fn saw_push(&self, seen: Seen<PushSecret>) {
        match seen {
            Seen::Applied(key, push) => {
                self.any.send_replace(true);
                let deleting = push.metadata.deletion_timestamp.is_some();
                let version = format!("{} {deleting}", version_of(&push.metadata));
                if lock(&self.seen).note(&key, &push, version) {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.forget(&key),
            Seen::Complete(listed) => {
                let gone: Vec<ObjectKey> =
                    lock(&self.seen).objects.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                gone.iter().for_each(|key| self.forget(key));
            }
        }
    }

    fn forget(&self, key: &ObjectKey) {
        self.shared.metrics.external_gone(ExternalKind::PushSecret, &key.namespace, &key.name);
        lock(&self.seen).forget(key);
        self.shared.queue.forget(key);
    }

    fn saw_source(&self, seen: Seen<Metadata>) {
        let moved = lock(&self.seen).source(seen);
        moved.into_iter().for_each(|key| self.shared.queue.add(key, Lane::New));
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        workers::work(&self.shared.queue, |item| self.take(item, guard)).await;
    }

    async fn take(&self, item: Item<ObjectKey>, guard: &WriteGuard) {
        let started = Instant::now();
        let again = self.reconcile(&item.key, guard).await;
        let ready = match &again {
            Again::Done { ready, .. } => *ready,
            Again::Backoff(_) | Again::OnChange => Some(false),
        };
        if let Some(ready) = ready {
            let (kind, took) = (ExternalKind::PushSecret, started.elapsed());
            let ObjectKey { namespace, name } = &item.key;
            self.shared.metrics.external_condition(kind, namespace, name, ready, took);
        }
        let result = match &again {
            Again::Done { wrote: true, .. } => ReconcileResult::Written,
            Again::Done { .. } => ReconcileResult::Unchanged,
            Again::Backoff(_) | Again::OnChange => ReconcileResult::Error,
        };
        self.shared.metrics.reconcile(KIND, result);
        match again {
            Again::Done { wait, .. } => {
                self.shared.queue.forget(&item.key);
                if let Some(wait) = wait {
                    self.shared.queue.add_after(item.key.clone(), Lane::Resync, wait.min(LONGEST_WAIT));
                }
            }
            Again::Backoff(minimum) => {
                self.shared.queue.failed_not_before(item.key.clone(), minimum);
            }
            Again::OnChange => {}
        }
    }

    fn templates() -> TemplateOptions {
        TemplateOptions { allow_random_functions: true }
    }
}

impl Term for PushDriver {
    /// One term of leadership: everything is looked at once, then what the watches and the clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known: Vec<ObjectKey> = lock(&self.seen).objects.keys().cloned().collect();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        all_of((0..self.workers).map(|_| self.work(guard))).await;
    }
}

/// When to look again.
enum Again {
    /// All is well; `None` waits for a change. `ready` is what the status says, where it says something.
    Done { wait: Option<Duration>, wrote: bool, ready: Option<bool> },
    /// It failed; not before this time.
    Backoff(Duration),
    /// It failed, and only a change of the object helps.
    OnChange,
}

impl Again {
    const BACKOFF: Self = Self::Backoff(Duration::ZERO);

    fn done(wait: Option<Duration>) -> Self {
        Self::Done { wait, wrote: false, ready: None }
    }
}
