//! Restarts of workloads whose Secrets change: what to compare, and what to write. Nothing happens here.
//!
//! A workload asks for it by the annotation [`RESTART_ON`]: names of Secrets with commas between them, or `auto` for those
//! that its pods name (`env`, `envFrom`, volumes). What its Secrets hold is remembered on it as keyed hashes
//! ([`HASHES`]), so that a change which happened while nobody looked is found, and a start without a change writes
//! nothing. A restart is the same text as an annotation of the pod template; the first look writes it beside the workload
//! only, which restarts nothing.
//!
//! The key lies in a Secret of the controller's namespace. Who reads workloads cannot guess values with the hashes, nor
//! see that two workloads share one: the workload's uid and the Secret's name go into each.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::hmac;
use sealops_crds::Metadata;
use sealops_formats::Plaintext;
use sealops_formats::manifest::{Node, Value};
use serde_json::json;

use crate::object::{ManifestObject, SecretObject};

/// The annotation by which a workload asks to be restarted.
pub const RESTART_ON: &str = "sealops.io/restart-on";
/// The annotation with the hashes of its Secrets.
pub const HASHES: &str = "sealops.io/secret-hashes";
/// Secrets that one workload can name; further ones are not looked at.
pub const MAX_SECRETS: usize = 64;
const AUTO: &str = "auto";
/// Purpose of the MACs; a change of what they cover needs a new one.
const PURPOSE: &str = "sealops restart v1";
/// Bytes of a MAC that are kept.
const KEPT: usize = 16;

/// Which Secrets a workload waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Those that its pods name.
    Auto,
    /// These.
    Names(BTreeSet<String>),
}

/// Returns what a workload asks for; `None` where it does not.
pub fn wanted(metadata: &Metadata) -> Option<Wanted> {
    let text = metadata.annotations().get(RESTART_ON)?.trim();
    if text == AUTO {
        return Some(Wanted::Auto);
    }
    let names: BTreeSet<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (!names.is_empty()).then_some(Wanted::Names(names))
}

/// Returns the Secrets that a workload waits for, at most [`MAX_SECRETS`].
pub fn secrets_of(workload: &ManifestObject) -> BTreeSet<String> {
    let names = match wanted(&workload.metadata) {
        None => BTreeSet::new(),
        Some(Wanted::Names(names)) => names,
        Some(Wanted::Auto) => {
            let mut names = BTreeSet::new();
            let pod = workload.field("spec").and_then(|spec| spec.at(&["template", "spec"]));
            if let Some(pod) = pod {
                named_by(pod, &mut names);
            }
            names
        }
    };
    names.into_iter().take(MAX_SECRETS).collect()
}

fn items<'a>(node: &'a Node, field: &str) -> &'a [Node] {
    match node.child(field).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn named_by(pod: &Node, names: &mut BTreeSet<String>) {
    let mut add = |node: &Node, path: &[&str]| {
        names.extend(node.str_at(path).filter(|name| !name.is_empty()).map(str::to_owned));
    };
    for container in ["containers", "initContainers"].iter().flat_map(|field| items(pod, field)) {
        items(container, "envFrom").iter().for_each(|from| add(from, &["secretRef", "name"]));
        items(container, "env").iter().for_each(|env| add(env, &["valueFrom", "secretKeyRef", "name"]));
    }
    for volume in items(pod, "volumes") {
        add(volume, &["secret", "secretName"]);
        let projected = volume.child("projected");
        projected
            .iter()
            .flat_map(|node| items(node, "sources"))
            .for_each(|source| add(source, &["secret", "name"]));
    }
}

/// The key of the hashes.
pub struct RestartKey {
    key: hmac::Key,
    /// Tells keys apart, so that a new key is no change.
    id: String,
}

impl RestartKey {
    /// Makes the key from its bytes.
    pub fn new(bytes: &Plaintext) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes.expose());
        let id = hex(hmac::sign(&key, format!("{PURPOSE} id").as_bytes()).as_ref());
        Self { key, id: id.chars().take(8).collect() }
    }

    fn hash(&self, uid: &str, name: &str, secret: &SecretObject) -> String {
        let mut mac = hmac::Context::with_key(&self.key);
        let mut put = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        for text in [PURPOSE, uid, name] {
            put(text.as_bytes());
        }
        for (key, value) in &secret.data {
            put(key.as_bytes());
            put(value.expose());
        }
        hex(mac.sign().as_ref())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(KEPT).map(|byte| format!("{byte:02x}")).collect()
}

/// What to do with a workload.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing has changed.
    Nothing,
    /// Remember what its Secrets hold; its pods stay.
    Remember(serde_json::Value),
    /// Restart its pods, because these Secrets have changed.
    Restart(serde_json::Value, Vec<String>),
}

