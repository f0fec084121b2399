//! Signatures of requests: SDK-HMAC-SHA256, over host, time, project, token and body.

use ::http::{HeaderName, header};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use sealops_formats::Plaintext;

use super::clock;
use crate::ProviderErrorKind;
use crate::http::{Request, sensitive};

const ALGORITHM: &str = "SDK-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-sdk-date");
const PROJECT: HeaderName = HeaderName::from_static("x-project-id");
const TOKEN: HeaderName = HeaderName::from_static("x-security-token");

/// What signs.
pub(super) struct Keys {
    /// Access key: names who asks.
    pub(super) access: Plaintext,
    /// Secret key.
    pub(super) secret: Plaintext,
    /// Goes along with keys that end.
    pub(super) token: Option<Plaintext>,
}

/// What an address is made of.
pub(super) struct Target {
    /// `https://kms.eu-west-101.myhuaweicloud.eu`, without a slash at its end.
    pub(super) endpoint: String,
    /// From its slash on; nothing in it needs an escape.
    pub(super) path: String,
    /// `NAME=VALUE`, which need no escape, or nothing.
    pub(super) query: String,
}

impl Target {
    pub(super) fn url(&self) -> String {
        let question = if self.query.is_empty() { "" } else { "?" };
        format!("{}{}{question}{}", self.endpoint, self.path, self.query)
    }

    /// Returns the host as it stands in the header.
    pub(super) fn host(&self) -> &str {
        match self.endpoint.split_once("://") {
            Some(("https", host)) => host.strip_suffix(":443").unwrap_or(host),
            Some((_, host)) => host.strip_suffix(":80").unwrap_or(host),
            None => &self.endpoint,
        }
    }
}

/// Signs a request to a target, as of so many seconds since 1970.
///
/// # Errors
/// Fails where a credential cannot stand in a header.
pub(super) fn sign(
    mut request: Request,
    target: &Target,
    keys: &Keys,
    project: Option<&str>,
    now: u64,
) -> Result<Request, ProviderErrorKind> {
    let date = clock::stamp(now);
    let body = hex(digest(&SHA256, request.body.expose()).as_ref());
    // In the order of the alphabet.
    let mut signed: Vec<(HeaderName, &[u8])> = vec![(header::HOST, target.host().as_bytes())];
    signed.extend(project.map(|project| (PROJECT, project.as_bytes())));
    signed.push((DATE, date.as_bytes()));
    signed.extend(keys.token.as_ref().map(|token| (TOKEN, token.expose())));
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");

    let mut canonical = Plaintext::with_capacity(1024);
    let head = format!("{}\n{}/\n{}\n", request.method, target.path, target.query);
    canonical.push(head.as_bytes());
    for (name, value) in &signed {
        canonical.push(name.as_str().as_bytes());
        canonical.push(b":");
        canonical.push(value);
        canonical.push(b"\n");
    }
    canonical.push(format!("\n{names}\n{body}").as_bytes());
    let text = format!("{ALGORITHM}\n{date}\n{}", hex(digest(&SHA256, canonical.expose()).as_ref()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, keys.secret.expose());
    let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());

    let mut authorization = Plaintext::with_capacity(256);
    authorization.push(format!("{ALGORITHM} Access=").as_bytes());
    authorization.push(keys.access.expose());
    authorization.push(format!(", SignedHeaders={names}, Signature={signature}").as_bytes());
    for (name, value) in signed {
        request = request.header(name, sensitive(value)?);
    }
    Ok(request.header(header::AUTHORIZATION, sensitive(authorization.expose())?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use ::http::Method;

    use super::*;

    /// The values were computed with Python's hashlib and hmac from Huawei's description.
    #[test]
    fn requests_are_signed() {
        let target = Target {
            endpoint: "https://kms.eu-west-101.myhuaweicloud.eu:443".to_owned(),
            path: "/v1.0/p1/kms/encrypt-data".to_owned(),
            query: String::new(),
        };
        let mut keys = Keys { access: "AK".into(), secret: "hunter2".into(), token: None };
        let signed = |keys: &Keys| {
            let request = Request::new(Method::POST, target.url()).body("application/json", "{}".into());
            sign(request, &target, keys, Some("p1"), 1_735_689_599).unwrap()
        };
        let request = signed(&keys);
        let text = |request: &Request| request.headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
        assert_eq!(
            text(&request),
            "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-project-id;x-sdk-date, Signature=\
             74560dd189ff84665447ff3b99ccb62604d64d3c89c412c131bac8a5f805a06c"
        );
        assert_eq!(request.headers[header::HOST], "kms.eu-west-101.myhuaweicloud.eu");
        assert!(!format!("{:?}", request.headers).contains("AK"));
        keys.token = Some("token-hunter2".into());
        let request = signed(&keys);
        assert!(text(&request).ends_with("x-sdk-date;x-security-token, Signature=767280252de4613284303fd1d431a0703bc5a1f3200dcb4fa7e1d8173310e2a7"));
        assert!(!format!("{:?}", request.headers).contains("hunter2"));
    }
}
