//! The controller runs with exactly the rights of `deploy/`, and needs each of them.

use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use sealops_testenv::eventually;

use super::harness::*;

#[test]
fn runs_with_exactly_the_rights_of_the_manifests() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        let base = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/base"));
        for file in ["service-account.yaml", "rbac.yaml"] {
            plane.apply_manifests(&std::fs::read_to_string(base.join(file))?).await?;
        }
        plane.ensure_namespace("shop").await?;
        let mark = plane.audit().mark()?;
        let kubeconfig = plane.service_account_kubeconfig(HOME, "sealed-secrets-controller").await?;
        let mut controller = Controller::start_as(&kubeconfig, &[]).await?;
        let certificate = controller.certificate().await?;
        create(
            &sealed_api(&client, "shop"),
            Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate),
        )
        .await?;
        synced(&client, "shop", "web", "True").await?;
        event(&client, "shop", "web", "Unsealed").await?;
        plane.apply_manifests(super::external::FIRST).await?;
        secret(&client, "shop", "app").await?;
        let maps = Api::<ConfigMap>::namespaced(client.clone(), HOME);
        eventually("the state shards are stored", PATIENCE, async || {
            let list = maps.list(&kube::api::ListParams::default().labels("sealops.io/state")).await.ok()?;
            (!list.items.is_empty()).then_some(())
        })
        .await?;
        assert!(controller.process.terminate(PATIENCE)?.success());
        let refused: Vec<_> = plane
            .audit()
            .since(mark)?
            .into_iter()
            .filter(|entry| entry.user.ends_with(":sealed-secrets-controller") && entry.code == 403)
            .map(|entry| {
                format!("{} {}/{} {}", entry.verb, entry.resource, entry.subresource, entry.namespace)
            })
            .collect();
        assert!(refused.is_empty(), "the API server refused: {refused:?}");
        Ok(())
    });
}
