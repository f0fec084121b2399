//! Workload identity federation: the token of somebody else (a CI system, a cluster), out of a file or from an address,
//! is exchanged for one of Google's (RFC 8693).
//!
//! Of the sources that Google's tools know, AWS, certificates and programs are not supported.

use std::fs::File;
use std::io::Read;
use std::net::Ipv4Addr;

use ::http::{HeaderName, HeaderValue, Method};
use sealops_formats::Plaintext;

use super::credentials::address;
use super::token_server::{REQUEST_TIMEOUT, check, form, granted};
use crate::ProviderErrorKind;
use crate::http::{HttpClient, Request, sensitive};
use crate::json::Json;

/// Largest token of somebody else.
const MAX_SUBJECT_BYTES: u64 = 1 << 20;
/// What the exchanged token may do; what it is used for is narrower, or it is another account's.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token of somebody else, and where it is exchanged.
pub struct External {
    audience: String,
    subject_type: String,
    token_url: String,
    source: Source,
    /// Name of the field with the token, where the source is JSON.
    field: Option<String>,
}

enum Source {
    File(String),
    Url { url: String, headers: Vec<(HeaderName, HeaderValue)> },
}

impl External {
    /// Reads the fields of a file.
    ///
    /// # Errors
    /// Returns what is missing or not supported.
    pub(super) fn read(json: &Json) -> Result<Self, String> {
        let needed = |name: &str| {
            let text = json.str_at(name).filter(|text| !text.is_empty()).map(str::to_owned);
            text.ok_or_else(|| format!("{name} is missing"))
        };
        for field in ["workforce_pool_user_project", "client_id"] {
            if json.str_at(field).is_some_and(|text| !text.is_empty()) {
                return Err(format!("{field} is not supported: pools of people are not"));
            }
        }
        let source = json.get("credential_source").ok_or("credential_source is missing")?;
        let field = match source.get("format") {
            Some(format) if format.str_at("type") == Some("json") => Some(
                format
                    .str_at("subject_token_field_name")
                    .ok_or("credential_source.format.subject_token_field_name is missing")?
                    .to_owned(),
            ),
            _ => None,
        };
        Ok(Self {
            audience: needed("audience")?,
            subject_type: needed("subject_token_type")?,
            token_url: address("token_url", needed("token_url")?)?,
            source: Source::read(source)?,
            field,
        })
    }

    pub(super) fn contacts(&self) -> Vec<String> {
        let mut contacts = Vec::new();
        if let Source::Url { url, .. } = &self.source {
            // What stands behind `?` may be a secret.
            contacts.push(url.split('?').next().unwrap_or_default().to_owned());
        }
        contacts.push(self.token_url.clone());
        contacts
    }

    /// Exchanges the token; returns Google's, and how many seconds it lives.
    pub(super) async fn exchange(
        &self,
        http: &HttpClient,
    ) -> Result<(Plaintext, Option<u64>), ProviderErrorKind> {
        let subject = self.subject(http).await?;
        let body = form(&[
            ("grant_type", &GRANT.into()),
            ("audience", &self.audience.as_str().into()),
            ("scope", &SCOPE.into()),
            ("requested_token_type", &ACCESS_TOKEN.into()),
            ("subject_token", &subject),
            ("subject_token_type", &self.subject_type.as_str().into()),
        ]);
        let request = Request::new(Method::POST, self.token_url.as_str())
            .body("application/x-www-form-urlencoded", body);
        granted(http, request).await
    }

    async fn subject(&self, http: &HttpClient) -> Result<Plaintext, ProviderErrorKind> {
        let text = match &self.source {
            Source::File(path) => file(path)?,
            Source::Url { url, headers } => {
                let mut request = Request::new(Method::GET, url.as_str());
                request.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                request.timeout = REQUEST_TIMEOUT;
                request.max_bytes = MAX_SUBJECT_BYTES as usize;
                let answer = http.send(request).await?;
                check(&answer, "credential_source.url")?;
                answer.body
            }
        };
        let subject = match &self.field {
            Some(field) => Json::parse(&text).and_then(|json| json.text_at(field).map(Plaintext::duplicate)),
            None => Some(Plaintext::from(text.expose().trim_ascii())),
        };
        subject
            .filter(|subject| !subject.is_empty())
            .ok_or_else(|| ProviderErrorKind::Unauthenticated("credential_source holds no token".to_owned()))
    }
}

