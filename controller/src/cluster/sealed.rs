//! SealedSecrets in a running cluster: watches feed the index, the index feeds the queue, workers reconcile.

mod reconcile;
mod reporting;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use sealops_crds::{Metadata, SealedSecret};
use tokio::sync::{Semaphore, watch};
use tracing::{info, warn};

use super::api::{SecretApi, StatusWrite};
use super::driver::{Shared, Term, all_of, terms};
use super::events::Recorder;
use super::index::{Index, News, SealedView, SecretView};
use super::keys::KeyManager;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ConditionValue, Metrics};
use super::queue::{Lane, Queue};
use super::shards::{Proofs, ShardStore};
use super::watch::{Namespaces, Seen, objects, secrets};
use crate::object::ObjectKey;
use crate::sealed::{FailureReason, InSync, OpenOptions};

/// How SealedSecrets are handled.
#[derive(Debug, Clone)]
pub struct SealedOptions {
    /// Which namespaces.
    pub namespaces: Namespaces,
    /// Only objects, and targets, with these labels.
    pub labels: Option<String>,
    /// Whether targets are watched, so that one which is deleted is made again: not `--skip-recreate`.
    pub watch_targets: bool,
    /// Whether the target of an object that goes is deleted by us, and not by Kubernetes alone: `--old-gc-behavior`.
    pub delete_targets: bool,
    /// Whether status is written, and how.
    pub status: Option<StatusWrite>,
    /// Failures in a row after which the status says that trying again does not help; it goes on all the same.
    pub patience: u32,
    /// How objects are opened.
    pub open: OpenOptions,
    /// Workers that talk to the API server at once.
    pub workers: usize,
    /// RSA operations at once.
    pub rsa_threads: usize,
}

/// Everything that the workers share.
pub struct SealedDriver {
    shared: Shared,
    keys: Arc<KeyManager>,
    options: SealedOptions,
    index: Mutex<Index>,
    proofs: Mutex<Proofs>,
    failed: Mutex<HashMap<ObjectKey, Failed>>,
    /// Objects that are gone, where their targets are ours to delete.
    gone: Mutex<HashMap<ObjectKey, Gone>>,
    rsa: Arc<Semaphore>,
    complete: watch::Sender<(bool, bool)>,
}

/// A failure that the same input would repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failed {
    spec: String,
    keys: u64,
    reason: FailureReason,
    repeats: bool,
}

/// An object that is gone.
#[derive(Debug, Clone)]
struct Gone {
    uid: String,
    /// Uid of the Secret that was made for it, where that is recorded.
    made: Option<String>,
}

const KIND: &str = "SealedSecret";
/// How long shards gather changes before they are written.
const SHARD_PAUSE: Duration = Duration::from_secs(2);
/// Between two attempts to get a sealing key.
const KEY_PAUSE: Duration = Duration::from_secs(2);

