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
    // Two keys: the second start finds a first key that is older than the cut-off and makes another.
    for (round, flags) in
        [&["--key-size=2048"][..], &["--key-size=2048", "--key-cutoff-time=Fri, 01 Jan 2100 00:00:00 +0000"]]
            .into_iter()
            .enumerate()
    {
        let mut real = SealedSecretsController::start(plane, HOME, flags).await?;
        let certificate = Certificate::from_pem(real.certificate_pem()?.as_bytes())?;
        for number in (0..objects).filter(|number| number % 2 == round) {
            let name = format!("object-{number:02}");
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
            let expected = (0..objects).filter(|number| number % 2 <= round).count();
            (secrets.items.len() == expected).then_some(())
        })
        .await?;
        real.process().terminate(PATIENCE)?;
    }
    Ok(())
}

#[test]
fn takes_over_and_gives_back_without_touching_a_secret() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        unseal_with_the_real_one(&plane, 50).await?;
        let before = looks(&plane).await?;
        assert_eq!(before.len(), 50);
        let keys = Api::<Secret>::namespaced(plane.client()?, HOME);
        let label = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key=active");
        assert_eq!(keys.list(&label).await?.items.len(), 2, "the real controller has made two keys");

        let mark = plane.audit().mark()?;
        let mut ours = Controller::start(&plane, &[]).await?;
        ours.certificate().await?;
        ours.wait_idle().await?;
        let writes: Vec<_> =
            plane.audit().since(mark)?.into_iter().filter(|entry| our_write(entry, "secrets")).collect();
        assert!(writes.is_empty(), "our start wrote Secrets: {writes:?}");
        let mark_status = plane.audit().count(mark, |entry| our_write(entry, "sealedsecrets"))?;
        let events = plane.audit().count(mark, |entry| our_write(entry, "events"))?;
        assert_eq!((mark_status, events), (0, 0), "nothing has changed, so there is nothing to say");
        assert_eq!(looks(&plane).await?, before);
        assert!(ours.process.terminate(PATIENCE)?.success(), "SIGTERM ends with success:\n{}", ours.log());

        let real = SealedSecretsController::start(&plane, HOME, &["--key-size=2048"]).await?;
        eventually("the real controller has looked at everything", PATIENCE, async || {
            let text = sealops_testenv::http_get(local(real.metrics_port()), "/metrics", &[]).ok()?.body;
            let line = text
                .lines()
                .find(|line| line.starts_with("sealed_secrets_controller_unseal_requests_total"))?;
            (line.rsplit(' ').next()?.parse::<f64>().ok()? >= 50.0).then_some(())
        })
        .await?;
        assert_eq!(looks(&plane).await?, before);
        Ok(())
    });
}
