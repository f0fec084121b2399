//! Good and bad objects beside each other: a bad one gets its condition, the others go on.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use sealops_crypto::sealing::Scope;
use sealops_testenv::eventually;
use serde_json::json;

use super::harness::*;

#[test]
fn good_and_bad_objects_beside_each_other() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        let certificate = controller.certificate().await?;
        let api = sealed_api(&client, "shop");

        let good = Draft::new("shop", "good", vec![("a", b"one"), ("empty", b""), ("bin", &[0, 255, 10])]);
        create(&api, good.sealed(&certificate)).await?;
        let bad = |name: &'static str, value: &'static str| {
            let mut object = Draft::new("shop", name, vec![]).sealed(&certificate);
            object["spec"]["encryptedData"] = json!({ "x": value, "y": value });
            object
        };
        create(&api, bad("broken-base64", "!!")).await?;
        create(&api, bad("truncated", "AgA=")).await?;
        create(&api, bad("empty-value", "")).await?;
        let mut moved = Draft::new("shop", "other-name", vec![("a", b"one")]).sealed(&certificate);
        moved["metadata"]["name"] = json!("wrong-name");
        create(&api, moved).await?;
        let mut scope = Draft::new("shop", "wrong-scope", vec![("a", b"one")]).sealed(&certificate);
        scope["metadata"]["annotations"] = json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" });
        create(&api, scope).await?;
        let mut template = Draft::new("shop", "template", vec![("a", b"one")]).sealed(&certificate);
        template["spec"]["template"]["data"] = json!({ "t": "{{ .a | nonsense }}", "plain": "{{ .a }}" });
        create(&api, template).await?;
        let wide = Draft { scope: Scope::ClusterWide, ..Draft::new("shop", "wide", vec![("a", b"two")]) };
        create(&api, wide.sealed(&certificate)).await?;

        assert_eq!(synced(&client, "shop", "good", "True").await?, "");
        let made = secret(&client, "shop", "good").await?;
        assert_eq!(
            data(&made),
            [("a", &b"one"[..]), ("bin", &[0, 255, 10]), ("empty", b"")]
                .map(|(k, v)| (k.to_owned(), v.to_vec()))
                .into()
        );
        let owner = &made.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
            ("SealedSecret", Some(true), None)
        );
        assert_eq!(made.type_.as_deref(), Some("Opaque"));
        assert!(
            made.metadata.annotations.is_none() && made.metadata.labels.is_none(),
            "nothing of ours on the target"
        );

        for (name, message) in [
            ("broken-base64", "illegal base64 data at input byte 0 (x, y)"),
            ("truncated", "no key could decrypt secret (x, y)"),
            ("empty-value", "no key could decrypt secret (x, y)"),
            ("wrong-name", "no key could decrypt secret (a)"),
            ("wrong-scope", "no key could decrypt secret (a)"),
            ("template", "template: t:1: function \"nonsense\" not defined (t)"),
        ] {
            assert_eq!(synced(&client, "shop", name, "False").await?, message, "{name}");
            assert_eq!(
                event(&client, "shop", name, "ErrUnsealFailed").await?,
                format!("Failed to unseal: {message}")
            );
            assert!(
                Api::<Secret>::namespaced(client.clone(), "shop").get_opt(name).await?.is_none(),
                "{name}"
            );
        }
        synced(&client, "shop", "wide", "True").await?;
        assert_eq!(event(&client, "shop", "good", "Unsealed").await?, "SealedSecret unsealed successfully");

        // A mended object recovers; here the annotation alone, which upstream does not even notice.
        let patch =
            json!({ "metadata": { "annotations": { "sealedsecrets.bitnami.com/cluster-wide": null } } });
        api.patch("wrong-scope", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        assert_eq!(synced(&client, "shop", "wrong-scope", "True").await?, "");

        // A deleted target comes back.
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        let before = made.metadata.uid.clone();
        secrets.delete("good", &DeleteParams::default()).await?;
        eventually("the target is made again", PATIENCE, async || {
            secrets.get_opt("good").await.ok().flatten().filter(|secret| secret.metadata.uid != before)
        })
        .await?;

        // With the object goes its Secret.
        api.delete("good", &DeleteParams::default()).await?;
        eventually("the Secret is collected", PATIENCE, async || {
            secrets.get_opt("good").await.ok().filter(Option::is_none)
        })
        .await?;
        Ok(())
    });
}

