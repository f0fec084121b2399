//! Google Cloud, as much of it as SOPS needs: logins, Cloud KMS, Cloud Storage, the metadata server.
//!
//! ```text
//!   http://127.0.0.1:PORT   https://127.0.0.1:PORT   https://{cloudkms,oauth2,storage,…}.googleapis.com  (in `command`)
//!        └────────────────────────┴───────────────────────────┴──► one server, by path
//!          /token /v1/token :generateAccessToken /computeMetadata    tokens     signatures are verified
//!          /v1/projects/…:encrypt, :decrypt                          keys       AES-256-GCM, bound to the key's name
//!          /upload/storage, /storage, /download/storage              objects
//! ```
//!
//! Every call but a login needs a token that was given out here, has not ended and is good for the service.
//! The conformance list of `cli/tests/runner/sops/google` is what Google's own client and the real sops agree on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use crate::pki::Pki;

mod accounts;
mod kms;
mod logins;
mod server;
mod storage;
mod tokens;

use accounts::Account;
pub(super) use kms::Key;
use server::{Request, Response};

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    CloudPlatform,
    /// Cloud KMS.
    Kms,
    /// Cloud Storage, reading and writing.
    Storage,
}

/// A cloud with its keys, accounts and buckets. Ends with the test's process.
pub struct GoogleCloud {
    pki: Pki,
    folder: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Token {
    scopes: String,
    end: Instant,
}

struct State {
    /// Addresses that a service account's word may be for.
    audiences: Vec<String>,
    calls: Vec<String>,
    accounts: BTreeMap<String, Account>,
    /// Tokens, and subject tokens of another identity provider.
    tokens: BTreeMap<String, Token>,
    subjects: BTreeSet<String>,
    issued: u64,
    life: Duration,
    keys: BTreeMap<String, kms::Key>,
    buckets: BTreeMap<String, storage::Bucket>,
    /// Whether Storage wants no token, as an emulator.
    open_storage: bool,
}

/// Names that lead here for a program that [`GoogleCloud::command`] starts.
const NAMES: &[&str] = &[
    "cloudkms.googleapis.com",
    "oauth2.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "www.googleapis.com",
    // Another universe than Google's own.
    "cloudkms.universe.example",
    "storage.universe.example",
    "oauth2.universe.example",
    "sts.universe.example",
];

impl GoogleCloud {
    /// Starts it on free ports of 127.0.0.1, and on port 443 of an address of its own.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start() -> Result<Self> {
        let pki = Pki::generate()?;
        let names: Vec<&str> = NAMES.iter().copied().chain(["127.0.0.1", "localhost"]).collect();
        let identity = pki.server(&names)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (plain, tls, named) = (TcpListener::bind(any)?, TcpListener::bind(any)?, bind_443()?);
        let folder = tempfile::Builder::new().prefix("google-").tempdir()?;
        std::fs::write(folder.path().join("ca.pem"), pki.ca_pem())?;
        let lines: String = NAMES.iter().map(|name| format!("{} {name}\n", named.1)).collect();
        std::fs::write(
            folder.path().join("hosts"),
            format!("127.0.0.1 localhost\n::1 localhost\n169.254.169.254 metadata.google.internal\n{lines}"),
        )?;
        let (plain_address, tls_address) = (plain.local_addr()?, tls.local_addr()?);
        let state = Arc::new(Mutex::new(State {
            audiences: vec!["https://oauth2.googleapis.com/token".to_owned()],
            calls: Vec::new(),
            accounts: BTreeMap::new(),
            tokens: BTreeMap::new(),
            subjects: BTreeSet::new(),
            issued: 0,
            life: Duration::from_secs(3600),
            keys: BTreeMap::new(),
            buckets: BTreeMap::new(),
            open_storage: false,
        }));
        let config = server::tls_config(&identity)?;
        for (listener, config) in [(plain, None), (tls, Some(&config)), (named.0, Some(&config))] {
            let state = Arc::clone(&state);
            server::listen(listener, config.cloned(), move |request| handle(&state, request));
        }
        Ok(Self { pki, folder, plain: plain_address, tls: tls_address, state })
    }

    /// Returns the address without TLS.
    pub fn address(&self) -> SocketAddr {
        self.plain
    }

    /// Returns the URL with TLS.
    pub fn tls_url(&self) -> String {
        format!("https://{}", self.tls)
    }

