//! The stores of a running controller: one login for all users of a store, shared reads, a breaker.
//!
//! ```text
//!   open(store, namespace) ─► Slot (store, uid, generation) ─► Cell (all users, or one namespace) ─► Live { login, Reads }
//!                               Breaker, places                 one login at a time
//! ```
//!
//! A login serves until the store's spec changes, an object that it was made from changes, or its token runs out. The
//! users of a ClusterSecretStore share one, unless its references have no namespace: then each namespace has its own, and
//! its own reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealops_crds::secret_store::{Capabilities, Provider};
use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, Dialect, Find, ProviderError, ProviderErrorKind, PushTarget, RemoteKey, RemoteSecret,
    SecretsReader, SecretsWriter, StoreConnection, Validation,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::batches::Batches;
use super::breaker::{Breaker, Open};
use super::credentials::{Referenced, StoreEnvironment, Used, version_of};
use super::reads::{Answer, Question, Reads};
use super::store::{Freshness, StoreHandle, StoreKey, StoreObject, StoreRules, Stores, connect_once};
use crate::object::ClusterReader;

/// Calls to one store at the same time.
pub const MAX_CALLS: usize = 8;
/// How often it is looked whether the objects of a login have changed.
pub const LOOK: Duration = Duration::from_secs(5);
/// Share of a token's life after which the login is made again.
const TOKEN_SHARE: f64 = 0.8;
/// Namespaces that have a login of their own with one store.
pub const MAX_LOGINS: usize = 1024;

/// Who is told what happens.
pub trait Observer: Send + Sync {
    /// A provider was called.
    fn called(&self, provider: &str, call: &'static str, succeeded: bool);
    /// The breaker of a store opened, or closed.
    fn breaker(&self, store: &StoreKey);
}

/// What the check of a store came to.
pub struct Checked {
    /// The provider's answer, or where and why there is none.
    pub result: Result<Validation, CheckError>,
    /// What it can do; `None` where it is not known.
    pub capabilities: Option<Capabilities>,
}

/// Why a store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckError {
    /// No client could be made.
    Open(ProviderError),
    /// The store says no.
    Validate(ProviderError),
}

/// The stores of a process.
pub struct Connections {
    rules: StoreRules,
    environment: StoreEnvironment,
    observer: Arc<dyn Observer>,
    slots: Mutex<HashMap<StoreKey, Arc<Slot>>>,
}

/// One version of a store.
struct Slot {
    key: StoreKey,
    uid: String,
    generation: i64,
    provider: String,
    observer: Arc<dyn Observer>,
    breaker: Breaker,
    places: Semaphore,
    logins: Mutex<Logins>,
}

#[derive(Default)]
struct Logins {
    /// Whether each namespace has a login of its own; `None` until the first login says so.
    per_user: Option<bool>,
    cells: HashMap<Option<String>, Cell>,
}

type Cell = Arc<tokio::sync::Mutex<Option<Arc<Live>>>>;

/// A login.
struct Live {
    connection: StoreConnection,
    used: Used,
    reads: Arc<Reads>,
    batches: Batches,
    expires: Option<Instant>,
    looked: Mutex<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    /// Makes it; nothing is connected yet.
    pub fn new(rules: StoreRules, environment: StoreEnvironment, observer: Arc<dyn Observer>) -> Self {
        Self { rules, environment, observer, slots: Mutex::default() }
    }

    /// Returns why a store is left alone at the moment.
    pub fn left_alone(&self, store: &StoreKey) -> Option<Open> {
        lock(&self.slots).get(store)?.breaker.open()
    }

    /// Drops the logins of a store that is gone.
    pub fn forget(&self, store: &StoreKey) {
        lock(&self.slots).remove(store);
    }

