//! Providers and the API server fail: Secrets stay, conditions tell, calls are few, and it recovers by itself.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use sealops_crds::ExternalSecret;
use sealops_testenv::{ControlPlane, Fault, FaultProxy, OpenBaoServer, eventually};
use serde_json::{Value, json};

use super::eso_calls::{LOGIN, apply_store, object, put, with_role};
use super::eso_stores::{NAMESPACE, api, apply};
use super::harness::*;
use super::store_server::StoreServer;

pub const OBJECTS: usize = 10;
/// How long calls are counted while a store fails.
const WINDOW: Duration = Duration::from_secs(5);
/// An object alone asks after 0.2, 0.4, 0.8, … s: six times in the window, and once for the next.
const CALLS_OF_ONE: usize = 7;
/// The next attempt is at most as far away as the outage was long, plus one step of the breaker, doubled for the load.
pub const RECOVERY: Duration = Duration::from_secs(90);
const SHORT_LEASE: [&str; 3] = [
    "--leader-elect-lease-duration=4s",
    "--leader-elect-renew-deadline=2500ms",
    "--leader-elect-retry-period=500ms",
];

pub async fn versions(client: &Client) -> Result<BTreeMap<String, String>> {
    let list = Api::<Secret>::namespaced(client.clone(), NAMESPACE).list(&ListParams::default()).await?;
    Ok(list
        .into_iter()
        .map(|secret| {
            let meta = secret.metadata;
            (meta.name.unwrap_or_default(), meta.resource_version.unwrap_or_default())
        })
        .collect())
}

/// Asks for a refresh of every object.
pub async fn force(client: &Client, objects: usize, mark: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "force-sync": mark } } }));
    for number in 0..objects {
        api(client, NAMESPACE).patch(&format!("app-{number}"), &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

/// Waits until every object has a condition, and returns reasons and messages, each once.
pub async fn all(client: &Client, objects: usize, status: &str) -> Result<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    eventually(&format!("every object is Ready={status}"), PATIENCE * 3, async || {
        let list = api(client, NAMESPACE).list(&ListParams::default()).await.ok()?;
        let ready = list.items.iter().map(|object| {
            let condition = object.data.pointer("/status/conditions/0")?;
            (condition["status"] == status).then(|| (text(&condition["reason"]), text(&condition["message"])))
        });
        let mut ready = ready.collect::<Option<Vec<_>>>().filter(|ready| ready.len() == objects)?;
        ready.sort();
        ready.dedup();
        Some(ready)
    })
    .await
}

fn failed() -> Vec<(String, String)> {
    vec![("SecretSyncedError".to_owned(), "could not get secret data from provider".to_owned())]
}

/// Lets the store of `OBJECTS` objects fail in each way in turn: every object says so, few calls are made, no Secret changes,
/// and all are in sync again soon after.
pub async fn outlasts(
    client: &Client,
    controller: &Controller,
    proxy: &FaultProxy,
    faults: impl IntoIterator<Item = (&str, Fault)>,
) -> Result<()> {
    for (name, fault) in faults {
        controller.wait_idle().await?;
        let before = versions(client).await?;
        proxy.set(fault);
        proxy.reset_calls();
        let began = Instant::now();
        force(client, OBJECTS, &format!("{}-1", name.replace(' ', "-"))).await?;
        assert_eq!(all(client, OBJECTS, "False").await?, failed(), "{name}");
        let early = proxy.calls().len();
        tokio::time::sleep(WINDOW).await;
        let (calls, seconds) = (proxy.calls().len(), began.elapsed().as_secs_f64());
        assert!(calls - early <= OBJECTS * CALLS_OF_ONE, "{name}: {} calls in the window", calls - early);
        assert!((calls as f64) <= OBJECTS as f64 * (seconds * 2.0 + 4.0), "{name}: {calls} calls");
        assert_eq!(versions(client).await?, before, "{name}: Secrets changed");
        proxy.clear();
        let healed = Instant::now();
        all(client, OBJECTS, "True").await.with_context(|| format!("after {name}\n{}", controller.log()))?;
        let recovery = healed.elapsed();
        println!("{name}: {calls} calls in {seconds:.1} s, recovered in {:.1} s", recovery.as_secs_f64());
        assert!(recovery < sealops_testenv::stretched(RECOVERY), "{name}: {recovery:?}");
    }
    Ok(())
}

#[test]
fn a_webhook_that_fails_in_every_way_changes_no_secret() {
    let server = StoreServer::start("amber").unwrap();
    // It holds a runtime of its own, which has to end outside of this one.
    let proxy = FaultProxy::http(local(server.port)).unwrap();
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let controller = Controller::start(&plane, &[]).await?;
        let store = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
            "metadata": { "name": "web", "namespace": NAMESPACE },
            "spec": { "provider": { "webhook": { "url": format!("{}/{{{{ .remoteRef.key }}}}", proxy.url()),
                "timeout": "1s", "result": { "jsonPath": "$.v" } } } } });
        apply(&plane, &[store]).await?;
        let objects: Vec<Value> = (0..OBJECTS)
            .map(|number| object(&format!("app-{number}"), "web", &json!({ "key": format!("k{number}") })))
            .collect();
        apply(&plane, &objects).await?;
        all(&client, OBJECTS, "True").await.with_context(|| controller.log())?;
        let faults = [
            ("down", Fault::Reset),
            ("slow", Fault::Delay(Duration::from_secs(5))),
            ("silent", Fault::HalfOpen),
            ("throttling", Fault::too_many(2)),
            ("failing", Fault::answer(500, &[], "garbage")),
            ("garbage", Fault::answer(200, &[], "\u{1}garbage {")),
            ("cut", Fault::TruncatedBody),
            ("oversized", Fault::oversized(64 << 20)),
        ];
        outlasts(&client, &controller, &proxy, faults).await?;
        let data_now = data(&secret(&client, NAMESPACE, "app-3").await?);
        assert_eq!(data_now["x"], b"amber-k3");
        Ok(())
    });
}

