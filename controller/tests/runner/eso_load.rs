//! What many ExternalSecrets cost the API server, the store and us: P11 and P12 as requests and bytes.
//! `SEALOPS_TEST_OBJECTS=10000` takes another number of objects.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use std::collections::BTreeMap;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use sealops_crds::ExternalSecret;
use sealops_testenv::{AuditMark, ControlPlane, eventually};
use serde_json::json;

use super::eso_calls::object;
use super::eso_stores::{NAMESPACE, api, apply};
use super::harness::*;
use super::store_server::StoreServer;

const OBJECTS: usize = 500;
/// Objects that share a key.
const SHARING: usize = 10;
const VALUE: &str = "amber";

/// Requests of the controller about objects of the namespace, watches apart, by verb and resource.
fn requests(plane: &ControlPlane, mark: AuditMark) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for entry in plane.audit().since(mark)? {
        if entry.user == USER && entry.namespace == NAMESPACE && entry.verb != "watch" {
            let what = format!("{} {} {}", entry.verb, entry.resource, entry.subresource);
            *counts.entry(what.trim_end().to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}

fn of_verb(counts: &BTreeMap<String, usize>, verb: &str) -> usize {
    counts.iter().filter(|(what, _)| what.starts_with(verb)).map(|(_, count)| count).sum()
}

async fn value_of(secrets: &Api<Secret>, name: &str) -> Option<Vec<u8>> {
    secrets.get_opt(name).await.ok()??.data?.get("x").map(|value| value.0.clone())
}

#[test]
fn many_objects_cost_no_more_than_their_writes_and_a_restart_nothing() {
    run(async {
        let objects = std::env::var("SEALOPS_TEST_OBJECTS").map_or(OBJECTS, |text| text.parse().unwrap());
        let keys = objects / SHARING;
        let store = StoreServer::start(VALUE)?;
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let definition = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
            "metadata": { "name": "web", "namespace": NAMESPACE },
            "spec": { "provider": { "webhook": { "url": format!("{}/{{{{ .remoteRef.key }}}}", store.url()),
                "result": { "jsonPath": "$.v" } } } } });
        apply(&plane, &[definition]).await?;
        let external = api(&client, NAMESPACE);
        let creating = (0..objects).map(|number| {
            let remote = json!({ "key": format!("k{}", number % keys) });
            let (external, object) = (external.clone(), object(&format!("app-{number}"), "web", &remote));
            async move { create(&external, object).await.map(drop) }
        });
        futures::stream::iter(creating).buffer_unordered(16).try_collect::<()>().await?;

        let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
        let mark = plane.audit().mark()?;
        let mut controller = Controller::start(&plane, &[]).await?;
        eventually("all Secrets are there", PATIENCE * 40, async || {
            let list = secrets.list_metadata(&ListParams::default()).await.ok()?;
            (list.items.len() == objects).then_some(())
        })
        .await?;
        controller.wait_idle().await?;
        // Events are written one after the other and may still be under way.
        let first = requests(&plane, mark)?;
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        let calls = store.total();
        println!(
            "{objects} objects over {keys} keys: {calls} calls of the store; {first:?}; {:.1} MiB at most (dev build)",
            mib(controller.process.peak_memory_bytes()?)
        );
        assert_eq!(first["create secrets"], objects);
        assert_eq!(first["patch externalsecrets"], objects, "finalizers");
        assert_eq!(first["patch externalsecrets status"], objects);
        assert!((keys..=keys * 11 / 10).contains(&calls), "{calls} calls");
        assert!(of_verb(&first, "get ") <= objects / 10, "what is at hand is not asked for: {first:?}");
        let list = external.list(&ListParams::default()).await?;
        let ready = list.items.iter().filter(|object| {
            object.data.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
        });
        assert_eq!(ready.count(), objects);

        assert!(controller.process.terminate(PATIENCE)?.success());
        let mark = plane.audit().mark()?;
        let controller = Controller::start(&plane, &[]).await?;
        let looked = "sealops_reconcile_total{kind=\"ExternalSecret\",result=\"unchanged\"}";
        eventually("everything was looked at", PATIENCE * 4, async || {
            controller.metric(looked).ok().filter(|looked| *looked >= objects as f64)
        })
        .await?;
        controller.wait_idle().await?;
        let warm = requests(&plane, mark)?;
        println!(
            "restart: {} calls of the store; {warm:?}; {:.1} MiB at most (dev build)",
            store.total() - calls,
            mib(controller.process.peak_memory_bytes()?)
        );
        assert_eq!(store.total(), calls, "a restart asks the store for nothing");
        for verb in ["create", "update", "patch", "delete"] {
            assert_eq!(of_verb(&warm, verb), 0, "{warm:?}");
        }
        assert!(of_verb(&warm, "get ") <= objects / 10, "{warm:?}");

        // What is known without asking is still watched.
        let spoilt = json!({ "data": { "x": "c3BvaWx0" } });
        secrets.patch("app-0", &PatchParams::default(), &Patch::Merge(&spoilt)).await?;
        secrets.delete("app-1", &DeleteParams::default()).await?;
        for name in ["app-0", "app-1"] {
            let key = name.trim_start_matches("app-");
            let right = format!("{VALUE}-k{key}");
            eventually("a target is repaired", PATIENCE, async || {
                (value_of(&secrets, name).await? == right.as_bytes()).then_some(())
            })
            .await?;
        }
        Ok(())
    });
}
