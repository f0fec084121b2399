//! The fake provider: values that stand in the store object itself. For tests and demonstrations, as upstream's.
//!
//! What is pushed into it lives in this process, by the store's namespace and name. Upstream forgets the namespace.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use sealops_crds::secret_store::{FakeProvider, Provider};
use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;

use crate::{
    BoxFuture, Dialect, Find, PropertyRule, ProviderError, ProviderErrorKind, PushTarget, RemoteKey,
    RemoteSecret, RemoteValue, SecretsReader, SecretsWriter, StoreCheck, StoreIdentity, Validation,
    ValueRule,
};

/// Values pushed into one store, at most.
const MAX_PUSHED: usize = 1024;
/// Longest pushed value.
const MAX_PUSHED_BYTES: usize = 1 << 20;

type StoreName = (Option<String>, String);
type Pushed = BTreeMap<StoreName, BTreeMap<String, Plaintext>>;

static PUSHED: LazyLock<Mutex<Pushed>> = LazyLock::new(Mutex::default);

fn pushed() -> MutexGuard<'static, Pushed> {
    PUSHED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
pub(crate) struct FakeStore {
    settings: FakeProvider,
    name: StoreName,
}

fn fail(operation: &'static str, target: &str, kind: ProviderErrorKind) -> ProviderError {
    ProviderError { backend: Provider::FAKE.to_owned(), operation, target: target.to_owned(), kind }
}

impl FakeStore {
    pub(crate) fn new(settings: FakeProvider, store: &StoreIdentity) -> Self {
        Self { settings, name: (store.namespace.clone(), store.name.clone()) }
    }

    /// Key and version are joined to a name, as upstream does: version `v1` of `a` is also the key `av1`.
    fn value(&self, remote: &RemoteKey) -> Option<RemoteSecret> {
        let name = format!("{}{}", remote.key, remote.version.as_deref().unwrap_or_default());
        let defined = self.settings.data.iter().rev().find(|entry| {
            let version = entry.version.as_deref().unwrap_or_default();
            name.strip_prefix(entry.key.as_str()) == Some(version)
        });
        let value = match defined {
            Some(entry) => entry.value.as_bytes().into(),
            None => pushed().get(&self.name)?.get(&name)?.duplicate(),
        };
        Some(RemoteSecret { value: RemoteValue::Bytes(value), version: remote.version.clone() })
    }

    fn defines(&self, key: &str) -> bool {
        self.settings.data.iter().any(|entry| entry.key == key)
    }

    /// The newest version of each key that matches. Paths are not looked at, as upstream.
    fn matching(&self, find: &Find) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let Some(pattern) = &find.name else {
            return Err(ProviderErrorKind::Unsupported("find without name.regexp"));
        };
        let regex = GoRegex::new(pattern).map_err(|error| {
            ProviderErrorKind::Invalid(format!("could not compile find.name.regexp [{pattern}]: {error}"))
        })?;
        let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in self.settings.data.iter().filter(|entry| regex.is_match(entry.key.as_bytes())) {
            let version = entry.version.as_deref().unwrap_or_default();
            let known = newest.entry(&entry.key).or_insert(version);
            *known = (*known).max(version);
        }
        let mut found = BTreeMap::new();
        for (key, version) in newest {
            let version = Some(version.to_owned()).filter(|version| !version.is_empty());
            if let Some(value) = self.value(&RemoteKey { key: key.to_owned(), version }) {
                found.insert(key.to_owned(), value);
            }
        }
        let names: Vec<String> =
            pushed().get(&self.name).into_iter().flat_map(BTreeMap::keys).cloned().collect();
        for name in names.into_iter().filter(|name| regex.is_match(name.as_bytes())) {
            let value = self.value(&RemoteKey { key: name.clone(), version: None });
            found.extend(value.map(|value| (name, value)));
        }
        Ok(found)
    }
}

impl SecretsReader for FakeStore {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async move {
            self.value(remote).ok_or_else(|| fail("get", &remote.key, ProviderErrorKind::NotFound))
        })
    }

    /// The value itself: upstream's fake store does not look at `metadataPolicy`.
    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async move {
            match self.get(remote).await?.value {
                RemoteValue::Bytes(value) => Ok(value),
                RemoteValue::Entries(_) => Err(fail("metadata", &remote.key, ProviderErrorKind::NotFound)),
            }
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async move { self.matching(find).map_err(|kind| fail("find", "the store", kind)) })
    }

    fn dialect(&self) -> Dialect {
        Dialect { property: PropertyRule::Path, values: ValueRule::Raw }
    }
}

