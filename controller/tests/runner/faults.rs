//! Faults of `security.md` B6 that a real control plane can be made to have. Elsewhere: F01 and F17 `chaos`, F02 and F18
//! `sealing_keys`, F03 `chaos` (the API server restarts), F14 `rights` (one namespace), F15 `cluster::keys::renewal` and
//! `cluster::leader`, F05 and F06 `cluster::watch`, F07 `cluster::sealed`, F22 `cluster::http`, F26 and F29 `load`, F27 `image`.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use sealops_testenv::{AuditEntry, ControlPlane, eventually};
use serde_json::json;

use super::both::*;
use super::harness::*;

async fn wait_value(plane: &ControlPlane, name: &str, value: &[u8]) -> Result<()> {
    let secrets = Api::<Secret>::namespaced(plane.client()?, "shop");
    eventually(&format!("the Secret {name} holds the newest value"), PATIENCE, async || {
        let secret = secrets.get_opt(name).await.ok().flatten()?;
        (data(&secret).get("a").map(Vec::as_slice) == Some(value)).then_some(())
    })
    .await
}

fn writes(entries: &[AuditEntry], resource: &str) -> usize {
    entries.iter().filter(|entry| our_write(entry, resource) && entry.code < 400).count()
}

/// F04, F10: the API server hangs for a while. F08, F16: the controller is stopped while objects come, go and change.
/// F19: its state is lost.
#[test]
fn stops_and_losses_converge() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let flags = [
            "--leader-elect-lease-duration=4s",
            "--leader-elect-renew-deadline=2500ms",
            "--leader-elect-retry-period=500ms",
        ];
        let mut controller = Controller::start(&plane, &flags).await?;
        let certificate = controller.certificate().await?;
        let api = sealed_api(&client, "shop");
        let sealed =
            |name: &str, value: &[u8]| Draft::new("shop", name, vec![("a", value)]).sealed(&certificate);
        for name in ["stays", "changes", "comes-back", "goes"] {
            create(&api, sealed(name, b"one")).await?;
            synced(&client, "shop", name, "True").await?;
        }

        // F04, F10: nobody answers, longer than a lease lasts; what was asked meanwhile has an unknown result.
        let before = controller.process.rss_bytes()?;
        let patch = |object: &serde_json::Value| Patch::Merge(json!({ "spec": object["spec"] }));
        api.patch("changes", &PatchParams::default(), &patch(&sealed("changes", b"two"))).await?;
        plane.pause_apiserver()?;
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(controller.process.exited()?.is_none());
        plane.resume_apiserver()?;
        wait_value(&plane, "changes", b"two").await?;
        assert!(controller.process.rss_bytes()? < before + (32 << 20), "memory stays flat");

        // F08, F16: it sleeps, past its lease, while everything changes; a pair of events cancels out unseen.
        controller.process.pause()?;
        api.delete("goes", &DeleteParams::default()).await?;
        api.delete("comes-back", &DeleteParams::default()).await?;
        create(&api, sealed("comes-back", b"two")).await?;
        create(&api, sealed("brief", b"one")).await?;
        api.delete("brief", &DeleteParams::default()).await?;
        api.patch("changes", &PatchParams::default(), &patch(&sealed("changes", b"three"))).await?;
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        secrets.delete("stays", &DeleteParams::default()).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        controller.process.resume()?;
        wait_value(&plane, "changes", b"three").await?;
        wait_value(&plane, "comes-back", b"two").await?;
        wait_value(&plane, "stays", b"one").await?;
        assert!(secrets.get_opt("brief").await?.is_none());
        for name in ["stays", "changes", "comes-back"] {
            synced(&client, "shop", name, "True").await?;
        }
        controller.wait_idle().await?;
        assert!(controller.process.terminate(PATIENCE)?.success());

        // F19: without its state it looks at everything once, writes no Secret, and keeps state again.
        let maps = Api::<ConfigMap>::namespaced(client.clone(), HOME);
        let label = ListParams::default().labels("sealops.io/state");
        for map in maps.list(&label).await? {
            maps.delete(&map.metadata.name.unwrap_or_default(), &DeleteParams::default()).await?;
        }
        let mark = plane.audit().mark()?;
        let controller = Controller::start(&plane, &flags).await?;
        controller.certificate().await?;
        eventually("state is kept again", PATIENCE, async || {
            (!maps.list(&label).await.ok()?.items.is_empty()).then_some(())
        })
        .await?;
        let entries = plane.audit().since(mark)?;
        assert_eq!((writes(&entries, "secrets"), writes(&entries, "sealedsecrets")), (0, 0));
        Ok(())
    });
}

