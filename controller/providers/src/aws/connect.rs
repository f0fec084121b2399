//! From the settings of a store to a service of AWS.
//!
//! Addresses are AWS's, or those of the process's environment (`AWS_SECRETSMANAGER_ENDPOINT`, `AWS_SSM_ENDPOINT`,
//! `AWS_STS_ENDPOINT`, else `AWS_ENDPOINT_URL`): a store names a region and never a host.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use sealops_crds::secret_store::{
    AwsProvider, AwsSecretRef, RetrySettings, SecretSelector, ServiceAccountSelector,
};
use sealops_formats::Plaintext;

use super::api::{Api, Service};
use super::auth::{self, Base, Role, STORE_SESSION};
use super::http_client;
use super::parameter_store::{self, ParameterStore};
use super::secrets_manager::{self, Deletion, SecretsManager};
use super::together::Together;
use crate::http::{HttpClient, TlsSettings};
use crate::{
    ConnectContext, ProviderError, ProviderErrorKind, SecretsReader, SecretsWriter, Selector, StoreCheck,
    StoreConnection, TokenRequest,
};

/// Repetitions where a store says nothing.
const RETRIES: i32 = 3;
/// Repetitions at most, whatever a store says.
const MAX_RETRIES: i32 = 10;
/// Life of the tokens of service accounts that are asked for, in seconds.
const TOKEN_SECONDS: i64 = 3600;
/// The role of a service account.
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// Whom the tokens of a service account are for.
const AUDIENCE_ANNOTATION: &str = "eks.amazonaws.com/audience";
const DEFAULT_AUDIENCE: &str = "sts.amazonaws.com";

/// Opens a store.
pub(crate) async fn connect(
    settings: &AwsProvider,
    retries: Option<&RetrySettings>,
    context: &ConnectContext<'_>,
) -> Result<StoreConnection, ProviderError> {
    let opened = async {
        let service = service(settings)?;
        let api = Arc::new(api(service, settings, retries, context).await?);
        let prefix = settings.prefix.clone().unwrap_or_default();
        let can_check = !is_referent(settings, context);
        if service.name == parameter_store::SERVICE.name {
            return Ok(connection(ParameterStore { api, prefix, can_check, together: Together::default() }));
        }
        let deletion = settings.secrets_manager.clone().unwrap_or_default();
        let deletion = Deletion {
            at_once: deletion.force_delete_without_recovery,
            window: deletion.recovery_window_in_days,
        };
        Ok(connection(SecretsManager { api, prefix, can_check, deletion, together: Together::default() }))
    };
    opened.await.map_err(|kind| ProviderError {
        backend: "aws".to_owned(),
        operation: "open",
        target: "the store".to_owned(),
        kind,
    })
}

fn connection(store: impl SecretsReader + SecretsWriter + StoreCheck + Clone + 'static) -> StoreConnection {
    StoreConnection {
        reader: Some(Box::new(store.clone())),
        writer: Some(Box::new(store.clone())),
        check: Some(Box::new(store)),
    }
}

fn service(settings: &AwsProvider) -> Result<&'static Service, ProviderErrorKind> {
    match settings.service.as_str() {
        "SecretsManager" => Ok(&secrets_manager::SERVICE),
        "ParameterStore" => Ok(&parameter_store::SERVICE),
        "CertificateManager" => Err(ProviderErrorKind::Unsupported("the service CertificateManager")),
        _ => Err(invalid("service has to be SecretsManager or ParameterStore")),
    }
}

fn invalid(text: &str) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text.to_owned())
}

/// Who asks, and what with.
pub(super) struct Login {
    pub(super) http: HttpClient,
    pub(super) config: SdkConfig,
}

