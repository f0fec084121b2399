//! A session and a store from the settings of a SecretStore.

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use sealops_crds::secret_store::{
    RetrySettings, SecretSelector, SecretStoreSpec, ServiceAccountSelector, VaultAuth, VaultJwtAuth,
    VaultKubernetesAuth, VaultKvVersion, VaultPasswordAuth, VaultProvider,
};
use sealops_formats::Plaintext;

use super::client::{Client, Settings};
use super::kv::{Kv, KvStore, fail};
use super::paths::{KvVersion, Mount};
use super::{Login, Session};
use crate::authorities::authorities;
use crate::duration::go_duration;
use crate::http::REQUEST_TIMEOUT;
use crate::{ConnectContext, ProviderError, ProviderErrorKind, Selector, StoreConnection, TokenRequest};

/// Life of a service account's token that a login takes, in seconds.
const TOKEN_SECONDS: i64 = 600;
/// Whom such a token of `auth.jwt` is for, unless that is said.
const JWT_AUDIENCE: &str = "vault";
/// Most repetitions that a store can ask for.
const MAX_RETRIES: i32 = 20;
/// Longest wait between them that a store can ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Opens a store; logs in where there is a login.
///
/// # Errors
/// Returns what is wrong with the settings or the login.
pub(crate) async fn connect(
    store: &SecretStoreSpec,
    settings: &VaultProvider,
    context: &ConnectContext<'_>,
) -> Result<StoreConnection, ProviderError> {
    let opened = async {
        let mount = mount(settings)?;
        let check_and_set = settings.check_and_set.as_ref().and_then(|cas| cas.required) == Some(true);
        if check_and_set && mount.version == KvVersion::V1 {
            return Err(invalid("checkAndSet is not supported with Vault KV version v1"));
        }
        let session = session(settings, store.retry_settings.as_ref(), context).await?;
        Ok(KvStore(Arc::new(Kv { session, mount, check_and_set })))
    };
    let store = opened.await.map_err(|kind| fail("open", &settings.server, kind))?;
    Ok(StoreConnection {
        reader: Some(Box::new(store.clone())),
        writer: Some(Box::new(store.clone())),
        check: Some(Box::new(store)),
    })
}

/// Opens a session; logs in where there is a login.
///
/// # Errors
/// As [`connect`].
pub(super) async fn session(
    settings: &VaultProvider,
    retries: Option<&RetrySettings>,
    context: &ConnectContext<'_>,
) -> Result<Session, ProviderErrorKind> {
    if !context.network {
        return Err(ProviderErrorKind::Forbidden("no network is used here".to_owned()));
    }
    let mut client = Settings::new(settings.server.as_str());
    client.timeout = REQUEST_TIMEOUT;
    client.namespace = settings.namespace.clone().unwrap_or_default();
    client.headers = headers(settings)?;
    client.read_your_writes =
        settings.read_your_writes == Some(true) || settings.forward_inconsistent == Some(true);
    client.forward_inconsistent =
        settings.read_your_writes == Some(true) && settings.forward_inconsistent == Some(true);
    client.extras.egress = context.credentials.egress();
    client.extras.reach = context.credentials.reach();
    client.extras.reach.server(&settings.server)?;
    client.tls.roots =
        authorities(settings.ca_bundle.as_deref(), settings.ca_provider.as_ref(), context).await?;
    client.tls.identity = identity(settings, context).await?;
    if let Some(retries) = retries {
        repeat(&mut client, retries)?;
    }
    let auth = settings.auth.as_ref();
    let login = match auth {
        Some(auth) if needs_cluster(auth) && context.credentials.reach().stands_in() => {
            Login::Token(context.credentials.reach().vault_token(&settings.server)?)
        }
        Some(auth) => login(auth, context).await?,
        None => Login::None,
    };
    let namespace = auth.and_then(|auth| auth.namespace.clone()).filter(|namespace| !namespace.is_empty());
    let session = Session::new(Client::new(client)?, login, namespace);
    session.open().await?;
    Ok(session)
}

fn mount(settings: &VaultProvider) -> Result<Mount, ProviderErrorKind> {
    let version = match &settings.version {
        None | Some(VaultKvVersion::V2) => KvVersion::V2,
        Some(VaultKvVersion::V1) => KvVersion::V1,
        Some(VaultKvVersion::Other(other)) => {
            return Err(invalid(format!("version {other:?} is neither v1 nor v2")));
        }
    };
    let path = settings.path.as_deref().map(|path| path.trim_matches('/').to_owned());
    Ok(Mount { path: path.filter(|path| !path.is_empty()), version })
}

