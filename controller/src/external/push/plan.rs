//! What a PushSecret writes: pure.

use std::collections::{BTreeMap, BTreeSet};

use sealops_crds::PushSecret;
use sealops_crds::external_secret::StoreKind;
use sealops_crds::push_secret::{
    PushConversionStrategy, PushData, PushDataTo, PushMatch, PushRemoteRef, PushStoreRef, SyncedPushSecrets,
};
use sealops_formats::Plaintext;
use sealops_providers::PushTarget;

use super::keys;
use super::value::Pushed;
use crate::external::{StoreObject, labels_match};

/// A store that a PushSecret names or selects.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedStore {
    /// The store.
    pub store: StoreObject,
    /// Its labels, which `dataTo` may select by.
    pub labels: BTreeMap<String, String>,
}

impl SelectedStore {
    /// Returns the key of the store in the status: `Kind/name`.
    pub fn status_key(&self) -> String {
        format!("{}/{}", self.store.key.kind(), self.store.key.name)
    }
}

/// One value to write.
#[derive(Debug)]
pub struct Write {
    /// The entry as the status records it.
    pub entry: PushData,
    /// Where the value goes.
    pub target: PushTarget,
    /// The value.
    pub value: Pushed,
}

/// What goes to one store.
#[derive(Debug)]
pub struct StorePlan {
    /// The store.
    pub store: SelectedStore,
    /// The values, in order.
    pub writes: Vec<Write>,
    /// Why the rest cannot be written; the values before it are.
    pub stop: Option<String>,
}

/// What is written, store by store.
#[derive(Debug, Default)]
pub struct Plan {
    /// The stores.
    pub stores: Vec<StorePlan>,
}

/// Decides what goes where. `sources` are the values of each source Secret, templated.
pub fn plan(push: &PushSecret, sources: &[BTreeMap<String, Plaintext>], stores: Vec<SelectedStore>) -> Plan {
    let of = |store: SelectedStore| {
        let (mut writes, mut stop) = (Vec::new(), None);
        for values in sources {
            stop = add(push, values, &store, &mut writes).err();
            if stop.is_some() {
                break;
            }
        }
        StorePlan { store, writes, stop }
    };
    Plan { stores: stores.into_iter().map(of).collect() }
}

/// Adds what one source gives to one store.
fn add(
    push: &PushSecret,
    values: &BTreeMap<String, Plaintext>,
    store: &SelectedStore,
    writes: &mut Vec<Write>,
) -> Result<(), String> {
    let mut entries = Vec::new();
    let named: BTreeSet<&str> = push.spec.data.iter().map(|data| data.match_.secret_key.as_str()).collect();
    for rule in &push.spec.data_to {
        if is_for(push, rule, store)? {
            expand(rule, values, &named, &mut entries)?;
        }
    }
    entries.extend(push.spec.data.iter().map(|data| Entry { data: data.clone(), keys: None }));
    unique(&entries)?;
    for entry in entries {
        let write = write_of(entry, values)?;
        writes.push(write);
    }
    Ok(())
}

/// An entry, and for a bundle the keys in it.
struct Entry {
    data: PushData,
    keys: Option<Vec<String>>,
}

/// Returns whether a rule of `dataTo` is for a store.
fn is_for(push: &PushSecret, rule: &PushDataTo, store: &SelectedStore) -> Result<bool, String> {
    let Some(wanted) = &rule.store_ref else {
        return Err("dataTo[].storeRef must specify either name or labelSelector".to_owned());
    };
    let is_listed = push.spec.secret_store_refs.iter().any(|listed| same_reference(listed, wanted));
    if !is_listed {
        let name = wanted.name.as_deref().unwrap_or("with labels");
        return Err(format!("dataTo[].storeRef: the store {name} is not one of spec.secretStoreRefs"));
    }
    if kind_of(wanted) != store.store.key.kind() {
        return Ok(false);
    }
    match (&wanted.name, &wanted.label_selector) {
        (Some(name), _) => Ok(*name == store.store.key.name),
        (None, Some(selector)) => labels_match(selector, &store.labels),
        (None, None) => Err("dataTo[].storeRef must specify either name or labelSelector".to_owned()),
    }
}

fn same_reference(listed: &PushStoreRef, wanted: &PushStoreRef) -> bool {
    kind_of(listed) == kind_of(wanted)
        && match (&listed.name, &wanted.name) {
            (Some(listed), Some(wanted)) => listed == wanted,
            // A name may be one of those that the labels select.
            (None, Some(_)) => listed.label_selector.is_some(),
            (_, None) => wanted.label_selector.is_some(),
        }
}

