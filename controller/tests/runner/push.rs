//! PushSecrets into another namespace of a real API server: at once when the source changes, and taken back.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use sealops_formats::base64;
use sealops_testenv::{ControlPlane, eventually};
use serde_json::{Value, json};

use super::cluster_kinds::api;
use super::harness::*;

/// What the store needs: an account of `shop` that may write Secrets in `remote`.
fn store(plane: &ControlPlane) -> String {
    let ca = base64::encode_public(plane.ca_pem().as_bytes());
    let objects = [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "writer", "namespace": "shop" } }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": "writer", "namespace": "remote" },
            "rules": [
                { "apiGroups": [""], "resources": ["secrets"],
                    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"] },
                { "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"], "verbs": ["create"] } ] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "writer", "namespace": "remote" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer" },
            "subjects": [{ "kind": "ServiceAccount", "name": "writer", "namespace": "shop" }] }),
        json!({ "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
            "metadata": { "name": "remote", "namespace": "shop" },
            "spec": { "provider": { "kubernetes": { "remoteNamespace": "remote",
                "server": { "url": plane.url(), "caBundle": ca }, "auth": { "serviceAccount": { "name": "writer" } } } } } }),
    ];
    objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

fn source(user: &str) -> String {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "source", "namespace": "shop" },
        "data": { "user": base64::encode_public(user.as_bytes()) } })
    .to_string()
}

fn push(name: &str, more: Value) -> String {
    let mut object = json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "refreshInterval": "1h", "secretStoreRefs": [{ "name": "remote" }],
            "selector": { "secret": { "name": "source" } } } });
    for (key, value) in more.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object.to_string()
}

fn entry(key: &str, remote: &str, property: &str) -> Value {
    json!({ "match": { "secretKey": key, "remoteRef": { "remoteKey": remote, "property": property } } })
}

/// Waits until a Secret in `remote` has a value.
async fn pushed(client: &Client, name: &str, key: &str, value: &str) -> Result<()> {
    let secrets = Api::<Secret>::namespaced(client.clone(), "remote");
    eventually(&format!("remote/{name} has {key}={value}"), PATIENCE, async || {
        let found = data(&secrets.get_opt(name).await.ok()??);
        (found.get(key).map(Vec::as_slice) == Some(value.as_bytes())).then_some(())
    })
    .await
}

async fn gone(client: &Client, name: &str) -> Result<()> {
    let secrets = Api::<Secret>::namespaced(client.clone(), "remote");
    eventually(&format!("remote/{name} is gone"), PATIENCE, async || {
        secrets.get_opt(name).await.ok()?.is_none().then_some(())
    })
    .await
}

/// Waits until the condition has a reason, and returns the status.
async fn told(client: &Client, name: &str, reason: &str) -> Result<Value> {
    let pushes = api(client, "PushSecret", Some("shop"));
    eventually(&format!("PushSecret {name} says {reason}"), PATIENCE, async || {
        let status = pushes.get_opt(name).await.ok()??.data.get("status")?.clone();
        (status["conditions"][0]["reason"] == reason).then_some(status)
    })
    .await
}

#[test]
fn a_source_is_pushed_when_it_changes_and_taken_back_when_it_goes() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "remote"] {
            plane.ensure_namespace(namespace).await?;
        }
        plane.apply_manifests(&store(&plane)).await?;
        plane.apply_manifests(&source("amber")).await?;
        let controller = Controller::start(&plane, &[]).await?;
        plane
            .apply_manifests(&push(
                "taken",
                json!({ "deletionPolicy": "Delete", "data": [entry("user", "mine", "name")] }),
            ))
            .await?;
        pushed(&client, "mine", "name", "amber").await?;
        let status = told(&client, "taken", "Synced").await?;
        assert_eq!(
            status["syncedPushSecrets"]["SecretStore/remote"]["mine/name"]["match"],
            json!({ "secretKey": "user", "remoteRef": { "remoteKey": "mine", "property": "name" } })
        );
        let pushes = api(&client, "PushSecret", Some("shop"));
        assert_eq!(
            pushes.get("taken").await?.metadata.finalizers.unwrap(),
            ["pushsecret.externalsecrets.io/finalizer"]
        );

        // Far from the interval.
        plane.apply_manifests(&source("onyx")).await?;
        pushed(&client, "mine", "name", "onyx").await?;

        // An entry that moves leaves nothing behind.
        let patch = json!({ "spec": { "data": [entry("user", "other", "name")] } });
        pushes.patch("taken", &PatchParams::default(), &Patch::Merge(patch)).await?;
        pushed(&client, "other", "name", "onyx").await?;
        gone(&client, "mine").await?;

        // The source goes and comes back.
        Api::<Secret>::namespaced(client.clone(), "shop").delete("source", &DeleteParams::default()).await?;
        gone(&client, "other").await?;
        let status = told(&client, "taken", "SourceDeleted").await?;
        assert_eq!(status.get("syncedPushSecrets"), None);
        plane.apply_manifests(&source("jade")).await?;
        pushed(&client, "other", "name", "jade").await?;

        // The object goes, and what it wrote.
        pushes.delete("taken", &DeleteParams::default()).await?;
        gone(&client, "other").await?;
        eventually("the object is gone", PATIENCE, async || {
            pushes.get_opt("taken").await.ok()?.is_none().then_some(())
        })
        .await?;
        let log = controller.log();
        assert!(!log.contains("amber") && !log.contains("onyx") && !log.contains("jade"), "{log}");
        Ok(())
    });
}