/// Compares what the Secrets of a workload hold with what is remembered. A Secret that is missing (`None`) changes
/// nothing: the pods that run have it.
pub fn decide(
    workload: &ManifestObject,
    secrets: &BTreeMap<String, Option<SecretObject>>,
    key: &RestartKey,
) -> Step {
    let uid = workload.metadata.uid.as_deref().unwrap_or_default();
    let stored = workload.metadata.annotations().get(HASHES);
    let remembered: BTreeMap<String, String> = stored
        .and_then(|text| text.strip_prefix(key.id.as_str())?.strip_prefix(' '))
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let mut next = BTreeMap::new();
    let mut changed = Vec::new();
    for (name, secret) in secrets {
        let before = remembered.get(name);
        let now = secret.as_ref().map(|secret| key.hash(uid, name, secret));
        if let (Some(before), Some(now)) = (before, &now)
            && before != now
        {
            changed.push(name.clone());
        }
        if let Some(hash) = now.or_else(|| before.cloned()) {
            next.insert(name.clone(), hash);
        }
    }
    if next == remembered {
        return Step::Nothing;
    }
    let text = format!("{} {}", key.id, serde_json::to_string(&next).unwrap_or_default());
    let annotations = json!({ HASHES: text });
    if changed.is_empty() {
        return Step::Remember(json!({ "metadata": { "uid": uid, "annotations": annotations } }));
    }
    let template = json!({ "metadata": { "annotations": annotations } });
    let patch =
        json!({ "metadata": { "uid": uid, "annotations": annotations }, "spec": { "template": template } });
    Step::Restart(patch, changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(annotations: serde_json::Value) -> ManifestObject {
        let pod = json!({
            "containers": [{ "name": "a", "env": [{ "name": "X", "value": "y" },
                { "name": "P", "valueFrom": { "secretKeyRef": { "name": "by-env", "key": "k" } } }],
                "envFrom": [{ "secretRef": { "name": "by-from" } }, { "configMapRef": { "name": "map" } }] }],
            "initContainers": [{ "name": "i", "envFrom": [{ "secretRef": { "name": "by-init" } }] }],
            "volumes": [{ "name": "v", "secret": { "secretName": "by-volume" } },
                { "name": "p", "projected": { "sources": [{ "secret": { "name": "by-projection" } }] } }],
            "imagePullSecrets": [{ "name": "pull" }],
        });
        let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "d", "uid": "u", "annotations": annotations },
            "spec": { "template": { "spec": pod } } });
        ManifestObject::from_json(&object.to_string().as_str().into()).unwrap()
    }

    fn held(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<SecretObject>> {
        let secret = |value: &str| {
            let mut secret = SecretObject::default();
            secret.data.insert("k".into(), value.into());
            secret
        };
        entries.iter().map(|(name, value)| ((*name).to_owned(), value.map(secret))).collect()
    }

    fn remembered(step: &Step) -> String {
        let (Step::Remember(patch) | Step::Restart(patch, _)) = step else { panic!("{step:?}") };
        patch["metadata"]["annotations"][HASHES].as_str().unwrap().to_owned()
    }

    #[test]
    fn who_asks_and_for_what() {
        let names = |annotations| secrets_of(&workload(annotations)).into_iter().collect::<Vec<_>>();
        assert_eq!(names(json!({ RESTART_ON: " a, b ,,a" })), ["a", "b"]);
        let auto = ["by-env", "by-from", "by-init", "by-projection", "by-volume"];
        assert_eq!(names(json!({ RESTART_ON: "auto" })), auto);
        for nothing in [json!({}), json!({ RESTART_ON: "" }), json!({ RESTART_ON: " , " })] {
            assert!(names(nothing).is_empty());
        }
        let many: Vec<String> = (0..100).map(|index| format!("s{index}")).collect();
        assert_eq!(names(json!({ RESTART_ON: many.join(",") })).len(), MAX_SECRETS);
    }

    #[test]
    fn the_first_look_remembers_and_a_change_restarts_once() {
        let key = RestartKey::new(&"one key".into());
        let asks = |hashes: Option<&str>| {
            let mut annotations = json!({ RESTART_ON: "a,b" });
            if let Some(hashes) = hashes {
                annotations[HASHES] = json!(hashes);
            }
            workload(annotations)
        };
        let first = decide(&asks(None), &held(&[("a", Some("1")), ("b", None)]), &key);
        assert!(matches!(&first, Step::Remember(patch) if patch.get("spec").is_none()));
        let text = remembered(&first);
        assert!(!text.contains("\"b\""));
        let same = asks(Some(&text));
        assert_eq!(decide(&same, &held(&[("a", Some("1")), ("b", None)]), &key), Step::Nothing);
        assert_eq!(decide(&same, &held(&[("a", None), ("b", None)]), &key), Step::Nothing, "it went");
        let appeared = decide(&same, &held(&[("a", Some("1")), ("b", Some("2"))]), &key);
        assert!(matches!(appeared, Step::Remember(_)), "the pods that wait for it start by themselves");
        let changed = decide(&same, &held(&[("a", Some("2")), ("b", None)]), &key);
        let Step::Restart(patch, names) = &changed else { panic!("{changed:?}") };
        assert_eq!(names, &["a"]);
        assert_eq!(patch["spec"]["template"]["metadata"]["annotations"], patch["metadata"]["annotations"]);
        let after = asks(Some(&remembered(&changed)));
        assert_eq!(decide(&after, &held(&[("a", Some("2")), ("b", None)]), &key), Step::Nothing);
        let other = RestartKey::new(&"another key".into());
        assert!(
            matches!(decide(&after, &held(&[("a", Some("9"))]), &other), Step::Remember(_)),
            "a new key is no change"
        );
    }

    #[test]
    fn hashes_tell_nothing_without_the_key() {
        let key = RestartKey::new(&"one key".into());
        let secret = held(&[("a", Some("1"))]).remove("a").unwrap().unwrap();
        let hash = key.hash("u", "a", &secret);
        assert_ne!(hash, key.hash("v", "a", &secret));
        assert_ne!(hash, key.hash("u", "b", &secret));
        assert_ne!(hash, RestartKey::new(&"another".into()).hash("u", "a", &secret));
        assert_eq!(hash.len(), 2 * KEPT);
    }
}
