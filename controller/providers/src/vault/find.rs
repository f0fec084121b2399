//! Values of a KV store, found by name or tags: folders and values are read several at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crypto::sops::GoRegex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Json;
use super::client::{Call, Verb};
use super::kv::{Found, Kv};
use super::paths::KvVersion;
use crate::{Find, ProviderErrorKind, RemoteSecret};

/// Requests at once.
const PARALLEL: usize = 16;
/// Most names below a path.
const MAX_NAMES: usize = 100_000;

/// Finds values. Their names are paths from the mount.
///
/// # Errors
/// Returns [`ProviderErrorKind::NotFound`] where there is no such folder.
pub(super) async fn find(
    kv: &Arc<Kv>,
    wanted: &Find,
) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
    if kv.mount.version == KvVersion::V1 && !wanted.tags.is_empty() {
        let text = "cannot perform find by tag operations with kv version v1";
        return Err(ProviderErrorKind::Failed(text.to_owned()));
    }
    let regex = wanted.name.as_deref().map(GoRegex::new).transpose().map_err(|error| {
        ProviderErrorKind::Invalid(format!("could not compile find.name.regexp: {error}"))
    })?;
    let folder = wanted.path.as_deref().filter(|path| !path.is_empty()).map(|path| format!("{path}/"));
    if folder.is_none() && kv.mount.path.is_none() {
        return Err(ProviderErrorKind::Invalid(
            "find needs a path: the store names no mount (spec.provider.vault.path)".to_owned(),
        ));
    }
    let mut names = list(kv, folder.unwrap_or_default()).await?;
    // Upstream looks at tags only where there is no name.
    let tags = match regex {
        Some(regex) => {
            names.retain(|name| regex.is_match(name.as_bytes()));
            BTreeMap::new()
        }
        None => wanted.tags.clone(),
    };
    read(kv, names, tags).await
}

/// Returns all names in a folder and those below.
async fn list(kv: &Arc<Kv>, top: String) -> Result<Vec<String>, ProviderErrorKind> {
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut running = JoinSet::new();
    let ask = |running: &mut JoinSet<_>, folder: String, is_top: bool| {
        let (kv, permits) = (Arc::clone(kv), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire().await;
            (list_one(&kv, &folder).await, folder, is_top)
        });
    };
    ask(&mut running, top, true);
    let mut names = Vec::new();
    let mut seen = 0;
    while let Some(done) = running.join_next().await {
        let (keys, folder, is_top) = done.map_err(|_| interrupted())?;
        let keys = match keys {
            // Gone since its parent was listed.
            Err(ProviderErrorKind::NotFound) if !is_top => continue,
            keys => keys?,
        };
        seen += keys.len();
        if seen > MAX_NAMES {
            return Err(ProviderErrorKind::Failed(format!("there are more than {MAX_NAMES} names")));
        }
        for key in keys {
            let name = format!("{folder}{key}");
            if name.ends_with('/') {
                ask(&mut running, name, false);
            } else {
                names.push(name);
            }
        }
    }
    Ok(names)
}

async fn list_one(kv: &Kv, folder: &str) -> Result<Vec<String>, ProviderErrorKind> {
    let path = kv.mount.metadata(folder);
    let answer = kv.session.call(&Call::new(Verb::List, &path)).await?;
    let data = answer.and_then(|answer| answer.take("data")).ok_or(ProviderErrorKind::NotFound)?;
    let Some(Json::List(keys)) = data.take("keys") else { return Ok(Vec::new()) };
    let name = |key: &Json| match key {
        Json::Text(text) => text.expose_str().map(str::to_owned),
        _ => None,
    };
    Ok(keys.iter().filter_map(name).collect())
}

/// Reads values by name; those that are gone, and those that lack a tag, are left out.
async fn read(
    kv: &Arc<Kv>,
    names: Vec<String>,
    tags: BTreeMap<String, String>,
) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
    let (permits, tags) = (Arc::new(Semaphore::new(PARALLEL)), Arc::new(tags));
    let mut running = JoinSet::new();
    for name in names {
        let (kv, permits, tags) = (Arc::clone(kv), Arc::clone(&permits), Arc::clone(&tags));
        running.spawn(async move {
            let _permit = permits.acquire().await;
            let found = match has_tags(&kv, &name, &tags).await {
                Ok(true) => kv.read(&name, None).await.map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            (name, found)
        });
    }
    let mut all = BTreeMap::new();
    while let Some(done) = running.join_next().await {
        let (name, found) = done.map_err(|_| interrupted())?;
        match found {
            Ok(Some(found)) => _ = all.insert(name, Found::into_secret(found)),
            Ok(None) | Err(ProviderErrorKind::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn has_tags(kv: &Kv, name: &str, tags: &BTreeMap<String, String>) -> Result<bool, ProviderErrorKind> {
    if tags.is_empty() {
        return Ok(true);
    }
    let metadata = kv.metadata(&kv.mount.metadata(name)).await?;
    let custom = metadata.and_then(|metadata| metadata.take("custom_metadata"));
    Ok(tags.iter().all(|(tag, value)| {
        custom.as_ref().and_then(|custom| custom.str_at(tag)).is_some_and(|found| found == value)
    }))
}

fn interrupted() -> ProviderErrorKind {
    ProviderErrorKind::Unavailable("a request was interrupted".to_owned())
}
