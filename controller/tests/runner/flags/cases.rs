//! What shows the effect of each flag, on either side.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use sealops_crypto::sealing::Certificate;
use sealops_testenv::{eventually, run_peer};
use serde_json::json;

use crate::both::*;
use crate::harness::*;

pub(super) fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<()> {
    ensure!(found == expected, "found {found:?}, expected {expected:?}");
    Ok(())
}

pub(super) fn contains(text: &str, part: &str) -> Result<()> {
    ensure!(text.contains(part), "no {part:?} in {text}");
    Ok(())
}

/// The older Secret holds the newer certificate.
pub(super) async fn two_keys(client: &kube::Client, namespace: &str) -> Result<()> {
    let first = put_test_key(client, namespace, "third-2048").await?;
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    eventually("the second key is younger by a second", PATIENCE, async || {
        let second = put_test_key(client, namespace, "interop-2048").await.ok()?;
        if second.metadata.creation_timestamp == first.metadata.creation_timestamp {
            api.delete("interop-2048", &DeleteParams::default()).await.ok()?;
            return None;
        }
        Some(())
    })
    .await
}

pub(super) async fn refuses_v1(home: &Home<'_>) -> Result<()> {
    let mut object = Draft::new(&home.namespace, "old", vec![("x", b"y")]).sealed(&home.certificate()?);
    object["spec"]["data"] = object["spec"]["encryptedData"]["x"].take();
    object["spec"]["encryptedData"] = json!({});
    create(&sealed_api(&home.client, &home.namespace), object).await?;
    let message = home.synced("old", "False").await?;
    same(message.as_str(), "using deprecated 'data' field, use 'encryptedData' or flip the feature flag")
}

/// An object in another namespace comes first, so it would have been handled by the time the own one is.
pub(super) async fn watches(home: &Home<'_>, other: &str, expected: bool) -> Result<()> {
    let object = Draft::new(other, "web", vec![("a", b"one")]).sealed(&home.certificate()?);
    create(&sealed_api(&home.client, other), object).await?;
    home.unseal("web").await?;
    if expected {
        synced(&home.client, other, "web", "True").await?;
    } else {
        let object = sealed_api(&home.client, other).get("web").await?.data;
        let conditions = object.pointer("/status/conditions");
        ensure!(conditions.is_none(), "{conditions:?}");
    }
    Ok(())
}

pub(super) async fn makes_tokens(home: &Home<'_>, allowed: bool) -> Result<()> {
    let mut object = Draft::new(&home.namespace, "token", vec![]).sealed(&home.certificate()?);
    object["spec"]["template"]["type"] = json!("kubernetes.io/service-account-token");
    object["spec"]["template"]["metadata"]["annotations"] =
        json!({ "kubernetes.io/service-account.name": "default" });
    create(&sealed_api(&home.client, &home.namespace), object).await?;
    home.synced("token", if allowed { "True" } else { "False" }).await?;
    ensure!(home.has_secret("token").await? == allowed);
    if !allowed {
        let ready = home.status("token").await?.pointer("/conditions/1/message").cloned().unwrap_or_default();
        contains(&ready.to_string(), "--allow-token-secrets")?;
    }
    Ok(())
}

pub(super) async fn renews(home: &Home<'_>) -> Result<()> {
    let first = home.certificate()?;
    home.unseal("before").await?;
    eventually("the certificate changes", PATIENCE, async || {
        home.certificate().ok().filter(|next| next.fingerprint() != first.fingerprint())
    })
    .await?;
    home.unseal("after").await?;
    ensure!(home.keys().await?.len() >= 2);
    Ok(())
}

pub(super) async fn renews_on_signal(home: &Home<'_>) -> Result<()> {
    same(home.keys().await?.len(), 1)?;
    let pid = home.controller.pid().to_string();
    let sent = run_peer(
        {
            let mut kill = Command::new("sh");
            kill.args(["-c", &format!("kill -USR1 {pid}")]);
            kill
        },
        b"",
        Duration::from_secs(5),
    )?;
    ensure!(sent.status.success(), "{}", sent.stderr);
    home.wait_keys(2).await.map(drop)
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pace {
    Any,
    FivePerSecond,
}

pub(super) async fn unseals_six(home: &Home<'_>, pace: Pace) -> Result<()> {
    home.unseal("first").await?;
    let mark = home.plane.audit().mark()?;
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        home.seal(name).await?;
    }
    for name in names {
        home.synced(name, "True").await?;
    }
    let user = format!("system:serviceaccount:{}:", home.namespace);
    let entries = home.plane.audit().since(mark)?;
    let mut times: Vec<Timestamp> = entries
        .iter()
        .filter(|entry| {
            entry.user.starts_with(&user) && entry.resource == "secrets" && entry.verb == "create"
        })
        .map(|entry| entry.timestamp)
        .collect();
    times.sort();
    same(times.len(), 6)?;
    let span = times[5].duration_since(times[0]);
    if pace == Pace::FivePerSecond {
        // Each object costs three requests or more; a quarter of the time that they must take.
        ensure!(span.as_millis() >= 750, "only {span:?}");
    }
    Ok(())
}

pub(super) async fn selects(home: &Home<'_>) -> Result<()> {
    home.seal("plain").await?;
    let mut object = Draft::new(&home.namespace, "blue", vec![("a", b"one")]).sealed(&home.certificate()?);
    object["metadata"]["labels"] = json!({ "team": "blue" });
    create(&sealed_api(&home.client, &home.namespace), object).await?;
    home.synced("blue", "True").await?;
    ensure!(!home.has_secret("plain").await? && home.status("plain").await?.is_null());
    Ok(())
}

