//! `/etc/resolv.conf` (resolv.conf(5)), read as Go does.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{DNS_PORT, address, fields};

/// Most name servers that are asked.
const MAX_SERVERS: usize = 3;
/// Most suffixes that are tried: what Kubernetes allows in a pod.
const MAX_SEARCH: usize = 32;
/// Most dots that `ndots` may ask for.
const MAX_NDOTS: usize = 15;
/// Longest time that a server is waited for, in seconds, and most attempts, whatever the file says: glibc's figures.
const MAX_TIMEOUT: usize = 30;
const MAX_ATTEMPTS: usize = 5;

/// How servers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    /// Suffixes, each with a dot at its end.
    pub(super) search: Vec<String>,
    /// A name with so many dots is tried as it is before any suffix.
    pub(super) ndots: usize,
    /// How long one server is waited for in one attempt.
    pub(super) timeout: Duration,
    pub(super) attempts: usize,
    /// Servers take turns at being the first.
    pub(super) rotate: bool,
    /// A and AAAA one after the other.
    pub(super) one_at_a_time: bool,
    pub(super) tcp_only: bool,
    /// Asks whether the answer was validated.
    pub(super) trust_ad: bool,
}

impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            servers: default_servers(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            one_at_a_time: false,
            tcp_only: false,
            trust_ad: false,
        }
    }
}

impl ResolvConf {
    pub(super) fn parse(text: &str) -> Self {
        let mut conf = Self { servers: Vec::new(), ..Self::default() };
        for line in text.split('\n').filter(|line| !line.starts_with([';', '#'])) {
            let mut words = fields(line);
            match words.next() {
                Some("nameserver") if conf.servers.len() < MAX_SERVERS => {
                    conf.servers.extend(words.next().and_then(address::parse));
                }
                Some("domain") => {
                    if let Some(name) = words.next() {
                        conf.search = vec![rooted(name)];
                    }
                }
                Some("search") => {
                    conf.search = words.map(rooted).filter(|name| name != ".").take(MAX_SEARCH).collect();
                }
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        for server in &mut conf.servers {
            server.set_port(DNS_PORT);
        }
        if conf.servers.is_empty() {
            conf.servers = default_servers();
        }
        conf
    }

    fn set(&mut self, option: &str) {
        match option.split_once(':') {
            Some(("ndots", value)) => self.ndots = number(value).min(MAX_NDOTS),
            Some(("timeout", value)) => {
                self.timeout = Duration::from_secs(number(value).clamp(1, MAX_TIMEOUT) as u64);
            }
            Some(("attempts", value)) => self.attempts = number(value).clamp(1, MAX_ATTEMPTS),
            Some(_) => {}
            None => match option {
                "rotate" => self.rotate = true,
                "single-request" | "single-request-reopen" => self.one_at_a_time = true,
                "use-vc" | "usevc" | "tcp" => self.tcp_only = true,
                "trust-ad" => self.trust_ad = true,
                _ => {}
            },
        }
    }
}

/// Returns the domain of this machine's name, with a dot at its end.
pub(super) fn domain_of(hostname: &str) -> Option<String> {
    let (_, domain) = hostname.trim().split_once('.')?;
    (!domain.is_empty()).then(|| rooted(domain))
}

fn default_servers() -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, DNS_PORT).into(), (Ipv6Addr::LOCALHOST, DNS_PORT).into()]
}

fn rooted(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

/// Reads the digits that a text begins with; without any it is 0.
fn number(text: &str) -> usize {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { 0 } else { text[..end].parse().unwrap_or(usize::MAX) }
}
