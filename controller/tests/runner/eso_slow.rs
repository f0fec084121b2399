//! A store that does not answer holds nobody up but its own users, and not the end of the process either.
#![allow(clippy::print_stdout, reason = "the run shows what it measured")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::Client;
use kube::api::{Patch, PatchParams};
use sealops_crds::ExternalSecret;
use sealops_testenv::{ControlPlane, Fault, FaultProxy, eventually};
use serde_json::{Value, json};

use super::eso_calls::{apply_store, object, put, with_role};
use super::eso_faults::RECOVERY;
use super::eso_stores::{NAMESPACE, api, apply};
use super::harness::*;
use super::store_server::StoreServer;

const OBJECTS: usize = 20;
/// Fewer than objects of one store: they could all wait for it.
const FEW_WORKERS: [&str; 1] = ["--workers=4"];
/// Sooner than any call to the silent store ends: its requests have 30 s, its logins 20.
const PROMPT: Duration = Duration::from_secs(18);
/// The drain takes 20 s at most; Kubernetes kills after 30.
const GRACE: Duration = Duration::from_secs(28);

fn webhook(server: &StoreServer) -> Value {
    json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
        "metadata": { "name": "web", "namespace": NAMESPACE },
        "spec": { "provider": { "webhook": { "url": format!("{}/{{{{ .remoteRef.key }}}}", server.url()),
            "result": { "jsonPath": "$.v" } } } } })
}

fn objects(prefix: &str, store: &str) -> Vec<Value> {
    let remote = |number: usize| match store {
        "bao" => json!({ "key": format!("k{number}"), "property": "v" }),
        _ => json!({ "key": format!("k{number}") }),
    };
    (0..OBJECTS).map(|number| object(&format!("{prefix}-{number}"), store, &remote(number))).collect()
}

async fn force(client: &Client, prefix: &str, mark: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "force-sync": mark } } }));
    for number in 0..OBJECTS {
        api(client, NAMESPACE).patch(&format!("{prefix}-{number}"), &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

/// Waits until all objects of a prefix are ready.
async fn ready(client: &Client, prefix: &str) -> Result<()> {
    eventually(&format!("the objects {prefix} are ready"), PATIENCE * 4, async || {
        let list = api(client, NAMESPACE).list(&Default::default()).await.ok()?;
        let ready = list.items.iter().filter(|object| {
            object.metadata.name.as_deref().is_some_and(|name| name.starts_with(prefix))
                && object.data.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
        });
        (ready.count() == OBJECTS).then_some(())
    })
    .await
}

async fn ground() -> Result<(ControlPlane, Client)> {
    let plane = control_plane().await?;
    let client = plane.client()?;
    plane.ensure_namespace(NAMESPACE).await?;
    Ok((plane, client))
}

#[test]
fn a_vault_that_is_stopped_holds_up_its_own_users_only() {
    run(async {
        let mut bao = with_role("1h")?;
        for number in 0..OBJECTS {
            put(&bao, &format!("k{number}"), "amber").await?;
        }
        let server = StoreServer::start("amber")?;
        let (plane, client) = ground().await?;
        let controller = Controller::start(&plane, &FEW_WORKERS).await?;
        apply_store(&plane, &bao.url()).await?;
        apply(&plane, &[webhook(&server)]).await?;
        apply(&plane, &[objects("bao", "bao"), objects("web", "web")].concat()).await?;
        ready(&client, "bao").await.with_context(|| controller.log())?;
        ready(&client, "web").await?;
        controller.wait_idle().await?;

        bao.process().pause()?;
        force(&client, "bao", "stopped").await?;
        let (asked, began) = (server.total(), Instant::now());
        force(&client, "web", "stopped").await?;
        eventually("the other store is asked for all of its users", PATIENCE * 2, async || {
            (server.total() >= asked + OBJECTS).then_some(())
        })
        .await?;
        let took = began.elapsed();
        println!(
            "20 users of a stopped store, 4 workers: the other 20 are done in {:.1} s",
            took.as_secs_f64()
        );
        assert!(took < sealops_testenv::stretched(PROMPT), "they were held up for {took:?}");
        bao.process().resume()?;
        put(&bao, "k3", "jade").await?;
        let healed = Instant::now();
        force(&client, "bao", "resumed").await?;
        eventually("the new value arrives", PATIENCE * 4, async || {
            let secret = secret(&client, NAMESPACE, "bao-3").await.ok()?;
            (data(&secret)["x"] == b"jade").then_some(())
        })
        .await?;
        ready(&client, "bao").await?;
        assert!(healed.elapsed() < sealops_testenv::stretched(RECOVERY), "{:?}", healed.elapsed());
        Ok(())
    });
}

#[test]
fn a_login_that_is_never_answered_holds_up_nobody_and_not_the_end() {
    // STS takes requests and says nothing. The proxy holds a runtime of its own.
    let silent = FaultProxy::http(local(1)).unwrap();
    silent.set(Fault::HalfOpen);
    let url = silent.url();
    run(async {
        let server = StoreServer::start("amber")?;
        let (plane, client) = ground().await?;
        let variables = [("AWS_STS_ENDPOINT", url.as_str()), ("AWS_SECRETSMANAGER_ENDPOINT", url.as_str())];
        let mut controller = Controller::start_with(&plane, &FEW_WORKERS, &variables).await?;
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "app", "namespace": NAMESPACE,
                "annotations": { "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/app" } } });
        let store = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
            "metadata": { "name": "aws", "namespace": NAMESPACE },
            "spec": { "provider": { "aws": { "service": "SecretsManager", "region": "eu-west-1",
                "auth": { "jwt": { "serviceAccountRef": { "name": "app" } } } } } } });
        apply(&plane, &[account, store]).await?;
        apply(&plane, &objects("aws", "aws")).await?;
        eventually("somebody waits for STS", PATIENCE, async || (silent.count("") > 0).then_some(())).await?;
        let began = Instant::now();
        apply(&plane, &[webhook(&server)]).await?;
        apply(&plane, &objects("web", "web")).await?;
        ready(&client, "web").await.with_context(|| controller.log())?;
        let (took, logins) = (began.elapsed(), silent.count(""));
        println!(
            "20 users of a silent STS, 4 workers: the other 20 in {:.1} s; {logins} requests to STS",
            took.as_secs_f64()
        );
        assert!(took < sealops_testenv::stretched(PROMPT), "they were held up for {took:?}");
        assert!(logins <= 3 * OBJECTS, "{logins} requests to a store that does not answer");
        let ended = Instant::now();
        assert!(controller.process.terminate(PATIENCE)?.success(), "{}", controller.log());
        println!("SIGTERM: ended in {:.1} s", ended.elapsed().as_secs_f64());
        assert!(ended.elapsed() < sealops_testenv::stretched(GRACE), "{:?}", ended.elapsed());
        Ok(())
    });
}
