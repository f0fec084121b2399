//! Who asks for keys of which kind.

use std::sync::{Arc, OnceLock};

use sealops_crypto::sops::{KeyKind, KeyPart, MasterKey};
use sealops_formats::Plaintext;
use sealops_providers::aws::{Kms, MfaSessions, session_name};
use sealops_providers::azure::{Credentials, KeyVaults};
use sealops_providers::http::{HttpClient, TlsSettings};
use sealops_providers::http_extras::{Extras, Proxies};
use sealops_providers::key_service::{KeyServiceLimits, RemoteKeyService};
use sealops_providers::local::Environment;
use sealops_providers::vault::{ALLOWLIST, Allowlist, EnvironmentServers, Transit};
use sealops_providers::{BoxFuture, KeyService, ProviderError, gcp, huawei as huawei_cloud};

use crate::sops::local_keys;

/// Largest file of authorities.
const MAX_AUTHORITIES_BYTES: usize = 4 << 20;
/// Link-local addresses.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// Returns who asks for keys of a kind. It is called once for each kind, when the first network key is wanted; a login
/// is the service's own, at its first key.
pub(super) fn service(kind: KeyKind) -> Option<Arc<dyn KeyService>> {
    match kind {
        KeyKind::Kms => Some(kms()),
        KeyKind::HcVault => Some(vault()),
        KeyKind::GcpKms => Some(google()),
        KeyKind::AzureKeyVault => Some(azure()),
        KeyKind::HuaweiKms => Some(huawei()),
        KeyKind::Age | KeyKind::Pgp => None,
    }
}

/// AWS KMS as the variables of the process say. The authorities of `AWS_CA_BUNDLE` replace the system's; a file that
/// cannot be read is no authority at all.
fn kms() -> Arc<dyn KeyService> {
    let system = rustix::system::uname();
    let name = session_name(&system.nodename().to_string_lossy());
    Arc::new(Kms::new(aws_http(), name).with_mfa(mfa_sessions()))
}

/// The sessions that codes of MFA devices have opened, one list for the process: nobody is asked twice.
pub(crate) fn mfa_sessions() -> Arc<MfaSessions> {
    static SESSIONS: OnceLock<Arc<MfaSessions>> = OnceLock::new();
    let ask = |question: &str| local_keys::terminal().text(question).map(Plaintext::from);
    Arc::clone(SESSIONS.get_or_init(|| MfaSessions::new(ask)))
}

/// Google Cloud KMS, as the variables of the process and the files of its user say.
fn google() -> Arc<dyn KeyService> {
    let environment = Environment::new(std::env::vars_os());
    Arc::new(gcp::Kms::new(move || gcp::kms_settings(&environment)))
}

/// Returns whom a key of Google Cloud KMS contacts.
pub(crate) fn google_contacts() -> Vec<String> {
    gcp::kms_contacts(&Environment::new(std::env::vars_os()))
}

/// Azure Key Vault as the variables of the process say.
fn azure() -> Arc<dyn KeyService> {
    let extras = Extras { proxies: proxies(), ..Extras::default() };
    let http = HttpClient::with(TlsSettings::default(), extras);
    let credentials = Credentials::new(http.clone(), Environment::new(std::env::vars_os()));
    Arc::new(KeyVaults::new(http, credentials))
}

/// Returns who logs in to a vault of Azure.
pub(crate) fn azure_authority(vault_url: &str) -> String {
    let configured = std::env::var("AZURE_AUTHORITY_HOST").ok();
    sealops_providers::azure::authority(vault_url, configured.as_deref())
}

/// Huawei Cloud KMS, as the variables of the process and the files of its user say.
fn huawei() -> Arc<dyn KeyService> {
    let extras = Extras { proxies: proxies(), ..Extras::default() };
    let http = HttpClient::with(TlsSettings::default(), extras);
    let direct = HttpClient::new(TlsSettings::default());
    Arc::new(huawei_cloud::Kms::new(http, direct, Environment::new(std::env::vars_os())))
}

/// Returns whom a key of Huawei Cloud KMS contacts.
pub(crate) fn huawei_contacts(key_id: &str) -> Vec<String> {
    huawei_cloud::contacts(&Environment::new(std::env::vars_os()), key_id)
}

/// Transit keys of Vault, as the variables of the process and the files of its user say.
fn vault() -> Arc<dyn KeyService> {
    let servers = EnvironmentServers::new(Environment::new(std::env::vars_os()));
    let allowed = std::env::var(ALLOWLIST).unwrap_or_default();
    Arc::new(Transit::new(Box::new(servers), Allowlist::parse(&allowed)))
}

/// Returns why sops's own list of Vault's servers forbids a key, if it does.
pub(crate) fn forbidden(key: &MasterKey) -> Option<String> {
    let MasterKey::HcVault { vault_address, .. } = key else { return None };
    match Allowlist::parse(&std::env::var(ALLOWLIST).unwrap_or_default()) {
        Ok(allowed) if allowed.allows(vault_address) => None,
        Ok(_) => Some(format!("{ALLOWLIST} does not have {vault_address}")),
        Err(problem) => Some(problem),
    }
}

/// Returns the client for AWS.
pub(crate) fn aws_http() -> HttpClient {
    let bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty());
    let roots = bundle.map(|path| {
        let text = crate::files::read(path.as_ref(), MAX_AUTHORITIES_BYTES);
        text.map(|text| text.expose().to_vec()).unwrap_or_default()
    });
    let extras = Extras { proxies: proxies(), ..Extras::default() };
    HttpClient::with(TlsSettings { roots, ..TlsSettings::default() }, extras)
}

/// Proxies as the variables say. The places where AWS and Azure hand out credentials of a machine are never behind one.
fn proxies() -> Proxies {
    let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let either = |name: &str| text(name).or_else(|| text(&name.to_ascii_lowercase())).unwrap_or_default();
    let direct = [either("NO_PROXY"), LINK_LOCAL.to_owned()].join(",");
    Proxies::new(&either("HTTP_PROXY"), &either("HTTPS_PROXY"), direct.trim_start_matches(','))
}

/// Returns the client of a key service: `tcp://HOST:PORT` or `unix:///PATH`. It is called where the runtime is entered.
pub(super) fn remote(uri: &str) -> Arc<dyn KeyService> {
    match RemoteKeyService::new(uri, KeyServiceLimits::default()) {
        Ok(service) => Arc::new(service),
        Err(error) => Arc::new(Refusing(error)),
    }
}

/// Stands in for a key service whose address is none.
struct Refusing(ProviderError);

impl KeyService for Refusing {
    fn wrap<'a>(&'a self, _: &'a MasterKey, _: &'a KeyPart) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn unwrap<'a>(&'a self, _: &'a MasterKey, _: &'a str) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        Box::pin(async { Err(self.0.clone()) })
    }
}
