//! What the watches have shown: which PushSecrets read which sources, and whose sources have changed.

use std::collections::{BTreeSet, HashMap};

use sealops_crds::push_secret::SyncedPushSecrets;
use sealops_crds::secret_store::LabelSelector;
use sealops_crds::{Metadata, PushSecret};

use crate::cluster::watch::Seen;
use crate::external::{labels_match, push};
use crate::object::ObjectKey;

/// Version of a source that does not exist.
pub(super) const ABSENT: &str = "";

/// What the watches have shown.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) objects: HashMap<ObjectKey, Known>,
    /// Which objects read a Secret by its name.
    by_source: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// Which objects of a namespace select Secrets by labels.
    selecting: HashMap<String, BTreeSet<ObjectKey>>,
    /// Whether all Secrets were shown once: what comes later is news.
    complete: bool,
}

/// What is known of one PushSecret.
pub(super) struct Known {
    uid: String,
    version: String,
    deletes: bool,
    selector: Option<LabelSelector>,
    /// Versions of its sources by name, as they were last pushed or seen.
    sources: HashMap<String, String>,
    /// Whether a source changed since the last push.
    changed: bool,
    /// What was written and could not be recorded in the status: it has to go with the object all the same.
    unrecorded: SyncedPushSecrets,
}

impl Watched {
    /// Takes an object in; returns whether that is news.
    pub(super) fn note(&mut self, key: &ObjectKey, push: &PushSecret, version: String) -> bool {
        let uid = push.metadata.uid.clone().unwrap_or_default();
        if self.objects.get(key).is_some_and(|known| known.uid == uid && known.version == version) {
            return false;
        }
        let before = self.objects.remove(key);
        self.unlink(key);
        let source = push.spec.selector.secret.clone().unwrap_or_default();
        let name = source.name.filter(|name| !name.is_empty());
        let selector = source.selector.filter(|_| name.is_none());
        if let Some(name) = name {
            let source = ObjectKey::new(key.namespace.as_str(), name);
            self.by_source.entry(source).or_default().insert(key.clone());
        } else if selector.is_some() {
            self.selecting.entry(key.namespace.clone()).or_default().insert(key.clone());
        }
        let before = before.map(|known| (known.sources, known.changed, known.unrecorded));
        let (sources, changed, unrecorded) = before.unwrap_or_default();
        let deletes = push::deletes(push);
        let known = Known { uid, version, deletes, selector, sources, changed, unrecorded };
        self.objects.insert(key.clone(), known);
        true
    }