impl SealedDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        keys: Arc<KeyManager>,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        options: SealedOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            keys,
            index: Mutex::default(),
            proofs: Mutex::default(),
            failed: Mutex::default(),
            gone: Mutex::default(),
            rsa: Arc::new(Semaphore::new(options.rsa_threads.max(1))),
            complete: watch::channel((false, !options.watch_targets)).0,
            options,
        })
    }

    /// Returns the queue, to wait for it and to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Returns the permits for RSA operations, which the HTTP interface shares.
    pub fn rsa(&self) -> Arc<Semaphore> {
        Arc::clone(&self.rsa)
    }

    /// Returns whether both watches have shown everything once.
    pub fn is_complete(&self) -> bool {
        *self.complete.borrow() == (true, true)
    }

    /// Folds both watches into the index until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let (client, namespaces) = (&self.shared.client, &self.options.namespaces);
        let labels = self.options.labels.as_deref();
        let mut sealed = objects::<SealedSecret>(client, namespaces, labels);
        let mut targets = if self.options.watch_targets {
            secrets(client, namespaces, labels)
        } else {
            futures::stream::pending().boxed()
        };
        loop {
            tokio::select! {
                Some(seen) = sealed.next() => self.saw_sealed(seen),
                Some(seen) = targets.next() => self.saw_secret(seen),
                else => return,
            }
        }
    }

    fn saw_sealed(&self, seen: Seen<SealedSecret>) {
        match seen {
            Seen::Applied(key, object) => {
                let news = lock(&self.index).apply_sealed(key.clone(), SealedView::of(&object));
                if news == News::Changed && self.is_complete() {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.sealed_gone(&key),
            Seen::Complete(listed) => {
                let gone = lock(&self.index).sealed_outside(&listed);
                gone.iter().for_each(|key| self.sealed_gone(key));
                self.complete.send_modify(|complete| complete.0 = true);
            }
        }
    }

    fn sealed_gone(&self, key: &ObjectKey) {
        let uid = lock(&self.index).sealed(key).map(|view| view.uid.clone());
        let made = lock(&self.proofs).get(key).map(|proof| (proof.uid.clone(), proof.target.uid.clone()));
        self.forget(key);
        if let Some(uid) = uid.filter(|_| self.options.delete_targets) {
            let made = made.filter(|(by, _)| *by == uid).map(|(_, made)| made);
            lock(&self.gone).insert(key.clone(), Gone { uid, made });
            self.shared.queue.add(key.clone(), Lane::New);
        }
    }

    fn forget(&self, key: &ObjectKey) {
        lock(&self.index).remove_sealed(key);
        lock(&self.proofs).set(key, None);
        lock(&self.failed).remove(key);
        self.shared.queue.forget(key);
        self.shared.metrics.remove_condition(&key.namespace, &key.name);
    }

    fn saw_secret(&self, seen: Seen<Metadata>) {
        match seen {
            Seen::Applied(key, metadata) => {
                let news = lock(&self.index).apply_secret(key.clone(), SecretView::of(&metadata));
                // A Secret that somebody edits stays edited, as upstream; one that was in the way may be out of it.
                if news == News::TargetMoved && self.is_complete() && lock(&self.failed).contains_key(&key) {
                    self.shared.queue.add(key, Lane::Drift);
                }
            }
            Seen::Deleted(key) => self.secret_gone(key),
            Seen::Complete(listed) => {
                let gone = lock(&self.index).secrets_outside(&listed);
                gone.into_iter().for_each(|key| self.secret_gone(key));
                self.complete.send_modify(|complete| complete.1 = true);
            }
        }
    }

    fn secret_gone(&self, key: ObjectKey) {
        let mut index = lock(&self.index);
        let was_target = index.secret(&key).is_some_and(|secret| index.was_target(&key, secret));
        let news = index.remove_secret(&key);
        drop(index);
        let waits = lock(&self.failed).contains_key(&key);
        if news == News::TargetMoved && (was_target || waits) && self.is_complete() {
            self.shared.queue.add(key, Lane::New);
        }
    }

    /// Works while this process leads: one term after the other. After `stop` the workers finish what they have in
    /// hand (shut the queue down as well), and this ends.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    /// Waits for a key and for both watches, and reads the stored proofs.
    async fn prepare(&self, guard: &WriteGuard, store: &mut ShardStore) {
        while let Err(problem) = self.keys.ensure(guard).await {
            warn!(problem, "no sealing key yet; trying again");
            tokio::time::sleep(KEY_PAUSE).await;
        }
        let mut complete = self.complete.subscribe();
        // The sender lives as long as `self`.
        let _ = complete.wait_for(|complete| *complete == (true, true)).await;
        *lock(&self.proofs) = store.load().await;
    }

    /// Queues every object that is not provably in sync. Costs no request.
    fn enqueue_everything(&self) -> (usize, usize) {
        let keys = self.keys.current();
        let index = lock(&self.index);
        let mut proofs = lock(&self.proofs);
        let mut waiting = 0;
        let mut total = 0;
        for (key, view) in index.all_sealed() {
            total += 1;
            let target = index.secret(key).map(|secret| &secret.version);
            let judged = proofs.get(key).map(|proof| proof.judge(&view.uid, &view.spec, target, &keys.ring));
            if judged == Some(InSync::Yes) && view.says_synced {
                self.shared.metrics.condition(
                    &key.namespace,
                    &key.name,
                    "Synced",
                    &view.instance,
                    ConditionValue::True,
                );
                continue;
            }
            // A proof of another state still names the key to try first; one that is not authentic says nothing.
            if proofs.get(key).is_some_and(|proof| !proof.is_authentic(&keys.ring)) {
                proofs.set(key, None);
            }
            self.shared.queue.add(key.clone(), Lane::Resync);
            waiting += 1;
        }
        (total, waiting)
    }

    async fn save_shards(&self, store: &mut ShardStore, guard: &WriteGuard) {
        loop {
            tokio::time::sleep(SHARD_PAUSE).await;
            self.shared.metrics.queue_length(KIND, self.shared.queue.len());
            if guard.check().is_ok() {
                store.save(&self.proofs).await;
            }
        }
    }

    /// A new key may open what failed.
    async fn follow_keys(&self) {
        let mut changes = self.keys.changes();
        while changes.changed().await.is_ok() {
            let waiting: Vec<ObjectKey> = lock(&self.failed)
                .iter()
                .filter(|(_, failed)| failed.reason == FailureReason::Unseal)
                .map(|(key, _)| key.clone())
                .collect();
            waiting.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Drift));
        }
        std::future::pending::<()>().await;
    }
}

impl Term for SealedDriver {
    /// One term of leadership: keys, state, one comparison of everything, then the workers' queue.
    async fn term(&self, guard: &WriteGuard, mut stop: watch::Receiver<bool>) {
        let mut store = ShardStore::new(self.shared.client.clone(), self.keys.namespace());
        tokio::select! {
            () = self.prepare(guard, &mut store) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let (total, waiting) = self.enqueue_everything();
        info!(objects = total, to_do = waiting, "leading; compared all SealedSecrets with what they became");
        let workers = (0..self.options.workers).map(|_| self.work(guard));
        tokio::select! {
            () = all_of(workers) => {}
            () = self.save_shards(&mut store, guard) => {}
            () = self.follow_keys() => {}
            () = self.keys.renew(guard) => {}
        }
        store.save(&self.proofs).await;
    }
}
