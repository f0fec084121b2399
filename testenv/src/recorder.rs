//! A relay between a client and a server that speaks HTTP without TLS: it remembers every request with its body, and
//! can be slow or silent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Debug, Default)]
struct State {
    requests: Mutex<Vec<Vec<u8>>>,
    /// Requests with this text get no answer.
    silent: Mutex<Option<String>>,
    /// Requests without an answer yet, and the most of them that there were.
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// A relay.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    state: Arc<State>,
}

impl Recorder {
    /// Listens on a free port of 127.0.0.1; each request is passed on after the delay.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(upstream: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(client, upstream, delay, &state));
            }
        });
        Self { address, state }
    }

    /// Returns the URL to use in place of the server's.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on requests with this text get no answer.
    pub fn never_answer(&self, text: &str) {
        *self.state.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    /// Returns how many requests have the text, whatever its case.
    pub fn count(&self, text: &str) -> usize {
        let requests = self.state.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|request| contains(request, text)).count()
    }

    /// Returns the bodies of the requests that have the text, whatever its case, in the order in which they came.
    pub fn bodies(&self, text: &str) -> Vec<String> {
        let requests = self.state.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let body = |request: &Vec<u8>| {
            let start = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |end| end + 4);
            String::from_utf8_lossy(&request[start..]).into_owned()
        };
        requests.iter().filter(|request| contains(request, text)).map(body).collect()
    }

    /// Returns how many requests waited for their delay at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.state.most_open.load(Ordering::SeqCst)
    }

    /// Forgets all requests.
    pub fn forget(&self) {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

fn serve(mut client: TcpStream, upstream: SocketAddr, delay: Duration, state: &State) {
    while let Some(request) = read_request(&mut client) {
        let silent = state.silent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        state.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        if silent.is_some_and(|text| contains(&request, &text)) {
            // Until the client gives up.
            let _ = client.read(&mut [0]);
            return;
        }
        state.most_open.fetch_max(state.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(delay);
        state.open.fetch_sub(1, Ordering::SeqCst);
        let Ok(mut server) = TcpStream::connect(upstream) else { return };
        if server.write_all(&request).is_err() {
            return;
        }
        let Some(answer) = read_request(&mut server) else { return };
        if client.write_all(&answer).is_err() {
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// Reads headers and as many bytes of a body as they announce; also answers, which have the same shape.
fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
