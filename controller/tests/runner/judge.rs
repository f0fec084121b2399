//! The same objects for the real controller and for ours, with the same key: the same Secrets, conditions and events.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use sealops_crypto::sealing::{Certificate, Scope};
use sealops_testenv::eventually;
use serde_json::{Value, json};

use super::both::*;
use super::harness::*;

/// What there is before, what comes, and what it is changed to.
struct Scenario {
    name: &'static str,
    existing: Option<Value>,
    object: Value,
    change: Option<Value>,
    expected: Expected,
}

#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Same,
    /// Ours differs, on purpose.
    Different(&'static str),
}

const MANAGED: &str = "sealedsecrets.bitnami.com/managed";
const PATCH: &str = "sealedsecrets.bitnami.com/patch";
const SKIP: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";
const CLUSTER: &str = "sealedsecrets.bitnami.com/cluster-wide";
const NAMESPACE: &str = "sealedsecrets.bitnami.com/namespace-wide";

struct Maker<'a> {
    namespace: &'a str,
    certificate: &'a Certificate,
    foreign: &'a Certificate,
    all: Vec<Scenario>,
}

impl Maker<'_> {
    fn sealed(&self, name: &str, scope: Scope) -> Value {
        Draft { scope, ..Draft::new(self.namespace, name, vec![("a", b"one"), ("b", &[0, 255])]) }
            .sealed(self.certificate)
    }

    /// A strict object with some changes.
    fn add(&mut self, name: &'static str, change: impl FnOnce(&mut Value)) -> &mut Scenario {
        let mut object = self.sealed(name, Scope::Strict);
        change(&mut object);
        self.put(name, object)
    }

    fn put(&mut self, name: &'static str, object: Value) -> &mut Scenario {
        let expected = Expected::Same;
        self.all.push(Scenario { name, existing: None, object, change: None, expected });
        self.all.last_mut().unwrap()
    }

    fn foreign(&self, name: &str) -> Value {
        Draft::new(self.namespace, name, vec![("x", b"one"), ("y", b"two")]).sealed(self.foreign)
    }
}

fn existing(annotations: Value, rest: Value) -> Option<Value> {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "annotations": annotations, "labels": { "old": "label" } },
        "data": { "a": "b2xk", "kept": "a2VwdA==" },
    });
    if let Some(rest) = rest.as_object() {
        for (key, value) in rest {
            secret[key] = value.clone();
        }
    }
    Some(secret)
}

fn template(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]
}

fn targets(make: &mut Maker<'_>) {
    make.add("plain", |_| {});
    make.add("decorated", |object| {
        template(object)["metadata"]["labels"] = json!({ "app.kubernetes.io/name": "x" });
        template(object)["metadata"]["annotations"] = json!({ "example.com/note": "y z" });
    });
    make.add("typed", |object| template(object)["type"] = json!("example.com/any"));
    make.add("opaque", |object| template(object)["type"] = json!("Opaque"));
    make.add("empty-type", |object| template(object)["type"] = json!(""));
    make.add("immutable", |object| template(object)["immutable"] = json!(true));
    make.add("mutable", |object| template(object)["immutable"] = json!(false));
    make.add("names-ignored", |object| {
        template(object)["metadata"] = json!({ "name": "elsewhere", "namespace": "kube-system" });
    });
    make.add("no-template", |object| drop(object["spec"].as_object_mut().unwrap().remove("template")));
    make.add("null-metadata", |object| template(object)["metadata"] = Value::Null);
    make.add("owned-by-others", |object| {
        template(object)["metadata"]["ownerReferences"] =
            json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y" }]);
    });
    make.add("nothing-sealed", |object| object["spec"]["encryptedData"] = json!({}));
    make.add("plain-entries", |object| {
        template(object)["data"] = json!({ "config": "plain text\n", "a": "loses", "gone": null });
    });
    make.add("null-removes", |object| template(object)["data"] = json!({ "a": null }));
    make.add("skips-owner", |object| {
        template(object)["metadata"]["annotations"] = json!({ SKIP: "true", MANAGED: "true" });
    });
    make.add("skips-owner-alone", |object| {
        template(object)["metadata"]["annotations"] = json!({ SKIP: "true" });
    })
    .expected = Expected::Different("theirs reports failure on the Secret that it has just made");
    make.add("skip-not-true", |object| {
        template(object)["metadata"]["annotations"] = json!({ SKIP: "True" });
    });
    make.add("old-format", |object| {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "labels": { "v": "1" } }, "data": { "k": "dg==" } });
        object["spec"] = json!({ "encryptedData": {}, "data": secret.to_string() });
    });
}

