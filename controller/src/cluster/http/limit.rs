//! How often one client may ask: upstream's rates and headers, by an address that the client cannot choose.
//!
//! Upstream takes the whole `X-Forwarded-For` header for the client, so whoever reaches the port gets a fresh limit with
//! each header. Here it is the peer's address, and the rightmost entry of the header only where the peer is an API
//! server: that entry was written by it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use crate::cluster::api::SecretApi;
use crate::cluster::lock;
use crate::cluster::throttle::Rate;

/// The address at the other end of a connection; the server puts it into each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Tells clients apart.
#[derive(Debug, Default)]
pub struct Clients {
    /// Named by a flag.
    proxies: BTreeSet<IpAddr>,
    /// Named by the cluster; an address that it no longer names may be a pod's tomorrow.
    api_servers: RwLock<BTreeSet<IpAddr>>,
}

impl Clients {
    /// Makes clients with the addresses of proxies that are believed, besides those of the API servers.
    pub fn new(proxies: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            proxies: proxies.into_iter().map(|address| address.to_canonical()).collect(),
            api_servers: RwLock::default(),
        }
    }

    /// Returns who asks. `None` without a peer address.
    pub fn of(&self, request: &Parts) -> Option<IpAddr> {
        let peer = request.extensions.get::<Peer>()?.0.to_canonical();
        let api_servers = self.api_servers.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let forwarded = || {
            let last = request.headers.get_all("x-forwarded-for").iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
        };
        let trusted = self.proxies.contains(&peer) || api_servers.contains(&peer);
        let client = if trusted { forwarded().unwrap_or(peer) } else { peer };
        Some(one_client(client.to_canonical()))
    }

    /// Keeps the addresses of the API servers up to date; ends where there is no right to read them.
    pub async fn follow(&self, api: &SecretApi) {
        loop {
            match api.api_servers().await {
                Ok(found) => {
                    let found = found.into_iter().map(|address| address.to_canonical()).collect();
                    *self.api_servers.write().unwrap_or_else(std::sync::PoisonError::into_inner) = found;
                }
                Err(refusal) if refusal.is_forbidden() => {
                    info!(
                        "no right to read the endpoints of the Service kubernetes: all clients behind one API server share one rate limit"
                    );
                    return;
                }
                Err(refusal) => debug!(%refusal, "cannot read the addresses of the API servers"),
            }
            sleep(LOOK).await;
        }
    }
}

/// Whoever has one IPv6 address has its network of 64 bits.
fn one_client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

/// Counts requests by client and path.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    arrivals: Mutex<HashMap<(Option<IpAddr>, &'static str), Instant>>,
}

/// Whether a request may go on, and what its answer says about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Whether the limit is exceeded.
    pub refused: bool,
    limit: u64,
    remaining: u64,
    reset: Duration,
    retry_after: Duration,
}

impl Limiter {
    /// Makes a limiter. Upstream's quota lets `burst + 1` requests through at once.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let rate = Rate::per_second(f64::from(per_second), burst.saturating_add(1))?;
        Some(Self { rate, arrivals: Mutex::default() })
    }

    /// Counts a request.
    pub fn admit(&self, client: Option<IpAddr>, path: &'static str, now: Instant) -> Admission {
        let mut arrivals = lock(&self.arrivals);
        // Full of clients that all asked just now: they and the new ones share one limit.
        let full = arrivals.len() >= MAX_CLIENTS && !arrivals.contains_key(&(client, path));
        if full {
            arrivals.retain(|_, arrival| *arrival > now);
        }
        let key = if full && arrivals.len() >= MAX_CLIENTS { (None, path) } else { (client, path) };
        let before = arrivals.get(&key).copied();
        let (next, wait) = self.rate.next(before, now);
        let refused = !wait.is_zero();
        if !refused {
            arrivals.insert(key, next);
        }
        let arrival = if refused { before.unwrap_or(now) } else { next };
        let reset = arrival.saturating_duration_since(now);
        let left = (self.rate.interval * self.rate.at_once).saturating_sub(reset);
        Admission {
            refused,
            limit: u64::from(self.rate.at_once),
            remaining: u64::try_from(left.as_nanos() / self.rate.interval.as_nanos()).unwrap_or(0),
            reset,
            retry_after: wait,
        }
    }
}

