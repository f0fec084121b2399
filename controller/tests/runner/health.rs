//! What Argo CD and kstatus (Flux, kpt) make of a SealedSecret, in every state that it really gets into.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use sealops_testenv::{ControlPlane, Parts, eventually, run_peer};
use serde_json::{Value, json};

use super::harness::*;

/// Answers of the script that Argo CD brings, of ours, and of kstatus.
type Verdicts = (String, String, String);

fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("[{}]={}", json!(key), lua(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(list) => format!("{{{}}}", list.iter().map(lua).collect::<Vec<_>>().join(",")),
        // JSON's escapes of plain ASCII are Lua's.
        other => other.to_string(),
    }
}

/// Runs a health script as Argo CD does: the object is the global `obj`, a table with the status comes back.
fn argo(script: &str, object: &Value) -> Result<(String, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(script);
    let script = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let program = format!(
        "obj = {}\nlocal health = (function()\n{script}\nend)()\nprint(health.status)\nprint(health.message)\n",
        lua(object)
    );
    let mut command = Command::new("lua5.4");
    command.arg("-");
    let output = run_peer(command, program.as_bytes(), Duration::from_secs(10))?;
    ensure!(output.status.success(), "{}", output.stderr);
    let text = String::from_utf8(output.stdout)?;
    let (status, message) = text.split_once('\n').context("two lines")?;
    Ok((status.to_owned(), message.trim_end().to_owned()))
}

fn kstatus(object: &Value) -> Result<String> {
    let command = Parts::locate()?.command("kstatus")?;
    let output = run_peer(command, format!("{object}\n").as_bytes(), Duration::from_secs(10))?;
    ensure!(output.status.success(), "{}", output.stderr);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn verdicts(object: &Value) -> Result<Verdicts> {
    Ok((
        argo("testdata/argocd/bundled-health.lua", object)?.0,
        argo("deploy/argocd/sealedsecret-health.lua", object)?.0,
        kstatus(object)?,
    ))
}

async fn read(plane: &ControlPlane, name: &str) -> Result<Value> {
    Ok(serde_json::to_value(sealed_api(&plane.client()?, "shop").get(name).await?)?)
}

fn conditions(object: &Value) -> Vec<String> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter()
        .map(|own| {
            format!("{}={}", own["type"].as_str().unwrap_or("?"), own["status"].as_str().unwrap_or("?"))
        })
        .collect()
}

fn assert_verdicts(object: &Value, bundled: &str, own: &str, kstatus: &str) -> Result<()> {
    let expected = (bundled.to_owned(), own.to_owned(), kstatus.to_owned());
    ensure!(verdicts(object)? == expected, "{:?}, expected {expected:?}: {object:#}", verdicts(object)?);
    Ok(())
}

