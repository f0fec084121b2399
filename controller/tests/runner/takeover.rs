//! Taking the real controller's place, and giving it back.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use sealops_crypto::sealing::{Certificate, Scope};
use sealops_testenv::{ControlPlane, SealedSecretsController, eventually};

use super::harness::*;

/// Everything of a Secret that a takeover must not change.
type Look = (BTreeMap<String, Vec<u8>>, Option<String>, String, String, String);

async fn looks(plane: &ControlPlane) -> Result<BTreeMap<String, Look>> {
    let secrets = Api::<Secret>::namespaced(plane.client()?, "shop").list(&ListParams::default()).await?;
    Ok(secrets
        .into_iter()
        .map(|secret| {
            let meta = &secret.metadata;
            let (labels, annotations) = (format!("{:?}", meta.labels), format!("{:?}", meta.annotations));
            let name = meta.name.clone().unwrap_or_default();
            (
                name,
                (
                    data(&secret),
                    secret.type_.clone(),
                    meta.uid.clone().unwrap_or_default(),
                    labels,
                    annotations,
                ),
            )
        })
        .collect())
}

async fn unseal_with_the_real_one(plane: &ControlPlane, objects: usize) -> Result<()> {
    let client = plane.client()?;
    let api = sealed_api(&client, "shop");
    // Three keys: each further start finds a current key that is older than the cut-off and makes another.
    let first = ["--key-size=2048", "--kubeclient-qps=5000", "--kubeclient-burst=5000"];
    let further = [&first[..], &["--key-cutoff-time=Fri, 01 Jan 2100 00:00:00 +0000"]].concat();
    for (round, flags) in [&first[..], &further, &further].into_iter().enumerate() {
        let mut real = SealedSecretsController::start(plane, HOME, flags).await?;
        eventually("it has its new key", PATIENCE, async || {
            let keys = super::both::keys(&client, HOME).await.ok()?;
            (keys.len() == round + 1).then_some(())
        })
        .await?;
        let certificate = Certificate::from_pem(real.certificate_pem()?.as_bytes())?;
        for number in (0..objects).filter(|number| number % KEYS == round) {
            let name = format!("object-{number:03}");
            let value = bytes(number as u64, 40);
            let scope = Scope::ALL[number % 3];
            let mut object =
                Draft { scope, ..Draft::new("shop", &name, vec![("value", &value), ("empty", b"")]) }
                    .sealed(&certificate);
            object["spec"]["template"]["metadata"]["labels"] =
                serde_json::json!({ "team": "blue", "number": number.to_string() });
            object["spec"]["template"]["type"] = serde_json::json!("example.com/kind");
            create(&api, object).await?;
        }
        eventually("the real controller unseals everything", PATIENCE, async || {
            let secrets =
                Api::<Secret>::namespaced(client.clone(), "shop").list(&ListParams::default()).await.ok()?;
            let expected = (0..objects).filter(|number| number % KEYS <= round).count();
            (secrets.items.len() == expected).then_some(())
        })
        .await?;
        real.process().terminate(PATIENCE)?;
    }
    Ok(())
}

const OBJECTS: usize = 200;
const KEYS: usize = 3;

/// Everything of the SealedSecrets that a takeover must not change: whole, with their statuses.
async fn sources(plane: &ControlPlane) -> Result<BTreeMap<String, serde_json::Value>> {
    let list = sealed_api(&plane.client()?, "shop").list(&ListParams::default()).await?;
    list.into_iter()
        .map(|object| {
            let name = object.metadata.name.clone().unwrap_or_default();
            let mut object = serde_json::to_value(object)?;
            // The real one writes a status anew that says the same.
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.retain(|field, _| !matches!(field.as_str(), "managedFields" | "resourceVersion"));
            }
            Ok((name, object))
        })
        .collect()
}

