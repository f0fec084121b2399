//! Google as the variables of a process and the files of its user describe it: the command line's side.
//!
//! | what | where it is looked for, in this order |
//! | --- | --- |
//! | who asks KMS | `GOOGLE_CREDENTIALS` (a file, or its JSON); `GOOGLE_OAUTH_ACCESS_TOKEN`; the default credentials |
//! | who asks Storage | the default credentials |
//! | default credentials | the file of `GOOGLE_APPLICATION_CREDENTIALS`; gcloud's `application_default_credentials.json`; the metadata server (`GCE_METADATA_HOST`) |
//! | address of KMS | `SOPS_GCP_KMS_ENDPOINT`; `cloudkms.` and `SOPS_GCP_KMS_UNIVERSE_DOMAIN` or `GOOGLE_CLOUD_UNIVERSE_DOMAIN` |
//! | address of Storage | `STORAGE_EMULATOR_HOST`, which is asked without a login; `storage.` and `GOOGLE_CLOUD_UNIVERSE_DOMAIN` |
//! | project whose quota counts | `GOOGLE_CLOUD_QUOTA_PROJECT`; `quota_project_id` of the file |
//! | authorities, proxies | `SSL_CERT_FILE`, `SSL_CERT_DIR`; `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` in both cases |

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sealops_formats::Plaintext;

use super::UNIVERSE;
use super::api::Settings;
use super::credentials::{Credentials, elsewhere, is_safe};
use crate::ProviderErrorKind;
use crate::http::{HttpClient, TlsSettings};
use crate::http_extras::{Extras, Proxies};
use crate::local::Environment;

/// Largest file with credentials.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Where a machine of Google's finds its metadata server.
const METADATA: &str = "169.254.169.254";

/// Who asks, for whose quota, and where they are at home.
struct Found {
    credentials: Credentials,
    quota_project: Option<String>,
    universe: String,
}

impl Found {
    fn read(text: &Plaintext, what: &str) -> Result<Self, ProviderErrorKind> {
        let universe = Credentials::universe(text).unwrap_or_else(|| UNIVERSE.to_owned());
        let quota_project = Credentials::quota_project(text);
        Ok(Self { credentials: Credentials::parse(text, what)?, quota_project, universe })
    }

    fn at_home(credentials: Credentials) -> Self {
        Self { credentials, quota_project: None, universe: UNIVERSE.to_owned() }
    }
}

/// Returns how Cloud KMS is asked.
///
/// # Errors
/// Names the variable or file that cannot be used.
pub fn kms_settings(environment: &Environment) -> Result<Settings, ProviderErrorKind> {
    let (endpoint, found) = (kms_endpoint(environment)?, kms_credentials(environment)?);
    let universe = kms_universe(environment);
    // As sops: a machine is not asked in which universe it is.
    if universe != found.universe && !matches!(found.credentials, Credentials::Metadata { .. }) {
        return Err(elsewhere(&universe, &found.universe));
    }
    settings(environment, endpoint, found)
}

/// Returns how Cloud Storage is asked.
///
/// # Errors
/// As [`kms_settings`].
pub fn storage_settings(environment: &Environment) -> Result<Settings, ProviderErrorKind> {
    if let Some(host) = text(environment, "STORAGE_EMULATOR_HOST") {
        let endpoint = if host.contains("://") { host } else { format!("http://{host}") };
        return settings(environment, endpoint, Found::at_home(Credentials::None));
    }
    let universe = text(environment, "GOOGLE_CLOUD_UNIVERSE_DOMAIN");
    let endpoint = format!("https://storage.{}", universe.as_deref().unwrap_or(UNIVERSE));
    settings(environment, endpoint, default_credentials(environment)?)
}

/// Returns whom a key of Cloud KMS contacts: the service, and where the login goes. Files are read, nobody is asked.
pub fn kms_contacts(environment: &Environment) -> Vec<String> {
    let mut contacts = vec![kms_endpoint(environment).unwrap_or_else(|error| error.to_string())];
    let logins = kms_credentials(environment).map(|found| found.credentials.contacts());
    contacts.extend(logins.unwrap_or_default().iter().map(|url| format!("{url} for the login")));
    contacts
}

