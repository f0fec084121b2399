//! SecretStores and ClusterSecretStores in a running cluster: are they right, and who is told.
//!
//! ```text
//!   watches: stores, PushSecrets (finalizer), Secrets (credentials; metadata only) ─► Queue ─► worker
//!   worker: GET store ─► class, interval ─► Connections::check ─► Verdict ─► finalizer, status, events as news
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use sealops_crds::push_secret::STORE_FINALIZER;
use sealops_crds::secret_store::{SecretStoreSpec, SecretStoreStatus};
use sealops_crds::{ClusterSecretStore, CustomResource, Metadata, PushSecret, SecretStore};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::api::{SecretApi, StatusWrite};
use super::driver::{Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue};
use super::watch::{Namespaces, Seen, objects, secrets};
use super::workers;
use crate::external::{
    CheckError, Checked, Connections, Observer, Referenced, StoreKey, StoreObject, Stores, Verdict,
    check_interval, is_ours,
};
use crate::object::ObjectKey;

mod pushers;
use pushers::Pushers;

/// Longest time of one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
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

/// Hears from the connections: counts calls, and looks at a store whose breaker turned.
pub struct StoreNews {
    metrics: Arc<Metrics>,
    queue: OnceLock<Queue<ObjectKey>>,
}

impl StoreNews {
    /// Makes it.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, queue: OnceLock::new() }
    }
}

impl Observer for StoreNews {
    fn called(&self, provider: &str, call: &'static str, succeeded: bool) {
        self.metrics.provider_call(provider, call, succeeded);
    }

    fn breaker(&self, store: &StoreKey, is_open: bool) {
        self.metrics.breaker(is_open);
        if let Some(queue) = self.queue.get() {
            queue.add(object_key(store), Lane::Drift);
        }
    }
}

/// Cluster-wide stores have an empty namespace in the queue.
fn object_key(store: &StoreKey) -> ObjectKey {
    ObjectKey::new(store.namespace.clone().unwrap_or_default(), store.name.as_str())
}

fn store_key(key: &ObjectKey) -> StoreKey {
    let namespace = Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty());
    StoreKey { namespace, name: key.name.clone() }
}

/// Both kinds of stores.
trait Store: CustomResource + Into<StoreObject> {
    const METRICS: ExternalKind;
    fn spec(&self) -> &SecretStoreSpec;
    fn status(&self) -> Option<&SecretStoreStatus>;
}

impl Store for SecretStore {
    const METRICS: ExternalKind = ExternalKind::SecretStore;
    fn spec(&self) -> &SecretStoreSpec {
        &self.spec
    }
    fn status(&self) -> Option<&SecretStoreStatus> {
        self.status.as_ref()
    }
}

