//! From the settings of a store to a client.

use std::sync::Arc;

use sealops_crds::secret_store::{KubernetesProvider, SecretSelector};
use sealops_formats::Plaintext;

use super::api::Api;
use super::{KubernetesStore, fail, kubeconfig};
use crate::authorities::authorities;
use crate::http::{HttpClient, TlsSettings, sensitive};
use crate::http_extras::Extras;
use crate::{ConnectContext, ProviderError, ProviderErrorKind, Selector, StoreConnection, TokenRequest};

const DEFAULT_SERVER: &str = "kubernetes.default";
const DEFAULT_NAMESPACE: &str = "default";
/// Life of the tokens of service accounts that are asked for, in seconds.
const TOKEN_SECONDS: i64 = 3600;

/// Where an API server is and how to log in to it.
#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) server: String,
    pub(super) roots: Option<Vec<u8>>,
    pub(super) server_name: Option<String>,
    /// Certificate chain and key in PEM.
    pub(super) identity: Option<(Vec<u8>, Plaintext)>,
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<Plaintext>,
}

/// Opens a store.
pub(crate) async fn connect(
    settings: &KubernetesProvider,
    context: &ConnectContext<'_>,
) -> Result<StoreConnection, ProviderError> {
    let failed = |kind| fail("open", "the store", kind);
    if !context.network {
        return Err(failed(ProviderErrorKind::Forbidden("stores are not connected to here".to_owned())));
    }
    let endpoint = match &settings.auth_ref {
        Some(reference) => {
            let text = context.credentials.secret(&selector("authRef", reference).map_err(failed)?).await;
            kubeconfig::read(&text.map_err(|kind| failed(prefixed("authRef", kind)))?).map_err(failed)?
        }
        None => from_settings(settings, context).await.map_err(failed)?,
    };
    let namespace = settings.remote_namespace.clone().filter(|name| !name.is_empty());
    let api = api(endpoint, namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()), context);
    let store = KubernetesStore {
        api: Arc::new(api.map_err(failed)?),
        is_cluster: context.store.namespace.is_none(),
    };
    Ok(StoreConnection {
        reader: Some(Box::new(store.clone())),
        writer: Some(Box::new(store.clone())),
        check: Some(Box::new(store)),
    })
}

fn api(
    endpoint: Endpoint,
    namespace: String,
    context: &ConnectContext<'_>,
) -> Result<Api, ProviderErrorKind> {
    let authorization = endpoint.authorization.as_ref().map(|value| sensitive(value.expose())).transpose()?;
    let tls = TlsSettings { roots: endpoint.roots, identity: endpoint.identity };
    let extras = Extras {
        server_name: endpoint.server_name,
        egress: context.credentials.egress(),
        reach: context.credentials.reach(),
        ..Extras::default()
    };
    let server = endpoint.server.trim_end_matches('/');
    let base = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
    extras.reach.server(&base)?;
    Ok(Api::new(HttpClient::with(tls, extras), base, namespace, authorization))
}

async fn from_settings(
    settings: &KubernetesProvider,
    context: &ConnectContext<'_>,
) -> Result<Endpoint, ProviderErrorKind> {
    let server = settings.server.clone().unwrap_or_default();
    let roots = authorities(server.ca_bundle.as_deref(), server.ca_provider.as_ref(), context).await?;
    let url = server.url.filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let mut endpoint = Endpoint { server: url, roots, ..Endpoint::default() };
    let auth = settings
        .auth
        .as_ref()
        .ok_or_else(|| invalid("auth is missing: one of cert, token, serviceAccount"))?;
    match (&auth.token, &auth.service_account, &auth.cert) {
        (Some(token), None, None) => {
            let field = "auth.token.bearerToken";
            let token = secret(field, token.bearer_token.as_ref(), context).await?;
            endpoint.authorization = Some(bearer(&token));
        }
        (None, Some(account), None) => {
            let request = TokenRequest {
                name: account.name.clone(),
                namespace: account.namespace.clone(),
                audiences: account.audiences.clone(),
                seconds: TOKEN_SECONDS,
            };
            let token = context.credentials.token(&request).await;
            endpoint.authorization =
                Some(bearer(&token.map_err(|kind| prefixed("auth.serviceAccount", kind))?));
        }
        (None, None, Some(cert)) => {
            let chain = secret("auth.cert.clientCert", cert.client_cert.as_ref(), context).await?;
            let key = secret("auth.cert.clientKey", cert.client_key.as_ref(), context).await?;
            endpoint.identity = Some((chain.expose().to_vec(), key));
        }
        _ => return Err(invalid("auth has to have exactly one of cert, token, serviceAccount")),
    }
    Ok(endpoint)
}

fn bearer(token: &Plaintext) -> Plaintext {
    let mut value = Plaintext::with_capacity(7 + token.len());
    value.push(b"Bearer ");
    value.push(token.expose().trim_ascii());
    value
}

fn invalid(text: &str) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text.to_owned())
}

async fn secret(
    field: &str,
    reference: Option<&SecretSelector>,
    context: &ConnectContext<'_>,
) -> Result<Plaintext, ProviderErrorKind> {
    let reference = reference.ok_or_else(|| ProviderErrorKind::Invalid(format!("{field} is missing")))?;
    let found = context.credentials.secret(&selector(field, reference)?).await;
    found.map_err(|kind| prefixed(field, kind))
}

fn selector(field: &str, reference: &SecretSelector) -> Result<Selector, ProviderErrorKind> {
    let part = |name: &str, value: &Option<String>| {
        let value = value.clone().filter(|value| !value.is_empty());
        value.ok_or_else(|| ProviderErrorKind::Invalid(format!("{field}.{name} is missing")))
    };
    let namespace = reference.namespace.clone();
    Ok(Selector { name: part("name", &reference.name)?, namespace, key: part("key", &reference.key)? })
}

/// Says which field it is about.
fn prefixed(field: &str, kind: ProviderErrorKind) -> ProviderErrorKind {
    match kind {
        ProviderErrorKind::Invalid(text) => ProviderErrorKind::Invalid(format!("{field}: {text}")),
        ProviderErrorKind::Unavailable(text) => ProviderErrorKind::Unavailable(format!("{field}: {text}")),
        other => other,
    }
}
