//! A small HTTP/1 server, with or without TLS: one request a connection.
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::pki::Identity;

/// Largest request.
const MAX_BYTES: usize = 1 << 20;
/// Longest silence of a client.
const SILENCE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) query: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Returns a header by its name in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the names of all headers, in small letters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    /// Makes a request that was not sent.
    #[cfg(test)]
    pub(super) fn of(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (method, path, body) = (method.to_owned(), path.to_owned(), body.as_bytes().to_vec());
        Self { method, path, query: String::new(), headers, body }
    }

    /// Returns a field of a form or a query, decoded.
    pub(super) fn field(text: &str, name: &str) -> Option<String> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(value)).next()
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).copied().collect();
                let digits = String::from_utf8_lossy(&digits);
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            byte => *byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer, with JSON in its body.
#[derive(Debug)]
pub(super) struct Answer {
    /// 0: the connection ends without an answer.
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }
}

/// What answers requests.
pub(super) type Handler = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A running server; it ends with its value.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server; with an identity it speaks TLS.
    pub(super) fn start(address: SocketAddr, identity: Option<&Identity>, handler: Handler) -> Result<Self> {
        let config = identity.map(config).transpose()?;
        let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (config, handler) = (config.clone(), Arc::clone(&handler));
                // A client that goes away is its own affair.
                thread::spawn(move || drop(serve(stream, config, &handler)));
            }
        });
        Ok(Self { address, ended })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn config(identity: &Identity) -> Result<Arc<ServerConfig>> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).context("the server's key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    Ok(Arc::new(config))
}

fn serve(stream: TcpStream, config: Option<Arc<ServerConfig>>, handler: &Handler) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    match config {
        Some(config) => {
            let session = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut tls = StreamOwned::new(session, stream);
            exchange(&mut tls, handler)?;
            tls.conn.send_close_notify();
            tls.flush()
        }
        None => exchange(&mut &stream, handler),
    }
}

fn exchange(stream: &mut (impl Read + Write), handler: &Handler) -> io::Result<()> {
    let Some(request) = read(stream)? else { return Ok(()) };
    let answer = handler(&request);
    if answer.status == 0 {
        return Ok(());
    }
    let mut head = format!(
        "HTTP/1.1 {} Fake\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{}", answer.body).as_bytes())?;
    stream.flush()
}

fn read(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let mut request = head(&String::from_utf8_lossy(&bytes[..end]));
            let length: usize =
                request.header("content-length").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                request.body = bytes[end + 4..end + 4 + length].to_vec();
                return Ok(Some(request));
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            _ if bytes.len() > MAX_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn head(text: &str) -> Request {
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let (path, query) =
        words.next().map(|target| target.split_once('?').unwrap_or((target, ""))).unwrap_or_default();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: lines.filter_map(header).collect(),
        body: Vec::new(),
    }
}