#[test]
fn what_is_in_the_way_of_a_push_is_told() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "remote"] {
            plane.ensure_namespace(namespace).await?;
        }
        plane.apply_manifests(&store(&plane)).await?;
        let _controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(&push("early", json!({ "data": [entry("user", "a", "name")] }))).await?;
        let status = told(&client, "early", "Errored").await?;
        assert_eq!(status["conditions"][0]["message"], "could not get source secret");
        plane.apply_manifests(&source("amber")).await?;
        pushed(&client, "a", "name", "amber").await?;

        for (name, spec, message) in [
            (
                "key",
                json!({ "data": [entry("user", "before", "name"), entry("missing", "b", "name")] }),
                "set secret failed: secret key missing does not exist",
            ),
            (
                "nowhere",
                json!({ "data": [entry("user", "c", "name")], "secretStoreRefs": [{ "name": "none" }] }),
                "could not get SecretStore \"none\", SecretStore.external-secrets.io \"none\" not found",
            ),
            (
                "twice",
                json!({ "data": [entry("user", "d", "name"), entry("user", "d", "name")] }),
                "set secret failed: failed to merge data entries: duplicate remote key \"d\" with property \"name\": \
                 source keys \"user\" and \"user\" both map to the same destination",
            ),
            (
                "interval",
                json!({ "refreshInterval": "1d" }),
                "spec.refreshInterval: this is not a duration such as 1h30m",
            ),
        ] {
            plane.apply_manifests(&push(name, spec)).await?;
            let status = told(&client, name, "Errored").await?;
            assert_eq!(status["conditions"][0]["message"], message, "{name}");
        }
        // What was written before the failure is there, and recorded.
        pushed(&client, "before", "name", "amber").await?;
        let status = told(&client, "key", "Errored").await?;
        assert!(status["syncedPushSecrets"]["SecretStore/remote"].get("before/name").is_some(), "{status}");

        // A template, a whole Secret, all keys by a rule, and values of a generator.
        plane
            .apply_manifests(&push(
                "templated",
                json!({ "template": { "data": { "line": "u={{ .user }}" } }, "data": [entry("line", "t", "name")],
                    "dataTo": [{ "storeRef": { "name": "remote" }, "remoteKey": "bundle", "match": { "regexp": "^(user|line)$" } }] }),
            ))
            .await?;
        pushed(&client, "t", "name", "u=amber").await?;
        pushed(&client, "bundle", "user", "amber").await?;
        let generator = json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Fake",
            "metadata": { "name": "fake", "namespace": "shop" }, "spec": { "data": { "a": "made" } } });
        plane.apply_manifests(&generator.to_string()).await?;
        let selector = json!({ "generatorRef": { "kind": "Fake", "name": "fake" } });
        plane
            .apply_manifests(&push(
                "generated",
                json!({ "selector": selector, "data": [entry("a", "g", "name")] }),
            ))
            .await?;
        pushed(&client, "g", "name", "made").await
    });
}

/// Bytes that are no text arrive as they are, whether a whole Secret is pushed or a part of it.
#[test]
fn a_whole_secret_keeps_its_bytes() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "remote"] {
            plane.ensure_namespace(namespace).await?;
        }
        plane.apply_manifests(&store(&plane)).await?;
        let values =
            [("keystore", bytes(7, 3000)), ("raw", vec![0xff, 0, 0xfe, b'"']), ("text", b"amber".to_vec())];
        let encoded: serde_json::Map<String, Value> = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(base64::encode_public(value))))
            .collect();
        let source = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "source", "namespace": "shop" },
            "data": encoded });
        plane.apply_manifests(&source.to_string()).await?;
        let _controller = Controller::start(&plane, &[]).await?;
        let whole = json!({ "data": [{ "match": { "remoteRef": { "remoteKey": "all" } } }] });
        plane.apply_manifests(&push("whole", whole)).await?;
        let part = json!({ "dataTo": [{ "storeRef": { "name": "remote" }, "remoteKey": "part",
            "match": { "regexp": "^(raw|text)$" } }] });
        plane.apply_manifests(&push("part", part)).await?;
        for name in ["whole", "part"] {
            told(&client, name, "Synced").await?;
        }
        let secrets = Api::<Secret>::namespaced(client.clone(), "remote");
        let all: std::collections::BTreeMap<String, Vec<u8>> =
            values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        assert!(data(&secrets.get("all").await?) == all);
        let mut part = all;
        part.remove("keystore");
        assert!(data(&secrets.get("part").await?) == part);
        Ok(())
    });
}
