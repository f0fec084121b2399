//! Identities that the machine has, and the program `az`.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderName, HeaderValue, Method};
use sealops_formats::Plaintext;

use super::credentials::Missed;
use super::entra::{self, Token, UNKNOWN_LIFE};
use super::{MAX_ANSWER_BYTES, is_word};
use crate::http::{HttpClient, Request, sensitive};
use crate::json::Json;
use crate::local::{Environment, program};
use crate::retry;
use crate::{ProviderErrorKind, Retry};

/// Where a machine of Azure has its metadata.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// How long it is waited for, where it is only tried.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time that `az` may take, as in Azure's own libraries.
const AZ_TIMEOUT: Duration = Duration::from_secs(10);
/// Variables of places whose identities are not built.
const OTHERS: [(&str, &str); 2] =
    [("MSI_ENDPOINT", "Azure ML and Cloud Shell"), ("IMDS_ENDPOINT", "Azure Arc")];

const METADATA_HEADER: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// Asks for the token of a managed identity. `probe`: whether it is tried first that there are metadata.
pub(super) async fn identity(
    http: &HttpClient,
    environment: &Environment,
    resource: &str,
    probe: bool,
) -> Result<Token, Missed> {
    let text = |name: &str| environment.set_variable(name).map(|text| text.to_string_lossy().into_owned());
    let client = text("AZURE_CLIENT_ID");
    let endpoint = text("IDENTITY_ENDPOINT");
    if let (Some(endpoint), Some(secret)) = (&endpoint, environment.set_variable("IDENTITY_HEADER")) {
        if text("IDENTITY_SERVER_THUMBPRINT").is_some() {
            return Err(Missed::Absent("identities of Service Fabric are not built".to_owned()));
        }
        let secret = sensitive(secret.as_encoded_bytes())?;
        let url = address(endpoint, "2019-08-01", resource, client.as_deref());
        return token(http, &url, (IDENTITY_HEADER, secret), client.is_some()).await;
    }
    if let Some((_, place)) = OTHERS.iter().find(|(name, _)| text(name).is_some()) {
        return Err(Missed::Absent(format!("identities of {place} are not built")));
    }
    if probe {
        let mut request = Request::new(Method::GET, METADATA);
        (request.timeout, request.max_bytes) = (PROBE_TIMEOUT, MAX_ANSWER_BYTES);
        http.send(request).await.map_err(|error| Missed::Absent(error.to_string()))?;
    }
    let url = address(METADATA, "2018-02-01", resource, client.as_deref());
    token(http, &url, (METADATA_HEADER, HeaderValue::from_static("true")), client.is_some()).await
}

fn address(endpoint: &str, version: &str, resource: &str, client: Option<&str>) -> String {
    let (version, resource) = (Plaintext::from(version), Plaintext::from(resource));
    let client = client.map(Plaintext::from);
    let mut fields = vec![("api-version", &version), ("resource", &resource)];
    fields.extend(client.iter().map(|client| ("client_id", client)));
    let query = entra::form(&fields);
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{separator}{}", query.expose_str().unwrap_or_default())
}

async fn token(
    http: &HttpClient,
    url: &str,
    (name, value): (HeaderName, HeaderValue),
    chosen: bool,
) -> Result<Token, Missed> {
    let attempt = || async {
        let mut request = Request::new(Method::GET, url).header(name.clone(), value.clone());
        (request.timeout, request.max_bytes) = (entra::TIMEOUT, MAX_ANSWER_BYTES);
        let answer = http.send(request).await?;
        // The metadata are not there yet, or elsewhere for a moment.
        if matches!(answer.status, 404 | 410) {
            return Err(ProviderErrorKind::Unavailable(format!("the metadata answered {}", answer.status)));
        }
        match entra::judge(url, &answer) {
            Err(error) if error.retry() != Retry::Never => Err(error),
            judged => Ok((answer.status, judged)),
        }
    };
    match retry::call(entra::policy(), attempt).await? {
        (_, Ok(answer)) => {
            let life = entra::seconds(&answer, "expires_in")
                .map(Duration::from_secs)
                .or_else(|| entra::seconds(&answer, "expires_on").map(until));
            let none = || Missed::Failed(ProviderErrorKind::Failed("the metadata have no token".to_owned()));
            Token::read(&answer, "access_token", life).ok_or_else(none)
        }
        (400, Err(_)) if chosen => Err(Missed::Failed(ProviderErrorKind::Unauthenticated(
            "the identity of AZURE_CLIENT_ID is not assigned to this machine".to_owned(),
        ))),
        (400, Err(_)) => Err(Missed::Absent("this machine has no identity of its own".to_owned())),
        // Something else than Azure answers at this address.
        (200 | 403, Err(error)) => Err(Missed::Absent(error.to_string())),
        (_, Err(error)) => Err(Missed::Failed(error)),
    }
}

