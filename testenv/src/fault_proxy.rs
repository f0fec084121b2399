//! A server between client and server that misbehaves on request, and counts what passes.
//!
//! ```text
//!   client ──► FaultProxy::http(upstream)   ──► upstream      HTTP/1 message by message: all faults, calls counted
//!          ──► FaultProxy::https(…, id)     ──► upstream      the same behind TLS with a certificate of the test's choice
//!          ──► FaultProxy::tcp(upstream)    ──► upstream      bytes (gRPC, databases): Delay, Reset, HalfOpen, Drip, Cut
//! ```
//!
//! ```no_run
//! # use sealops_testenv::{Fault, FaultProxy, Turns};
//! # use std::time::Duration;
//! # fn main() -> anyhow::Result<()> {
//! let proxy = FaultProxy::http("127.0.0.1:4566".parse()?)?;
//! proxy.set(Fault::Delay(Duration::from_millis(40))); // every request, in place of what was set before
//! proxy.set_for(Turns::First(2), Fault::too_many(1)); // the first two are refused, later ones pass
//! proxy.add("/v1/transit/decrypt", Turns::Every(3), Fault::Reset); // another rule, by a part of path or target
//! proxy.clear(); // all pass again
//! assert_eq!(proxy.count("TrentService.Decrypt"), 0); // by a part of "METHOD PATH TARGET"
//! # Ok(()) }
//! ```
//!
//! Rules are asked in their order; the first that names the request and whose turn it is decides. A rule counts the
//! requests (connections, for `tcp`) that it names. Everything is set while the proxy runs; it ends with its value.
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::pki::Identity;
use crate::process::stretched;

mod message;
mod relay;

/// Longest wait for a port that is being left.
const LEAVING: Duration = Duration::from_secs(10);

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The answer comes later.
    Delay(Duration),
    /// The connection is reset before anything is answered; upstream is not asked.
    Reset,
    /// The request is read and never answered; upstream is not asked.
    HalfOpen,
    /// The answer comes byte by byte, each after this wait.
    Drip(Duration),
    /// The connection ends after so many bytes of the answer, its head included.
    Cut(usize),
    /// The answer's body is cut in half, with a right `Content-Length` (HTTP).
    TruncatedBody,
    /// The answer's `Content-Length` is larger than its body by so much; then the connection ends (HTTP).
    WrongLength(usize),
    /// Upstream is not asked: this is the answer (HTTP).
    Answer(Canned),
}

/// An answer that the proxy gives itself.
#[derive(Debug, Clone)]
pub struct Canned {
    /// Status code.
    pub status: u16,
    /// Headers; the length is added.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Fault {
    /// Answers with a status and a body.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::Answer(Canned { status, headers, body: body.into() })
    }

    /// Answers 429 with `Retry-After` in seconds.
    pub fn too_many(retry_after: u64) -> Self {
        Self::answer(429, &[("Retry-After", &retry_after.to_string())], r#"{"errors":["too many"]}"#)
    }

    /// Answers as AWS does when it is asked too often.
    pub fn aws_throttling() -> Self {
        let headers =
            [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", "ThrottlingException")];
        Self::answer(400, &headers, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#)
    }

    /// Answers 200 with JSON that is larger than anybody wants.
    pub fn oversized(bytes: usize) -> Self {
        let mut body = br#"{"data":""#.to_vec();
        body.resize(bytes.saturating_sub(2).max(body.len()), b'A');
        body.extend_from_slice(br#""}"#);
        Self::answer(200, &[("Content-Type", "application/json")], body)
    }
}

/// Whose turn it is, counted from 1.
#[derive(Debug, Clone, Copy)]
pub enum Turns {
    /// Each.
    All,
    /// The first so many.
    First(u64),
    /// Each so manieth.
    Every(u64),
    /// This one alone.
    Only(u64),
}

impl Turns {
    fn has(self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::First(count) => number <= count,
            Self::Every(step) => number.is_multiple_of(step.max(1)),
            Self::Only(only) => number == only,
        }
    }
}

/// A request that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `X-Amz-Target`, by which AWS tells its actions apart.
    pub target: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.target)
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
}

#[derive(Debug)]
struct Rule {
    part: String,
    turns: Turns,
    fault: Fault,
    seen: u64,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    resets: Option<tokio::runtime::Runtime>,
}

#[derive(Clone)]
enum Mode {
    Tcp,
    Http,
    Https(Arc<ServerConfig>),
}

impl FaultProxy {
    /// Starts a proxy that understands HTTP/1, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no port.
    pub fn http(upstream: SocketAddr) -> Result<Self> {
        Self::start(upstream, Mode::Http, "http")
    }