async fn value(client: &Client, wanted: &str) -> Result<()> {
    eventually(&format!("the Secret holds {wanted}"), PATIENCE * 2, async || {
        let secret = secret(client, NAMESPACE, "app-0").await.ok()?;
        (data(&secret)["x"] == wanted.as_bytes()).then_some(())
    })
    .await
}

async fn one_at_openbao(server: &OpenBaoServer) -> Result<(ControlPlane, Client, Controller)> {
    put(server, "k", "one").await?;
    let plane = control_plane().await?;
    let client = plane.client()?;
    plane.ensure_namespace(NAMESPACE).await?;
    let controller = Controller::start(&plane, &[]).await?;
    apply_store(&plane, &server.url()).await?;
    apply(&plane, &[object("app-0", "bao", &json!({ "key": "k", "property": "v" }))]).await?;
    value(&client, "one").await?;
    Ok((plane, client, controller))
}

#[test]
fn a_revoked_token_is_replaced_and_a_sealed_server_is_waited_for() {
    run(async {
        let mut server = with_role("1h")?;
        let (_plane, client, _controller) = one_at_openbao(&server).await?;
        assert_eq!(server.count(LOGIN)?, 1);

        server.put("sys/leases/revoke-prefix/auth/approle", &json!({}))?;
        put(&server, "k", "two").await?;
        force(&client, 1, "revoked").await?;
        value(&client, "two").await?;
        all(&client, 1, "True").await?;
        assert_eq!(server.count(LOGIN)?, 2, "one login replaces the revoked token");

        let before = versions(&client).await?;
        server.seal()?;
        force(&client, 1, "sealed").await?;
        assert_eq!(all(&client, 1, "False").await?, failed());
        assert_eq!(versions(&client).await?, before, "a sealed server changes no Secret");
        server.unseal()?;
        put(&server, "k", "three").await?;
        let healed = Instant::now();
        value(&client, "three").await?;
        all(&client, 1, "True").await?;
        println!(
            "unsealed: recovered in {:.1} s, {} logins",
            healed.elapsed().as_secs_f64(),
            server.count(LOGIN)?
        );
        assert!(healed.elapsed() < sealops_testenv::stretched(RECOVERY));
        Ok(())
    });
}

