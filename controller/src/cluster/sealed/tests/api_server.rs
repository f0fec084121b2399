//! An API server whose watches show what the test says, while everything else shows the truth.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use ::http::{Method, Request, Response};
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use sealops_crypto::sealing::{Certificate, Label, Scope, seal};
use sealops_formats::base64;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::api::{SecretApi, StatusWrite};
use crate::cluster::events::Recorder;
use crate::cluster::keys::{KeyManager, KeyOptions};
use crate::cluster::leader::Leadership;
use crate::cluster::metrics::{Metrics, ObjectLabels};
use crate::cluster::sealed::{SealedDriver, SealedOptions};
use crate::cluster::watch::Namespaces;
use crate::sealed::{KeyOrder, OpenOptions};

const HOME: &str = "home";
const SHOP: &str = "shop";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Sealed,
    Secret,
}

type Frames = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

#[derive(Default)]
struct Stored {
    objects: BTreeMap<(Kind, String), Value>,
    /// What lists show.
    shown: BTreeMap<Kind, Vec<Value>>,
    watchers: BTreeMap<Kind, Vec<UnboundedSender<Value>>>,
    version: u64,
    writes: Vec<String>,
    last_body: Value,
}

#[derive(Clone, Default)]
pub(super) struct ApiServer(Arc<Mutex<Stored>>);

fn testdata(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Seals a value under `a`.
pub(super) fn sealed_secret(name: &str, uid: &str, value: &str) -> Value {
    let certificate = Certificate::from_pem(&testdata("interop-2048.crt")).unwrap();
    let label = Label::for_secret(Scope::Strict, SHOP, name);
    let sealed = base64::encode_public(&seal(&certificate, &label, &value.into()).unwrap());
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": { "namespace": SHOP, "name": name, "uid": uid, "generation": 1 },
        "spec": { "encryptedData": { "a": sealed }, "template": {} },
    })
}

impl ApiServer {
    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap()
    }

    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.lock().objects.get(&(kind, name.to_owned())).cloned()
    }

    pub(super) fn put(&self, kind: Kind, object: Value) {
        self.lock().put(kind, object);
    }

    /// A Secret as a controller makes it for an object with this uid.
    pub(super) fn put_target(&self, name: &str, owner: &str, value: &str) {
        let owner = json!([{ "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": name,
                             "uid": owner, "controller": true }]);
        self.put(
            Kind::Secret,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": { "namespace": SHOP, "name": name, "uid": format!("s-{name}"), "ownerReferences": owner },
                "data": { "a": base64::encode_public(value.as_bytes()) },
            }),
        );
    }

    pub(super) fn remove(&self, kind: Kind, name: &str) {
        self.lock().objects.remove(&(kind, name.to_owned()));
    }

    /// Returns the value of a Secret.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let secret = self.get(Kind::Secret, name)?;
        let value = base64::decode(secret["data"]["a"].as_str()?.as_bytes()).unwrap();
        Some(value.expose_str().unwrap().to_owned())
    }

    /// Lets lists show the truth as it is now.
    pub(super) fn show_all(&self) {
        let mut stored = self.lock();
        let objects = stored.objects.clone();
        for ((kind, _), object) in objects {
            stored.shown.entry(kind).or_default().push(object);
        }
    }

    /// Sends a watch event.
    pub(super) fn show(&self, kind: Kind, event: &str, object: &Value) {
        let event = json!({ "type": event, "object": as_watched(kind, object) });
        let mut stored = self.lock();
        let watchers = stored.watchers.entry(kind).or_default();
        watchers.retain(|watcher| watcher.unbounded_send(event.clone()).is_ok());
        assert!(!watchers.is_empty(), "nobody watches {kind:?}");
    }

    /// Ends the watches; the lists after them show these.
    pub(super) fn expire(&self, sealed: &[Value], secrets: &[Value]) {
        self.lock().shown = [(Kind::Sealed, sealed.to_vec()), (Kind::Secret, secrets.to_vec())].into();
        let status =
            json!({ "kind": "Status", "status": "Failure", "message": "", "reason": "Expired", "code": 410 });
        let event = json!({ "type": "ERROR", "object": status });
        for watchers in std::mem::take(&mut self.lock().watchers).into_values() {
            watchers.iter().for_each(|watcher| drop(watcher.unbounded_send(event.clone())));
        }
    }

    /// Returns the writes of Secrets since the last call, in order.
    pub(super) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().writes)
    }

    /// Returns the body of the last write.
    pub(super) fn last_body(&self) -> Value {
        self.lock().last_body.clone()
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let query = parts.uri.query().unwrap_or_default();
                let (code, frames) = server.answer(&parts.method, parts.uri.path(), query, &body);
                Ok::<_, Infallible>(Response::builder().status(code).body(StreamBody::new(frames)).unwrap())
            }
        });
        Client::new(service, HOME)
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> (u16, Frames) {
        match path {
            "/apis/bitnami.com/v1alpha1/sealedsecrets" => (200, self.collection(Kind::Sealed, query)),
            "/api/v1/secrets" => (200, self.collection(Kind::Secret, query)),
            _ => {
                let body = serde_json::from_slice(body).unwrap_or_default();
                let (code, answer) = self.lock().answer(method, path, body);
                (code, once(&answer))
            }
        }
    }

    fn collection(&self, kind: Kind, query: &str) -> Frames {
        let mut stored = self.lock();
        if query.contains("watch=") {
            let (sender, receiver) = unbounded();
            stored.watchers.entry(kind).or_default().push(sender);
            return receiver.map(|event: Value| Ok(Frame::data(Bytes::from(format!("{event}\n"))))).boxed();
        }
        let items: Vec<Value> =
            stored.shown.get(&kind).into_iter().flatten().map(|object| as_watched(kind, object)).collect();
        once(
            &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items }),
        )
    }
}