fn file(path: &str) -> Result<Plaintext, ProviderErrorKind> {
    let fail =
        |why: String| ProviderErrorKind::Unauthenticated(format!("credential_source.file {path}: {why}"));
    let source = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut text = Plaintext::default();
    std::io::copy(&mut source.take(MAX_SUBJECT_BYTES + 1), &mut text)
        .map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > MAX_SUBJECT_BYTES {
        return Err(fail(format!("it is larger than {MAX_SUBJECT_BYTES} bytes")));
    }
    Ok(text)
}

impl Source {
    fn read(json: &Json) -> Result<Self, String> {
        for kind in ["environment_id", "executable", "certificate"] {
            if json.get(kind).is_some() {
                return Err(format!("credential_source.{kind} is not supported: file and url are"));
            }
        }
        if let Some(path) = json.str_at("file").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.to_owned()));
        }
        let url = json.str_at("url").filter(|url| !url.is_empty());
        let url = url.ok_or("credential_source has neither file nor url")?.to_owned();
        let mut headers = Vec::new();
        if let Some(Json::Map(entries)) = json.get("headers") {
            for (name, value) in entries {
                let wrong = || "a header of credential_source.headers is none".to_owned();
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
                let Json::Text(value) = value else { return Err(wrong()) };
                headers.push((name, sensitive(value.expose()).map_err(|_| wrong())?));
            }
        }
        // A header is a secret as a rule; a metadata server without one may be asked without TLS.
        let url = if headers.is_empty() || is_of_this_machine(&url) {
            url
        } else {
            address("credential_source.url", url)?
        };
        Ok(Self::Url { url, headers })
    }
}

/// Returns whether an address is where clouds have the metadata of a machine: Azure's wants a header, which is no secret.
fn is_of_this_machine(url: &str) -> bool {
    let host =
        url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Result<External, String> {
        let text = format!(
            r#"{{"audience":"a","subject_token_type":"t","token_url":"https://sts","credential_source":{source}}}"#
        );
        External::read(&Json::parse(&text.into()).unwrap())
    }

    #[test]
    fn sources_are_files_and_addresses() {
        assert_eq!(read(r#"{"file":"/f"}"#).unwrap().contacts(), ["https://sts"]);
        let url = r#"{"url":"https://ci/x?hunter2","headers":{"Authorization":"Bearer hunter2"},
            "format":{"type":"json","subject_token_field_name":"value"}}"#;
        let external = read(url).unwrap();
        assert_eq!(external.contacts(), ["https://ci/x", "https://sts"]);
        assert_eq!(external.field.as_deref(), Some("value"));
        let azure = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01";
        let read = read(&format!(r#"{{"url":"{azure}","headers":{{"Metadata":"True"}}}}"#));
        assert_eq!(
            read.unwrap().contacts(),
            ["http://169.254.169.254/metadata/identity/oauth2/token", "https://sts"]
        );
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (source, says) in [
            ("{}", "neither file nor url"),
            (r#"{"environment_id":"aws1"}"#, "environment_id is not supported"),
            (r#"{"executable":{"command":"x"}}"#, "executable is not supported"),
            (
                r#"{"url":"http://a","headers":{"A":"hunter2"}}"#,
                "credential_source.url has to begin with https://",
            ),
            (
                r#"{"url":"http://169.254.169.254@a","headers":{"A":"hunter2"}}"#,
                "credential_source.url has to begin with https://",
            ),
            (r#"{"file":"f","format":{"type":"json"}}"#, "subject_token_field_name is missing"),
        ] {
            let error = read(source).err().unwrap();
            assert!(error.contains(says) && !error.contains("hunter2"), "{source}: {error}");
        }
    }
}