fn scopes(make: &mut Maker<'_>) {
    for (name, sealed, annotations) in [
        ("cluster-wide", Scope::ClusterWide, json!({ CLUSTER: "true" })),
        ("namespace-wide", Scope::NamespaceWide, json!({ NAMESPACE: "true" })),
        ("both-scopes", Scope::ClusterWide, json!({ CLUSTER: "true", NAMESPACE: "true" })),
        ("scope-true-in-capitals", Scope::Strict, json!({ CLUSTER: "True" })),
        ("scope-false", Scope::Strict, json!({ NAMESPACE: "false" })),
        ("claimed-scope", Scope::Strict, json!({ CLUSTER: "true" })),
        ("missing-scope", Scope::NamespaceWide, json!({})),
    ] {
        let mut object = make.sealed(name, sealed);
        object["metadata"]["annotations"] = annotations;
        make.put(name, object);
    }
    make.add("scope-in-template-only", |object| {
        template(object)["metadata"]["annotations"] = json!({ CLUSTER: "true" });
    });
    let mut renamed = make.sealed("another-name", Scope::Strict);
    renamed["metadata"]["name"] = json!("renamed");
    make.put("renamed", renamed);
}

fn bad_values(make: &mut Maker<'_>) {
    let foreign = make.foreign("foreign");
    make.put("foreign", foreign.clone());
    make.add("one-foreign", |object| {
        object["spec"]["encryptedData"]["z"] = foreign["spec"]["encryptedData"]["x"].clone();
    });
    make.add("bad-base64", |object| {
        object["spec"]["encryptedData"]["z"] = json!("%%%");
        object["spec"]["encryptedData"]["y"] = json!("AgA=");
        object["spec"]["encryptedData"]["x"] = json!("");
    });
    make.add("base64-with-lines", |object| {
        let text = object["spec"]["encryptedData"]["a"].as_str().unwrap().to_owned();
        object["spec"]["encryptedData"]["a"] = json!(format!("{}\r\n{}\n", &text[..40], &text[40..]));
    });
    make.add("base64-with-space", |object| {
        let text = object["spec"]["encryptedData"]["a"].as_str().unwrap().to_owned();
        object["spec"]["encryptedData"]["a"] = json!(format!("{} {}", &text[..40], &text[40..]));
    });
    make.add("both-formats", |object| object["spec"]["data"] = object["spec"]["encryptedData"]["a"].clone());
}

fn refused(make: &mut Maker<'_>) {
    make.add("bad-key-name", |object| {
        let value = object["spec"]["encryptedData"]["a"].clone();
        object["spec"]["encryptedData"] = json!({ "a b/../c": value });
    });
    make.add("no-tls", |object| template(object)["type"] = json!("kubernetes.io/tls"));
    make.add("no-docker", |object| template(object)["type"] = json!("kubernetes.io/dockerconfigjson"));
    make.add("bad-label", |object| {
        template(object)["metadata"]["labels"] = json!({ "a b": "c" });
    });
    make.add("token", |object| {
        object["spec"]["encryptedData"] = json!({});
        template(object)["type"] = json!("kubernetes.io/service-account-token");
        template(object)["metadata"]["annotations"] =
            json!({ "kubernetes.io/service-account.name": "default" });
    })
    .expected = Expected::Different("CVE-2026-42876: theirs hands out a token");
    make.add("bootstrap", |object| {
        template(object)["type"] = json!("bootstrap.kubernetes.io/token");
    })
    .expected = Expected::Different("refused before the API server is asked");
}

fn in_the_way(make: &mut Maker<'_>) {
    for (name, annotations) in [
        ("unmanaged", json!({ "example.com/x": "y" })),
        ("managed", json!({ MANAGED: "true", "example.com/x": "y" })),
        ("managed-not-true", json!({ MANAGED: "yes" })),
        ("patch", json!({ PATCH: "true", "example.com/x": "y" })),
        ("patch-managed", json!({ PATCH: "true", MANAGED: "true" })),
    ] {
        make.add(name, |object| template(object)["metadata"]["labels"] = json!({ "new": "label" }))
            .existing = existing(annotations, Value::Null);
    }
    make.add("patch-without-data", |_| {}).existing =
        existing(json!({ PATCH: "true" }), json!({ "data": null }));
    make.add("managed-and-again", |object| {
        template(object)["metadata"]["annotations"] = json!({ MANAGED: "true" });
    })
    .existing = existing(json!({ MANAGED: "true" }), Value::Null);
    make.add("managed-other-type", |object| template(object)["type"] = json!("example.com/new")).existing =
        existing(json!({ MANAGED: "true" }), json!({ "type": "example.com/old" }));
    make.add("managed-immutable", |_| {}).existing =
        existing(json!({ MANAGED: "true" }), json!({ "immutable": true }));
    make.add("managed-same-type", |object| template(object)["type"] = json!("example.com/old")).existing =
        existing(json!({ MANAGED: "true" }), json!({ "type": "example.com/old" }));
}

