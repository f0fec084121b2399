//! The controller's requests to the API server that may carry secret data.
//!
//! They bypass kube's typed client on purpose: that one prints a body which does not parse. Here a body goes into
//! [`Plaintext`] and answers to writes are asked for as metadata only.

mod manifests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use sealops_crds::generators::OpaqueGenerator;
use sealops_crds::{CustomResource, Metadata};
use sealops_formats::Plaintext;
use serde::Deserialize;
use tokio::time::timeout;

use super::throttle::{Rate, Throttle};
use crate::object::{ConfigMapObject, ObjectKey, ReadError, SecretObject, TokenAsk};
use crate::outcome::{Change, CommitError, CommitErrorKind};
use crate::sealed::TargetVersion;

/// Longest time for one request, the retries of the client included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read: a list page of Secrets of 1 MiB each is never asked for.
const MAX_ANSWER_BYTES: usize = 64 << 20;
pub(super) const AS_METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const API_SERVERS: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
pub(super) const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
pub(super) const MERGE: &str = "application/merge-patch+json";
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// Sends requests.
#[derive(Clone)]
pub struct SecretApi {
    client: Client,
    throttle: Option<Arc<Throttle>>,
    kinds: Arc<manifests::ServedKinds>,
}

/// How a status is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatusWrite {
    /// Server-side apply: needs the right to patch.
    #[default]
    Apply,
    /// Replace what was read: needs the right to update, which is what upstream's manifests grant.
    Replace,
}

/// An answer that is no success.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    code: u16,
    reason: String,
    message: String,
}