#[test]
fn argo_cd_and_kstatus_see_what_is() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let api = sealed_api(&client, "shop");
        let mut controller = Controller::start(&plane, &["--max-unseal-retries=3"]).await?;
        let certificate = controller.certificate().await?;
        let sealed = |name: &str| Draft::new("shop", name, vec![("password", b"one")]).sealed(&certificate);

        // In sync.
        create(&api, sealed("good")).await?;
        synced(&client, "shop", "good", "True").await?;
        let object = read(&plane, "good").await?;
        assert_eq!(conditions(&object), ["Synced=True", "Ready=True"]);
        assert_eq!(object.pointer("/status/conditions/0/message"), None, "the printer column stays empty");
        assert_verdicts(&object, "Healthy", "Healthy", "Current")?;

        // Failing: the message names the key and says what to do, and no value.
        let mut moved = sealed("right");
        moved["metadata"]["name"] = json!("moved");
        create(&api, moved).await?;
        synced(&client, "shop", "moved", "False").await?;
        let object = read(&plane, "moved").await?;
        assert_eq!(conditions(&object), ["Synced=False", "Ready=False", "Stalled=True"]);
        assert_verdicts(&object, "Degraded", "Degraded", "Failed")?;
        let bundled = argo("testdata/argocd/bundled-health.lua", &object)?.1;
        assert_eq!(bundled, "no key could decrypt secret (password)");
        let message = argo("deploy/argocd/sealedsecret-health.lua", &object)?.1;
        assert!(
            message.contains("(password); to do: seal it again for this cluster, for the name"),
            "{message}"
        );

        // B7 row 13: sealed for a wider scope than the object says.
        let scope = sealops_crypto::sealing::Scope::NamespaceWide;
        let mut wide =
            Draft { scope, ..Draft::new("shop", "wide", vec![("password", b"one")]) }.sealed(&certificate);
        wide["metadata"]["annotations"] = json!({});
        create(&api, wide).await?;
        assert_eq!(synced(&client, "shop", "wide", "False").await?, "no key could decrypt secret (password)");
        let object = read(&plane, "wide").await?;
        let message =
            object.pointer("/status/conditions/1/message").and_then(Value::as_str).unwrap_or_default();
        assert!(
            message.contains("was sealed with the scope namespace-wide, the object says strict"),
            "{message}"
        );

        // In the way: somebody has to decide.
        plane
            .apply_manifests("apiVersion: v1\nkind: Secret\nmetadata: {name: taken, namespace: shop}\n")
            .await?;
        create(&api, sealed("taken")).await?;
        synced(&client, "shop", "taken", "False").await?;
        let object = read(&plane, "taken").await?;
        assert_verdicts(&object, "Degraded", "Degraded", "Failed")?;
        let message =
            object.pointer("/status/conditions/1/message").and_then(Value::as_str).unwrap_or_default();
        assert!(
            message.contains("kubectl annotate secret taken sealedsecrets.bitnami.com/managed=true"),
            "{message}"
        );

        // In progress: the API server refuses at first, which may pass; after some attempts it is a failure.
        let mut typed = sealed("typed");
        typed["spec"]["template"]["type"] = json!("kubernetes.io/tls");
        create(&api, typed).await?;
        let retrying = eventually("the status says Reconciling", PATIENCE, async || {
            let object = read(&plane, "typed").await.ok()?;
            conditions(&object).contains(&"Reconciling=True".to_owned()).then_some(object)
        })
        .await?;
        assert_eq!(conditions(&retrying), ["Synced=False", "Ready=False", "Reconciling=True"]);
        assert_verdicts(&retrying, "Degraded", "Progressing", "InProgress")?;
        let stalled = eventually("the status says Stalled", PATIENCE, async || {
            let object = read(&plane, "typed").await.ok()?;
            conditions(&object).contains(&"Stalled=True".to_owned()).then_some(object)
        })
        .await?;
        assert_verdicts(&stalled, "Degraded", "Degraded", "Failed")?;

        // Just changed, and nobody has looked yet; new, and nobody has looked yet.
        assert!(controller.process.terminate(PATIENCE)?.success());
        let next = sealed("good");
        api.patch("good", &PatchParams::default(), &Patch::Merge(&json!({ "spec": next["spec"] }))).await?;
        let object = read(&plane, "good").await?;
        assert_eq!(object["metadata"]["generation"], 2);
        assert_verdicts(&object, "Healthy", "Progressing", "InProgress")?;
        create(&api, sealed("new")).await?;
        // kstatus takes any object without a status for current; a default in the definition would help, and would be
        // another definition than upstream's.
        assert_verdicts(&read(&plane, "new").await?, "Progressing", "Progressing", "Current")?;

        // And after the change: the generation is observed.
        let mut controller = Controller::start(&plane, &[]).await?;
        synced(&client, "shop", "good", "True").await?;
        synced(&client, "shop", "new", "True").await?;
        let object = read(&plane, "good").await?;
        assert_eq!(object.pointer("/status/observedGeneration"), Some(&json!(2)));
        assert_verdicts(&object, "Healthy", "Healthy", "Current")?;
        assert!(controller.process.terminate(PATIENCE)?.success());
        Ok(())
    });
}

/// Upstream's alert names, upstream's metrics: `deploy/prometheus/rules.yaml` fires when it should.
#[test]
fn alert_rules_fire_when_they_should() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules-test.yaml"],
        ["check", "rules", "external-secrets.yaml"],
        ["test", "rules", "external-secrets-test.yaml"],
    ] {
        let mut command = Command::new("promtool");
        command.current_dir(&folder).args(arguments);
        let output = run_peer(command, b"", Duration::from_secs(30))?;
        ensure!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    }
    Ok(())
}

