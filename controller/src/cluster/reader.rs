//! The cluster as something that reconcilers read from: live GETs, one namespace at a time.

use std::collections::BTreeMap;

use sealops_crds::generators::ClusterGenerator;
use sealops_crds::{ClusterSecretStore, Metadata, SecretStore};
use sealops_formats::Plaintext;
use serde_json::Value;

use super::api::SecretApi;
use crate::object::{
    BoxFuture, ClusterReader, ConfigMapObject, ManifestKind, ManifestObject, ObjectKey, ObjectReader,
    ReadError, SecretObject, ServedKind, TokenAsk,
};

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

    fn cluster_generator<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterGenerator>, ReadError>> {
        Box::pin(async move { self.api.object(&ObjectKey::new("", name)).await })
    }

    fn served<'a>(&'a self, kind: &'a ManifestKind) -> BoxFuture<'a, Result<Option<ServedKind>, ReadError>> {
        Box::pin(async move { self.api.served(kind).await })
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

impl LiveNamespace {
    /// Returns the key of a name that an object may have. Names come from specs and go into paths: with `../` one would
    /// reach another namespace, if a definition without patterns let it pass.
    fn key(&self, name: &str) -> Option<ObjectKey> {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let is_name = name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(fits);
        is_name.then(|| ObjectKey::new(self.namespace.as_str(), name))
    }
}

impl ObjectReader for LiveNamespace {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        Box::pin(async move {
            match self.key(name) {
                Some(key) => self.api.secret(&key).await,
                None => Ok(None),
            }
        })
    }

    fn config_map<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        Box::pin(async move {
            match self.key(name) {
                Some(key) => self.api.config_map(&key).await,
                None => Ok(None),
            }
        })
    }

    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        Box::pin(async move {
            match self.key(name) {
                Some(key) => self.api.object(&key).await,
                None => Ok(None),
            }
        })
    }

    fn service_account<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Metadata>, ReadError>> {
        Box::pin(async move {
            match self.key(name) {
                Some(key) => self.api.service_account(&key).await,
                None => Ok(None),
            }
        })
    }

    fn generator<'a>(
        &'a self,
        plural: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>, ReadError>> {
        Box::pin(async move {
            match self.key(name) {
                Some(key) => self.api.generator_settings(plural, &key).await,
                None => Ok(None),
            }
        })
    }

    fn manifest<'a>(
        &'a self,
        served: &'a ServedKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ManifestObject>, ReadError>> {
        Box::pin(async move {
            match self.key(name) {
                Some(key) => self.api.manifest(served, &key).await,
                None => Ok(None),
            }
        })
    }

    fn token<'a>(
        &'a self,
        account: &'a str,
        ask: &'a TokenAsk,
    ) -> BoxFuture<'a, Result<Plaintext, ReadError>> {
        Box::pin(async move {
            let key = self.key(account).ok_or_else(|| ReadError {
                kind: "ServiceAccount",
                name: account.to_owned(),
                problem: "this is no name of a service account".to_owned(),
            })?;
            self.api.token(&key, ask).await
        })
    }
}
