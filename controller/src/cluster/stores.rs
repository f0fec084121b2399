//! SecretStores and ClusterSecretStores in a running cluster: are they right, and who is told.
//!
//! ```text
//!   watches: stores, PushSecrets (finalizer), Secrets (credentials; metadata only) ─► Queue ─► worker
//!   worker: GET store ─► class, interval ─► Connections::check ─► Verdict ─► finalizer, status, events as news
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use sealops_crds::{ClusterSecretStore, Metadata, PushSecret, SecretStore};
use tokio::sync::watch;

use super::api::SecretApi;
use super::driver::{Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue, jittered, random_fraction};
use super::watch::{Namespaces, Seen, objects, secrets};
use super::workers;
use crate::external::{Connections, Referenced};
use crate::object::ObjectKey;

mod check;
mod kinds;
mod pushers;

pub use kinds::StoreNews;
use kinds::{Store, store_key};
use pushers::Pushers;

/// Part of an interval by which checks are spread, in both directions.
const JITTER: f64 = 0.1;

/// What the store controller is told.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Which namespaces are watched.
    pub namespaces: Namespaces,
    /// Whether SecretStores are handled.
    pub secret_stores: bool,
    /// Whether ClusterSecretStores are handled.
    pub cluster_stores: bool,
    /// Time between two checks of a store without an interval of its own.
    pub interval: Duration,
    /// Stores in work at once.
    pub workers: usize,
}

/// Everything that the workers share.
pub struct StoreDriver {
    shared: Shared,
    options: StoreOptions,
    connections: Arc<Connections>,
    seen: Mutex<Watched>,
    /// Whether a store was made from a Secret: only then Secrets are watched.
    any: watch::Sender<bool>,
}

/// What the watches have shown, and what the last check of each store read.
#[derive(Default)]
struct Watched {
    /// uid, generation and annotations: what makes an update news.
    stores: HashMap<ObjectKey, String>,
    pushers: Pushers,
    /// Which stores were made from an object.
    users: HashMap<Referenced, BTreeSet<ObjectKey>>,
    causes: HashMap<ObjectKey, Vec<String>>,
}

