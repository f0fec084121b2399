//! Keys that end: of the agency of a machine, of a pod.

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method, header};
use sealops_formats::Plaintext;

use super::api::JSON;
use super::signing::Keys;
use super::{api, clock, credentials};
use crate::ProviderErrorKind;
use crate::http::{Answer, HttpClient, Request, sensitive};
use crate::json::Json;
use crate::local::Environment;

/// Where a machine of Huawei Cloud has its metadata.
pub(super) const METADATA: &str = "http://169.254.169.254";
/// Longest time for one request to them, as in the SDK.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time for the keys of a pod, as in the SDK.
const POD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Life of the token for the metadata, in seconds.
const TOKEN_LIFE: HeaderValue = HeaderValue::from_static("21600");

const TOKEN: HeaderName = HeaderName::from_static("x-metadata-token");
const LIFE: HeaderName = HeaderName::from_static("x-metadata-token-ttl-seconds");

/// Keys, and how long they live.
pub(super) type Ending = (Arc<Keys>, Duration);

/// Asks the metadata for the keys of the machine's agency. `http` has to know no proxy.
///
/// # Errors
/// Says what keeps the metadata from giving keys.
pub(super) async fn agency(http: &HttpClient) -> Result<Ending, ProviderErrorKind> {
    let path = "/meta-data/latest/api/token";
    let asked =
        send(http, Request::new(Method::PUT, format!("{METADATA}{path}")).header(LIFE, TOKEN_LIFE)).await?;
    let mut request = Request::new(Method::GET, format!("{METADATA}/openstack/latest/securitykey"));
    match asked.status {
        200 => request = request.header(TOKEN, sensitive(asked.body.expose())?),
        // Metadata of the older kind want no token.
        404 | 405 | 503 => {}
        status => return Err(refused("the metadata of this machine", status)),
    }
    let answer = send(http, request).await?;
    if answer.status != 200 {
        return Err(refused("the metadata of this machine have no keys of an agency: they", answer.status));
    }
    keys(&answer, "credential")
        .ok_or_else(|| ProviderErrorKind::Failed("the metadata have no keys".to_owned()))
}

async fn send(http: &HttpClient, mut request: Request) -> Result<Answer, ProviderErrorKind> {
    (request.timeout, request.max_bytes) = (METADATA_TIMEOUT, MAX_ANSWER_BYTES);
    http.send(request).await
}

/// Asks for the keys of a pod; `None` where the variables name none.
///
/// # Errors
/// Says what keeps the pod's server from giving keys.
pub(super) async fn pod(
    http: &HttpClient,
    environment: &Environment,
) -> Option<Result<Ending, ProviderErrorKind>> {
    let uri = environment.set_variable("HC_CONTAINER_CREDENTIALS_FULL_URI")?.to_string_lossy().into_owned();
    let file = environment.set_variable("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE")?;
    let ask = async {
        let token = credentials::read(file.as_ref()).map_err(|why| {
            ProviderErrorKind::Unauthenticated(format!(
                "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read: {why}"
            ))
        })?;
        let mut request = Request::new(Method::POST, uri)
            .body(JSON, Plaintext::from("{}"))
            .header(header::AUTHORIZATION, sensitive(token.expose().trim_ascii_end())?);
        (request.timeout, request.max_bytes) = (POD_TIMEOUT, MAX_ANSWER_BYTES);
        let answer = http.send(request).await?;
        if answer.status != 200 {
            return Err(refused("the server of HC_CONTAINER_CREDENTIALS_FULL_URI", answer.status));
        }
        keys(&answer, "credentials")
            .ok_or_else(|| ProviderErrorKind::Failed("the server of the pod's keys has none".to_owned()))
    };
    Some(ask.await)
}

fn refused(who: &str, status: u16) -> ProviderErrorKind {
    ProviderErrorKind::Unauthenticated(format!("{who} answered {status}"))
}

/// Reads what stands in an answer under this name; there are two spellings.
fn keys(answer: &Answer, name: &str) -> Option<Ending> {
    let json = Json::parse(&answer.body)?.take(name)?;
    let either = |one: &str, other: &str| {
        let found = json.text_at(one).or_else(|| json.text_at(other));
        found.filter(|text| api::is_header(text)).map(Plaintext::duplicate)
    };
    let access = either("access", "accessKeyId")?;
    let secret = either("secret", "secretAccessKey")?;
    let token = Some(either("securitytoken", "securityToken")?);
    let end = clock::seconds(either("expires_at", "expiration")?.expose_str()?)?;
    let life = Duration::from_secs(end).saturating_sub(clock::now());
    Some((Arc::new(Keys { access, secret, token }), life))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let of = |body: &str, name: &str| {
            keys(&Answer { status: 200, headers: HeaderMap::new(), body: body.into() }, name)
        };
        let metadata = r#"{"credential":{"access":"a","secret":"s","securitytoken":"t","expires_at":"2100-01-01T00:00:00.000000Z"}}"#;
        let pod = r#"{"credentials":{"accessKeyId":"a","secretAccessKey":"s","securityToken":"t","expiration":"2020-01-01T00:00:00Z"}}"#;
        let (keys, life) = of(metadata, "credential").unwrap();
        assert!(keys.token.as_ref().unwrap().expose() == b"t" && life > Duration::from_secs(86_400));
        let (keys, life) = of(pod, "credentials").unwrap();
        assert!(keys.access.expose() == b"a" && life == Duration::ZERO);
        for body in [
            "hunter2",
            "{}",
            r#"{"credential":{}}"#,
            &metadata.replace("2100", "later"),
            &metadata.replace("\"t\"", "\"t\\n\""),
        ] {
            assert!(of(body, "credential").is_none(), "{body}");
        }
    }
}
