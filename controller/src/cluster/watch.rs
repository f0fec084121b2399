//! Watches as streams of plain events, for all or some namespaces.

use std::collections::HashSet;
use std::fmt::Debug;

use futures::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource};
use sealops_crds::{CustomResource, Metadata};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::object::ObjectKey;

/// One thing that a watch shows.
#[derive(Debug)]
pub enum Seen<T> {
    /// The object exists as given.
    Applied(ObjectKey, T),
    /// The object is gone.
    Deleted(ObjectKey),
    /// Every object that exists in the watched namespaces has been shown; the keys are complete. Comes first, and
    /// again after a watch had to start over.
    Complete(HashSet<ObjectKey>),
}

/// Which namespaces are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// All of them.
    #[default]
    All,
    /// These.
    Some(Vec<String>),
}

/// Watches a kind of custom resource; whatever the API server holds, the watch goes on.
pub fn objects<T: CustomResource + Send + 'static>(
    client: &Client,
    namespaces: &Namespaces,
) -> BoxStream<'static, Seen<T>> {
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(T::GROUP, T::VERSION, T::KIND), T::PLURAL);
    let apis = match namespaces {
        Namespaces::All => vec![Api::<DynamicObject>::all_with(client.clone(), &resource)],
        Namespaces::Some(names) => {
            names.iter().map(|name| Api::namespaced_with(client.clone(), name, &resource)).collect()
        }
    };
    let streams = apis.into_iter().map(|api| watcher(api, config(None)).boxed()).collect();
    merge(streams, T::KIND, |object: DynamicObject| convert(&object))
}

/// Watches the metadata of Secrets; annotations pass through and are not kept.
pub fn secrets(
    client: &Client,
    namespaces: &Namespaces,
    labels: Option<&str>,
) -> BoxStream<'static, Seen<Metadata>> {
    // This type makes kube ask for metadata only.
    let apis: Vec<Api<PartialObjectMeta<Secret>>> = match namespaces {
        Namespaces::All => vec![Api::all(client.clone())],
        Namespaces::Some(names) => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
    };
    let config = config(labels);
    let streams = apis.into_iter().map(|api| watcher(api, config.clone()).boxed()).collect();
    merge(streams, "Secret", |object: PartialObjectMeta<Secret>| convert(&object.metadata))
}

/// Small pages: a page is in memory three times while it is read.
const PAGE: u32 = 100;

fn config(labels: Option<&str>) -> watcher::Config {
    let config = watcher::Config::default().page_size(PAGE);
    match labels {
        Some(labels) => config.labels(labels),
        None => config,
    }
}

fn convert<T: DeserializeOwned>(object: &impl Serialize) -> Option<T> {
    serde_json::to_value(object).ok().and_then(|value| serde_json::from_value(value).ok())
}

fn merge<K, T>(
    streams: Vec<BoxStream<'static, watcher::Result<watcher::Event<K>>>>,
    kind: &'static str,
    convert: fn(K) -> Option<T>,
) -> BoxStream<'static, Seen<T>>
where
    K: Resource + Clone + Debug + Send + 'static,
    T: Send + 'static,
{
    let total = streams.len();
    let numbered = streams
        .into_iter()
        .enumerate()
        .map(|(number, stream)| stream.default_backoff().map(move |event| (number, event)).boxed());
    let merged: SelectAll<_> = futures::stream::select_all(numbered);
    let mut state = Merge { listed: vec![HashSet::new(); total], complete: vec![false; total] };
    merged
        .flat_map(move |(number, event)| futures::stream::iter(state.take(number, event, kind, convert)))
        .boxed()
}

struct Merge {
    listed: Vec<HashSet<ObjectKey>>,
    complete: Vec<bool>,
}

impl Merge {
    fn take<K: Resource, T>(
        &mut self,
        number: usize,
        event: watcher::Result<watcher::Event<K>>,
        kind: &'static str,
        convert: fn(K) -> Option<T>,
    ) -> Vec<Seen<T>> {
        let applied = |object: K| {
            let key = key_of(&object);
            convert(object).map(|object| Seen::Applied(key, object))
        };
        match event {
            Ok(watcher::Event::Init) => {
                self.listed[number].clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(object)) => {
                self.listed[number].insert(key_of(&object));
                applied(object).into_iter().collect()
            }
            Ok(watcher::Event::InitDone) => {
                self.complete[number] = true;
                self.all_listed().map(Seen::Complete).into_iter().collect()
            }
            Ok(watcher::Event::Apply(object)) => {
                self.listed[number].insert(key_of(&object));
                applied(object).into_iter().collect()
            }
            Ok(watcher::Event::Delete(object)) => {
                let key = key_of(&object);
                self.listed[number].remove(&key);
                vec![Seen::Deleted(key)]
            }
            Err(error) => {
                // Only the kind of error: its text may quote what was received.
                warn!(kind, cause = cause_of(&error), "a watch broke off and is started again");
                Vec::new()
            }
        }
    }

    fn all_listed(&self) -> Option<HashSet<ObjectKey>> {
        self.complete
            .iter()
            .all(|complete| *complete)
            .then(|| self.listed.iter().flatten().cloned().collect())
    }
}

fn key_of<K: Resource>(object: &K) -> ObjectKey {
    let meta = object.meta();
    ObjectKey::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// Returns what kind of failure it is, and the API server's words where it has some (they are about the kind).
fn cause_of(error: &watcher::Error) -> String {
    let api = |error: &kube::Error| match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.message),
        _ => "the API server cannot be reached or its answer does not fit".to_owned(),
    };
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => api(error),
        watcher::Error::WatchError(status) => format!("{} {}", status.code, status.message),
        _ => "the API server sent no resourceVersion".to_owned(),
    }
}
