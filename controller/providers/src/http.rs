//! HTTP as every backend uses it: bounded in time and size, bodies wiped, nothing of them in an error.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sealops_formats::Plaintext;
use tokio::time::{Instant, timeout_at};

use crate::egress::{self, Resolver};
use crate::http_extras::{self, Extras};
use crate::{Egress, ProviderErrorKind};

/// Longest time until a connection stands.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for one request and its answer, unless the caller says otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer, unless the caller says otherwise.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Whom a connection trusts and what it shows.
#[derive(Debug, Default)]
pub struct TlsSettings {
    /// Authorities in PEM, in place of the system's.
    pub roots: Option<Vec<u8>>,
    /// Certificate chain and private key in PEM.
    pub identity: Option<(Vec<u8>, Plaintext)>,
}

/// Sends requests. Clones share connections.
#[derive(Clone)]
pub struct HttpClient {
    plain: Client<Connector, Full<Bytes>>,
    tls: Arc<OnceLock<Client<HttpsConnector<Connector>, Full<Bytes>>>>,
    settings: Arc<TlsSettings>,
    extras: Arc<Extras>,
}

/// A request.
pub struct Request {
    /// Method.
    pub method: Method,
    /// Address, with `http` or `https`.
    pub url: String,
    /// Headers; use [`sensitive`] for credentials.
    pub headers: HeaderMap,
    /// Body.
    pub body: Plaintext,
    /// Longest time for all of it.
    pub timeout: Duration,
    /// Largest answer.
    pub max_bytes: usize,
}

impl Request {
    /// Makes a request without a body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Plaintext::default(),
            timeout: REQUEST_TIMEOUT,
            max_bytes: MAX_ANSWER_BYTES,
        }
    }

    /// Adds a header, in place of one with its name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: Plaintext) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body;
        self
    }
}

