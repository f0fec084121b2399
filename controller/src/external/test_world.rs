//! A small cluster in memory, for the tests of stores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sealops_crds::{ClusterSecretStore, CustomResource, Metadata, SecretStore};
use serde_json::{Value, json};

use crate::object::{BoxFuture, ClusterReader, ConfigMapObject, ObjectReader, ReadError, SecretObject};

/// The namespace that has labels (team=blue) and stores.
pub(super) const SHOP: &str = "shop";

/// Version and value by namespace and name.
type Versions = BTreeMap<(String, String), (u32, String)>;

/// Secrets of one entry `token` whose versions can be changed, and stores under both kinds.
#[derive(Clone, Default)]
pub(super) struct World {
    secrets: Arc<Mutex<Versions>>,
    stores: BTreeMap<&'static str, Value>,
    slow: Option<Duration>,
    reads: Arc<AtomicUsize>,
}

impl World {
    /// Makes a cluster with stores: name, and spec and status.
    pub(super) fn with_stores(stores: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self { stores: stores.into_iter().collect(), ..Self::default() }
    }

    /// Makes a cluster in which each read of a Secret takes so long and comes to nothing.
    pub(super) fn slow(time: Duration) -> Self {
        Self { slow: Some(time), ..Self::default() }
    }

    /// Writes a Secret; its version counts up.
    pub(super) fn put(&self, namespace: &str, name: &str, value: &str) {
        let mut secrets = self.secrets();
        let entry = secrets.entry((namespace.into(), name.into())).or_default();
        *entry = (entry.0 + 1, value.to_owned());
    }

    /// Returns how often a Secret was read.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    fn secrets(&self) -> MutexGuard<'_, Versions> {
        self.secrets.lock().unwrap()
    }

    fn store<T: CustomResource>(&self, name: &str) -> Option<T> {
        let mut object = self.stores.get(name)?.clone();
        object["metadata"] = json!({ "name": name, "namespace": SHOP, "uid": "u", "generation": 3 });
        Some(serde_json::from_value(object).unwrap())
    }
}

struct Place(World, String);

impl ObjectReader for Place {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let found = self.0.secrets().get(&(self.1.clone(), name.to_owned())).cloned();
        let secret = found.map(|(version, value)| {
            let mut metadata = Metadata::named(self.1.as_str(), name);
            metadata.resource_version = Some(version.to_string());
            let data = BTreeMap::from([("token".to_owned(), value.into())]);
            SecretObject { metadata, data, ..SecretObject::default() }
        });
        let slow = self.0.slow;
        Box::pin(async move {
            let Some(slow) = slow else { return Ok(secret) };
            tokio::time::sleep(slow).await;
            Err(ReadError { kind: "Secret", name: "t".into(), problem: "no answer".into() })
        })
    }
    fn config_map<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        let found = self.0.store(name).filter(|_| self.1 == SHOP);
        Box::pin(async { Ok(found) })
    }
}

impl ClusterReader for World {
    fn in_namespace(&self, namespace: &str) -> Box<dyn ObjectReader> {
        Box::new(Place(self.clone(), namespace.to_owned()))
    }
    fn cluster_secret_store<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>> {
        let found = self.store(name);
        Box::pin(async { Ok(found) })
    }
    fn namespace_labels<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        let labels = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        Box::pin(async move { Ok(Some(labels).filter(|_| name == SHOP)) })
    }
}
