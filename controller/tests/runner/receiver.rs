//! Signed notices: a value that changes in a store is in its Secret long before the interval, and nobody without a key can
//! have anything fetched.

use std::path::PathBuf;

use anyhow::Result;
use aws_lc_rs::hmac;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use sealops_testenv::{ControlPlane, HttpAnswer, eventually, free_port, http_call};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::eso::http::Webhook;
use super::harness::*;

const KEY: &str = "0123456789abcdef0123456789abcdef-a-key-for-tests";

struct Scene {
    plane: ControlPlane,
    webhook: Webhook,
    controller: Controller,
    port: u16,
    file: PathBuf,
    _folder: TempDir,
}

impl Scene {
    /// Two ExternalSecrets that read `one` and `two` of a store, once an hour.
    async fn set_up() -> Result<Self> {
        let plane = control_plane().await?;
        let (webhook, folder, port) = (Webhook::start().await?, tempfile::tempdir()?, free_port()?);
        let file = folder.path().join("key");
        std::fs::write(&file, format!("{KEY}\n"))?;
        plane.ensure_namespace("shop").await?;
        let scene_webhook = webhook;
        for key in ["one", "two"] {
            route(&scene_webhook, key, "amber");
        }
        let store = json!({ "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "provider": { "webhook": {
                "url": format!("{}/{{{{ .remoteRef.key }}}}", scene_webhook.url("w")),
                "result": { "jsonPath": "$.v" } } } } });
        plane.apply_manifests(&store.to_string()).await?;
        for key in ["one", "two"] {
            let external = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
                "metadata": { "name": key, "namespace": "shop" },
                "spec": { "refreshInterval": "1h", "secretStoreRef": { "name": "web" },
                    "data": [{ "secretKey": "v", "remoteRef": { "key": key } }] } });
            plane.apply_manifests(&external.to_string()).await?;
        }
        let address = format!("--refresh-addr=127.0.0.1:{port}");
        let key = format!("--refresh-key-file={}", file.display());
        let controller = Controller::start(&plane, &[&address, &key]).await?;
        let scene = Self { plane, webhook: scene_webhook, controller, port, file, _folder: folder };
        for key in ["one", "two"] {
            scene.has(key, "amber").await?;
        }
        scene.controller.wait_idle().await?;
        Ok(scene)
    }

    async fn has(&self, name: &str, value: &str) -> Result<()> {
        let secrets = Api::<Secret>::namespaced(self.plane.client()?, "shop");
        eventually(&format!("{name} has {value}"), PATIENCE, async || {
            let found = data(&secrets.get_opt(name).await.ok()??);
            (found.get("v").map(Vec::as_slice) == Some(value.as_bytes())).then_some(())
        })
        .await
    }

    fn fetched(&self) -> usize {
        self.webhook.count("w")
    }

    fn send(&self, body: &str, headers: &[(&str, &str)]) -> Result<HttpAnswer> {
        http_call(local(self.port), "POST", "/v1/refresh", headers, body.as_bytes())
    }

    /// Sends a notice as a store does that has this key, at this distance from now.
    fn notify(&self, key: &str, away: i64, notice: &Value) -> Result<HttpAnswer> {
        let (time, body) = ((Timestamp::now().as_second() + away).to_string(), notice.to_string());
        let signature = sign(key, &format!("{time}.{body}"));
        self.send(&body, &[("X-Sealops-Timestamp", &time), ("X-Sealops-Signature", &signature)])
    }

    fn counted(&self, result: &str) -> Result<f64> {
        self.controller.metric(&format!("sealops_refresh_notices_total{{result=\"{result}\"}}"))
    }
}

fn route(webhook: &Webhook, key: &str, value: &str) {
    webhook.route("w", &json!({ "path": format!("/{key}"), "body": json!({ "v": value }).to_string() }));
}

