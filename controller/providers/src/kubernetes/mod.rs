//! Secrets of a namespace, in this cluster or another, as a store.
//!
//! The client is built from the store's settings alone: the controller's own is never used.
//!
//! ```text
//!   KubernetesProvider ─connect─► Endpoint { address, TLS, token } ─► Api ─► reader, writer, check
//!                       └ or a kubeconfig in a Secret
//! ```

mod api;
mod connect;
mod kubeconfig;
mod push;

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crds::secret_store::Provider;
use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;

use crate::json::Json;
use crate::{
    BoxFuture, Dialect, Find, PropertyRule, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret,
    RemoteValue, SecretsReader, StoreCheck, Validation, ValueRule,
};

use api::{Api, Object};
pub(crate) use connect::connect;

/// A store over one namespace.
#[derive(Clone)]
pub(crate) struct KubernetesStore {
    api: Arc<Api>,
    /// Whether the store is a ClusterSecretStore, which may push into other namespaces.
    is_cluster: bool,
}

fn fail(operation: &'static str, target: &str, kind: ProviderErrorKind) -> ProviderError {
    ProviderError { backend: Provider::KUBERNETES.to_owned(), operation, target: target.to_owned(), kind }
}

impl KubernetesStore {
    async fn read(&self, operation: &'static str, name: &str) -> Result<Object, ProviderError> {
        let found = self.api.get(self.api.namespace(), name).await;
        found
            .and_then(|found| found.ok_or(ProviderErrorKind::NotFound))
            .map_err(|kind| fail(operation, name, kind))
    }

    /// Labels select where there are any; else names are matched. Upstream ignores a name beside labels.
    async fn matching(&self, find: &Find) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let regex = match (&find.name, find.tags.is_empty()) {
            (_, false) => None,
            (Some(pattern), true) => Some(GoRegex::new(pattern).map_err(|error| {
                ProviderErrorKind::Invalid(format!("could not compile find.name.regexp [{pattern}]: {error}"))
            })?),
            (None, true) => return Err(ProviderErrorKind::Unsupported("find without name.regexp or tags")),
        };
        let objects = self.api.list(&find.tags).await?;
        let fits =
            |object: &Object| regex.as_ref().is_none_or(|regex| regex.is_match(object.name().as_bytes()));
        Ok(objects
            .into_iter()
            .filter(fits)
            .map(|object| (object.name().to_owned(), secret(object)))
            .collect())
    }
}

fn secret(object: Object) -> RemoteSecret {
    RemoteSecret { version: object.resource_version(), value: RemoteValue::Entries(object.into_data()) }
}

impl SecretsReader for KubernetesStore {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async move { self.read("get", &remote.key).await.map(secret) })
    }

    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async move {
            let object = self.read("metadata", &remote.key).await?;
            let map = |entries: &BTreeMap<String, Plaintext>| {
                Json::map(entries.iter().map(|(key, value)| (key.as_str(), Json::Text(value.duplicate()))))
            };
            let parts = [("annotations", map(&object.annotations)), ("labels", map(&object.labels))];
            Ok(Json::map(parts).to_text())
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async move { self.matching(find).await.map_err(|kind| fail("find", "the namespace", kind)) })
    }

    fn dialect(&self) -> Dialect {
        Dialect { property: PropertyRule::Entry, values: ValueRule::Raw }
    }
}

impl StoreCheck for KubernetesStore {
    /// A login that is refused leaves the question open, as upstream has it: the store counts as ready.
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async move {
            match self.api.may_read_secrets().await {
                Ok(true) => Ok(Validation::Ready),
                Ok(false) => {
                    let text = "client is not allowed to get secrets".to_owned();
                    Err(fail("validate", self.api.namespace(), ProviderErrorKind::Denied(text)))
                }
                Err(kind) => Ok(Validation::Unclear(format!("could not verify if client is valid: {kind}"))),
            }
        })
    }
}
