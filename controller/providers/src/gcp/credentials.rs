//! Credentials as Google's tools write them into files.

use sealops_formats::Plaintext;

use super::UNIVERSE;
use super::federation::External;
use crate::ProviderErrorKind;
use crate::json::Json;

/// Where a user's refresh token becomes an access token, and a service account's word where its file names no place.
pub(super) const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// Accounts that may stand behind each other in one file.
const MAX_NESTED: usize = 4;

/// What proves who asks. Has no `Debug`.
pub enum Credentials {
    /// Nothing: an emulator asks nobody.
    None,
    /// A token that is there already, and cannot be renewed.
    Token(Plaintext),
    /// A service account's key.
    ServiceAccount(ServiceAccount),
    /// A user's refresh token, as `gcloud auth application-default login` leaves it.
    User(User),
    /// A token of somebody else, exchanged (workload identity federation).
    External(Box<External>),
    /// Another account, in whose name the service account is used.
    Impersonated(Box<Impersonated>),
    /// The machine's own account, by its metadata server: host and port.
    Metadata {
        /// Host, and port where it is not 80.
        host: String,
        /// Whether somebody said that there is one.
        certain: bool,
    },
}

/// A service account's key.
pub struct ServiceAccount {
    pub(super) email: String,
    pub(super) private_key: Plaintext,
    pub(super) private_key_id: String,
    pub(super) token_url: String,
    /// Empty is [`UNIVERSE`].
    pub(super) universe: String,
}

/// A user's refresh token.
pub struct User {
    pub(super) client_id: Plaintext,
    pub(super) client_secret: Plaintext,
    pub(super) refresh_token: Plaintext,
}

/// An account that is used in the name of another one.
pub struct Impersonated {
    pub(super) source: Credentials,
    /// `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken`.
    pub(super) url: String,
    pub(super) delegates: Vec<String>,
}

impl Credentials {
    /// Reads the JSON of a file; `what` names where it comes from.
    ///
    /// # Errors
    /// Returns what is missing or not supported, never a part of the text.
    pub(super) fn parse(text: &Plaintext, what: &str) -> Result<Self, ProviderErrorKind> {
        let json = Json::parse(text).ok_or_else(|| invalid(format!("{what} is neither a file nor JSON")))?;
        Self::read(&json, MAX_NESTED).map_err(|why| invalid(format!("{what}: {why}")))
    }

    /// Returns the project that pays, where the file names one.
    pub(super) fn quota_project(text: &Plaintext) -> Option<String> {
        Json::parse(text)?.str_at("quota_project_id").map(str::to_owned).filter(|project| !project.is_empty())
    }

    /// Returns where the account is at home, where the file says so.
    pub(super) fn universe(text: &Plaintext) -> Option<String> {
        Json::parse(text)?
            .str_at("universe_domain")
            .map(str::to_owned)
            .filter(|universe| !universe.is_empty())
    }

    fn read(json: &Json, nested: usize) -> Result<Self, String> {
        let nested = nested.checked_sub(1).ok_or("too many accounts stand behind each other")?;
        let text = |name: &str| json.str_at(name).map(str::to_owned).filter(|text| !text.is_empty());
        let needed = |name: &str| text(name).ok_or_else(|| format!("{name} is missing"));
        let secret = |name: &str| {
            json.text_at(name).map(Plaintext::duplicate).ok_or_else(|| format!("{name} is missing"))
        };
        match json.str_at("type").unwrap_or_default() {
            "service_account" => Ok(Self::ServiceAccount(ServiceAccount {
                email: needed("client_email")?,
                private_key: secret("private_key")?,
                private_key_id: text("private_key_id").unwrap_or_default(),
                token_url: address("token_uri", text("token_uri").unwrap_or_else(|| TOKEN_URL.to_owned()))?,
                universe: text("universe_domain").filter(|universe| universe != UNIVERSE).unwrap_or_default(),
            })),
            "authorized_user" => Ok(Self::User(User {
                client_id: secret("client_id")?,
                client_secret: secret("client_secret")?,
                refresh_token: secret("refresh_token")?,
            })),
            "external_account" => {
                let external = Self::External(Box::new(External::read(json)?));
                Ok(match text("service_account_impersonation_url") {
                    Some(url) => Self::impersonated(external, url, Vec::new())?,
                    None => external,
                })
            }
            "impersonated_service_account" => {
                let source = json.get("source_credentials").ok_or("source_credentials is missing")?;
                let delegates = match json.get("delegates") {
                    Some(Json::List(names)) => names.iter().filter_map(name).collect(),
                    _ => Vec::new(),
                };
                let url = needed("service_account_impersonation_url")?;
                Self::impersonated(Self::read(source, nested)?, url, delegates)
            }
            other => {
                let known = ["external_account_authorized_user", "gdch_service_account"];
                let other = known.into_iter().find(|known| *known == other).unwrap_or("something else");
                Err(format!(
                    "its type is {other}: service_account, authorized_user, external_account and \
                     impersonated_service_account are supported"
                ))
            }
        }
    }