fn changes(make: &mut Maker<'_>) {
    let other = Draft::new(make.namespace, "changed", vec![("c", b"three")]).sealed(make.certificate);
    make.add("changed", |_| {}).change = Some(json!({ "spec": { "encryptedData": {
        "a": null, "b": null, "c": other["spec"]["encryptedData"]["c"] } } }));
    let other = Draft::new(make.namespace, "frozen", vec![("a", b"three")]).sealed(make.certificate);
    make.add("frozen", |object| template(object)["immutable"] = json!(true)).change =
        Some(json!({ "spec": { "encryptedData": { "a": other["spec"]["encryptedData"]["a"] } } }));
    make.add("new-labels", |object| {
        template(object)["metadata"]["labels"] = json!({ "one": "1" });
    })
    .change =
        Some(json!({ "spec": { "template": { "metadata": { "labels": { "one": null, "two": "2" } } } } }));
    make.add("new-type", |object| template(object)["type"] = json!("example.com/old")).change =
        Some(json!({ "spec": { "template": { "type": "example.com/new" } } }));
    make.add("breaks", |_| {}).change = Some(json!({ "spec": { "encryptedData": { "a": "AgA=" } } }));
}

fn scenarios(namespace: &str, certificate: &Certificate, foreign: &Certificate) -> Vec<Scenario> {
    let mut make = Maker { namespace, certificate, foreign, all: Vec::new() };
    for family in [targets, scopes, bad_values, refused, in_the_way, changes] {
        family(&mut make);
    }
    // The old format is a whole Secret in one value.
    for scenario in &mut make.all {
        if let Some(text) = scenario.object["spec"]["data"].as_str().filter(|text| text.starts_with('{')) {
            let name = scenario.object["metadata"]["name"].as_str().unwrap_or_default();
            let sealed = Draft::new(namespace, name, vec![("x", text.as_bytes())]).sealed(certificate);
            scenario.object["spec"]["data"] = sealed["spec"]["encryptedData"]["x"].clone();
        }
    }
    make.all
}

/// Everything that others see of an object, without times, uids and the namespace's name.
async fn look(home: &Home<'_>, name: &str) -> Result<Value> {
    let secrets = Api::<Secret>::namespaced(home.client.clone(), &home.namespace);
    let secret = secrets.get_opt(name).await?.map(|secret| {
        let mut owners = json!(secret.metadata.owner_references);
        for owner in owners.as_array_mut().into_iter().flatten() {
            owner["uid"] = Value::Null;
        }
        json!({
            "type": secret.type_, "immutable": secret.immutable, "data": secret.data,
            "labels": secret.metadata.labels, "annotations": secret.metadata.annotations,
            "owners": owners, "finalizers": secret.metadata.finalizers,
        })
    });
    let object = sealed_api(&home.client, &home.namespace).get(name).await?;
    let status = object.data.get("status").cloned().unwrap_or_default();
    let events =
        Api::<Event>::namespaced(home.client.clone(), &home.namespace).list(&ListParams::default()).await?;
    let events: BTreeSet<String> = events
        .into_iter()
        .filter(|event| event.involved_object.name.as_deref() == Some(name))
        .map(|event| {
            let source = event.source.and_then(|source| source.component);
            let message = event.message.unwrap_or_default();
            let (start, rest) = message.split_once("unseal: ").unwrap_or(("", &message));
            format!("{:?} {:?} {source:?} {start}{}", event.type_, event.reason, sorted_tags(rest))
        })
        .collect();
    let synced = &status["conditions"][0];
    let look = json!({
        "secret": secret, "observed": status["observedGeneration"], "generation": object.metadata.generation,
        "synced": [synced["type"], synced["status"], sorted_tags(synced["message"].as_str().unwrap_or_default())],
        "reason": synced.get("reason"), "events": events,
    });
    Ok(serde_json::from_str(&look.to_string().replace(&home.namespace, "NAMESPACE"))?)
}

