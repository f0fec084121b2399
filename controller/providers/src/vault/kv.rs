//! Values of a KV store, read.

use std::sync::Arc;

use sealops_formats::Plaintext;

use super::client::Call;
use super::paths::{KvVersion, Mount};
use super::{BACKEND, Json, Session};
use crate::{
    BoxFuture, Dialect, Find, PropertyRule, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret,
    RemoteValue, SecretsReader, StoreCheck, Validation, ValueRule,
};

/// What Vault itself knows about a value and `metadataPolicy: Fetch` returns beside the custom metadata.
const OWN_METADATA: [&str; 3] = ["created_time", "current_version", "delete_version_after"];

/// A KV store. Clones share the session.
#[derive(Clone)]
pub(crate) struct KvStore(pub(super) Arc<Kv>);

/// The store and what reads and writes of it have in common.
pub(super) struct Kv {
    pub(super) session: Session,
    pub(super) mount: Mount,
    /// Whether writes name the version that they replace.
    pub(super) check_and_set: bool,
}

/// A value as it was read.
pub(super) struct Found {
    /// A map.
    pub(super) data: Json,
    pub(super) version: Option<i64>,
}

impl Kv {
    /// Reads a value.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::NotFound`] where there is none, or where its version was deleted or destroyed.
    pub(super) async fn read(&self, key: &str, version: Option<&str>) -> Result<Found, ProviderErrorKind> {
        let path = self.mount.data(key);
        let mut call = Call::get(&path);
        call.query.extend(version.filter(|version| !version.is_empty()).map(|version| ("version", version)));
        let data = self.session.call(&call).await?.and_then(|answer| answer.take("data"));
        let data = data.ok_or(ProviderErrorKind::NotFound)?;
        let found = match (self.mount.version, data) {
            (KvVersion::V1, data) => Found { data, version: None },
            (KvVersion::V2, Json::Map(mut parts)) => {
                let missing = || {
                    ProviderErrorKind::Failed(format!(
                        "failed to find data field in {path}: the store is no KV store of version 2"
                    ))
                };
                let data = parts.remove("data").ok_or_else(missing)?;
                let version = parts.get("metadata").and_then(|metadata| metadata.integer_at("version"));
                Found { data, version }
            }
            (KvVersion::V2, _) => return Err(no_map(&path)),
        };
        match found.data {
            Json::Map(_) => Ok(found),
            Json::Null => Err(ProviderErrorKind::NotFound),
            _ => Err(no_map(&path)),
        }
    }

    /// Reads what is known about a value; `None` where there is nothing.
    pub(super) async fn metadata(&self, path: &str) -> Result<Option<Json>, ProviderErrorKind> {
        match self.session.call(&Call::get(path)).await {
            Ok(answer) => Ok(answer.and_then(|answer| answer.take("data"))),
            Err(ProviderErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn described(&self, key: &str) -> Result<Json, ProviderErrorKind> {
        if self.mount.version == KvVersion::V1 {
            let text = "cannot perform metadata fetch operations with kv version v1";
            return Err(ProviderErrorKind::Failed(text.to_owned()));
        }
        // Upstream counts a value without metadata as a failure, not as a value that is gone.
        let missing = || ProviderErrorKind::Failed("secret not found".to_owned());
        let found = self.metadata(&self.mount.metadata(key)).await?.ok_or_else(missing)?;
        let own = OWN_METADATA.iter().filter_map(|name| {
            let value = match found.get(name)? {
                Json::Text(text) | Json::Number(text) => text.duplicate(),
                other => other.to_text(),
            };
            Some(((*name).to_owned(), Json::Text(value)))
        });
        let mut all: Vec<(String, Json)> = own.collect();
        if let Some(Json::Map(custom)) = found.take("custom_metadata") {
            all.extend(custom.into_iter().map(|(name, value)| (name, Json::Text(value.into_bytes()))));
        }
        Ok(Json::map(all))
    }
}

fn no_map(path: &str) -> ProviderErrorKind {
    ProviderErrorKind::Failed(format!("failed to unmarshall JSON: what is at {path} is no map of values"))
}

impl Found {
    /// Returns the value as upstream hands it on: JSON with sorted keys, numbers as they stand.
    pub(super) fn into_secret(self) -> RemoteSecret {
        let version = self.version.map(|version| version.to_string());
        RemoteSecret { value: RemoteValue::Bytes(self.data.to_text()), version }
    }
}

pub(super) fn fail(operation: &'static str, target: &str, kind: ProviderErrorKind) -> ProviderError {
    ProviderError { backend: BACKEND.to_owned(), operation, target: target.to_owned(), kind }
}

impl SecretsReader for KvStore {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async move {
            let found = self.0.read(&remote.key, remote.version.as_deref()).await;
            found.map(Found::into_secret).map_err(|kind| fail("get", &remote.key, kind))
        })
    }

    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async move {
            let found = self.0.described(&remote.key).await;
            found.map(|found| found.to_text()).map_err(|kind| fail("metadata", &remote.key, kind))
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<std::collections::BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async move {
            let target = find.path.as_deref().unwrap_or("the store");
            super::find::find(&self.0, find).await.map_err(|kind| fail("find", target, kind))
        })
    }

    fn dialect(&self) -> Dialect {
        Dialect { property: PropertyRule::LiteralThenPath, values: ValueRule::Rewritten }
    }
}

impl StoreCheck for KvStore {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async move {
            let address = self.0.session.client().address();
            let checked = self.0.session.check().await;
            checked.map(|()| Validation::Ready).map_err(|kind| fail("check", address, kind))
        })
    }
}