/// The API server refuses a TLS Secret without its entries. Theirs stops after two attempts; ours says that it is
/// stalled and goes on.
pub(super) async fn gives_up(home: &Home<'_>) -> Result<()> {
    let mut object = Draft::new(&home.namespace, "tls", vec![("a", b"one")]).sealed(&home.certificate()?);
    object["spec"]["template"]["type"] = json!("kubernetes.io/tls");
    create(&sealed_api(&home.client, &home.namespace), object).await?;
    home.synced("tls", "False").await?;
    eventually("it says that it does not help", PATIENCE, async || match home.side {
        Side::Theirs => home.log().contains("giving up").then_some(()),
        Side::Ours => {
            let status = home.status("tls").await.ok()?;
            (status["conditions"][2]["type"] == "Stalled").then_some(())
        }
    })
    .await?;
    if home.side == Side::Theirs {
        return same(home.log().matches("will retry").count(), 1);
    }
    let count = || -> Option<f64> {
        let metrics = home.metrics().ok()?;
        let errors =
            |line: &&str| line.contains("unseal_errors_total{") && line.contains("reason=\"update\"");
        metrics.lines().find(errors)?.rsplit(' ').next()?.parse().ok()
    };
    eventually("it goes on", PATIENCE, async || count().filter(|count| *count >= 4.0)).await.map(drop)
}

/// A Secret without an owner, so that no garbage collector is at work.
pub(super) async fn deletes_the_secret(home: &Home<'_>) -> Result<()> {
    let api = sealed_api(&home.client, &home.namespace);
    let mut object = Draft::new(&home.namespace, "web", vec![("a", b"one")]).sealed(&home.certificate()?);
    object["spec"]["template"]["metadata"]["annotations"] = json!({
        "sealedsecrets.bitnami.com/skip-set-owner-references": "true",
        "sealedsecrets.bitnami.com/managed": "true",
    });
    create(&api, object).await?;
    home.synced("web", "True").await?;
    api.delete("web", &DeleteParams::default()).await?;
    eventually("the Secret goes", PATIENCE, async || home.has_secret("web").await.ok().filter(|there| !there))
        .await
        .map(drop)
}

pub(super) fn limits(home: &Home<'_>, at_once: usize) -> Result<()> {
    let codes: Vec<Answer> =
        (0..=at_once).map(|_| post(home.address(), "/v1/verify", &[], b"nonsense")).collect::<Result<_>>()?;
    for (number, answer) in codes.iter().enumerate() {
        same(answer.header("X-RateLimit-Limit"), Some(at_once.to_string().as_str()))?;
        if number < at_once {
            same(answer.status, 500)?;
        }
    }
    // Time passes between the requests, so the last one may have earned its place.
    let mut answer = codes.into_iter().next_back().context("no answer")?;
    let start = Instant::now();
    while answer.status != 429 && start.elapsed() < PATIENCE {
        answer = post(home.address(), "/v1/verify", &[], b"nonsense")?;
    }
    same(answer.status, 429)?;
    same(String::from_utf8_lossy(&answer.body).as_ref(), "limit exceeded\n")?;
    same(answer.header("Retry-After"), Some("1"))?;
    same(answer.header("X-RateLimit-Remaining"), Some("0"))
}

pub(super) fn hangs_up(home: &Home<'_>) -> Result<()> {
    let mut stream = TcpStream::connect(home.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")?;
    let start = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new());
    ensure!(start.elapsed() < Duration::from_secs(30), "it hung up after {:?}", start.elapsed());
    Ok(())
}

/// A body that takes longer than the answer may: theirs hangs up, ours says so.
pub(super) fn answers_late(home: &Home<'_>) -> Result<()> {
    let mut stream = TcpStream::connect(home.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(
        b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n",
    )?;
    std::thread::sleep(Duration::from_millis(1500));
    let _ = stream.write_all(b"nonsense");
    match (home.side, read_answer(&mut stream)) {
        (Side::Theirs, Err(_)) => Ok(()),
        (Side::Ours, Ok(answer)) => same(answer.status, 503),
        (_, answer) => bail!("{answer:?}"),
    }
}

pub(super) async fn lets_it_go(home: &Home<'_>) -> Result<()> {
    home.unseal("web").await?;
    let secrets = Api::<Secret>::namespaced(home.client.clone(), &home.namespace);
    secrets.delete("web", &DeleteParams::default()).await?;
    home.unseal("later").await?;
    ensure!(!home.has_secret("web").await?);
    let user = format!("system:serviceaccount:{}:", home.namespace);
    let watches = home.plane.audit().since_start()?.into_iter().filter(|entry| {
        entry.user.starts_with(&user) && entry.resource == "secrets" && entry.verb == "watch"
    });
    same(watches.count(), 0)
}

pub(super) async fn learns_keys(home: &Home<'_>, expected: bool) -> Result<()> {
    put_test_key(&home.client, &home.namespace, "interop-2048").await?;
    let foreign = Certificate::from_pem(&testdata("interop-2048.crt"))?;
    let api = sealed_api(&home.client, &home.namespace);
    let object = Draft::new(&home.namespace, "web", vec![("a", b"one")]).sealed(&foreign);
    create(&api, object.clone()).await?;
    if !expected {
        return same(home.synced("web", "False").await?.as_str(), "no key could decrypt secret (a)");
    }
    eventually("the object opens", PATIENCE, async || {
        if home.has_secret("web").await.ok()? {
            return Some(());
        }
        // Theirs gives up on an object that came before its key.
        if home.side == Side::Theirs {
            let _ = api.delete("web", &DeleteParams::default()).await;
            let _ = create(&api, object.clone()).await;
        }
        None
    })
    .await
}
