//! Which store an entry reads from.

use std::collections::BTreeMap;

use sealops_crds::external_secret::{SourceRef, StoreKind, StoreRef};
use sealops_crds::secret_store::SecretStoreSpec;
use sealops_crds::{ExternalSecret, SecretStore};
use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, ConnectContext, CredentialSource, ProviderErrorKind, Selector, StoreConnection, StoreIdentity,
    TokenRequest, connect,
};

use crate::object::{ClusterReader, ObjectReader};

/// Opens the store of an entry.
///
/// # Errors
/// Returns the reason in words, without values.
pub(super) async fn open(
    external: &ExternalSecret,
    source: Option<&SourceRef>,
    cluster: &dyn ClusterReader,
    objects: &dyn ObjectReader,
) -> Result<StoreConnection, String> {
    if source.is_some_and(|source| source.generator_ref.is_some()) {
        return Err("generators are not supported by this version of sealops yet".to_owned());
    }
    let reference =
        source.and_then(|source| source.store_ref.as_ref()).or(external.spec.secret_store_ref.as_ref());
    let reference = reference.ok_or("no store is named")?;
    let spec = read(external, reference, cluster, objects).await?;
    if spec.controller.as_deref().is_some_and(|class| !class.is_empty()) {
        return Err(
            "the store names a controller class, which is not supported by this version of sealops yet"
                .to_owned(),
        );
    }
    let store = identity(external, reference);
    let context = ConnectContext { store: &store, credentials: &NoCredentials, network: false };
    connect(&spec, &context).await.map_err(|error| error.to_string())
}

fn identity(external: &ExternalSecret, reference: &StoreRef) -> StoreIdentity {
    let user_namespace = external.metadata.namespace.clone().unwrap_or_default();
    let is_cluster = matches!(reference.kind, Some(StoreKind::ClusterSecretStore));
    StoreIdentity {
        namespace: (!is_cluster).then(|| user_namespace.clone()),
        name: reference.name.clone().unwrap_or_default(),
        user_namespace,
    }
}

/// Nothing is given out: no provider that needs credentials is connected yet.
struct NoCredentials;

fn none<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, ProviderErrorKind>> {
    Box::pin(async { Err(ProviderErrorKind::Forbidden("no credentials are given out here".to_owned())) })
}

impl CredentialSource for NoCredentials {
    fn secret<'a>(&'a self, _: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        none()
    }

    fn secret_entries<'a>(
        &'a self,
        _: &'a Selector,
        _: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, ProviderErrorKind>> {
        none()
    }

    fn config_map<'a>(&'a self, _: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        none()
    }

    fn token<'a>(&'a self, _: &'a TokenRequest) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        none()
    }

    fn service_account_annotations<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, ProviderErrorKind>> {
        none()
    }
}

async fn read(
    external: &ExternalSecret,
    reference: &StoreRef,
    cluster: &dyn ClusterReader,
    objects: &dyn ObjectReader,
) -> Result<SecretStoreSpec, String> {
    let name = reference.name.as_deref().unwrap_or_default();
    let missing = |kind: &str| format!("could not get {kind} \"{name}\", it does not exist");
    match reference.kind.as_ref() {
        None | Some(StoreKind::SecretStore) => {
            let store = objects.secret_store(name).await.map_err(|error| error.to_string())?;
            Ok(store.ok_or_else(|| missing(SecretStore::KIND))?.spec)
        }
        Some(StoreKind::ClusterSecretStore) => {
            let store = cluster.cluster_secret_store(name).await.map_err(|error| error.to_string())?;
            let spec = store.ok_or_else(|| missing("ClusterSecretStore"))?.spec;
            if !spec.conditions.is_empty() && !allowed(external, &spec, cluster).await? {
                let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
                return Err(format!(
                    "using cluster store \"{name}\" is not allowed from namespace \"{namespace}\": denied by spec.condition"
                ));
            }
            Ok(spec)
        }
        Some(StoreKind::Other(kind)) => Err(format!("the store kind {kind:?} is not known")),
    }
}

/// Judges the conditions of a cluster store: one of them has to match. Selectors and regular expressions are not
/// evaluated yet and count as no match, which denies.
async fn allowed(
    external: &ExternalSecret,
    spec: &SecretStoreSpec,
    cluster: &dyn ClusterReader,
) -> Result<bool, String> {
    let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
    let labels =
        cluster.namespace_labels(namespace).await.map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(spec.conditions.iter().any(|condition| {
        let by_name = condition.namespaces.iter().any(|name| name == namespace);
        let by_labels = condition.namespace_selector.as_ref().is_some_and(|selector| {
            let wanted = selector.match_labels.clone().unwrap_or_default();
            selector.match_expressions.is_empty()
                && !wanted.is_empty()
                && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        });
        by_name || by_labels
    }))
}