    fn unlink(&mut self, key: &ObjectKey) {
        self.by_source.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
        self.selecting.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
    }

    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.objects.remove(key);
        self.unlink(key);
    }

    /// Takes a change of a source in; returns the objects that have to be pushed for it.
    pub(super) fn source(&mut self, seen: Seen<Metadata>) -> Vec<ObjectKey> {
        match seen {
            Seen::Applied(source, metadata) => self.source_is(&source, &metadata),
            Seen::Deleted(source) => self.source_is_gone(&source),
            Seen::Complete(listed) => {
                self.complete = true;
                let named: Vec<ObjectKey> =
                    self.by_source.keys().filter(|source| !listed.contains(*source)).cloned().collect();
                named.iter().flat_map(|source| self.source_is_gone(source)).collect()
            }
        }
    }

    fn source_is(&mut self, source: &ObjectKey, metadata: &Metadata) -> Vec<ObjectKey> {
        let version = metadata.resource_version.clone().unwrap_or_default();
        let selecting = self.selecting.get(&source.namespace).into_iter().flatten().filter(|key| {
            let selector = self.objects.get(*key).and_then(|known| known.selector.as_ref());
            selector.is_some_and(|selector| labels_match(selector, metadata.labels()).unwrap_or(false))
        });
        let named = self.by_source.get(source).into_iter().flatten();
        let readers: Vec<ObjectKey> = named.chain(selecting).cloned().collect();
        let mut moved = Vec::new();
        for key in readers {
            let Some(known) = self.objects.get_mut(&key) else { continue };
            let before = known.sources.insert(source.name.clone(), version.clone());
            // The first list shows what was there before this process was.
            let is_news = before.map_or(self.complete, |before| before != version);
            if is_news {
                known.changed = true;
                moved.push(key);
            }
        }
        moved
    }

    /// Only who cleans up has something to do at once; the others say so when they are due, as upstream.
    fn source_is_gone(&mut self, source: &ObjectKey) -> Vec<ObjectKey> {
        let named = self.by_source.get(source).into_iter().flatten();
        let selecting = self.selecting.get(&source.namespace).into_iter().flatten();
        let readers: Vec<ObjectKey> = named.chain(selecting).cloned().collect();
        let mut moved = Vec::new();
        for key in readers {
            let Some(known) = self.objects.get_mut(&key) else { continue };
            let before = known.sources.get_mut(&source.name);
            if let Some(before) = before.filter(|before| *before != ABSENT) {
                ABSENT.clone_into(before);
                if known.deletes {
                    known.changed = true;
                    moved.push(key);
                }
            }
        }
        moved
    }

    /// Remembers which versions of its sources an object was made of.
    pub(super) fn read(&mut self, key: &ObjectKey, name: &str, version: &str) {
        if let Some(known) = self.objects.get_mut(key) {
            known.sources.insert(name.to_owned(), version.to_owned());
        }
    }

    pub(super) fn take_change(&mut self, key: &ObjectKey) -> bool {
        self.objects.get_mut(key).is_some_and(|known| std::mem::take(&mut known.changed))
    }

    /// Remembers what was written without a record; nothing where the record is complete.
    pub(super) fn unrecorded(&mut self, key: &ObjectKey, written: SyncedPushSecrets) {
        if let Some(known) = self.objects.get_mut(key) {
            known.unrecorded = written;
        }
    }

    /// Adds what was written without a record.
    pub(super) fn complete(&self, key: &ObjectKey, record: &mut SyncedPushSecrets) {
        for (store, entries) in self.objects.get(key).into_iter().flat_map(|known| &known.unrecorded) {
            record.entry(store.clone()).or_default().extend(entries.clone());
        }
    }

    pub(super) fn put_back(&mut self, key: &ObjectKey) {
        if let Some(known) = self.objects.get_mut(key) {
            known.changed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn pushed(name: &str, spec: serde_json::Value) -> PushSecret {
        serde_json::from_value(
            json!({ "metadata": { "namespace": "shop", "name": name, "uid": name }, "spec": spec }),
        )
        .unwrap()
    }

    fn source(version: &str, team: &str) -> Metadata {
        serde_json::from_value(json!({ "resourceVersion": version, "labels": { "team": team } })).unwrap()
    }

    #[test]
    fn a_source_that_changes_is_news_for_its_readers() {
        let mut seen = Watched::default();
        let named =
            pushed("named", json!({ "selector": { "secret": { "name": "s" } }, "deletionPolicy": "Delete" }));
        let by_label = pushed(
            "label",
            json!({ "selector": { "secret": { "selector": { "matchLabels": { "team": "blue" } } } } }),
        );
        assert!(seen.note(&key("named"), &named, "1".into()));
        assert!(seen.note(&key("label"), &by_label, "1".into()));
        assert!(!seen.note(&key("named"), &named, "1".into()), "the same again");
        let apply =
            |seen: &mut Watched, version: &str| seen.source(Seen::Applied(key("s"), source(version, "blue")));
        assert!(apply(&mut seen, "1").is_empty(), "the first list is no news");
        assert!(seen.source(Seen::Complete([key("s")].into())).is_empty());
        assert_eq!(apply(&mut seen, "2"), [key("named"), key("label")]);
        assert!(apply(&mut seen, "2").is_empty());
        assert!(seen.take_change(&key("named")) && !seen.take_change(&key("named")));
        seen.read(&key("named"), "s", "3");
        assert_eq!(apply(&mut seen, "3"), [key("label")], "what was pushed already is no news");
        assert_eq!(seen.source(Seen::Deleted(key("s"))), [key("named")], "who cleans up");
        assert!(seen.source(Seen::Deleted(key("s"))).is_empty());
        seen.forget(&key("named"));
        seen.forget(&key("label"));
        assert!(seen.by_source.is_empty() && seen.selecting.is_empty() && seen.objects.is_empty());
    }

    #[test]
    fn a_source_that_appears_is_news() {
        let mut seen = Watched::default();
        let named = pushed("named", json!({ "selector": { "secret": { "name": "s" } } }));
        seen.note(&key("named"), &named, "1".into());
        seen.read(&key("named"), "s", ABSENT);
        assert_eq!(seen.source(Seen::Applied(key("s"), source("1", "red"))), [key("named")]);
    }
}
