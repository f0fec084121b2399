//! Stores opened at each use: for a folder, where nothing lasts. And the one place where a connection is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, ConnectContext, Dialect, Find, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret,
    SecretsWriter, StoreConnection, StoreIdentity, connect,
};

use super::credentials::{Credentials, StoreEnvironment, Used};
use super::store::{Freshness, StoreHandle, StoreObject, StoreRules, Stores};
use crate::object::ClusterReader;

/// Opens a connection, and returns what it was given.
///
/// # Errors
/// Returns the provider's reason, beside what was asked for until then.
pub async fn connect_once(
    store: &StoreObject,
    user_namespace: &str,
    cluster: &dyn ClusterReader,
    environment: &StoreEnvironment,
) -> (Result<StoreConnection, ProviderError>, Used) {
    let identity = StoreIdentity {
        namespace: store.key.namespace.clone(),
        name: store.key.name.clone(),
        user_namespace: user_namespace.to_owned(),
    };
    let credentials = Credentials::new(&identity, cluster, environment);
    let context =
        ConnectContext { store: &identity, credentials: &credentials, network: environment.network };
    let connection = connect(&store.spec, &context).await;
    let used = credentials.used();
    (connection, used)
}

/// Opens a connection for each use: for a folder, where nothing lasts.
#[derive(Default)]
pub struct DirectStores {
    rules: StoreRules,
    environment: StoreEnvironment,
}

impl DirectStores {
    /// Makes it.
    pub fn new(rules: StoreRules, environment: StoreEnvironment) -> Self {
        Self { rules, environment }
    }
}

impl Stores for DirectStores {
    fn rules(&self) -> &StoreRules {
        &self.rules
    }

    fn open<'a>(
        &'a self,
        store: &'a StoreObject,
        user_namespace: &'a str,
        cluster: &'a dyn ClusterReader,
    ) -> BoxFuture<'a, Result<Arc<dyn StoreHandle>, ProviderError>> {
        Box::pin(async move {
            let (connection, _) = connect_once(store, user_namespace, cluster, &self.environment).await;
            let provider = store.spec.provider.as_ref().map_or("unknown", |provider| provider.name());
            let handle = Direct { connection: connection?, provider: provider.to_owned() };
            Ok(Arc::new(handle) as Arc<dyn StoreHandle>)
        })
    }
}

struct Direct {
    connection: StoreConnection,
    provider: String,
}

impl Direct {
    fn reader(
        &self,
        operation: &'static str,
    ) -> Result<&dyn sealops_providers::SecretsReader, ProviderError> {
        self.connection.reader.as_deref().ok_or_else(|| ProviderError {
            backend: self.provider.clone(),
            operation,
            target: "the store".to_owned(),
            kind: ProviderErrorKind::Unsupported("reading"),
        })
    }
}

impl StoreHandle for Direct {
    fn dialect(&self) -> Option<Dialect> {
        self.connection.reader.as_ref().map(|reader| reader.dialect())
    }

    fn get<'a>(
        &'a self,
        remote: &'a RemoteKey,
        property: Option<&'a str>,
        _: Freshness,
    ) -> BoxFuture<'a, Result<Arc<RemoteSecret>, ProviderError>> {
        Box::pin(async move { Ok(Arc::new(self.reader("get")?.get_property(remote, property).await?)) })
    }

    fn metadata<'a>(
        &'a self,
        remote: &'a RemoteKey,
        _: Freshness,
    ) -> BoxFuture<'a, Result<Arc<Plaintext>, ProviderError>> {
        Box::pin(async move { Ok(Arc::new(self.reader("metadata")?.metadata(remote).await?)) })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
        _: Freshness,
    ) -> BoxFuture<'a, Result<Arc<BTreeMap<String, RemoteSecret>>, ProviderError>> {
        Box::pin(async move { Ok(Arc::new(self.reader("find")?.find(find).await?)) })
    }

    fn writer(&self) -> Option<&dyn SecretsWriter> {
        self.connection.writer.as_deref()
    }
}