    /// Looks at the objects behind every login before it is used again.
    pub fn look_again(&self, changed: &Referenced) {
        let slots: Vec<Arc<Slot>> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let cells: Vec<Cell> = lock(&slot.logins).cells.values().cloned().collect();
            for cell in cells {
                if let Ok(live) = cell.try_lock()
                    && let Some(live) = live.as_ref()
                    && live.used.versions.contains_key(changed)
                {
                    live.look_next_time();
                }
            }
        }
    }

    /// Returns the stores that have a login made from an object.
    pub fn users_of(&self, object: &Referenced) -> Vec<StoreKey> {
        let slots: Vec<Arc<Slot>> = lock(&self.slots).values().cloned().collect();
        let uses = |slot: &Arc<Slot>| {
            lock(&slot.logins).cells.values().any(|cell| {
                cell.try_lock().is_ok_and(|live| {
                    live.as_ref().is_some_and(|live| live.used.versions.contains_key(object))
                })
            })
        };
        slots.into_iter().filter(uses).map(|slot| slot.key.clone()).collect()
    }

    /// Checks a store. Passes the breaker: a check is the attempt that may close it.
    pub async fn check(&self, store: &StoreObject, cluster: &dyn ClusterReader) -> Checked {
        let slot = self.slot(store);
        let user = store.key.namespace.as_deref().unwrap_or_default();
        if user.is_empty() && slot.is_per_user() == Some(true) {
            let capabilities = self.capabilities_of(store);
            return Checked { result: Ok(Validation::Unknown), capabilities };
        }
        let (live, used) = slot.login(self, store, user, cluster, true).await;
        let live = match live {
            Ok(live) => live,
            Err(_) if used.needs_user => {
                let capabilities = self.capabilities_of(store);
                return Checked { result: Ok(Validation::Unknown), capabilities };
            }
            Err(error) => {
                slot.count(Err(&error.kind));
                return Checked { result: Err(CheckError::Open(error)), capabilities: None };
            }
        };
        live.reads.sweep();
        let result = match &live.connection.check {
            Some(check) => check.validate().await,
            None => Ok(Validation::Unknown),
        };
        slot.count(result.as_ref().map(drop).map_err(|error| &error.kind));
        let capabilities = capabilities(&live.connection);
        Checked { result: result.map_err(CheckError::Validate), capabilities: Some(capabilities) }
    }

    /// Every provider here reads and writes; this is said where there is no login to ask.
    fn capabilities_of(&self, store: &StoreObject) -> Option<Capabilities> {
        store.spec.provider.is_some().then_some(Capabilities::ReadWrite)
    }

    fn slot(&self, store: &StoreObject) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let known = slots.get(&store.key);
        if let Some(slot) = known.filter(|slot| slot.uid == store.uid && slot.generation >= store.generation)
        {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot::new(store, Arc::clone(&self.observer)));
        slots.insert(store.key.clone(), Arc::clone(&slot));
        slot
    }
}

fn capabilities(connection: &StoreConnection) -> Capabilities {
    match (&connection.reader, &connection.writer) {
        (Some(_), None) => Capabilities::ReadOnly,
        (None, Some(_)) => Capabilities::WriteOnly,
        _ => Capabilities::ReadWrite,
    }
}

impl Stores for Connections {
    fn rules(&self) -> &StoreRules {
        &self.rules
    }

    fn open<'a>(
        &'a self,
        store: &'a StoreObject,
        user_namespace: &'a str,
        cluster: &'a dyn ClusterReader,
    ) -> BoxFuture<'a, Result<Arc<dyn StoreHandle>, ProviderError>> {
        Box::pin(async move {
            let slot = self.slot(store);
            let fail = |kind| slot.error("open", "the store", kind);
            if let Some(open) = slot.breaker.open() {
                return Err(fail(left_alone(&open)));
            }
            let (live, _) = slot.login(self, store, user_namespace, cluster, false).await;
            match live {
                Ok(live) => Ok(Arc::new(Handle { slot: Arc::clone(&slot), live }) as Arc<dyn StoreHandle>),
                Err(error) => {
                    slot.count(Err(&error.kind));
                    Err(error)
                }
            }
        })
    }
}

fn left_alone(open: &Open) -> ProviderErrorKind {
    ProviderErrorKind::Unavailable(format!(
        "the store is left alone for {} s more, after {} failures in a row: {}",
        open.wait.as_secs().max(1),
        open.failures,
        open.reason
    ))
}

