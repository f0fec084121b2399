//! Objects of any kind: how they are served, reading and writing them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ::http::Method;
use sealops_crds::Metadata;
use serde::Deserialize;

use super::{AS_METADATA, JSON, Refusal, SecretApi, commit_error, metadata_of};
use crate::cluster::lock;
use crate::object::{ManifestKind, ManifestObject, ObjectKey, ReadError, ServedKind};
use crate::outcome::{CommitError, ManifestChange, ManifestWrite};

/// How long an answer about a kind is believed.
const KEPT: Duration = Duration::from_secs(600);
/// Kinds that are remembered.
const MAX_KINDS: usize = 1024;

/// Kinds as the API server served them lately.
#[derive(Default)]
pub(super) struct ServedKinds(Mutex<HashMap<ManifestKind, (Instant, ServedKind)>>);

impl ServedKinds {
    fn get(&self, kind: &ManifestKind) -> Option<ServedKind> {
        let kinds = lock(&self.0);
        kinds.get(kind).filter(|(since, _)| since.elapsed() < KEPT).map(|(_, served)| served.clone())
    }

    fn put(&self, served: &ServedKind) {
        let mut kinds = lock(&self.0);
        if kinds.len() >= MAX_KINDS {
            kinds.clear();
        }
        kinds.insert(served.kind.clone(), (Instant::now(), served.clone()));
    }
}

fn root(kind: &ManifestKind) -> String {
    match kind.group() {
        "" => format!("/api/{}", kind.version()),
        group => format!("/apis/{group}/{}", kind.version()),
    }
}

fn path(served: &ServedKind, namespace: &str, name: Option<&str>) -> String {
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    format!("{}/namespaces/{namespace}/{}{name}", root(&served.kind), served.plural)
}

impl SecretApi {
    /// Returns how a kind is served, `None` where it is not.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub(in crate::cluster) async fn served(
        &self,
        kind: &ManifestKind,
    ) -> Result<Option<ServedKind>, ReadError> {
        #[derive(Deserialize)]
        struct List {
            resources: Vec<Resource>,
        }
        #[derive(Deserialize)]
        struct Resource {
            name: String,
            kind: String,
            namespaced: bool,
        }
        if let Some(served) = self.kinds.get(kind) {
            return Ok(Some(served));
        }
        let problem =
            |problem: String| ReadError { kind: "kinds of", name: kind.api_version.clone(), problem };
        let body = match self.get(&root(kind)).await {
            Ok(body) => body,
            Err(refusal) if refusal.is_not_found() => return Ok(None),
            Err(refusal) => return Err(problem(refusal.to_string())),
        };
        let list: List = serde_json::from_slice(body.expose())
            .map_err(|_| problem("the API server's answer does not fit".to_owned()))?;
        let own = |resource: &Resource| resource.kind == kind.kind && !resource.name.contains('/');
        let served = list.resources.into_iter().find(own).map(|resource| ServedKind {
            kind: kind.clone(),
            plural: resource.name,
            namespaced: resource.namespaced,
        });
        if let Some(served) = &served {
            self.kinds.put(served);
        }
        Ok(served)
    }

    /// Returns an object of any kind, `None` where there is none.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub(in crate::cluster) async fn manifest(
        &self,
        served: &ServedKind,
        key: &ObjectKey,
    ) -> Result<Option<ManifestObject>, ReadError> {
        let problem = |problem: String| ReadError { kind: "target", name: key.to_string(), problem };
        match self.get(&path(served, &key.namespace, Some(&key.name))).await {
            Ok(body) => {
                ManifestObject::from_json(&body).map(Some).map_err(|error| problem(error.to_string()))
            }
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns the path of an object.
    pub(in crate::cluster) fn manifest_path(&self, served: &ServedKind, key: &ObjectKey) -> String {
        path(served, &key.namespace, Some(&key.name))
    }

    /// Makes a change of an object; returns its metadata afterwards, or as they were before it went.
    ///
    /// # Errors
    /// Returns why it was not made, by what helps.
    pub(in crate::cluster) async fn write_manifest(
        &self,
        change: &ManifestChange,
        field_manager: &str,
    ) -> Result<Metadata, CommitError> {
        let ManifestChange { served, write, object } = change;
        let key = ObjectKey::of(&object.metadata);
        let Metadata { uid, resource_version, .. } = &object.metadata;
        let (method, name, body) = match write {
            ManifestWrite::Create => (Method::POST, None, object.to_json()),
            ManifestWrite::Replace => (Method::PUT, Some(key.name.as_str()), object.to_json()),
            ManifestWrite::Delete => {
                let options = serde_json::json!({
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": { "uid": uid, "resourceVersion": resource_version },
                });
                (Method::DELETE, Some(key.name.as_str()), options.to_string().into())
            }
        };
        let path = path(served, &key.namespace, name);
        let path = match write {
            ManifestWrite::Delete => path,
            _ => format!("{path}?fieldManager={field_manager}"),
        };
        let refused = |refusal: Refusal| commit_error(&refusal, object.leaves());
        match self.send(method, &path, Some((JSON, body)), AS_METADATA).await {
            Ok(_) if *write == ManifestWrite::Delete => Ok(object.metadata.clone()),
            Ok(body) => metadata_of(&body).map_err(|problem| refused(Refusal::unavailable(problem))),
            Err(refusal) if *write == ManifestWrite::Delete && refusal.is_not_found() => {
                Ok(object.metadata.clone())
            }
            Err(refusal) => Err(refused(refusal)),
        }
    }
}
