//! The cluster as something that reconcilers read from: live GETs, one namespace at a time.

use std::collections::BTreeMap;

use sealops_crds::{ClusterSecretStore, SecretStore};

use super::api::SecretApi;
use crate::object::{BoxFuture, ClusterReader, ObjectKey, ObjectReader, ReadError, SecretObject};

/// Reads from the API server.
#[derive(Clone)]
pub struct LiveReader {
    api: SecretApi,
}

impl LiveReader {
    /// Makes a reader over the controller's requests.
    pub fn new(api: SecretApi) -> Self {
        Self { api }
    }
}

impl ClusterReader for LiveReader {
    fn in_namespace(&self, namespace: &str) -> Box<dyn ObjectReader> {
        Box::new(LiveNamespace { api: self.api.clone(), namespace: namespace.to_owned() })
    }

    fn cluster_secret_store<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>> {
        Box::pin(async move { self.api.object(&ObjectKey::new("", name)).await })
    }

    fn namespace_labels<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        Box::pin(async move { Ok(self.api.namespace(name).await?.map(|metadata| metadata.labels().clone())) })
    }
}

struct LiveNamespace {
    api: SecretApi,
    namespace: String,
}

impl ObjectReader for LiveNamespace {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        Box::pin(async move { self.api.secret(&ObjectKey::new(self.namespace.as_str(), name)).await })
    }

    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        Box::pin(async move { self.api.object(&ObjectKey::new(self.namespace.as_str(), name)).await })
    }
}
