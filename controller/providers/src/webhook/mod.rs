//! Any HTTP endpoint as a store. Address, headers, body and the path into the answer are templates, which the controller
//! renders: see [`crate::Render`].

mod filter;
mod jsonpath;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sealops_crds::secret_store::{Provider, WebhookProvider};
use sealops_formats::Plaintext;
use tokio::time::timeout;

use crate::authorities::authorities;
use crate::duration::go_duration;
use crate::http::{Answer, HttpClient, REQUEST_TIMEOUT, TlsSettings};
use crate::http_extras::Extras;
use crate::json::Json;
use crate::retry::retry_after;
use crate::{
    BoxFuture, ConnectContext, Dialect, Egress, PropertyRule, ProviderError, ProviderErrorKind, PushTarget,
    Reach, RemoteKey, RemoteSecret, RemoteValue, Render, SecretsReader, SecretsWriter, Selector, StoreCheck,
    StoreConnection, Validation, ValueRule, egress, names,
};

use jsonpath::{Path, PathError};
use request::{Parts, Rendered};

/// The label that a Secret needs for a webhook store to see it: whoever may make stores could send any Secret of the
/// namespace elsewhere.
const LABEL: (&str, &str) = ("external-secrets.io/type", "webhook");
/// Secrets of one store.
const MAX_SECRETS: usize = 64;
/// Longest time that the check waits for a connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);

/// A store over an endpoint.
#[derive(Clone)]
pub(crate) struct WebhookStore {
    settings: Arc<WebhookProvider>,
    secrets: Arc<BTreeMap<String, BTreeMap<String, Plaintext>>>,
    templates: Arc<dyn Render>,
    http: HttpClient,
    egress: Egress,
    reach: Arc<Reach>,
    timeout: Duration,
    user_namespace: String,
}

fn fail(operation: &'static str, target: &str, kind: ProviderErrorKind) -> ProviderError {
    ProviderError { backend: Provider::WEBHOOK.to_owned(), operation, target: target.to_owned(), kind }
}

/// Opens a store.
pub(crate) async fn connect(
    settings: &WebhookProvider,
    context: &ConnectContext<'_>,
) -> Result<StoreConnection, ProviderError> {
    let store = open(settings, context).await.map_err(|kind| fail("open", "the store", kind))?;
    Ok(StoreConnection {
        reader: Some(Box::new(store.clone())),
        writer: Some(Box::new(store.clone())),
        check: Some(Box::new(store)),
    })
}

async fn open(
    settings: &WebhookProvider,
    context: &ConnectContext<'_>,
) -> Result<WebhookStore, ProviderErrorKind> {
    if !context.network {
        return Err(ProviderErrorKind::Forbidden("stores are not connected to here".to_owned()));
    }
    if settings.auth.as_ref().is_some_and(|auth| auth.ntlm.is_some()) {
        return Err(ProviderErrorKind::Unsupported("auth.ntlm"));
    }
    let timeout = match settings.timeout.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => go_duration(text)
            .filter(|timeout| !timeout.is_zero())
            .ok_or_else(|| ProviderErrorKind::Invalid("timeout is not a duration such as 10s".to_owned()))?,
        None => REQUEST_TIMEOUT,
    };
    let templates = context.credentials.templates().ok_or(ProviderErrorKind::Unsupported("templates"))?;
    let egress = context.credentials.egress();
    let roots = authorities(settings.ca_bundle.as_deref(), settings.ca_provider.as_ref(), context).await?;
    let reach = context.credentials.reach();
    if !reach.is_open() {
        // A host that a template makes may hold a value, which no list and no text may.
        if request::address(&settings.url).is_none() {
            let text =
                "url: a template makes the host, so the endpoint is asked only where all servers are allowed";
            return Err(ProviderErrorKind::Forbidden(text.to_owned()));
        }
        reach.server(settings.url.trim())?;
    }
    let extras = Extras { egress, reach: Arc::clone(&reach), ..Extras::default() };
    let http = HttpClient::with(TlsSettings { roots, identity: None }, extras);
    Ok(WebhookStore {
        settings: Arc::new(settings.clone()),
        secrets: Arc::new(secrets(settings, context).await?),
        templates,
        http,
        egress,
        reach,
        timeout,
        user_namespace: context.store.user_namespace.clone(),
    })
}