fn as_watched(kind: Kind, object: &Value) -> Value {
    match kind {
        Kind::Sealed => object.clone(),
        Kind::Secret => json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                                "metadata": object["metadata"] }),
    }
}

fn once(value: &Value) -> Frames {
    stream::iter([Ok(Frame::data(Bytes::from(value.to_string())))]).boxed()
}

fn refusal(code: u16) -> (u16, Value) {
    (code, json!({ "kind": "Status", "status": "Failure", "message": "refused", "code": code }))
}

impl Stored {
    fn put(&mut self, kind: Kind, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.objects.insert((kind, name), object.clone());
        object
    }

    fn answer(&mut self, method: &Method, path: &str, mut body: Value) -> (u16, Value) {
        let parts: Vec<&str> = path.split('/').collect();
        let (kind, name) = match parts[..] {
            ["", "api", "v1", "namespaces", HOME, "secrets"] => {
                return (200, json!({ "items": [key_secret()] }));
            }
            ["", "api", "v1", "namespaces", SHOP, "secrets"] => {
                (Kind::Secret, body["metadata"]["name"].as_str().unwrap().to_owned())
            }
            ["", "api", "v1", "namespaces", SHOP, "secrets", name] => (Kind::Secret, name.to_owned()),
            ["", "apis", _, _, "namespaces", SHOP, "sealedsecrets", name] => (Kind::Sealed, name.to_owned()),
            ["", "apis", _, _, "namespaces", SHOP, "sealedsecrets", name, "status"] => {
                let key = (Kind::Sealed, name.to_owned());
                let Some(mut object) = self.objects.get(&key).cloned() else { return refusal(404) };
                object["status"] = body["status"].take();
                return (200, self.put(Kind::Sealed, object));
            }
            [.., "configmaps"] | [.., "configmaps", _] => return refusal(403),
            [.., "secrets", _] => return refusal(404),
            [.., "events"] | [.., "events", _] => {
                return (201, json!({ "metadata": {}, "involvedObject": {} }));
            }
            _ => panic!("{method} {path}"),
        };
        let key = (kind, name.clone());
        let existing = self.objects.get(&key).cloned();
        if *method == Method::GET {
            return existing.map_or_else(|| refusal(404), |object| (200, object));
        }
        assert_eq!(kind, Kind::Secret, "{method} {path}");
        self.last_body = body.clone();
        let of = |object: &Value| object["metadata"]["resourceVersion"].clone();
        match (method, existing) {
            (&Method::POST, None) => body["metadata"]["uid"] = json!(format!("s-{name}-{}", self.version)),
            (&Method::PUT, Some(existing)) if of(&existing) == of(&body) => {}
            (&Method::DELETE, Some(existing))
                if of(&existing) == body["preconditions"]["resourceVersion"] =>
            {
                self.writes.push(format!("DELETE {name}"));
                self.objects.remove(&key);
                return (200, json!({ "kind": "Status", "status": "Success" }));
            }
            (_, None) => return refusal(404),
            _ => return refusal(409),
        }
        self.writes.push(format!("{method} {name}"));
        (200, self.put(kind, body))
    }
}

fn key_secret() -> Value {
    let part = |name: &str| base64::encode_public(&testdata(name));
    json!({
        "metadata": { "namespace": HOME, "name": "key", "uid": "k", "creationTimestamp": "2024-01-01T00:00:00Z",
                      "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "active" } },
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": part("interop-2048.crt"), "tls.key": part("interop-2048.key") },
    })
}

/// Runs a driver that leads, to the end of the test.
pub(super) fn start(server: &ApiServer, delete_targets: bool) {
    let client = server.client();
    let metrics = Arc::new(Metrics::new("v", ObjectLabels::Publish));
    let (recorder, events) = Recorder::new(client.clone(), "sealed-secrets", "test");
    let api = SecretApi::new(client);
    let keys = KeyOptions {
        namespace: HOME.into(),
        prefix: "key-".into(),
        bits: 2048,
        lifetime: 3600,
        common_name: String::new(),
        order: KeyOrder::default(),
        renew_after: None,
        cutoff: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    let keys = Arc::new(KeyManager::new(api.clone(), keys, recorder.clone(), Arc::clone(&metrics)));
    let options = SealedOptions {
        namespaces: Namespaces::All,
        labels: None,
        watch_targets: true,
        delete_targets,
        status: Some(StatusWrite::default()),
        patience: 5,
        open: OpenOptions::default(),
        workers: 2,
        rsa_threads: 1,
    };
    let driver = SealedDriver::new(api, keys, metrics, recorder, options);
    tokio::spawn(events.run());
    tokio::spawn(Arc::clone(&driver).watch());
    tokio::spawn(async move {
        let (_stop, stopped) = watch::channel(false);
        driver.lead(Leadership::always(), stopped).await;
    });
}
