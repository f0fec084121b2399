//! Calls counted on the server's side: a thousand objects at one OpenBao store.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use anyhow::Result;
use futures::StreamExt;
use kube::api::ListParams;
use sealops_crds::ExternalSecret;
use sealops_testenv::{ControlPlane, OpenBaoServer, eventually};
use serde_json::{Value, json};

use super::eso_stores::{NAMESPACE, api, apply};
use super::harness::*;

const OBJECTS: usize = 1000;
const KEYS: usize = 100;
/// Path of the login in the audit log.
pub const LOGIN: &str = "auth/approle/login";

/// An OpenBao with a key-value engine and a role that may read it, whose tokens live so long.
pub fn with_role(token_ttl: &str) -> Result<OpenBaoServer> {
    let server = OpenBaoServer::start()?;
    server.put("sys/mounts/kv", &json!({ "type": "kv", "options": { "version": "2" } }))?;
    server.put("sys/auth/approle", &json!({ "type": "approle" }))?;
    server
        .put("sys/policies/acl/app", &json!({ "policy": "path \"kv/*\" { capabilities = [\"read\"] }" }))?;
    let role = json!({ "token_policies": "app", "token_ttl": token_ttl, "token_max_ttl": token_ttl });
    server.put("auth/approle/role/app", &role)?;
    server.put("auth/approle/role/app/role-id", &json!({ "role_id": "app" }))?;
    server.put("auth/approle/role/app/custom-secret-id", &json!({ "secret_id": "fake-secret-id" }))?;
    Ok(server)
}

/// Writes a value that a new version of the engine may not take at once.
pub async fn put(server: &OpenBaoServer, key: &str, value: &str) -> Result<()> {
    let body = json!({ "data": { "v": value } });
    eventually("the engine takes a value", PATIENCE, async || {
        server.put(&format!("kv/data/{key}"), &body).ok()
    })
    .await
    .map(drop)
}

/// The store at it, by AppRole.
pub async fn apply_store(plane: &ControlPlane, url: &str) -> Result<()> {
    let login = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "role", "namespace": NAMESPACE }, "stringData": { "id": "fake-secret-id" } });
    let store = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
        "metadata": { "name": "bao", "namespace": NAMESPACE },
        "spec": { "provider": { "vault": { "server": url, "path": "kv", "version": "v2",
            "auth": { "appRole": { "path": "approle", "roleId": "app",
                "secretRef": { "name": "role", "key": "id" } } } } } } });
    apply(plane, &[login, store]).await
}

/// An ExternalSecret of one entry.
pub fn object(name: &str, store: &str, remote: &Value) -> Value {
    json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": ExternalSecret::KIND,
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "refreshInterval": "1h", "secretStoreRef": { "name": store },
            "data": [{ "secretKey": "x", "remoteRef": remote }] } })
}

#[test]
fn a_thousand_objects_ask_openbao_a_hundred_times_with_one_login() {
    run(async {
        let server = with_role("1h")?;
        for key in 0..KEYS {
            put(&server, &format!("k{key}"), "amber").await?;
        }
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let controller = Controller::start(&plane, &[]).await?;
        apply_store(&plane, &server.url()).await?;
        let external = api(&client, NAMESPACE);
        let creating = (0..OBJECTS).map(|number| {
            let remote = json!({ "key": format!("k{}", number % KEYS), "property": "v" });
            create(&external, object(&format!("app-{number}"), "bao", &remote))
        });
        let created: Vec<_> = futures::stream::iter(creating).buffer_unordered(8).collect().await;
        assert!(created.iter().all(Result::is_ok));
        eventually("every object is synchronised", PATIENCE * 5, async || {
            let list = external.list(&ListParams::default()).await.ok()?;
            let ready = list.items.iter().filter(|object| {
                object.data.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
            });
            (ready.count() == OBJECTS).then_some(())
        })
        .await?;
        controller.wait_idle().await?;
        let requests = server.requests()?;
        let reads = |request: &&sealops_testenv::OpenBaoRequest| {
            request.operation == "read" && request.path.starts_with("kv/data/")
        };
        let (reads, logins) = (requests.iter().filter(reads).count(), server.count(LOGIN)?);
        println!("{OBJECTS} ExternalSecrets over {KEYS} keys: {reads} reads, {logins} login");
        assert!((KEYS..=KEYS * 11 / 10).contains(&reads), "{reads} reads");
        assert_eq!(logins, 1);
        Ok(())
    });
}
