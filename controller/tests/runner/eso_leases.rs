//! Leases of a real OpenBao (engine `pki`, which needs nothing else): recorded before they are used, taken back when they
//! are replaced, unused or orphaned by a crash. Counted on the server's side.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use sealops_testenv::{ControlPlane, Fault, FaultProxy, OpenBaoServer, Turns, eventually};
use serde_json::{Value, json};

use super::cluster_kinds::api;
use super::eso_process::{Running, start};
use super::harness::*;

const ISSUE: &str = "pki/issue/web";

/// An OpenBao whose role may issue certificates with leases, and have them taken back.
fn with_engine(rights: &str) -> Result<OpenBaoServer> {
    let server = OpenBaoServer::start()?;
    server.put("sys/mounts/pki", &json!({ "type": "pki" }))?;
    let root = json!({ "common_name": "test", "key_type": "ec", "ttl": "24h" });
    server.put("pki/root/generate/internal", &root)?;
    let role = json!({ "allow_any_name": true, "key_type": "ec", "generate_lease": true, "ttl": "2h", "max_ttl": "2h" });
    server.put("pki/roles/web", &role)?;
    server.put("sys/auth/approle", &json!({ "type": "approle" }))?;
    let policy = format!("path \"{ISSUE}\" {{ capabilities = [\"update\"] }}\n{rights}");
    server.put("sys/policies/acl/app", &json!({ "policy": policy }))?;
    let role = json!({ "token_policies": "app", "token_ttl": "3h", "token_max_ttl": "3h" });
    server.put("auth/approle/role/app", &role)?;
    server.put("auth/approle/role/app/role-id", &json!({ "role_id": "app" }))?;
    server.put("auth/approle/role/app/custom-secret-id", &json!({ "secret_id": "fake-secret-id" }))?;
    Ok(server)
}

const BY_ACCESSOR: &str = r#"path "auth/token/revoke-accessor" { capabilities = ["update"] }"#;
const BY_LEASE: &str = r#"path "sys/leases/revoke" { capabilities = ["update"] }"#;

/// The ids of all leases of the engine.
fn leases(server: &OpenBaoServer) -> Result<Vec<String>> {
    let answer = server.call("LIST", &format!("sys/leases/lookup/{ISSUE}"), None)?;
    if answer.status == 404 {
        return Ok(Vec::new());
    }
    let body: Value = serde_json::from_str(&answer.body).context(answer.status.to_string())?;
    let keys = body["data"]["keys"].as_array().cloned().unwrap_or_default();
    Ok(keys.iter().filter_map(|key| Some(format!("{ISSUE}/{}", key.as_str()?))).collect())
}

async fn leases_are(server: &OpenBaoServer, count: usize) -> Result<Vec<String>> {
    eventually(&format!("there are {count} leases"), PATIENCE * 2, async || {
        leases(server).ok().filter(|leases| leases.len() == count)
    })
    .await
}

async fn states(client: &Client) -> Result<Vec<DynamicObject>> {
    Ok(api(client, "GeneratorState", Some("shop")).list(&ListParams::default()).await?.items)
}

async fn states_are(client: &Client, count: usize) -> Result<Vec<DynamicObject>> {
    eventually(&format!("there are {count} GeneratorStates"), PATIENCE * 2, async || {
        states(client).await.ok().filter(|states| states.len() == count)
    })
    .await
}

fn objects(url: &str, target: &str) -> String {
    let role = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "role", "namespace": "shop" }, "stringData": { "id": "fake-secret-id" } });
    let generator = json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "VaultDynamicSecret",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "path": ISSUE, "method": "PUT", "parameters": { "common_name": "a.example.com" },
            "provider": { "server": url, "auth": { "appRole": { "path": "approle", "roleId": "app",
                "secretRef": { "name": "role", "key": "id" } } } } } });
    let external = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "refreshInterval": "1h", "target": { "name": target },
            "dataFrom": [{ "sourceRef": { "generatorRef": { "kind": "VaultDynamicSecret", "name": "web" } } }] } });
    [role, generator, external].map(|object| object.to_string()).join("\n---\n")
}

async fn cluster() -> Result<(ControlPlane, Client)> {
    let plane = control_plane().await?;
    plane.ensure_namespace("shop").await?;
    let client = plane.client()?;
    Ok((plane, client))
}

fn controller(plane: &ControlPlane) -> Result<Running> {
    let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
    start(&["--generator-gc-grace-period=2s"], "--live-addr", Some(&kubeconfig))
}