impl Slot {
    fn new(store: &StoreObject, observer: Arc<dyn Observer>) -> Self {
        // What a webhook is asked may hold the namespace of the user.
        let is_webhook = matches!(store.spec.provider, Some(Provider::Webhook(_)));
        let per_user = match (&store.key.namespace, is_webhook) {
            (Some(_), _) => Some(false),
            (None, true) => Some(true),
            (None, false) => None,
        };
        Self {
            key: store.key.clone(),
            uid: store.uid.clone(),
            generation: store.generation,
            provider: store.spec.provider.as_ref().map_or("unknown", Provider::name).to_owned(),
            observer,
            breaker: Breaker::default(),
            places: Semaphore::new(MAX_CALLS),
            logins: Mutex::new(Logins { per_user, cells: HashMap::new() }),
        }
    }

    fn error(&self, operation: &'static str, target: &str, kind: ProviderErrorKind) -> ProviderError {
        ProviderError { backend: self.provider.clone(), operation, target: target.to_owned(), kind }
    }

    fn is_per_user(&self) -> Option<bool> {
        lock(&self.logins).per_user
    }

    /// The cell for a user; while it is not known whether users share a login, they wait in one.
    fn cell(&self, user: &str) -> (Option<String>, Cell) {
        let mut logins = lock(&self.logins);
        let key = (logins.per_user == Some(true)).then(|| user.to_owned());
        if logins.cells.len() >= MAX_LOGINS && !logins.cells.contains_key(&key) {
            logins.cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        let cell = Arc::clone(logins.cells.entry(key.clone()).or_default());
        (key, cell)
    }

    /// Returns the login for a user, made now where there is none that serves.
    async fn login(
        &self,
        all: &Connections,
        store: &StoreObject,
        user: &str,
        cluster: &dyn ClusterReader,
        look: bool,
    ) -> (Result<Arc<Live>, ProviderError>, Used) {
        loop {
            let (key, cell) = self.cell(user);
            let mut place = cell.lock().await;
            if key.is_none() && self.is_per_user() == Some(true) {
                continue; // learned while waiting
            }
            let mut reads = None;
            if let Some(live) = place.as_ref() {
                if live.serves(cluster, look).await {
                    return (Ok(Arc::clone(live)), Used::default());
                }
                reads = Some((live.used.versions.clone(), Arc::clone(&live.reads)));
            }
            *place = None;
            let (connection, used) = connect_once(store, user, cluster, &all.environment).await;
            let connection = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    if used.per_user {
                        lock(&self.logins).per_user = Some(true);
                    }
                    return (Err(error), used);
                }
            };
            // The same credentials again: what was read with them stays.
            let reads = reads.filter(|(versions, _)| *versions == used.versions).map(|(_, reads)| reads);
            let live = Arc::new(Live::new(connection, used.clone(), reads.unwrap_or_default()));
            let mut logins = lock(&self.logins);
            logins.per_user.get_or_insert(used.per_user);
            if used.per_user && key.is_none() && self.key.namespace.is_none() {
                // This one is the user's own; the next comer finds it there.
                let own = Arc::new(tokio::sync::Mutex::new(Some(Arc::clone(&live))));
                logins.cells.insert(Some(user.to_owned()), own);
            } else {
                *place = Some(Arc::clone(&live));
            }
            return (Ok(live), used);
        }
    }

    /// Counts what became of a call.
    fn count(&self, result: Result<(), &ProviderErrorKind>) {
        let before = self.breaker.open().is_some();
        match result {
            Ok(()) => self.breaker.succeeded(),
            Err(kind) => self.breaker.failed(kind),
        };
        if before != self.breaker.open().is_some() {
            self.observer.breaker(&self.key);
        }
    }

    /// Makes a call to the provider, within all bounds.
    async fn call<T>(
        &self,
        name: &'static str,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let _place = self.places.acquire().await;
        self.breaker.pass().map_err(|kind| self.error(operation, "the store", kind))?;
        let result = call.await;
        let kind = result.as_ref().map(drop).map_err(|error| &error.kind);
        // That there is no such value is an answer.
        let succeeded = matches!(kind, Ok(()) | Err(ProviderErrorKind::NotFound));
        self.observer.called(&self.provider, name, succeeded);
        self.count(kind);
        result
    }
}