impl StoreDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        options: StoreOptions,
        connections: Arc<Connections>,
        news: &StoreNews,
    ) -> Arc<Self> {
        let shared = Shared::new(api, metrics, recorder);
        let _ = news.queue.set(shared.queue.clone());
        Arc::new(Self {
            shared,
            options,
            connections,
            seen: Mutex::default(),
            any: watch::Sender::new(false),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows stores, what pushes into them and what they are made from, until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let (client, namespaces) = (&self.shared.client, &self.options.namespaces);
        let mut own = match self.options.secret_stores {
            true => objects::<SecretStore>(client, namespaces, None),
            false => futures::stream::pending().boxed(),
        };
        let mut cluster = match self.options.cluster_stores {
            true => objects::<ClusterSecretStore>(client, &Namespaces::All, None),
            false => futures::stream::pending().boxed(),
        };
        let mut pushes = objects::<PushSecret>(client, namespaces, None);
        let credentials = self.watch_credentials();
        tokio::pin!(credentials);
        loop {
            tokio::select! {
                Some(seen) = own.next() => self.saw_store(seen, false),
                Some(seen) = cluster.next() => self.saw_store(seen, true),
                Some(seen) = pushes.next() => self.saw_push(seen),
                () = &mut credentials => return,
                else => return,
            }
        }
    }

    /// Metadata only. What changed before the watch began is shown by its first list.
    async fn watch_credentials(&self) {
        let mut any = self.any.subscribe();
        if any.wait_for(|any| *any).await.is_err() {
            return;
        }
        let mut credentials = secrets(&self.shared.client, &self.options.namespaces, None);
        while let Some(seen) = credentials.next().await {
            self.saw_secret(seen);
        }
    }

    fn saw_store<T: Store>(&self, seen: Seen<T>, is_cluster: bool) {
        match seen {
            Seen::Applied(key, store) => {
                let meta = store.metadata();
                let deleting = meta.deletion_timestamp.is_some();
                let version =
                    format!("{:?} {:?} {deleting} {:?}", meta.uid, meta.generation, meta.annotations());
                if lock(&self.seen).stores.insert(key.clone(), version.clone()) != Some(version) {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.forget(&key, T::METRICS),
            Seen::Complete(listed) => {
                let known = lock(&self.seen).stores.keys().cloned().collect::<Vec<_>>();
                let of_kind = |key: &&ObjectKey| key.namespace.is_empty() == is_cluster;
                let gone = known.iter().filter(of_kind).filter(|key| !listed.contains(*key));
                gone.for_each(|key| self.forget(key, T::METRICS));
            }
        }
    }

    fn forget(&self, key: &ObjectKey, kind: ExternalKind) {
        let mut seen = lock(&self.seen);
        seen.stores.remove(key);
        seen.causes.remove(key);
        seen.note_uses(key, BTreeSet::new());
        drop(seen);
        self.connections.forget(&store_key(key));
        self.shared.metrics.external_gone(kind, &key.namespace, &key.name);
        self.shared.queue.forget(key);
    }

    /// A PushSecret that deletes what it pushed holds its stores: both those of before and those of now are looked at.
    fn saw_push(&self, seen: Seen<PushSecret>) {
        let mut watched = lock(&self.seen);
        let changed = match seen {
            Seen::Applied(key, push) => watched.pushers.note(key, &push),
            Seen::Deleted(key) => watched.pushers.forget(&key),
            Seen::Complete(listed) => watched.pushers.keep(&listed),
        };
        if !changed {
            return;
        }
        let stores: Vec<ObjectKey> = watched.stores.keys().cloned().collect();
        drop(watched);
        stores.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Drift));
    }

    fn saw_secret(&self, seen: Seen<Metadata>) {
        let (Seen::Applied(key, _) | Seen::Deleted(key)) = seen else { return };
        let reference = Referenced { kind: "Secret", namespace: key.namespace, name: key.name };
        let users = lock(&self.seen).users.get(&reference).cloned().unwrap_or_default();
        if users.is_empty() {
            return;
        }
        self.connections.look_again(&reference);
        for user in users {
            self.shared.queue.forget(&user);
            self.shared.queue.add(user, Lane::Drift);
        }
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        workers::work(&self.shared.queue, |item| self.take(item, guard)).await;
    }

    async fn take(&self, item: Item<ObjectKey>, guard: &WriteGuard) {
        let is_cluster = item.key.namespace.is_empty();
        let again = if is_cluster {
            self.reconcile::<ClusterSecretStore>(&item.key, guard).await
        } else {
            self.reconcile::<SecretStore>(&item.key, guard).await
        };
        let result = match again {
            Again::After(_) | Again::OnChange => ReconcileResult::Unchanged,
            Again::Backoff => ReconcileResult::Error,
        };
        let kind = if is_cluster { ClusterSecretStore::KIND } else { SecretStore::KIND };
        self.shared.metrics.reconcile(kind, result);
        match again {
            Again::After(wait) => {
                self.shared.queue.forget(&item.key);
                let wait = jittered(wait, JITTER, random_fraction());
                self.shared.queue.add_after(item.key.clone(), Lane::Resync, wait);
            }
            Again::Backoff => {
                self.shared.queue.failed(item.key.clone());
            }
            Again::OnChange => self.shared.queue.forget(&item.key),
        }
    }
}

impl Watched {
    fn note_uses(&mut self, store: &ObjectKey, uses: BTreeSet<Referenced>) {
        self.users.retain(|reference, stores| {
            if !uses.contains(reference) {
                stores.remove(store);
            }
            !stores.is_empty()
        });
        for reference in uses {
            self.users.entry(reference).or_default().insert(store.clone());
        }
    }
}

impl Term for StoreDriver {
    /// One term of leadership: every store is checked once, then what watches and clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known: Vec<ObjectKey> = lock(&self.seen).stores.keys().cloned().collect();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        all_of((0..self.options.workers.max(1)).map(|_| self.work(guard))).await;
    }
}

/// When to look again.
enum Again {
    After(Duration),
    Backoff,
    OnChange,
}

/// Labels of a store, for those that are pushed into by labels.
type Labels = BTreeMap<String, String>;