/// Headers of the settings. Those that say who asks, and where, are the session's.
fn headers(settings: &VaultProvider) -> Result<Vec<(HeaderName, HeaderValue)>, ProviderErrorKind> {
    const OURS: [&str; 6] = [
        "host",
        "content-length",
        "transfer-encoding",
        "x-vault-token",
        "x-vault-namespace",
        "x-vault-request",
    ];
    let mut headers = Vec::new();
    for (name, value) in &settings.headers {
        let wrong = || invalid(format!("headers: {name:?} or its value can be no header"));
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        if OURS.contains(&name.as_str()) {
            return Err(invalid(format!("headers: {name} cannot be set there")));
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

/// What is repeated: with settings, only what they ask for.
fn repeat(client: &mut Settings, retries: &RetrySettings) -> Result<(), ProviderErrorKind> {
    let count = retries.max_retries.unwrap_or(0).clamp(0, MAX_RETRIES);
    client.policy.attempts = 1 + u32::try_from(count).unwrap_or(0);
    if let Some(text) = &retries.retry_interval {
        let wait = go_duration(text).ok_or_else(|| {
            invalid(format!("retrySettings.retryInterval {text:?} is no duration: write 10s"))
        })?;
        client.policy.base = wait.min(MAX_WAIT);
        client.policy.cap = client.policy.cap.max(client.policy.base);
    }
    Ok(())
}

/// The client certificate: that of the connection, or that of the login.
async fn identity(
    settings: &VaultProvider,
    context: &ConnectContext<'_>,
) -> Result<Option<(Vec<u8>, Plaintext)>, ProviderErrorKind> {
    let tls = settings.tls.as_ref();
    let of_connection =
        tls.map(|tls| (tls.cert_secret_ref.as_ref(), tls.key_secret_ref.as_ref())).unwrap_or_default();
    let auth = settings.auth.as_ref().filter(|auth| matches!(method(auth), Some(Method::Cert)));
    let of_login = auth.and_then(|auth| auth.cert.as_ref());
    let (certificate, key) = match (of_connection, of_login) {
        (_, Some(cert)) => (
            needed("auth.cert.clientCert", cert.client_cert.as_ref())?,
            needed("auth.cert.secretRef", cert.secret_ref.as_ref())?,
        ),
        ((Some(certificate), Some(key)), None) => (certificate, key),
        ((None, None), None) => return Ok(None),
        _ => return Err(invalid("tls: certSecretRef and keySecretRef have to be set both")),
    };
    let chain = secret(certificate, "tls.crt", context).await?;
    Ok(Some((chain.expose().to_vec(), secret(key, "tls.key", context).await?)))
}

/// Ways to log in, in the order in which they count.
enum Method {
    Token,
    AppRole,
    Kubernetes,
    Ldap,
    UserPass,
    Jwt,
    Cert,
    Iam,
    Gcp,
}

fn method(auth: &VaultAuth) -> Option<Method> {
    let ways = [
        (auth.token_secret_ref.is_some(), Method::Token),
        (auth.app_role.is_some(), Method::AppRole),
        (auth.kubernetes.is_some(), Method::Kubernetes),
        (auth.ldap.is_some(), Method::Ldap),
        (auth.user_pass.is_some(), Method::UserPass),
        (auth.jwt.is_some(), Method::Jwt),
        (auth.cert.is_some(), Method::Cert),
        (auth.iam.is_some(), Method::Iam),
        (auth.gcp.is_some(), Method::Gcp),
    ];
    ways.into_iter().find_map(|(is_set, method)| is_set.then_some(method))
}

async fn login(auth: &VaultAuth, context: &ConnectContext<'_>) -> Result<Login, ProviderErrorKind> {
    let none = || invalid("auth: no valid auth method specified");
    match method(auth).ok_or_else(none)? {
        Method::Token => {
            let reference = needed("auth.tokenSecretRef", auth.token_secret_ref.as_ref())?;
            Ok(Login::Token(secret(reference, "", context).await?))
        }
        Method::AppRole => {
            let settings = auth.app_role.as_ref().ok_or_else(none)?;
            let role_id = match settings.role_id.as_deref().filter(|id| !id.is_empty()) {
                Some(id) => Plaintext::from(id),
                None => {
                    secret(needed("auth.appRole.roleId or roleRef", settings.role_ref.as_ref())?, "", context)
                        .await?
                }
            };
            let reference = needed("auth.appRole.secretRef", settings.secret_ref.as_ref())?;
            let secret_id = secret(reference, "", context).await?;
            Ok(Login::AppRole { mount: mounted(settings.path.as_deref(), "approle"), role_id, secret_id })
        }
        Method::Kubernetes => kubernetes(auth.kubernetes.as_ref().ok_or_else(none)?, context).await,
        Method::Ldap => password(auth.ldap.as_ref().ok_or_else(none)?, "ldap", context).await,
        Method::UserPass => password(auth.user_pass.as_ref().ok_or_else(none)?, "userpass", context).await,
        Method::Jwt => jwt(auth.jwt.as_ref().ok_or_else(none)?, context).await,
        Method::Cert => {
            let settings = auth.cert.as_ref().ok_or_else(none)?;
            let name = settings.vault_role.clone().unwrap_or_default();
            Ok(Login::Certificate { mount: mounted(settings.path.as_deref(), "cert"), name })
        }
        Method::Iam => Err(ProviderErrorKind::Unsupported("auth.iam (AWS identities)")),
        Method::Gcp => Err(ProviderErrorKind::Unsupported("auth.gcp (Google Cloud identities)")),
    }
}

/// Whether a login takes a token of a service account.
fn needs_cluster(auth: &VaultAuth) -> bool {
    match method(auth) {
        Some(Method::Kubernetes) => {
            auth.kubernetes.as_ref().is_some_and(|settings| settings.service_account_ref.is_some())
        }
        Some(Method::Jwt) => auth.jwt.as_ref().is_some_and(|settings| settings.secret_ref.is_none()),
        _ => false,
    }
}

async fn kubernetes(
    settings: &VaultKubernetesAuth,
    context: &ConnectContext<'_>,
) -> Result<Login, ProviderErrorKind> {
    let jwt = match (&settings.service_account_ref, &settings.secret_ref) {
        (Some(account), _) => token(account, &[], TOKEN_SECONDS, context).await?,
        (None, Some(reference)) => secret(reference, "token", context).await?,
        // Whoever writes a store would get the controller's own token sent to a server of their choice.
        (None, None) => {
            return Err(invalid(
                "auth.kubernetes needs serviceAccountRef or secretRef: the controller's own token is not handed out",
            ));
        }
    };
    let role = settings.role.clone().unwrap_or_default();
    Ok(Login::Jwt { mount: mounted(settings.mount_path.as_deref(), "kubernetes"), role, jwt })
}

async fn jwt(settings: &VaultJwtAuth, context: &ConnectContext<'_>) -> Result<Login, ProviderErrorKind> {
    let jwt = match (&settings.secret_ref, &settings.kubernetes_service_account_token) {
        (Some(reference), _) => secret(reference, "", context).await?,
        (None, Some(wanted)) => {
            let vault = || vec![JWT_AUDIENCE.to_owned()];
            let audiences = wanted.audiences.clone().filter(|audiences| !audiences.is_empty());
            let seconds = wanted.expiration_seconds.unwrap_or(TOKEN_SECONDS);
            token(&wanted.service_account_ref, &audiences.unwrap_or_else(vault), seconds, context).await?
        }
        (None, None) => {
            return Err(invalid("auth.jwt needs secretRef or kubernetesServiceAccountToken"));
        }
    };
    let role = settings.role.clone().unwrap_or_default();
    Ok(Login::Jwt { mount: mounted(settings.path.as_deref(), "jwt"), role, jwt })
}

async fn password(
    settings: &VaultPasswordAuth,
    kind: &'static str,
    context: &ConnectContext<'_>,
) -> Result<Login, ProviderErrorKind> {
    let reference = needed("secretRef of the password", settings.secret_ref.as_ref())?;
    Ok(Login::Password {
        mount: mounted(settings.path.as_deref(), kind),
        username: settings.username.as_deref().unwrap_or_default().trim().to_owned(),
        password: secret(reference, "", context).await?,
    })
}

fn mounted(path: Option<&str>, default: &str) -> String {
    let path = path.map(|path| path.trim_matches('/')).filter(|path| !path.is_empty());
    path.unwrap_or(default).to_owned()
}

fn needed<'a>(
    field: &str,
    value: Option<&'a SecretSelector>,
) -> Result<&'a SecretSelector, ProviderErrorKind> {
    value.ok_or_else(|| invalid(format!("{field} is missing")))
}

async fn secret(
    reference: &SecretSelector,
    default_key: &str,
    context: &ConnectContext<'_>,
) -> Result<Plaintext, ProviderErrorKind> {
    let key = reference.key.clone().filter(|key| !key.is_empty());
    let selector = Selector {
        name: reference.name.clone().unwrap_or_default(),
        namespace: reference.namespace.clone(),
        key: key.unwrap_or_else(|| default_key.to_owned()),
    };
    context.credentials.secret(&selector).await
}

async fn token(
    account: &ServiceAccountSelector,
    more: &[String],
    seconds: i64,
    context: &ConnectContext<'_>,
) -> Result<Plaintext, ProviderErrorKind> {
    let audiences = account.audiences.iter().chain(more).cloned().collect();
    let request =
        TokenRequest { name: account.name.clone(), namespace: account.namespace.clone(), audiences, seconds };
    context.credentials.token(&request).await
}

fn invalid(text: impl Into<String>) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text.into())
}