impl Admission {
    /// Returns the headers of the answer, with upstream's names and rounding.
    pub(super) fn headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let ceiling = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let retry_after = self.refused.then(|| ("retry-after", ceiling(self.retry_after)));
        [
            ("x-ratelimit-limit", self.limit),
            ("x-ratelimit-remaining", self.remaining),
            ("x-ratelimit-reset", ceiling(self.reset)),
        ]
        .into_iter()
        .chain(retry_after)
        .map(|(name, number)| (HeaderName::from_static(name), HeaderValue::from(number)))
    }
}

/// Clients that are told apart, as many as upstream's.
pub const MAX_CLIENTS: usize = 65_536;
/// Between two looks at the addresses of the API servers.
const LOOK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(peer: &str, forwarded: &[&str]) -> Parts {
        let mut request = hyper::Request::builder();
        for value in forwarded {
            request = request.header("X-Forwarded-For", *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(Peer(peer.parse().unwrap()));
        parts
    }

    /// B5 T12: the caller does not choose its own limit.
    #[test]
    fn only_an_api_server_says_whom_it_asks_for() {
        let clients = Clients::new(["10.0.0.1".parse().unwrap()]);
        for (peer, forwarded, client) in [
            ("10.1.1.1", &[][..], "10.1.1.1"),
            ("10.1.1.1", &["9.9.9.9"], "10.1.1.1"),
            ("10.0.0.1", &["9.9.9.9"], "9.9.9.9"),
            ("::ffff:10.0.0.1", &["9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1", &["6.6.6.6, 9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1", &["6.6.6.6", "7.7.7.7,9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1", &["nobody"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("2001:db8:1:2:aaaa::1", &[], "2001:db8:1:2::"),
            ("2001:db8:1:2:bbbb::2", &[], "2001:db8:1:2::"),
        ] {
            assert_eq!(clients.of(&request(peer, forwarded)), Some(client.parse().unwrap()), "{peer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_as_upstream_does() {
        let limiter = Limiter::new(2, 2).unwrap();
        let client = Some(IpAddr::from([9, 9, 9, 9]));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ask = |time| limiter.admit(client, "/v1/verify", time);
        let first = ask(at(0));
        assert_eq!((first.limit, first.remaining, first.refused), (3, 2, false));
        assert!(!ask(at(0)).refused && !ask(at(0)).refused);
        let fourth = ask(at(0));
        let headers: Vec<String> =
            fourth.headers().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        assert!(fourth.refused);
        assert_eq!(
            headers,
            ["x-ratelimit-limit=3", "x-ratelimit-remaining=0", "x-ratelimit-reset=2", "retry-after=1"]
        );
        assert!(!limiter.admit(client, "/v1/rotate", at(0)).refused, "each path has its own");
        assert!(!ask(at(500)).refused, "two a second");
        assert!(ask(at(500)).refused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_clients_is_bounded() {
        let limiter = Limiter::new(1, 0).unwrap();
        let now = Instant::now();
        for number in 0..MAX_CLIENTS as u32 + 10 {
            limiter.admit(Some(IpAddr::from(number.to_be_bytes())), "/v1/verify", now);
        }
        assert!(lock(&limiter.arrivals).len() <= MAX_CLIENTS + 1);
        assert!(limiter.admit(Some(IpAddr::from([255, 0, 0, 1])), "/v1/verify", now).refused);
        let later = now + Duration::from_secs(2);
        assert!(!limiter.admit(Some(IpAddr::from([255, 0, 0, 1])), "/v1/verify", later).refused);
        assert!(lock(&limiter.arrivals).len() < 10, "old ones are forgotten");
        assert!(Limiter::new(0, 2).is_none());
    }
}