    /// Returns the authority of the certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Returns the file with the authority's certificate, for `SSL_CERT_FILE`.
    pub fn authority(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Returns a command for which Google's names lead here; arguments and environment are still to be added. It needs
    /// the right to mount, as `testenv/in-namespace.sh` gives it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
        command.arg(self.folder.path().join("hosts")).arg(program);
        command
    }

    /// Makes a key and returns its name. Whoever asks may use it.
    ///
    /// # Panics
    /// If there is no randomness.
    pub fn new_key(&self, name: &str) -> String {
        let name = format!("projects/p/locations/global/keyRings/r/cryptoKeys/{name}");
        self.lock().keys.insert(name.clone(), kms::Key::new());
        name
    }

    /// Lets nobody use a key, or everybody again.
    pub fn forbid_key(&self, name: &str, forbidden: bool) {
        self.lock().keys.entry(name.to_owned()).and_modify(|key| key.forbidden = forbidden);
    }

    /// Disables a key.
    pub fn disable_key(&self, name: &str) {
        self.lock().keys.entry(name.to_owned()).and_modify(|key| key.disabled = true);
    }

    /// Makes a bucket; one that is not writable can be seen only.
    pub fn new_bucket(&self, name: &str, writable: bool) {
        self.lock().buckets.insert(name.to_owned(), storage::Bucket { writable, ..Default::default() });
    }

    /// Returns an object.
    pub fn object(&self, bucket: &str, name: &str) -> Option<Vec<u8>> {
        self.lock().buckets.get(bucket)?.objects.get(name).map(|object| object.content.clone())
    }

    /// Returns the names and contents of a bucket.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        let objects = state.buckets.get(bucket).into_iter().flat_map(|bucket| &bucket.objects);
        objects.map(|(name, object)| (name.clone(), object.content.clone())).collect()
    }

    /// Makes Storage ask for no token, as what `STORAGE_EMULATOR_HOST` names.
    pub fn open_storage(&self) {
        self.lock().open_storage = true;
    }

    /// Empties a bucket.
    pub fn empty(&self, bucket: &str) {
        self.lock().buckets.entry(bucket.to_owned()).and_modify(|bucket| bucket.objects.clear());
    }

    /// Counts the calls with this text in "METHOD HOST PATH STATUS".
    pub fn count(&self, part: &str) -> usize {
        self.lock().calls.iter().filter(|call| call.contains(part)).count()
    }

    /// Returns the calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Forgets the calls so far.
    pub fn forget(&self) {
        self.lock().calls.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl std::fmt::Debug for GoogleCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoogleCloud").field("tls", &self.tls).finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds port 443 of an address that no other fake has.
fn bind_443() -> Result<(TcpListener, Ipv4Addr)> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    for _ in 0..=u8::MAX {
        let address = Ipv4Addr::new(127, 43, 1, NEXT.fetch_add(1, Ordering::Relaxed));
        if let Ok(listener) = TcpListener::bind((address, 443)) {
            return Ok((listener, address));
        }
    }
    anyhow::bail!(
        "the fake of Google Cloud cannot listen on port 443: run the tests by `make test`, or \
         `testenv/in-namespace.sh cargo test …`"
    )
}

fn handle(state: &Mutex<State>, request: &Request) -> Response {
    let mut state = lock(state);
    let response = state.answer(request);
    let host = request.header("host").unwrap_or_default();
    state.calls.push(format!("{} {host} {} {}", request.method, request.path, response.status));
    response
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let path = request.path.as_str();
        match (request.method.as_str(), path) {
            ("POST", "/token") => self.token(request),
            ("POST", "/v1/token") => self.exchange(request),
            ("GET", "/") => self.metadata(request),
            ("GET", path) if path.starts_with("/computeMetadata/v1/") => self.metadata(request),
            ("GET", "/subject" | "/subject.json") => self.subject(request),
            ("POST", path) if path.ends_with(":generateAccessToken") => self.impersonate(request),
            ("POST", path) if path.ends_with(":encrypt") || path.ends_with(":decrypt") => self.kms(request),
            (_, path) if path.contains("/storage/v1/b/") => self.storage(request),
            _ => error(404, "NOT_FOUND", "no such method"),
        }
    }
}

/// An error as Google's APIs write it.
fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({ "error": { "code": status, "message": message, "status": code } }))
}
