//! `keyservice`: the keys that this machine can use, for SOPS on another one.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;
use sealops_crypto::sops::{KeyKind, KeyPart, KeyPolicy, MasterKey};
use sealops_providers::key_service::{Consent, Listener, serve};
use sealops_providers::{BoxFuture, KeyService, ProviderError, ProviderErrorKind, names};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::keyring::KeyAccess;
use super::network_keys::own_services;
use super::{Front, local_keys};
use crate::error::CommandError;
use crate::files::io_text;
use crate::ui;

/// Threads of the runtime; work that computes or asks people has threads of its own.
const THREADS: usize = 2;

/// Longest time that giving logins back may take.
const CLOSE: Duration = Duration::from_secs(5);

/// What `keyservice` is asked for.
pub(crate) struct Serving {
    pub(crate) front: Front,
    /// `tcp` or `unix`.
    pub(crate) network: String,
    pub(crate) address: String,
    /// Ask on the terminal before each answer.
    pub(crate) prompt: bool,
    pub(crate) verbose: bool,
    /// Which keys and addresses on a network a client may name: it is asked with the logins of this machine.
    pub(crate) policy: KeyPolicy,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Fails where it cannot listen.
pub(crate) fn run(serving: &Serving) -> Result<(), CommandError> {
    let cannot = |error: &io::Error| {
        let Serving { network, address, .. } = serving;
        let hint = "--address names another one; --network is tcp or unix";
        CommandError::input(format!(
            "Error running keyservice: listen {network} {address}: {}",
            io_text(error)
        ))
        .hint(hint)
    };
    // Before there are threads: the socket has to be made under a mask that is the process's.
    let bound = Bound::new(serving).map_err(|error| cannot(&error))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| cannot(&error))?;
    let served = runtime.block_on(async {
        let listener = bound.listener()?;
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        say(serving, &format!("Listening on {}://{}", serving.network, bound.address()));
        let end = async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            say(serving, "Caught a signal: shutting down.");
        };
        let consent = serving.prompt.then(|| Arc::new(Terminal::default()) as Arc<dyn Consent>);
        let offered = Arc::new(Offered::new(serving.policy.clone()));
        let served = serve(listener, Arc::clone(&offered) as Arc<dyn KeyService>, consent, end).await;
        // Logins that are not given back in time die by themselves.
        let _ = timeout(CLOSE, offered.close()).await;
        served
    });
    // Somebody may still be asked on the terminal: nobody waits for the answer.
    runtime.shutdown_background();
    served.map_err(|error| cannot(&error))
}

fn say(serving: &Serving, text: &str) {
    match serving.front {
        Front::Sops if serving.verbose => ui::log_line("KEYSERVICE", "info", text),
        Front::Sops => {}
        Front::Sealops => ui::note(text),
    }
}

/// A place to listen at; a socket's file goes with it.
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Bound {
    fn new(serving: &Serving) -> io::Result<Self> {
        match serving.network.as_str() {
            "tcp" => Self::tcp(serving),
            "unix" => {
                let path = PathBuf::from(&serving.address);
                remove_stale(&path);
                let before = umask(Mode::from_raw_mode(0o177));
                let listener = UnixListener::bind(&path);
                umask(before);
                Ok(Self::Unix(listener?, path))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such network")),
        }
    }

    fn tcp(serving: &Serving) -> io::Result<Self> {
        // As in Go, no host is every address of this machine.
        let everywhere = serving.address.strip_prefix(':').map(|port| format!("[::]:{port}"));
        let (host, port) = names::split(everywhere.as_deref().unwrap_or(&serving.address))?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut addresses = runtime.block_on(names::lookup(host, port))?;
        // Of a name with both, Go listens at the IPv4 address.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        if addresses.iter().map(SocketAddr::ip).any(|ip: IpAddr| !ip.is_loopback()) {
            let text =
                "the key service has neither encryption nor a login: whoever reaches it can use the keys";
            match serving.front {
                Front::Sops => ui::log_line("KEYSERVICE", "warning", text),
                Front::Sealops => ui::warn(text),
            }
        }
        TcpListener::bind(addresses.as_slice()).map(Self::Tcp)
    }

    fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            Self::Unix(_, path) => path.display().to_string(),
        }
    }

    fn listener(&self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Listener::Tcp(tokio::net::TcpListener::from_std(listener)?)
            }
            Self::Unix(listener, _) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Listener::Unix(tokio::net::UnixListener::from_std(listener)?)
            }
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the socket of a server that was killed: nobody answers there.
fn remove_stale(path: &Path) {
    let is_socket = path.symlink_metadata().is_ok_and(|entry| entry.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        let _ = std::fs::remove_file(path);
    }
}