impl SecretsWriter for FakeStore {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let refuse =
                |text: &str| Err(fail("put", &target.key, ProviderErrorKind::Failed(text.to_owned())));
            if self.defines(&target.key) {
                return refuse("key already exists");
            }
            if value.len() > MAX_PUSHED_BYTES {
                return refuse("the value is too long for the fake store");
            }
            let mut pushed = pushed();
            let values = pushed.entry(self.name.clone()).or_default();
            if values.len() >= MAX_PUSHED && !values.contains_key(&target.key) {
                return refuse("the fake store is full");
            }
            values.insert(target.key.clone(), value.duplicate());
            Ok(())
        })
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            if let Some(values) = pushed().get_mut(&self.name) {
                values.remove(&target.key);
            }
            Ok(())
        })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        let remote = RemoteKey { key: target.key.clone(), version: None };
        Box::pin(async move { Ok(self.value(&remote).is_some()) })
    }
}

impl StoreCheck for FakeStore {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        let text = "unable to validate".to_owned();
        Box::pin(async move {
            match self.settings.validation_result {
                Some(1) => Ok(Validation::Unclear(text)),
                Some(2) => Err(fail("validate", "the store", ProviderErrorKind::Failed(text))),
                _ => Ok(Validation::Ready),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealops_crds::secret_store::FakeData;

    fn store(namespace: &str, name: &str) -> FakeStore {
        let entry = |key: &str, value: &str, version: Option<&str>| FakeData {
            key: key.into(),
            value: value.to_owned().into(),
            version: version.map(str::to_owned),
        };
        let data = vec![
            entry("/a", "one", None),
            entry("/a", "two", Some("v2")),
            entry("/a", "three", Some("v3")),
            entry("b", "b", None),
        ];
        let identity = StoreIdentity {
            namespace: Some(namespace.into()),
            name: name.into(),
            user_namespace: namespace.into(),
        };
        FakeStore::new(FakeProvider { data, ..FakeProvider::default() }, &identity)
    }

    fn text(secret: RemoteSecret) -> String {
        let RemoteValue::Bytes(value) = secret.value else { panic!("the fake store has bytes") };
        value.expose_str().unwrap().to_owned()
    }

    fn get(store: &FakeStore, key: &str, version: Option<&str>) -> Result<String, String> {
        let remote = RemoteKey { key: key.into(), version: version.map(str::to_owned) };
        pollster::block_on(store.get(&remote)).map(text).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_by_key_and_version() {
        let store = store("n", "versions");
        assert_eq!(get(&store, "/a", None).unwrap(), "one");
        assert_eq!(get(&store, "/a", Some("v2")).unwrap(), "two");
        assert_eq!(get(&store, "/av2", None).unwrap(), "two", "as upstream joins them");
        for (key, version) in [("/b", None), ("/a", Some("v4"))] {
            let error = get(&store, key, version).unwrap_err();
            assert_eq!(error, format!("fake provider: get {key}: there is no such secret"));
        }
    }

    #[test]
    fn find_returns_the_newest_version_of_what_matches() {
        let store = store("n", "find");
        let find = |name: Option<&str>| {
            let find = Find { name: name.map(str::to_owned), ..Find::default() };
            let found = pollster::block_on(store.find(&find));
            found.map(|found| found.into_iter().map(|(key, value)| (key, text(value))).collect::<Vec<_>>())
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(find(Some("^/")).unwrap(), [pair("/a", "three")]);
        assert_eq!(find(Some("")).unwrap(), [pair("/a", "three"), pair("b", "b")]);
        assert!(find(None).is_err());
        let error = find(Some("(unclosed")).unwrap_err().to_string();
        assert!(error.contains("could not compile find.name.regexp [(unclosed]"), "{error}");
    }

    #[test]
    fn what_is_pushed_is_read_from_the_store_of_that_namespace_only() {
        let (own, other) = (store("n", "push"), store("m", "push"));
        let target = PushTarget { key: "new".into(), ..PushTarget::default() };
        pollster::block_on(own.put(&target, &"value".into())).unwrap();
        assert_eq!(get(&store("n", "push"), "new", None).unwrap(), "value", "it outlives a connection");
        assert!(get(&other, "new", None).is_err(), "upstream would show it here");
        assert!(pollster::block_on(own.exists(&target)).unwrap());
        pollster::block_on(own.delete(&target)).unwrap();
        assert!(!pollster::block_on(own.exists(&target)).unwrap());
        let defined = PushTarget { key: "b".into(), ..PushTarget::default() };
        let error = pollster::block_on(own.put(&defined, &"x".into())).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Failed("key already exists".into()));
    }

    #[test]
    fn the_check_says_what_the_settings_say() {
        for (result, expected) in [
            (None, Some(Validation::Ready)),
            (Some(0), Some(Validation::Ready)),
            (Some(1), Some(Validation::Unclear("unable to validate".into()))),
            (Some(2), None),
        ] {
            let mut store = store("n", "check");
            store.settings.validation_result = result;
            assert_eq!(pollster::block_on(store.validate()).ok(), expected, "{result:?}");
        }
    }
}
