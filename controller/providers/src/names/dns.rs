//! The addresses of a name by DNS.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use super::candidates::candidates;
use super::exchange::exchange;
use super::message::{Family, Found, Request};
use super::resolv_conf::ResolvConf;
use super::{LookupError, MAX_ADDRESSES, Problem};

/// What went wrong, and with whom.
type Failure = (Problem, Option<SocketAddr>);
type Answer = Result<(Found, SocketAddr), Failure>;

/// Asks for a name until one of its forms has an address. A failure of one family is nothing where the other has one.
pub(super) async fn resolve(
    conf: &ResolvConf,
    turn: &AtomicU32,
    host: &str,
) -> Result<Vec<SocketAddr>, LookupError> {
    let mut last: Option<Failure> = None;
    for name in candidates(conf, host) {
        let is_bare = name.len() == host.len() + 1;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for answer in both(conf, turn, &name).await {
            let failure = match answer {
                Ok((found, server)) => {
                    addresses.extend(found.addresses);
                    found.is_broken.then_some((Problem::Unreadable, Some(server)))
                }
                Err(failure) => Some(failure),
            };
            if let Some(failure) = failure
                && (last.is_none() || is_bare)
            {
                last = Some(failure);
            }
        }
        if !addresses.is_empty() {
            addresses.truncate(MAX_ADDRESSES);
            return Ok(addresses.into_iter().map(|address| (address, 0).into()).collect());
        }
    }
    let (problem, server) = last.unwrap_or((Problem::NoSuchHost, None));
    Err(LookupError::new(host, server, problem))
}

/// Asks for both families. Where both fail, the one that tells more comes last: a server that is silent outweighs one that
/// knows no address.
async fn both(conf: &ResolvConf, turn: &AtomicU32, name: &str) -> [Answer; 2] {
    let (v4, v6) = (ask(conf, turn, name, Family::V4), ask(conf, turn, name, Family::V6));
    let (v4, v6) = if conf.one_at_a_time { (v4.await, v6.await) } else { tokio::join!(v4, v6) };
    let knows_nothing = |answer: &Answer| matches!(answer, Err((Problem::NoSuchHost, _)));
    if knows_nothing(&v6) && !knows_nothing(&v4) { [v6, v4] } else { [v4, v6] }
}

/// Asks the servers in their order, and again, until one knows the name or knows that there is none.
async fn ask(conf: &ResolvConf, turn: &AtomicU32, name: &str, family: Family) -> Answer {
    let first = if conf.rotate { turn.fetch_add(1, Ordering::Relaxed) as usize } else { 0 };
    let mut last = (Problem::NoSuchHost, None);
    for attempt in 0..conf.attempts * conf.servers.len() {
        let server = conf.servers[(first + attempt) % conf.servers.len()];
        // A number of its own for each, which nobody can have guessed from an earlier one.
        let Some(request) = Request::new(name, family, conf.trust_ad) else {
            return Err((Problem::Unaskable, Some(server)));
        };
        let answer = exchange(server, &request, conf.timeout, conf.tcp_only).await;
        match answer.and_then(|bytes| request.addresses(&bytes)) {
            Ok(found) => return Ok((found, server)),
            Err(Problem::NoSuchHost) => return Err((Problem::NoSuchHost, Some(server))),
            Err(problem) => last = (problem, Some(server)),
        }
    }
    Err(last)
}
