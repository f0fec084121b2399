//! What there is after a step, in the form of the record.

use std::collections::{BTreeMap, BTreeSet};

use sealops_controller::external::{DATA_HASH, data_hash, owner_hash};
use sealops_crypto::sops::GoRegex;
use sealops_formats::{Plaintext, base64};
use serde_json::{Map, Value, json};

use super::names::Names;
use super::scenario::{Normalise, Options};
use super::world::{Key, Place};

/// Field manager of what the runner applies.
pub const RUNNER: &str = "vectors";
/// Field manager of what it patches, as in the record.
pub const PERSON: &str = "unknown";
/// A condition that upstream does not have: it comes and goes with failing calls.
const CIRCUIT_OPEN: &str = "CircuitOpen";
const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";
const OF_INTEREST: [&str; 7] = [
    "ExternalSecret",
    "SecretStore",
    "ClusterSecretStore",
    "ClusterExternalSecret",
    "PushSecret",
    "ClusterPushSecret",
    "GeneratorState",
];

/// What a scenario knows of its own past.
#[derive(Default)]
pub struct Past {
    /// Secrets and ConfigMaps that the runner applied and did not delete: kind, namespace, name.
    pub inputs: BTreeSet<(String, String, String)>,
    /// Hashes of owners that were seen, with the record's hash.
    pub owners: BTreeMap<String, String>,
}

/// Puts together what is recorded of the cluster.
pub fn look(places: &BTreeMap<String, Place>, names: &Names, options: &Options, past: &mut Past) -> Value {
    remember_owners(places, names, past);
    let mut parts: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut events = BTreeSet::new();
    for (namespace, place) in places {
        for ((kind, name), object) in &place.objects {
            let key = shown_key(names, namespace, name);
            match *kind {
                "Secret" | "ConfigMap" => {
                    let managers = managers(object);
                    if managers.iter().any(|manager| !is_other(manager)) {
                        let part = if *kind == "Secret" { "secrets" } else { "configMaps" };
                        let shown = content(object, &key, names, options, past);
                        parts.entry(part).or_default().insert(key, shown);
                    }
                }
                "Event" => events.extend(event(object, names, options)),
                "Namespace" if is_ours(names, name) && !object["metadata"]["finalizers"].is_null() => {
                    let shown = json!({ "finalizers": object["metadata"]["finalizers"] });
                    parts
                        .entry("objects")
                        .or_default()
                        .insert(format!("Namespace/{key}"), names.back(&shown));
                }
                kind if OF_INTEREST.contains(&kind) && (!namespace.is_empty() || is_ours(names, name)) => {
                    let shown = names.back(&status(object, options));
                    parts.entry("objects").or_default().insert(format!("{kind}/{key}"), shown);
                }
                _ => {}
            }
        }
    }
    for (kind, namespace, name) in &past.inputs {
        let key: Key = (if kind == "Secret" { "Secret" } else { "ConfigMap" }, name.clone());
        let exists = places.get(namespace).is_some_and(|place| place.objects.contains_key(&key));
        if !exists {
            let part = if kind == "Secret" { "secrets" } else { "configMaps" };
            parts.entry(part).or_default().insert(shown_key(names, namespace, name), json!("absent"));
        }
    }
    let mut whole: Map<String, Value> =
        parts.into_iter().map(|(part, entries)| (part.to_owned(), Value::Object(entries))).collect();
    if !events.is_empty() {
        whole.insert("events".to_owned(), events.into_iter().collect());
    }
    Value::Object(whole)
}

/// `name`, or `namespace/name` outside of the scenario's first namespace.
fn shown_key(names: &Names, namespace: &str, name: &str) -> String {
    let name = names.recorded(name);
    match names.recorded(namespace).as_str() {
        "" | "test" => name,
        namespace => format!("{namespace}/{name}"),
    }
}