/// Finds the credentials of a store or a generator. Nothing is asked of AWS yet.
pub(super) async fn login(
    settings: &AwsProvider,
    context: &ConnectContext<'_>,
) -> Result<Login, ProviderErrorKind> {
    if !context.network {
        return Err(ProviderErrorKind::Forbidden("stores are not connected to here".to_owned()));
    }
    if !auth::is_region(&settings.region) {
        return Err(ProviderErrorKind::Invalid(format!("{:?} is no AWS region", settings.region)));
    }
    let http = HttpClient::new(TlsSettings::default());
    let base = base(settings, context).await?;
    let roles = roles(settings, context)?;
    let sts = context.credentials.address("AWS_STS_ENDPOINT");
    let reach = context.credentials.reach();
    if !roles.is_empty() || matches!(base, Base::WebIdentity { .. }) {
        reach.server(sts.as_deref().unwrap_or(&auth::address("sts", &settings.region)))?;
    }
    let shared = http_client::shared(http.clone());
    let config = auth::load_with_sts(&shared, &settings.region, &base, &roles, sts.as_deref()).await;
    Ok(Login { http, config })
}

pub(super) async fn api(
    service: &'static Service,
    settings: &AwsProvider,
    retries: Option<&RetrySettings>,
    context: &ConnectContext<'_>,
) -> Result<Api, ProviderErrorKind> {
    let Login { http, config } = login(settings, context).await?;
    let login = config
        .credentials_provider()
        .ok_or_else(|| ProviderErrorKind::Unauthenticated("there are no AWS credentials".to_owned()))?;
    let own = context.credentials.address(service.variable);
    let address = own.or_else(|| config.endpoint_url().map(ToOwned::to_owned));
    let server = address.as_deref().unwrap_or(&auth::address(service.name, &settings.region)).to_owned();
    context.credentials.reach().server(&server)?;
    let retries = retries.and_then(|settings| settings.max_retries).unwrap_or(RETRIES).clamp(0, MAX_RETRIES);
    let attempts = u32::try_from(retries).unwrap_or_default() + 1;
    Ok(Api::new(service, http, &settings.region, address, login, attempts))
}

/// The credentials that everything begins with. Without any in the store they are the controller's own, as upstream.
async fn base(settings: &AwsProvider, context: &ConnectContext<'_>) -> Result<Base, ProviderErrorKind> {
    let auth = settings.auth.clone().unwrap_or_default();
    let reach = context.credentials.reach();
    match (auth.jwt, auth.secret_ref) {
        (Some(_), None) if reach.stands_in() => Ok(Base::Environment),
        (Some(jwt), None) => {
            let account =
                jwt.service_account_ref.ok_or_else(|| invalid("auth.jwt.serviceAccountRef is missing"))?;
            web_identity(&account, context).await
        }
        (None, Some(reference)) => keys(&reference, context).await,
        (None, None) => reach.identity().map(|()| Base::Environment),
        (Some(_), Some(_)) => Err(invalid("auth has to have one of jwt, secretRef")),
    }
}

async fn keys(reference: &AwsSecretRef, context: &ConnectContext<'_>) -> Result<Base, ProviderErrorKind> {
    let id = text("auth.secretRef.accessKeyIDSecretRef", &reference.access_key_id, context).await?;
    let key = text("auth.secretRef.secretAccessKeySecretRef", &reference.secret_access_key, context).await?;
    let token = match &reference.session_token {
        Some(token) => Some(text("auth.secretRef.sessionTokenSecretRef", token, context).await?),
        None => None,
    };
    Ok(Base::Keys(Credentials::new(id, key, token, None, "SecretStore")))
}

/// The keys become the SDK's, which wipes them.
async fn text(
    field: &str,
    reference: &SecretSelector,
    context: &ConnectContext<'_>,
) -> Result<String, ProviderErrorKind> {
    let part = |name: &str, value: &Option<String>| {
        let value = value.clone().filter(|value| !value.is_empty());
        value.ok_or_else(|| ProviderErrorKind::Invalid(format!("{field}.{name} is missing")))
    };
    let selector = Selector {
        name: part("name", &reference.name)?,
        namespace: reference.namespace.clone(),
        key: part("key", &reference.key)?,
    };
    let found = context.credentials.secret(&selector).await.map_err(|kind| named(field, kind))?;
    let found = found.expose_str().map(ToOwned::to_owned);
    found.ok_or_else(|| ProviderErrorKind::Invalid(format!("{field}: the value is no text")))
}