/// What is offered: age and PGP of this machine, and whoever it may ask on a network.
struct Offered {
    machine: Arc<dyn KeyAccess>,
    network: Vec<(KeyKind, Arc<dyn KeyService>)>,
    policy: KeyPolicy,
}

impl Offered {
    fn new(policy: KeyPolicy) -> Self {
        Self { machine: Arc::from(local_keys::local()), network: own_services(), policy }
    }

    fn service(&self, operation: &'static str, key: &MasterKey) -> Result<&dyn KeyService, ProviderError> {
        self.policy
            .check(key)
            .map_err(|refusal| error(operation, key, ProviderErrorKind::Forbidden(refusal.to_string())))?;
        let found = self.network.iter().find(|(kind, _)| key.kind() == Some(*kind));
        found
            .map(|(_, service)| service.as_ref())
            .ok_or_else(|| error(operation, key, ProviderErrorKind::NotBuilt))
    }

    /// Does something with the keys of this machine where it may take long.
    async fn here<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &MasterKey,
        work: impl FnOnce(&dyn KeyAccess, &MasterKey) -> Result<T, String> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (machine, owned) = (Arc::clone(&self.machine), key.clone());
        let done = spawn_blocking(move || work(machine.as_ref(), &owned)).await;
        let failed = |reason| error(operation, key, ProviderErrorKind::Failed(reason));
        done.map_err(|_| failed("the work was broken off".to_owned()))?.map_err(failed)
    }
}

fn error(operation: &'static str, key: &MasterKey, kind: ProviderErrorKind) -> ProviderError {
    ProviderError { backend: key.list().to_owned(), operation, target: key.to_string(), kind }
}

impl KeyService for Offered {
    fn wrap<'a>(
        &'a self,
        key: &'a MasterKey,
        part: &'a KeyPart,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        const OPERATION: &str = "encrypt by";
        Box::pin(async move {
            if !key.is_local() {
                return self.service(OPERATION, key)?.wrap(key, part).await;
            }
            let part = KeyPart::new(part.plaintext().duplicate());
            self.here(OPERATION, key, move |machine, key| machine.wrap(key, &part)).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a MasterKey,
        wrapped: &'a str,
    ) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        const OPERATION: &str = "decrypt by";
        Box::pin(async move {
            if !key.is_local() {
                return self.service(OPERATION, key)?.unwrap(key, wrapped).await;
            }
            let wrapped = wrapped.to_owned();
            self.here(OPERATION, key, move |machine, key| machine.unwrap(key, &wrapped)).await
        })
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            for (_, service) in &self.network {
                service.close().await;
            }
        })
    }
}

/// Asks on stdout and stdin, one question at a time.
#[derive(Default)]
struct Terminal(Mutex<()>);

impl Consent for Terminal {
    fn ask<'a>(&'a self, operation: &'static str, key: &'a MasterKey) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let _turn = self.0.lock().await;
            let question =
                format!("\nReceived {operation} request using {}. Respond to request? (y/n): ", title(key));
            spawn_blocking(move || answer(&question)).await.unwrap_or(false)
        })
    }
}

fn answer(question: &str) -> bool {
    loop {
        if ui::data(question.as_bytes()).is_err() || io::stdout().flush().is_err() {
            return false;
        }
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(1..) => {}
            _ => return false,
        }
        match line.trim() {
            "y" => return true,
            "n" => return false,
            _ => {}
        }
    }
}

/// Names a key as SOPS does.
fn title(key: &MasterKey) -> String {
    match key {
        MasterKey::Pgp { fingerprint } => format!("PGP key with fingerprint {fingerprint}"),
        MasterKey::Kms { arn, .. } => format!("AWS KMS key with ARN {arn}"),
        MasterKey::GcpKms { resource_id } => format!("GCP KMS key with resource ID {resource_id}"),
        MasterKey::AzureKeyVault { .. } => format!("Azure Key Vault key with URL {key}"),
        MasterKey::HcVault { .. } => format!("Hashicorp Vault key with URI {key}"),
        MasterKey::HuaweiKms { key_id } => format!("HuaweiCloud KMS key with ID {key_id}"),
        _ => format!("age key with recipient {key}"),
    }
}
