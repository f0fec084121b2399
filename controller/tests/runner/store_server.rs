//! An HTTP endpoint for webhook stores, which counts what it is asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// The endpoint. `GET /key` answers `{"v": "VALUE-key"}`.
#[derive(Clone)]
pub struct StoreServer {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    requests: Mutex<BTreeMap<String, usize>>,
    /// 0 answers; another status is what everybody gets.
    status: AtomicU16,
    value: String,
}

impl StoreServer {
    pub fn start(value: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            requests: Mutex::default(),
            status: AtomicU16::new(0),
            value: value.to_owned(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Ok(Self { port, state })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes every answer this status; 0 answers again.
    pub fn answer_with(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// Requests by path.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        self.state.requests.lock().unwrap().clone()
    }

    pub fn total(&self) -> usize {
        self.requests().values().sum()
    }
}

impl State {
    fn serve(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        while let Some((path, last)) = self.request(&mut reader) {
            *self.requests.lock().unwrap().entry(path.clone()).or_default() += 1;
            let status = self.status.load(Ordering::SeqCst);
            let status = if status == 0 { 200 } else { status };
            let key = path.trim_start_matches('/');
            let body = format!(r#"{{"v": "{}-{key}"}}"#, self.value);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if writer.write_all(answer.as_bytes()).is_err() || last {
                return;
            }
        }
    }

    /// Reads a request: its path, and whether the client wants no other on this connection.
    fn request(&self, reader: &mut BufReader<TcpStream>) -> Option<(String, bool)> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut length, mut last) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let line = line.to_ascii_lowercase();
            last |= line == "connection: close";
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some((path, last))
    }
}