async fn secrets(
    settings: &WebhookProvider,
    context: &ConnectContext<'_>,
) -> Result<BTreeMap<String, BTreeMap<String, Plaintext>>, ProviderErrorKind> {
    if settings.secrets.len() > MAX_SECRETS {
        return Err(ProviderErrorKind::Invalid(format!("secrets has more than {MAX_SECRETS} entries")));
    }
    let mut secrets = BTreeMap::new();
    for secret in &settings.secrets {
        let reference = &secret.secret_ref;
        let namespace = reference.namespace.clone().filter(|namespace| !namespace.is_empty());
        if context.store.namespace.is_none() && namespace.is_none() {
            return Err(ProviderErrorKind::Invalid(format!(
                "no namespace on ClusterSecretStore webhook secret {}",
                secret.name
            )));
        }
        let selector = Selector {
            name: reference.name.clone().unwrap_or_default(),
            namespace,
            key: reference.key.clone().unwrap_or_default(),
        };
        let entries = context.credentials.secret_entries(&selector, Some(LABEL)).await?;
        secrets.insert(secret.name.clone(), entries);
    }
    Ok(secrets)
}

impl WebhookStore {
    /// Renders all templates of a request, where no other task waits for it.
    async fn render(
        &self,
        remote: BTreeMap<String, Plaintext>,
        is_push: bool,
    ) -> Result<Rendered, ProviderErrorKind> {
        let parts = Parts {
            settings: Arc::clone(&self.settings),
            secrets: Arc::clone(&self.secrets),
            templates: Arc::clone(&self.templates),
            remote,
            is_push,
        };
        let lost = |_| ProviderErrorKind::Unavailable("the templates were not rendered".to_owned());
        tokio::task::spawn_blocking(move || parts.render()).await.map_err(lost)?
    }

    async fn ask(
        &self,
        remote: BTreeMap<String, Plaintext>,
        is_push: bool,
    ) -> Result<(Answer, Plaintext), ProviderErrorKind> {
        let mut rendered = self.render(remote, is_push).await?;
        rendered.request.timeout = self.timeout;
        let answer = self.http.send(rendered.request).await?;
        judge(&answer)?;
        Ok((answer, rendered.json_path))
    }

    async fn read(&self, remote: &RemoteKey, property: Option<&str>) -> Result<Plaintext, ProviderErrorKind> {
        let fields = [
            ("key", remote.key.as_str()),
            ("version", remote.version.as_deref().unwrap_or_default()),
            ("property", property.unwrap_or_default()),
            ("namespace", self.user_namespace.as_str()),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), Plaintext::from(value)));
        let (answer, json_path) = self.ask(fields.collect(), false).await?;
        if json_path.is_empty() {
            return Ok(answer.body);
        }
        extract(&answer.body, &json_path)
    }
}

fn judge(answer: &Answer) -> Result<(), ProviderErrorKind> {
    let word = |status: u16| {
        let known = ::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        format!("endpoint gave error {status} {}", known.unwrap_or_default())
    };
    Err(match answer.status {
        200..300 => return Ok(()),
        304 => ProviderErrorKind::Failed("not modified".to_owned()),
        404 => ProviderErrorKind::NotFound,
        401 => ProviderErrorKind::Unauthenticated(word(401)),
        403 => ProviderErrorKind::Denied(word(403)),
        429 => ProviderErrorKind::Throttled(retry_after(&answer.headers)),
        503 => match retry_after(&answer.headers) {
            Some(after) => ProviderErrorKind::Throttled(Some(after)),
            None => ProviderErrorKind::Unavailable(word(503)),
        },
        status @ (408 | 500..) => ProviderErrorKind::Unavailable(word(status)),
        status => ProviderErrorKind::Failed(word(status)),
    })
}

