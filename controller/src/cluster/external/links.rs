//! What the watches have shown, and who has to look again when something moves. Names and versions only.

use std::collections::{BTreeSet, HashMap, HashSet};

use sealops_crds::external_secret::{StoreKind, StoreRef};
use sealops_crds::template::Template;
use sealops_crds::{ExternalSecret, Metadata};
use serde::Deserialize;
use serde_json::Value;

use crate::external::notice::{Notice, Remote, remotes_of};
use crate::external::{CREATED_BY, MANAGED, StoreKey, object_version, owner_hash, target_name};
use crate::object::ObjectKey;

/// Something that an ExternalSecret or a store reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Secret(ObjectKey),
    ConfigMap(ObjectKey),
    Store(StoreKey),
}

/// A store as far as its users care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoreVersion {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) is_down: bool,
}

/// The index.
#[derive(Default)]
pub(super) struct Links {
    /// Generation, labels and annotations decide whether an update is news.
    objects: HashMap<ObjectKey, Known>,
    /// Which objects write a Secret.
    by_target: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// Which objects read something.
    readers: HashMap<Source, BTreeSet<ObjectKey>>,
    /// Which stores read something: credentials. A namespace that is empty is each user's own.
    by_credential: HashMap<Source, HashSet<StoreKey>>,
    stores: HashMap<StoreKey, StoreVersion>,
    /// Objects by the hash that marks their targets.
    by_hash: HashMap<String, ObjectKey>,
    /// Secrets by the hash that they carry.
    marked: HashMap<String, BTreeSet<ObjectKey>>,
    /// Versions of Secrets and ConfigMaps.
    versions: HashMap<Source, String>,
}

struct Known {
    version: String,
    target: ObjectKey,
    sources: Vec<Source>,
    remotes: Vec<Remote>,
}

