//! S3, as much of it as publishing a file needs: one object is put.

use std::sync::Arc;
use std::time::SystemTime;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::TokioSleep;
use sealops_formats::{Plaintext, percent};

use super::auth::{self, Base, is_region};
use super::mfa::{self, MfaSessions};
use super::{chain, error, http_client};
use crate::http::{HttpClient, Request, sensitive, upload_times};
use crate::retry::{self, Policy, retry_after};
use crate::{ProviderError, ProviderErrorKind};

/// Largest answer: a short text, on errors.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Longest name of an object (S3).
const MAX_NAME_BYTES: usize = 1024;

/// S3 with the credentials and the region of the environment.
pub struct S3 {
    http: HttpClient,
    /// `AWS_ENDPOINT_URL_S3`: goes before the endpoint for all services.
    endpoint: Option<String>,
    sessions: Option<Arc<MfaSessions>>,
}

/// Where requests go.
struct Place {
    region: String,
    endpoint: Option<String>,
}

impl S3 {
    /// Takes the client and the address of `AWS_ENDPOINT_URL_S3`, if that is set.
    pub fn new(http: HttpClient, endpoint: Option<String>) -> Self {
        Self { http, endpoint, sessions: None }
    }

    /// Sets who is asked for codes of MFA devices. Without it profiles that want one are an error.
    pub fn with_mfa(self, sessions: Arc<MfaSessions>) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    /// Puts an object, in place of one that may be there.
    ///
    /// # Errors
    /// Returns S3's error code, or that it did not answer in time. Nothing is there then, or the old object.
    pub async fn put(&self, bucket: &str, name: &str, content: &Plaintext) -> Result<(), ProviderError> {
        self.try_put(bucket, name, content).await.map_err(|kind| ProviderError {
            backend: "AWS S3".to_owned(),
            operation: "put",
            target: format!("s3://{bucket}/{name}"),
            kind,
        })
    }

    async fn try_put(&self, bucket: &str, name: &str, content: &Plaintext) -> Result<(), ProviderErrorKind> {
        check_names(bucket, name)?;
        let (config, devices) =
            mfa::with_devices(self.load().await, &Base::Environment, self.sessions.as_ref()).await;
        devices.ready().await?;
        let place = self.place(&config)?;
        let url = place.url(bucket, name);
        let policy = Policy { deadline: upload_times(content.len()).1, ..Policy::default() };
        retry::call(policy, || self.put_once(&config, &place, &url, content)).await
    }

    async fn load(&self) -> SdkConfig {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client::shared(self.http.clone()))
            .sleep_impl(TokioSleep::new())
            .load()
            .await;
        let credentials = chain::of_environment(&config);
        auth::with_credentials(config, credentials)
    }

    fn place(&self, config: &SdkConfig) -> Result<Place, ProviderErrorKind> {
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            ProviderErrorKind::Invalid("no AWS region is set: AWS_REGION or the profile names one".to_owned())
        })?;
        if !is_region(&region) {
            return Err(ProviderErrorKind::Invalid(format!("{region:?} is no AWS region")));
        }
        let endpoint = self.endpoint.clone().or_else(|| config.endpoint_url().map(str::to_owned));
        Ok(Place { region, endpoint })
    }

    async fn put_once(
        &self,
        config: &SdkConfig,
        place: &Place,
        url: &str,
        content: &Plaintext,
    ) -> Result<(), ProviderErrorKind> {
        let credentials = credentials(config).await?;
        let mut request = Request::new(Method::PUT, url);
        request.headers = signed(credentials, &place.region, url, content)?;
        request.body = content.duplicate();
        request.timeout = upload_times(content.len()).0;
        request.max_bytes = MAX_ANSWER_BYTES;
        let answer = self.http.send(request).await?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let code = answer.body.expose_str().and_then(error_code);
        Err(error::by_code(code, answer.status, retry_after(&answer.headers)))
    }
}

