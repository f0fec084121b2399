//! The order in which addresses are tried (RFC 6724, section 6), by the address that this machine would talk from. What
//! cannot be reached comes last.
//!
//! Left out, as Go does: deprecated and home addresses, tunnels, and for IPv4 the longest common prefix.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::DNS_PORT;

/// Prefix, its length, precedence and label (RFC 6724, section 2.1), the longest prefix first.
const POLICY: [([u16; 6], u32, u8, u8); 9] = [
    ([0, 0, 0, 0, 0, 0], 128, 50, 0),
    ([0, 0, 0, 0, 0, 0xffff], 96, 35, 4),
    ([0, 0, 0, 0, 0, 0], 96, 1, 3),
    ([0x2001, 0, 0, 0, 0, 0], 32, 5, 5),
    ([0x2002, 0, 0, 0, 0, 0], 16, 30, 2),
    ([0x3ffe, 0, 0, 0, 0, 0], 16, 1, 12),
    ([0xfec0, 0, 0, 0, 0, 0], 10, 1, 11),
    ([0xfc00, 0, 0, 0, 0, 0], 7, 3, 13),
    ([0, 0, 0, 0, 0, 0], 0, 40, 1),
];
/// Bits of an IPv6 address that are compared: the network's.
const NETWORK_BITS: u32 = 64;

/// Sorts addresses. Those that are equal keep their order.
pub(super) fn sorted(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.len() > 1 {
        addresses.sort_by_cached_key(|address| rank(address.ip(), source(*address)));
    }
    addresses
}

/// Returns the address that this machine would use towards another. Nothing is sent.
fn source(mut to: SocketAddr) -> Option<IpAddr> {
    let own: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    to.set_port(DNS_PORT);
    let socket = UdpSocket::bind(own).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What comes first is the smallest.
pub(super) type Rank = (bool, bool, bool, Reverse<u8>, u8, Reverse<u32>);

pub(super) fn rank(to: IpAddr, from: Option<IpAddr>) -> Rank {
    let Some(from) = from else { return (true, true, true, Reverse(0), 0, Reverse(0)) };
    let ((precedence, label), (_, own_label)) = (policy(to), policy(from));
    let common = match (to, from) {
        (IpAddr::V6(to), IpAddr::V6(from)) => common_bits(to, from),
        _ => 0,
    };
    (false, scope(to) != scope(from), label != own_label, Reverse(precedence), scope(to), Reverse(common))
}

fn policy(address: IpAddr) -> (u8, u8) {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
    .to_bits();
    let matches = |prefix: &[u16; 6], length: u32| {
        let [a, b, c, d, e, f] = *prefix;
        let low = u16::from(length == 128);
        let prefix = Ipv6Addr::new(a, b, c, d, e, f, 0, low).to_bits();
        length == 0 || (bits ^ prefix) >> (128 - length) == 0
    };
    let entry = POLICY.iter().find(|(prefix, length, ..)| matches(prefix, *length));
    entry.map_or((0, 0), |(.., precedence, label)| (*precedence, *label))
}

/// The scope of an address (RFC 6724, section 3.1; RFC 4291 for multicast).
fn scope(address: IpAddr) -> u8 {
    const LINK_LOCAL: u8 = 0x2;
    const SITE_LOCAL: u8 = 0x5;
    const GLOBAL: u8 = 0xe;
    match address {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() => LINK_LOCAL,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unicast_link_local() => LINK_LOCAL,
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 0xf,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfec0 => SITE_LOCAL,
        IpAddr::V6(_) => GLOBAL,
    }
}

fn common_bits(one: Ipv6Addr, other: Ipv6Addr) -> u32 {
    (one.to_bits() ^ other.to_bits()).leading_zeros().min(NETWORK_BITS)
}