impl Links {
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.objects.keys().cloned().collect()
    }

    /// Takes in an object; says whether it is new or changed in what matters.
    pub(super) fn put_object(&mut self, key: &ObjectKey, object: &ExternalSecret) -> bool {
        let deleting = object.metadata.deletion_timestamp.is_some();
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let version = format!("{uid} {} {deleting}", object_version(object));
        if self.objects.get(key).is_some_and(|known| known.version == version) {
            return false;
        }
        self.forget_object(key);
        let target = ObjectKey::new(key.namespace.as_str(), target_name(object));
        self.by_target.entry(target.clone()).or_default().insert(key.clone());
        self.by_hash.insert(owner_hash(&key.namespace, &key.name), key.clone());
        let sources = sources_of(&key.namespace, object);
        for source in &sources {
            self.readers.entry(source.clone()).or_default().insert(key.clone());
        }
        self.objects.insert(key.clone(), Known { version, target, sources, remotes: remotes_of(object) });
        true
    }

    /// Returns the objects that a notice means.
    pub(super) fn meant_by(&self, notice: &Notice) -> Vec<ObjectKey> {
        let is_meant = |key: &ObjectKey, known: &Known| {
            known.remotes.iter().any(|remote| notice.means(&key.namespace, remote))
        };
        self.objects.iter().filter(|(key, known)| is_meant(key, known)).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn forget_object(&mut self, key: &ObjectKey) {
        let Some(known) = self.objects.remove(key) else { return };
        self.by_hash.remove(&owner_hash(&key.namespace, &key.name));
        remove(&mut self.by_target, &known.target, key);
        for source in known.sources {
            remove(&mut self.readers, &source, key);
        }
    }

    /// Returns the known objects that a complete list lacks.
    pub(super) fn objects_outside(&self, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
        self.objects.keys().filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// Takes in a Secret; returns who has to look at its target, and who reads it if it has changed.
    pub(super) fn put_secret(
        &mut self,
        key: &ObjectKey,
        secret: &Metadata,
    ) -> (Vec<ObjectKey>, Vec<ObjectKey>) {
        let source = Source::Secret(key.clone());
        let has_changed = self.has_changed(&source, secret);
        let mut owners = Vec::new();
        if secret.labels().get(MANAGED).is_some_and(|value| value == "true") {
            owners.extend(self.writers(key));
            if let Some(hash) = secret.labels().get(CREATED_BY) {
                self.marked.entry(hash.clone()).or_default().insert(key.clone());
                owners.extend(self.by_hash.get(hash).cloned());
            }
        }
        let readers = if has_changed { self.readers_of(&source) } else { Vec::new() };
        (owners, readers)
    }

    /// Takes in a ConfigMap; returns who reads it if it has changed.
    pub(super) fn put_config_map(&mut self, key: &ObjectKey, map: &Metadata) -> Vec<ObjectKey> {
        let source = Source::ConfigMap(key.clone());
        if self.has_changed(&source, map) { self.readers_of(&source) } else { Vec::new() }
    }

    /// What is seen for the first time has not changed: a restart is no reason to fetch.
    fn has_changed(&mut self, source: &Source, object: &Metadata) -> bool {
        let version = object.resource_version.clone().unwrap_or_default();
        self.versions.insert(source.clone(), version.clone()).is_some_and(|before| before != version)
    }

    /// A Secret went; returns who writes it and who reads it.
    pub(super) fn forget_secret(&mut self, key: &ObjectKey) -> (Vec<ObjectKey>, Vec<ObjectKey>) {
        let source = Source::Secret(key.clone());
        self.versions.remove(&source);
        self.marked.retain(|_, secrets| {
            secrets.remove(key);
            !secrets.is_empty()
        });
        (self.writers(key), self.readers_of(&source))
    }

    /// Returns the known Secrets that a complete list lacks.
    pub(super) fn secrets_outside(&self, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
        let known = self.versions.keys().filter_map(|source| match source {
            Source::Secret(key) => Some(key),
            _ => None,
        });
        known.chain(self.by_target.keys()).filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// Takes in a store; returns its users if it has changed or works again.
    pub(super) fn put_store(
        &mut self,
        key: &StoreKey,
        version: StoreVersion,
        provider: Option<&Value>,
        is_listing: bool,
    ) -> Vec<ObjectKey> {
        self.by_credential.retain(|_, stores| {
            stores.remove(key);
            !stores.is_empty()
        });
        for credential in credentials_of(key.namespace.as_deref(), provider) {
            self.by_credential.entry(credential).or_default().insert(key.clone());
        }
        let before = self.stores.insert(key.clone(), version.clone());
        let is_news = match before {
            None => !is_listing,
            Some(before) => {
                (&before.uid, before.generation) != (&version.uid, version.generation)
                    || (before.is_down && !version.is_down)
            }
        };
        if is_news { self.readers_of(&Source::Store(key.clone())) } else { Vec::new() }
    }

    pub(super) fn forget_store(&mut self, key: &StoreKey) {
        self.stores.remove(key);
        self.by_credential.retain(|_, stores| {
            stores.remove(key);
            !stores.is_empty()
        });
    }

    /// Returns the names of Secrets that carry an object's mark and are not its target.
    pub(super) fn orphans(&self, key: &ObjectKey, object: &ExternalSecret) -> Vec<String> {
        let marked = self.marked.get(&owner_hash(&key.namespace, &key.name)).into_iter().flatten();
        let own = marked.filter(|secret| secret.namespace == key.namespace);
        own.filter(|secret| secret.name != target_name(object)).map(|secret| secret.name.clone()).collect()
    }

    fn writers(&self, secret: &ObjectKey) -> Vec<ObjectKey> {
        self.by_target.get(secret).into_iter().flatten().cloned().collect()
    }

    /// Objects that read a source, themselves or through a store.
    fn readers_of(&self, source: &Source) -> Vec<ObjectKey> {
        let direct = self.readers.get(source).into_iter().flatten();
        let own = self.by_credential.get(source).into_iter().flatten();
        let (anywhere, namespace) = match source {
            Source::Secret(key) => {
                (Some(Source::Secret(ObjectKey::new("", key.name.as_str()))), key.namespace.as_str())
            }
            Source::ConfigMap(key) => {
                (Some(Source::ConfigMap(ObjectKey::new("", key.name.as_str()))), key.namespace.as_str())
            }
            Source::Store(_) => (None, ""),
        };
        let users = |store: &StoreKey| self.readers.get(&Source::Store(store.clone())).into_iter().flatten();
        let referent = anywhere.and_then(|source| self.by_credential.get(&source)).into_iter().flatten();
        let referent = referent.flat_map(users).filter(|user| user.namespace == namespace);
        let readers: BTreeSet<&ObjectKey> = direct.chain(own.flat_map(users)).chain(referent).collect();
        readers.into_iter().cloned().collect()
    }
}

fn remove<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<ObjectKey>>, place: &K, key: &ObjectKey) {
    if let Some(keys) = map.get_mut(place) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(place);
        }
    }
}

