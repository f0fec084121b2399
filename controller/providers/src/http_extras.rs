//! What few connections need: proxies, another server name, no check of the certificate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::{Request, Uri};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::http::{Connector, builder, connector};
use crate::{Egress, ProviderErrorKind, Reach};

/// Settings of a connection that are rarely wanted.
#[derive(Debug, Default)]
pub struct Extras {
    /// Name that the server's certificate has to have, in place of the address's.
    pub server_name: Option<String>,
    /// Takes every certificate: whoever is on the way can read along.
    pub skip_verify: bool,
    /// Proxies.
    pub proxies: Proxies,
    /// Which addresses may be connected to. A proxy is reached wherever it is, and looks up names itself.
    pub egress: Egress,
    /// Which servers may be asked, whatever their address is.
    pub reach: Arc<Reach>,
}

/// Which proxy a request goes through. Every proxy is asked to connect (`CONNECT`), for addresses without TLS too.
#[derive(Default)]
pub struct Proxies {
    matcher: Option<Matcher>,
    clients: Mutex<BTreeMap<String, Arc<Proxied>>>,
}

impl Proxies {
    /// Takes the addresses of proxies for addresses without and with TLS, and the hosts that are reached without, as
    /// they stand in `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. Empty is none.
    pub fn new(http: &str, https: &str, no_proxy: &str) -> Self {
        if http.is_empty() && https.is_empty() {
            return Self::default();
        }
        let matcher =
            Matcher::builder().http(http.to_owned()).https(https.to_owned()).no(no_proxy.to_owned()).build();
        Self { matcher: Some(matcher), clients: Mutex::default() }
    }

    /// Returns the client that reaches an address through its proxy, or `None` where there is no proxy for it. This
    /// machine is never reached through a proxy, as in Go.
    pub(crate) fn by(&self, uri: &Uri) -> Option<Arc<Proxied>> {
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let proxy = self.matcher.as_ref().filter(|_| !here)?.intercept(uri)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(proxy.uri().to_string()).or_insert_with(|| Arc::new(Proxied::new(&proxy)));
        Some(Arc::clone(client))
    }
}

/// Prints nothing: addresses of proxies hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies")
    }
}

type PlainClient = Client<Tunnel<Connector>, Full<Bytes>>;
type TlsClient = Client<HttpsConnector<Tunnel<Connector>>, Full<Bytes>>;

/// The way through one proxy.
pub(crate) struct Proxied {
    tunnel: Tunnel<Connector>,
    plain: PlainClient,
    tls: Mutex<Option<TlsClient>>,
}

impl Proxied {
    fn new(proxy: &Intercept) -> Self {
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connector(Egress::Open));
        if let Some(password) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(password.clone());
        }
        Self { plain: builder().build(tunnel.clone()), tls: Mutex::default(), tunnel }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Fails where the settings of TLS make no sense.
    pub(crate) fn request(
        &self,
        mut request: Request<Full<Bytes>>,
        server_name: Option<&str>,
        config: impl FnOnce() -> Result<ClientConfig, ProviderErrorKind>,
    ) -> Result<ResponseFuture, ProviderErrorKind> {
        if request.uri().scheme_str() == Some("https") {
            let mut slot = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.is_none() {
                let connector = tls_connector(config()?, server_name, self.tunnel.clone())?;
                *slot = Some(builder().build(connector));
            }
            let client = slot.as_ref().ok_or_else(|| ProviderErrorKind::Failed("no client".to_owned()))?;
            return Ok(client.request(request));
        }
        with_port(&mut request)?;
        Ok(self.plain.request(request))
    }
}

/// Names the port: a tunnel takes 443 where there is none.
fn with_port(request: &mut Request<Full<Bytes>>) -> Result<(), ProviderErrorKind> {
    let uri = request.uri();
    if uri.port().is_some() {
        return Ok(());
    }
    let invalid = |_| ProviderErrorKind::Invalid(format!("{uri} is no address"));
    let mut parts = uri.clone().into_parts();
    let authority = format!("{}:80", uri.host().unwrap_or_default());
    parts.authority = Some(authority.parse().map_err(|_| invalid(()))?);
    let with_port = Uri::from_parts(parts).map_err(|_| invalid(()))?;
    *request.uri_mut() = with_port;
    Ok(())
}

/// Puts TLS on a connector.
///
/// # Errors
/// Fails for a server name that is none.
pub(crate) fn tls_connector<C>(
    config: ClientConfig,
    server_name: Option<&str>,
    inner: C,
) -> Result<HttpsConnector<C>, ProviderErrorKind> {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
    if let Some(name) = server_name {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| ProviderErrorKind::Invalid(format!("{name:?} is no server name")))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().wrap_connector(inner))
}

/// Makes a configuration take every certificate.
pub(crate) fn trust_everybody(config: &mut ClientConfig) {
    let algorithms = config.crypto_provider().signature_verification_algorithms;
    config.dangerous().set_certificate_verifier(Arc::new(Everybody(algorithms)));
}

/// Trusts every certificate. Signatures are checked still: the other side has the key of what it shows.
#[derive(Debug)]
struct Everybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_as_the_environment_says() {
        let proxies = Proxies::new("http://one:1", "http://user:hunter2@two:2", "inside.example,10.0.0.0/8");
        let by = |uri: &str| proxies.by(&uri.parse().unwrap()).is_some();
        assert!(by("https://vault.example/v1") && by("http://vault.example"));
        for direct in [
            "https://inside.example",
            "https://a.inside.example",
            "http://10.1.2.3",
            "http://127.0.0.1:1",
            "http://localhost",
            "http://[::1]:2",
        ] {
            assert!(!by(direct), "{direct}");
        }
        assert!(Proxies::default().by(&"http://x".parse().unwrap()).is_none());
        assert_eq!(format!("{proxies:?}"), "Proxies");
    }

    #[test]
    fn a_tunnel_without_tls_names_its_port() {
        let port = |uri: &str| {
            let mut request = Request::new(Full::new(Bytes::new()));
            *request.uri_mut() = uri.parse().unwrap();
            with_port(&mut request).unwrap();
            request.uri().to_string()
        };
        assert_eq!(port("http://v/v1/x?a=b"), "http://v:80/v1/x?a=b");
        assert_eq!(port("http://v:8200/"), "http://v:8200/");
    }
}
