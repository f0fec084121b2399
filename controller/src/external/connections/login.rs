//! The logins of one store, and what bounds its calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealops_crds::secret_store::Provider;
use sealops_providers::{ProviderError, ProviderErrorKind, StoreConnection};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::super::batches::Batches;
use super::super::breaker::Breaker;
use super::super::credentials::{Used, version_of};
use super::super::direct::connect_once;
use super::super::reads::Reads;
use super::super::store::{StoreKey, StoreObject};
use super::{Connections, LOOK, MAX_CALLS, MAX_LOGINS, Observer, TOKEN_SHARE, lock};
use crate::object::ClusterReader;

/// One version of a store.
pub(super) struct Slot {
    pub(super) key: StoreKey,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) provider: String,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) breaker: Breaker,
    pub(super) places: Semaphore,
    pub(super) logins: Mutex<Logins>,
}

#[derive(Default)]
pub(super) struct Logins {
    /// Whether each namespace has a login of its own; `None` until the first login says so.
    pub(super) per_user: Option<bool>,
    pub(super) cells: HashMap<Option<String>, Cell>,
    /// Logins that came to nothing, and when.
    failed: HashMap<Option<String>, (Instant, ProviderError, Used)>,
}

pub(super) type Cell = Arc<tokio::sync::Mutex<Option<Arc<Live>>>>;

/// A login.
pub(super) struct Live {
    pub(super) connection: StoreConnection,
    pub(super) used: Used,
    pub(super) reads: Arc<Reads>,
    pub(super) batches: Batches,
    pub(super) expires: Option<Instant>,
    pub(super) looked: Mutex<Instant>,
}

impl Slot {
    pub(super) fn new(store: &StoreObject, observer: Arc<dyn Observer>) -> Self {
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
            logins: Mutex::new(Logins { per_user, ..Logins::default() }),
        }
    }

    pub(super) fn error(
        &self,
        operation: &'static str,
        target: &str,
        kind: ProviderErrorKind,
    ) -> ProviderError {
        ProviderError { backend: self.provider.clone(), operation, target: target.to_owned(), kind }
    }

    pub(super) fn is_per_user(&self) -> Option<bool> {
        lock(&self.logins).per_user
    }

    /// The cell for a user; while it is not known whether users share a login, they wait in one.
    pub(super) fn cell(&self, user: &str) -> (Option<String>, Cell) {
        let mut logins = lock(&self.logins);
        let key = (logins.per_user == Some(true)).then(|| user.to_owned());
        if logins.cells.len() >= MAX_LOGINS && !logins.cells.contains_key(&key) {
            logins.cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        let cell = Arc::clone(logins.cells.entry(key.clone()).or_default());
        (key, cell)
    }

    /// What a login came to that somebody made since `arrived`. A store that does not answer has one who waits for it,
    /// and not one after the other.
    fn failed_since(&self, key: &Option<String>, arrived: Instant) -> Option<(ProviderError, Used)> {
        let logins = lock(&self.logins);
        let (ended, error, used) = logins.failed.get(key)?;
        (*ended > arrived).then(|| (error.clone(), used.clone()))
    }

    fn note_failure(&self, key: &Option<String>, error: &ProviderError, used: &Used) {
        let mut logins = lock(&self.logins);
        if used.per_user {
            logins.per_user = Some(true);
        }
        // One user's own objects say nothing about the next one's.
        if Breaker::counts(&error.kind) && (key.is_some() || !used.per_user) {
            if logins.failed.len() >= MAX_LOGINS {
                logins.failed.clear();
            }
            logins.failed.insert(key.clone(), (Instant::now(), error.clone(), used.clone()));
        }
    }

    /// Returns the login for a user, made now where there is none that serves.
    pub(super) async fn login(
        &self,
        all: &Connections,
        store: &StoreObject,
        user: &str,
        cluster: &dyn ClusterReader,
        look: bool,
    ) -> (Result<Arc<Live>, ProviderError>, Used) {
        let arrived = Instant::now();
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
            if let Some((error, used)) = self.failed_since(&key, arrived) {
                return (Err(error), used);
            }
            let (connection, used) = connect_once(store, user, cluster, &all.environment).await;
            let connection = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    self.note_failure(&key, &error, &used);
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
    pub(super) fn count(&self, result: Result<(), &ProviderErrorKind>) {
        let (turned, is_open) = match result {
            Err(kind) if Breaker::counts(kind) => (self.breaker.failed(kind), true),
            _ => (self.breaker.succeeded(), false),
        };
        if turned {
            self.observer.breaker(&self.key, is_open);
        }
    }

    /// Makes a call to the provider, within all bounds.
    pub(super) async fn call<T>(
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
    pub(super) fn new(connection: StoreConnection, used: Used, reads: Arc<Reads>) -> Self {
        let life = used.token_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let expires = life.map(|life| Instant::now() + Duration::from_secs(life).mul_f64(TOKEN_SHARE));
        let batches = Batches::new(connection.reader.as_ref().map_or(1, |reader| reader.batch_size()));
        Self { connection, used, reads, batches, expires, looked: Mutex::new(Instant::now()) }
    }

    pub(super) fn look_next_time(&self) {
        if let Some(past) = Instant::now().checked_sub(LOOK) {
            *lock(&self.looked) = past;
        }
    }

    /// Whether the login can be used still: its token lives, and what it was made from has not changed.
    pub(super) async fn serves(&self, cluster: &dyn ClusterReader, look: bool) -> bool {
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