async fn web_identity(
    account: &ServiceAccountSelector,
    context: &ConnectContext<'_>,
) -> Result<Base, ProviderErrorKind> {
    let field = "auth.jwt.serviceAccountRef";
    let source = context.credentials;
    let annotations = source.service_account_annotations(&account.name, account.namespace.as_deref()).await;
    let annotations = annotations.map_err(|kind| named(field, kind))?;
    let annotation = |name: &str| annotations.get(name).filter(|text| !text.is_empty()).cloned();
    let role = annotation(ROLE_ANNOTATION).ok_or_else(|| {
        let name = &account.name;
        ProviderErrorKind::Invalid(format!(
            "{field}: an IAM role must be associated with service account {name}: the annotation {ROLE_ANNOTATION}"
        ))
    })?;
    let audience = annotation(AUDIENCE_ANNOTATION).unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned());
    let request = TokenRequest {
        name: account.name.clone(),
        namespace: account.namespace.clone(),
        audiences: [audience].into_iter().chain(account.audiences.iter().cloned()).collect(),
        seconds: TOKEN_SECONDS,
    };
    let token: Plaintext = source.token(&request).await.map_err(|kind| named(field, kind))?;
    Ok(Base::WebIdentity { role, token: Arc::new(token) })
}

/// Says which field it is about.
fn named(field: &str, kind: ProviderErrorKind) -> ProviderErrorKind {
    match kind {
        ProviderErrorKind::Invalid(text) => ProviderErrorKind::Invalid(format!("{field}: {text}")),
        ProviderErrorKind::NotFound => {
            ProviderErrorKind::Invalid(format!("{field}: there is no such object or key"))
        }
        other => other,
    }
}

fn roles(settings: &AwsProvider, context: &ConnectContext<'_>) -> Result<Vec<Role>, ProviderErrorKind> {
    let role =
        |arn: &str| Role { arn: arn.to_owned(), session_name: STORE_SESSION.to_owned(), ..Role::default() };
    let mut roles: Vec<Role> = settings.additional_roles.iter().map(|arn| role(arn)).collect();
    let Some(last) = settings.role.as_deref().filter(|arn| !arn.is_empty()) else { return Ok(roles) };
    let mut last = role(last);
    last.external_id = settings.external_id.clone().filter(|id| !id.is_empty());
    last.tags = settings.session_tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let store = context.store;
    let policy = settings.session_tags_policy.as_deref().unwrap_or_default();
    match policy {
        "" | "None" => {}
        "Simple" | "Custom" => {
            let kind = if store.namespace.is_some() { "SecretStore" } else { "ClusterSecretStore" };
            if policy == "Custom" {
                last.tags.extend(settings.custom_session_tags.clone());
            }
            // Last: who asks is nothing that a store may choose.
            last.tags.extend([
                ("esoNamespace".to_owned(), store.user_namespace.clone()),
                ("esoStoreName".to_owned(), store.name.clone()),
                ("esoStoreKind".to_owned(), kind.to_owned()),
            ]);
        }
        _ => return Err(invalid("sessionTagsPolicy has to be None, Simple or Custom")),
    }
    if !last.tags.is_empty() {
        last.transitive_tags.clone_from(&settings.transitive_tag_keys);
    }
    roles.push(last);
    Ok(roles)
}

/// Whether the credentials are those of whoever uses the store, so that nobody can check them before.
fn is_referent(settings: &AwsProvider, context: &ConnectContext<'_>) -> bool {
    if context.store.namespace.is_some() {
        return false;
    }
    let auth = settings.auth.clone().unwrap_or_default();
    let of_secret = auth.secret_ref.is_some_and(|reference| {
        let all = [Some(reference.access_key_id), Some(reference.secret_access_key), reference.session_token];
        all.into_iter().flatten().any(|selector| selector.namespace.is_none())
    });
    let of_account =
        auth.jwt.and_then(|jwt| jwt.service_account_ref).is_some_and(|account| account.namespace.is_none());
    of_secret || of_account
}
