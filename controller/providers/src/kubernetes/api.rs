//! Requests to an API server.

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::{HeaderValue, Method, header};
use sealops_formats::{Plaintext, base64, percent};

use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request};
use crate::json::Json;
use crate::retry::{self, Policy, retry_after};

/// Field manager of Secrets that are pushed, as upstream's.
const FIELD_MANAGER: &str = "eso";
/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer: a page of Secrets of 1 MiB each is cut off by the API server before.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Secrets of one page, and of all pages.
const PAGE: usize = 100;
const MAX_FOUND: usize = 10_000;
/// All bytes of what one `find` returns.
const MAX_FOUND_BYTES: usize = 64 << 20;
/// Attempts of a request that reads.
const READS: Policy = Policy {
    attempts: 3,
    base: Duration::from_millis(200),
    cap: Duration::from_secs(5),
    deadline: Duration::from_secs(30),
};

/// An API server and a namespace of it.
pub(super) struct Api {
    http: HttpClient,
    base: String,
    namespace: String,
    authorization: Option<HeaderValue>,
}

/// A Secret of the remote side.
#[derive(Default)]
pub(super) struct Object {
    pub(super) labels: BTreeMap<String, Plaintext>,
    pub(super) annotations: BTreeMap<String, Plaintext>,
    pub(super) data: BTreeMap<String, Plaintext>,
    /// The object as it came, without data; a write sends it back.
    rest: BTreeMap<String, Json>,
    name: String,
    version: Option<String>,
}

impl Object {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn resource_version(&self) -> Option<String> {
        self.version.clone()
    }

    pub(super) fn exists(&self) -> bool {
        self.version.is_some()
    }

    pub(super) fn into_data(self) -> BTreeMap<String, Plaintext> {
        self.data
    }

    /// Reads an object of the API; `None` where it has no name or its data is no base64.
    fn from_json(json: Json) -> Option<Self> {
        let Json::Map(mut rest) = json else { return None };
        let texts = |map: &Json, key: &str| match map.get(key) {
            Some(Json::Map(entries)) => entries
                .iter()
                .filter_map(|(name, value)| match value {
                    Json::Text(text) => Some((name.clone(), text.duplicate())),
                    _ => None,
                })
                .collect(),
            _ => BTreeMap::new(),
        };
        let metadata = rest.get("metadata")?;
        let (labels, annotations) = (texts(metadata, "labels"), texts(metadata, "annotations"));
        let (name, version) = (metadata.str_at("name")?.to_owned(), metadata.str_at("resourceVersion"));
        let version = version.map(str::to_owned);
        let mut data = BTreeMap::new();
        if let Some(Json::Map(entries)) = rest.remove("data") {
            for (key, value) in entries {
                let Json::Text(text) = value else { return None };
                data.insert(key, base64::decode(text.expose()).ok()?);
            }
        }
        Some(Self { labels, annotations, data, rest, name, version })
    }

    /// Returns the request body: what came, with our labels, annotations and data.
    fn to_body(&self, namespace: &str) -> Plaintext {
        let texts = |map: &BTreeMap<String, Plaintext>| {
            Json::map(map.iter().map(|(key, value)| (key.as_str(), Json::Text(value.duplicate()))))
        };
        let encoded =
            self.data.iter().map(|(key, value)| (key.as_str(), Json::Text(base64::encode(value.expose()))));
        let metadata = [
            ("name", Json::text(self.name.as_str())),
            ("namespace", Json::text(namespace)),
            ("labels", texts(&self.labels)),
            ("annotations", texts(&self.annotations)),
        ];
        let mut metadata: BTreeMap<String, Json> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if let Some(known) = self.rest.get("metadata") {
            for key in ["uid", "resourceVersion"] {
                metadata
                    .extend(known.text_at(key).map(|text| (key.to_owned(), Json::Text(text.duplicate()))));
            }
            for key in ["ownerReferences", "finalizers"] {
                metadata.extend(known.get(key).map(|value| (key.to_owned(), value.duplicate())));
            }
        }
        let mut body: BTreeMap<String, Json> = BTreeMap::from([
            ("apiVersion".to_owned(), Json::text("v1")),
            ("kind".to_owned(), Json::text("Secret")),
            ("metadata".to_owned(), Json::Map(metadata)),
            ("data".to_owned(), Json::map(encoded)),
        ]);
        for key in ["type", "immutable"] {
            body.extend(self.rest.get(key).map(|value| (key.to_owned(), value.duplicate())));
        }
        Json::Map(body).to_text()
    }
}

