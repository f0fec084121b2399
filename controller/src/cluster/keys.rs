//! The sealing keys of a running controller: read from Secrets, made when there is none, swapped as a whole.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use sealops_crds::sealed_secret::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use sealops_crypto::sealing::{Fingerprint, KeySpec, RingKey, SealingKeyRing};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::api::SecretApi;
use super::leader::WriteGuard;
use crate::object::{ObjectKey, ReadError, SecretObject};
use crate::outcome::Change;
use crate::sealed::{KeyOrder, key_secret, read_key_secret};

/// How keys are found and made.
#[derive(Debug, Clone)]
pub struct KeyOptions {
    /// The controller's own namespace.
    pub namespace: String,
    /// Prefix of the names of key Secrets, and the exact name of a key from before 0.9.
    pub prefix: String,
    /// RSA bits of a new key.
    pub bits: u32,
    /// Validity of a new certificate, in seconds.
    pub lifetime: i64,
    /// Common name of a new certificate.
    pub common_name: String,
    /// Which time orders the keys.
    pub order: KeyOrder,
}

/// The keys at one moment.
#[derive(Debug, Default)]
pub struct Keys {
    /// Every key that opens. A key whose Secret went is kept until the process ends.
    pub ring: SealingKeyRing,
    /// Certificate of the current key, in PEM.
    pub certificate: Option<String>,
    /// Grows with each change of the ring.
    pub version: u64,
}

/// Reads, makes and hands out the keys.
pub struct KeyManager {
    api: SecretApi,
    options: KeyOptions,
    keys: RwLock<Arc<Keys>>,
    changed: watch::Sender<u64>,
    quarantined: std::sync::Mutex<BTreeSet<String>>,
}

impl KeyManager {
    /// Makes a manager without keys.
    pub fn new(api: SecretApi, options: KeyOptions) -> Self {
        let changed = watch::channel(0).0;
        Self { api, options, keys: RwLock::default(), changed, quarantined: std::sync::Mutex::default() }
    }

    /// Returns the namespace of the key Secrets: the controller's own.
    pub fn namespace(&self) -> &str {
        &self.options.namespace
    }

    /// Returns the keys.
    pub fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Returns a receiver that is told when the ring changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads the key Secrets and swaps the ring if there is news. Returns how many Secrets claim to be keys.
    ///
    /// # Errors
    /// Returns why the Secrets cannot be read; the keys stay as they are.
    pub async fn refresh(&self) -> Result<usize, ReadError> {
        let label = format!("{SEALING_KEY_LABEL}={SEALING_KEY_ACTIVE}");
        let mut secrets = self.api.secrets(&self.options.namespace, &label).await?;
        let legacy = ObjectKey::new(self.options.namespace.as_str(), self.options.prefix.as_str());
        let known = secrets.iter().any(|secret| secret.metadata.name.as_ref() == Some(&legacy.name));
        if !known && let Some(secret) = self.api.secret(&legacy).await? {
            secrets.push(secret);
        }
        self.install(&secrets);
        Ok(secrets.len())
    }

    fn install(&self, secrets: &[SecretObject]) {
        let mut listed = Vec::new();
        let mut current: Option<(i64, String)> = None;
        let mut quarantined = super::lock(&self.quarantined);
        for secret in secrets {
            let name = secret.metadata.name.clone().unwrap_or_default();
            match read_key_secret(secret, self.options.order) {
                Ok((key, certificate)) => {
                    if current.as_ref().is_none_or(|(order, _)| key.order > *order) {
                        current = Some((key.order, certificate.pem().to_owned()));
                    }
                    quarantined.remove(&name);
                    listed.push(key);
                }
                Err(problem) => {
                    if quarantined.insert(name.clone()) {
                        error!(secret = name, %problem, "this key Secret is unusable and left out; mend or relabel it");
                    }
                }
            }
        }
        drop(quarantined);
        let before = self.current();
        let gone = keys_outside(&before.ring, &listed);
        if !gone.is_empty() && gone.len() == before.ring.len() {
            warn!(
                "every sealing key Secret is gone; the keys in memory go on opening until this process ends"
            );
        }
        let ring = SealingKeyRing::new(listed.into_iter().chain(gone));
        let certificate = current.map(|(_, pem)| pem).or_else(|| before.certificate.clone());
        let same = fingerprints(&ring) == fingerprints(&before.ring) && certificate == before.certificate;
        if same {
            return;
        }
        let version = before.version + 1;
        info!(keys = ring.len(), "sealing keys loaded");
        *self.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Arc::new(Keys { ring, certificate, version });
        self.changed.send_replace(version);
    }

    /// Makes the first key if a fresh list shows that there is none. Only the leader calls this.
    ///
    /// # Errors
    /// Returns why the Secrets cannot be read or written, in words.
    pub async fn ensure(&self, guard: &WriteGuard) -> Result<(), String> {
        let claimed = self.refresh().await.map_err(|error| error.to_string())?;
        if !self.current().ring.is_empty() {
            return Ok(());
        }
        if claimed > 0 {
            return Err(format!(
                "none of the {claimed} sealing key Secrets is usable; no new key is made, since they may only need mending"
            ));
        }
        let spec = KeySpec {
            bits: self.options.bits,
            common_name: self.options.common_name.clone(),
            not_before: Timestamp::now().as_second(),
            lifetime: self.options.lifetime,
        };
        let pair = tokio::task::spawn_blocking(move || spec.generate())
            .await
            .map_err(|_| "key generation panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        let certificate = pair.certificate.clone();
        let secret = key_secret(&self.options.namespace, &self.options.prefix, pair);
        guard.check().map_err(|error| error.to_string())?;
        self.api
            .write(&Change::Create(secret), super::FIELD_MANAGER)
            .await
            .map_err(|error| error.to_string())?;
        info!("made the first sealing key; its certificate:\n{certificate}");
        self.refresh().await.map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Returns the keys of a ring whose Secrets are not listed any more; they order before all others, so that none of
/// them is the current one.
fn keys_outside(ring: &SealingKeyRing, listed: &[RingKey]) -> Vec<RingKey> {
    ring.iter()
        .filter(|key| listed.iter().all(|other| other.key.fingerprint() != key.fingerprint()))
        .map(|key| RingKey { key: Arc::clone(key), order: i64::MIN })
        .collect()
}

fn fingerprints(ring: &SealingKeyRing) -> Vec<&Fingerprint> {
    ring.iter().map(|key| key.fingerprint()).collect()
}