const POLICIES: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-red-secrets}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}]
  validations:
  - expression: "!('colour' in object.metadata.?labels.orValue({})) || object.metadata.labels['colour'] != 'red'"
    messageExpression: "'no red Secrets, and certainly not with ' + string(object.data['a'])"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-red-secrets}
spec: {policyName: no-red-secrets, validationActions: [Deny]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: full}
spec: {hard: {secrets: "0"}}
"#;

/// F11: an admission policy denies, and quotes a value. F12: a quota is used up. F13: a Secret is too large. F14: the
/// rights for status and events are missing. F09: somebody else writes the Secret all the time.
#[test]
fn refusals_are_told_and_stay_with_their_object() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "full"] {
            plane.ensure_namespace(namespace).await?;
        }
        plane.apply_manifests(POLICIES).await?;
        // Done by a controller that does not run here.
        let used = json!({ "status": { "hard": { "secrets": "0" }, "used": { "secrets": "0" } } });
        Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(client.clone(), "full")
            .patch_status("few", &PatchParams::default(), &Patch::Merge(&used))
            .await?;
        let controller = Controller::start(&plane, &["--max-unseal-retries=2"]).await?;
        let certificate = controller.certificate().await?;
        let api = sealed_api(&client, "shop");

        let secret_text = "CANARY-in-a-refusal";
        let mut red = Draft::new("shop", "red", vec![("a", secret_text.as_bytes())]).sealed(&certificate);
        red["spec"]["template"]["metadata"]["labels"] = json!({ "colour": "red" });
        eventually("the policy is in force", PATIENCE, async || {
            let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "probe", "namespace": "shop",
                "labels": { "colour": "red" } }, "data": { "a": "eA==" } });
            let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
            let made = secrets.create(&kube::api::PostParams::default(), &serde_json::from_value(object).ok()?).await;
            if made.is_ok() {
                let _ = secrets.delete("probe", &DeleteParams::default()).await;
                return None;
            }
            Some(())
        })
        .await?;
        create(&api, red).await?;
        let message = synced(&client, "shop", "red", "False").await?;
        assert!(
            message.contains("refuses the object; its message quotes a value and is not shown"),
            "{message}"
        );

        create(
            &sealed_api(&client, "full"),
            Draft::new("full", "web", vec![("a", b"one")]).sealed(&certificate),
        )
        .await?;
        let message = synced(&client, "full", "web", "False").await?;
        assert!(message.contains("exceeded quota: few"), "{message}");

        let start = plane.audit().mark()?;
        let large = bytes(7, (1 << 20) + 1);
        create(&api, Draft::new("shop", "large", vec![("a", &large)]).sealed(&certificate)).await?;
        let message = synced(&client, "shop", "large", "False").await?;
        assert!(
            message.contains("1048576 bytes; there are 1 entries with 1048577 bytes in values")
                && message.len() < 400,
            "{message}"
        );
        let sent =
            plane.audit().count(start, |entry| our_write(entry, "secrets") && entry.name == "large")?;
        assert_eq!(sent, 0, "refused before the call");

        // The others go on meanwhile, and what can be mended is taken up without anybody's touch.
        create(&api, Draft::new("shop", "good", vec![("a", b"one")]).sealed(&certificate)).await?;
        synced(&client, "shop", "good", "True").await?;
        Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(client.clone(), "full")
            .delete("few", &DeleteParams::default())
            .await?;
        synced(&client, "full", "web", "True").await?;

        // F09: conflicts for three seconds; afterwards the newest value is there, and nobody's write was overwritten blindly.
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        let mark = plane.audit().mark()?;
        let end = std::time::Instant::now() + Duration::from_secs(3);
        let mut round = 0;
        while std::time::Instant::now() < end {
            let note = json!({ "metadata": { "annotations": { "example.com/round": round.to_string() } } });
            secrets.patch("good", &PatchParams::default(), &Patch::Merge(&note)).await?;
            if round % 20 == 0 {
                let next = Draft::new("shop", "good", vec![("a", round.to_string().as_bytes())])
                    .sealed(&certificate);
                api.patch("good", &PatchParams::default(), &Patch::Merge(json!({ "spec": next["spec"] })))
                    .await?;
            }
            round += 1;
        }
        let next = Draft::new("shop", "good", vec![("a", b"last")]).sealed(&certificate);
        api.patch("good", &PatchParams::default(), &Patch::Merge(json!({ "spec": next["spec"] }))).await?;
        wait_value(&plane, "good", b"last").await?;
        let tries = plane.audit().count(mark, |entry| our_write(entry, "secrets") && entry.name == "good")?;
        assert!(tries <= round / 20 + 25, "{tries} writes for {} changes: a hot loop", round / 20 + 2);
        Ok(())
    });
}