impl Live {
    fn new(connection: StoreConnection, used: Used, reads: Arc<Reads>) -> Self {
        let life = used.token_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let expires = life.map(|life| Instant::now() + Duration::from_secs(life).mul_f64(TOKEN_SHARE));
        let batches = Batches::new(connection.reader.as_ref().map_or(1, |reader| reader.batch_size()));
        Self { connection, used, reads, batches, expires, looked: Mutex::new(Instant::now()) }
    }

    fn look_next_time(&self) {
        if let Some(past) = Instant::now().checked_sub(LOOK) {
            *lock(&self.looked) = past;
        }
    }

    /// Whether the login can be used still: its token lives, and what it was made from has not changed.
    async fn serves(&self, cluster: &dyn ClusterReader, look: bool) -> bool {
        if self.expires.is_some_and(|expires| Instant::now() >= expires) {
            return false;
        }
        if !look && lock(&self.looked).elapsed() < LOOK {
            return true;
        }
        for (reference, version) in &self.used.versions {
            let objects = cluster.in_namespace(&reference.namespace);
            let found = match reference.kind {
                "Secret" => {
                    objects.secret(&reference.name).await.map(|found| found.map(|found| found.metadata))
                }
                "ConfigMap" => {
                    objects.config_map(&reference.name).await.map(|found| found.map(|found| found.metadata))
                }
                _ => objects.service_account(&reference.name).await,
            };
            match found {
                Ok(found) if found.as_ref().map(version_of) == *version => {}
                Ok(_) => return false,
                // The API server is away: what was right stays right until it says otherwise.
                Err(_) => return true,
            }
        }
        *lock(&self.looked) = Instant::now();
        true
    }
}

/// A login in use.
struct Handle {
    slot: Arc<Slot>,
    live: Arc<Live>,
}

impl Handle {
    fn reader(&self, operation: &'static str) -> Result<&dyn SecretsReader, ProviderError> {
        let unsupported = || {
            let kind = ProviderErrorKind::Unsupported("reading");
            self.slot.error(operation, "the store", kind)
        };
        self.live.connection.reader.as_deref().ok_or_else(unsupported)
    }

