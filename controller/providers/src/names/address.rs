//! Hosts that are addresses already.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Longest name of a network interface (Linux: 16 bytes with the zero).
const MAX_INTERFACE: usize = 15;
/// Where the kernel tells the number of an interface.
const INTERFACES: &str = "/sys/class/net";

/// Reads an address, with port 0. IPv6 addresses may have a zone, the name or the number of an interface. Those that stand
/// for an IPv4 address become one.
pub(super) fn parse(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), 0).into());
    }
    let (address, zone) = text.split_once('%').filter(|(_, zone)| !zone.is_empty())?;
    let address: Ipv6Addr = address.parse().ok()?;
    Some(match address.to_ipv4_mapped() {
        Some(v4) => (v4, 0).into(),
        None => SocketAddrV6::new(address, 0, 0, scope(zone)).into(),
    })
}

/// Returns the number of a zone; 0, which is no zone, where there is no such interface.
fn scope(zone: &str) -> u32 {
    let is_name = zone.len() <= MAX_INTERFACE && !zone.starts_with('.') && !zone.contains('/');
    let named =
        is_name.then(|| std::fs::read_to_string(format!("{INTERFACES}/{zone}/ifindex")).ok()).flatten();
    named.as_deref().map_or(zone, str::trim).parse().unwrap_or(0)
}
