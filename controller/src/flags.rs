//! The command lines, and what they read alike.

pub(crate) mod external_secrets;
pub(crate) mod own;
pub(crate) mod upstream;

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use sealops_providers::Egress;

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Leaves room in a name of 253 characters for what the API server adds.
const MAX_KEY_PREFIX: usize = 245;

/// Which addresses stores may be reached at.
fn egress(no_local_stores: bool) -> Egress {
    if no_local_stores { Egress::NoLocal } else { Egress::NoLinkLocal }
}

/// Returns the namespace of the pod: upstream's order.
fn own_namespace(given: Option<String>) -> String {
    let of_account = || {
        let text = std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok()?;
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    };
    given.filter(|name| !name.is_empty()).or_else(of_account).unwrap_or_else(|| "default".to_owned())
}

fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

fn rsa_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads an address as Go does: without a host it is every address, of both families where there are both.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let unfit = || format!("{text:?} is no address such as :8080 or 127.0.0.1:8080");
    match text.strip_prefix(':') {
        Some(port) => {
            let port: u16 = port.parse().map_err(|_| unfit())?;
            Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), SocketAddr::from(([0, 0, 0, 0], port))])
        }
        None => Ok(text.to_socket_addrs().map_err(|_| unfit())?.collect()),
    }
}

/// Reads the time of `--key-cutoff-time`: RFC 1123 with a numeric zone and two digits of the day; seconds since 1970.
fn cutoff(text: &str) -> Result<i64, String> {
    let two_digits = text.split(' ').nth(1).is_some_and(|day| day.len() == 2);
    jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S %z", text)
        .and_then(|parsed| parsed.to_timestamp())
        .ok()
        .filter(|_| two_digits)
        .map(jiff::Timestamp::as_second)
        .ok_or_else(|| {
            format!("the key cut-off time {text:?} is not like \"Mon, 14 Oct 2024 21:45:30 +0200\"")
        })
}

/// Checks the names of new key Secrets, in upstream's words.
fn key_prefix(text: &str) -> Result<String, String> {
    if text.len() > MAX_KEY_PREFIX {
        return Err(format!("name is too long, must be shorter than {MAX_KEY_PREFIX}, got {}", text.len()));
    }
    match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(illegal) => Err(format!("name contains illegal character {illegal}")),
        None => Ok(text.to_owned()),
    }
}

/// Reads `name=value,name=value`. Upstream crashes without `=` (#1386) and loses what follows a second one.
fn pairs(flag: &str, text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| format!("--{flag}: {pair:?} is not name=value"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_as_go_does() {
        let shown =
            |text| addresses(text).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown(":8080").unwrap(), ["[::]:8080", "0.0.0.0:8080"]);
        assert_eq!(shown("127.0.0.1:1").unwrap(), ["127.0.0.1:1"]);
        for text in ["", "8080", ":x", ":99999", "127.0.0.1"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_cut_off_times() {
        assert_eq!(cutoff("Mon, 14 Oct 2024 21:45:30 +0200"), Ok(1_728_935_130));
        assert_eq!(cutoff("Thu, 01 Jan 1970 00:00:00 +0000"), Ok(0));
        for text in ["", "x", "Thu, 1 Jan 1970 00:00:00 +0000", "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01"]
        {
            assert!(cutoff(text).is_err(), "{text}");
        }
    }

    #[test]
    fn checks_prefixes_and_pairs() {
        assert_eq!(key_prefix("my-key-1").unwrap(), "my-key-1");
        assert_eq!(key_prefix("My").unwrap_err(), "name contains illegal character M");
        assert!(key_prefix(&"a".repeat(246)).unwrap_err().contains("got 246"));
        assert_eq!(pairs("x", "a=b,c=d=e").unwrap()["c"], "d=e");
        assert!(pairs("x", "").unwrap().is_empty());
        for text in ["a", "a=b,c", "=b"] {
            assert!(pairs("privatekey-labels", text).unwrap_err().contains("--privatekey-labels"), "{text}");
        }
    }
}