/// Returns a header value that is never printed.
///
/// # Errors
/// Fails where the value has control characters, a line end for example.
pub fn sensitive(value: &[u8]) -> Result<HeaderValue, ProviderErrorKind> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| {
        ProviderErrorKind::Invalid("a credential has characters that no header may have".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An answer, whatever its status.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, complete.
    pub body: Plaintext,
}

impl HttpClient {
    /// Makes a client; certificates are looked at when they are needed.
    pub fn new(settings: TlsSettings) -> Self {
        Self::with(settings, Extras::default())
    }

    /// Makes a client with further settings.
    pub fn with(settings: TlsSettings, extras: Extras) -> Self {
        Self {
            plain: builder().build(connector(extras.egress)),
            tls: Arc::default(),
            settings: Arc::new(settings),
            extras: Arc::new(extras),
        }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Unavailable`] without an answer in time, [`ProviderErrorKind::Failed`] for one that is
    /// too large or cut off, [`ProviderErrorKind::Invalid`] for an address or certificate that makes no sense. Statuses are
    /// the caller's to judge.
    pub async fn send(&self, request: Request) -> Result<Answer, ProviderErrorKind> {
        let deadline = Instant::now() + request.timeout;
        let uri: Uri = request
            .url
            .parse()
            .map_err(|_| ProviderErrorKind::Invalid(format!("{:?} is no address", request.url)))?;
        // Not the whole authority: a password may stand in it.
        let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", uri.host().unwrap_or_default());
        egress::check(self.extras.egress, uri.host().unwrap_or_default())?;
        self.extras.reach.server(&format!("{}://{host}", uri.scheme_str().unwrap_or_default()))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                return Err(ProviderErrorKind::Invalid(format!(
                    "{:?} has to begin with http:// or https://",
                    request.url
                )));
            }
        };
        let late = || ProviderErrorKind::Unavailable(format!("{host} did not answer in time"));
        let mut sent = ::http::Request::new(Full::new(Bytes::from_owner(Body(request.body))));
        *sent.method_mut() = request.method;
        *sent.uri_mut() = uri;
        *sent.headers_mut() = request.headers;
        let answer = match self.extras.proxies.by(sent.uri()) {
            Some(proxy) => proxy.request(sent, self.extras.server_name.as_deref(), || self.tls_config())?,
            None if is_tls => self.tls()?.request(sent),
            None => self.plain.request(sent),
        };
        let answer = timeout_at(deadline, answer).await;
        let answer = answer.map_err(|_| late())?.map_err(|error| unreachable_host(&host, &error))?;
        let (parts, body) = answer.into_parts();
        let read = timeout_at(deadline, Limited::new(body, request.max_bytes).collect()).await;
        let body = read.map_err(|_| late())?.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                ProviderErrorKind::Failed(format!(
                    "the answer of {host} is larger than {} bytes",
                    request.max_bytes
                ))
            } else {
                ProviderErrorKind::Unavailable(format!("the answer of {host} was cut off"))
            }
        })?;
        let body = Plaintext::from(Vec::from(body.to_bytes()));
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    fn tls(&self) -> Result<&Client<HttpsConnector<Connector>, Full<Bytes>>, ProviderErrorKind> {
        if let Some(client) = self.tls.get() {
            return Ok(client);
        }
        let mut inner = connector(self.extras.egress);
        inner.enforce_http(false);
        let connector =
            http_extras::tls_connector(self.tls_config()?, self.extras.server_name.as_deref(), inner)?;
        Ok(self.tls.get_or_init(|| builder().build(connector)))
    }

    fn tls_config(&self) -> Result<ClientConfig, ProviderErrorKind> {
        let mut config = tls_config(&self.settings).map_err(ProviderErrorKind::Invalid)?;
        if self.extras.skip_verify {
            http_extras::trust_everybody(&mut config);
        }
        Ok(config)
    }
}

/// A body that is wiped once it is sent.
struct Body(Plaintext);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

pub(crate) fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
    builder
}

/// Makes connections, to where the policy allows it.
pub(crate) type Connector = HttpConnector<Resolver>;

pub(crate) fn connector(egress: Egress) -> Connector {
    let mut connector = HttpConnector::new_with_resolver(Resolver::new(egress));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector
}

fn tls_config(settings: &TlsSettings) -> Result<ClientConfig, String> {
    let roots = match &settings.roots {
        Some(pem) => Arc::new(roots_of(pem)?),
        None => native_roots(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "there is no TLS version to speak")?
        .with_root_certificates(roots);
    let Some((chain, key)) = &settings.identity else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|_| "the client certificate is no PEM certificate")?;
    let key =
        PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| "the client key is no PEM private key")?;
    builder.with_client_auth_cert(chain, key).map_err(|_| "client certificate and key do not fit".to_owned())
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "the authorities are no PEM certificates")?;
        roots.add(certificate).map_err(|_| "a certificate of the authorities makes no sense")?;
    }
    if roots.is_empty() { Err("there is no certificate in the authorities") } else { Ok(roots) }
}

/// The system's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`: read once in a process, as Go does.
fn native_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    Arc::clone(roots)
}

/// Says why there is no answer. The chain of causes has no body in it.
fn unreachable_host(host: &str, error: &ClientError) -> ProviderErrorKind {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<egress::Refused>() {
        Some(refused) => ProviderErrorKind::Forbidden(refused.to_string()),
        None => ProviderErrorKind::Unavailable(format!("cannot reach {host}: {cause}")),
    }
}
/// Time for one upload, besides that of its bytes.
#[cfg(any(feature = "aws", feature = "gcp"))]
const UPLOAD_BASE: Duration = Duration::from_secs(15);
/// Bytes in a second of the slowest upload that is waited for.
#[cfg(any(feature = "aws", feature = "gcp"))]
const SLOWEST_UPLOAD: u64 = 256 << 10;
/// Attempts whose whole time is waited for.
#[cfg(any(feature = "aws", feature = "gcp"))]
const UPLOAD_ATTEMPTS: u32 = 3;

/// Returns how long an upload of so many bytes may take: once, and with all attempts.
#[cfg(any(feature = "aws", feature = "gcp"))]
pub(crate) fn upload_times(bytes: usize) -> (Duration, Duration) {
    let once = UPLOAD_BASE + Duration::from_secs(bytes as u64 / SLOWEST_UPLOAD);
    (once, once * UPLOAD_ATTEMPTS)
}
