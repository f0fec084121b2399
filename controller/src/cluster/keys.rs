//! The sealing keys of a running controller: read from Secrets, made when there is none or it is time, swapped as a
//! whole.
//!
//! A new key counts from the moment in which it is read back from the API server: nothing is ever sealed for a key that
//! is not stored. So a kill at any moment of a renewal leaves either no new key or one.

mod renewal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use sealops_crds::sealed_secret::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use sealops_crypto::sealing::{Fingerprint, KeySpec, RingKey, SealingKeyRing};
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use super::api::SecretApi;
use super::events::{EventKind, Recorder};
use super::leader::WriteGuard;
use super::metrics::Metrics;
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
    /// Age at which the current key gets a successor; `None` never.
    pub renew_after: Option<Duration>,
    /// A current key from before this time (seconds since 1970) gets a successor at start.
    pub cutoff: Option<i64>,
    /// More labels for the Secrets of new keys.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the Secrets of new keys.
    pub annotations: BTreeMap<String, String>,
}

/// The keys at one moment.
#[derive(Debug, Default)]
pub struct Keys {
    /// Every key that opens. A key whose Secret went is kept until the process ends.
    pub ring: SealingKeyRing,
    /// Certificate of the current key, in PEM.
    pub certificate: Option<String>,
    /// Ordering time of the current key, in seconds since 1970.
    pub current_since: Option<i64>,
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
    recorder: Recorder,
    metrics: Arc<Metrics>,
    cutoff_done: AtomicBool,
    asked: Notify,
}

/// Reason of the event on a key Secret that is left out.
const QUARANTINED: &str = "SealingKeyUnusable";

impl KeyManager {
    /// Makes a manager without keys.
    pub fn new(api: SecretApi, options: KeyOptions, recorder: Recorder, metrics: Arc<Metrics>) -> Self {
        Self {
            api,
            options,
            keys: RwLock::default(),
            changed: watch::channel(0).0,
            quarantined: std::sync::Mutex::default(),
            recorder,
            metrics,
            cutoff_done: AtomicBool::new(false),
            asked: Notify::new(),
        }
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
                    if quarantined.insert(name) {
                        self.report_unusable(secret, &problem.to_string());
                    }
                }
            }
        }
        quarantined.retain(|name| secrets.iter().any(|own| own.metadata.name.as_ref() == Some(name)));
        self.metrics.sealing_keys(listed.len(), quarantined.len());
        drop(quarantined);
        let before = self.current();
        let gone = keys_outside(&before.ring, &listed);
        if !gone.is_empty() && gone.len() == before.ring.len() {
            warn!(
                "every sealing key Secret is gone; the keys in memory go on opening until this process ends"
            );
        }
        let ring = SealingKeyRing::new(listed.into_iter().chain(gone));
        let (current_since, certificate) = match current {
            Some((order, pem)) => (Some(order), Some(pem)),
            None => (before.current_since, before.certificate.clone()),
        };
        let same = fingerprints(&ring) == fingerprints(&before.ring) && certificate == before.certificate;
        if same {
            return;
        }
        let version = before.version + 1;
        info!(keys = ring.len(), "sealing keys loaded");
        *self.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Arc::new(Keys { ring, certificate, current_since, version });
        self.changed.send_replace(version);
    }

    /// Says once, to whoever can mend it, that a key Secret is left out.
    fn report_unusable(&self, secret: &SecretObject, problem: &str) {
        let metadata = &secret.metadata;
        error!(
            secret = metadata.name.as_deref().unwrap_or_default(),
            problem, "this key Secret is unusable and left out; mend or relabel it"
        );
        let reference = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            field_path: None,
        };
        let text = format!(
            "this sealing key is left out, the others go on: {problem}; restore it from a backup, or set its label {SEALING_KEY_LABEL} to another value than {SEALING_KEY_ACTIVE}"
        );
        self.recorder.record(&reference, EventKind::Warning, QUARANTINED, &text);
    }

    /// Makes the first key if a fresh list shows that there is none, or a successor of one from before the cut-off.
    /// Only the leader calls this.
    ///
    /// # Errors
    /// Returns why the Secrets cannot be read or written, in words.
    pub async fn ensure(&self, guard: &WriteGuard) -> Result<(), String> {
        let claimed = self.refresh().await.map_err(|error| error.to_string())?;
        let keys = self.current();
        if keys.ring.is_empty() && claimed > 0 {
            return Err(format!(
                "none of the {claimed} sealing key Secrets is usable; no new key is made, since they may only need mending"
            ));
        }
        let before_cutoff =
            self.options.cutoff.is_some_and(|cutoff| keys.current_since.is_some_and(|since| since < cutoff));
        if keys.ring.is_empty() || (before_cutoff && !self.cutoff_done.load(Ordering::Relaxed)) {
            self.make(guard).await?;
        }
        self.cutoff_done.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a key, stores it, and reads it back.
    async fn make(&self, guard: &WriteGuard) -> Result<(), String> {
        let spec = KeySpec {
            bits: self.options.bits,
            common_name: self.options.common_name.clone(),
            not_before: self.successor_time().await,
            lifetime: self.options.lifetime,
        };
        let pair = tokio::task::spawn_blocking(move || spec.generate())
            .await
            .map_err(|_| "key generation panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        let certificate = pair.certificate.clone();
        let mut secret = key_secret(&self.options.namespace, &self.options.prefix, pair);
        for (name, value) in &self.options.labels {
            secret.metadata.labels_mut().entry(name.clone()).or_insert_with(|| value.clone());
        }
        secret.metadata.annotations_mut().extend(self.options.annotations.clone());
        guard.check().map_err(|error| error.to_string())?;
        self.api
            .write(&Change::Create(secret), super::FIELD_MANAGER)
            .await
            .map_err(|error| error.to_string())?;
        info!(namespace = self.options.namespace, "New key written");
        info!(certificate, "Certificate generated");
        self.refresh().await.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Returns the time from which a new key counts. Of two keys of one second the older stays the current one, so a
    /// key is not made in the second of its predecessor.
    async fn successor_time(&self) -> i64 {
        let since = self.current().current_since;
        let now = Timestamp::now().as_second();
        if since == Some(now) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        } else if since.is_some_and(|since| since > now) {
            warn!(
                "the current sealing key is from the future (a clock was wrong); a new key counts only then"
            );
        }
        Timestamp::now().as_second()
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