/// Returns the kind of the store that a reference means.
pub(super) fn kind_of(reference: &PushStoreRef) -> &str {
    reference.kind.as_ref().map_or(StoreKind::SecretStore.as_str(), StoreKind::as_str)
}

/// Adds the entries of one rule. Keys that `data` names itself are left to it.
fn expand(
    rule: &PushDataTo,
    values: &BTreeMap<String, Plaintext>,
    named: &BTreeSet<&str>,
    entries: &mut Vec<Entry>,
) -> Result<(), String> {
    let strategy = rule.conversion_strategy.as_ref();
    let converted = keys::converted(values, strategy)?;
    let matched = keys::matched(rule, converted.keys())?;
    let data = |secret_key: String, remote_key: String| PushData {
        match_: PushMatch { secret_key, remote_ref: PushRemoteRef { remote_key, property: String::new() } },
        metadata: rule.metadata.clone(),
        conversion_strategy: Some(strategy.cloned().unwrap_or(PushConversionStrategy::None)),
    };
    if let Some(bundle) = rule.remote_key.as_deref().filter(|key| !key.is_empty()) {
        if !matched.is_empty() {
            let keys = Some(matched.into_iter().cloned().collect());
            entries.push(Entry { data: data(String::new(), bundle.to_owned()), keys });
        }
        return Ok(());
    }
    for key in matched.into_iter().filter(|key| !named.contains(key.as_str())) {
        let remote = keys::rewritten(key, &rule.rewrite)?;
        if remote.is_empty() {
            return Err(format!("dataTo[].rewrite: the key {key:?} becomes an empty name"));
        }
        entries.push(Entry { data: data(key.clone(), remote), keys: None });
    }
    Ok(())
}

/// Refuses two entries for one place.
fn unique(entries: &[Entry]) -> Result<(), String> {
    let mut seen: BTreeMap<&PushRemoteRef, &str> = BTreeMap::new();
    for Entry { data, .. } in entries {
        let PushMatch { secret_key, remote_ref } = &data.match_;
        if let Some(before) = seen.insert(remote_ref, secret_key) {
            let property = match remote_ref.property.as_str() {
                "" => String::new(),
                property => format!(" with property {property:?}"),
            };
            return Err(format!(
                "failed to merge data entries: duplicate remote key {:?}{property}: source keys {before:?} and \
                 {secret_key:?} both map to the same destination",
                remote_ref.remote_key
            ));
        }
    }
    Ok(())
}

fn write_of(entry: Entry, values: &BTreeMap<String, Plaintext>) -> Result<Write, String> {
    let Entry { data, keys: bundle } = entry;
    let values = keys::converted(values, data.conversion_strategy.as_ref())?;
    let PushMatch { secret_key, remote_ref } = &data.match_;
    let value = match (bundle, secret_key.as_str()) {
        (Some(bundle), _) => Pushed::whole(values.iter().filter(|(key, _)| bundle.contains(key))),
        (None, "") => Pushed::whole(values.iter()),
        (None, key) => {
            let value = values.get(key).ok_or_else(|| format!("secret key {key} does not exist"))?;
            Pushed::One(value.duplicate())
        }
    };
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let target = PushTarget {
        key: remote_ref.remote_key.clone(),
        property: given(&remote_ref.property),
        secret_key: given(secret_key),
        metadata: data.metadata.clone(),
        resource_policy: None,
    };
    Ok(Write { entry: data, target, value })
}

