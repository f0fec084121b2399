//! The addresses at which clouds give out the metadata of a machine or of a container, in the network of
//! `testenv/in-namespace.sh`. One test at a time has them; tests that count on nobody there take them too.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::fault_proxy::FaultProxy;

/// Metadata of a machine, of all clouds.
const MACHINE: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Credentials of a container in Amazon ECS.
const CONTAINER: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);

static ADDRESSES: Mutex<()> = Mutex::new(());

/// Port 80 of the link-local addresses, with nobody there at first.
#[derive(Debug)]
pub struct LinkLocal(#[expect(dead_code, reason = "held until the end of the test")] MutexGuard<'static, ()>);

impl LinkLocal {
    /// Waits until no other test has them.
    pub fn take() -> Self {
        Self(ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a server at 169.254.169.254, for as long as the proxy lives.
    ///
    /// # Errors
    /// If the address is not there: outside of `testenv/in-namespace.sh`.
    pub fn machine(&self, server: SocketAddr) -> Result<FaultProxy> {
        FaultProxy::http_at(SocketAddr::from((MACHINE, 80)), server)
    }

    /// Puts a server at 169.254.170.2, for as long as the proxy lives.
    ///
    /// # Errors
    /// As [`Self::machine`].
    pub fn container(&self, server: SocketAddr) -> Result<FaultProxy> {
        FaultProxy::http_at(SocketAddr::from((CONTAINER, 80)), server)
    }
}