/// promtool's linter finds nothing in what we publish, and every series that upstream's rules and dashboard use is there
/// as soon as it can be.
#[test]
fn the_metrics_are_well_formed_and_complete() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        let certificate = controller.certificate().await?;
        let client = plane.client()?;
        let mut object = Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate);
        object["metadata"]["labels"] = json!({ "app.kubernetes.io/instance": "shop-app" });
        create(&sealed_api(&client, "shop"), object).await?;
        let foreign =
            sealops_crypto::sealing::Certificate::from_pem(&super::both::testdata("third-2048.crt"))?;
        create(&sealed_api(&client, "shop"), Draft::new("shop", "bad", vec![("a", b"one")]).sealed(&foreign))
            .await?;
        synced(&client, "shop", "web", "True").await?;
        synced(&client, "shop", "bad", "False").await?;
        let text = sealops_testenv::http_get(local(controller.metrics_port), "/metrics", &[])?.body;
        for line in [
            "sealed_secrets_controller_build_info{revision=\"0.1.0\"} 0",
            "sealed_secrets_controller_unseal_requests_total 2",
            "sealed_secrets_controller_unseal_errors_total{namespace=\"shop\",reason=\"unseal\"} 1",
            "sealed_secrets_controller_condition_info{condition=\"Synced\",name=\"web\",namespace=\"shop\",ss_app_kubernetes_io_instance=\"shop-app\"} 1",
            "sealed_secrets_controller_condition_info{condition=\"Synced\",name=\"bad\",namespace=\"shop\",ss_app_kubernetes_io_instance=\"\"} -1",
            "sealops_sealing_keys{state=\"usable\"} 1",
        ] {
            assert!(text.lines().any(|own| own == line), "no {line} in\n{text}");
        }
        let conditions =
            text.lines().filter(|line| line.starts_with("sealed_secrets_controller_condition_info{"));
        assert_eq!(conditions.count(), 2, "Ready and Stalled would be alarms of upstream's rule");
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]);
        let output = run_peer(command, text.as_bytes(), Duration::from_secs(30))?;
        let complaints: Vec<&str> =
            output.stderr.lines().filter(|line| !line.contains("non-histogram")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        Ok(())
    });
}

/// `deploy/argocd/external-secrets-health.lua`, for objects as both controllers leave them.
#[test]
fn argo_cd_sees_the_kinds_of_external_secrets() -> Result<()> {
    let object = |spec: Value, status: Value| json!({ "metadata": { "name": "x", "generation": 2 }, "spec": spec, "status": status });
    let ready = |status: &str, message: &str| json!([{ "type": "Ready", "status": status, "reason": "R", "message": message }]);
    for (object, status, message) in [
        (json!({ "metadata": {} }), "Progressing", "waiting for the controller"),
        (object(json!({}), json!({ "conditions": [] })), "Progressing", "waiting for the controller"),
        (
            object(
                json!({}),
                json!({ "conditions": ready("True", "secret synced"), "syncedResourceVersion": "2-x" }),
            ),
            "Healthy",
            "secret synced",
        ),
        (
            object(
                json!({}),
                json!({ "conditions": ready("True", "secret synced"), "syncedResourceVersion": "1-x" }),
            ),
            "Progressing",
            "the controller has not seen this change yet",
        ),
        (
            object(
                json!({ "refreshPolicy": "CreatedOnce" }),
                json!({ "conditions": ready("True", "secret synced"), "syncedResourceVersion": "1-x" }),
            ),
            "Healthy",
            "secret synced",
        ),
        (
            object(json!({}), json!({ "conditions": ready("False", "could not get source secret") })),
            "Degraded",
            "could not get source secret",
        ),
        (
            object(
                json!({}),
                json!({ "conditions": ready("True", "store validated"), "capabilities": "ReadOnly" }),
            ),
            "Healthy",
            "store validated",
        ),
    ] {
        let found = argo("deploy/argocd/external-secrets-health.lua", &object)?;
        assert_eq!(found, (status.to_owned(), message.to_owned()), "{object}");
    }
    Ok(())
}
