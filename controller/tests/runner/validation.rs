//! `deploy/kustomize/base/validation.yaml`: what upstream's admission webhook refuses, the API server refuses by itself.

use anyhow::Result;
use kube::api::PostParams;
use sealops_testenv::eventually;
use serde_json::{Value, json};

use super::cluster_kinds::api;
use super::harness::*;

fn external_secret(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

/// What makes an object wrong, and a word of the answer.
fn wrong() -> Vec<(Value, &'static str)> {
    let data = json!([{ "secretKey": "a", "remoteRef": { "key": "k" } }]);
    let target = |target: Value| json!({ "data": data, "target": target });
    let generator = json!({ "generatorRef": { "kind": "UUID", "name": "u" } });
    let mut wrong = vec![
        (json!({}), "either data or dataFrom"),
        (
            target(json!({ "deletionPolicy": "Merge", "creationPolicy": "None" })),
            "There is no Secret to merge with",
        ),
        (
            json!({ "dataFrom": [{ "extract": { "key": "k" }, "sourceRef": generator }] }),
            "exactly one of extract",
        ),
        (json!({ "dataFrom": [{ "extract": { "key": "k" }, "find": {} }] }), "exactly one of extract"),
        (json!({ "dataFrom": [{}] }), "exactly one of extract"),
        (json!({ "data": [data[0], data[0]] }), "occurs twice"),
        (target(json!({ "template": { "type": "bootstrap.kubernetes.io/token" } })), "bootstrap tokens"),
        (
            target(json!({ "template": { "type": "kubernetes.io/service-account-token",
                "metadata": { "annotations": { "kubernetes.io/service-account.name": "x" } } } })),
            "service account of a token",
        ),
        (
            target(json!({ "template": { "type": "kubernetes.io/service-account-token",
                "templateFrom": [{ "target": "Annotations", "literal": "a: b" }] } })),
            "service account of a token",
        ),
        (
            target(
                json!({ "template": { "templateFrom": [{ "target": "metadata.ownerReferences", "literal": "x" }] } }),
            ),
            "names something else",
        ),
    ];
    for policy in ["Merge", "None", "CreateOrMerge"] {
        wrong.push((
            target(json!({ "deletionPolicy": "Delete", "creationPolicy": policy })),
            "doesn't own the secret",
        ));
    }
    wrong
}

fn right() -> Vec<Value> {
    let data = json!([{ "secretKey": "a", "remoteRef": { "key": "k" } }]);
    vec![
        json!({ "data": data }),
        json!({ "data": [data[0], data[0]], "target": { "deletionPolicy": "Delete" } }),
        json!({ "data": data, "target": { "deletionPolicy": "Delete", "creationPolicy": "Orphan" } }),
        json!({ "dataFrom": [{ "extract": { "key": "k" }, "sourceRef": { "storeRef": { "name": "s" } } },
            { "find": { "name": { "regexp": "x" } } }, { "sourceRef": { "generatorRef": { "kind": "UUID", "name": "u" } } }] }),
        json!({ "data": data, "target": { "template": { "type": "kubernetes.io/service-account-token" } } }),
        json!({ "data": data, "target": { "template": { "templateFrom": [{ "target": "labels", "literal": "a: b" }] } } }),
        json!({ "data": data, "target": { "manifest": { "apiVersion": "v1", "kind": "ConfigMap" },
            "template": { "templateFrom": [{ "target": "spec.x", "literal": "a" }] } } }),
    ]
}

#[test]
fn the_policy_refuses_what_upstreams_webhook_refuses() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let client = plane.client()?;
        let api = api(&client, "ExternalSecret", Some("shop"));
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/kustomize/base/validation.yaml"
        ))?;
        plane.apply_manifests(&text).await?;
        let dry = PostParams { dry_run: true, field_manager: None };
        let ask = async |spec: Value| -> Result<Option<String>> {
            match api.create(&dry, &serde_json::from_value(external_secret("x", spec))?).await {
                Ok(_) => Ok(None),
                Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
                Err(error) => Err(error.into()),
            }
        };
        eventually("the policy is in force", PATIENCE, async || ask(json!({})).await.ok()?).await?;
        for (spec, word) in wrong() {
            let said = ask(spec.clone()).await?.unwrap_or_default();
            assert!(said.contains(word) && said.contains("externalsecret-validate"), "{spec}: {said}");
        }
        for spec in right() {
            assert_eq!(ask(spec.clone()).await?, None, "{spec}");
        }
        Ok(())
    });
}
