//! A known value at five kinds of stores, on good and bad paths, with the most talkative log: it shows up in target
//! Secrets only.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use anyhow::ensure;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use sealops_crds::{ClusterSecretStore, ExternalSecret, SecretStore};
use sealops_formats::base64;
use sealops_testenv::{eventually, http_get};
use serde_json::{Value, json};

use super::eso_stores::{NAMESPACE, Providers, REMOTE, STORES, api, apply, ground, reference};
use super::harness::*;

const CANARY: &str = "CANARY-5e0c-provider-value-that-must-not-show";
/// Objects of a store that have to fail.
const BAD: [&str; 7] = ["absent", "not-json", "no-property", "decode", "template", "refused", "rewrite"];

fn assert_clean(place: &str, text: &str) {
    let encoded = base64::encode_public(CANARY.as_bytes());
    for form in [CANARY, &encoded[..encoded.len() - 4]] {
        assert!(!text.contains(form), "the canary shows up in {place}");
    }
    assert!(!text.to_lowercase().contains(&CANARY.to_lowercase()), "the canary shows up in {place}");
}

fn object(store: &str, case: &str) -> Value {
    let entry = |remote: Value| json!([{ "secretKey": "a", "remoteRef": remote }]);
    let mut remote = reference(store, "text");
    let mut spec = json!({ "refreshInterval": "1h", "secretStoreRef": { "name": store } });
    match case {
        "absent" => spec["data"] = entry(json!({ "key": "absent" })),
        // The value is no JSON; where it has entries, it is the one below `v`.
        "not-json" if matches!(store, "kubernetes" | "vault") => {
            spec["data"] = entry(json!({ "key": "text", "property": "v.deeper" }));
        }
        "not-json" => spec["dataFrom"] = json!([{ "extract": { "key": "text" } }]),
        "no-property" => spec["data"] = entry(json!({ "key": "json", "property": "nowhere" })),
        "decode" => {
            remote["decodingStrategy"] = json!("Base64");
            spec["data"] = entry(remote);
        }
        "template" => {
            spec["data"] = entry(remote);
            spec["target"] =
                json!({ "template": { "data": { "x": "{{ .a | fromJson | toYaml }}{{ fail .a }}" } } });
        }
        // The API server wants another entry for this type, and says so about the data.
        "refused" => {
            spec["data"] = json!([{ "secretKey": ".dockerconfigjson", "remoteRef": remote }]);
            spec["target"] = json!({ "template": { "type": "kubernetes.io/dockerconfigjson" } });
        }
        "rewrite" => {
            spec["dataFrom"] = json!([{ "extract": { "key": "json" },
                "rewrite": [{ "transform": { "template": "{{ fail .value }}" } }] }]);
        }
        _ => spec["data"] = entry(remote),
    }
    json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": ExternalSecret::KIND,
        "metadata": { "name": format!("{store}-{case}"), "namespace": NAMESPACE }, "spec": spec })
}

/// A webhook whose errors are full of the value.
fn talkative(providers: &Providers) -> Vec<Value> {
    let mut objects = Vec::new();
    for (path, status, body) in [
        ("e500", 500, format!("{{\"error\": \"{CANARY}\"}}")),
        ("e403", 403, CANARY.to_owned()),
        ("e429", 429, CANARY.to_owned()),
        ("garbage", 200, format!("{CANARY} {{")),
        ("shape", 200, json!({ "v": { "deep": [CANARY] } }).to_string()),
        ("other", 200, json!({ CANARY: CANARY }).to_string()),
    ] {
        providers.webhook.route("w", &json!({ "path": format!("/{path}"), "status": status, "body": body }));
        let mut object = object("webhook", "good");
        object["metadata"]["name"] = json!(format!("webhook-{path}"));
        object["spec"]["data"][0]["remoteRef"]["key"] = json!(path);
        objects.push(object);
    }
    objects
}

fn ready(object: &DynamicObject) -> Option<&str> {
    object.data.pointer("/status/conditions/0/status")?.as_str()
}

#[test]
fn a_canary_at_every_store_shows_up_in_targets_only() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        let providers = Providers::start(CANARY).await?;
        for namespace in [NAMESPACE, REMOTE] {
            plane.ensure_namespace(namespace).await?;
        }
        apply(&plane, &ground(CANARY)).await?;
        apply(&plane, &providers.stores(&plane, CANARY)).await?;
        let variables = providers.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut controller = Controller::start_with(&plane, &["--log-level=DEBUG-8"], &variables).await?;
        let mut objects: Vec<Value> = STORES
            .iter()
            .flat_map(|store| std::iter::once("good").chain(BAD).map(|case| object(store, case)))
            .collect();
        objects.extend(talkative(&providers));
        apply(&plane, &objects).await?;
        let external = api(&client, NAMESPACE);
        eventually("every object has a condition", PATIENCE * 3, async || {
            let list = external.list(&ListParams::default()).await.ok()?;
            list.items.iter().all(|object| ready(object).is_some()).then_some(())
        })
        .await?;
        for store in STORES {
            let good = secret(&client, NAMESPACE, &format!("{store}-good")).await?;
            ensure!(data(&good)["a"] == CANARY.as_bytes(), "{store} has the value");
        }
        let list = external.list(&ListParams::default()).await?.items;
        let failed = list.iter().filter(|object| ready(object) == Some("False")).count();
        println!("{} objects, {failed} of them fail", list.len());
        assert!(failed >= STORES.len() * (BAD.len() - 2), "{failed} fail");
        assert_clean("ExternalSecrets", &serde_json::to_string(&list)?);
        for (kind, plural) in
            [(SecretStore::KIND, SecretStore::PLURAL), (ClusterSecretStore::KIND, ClusterSecretStore::PLURAL)]
        {
            let kind = GroupVersionKind::gvk(SecretStore::GROUP, SecretStore::VERSION, kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, plural);
            let stores = Api::<DynamicObject>::all_with(client.clone(), &resource);
            for store in stores.list(&ListParams::default()).await? {
                // The fake one has the value in its spec.
                assert_clean("a store's status", &store.data["status"].to_string());
            }
        }
        let events = Api::<Event>::all(client.clone()).list(&ListParams::default()).await?.items;
        assert!(events.len() > failed / 2, "{} events", events.len());
        assert_clean("events", &serde_json::to_string(&events)?);
        let maps = Api::<ConfigMap>::all(client.clone()).list(&ListParams::default()).await?.items;
        assert_clean("config maps", &serde_json::to_string(&maps)?);
        assert_clean("metrics", &http_get(local(controller.metrics_port), "/metrics", &[])?.body);
        let command = std::fs::read(format!("/proc/{}/cmdline", controller.process.pid()))?;
        assert_clean("the process arguments", &String::from_utf8_lossy(&command));
        assert!(controller.process.terminate(PATIENCE)?.success());
        let log = controller.log();
        assert!(log.contains("not synchronised"), "the log says why");
        assert_clean("the log", &log);
        Ok(())
    });
}