fn settings(
    environment: &Environment,
    endpoint: String,
    found: Found,
) -> Result<Settings, ProviderErrorKind> {
    let extras = Extras { proxies: proxies(environment), ..Extras::default() };
    let quota_project = text(environment, "GOOGLE_CLOUD_QUOTA_PROJECT").or(found.quota_project);
    Ok(Settings {
        http: HttpClient::with(TlsSettings::default(), extras),
        metadata: HttpClient::new(TlsSettings::default()),
        endpoint,
        credentials: found.credentials,
        quota_project,
    })
}

fn text(environment: &Environment, name: &str) -> Option<String> {
    Some(environment.set_variable(name)?.to_string_lossy().into_owned())
}

fn proxies(environment: &Environment) -> Proxies {
    let either = |name: &str| {
        let lower = || text(environment, &name.to_ascii_lowercase());
        text(environment, name).or_else(lower).unwrap_or_default()
    };
    Proxies::new(&either("HTTP_PROXY"), &either("HTTPS_PROXY"), &either("NO_PROXY"))
}

/// Where KMS is. A token of another universe is not sent there.
fn kms_universe(environment: &Environment) -> String {
    let universe = text(environment, "SOPS_GCP_KMS_UNIVERSE_DOMAIN");
    let universe = universe.or_else(|| text(environment, "GOOGLE_CLOUD_UNIVERSE_DOMAIN"));
    universe.unwrap_or_else(|| UNIVERSE.to_owned())
}

/// An address as SOPS takes it: an URL, or a host with or without port.
fn kms_endpoint(environment: &Environment) -> Result<String, ProviderErrorKind> {
    const VARIABLE: &str = "SOPS_GCP_KMS_ENDPOINT";
    if let Some(endpoint) = text(environment, VARIABLE) {
        let url = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
        let host = url.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        if !is_safe(&url) || host.contains(['/', '@', '?', '#']) {
            return Err(invalid(format!(
                "{VARIABLE} has to be https://HOST:PORT, or http:// and this machine"
            )));
        }
        return Ok(url);
    }
    Ok(format!("https://cloudkms.{}", kms_universe(environment)))
}

fn kms_credentials(environment: &Environment) -> Result<Found, ProviderErrorKind> {
    const VARIABLE: &str = "GOOGLE_CREDENTIALS";
    if let Some(value) = environment.set_variable(VARIABLE) {
        let path = Path::new(value);
        // A text that is no path is JSON; what is wrong with it is said without it.
        let text =
            if path.exists() { read(path, VARIABLE)? } else { Plaintext::from(value.as_encoded_bytes()) };
        return Found::read(&text, VARIABLE).map_err(|error| match error {
            ProviderErrorKind::Unauthenticated(why) => ProviderErrorKind::Unauthenticated(format!(
                "failed to obtain credentials from \"{VARIABLE}\": {why}"
            )),
            other => other,
        });
    }
    if let Some(token) = environment.set_variable("GOOGLE_OAUTH_ACCESS_TOKEN") {
        return Ok(Found::at_home(Credentials::Token(Plaintext::from(token.as_encoded_bytes()))));
    }
    default_credentials(environment)
}

fn default_credentials(environment: &Environment) -> Result<Found, ProviderErrorKind> {
    const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    let named = environment.set_variable(VARIABLE).map(|path| (PathBuf::from(path), VARIABLE));
    let left = gcloud(environment).filter(|path| path.is_file());
    if let Some((path, what)) = named.or_else(|| left.map(|path| (path, "gcloud"))) {
        let text = read(&path, what)?;
        let from = format!("{what}: {}", path.display());
        return Found::read(&text, &from);
    }
    let host = text(environment, "GCE_METADATA_HOST");
    let certain = host.is_some();
    let host = host.unwrap_or_else(|| METADATA.to_owned());
    Ok(Found::at_home(Credentials::Metadata { host, certain }))
}