fn sign(key: &str, message: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes());
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[test]
fn a_notice_refreshes_what_it_means_and_nothing_else() {
    run(async {
        let scene = Scene::set_up().await?;
        for key in ["one", "two"] {
            route(&scene.webhook, key, "onyx");
        }
        let before = scene.fetched();
        let notice = json!({ "store": "web", "kind": "SecretStore", "namespace": "shop", "keys": ["one"] });
        let answer = scene.notify(KEY, 0, &notice)?;
        assert_eq!((answer.status, answer.body.trim()), (202, r#"{"refreshed":1}"#));
        scene.has("one", "onyx").await?;
        scene.controller.wait_idle().await?;
        assert_eq!(scene.fetched(), before + 1, "the other one was not fetched");
        scene.has("two", "amber").await?;

        // Everything of a store, signed as GitHub does.
        let body = json!({ "store": "web", "timestamp": Timestamp::now().as_second() }).to_string();
        let answer = scene.send(&body, &[("X-Hub-Signature-256", &sign(KEY, &body))])?;
        assert_eq!((answer.status, answer.body.trim()), (202, r#"{"refreshed":2}"#));
        scene.has("two", "onyx").await?;
        let answer = scene.notify(KEY, 0, &json!({ "keys": ["nobody reads this"] }))?;
        assert_eq!((answer.status, answer.body.trim()), (202, r#"{"refreshed":0}"#));
        assert_eq!(scene.counted("accepted")?, 3.0);
        assert_eq!(scene.controller.metric("sealops_refresh_objects_total")?, 3.0);

        // A new key is taken without a restart; the old one is not.
        let next = "another-key-of-sufficient-length-for-tests";
        std::fs::write(&scene.file, next)?;
        assert_eq!(scene.notify(KEY, 0, &notice)?.status, 401);
        assert_eq!(scene.notify(next, 0, &notice)?.status, 202);
        assert!(!scene.controller.log().contains(next) && !scene.controller.log().contains(KEY));
        Ok(())
    });
}

#[test]
fn without_the_key_nothing_is_fetched() {
    run(async {
        let scene = Scene::set_up().await?;
        scene.controller.wait_idle().await?;
        let before = scene.fetched();
        let notice = json!({ "store": "web" });
        let wrong = "0123456789abcdef0123456789abcdef-the-wrong-key";
        assert_eq!(scene.notify(wrong, 0, &notice)?.status, 401);
        assert_eq!(scene.notify(KEY, -1000, &notice)?.status, 401);
        assert_eq!(scene.notify(KEY, 1000, &notice)?.status, 401);
        assert_eq!(scene.send(&notice.to_string(), &[])?.status, 401);
        assert_eq!(scene.notify(KEY, 0, &json!({ "shop": "web" }))?.status, 400);
        let get = http_call(local(scene.port), "GET", "/v1/refresh", &[], b"")?;
        assert_eq!(get.status, 405);
        let large = json!({ "store": "web", "keys": ["k".repeat(70_000)] });
        assert_eq!(scene.notify(KEY, 0, &large)?.status, 413);
        assert_eq!(scene.fetched(), before, "none of these was followed");
        for (result, count) in [("unsigned", 2.0), ("untimely", 2.0), ("malformed", 2.0), ("accepted", 0.0)] {
            assert_eq!(scene.counted(result)?, count, "{result}");
        }

        // The same notice again.
        let (time, body) = (Timestamp::now().as_second().to_string(), notice.to_string());
        let signature = sign(KEY, &format!("{time}.{body}"));
        let headers = [("X-Sealops-Timestamp", time.as_str()), ("X-Sealops-Signature", signature.as_str())];
        eventually("the rate lets it through", PATIENCE, async || {
            scene.send(&body, &headers).ok().filter(|answer| answer.status == 202)
        })
        .await?;
        scene.controller.wait_idle().await?;
        let after = scene.fetched();
        let again = eventually("the rate lets it through", PATIENCE, async || {
            scene.send(&body, &headers).ok().filter(|answer| answer.status != 429)
        })
        .await?;
        assert_eq!(again.status, 409);
        let upper = signature.replace("sha256=", "").to_uppercase();
        let headers =
            [("X-Sealops-Timestamp", time.as_str()), ("X-Sealops-Signature", &format!("sha256={upper}"))];
        let again = eventually("the rate lets it through", PATIENCE, async || {
            scene.send(&body, &headers).ok().filter(|answer| answer.status != 429)
        })
        .await?;
        assert_eq!(again.status, 409, "the same signature in other letters");

        // A flood is held back, and the probes still answer.
        let answers: Vec<u16> =
            (0..200).filter_map(|_| scene.send("{}", &[]).ok()).map(|answer| answer.status).collect();
        assert!(answers.iter().filter(|status| **status == 429).count() > 50, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
        assert_eq!(sealops_testenv::http_get(local(scene.controller.port), "/readyz", &[])?.status, 200);
        scene.controller.wait_idle().await?;
        assert_eq!(scene.fetched(), after, "neither replays nor the flood had anything fetched");
        Ok(())
    });
}

#[test]
fn it_does_not_start_without_a_key() {
    run(async {
        let plane = control_plane().await?;
        let folder = tempfile::tempdir()?;
        let short = folder.path().join("short");
        std::fs::write(&short, "too short")?;
        let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
        let address = format!("--refresh-addr=127.0.0.1:{}", free_port()?);
        let file = |path: &str| format!("--refresh-key-file={path}");
        let short = file(&short.display().to_string());
        for (flags, word) in [
            (vec![address.as_str()], "name its file"),
            (vec![&address, &short], "32 bytes at least"),
            (vec![&address, "--refresh-key-file=/nowhere"], "/nowhere"),
            (vec![&address, &short, "--external-secrets=false"], "not handled here"),
        ] {
            let mut controller = Controller::spawn(&kubeconfig, &flags)?;
            let ended = eventually("it ends", PATIENCE, async || controller.process.exited().ok().flatten());
            let ended = ended.await?;
            assert!(!ended.success() && controller.log().contains(word), "{flags:?}: {}", controller.log());
        }
        Ok(())
    });
}