impl Api {
    pub(super) fn new(
        http: HttpClient,
        base: String,
        namespace: String,
        authorization: Option<HeaderValue>,
    ) -> Self {
        Self { http, base, namespace, authorization }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) async fn get(&self, namespace: &str, name: &str) -> Result<Option<Object>, ProviderErrorKind> {
        let Some(path) = path(namespace, Some(name)) else { return Ok(None) };
        match retry::call(READS, || self.send(Method::GET, &path, None)).await {
            Ok(json) => Object::from_json(json).map(Some).ok_or_else(no_secret),
            Err(ProviderErrorKind::NotFound) => Ok(None),
            Err(kind) => Err(kind),
        }
    }

    /// Returns every Secret with these labels.
    pub(super) async fn list(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Object>, ProviderErrorKind> {
        let base = path(&self.namespace, None)
            .ok_or_else(|| ProviderErrorKind::Invalid("remoteNamespace is no name".to_owned()))?;
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let selector = percent::encode(&wanted.join(","), b"");
        let (mut found, mut bytes, mut next) = (Vec::new(), 0_usize, String::new());
        loop {
            let page = format!(
                "{base}?limit={PAGE}&labelSelector={selector}&continue={}",
                percent::encode(&next, b"")
            );
            let list = retry::call(READS, || self.send(Method::GET, &page, None)).await?;
            let position = list.get("metadata").and_then(|metadata| metadata.str_at("continue"));
            let position = position.unwrap_or_default().to_owned();
            let Some(Json::List(items)) = list.take("items") else { return Err(no_secret()) };
            for item in items {
                let object = Object::from_json(item).ok_or_else(no_secret)?;
                bytes += object.data.values().map(Plaintext::len).sum::<usize>();
                found.push(object);
            }
            if found.len() > MAX_FOUND || bytes > MAX_FOUND_BYTES {
                return Err(ProviderErrorKind::Failed(format!(
                    "more than {MAX_FOUND} Secrets or {MAX_FOUND_BYTES} bytes fit; narrow the search"
                )));
            }
            if position.is_empty() {
                return Ok(found);
            }
            next = position;
        }
    }

    /// Creates an object, or replaces the version that was read.
    pub(super) async fn write(&self, namespace: &str, object: &Object) -> Result<(), ProviderErrorKind> {
        let (method, name) =
            if object.exists() { (Method::PUT, Some(object.name())) } else { (Method::POST, None) };
        let path = path(namespace, name).filter(|_| is_name(object.name()));
        let path =
            path.ok_or_else(|| ProviderErrorKind::Invalid("this is no name of a Secret".to_owned()))?;
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        self.send(method, &path, Some(object.to_body(namespace))).await.map(drop)
    }

    /// Deletes the version that was read.
    pub(super) async fn delete(&self, namespace: &str, object: &Object) -> Result<(), ProviderErrorKind> {
        let Some(path) = path(namespace, Some(object.name())) else { return Ok(()) };
        let known = object.rest.get("metadata");
        let part = |key: &str| known.and_then(|known| known.str_at(key)).map(str::to_owned);
        let body = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": part("uid"), "resourceVersion": part("resourceVersion") },
        });
        match self.send(Method::DELETE, &path, Some(body.to_string().into())).await {
            Ok(_) | Err(ProviderErrorKind::NotFound) => Ok(()),
            Err(kind) => Err(kind),
        }
    }

    /// Asks which rights the login has.
    pub(super) async fn may_read_secrets(&self) -> Result<bool, ProviderErrorKind> {
        let api = "authorization.k8s.io/v1";
        let review = |kind: &str, spec: serde_json::Value| {
            Some(serde_json::json!({ "apiVersion": api, "kind": kind, "spec": spec }).to_string().into())
        };
        let rules = review("SelfSubjectRulesReview", serde_json::json!({ "namespace": self.namespace }));
        let path = format!("/apis/{api}/selfsubjectrulesreviews");
        let answer = self.send(Method::POST, &path, rules).await?;
        if answer.get("status").is_some_and(rules_allow) {
            return Ok(true);
        }
        // Rules may be incomplete, with a webhook as authoriser for example.
        let attributes =
            serde_json::json!({ "namespace": self.namespace, "verb": "get", "resource": "secrets" });
        let access =
            review("SelfSubjectAccessReview", serde_json::json!({ "resourceAttributes": attributes }));
        let path = format!("/apis/{api}/selfsubjectaccessreviews");
        let answer = self.send(Method::POST, &path, access).await?;
        Ok(answer.get("status").is_some_and(|status| status.is_true("allowed")))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Plaintext>,
    ) -> Result<Json, ProviderErrorKind> {
        let mut request = Request::new(method, format!("{}{path}", self.base));
        request = request.header(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(body) = body {
            request = request.body("application/json", body.duplicate());
        }
        request.timeout = TIMEOUT;
        request.max_bytes = MAX_ANSWER_BYTES;
        let answer = self.http.send(request).await?;
        if (200..300).contains(&answer.status) {
            return Json::parse(&answer.body)
                .ok_or_else(|| ProviderErrorKind::Failed("the API server's answer is no JSON".to_owned()));
        }
        Err(refusal(&answer))
    }
}

