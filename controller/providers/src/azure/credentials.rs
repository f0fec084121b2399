//! Who asks: the credentials that Azure's own tools find, in their order (`DefaultAzureCredential`).
//!
//! | source | what it is made of |
//! | --- | --- |
//! | `EnvironmentCredential` | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`; `AZURE_CLIENT_SECRET`, or `AZURE_CLIENT_CERTIFICATE_PATH` (PEM or PKCS#12, RSA) with `AZURE_CLIENT_CERTIFICATE_PASSWORD` and `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` |
//! | `WorkloadIdentityCredential` | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, the token in `AZURE_FEDERATED_TOKEN_FILE` |
//! | `ManagedIdentityCredential` | `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, else the machine's metadata; `AZURE_CLIENT_ID` |
//! | `AzureCLICredential` | the program `az` |
//!
//! `AZURE_TOKEN_CREDENTIALS` chooses: `dev`, `prod`, or one of these names. A source that is not there gives way to the
//! next; one that is there and fails ends the search. Passwords of users, keys under a password in PEM, `azd` and
//! PowerShell are not built.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::HeaderValue;
use sealops_formats::Plaintext;
use tokio::sync::Mutex as AsyncMutex;

use super::challenge::Challenge;
use super::entra::{self, Token};
use super::{authority, certificate, invalid, is_word, machine};
use crate::ProviderErrorKind;
use crate::http::HttpClient;
use crate::local::Environment;

/// Largest file with a token.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Tenants that are any tenant.
const ANY_TENANT: &str = "organizations";
/// How a client shows a token of somebody else.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why a source gave no token.
pub(super) enum Missed {
    /// It is not there: the next one is asked.
    Absent(String),
    /// It is there and failed.
    Failed(ProviderErrorKind),
}

impl From<ProviderErrorKind> for Missed {
    fn from(kind: ProviderErrorKind) -> Self {
        Self::Failed(kind)
    }
}

/// A place where credentials can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Environment,
    WorkloadIdentity,
    ManagedIdentity,
    AzureCli,
}

const ALL: [Source; 4] =
    [Source::Environment, Source::WorkloadIdentity, Source::ManagedIdentity, Source::AzureCli];

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Environment => "EnvironmentCredential",
            Self::WorkloadIdentity => "WorkloadIdentityCredential",
            Self::ManagedIdentity => "ManagedIdentityCredential",
            Self::AzureCli => "AzureCLICredential",
        }
    }
}

type Slot = Arc<AsyncMutex<Option<Token>>>;

/// The environment's credentials, and the tokens that they got. One login for each tenant and resource.
pub struct Credentials {
    http: HttpClient,
    environment: Environment,
    tokens: Mutex<HashMap<(String, Challenge), Slot>>,
}

impl Credentials {
    /// Takes the client and the variables. Nothing is looked for before a token is wanted.
    pub fn new(http: HttpClient, environment: Environment) -> Self {
        Self { http, environment, tokens: Mutex::default() }
    }

