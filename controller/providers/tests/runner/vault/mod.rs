//! Vault's provider, judged by a real OpenBao.

mod auth;
pub(crate) mod canary;
mod dynamic;
mod faults;
mod kubernetes;
mod kv;
mod lives;
mod push;
mod tls;
mod transit;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use sealops_crds::secret_store::SecretStoreSpec;
use sealops_formats::Plaintext;
use sealops_providers::vault::{Client, Login, Session, Settings};
use sealops_providers::{
    BoxFuture, ConnectContext, CredentialSource, Egress, ProviderError, ProviderErrorKind, RemoteKey,
    RemoteValue, Selector, StoreConnection, StoreIdentity, TokenRequest, connect,
};
use sealops_testenv::OpenBaoServer;
use serde_json::{Value, json};

/// The server that tests share: KV version 2 at `secret`, version 1 at `kv1`, transit, the auth methods.
fn bao() -> &'static OpenBaoServer {
    static SERVER: OnceLock<OpenBaoServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = OpenBaoServer::start().unwrap();
        furnish(&server, "");
        server
    })
}

/// Mounts what the tests use, below a namespace (`team/`).
fn furnish(server: &OpenBaoServer, namespace: &str) {
    for (mount, body) in [
        ("secret", json!({ "type": "kv", "options": { "version": "2" } })),
        ("kv1", json!({ "type": "kv", "options": { "version": "1" } })),
        ("transit", json!({ "type": "transit" })),
    ] {
        server.put(&format!("{namespace}sys/mounts/{mount}"), &body).unwrap();
    }
    for (mount, kind) in [
        ("approle", "approle"),
        ("userpass", "userpass"),
        ("ldap", "userpass"),
        ("jwt", "jwt"),
        ("cert", "cert"),
    ] {
        server.put(&format!("{namespace}sys/auth/{mount}"), &json!({ "type": kind })).unwrap();
    }
    let policy = r#"
        path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }
        path "secret/data/forbidden" { capabilities = ["deny"] }
        path "kv1/*" { capabilities = ["create", "read", "update", "delete", "list"] }
        path "transit/*" { capabilities = ["update"] }
    "#;
    server.put(&format!("{namespace}sys/policies/acl/app"), &json!({ "policy": policy })).unwrap();
}

/// Makes a role of AppRole with further settings; returns the login.
fn approle(server: &OpenBaoServer, namespace: &str, name: &str, more: Value) -> (String, String) {
    let mut role = json!({ "token_policies": "app" });
    role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let base = format!("{namespace}auth/approle/role/{name}");
    server.put(&base, &role).unwrap();
    let id = server.get(&format!("{base}/role-id")).unwrap()["data"]["role_id"].as_str().unwrap().to_owned();
    let secret = server.put(&format!("{base}/secret-id"), &json!({})).unwrap();
    (id, secret["data"]["secret_id"].as_str().unwrap().to_owned())
}

fn approle_login((role_id, secret_id): &(String, String)) -> Login {
    Login::AppRole {
        mount: "approle".to_owned(),
        role_id: role_id.as_str().into(),
        secret_id: secret_id.as_str().into(),
    }
}

/// Settings with one attempt and no system authorities to load.
fn settings(url: &str) -> Settings {
    Settings::new(url)
}

fn session(url: &str, login: Login) -> Session {
    Session::new(Client::new(settings(url)).unwrap(), login, None)
}

/// Secrets by `NAME/KEY`, and the token that every service account gets.
#[derive(Default)]
struct Credentials {
    secrets: BTreeMap<String, String>,
    token: String,
}

impl Credentials {
    fn of(secrets: &[(&str, &str)]) -> Self {
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { secrets, token: String::new() }
    }

    fn find(&self, selector: &Selector) -> Result<Plaintext, ProviderErrorKind> {
        let name = format!("{}/{}", selector.name, selector.key);
        let found = self.secrets.get(&name).map(|value| Plaintext::from(value.as_str()));
        found.ok_or_else(|| ProviderErrorKind::Invalid(format!("there is no {name}")))
    }
}

impl CredentialSource for Credentials {
    fn egress(&self) -> Egress {
        Egress::Open
    }

    fn secret<'a>(&'a self, selector: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async move { self.find(selector) })
    }

    fn secret_entries<'a>(
        &'a self,
        _: &'a Selector,
        _: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, ProviderErrorKind>> {
        Box::pin(async { Err(ProviderErrorKind::Unsupported("entries")) })
    }

    fn config_map<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async move { self.find(selector) })
    }

    fn token<'a>(&'a self, _: &'a TokenRequest) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async { Ok(Plaintext::from(self.token.as_str())) })
    }

    fn service_account_annotations<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, ProviderErrorKind>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }
}

/// Opens a store by its settings.
async fn open(provider: Value, credentials: &Credentials) -> Result<StoreConnection, ProviderError> {
    open_spec(json!({ "provider": { "vault": provider } }), credentials).await
}

async fn open_spec(spec: Value, credentials: &Credentials) -> Result<StoreConnection, ProviderError> {
    let spec: SecretStoreSpec = serde_json::from_value(spec).unwrap();
    let store = StoreIdentity {
        namespace: Some("apps".to_owned()),
        name: "store".to_owned(),
        user_namespace: "apps".to_owned(),
    };
    connect(&spec, &ConnectContext { store: &store, credentials, network: true }).await
}

/// Opens a store of the shared server with its root token.
async fn rooted(more: Value) -> StoreConnection {
    let mut provider = json!({
        "server": bao().url(), "path": "secret",
        "auth": { "tokenSecretRef": { "name": "vault", "key": "token" } },
    });
    provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open(provider, &Credentials::of(&[("vault/token", bao().root_token())])).await.unwrap()
}

async fn get(store: &StoreConnection, key: &str, version: Option<&str>) -> Result<String, ProviderErrorKind> {
    let remote = RemoteKey { key: key.to_owned(), version: version.map(str::to_owned) };
    let found = store.reader.as_ref().unwrap().get(&remote).await.map_err(|error| error.kind)?;
    let RemoteValue::Bytes(value) = found.value else { panic!("Vault has bytes") };
    Ok(value.expose_str().unwrap().to_owned())
}

/// Puts a value of version 2.
fn stored(key: &str, data: Value) {
    bao().put(&format!("secret/data/{key}"), &json!({ "data": data })).unwrap();
}
