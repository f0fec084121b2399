//! ExternalSecrets with the fake provider: the recorded behaviour of External Secrets Operator 2.9, for the slice that
//! is here today.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sealops_crds::ExternalSecret;
use sealops_testenv::eventually;
use serde_json::{Value, json};

use super::harness::*;

/// A store and an ExternalSecret that uses `data` and `dataFrom.extract`.
pub const FIRST: &str = r#"
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake, namespace: shop}
spec:
  provider:
    fake:
      data:
      - {key: user, value: amber}
      - {key: json, value: '{"host": "db", "port": 5432, "nested": {"a": [1, 2]}, "odd key": "x"}'}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: app
  namespace: shop
  labels: {team: blue}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: fake}
  dataFrom:
  - extract: {key: json}
  data:
  - secretKey: user
    remoteRef: {key: user}
"#;

fn api(client: &kube::Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(ExternalSecret::GROUP, ExternalSecret::VERSION, ExternalSecret::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, ExternalSecret::PLURAL);
    Api::namespaced_with(client.clone(), "shop", &resource)
}

async fn ready(client: &kube::Client, name: &str, status: &str) -> anyhow::Result<Value> {
    let api = api(client);
    eventually(&format!("ExternalSecret {name} is Ready={status}"), PATIENCE, async || {
        let object = api.get_opt(name).await.ok().flatten()?;
        let condition = object.data.pointer("/status/conditions/0")?.clone();
        (condition["type"] == "Ready" && condition["status"] == status)
            .then_some(object.data["status"].clone())
    })
    .await
}

#[test]
fn fetches_marks_refreshes_and_repairs_as_recorded() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(FIRST).await?;
        let status = ready(&client, "app", "True").await?;
        assert_eq!(status["conditions"][0]["reason"], "SecretSynced");
        assert_eq!(status["conditions"][0]["message"], "secret synced");
        assert_eq!(status["binding"]["name"], "app");
        let made = secret(&client, "shop", "app").await?;
        let expected = [
            ("host", "db"),
            ("nested", r#"{"a": [1, 2]}"#),
            ("odd_key", "x"),
            ("port", "5432"),
            ("user", "amber"),
        ];
        assert_eq!(
            data(&made),
            expected.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into()
        );
        let meta = &made.metadata;
        let label = |name: &str| meta.labels.as_ref().unwrap().get(name).cloned();
        assert_eq!(label("team").as_deref(), Some("blue"));
        assert_eq!(label("reconcile.external-secrets.io/managed").as_deref(), Some("true"));
        assert_eq!(
            label("reconcile.external-secrets.io/created-by"),
            Some(sealops_controller::external::owner_hash("shop", "app"))
        );
        let owner = &meta.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
            ("ExternalSecret", Some(true), Some(true))
        );
        let managers: Vec<_> =
            meta.managed_fields.iter().flatten().filter_map(|field| field.manager.clone()).collect();
        assert_eq!(managers, ["externalsecrets.external-secrets.io/app"]);
        assert_eq!(event(&client, "shop", "app", "Created").await?, "secret created");
        let external = api(&client);
        let finalizers = external.get("app").await?.metadata.finalizers.unwrap_or_default();
        assert_eq!(finalizers, ["externalsecrets.external-secrets.io/externalsecret-cleanup"]);

        // Drift is repaired.
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        let drift = json!({ "stringData": { "user": "somebody else" } });
        secrets.patch("app", &PatchParams::default(), &Patch::Merge(&drift)).await?;
        eventually("the value is put right", PATIENCE, async || {
            secrets.get("app").await.ok().filter(|secret| data(secret)["user"] == b"amber")
        })
        .await?;

        // An annotation forces a refresh; a label that is gone goes from the Secret too.
        let patch =
            json!({ "metadata": { "annotations": { "force-sync": "1" }, "labels": { "team": null } } });
        external.patch("app", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        eventually("labels and annotations follow", PATIENCE, async || {
            let meta = secrets.get("app").await.ok()?.metadata;
            let forced = meta.annotations?.get("force-sync").is_some_and(|value| value == "1");
            (forced && !meta.labels?.contains_key("team")).then_some(())
        })
        .await?;

        // A restart fetches nothing and writes nothing.
        controller.wait_idle().await?;
        drop(controller);
        let mark = plane.audit().mark()?;
        let again = Controller::start(&plane, &[]).await?;
        again.wait_idle().await?;
        for resource in ["secrets", "externalsecrets", "events"] {
            assert_eq!(plane.audit().count(mark, |entry| our_write(entry, resource))?, 0, "{resource}");
        }
        // Deleting the object takes the finalizer off, and the Secret goes with it.
        external.delete("app", &DeleteParams::default()).await?;
        eventually("object and Secret are gone", PATIENCE, async || {
            let gone =
                external.get_opt("app").await.ok()?.is_none() && secrets.get_opt("app").await.ok()?.is_none();
            gone.then_some(())
        })
        .await?;
        Ok(())
    });
}