/// Waits until the real one, just started, has looked at everything.
async fn real_has_looked(real: &SealedSecretsController) -> Result<()> {
    eventually("the real controller has looked at everything", PATIENCE * 4, async || {
        let text = sealops_testenv::http_get(local(real.metrics_port()), "/metrics", &[]).ok()?.body;
        let line =
            text.lines().find(|line| line.starts_with("sealed_secrets_controller_unseal_requests_total"))?;
        (line.rsplit(' ').next()?.parse::<f64>().ok()? >= OBJECTS as f64).then_some(())
    })
    .await
}

/// Theirs, ours under its own name, ours under theirs with nothing but the program swapped, theirs again: 200 objects
/// under 3 keys, and not one Secret, status or event is written by ours.
#[test]
fn takes_over_and_gives_back_without_touching_a_secret() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        unseal_with_the_real_one(&plane, OBJECTS).await?;
        let (before, sources_before) = (looks(&plane).await?, sources(&plane).await?);
        assert_eq!((before.len(), sources_before.len()), (OBJECTS, OBJECTS));
        assert_eq!(super::both::keys(&plane.client()?, HOME).await?.len(), KEYS);

        let mark = plane.audit().mark()?;
        let mut ours = Controller::start(&plane, &[]).await?;
        ours.certificate().await?;
        ours.wait_idle().await?;
        for resource in ["secrets", "sealedsecrets", "events"] {
            let writes: Vec<_> =
                plane.audit().since(mark)?.into_iter().filter(|entry| our_write(entry, resource)).collect();
            assert!(writes.is_empty(), "our start wrote {resource}: {writes:?}");
        }
        assert_eq!(
            ours.metric("sealops_reconcile_total{kind=\"SealedSecret\",result=\"unchanged\"}")?,
            200.0
        );
        assert_eq!((looks(&plane).await?, sources(&plane).await?), (before.clone(), sources_before.clone()));
        assert!(ours.process.terminate(PATIENCE)?.success(), "SIGTERM ends with success:\n{}", ours.log());

        let mark = plane.audit().mark()?;
        let program = super::both::Side::Ours.program()?;
        let mut swapped =
            SealedSecretsController::start_program(&plane, HOME, program, &["--key-size=2048"]).await?;
        swapped.wait_ready(&plane, HOME).await?;
        let done = "sealops_reconcile_total{kind=\"SealedSecret\",result=\"unchanged\"} 0";
        eventually("nothing is left to do", PATIENCE, async || {
            let log = swapped.log();
            let text = sealops_testenv::http_get(local(swapped.metrics_port()), "/metrics", &[]).ok()?.body;
            (log.contains("compared all") && !text.contains(done)).then_some(())
        })
        .await?;
        swapped.process().terminate(PATIENCE)?;
        let user = format!("system:serviceaccount:{HOME}:{}", SealedSecretsController::NAME);
        let writes = plane.audit().since(mark)?.into_iter().filter(|entry| {
            entry.user == user && matches!(entry.verb.as_str(), "create" | "update" | "patch" | "delete")
        });
        let writes: Vec<_> = writes.filter(|entry| entry.resource != "configmaps").collect();
        assert!(writes.is_empty(), "the swapped program wrote: {writes:?}");
        assert_eq!((looks(&plane).await?, sources(&plane).await?), (before.clone(), sources_before.clone()));

        let flags = ["--key-size=2048", "--kubeclient-qps=5000", "--kubeclient-burst=5000"];
        let real = SealedSecretsController::start(&plane, HOME, &flags).await?;
        real_has_looked(&real).await?;
        assert_eq!((looks(&plane).await?, sources(&plane).await?), (before, sources_before));
        assert_eq!(super::both::keys(&plane.client()?, HOME).await?.len(), KEYS, "nobody made another key");
        println!(
            "{OBJECTS} objects under {KEYS} keys: theirs -> ours -> ours as controller -> theirs, 0 writes of ours"
        );
        Ok(())
    });
}