fn is_ours(names: &Names, name: &str) -> bool {
    name.strip_prefix(names.fresh.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Those who are no controller of secrets: parts of Kubernetes, and who patches by hand.
fn is_other(manager: &str) -> bool {
    matches!(manager, RUNNER | PERSON | "kube-controller-manager" | "kube-apiserver")
}

fn managers(object: &Value) -> BTreeSet<String> {
    let fields = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    fields.filter_map(|field| field["manager"].as_str()).map(str::to_owned).collect()
}

fn remember_owners(places: &BTreeMap<String, Place>, names: &Names, past: &mut Past) {
    for (namespace, place) in places {
        for (_, name) in place.objects.keys().filter(|(kind, _)| *kind == "ExternalSecret") {
            let recorded = owner_hash(&names.recorded(namespace), &names.recorded(name));
            past.owners.insert(owner_hash(namespace, name), recorded);
        }
    }
}

/// A Secret or ConfigMap.
fn content(object: &Value, key: &str, names: &Names, options: &Options, past: &Past) -> Value {
    let metadata = &object["metadata"];
    let mut shown = Map::new();
    let mut labels = metadata["labels"].as_object().cloned().unwrap_or_default();
    if let Some(hash) = labels.get_mut(CREATED_BY)
        && let Some(recorded) = hash.as_str().and_then(|hash| past.owners.get(hash))
    {
        *hash = json!(recorded);
    }
    let real: BTreeMap<String, Plaintext> = object["data"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), base64::decode(value.as_str()?.as_bytes()).ok()?)))
        .collect();
    let (data, random) = values(&real, key, names, options);
    let mut annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
    if let Some(hash) = annotations.get_mut(DATA_HASH)
        && *hash == json!(data_hash(&real))
    {
        let is_own = |text: &str| names.recorded(text) != text;
        let names_run = real.iter().any(|(key, value)| is_own(key) || value.expose_str().is_some_and(is_own));
        if random || names_run {
            *hash = json!("<hash of the data>");
        }
    }
    let owners: Vec<Value> = metadata["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|owner| {
            let fields = ["blockOwnerDeletion", "controller", "kind", "name"];
            fields
                .iter()
                .filter(|field| !owner[**field].is_null())
                .map(|field| ((*field).to_owned(), owner[*field].clone()))
                .collect()
        })
        .map(Value::Object)
        .collect();
    shown.insert("data".to_owned(), data);
    for (field, value) in [
        ("labels", names.back(&Value::Object(labels))),
        ("annotations", names.back(&Value::Object(annotations))),
        ("ownerReferences", names.back(&Value::Array(owners))),
        ("finalizers", metadata["finalizers"].clone()),
        ("immutable", object["immutable"].clone()),
        ("type", object["type"].clone()),
        (
            "managers",
            managers(object)
                .into_iter()
                .filter(|manager| manager == PERSON || !is_other(manager))
                .map(|manager| names.recorded(&manager))
                .collect(),
        ),
    ] {
        shown.insert(field.to_owned(), value);
    }
    without_empty(Value::Object(shown), &["data"])
}

/// The entries as texts; says whether one of them is random.
fn values(real: &BTreeMap<String, Plaintext>, key: &str, names: &Names, options: &Options) -> (Value, bool) {
    let mut random = false;
    let shown = real.iter().map(|(name, value)| {
        let text = value.expose_str().map(str::to_owned);
        let pattern = text
            .as_deref()
            .and_then(|text| pattern(&options.normalise, &format!("secrets/{key}/data/{name}"), text));
        let shown = match (pattern, text) {
            (Some(pattern), _) => {
                random = true;
                json!(format!("<{pattern}>"))
            }
            (None, Some(text)) => json!(names.recorded(&text)),
            (None, None) => json!({ "base64": base64::encode_public(value.expose()) }),
        };
        (names.recorded(name), shown)
    });
    let shown = shown.collect();
    (Value::Object(shown), random)
}

fn pattern<'a>(rules: &'a [Normalise], path: &str, text: &str) -> Option<&'a str> {
    let at = |rule: &&Normalise| {
        let (mut wanted, mut steps) = (rule.at.split('/'), path.split('/'));
        rule.at.split('/').count() == path.split('/').count()
            && wanted.by_ref().all(|part| steps.next().is_some_and(|step| part == "*" || part == step))
    };
    let fits = |rule: &&Normalise| match rule.pattern.as_str() {
        "^x{200000}$" => text.len() == 200_000 && text.bytes().all(|byte| byte == b'x'), // too large for Go
        pattern => GoRegex::new(pattern).is_ok_and(|pattern| pattern.is_match(text.as_bytes())),
    };
    rules.iter().filter(at).find(fits).map(|rule| rule.pattern.as_str())
}