/// Returns what an object reads: stores, and the sources of its template.
fn sources_of(namespace: &str, object: &ExternalSecret) -> Vec<Source> {
    let spec = &object.spec;
    let data = spec.data.iter().map(|entry| entry.source_ref.as_ref());
    let from = spec.data_from.iter().map(|entry| entry.source_ref.as_ref());
    let own = data.chain(from).filter_map(|source| source?.store_ref.as_ref());
    let stores = spec.secret_store_ref.iter().chain(own);
    let mut sources: Vec<Source> = stores.map(|store| Source::Store(store_key(namespace, store))).collect();
    let template = spec.target.as_ref().and_then(|target| target.template.as_ref());
    let template = template.and_then(|template| Template::deserialize(template).ok()).unwrap_or_default();
    for part in template.template_from {
        let key = |name: String| ObjectKey::new(namespace, name);
        sources.extend(part.config_map.map(|map| Source::ConfigMap(key(map.name))));
        sources.extend(part.secret.map(|secret| Source::Secret(key(secret.name))));
    }
    sources
}

fn store_key(namespace: &str, reference: &StoreRef) -> StoreKey {
    let is_cluster = matches!(reference.kind, Some(StoreKind::ClusterSecretStore));
    StoreKey {
        namespace: (!is_cluster).then(|| namespace.to_owned()),
        name: reference.name.clone().unwrap_or_default(),
    }
}

