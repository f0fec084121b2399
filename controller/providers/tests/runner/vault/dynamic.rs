//! Secrets that Vault makes.

use std::collections::BTreeMap;

use sealops_crds::secret_store::VaultProvider;
use sealops_providers::vault::{DynamicRequest, DynamicResult, Intent, Lease, generate};
use sealops_providers::{BoxFuture, ConnectContext, ProviderError, StoreIdentity};
use serde_json::{Value, json};

use super::{Credentials, approle, bao, stored};

/// What is left behind is no matter here.
struct Unrecorded;

impl Intent for Unrecorded {
    fn intend<'a>(&'a self, _: &'a Lease) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn withdraw(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

async fn ask(
    auth: Value,
    request: DynamicRequest,
    secret: &str,
) -> Result<BTreeMap<String, String>, ProviderError> {
    let settings: VaultProvider =
        serde_json::from_value(json!({ "server": bao().url(), "auth": auth })).unwrap();
    let credentials = Credentials::of(&[("s/root", bao().root_token()), ("s/secret", secret)]);
    let store = StoreIdentity {
        namespace: Some("apps".to_owned()),
        name: "generator".to_owned(),
        user_namespace: "apps".to_owned(),
    };
    let context = ConnectContext { store: &store, credentials: &credentials, network: true };
    let made = generate(&settings, None, &request, &context, &Unrecorded).await?;
    Ok(made.values.into_iter().map(|(name, value)| (name, value.expose_str().unwrap().to_owned())).collect())
}

fn request(method: &str, path: &str) -> DynamicRequest {
    DynamicRequest { path: path.to_owned(), method: method.to_owned(), ..DynamicRequest::default() }
}

fn root() -> Value {
    json!({ "tokenSecretRef": { "name": "s", "key": "root" } })
}

#[tokio::test]
async fn every_method_and_result() {
    stored("dynamic/a", json!({ "u": "1" }));
    let wrote = DynamicRequest {
        parameters: Some(json!({ "bytes": 16, "format": "hex" })),
        ..request("POST", "sys/tools/random")
    };
    let made = ask(root(), wrote.clone(), "").await.unwrap();
    assert_eq!(made["random_bytes"].len(), 32);
    assert_ne!(ask(root(), wrote, "").await.unwrap(), made, "it is made anew each time");
    let read = ask(root(), request("", "secret/data/dynamic/a"), "").await.unwrap();
    assert_eq!(read["data"], r#"{"u":"1"}"#);
    let versioned = DynamicRequest {
        query: BTreeMap::from([("version".to_owned(), vec!["1".to_owned()])]),
        ..request("GET", "secret/data/dynamic/a")
    };
    assert_eq!(ask(root(), versioned, "").await.unwrap()["data"], r#"{"u":"1"}"#);
    let listed = ask(root(), request("LIST", "secret/metadata/dynamic"), "").await.unwrap();
    assert_eq!(listed["keys"], r#"["a"]"#);
    let token = DynamicRequest {
        result: DynamicResult::Auth,
        parameters: Some(json!({ "policies": ["app"], "ttl": "60s" })),
        ..request("PUT", "auth/token/create")
    };
    let token = ask(root(), token, "").await.unwrap();
    assert!(
        !token["client_token"].is_empty() && token["lease_duration"] == "60" && token["renewable"] == "true"
    );
    let raw = DynamicRequest { result: DynamicResult::Raw, ..request("GET", "secret/data/dynamic/a") };
    let raw = ask(root(), raw, "").await.unwrap();
    assert!(raw["data"].contains(r#""u":"1""#) && raw["auth"].is_empty() && raw.contains_key("lease_id"));
    let error = ask(root(), request("DELETE", "secret/data/dynamic/a"), "").await.unwrap_err().to_string();
    assert!(error.contains("unable to get dynamic secret: empty response from Vault"), "{error}");
    let empty = DynamicRequest { allow_empty: true, ..request("DELETE", "secret/data/dynamic/a") };
    assert!(ask(root(), empty, "").await.unwrap().is_empty());
    let none = ask(root(), request("GET", "secret/data/dynamic/none"), "").await.unwrap_err().to_string();
    assert!(none.contains("empty response"), "{none}");
}

#[tokio::test]
async fn what_hangs_on_the_token_of_a_login_lives_on() {
    let bao = bao();
    let policy = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    bao.put("sys/policies/acl/maker", &json!({ "policy": policy })).unwrap();
    let (role, secret) = approle(bao, "", "maker", json!({ "token_policies": ["maker"] }));
    let auth = json!({ "appRole": { "roleId": role, "secretRef": { "name": "s", "key": "secret" } } });
    let wanted = DynamicRequest { result: DynamicResult::Auth, ..request("POST", "auth/token/create") };
    let child = ask(auth, wanted, &secret).await.unwrap()["client_token"].clone();
    let looked = bao.put("auth/token/lookup", &json!({ "token": child })).unwrap();
    assert_eq!(looked["data"]["policies"], json!(["default", "maker"]));
}
