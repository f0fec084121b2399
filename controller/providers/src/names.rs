//! Addresses of servers by their names, looked up as Go's own resolver does: `/etc/hosts`, then DNS.
//!
//! The C library is never asked. In a program that is linked statically it would load parts of another C library, and
//! the tools that this project stands in for (kubeseal, sops, External Secrets Operator) do not ask it either.
//!
//! ```text
//!   lookup ─► address? ─► order (nsswitch.conf) ─► hosts ─► localhost ─► dns: names by search and ndots
//!                                                                         └─ A and AAAA at once ─► servers, attempts
//!                                                                              └─ exchange: UDP, TCP where cut off
//!          ◄─ sorted (RFC 6724) ◄─────────────────────────────────────────────────────────────────┘
//! ```

mod address;
mod candidates;
mod dns;
mod error;
mod exchange;
mod hosts;
mod message;
mod order;
mod resolv_conf;
mod sort;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicU32;

use tokio::net::TcpStream;

pub use error::{LookupError, Problem};
use order::Order;
use resolv_conf::ResolvConf;

/// Largest part of a file that is read: lists of hosts to block are megabytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most addresses of one name.
const MAX_ADDRESSES: usize = 1024;
/// The port of name servers.
const DNS_PORT: u16 = 53;

/// The files that decide how names are looked up. Each is read at most once a lookup.
#[derive(Debug, Clone)]
pub struct Files {
    /// Names and addresses of this machine: `/etc/hosts`.
    pub hosts: PathBuf,
    /// Name servers, suffixes and options: `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// Which of hosts and DNS is asked first: `/etc/nsswitch.conf`.
    pub nsswitch: PathBuf,
    /// The name of this machine, whose domain is the suffix where none is configured.
    pub hostname: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            hosts: "/etc/hosts".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            nsswitch: "/etc/nsswitch.conf".into(),
            hostname: "/proc/sys/kernel/hostname".into(),
        }
    }
}

/// Looks names up.
#[derive(Debug, Default)]
pub struct Names {
    files: Files,
    /// Counts questions where the servers take turns.
    turn: AtomicU32,
}

impl Names {
    /// Makes a resolver over these files.
    pub fn new(files: Files) -> Self {
        Self { files, turn: AtomicU32::new(0) }
    }

    /// Returns the addresses of a host, which may be an address already, the one to try first in front. They all have the
    /// port. At most 1024 addresses.
    ///
    /// It ends after the time that `resolv.conf` allows: for each name that is tried, its `timeout` (5 s unless said) for
    /// each server and attempt.
    ///
    /// # Errors
    /// Returns an error if the name is none, nobody knows it, or no server has answered sensibly.
    pub async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        let mut found = match address::parse(host) {
            Some(address) => vec![address],
            None => self.find(host).await?,
        };
        for address in &mut found {
            address.set_port(port);
        }
        Ok(found)
    }

    async fn find(&self, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let unknown = || LookupError::new(host, None, Problem::NoSuchHost);
        if host.is_empty() {
            return Err(unknown());
        }
        let order = read(&self.files.nsswitch).map_or(Order::FilesDns, |text| Order::parse(&text));
        if matches!(order, Order::FilesDns | Order::Files) {
            let found = self.by_hosts(host);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        if is_localhost(host) {
            return Ok(sort::sorted(loopback()));
        }
        if order == Order::Files || !candidates::is_domain_name(host) {
            return Err(unknown());
        }
        match self.by_dns(host).await {
            Err(error) if order == Order::DnsFiles => {
                Some(self.by_hosts(host)).filter(|found| !found.is_empty()).ok_or(error)
            }
            result => result,
        }
    }

    fn by_hosts(&self, host: &str) -> Vec<SocketAddr> {
        sort::sorted(read(&self.files.hosts).map(|text| hosts::find(&text, host)).unwrap_or_default())
    }

    async fn by_dns(&self, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let mut conf = read(&self.files.resolv_conf).map(|text| ResolvConf::parse(&text)).unwrap_or_default();
        if conf.search.is_empty() {
            conf.search.extend(read(&self.files.hostname).and_then(|name| resolv_conf::domain_of(&name)));
        }
        dns::resolve(&conf, &self.turn, host).await.map(sort::sorted)
    }
}

/// Looks a host up by the files of this machine, as [`Names::lookup`] does.
///
/// # Errors
/// As [`Names::lookup`].
pub async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
    static SYSTEM: LazyLock<Names> = LazyLock::new(Names::default);
    SYSTEM.lookup(host, port).await
}

/// Connects to the first address of a host that takes the connection.
///
/// # Errors
/// Returns the error of the lookup, as the source of an [`io::Error`], or that of the last address.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    TcpStream::connect(lookup(host, port).await?.as_slice()).await
}

/// Splits `HOST:PORT`. An IPv6 address stands in brackets.
///
/// # Errors
/// Returns an error of the kind [`io::ErrorKind::InvalidInput`] if there is no such port.
pub fn split(address: &str) -> io::Result<(&str, u16)> {
    let unfit = || io::Error::new(io::ErrorKind::InvalidInput, "the address is not HOST:PORT");
    let (host, port) = address.rsplit_once(':').ok_or_else(unfit)?;
    let port = port.parse().map_err(|_| unfit())?;
    match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => Ok((inner, port)),
        None if host.contains(':') => Err(unfit()),
        None => Ok((host, port)),
    }
}

/// Says why there is no connection, without naming the host: for places where it may be part of a secret.
pub fn reason(error: &io::Error) -> String {
    let lookup = error.get_ref().and_then(|source| source.downcast_ref::<LookupError>());
    lookup.map_or_else(|| error.kind().to_string(), |error| error.problem().to_string())
}

/// The name of this machine for itself, whatever servers say about it (RFC 6761).
fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let end = name.len().saturating_sub("localhost".len());
    let Some((before, last)) = name.split_at_checked(end) else { return false };
    last.eq_ignore_ascii_case("localhost") && (before.is_empty() || before.ends_with('.'))
}

fn loopback() -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]
}

/// Returns the text of a file, or nothing where it cannot be read. A line that the limit cuts is left out.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        bytes.truncate(end);
    }
    Some(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// The words of a line.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty())
}
