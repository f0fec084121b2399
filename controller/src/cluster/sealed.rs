//! SealedSecrets in a running cluster: watches feed the index, the index feeds the queue, workers reconcile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use sealops_crds::sealed_secret::SYNCED;
use sealops_crds::{Metadata, SealedSecret};
use sealops_crypto::sealing::Fingerprint;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, info, warn};

use super::commit::commit;
use super::driver::{Shared, Term, terms};
use super::events::Recorder;
use super::index::{Index, News, SealedView, SecretView, instance_of};
use super::keys::{KeyManager, Keys};
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ConditionValue, Metrics, ReconcileResult, UnsealErrorReason};
use super::queue::{Lane, Queue};
use super::shards::{Proofs, ShardStore};
use super::watch::{Namespaces, Seen, objects, secrets};
use crate::HINT_ANNOTATION;
use crate::object::{ClusterReader, ObjectKey};
use crate::outcome::{CommitErrorKind, Retry};
use crate::sealed::{self, Failure, FailureReason, InSync, OpenOptions, Opened, Proof, TargetVersion};

/// How SealedSecrets are handled.
#[derive(Debug, Clone)]
pub struct SealedOptions {
    /// Which namespaces.
    pub namespaces: Namespaces,
    /// Whether status is written.
    pub update_status: bool,
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

/// How a reconcile ended.
enum Done {
    /// The object is as it should be, or gone.
    Settled(ReconcileResult),
    /// It failed; another try may help.
    Again,
    /// It failed; only a change helps.
    Stuck,
}

const KIND: &str = "SealedSecret";
/// How long shards gather changes before they are written.
const SHARD_PAUSE: Duration = Duration::from_secs(2);
/// Between two attempts to get a sealing key.
const KEY_PAUSE: Duration = Duration::from_secs(2);

impl SealedDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        client: Client,
        keys: Arc<KeyManager>,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        options: SealedOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(client, metrics, recorder),
            keys,
            index: Mutex::default(),
            proofs: Mutex::default(),
            failed: Mutex::default(),
            rsa: Arc::new(Semaphore::new(options.rsa_threads.max(1))),
            complete: watch::channel((false, false)).0,
            options,
        })
    }

    /// Returns the queue, to wait for it and to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Returns whether both watches have shown everything once.
    pub fn is_complete(&self) -> bool {
        *self.complete.borrow() == (true, true)
    }

    /// Folds both watches into the index until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut sealed = objects::<SealedSecret>(&self.shared.client, &self.options.namespaces);
        let mut targets = secrets(&self.shared.client, &self.options.namespaces, None);
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
            Seen::Deleted(key) => self.forget(&key),
            Seen::Complete(listed) => {
                let gone = lock(&self.index).sealed_outside(&listed);
                gone.iter().for_each(|key| self.forget(key));
                self.complete.send_modify(|complete| complete.0 = true);
            }
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

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let done = self.reconcile(&item.key, guard).await;
            match done {
                Done::Settled(result) => {
                    self.shared.metrics.reconcile(KIND, result);
                    self.shared.queue.forget(&item.key);
                }
                Done::Stuck => self.shared.metrics.reconcile(KIND, ReconcileResult::Error),
                Done::Again => {
                    self.shared.metrics.reconcile(KIND, ReconcileResult::Error);
                    self.shared.queue.failed(item.key.clone());
                }
            }
        }
    }

    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Done {
        let object = match self.shared.api.object::<SealedSecret>(key).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.forget(key);
                return Done::Settled(ReconcileResult::Unchanged);
            }
            Err(error) => {
                debug!(%error, "cannot read the object");
                self.shared.metrics.unseal_error(UnsealErrorReason::Fetch, &key.namespace);
                return Done::Again;
            }
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Done::Settled(ReconcileResult::Unchanged);
        }
        let keys = self.keys.current();
        let spec = sealed::spec_hash(&object);
        let known = lock(&self.failed).get(key).cloned();
        let repeats =
            known.is_some_and(|known| known.repeats && known.spec == spec && known.keys == keys.version);
        if repeats && says_failed(&object) {
            return Done::Stuck; // the same values and the same keys give the same failure
        }
        self.shared.metrics.unseal_request();
        let result = self.bring_about(key, &object, &keys, guard).await;
        if matches!(&result, Err(Stop::Silent)) {
            return Done::Again;
        }
        self.report(key, &object, result, spec, &keys, guard).await
    }

    /// Makes the target true. Returns whether it was written.
    async fn bring_about(
        &self,
        key: &ObjectKey,
        object: &SealedSecret,
        keys: &Arc<Keys>,
        guard: &WriteGuard,
    ) -> Result<bool, Stop> {
        let proof = lock(&self.proofs).get(key).cloned();
        if let Some(proof) = &proof
            && self.is_proved(key, object, proof, keys).await?
        {
            return Ok(false);
        }
        let hint = proof.as_ref().map(Proof::key).or_else(|| hint_of(object));
        let opened = self.open(object, keys, hint).await?;
        let used = opened.key.clone();
        let made_by_us = proof.as_ref().filter(|proof| Some(&proof.uid) == object.metadata.uid.as_ref());
        let made_by_us = made_by_us.map(|proof| proof.target.uid.clone());
        let namespace = self.shared.reader.in_namespace(&key.namespace);
        let existing = namespace.secret(&key.name).await.map_err(|error| Failure::read(&error))?;
        let present = existing.as_ref().map(|secret| (secret.duplicate(), version_of(&secret.metadata)));
        let outcome = sealed::decide(object, opened.secret, existing, made_by_us.as_deref())?;
        let committed = commit(outcome, &self.shared.api, guard, super::FIELD_MANAGER).await.map_err(
            |error| match error.kind {
                CommitErrorKind::Conflict | CommitErrorKind::NotLeader => Stop::Silent,
                _ => Stop::Failed(Failure::commit(&key.namespace, &key.name, &error)),
            },
        )?;
        let wrote = committed.change.is_some();
        let proof = match (&committed.change, present) {
            (Some((change, version)), _) => {
                Proof::make(object, change.secret(), version.clone(), used.as_ref(), &keys.ring)
            }
            (None, Some((secret, version))) => {
                Proof::make(object, &secret, version, used.as_ref(), &keys.ring)
            }
            (None, None) => None,
        };
        lock(&self.proofs).set(key, proof);
        Ok(wrote)
    }

    /// Compares the target with a proof of the same spec: no RSA.
    async fn is_proved(
        &self,
        key: &ObjectKey,
        object: &SealedSecret,
        proof: &Proof,
        keys: &Arc<Keys>,
    ) -> Result<bool, Stop> {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let target = lock(&self.index).secret(key).map(|secret| secret.version.clone());
        let spec = sealed::spec_hash(object);
        if proof.judge(uid, &spec, target.as_ref(), &keys.ring) == InSync::Unknown {
            return Ok(false);
        }
        let secret = self.shared.api.secret(key).await.map_err(|error| Failure::read(&error))?;
        let Some(secret) = secret else { return Ok(false) };
        let renewed = proof.renewed(&secret, version_of(&secret.metadata), &keys.ring);
        let proved = renewed.is_some();
        if proved {
            lock(&self.proofs).set(key, renewed);
        }
        Ok(proved)
    }

    async fn open(
        &self,
        object: &SealedSecret,
        keys: &Arc<Keys>,
        hint: Option<Fingerprint>,
    ) -> Result<Opened, Failure> {
        let (object, keys, options) = (object.clone(), Arc::clone(keys), self.options.open);
        let _permit = self.rsa.acquire().await;
        let opened =
            tokio::task::spawn_blocking(move || sealed::open(&object, &keys.ring, hint.as_ref(), options))
                .await;
        let opened =
            opened.unwrap_or_else(|_| Err(Failure::unseal("an internal error occurred while unsealing")));
        if let Ok(opened) = &opened {
            self.shared.metrics.rsa_operations(u32::try_from(opened.rsa_operations).unwrap_or(u32::MAX));
        }
        opened
    }

    async fn report(
        &self,
        key: &ObjectKey,
        object: &SealedSecret,
        result: Result<bool, Stop>,
        spec: String,
        keys: &Keys,
        guard: &WriteGuard,
    ) -> Done {
        let wrote = matches!(result, Ok(true));
        let failure = match result {
            Err(Stop::Failed(failure)) => Some(failure),
            _ => None,
        };
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let report = sealed::report(object, failure.as_ref().map_or(Ok(()), Err), wrote, &now);
        self.count(key, object, failure.as_ref());
        let mut status_written = true;
        if let Some(status) = report.status.filter(|_| self.options.update_status) {
            status_written = self.shared.write_status(object, &status, guard).await;
        }
        if !status_written {
            self.shared.metrics.unseal_error(UnsealErrorReason::Status, &key.namespace);
        }
        if let Some(event) = report.event {
            self.shared.say(object, &event);
        }
        match failure {
            None => {
                lock(&self.failed).remove(key);
                let result = if wrote { ReconcileResult::Written } else { ReconcileResult::Unchanged };
                if status_written { Done::Settled(result) } else { Done::Again }
            }
            Some(failure) => {
                // The same values and keys give the same failure; everything else is tried again, ever more slowly.
                let repeats = failure.reason == FailureReason::Unseal && failure.retry == Retry::OnChange;
                let failed = Failed { spec, keys: keys.version, reason: failure.reason, repeats };
                lock(&self.failed).insert(key.clone(), failed);
                let waits = repeats && status_written && self.keys.current().version == keys.version;
                if waits { Done::Stuck } else { Done::Again }
            }
        }
    }

    fn count(&self, key: &ObjectKey, object: &SealedSecret, failure: Option<&Failure>) {
        let value = if failure.is_none() { ConditionValue::True } else { ConditionValue::False };
        self.shared.metrics.condition(&key.namespace, &key.name, "Synced", instance_of(object), value);
        if let Some(failure) = failure {
            let reason = match failure.reason {
                FailureReason::Fetch => UnsealErrorReason::Fetch,
                FailureReason::Unmanaged => UnsealErrorReason::Unmanaged,
                FailureReason::Unseal => UnsealErrorReason::Unseal,
                FailureReason::Update => UnsealErrorReason::Update,
            };
            self.shared.metrics.unseal_error(reason, &key.namespace);
            warn!(object = %key, reason = ?failure.reason, problem = failure.message, "not unsealed");
        }
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
        let workers = (0..self.options.workers).map(|_| self.work(guard)).collect::<Vec<_>>();
        tokio::select! {
            _ = futures::future::join_all(workers) => {}
            () = self.save_shards(&mut store, guard) => {}
            () = self.follow_keys() => {}
        }
        store.save(&self.proofs).await;
    }
}

/// Why making the target true stopped.
enum Stop {
    /// It failed, and the status says so.
    Failed(Failure),
    /// Somebody else was faster, or leads: read again, say nothing.
    Silent,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Returns whether the stored status says that this very generation has failed.
fn says_failed(object: &SealedSecret) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation == object.metadata.generation
            && status
                .conditions
                .iter()
                .any(|condition| condition.type_ == SYNCED && condition.status == "False")
    })
}

fn hint_of(object: &SealedSecret) -> Option<Fingerprint> {
    object.metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text))
}

fn version_of(metadata: &Metadata) -> TargetVersion {
    TargetVersion {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
    }
}