#[test]
fn an_expired_token_is_renewed_or_replaced() {
    run(async {
        let server = with_role("3s")?;
        let (_plane, client, _controller) = one_at_openbao(&server).await?;
        for (number, wanted) in ["two", "three"].into_iter().enumerate() {
            // Longer than a token lives.
            tokio::time::sleep(Duration::from_secs(4)).await;
            put(&server, "k", wanted).await?;
            force(&client, 1, &number.to_string()).await?;
            value(&client, wanted).await?;
            all(&client, 1, "True").await?;
        }
        let logins = server.count(LOGIN)?;
        println!("tokens of 3 s: {logins} logins");
        assert!(logins >= 2);
        Ok(())
    });
}

#[test]
fn an_api_server_that_restarts_is_found_again() {
    run(async {
        let server = StoreServer::start("amber")?;
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let mut controller = Controller::start(&plane, &SHORT_LEASE).await?;
        webhook_objects(&plane, &server, OBJECTS).await?;
        all(&client, OBJECTS, "True").await?;
        controller.wait_idle().await?;
        let before = versions(&client).await?;
        plane.kill_apiserver()?;
        plane.restart_apiserver().await?;
        let client = plane.client()?;
        let asked = server.total();
        force(&client, OBJECTS, "again").await?;
        eventually("every object asks the store again", PATIENCE * 2, async || {
            (server.total() >= asked + OBJECTS).then_some(())
        })
        .await?;
        all(&client, OBJECTS, "True").await?;
        controller.wait_idle().await?;
        assert!(controller.process.exited()?.is_none());
        let after = versions(&client).await?;
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        assert_eq!(data(&secret(&client, NAMESPACE, "app-3").await?)["x"], b"amber-k3");
        Ok(())
    });
}

async fn webhook_objects(plane: &ControlPlane, server: &StoreServer, objects: usize) -> Result<()> {
    let store = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
        "metadata": { "name": "web", "namespace": NAMESPACE },
        "spec": { "provider": { "webhook": { "url": format!("{}/{{{{ .remoteRef.key }}}}", server.url()),
            "result": { "jsonPath": "$.v" } } } } });
    apply(plane, &[store]).await?;
    let objects: Vec<Value> = (0..objects)
        .map(|number| object(&format!("app-{number}"), "web", &json!({ "key": format!("k{number}") })))
        .collect();
    apply(plane, &objects).await
}

#[test]
fn killed_in_the_middle_it_makes_no_secret_twice() {
    const MANY: usize = 200;
    const WORKERS: usize = 16;
    run(async {
        let server = StoreServer::start("amber")?;
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        webhook_objects(&plane, &server, MANY).await?;
        let mark = plane.audit().mark()?;
        let mut controller = Controller::spawn(
            &plane.kubeconfig_for(USER, &["system:masters"])?,
            &[&SHORT_LEASE[..], &["--kubeclient-qps=50"]].concat(),
        )?;
        eventually("some Secrets are made", PATIENCE, async || {
            (versions(&client).await.ok()?.len() >= MANY / 10).then_some(())
        })
        .await?;
        controller.process.kill()?;
        let made = versions(&client).await?;
        assert!(made.len() < MANY, "it was killed too late: {}", made.len());
        let again = Controller::start(&plane, &SHORT_LEASE).await?;
        all(&client, MANY, "True").await?;
        again.wait_idle().await?;
        let now = versions(&client).await?;
        assert!(made.iter().all(|(name, version)| now.get(name) == Some(version)), "one was written again");
        let writes = plane.audit().count(mark, |entry| {
            our_write(entry, "secrets") && entry.namespace == NAMESPACE && entry.code < 400
        })?;
        println!(
            "killed with {} of {MANY} Secrets made; {writes} writes, {} calls",
            made.len(),
            server.total()
        );
        // What was under way when it was killed may be stored and yet logged as failed: the client was gone.
        assert!((MANY - WORKERS..=MANY).contains(&writes), "{writes} writes");
        assert!(server.total() <= MANY + MANY / 2, "{} calls", server.total());
        Ok(())
    });
}
