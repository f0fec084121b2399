//! Our CRDs on the real API server: what upstream's accept they accept, and foreign fields survive a write.

use anyhow::Result;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sealops_crds::MANIFESTS;
use sealops_testenv::{ControlPlane, Peers};
use serde_json::json;

use super::harness::*;

/// SealedSecrets at the edge of what upstream's definition takes.
fn odd_objects() -> Vec<serde_json::Value> {
    let object = |name: &str, spec: serde_json::Value| {
        json!({ "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
    };
    vec![
        object("empty", json!({ "encryptedData": {} })),
        object("many", json!({ "encryptedData": { "a": "x", "b.c": "", "-": "not base64 at all" } })),
        object("old", json!({ "encryptedData": {}, "data": "AgA=" })),
        object(
            "template",
            json!({ "encryptedData": { "a": "x" }, "template": {
            "type": "kubernetes.io/tls", "immutable": true, "data": { "a": "text" },
            "metadata": { "labels": { "x": "y" }, "annotations": { "a": "b" }, "finalizers": ["example.com/f"], "custom": { "kept": true } } } }),
        ),
        object(
            "null-metadata",
            json!({ "encryptedData": { "a": "x" }, "template": { "metadata": null, "data": null } }),
        ),
    ]
}

#[test]
fn what_upstreams_definition_accepts_ours_accepts_unchanged() {
    run(async {
        let plane = ControlPlane::start().await?;
        plane.ensure_namespace("shop").await?;
        plane.apply_manifests(&std::fs::read_to_string(Peers::locate()?.sealed_secret_crd()?)?).await?;
        plane.wait_crd_established("sealedsecrets.bitnami.com").await?;
        let api = sealed_api(&plane.client()?, "shop");
        let mut theirs = Vec::new();
        for object in odd_objects() {
            theirs.push(create(&api, object).await?.data);
        }
        // Ours over theirs: stored objects read the same, and the same objects are taken again.
        plane.apply_manifests(&MANIFESTS.map(|(_, yaml)| yaml).join("\n---\n")).await?;
        for (object, stored) in odd_objects().into_iter().zip(theirs) {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            assert_eq!(api.get(&name).await?.data, stored, "{name}");
            let again = api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await?;
            assert_eq!(again.data["spec"]["encryptedData"], stored["spec"]["encryptedData"], "{name}");
        }
        Ok(())
    });
}

#[test]
fn foreign_providers_survive_a_write() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let client = plane.client()?;
        let kind = GroupVersionKind::gvk("external-secrets.io", "v1", "SecretStore");
        let api: Api<DynamicObject> =
            Api::namespaced_with(client, "shop", &ApiResource::from_gvk_with_plural(&kind, "secretstores"));
        for (name, provider) in [
            (
                "vault",
                json!({ "vault": { "server": "https://vault.example", "path": "secret", "version": "v2",
                "auth": { "kubernetes": { "mountPath": "kubernetes", "role": "app", "serviceAccountRef": { "name": "x" } } } } }),
            ),
            (
                "aws",
                json!({ "aws": { "service": "SecretsManager", "region": "eu-central-1", "auth": { "jwt": { "serviceAccountRef": { "name": "x" } } } } }),
            ),
            ("foreign", json!({ "gcpsm": { "deep": { "list": [1, "two", { "three": 3.5 }] } } })),
        ] {
            let store = json!({ "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
                "metadata": { "name": name, "namespace": "shop" }, "spec": { "provider": provider } });
            create(&api, store).await?;
            let patch = json!({ "metadata": { "labels": { "touched": "yes" } } });
            api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            let stored: sealops_crds::SecretStore =
                serde_json::from_value(serde_json::to_value(api.get(name).await?)?)?;
            api.replace(name, &Default::default(), &serde_json::from_value(serde_json::to_value(&stored)?)?)
                .await?;
            assert_eq!(api.get(name).await?.data["spec"]["provider"], provider, "{name}");
        }
        Ok(())
    });
}

#[test]
fn a_malformed_provider_is_refused() -> Result<()> {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let two = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: two, namespace: shop}\nspec: {provider: {fake: {data: []}, aws: {}}}\n";
        let error = plane.apply_manifests(two).await.unwrap_err();
        assert!(format!("{error:?}").contains("must have at most 1"), "{error:?}");
        Ok(())
    });
    Ok(())
}
