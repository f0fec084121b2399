//! Which stores must not go yet: those into which something pushed that it has to delete again.

use std::collections::{HashMap, HashSet};

use sealops_crds::PushSecret;
use sealops_crds::external_secret::StoreKind;
use sealops_crds::push_secret::{PushDeletionPolicy, PushStoreRef};

use super::Labels;
use crate::external::labels_match;
use crate::object::ObjectKey;

/// The PushSecrets with deletionPolicy Delete, and the stores that they name.
#[derive(Default)]
pub(super) struct Pushers(HashMap<ObjectKey, Vec<PushStoreRef>>);

impl Pushers {
    /// Notes a PushSecret. Returns whether it holds other stores than before.
    pub(super) fn note(&mut self, key: ObjectKey, push: &PushSecret) -> bool {
        if push.spec.deletion_policy != Some(PushDeletionPolicy::Delete) {
            return self.forget(&key);
        }
        let refs = push.spec.secret_store_refs.clone();
        self.0.insert(key, refs.clone()) != Some(refs)
    }

    /// Forgets a PushSecret. Returns whether it held a store.
    pub(super) fn forget(&mut self, key: &ObjectKey) -> bool {
        self.0.remove(key).is_some()
    }

    /// Forgets what is not listed. Returns whether there was such.
    pub(super) fn keep(&mut self, listed: &HashSet<ObjectKey>) -> bool {
        let before = self.0.len();
        self.0.retain(|key, _| listed.contains(key));
        self.0.len() != before
    }

    /// Returns whether one of them uses a store. A cluster-wide one has an empty namespace.
    pub(super) fn use_store(&self, store: &ObjectKey, labels: &Labels) -> bool {
        self.0.iter().any(|(push, refs)| {
            refs.iter().any(|reference| {
                let is_cluster = matches!(reference.kind, Some(StoreKind::ClusterSecretStore));
                let place = if is_cluster { "" } else { push.namespace.as_str() };
                place == store.namespace && names(reference, &store.name, labels)
            })
        })
    }
}

fn names(reference: &PushStoreRef, name: &str, labels: &Labels) -> bool {
    match (reference.name.as_deref().filter(|name| !name.is_empty()), &reference.label_selector) {
        (Some(named), _) => named == name,
        (None, Some(selector)) => labels_match(selector, labels).unwrap_or(false),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stores_are_held_by_name_label_and_kind() {
        let push = |policy: &str, refs: serde_json::Value| -> PushSecret {
            serde_json::from_value(json!({ "spec": { "deletionPolicy": policy, "secretStoreRefs": refs } }))
                .unwrap()
        };
        let mut pushers = Pushers::default();
        let refs = json!([{ "name": "own" }, { "name": "shared", "kind": "ClusterSecretStore" },
            { "labelSelector": { "matchLabels": { "team": "blue" } } }]);
        let key = ObjectKey::new("n", "p");
        assert!(!pushers.note(key.clone(), &push("None", refs.clone())));
        assert!(pushers.note(key.clone(), &push("Delete", refs.clone())));
        assert!(!pushers.note(key, &push("Delete", refs)), "the same again");
        let (none, blue) = (Labels::new(), Labels::from([("team".to_owned(), "blue".to_owned())]));
        let uses = |pushers: &Pushers, namespace: &str, name: &str, labels: &Labels| {
            pushers.use_store(&ObjectKey::new(namespace, name), labels)
        };
        assert!(uses(&pushers, "n", "own", &none) && uses(&pushers, "", "shared", &none));
        assert!(uses(&pushers, "n", "any", &blue));
        for (namespace, name, labels) in [
            ("m", "own", &none),
            ("n", "shared", &none),
            ("", "own", &none),
            ("n", "any", &none),
            ("m", "any", &blue),
        ] {
            assert!(!uses(&pushers, namespace, name, labels), "{namespace} {name}");
        }
        assert!(pushers.keep(&HashSet::new()));
        assert!(!uses(&pushers, "n", "own", &none));
    }
}