    /// Returns a token for a vault, as a header: the one there is, unless it runs out or is `dead`. Those who come
    /// meanwhile wait for the same login.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Unauthenticated`] where nobody has credentials or they are refused.
    pub(super) async fn token(
        &self,
        vault_url: &str,
        challenge: &Challenge,
        dead: Option<&HeaderValue>,
    ) -> Result<HeaderValue, ProviderErrorKind> {
        let authority = authority(vault_url, self.text("AZURE_AUTHORITY_HOST").as_deref());
        if !authority.starts_with("https://") {
            return Err(invalid("AZURE_AUTHORITY_HOST has to be an https address"));
        }
        let slot = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry((authority.clone(), challenge.clone())).or_default())
        };
        let mut token = slot.lock().await;
        if let Some(token) = token.as_ref().filter(|token| token.is_fresh() && Some(&token.header) != dead) {
            return Ok(token.header.clone());
        }
        let new = self.log_in(&authority, challenge).await?;
        Ok(token.insert(new).header.clone())
    }

    async fn log_in(&self, authority: &str, challenge: &Challenge) -> Result<Token, ProviderErrorKind> {
        let sources = self.sources()?;
        let mut missed = Vec::new();
        for source in &sources {
            let asked = match source {
                Source::Environment => self.by_environment(authority, challenge).await,
                Source::WorkloadIdentity => self.by_workload_identity(authority, challenge).await,
                Source::ManagedIdentity => {
                    let resource = &challenge.resource;
                    machine::identity(&self.http, &self.environment, resource, sources.len() > 1).await
                }
                Source::AzureCli => {
                    let tenant = self.tenant("", &challenge.tenant)?;
                    machine::az(&self.environment, &challenge.resource, tenant).await
                }
            };
            match asked {
                Ok(token) => return Ok(token),
                Err(Missed::Absent(why)) => missed.push(format!("{}: {why}", source.name())),
                Err(Missed::Failed(kind)) => return Err(kind),
            }
        }
        Err(ProviderErrorKind::Unauthenticated(format!(
            "no credentials for Azure were found: {}",
            missed.join("; ")
        )))
    }

    fn sources(&self) -> Result<Vec<Source>, ProviderErrorKind> {
        let Some(chosen) = self.text("AZURE_TOKEN_CREDENTIALS") else { return Ok(ALL.to_vec()) };
        match chosen.as_str() {
            "prod" => return Ok(ALL[..3].to_vec()),
            "dev" => return Ok(ALL[3..].to_vec()),
            _ => {}
        }
        let named = ALL.iter().find(|source| source.name().eq_ignore_ascii_case(&chosen));
        named.map(|source| vec![*source]).ok_or_else(|| {
            let names = ALL.map(Source::name).join(", ");
            invalid(format!(
                "AZURE_TOKEN_CREDENTIALS is {chosen:?}: it has to be dev, prod or one of {names}"
            ))
        })
    }

    async fn by_environment(&self, authority: &str, challenge: &Challenge) -> Result<Token, Missed> {
        let tenant = self.needed("AZURE_TENANT_ID")?;
        let client = self.needed("AZURE_CLIENT_ID")?;
        let tenant = self.tenant(&tenant, &challenge.tenant)?;
        if let Some(secret) = self.environment.set_variable("AZURE_CLIENT_SECRET") {
            let secret = Plaintext::from(secret.as_encoded_bytes());
            return self.ask(authority, tenant, &client, challenge, &[("client_secret", &secret)]).await;
        }
        let file = self.text("AZURE_CLIENT_CERTIFICATE_PATH").ok_or_else(|| {
            Missed::Absent("neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set".to_owned())
        })?;
        let unusable = |why: String| Missed::Absent(format!("AZURE_CLIENT_CERTIFICATE_PATH: {file}: {why}"));
        let password = self.environment.set_variable("AZURE_CLIENT_CERTIFICATE_PASSWORD");
        let password = password.map(|text| Plaintext::from(text.as_encoded_bytes()));
        let certificate = read_all(Path::new(&file)).map_err(unusable)?;
        let chain = self.text("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
        let chain = chain.is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"));
        let endpoint = entra::endpoint(authority, tenant);
        let assertion = certificate::assertion(&certificate, password.as_ref(), &client, &endpoint, chain);
        let assertion = assertion.map_err(unusable)?;
        let kind = Plaintext::from(ASSERTION);
        let fields = [("client_assertion_type", &kind), ("client_assertion", &assertion)];
        self.ask(authority, tenant, &client, challenge, &fields).await
    }

    async fn by_workload_identity(&self, authority: &str, challenge: &Challenge) -> Result<Token, Missed> {
        let client = self.needed("AZURE_CLIENT_ID")?;
        let file = self.needed("AZURE_FEDERATED_TOKEN_FILE")?;
        let tenant = self.needed("AZURE_TENANT_ID")?;
        // Read at every login: the cluster renews it.
        let assertion = read(Path::new(&file)).map_err(|why| {
            let why = format!("cannot read AZURE_FEDERATED_TOKEN_FILE from {file}: {why}");
            ProviderErrorKind::Unauthenticated(why)
        })?;
        let tenant = self.tenant(&tenant, &challenge.tenant)?;
        let kind = Plaintext::from(ASSERTION);
        let fields = [("client_assertion_type", &kind), ("client_assertion", &assertion)];
        self.ask(authority, tenant, &client, challenge, &fields).await
    }

    async fn ask(
        &self,
        authority: &str,
        tenant: &str,
        client: &str,
        challenge: &Challenge,
        proof: &[(&str, &Plaintext)],
    ) -> Result<Token, Missed> {
        let (client, grant) = (Plaintext::from(client), Plaintext::from("client_credentials"));
        let scope = Plaintext::from(format!("{}/.default", challenge.resource));
        let mut fields = vec![("client_id", &client), ("grant_type", &grant), ("scope", &scope)];
        fields.extend_from_slice(proof);
        Ok(entra::ask(&self.http, authority, tenant, &fields).await?)
    }

    /// Returns the tenant to log in to: our own, or the vault's where that is allowed.
    fn tenant<'a>(&self, own: &'a str, wanted: &'a str) -> Result<&'a str, ProviderErrorKind> {
        if !own.is_empty() && !is_word(own, b".-") {
            return Err(invalid(format!("AZURE_TENANT_ID is {own:?}, which is no tenant")));
        }
        if wanted.is_empty() || wanted.eq_ignore_ascii_case(own) {
            return Ok(own);
        }
        let allowed = self.text("AZURE_ADDITIONALLY_ALLOWED_TENANTS").unwrap_or_default();
        let mut list = allowed.split(';').map(str::trim).filter(|tenant| !tenant.is_empty());
        let any = allowed.is_empty() && (own.is_empty() || own == ANY_TENANT);
        if any || list.any(|tenant| tenant == "*" || tenant.eq_ignore_ascii_case(wanted)) {
            return Ok(wanted);
        }
        Err(ProviderErrorKind::Forbidden(format!(
            "the vault asks for a login to the tenant {wanted}, which is not ours; nothing was sent there; add it to \
             AZURE_ADDITIONALLY_ALLOWED_TENANTS if it is yours"
        )))
    }

    fn needed(&self, name: &str) -> Result<String, Missed> {
        self.text(name).ok_or_else(|| Missed::Absent(format!("{name} is not set")))
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.environment.set_variable(name)?.to_string_lossy().into_owned())
    }
}

