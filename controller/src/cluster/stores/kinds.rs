//! What both kinds of stores have in common, and what connections say about them.

use std::sync::{Arc, OnceLock};

use sealops_crds::secret_store::{SecretStoreSpec, SecretStoreStatus};
use sealops_crds::{ClusterSecretStore, CustomResource, SecretStore};

use crate::cluster::metrics::{ExternalKind, Metrics};
use crate::cluster::queue::{Lane, Queue};
use crate::external::{Observer, StoreKey, StoreObject};
use crate::object::ObjectKey;

/// Hears from the connections: counts calls, and looks at a store whose breaker turned.
pub struct StoreNews {
    metrics: Arc<Metrics>,
    pub(super) queue: OnceLock<Queue<ObjectKey>>,
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
pub(super) fn object_key(store: &StoreKey) -> ObjectKey {
    ObjectKey::new(store.namespace.clone().unwrap_or_default(), store.name.as_str())
}

pub(super) fn store_key(key: &ObjectKey) -> StoreKey {
    let namespace = Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty());
    StoreKey { namespace, name: key.name.clone() }
}

/// Both kinds of stores.
pub(super) trait Store: CustomResource + Into<StoreObject> {
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
