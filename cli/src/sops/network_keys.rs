//! Keys that a network holds: KMS, Vault, and key services that flags name.
//!
//! ```text
//!   Keyring ──recover / wrap──► NetworkKeys ──runtime, started at the first key──► KeyService of the kind, then remotes
//!                                   └── Unwrapped: one call per wrapped key, for the life of the process
//! ```
//!
//! A backend is one row of [`registry::service`]; key services that flags name are made by [`registry::remote`]. Keys
//! are asked all at once, so one that does not answer costs the others nothing.

mod registry;
mod unwrapped;
mod words;

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use sealops_crypto::sops::{
    Attempt, DataKeyRecovery, KeyKind, KeyPart, KeyPolicy, KeyPosition, MasterKey, WrapTask,
};
use sealops_providers::KeyService;
use tokio::runtime::{Builder, Runtime};

use super::threads;
pub(crate) use registry::{
    aws_http, azure_authority, forbidden, google_contacts, huawei_contacts, mfa_sessions,
};
use unwrapped::Unwrapped;

/// Threads of the runtime: they wait, they do not compute.
const THREADS: usize = 2;
/// Keys of one file that are asked at once: files can name thousands.
const MAX_AT_ONCE: usize = 64;
/// Longest time that giving logins back may take: a token that stays dies by itself.
const CLOSE: Duration = Duration::from_secs(5);
/// Why no key was asked, in sops's words.
const NOBODY: &str = "no key services provided, cannot update master keys";
/// Why a key that is allowed was not asked.
const NOT_ASKED: &str = "not asked, because another key is not allowed";

/// Everyone on a network who can be asked. Nothing is started before a key of theirs is wanted.
pub(crate) struct NetworkKeys {
    /// Whether this process asks KMS, Vault and the like itself.
    own: bool,
    /// Addresses of key services, in the order in which they are asked.
    remotes: Vec<String>,
    policy: KeyPolicy,
    started: OnceLock<Result<Started, String>>,
}

/// What became of a part that was to be wrapped.
type Wrapped = (KeyPosition, Result<String, Vec<String>>);