/// Returns a text without the blanks around it.
fn read(file: &Path) -> Result<Plaintext, String> {
    read_all(file).map(|text| Plaintext::from(text.expose().trim_ascii()))
}

fn read_all(file: &Path) -> Result<Plaintext, String> {
    let mut text = Plaintext::default();
    let source = File::open(file).map_err(|error| error.to_string())?;
    std::io::copy(&mut source.take(MAX_FILE_BYTES + 1), &mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TlsSettings;

    fn credentials(variables: &[(&str, &str)]) -> Credentials {
        Credentials::new(HttpClient::new(TlsSettings::default()), Environment::new(variables.iter().copied()))
    }

    #[test]
    fn a_vault_does_not_choose_the_tenant() {
        let tenant = |own: &str, wanted: &str, more: &str| {
            let credentials = credentials(&[("AZURE_ADDITIONALLY_ALLOWED_TENANTS", more)]);
            credentials.tenant(own, wanted).ok().map(ToOwned::to_owned)
        };
        assert_eq!(tenant("mine", "MINE", "").as_deref(), Some("mine"));
        assert_eq!(tenant("mine", "", "").as_deref(), Some("mine"));
        assert_eq!(tenant("mine", "theirs", ""), None);
        assert_eq!(tenant("mine", "theirs", "other; theirs").as_deref(), Some("theirs"));
        assert_eq!(tenant("mine", "theirs", "*").as_deref(), Some("theirs"));
        assert_eq!(tenant("", "theirs", "").as_deref(), Some("theirs"));
        assert_eq!(tenant("", "theirs", "other"), None);
        assert_eq!(tenant("organizations", "theirs", "").as_deref(), Some("theirs"));
        assert_eq!(tenant("a/../b", "", ""), None);
    }

    #[test]
    fn sources_are_chosen_as_the_variable_says() {
        let sources = |text: &str| credentials(&[("AZURE_TOKEN_CREDENTIALS", text)]).sources();
        assert_eq!(sources("").unwrap(), ALL);
        assert_eq!(sources("prod").unwrap(), ALL[..3]);
        assert_eq!(sources("dev").unwrap(), [Source::AzureCli]);
        assert_eq!(sources("azureclicredential").unwrap(), [Source::AzureCli]);
        assert!(sources("nosuch").unwrap_err().to_string().contains("AZURE_TOKEN_CREDENTIALS"));
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let challenge = Challenge { tenant: "t".to_owned(), resource: "https://vault.azure.net".to_owned() };
        let missing = credentials(&[
            ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pem"),
        ]);
        let error =
            missing.token("https://v.vault.azure.net", &challenge, None).await.unwrap_err().to_string();
        assert!(error.contains("EnvironmentCredential: AZURE_CLIENT_CERTIFICATE_PATH: /c.pem: "), "{error}");
        let plain = credentials(&[("AZURE_AUTHORITY_HOST", "http://login.example")]);
        assert!(plain.token("https://v.vault.azure.net", &challenge, None).await.is_err());
    }
}
