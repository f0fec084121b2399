//! Accepts connections and keeps every one of them within its limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::limit::{Admission, Peer};
use super::router::{Body, Measure, Request, Response, Route, Router, text};
use crate::cluster::metrics::Metrics;

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// From the first moment of a connection, or the end of the last request, to the end of the next headers.
    pub headers: Duration,
    /// For reading a body.
    pub body: Duration,
    /// From the headers to the answer, reading the body included.
    pub request: Duration,
    /// After this, a connection is closed at the end of its request; a request time later, at once.
    pub connection_age: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bodies held at once; this times `body_bytes` bounds the memory. Other requests wait.
    pub bodies: usize,
    /// How long requests may go on after a shutdown.
    pub grace: Duration,
}

impl Limits {
    /// Takes the times that upstream's flags `--read-timeout` and `--write-timeout` give. Headers get ten seconds at
    /// most, whatever the flag says.
    #[must_use]
    pub fn with_timeouts(self, read: Duration, write: Duration) -> Self {
        Self { headers: self.headers.min(read), body: read, request: write, ..self }
    }
}

impl Default for Limits {
    /// The times are upstream's (`--read-timeout`, `--write-timeout`) where it has any.
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            headers: Duration::from_secs(10),
            body: Duration::from_secs(120),
            request: Duration::from_secs(120),
            connection_age: Duration::from_secs(300),
            body_bytes: MAX_BODY_BYTES,
            bodies: MAX_BODIES,
            grace: Duration::from_secs(10),
        }
    }
}

struct Server {
    tls: Option<TlsAcceptor>,
    router: Router,
    metrics: Option<Arc<Metrics>>,
    limits: Limits,
    bodies: Semaphore,
    shutdown: watch::Receiver<bool>,
}

/// Serves until `shutdown` is true (or its sender dropped), then finishes the requests in progress.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: Option<Arc<Metrics>>,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) {
    let bodies = Semaphore::new(limits.bodies);
    run(listener, Server { tls: None, router, metrics, limits, bodies, shutdown }).await;
}

/// As [`serve`], over TLS. The handshake has the time of the headers.
pub async fn serve_tls(
    listener: TcpListener,
    tls: TlsAcceptor,
    router: Router,
    metrics: Option<Arc<Metrics>>,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) {
    let bodies = Semaphore::new(limits.bodies);
    run(listener, Server { tls: Some(tls), router, metrics, limits, bodies, shutdown }).await;
}

async fn run(listener: TcpListener, server: Server) {
    let (limits, shutdown) = (server.limits, server.shutdown.clone());
    let permits = Arc::new(Semaphore::new(limits.connections));
    let server = Arc::new(server);
    let mut connections = JoinSet::new();
    let mut stop = shutdown;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            // Keeps the set from growing.
            Some(_) = connections.join_next() => continue,
        };
        if let Some((stream, peer, permit)) = accepted {
            connections.spawn(Arc::clone(&server).connection(stream, peer, permit));
        }
    }
    drop(listener);
    let finished = timeout(limits.grace, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        debug!(connections = connections.len(), "closing connections that did not finish in time");
    }
}

/// Waits for a free place, then for a connection.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, Peer(address.ip()), permit)),
        Err(error) => {
            // Such as too many open files: it passes, but not at once.
            warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

impl Server {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: Peer, _permit: OwnedSemaphorePermit) {
        match &self.tls {
            None => self.talk(stream, peer).await,
            Some(tls) => match timeout(self.limits.headers, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream, peer).await,
                Ok(Err(error)) => debug!(%error, "the TLS handshake failed"),
                Err(_) => debug!("the TLS handshake did not end in time"),
            },
        }
    }

    async fn talk(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let server = Arc::clone(self);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.measure(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut shutdown = self.shutdown.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            _ = shutdown.wait_for(|stop| *stop) => Err(()),
            () = sleep(self.limits.connection_age) => Err(()),
        };
        let ended = match ended {
            Ok(ended) => Ok(ended),
            Err(()) => {
                connection.as_mut().graceful_shutdown();
                timeout(self.limits.request, connection).await
            }
        };
        if let Ok(Err(error)) = ended {
            debug!(%error, "connection ended early");
        }
    }

    async fn measure(&self, request: hyper::Request<Incoming>) -> Response {
        let Some((path, route)) = self.router.find(request.uri().path()) else {
            return text(404, "404 page not found\n");
        };
        let start = Instant::now();
        let method = request.method().clone();
        let response = match timeout(self.limits.request, self.answer(route, request)).await {
            Ok(response) => response,
            Err(_) => text(503, "request timed out\n"),
        };
        if let (Measure::Yes, Some(metrics)) = (route.measure, &self.metrics) {
            let seconds = start.elapsed().as_secs_f64();
            metrics.http_request(path, response.status().as_u16(), method.as_str(), seconds);
        }
        response
    }

    async fn answer(&self, route: &Route, request: hyper::Request<Incoming>) -> Response {
        let (parts, body) = request.into_parts();
        let admission = route.admit(&parts);
        let mut response = if admission.is_some_and(|admission| admission.refused) {
            text(429, "limit exceeded\n")
        } else {
            self.admitted(route, parts, body).await
        };
        response.headers_mut().extend(admission.into_iter().flat_map(Admission::headers));
        response
    }

    async fn admitted(&self, route: &Route, parts: Parts, body: Incoming) -> Response {
        if route.body == Body::Ignore {
            return route.answer(Request::from_parts(parts, Bytes::new())).await;
        }
        if body.size_hint().lower() > self.limits.body_bytes as u64 {
            return text(413, "request body too large\n");
        }
        let Ok(_slot) = self.bodies.acquire().await else { return text(503, "shutting down\n") };
        match timeout(self.limits.body, Limited::new(body, self.limits.body_bytes).collect()).await {
            Ok(Ok(body)) => route.answer(Request::from_parts(parts, body.to_bytes())).await,
            Ok(Err(error)) if error.is::<LengthLimitError>() => text(413, "request body too large\n"),
            Ok(Err(_)) | Err(_) => text(400, "cannot read the request body\n"),
        }
    }
}

/// Connections served at once.
pub const MAX_CONNECTIONS: usize = 128;
/// A SealedSecret is an object of the API server, which takes 1.5 MiB; JSON and YAML differ in size.
pub const MAX_BODY_BYTES: usize = 2 << 20;
/// Bodies held at once: 16 MiB.
pub const MAX_BODIES: usize = 8;
const MAX_HEADER_BYTES: usize = 16 << 10;
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
