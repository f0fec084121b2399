//! A folder and a cluster give the same Secrets: the scenarios of `testdata/scenarios` run both ways.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams};
use sealops_controller::directory::{Directory, RenderOptions, render};
use sealops_crypto::sealing::{Certificate, RingKey, SealingKey, SealingKeyRing};
use sealops_testenv::eventually;
use serde_json::json;

use super::harness::*;

type Secrets = BTreeMap<(String, String), (String, BTreeMap<String, Vec<u8>>)>;

fn scenarios() -> Result<Vec<PathBuf>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/scenarios"));
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    Ok(folders)
}

fn key(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

async fn rendered(folder: &Path) -> Result<Secrets> {
    let directory = Arc::new(Directory::load(&folder.join("in"))?);
    let sealing_key = Arc::new(SealingKey::from_pem(&key("interop-2048.key").into())?);
    let ring = SealingKeyRing::new([RingKey { key: sealing_key, order: 0 }]);
    let rendered = render(&directory, &ring, &RenderOptions::default()).await;
    anyhow::ensure!(rendered.problems.is_empty(), "{:?}", rendered.problems);
    Ok(rendered
        .secrets
        .into_iter()
        .map(|rendered| {
            let secret = rendered.secret;
            let meta = &secret.metadata;
            let id = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
            let data =
                secret.data.iter().map(|(key, value)| (key.clone(), value.expose().to_vec())).collect();
            (id, (secret.type_.unwrap_or_else(|| "Opaque".to_owned()), data))
        })
        .collect())
}

#[test]
fn a_folder_and_a_cluster_give_the_same_secrets() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        // The cluster gets the scenarios' key before the controller starts.
        let certificate = Certificate::from_pem(&key("interop-2048.crt"))?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {
                "name": "sealed-secrets-keyfixed", "namespace": HOME,
                "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "active" },
            },
            "stringData": { "tls.crt": certificate.pem(), "tls.key": String::from_utf8(key("interop-2048.key"))? },
        });
        let secrets = Api::<Secret>::namespaced(client.clone(), HOME);
        secrets.patch("sealed-secrets-keyfixed", &PatchParams::apply("test"), &Patch::Apply(&secret)).await?;
        let _controller = Controller::start(&plane, &[]).await?;
        let mut expected = Secrets::new();
        for folder in scenarios()? {
            let offline = rendered(&folder).await.with_context(|| folder.display().to_string())?;
            anyhow::ensure!(!offline.is_empty(), "{} renders nothing", folder.display());
            for file in std::fs::read_dir(folder.join("in"))? {
                let text = std::fs::read_to_string(file?.path())?;
                plane.apply_manifests(&text).await?;
            }
            expected.extend(offline);
        }
        let all = Api::<Secret>::all(client);
        eventually("the cluster has the same Secrets", PATIENCE, async || {
            let list = all.list(&ListParams::default()).await.ok()?;
            let found: Secrets = list
                .into_iter()
                .filter(|secret| secret.metadata.namespace.as_deref() != Some(HOME))
                .map(|secret| {
                    let meta = &secret.metadata;
                    let id =
                        (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
                    (id, (secret.type_.clone().unwrap_or_default(), data(&secret)))
                })
                .collect();
            (found == expected).then_some(())
        })
        .await?;
        println!("{} Secrets equal offline and in the cluster", expected.len());
        Ok(())
    });
}

#[test]
fn nothing_is_rendered_by_halves() {
    run(async {
        let folder = tempfile::tempdir()?;
        let certificate = Certificate::from_pem(&key("interop-2048.crt"))?;
        let good = Draft::new("shop", "good", vec![("a", b"one")]).sealed(&certificate);
        let mut bad = Draft::new("shop", "bad", vec![("a", b"one")]).sealed(&certificate);
        bad["metadata"]["name"] = json!("renamed");
        std::fs::write(folder.path().join("good.json"), good.to_string())?;
        std::fs::write(folder.path().join("bad.yaml"), format!("# a comment\n{bad}\n"))?;
        std::fs::write(folder.path().join("values.yaml"), "not: kubernetes\n")?;
        std::os::unix::fs::symlink("/etc", folder.path().join("link"))?;
        let directory = Arc::new(Directory::load(folder.path())?);
        assert_eq!(directory.manifests().len(), 2, "only Kubernetes objects count, and no link is followed");
        let sealing_key = Arc::new(SealingKey::from_pem(&key("interop-2048.key").into())?);
        let ring = SealingKeyRing::new([RingKey { key: sealing_key, order: 0 }]);
        let rendered = render(&directory, &ring, &RenderOptions::default()).await;
        assert_eq!(rendered.problems.len(), 1);
        let problem = &rendered.problems[0];
        assert_eq!(problem.source, "bad.yaml:2");
        assert_eq!(problem.object, "SealedSecret shop/renamed");
        assert_eq!(problem.message, "no key could decrypt secret (a)");

        std::fs::write(folder.path().join("broken.yaml"), "a: [CANARY\n")?;
        let error = Directory::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("broken.yaml: line ") && !error.contains("CANARY"), "{error}");
        Ok(())
    });
}
