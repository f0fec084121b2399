//! A plain-text HTTP GET for readiness probes, on the standard library alone.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// What a server answered.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Everything after the headers; chunked bodies are left as they came.
    pub body: String,
}

/// Sends `GET path` over plain HTTP/1.0 and returns the answer; gives up after five seconds of silence.
///
/// # Errors
/// If nothing listens, or the answer is not HTTP.
pub fn http_get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<HttpAnswer> {
    http_call_within(Duration::from_secs(5), address, "GET", path, headers, &[])
}

/// As [`http_get`], for any method and with a body; gives up after a minute of silence.
///
/// # Errors
/// As [`http_get`].
pub fn http_call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<HttpAnswer> {
    http_call_within(Duration::from_secs(60), address, method, path, headers, body)
}

fn http_call_within(
    silence: Duration,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<HttpAnswer> {
    let mut stream =
        TcpStream::connect_timeout(&address, silence).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(silence))?;
    stream.set_write_timeout(Some(silence))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{length}{headers}\r\n")?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(|| format!("read the answer to {method} {path}"))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) =
        answer.split_once("\r\n\r\n").with_context(|| format!("{address} does not speak HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(HttpAnswer { status: status.context("answer without a status code")?, body: body.to_owned() })
}