/// Returns how long it is until a moment, in seconds since 1970.
fn until(moment: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(moment).saturating_sub(now)
}

/// Asks the program `az`. It is started without a shell.
pub(super) async fn az(environment: &Environment, resource: &str, tenant: &str) -> Result<Token, Missed> {
    if !is_word(resource, b".-_/:") {
        return Err(ProviderErrorKind::Invalid(format!("{resource:?} is no resource")).into());
    }
    let mut arguments: Vec<String> =
        ["account", "get-access-token", "-o", "json", "--resource", resource].map(ToOwned::to_owned).to_vec();
    if !tenant.is_empty() {
        arguments.extend(["--tenant".to_owned(), tenant.to_owned()]);
    }
    let environment = environment.clone();
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let empty = Plaintext::default();
        program::run_within(AZ_TIMEOUT, OsStr::new("az"), &arguments, &environment, &[], &empty)
    };
    let output = tokio::task::spawn_blocking(run).await;
    let output = output.map_err(|_| Missed::Absent("az was not run".to_owned()))?.map_err(Missed::Absent)?;
    if !output.status.success() {
        return Err(Missed::Absent(format!("az ended with {}: is there a login (az login)?", output.status)));
    }
    let answer = Json::parse(&output.stdout);
    // Older versions name no such moment, only a local time.
    let life =
        answer.as_ref().and_then(|answer| entra::seconds(answer, "expires_on")).map_or(UNKNOWN_LIFE, until);
    let token = answer.and_then(|answer| Token::read(&answer, "accessToken", Some(life)));
    token.ok_or_else(|| Missed::Absent("az gave no token".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn addresses_hold_what_is_asked_for() {
        assert_eq!(
            address(METADATA, "1", "https://vault.azure.net", Some("a b")),
            format!("{METADATA}?api-version=1&resource=https%3A%2F%2Fvault.azure.net&client_id=a%20b")
        );
        assert_eq!(address("http://e/x?y", "1", "r", None), "http://e/x?y&api-version=1&resource=r");
    }

    #[tokio::test]
    async fn az_is_asked_without_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let (az_path, log) = (folder.path().join("az"), folder.path().join("log"));
        let script = |body: &str| {
            std::fs::write(&az_path, format!("#!/bin/sh\necho \"$@\" > {}\n{body}\n", log.display()))
                .unwrap();
            std::fs::set_permissions(&az_path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let environment = Environment::new([("PATH", path.as_str())]);
        script(r#"echo '{"accessToken": "hunter2", "expires_on": 99999999999}'"#);
        let token = az(&environment, "https://vault.azure.net", "t").await.ok().unwrap();
        assert!(token.is_fresh() && token.header == "Bearer hunter2");
        let arguments = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            arguments.trim(),
            "account get-access-token -o json --resource https://vault.azure.net --tenant t"
        );
        let missed = |result: Result<Token, Missed>| match result.err().unwrap() {
            Missed::Absent(why) => why,
            Missed::Failed(kind) => panic!("{kind}"),
        };
        script("echo hunter2 >&2; exit 1");
        let why = missed(az(&environment, "https://vault.azure.net", "").await);
        assert!(why.contains("az login") && !why.contains("hunter2"), "{why}");
        script("echo hunter2");
        assert_eq!(missed(az(&environment, "https://vault.azure.net", "").await), "az gave no token");
        let nowhere = Environment::new([("PATH", "/nonexistent")]);
        assert!(missed(az(&nowhere, "https://vault.azure.net", "").await).contains("not found"));
    }
}