/// F14: without the rights for status and events the Secrets are right all the same.
#[test]
fn missing_rights_for_status_and_events_cost_nothing_else() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        plane
            .apply_manifests(
                &std::fs::read_to_string(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/../deploy/kustomize/base/service-account.yaml"
                ))
                .context("service account")?,
            )
            .await?;
        let rules = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/kustomize/base/rbac.yaml"
        ))?;
        let fewer =
            rules.replace("sealedsecrets/status", "sealedsecrets/nothing").replace("[events]", "[nothing]");
        plane.apply_manifests(&fewer).await?;
        let kubeconfig = plane.service_account_kubeconfig(HOME, "sealed-secrets-controller").await?;
        let controller = Controller::start_as(&kubeconfig, &[]).await?;
        let certificate = controller.certificate().await?;
        for (name, value) in [("one", b"1"), ("two", b"2")] {
            let object = Draft::new("shop", name, vec![("a", &value[..])]).sealed(&certificate);
            create(&sealed_api(&client, "shop"), object).await?;
            wait_value(&plane, name, value).await?;
        }
        let errors = controller
            .metric("sealed_secrets_controller_unseal_errors_total{namespace=\"shop\",reason=\"status\"}")?;
        assert!(errors >= 1.0, "the metric says so");
        Ok(())
    });
}

/// F28: the definitions come later than the controller. F30: upstream's controller runs beside ours: both come to rest, and
/// what they say agrees.
#[test]
fn late_definitions_and_two_controllers_at_once() {
    run(async {
        let plane = ControlPlane::start().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
        let mut controller = Controller::spawn(&kubeconfig, &[])?;
        eventually("it waits for the definitions", PATIENCE, async || {
            controller.log().contains("a watch broke off").then_some(())
        })
        .await?;
        let manifests = sealops_crds::MANIFESTS.map(|(_, yaml)| yaml).join("\n---\n");
        plane.apply_manifests(&manifests).await?;
        plane.wait_crd_established("sealedsecrets.bitnami.com").await?;
        controller.wait_ready().await?;
        let certificate = controller.certificate().await?;

        let theirs =
            sealops_testenv::SealedSecretsController::start(&plane, HOME, &["--key-renew-period=0"]).await?;
        let api = sealed_api(&client, "shop");
        let foreign = sealops_crypto::sealing::Certificate::from_pem(&testdata("third-2048.crt"))?;
        for number in 0..10 {
            let name = format!("object-{number}");
            let key = if number % 5 == 4 { &foreign } else { &certificate };
            create(&api, Draft::new("shop", &name, vec![("a", b"one")]).sealed(key)).await?;
        }
        for number in 0..10 {
            let word = if number % 5 == 4 { "False" } else { "True" };
            synced(&client, "shop", &format!("object-{number}"), word).await?;
        }
        let mut rest = (0, 0);
        eventually("both come to rest", PATIENCE, async || {
            let entries = plane.audit().since_start().ok()?;
            let written = entries
                .iter()
                .filter(|entry| {
                    matches!(entry.resource.as_str(), "secrets" | "sealedsecrets")
                        && entry.namespace == "shop"
                })
                .filter(|entry| matches!(entry.verb.as_str(), "create" | "update" | "patch"))
                .count();
            rest = if written == rest.0 { (written, rest.1 + 1) } else { (written, 0) };
            (rest.1 >= 20).then_some(())
        })
        .await?;
        assert!(rest.0 < 90, "{} writes for ten objects: they fight", rest.0);
        drop(theirs);
        Ok(())
    });
}
