//! SOPS's gRPC protocol as server: keys of this machine for somebody else's SOPS.
//!
//! ```text
//!   TCP or unix socket ─► Doorkeeper (so many connections) ─► Calls ─► KeyService ─► Consent ─► answer
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sealops_crypto::sops::{KeyPart, MasterKey};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::codegen::tokio_stream::Stream;
use tonic::codegen::{BoxFuture as Later, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::KeyService;
use super::message::{
    DECRYPT, DecryptRequest, DecryptResponse, ENCRYPT, EncryptRequest, EncryptResponse, Key,
    MAX_MESSAGE_BYTES,
};
use crate::{BoxFuture, ProviderError, ProviderErrorKind};

/// Connections at once.
pub const MAX_CONNECTIONS: usize = 128;
/// Calls at once; more wait.
pub const MAX_CALLS: usize = 32;
/// Calls at once on one connection.
pub const MAX_STREAMS: u32 = 64;
/// Largest headers of a call.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Longest time for a call, waiting for its turn and for people included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a silent client is asked whether it is there, and how long it may take to say so.
const ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// How long calls in hand may take after the end was asked for.
pub const GRACE: Duration = Duration::from_secs(10);

/// Says whether an answer may be given; SOPS asks a person on the terminal.
pub trait Consent: Send + Sync {
    /// Asks, with `encrypt` or `decrypt` and the key. It is asked once the answer is there, and before it is sent.
    fn ask<'a>(&'a self, operation: &'static str, key: &'a MasterKey) -> BoxFuture<'a, bool>;
}

/// Where the server listens.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// Serves until `end` is ready, then for at most [`GRACE`] what is in hand.
///
/// # Errors
/// Fails where the server cannot run at all.
pub async fn serve(
    listener: Listener,
    keys: Arc<dyn KeyService>,
    consent: Option<Arc<dyn Consent>>,
    end: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let calls = Calls(Arc::new(State { keys, consent, turns: Semaphore::new(MAX_CALLS) }));
    let (ended, mut over) = mpsc::channel::<()>(1);
    let signal = async move {
        end.await;
        drop(ended);
    };
    let server = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(ALIVE.0))
        .http2_keepalive_timeout(Some(ALIVE.1))
        .serve_with_incoming_shutdown(calls, Doorkeeper::start(listener), signal);
    let grace = async {
        over.recv().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served.map_err(io::Error::other),
        () = grace => Ok(()),
    }
}

struct State {
    keys: Arc<dyn KeyService>,
    consent: Option<Arc<dyn Consent>>,
    turns: Semaphore,
}

/// The service: two calls.
#[derive(Clone)]
struct Calls(Arc<State>);

impl NamedService for Calls {
    const NAME: &'static str = "KeyService";
}

impl Service<http::Request<Body>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Later<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let calls = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                ENCRYPT => {
                    let codec = ProstCodec::<EncryptResponse, EncryptRequest>::default();
                    limited(Grpc::new(codec)).unary(Encrypt(calls), request).await
                }
                DECRYPT => {
                    let codec = ProstCodec::<DecryptResponse, DecryptRequest>::default();
                    limited(Grpc::new(codec)).unary(Decrypt(calls), request).await
                }
                _ => Status::unimplemented("there is KeyService with Encrypt and Decrypt only").into_http(),
            })
        })
    }
}

fn limited<T: tonic::codec::Codec>(grpc: Grpc<T>) -> Grpc<T> {
    grpc.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES)
}

struct Encrypt(Calls);
struct Decrypt(Calls);

impl UnaryService<EncryptRequest> for Encrypt {
    type Response = EncryptResponse;
    type Future = Later<Response<EncryptResponse>, Status>;

    fn call(&mut self, request: Request<EncryptRequest>) -> Self::Future {
        let state = Arc::clone(&self.0.0);
        let mut request = request.into_inner();
        Box::pin(async move {
            let key = known(request.key.take())?;
            let part = KeyPart::new(request.take_plaintext());
            let work = async {
                let wrapped = state.keys.wrap(&key, &part).await?;
                Ok(EncryptResponse { ciphertext: wrapped.into_bytes() })
            };
            state.answer("encrypt", &key, work).await
        })
    }
}

impl UnaryService<DecryptRequest> for Decrypt {
    type Response = DecryptResponse;
    type Future = Later<Response<DecryptResponse>, Status>;

    fn call(&mut self, request: Request<DecryptRequest>) -> Self::Future {
        let state = Arc::clone(&self.0.0);
        let DecryptRequest { key, ciphertext } = request.into_inner();
        Box::pin(async move {
            let key = known(key)?;
            let work = async {
                let wrapped = String::from_utf8(ciphertext).map_err(|_| no_text(&key))?;
                let part = state.keys.unwrap(&key, &wrapped).await?;
                Ok(DecryptResponse::new(part.plaintext()))
            };
            state.answer("decrypt", &key, work).await
        })
    }
}

fn no_text(key: &MasterKey) -> ProviderError {
    ProviderError {
        backend: key.list().to_owned(),
        operation: "decrypt by",
        target: key.to_string(),
        kind: ProviderErrorKind::Invalid("the wrapped key is no text".to_owned()),
    }
}

impl State {
    /// Does a call, in its turn and within its time, and asks for consent.
    async fn answer<A>(
        &self,
        operation: &'static str,
        key: &MasterKey,
        work: impl Future<Output = Result<A, ProviderError>>,
    ) -> Result<Response<A>, Status> {
        let call = async {
            let _turn = self.turns.acquire().await.map_err(|_| Status::unavailable("the server ends"))?;
            let answer = work.await.map_err(|error| status_of(&error))?;
            match &self.consent {
                Some(consent) if !consent.ask(operation, key).await => {
                    Err(Status::permission_denied("Request rejected by user"))
                }
                _ => Ok(Response::new(answer)),
            }
        };
        timeout(CALL_TIMEOUT, call).await.map_err(|_| Status::deadline_exceeded("the call took too long"))?
    }
}

/// Returns the key that a request names, or SOPS's words.
fn known(key: Option<Key>) -> Result<MasterKey, Status> {
    let key = key.filter(|key| key.key_type.is_some());
    let key = key.ok_or_else(|| Status::not_found("Must provide a key"))?;
    key.into_master_key().ok_or_else(|| Status::not_found("Unknown key type"))
}

fn status_of(error: &ProviderError) -> Status {
    match error.kind {
        ProviderErrorKind::NotBuilt => Status::not_found("Unknown key type"),
        // A policy, not the key, says no.
        ProviderErrorKind::Forbidden(_) => Status::permission_denied(error.to_string()),
        _ => Status::unknown(error.to_string()),
    }
}

/// Lets in so many connections at a time.
struct Doorkeeper(mpsc::Receiver<io::Result<Guest>>);

impl Doorkeeper {
    fn start(listener: Listener) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let stream = tokio::select! {
                    stream = listener.accept() => stream,
                    () = sender.closed() => return,
                };
                let guest = stream.map(|stream| Guest { stream, _place: place });
                // Without file handles accepting fails at once, again and again.
                if guest.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
                if sender.send(guest).await.is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }
}

impl Stream for Doorkeeper {
    type Item = io::Result<Guest>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Either> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Either::Tcp(stream)
            }
            Self::Unix(listener) => Either::Unix(listener.accept().await?.0),
        })
    }
}

enum Either {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection with its place.
struct Guest {
    stream: Either,
    _place: OwnedSemaphorePermit,
}

impl Connected for Guest {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Either::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Either::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Either::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Either::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Either::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Either::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Either::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Either::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
