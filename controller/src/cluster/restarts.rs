//! Restarts of workloads in a running cluster (`--restart-workloads`): see [`crate::restarts`] for the rules.
//!
//! One patch for each change: changes within `COALESCE` are one, a workload is not restarted again within `AGAIN`,
//! and there are never more than a few restarts a second in all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::http::Method;
use futures::StreamExt;
use futures::stream::{self, BoxStream, SelectAll};
use k8s_openapi::api::core::v1::ObjectReference;
use sealops_crds::Metadata;
use sealops_formats::Plaintext;
use tokio::sync::{OnceCell, watch};
use tracing::{debug, info, warn};

use super::api::{AS_METADATA, MERGE, SecretApi};
use super::commit::commit;
use super::driver::{Term, terms};
use super::events::{EventKind, Recorder};
use super::leader::{Leadership, WriteGuard};
use super::metrics::{Metrics, ReconcileResult};
use super::queue::{Lane, Queue};
use super::watch::{Namespaces, Seen, manifests, secrets};
use super::{FIELD_MANAGER, lock};
use crate::object::{ManifestKind, ManifestObject, ObjectKey, SecretObject, ServedKind};
use crate::outcome::{Change, Outcome};
use crate::restarts::{RestartKey, Step, Wanted, decide, secrets_of, wanted};

/// What is restarted: group and version, kind.
const KINDS: [(&str, &str); 4] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("argoproj.io/v1alpha1", "Rollout"),
];
/// Name of this work in the metrics.
const KIND: &str = "Workload";
/// The Secret with the key of the hashes, in the controller's namespace.
const KEY_SECRET: &str = "sealops-restart-key";
const KEY_ENTRY: &str = "key";
const KEY_BYTES: usize = 32;
/// Time in which changes are one change.
const COALESCE: Duration = Duration::from_secs(3);
/// Time between two restarts of one workload.
const AGAIN: Duration = Duration::from_secs(60);
/// Pause after each restart.
const PAUSE: Duration = Duration::from_millis(200);
/// Wait before the API server is asked again for a kind that it does not serve.
const NOT_SERVED: Duration = Duration::from_secs(300);
/// Wait before it is asked again after it did not answer.
const NO_ANSWER: Duration = Duration::from_secs(5);

/// A workload: its place in [`KINDS`], namespace and name.
type Workload = (usize, ObjectKey);

/// Everything that the worker knows.
pub struct RestartDriver {
    api: SecretApi,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    namespaces: Namespaces,
    /// Namespace of the key.
    home: String,
    queue: Queue<Workload>,
    seen: Mutex<Watched>,
    key: OnceCell<RestartKey>,
}

/// What the watches have shown.
#[derive(Default)]
struct Watched {
    /// Workloads that ask for restarts.
    workloads: HashMap<Workload, Wanted>,
    /// Versions of Secrets.
    versions: HashMap<ObjectKey, String>,
    restarted: HashMap<Workload, Instant>,
}

enum News {
    Workload(usize, Seen<Metadata>),
    Secret(Seen<Metadata>),
}

impl Watched {
    /// Takes a Secret in; returns the workloads that may wait for it, if it is not the first sight.
    fn put_secret(&mut self, key: &ObjectKey, secret: &Metadata) -> Vec<Workload> {
        let version = secret.resource_version.clone().unwrap_or_default();
        match self.versions.insert(key.clone(), version.clone()) {
            Some(before) if before != version => self.waiting(key),
            // A Secret that comes back may be another one.
            None => self.waiting(key),
            Some(_) => Vec::new(),
        }
    }

    fn waiting(&self, secret: &ObjectKey) -> Vec<Workload> {
        let waits = |wanted: &Wanted| match wanted {
            Wanted::Auto => true,
            Wanted::Names(names) => names.contains(&secret.name),
        };
        let own = self
            .workloads
            .iter()
            .filter(|((_, key), wanted)| key.namespace == secret.namespace && waits(wanted));
        own.map(|(workload, _)| workload.clone()).collect()
    }

    fn put_workload(&mut self, workload: Workload, metadata: &Metadata) -> bool {
        match wanted(metadata).filter(|_| metadata.deletion_timestamp.is_none()) {
            None => {
                self.forget(&workload);
                false
            }
            Some(wanted) => self.workloads.insert(workload, wanted.clone()) != Some(wanted),
        }
    }

    fn forget(&mut self, workload: &Workload) {
        self.workloads.remove(workload);
        self.restarted.remove(workload);
    }

    /// Returns how long a workload has to wait since its last restart.
    fn wait(&self, workload: &Workload) -> Option<Duration> {
        AGAIN.checked_sub(self.restarted.get(workload)?.elapsed()).filter(|wait| !wait.is_zero())
    }
}