fn failed(tasks: Vec<(WrapTask<'_>, Vec<String>)>, why: impl Fn(&MasterKey) -> String) -> Vec<Wrapped> {
    let failed = tasks.into_iter().map(|(task, mut reasons)| {
        reasons.push(why(task.key));
        (task.position, Err(reasons))
    });
    failed.collect()
}

struct Started {
    runtime: Runtime,
    own: Vec<(KeyKind, Arc<dyn KeyService>)>,
    remotes: Vec<Arc<dyn KeyService>>,
    unwrapped: Unwrapped,
}

impl NetworkKeys {
    /// Takes whether backends are asked directly, and key services by their addresses.
    pub(crate) fn new(own: bool, remotes: Vec<String>) -> Self {
        Self { own, remotes, policy: KeyPolicy::open(), started: OnceLock::new() }
    }

    /// Sets which keys may be asked.
    pub(crate) fn with_policy(self, policy: KeyPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Returns whether anyone on the network is to be asked for a key.
    pub(crate) fn covers(&self, key: &MasterKey) -> bool {
        !self.remotes.is_empty() || (self.own && !key.is_local())
    }

    /// Tries all keys at once, each with the reasons that there are already, until enough parts are in.
    pub(crate) fn recover(
        &self,
        recovery: &mut DataKeyRecovery<'_>,
        attempts: Vec<(Attempt<'_>, Vec<String>)>,
    ) {
        let mut allowed = Vec::new();
        for (attempt, mut reasons) in attempts {
            match self.allowed(attempt.key) {
                Ok(()) => allowed.push((attempt, reasons)),
                Err(reason) => {
                    reasons.push(reason);
                    recovery.failed(attempt.position, reasons);
                }
            }
        }
        if allowed.is_empty() {
            return;
        }
        let started = match self.started() {
            Ok(started) => started,
            Err(reason) => {
                for (attempt, mut reasons) in allowed {
                    reasons.push(reason.clone());
                    recovery.failed(attempt.position, reasons);
                }
                return;
            }
        };
        threads::waiting(|| started.runtime.block_on(started.recover(recovery, allowed)));
    }

    /// Wraps all parts at once.
    pub(crate) fn wrap(&self, tasks: Vec<(WrapTask<'_>, Vec<String>)>) -> Vec<Wrapped> {
        // A data key is wrapped for all or for none, so nobody is asked in vain.
        if tasks.iter().any(|(task, _)| self.allowed(task.key).is_err()) {
            let refused = |key: &MasterKey| self.allowed(key).err().unwrap_or_else(|| NOT_ASKED.to_owned());
            return failed(tasks, refused);
        }
        let started = match self.started() {
            Ok(started) => started,
            Err(reason) => return failed(tasks, |_| reason.clone()),
        };
        let asked = tasks.into_iter().map(async |(task, mut reasons)| {
            let wrapped = started.wrap(&task, &mut reasons).await;
            (task.position, wrapped.ok_or(reasons))
        });
        let asked = stream::iter(asked).buffer_unordered(MAX_AT_ONCE).collect();
        threads::waiting(|| started.runtime.block_on(asked))
    }

    /// Gives keys what they lack, the newest version for example. This process asks itself, whoever else is to be asked
    /// for keys, as sops does.
    ///
    /// # Errors
    /// Returns why a key cannot be completed.
    pub(crate) fn complete<'a>(&self, keys: impl Iterator<Item = &'a mut MasterKey>) -> Result<(), String> {
        let keys: Vec<&mut MasterKey> = keys.filter(|key| lacks_version(key)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for key in &keys {
            self.policy.check(key).map_err(|refusal| refusal.to_string())?;
        }
        let started = self.started()?;
        let ask = async {
            for key in keys {
                let Some(service) = started.completing(key) else { continue };
                if let Some(whole) = service.complete(key).await.map_err(|error| words::complete(&error))? {
                    *key = whole;
                }
            }
            Ok(())
        };
        threads::waiting(|| started.runtime.block_on(ask))
    }

    fn allowed(&self, key: &MasterKey) -> Result<(), String> {
        if !self.covers(key) {
            return Err(NOBODY.to_owned());
        }
        self.policy.check(key).map_err(|refusal| refusal.to_string())
    }

    fn started(&self) -> Result<&Started, String> {
        self.started.get_or_init(|| self.start()).as_ref().map_err(Clone::clone)
    }

    fn start(&self) -> Result<Started, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("network")
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the threads that speak to the network: {error}"))?;
        let entered = runtime.enter();
        let own = if self.own { own_services() } else { Vec::new() };
        let remotes = self.remotes.iter().map(|uri| registry::remote(uri)).collect();
        drop(entered);
        Ok(Started { own, remotes, unwrapped: Unwrapped::default(), runtime })
    }
}

/// Returns whether a key is to be completed before it is used.
fn lacks_version(key: &MasterKey) -> bool {
    matches!(key, MasterKey::AzureKeyVault { version, .. } if version.is_empty())
}

impl Drop for Started {
    fn drop(&mut self) {
        let close = join_all(self.own.iter().map(|(_, service)| service.close()));
        let _ = self.runtime.block_on(async { tokio::time::timeout(CLOSE, close).await });
    }
}

/// Returns who is asked for keys without a key service in between, by kind.
pub(crate) fn own_services() -> Vec<(KeyKind, Arc<dyn KeyService>)> {
    KeyKind::ALL.into_iter().filter_map(|kind| Some((kind, registry::service(kind)?))).collect()
}

impl Started {
    /// Who completes a key.
    fn completing(&self, key: &MasterKey) -> Option<Arc<dyn KeyService>> {
        let own = self.own.iter().find(|(kind, _)| key.kind() == Some(*kind));
        own.map(|(_, service)| Arc::clone(service)).or_else(|| registry::service(key.kind()?))
    }

    /// Who is asked for a key, in order.
    fn services(&self, key: &MasterKey) -> impl Iterator<Item = &Arc<dyn KeyService>> {
        let own = self.own.iter().filter(|(kind, _)| key.kind() == Some(*kind)).map(|(_, service)| service);
        own.chain(&self.remotes)
    }

    /// Asks for all parts and ends as soon as enough are in. Whom it no longer needs it does not wait for.
    async fn recover(&self, recovery: &mut DataKeyRecovery<'_>, attempts: Vec<(Attempt<'_>, Vec<String>)>) {
        let mut open: Vec<KeyPosition> = attempts.iter().map(|(attempt, _)| attempt.position).collect();
        let asked = attempts.into_iter().map(async |(attempt, reasons)| {
            let ask = self.unwrap(attempt.key, attempt.wrapped, reasons);
            (attempt.position, self.unwrapped.get(attempt.key, attempt.wrapped, ask).await)
        });
        let mut asked = pin!(stream::iter(asked).buffer_unordered(MAX_AT_ONCE));
        while !open.is_empty() && !recovery.is_complete() {
            let Some((position, part)) = asked.next().await else { return };
            match part {
                _ if !open.contains(&position) => {}
                Ok(part) => {
                    recovery.succeeded(position, part);
                    let tried = recovery.open_attempts();
                    open.retain(|other| tried.iter().any(|attempt| attempt.position == *other));
                }
                Err(reasons) => {
                    recovery.failed(position, reasons);
                    open.retain(|other| *other != position);
                }
            }
        }
    }

    async fn unwrap(
        &self,
        key: &MasterKey,
        wrapped: &str,
        mut reasons: Vec<String>,
    ) -> Result<KeyPart, Vec<String>> {
        for service in self.services(key) {
            match service.unwrap(key, wrapped).await {
                Ok(part) => return Ok(part),
                Err(error) => reasons.push(words::unwrap(key, &error)),
            }
        }
        self.excuse(key, &mut reasons);
        Err(reasons)
    }

    async fn wrap(&self, task: &WrapTask<'_>, reasons: &mut Vec<String>) -> Option<String> {
        for service in self.services(task.key) {
            match service.wrap(task.key, task.part).await {
                Ok(wrapped) => return Some(wrapped),
                Err(error) => reasons.push(words::wrap(task.key, &error)),
            }
        }
        self.excuse(task.key, reasons);
        None
    }

    /// Nobody was asked: says so.
    fn excuse(&self, key: &MasterKey, reasons: &mut Vec<String>) {
        if reasons.is_empty() {
            reasons.push(words::not_built(key));
        }
    }
}