    /// A login that is refused is not used again.
    async fn kept<T>(&self, result: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if result.as_ref().is_err_and(|error| matches!(error.kind, ProviderErrorKind::Unauthenticated(_))) {
            let cells: Vec<Cell> = lock(&self.slot.logins).cells.values().cloned().collect();
            for cell in cells {
                let mut live = cell.lock().await;
                if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, &self.live)) {
                    *live = None;
                }
            }
        }
        result
    }

    async fn value(&self, remote: &RemoteKey, property: Option<&str>) -> Result<Answer, ProviderError> {
        let reader = self.reader("get")?;
        let (call, operation) = (calls(&self.slot.provider).get, "get");
        let found = if self.live.batches.size() > 1 {
            let read = |remotes| self.batch(reader, call, remotes);
            self.live.batches.get(remote, read).await
        } else {
            self.slot.call(call, operation, reader.get_property(remote, property)).await
        };
        self.kept(found).await.map(|found| Answer::Value(Arc::new(found)))
    }

    /// Reads several values by one call.
    fn batch<'a>(
        &'a self,
        reader: &'a dyn SecretsReader,
        call: &'static str,
        remotes: Vec<RemoteKey>,
    ) -> BoxFuture<'a, Vec<Result<RemoteSecret, ProviderError>>> {
        Box::pin(async move {
            let answers = async {
                let answers = reader.get_batch(&remotes).await;
                match answers.first() {
                    // Nothing came: that is about the store.
                    Some(Err(error)) if answers.iter().all(|other| other.as_ref().err() == Some(error)) => {
                        Err(error.clone())
                    }
                    _ => Ok(answers),
                }
            };
            match self.slot.call(call, "get", answers).await {
                Ok(answers) => answers,
                Err(error) => remotes.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    async fn write<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let name = calls(&self.slot.provider).write;
        let result = self.slot.call(name, operation, call).await;
        if operation != "exists" {
            self.live.reads.clear();
        }
        self.kept(result).await
    }

    fn written(&self) -> Result<&dyn SecretsWriter, ProviderError> {
        let kind = ProviderErrorKind::Unsupported("writing");
        let unsupported = || self.slot.error("write", "the store", kind);
        self.live.connection.writer.as_deref().ok_or_else(unsupported)
    }
}

impl StoreHandle for Handle {
    fn dialect(&self) -> Option<Dialect> {
        self.live.connection.reader.as_ref().map(|reader| reader.dialect())
    }

    fn get<'a>(
        &'a self,
        remote: &'a RemoteKey,
        property: Option<&'a str>,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<RemoteSecret>, ProviderError>> {
        Box::pin(async move {
            let passed_on = self
                .dialect()
                .is_some_and(|dialect| matches!(dialect.property, sealops_providers::PropertyRule::Ignored));
            let property = property.filter(|_| passed_on);
            let question = Question::Value(remote.clone(), property.map(str::to_owned));
            match self.live.reads.ask(question, fresh, || self.value(remote, property)).await? {
                Answer::Value(value) => Ok(value),
                _ => Err(mixed_up(&self.slot)),
            }
        })
    }

    fn metadata<'a>(
        &'a self,
        remote: &'a RemoteKey,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<Plaintext>, ProviderError>> {
        Box::pin(async move {
            let ask = || async {
                let reader = self.reader("metadata")?;
                let name = calls(&self.slot.provider).metadata;
                let found = self.slot.call(name, "metadata", reader.metadata(remote)).await;
                self.kept(found).await.map(|found| Answer::Metadata(Arc::new(found)))
            };
            match self.live.reads.ask(Question::Metadata(remote.clone()), fresh, ask).await? {
                Answer::Metadata(json) => Ok(json),
                _ => Err(mixed_up(&self.slot)),
            }
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<BTreeMap<String, RemoteSecret>>, ProviderError>> {
        Box::pin(async move {
            let ask = || async {
                let reader = self.reader("find")?;
                let name = calls(&self.slot.provider).find;
                let found = self.slot.call(name, "find", reader.find(find)).await;
                self.kept(found).await.map(|found| Answer::Found(Arc::new(found)))
            };
            match self.live.reads.ask(Question::find(find), fresh, ask).await? {
                Answer::Found(found) => Ok(found),
                _ => Err(mixed_up(&self.slot)),
            }
        })
    }

    fn writer(&self) -> Option<&dyn SecretsWriter> {
        self.live.connection.writer.as_ref().map(|_| self as &dyn SecretsWriter)
    }
}

/// A question has answers of its own kind only.
fn mixed_up(slot: &Slot) -> ProviderError {
    slot.error("get", "the store", ProviderErrorKind::Failed("the answer is of another kind".to_owned()))
}

impl SecretsWriter for Handle {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { self.write("put", self.written()?.put(target, value)).await })
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { self.write("delete", self.written()?.delete(target)).await })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(async move { self.write("exists", self.written()?.exists(target)).await })
    }
}

/// Upstream's words for calls, as labels of the metric that counts them.
struct Calls {
    get: &'static str,
    metadata: &'static str,
    find: &'static str,
    write: &'static str,
}

fn calls(provider: &str) -> Calls {
    let (get, metadata, find, write) = match provider {
        "vault" | "openBao" => ("ReadSecretData", "ReadMetadata", "ListSecrets", "WriteSecretData"),
        "aws" => ("GetSecretValue", "DescribeSecret", "ListSecrets", "PutSecretValue"),
        "kubernetes" => ("GetSecret", "GetSecret", "ListSecrets", "UpdateSecret"),
        "webhook" => ("HTTPReq", "HTTPReq", "HTTPReq", "HTTPReq"),
        _ => ("GetSecret", "GetSecretMetadata", "GetAllSecrets", "PushSecret"),
    };
    Calls { get, metadata, find, write }
}

#[cfg(test)]
mod tests;
