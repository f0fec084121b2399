//! TLS by rustls, as `sslmode` says.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sealops_formats::Plaintext;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Stream;

use super::settings::{Address, Mode, Tls};

/// Largest file with certificates or a key.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Makes one TLS connection.
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// Names the setting whose file cannot be used, not the file.
    pub(super) fn new(tls: &Tls, address: &Address) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Verifier {
            chain: chain(tls, &provider)?,
            check_name: tls.mode == Mode::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "there is no TLS version to speak")?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(&read("sslcert", certificate)?, "sslcert")?;
                check_permissions(key)?;
                let key = PrivateKeyDer::from_pem_slice(read("sslkey", key)?.expose())
                    .map_err(|_| "the file of sslkey has no private key in PEM without a password")?;
                builder.with_client_auth_cert(chain, key).map_err(|_| "sslcert and sslkey do not fit")?
            }
        };
        let Address::Tcp { host, .. } = address else {
            return Err("a Unix socket has no TLS".to_owned());
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| "host is no name that TLS can check")?;
        Ok(Self { config: Arc::new(config), name })
    }
}

/// Returns who checks the chain of certificates; `None` where everybody is believed.
fn chain(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<WebPkiServerVerifier>>, String> {
    let roots = match &tls.authorities {
        None if tls.mode == Mode::Require => return Ok(None),
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&read("sslrootcert", path)?, "sslrootcert")? {
                roots.add(certificate).map_err(|_| "a certificate of sslrootcert makes no sense")?;
            }
            roots
        }
    };
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().map(Some).map_err(|_| "there is no authority to check the server by".to_owned())
}

fn certificates(pem: &Plaintext, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("the file of {setting} has no certificate in PEM")),
    }
}

fn read(setting: &str, path: &Path) -> Result<Plaintext, String> {
    let mut file = File::open(path).map_err(|error| unreadable(setting, &error))?.take(MAX_FILE_BYTES + 1);
    let mut text = Plaintext::default();
    while text.read_some(&mut file).map_err(|error| unreadable(setting, &error))? > 0 {}
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the file of {setting} is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

fn unreadable(setting: &str, error: &io::Error) -> String {
    format!("the file of {setting} cannot be read: {}", error.kind())
}

/// A key belongs to its owner alone; root may let a group read it.
fn check_permissions(key: &Path) -> Result<(), String> {
    let metadata = key.metadata().map_err(|error| unreadable("sslkey", &error))?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & others == 0 {
        return Ok(());
    }
    Err("others may read the file of sslkey: chmod 0600 it".to_owned())
}

/// Checks certificates as far as the mode asks for it. Signatures are checked always.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last: the chain is right then.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A protected connection.
pub(super) struct Secured<S>(Stream<S>);

impl<S> TlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Secured<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { TlsConnector::from(self.config).connect(self.name, stream).await.map(Secured) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