/// Theirs lists data keys and messages in the order of a Go map.
fn sorted_tags(message: &str) -> String {
    let mut lines: Vec<String> = message
        .lines()
        .map(|line| match line.rsplit_once(" (") {
            Some((text, tags)) => {
                let mut tags: Vec<&str> =
                    tags.split(|c: char| ",) ".contains(c)).filter(|tag| !tag.is_empty()).collect();
                tags.sort_unstable();
                format!("{text} ({})", tags.join(", "))
            }
            None => line.to_owned(),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

async fn play(home: &Home<'_>, scenario: &Scenario) -> Result<()> {
    let name = scenario.name;
    if let Some(secret) = &scenario.existing {
        let mut secret = secret.clone();
        secret["metadata"]["name"] = json!(name);
        secret["metadata"]["namespace"] = json!(home.namespace);
        let api = Api::<Secret>::namespaced(home.client.clone(), &home.namespace);
        api.create(&PostParams::default(), &serde_json::from_value(secret)?).await.context(name)?;
    }
    let api = sealed_api(&home.client, &home.namespace);
    create(&api, scenario.object.clone()).await.context(name)?;
    let observed = async |generation: i64| {
        eventually(&format!("{:?} has seen {name}", home.side), PATIENCE, async || {
            let status = home.status(name).await.ok()?;
            (status["observedGeneration"] == generation).then_some(())
        })
        .await
    };
    observed(1).await?;
    if let Some(change) = &scenario.change {
        // Theirs takes its own status for news of the object only once it has seen it.
        event_after(home, name).await?;
        api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.context(name)?;
        observed(2).await?;
    }
    Ok(())
}

async fn event_after(home: &Home<'_>, name: &str) -> Result<()> {
    event(&home.client, &home.namespace, name, "Unsealed").await.map(drop)
}

#[test]
fn the_same_objects_become_the_same_secrets() {
    run(async {
        let plane = control_plane().await?;
        let flags = [
            "--all-namespaces=false",
            "--key-renew-period=0",
            "--kubeclient-qps=1000",
            "--kubeclient-burst=1000",
        ];
        let mut homes = Vec::new();
        for side in Side::BOTH {
            let namespace = format!("judge-{side:?}").to_lowercase();
            let client = Home::prepare(&plane, &namespace).await?;
            put_test_key(&client, &namespace, "interop-2048").await?;
            homes.push(Home::start(side, &plane, &namespace, &flags).await?);
        }
        let certificate = Certificate::from_pem(&testdata("interop-2048.crt"))?;
        let foreign = Certificate::from_pem(&testdata("third-2048.crt"))?;
        let sets: Vec<Vec<Scenario>> =
            homes.iter().map(|home| scenarios(&home.namespace, &certificate, &foreign)).collect();
        let results: Vec<Result<Option<String>>> = futures::stream::iter(0..sets[0].len())
            .map(|number| {
                let (homes, sets) = (&homes, &sets);
                async move {
                    let scenario = &sets[0][number];
                    for (home, set) in homes.iter().zip(sets) {
                        if let Err(problem) = play(home, &set[number]).await {
                            return Ok(Some(format!("{}: {problem:#}", scenario.name)));
                        }
                    }
                    let mut looks = (Value::Null, Value::Null);
                    let same = eventually("both look the same", PATIENCE / 4, async || {
                        let theirs = look(&homes[0], scenario.name).await.ok()?;
                        let ours = look(&homes[1], scenario.name).await.ok()?;
                        let same = theirs == ours;
                        looks = (theirs, ours);
                        (same || scenario.expected != Expected::Same).then_some(same)
                    })
                    .await
                    .unwrap_or(false);
                    Ok(match (same, scenario.expected) {
                        (true, Expected::Same) => None,
                        (false, Expected::Different(why)) => {
                            println!("different on purpose: {}: {why}", scenario.name);
                            None
                        }
                        _ => Some(format!("{}:\ntheirs {}\nours   {}", scenario.name, looks.0, looks.1)),
                    })
                }
            })
            .buffer_unordered(6)
            .collect()
            .await;
        let failures: Vec<String> =
            results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), sets[0].len(), failures.join("\n"));
        println!("{} objects, the same Secrets, conditions and events", sets[0].len());
        Ok(())
    });
}