fn no_secret() -> ProviderErrorKind {
    ProviderErrorKind::Failed("the API server's answer is no Secret".to_owned())
}

/// The server's own words are left out: they are the store's to choose.
fn refusal(answer: &Answer) -> ProviderErrorKind {
    match answer.status {
        401 => ProviderErrorKind::Unauthenticated("Unauthorized".to_owned()),
        403 => ProviderErrorKind::Denied("the API server answers 403 Forbidden".to_owned()),
        404 => ProviderErrorKind::NotFound,
        409 => ProviderErrorKind::Unavailable(CONFLICT.to_owned()),
        429 => ProviderErrorKind::Throttled(retry_after(&answer.headers)),
        status @ (408 | 500..) => ProviderErrorKind::Unavailable(format!("the API server answers {status}")),
        status => ProviderErrorKind::Failed(format!("the API server answers {status}")),
    }
}

/// Text of a write that came too late.
pub(super) const CONFLICT: &str = "somebody else changed the Secret at the same time";

fn rules_allow(status: &Json) -> bool {
    let Some(Json::List(rules)) = status.get("resourceRules") else { return false };
    let has = |rule: &Json, field: &str, wanted: &[&str]| match rule.get(field) {
        Some(Json::List(items)) => items.iter().any(|item| match item {
            Json::Text(text) => text.expose_str().is_some_and(|text| wanted.contains(&text)),
            _ => false,
        }),
        _ => field == "apiGroups",
    };
    rules.iter().any(|rule| {
        has(rule, "resources", &["secrets", "*"])
            && has(rule, "verbs", &["get", "*"])
            && has(rule, "apiGroups", &["", "*"])
    })
}

/// Returns the path of a Secret or of all; `None` for names that no object has, such as `../x`.
fn path(namespace: &str, name: Option<&str>) -> Option<String> {
    if !is_name(namespace) || name.is_some_and(|name| !is_name(name)) {
        return None;
    }
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    Some(format!("/api/v1/namespaces/{namespace}/secrets{name}"))
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    text.len() <= 253
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        assert_eq!(path("n", Some("a.b-c")).as_deref(), Some("/api/v1/namespaces/n/secrets/a.b-c"));
        for (namespace, name) in
            [("n", ".."), ("n", "../../x"), ("..", "a"), ("n/x", "a"), ("n", "a?b"), ("n", "")]
        {
            assert_eq!(path(namespace, Some(name)), None, "{namespace} {name}");
        }
    }

    #[test]
    fn an_object_is_written_back_with_what_it_had() {
        let text = r#"{"kind":"Secret","type":"x/y","immutable":false,"data":{"k":"dg=="},
            "metadata":{"name":"s","resourceVersion":"7","uid":"u","labels":{"a":"b"},"finalizers":["f"],
            "managedFields":[{"manager":"m"}]}}"#;
        let mut object = Object::from_json(Json::parse(&text.into()).unwrap()).unwrap();
        assert_eq!(object.data["k"].expose(), b"v");
        object.data.insert("n".into(), "w".into());
        let body = object.to_body("ns");
        assert_eq!(
            body.expose_str().unwrap(),
            r#"{"apiVersion":"v1","data":{"k":"dg==","n":"dw=="},"immutable":false,"kind":"Secret","metadata":{"annotations":{},"finalizers":["f"],"labels":{"a":"b"},"name":"s","namespace":"ns","resourceVersion":"7","uid":"u"},"type":"x/y"}"#
        );
        for odd in [r#"{"metadata":{}}"#, r#"{"metadata":{"name":"s"},"data":{"k":"%"}}"#, "[]"] {
            assert!(Object::from_json(Json::parse(&odd.into()).unwrap()).is_none(), "{odd}");
        }
    }

    #[test]
    fn rights_are_read_from_rules() {
        let allow = |rule: &str| {
            let text = format!(r#"{{"resourceRules":[{rule}]}}"#);
            rules_allow(&Json::parse(&text.as_str().into()).unwrap())
        };
        assert!(allow(r#"{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}"#));
        assert!(allow(r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}"#));
        assert!(!allow(r#"{"verbs":["list"],"apiGroups":[""],"resources":["secrets"]}"#));
        assert!(!allow(r#"{"verbs":["get"],"apiGroups":["apps"],"resources":["secrets"]}"#));
    }
}
