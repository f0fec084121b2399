//! What the watches show, and who looks again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use sealops_crds::secret_store::SecretStoreSpec;
use sealops_crds::{
    ClusterSecretStore, CustomResource, ExternalSecret, Metadata, SecretStore, SecretStoreStatus,
};

use super::ExternalDriver;
use super::links::StoreVersion;
use super::targets::{SeenTarget, Watches};
use crate::cluster::lock;
use crate::cluster::metrics::ExternalKind;
use crate::cluster::queue::{Lane, random_fraction};
use crate::cluster::watch::{Namespaces, Seen, config_maps, objects, secrets};
use crate::external::StoreKey;
use crate::object::ObjectKey;

/// Between two users of a store that has changed, up to [`LONGEST_SPREAD`] for all of them.
const SPREAD: Duration = Duration::from_millis(20);
/// Longest time over which the users of a store are spread.
const LONGEST_SPREAD: Duration = Duration::from_secs(30);

/// One thing that one of the watches shows.
enum News {
    Object(Seen<ExternalSecret>),
    Secret(Seen<Metadata>),
    ConfigMap(Seen<Metadata>),
    Store(Seen<SecretStore>),
    ClusterStore(Seen<ClusterSecretStore>),
    Target(SeenTarget),
}

impl ExternalDriver {
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
        let mut watches = Watches::default();
        while let Some(seen) = news.next().await {
            match seen {
                News::Object(seen) => {
                    self.saw_object(seen);
                    let targets = self.follow_targets(&mut watches);
                    targets.into_iter().for_each(|target| news.push(target.map(News::Target).boxed()));
                }
                News::Target(seen) => self.saw_target(seen),
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
                let (is_new, is_news) = {
                    let mut links = lock(&self.links);
                    (!links.knows(&key), links.put_object(&key, &object))
                };
                lock(&self.first_looks).put(&key, object, is_new);
                if is_news {
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

    pub(super) fn forget(&self, key: &ObjectKey) {
        self.shared.metrics.external_gone(ExternalKind::ExternalSecret, &key.namespace, &key.name);
        lock(&self.links).forget_object(key);
        lock(&self.first_looks).take(key);
        lock(&self.moved).remove(key);
        lock(&self.left).remove(key);
        self.said.forget(key);
        self.shared.queue.forget(key);
    }

    /// Any change of a target is looked at; what we wrote ourselves turns out to be right and costs nothing.
    fn saw_secret(&self, seen: Seen<Metadata>) {
        let mut links = lock(&self.links);
        let (owners, readers) = match seen {
            Seen::Applied(key, secret) => links.put_secret(&key, &secret),
            Seen::Deleted(key) => links.forget_secret(&key),
            // Some may have gone while the watch was away.
            Seen::Complete(listed) => {
                links.all_secrets_shown();
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
        if let Seen::Applied(key, _) | Seen::Deleted(key) = &seen {
            self.reads.forget_store(key);
        }
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
    pub(super) fn moved(&self, readers: Vec<ObjectKey>) {
        let count = u32::try_from(readers.len()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(count).min(LONGEST_SPREAD);
        for key in readers {
            lock(&self.moved).insert(key.clone());
            self.shared.queue.add_after(key, Lane::Drift, spread.mul_f64(random_fraction()));
        }
    }
}