#[test]
fn failures_stay_with_their_object() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let _controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(FIRST).await?;
        let broken = |name: &str, spec: &str| {
            format!(
                "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
            )
        };
        let entry = "data: [{secretKey: a, remoteRef: {key: KEY}}]";
        let manifests: String = [
            broken("missing", &format!("{{secretStoreRef: {{name: fake}}, {}}}", entry.replace("KEY", "nope"))),
            broken("no-store", &format!("{{secretStoreRef: {{name: none}}, {}}}", entry.replace("KEY", "user"))),
            broken("interval", &format!("{{refreshInterval: 1d, secretStoreRef: {{name: fake}}, {}}}", entry.replace("KEY", "user"))),
            broken("not-json", "{secretStoreRef: {name: fake}, dataFrom: [{extract: {key: user}}]}"),
            broken("template", "{secretStoreRef: {name: fake}, target: {template: {data: {a: '{{ .nobody }}'}}}, dataFrom: [{extract: {key: json}}]}"),
            broken("shared", &format!("{{secretStoreRef: {{name: fake}}, target: {{name: app}}, {}}}", entry.replace("KEY", "user"))),
        ]
        .concat();
        ready(&client, "app", "True").await?;
        plane.apply_manifests(&manifests).await?;
        for (name, message, event_text) in [
            (
                "missing",
                "could not get secret data from provider",
                "error processing spec.data[0] (key: nope), err: Secret does not exist",
            ),
            (
                "no-store",
                "could not get secret data from provider",
                "could not get SecretStore \"none\", SecretStore.external-secrets.io \"none\" not found",
            ),
            (
                "interval",
                "spec.refreshInterval: this is not a duration such as 1h30m",
                "spec.refreshInterval",
            ),
            (
                "not-json",
                "could not get secret data from provider",
                "error processing spec.dataFrom[0].extract, err: unable to unmarshal secret",
            ),
            (
                "template",
                "could not update secret",
                "could not apply template: could not execute template: could not execute template: unable to execute template at key a",
            ),
            (
                "shared",
                "target is owned by another ExternalSecret",
                "secret is owned by another ExternalSecret: app",
            ),
        ] {
            let status = ready(&client, name, "False").await?;
            assert_eq!(status["conditions"][0]["message"], message, "{name}");
            assert_eq!(status["conditions"][0]["reason"], "SecretSyncedError", "{name}");
            let text = event(&client, "shop", name, "UpdateFailed").await?;
            assert!(text.contains(event_text) && !text.contains("amber"), "{name}: {text}");
        }
        // The store gets the missing key: the object recovers by itself.
        let fixed = FIRST.replace(
            "- {key: user, value: amber}",
            "- {key: user, value: amber}\n      - {key: nope, value: there}",
        );
        plane.apply_manifests(fixed.split("---").next().unwrap()).await?;
        ready(&client, "missing", "True").await?;
        assert_eq!(data(&secret(&client, "shop", "missing").await?)["a"], b"there");
        Ok(())
    });
}

#[test]
fn refreshes_by_its_interval() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let _controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(&FIRST.replace("refreshInterval: 1h", "refreshInterval: 2s")).await?;
        ready(&client, "app", "True").await?;
        plane
            .apply_manifests(FIRST.replace("value: amber", "value: blue").split("---").next().unwrap())
            .await?;
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        eventually("the new value arrives", Duration::from_secs(20), async || {
            secrets.get("app").await.ok().filter(|secret| data(secret)["user"] == b"blue")
        })
        .await?;
        Ok(())
    });
}