impl Store for ClusterSecretStore {
    const METRICS: ExternalKind = ExternalKind::ClusterSecretStore;
    fn spec(&self) -> &SecretStoreSpec {
        &self.spec
    }
    fn status(&self) -> Option<&SecretStoreStatus> {
        self.status.as_ref()
    }
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
                self.shared.queue.add_after(item.key.clone(), Lane::Resync, spread(wait));
            }
            Again::Backoff => {
                self.shared.queue.failed(item.key.clone());
            }
            Again::OnChange => self.shared.queue.forget(&item.key),
        }
    }

    async fn reconcile<T: Store>(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let started = Instant::now();
        let store = match self.shared.api.object::<T>(key).await {
            Ok(Some(store)) => store,
            Ok(None) => {
                self.forget(key, T::METRICS);
                return Again::OnChange;
            }
            Err(error) => {
                debug!(%error, "cannot read the store");
                return Again::Backoff;
            }
        };
        if !is_ours(self.connections.rules(), store.spec()) {
            self.connections.forget(&store_key(key));
            return Again::OnChange;
        }
        if !self.hold(&store, guard).await {
            return Again::Backoff;
        }
        if store.metadata().deletion_timestamp.is_some() {
            return Again::OnChange;
        }
        let interval = check_interval(store.spec(), self.options.interval);
        let verdict = match &interval {
            Ok(_) => Verdict::of(self.check(key, store.clone().into()).await),
            Err(problem) => Verdict::unfit(problem),
        };
        if guard.check().is_err() {
            return Again::Backoff;
        }
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        self.shared.metrics.external_condition(
            T::METRICS,
            namespace,
            name,
            verdict.is_ready,
            started.elapsed(),
        );
        if !self.tell(key, &store, &verdict, guard).await {
            return Again::Backoff;
        }
        match interval {
            Ok(interval) if verdict.is_ready => Again::After(interval),
            Ok(_) => Again::Backoff,
            Err(_) => Again::OnChange,
        }
    }

    /// Checks a store, and notes what it was made from.
    async fn check(&self, key: &ObjectKey, store: StoreObject) -> Checked {
        let checking = self.connections.check(&store, &self.shared.reader);
        let Ok((checked, uses)) = timeout(CHECK_TIMEOUT, checking).await else {
            let problem = format!("the check did not end within {} s", CHECK_TIMEOUT.as_secs());
            let kind = sealops_providers::ProviderErrorKind::Unavailable(problem);
            let backend = store.spec.provider.as_ref().map_or("unknown", |it| it.name()).to_owned();
            let target = "the store".to_owned();
            let error = sealops_providers::ProviderError { backend, operation: "validate", target, kind };
            return Checked { result: Err(CheckError::Validate(error)), capabilities: None };
        };
        let from_secrets = uses.iter().any(|used| used.kind == "Secret");
        lock(&self.seen).note_uses(key, uses);
        self.any.send_if_modified(|any| from_secrets && !std::mem::replace(any, true));
        checked
    }

    /// Puts the finalizer on a store while something that deletes what it pushed uses it, and takes it off after.
    async fn hold<T: Store>(&self, store: &T, guard: &WriteGuard) -> bool {
        let metadata = store.metadata();
        let is_held = metadata.finalizers.iter().any(|name| name == STORE_FINALIZER);
        let key = ObjectKey::of(metadata);
        let deleting = metadata.deletion_timestamp.is_some();
        let is_used = lock(&self.seen).pushers.use_store(&key, metadata.labels());
        if is_held == is_used || (deleting && !is_held) {
            return true;
        }
        let mut next: Vec<String> =
            metadata.finalizers.iter().filter(|name| *name != STORE_FINALIZER).cloned().collect();
        if is_used {
            next.push(STORE_FINALIZER.to_owned());
        }
        guard.check().is_ok()
            && self.shared.api.set_finalizers(store, &next, super::FIELD_MANAGER).await.is_ok()
    }

    /// Writes the status and records events, both only where they say something new. Returns whether it is stored.
    async fn tell<T: Store>(
        &self,
        key: &ObjectKey,
        store: &T,
        verdict: &Verdict,
        guard: &WriteGuard,
    ) -> bool {
        let stored = store.status().cloned().unwrap_or_default();
        let open = self.connections.left_alone(&store_key(key));
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = verdict.status(&stored, open.as_ref(), &now);
        let is_news = status.conditions.first() != stored.conditions.iter().find(|it| it.type_ == "Ready");
        if status != stored && !self.shared.write_status(store, &status, StatusWrite::Apply, guard).await {
            return false;
        }
        let events = verdict.events(store.spec(), store.metadata().annotations());
        let causes: Vec<String> = events.iter().map(|event| event.message.clone()).collect();
        let before = lock(&self.seen).causes.insert(key.clone(), causes.clone());
        // After a restart nothing is known of the last text; the status says whether there is news.
        if is_news || before.is_some_and(|before| before != causes) {
            if !verdict.is_ready {
                warn!(store = %key, problem = causes.join("; "), "the store is not ready");
            }
            events.iter().for_each(|event| self.shared.say(store, event));
        }
        true
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

/// Spreads checks, so that those which began together do not stay together.
fn spread(wait: Duration) -> Duration {
    let random = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
    wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

/// Labels of a store, for those that are pushed into by labels.
type Labels = BTreeMap<String, String>;
