//! What the watches have shown, and who has to look again when something moves. Names and versions only.

use std::collections::{BTreeSet, HashMap, HashSet};

use sealops_crds::external_secret::{StoreKind, StoreRef};
use sealops_crds::template::Template;
use sealops_crds::{ExternalSecret, Metadata};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::external::notice::{Notice, Remote, remotes_of};
use crate::external::{
    CREATED_BY, MANAGED, StoreKey, object_version, owner_hash, target_name, wanted_manifest,
};
use crate::object::{ManifestKind, ObjectKey};

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

/// What an object writes: a Secret, where there is no kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) kind: Option<ManifestKind>,
    pub(super) key: ObjectKey,
}

impl Target {
    fn secret(key: &ObjectKey) -> Self {
        Self { kind: None, key: key.clone() }
    }
}

/// The index.
#[derive(Default)]
pub(super) struct Links {
    /// Generation, labels and annotations decide whether an update is news.
    objects: HashMap<ObjectKey, Known>,
    /// Which objects write a target.
    by_target: HashMap<Target, BTreeSet<ObjectKey>>,
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
    /// Versions of Secrets whose content was compared with their mark.
    judged: HashMap<ObjectKey, Box<str>>,
    /// Whether every Secret has been shown once.
    secrets_shown: bool,
}

struct Known {
    version: String,
    target: Target,
    sources: Vec<Source>,
    /// When this version of the object has something to do again; `None` where it has now, or where nobody knows.
    rests: Option<Rest>,
    remotes: Vec<Remote>,
}

/// Until when an object has nothing to do by itself; `None` is for ever.
pub(super) type Rest = Option<Instant>;