/// Returns the Secrets and ConfigMaps that a store's settings name, whatever the provider is: objects with a `name`, and
/// a `key` or a field that says what they are.
fn credentials_of(namespace: Option<&str>, provider: Option<&Value>) -> Vec<Source> {
    fn collect(field: &str, value: &Value, namespace: Option<&str>, found: &mut Vec<Source>) {
        match value {
            Value::Object(fields) => {
                let text = |name: &str| fields.get(name).and_then(Value::as_str);
                let is_reference = text("key").is_some() || field.to_lowercase().ends_with("secretref");
                if let Some(name) = text("name").filter(|_| is_reference) {
                    let place = namespace.or(text("namespace")).unwrap_or_default();
                    let key = ObjectKey::new(place, name);
                    let is_map = text("type") == Some("ConfigMap");
                    found.push(if is_map { Source::ConfigMap(key) } else { Source::Secret(key) });
                }
                for (field, value) in fields {
                    collect(field, value, namespace, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(field, item, namespace, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Some(provider) = provider {
        collect("", provider, namespace, &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn external(name: &str, spec: Value) -> (ObjectKey, ExternalSecret) {
        let mut object: ExternalSecret = serde_json::from_value(json!({ "spec": spec })).unwrap();
        object.metadata = Metadata::named("shop", name);
        (ObjectKey::new("shop", name), object)
    }

    fn version(text: &str) -> Metadata {
        Metadata { resource_version: Some(text.into()), ..Metadata::named("shop", "x") }
    }

    fn store(generation: i64, is_down: bool) -> StoreVersion {
        StoreVersion { uid: "u".into(), generation, is_down }
    }

    #[test]
    fn what_moves_reaches_its_readers_once() {
        let mut links = Links::default();
        let (key, object) = external(
            "app",
            json!({ "secretStoreRef": { "name": "vault" },
                "target": { "template": { "templateFrom": [{ "configMap": { "name": "tpl", "items": [] } }] } } }),
        );
        assert!(links.put_object(&key, &object));
        assert!(!links.put_object(&key, &object), "no news");
        let own = StoreKey { namespace: Some("shop".into()), name: "vault".into() };
        let provider = json!({ "vault": { "auth": { "tokenSecretRef": { "name": "token", "key": "t", "namespace": "other" } } } });
        let put =
            |links: &mut Links, version, listing| links.put_store(&own, version, Some(&provider), listing);
        assert!(put(&mut links, store(1, false), true).is_empty(), "a first list is no news");
        assert!(put(&mut links, store(1, true), false).is_empty(), "its users will see");
        assert_eq!(put(&mut links, store(1, false), false), std::slice::from_ref(&key));
        assert_eq!(put(&mut links, store(2, false), false), std::slice::from_ref(&key));
        let token = ObjectKey::new("shop", "token");
        assert!(links.put_secret(&token, &version("1")).1.is_empty());
        assert!(links.put_secret(&token, &version("1")).1.is_empty());
        assert_eq!(
            links.put_secret(&token, &version("2")).1,
            std::slice::from_ref(&key),
            "a namespaced store reads its own namespace"
        );
        let map = ObjectKey::new("shop", "tpl");
        assert!(links.put_config_map(&map, &version("1")).is_empty());
        assert_eq!(links.put_config_map(&map, &version("2")), std::slice::from_ref(&key));
        links.forget_object(&key);
        assert!(links.put_config_map(&map, &version("3")).is_empty());
        assert!(links.readers.is_empty() && links.by_target.is_empty() && links.by_hash.is_empty());
    }

    #[test]
    fn credentials_of_a_cluster_store_without_a_namespace_are_each_users() {
        let mut links = Links::default();
        let (key, object) =
            external("app", json!({ "secretStoreRef": { "name": "c", "kind": "ClusterSecretStore" } }));
        links.put_object(&key, &object);
        let own = StoreKey { namespace: None, name: "c".into() };
        let provider = json!({ "aws": { "auth": { "secretRef": { "accessKeyIDSecretRef": { "name": "aws", "key": "id" } } } } });
        links.put_store(&own, store(1, false), Some(&provider), true);
        for (namespace, readers) in [("shop", vec![key.clone()]), ("else", vec![])] {
            let secret = ObjectKey::new(namespace, "aws");
            links.put_secret(&secret, &version("1"));
            assert_eq!(links.put_secret(&secret, &version("2")).1, readers, "{namespace}");
        }
    }

    #[test]
    fn former_targets_are_found_by_their_mark() {
        let mut links = Links::default();
        let (key, object) = external("app", json!({ "target": { "name": "new" } }));
        links.put_object(&key, &object);
        let mut secret = version("1");
        secret.labels_mut().insert(MANAGED.into(), "true".into());
        secret.labels_mut().insert(CREATED_BY.into(), owner_hash("shop", "app"));
        assert_eq!(links.put_secret(&ObjectKey::new("shop", "old"), &secret).0, std::slice::from_ref(&key));
        links.put_secret(&ObjectKey::new("shop", "new"), &secret);
        assert_eq!(links.orphans(&key, &object), ["old"]);
        links.forget_secret(&ObjectKey::new("shop", "old"));
        assert!(links.orphans(&key, &object).is_empty());
    }
}
