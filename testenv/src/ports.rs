//! Addresses and ports for servers under test.
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Returns a TCP port that nothing listens on.
///
/// Ports come from below the range in which the kernel picks ports for outgoing connections, and one process never
/// gets a port twice, so the port is still free when the server binds it a moment later.
///
/// # Errors
/// If all of them are taken.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = std::process::id().wrapping_mul(37) as u16 % PORTS;
    for _ in 0..PORTS {
        let port = FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(seed) % PORTS;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free TCP port from {FIRST_PORT} on: which servers of earlier runs are still there?")
}

/// Returns the address that stands for a pod's address: 10.99.0.1, which only exists inside `testenv/in-namespace.sh`.
///
/// The API server's service proxy dials no loopback address, so a controller that clients reach through it must be
/// reachable here.
///
/// # Errors
/// If this machine has no such address.
pub fn pod_address() -> Result<IpAddr> {
    let address = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    TcpListener::bind((address, 0)).context(
        "no address 10.99.0.1 here: run the tests by `make test`, or `testenv/in-namespace.sh cargo test …`",
    )?;
    Ok(address)
}

const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
