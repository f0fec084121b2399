//! Kills and restarts while everything changes: afterwards every Secret is right, none was deleted, and never did two
//! controllers write at the same time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams};
use sealops_crypto::sealing::Certificate;
use sealops_testenv::{AuditEntry, AuditMark, ControlPlane, eventually};

use super::harness::*;

const OBJECTS: usize = 200;
const KILLS: usize = 10;

fn name(number: usize) -> String {
    format!("object-{number:03}")
}

/// Writes a new value of an object, over and over where the API server is away.
async fn put(plane: &ControlPlane, certificate: &Certificate, number: usize, round: u64) -> Result<()> {
    let name = name(number);
    let value = bytes(round * 1000 + number as u64, 24);
    let object = Draft::new("shop", &name, vec![("value", &value)]).sealed(certificate);
    let api = sealed_api(&plane.client()?, "shop");
    eventually("the object is written", PATIENCE, async || {
        api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.ok()
    })
    .await?;
    Ok(())
}

async fn change_all(plane: &ControlPlane, certificate: &Certificate, round: u64) -> Result<()> {
    let results: Vec<Result<()>> = futures::stream::iter(0..OBJECTS)
        .map(|number| put(plane, certificate, number, round))
        .buffer_unordered(4)
        .collect()
        .await;
    results.into_iter().collect()
}

async fn all_right(plane: &ControlPlane, round: u64) -> Result<()> {
    let secrets = Api::<Secret>::namespaced(plane.client()?, "shop");
    eventually("every Secret holds the newest value", PATIENCE * 3, async || {
        let list = secrets.list(&ListParams::default()).await.ok()?;
        let found: BTreeMap<String, Vec<u8>> = list
            .into_iter()
            .filter_map(|secret| Some((secret.metadata.name.clone()?, data(&secret).remove("value")?)))
            .collect();
        let right =
            |number: usize| found.get(&name(number)) == Some(&bytes(round * 1000 + number as u64, 24));
        (0..OBJECTS).all(right).then_some(())
    })
    .await
}

/// Returns the living replica that wrote a Secret last. A request of a killed one may still come in late.
fn writer_since(
    plane: &ControlPlane,
    mark: AuditMark,
    living: &BTreeMap<String, Controller>,
) -> Option<String> {
    let entries = plane.audit().since(mark).ok()?;
    let writes = |entry: &&AuditEntry| {
        living.contains_key(&entry.user)
            && entry.resource == "secrets"
            && matches!(entry.verb.as_str(), "create" | "update")
    };
    entries.iter().rev().find(writes).map(|entry| entry.user.clone())
}

/// Each process has its own user, so the audit log tells them apart: the spans of their writes must not overlap.
fn assert_one_writer_at_a_time(entries: &[AuditEntry]) {
    let mut spans: BTreeMap<&str, (jiff::Timestamp, jiff::Timestamp)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.user.starts_with("sealops-") && entry.code < 400) {
        let writes = matches!(entry.verb.as_str(), "create" | "update" | "patch");
        if writes && matches!(entry.resource.as_str(), "secrets" | "sealedsecrets") {
            let span = spans.entry(&entry.user).or_insert((entry.timestamp, entry.timestamp));
            *span = (span.0.min(entry.timestamp), span.1.max(entry.timestamp));
        }
    }
    let mut ordered: Vec<_> = spans.into_iter().collect();
    ordered.sort_by_key(|(_, span)| span.0);
    assert!(ordered.len() >= 2, "only {} processes wrote", ordered.len());
    for pair in ordered.windows(2) {
        assert!(pair[0].1.1 <= pair[1].1.0, "two controllers wrote at the same time: {pair:?}");
    }
}

#[test]
fn kills_and_restarts_lose_nothing() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let user = |number: usize| format!("sealops-{number:02}");
        let start = |number: usize| -> Result<Controller> {
            let kubeconfig = plane.kubeconfig_for(&user(number), &["system:masters"])?;
            // Short terms, so that ten kills do not take minutes; the order of the three is what matters.
            let short = [
                "--leader-elect-lease-duration=4s",
                "--leader-elect-renew-deadline=2500ms",
                "--leader-elect-retry-period=500ms",
            ];
            Controller::spawn(&kubeconfig, &[&["--identity", &user(number)], &short[..]].concat())
        };
        let mark = plane.audit().mark()?;
        let mut first = start(0)?;
        first.wait_ready().await?;
        let certificate = first.certificate().await?;
        change_all(&plane, &certificate, 1).await?;

        // Two replicas at any time: one leads, the other waits for the Lease. The one that writes is killed.
        let mut replicas = BTreeMap::from([(user(0), first), (user(1), start(1)?)]);
        let done = AtomicBool::new(false);
        let changes = async {
            let mut round = 2;
            while !done.load(Ordering::Relaxed) {
                change_all(&plane, &certificate, round).await?;
                round += 1;
            }
            change_all(&plane, &certificate, round).await?;
            anyhow::Ok(round)
        };
        let kill_ten = async {
            for kill in 0..KILLS {
                let before = plane.audit().mark()?;
                let leader = eventually("a replica writes", PATIENCE, async || {
                    writer_since(&plane, before, &replicas)
                })
                .await?;
                if let Some(mut killed) = replicas.remove(&leader) {
                    killed.process.kill()?;
                }
                if kill == KILLS / 2 {
                    plane.kill_apiserver()?;
                    plane.restart_apiserver().await?;
                }
                replicas.insert(user(kill + 2), start(kill + 2)?);
            }
            let before = plane.audit().mark()?;
            eventually("the last one writes", PATIENCE, async || writer_since(&plane, before, &replicas))
                .await?;
            anyhow::Ok(())
        };
        let kills = async {
            let result = kill_ten.await;
            done.store(true, Ordering::Relaxed);
            result
        };
        let (round, killed) = tokio::join!(changes, kills);
        let round = round?;
        killed?;
        all_right(&plane, round).await?;
        let entries = plane.audit().since(mark)?;
        let deleted: Vec<_> = entries
            .iter()
            .filter(|entry| {
                entry.resource == "secrets" && entry.verb.starts_with("delete") && entry.code < 400
            })
            .collect();
        assert!(deleted.is_empty(), "{deleted:?}");
        assert_one_writer_at_a_time(&entries);
        println!("{KILLS} kills, one restart of the API server, {round} rounds of {OBJECTS} changes");
        Ok(())
    });
}