#[test]
fn a_secret_in_the_way_is_left_alone_until_it_is_out_of_the_way() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        let certificate = controller.certificate().await?;
        let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
        plane
            .apply_manifests("apiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: shop}\nstringData: {mine: keep}\n")
            .await?;
        create(
            &sealed_api(&client, "shop"),
            Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate),
        )
        .await?;
        let text = "Resource \"web\" already exists and is not managed by SealedSecret";
        assert_eq!(synced(&client, "shop", "web", "False").await?, format!("failed update: {text}"));
        assert_eq!(event(&client, "shop", "web", "ErrUpdateFailed").await?, text);
        assert_eq!(data(&secrets.get("web").await?), [("mine".to_owned(), b"keep".to_vec())].into());

        let patch = json!({ "metadata": { "annotations": {
            "sealedsecrets.bitnami.com/managed": "true", "sealedsecrets.bitnami.com/patch": "true" } } });
        secrets.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        assert_eq!(synced(&client, "shop", "web", "True").await?, "");
        let merged = data(&secrets.get("web").await?);
        assert_eq!(merged, [("a".to_owned(), b"one".to_vec()), ("mine".to_owned(), b"keep".to_vec())].into());
        Ok(())
    });
}

#[test]
fn named_namespaces_are_watched_and_no_others() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "bank", "else"] {
            plane.ensure_namespace(namespace).await?;
        }
        let controller = Controller::start(&plane, &["--namespaces=shop,bank"]).await?;
        let certificate = controller.certificate().await?;
        for namespace in ["else", "shop", "bank"] {
            let draft = Draft::new(namespace, "web", vec![("a", b"one")]);
            create(&sealed_api(&client, namespace), draft.sealed(&certificate)).await?;
        }
        synced(&client, "shop", "web", "True").await?;
        synced(&client, "bank", "web", "True").await?;
        controller.wait_idle().await?;
        let elsewhere = sealed_api(&client, "else").get("web").await?;
        assert!(elsewhere.data.pointer("/status/conditions").is_none(), "{:?}", elsewhere.data);
        assert!(Api::<Secret>::namespaced(client, "else").get_opt("web").await?.is_none());
        Ok(())
    });
}

/// A key that arrives later opens what failed before, at once and without a restart.
#[test]
fn a_new_key_opens_what_failed() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        let file = |name: &str| {
            std::fs::read_to_string(format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR")))
        };
        let (certificate, key) = (file("third-2048.crt")?, file("third-2048.key")?);
        let restored = sealops_crypto::sealing::Certificate::from_pem(certificate.as_bytes())?;
        create(
            &sealed_api(&client, "shop"),
            Draft::new("shop", "web", vec![("a", b"one")]).sealed(&restored),
        )
        .await?;
        assert_eq!(synced(&client, "shop", "web", "False").await?, "no key could decrypt secret (a)");
        let secret = |name: &str, key: &str| {
            json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": { "name": name, "namespace": HOME, "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "active" } },
                "stringData": { "tls.crt": certificate, "tls.key": key } })
        };
        let secrets = Api::<Secret>::namespaced(client.clone(), HOME);
        // An unusable key Secret is left out and harms nobody.
        secrets
            .create(
                &Default::default(),
                &serde_json::from_value(secret("sealed-secrets-keybroken", "no key"))?,
            )
            .await?;
        let patch = Patch::Apply(secret("sealed-secrets-keyrestored", &key));
        secrets.patch("sealed-secrets-keyrestored", &PatchParams::apply("test"), &patch).await?;
        assert_eq!(synced(&client, "shop", "web", "True").await?, "");
        let log = controller.log();
        assert!(log.contains("sealed-secrets-keybroken") && log.contains("unusable and left out"), "{log}");
        Ok(())
    });
}
