//! A small HTTP client for the providers' set-up, and the HTTP server that webhook stores ask.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SILENCE: Duration = Duration::from_secs(60);

struct Message {
    first_line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Sends one request; returns status and body.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        read_message(&mut stream, true).await?.context("no answer")
    };
    let answer = timeout(SILENCE, exchange).await.with_context(|| format!("{method} {path}"))??;
    let status = answer.first_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.context("no status code")?, String::from_utf8_lossy(&answer.body).into_owned()))
}

async fn read_message(stream: &mut (impl AsyncRead + Unpin), to_the_end: bool) -> Result<Option<Message>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let first_line = lines.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = bytes.split_off(end + 4);
    let length = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    match length {
        Some(length) => {
            while body.len() < length {
                if stream.read_buf(&mut body).await? == 0 {
                    bail!("a body broke off");
                }
            }
        }
        None if chunked || to_the_end => {
            let done = |body: &[u8]| chunked && body.ends_with(b"0\r\n\r\n");
            while !done(&body) && stream.read_buf(&mut body).await? > 0 {}
            if chunked {
                body = unchunked(&body)?;
            }
        }
        None => {}
    }
    Ok(Some(Message { first_line, headers, body }))
}

fn unchunked(mut body: &[u8]) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").context("a chunk without a size")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end])?.trim(), 16)?;
        if size == 0 {
            return Ok(whole);
        }
        whole.extend_from_slice(body.get(end + 2..end + 2 + size).context("a short chunk")?);
        body = body.get(end + 4 + size..).context("a short chunk")?;
    }
}

/// Serves the routes of every scenario, below the scenario's own prefix, and remembers what was asked.
#[derive(Clone)]
pub struct Webhook {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    routes: HashMap<String, (u16, String)>,
    requests: HashMap<String, Vec<Value>>,
}

impl Webhook {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let webhook = Self { address: listener.local_addr()?, state: Arc::default() };
        let serving = webhook.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.answer(stream).await });
            }
        });
        Ok(webhook)
    }

    pub fn url(&self, prefix: &str) -> String {
        format!("http://{}/{prefix}", self.address)
    }

    /// Sets an answer: `path`, `status` and `body` of an entry.
    pub fn route(&self, prefix: &str, entry: &Value) {
        let path = format!("/{prefix}{}", entry["path"].as_str().unwrap_or_default());
        let status = entry["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or(200);
        let body = entry["body"].as_str().unwrap_or_default().to_owned();
        self.state.lock().unwrap().routes.insert(path, (status, body));
    }

    /// Returns how many requests there were below a prefix.
    pub fn count(&self, prefix: &str) -> usize {
        self.state.lock().unwrap().requests.get(prefix).map_or(0, Vec::len)
    }

    /// Returns the requests below a prefix, each once, sorted.
    pub fn requests(&self, prefix: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut requests: Vec<String> =
            state.requests.get(prefix).into_iter().flatten().map(Value::to_string).collect();
        requests.sort();
        requests.dedup();
        requests
    }

    async fn answer(&self, mut stream: TcpStream) {
        while let Ok(Some(request)) = read_message(&mut stream, false).await {
            let mut words = request.first_line.split(' ');
            let method = words.next().unwrap_or_default().to_owned();
            let path = words.next().unwrap_or_default().to_owned();
            let (status, body) = self.look_up(&method, &path, &request);
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn look_up(&self, method: &str, path: &str, request: &Message) -> (u16, String) {
        let mut state = self.state.lock().unwrap();
        let below = path.trim_start_matches('/');
        let (prefix, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
        let shown = |name: &str| name == "authorization" || name == "content-type" || name.starts_with("x-");
        let headers: BTreeMap<String, &str> = request
            .headers
            .iter()
            .filter(|(name, _)| shown(name))
            .map(|(name, value)| (capitalised(name), value.as_str()))
            .collect();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        state
            .requests
            .entry(prefix.to_owned())
            .or_default()
            .push(json!({ "body": body, "headers": headers, "method": method, "path": rest }));
        let plain = path.split('?').next().unwrap_or_default();
        let found = state.routes.get(path).or_else(|| state.routes.get(plain)).cloned();
        found.unwrap_or((404, String::new()))
    }
}

fn capitalised(name: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').filter(|part| !part.is_empty()).map(word).collect::<Vec<_>>().join("-")
}