/// Where `gcloud auth application-default login` leaves its file.
fn gcloud(environment: &Environment) -> Option<PathBuf> {
    let folder = if cfg!(windows) {
        PathBuf::from(environment.set_variable("APPDATA")?)
    } else {
        environment.home()?.join(".config")
    };
    Some(folder.join("gcloud/application_default_credentials.json"))
}

fn invalid(text: String) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text)
}

fn read(file: &Path, what: &str) -> Result<Plaintext, ProviderErrorKind> {
    let fail = |why: String| {
        ProviderErrorKind::Unauthenticated(format!("{what}: cannot read {}: {why}", file.display()))
    };
    let source = File::open(file).map_err(|error| fail(error.to_string()))?;
    let mut text = Plaintext::default();
    std::io::copy(&mut source.take(MAX_FILE_BYTES + 1), &mut text)
        .map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r","quota_project_id":"q"}"#;

    fn of(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().copied())
    }

    #[test]
    fn credentials_are_found_in_the_order_of_sops() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        let file = home.path().join("c.json");
        std::fs::write(&file, USER).unwrap();
        let file = file.to_str().unwrap();
        let found = |variables: &[(&str, &str)]| kms_credentials(&of(variables)).unwrap();
        assert!(matches!(
            found(&[("HOME", path)]).credentials,
            Credentials::Metadata { host, certain: false } if host == METADATA
        ));
        assert!(matches!(
            found(&[("HOME", path), ("GCE_METADATA_HOST", "m:1")]).credentials,
            Credentials::Metadata { host, certain: true } if host == "m:1"
        ));
        let token = ("GOOGLE_OAUTH_ACCESS_TOKEN", "t");
        assert!(matches!(
            found(&[token, ("GOOGLE_APPLICATION_CREDENTIALS", file)]).credentials,
            Credentials::Token(_)
        ));
        for credentials in [USER, file] {
            let found = found(&[token, ("GOOGLE_CREDENTIALS", credentials)]);
            assert!(
                matches!(found.credentials, Credentials::User(_))
                    && found.quota_project.as_deref() == Some("q")
            );
        }
        // Storage knows the default credentials only.
        assert!(matches!(
            default_credentials(&of(&[token])).unwrap().credentials,
            Credentials::Metadata { .. }
        ));
        let folder = home.path().join(".config/gcloud");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("application_default_credentials.json"), USER).unwrap();
        assert!(matches!(found(&[("HOME", path)]).credentials, Credentials::User(_)));
        for (name, value) in
            [("GOOGLE_CREDENTIALS", "hunter2"), ("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")]
        {
            let error = kms_credentials(&of(&[(name, value)])).err().unwrap().to_string();
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn addresses_come_from_variables() {
        let endpoint = |variables: &[(&str, &str)]| kms_endpoint(&of(variables));
        let universe = ("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "s3nsapis.fr");
        assert_eq!(endpoint(&[]).unwrap(), "https://cloudkms.googleapis.com");
        assert_eq!(endpoint(&[universe]).unwrap(), "https://cloudkms.s3nsapis.fr");
        for (value, url) in [
            ("kms.example:443", "https://kms.example:443"),
            ("https://kms.example/", "https://kms.example/"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ] {
            assert_eq!(endpoint(&[universe, ("SOPS_GCP_KMS_ENDPOINT", value)]).unwrap(), url);
        }
        for value in ["http://kms.example", "https://u:p@kms.example", "ftp://x", "https://x/path?q"] {
            assert!(endpoint(&[("SOPS_GCP_KMS_ENDPOINT", value)]).is_err(), "{value}");
        }
        assert_eq!(
            kms_contacts(&of(&[("GOOGLE_CREDENTIALS", USER)])),
            ["https://cloudkms.googleapis.com", "https://oauth2.googleapis.com/token for the login"]
        );
    }
}
