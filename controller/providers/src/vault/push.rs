//! Values of a KV store, written: only those that carry the mark of external-secrets, or are new.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;

use super::Json;
use super::client::{Call, VERSION_CHANGED, Verb};
use super::kv::{Kv, KvStore, fail};
use super::paths::KvVersion;
use crate::{BoxFuture, ProviderError, ProviderErrorKind, PushTarget, SecretsWriter};

const MARK: &str = "managed-by";
const MARK_VALUE: &str = "external-secrets";
/// The entry of a value in which version 1 keeps the mark.
const CUSTOM: &str = "custom_metadata";

/// How often a value that somebody else writes at the same time is read and written anew.
const MAX_RACES: u32 = 5;

/// What is there already; empty where there is nothing.
#[derive(Default)]
struct Existing {
    /// Without the mark; `None` where there is no value.
    data: Option<BTreeMap<String, Json>>,
    /// Metadata of users, and the mark.
    custom: BTreeMap<String, Json>,
    is_ours: bool,
    /// The version that a write replaces; deleted ones count.
    version: i64,
}

impl Kv {
    async fn existing(&self, key: &str) -> Result<Existing, ProviderErrorKind> {
        let found = match self.read(key, None).await {
            Ok(found) => Some(found),
            Err(ProviderErrorKind::NotFound) => None,
            Err(error) => return Err(error),
        };
        let mut existing = Existing::default();
        if let Some(found) = found {
            existing.version = found.version.unwrap_or(0);
            existing.data = Some(entries(Some(found.data)));
        }
        match self.mount.version {
            KvVersion::V1 => {
                existing.custom = entries(existing.data.as_mut().and_then(|data| data.remove(CUSTOM)))
            }
            KvVersion::V2 => {
                let metadata = self.metadata(&self.mount.metadata(key)).await?;
                if existing.data.is_none() {
                    let version = metadata.as_ref().and_then(|found| found.integer_at("current_version"));
                    existing.version = version.unwrap_or(0);
                }
                existing.custom = entries(metadata.and_then(|found| found.take(CUSTOM)));
            }
        }
        existing.is_ours = is_marked(&existing.custom);
        if let Some(former) =
            self.mount.former_metadata(key).filter(|_| existing.data.is_some() && !existing.is_ours)
        {
            let metadata = self.metadata(&former).await?;
            existing.is_ours = is_marked(&entries(metadata.and_then(|found| found.take(CUSTOM))));
        }
        Ok(existing)
    }

    /// Repeats what lost a race against another writer.
    async fn racing<A>(&self, attempt: impl Fn() -> A) -> Result<(), ProviderErrorKind>
    where
        A: Future<Output = Result<(), ProviderErrorKind>>,
    {
        for _ in 1..MAX_RACES {
            match attempt().await {
                Err(ProviderErrorKind::Failed(text)) if text.ends_with(VERSION_CHANGED) => {}
                result => return result,
            }
        }
        attempt().await
    }

    async fn put(&self, target: &PushTarget, value: &Plaintext) -> Result<(), ProviderErrorKind> {
        let existing = self.existing(&target.key).await?;
        if existing.data.is_some() && !existing.is_ours {
            return Err(ProviderErrorKind::Forbidden("secret not managed by external-secrets".to_owned()));
        }
        let Existing { data, custom, version, .. } = existing;
        let (wanted, cas) = match property(target) {
            None => {
                let Some(Json::Map(wanted)) = Json::parse(value) else {
                    let text = "error unmarshalling vault secret: invalid JSON format";
                    return Err(ProviderErrorKind::Failed(text.to_owned()));
                };
                if data.as_ref().is_some_and(|data| is_same(data, &wanted, self.mount.version)) {
                    return Ok(());
                }
                (wanted, self.check_and_set)
            }
            Some(name) => match merged(data.unwrap_or_default(), name, value)? {
                Some(merged) => (merged, true),
                None => return Ok(()),
            },
        };
        self.write(&target.key, wanted, custom, cas.then_some(version)).await
    }

    /// Writes a value and its mark. Version 2: the mark first, so that what is written is never unmarked.
    async fn write(
        &self,
        key: &str,
        mut data: BTreeMap<String, Json>,
        mut custom: BTreeMap<String, Json>,
        replaces: Option<i64>,
    ) -> Result<(), ProviderErrorKind> {
        custom.insert(MARK.to_owned(), Json::text(MARK_VALUE));
        let path = self.mount.data(key);
        if self.mount.version == KvVersion::V1 {
            data.insert(CUSTOM.to_owned(), Json::Map(custom));
            return self.session.call(&Call::put(&path, Json::Map(data))).await.map(drop);
        }
        let metadata = self.mount.metadata(key);
        self.session.call(&Call::put(&metadata, Json::map([(CUSTOM, Json::Map(custom))]))).await?;
        self.write_data(&path, data, replaces).await
    }