impl Refusal {
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { code: 0, reason: String::new(), message: message.into() }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.code == 404
    }

    pub(super) fn is_forbidden(&self) -> bool {
        self.code == 403
    }

    pub(super) fn is_conflict(&self) -> bool {
        self.code == 409
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl SecretApi {
    /// Makes the requests of a client.
    pub fn new(client: Client) -> Self {
        Self { client, throttle: None, kinds: Arc::default() }
    }

    /// Holds every request of this and its clones to a rate.
    #[must_use]
    pub fn throttled(self, rate: Option<Rate>) -> Self {
        Self { throttle: rate.map(|rate| Arc::new(Throttle::new(rate))), ..self }
    }

    /// Returns the client, for what is no Secret.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns a Secret, `None` where there is none.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub async fn secret(&self, key: &ObjectKey) -> Result<Option<SecretObject>, ReadError> {
        let problem = |problem: String| ReadError { kind: "Secret", name: key.to_string(), problem };
        match self.get(&secret_path(&key.namespace, Some(&key.name))).await {
            Ok(body) => SecretObject::from_json(&body).map(Some).map_err(|error| problem(error.to_string())),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns a ConfigMap, `None` where there is none.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub async fn config_map(&self, key: &ObjectKey) -> Result<Option<ConfigMapObject>, ReadError> {
        let problem = |problem: String| ReadError { kind: "ConfigMap", name: key.to_string(), problem };
        match self.get(&format!("/api/v1/namespaces/{}/configmaps/{}", key.namespace, key.name)).await {
            Ok(body) => {
                ConfigMapObject::from_json(&body).map(Some).map_err(|error| problem(error.to_string()))
            }
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns the Secrets of a namespace that carry a label, in the order in which they were made.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub async fn secrets(&self, namespace: &str, label: &str) -> Result<Vec<SecretObject>, ReadError> {
        let problem = |problem: String| ReadError { kind: "Secrets", name: namespace.to_owned(), problem };
        let selector = label.replace('=', "%3D").replace('/', "%2F");
        let path = format!("{}?labelSelector={selector}", secret_path(namespace, None));
        let body = self.get(&path).await.map_err(|refusal| problem(refusal.to_string()))?;
        let documents =
            sealops_formats::manifest::parse(body.expose()).map_err(|error| problem(error.to_string()))?;
        let list = documents.first().ok_or_else(|| problem("the answer is empty".to_owned()))?;
        #[derive(Deserialize)]
        struct List {
            items: Vec<SecretObject>,
        }
        let mut secrets = list.root.read::<List>().map_err(|error| problem(error.to_string()))?.items;
        secrets.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
        Ok(secrets)
    }

    /// Returns a custom resource, `None` where there is none.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub async fn object<T: CustomResource>(&self, key: &ObjectKey) -> Result<Option<T>, ReadError> {
        let problem = |problem: String| ReadError { kind: T::KIND, name: key.to_string(), problem };
        match self.get(&resource_path::<T>(key)).await {
            Ok(body) => serde_json::from_slice(body.expose())
                .map(Some)
                .map_err(|error| problem(format!("the object does not fit at column {}", error.column()))),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns the settings of a generator, `None` where there is none.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub(super) async fn generator_settings(
        &self,
        plural: &str,
        key: &ObjectKey,
    ) -> Result<Option<serde_json::Value>, ReadError> {
        let problem = |problem: String| ReadError { kind: "generator", name: key.to_string(), problem };
        let path = format!(
            "/apis/{}/namespaces/{}/{plural}/{}",
            sealops_crds::generators::API_VERSION,
            key.namespace,
            key.name
        );
        match self.get(&path).await {
            Ok(body) => serde_json::from_slice::<OpaqueGenerator>(body.expose())
                .map(|object| Some(object.spec))
                .map_err(|error| problem(format!("the object does not fit at column {}", error.column()))),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns the labels of a namespace.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub async fn namespace(&self, name: &str) -> Result<Option<Metadata>, ReadError> {
        let problem = |problem: String| ReadError { kind: "Namespace", name: name.to_owned(), problem };
        match self.get(&format!("/api/v1/namespaces/{name}")).await {
            Ok(body) => metadata_of(&body).map(Some).map_err(problem),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns the metadata of a ServiceAccount.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit.
    pub async fn service_account(&self, key: &ObjectKey) -> Result<Option<Metadata>, ReadError> {
        let problem = |problem: String| ReadError { kind: "ServiceAccount", name: key.to_string(), problem };
        match self.get(&account_path(key)).await {
            Ok(body) => metadata_of(&body).map(Some).map_err(problem),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(refusal.to_string())),
        }
    }

    /// Returns a new token of a ServiceAccount.
    ///
    /// # Errors
    /// Returns the API server's refusal, or that its answer has no token.
    pub async fn token(&self, key: &ObjectKey, ask: &TokenAsk) -> Result<Plaintext, ReadError> {
        #[derive(Deserialize)]
        struct Answer {
            status: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            token: Plaintext,
        }
        let problem = |problem: String| ReadError { kind: "ServiceAccount", name: key.to_string(), problem };
        let body = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": ask.audiences, "expirationSeconds": ask.seconds },
        });
        let path = format!("{}/token", account_path(key));
        let answer = self.send(Method::POST, &path, Some((JSON, body.to_string().into())), JSON).await;
        let answer = answer.map_err(|refusal| problem(refusal.to_string()))?;
        serde_json::from_slice::<Answer>(answer.expose())
            .map(|answer| answer.status.token)
            .map_err(|_| problem("the API server's answer has no token".to_owned()))
    }

    /// Makes a change of a Secret; returns uid and version of the result.
    ///
    /// # Errors
    /// Returns why it was not made, by what helps.
    pub async fn write(&self, change: &Change, field_manager: &str) -> Result<TargetVersion, CommitError> {
        let secret = change.secret();
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        let (method, name) = match change {
            Change::Create(_) => (Method::POST, None),
            Change::Replace(_) => (Method::PUT, secret.metadata.name.as_deref()),
            Change::Delete(_) => {
                self.delete(secret).await?;
                let Metadata { uid, resource_version, .. } = secret.metadata.clone();
                let resource_version = resource_version.unwrap_or_default();
                return Ok(TargetVersion { uid: uid.unwrap_or_default(), resource_version });
            }
        };
        let path = format!("{}?fieldManager={field_manager}", secret_path(namespace, name));
        let answer = self.send(method, &path, Some((JSON, secret.to_json())), AS_METADATA).await;
        let metadata = answer.and_then(|body| metadata_of(&body).map_err(Refusal::unavailable));
        match metadata {
            Ok(Metadata { uid: Some(uid), resource_version: Some(resource_version), .. }) => {
                Ok(TargetVersion { uid, resource_version })
            }
            Ok(_) => {
                Err(commit_error(&Refusal::unavailable("the answer names no version"), secret.data.values()))
            }
            Err(refusal) => Err(commit_error(&refusal, secret.data.values())),
        }
    }

    /// Deletes a Secret, if it is still the one that was read.
    ///
    /// # Errors
    /// Returns why it was not deleted, by what helps.
    pub(super) async fn delete(&self, secret: &SecretObject) -> Result<(), CommitError> {
        let metadata = &secret.metadata;
        let path = secret_path(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref());
        let body = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": metadata.uid, "resourceVersion": metadata.resource_version },
        });
        match self.send(Method::DELETE, &path, Some((JSON, body.to_string().into())), AS_METADATA).await {
            Err(refusal) if !refusal.is_not_found() => Err(commit_error(&refusal, secret.data.values())),
            _ => Ok(()),
        }
    }

    /// Returns the addresses of the API servers, which the endpoints of the Service `kubernetes` name.
    pub(super) async fn api_servers(&self) -> Result<BTreeSet<IpAddr>, Refusal> {
        #[derive(Deserialize)]
        struct Slice {
            endpoints: Option<Vec<Endpoint>>,
        }
        #[derive(Deserialize)]
        struct Endpoint {
            addresses: Vec<String>,
        }
        let body = self.get(API_SERVERS).await?;
        let slice: Slice = serde_json::from_slice(body.expose())
            .map_err(|_| Refusal::unavailable("the endpoints of the Service kubernetes do not fit"))?;
        let addresses = slice.endpoints.into_iter().flatten().flat_map(|endpoint| endpoint.addresses);
        Ok(addresses.filter_map(|address| address.parse().ok()).collect())
    }

    /// Writes the status of an object, for this very object only.
    pub(super) async fn write_status<T: CustomResource>(
        &self,
        object: &T,
        status: serde_json::Value,
        how: StatusWrite,
        field_manager: &str,
    ) -> Result<(), Refusal> {
        match how {
            StatusWrite::Apply => self.apply_status(object, status, field_manager).await,
            StatusWrite::Replace => self.replace_status(object, status, field_manager).await,
        }
    }

    /// Needs the whole object as the API server checks it, and its version: a newer one is not overwritten.
    async fn replace_status<T: CustomResource>(
        &self,
        object: &T,
        status: serde_json::Value,
        field_manager: &str,
    ) -> Result<(), Refusal> {
        let path = resource_path::<T>(&ObjectKey::of(object.metadata()));
        let mut body =
            serde_json::to_value(object).map_err(|_| Refusal::unavailable("the object cannot be written"))?;
        body["status"] = status;
        let path = format!("{path}/status?fieldManager={field_manager}");
        self.send(Method::PUT, &path, Some((JSON, body.to_string().into())), AS_METADATA).await.map(drop)
    }

    async fn apply_status<T: CustomResource>(
        &self,
        object: &T,
        status: serde_json::Value,
        field_manager: &str,
    ) -> Result<(), Refusal> {
        let metadata = object.metadata();
        let body = serde_json::json!({
            "apiVersion": T::API_VERSION,
            "kind": T::KIND,
            "metadata": { "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid },
            "status": status,
        });
        let path = resource_path::<T>(&ObjectKey::of(metadata));
        let path = format!("{path}/status?fieldManager={field_manager}&force=true");
        self.send(Method::PATCH, &path, Some((APPLY, body.to_string().into())), AS_METADATA).await.map(drop)
    }

    /// Sets the finalizers of an object, if it is still the version that was read.
    pub(super) async fn set_finalizers<T: CustomResource>(
        &self,
        object: &T,
        finalizers: &[String],
        field_manager: &str,
    ) -> Result<(), Refusal> {
        let metadata = object.metadata();
        let body = serde_json::json!({
            "metadata": { "finalizers": finalizers, "resourceVersion": metadata.resource_version, "uid": metadata.uid },
        });
        let path = format!("{}?fieldManager={field_manager}", resource_path::<T>(&ObjectKey::of(metadata)));
        self.send(Method::PATCH, &path, Some((MERGE, body.to_string().into())), AS_METADATA).await.map(drop)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Plaintext, Refusal> {
        self.send(Method::GET, path, None, JSON).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Plaintext)>,
        accept: &'static str,
    ) -> Result<Plaintext, Refusal> {
        let request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
        let request = match body {
            Some((content_type, body)) => {
                request.header(header::CONTENT_TYPE, content_type).body(Body::from(body.expose().to_vec()))
            }
            None => request.body(Body::empty()),
        };
        let request = request.map_err(|_| Refusal::unavailable("the request cannot be built (odd name?)"))?;
        if let Some(throttle) = &self.throttle {
            throttle.turn().await;
        }
        timeout(REQUEST_TIMEOUT, self.answer(request))
            .await
            .unwrap_or_else(|_| Err(Refusal::unavailable("the API server did not answer in time")))
    }

    async fn answer(&self, request: Request<Body>) -> Result<Plaintext, Refusal> {
        let response = self
            .client
            .send(request)
            .await
            .map_err(|_| Refusal::unavailable("the API server cannot be reached"))?;
        let status = response.status();
        let mut frames = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let mut body = Plaintext::default();
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|_| Refusal::unavailable("the API server's answer broke off"))?;
            if let Some(data) = frame.data_ref() {
                body.push(data);
            }
        }
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }
}

fn account_path(key: &ObjectKey) -> String {
    format!("/api/v1/namespaces/{}/serviceaccounts/{}", key.namespace, key.name)
}

fn secret_path(namespace: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("/api/v1/namespaces/{namespace}/secrets/{name}"),
        None => format!("/api/v1/namespaces/{namespace}/secrets"),
    }
}

pub(super) fn resource_path<T: CustomResource>(key: &ObjectKey) -> String {
    let scope = match T::REACH {
        sealops_crds::resource::Reach::Namespaced => format!("namespaces/{}/", key.namespace),
        sealops_crds::resource::Reach::Cluster => String::new(),
    };
    format!("/apis/{}/{scope}{}/{}", T::API_VERSION, T::PLURAL, key.name)
}

pub(super) fn metadata_of(body: &Plaintext) -> Result<Metadata, String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    serde_json::from_slice::<Object>(body.expose())
        .map(|object| object.metadata)
        .map_err(|_| "the API server's answer does not fit".to_owned())
}

fn refusal(status: StatusCode, body: &Plaintext) -> Refusal {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Status {
        message: String,
        reason: String,
    }
    let parsed: Status = serde_json::from_slice(body.expose()).unwrap_or_default();
    let message =
        if parsed.message.is_empty() { format!("the API server answers {status}") } else { parsed.message };
    Refusal { code: status.as_u16(), reason: parsed.reason, message }
}

/// Sorts a refusal by what helps, and holds back a text that quotes one of its values.
fn commit_error<'a>(refusal: &Refusal, values: impl IntoIterator<Item = &'a Plaintext>) -> CommitError {
    let kind = match refusal.code {
        409 => CommitErrorKind::Conflict,
        422 if refusal.message.ends_with(IMMUTABLE) => CommitErrorKind::Immutable,
        0 | 408 | 429 | 500.. => CommitErrorKind::Unavailable,
        404 if refusal.reason == "NotFound" && refusal.message.contains("namespaces") => {
            CommitErrorKind::Refused
        }
        404 => CommitErrorKind::Conflict, // the Secret went between reading and writing
        _ => CommitErrorKind::Refused,
    };
    let message = if quotes_a_value(&refusal.message, values) {
        "the API server refuses the object; its message quotes a value and is not shown".to_owned()
    } else {
        refusal.message.clone()
    };
    CommitError { kind, message }
}