/// Finalizers and status of an object; all of it where the controller made it.
fn status(object: &Value, options: &Options) -> Value {
    let metadata = &object["metadata"];
    let mut shown = Map::new();
    shown.insert("finalizers".to_owned(), metadata["finalizers"].clone());
    shown.insert("status".to_owned(), timeless(&object["status"], options));
    if !managers(object).contains(RUNNER) {
        for field in ["labels", "annotations"] {
            shown.insert(field.to_owned(), metadata[field].clone());
        }
        let owners: Vec<Value> = metadata["ownerReferences"].as_array().into_iter().flatten().map(|owner| {
            json!({ "blockOwnerDeletion": owner["blockOwnerDeletion"], "controller": owner["controller"], "kind": owner["kind"], "name": owner["name"] })
        }).collect();
        shown.insert("ownerReferences".to_owned(), owners.into());
        shown.insert("spec".to_owned(), object["spec"].clone());
    }
    without_empty(Value::Object(shown), &[])
}

/// A status without its times. A field that is null is one that is not there.
fn timeless(status: &Value, options: &Options) -> Value {
    match status {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, value)| *key != "lastTransitionTime" && !value.is_null())
            .map(|(key, value)| match key.as_str() {
                "refreshTime" => (key.clone(), json!("set")),
                _ => (key.clone(), timeless(value, options)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => {
            let known = items.iter().filter(|item| item["type"] != CIRCUIT_OPEN);
            known.map(|item| timeless(item, options)).collect()
        }
        Value::String(text) => replaced(text, options).into(),
        other => other.clone(),
    }
}

/// `Kind/name Type Reason message` of an event on one of our kinds.
fn event(event: &Value, names: &Names, options: &Options) -> Option<String> {
    let object = &event["involvedObject"];
    let (kind, name) = (object["kind"].as_str()?, object["name"].as_str()?);
    let namespace = object["namespace"].as_str().unwrap_or_default();
    if !OF_INTEREST.contains(&kind) || (namespace.is_empty() && !is_ours(names, name)) {
        return None;
    }
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let message = replaced(&names.recorded(&text("message")), options);
    let key = shown_key(names, namespace, name);
    Some(format!("{kind}/{key} {} {} {message}", text("type"), text("reason")))
}

/// Takes what is random out of a message: the record's patterns, which are these two.
pub fn replaced(text: &str, options: &Options) -> String {
    options.replace.iter().fold(text.to_owned(), |text, rule| {
        let (words, ends): (&[&str], &[char]) = match rule.pattern.as_str() {
            r"(?i)request ?id: [^,\n]*" => (&["requestid: ", "request id: "], &[',', '\n']),
            "RetryAfter[^,]*" => (&["retryafter"], &[',']),
            other => panic!("the record has a pattern that this test does not know: {other}"),
        };
        let lower = text.to_ascii_lowercase();
        let Some(start) = words.iter().find_map(|word| lower.find(word)) else { return text };
        let length = text[start..].find(ends).unwrap_or(text.len() - start);
        format!("{}{}{}", &text[..start], rule.with, &text[start + length..])
    })
}

/// Drops empty fields, which the record does not have, but those named.
fn without_empty(value: Value, kept: &[&str]) -> Value {
    let Value::Object(fields) = value else { return value };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    fields
        .into_iter()
        .filter(|(key, value)| kept.contains(&key.as_str()) || !is_empty(value))
        .collect::<Map<_, _>>()
        .into()
}

/// Returns where two outcomes differ, with both sides.
pub fn differences(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", theirs, ours, &mut found);
    found
}

fn compare(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let side = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}/{}", key.replace('/', "~1")), &side(a), &side(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if path == "/events" => {
            found.extend(
                a.iter().filter(|line| !b.contains(line)).map(|line| format!("event missing: {line}")),
            );
            found.extend(
                b.iter().filter(|line| !a.contains(line)).map(|line| format!("event too many: {line}")),
            );
        }
        (a, b) if numbers_equal(a, b) => {}
        (a, b) if a != b => found.push(format!("{path}:\n      recorded {a}\n      here     {b}")),
        _ => {}
    }
}

fn numbers_equal(a: &Value, b: &Value) -> bool {
    a.as_f64().is_some() && a.as_f64() == b.as_f64()
}