async fn credentials(config: &SdkConfig) -> Result<Credentials, ProviderErrorKind> {
    let none = || {
        ProviderErrorKind::Unauthenticated(
            "there are no AWS credentials in the environment, in a profile, as web identity, or of this container or \
             machine"
                .to_owned(),
        )
    };
    let provider = config.credentials_provider().ok_or_else(none)?;
    provider.provide_credentials().await.map_err(|error| error::of_credentials(&error))
}

/// Returns the headers of a signed request.
fn signed(
    credentials: Credentials,
    region: &str,
    url: &str,
    content: &Plaintext,
) -> Result<HeaderMap, ProviderErrorKind> {
    let failed = || ProviderErrorKind::Failed("the request cannot be signed".to_owned());
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(|_| failed())?
        .into();
    const TYPE: &str = "application/octet-stream";
    let plain = [("content-type", TYPE)];
    let request = SignableRequest::new("PUT", url, plain.into_iter(), SignableBody::Bytes(content.expose()))
        .map_err(|_| failed())?;
    let (instructions, _) = sign(request, &params).map_err(|_| failed())?.into_parts();
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(TYPE))]);
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| failed())?;
        headers.insert(name, sensitive(value.as_bytes())?);
    }
    Ok(headers)
}

impl Place {
    /// Returns an object's address. Below an address of the user's own the bucket is part of the path, which every
    /// server that speaks S3 takes; at AWS it is part of the host, unless it has dots, which no certificate covers.
    fn url(&self, bucket: &str, name: &str) -> String {
        let path = percent::encode(name, b"/");
        if let Some(endpoint) = &self.endpoint {
            return format!("{}/{bucket}/{path}", endpoint.trim_end_matches('/'));
        }
        let region = &self.region;
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        if bucket.contains('.') {
            format!("https://s3.{region}.{suffix}/{bucket}/{path}")
        } else {
            format!("https://{bucket}.s3.{region}.{suffix}/{path}")
        }
    }
}

/// A bucket's name becomes part of a host's.
fn check_names(bucket: &str, name: &str) -> Result<(), ProviderErrorKind> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if bucket.is_empty() || bucket.starts_with(['.', '-']) || !bucket.bytes().all(letter) {
        return Err(ProviderErrorKind::Invalid(format!("{bucket:?} is no name of a bucket")));
    }
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let text = format!("the name of an object has 1 to {MAX_NAME_BYTES} bytes, this one {}", name.len());
        return Err(ProviderErrorKind::Invalid(text));
    }
    if name.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(ProviderErrorKind::Invalid(format!("{name:?}: S3 takes no name with . or .. as a part")));
    }
    Ok(())
}

/// Returns what stands between `<Code>` and `</Code>`.
fn error_code(xml: &str) -> Option<&str> {
    xml.split_once("<Code>")?.1.split_once("</Code>").map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_part_of_the_host_at_aws_only() {
        let place = |region: &str, endpoint: Option<&str>| Place {
            region: region.to_owned(),
            endpoint: endpoint.map(str::to_owned),
        };
        for (place, bucket, name, url) in [
            (
                place("eu-west-1", None),
                "b",
                "a/ü b+.yaml",
                "https://b.s3.eu-west-1.amazonaws.com/a/%C3%BC%20b%2B.yaml",
            ),
            (place("eu-west-1", None), "b.c", "x", "https://s3.eu-west-1.amazonaws.com/b.c/x"),
            (place("cn-north-1", None), "b", "x", "https://b.s3.cn-north-1.amazonaws.com.cn/x"),
            (place("eu-west-1", Some("http://127.0.0.1:1/")), "b", "x", "http://127.0.0.1:1/b/x"),
        ] {
            assert_eq!(place.url(bucket, name), url);
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        for (bucket, name) in [("", "x"), ("evil.example/", "x"), ("b@c", "x"), ("b", ""), ("b", "a/../c")] {
            assert!(check_names(bucket, name).is_err(), "{bucket} {name}");
        }
        check_names("my-bucket.1", "a/b.yaml").unwrap();
    }

    #[test]
    fn only_the_code_of_an_error_is_read() {
        assert_eq!(error_code("<Error><Code>NoSuchBucket</Code><Message>m</Message>"), Some("NoSuchBucket"));
        assert_eq!(error_code("hunter2"), None);
    }
}