/// Returns whether a text holds one of the values, plain or in base64. Values under four bytes are left alone:
/// they occur everywhere.
fn quotes_a_value<'a>(message: &str, values: impl IntoIterator<Item = &'a Plaintext>) -> bool {
    values.into_iter().filter(|value| value.len() >= 4).any(|value| {
        let plain = value.expose_str().is_some_and(|text| message.contains(text.trim()));
        let encoded = sealops_formats::base64::encode(value.expose());
        plain || encoded.expose_str().is_some_and(|text| message.contains(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, message: &str) -> CommitError {
        let mut secret = SecretObject::default();
        secret.data.insert("password".into(), "hunter2-hunter2".into());
        commit_error(
            &Refusal { code, reason: String::new(), message: message.to_owned() },
            secret.data.values(),
        )
    }

    #[test]
    fn refusals_are_sorted_by_what_helps() {
        assert_eq!(error(409, "conflict").kind, CommitErrorKind::Conflict);
        assert_eq!(error(503, "later").kind, CommitErrorKind::Unavailable);
        assert_eq!(error(403, "forbidden").kind, CommitErrorKind::Refused);
        let text = "Secret \"x\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
        assert_eq!(error(422, text).kind, CommitErrorKind::Immutable);
        assert_eq!(error(422, text).message, text);
    }

    #[test]
    fn a_message_that_quotes_a_value_is_held_back() {
        for message in ["denied: hunter2-hunter2", "denied: aHVudGVyMi1odW50ZXIy"] {
            let error = error(403, message);
            assert!(error.message.contains("not shown") && !error.message.contains("hunter2"), "{error}");
        }
    }
}
