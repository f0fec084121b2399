//! The SDK's requests, sent by our [`HttpClient`].

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient as SdkHttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::Full;
use sealops_formats::Plaintext;

use crate::ProviderErrorKind;
use crate::http::{CONNECT_TIMEOUT, HttpClient, Request};

/// Longest time for one request and its answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer: KMS gives back 6 KiB at most, STS a token.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Makes the SDK's client of ours.
pub(super) fn shared(client: HttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Limited { client, timeout: REQUEST_TIMEOUT })
}

/// Sends what the SDK wants sent. Its own retries stay the SDK's.
#[derive(Clone)]
struct Limited {
    client: HttpClient,
    timeout: Duration,
}

impl fmt::Debug for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limited")
    }
}

impl SdkHttpClient for Limited {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Instance metadata has a second or so, and is mostly not there.
        let asked = settings
            .read_timeout()
            .map(|read| read.saturating_add(settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT)));
        let timeout = asked.unwrap_or(self.timeout).min(self.timeout);
        SharedHttpConnector::new(Self { client: self.client.clone(), timeout })
    }
}

impl HttpConnector for Limited {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move { this.send(request).await })
    }
}

impl Limited {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let unusable = |text: &str| ConnectorError::user(ProviderErrorKind::Invalid(text.to_owned()).into());
        let request = request
            .try_into_http1x()
            .map_err(|_| unusable("the AWS client made a request that cannot be sent"))?;
        let (parts, body) = request.into_parts();
        let Some(body) = body.bytes() else {
            return Err(unusable("the AWS client made a request without an end"));
        };
        let mut sent = Request::new(parts.method, parts.uri.to_string());
        sent.headers = parts.headers;
        sent.body = Plaintext::from(body);
        sent.timeout = self.timeout;
        sent.max_bytes = MAX_ANSWER_BYTES;
        let answer = self.client.send(sent).await.map_err(connector_error)?;
        // As a stream: of a body in memory the SDK logs the content, at trace level, before it knows whether it may.
        let body = SdkBody::from_body_1_x(Full::new(Bytes::from_owner(Wiped(answer.body))));
        let mut response = ::http::Response::new(body);
        *response.status_mut() =
            ::http::StatusCode::from_u16(answer.status).map_err(|_| unusable("the answer has no status"))?;
        *response.headers_mut() = answer.headers;
        HttpResponse::try_from(response).map_err(|_| {
            let text = "the answer has headers that are no text".to_owned();
            ConnectorError::other(ProviderErrorKind::Failed(text).into(), None)
        })
    }
}

/// A body that is wiped once the SDK has read it.
struct Wiped(Plaintext);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Keeps the kind, so that `error::kind` finds it again, and tells the SDK whether trying again can help.
fn connector_error(error: ProviderErrorKind) -> ConnectorError {
    match error {
        ProviderErrorKind::Unavailable(_) => ConnectorError::io(error.into()),
        ProviderErrorKind::Invalid(_) => ConnectorError::user(error.into()),
        error => ConnectorError::other(error.into(), None),
    }
}
