//! The fake provider: values that stand in the store object itself. For tests and demonstrations, as upstream's.

use sealops_crds::secret_store::FakeProvider;

use crate::{
    BoxFuture, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret, RemoteValue, SecretsReader,
};

pub(crate) struct FakeStore(FakeProvider);

impl FakeStore {
    pub(crate) fn new(settings: FakeProvider) -> Self {
        Self(settings)
    }

    fn find(&self, remote: &RemoteKey) -> Option<RemoteSecret> {
        let version = remote.version.as_deref().unwrap_or_default();
        let entry = self.0.data.iter().rev().find(|entry| {
            entry.key == remote.key && entry.version.as_deref().unwrap_or_default() == version
        })?;
        let value = RemoteValue::Bytes(entry.value.as_bytes().into());
        Some(RemoteSecret { value, version: entry.version.clone() })
    }
}

impl SecretsReader for FakeStore {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async move {
            self.find(remote).ok_or_else(|| ProviderError {
                backend: sealops_crds::secret_store::Provider::FAKE.to_owned(),
                operation: "get",
                target: remote.key.clone(),
                kind: ProviderErrorKind::NotFound,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealops_crds::secret_store::FakeData;

    #[test]
    fn finds_by_key_and_version() {
        let entry = |key: &str, value: &str, version: Option<&str>| FakeData {
            key: key.into(),
            value: value.to_owned().into(),
            version: version.map(str::to_owned),
        };
        let store = FakeStore::new(FakeProvider {
            data: vec![entry("/a", "one", None), entry("/a", "two", Some("v2"))],
            ..FakeProvider::default()
        });
        let get = |key: &str, version: Option<&str>| {
            let remote = RemoteKey { key: key.into(), version: version.map(str::to_owned) };
            pollster::block_on(store.get(&remote)).map(|found| {
                let RemoteValue::Bytes(value) = found.value else { panic!("the fake store has bytes") };
                value.expose().to_vec()
            })
        };
        assert_eq!(get("/a", None).unwrap(), b"one");
        assert_eq!(get("/a", Some("v2")).unwrap(), b"two");
        assert_eq!(
            get("/b", None).unwrap_err().to_string(),
            "fake provider: get /b: there is no such secret"
        );
    }
}
