//! Sealing keys as Secrets: theirs in ours and back, renewal under fire, and Secrets that are no keys.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use sealops_crypto::sealing::{Certificate, SealingKey};
use sealops_testenv::{ControlPlane, eventually};
use serde_json::json;

use super::both::*;
use super::harness::*;

/// Each renews, and each opens what was sealed for any key of the other.
#[test]
fn renewed_keys_go_both_ways() {
    run(async {
        let plane = control_plane().await?;
        let home = "both-ways";
        let flags = |period: &'static str| {
            [period, "--key-size=2048", "--all-namespaces=false", "--privatekey-labels=who=controller"]
        };
        let mut sealed: Vec<String> = Vec::new();
        // Theirs, ours, theirs, ours: each finds the keys of the other and renews at once.
        for (round, side) in [Side::Theirs, Side::Ours, Side::Theirs, Side::Ours].into_iter().enumerate() {
            let cutoff = "--key-cutoff-time=Fri, 01 Jan 2100 00:00:00 +0000";
            // The next key must not be of the second of the last.
            let newest = keys(&plane.client()?, home).await.unwrap_or_default();
            let newest = newest.iter().filter_map(|key| key.metadata.creation_timestamp.clone()).max();
            eventually("the second is over", PATIENCE, async || {
                let now = jiff::Timestamp::now().as_second();
                newest.as_ref().is_none_or(|newest| newest.0.as_second() + 1 < now).then_some(())
            })
            .await?;
            let mut at_work = if round == 0 {
                Home::start(side, &plane, home, &flags("--key-renew-period=0")).await?
            } else {
                Home::start(side, &plane, home, &[&flags("--key-renew-period=0")[..], &[cutoff]].concat())
                    .await?
            };
            at_work.wait_keys(round + 1).await?;
            for name in &sealed {
                assert!(at_work.has_secret(name).await?, "{name}");
                // Unsealed anew with a key that may be the other's.
                Api::<Secret>::namespaced(at_work.client.clone(), home)
                    .delete(name, &DeleteParams::default())
                    .await?;
                secret(&at_work.client, home, name).await.with_context(|| at_work.log())?;
            }
            let name = format!("round-{round}");
            at_work.unseal(&name).await?;
            sealed.push(name);
            at_work.controller.process().terminate(PATIENCE)?;
        }
        let keys = keys(&plane.client()?, home).await?;
        assert_eq!(keys.len(), 4);
        let look = |key: &Secret| {
            (
                key.type_.clone(),
                key.metadata.labels.clone(),
                key.metadata.annotations.clone(),
                key.immutable,
                key.data.iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
                key.metadata.generate_name.clone(),
                key.metadata.owner_references.clone(),
            )
        };
        assert!(keys.iter().all(|key| look(key) == look(&keys[0])), "one look: {:?}", look(&keys[1]));
        // The certificates differ in time, serial number and key only (and in the order of their extensions).
        let texts: Vec<Vec<String>> = keys
            .iter()
            .map(|key| {
                let pem = String::from_utf8(data(key)["tls.crt"].clone())?;
                let varies = ["Serial Number", "Not Before", "Not After"];
                let is_bytes = |line: &str| line.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
                let mut lines: Vec<String> = certificate_text(&pem)?
                    .lines()
                    .map(|line| line.trim().to_owned())
                    .filter(|line| !is_bytes(line) && !varies.iter().any(|name| line.starts_with(name)))
                    .collect();
                lines.sort();
                Ok(lines)
            })
            .collect::<Result<_>>()?;
        assert!(texts[0].iter().any(|line| line == "Encipher Only"), "{:?}", texts[0]);
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        Ok(())
    });
}

/// B6 F02: killed at any moment of a renewal, it leaves complete keys, and what it serves is stored.
#[test]
fn kills_during_renewals_leave_whole_keys() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
        let flags = ["--leader-elect=false", "--key-renew-period=1s", "--external-secrets=false"];
        let mut seen = Vec::new();
        for round in 0..8_u64 {
            let mut controller = Controller::spawn(&kubeconfig, &flags)?;
            let certificate = controller.certificate().await?;
            seen.push(certificate.fingerprint().as_str().to_owned());
            // Anywhere in the second of the next renewal.
            tokio::time::sleep(Duration::from_millis(900 + round * 37 % 250)).await;
            controller.process.kill()?;
        }
        let keys = keys(&client, HOME).await?;
        let mut stored = Vec::new();
        for key in &keys {
            let data = data(key);
            let certificate = Certificate::from_pem(&data["tls.crt"])?;
            SealingKey::from_pem(&data["tls.key"].clone().into())?.check_certificate(&certificate)?;
            stored.push(certificate.fingerprint().as_str().to_owned());
        }
        assert!(seen.iter().all(|served| stored.contains(served)), "served and not stored");
        assert!(keys.len() >= 4, "{} keys", keys.len());
        println!("8 kills, {} keys, all whole", keys.len());
        Ok(())
    });
}