impl RestartDriver {
    /// Makes the driver; nothing runs yet. `home` is the controller's namespace.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        namespaces: Namespaces,
        home: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            api,
            metrics,
            recorder,
            namespaces,
            home,
            queue: Queue::new(|(_, key): &Workload| key.namespace.clone()),
            seen: Mutex::default(),
            key: OnceCell::new(),
        })
    }

    /// Takes no new work.
    pub fn shut_down(&self) {
        self.queue.shut_down(super::queue::Drain::Discard);
    }

    /// Follows workloads and Secrets until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let client = self.api.client();
        let mut news: SelectAll<BoxStream<'static, News>> = SelectAll::new();
        news.push(secrets(client, &self.namespaces, None).map(News::Secret).boxed());
        for index in 0..KINDS.len() {
            let driver = Arc::clone(&self);
            let begin = async move {
                let served = driver.wait_served(index).await;
                manifests(driver.api.client(), &driver.namespaces, &served, None)
            };
            let workloads = stream::once(begin).flatten();
            news.push(workloads.map(move |seen| News::Workload(index, seen)).boxed());
        }
        while let Some(seen) = news.next().await {
            match seen {
                News::Workload(index, seen) => self.saw_workload(index, seen),
                News::Secret(Seen::Applied(key, secret)) => {
                    let waiting = lock(&self.seen).put_secret(&key, &secret);
                    for workload in waiting {
                        self.queue.add_after(workload, Lane::Drift, COALESCE);
                    }
                }
                News::Secret(Seen::Deleted(key)) => drop(lock(&self.seen).versions.remove(&key)),
                News::Secret(Seen::Complete(listed)) => {
                    lock(&self.seen).versions.retain(|key, _| listed.contains(key));
                }
            }
        }
    }

    fn saw_workload(&self, index: usize, seen: Seen<Metadata>) {
        match seen {
            Seen::Applied(key, metadata) => {
                if lock(&self.seen).put_workload((index, key.clone()), &metadata) {
                    self.queue.add_after((index, key), Lane::Resync, COALESCE);
                }
            }
            Seen::Deleted(key) => self.forget(&(index, key)),
            Seen::Complete(listed) => {
                let gone: Vec<Workload> = {
                    let seen = lock(&self.seen);
                    let own =
                        seen.workloads.keys().filter(|(kind, key)| *kind == index && !listed.contains(key));
                    own.cloned().collect()
                };
                gone.iter().for_each(|workload| self.forget(workload));
            }
        }
    }

    fn forget(&self, workload: &Workload) {
        lock(&self.seen).forget(workload);
        self.queue.forget(workload);
    }

    async fn wait_served(&self, index: usize) -> ServedKind {
        let (version, kind) = KINDS[index];
        let kind = ManifestKind::new(version, kind);
        loop {
            let wait = match self.api.served(&kind).await {
                Ok(Some(served)) => return served,
                Ok(None) => NOT_SERVED,
                Err(error) => {
                    debug!(%kind, %error, "cannot find how a kind is served");
                    NO_ANSWER
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.queue.next().await {
            let wait = lock(&self.seen).wait(&item.key);
            if let Some(wait) = wait {
                self.queue.add_after(item.key.clone(), Lane::Drift, wait);
                continue;
            }
            let result = self.reconcile(&item.key, guard).await;
            let told = match result {
                Ok(true) => ReconcileResult::Written,
                Ok(false) => ReconcileResult::Unchanged,
                Err(()) => ReconcileResult::Error,
            };
            self.metrics.reconcile(KIND, told);
            match result {
                Ok(_) => self.queue.forget(&item.key),
                Err(()) => drop(self.queue.failed(item.key.clone())),
            }
        }
    }

    /// Returns whether the workload was written; an error is to be tried again.
    async fn reconcile(&self, workload: &Workload, guard: &WriteGuard) -> Result<bool, ()> {
        let (index, key) = workload;
        let (version, kind) = KINDS[*index];
        let failed =
            |error: &dyn std::fmt::Display| debug!(kind, object = %key, %error, "cannot look at a workload");
        let served =
            self.api.served(&ManifestKind::new(version, kind)).await.map_err(|error| failed(&error))?;
        let Some(served) = served else { return Ok(false) };
        let Some(object) = self.api.manifest(&served, key).await.map_err(|error| failed(&error))? else {
            self.forget(workload);
            return Ok(false);
        };
        let names = secrets_of(&object);
        if names.is_empty() || object.metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        let mut held = BTreeMap::new();
        for name in names {
            let secret = self.secret(&key.namespace, &name).await.map_err(|error| failed(&error))?;
            held.insert(name, secret);
        }
        let mac = self.key.get_or_try_init(|| self.load_key(guard)).await?;
        let (patch, changed) = match decide(&object, &held, mac) {
            Step::Nothing => return Ok(false),
            Step::Remember(patch) => (patch, Vec::new()),
            Step::Restart(patch, changed) => (patch, changed),
        };
        guard.check().map_err(drop)?;
        let path = self.api.manifest_path(&served, key);
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        let body = Some((MERGE, Plaintext::from(patch.to_string())));
        let written = self.api.send(Method::PATCH, &path, body, AS_METADATA).await;
        written.map_err(|refusal| warn!(kind, object = %key, %refusal, "a workload cannot be restarted"))?;
        if !changed.is_empty() {
            lock(&self.seen).restarted.insert(workload.clone(), Instant::now());
            info!(kind, object = %key, secrets = changed.join(","), "restarted, since a Secret has changed");
            self.say(&object, workload, &changed);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(true)
    }

    /// A name that no Secret can have is one that is not there.
    async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretObject>, crate::object::ReadError> {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.bytes().all(fits) {
            return Ok(None);
        }
        self.api.secret(&ObjectKey::new(namespace, name)).await
    }

    fn say(&self, object: &ManifestObject, (index, key): &Workload, changed: &[String]) {
        let (version, kind) = KINDS[*index];
        let reference = ObjectReference {
            api_version: Some(version.to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: object.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let text = format!("restarted, since these Secrets have changed: {}", changed.join(", "));
        self.recorder.record(&reference, EventKind::Normal, "Restarted", &text);
    }

    /// Reads the key, or makes it where there is none.
    async fn load_key(&self, guard: &WriteGuard) -> Result<RestartKey, ()> {
        let key = ObjectKey::new(self.home.as_str(), KEY_SECRET);
        for _ in 0..2 {
            let failed = |error: &dyn std::fmt::Display| warn!(%error, "the key for restarts cannot be had");
            let found = self.api.secret(&key).await.map_err(|error| failed(&error))?;
            if let Some(bytes) = found.as_ref().and_then(|secret| secret.data.get(KEY_ENTRY)) {
                return Ok(RestartKey::new(bytes));
            }
            if found.is_some() {
                warn!(secret = %key, "this Secret has no entry {KEY_ENTRY}: delete it, and it is made again");
                return Err(());
            }
            let mut bytes = [0; KEY_BYTES];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| failed(&"there are no random bytes"))?;
            let mut secret = SecretObject {
                metadata: Metadata::named(key.namespace.as_str(), KEY_SECRET),
                type_: Some("Opaque".to_owned()),
                ..SecretObject::default()
            };
            secret.data.insert(KEY_ENTRY.to_owned(), Plaintext::from(bytes.to_vec()));
            let made = commit(Outcome::one(Change::Create(secret)), &self.api, guard, FIELD_MANAGER).await;
            if let Err(error) = made {
                failed(&error);
            }
        }
        Err(())
    }
}

impl Term for RestartDriver {
    /// One term of leadership: every workload that asks is looked at once, then what the watches bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known: HashSet<Workload> = lock(&self.seen).workloads.keys().cloned().collect();
        known.into_iter().for_each(|workload| self.queue.add(workload, Lane::Resync));
        self.work(guard).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restarts::RESTART_ON;

    #[test]
    fn a_secret_reaches_those_that_wait_for_it() {
        let mut seen = Watched::default();
        let workload = |name: &str, on: Option<&str>| {
            let mut metadata = Metadata::named("shop", name);
            if let Some(on) = on {
                metadata.annotations_mut().insert(RESTART_ON.into(), on.into());
            }
            metadata
        };
        let key = |name: &str| (0, ObjectKey::new("shop", name));
        assert!(seen.put_workload(key("named"), &workload("named", Some("a,b"))));
        assert!(!seen.put_workload(key("named"), &workload("named", Some("a,b"))), "no news");
        assert!(seen.put_workload(key("auto"), &workload("auto", Some("auto"))));
        assert!(!seen.put_workload(key("none"), &workload("none", None)));
        let version = |text: &str| Metadata { resource_version: Some(text.into()), ..Metadata::default() };
        let secret = ObjectKey::new("shop", "a");
        seen.put_secret(&secret, &version("1"));
        assert!(seen.put_secret(&secret, &version("1")).is_empty());
        let mut waiting = seen.put_secret(&secret, &version("2"));
        waiting.sort();
        assert_eq!(waiting, [key("auto"), key("named")]);
        seen.put_secret(&ObjectKey::new("shop", "c"), &version("1"));
        assert_eq!(seen.put_secret(&ObjectKey::new("shop", "c"), &version("2")), [key("auto")]);
        assert!(seen.put_secret(&ObjectKey::new("else", "a"), &version("2")).is_empty());
        assert!(!seen.put_workload(key("named"), &workload("named", None)), "asks no more");
        assert_eq!(seen.waiting(&secret), [key("auto")]);
        seen.restarted.insert(key("auto"), Instant::now());
        assert!(seen.wait(&key("auto")).is_some() && seen.wait(&key("named")).is_none());
    }
}