async fn force(client: &Client, mark: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "force-sync": mark } } }));
    api(client, "ExternalSecret", Some("shop")).patch("web", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The id that a state records, and whether it is in use.
fn lease_of(state: &DynamicObject) -> Option<&str> {
    state.data["spec"]["state"]["leaseID"].as_str()
}

#[test]
fn leases_are_recorded_replaced_and_taken_back() {
    run(async {
        for rights in [BY_ACCESSOR, BY_LEASE] {
            let server = with_engine(rights)?;
            let (plane, client) = cluster().await?;
            let _controller = controller(&plane)?;
            plane.apply_manifests(&objects(&server.url(), "cert")).await?;
            let made = secret(&client, "shop", "cert").await?;
            let first = leases_are(&server, 1).await?;
            let recorded = states_are(&client, 1).await?;
            assert_eq!(lease_of(&recorded[0]), Some(first[0].as_str()));
            assert!(recorded[0].data["spec"].get("garbageCollectionDeadline").is_none(), "it is in use");
            let text = serde_json::to_string(&recorded[0])?;
            let key = String::from_utf8(data(&made)["private_key"].clone())?;
            assert!(
                !text.contains(&key.replace('\n', "\\n")) && !text.contains("fake-secret-id"),
                "no value is recorded"
            );

            // A refresh makes another one; the first goes after the grace period, the second stays.
            force(&client, "1").await?;
            let second = eventually("the second lease alone is left", PATIENCE * 2, async || {
                leases(&server).ok().filter(|leases| leases.len() == 1 && *leases != first)
            })
            .await?;
            let recorded = states_are(&client, 1).await?;
            assert_eq!(lease_of(&recorded[0]), Some(second[0].as_str()));
            assert_ne!(data(&secret(&client, "shop", "cert").await?), data(&made));

            // The object goes, and everything with it.
            api(&client, "ExternalSecret", Some("shop")).delete("web", &DeleteParams::default()).await?;
            leases_are(&server, 0).await?;
            states_are(&client, 0).await?;
        }
        Ok(())
    });
}

#[test]
fn what_is_not_used_is_taken_back_at_once() {
    run(async {
        let server = with_engine(BY_ACCESSOR)?;
        let (plane, client) = cluster().await?;
        let _controller = controller(&plane)?;
        plane.apply_manifests(super::external::FIRST).await?;
        secret(&client, "shop", "app").await?;
        // The target belongs to another ExternalSecret: nothing is written.
        plane.apply_manifests(&objects(&server.url(), "app")).await?;
        event(&client, "shop", "web", "UpdateFailed").await?;
        eventually("a certificate was issued", PATIENCE, async || {
            server.count(ISSUE).ok().filter(|count| *count > 0)
        })
        .await?;
        leases_are(&server, 0).await?;
        states_are(&client, 0).await?;
        Ok(())
    });
}

#[test]
fn a_crash_between_the_lease_and_its_record_loses_no_lease() {
    run(async {
        let server = with_engine(BY_ACCESSOR)?;
        let proxy = FaultProxy::http(server.address())?;
        proxy.add(ISSUE, Turns::Only(1), Fault::Delay(Duration::from_secs(600)));
        let (plane, client) = cluster().await?;
        let mut first = controller(&plane)?;
        plane.apply_manifests(&objects(&proxy.url(), "cert")).await?;
        let lost = leases_are(&server, 1).await?;
        let before = states_are(&client, 1).await?;
        assert_eq!(lease_of(&before[0]), None, "the answer never came");
        assert!(before[0].data["spec"]["garbageCollectionDeadline"].is_string());
        assert!(before[0].data["spec"]["state"]["loginAccessor"].is_string());
        first.kill()?;

        let _second = controller(&plane)?;
        secret(&client, "shop", "cert").await?;
        leases_are(&server, 2).await?;
        // Ten minutes later.
        let patch = Patch::Merge(json!({ "spec": { "garbageCollectionDeadline": "2026-01-01T00:00:00Z" } }));
        let name = before[0].metadata.name.clone().unwrap_or_default();
        api(&client, "GeneratorState", Some("shop")).patch(&name, &PatchParams::default(), &patch).await?;
        let left = leases_are(&server, 1).await?;
        assert_ne!(left, lost);
        let states = states_are(&client, 1).await?;
        assert_eq!(lease_of(&states[0]), Some(left[0].as_str()), "the one in use is the one that is left");
        Ok(())
    });
}

#[test]
fn what_cannot_be_taken_back_stays_and_says_so() {
    run(async {
        let server = with_engine("")?;
        let (plane, client) = cluster().await?;
        let _controller = controller(&plane)?;
        plane.apply_manifests(&objects(&server.url(), "cert")).await?;
        secret(&client, "shop", "cert").await?;
        let state = states_are(&client, 1).await?.remove(0);
        let name = state.metadata.name.clone().unwrap_or_default();
        let own = api(&client, "GeneratorState", Some("shop"));
        own.delete(&name, &DeleteParams::default()).await?;
        let text = event(&client, "shop", &name, "CleanupFailed").await?;
        assert!(text.contains("denied") || text.contains("permission"), "{text}");
        assert!(own.get_opt(&name).await?.is_some() && leases(&server)?.len() == 1);
        // With the right it goes.
        let policy = format!("path \"{ISSUE}\" {{ capabilities = [\"update\"] }}\n{BY_LEASE}");
        server.put("sys/policies/acl/app", &json!({ "policy": policy }))?;
        leases_are(&server, 0).await?;
        states_are(&client, 0).await?;
        Ok(())
    });
}
