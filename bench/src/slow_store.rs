//! An HTTP endpoint for webhook stores that takes its time and counts what it is asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;

/// The endpoint. It ends with the process.
pub(crate) struct SlowStore {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl SlowStore {
    /// Listens on a free port; every answer comes after the delay.
    pub(crate) fn start(delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let store = Self { address: listener.local_addr()?, calls: Arc::default() };
        let calls = Arc::clone(&store.calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let calls = Arc::clone(&calls);
                std::thread::spawn(move || serve(stream, delay, &calls));
            }
        });
        Ok(store)
    }

    /// Returns the URL; a key is a path below it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns how often it was asked for a key.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns what a key holds: 1,000 characters.
    pub(crate) fn value(key: &str) -> String {
        format!("{key:-<1000}")
    }
}

fn serve(stream: TcpStream, delay: Duration, calls: &AtomicUsize) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(key) = request(&mut reader) {
        if !key.is_empty() {
            calls.fetch_add(1, Ordering::SeqCst);
        }
        std::thread::sleep(delay);
        let body = format!(r#"{{"v": "{}"}}"#, SlowStore::value(&key));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads a request without a body, and returns its path without the slash.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let key = line.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    }
    Some(key)
}