fn extract(body: &Plaintext, json_path: &Plaintext) -> Result<Plaintext, ProviderErrorKind> {
    let problem = |error: PathError| match error {
        PathError::Parse(text) => ProviderErrorKind::Invalid(format!("result.jsonPath: {text}")),
        PathError::Nothing => {
            ProviderErrorKind::Failed("failed to get response path: result.jsonPath finds nothing".to_owned())
        }
        PathError::TooMuch => ProviderErrorKind::Failed("result.jsonPath finds too much".to_owned()),
    };
    let text = json_path.expose_str().ok_or(PathError::Parse("the path is no text")).map_err(problem)?;
    let path = Path::parse(text).map_err(problem)?;
    let json = Json::parse(body).ok_or_else(|| {
        ProviderErrorKind::Failed("failed to parse response json: the answer is no JSON".to_owned())
    })?;
    path.find(&json).and_then(jsonpath::to_bytes).map_err(problem)
}

impl SecretsReader for WebhookStore {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        self.get_property(remote, None)
    }

    fn get_property<'a>(
        &'a self,
        remote: &'a RemoteKey,
        property: Option<&'a str>,
    ) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async move {
            let value = self.read(remote, property).await.map_err(|kind| fail("get", &remote.key, kind))?;
            Ok(RemoteSecret { value: RemoteValue::Bytes(value), version: None })
        })
    }

    fn dialect(&self) -> Dialect {
        Dialect { property: PropertyRule::Ignored, values: ValueRule::Rewritten }
    }
}

impl SecretsWriter for WebhookStore {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        let mut remote = BTreeMap::from([("remoteKey".to_owned(), Plaintext::from(target.key.as_str()))]);
        if let Some(key) = target.secret_key.as_deref().filter(|key| !key.is_empty()) {
            remote.insert("secretKey".to_owned(), key.into());
        }
        remote.insert(target.key.clone(), value.duplicate());
        Box::pin(async move {
            self.ask(remote, true).await.map(drop).map_err(|kind| fail("put", &target.key, kind))
        })
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        let unsupported = fail("delete", &target.key, ProviderErrorKind::Unsupported("deleting"));
        Box::pin(async move { Err(unsupported) })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        let kind = ProviderErrorKind::Unsupported("updatePolicy: IfNotExists");
        let unsupported = fail("exists", &target.key, kind);
        Box::pin(async move { Err(unsupported) })
    }
}

impl StoreCheck for WebhookStore {
    /// Only whether somebody listens there, as upstream: what the endpoint answers is known when it is asked.
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async move {
            let Some((host, port)) = request::address(&self.settings.url) else {
                return Ok(Validation::Unknown);
            };
            let failed = |kind| fail("validate", &host, kind);
            egress::check(self.egress, &host).map_err(failed)?;
            self.reach.server(self.settings.url.trim()).map_err(failed)?;
            let unreachable = |text: String| {
                failed(ProviderErrorKind::Unavailable(format!("cannot reach {host}:{port}: {text}")))
            };
            let name = host.trim_start_matches('[').trim_end_matches(']');
            match timeout(CHECK_TIMEOUT.min(self.timeout), egress::connect(self.egress, name, port)).await {
                Ok(Ok(_)) => Ok(Validation::Ready),
                Ok(Err(error)) => match egress::refusal(&error) {
                    Some(refusal) => Err(failed(ProviderErrorKind::Forbidden(refusal))),
                    None => Err(unreachable(names::reason(&error))),
                },
                Err(_) => Err(unreachable("no answer in time".to_owned())),
            }
        })
    }
}
