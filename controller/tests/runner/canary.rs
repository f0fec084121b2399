//! A known plaintext goes through the controller at trace level, on good and bad paths: it may show up in Secrets only.

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, DynamicObject, ListParams};
use sealops_formats::base64;
use sealops_testenv::{eventually, http_get};
use serde_json::json;

use super::harness::*;

const CANARY: &str = "CANARY-8d1f-plaintext-that-must-not-show";

fn assert_clean(place: &str, text: &str) {
    let encoded = base64::encode_public(CANARY.as_bytes());
    for form in [CANARY, &encoded[..encoded.len() - 4]] {
        assert!(!text.contains(form), "the canary shows up in {place}");
    }
}

#[test]
fn a_canary_shows_up_in_secrets_only() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let mut controller = Controller::start(&plane, &["--log-level=DEBUG-8"]).await?;
        let certificate = controller.certificate().await?;
        let api = sealed_api(&client, "shop");
        let entry = || vec![("password", CANARY.as_bytes())];

        create(&api, Draft::new("shop", "good", entry()).sealed(&certificate)).await?;
        let mut moved = Draft::new("shop", "right", entry()).sealed(&certificate);
        moved["metadata"]["name"] = json!("moved");
        create(&api, moved).await?;
        // Refused by the API server: the type wants another entry, so its message is about the data.
        let mut typed = Draft::new("shop", "typed", entry()).sealed(&certificate);
        typed["spec"]["template"]["type"] = json!("kubernetes.io/dockerconfigjson");
        create(&api, typed).await?;
        let docker = vec![(".dockerconfigjson", CANARY.as_bytes())];
        let mut docker = Draft::new("shop", "docker", docker).sealed(&certificate);
        docker["spec"]["template"]["type"] = json!("kubernetes.io/dockerconfigjson");
        create(&api, docker).await?;
        let mut immutable =
            Draft::new("shop", "immutable", vec![("password", b"before")]).sealed(&certificate);
        immutable["spec"]["template"]["immutable"] = json!(true);
        create(&api, immutable).await?;
        synced(&client, "shop", "immutable", "True").await?;
        let changed = Draft::new("shop", "immutable", entry()).sealed(&certificate);
        let patch = kube::api::Patch::Merge(json!({ "spec": changed["spec"] }));
        api.patch("immutable", &kube::api::PatchParams::default(), &patch).await?;
        let mut old = Draft::new("shop", "old-format", vec![]).sealed(&certificate);
        let one = Draft::new("shop", "old-format", vec![("x", CANARY.as_bytes())]).sealed(&certificate);
        old["spec"]["data"] = one["spec"]["encryptedData"]["x"].clone();
        create(&api, old).await?;
        plane
            .apply_manifests(
                &super::external::FIRST
                    .replace("amber", CANARY)
                    .replace("extract: {key: json}", "extract: {key: user}"),
            )
            .await?;

        synced(&client, "shop", "good", "True").await?;
        for name in ["moved", "typed", "docker", "immutable", "old-format"] {
            let message = synced(&client, "shop", name, "False").await?;
            assert!(!message.is_empty(), "{name}");
        }
        assert!(
            event(&client, "shop", "immutable", "ErrUpdateFailed")
                .await?
                .contains("the target Secret is immutable")
        );
        event(&client, "shop", "app", "UpdateFailed").await?;
        assert_eq!(data(&secret(&client, "shop", "good").await?)["password"], CANARY.as_bytes());
        let maps = Api::<ConfigMap>::namespaced(client.clone(), HOME);
        eventually("the proofs are stored", PATIENCE, async || {
            let list = maps.list(&ListParams::default().labels("sealops.io/state")).await.ok()?;
            (!list.items.is_empty()).then_some(())
        })
        .await?;

        let metrics = http_get(local(controller.metrics_port), "/metrics", &[])?.body;
        assert_clean("the metrics", &metrics);
        let log = controller.log();
        assert!(log.contains("not unsealed"), "the log says something:\n{log}");
        assert_clean("the log", &log);
        assert_clean_objects(&client).await?;
        let command = std::fs::read(format!("/proc/{}/cmdline", controller.process.pid()))?;
        assert_clean("the process arguments", &String::from_utf8_lossy(&command));
        assert!(controller.process.terminate(PATIENCE)?.success());
        assert_clean("the log at the end", &controller.log());
        Ok(())
    });
}

async fn assert_clean_objects(client: &kube::Client) -> Result<()> {
    let events = Api::<Event>::all(client.clone()).list(&ListParams::default()).await?;
    assert!(!events.items.is_empty());
    assert_clean("events", &serde_json::to_string(&events.items)?);
    let maps = Api::<ConfigMap>::all(client.clone()).list(&ListParams::default()).await?;
    assert_clean("config maps", &serde_json::to_string(&maps.items)?);
    let sealed: Api<DynamicObject> = Api::all_with(client.clone(), &sealed_resource());
    assert_clean("SealedSecrets", &serde_json::to_string(&sealed.list(&ListParams::default()).await?.items)?);
    Ok(())
}