    async fn write_data(
        &self,
        path: &str,
        data: BTreeMap<String, Json>,
        replaces: Option<i64>,
    ) -> Result<(), ProviderErrorKind> {
        let mut body = vec![("data", Json::Map(data))];
        if let Some(version) = replaces {
            let version = Json::Number(version.to_string().into());
            body.push(("options", Json::map([("cas", version)])));
        }
        self.session.call(&Call::put(path, Json::map(body))).await.map(drop)
    }

    async fn delete(&self, target: &PushTarget) -> Result<(), ProviderErrorKind> {
        let existing = self.existing(&target.key).await?;
        let Some(mut data) = existing.data.filter(|_| existing.is_ours) else {
            // As upstream: what is not ours is not to be deleted, and that is no failure.
            return Ok(());
        };
        let path = self.mount.data(&target.key);
        if let Some(name) = property(target) {
            if data.remove(name).is_none() {
                return Ok(());
            }
            if !data.is_empty() {
                return match self.mount.version {
                    KvVersion::V1 => self.write(&target.key, data, existing.custom, None).await,
                    KvVersion::V2 => self.write_data(&path, data, Some(existing.version)).await,
                };
            }
        }
        self.remove(&path).await?;
        if self.mount.version == KvVersion::V2 {
            self.remove(&self.mount.metadata(&target.key)).await?;
        }
        Ok(())
    }

    async fn remove(&self, path: &str) -> Result<(), ProviderErrorKind> {
        match self.session.call(&Call::new(Verb::Delete, path)).await {
            Ok(_) | Err(ProviderErrorKind::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn exists(&self, target: &PushTarget) -> Result<bool, ProviderErrorKind> {
        let found = match self.read(&target.key, None).await {
            Ok(found) => found,
            Err(ProviderErrorKind::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(name) = property(target) else { return Ok(true) };
        if found.data.get(name).is_some() {
            return Ok(true);
        }
        Ok(name.split('.').try_fold(&found.data, |value, key| value.get(key)).is_some())
    }
}

/// Returns the entries with one set; `None` where it is set already.
fn merged(
    mut entries: BTreeMap<String, Json>,
    name: &str,
    value: &Plaintext,
) -> Result<Option<BTreeMap<String, Json>>, ProviderErrorKind> {
    match entries.get(name) {
        Some(Json::Text(text)) if text.ct_eq(value) => return Ok(None),
        Some(Json::Text(_)) | None => {}
        Some(_) => {
            let text = format!("error converting {name} to string: it is no text in the store");
            return Err(ProviderErrorKind::Failed(text));
        }
    }
    if value.expose_str().is_none() {
        let text = "the value is not UTF-8, which a property in Vault has to be: encode it first";
        return Err(ProviderErrorKind::Invalid(text.to_owned()));
    }
    entries.insert(name.to_owned(), Json::Text(value.duplicate()));
    Ok(Some(entries))
}

fn property(target: &PushTarget) -> Option<&str> {
    target.property.as_deref().filter(|property| !property.is_empty())
}

fn entries(value: Option<Json>) -> BTreeMap<String, Json> {
    match value {
        Some(Json::Map(entries)) => entries,
        _ => BTreeMap::new(),
    }
}

fn is_marked(custom: &BTreeMap<String, Json>) -> bool {
    matches!(custom.get(MARK), Some(Json::Text(text)) if text.expose_str() == Some(MARK_VALUE))
}

/// Compares values, nested ones too. Version 2 keeps numbers as doubles, so more of them is not compared there.
fn is_same(one: &BTreeMap<String, Json>, other: &BTreeMap<String, Json>, version: KvVersion) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((name, one), (other_name, other))| {
            name == other_name && is_same_value(one, other, version)
        })
}

fn is_same_value(one: &Json, other: &Json, version: KvVersion) -> bool {
    let double = |number: &Plaintext| number.expose_str().and_then(|text| text.parse::<f64>().ok());
    match (one, other) {
        (Json::Null, Json::Null) => true,
        (Json::Bool(one), Json::Bool(other)) => one == other,
        (Json::Text(one), Json::Text(other)) => one.ct_eq(other),
        (Json::Number(one), Json::Number(other)) => {
            one.ct_eq(other)
                || (version == KvVersion::V2 && double(one).is_some_and(|one| double(other) == Some(one)))
        }
        (Json::List(one), Json::List(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same_value(one, other, version))
        }
        (Json::Map(one), Json::Map(other)) => is_same(one, other, version),
        _ => false,
    }
}

impl SecretsWriter for KvStore {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            self.0.racing(|| self.0.put(target, value)).await.map_err(|kind| fail("push", &target.key, kind))
        })
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            self.0.racing(|| self.0.delete(target)).await.map_err(|kind| fail("delete", &target.key, kind))
        })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(
            async move { self.0.exists(target).await.map_err(|kind| fail("look for", &target.key, kind)) },
        )
    }
}
