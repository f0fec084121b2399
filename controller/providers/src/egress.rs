//! Which addresses a store may be reached at. Names are judged by what they resolve to, at the very lookup that the
//! connection is made with: a second answer of a name server changes nothing.

use std::fmt;
use std::future::Future;
#[cfg(feature = "webhook")]
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
#[cfg(feature = "webhook")]
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{Egress, ProviderErrorKind, names};

/// Instance metadata of AWS over IPv6: a unique local address, and credentials behind it.
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// An address that the policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    host: String,
    address: IpAddr,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address } = self;
        write!(f, "{host} is at {address}, which stores may not reach: the policy for addresses forbids it")
    }
}

impl std::error::Error for Refused {}

/// Judges a host that is an address already. Names pass: they are judged when they are looked up.
///
/// # Errors
/// Returns [`ProviderErrorKind::Forbidden`] for an address that the policy does not allow.
pub fn check(egress: Egress, host: &str) -> Result<(), ProviderErrorKind> {
    let text = host.trim_start_matches('[').trim_end_matches(']');
    match text.parse::<IpAddr>() {
        Ok(address) if !allows(egress, address) => {
            let refused = Refused { host: host.to_owned(), address };
            Err(ProviderErrorKind::Forbidden(refused.to_string()))
        }
        _ => Ok(()),
    }
}

fn allows(egress: Egress, address: IpAddr) -> bool {
    let address = unwrapped(address);
    match egress {
        Egress::Open => true,
        Egress::NoLinkLocal => !is_link_local(address),
        Egress::NoLocal => !is_link_local(address) && !address.is_loopback() && !address.is_unspecified(),
    }
}

/// Unspecified addresses reach this machine as well, and IPv4 addresses have several IPv6 forms.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let low = |v6: Ipv6Addr| {
        let [.., c, d] = v6.segments();
        let ([a, b], [c, d]) = (c.to_be_bytes(), d.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => low(v6),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => low(v6),
        _ => address,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == AWS_METADATA,
    }
}

/// Looks names up ([`names::lookup`]), and leaves out what the policy does not allow.
#[derive(Debug, Clone)]
pub struct Resolver {
    egress: Egress,
}

impl Resolver {
    /// Makes a resolver for this policy.
    pub fn new(egress: Egress) -> Self {
        Self { egress }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let egress = self.egress;
        Box::pin(async move {
            // The port is that of the URL, which the connector knows.
            let found = names::lookup(name.as_str(), 0).await?;
            Ok(filtered(egress, name.as_str(), found)?)
        })
    }
}

/// Connects to a host that the policy allows.
///
/// # Errors
/// As [`names::connect`]; [`refusal`] tells a refusal from the rest.
#[cfg(feature = "webhook")]
pub(crate) async fn connect(egress: Egress, host: &str, port: u16) -> io::Result<TcpStream> {
    let found = filtered(egress, host, names::lookup(host, port).await?).map_err(io::Error::other)?;
    TcpStream::connect(found.as_slice()).await
}

/// Returns what an error of [`connect`] says, if it is a refusal.
#[cfg(feature = "webhook")]
pub(crate) fn refusal(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<Refused>().map(ToString::to_string)
}

/// One address that is not allowed spoils the name: nobody has it there by mistake.
fn filtered(
    egress: Egress,
    host: &str,
    found: Vec<SocketAddr>,
) -> Result<std::vec::IntoIter<SocketAddr>, Refused> {
    match found.iter().find(|address| !allows(egress, address.ip())) {
        Some(refused) => Err(Refused { host: host.to_owned(), address: refused.ip() }),
        None => Ok(found.into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T25: every form of the addresses at which clouds hand out credentials.
    #[test]
    fn link_local_addresses_are_refused_in_every_form() {
        let metadata = [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.1",
            "169.254.255.255",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
        ];
        let loopback = ["127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"];
        let others = ["10.0.0.1", "192.168.1.1", "8.8.8.8", "[fd00::1]", "[2001:db8::1]", "169.253.0.1"];
        let allowed = |egress, host| check(egress, host).is_ok();
        for host in metadata {
            assert!(allowed(Egress::Open, host), "{host}");
            assert!(!allowed(Egress::NoLinkLocal, host), "{host}");
            assert!(!allowed(Egress::NoLocal, host), "{host}");
        }
        for host in loopback {
            assert!(allowed(Egress::NoLinkLocal, host), "{host}");
            assert!(!allowed(Egress::NoLocal, host), "{host}");
        }
        for host in others {
            assert!(allowed(Egress::NoLocal, host), "{host}");
        }
        assert!(check(Egress::NoLocal, "metadata.google.internal").is_ok(), "judged when it is looked up");
    }

    #[test]
    fn a_name_with_one_such_address_is_refused() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
        let both = [address("8.8.8.8"), address("169.254.169.254")];
        let refused = filtered(Egress::NoLinkLocal, "rebind.example", both.to_vec()).unwrap_err();
        assert!(refused.to_string().contains("169.254.169.254"), "{refused}");
        assert_eq!(filtered(Egress::Open, "rebind.example", both.to_vec()).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn names_are_judged_at_the_lookup_of_the_connection() {
        use crate::http::{HttpClient, Request, TlsSettings};
        use crate::http_extras::Extras;
        let extras = Extras { egress: Egress::NoLocal, ..Extras::default() };
        let client = HttpClient::with(TlsSettings::default(), extras);
        for url in ["http://localhost:1/", "https://localhost:1/", "http://[::1]:1/", "http://127.1.1.1:1"] {
            let request = Request::new(::http::Method::GET, url);
            let Err(error) = client.send(request).await else { panic!("{url} was reached") };
            assert!(matches!(error, ProviderErrorKind::Forbidden(_)), "{url}: {error}");
        }
    }
}