async fn events_on(plane: &ControlPlane, name: &str) -> Result<Vec<String>> {
    let events = Api::<Event>::namespaced(plane.client()?, HOME).list(&ListParams::default()).await?;
    Ok(events
        .into_iter()
        .filter(|event| event.involved_object.name.as_deref() == Some(name))
        .map(|event| format!("{} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
        .collect())
}

/// B5 T37; B7 rows 23 (elliptic curve), 24 (not a pair), 25 (no certificate), 26 (RSA-1024), 27 (not a number at all),
/// and what else a Secret may hold. None ends the process, each is named in an event.
#[test]
fn unusable_key_secrets_are_quarantined() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        put_test_key(&client, HOME, "third-2048").await?;
        let (good_key, good_crt) = (testdata("interop-2048.key"), testdata("interop-2048.crt"));
        let broken = String::from_utf8(good_key.clone())?.replace("MII", "MIX");
        let cases: &[(&str, &[u8], &[u8], &str)] = &[
            ("row-23", &testdata("ec.crt"), &testdata("ec.key"), "elliptic curve"),
            ("row-23-key", &good_crt, &testdata("ec.key"), "not a valid RSA key"),
            ("row-24", &good_crt, &testdata("first-4096.key"), "does not belong to the private key"),
            ("row-25", b"", &good_key, "does not contain any valid RSA or ECDSA certificates"),
            ("row-26", &testdata("weak-1024.crt"), &testdata("weak-1024.key"), "unsupported size"),
            ("row-27", &good_crt, broken.as_bytes(), "private key"),
            ("no-key", &good_crt, b"", "does not contain a private key"),
            ("swapped", &good_key, &good_crt, "does not contain any valid"),
        ];
        for (name, certificate, key, _) in cases {
            put_key(&client, HOME, name, certificate, key).await?;
        }
        let empty = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "empty", "namespace": HOME,
            "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "active" } } });
        plane.apply_manifests(&empty.to_string()).await?;

        let mut controller = Controller::start(&plane, &[]).await?;
        let certificate = controller.certificate().await?;
        let expected = Certificate::from_pem(&testdata("third-2048.crt"))?;
        assert_eq!(certificate.fingerprint(), expected.fingerprint(), "the good one is the current one");
        let api = sealed_api(&client, "shop");
        create(&api, Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate)).await?;
        synced(&client, "shop", "web", "True").await?;
        for (name, part) in cases.iter().map(|case| (case.0, case.3)).chain([("empty", "tls.crt is missing")])
        {
            let found = eventually(&format!("an event on {name}"), PATIENCE, async || {
                events_on(&plane, name).await.ok().filter(|events| !events.is_empty())
            })
            .await?;
            assert!(found[0].starts_with("SealingKeyUnusable this sealing key is left out"), "{found:?}");
            assert!(found[0].contains(part), "{name}: {found:?}");
        }
        assert_eq!(controller.metric("sealops_sealing_keys{state=\"unusable\"}")?, 9.0);
        assert_eq!(controller.metric("sealops_sealing_keys{state=\"usable\"}")?, 1.0);

        // Mended while it runs: the key opens at once. Taken out of the set: no more alarm.
        let certificate = Certificate::from_pem(&good_crt)?;
        create(&api, Draft::new("shop", "later", vec![("a", b"one")]).sealed(&certificate)).await?;
        synced(&client, "shop", "later", "False").await?;
        let secrets = Api::<Secret>::namespaced(client.clone(), HOME);
        let mend = json!({ "stringData": { "tls.crt": String::from_utf8(good_crt.clone())? } });
        secrets.patch("row-25", &PatchParams::default(), &Patch::Merge(&mend)).await?;
        synced(&client, "shop", "later", "True").await?;
        let relabel = json!({ "metadata": { "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "compromised" } } });
        secrets.patch("row-24", &PatchParams::default(), &Patch::Merge(&relabel)).await?;
        eventually("two less are left out", PATIENCE, async || {
            let left = controller.metric("sealops_sealing_keys{state=\"unusable\"}").ok()?;
            (left == 7.0).then_some(())
        })
        .await?;

        // B6 F18: every key Secret goes; those in memory go on, and no new key is made behind anybody's back.
        for key in keys(&client, HOME).await? {
            secrets.delete(&key.metadata.name.unwrap_or_default(), &DeleteParams::default()).await?;
        }
        eventually("it notices", PATIENCE, async || {
            controller.log().contains("every sealing key Secret is gone").then_some(())
        })
        .await?;
        create(&api, Draft::new("shop", "after", vec![("a", b"one")]).sealed(&expected)).await?;
        synced(&client, "shop", "after", "True").await?;
        assert!(keys(&client, HOME).await?.is_empty());
        assert!(controller.process.terminate(PATIENCE)?.success());
        Ok(())
    });
}

/// B7 rows 28 and 29: the time of a certificate is for those who seal; what is sealed opens.
#[test]
fn times_of_certificates_close_nothing() {
    run(async {
        let now = jiff::Timestamp::now().as_second();
        for (file, is_over) in [("expired.crt", true), ("not-yet-valid.crt", false)] {
            let plane = control_plane().await?;
            let client = plane.client()?;
            plane.ensure_namespace("shop").await?;
            put_key(&client, HOME, "odd", &testdata(file), &testdata("third-2048.key")).await?;
            let controller = Controller::start(&plane, &["--key-renew-period=0"]).await?;
            let certificate = controller.certificate().await?;
            if is_over {
                assert!(certificate.not_after() < now, "{file}");
            } else {
                assert!(certificate.not_before() > now, "{file}");
            }
            create(
                &sealed_api(&client, "shop"),
                Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate),
            )
            .await?;
            synced(&client, "shop", "web", "True").await?;
        }
        Ok(())
    });
}
