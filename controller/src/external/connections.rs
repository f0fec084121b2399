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

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealops_crds::secret_store::{Capabilities, Provider};
use sealops_providers::{BoxFuture, ProviderError, StoreConnection, Validation};

use super::breaker::Open;
use super::credentials::{Referenced, StoreEnvironment};
use super::store::{StoreHandle, StoreKey, StoreObject, StoreRules, Stores};
use crate::object::ClusterReader;

mod handle;
mod login;
use handle::Handle;
use login::{Cell, Slot};

/// Calls to one store at the same time.
const MAX_CALLS: usize = 8;
/// How often it is looked whether the objects of a login have changed.
const LOOK: Duration = Duration::from_secs(5);
/// Share of a token's life after which the login is made again.
const TOKEN_SHARE: f64 = 0.8;
/// Namespaces that have a login of their own with one store.
const MAX_LOGINS: usize = 1024;

/// Who is told what happens.
pub trait Observer: Send + Sync {
    /// A provider was called.
    fn called(&self, provider: &str, call: &'static str, succeeded: bool);
    /// The breaker of a store opened, or closed.
    fn breaker(&self, store: &StoreKey, is_open: bool);
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    /// Makes it; nothing is connected yet.
    pub fn new(rules: StoreRules, environment: StoreEnvironment, observer: Arc<dyn Observer>) -> Self {
        Self { rules, environment, observer, slots: Mutex::default() }
    }

    /// Returns why a store is left alone, until a call comes through.
    pub fn left_alone(&self, store: &StoreKey) -> Option<Open> {
        lock(&self.slots).get(store)?.breaker.held()
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

    /// Checks a store; returns also what it is made from. Does not count for the breaker: some checks ask for less than a
    /// read does.
    pub async fn check(
        &self,
        store: &StoreObject,
        cluster: &dyn ClusterReader,
    ) -> (Checked, BTreeSet<Referenced>) {
        let slot = self.slot(store);
        let user = store.key.namespace.as_deref().unwrap_or_default();
        let of_users =
            || Checked { result: Ok(Validation::Unknown), capabilities: self.capabilities_of(store) };
        // A webhook is each namespace's own for what it is asked; it can be reached for nobody.
        let is_webhook = matches!(store.spec.provider, Some(Provider::Webhook(_)));
        if user.is_empty() && slot.is_per_user() == Some(true) && !is_webhook {
            return (of_users(), BTreeSet::new());
        }
        let (live, used) = slot.login(self, store, user, cluster, true).await;
        let live = match live {
            Ok(live) => live,
            Err(_) if used.needs_user => return (of_users(), used.objects()),
            Err(error) => {
                let checked = Checked { result: Err(CheckError::Open(error)), capabilities: None };
                return (checked, used.objects());
            }
        };
        live.reads.sweep();
        let result = match &live.connection.check {
            Some(check) => check.validate().await,
            None => Ok(Validation::Unknown),
        };
        let capabilities = Some(capabilities(&live.connection));
        (Checked { result: result.map_err(CheckError::Validate), capabilities }, live.used.objects())
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
                return Err(fail(open.refusal()));
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

#[cfg(test)]
mod tests;
