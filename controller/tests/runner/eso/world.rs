//! What there is in the cluster: one watch of each kind, shared by all scenarios.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;

/// Kinds that outcomes hold: group, version, kind, plural.
pub const KINDS: [(&str, &str, &str, &str); 11] = [
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Event", "events"),
    ("", "v1", "Namespace", "namespaces"),
    ("external-secrets.io", "v1", "ExternalSecret", "externalsecrets"),
    ("external-secrets.io", "v1", "SecretStore", "secretstores"),
    ("external-secrets.io", "v1", "ClusterSecretStore", "clustersecretstores"),
    ("external-secrets.io", "v1", "ClusterExternalSecret", "clusterexternalsecrets"),
    ("external-secrets.io", "v1alpha1", "PushSecret", "pushsecrets"),
    ("external-secrets.io", "v1alpha1", "ClusterPushSecret", "clusterpushsecrets"),
    ("generators.external-secrets.io", "v1alpha1", "GeneratorState", "generatorstates"),
];

/// Kind and name.
pub type Key = (&'static str, String);

/// The objects of a namespace (or of none), and how often one of them has changed.
#[derive(Default, Clone)]
pub struct Place {
    pub objects: BTreeMap<Key, Arc<Value>>,
    pub changes: u64,
}

/// All objects, by namespace.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<HashMap<String, Place>>>);

impl World {
    /// Follows every kind until the runtime ends.
    pub fn watch(client: &Client) -> Self {
        let world = Self::default();
        for (group, version, kind, plural) in KINDS {
            let resource =
                ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
            let world = world.clone();
            tokio::spawn(async move {
                let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
                while let Some(event) = events.next().await {
                    match event {
                        Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                            world.put(kind, &object, true);
                        }
                        Ok(watcher::Event::Delete(object)) => world.put(kind, &object, false),
                        // A watch that starts over misses deletions; the tests run far below that.
                        Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => {}
                    }
                }
            });
        }
        world
    }

    fn put(&self, kind: &'static str, object: &DynamicObject, exists: bool) {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let name = object.metadata.name.clone().unwrap_or_default();
        let Ok(value) = serde_json::to_value(object) else { return };
        let mut places = self.0.lock().unwrap();
        // Events about objects without a namespace lie in the default one.
        let place = match value.pointer("/involvedObject/namespace").and_then(Value::as_str) {
            None if kind == "Event" => "",
            _ => namespace.as_str(),
        };
        let place = places.entry(place.to_owned()).or_default();
        place.changes += 1;
        if exists {
            place.objects.insert((kind, name), Arc::new(value));
        } else {
            place.objects.remove(&(kind, name));
        }
    }

    /// Returns the namespaces that are given and what has no namespace.
    pub fn look(&self, namespaces: &[String]) -> BTreeMap<String, Place> {
        let places = self.0.lock().unwrap();
        let wanted = namespaces.iter().map(String::as_str).chain([""]);
        wanted.filter_map(|name| Some((name.to_owned(), places.get(name)?.clone()))).collect()
    }
}