    fn impersonated(source: Self, url: String, delegates: Vec<String>) -> Result<Self, String> {
        let url = address("service_account_impersonation_url", url)?;
        Ok(Self::Impersonated(Box::new(Impersonated { source, url, delegates })))
    }

    /// Returns where the login goes, for people.
    pub(super) fn contacts(&self) -> Vec<String> {
        match self {
            Self::None | Self::Token(_) => Vec::new(),
            Self::ServiceAccount(account) if !account.universe.is_empty() => Vec::new(),
            Self::ServiceAccount(account) => vec![account.token_url.clone()],
            Self::User(_) => vec![TOKEN_URL.to_owned()],
            Self::External(external) => external.contacts(),
            Self::Impersonated(account) => {
                let mut contacts = account.source.contacts();
                contacts.push(account.url.clone());
                contacts
            }
            Self::Metadata { host, .. } => vec![format!("http://{host}")],
        }
    }
}

fn name(json: &Json) -> Option<String> {
    match json {
        Json::Text(text) => text.expose_str().map(str::to_owned),
        _ => None,
    }
}

/// Credentials of one universe that are to be shown in another.
pub(super) fn elsewhere(wanted: &str, home: &str) -> ProviderErrorKind {
    ProviderErrorKind::Forbidden(format!(
        "the configured universe domain ({wanted:?}) does not match the universe domain found in the credentials \
         ({home:?}), which were not sent there: SOPS_GCP_KMS_UNIVERSE_DOMAIN and GOOGLE_CLOUD_UNIVERSE_DOMAIN configure it"
    ))
}

fn invalid(text: String) -> ProviderErrorKind {
    ProviderErrorKind::Unauthenticated(text)
}

/// Takes an address that gets tokens or signed words: with TLS, or on this machine.
///
/// # Errors
/// Returns the name of the field.
pub(super) fn address(field: &str, url: String) -> Result<String, String> {
    if is_safe(&url) {
        return Ok(url);
    }
    Err(format!("{field} has to begin with https://, or lead to this machine"))
}

/// Returns whether nobody on the way to an address can read along.
pub(super) fn is_safe(url: &str) -> bool {
    let host = |rest: &str| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    };
    if let Some(rest) = url.strip_prefix("https://") {
        return !host(rest).is_empty();
    }
    let Some(host) = url.strip_prefix("http://").map(host) else { return false };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credentials, String> {
        Credentials::parse(&text.into(), "F").map_err(|error| error.to_string())
    }

    #[test]
    fn files_of_every_type_are_read() {
        let user = r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r"}"#;
        assert!(matches!(read(user), Ok(Credentials::User(_))));
        let Ok(Credentials::ServiceAccount(account)) =
            read(r#"{"type":"service_account","client_email":"a@b","private_key":"k"}"#)
        else {
            panic!("no account")
        };
        assert_eq!((account.token_url.as_str(), account.universe.as_str()), (TOKEN_URL, ""));
        let behind = format!(
            r#"{{"type":"impersonated_service_account","source_credentials":{user},"delegates":["d"],
                "service_account_impersonation_url":"https://iamcredentials.googleapis.com/x:generateAccessToken"}}"#
        );
        let Ok(Credentials::Impersonated(account)) = read(&behind) else { panic!("nobody") };
        assert!(matches!(account.source, Credentials::User(_)) && account.delegates == ["d"]);
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        for (text, says) in [
            ("hunter2", "neither a file nor JSON"),
            ("{}", "its type is something else"),
            (r#"{"type":"hunter2"}"#, "its type is something else"),
            (r#"{"type":"gdch_service_account"}"#, "its type is gdch_service_account"),
            (r#"{"type":"service_account","private_key":"hunter2"}"#, "client_email is missing"),
            (r#"{"type":"service_account","client_email":"a","private_key":7}"#, "private_key is missing"),
            (
                r#"{"type":"service_account","client_email":"a","private_key":"hunter2","token_uri":"http://evil"}"#,
                "token_uri has to begin with https://",
            ),
            (r#"{"type":"impersonated_service_account"}"#, "source_credentials is missing"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.contains(says) && !error.contains("hunter2"), "{text}: {error}");
        }
        let mut nested = r#"{"type":"authorized_user"}"#.to_owned();
        for _ in 0..MAX_NESTED {
            nested = format!(
                r#"{{"type":"impersonated_service_account","source_credentials":{nested},
                "service_account_impersonation_url":"https://x"}}"#
            );
        }
        assert!(read(&nested).err().unwrap().contains("too many accounts"));
    }

    #[test]
    fn tokens_go_over_tls_or_nowhere() {
        for url in
            ["https://a", "http://localhost:8/x", "http://127.0.0.1:1", "http://[::1]:1/x", "http://[::1]"]
        {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "http://a",
            "https://",
            "ftp://a",
            "http://127.0.0.1.evil",
            "http://localhost@evil",
            "x",
            "http://",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
