//! AWS's stores, judged by moto.

mod batches;
#[cfg(feature = "vault")]
mod canary;
mod generators;
mod logins;
mod parameter_store;
mod secrets_manager;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use sealops_crds::secret_store::SecretStoreSpec;
use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, ConnectContext, CredentialSource, Find, ProviderError, ProviderErrorKind, PushTarget,
    RemoteKey, RemoteValue, Selector, StoreConnection, StoreIdentity, TokenRequest, connect,
};
use sealops_testenv::{Moto, Recorder};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";

/// A server, and what stands before it.
struct Cloud {
    moto: Moto,
    recorder: Recorder,
}

impl Cloud {
    fn start(variables: &[(&str, &str)]) -> Self {
        let moto = Moto::start_with_env(variables).unwrap();
        let recorder = Recorder::start(moto.address(), Duration::ZERO);
        Self { moto, recorder }
    }

    fn call(&self, service: &str, target: &str, body: Value) -> Value {
        let answer = self.moto.call(service, REGION, target, &body.to_string()).unwrap();
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }
}

/// The server that tests share; their names differ.
fn cloud() -> &'static Cloud {
    static CLOUD: OnceLock<Cloud> = OnceLock::new();
    CLOUD.get_or_init(|| Cloud::start(&[]))
}

/// Secrets by their keys, and a service account.
struct Credentials {
    address: String,
    secrets: BTreeMap<&'static str, String>,
}

impl Credentials {
    fn of(cloud: &Cloud) -> Self {
        let secrets = [("id", "AKIDSTORE"), ("key", "secret"), ("token", "session")];
        let secrets = secrets.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { address: cloud.recorder.url(), secrets }
    }
}

impl CredentialSource for Credentials {
    fn address(&self, _: &str) -> Option<String> {
        Some(self.address.clone())
    }

    fn secret<'a>(&'a self, selector: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        let found = self.secrets.get(selector.key.as_str()).map(|value| Plaintext::from(value.as_str()));
        Box::pin(async { found.ok_or(ProviderErrorKind::NotFound) })
    }

    fn secret_entries<'a>(
        &'a self,
        _: &'a Selector,
        _: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, ProviderErrorKind>> {
        Box::pin(async { Err(ProviderErrorKind::Unsupported("entries")) })
    }

    fn config_map<'a>(&'a self, _: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async { Err(ProviderErrorKind::Unsupported("authorities")) })
    }

    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async { Ok(format!("CANARY-token-for-{}", request.audiences.join("-")).into()) })
    }

    fn service_account_annotations<'a>(
        &'a self,
        name: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, ProviderErrorKind>> {
        let role =
            ("eks.amazonaws.com/role-arn".to_owned(), "arn:aws:iam::123456789012:role/irsa".to_owned());
        let annotations = if name == "bare" { BTreeMap::new() } else { BTreeMap::from([role]) };
        Box::pin(async { Ok(annotations) })
    }
}

fn keys() -> Value {
    let of = |key: &str| json!({ "name": "aws", "key": key });
    json!({ "secretRef": { "accessKeyIDSecretRef": of("id"), "secretAccessKeySecretRef": of("key") } })
}

async fn open(provider: Value, credentials: &Credentials) -> Result<StoreConnection, ProviderError> {
    let mut settings = json!({ "region": REGION, "auth": keys() });
    settings.as_object_mut().unwrap().extend(provider.as_object().unwrap().clone());
    let spec: SecretStoreSpec = serde_json::from_value(json!({ "provider": { "aws": settings } })).unwrap();
    let store = StoreIdentity {
        namespace: Some("apps".to_owned()),
        name: "store".to_owned(),
        user_namespace: "apps".to_owned(),
    };
    connect(&spec, &ConnectContext { store: &store, credentials, network: true }).await
}

async fn store(service: &str, more: Value) -> StoreConnection {
    let mut settings = json!({ "service": service });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open(settings, &Credentials::of(cloud())).await.unwrap()
}

async fn get(store: &StoreConnection, key: &str, version: Option<&str>) -> Result<String, ProviderErrorKind> {
    let remote = RemoteKey { key: key.to_owned(), version: version.map(str::to_owned) };
    let found = store.reader.as_ref().unwrap().get(&remote).await.map_err(|error| error.kind)?;
    let RemoteValue::Bytes(value) = found.value else { panic!("AWS has bytes") };
    Ok(value.expose_str().unwrap().to_owned())
}

async fn metadata(store: &StoreConnection, key: &str) -> Value {
    let remote = RemoteKey { key: key.to_owned(), version: None };
    let text = store.reader.as_ref().unwrap().metadata(&remote).await.unwrap();
    serde_json::from_slice(text.expose()).unwrap()
}

async fn find(store: &StoreConnection, find: Find) -> Result<BTreeMap<String, String>, ProviderErrorKind> {
    let found = store.reader.as_ref().unwrap().find(&find).await.map_err(|error| error.kind)?;
    let text = |value| match value {
        RemoteValue::Bytes(value) => value.expose_str().unwrap().to_owned(),
        RemoteValue::Entries(_) => panic!("AWS has bytes"),
    };
    Ok(found.into_iter().map(|(name, secret)| (name, text(secret.value))).collect())
}

fn target(key: &str, property: Option<&str>, spec: Value) -> PushTarget {
    let metadata = json!({ "apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata", "spec": spec });
    PushTarget {
        key: key.to_owned(),
        property: property.map(str::to_owned),
        metadata: Some(metadata),
        ..PushTarget::default()
    }
}

async fn put(store: &StoreConnection, target: &PushTarget, value: &str) -> Result<(), ProviderErrorKind> {
    store.writer.as_ref().unwrap().put(target, &value.into()).await.map_err(|error| error.kind)
}

async fn delete(store: &StoreConnection, key: &str) -> Result<(), ProviderErrorKind> {
    let target = target(key, None, json!({}));
    store.writer.as_ref().unwrap().delete(&target).await.map_err(|error| error.kind)
}

async fn exists(store: &StoreConnection, key: &str) -> bool {
    store.writer.as_ref().unwrap().exists(&target(key, None, json!({}))).await.unwrap()
}
