//! ExternalSecrets in a running cluster: the same seam as for SealedSecrets, with a clock.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use sealops_crds::{ExternalSecret, Metadata};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::api::{SecretApi, StatusWrite};
use super::commit::commit;
use super::driver::{Shared, Term, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{Metrics, ReconcileResult};
use super::queue::{Lane, Queue};
use super::watch::{Namespaces, Seen, objects, secrets};
use crate::external::{self, Decision, FINALIZER, Failure, MANAGED, Stores};
use crate::object::ObjectKey;
use crate::outcome::{CommitErrorKind, Retry};
use crate::templates::TemplateOptions;

const KIND: &str = "ExternalSecret";
/// Longest time that is slept for a refresh; a longer interval is looked at again in between.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Everything that the workers share.
pub struct ExternalDriver {
    shared: Shared,
    namespaces: Namespaces,
    workers: usize,
    stores: Arc<dyn Stores>,
    seen: Mutex<Watched>,
}

/// What the watches have shown: versions and names only.
#[derive(Default)]
struct Watched {
    /// Generation, labels and annotations decide whether an update is news.
    objects: HashMap<ObjectKey, (String, String)>,
    /// Which objects write a Secret.
    by_target: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl ExternalDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        namespaces: Namespaces,
        workers: usize,
        stores: Arc<dyn Stores>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            namespaces,
            workers,
            stores,
            seen: Mutex::default(),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows ExternalSecrets and their targets until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut external = objects::<ExternalSecret>(&self.shared.client, &self.namespaces, None);
        let label = format!("{MANAGED}=true");
        let mut targets = secrets(&self.shared.client, &self.namespaces, Some(&label));
        loop {
            tokio::select! {
                Some(seen) = external.next() => self.saw_external(seen),
                Some(seen) = targets.next() => self.saw_target(seen),
                else => return,
            }
        }
    }

    fn saw_external(&self, seen: Seen<ExternalSecret>) {
        match seen {
            Seen::Applied(key, object) => {
                let target = ObjectKey::new(key.namespace.as_str(), external::target_name(&object));
                let deleting = object.metadata.deletion_timestamp.is_some();
                let version = format!("{} {deleting}", external::object_version(&object));
                let uid = object.metadata.uid.unwrap_or_default();
                let mut seen = lock(&self.seen);
                seen.by_target.entry(target).or_default().insert(key.clone());
                let before = seen.objects.insert(key.clone(), (uid.clone(), version.clone()));
                drop(seen);
                if before != Some((uid, version)) {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.forget(&key),
            Seen::Complete(listed) => {
                let gone: Vec<ObjectKey> = outside(&lock(&self.seen).objects, &listed);
                gone.iter().for_each(|key| self.forget(key));
            }
        }
    }

    fn forget(&self, key: &ObjectKey) {
        let mut seen = lock(&self.seen);
        seen.objects.remove(key);
        seen.by_target.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
        drop(seen);
        self.shared.queue.forget(key);
    }

    /// Any change of a target is looked at; what we wrote ourselves turns out to be right and costs one GET.
    fn saw_target(&self, seen: Seen<Metadata>) {
        let by_target = &lock(&self.seen).by_target;
        let moved: Vec<ObjectKey> = match seen {
            Seen::Applied(target, _) | Seen::Deleted(target) => {
                by_target.get(&target).into_iter().flatten().cloned().collect()
            }
            // A target may have gone while the watch was away.
            Seen::Complete(listed) => by_target
                .iter()
                .filter(|(target, _)| !listed.contains(*target))
                .flat_map(|(_, keys)| keys)
                .cloned()
                .collect(),
        };
        moved.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Drift));
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let again = self.reconcile(&item.key, guard).await;
            let result = match &again {
                Again::After { wrote: true, .. } => ReconcileResult::Written,
                Again::After { .. } => ReconcileResult::Unchanged,
                Again::Backoff | Again::OnChange => ReconcileResult::Error,
            };
            self.shared.metrics.reconcile(KIND, result);
            match again {
                Again::After { wait, .. } => {
                    self.shared.queue.forget(&item.key);
                    if let Some(wait) = wait {
                        self.shared.queue.add_after(item.key.clone(), Lane::Resync, wait.min(LONGEST_WAIT));
                    }
                }
                Again::Backoff => {
                    self.shared.queue.failed(item.key.clone());
                }
                Again::OnChange => {}
            }
        }
    }

    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let object = match self.shared.api.object::<ExternalSecret>(key).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.forget(key);
                return Again::After { wait: None, wrote: false };
            }
            Err(error) => {
                debug!(%error, "cannot read the object");
                return Again::Backoff;
            }
        };
        let finalizers = &object.metadata.finalizers;
        let is_marked = finalizers.iter().any(|name| name == FINALIZER);
        let deleting = object.metadata.deletion_timestamp.is_some();
        if is_marked == deleting {
            let mut next: Vec<String> =
                finalizers.iter().filter(|name| *name != FINALIZER).cloned().collect();
            if !deleting {
                next.push(FINALIZER.to_owned());
            }
            if guard.check().is_err()
                || self.shared.api.set_finalizers(&object, &next, super::FIELD_MANAGER).await.is_err()
            {
                return Again::Backoff;
            }
        }
        if deleting {
            return Again::After { wait: None, wrote: false };
        }
        self.synchronise(key, &object, guard).await
    }

    /// Decides what to write; `None` where the thread that renders was lost. Templates may take seconds of processor
    /// time, so they run where no other worker waits for them.
    async fn decide(&self, object: &ExternalSecret, now: i64) -> Option<Result<Decision, Failure>> {
        let templates = TemplateOptions { allow_random_functions: true };
        let reader = self.shared.reader.clone();
        let stores = Arc::clone(&self.stores);
        if !external::renders(object) {
            return Some(external::reconcile(object, &reader, stores.as_ref(), now, templates).await);
        }
        let object = object.clone();
        let runtime = tokio::runtime::Handle::current();
        let work =
            move || runtime.block_on(external::reconcile(&object, &reader, stores.as_ref(), now, templates));
        tokio::task::spawn_blocking(work).await.ok()
    }

    async fn synchronise(&self, key: &ObjectKey, object: &ExternalSecret, guard: &WriteGuard) -> Again {
        let started = Timestamp::now();
        let manager = external::field_manager(&key.name);
        let result = match self.decide(object, started.as_second()).await {
            None => return Again::Backoff,
            Some(Err(failure)) => Err(failure),
            Some(Ok(decision)) => {
                let wait = decision.outcome.again;
                match commit(decision.outcome, &self.shared.api, guard, &manager.replace('/', "%2F")).await {
                    Ok(committed) => Ok((committed, decision.fetched, wait)),
                    Err(error)
                        if matches!(error.kind, CommitErrorKind::Conflict | CommitErrorKind::NotLeader) =>
                    {
                        return Again::Backoff;
                    }
                    Err(error) => Err(Failure::commit(&error)),
                }
            }
        };
        let now = started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let report = match &result {
            Ok((committed, fetched, _)) => {
                let change = committed.change.as_ref().map(|(change, _)| change);
                external::report(object, Ok((*fetched, change)), &now)
            }
            Err(failure) => {
                warn!(object = %key, problem = failure.cause, "not synchronised");
                external::report(object, Err(failure), &now)
            }
        };
        if let Some(event) = &report.event {
            self.shared.say(object, event);
        }
        if let Some(status) = report.status
            && !self.shared.write_status(object, &status, StatusWrite::Apply, guard).await
        {
            return Again::Backoff;
        }
        match result {
            Ok((committed, _, wait)) => Again::After { wait, wrote: committed.change.is_some() },
            Err(failure) if failure.retry == Retry::OnChange => Again::OnChange,
            Err(_) => Again::Backoff,
        }
    }
}

impl Term for ExternalDriver {
    /// One term of leadership: everything is looked at once, then what the watches and the clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known: Vec<ObjectKey> = lock(&self.seen).objects.keys().cloned().collect();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        futures::future::join_all((0..self.workers).map(|_| self.work(guard))).await;
    }
}

/// When to look again.
enum Again {
    /// All is well.
    After {
        /// `None` waits for a change.
        wait: Option<Duration>,
        /// Whether the Secret was written.
        wrote: bool,
    },
    /// It failed.
    Backoff,
    /// It failed, and only a change of the object helps.
    OnChange,
}

fn outside<V>(known: &HashMap<ObjectKey, V>, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
    known.keys().filter(|key| !listed.contains(*key)).cloned().collect()
}
