//! Azure Key Vault and Microsoft Entra ID, as far as keys of SOPS need them.
//!
//! It listens with TLS on port 443 of a loopback address of its own, and without on a free port, for a
//! [`FaultProxy`](crate::FaultProxy) in front of it. Programs find it by a hosts file ([`FakeAzure::hosts`]) and trust it
//! by [`FakeAzure::ca_pem`]. It serves instance discovery, the openid-configuration and the tokens of one tenant, a
//! managed identity (App Service, instance metadata), and vaults of any name, which all have the same keys.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde_json::json;

use self::answers::{bundle, configuration, discovery, error, operate};
use super::client_certificate::ClientCertificate;
use super::https::{Answer, Request, Server};
use super::rsa_key::RsaKey;
use crate::pki::{Identity, Pki};

mod answers;

/// Who logs in for which vaults.
const AUTHORITIES: [&str; 3] =
    ["login.microsoftonline.com", "login.chinacloudapi.cn", "login.microsoftonline.us"];
const VAULTS: [&str; 3] = ["vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"];

type Keys = BTreeMap<String, Vec<(String, RsaKey)>>;

struct State {
    keys: Mutex<Keys>,
    /// Tokens that live, with the resource they are for.
    tokens: Mutex<BTreeSet<(String, String)>>,
    issued: AtomicU64,
    calls: Mutex<Vec<String>>,
    /// Resource of challenges in place of the vault's own.
    resource: Mutex<Option<String>>,
    certificate: ClientCertificate,
}

/// A running fake.
pub struct FakeAzure {
    pki: Pki,
    state: Arc<State>,
    address: Ipv4Addr,
    _tls: Server,
    plain: Server,
}

impl FakeAzure {
    /// The tenant that logs in.
    pub const TENANT: &str = "8f7c0a52-1f6d-4c58-9a53-2f3b7f1c9d10";
    /// Who logs in.
    pub const CLIENT: &str = "0d5a3c1e-77f4-4b1c-8f1e-5b0a9e3d2c11";
    /// With this secret,
    pub const SECRET: &str = "CANARY-client-secret+/=&5e1";
    /// or with this token of a cluster.
    pub const FEDERATED: &str = "CANARY-federated-token-77ab";
    /// What managed identities show (`IDENTITY_HEADER`).
    pub const IDENTITY_HEADER: &str = "CANARY-identity-header-31c0";
    /// What tokens begin with.
    pub const TOKEN: &str = "CANARY-access-token-";
    /// In the text of every error.
    pub const TEXT: &str = "CANARY-error-text-b2";
    /// Names that hosts files lead to 127.0.0.1, where a proxy can be: a vault, and an authority.
    pub const PROXIED_VAULT: &str = "proxied.vault.azure.net";
    /// As [`Self::PROXIED_VAULT`].
    pub const PROXIED_AUTHORITY: &str = "login.proxied.example";

