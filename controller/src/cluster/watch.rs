//! Watches as streams of plain events, for all or some namespaces.

mod pace;
mod shape;

use std::collections::HashSet;
use std::fmt::Debug;

use futures::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, ApiResource, GroupVersionKind};
use kube::core::DynamicResourceScope;
use kube::runtime::watcher;
use kube::{Client, Resource};
use sealops_crds::{CustomResource, Metadata};
use serde::de::DeserializeOwned;
use tracing::warn;

use self::shape::{Head, Whole};
use crate::object::{ObjectKey, ServedKind};

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
    labels: Option<&str>,
) -> BoxStream<'static, Seen<T>> {
    watched(client, namespaces, &resource_of::<T>(), labels, T::KIND, Whole::<T>::object)
}

/// Watches the metadata of Secrets; annotations pass through and are not kept.
pub fn secrets(
    client: &Client,
    namespaces: &Namespaces,
    labels: Option<&str>,
) -> BoxStream<'static, Seen<Metadata>> {
    let resource = ApiResource::erase::<Secret>(&());
    watched(client, namespaces, &resource, labels, "Secret", some_metadata)
}

/// Watches the metadata of ConfigMaps.
pub fn config_maps(client: &Client, namespaces: &Namespaces) -> BoxStream<'static, Seen<Metadata>> {
    let resource = ApiResource::erase::<ConfigMap>(&());
    watched(client, namespaces, &resource, None, "ConfigMap", some_metadata)
}

/// Watches the metadata of a kind of custom resource in all namespaces.
pub fn metadata_of<T: CustomResource>(client: &Client) -> BoxStream<'static, Seen<Metadata>> {
    watched(client, &Namespaces::All, &resource_of::<T>(), None, T::KIND, some_metadata)
}

/// Watches the metadata of any kind that has namespaces.
pub fn manifests(
    client: &Client,
    namespaces: &Namespaces,
    served: &ServedKind,
    labels: Option<&str>,
) -> BoxStream<'static, Seen<Metadata>> {
    let kind = &served.kind;
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind),
        &served.plural,
    );
    watched(client, namespaces, &resource, labels, "target", some_metadata)
}

/// Watches the metadata of namespaces; their keys have no namespace.
pub fn namespaces(client: &Client) -> BoxStream<'static, Seen<Metadata>> {
    let resource = ApiResource::erase::<Namespace>(&());
    watched(client, &Namespaces::All, &resource, None, "Namespace", some_metadata)
}

fn resource_of<T: CustomResource>() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(T::GROUP, T::VERSION, T::KIND), T::PLURAL)
}

fn some_metadata(head: Head) -> Option<Metadata> {
    Some(head.metadata())
}

fn watched<K, T>(
    client: &Client,
    namespaces: &Namespaces,
    resource: &ApiResource,
    labels: Option<&str>,
    kind: &'static str,
    convert: fn(K) -> Option<T>,
) -> BoxStream<'static, Seen<T>>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
    T: Send + 'static,
{
    let apis: Vec<Api<K>> = match namespaces {
        Namespaces::All => vec![Api::all_with(pace::paced(client), resource)],
        Namespaces::Some(names) => {
            names.iter().map(|name| Api::namespaced_with(pace::paced(client), name, resource)).collect()
        }
    };
    let config = config(labels);
    let streams = apis.into_iter().map(|api| watcher(api, config.clone()).boxed()).collect();
    merge(streams, kind, convert)
}

/// Watches the metadata of webhook configurations with a label; their keys have no namespace.
pub fn webhook_configurations(client: &Client, labels: &str) -> BoxStream<'static, Seen<Metadata>> {
    let resource = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
    let kind = "ValidatingWebhookConfiguration";
    watched(client, &Namespaces::All, &resource, Some(labels), kind, some_metadata)
}

/// Small pages: a page is in memory three times while it is read.
const PAGE: u32 = 100;
/// Longest time of one watch request. One that says nothing for 5 s longer is taken for dead and made again.
const WATCH_SECONDS: u32 = 290;

fn config(labels: Option<&str>) -> watcher::Config {
    let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
    match labels {
        Some(labels) => config.labels(labels),
        None => config,
    }
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
        // No back-off of kube's: the client has its own pace.
        .map(|(number, stream)| stream.map(move |event| (number, event)).boxed());
    let merged: SelectAll<_> = futures::stream::select_all(numbered);
    let mut state = Merge { parts: (0..total).map(|_| Part::default()).collect(), told: false };
    merged
        .flat_map(move |(number, event)| futures::stream::iter(state.take(number, event, kind, convert)))
        .boxed()
}

/// What the watches of several namespaces have shown, put together.
struct Merge {
    parts: Vec<Part>,
    told: bool,
}

/// One namespace, or all of them as one.
#[derive(Default)]
struct Part {
    known: HashSet<ObjectKey>,
    /// A list in progress; `known` holds until it is complete.
    listing: Option<HashSet<ObjectKey>>,
    complete: bool,
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
        let part = &mut self.parts[number];
        match event {
            Ok(watcher::Event::Init) => {
                part.listing = Some(HashSet::new());
                Vec::new()
            }
            Ok(watcher::Event::InitApply(object)) => {
                part.listing.get_or_insert_default().insert(key_of(&object));
                applied(object).into_iter().collect()
            }
            Ok(watcher::Event::InitDone) => {
                part.known = part.listing.take().unwrap_or_default();
                part.complete = true;
                self.all_known().map(Seen::Complete).into_iter().collect()
            }
            Ok(watcher::Event::Apply(object)) => {
                part.known.insert(key_of(&object));
                applied(object).into_iter().collect()
            }
            Ok(watcher::Event::Delete(object)) => {
                let key = key_of(&object);
                part.known.remove(&key);
                vec![Seen::Deleted(key)]
            }
            Err(error) => {
                // Only the kind of error: its text may quote what was received.
                warn!(kind, cause = cause_of(&error), "a watch broke off and is started again");
                self.go_on_without(number, &error).map(Seen::Complete).into_iter().collect()
            }
        }
    }

    /// A namespace that may not be listed (yet) must not keep the others waiting; what it holds comes when it may.
    fn go_on_without(&mut self, number: usize, error: &watcher::Error) -> Option<HashSet<ObjectKey>> {
        let refused = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 403 | 404),
            _ => false,
        };
        if !refused || self.parts.len() == 1 || self.parts[number].complete {
            return None;
        }
        self.parts[number].complete = true;
        if self.told { None } else { self.all_known() }
    }

    fn all_known(&mut self) -> Option<HashSet<ObjectKey>> {
        let all = self.parts.iter().all(|part| part.complete);
        self.told |= all;
        all.then(|| self.parts.iter().flat_map(|part| &part.known).cloned().collect())
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

#[cfg(test)]
mod tests;