    /// As [`FaultProxy::http`], behind TLS; upstream is asked without.
    ///
    /// # Errors
    /// As [`FaultProxy::http`], or if certificate and key do not fit.
    pub fn https(upstream: SocketAddr, identity: &Identity) -> Result<Self> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).context("the proxy's key")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain?, key)?;
        Self::start(upstream, Mode::Https(Arc::new(config)), "https")
    }

    /// Starts a proxy that passes bytes; a call is a connection then.
    ///
    /// # Errors
    /// As [`FaultProxy::http`].
    pub fn tcp(upstream: SocketAddr) -> Result<Self> {
        Self::start(upstream, Mode::Tcp, "tcp")
    }

    /// As [`FaultProxy::http`], at this address and port, which another proxy may just be leaving.
    ///
    /// # Errors
    /// If the address is not this machine's, or the port is taken.
    pub fn http_at(address: SocketAddr, upstream: SocketAddr) -> Result<Self> {
        let end = Instant::now() + stretched(LEAVING);
        let listener = loop {
            match TcpListener::bind(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                    thread::sleep(Duration::from_millis(5));
                }
                bound => break bound.with_context(|| format!("listen on {address}"))?,
            }
        };
        Self::listen(listener, upstream, Mode::Http, "http")
    }

    fn start(upstream: SocketAddr, mode: Mode, scheme: &'static str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the fault proxy has no port")?;
        Self::listen(listener, upstream, mode, scheme)
    }

    fn listen(listener: TcpListener, upstream: SocketAddr, mode: Mode, scheme: &'static str) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            rules: Mutex::default(),
            calls: Mutex::default(),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
            resets: Some(tokio::runtime::Builder::new_current_thread().enable_io().build()?),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &state, &mode));
        Ok(Self { shared, address, scheme })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL: `http://`, `https://` or `tcp://`, address and port.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Gives every request this fault, and forgets all rules there were.
    pub fn set(&self, fault: Fault) {
        self.set_for(Turns::All, fault);
    }

    /// As [`FaultProxy::set`], for some requests; the others pass.
    pub fn set_for(&self, turns: Turns, fault: Fault) {
        self.clear();
        self.add("", turns, fault);
    }

    /// Adds a rule for requests with this text in "METHOD PATH TARGET".
    pub fn add(&self, part: &str, turns: Turns, fault: Fault) {
        lock(&self.shared.rules).push(Rule { part: part.to_owned(), turns, fault, seen: 0 });
    }

    /// Forgets all rules: everything passes.
    pub fn clear(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Returns the requests (connections) so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// Counts the requests with this text in "METHOD PATH TARGET".
    pub fn count(&self, part: &str) -> usize {
        lock(&self.shared.calls).iter().filter(|call| call.to_string().contains(part)).count()
    }

    /// Forgets the requests so far.
    pub fn reset_calls(&self) {
        lock(&self.shared.calls).clear();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// A runtime must not be waited for where a test is asynchronous.
impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(resets) = self.resets.take() {
            resets.shutdown_background();
        }
    }
}

impl Shared {
    /// Notes a call and returns what becomes of it.
    fn judge(&self, call: Call) -> Option<Fault> {
        let name = call.to_string();
        lock(&self.calls).push(call);
        for rule in lock(&self.rules).iter_mut().filter(|rule| name.contains(&rule.part)) {
            rule.seen += 1;
            if rule.turns.has(rule.seen) {
                return Some(rule.fault.clone());
            }
        }
        None
    }

    /// Opens a connection to upstream that ends with the proxy.
    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.upstream)?;
        stream.set_nodelay(true)?;
        self.keep(&stream)?;
        Ok(stream)
    }

    fn keep(&self, stream: &TcpStream) -> io::Result<()> {
        let mut open = lock(&self.open);
        // Closed ones have no peer: the list stays short.
        open.retain(|stream| stream.peer_addr().is_ok());
        open.push(stream.try_clone()?);
        Ok(())
    }

    /// Makes a connection end by a reset, which it does when its last handle is closed.
    fn reset(&self, stream: &TcpStream) -> io::Result<()> {
        let peer = stream.peer_addr()?;
        lock(&self.open).retain(|open| open.peer_addr().is_ok_and(|address| address != peer));
        let stream = stream.try_clone()?;
        stream.set_nonblocking(true)?;
        let _runtime = self.resets.as_ref().map(tokio::runtime::Runtime::enter);
        tokio::net::TcpStream::from_std(stream)?.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, mode: &Mode) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (shared, mode) = (Arc::clone(shared), mode.clone());
        // A connection that breaks is the tests' daily bread.
        thread::spawn(move || drop(serve(&shared, &mode, stream)));
    }
}

fn serve(shared: &Shared, mode: &Mode, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    shared.keep(&stream)?;
    let result = match mode {
        Mode::Tcp => relay::tcp(shared, &stream),
        Mode::Http => relay::http(shared, &stream, &mut stream.try_clone()?),
        Mode::Https(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            let mut tls = StreamOwned::new(session, stream.try_clone()?);
            relay::http(shared, &stream, &mut tls)
        }
    };
    if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::ConnectionReset) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    lock(&shared.open).retain(|open| open.peer_addr().is_ok());
    result
}

/// Both directions of a connection.
trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}