/// Returns what was written before and is wanted no more: by store, then by place.
pub fn stale(before: &SyncedPushSecrets, wanted: &SyncedPushSecrets) -> SyncedPushSecrets {
    let mut out = SyncedPushSecrets::new();
    for (store, entries) in before {
        let left: BTreeMap<_, _> = entries
            .iter()
            .filter(|(place, _)| !wanted.get(store).is_some_and(|wanted| wanted.contains_key(*place)))
            .map(|(place, data)| (place.clone(), data.clone()))
            .collect();
        // A store without entries is recorded too, and goes with the rest.
        if !left.is_empty() || !wanted.contains_key(store) {
            out.insert(store.clone(), left);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::StoreKey;
    use serde_json::{Value, json};

    fn store(name: &str) -> SelectedStore {
        SelectedStore {
            store: StoreObject {
                key: StoreKey { namespace: Some("shop".into()), name: name.into() },
                uid: String::new(),
                generation: 1,
                spec: Default::default(),
                ready: None,
            },
            labels: BTreeMap::new(),
        }
    }

    fn push(spec: Value) -> PushSecret {
        let mut spec = spec;
        spec["secretStoreRefs"] = json!([{ "name": "s" }]);
        serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    fn values() -> BTreeMap<String, Plaintext> {
        ["other", "pass", "user"].iter().map(|key| ((*key).to_owned(), Plaintext::from(*key))).collect()
    }

    fn places(plan: &Plan) -> Vec<(String, Vec<String>, Option<String>)> {
        let row = |of: &StorePlan| {
            let writes = of.writes.iter().map(|write| super::super::place_of(&write.entry)).collect();
            (of.store.status_key(), writes, of.stop.clone())
        };
        plan.stores.iter().map(row).collect()
    }

    fn planned(spec: Value) -> (Vec<String>, Option<String>, Vec<String>) {
        let plan = plan(&push(spec), &[values()], vec![store("s")]);
        let texts = plan.stores[0]
            .writes
            .iter()
            .map(|write| write.value.text().unwrap().expose_str().unwrap().to_owned());
        let texts = texts.collect();
        let (_, places, stop) = places(&plan).remove(0);
        (places, stop, texts)
    }

    #[test]
    fn entries_carry_a_key_or_all_of_them() {
        let (places, stop, texts) = planned(json!({ "data": [
            { "match": { "secretKey": "user", "remoteRef": { "remoteKey": "a", "property": "p" } } },
            { "match": { "remoteRef": { "remoteKey": "whole" } } },
            { "match": { "secretKey": "missing", "remoteRef": { "remoteKey": "b" } } },
            { "match": { "secretKey": "user", "remoteRef": { "remoteKey": "c" } } }] }));
        assert_eq!(places, ["a/p", "whole"], "what stands before the failure is written");
        assert_eq!(stop.unwrap(), "secret key missing does not exist");
        assert_eq!(texts, ["user", r#"{"other":"other","pass":"pass","user":"user"}"#]);
    }

    #[test]
    fn rules_expand_and_explicit_entries_win() {
        let (places, stop, _) = planned(json!({
            "dataTo": [{ "storeRef": { "name": "s" }, "rewrite": [{ "regexp": { "source": "^", "target": "x-" } }] }],
            "data": [{ "match": { "secretKey": "user", "remoteRef": { "remoteKey": "mine" } } }] }));
        assert_eq!((places, stop), (vec!["x-other".to_owned(), "x-pass".into(), "mine".into()], None));
        let (places, _, texts) = planned(json!({ "dataTo": [
            { "storeRef": { "name": "s" }, "remoteKey": "all", "match": { "regexp": "^(us|pa)" } },
            { "storeRef": { "name": "s" }, "remoteKey": "none", "match": { "regexp": "zzz" } }] }));
        assert_eq!(places, ["all"]);
        assert_eq!(texts, [r#"{"pass":"pass","user":"user"}"#]);
    }

    #[test]
    fn one_place_takes_one_value() {
        let entry = |key: &str| json!({ "match": { "secretKey": key, "remoteRef": { "remoteKey": "one", "property": "name" } } });
        let (places, stop, _) = planned(json!({ "data": [entry("user"), entry("pass")] }));
        assert!(places.is_empty());
        assert_eq!(
            stop.unwrap(),
            "failed to merge data entries: duplicate remote key \"one\" with property \"name\": source keys \"user\" \
             and \"pass\" both map to the same destination"
        );
    }

    #[test]
    fn a_rule_is_for_a_store_that_the_object_names() {
        let (_, stop, _) = planned(json!({ "dataTo": [{ "storeRef": { "name": "other" } }] }));
        assert!(stop.unwrap().contains("secretStoreRefs"));
        let (_, stop, _) = planned(json!({ "dataTo": [{}] }));
        assert!(stop.unwrap().contains("storeRef"));
    }

    #[test]
    fn what_is_wanted_no_more_is_stale() {
        let synced = |text: Value| serde_json::from_value::<SyncedPushSecrets>(text).unwrap();
        let data = json!({ "match": { "remoteRef": { "remoteKey": "k" } } });
        let before =
            synced(json!({ "SecretStore/a": { "x": data, "y": data }, "SecretStore/b": { "z": data } }));
        let wanted = synced(json!({ "SecretStore/a": { "x": data } }));
        let left = stale(&before, &wanted);
        let names: Vec<_> = left
            .iter()
            .map(|(store, entries)| (store.as_str(), entries.keys().collect::<Vec<_>>()))
            .collect();
        assert_eq!(names.len(), 2);
        assert_eq!(names[0].1, ["y"]);
        assert_eq!(names[1].1, ["z"]);
        assert!(stale(&wanted, &wanted).is_empty());
    }
}
