//! Huawei Cloud's KMS and IAM, as far as keys of SOPS need them.
//!
//! It listens with TLS on port 443 of a loopback address of its own, and without on a free port, for a
//! [`FaultProxy`](crate::FaultProxy) in front of it. Programs find it by a hosts file ([`FakeHuawei::hosts`]) and trust it
//! by [`FakeHuawei::ca_pem`]. It serves two regions with a project each, the list of projects, and keys of the agency of a
//! machine ([`FakeHuawei::metadata`]) and of a pod. Every signature is computed again from the secret key.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use self::state::State;
use super::google::Key;
use super::https::{Request, Server};
use crate::pki::{Identity, Pki};

mod signature;
mod state;

/// A running fake.
pub struct FakeHuawei {
    pki: Pki,
    state: Arc<State>,
    address: Ipv4Addr,
    _tls: Server,
    plain: Server,
}

impl FakeHuawei {
    /// A region whose IAM is the global one.
    pub const REGION: &str = "eu-west-101";
    /// Its project.
    pub const PROJECT: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    /// A region with an IAM of its own.
    pub const OTHER_REGION: &str = "tr-west-1";
    /// Its project.
    pub const OTHER_PROJECT: &str = "f9e8d7c6b5a493827160f5e4d3c2b1a0";
    /// Who asks.
    pub const ACCESS: &str = "CANARYACCESSKEY7F21";
    /// With this secret key.
    pub const SECRET: &str = "CANARY-secret-key-9c40";
    /// What access keys of machines and pods begin with; a number follows.
    pub const ENDING_ACCESS: &str = "CANARYENDING";
    /// Their secret key,
    pub const ENDING_SECRET: &str = "CANARY-ending-secret-1d";
    /// and their token.
    pub const ENDING_TOKEN: &str = "CANARY-security-token-83b7";
    /// What the metadata want to see, and what a pod shows.
    pub const METADATA_TOKEN: &str = "CANARY-metadata-token-5a";
    /// In the text of every error.
    pub const TEXT: &str = "CANARY-error-text-c8";
    /// Names that hosts files lead to 127.0.0.1, where a proxy can be.
    pub const PROXIED_KMS: &str = "kms.proxied.example";
    /// As [`Self::PROXIED_KMS`].
    pub const PROXIED_IAM: &str = "iam.proxied.example";
    const NAMES: [&str; 4] = [
        "kms.eu-west-101.myhuaweicloud.eu",
        "iam.myhuaweicloud.com",
        "kms.tr-west-1.myhuaweicloud.com",
        "iam.tr-west-1.myhuaweicloud.com",
    ];

    /// Starts a fake with keys of these ids.
    ///
    /// # Errors
    /// If port 443 of no loopback address can be listened on: that needs `testenv/in-namespace.sh`.
    pub fn start(keys: &[&str]) -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let project = |region: &str, project: &str| (region.to_owned(), vec![project.to_owned()]);
        let state = Arc::new(State {
            keys: Mutex::new(keys.iter().map(|id| ((*id).to_owned(), Key::new())).collect()),
            disabled: Mutex::default(),
            forbidden: Mutex::default(),
            projects: Mutex::new(BTreeMap::from([
                project(Self::REGION, Self::PROJECT),
                project(Self::OTHER_REGION, Self::OTHER_PROJECT),
            ])),
            calls: Mutex::default(),
            parts: Mutex::default(),
            life: Mutex::new(24 * 3600),
            given: Mutex::default(),
        });
        let pki = Pki::generate()?;
        let identity = pki.server(&Self::NAMES)?;
        let handler = |state: &Arc<State>| {
            let state = Arc::clone(state);
            Arc::new(move |request: &Request| state.answer(request))
        };
        let plain = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, handler(&state))?;
        let address = Ipv4Addr::new(127, 77, 2, NEXT.fetch_add(1, Ordering::Relaxed));
        let tls = SocketAddr::V4(SocketAddrV4::new(address, 443));
        let tls = Server::start(tls, Some(&identity), handler(&state))
            .context("the fake of Huawei Cloud needs port 443: run the tests by testenv/in-namespace.sh")?;
        Ok(Self { pki, state, address, _tls: tls, plain })
    }

    /// Returns a hosts file that leads to it.
    pub fn hosts(&self) -> String {
        format!(
            "127.0.0.1 localhost {} {}\n{} {}\n",
            Self::PROXIED_KMS,
            Self::PROXIED_IAM,
            self.address,
            Self::NAMES.join(" ")
        )
    }

    /// Returns the authority that its certificate, and those of [`Self::proxied`], are signed by.
    pub fn ca_pem(&self) -> String {
        self.pki.ca_pem()
    }

    /// Returns a certificate for proxies in front of it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn proxied(&self) -> Result<Identity> {
        self.pki.server(&[Self::PROXIED_KMS, Self::PROXIED_IAM])
    }

    /// Returns where it answers without TLS; there is the pod's server, too, at `/pod`.
    pub fn plain(&self) -> SocketAddr {
        self.plain.address
    }

    /// Adds a key.
    pub fn add_key(&self, id: &str) {
        lock(&self.state.keys).insert(id.to_owned(), Key::new());
    }

    /// Disables a key.
    pub fn disable(&self, id: &str) {
        lock(&self.state.disabled).insert(id.to_owned());
    }

    /// Enables a key again.
    pub fn enable(&self, id: &str) {
        lock(&self.state.disabled).remove(id);
    }

    /// Forbids everybody a key.
    pub fn forbid(&self, id: &str) {
        lock(&self.state.forbidden).insert(id.to_owned());
    }

    /// Sets the projects of a region.
    pub fn set_projects(&self, region: &str, projects: &[&str]) {
        let projects = projects.iter().map(|project| (*project).to_owned()).collect();
        lock(&self.state.projects).insert(region.to_owned(), projects);
    }

    /// Sets how many seconds the keys of machines and pods live; they are refused as soon as newer ones were given.
    pub fn set_life(&self, seconds: i64) {
        *lock(&self.state.life) = seconds;
    }

    /// Serves the metadata of a machine until the value is dropped, for [`LinkLocal`](crate::LinkLocal) to show.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn metadata(&self) -> Result<Metadata> {
        let state = Arc::clone(&self.state);
        let handler = Arc::new(move |request: &Request| state.metadata(request));
        Ok(Metadata(Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, handler)?))
    }

    /// Counts the requests so far with this text in "METHOD HOST PATH".
    pub fn count(&self, part: &str) -> usize {
        lock(&self.state.calls).iter().filter(|call| call.contains(part)).count()
    }

    /// Returns the requests so far.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.state.calls).clone()
    }

    /// Returns all parts of data keys that were encrypted and decrypted, in base64.
    pub fn parts(&self) -> Vec<String> {
        lock(&self.state.parts).iter().cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn reset_calls(&self) {
        lock(&self.state.calls).clear();
    }
}

/// The metadata of a machine.
#[derive(Debug)]
pub struct Metadata(Server);

impl Metadata {
    /// Returns where they are.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