impl Links {
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.objects.keys().cloned().collect()
    }

    pub(super) fn knows(&self, key: &ObjectKey) -> bool {
        self.objects.contains_key(key)
    }

    /// Takes in an object; says whether it is new or changed in what matters.
    pub(super) fn put_object(&mut self, key: &ObjectKey, object: &ExternalSecret) -> bool {
        let version = version_of(object);
        if self.objects.get(key).is_some_and(|known| known.version == version) {
            return false;
        }
        self.forget_object(key);
        let target = Target {
            kind: wanted_manifest(object),
            key: ObjectKey::new(key.namespace.as_str(), target_name(object)),
        };
        self.by_target.entry(target.clone()).or_default().insert(key.clone());
        self.by_hash.insert(owner_hash(&key.namespace, &key.name), key.clone());
        let sources = sources_of(&key.namespace, object);
        for source in &sources {
            self.readers.entry(source.clone()).or_default().insert(key.clone());
        }
        let remotes = remotes_of(object);
        self.objects.insert(key.clone(), Known { version, target, sources, remotes, rests: None });
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

    /// Forgets what was judged and settled: somebody else may have led meanwhile.
    pub(super) fn begin_term(&mut self) {
        self.judged.clear();
        self.objects.values_mut().for_each(|known| known.rests = None);
    }

    /// Notes that a version of a Secret holds what its mark says.
    pub(super) fn judge(&mut self, secret: ObjectKey, version: &str) {
        self.judged.insert(secret, version.into());
    }

    /// Returns whether the target of an object is as it was judged, as far as the watch has shown.
    pub(super) fn is_right(&self, target: &ObjectKey) -> bool {
        let Some(judged) = self.judged.get(target) else { return false };
        self.version_of(target).is_none_or(|version| version == &**judged)
    }

    /// Returns whether there is no such Secret, as far as the watch has shown.
    pub(super) fn lacks(&self, secret: &ObjectKey) -> bool {
        self.secrets_shown && self.version_of(secret).is_none()
    }

    fn version_of(&self, secret: &ObjectKey) -> Option<&str> {
        self.versions.get(&Source::Secret(secret.clone())).map(String::as_str)
    }

    pub(super) fn all_secrets_shown(&mut self) {
        self.secrets_shown = true;
    }

    /// Notes until when an object rests, if it is still the one that the watch has shown.
    pub(super) fn settle(&mut self, key: &ObjectKey, object: &ExternalSecret, rest: Rest) {
        if let Some(known) = self.objects.get_mut(key) {
            known.rests = (known.version == version_of(object)).then_some(rest);
        }
    }

    /// Returns until when an object rests: it has settled, its target is as it was judged, and no former one is left.
    pub(super) fn rests(&self, key: &ObjectKey) -> Option<Rest> {
        let known = self.objects.get(key)?;
        let rest = known.rests?;
        // A target of another kind is not followed by version.
        let target = Some(&known.target).filter(|target| target.kind.is_none())?;
        let is_right = self.is_right(&target.key) && self.others(key, &target.key).next().is_none();
        is_right.then_some(rest)
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
        self.judged.remove(key);
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
        let targets = self.by_target.keys().filter(|target| target.kind.is_none()).map(|target| &target.key);
        known.chain(targets).filter(|key| !listed.contains(*key)).cloned().collect()
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
        let target = ObjectKey::new(key.namespace.as_str(), target_name(object));
        self.others(key, &target).map(|secret| secret.name.clone()).collect()
    }

    fn others<'a>(
        &'a self,
        key: &'a ObjectKey,
        target: &'a ObjectKey,
    ) -> impl Iterator<Item = &'a ObjectKey> {
        let marked = self.marked.get(&owner_hash(&key.namespace, &key.name)).into_iter().flatten();
        marked.filter(move |secret| secret.namespace == key.namespace && *secret != target)
    }

    /// Returns the stores that an object reads from.
    pub(super) fn stores_of(&self, key: &ObjectKey) -> Vec<StoreKey> {
        let sources = self.objects.get(key).into_iter().flat_map(|known| &known.sources);
        let store = |source: &Source| match source {
            Source::Store(store) => Some(store.clone()),
            _ => None,
        };
        sources.filter_map(store).collect()
    }

    fn writers(&self, secret: &ObjectKey) -> Vec<ObjectKey> {
        self.by_target.get(&Target::secret(secret)).into_iter().flatten().cloned().collect()
    }

    /// Returns who writes an object that is no Secret.
    pub(super) fn writers_of(&self, kind: &ManifestKind, key: &ObjectKey) -> Vec<ObjectKey> {
        let target = Target { kind: Some(kind.clone()), key: key.clone() };
        self.by_target.get(&target).into_iter().flatten().cloned().collect()
    }

    /// Returns who writes objects of a kind, and which.
    pub(super) fn targets_of(&self, kind: &ManifestKind) -> Vec<(ObjectKey, Vec<ObjectKey>)> {
        let own = self.by_target.iter().filter(|(target, _)| target.kind.as_ref() == Some(kind));
        own.map(|(target, writers)| (target.key.clone(), writers.iter().cloned().collect())).collect()
    }

    /// Returns the kinds of all targets that are no Secrets.
    pub(super) fn target_kinds(&self) -> HashSet<ManifestKind> {
        self.by_target.keys().filter_map(|target| target.kind.clone()).collect()
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

/// What tells one state of an object from another: who it is, generation, labels and annotations, whether it goes.
fn version_of(object: &ExternalSecret) -> String {
    let deleting = object.metadata.deletion_timestamp.is_some();
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    format!("{uid} {} {deleting}", object_version(object))
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
    fn a_target_that_is_no_secret_is_told_from_the_secret_of_its_name() {
        let mut links = Links::default();
        let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        let (key, object) = external("app", json!({ "target": { "manifest": manifest } }));
        links.put_object(&key, &object);
        let kind = ManifestKind::new("v1", "ConfigMap");
        assert_eq!(links.writers_of(&kind, &key), std::slice::from_ref(&key));
        assert_eq!(links.target_kinds(), HashSet::from([kind.clone()]));
        let mut secret = version("1");
        secret.labels_mut().insert(MANAGED.into(), "true".into());
        assert!(links.put_secret(&key, &secret).0.is_empty());
        links.forget_object(&key);
        assert!(links.target_kinds().is_empty() && links.targets_of(&kind).is_empty());
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