    /// Starts a fake with keys of these names.
    ///
    /// # Errors
    /// If port 443 of no loopback address can be listened on: that needs `testenv/in-namespace.sh`.
    pub fn start(keys: &[&str]) -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let state = Arc::new(State {
            keys: Mutex::default(),
            tokens: Mutex::default(),
            issued: AtomicU64::new(0),
            calls: Mutex::default(),
            resource: Mutex::default(),
            certificate: ClientCertificate::generate()?,
        });
        let pki = Pki::generate()?;
        let mut names: Vec<String> = AUTHORITIES.map(ToOwned::to_owned).to_vec();
        names.extend(VAULTS.iter().map(|domain| format!("*.{domain}")));
        names.push("vault.evil.example".to_owned());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let identity = pki.server(&names)?;
        let handler = |state: &Arc<State>| {
            let state = Arc::clone(state);
            Arc::new(move |request: &Request| state.answer(request))
        };
        let plain = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, handler(&state))?;
        let address = Ipv4Addr::new(127, 77, 1, NEXT.fetch_add(1, Ordering::Relaxed));
        let tls = SocketAddr::V4(SocketAddrV4::new(address, 443));
        let tls = Server::start(tls, Some(&identity), handler(&state))
            .context("the fake of Azure needs port 443: run the tests by testenv/in-namespace.sh")?;
        let fake = Self { pki, state, address, _tls: tls, plain };
        for key in keys {
            fake.add_version(key)?;
        }
        Ok(fake)
    }

    /// Returns a hosts file that leads to it.
    pub fn hosts(&self) -> String {
        let own = AUTHORITIES.map(ToOwned::to_owned).into_iter();
        let vaults = VAULTS.iter().map(|domain| format!("one.{domain}"));
        let more = ["vault.evil.example".to_owned()];
        let own: Vec<String> = own.chain(vaults).chain(more).collect();
        format!(
            "127.0.0.1 localhost {} {}\n{} {}\n",
            Self::PROXIED_VAULT,
            Self::PROXIED_AUTHORITY,
            self.address,
            own.join(" ")
        )
    }

    /// Returns the authority that its certificate, and those of [`Self::proxied`], are signed by.
    pub fn ca_pem(&self) -> String {
        self.pki.ca_pem()
    }

    /// Returns a certificate for proxies in front of it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn proxied(&self) -> Result<Identity> {
        self.pki.server(&[Self::PROXIED_VAULT, Self::PROXIED_AUTHORITY])
    }

    /// Returns the client's certificate and key, with which it can log in.
    pub fn client_certificate(&self) -> &str {
        &self.state.certificate.pem
    }

    /// Returns where it answers without TLS.
    pub fn plain(&self) -> SocketAddr {
        self.plain.address
    }

    /// Returns the URL of the vault `one` in Azure's public cloud.
    pub fn vault(&self) -> String {
        "https://one.vault.azure.net".to_owned()
    }

    /// Gives a key a new version, or makes the key; returns the version.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn add_version(&self, name: &str) -> Result<String> {
        let key = RsaKey::generate()?;
        let mut keys = lock(&self.state.keys);
        let versions = keys.entry(name.to_owned()).or_default();
        let version = format!("{:032x}", 0xa0 + versions.len());
        versions.push((version.clone(), key));
        Ok(version)
    }

    /// Makes vaults ask for tokens of another resource from now on, or of their own again.
    pub fn ask_for(&self, resource: Option<&str>) {
        *lock(&self.state.resource) = resource.map(ToOwned::to_owned);
    }

    /// Returns a token for a resource, as if somebody had logged in.
    pub fn issue(&self, resource: &str) -> String {
        self.state.issue(resource)
    }

    /// Counts the requests so far with this text in "METHOD HOST PATH".
    pub fn count(&self, part: &str) -> usize {
        lock(&self.state.calls).iter().filter(|call| call.contains(part)).count()
    }

    /// Returns the requests so far.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.state.calls).clone()
    }

    /// Forgets the requests so far.
    pub fn reset_calls(&self) {
        lock(&self.state.calls).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&self, request: &Request) -> Answer {
        let host = request.header("host").unwrap_or_default();
        let call = format!("{} {host} {}", request.method, request.path);
        let with_token = if request.header("authorization").is_some() { " with a token" } else { "" };
        lock(&self.calls).push(format!("{call}{with_token}"));
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["common", "discovery", "instance"]) => discovery(),
            ("GET", ["metadata", "identity", "oauth2", "token"]) => {
                self.identity(request, request.header("metadata") == Some("true"))
            }
            ("GET", ["msi", "token"]) => self
                .identity(request, request.header("x-identity-header") == Some(FakeAzure::IDENTITY_HEADER)),
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => configuration(host, tenant),
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => self.login(request, tenant),
            (_, ["keys", rest @ ..]) => self.vault(request, host, rest),
            _ => error(404, "NotFound"),
        }
    }

    fn issue(&self, resource: &str) -> String {
        let token = format!("{}{}", FakeAzure::TOKEN, self.issued.fetch_add(1, Ordering::Relaxed));
        lock(&self.tokens).insert((token.clone(), resource.trim_end_matches('/').to_owned()));
        token
    }

    fn login(&self, request: &Request, tenant: &str) -> Answer {
        let form = String::from_utf8_lossy(&request.body);
        let field = |name| Request::field(&form, name).unwrap_or_default();
        let scope = field("scope");
        let refuse = |status, error: &str, code: u32| {
            let text = format!("AADSTS{code}: {}", FakeAzure::TEXT);
            Answer::json(status, &json!({ "error": error, "error_description": text, "error_codes": [code] }))
        };
        let (assertion, endpoint) = (field("client_assertion"), format!("/{tenant}/oauth2/v2.0/token"));
        let stated = field("client_assertion_type").ends_with(":jwt-bearer")
            && (assertion == FakeAzure::FEDERATED
                || self.certificate.signed(&assertion, FakeAzure::CLIENT, &endpoint));
        let mut resources = scope.split(' ').filter_map(|scope| scope.strip_suffix("/.default"));
        let resource = resources.find(|resource| resource.starts_with("https://"));
        if tenant != FakeAzure::TENANT {
            return refuse(400, "invalid_request", 90_002);
        }
        if field("grant_type") != "client_credentials" || field("client_id") != FakeAzure::CLIENT {
            return refuse(400, "unauthorized_client", 700_016);
        }
        if field("client_secret") != FakeAzure::SECRET && !stated {
            return refuse(401, "invalid_client", 7_000_215);
        }
        let Some(resource) = resource else { return refuse(400, "invalid_scope", 70_011) };
        let token = self.issue(resource);
        Answer::json(
            200,
            &json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token }),
        )
    }

    fn identity(&self, request: &Request, shown: bool) -> Answer {
        let resource = Request::field(&request.query, "resource");
        let (true, Some(resource)) = (shown, resource) else {
            return Answer::json(
                400,
                &json!({ "error": "invalid_request", "error_description": FakeAzure::TEXT }),
            );
        };
        let token = self.issue(&resource);
        let expires = jiff::Timestamp::now().as_second() + 3600;
        Answer::json(
            200,
            &json!({
                "access_token": token, "expires_in": "3600", "expires_on": expires.to_string(),
                "resource": resource, "token_type": "Bearer",
            }),
        )
    }

    fn vault(&self, request: &Request, host: &str, rest: &[&str]) -> Answer {
        let name = host.split(':').next().unwrap_or_default();
        let domain = name.split_once('.').map_or("", |(_, domain)| domain);
        let resource = lock(&self.resource).clone().unwrap_or_else(|| format!("https://{domain}"));
        let token = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        let known = |token: &str| lock(&self.tokens).contains(&(token.to_owned(), resource.clone()));
        if !token.is_some_and(known) {
            let mut answer = error(401, "Unauthorized");
            let authority = format!("https://login.microsoftonline.com/{}", FakeAzure::TENANT);
            let challenge = format!("Bearer authorization=\"{authority}\", resource=\"{resource}\"");
            answer.headers.push(("WWW-Authenticate", challenge));
            return answer;
        }
        if Request::field(&request.query, "api-version").is_none() {
            return error(400, "BadParameter");
        }
        let keys = lock(&self.keys);
        let (path, operation) = match rest {
            [path @ .., "encrypt"] => (path, Some(true)),
            [path @ .., "decrypt"] => (path, Some(false)),
            path => (path, None),
        };
        let Some(versions) = path.first().and_then(|name| keys.get(*name)) else {
            return error(404, "KeyNotFound");
        };
        let found = match path.get(1) {
            Some(wanted) => versions.iter().find(|(version, _)| version == wanted),
            None => versions.last(),
        };
        let Some((version, key)) = found else { return error(404, "KeyNotFound") };
        let id = format!("https://{name}/keys/{}/{version}", path[0]);
        match (request.method.as_str(), operation) {
            ("GET", None) => Answer::json(200, &bundle(&id, key)),
            ("POST", Some(encrypt)) => operate(&id, key, encrypt, &request.body),
            _ => error(405, "MethodNotAllowed"),
        }
    }
}
