//! A key service that somebody else runs: SOPS's gRPC protocol as client, over TCP or a unix socket, in the clear.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use sealops_crypto::sops::{KeyPart, MasterKey};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture as Later, Service, StdError};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::KeyService;
use super::message::{
    DECRYPT, DecryptRequest, DecryptResponse, ENCRYPT, EncryptRequest, EncryptResponse, Key,
    MAX_MESSAGE_BYTES,
};
use crate::{BoxFuture, ProviderError, ProviderErrorKind, names};

/// Longest text of a key service that is quoted, in characters.
const MAX_QUOTED: usize = 300;

/// How long a key service may take.
#[derive(Debug, Clone, Copy)]
pub struct KeyServiceLimits {
    /// Until the connection stands and the other side has said its first word.
    pub connect: Duration,
    /// Until an answer is complete. Somebody may be asked for a passphrase, or for permission.
    pub answer: Duration,
}

impl Default for KeyServiceLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), answer: Duration::from_secs(300) }
    }
}

/// Where a key service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp(String),
    Unix(String),
}

/// A key service. One connection, opened at the first call and again after it broke.
pub struct RemoteKeyService {
    uri: String,
    limits: KeyServiceLimits,
    channel: Channel,
}

impl RemoteKeyService {
    /// Takes `tcp://HOST:PORT` or `unix:///PATH`. Nothing is contacted; it must be called where a runtime is entered.
    ///
    /// # Errors
    /// Returns [`ProviderErrorKind::Invalid`] for an address of another form.
    pub fn new(uri: &str, limits: KeyServiceLimits) -> Result<Self, ProviderError> {
        let wrong = |reason: String| error("reach", uri, ProviderErrorKind::Invalid(reason));
        let address = read_address(uri).map_err(wrong)?;
        // The name is for the `:authority` of requests; the connector knows the way.
        let host = match &address {
            Address::Tcp(host) => host.as_str(),
            Address::Unix(_) => "localhost",
        };
        let endpoint = Endpoint::from_shared(format!("http://{host}"))
            .map_err(|_| wrong(format!("{host:?} is no host and port")))?;
        let channel = endpoint.connect_with_connector_lazy(Connector { address, limit: limits.connect });
        Ok(Self { uri: uri.to_owned(), limits, channel })
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, ProviderErrorKind>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let asked = async {
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            let path = PathAndQuery::from_static(path);
            grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await
        };
        match timeout(self.limits.answer, asked).await {
            Err(_) => Err(ProviderErrorKind::Unavailable("it did not answer in time".to_owned())),
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| kind_of(&status)),
        }
    }

    fn key(&self, operation: &'static str, key: &MasterKey) -> Result<Key, ProviderError> {
        Key::of(key).ok_or_else(|| {
            let reason = "the protocol of key services has no such kind of key";
            error(operation, &self.uri, ProviderErrorKind::Invalid(reason.to_owned()))
        })
    }
}

impl KeyService for RemoteKeyService {
    fn wrap<'a>(
        &'a self,
        key: &'a MasterKey,
        part: &'a KeyPart,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        const OPERATION: &str = "encrypt by";
        Box::pin(async move {
            let request = EncryptRequest::new(self.key(OPERATION, key)?, part.plaintext());
            let failed = |kind| error(OPERATION, &self.uri, kind);
            let answer: EncryptResponse = self.call(ENCRYPT, request).await.map_err(failed)?;
            match String::from_utf8(answer.ciphertext) {
                Ok(text) if !text.is_empty() => Ok(text),
                _ => Err(failed(ProviderErrorKind::Failed("its answer is no wrapped key".to_owned()))),
            }
        })
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a MasterKey,
        wrapped: &'a str,
    ) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        const OPERATION: &str = "decrypt by";
        Box::pin(async move {
            let request = DecryptRequest {
                key: Some(self.key(OPERATION, key)?),
                ciphertext: wrapped.as_bytes().to_vec(),
            };
            let failed = |kind| error(OPERATION, &self.uri, kind);
            let mut answer: DecryptResponse = self.call(DECRYPT, request).await.map_err(failed)?;
            Ok(KeyPart::new(answer.take_plaintext()))
        })
    }
}

fn error(operation: &'static str, uri: &str, kind: ProviderErrorKind) -> ProviderError {
    ProviderError { backend: "key service".to_owned(), operation, target: uri.to_owned(), kind }
}

fn read_address(uri: &str) -> Result<Address, String> {
    match uri.split_once("://") {
        Some(("tcp", host)) if !host.is_empty() => Ok(Address::Tcp(host.trim_end_matches('/').to_owned())),
        Some(("unix", path)) if path.starts_with('/') => Ok(Address::Unix(path.to_owned())),
        _ => Err("the address of a key service is tcp://HOST:PORT or unix:///PATH".to_owned()),
    }
}

/// Sorts an answer. What the service says about a key is told, on one line and cut; it is meant for people.
fn kind_of(status: &Status) -> ProviderErrorKind {
    if let Some(cause) = transport_cause(status) {
        return ProviderErrorKind::Unavailable(format!("no answer: {cause}"));
    }
    let said = quoted(status.message());
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => ProviderErrorKind::Denied(said),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => ProviderErrorKind::Unavailable(said),
        Code::ResourceExhausted => {
            ProviderErrorKind::Failed("the message is too large, or it is busy".to_owned())
        }
        Code::Unimplemented => ProviderErrorKind::Failed("there is no key service of SOPS".to_owned()),
        _ => ProviderErrorKind::Failed(said),
    }
}

fn quoted(text: &str) -> String {
    let line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    line.take(MAX_QUOTED).collect()
}

/// Returns the innermost cause where the status was made on this side, by a connection that failed.
fn transport_cause(status: &Status) -> Option<String> {
    let mut cause = std::error::Error::source(status)?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause.to_string())
}

/// Opens connections.
#[derive(Clone)]
struct Connector {
    address: Address,
    limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<FirstWord<Box<dyn Stream>>>;
    type Error = StdError;
    type Future = Later<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, limit } = self.clone();
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            let connected = timeout(limit, connect(&address)).await;
            let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(TokioIo::new(FirstWord { stream, deadline: Some(Box::pin(sleep_until(deadline))) }))
        })
    }
}

async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    Ok(match address {
        Address::Tcp(host) => {
            let (name, port) = names::split(host)?;
            let stream = names::connect(name, port).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection on which the other side has to say something before a deadline: an HTTP/2 server does so at once, however
/// long its answers take.
struct FirstWord<T> {
    stream: T,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncRead + Unpin> AsyncRead for FirstWord<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.deadline = None;
            return Poll::Ready(read);
        }
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "connected, but nobody speaks there")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FirstWord<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tcp_or_unix() {
        assert_eq!(read_address("tcp://h:1"), Ok(Address::Tcp("h:1".to_owned())));
        assert_eq!(read_address("unix:///a/b"), Ok(Address::Unix("/a/b".to_owned())));
        for wrong in ["", "h:1", "tcp://", "unix://a", "http://h:1"] {
            assert!(read_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_service_says_is_one_line_and_short() {
        let status = Status::unknown(format!("a\nb{}", "c".repeat(1000)));
        let ProviderErrorKind::Failed(text) = kind_of(&status) else { panic!("another kind") };
        assert!(text.starts_with("a bc") && text.chars().count() == MAX_QUOTED);
        assert!(matches!(kind_of(&Status::permission_denied("no")), ProviderErrorKind::Denied(_)));
    }
}
