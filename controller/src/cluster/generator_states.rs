//! GeneratorStates in a running cluster: what a generator left behind is taken back when its time has come.
//!
//! A state whose deadline has passed is deleted; one that is being deleted is taken back at the provider first, and only
//! then loses its finalizer. What cannot be taken back stays, with an event, until it has ended by itself: a generator
//! says when that is. Upstream sets a condition that its definition has no place for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::Method;
use futures::StreamExt;
use jiff::Timestamp;
use sealops_crds::generators::{GENERATOR_STATE_FINALIZER, GeneratorState};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::api::{AS_METADATA, JSON, SecretApi, resource_path};
use super::driver::{Shared, Term, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::metrics::{Metrics, ReconcileResult};
use super::queue::{Lane, Queue};
use super::watch::{Namespaces, Seen, objects};
use super::{FIELD_MANAGER, lock};
use crate::external::{StoreEnvironment, clean_up, expires};
use crate::object::ObjectKey;
use crate::outcome::Event;

const KIND: &str = "GeneratorState";
/// Longest time that is slept for a deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// States in work at once.
const WORKERS: usize = 4;
/// Time after its end at which a state counts as gone by itself: clocks differ.
const MARGIN: i64 = 60;
/// Seconds after its deletion at which a state goes although it could not be taken back: a namespace must not hang on a
/// provider that is gone.
const GIVE_UP: i64 = 24 * 3600;

/// Everything that the workers share.
pub struct StateDriver {
    shared: Shared,
    namespaces: Namespaces,
    environment: StoreEnvironment,
    known: Mutex<HashSet<ObjectKey>>,
    /// Failures that were told.
    said: Mutex<HashMap<ObjectKey, String>>,
}

impl StateDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        namespaces: Namespaces,
        environment: StoreEnvironment,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            namespaces,
            environment,
            known: Mutex::default(),
            said: Mutex::default(),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows GeneratorStates until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut states = objects::<GeneratorState>(&self.shared.client, &self.namespaces, None);
        while let Some(seen) = states.next().await {
            match seen {
                Seen::Applied(key, _) => {
                    lock(&self.known).insert(key.clone());
                    self.shared.queue.add(key, Lane::New);
                }
                Seen::Deleted(key) => self.forget(&key),
                Seen::Complete(listed) => {
                    let gone: Vec<_> =
                        lock(&self.known).iter().filter(|key| !listed.contains(*key)).cloned().collect();
                    gone.iter().for_each(|key| self.forget(key));
                }
            }
        }
    }

    fn forget(&self, key: &ObjectKey) {
        lock(&self.known).remove(key);
        lock(&self.said).remove(key);
        self.shared.queue.forget(key);
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let result = self.reconcile(&item.key, guard).await;
            let kind = match &result {
                Ok(None) | Err(()) => ReconcileResult::Unchanged,
                Ok(Some(_)) => ReconcileResult::Written,
            };
            let kind = if result.is_err() { ReconcileResult::Error } else { kind };
            self.shared.metrics.reconcile(KIND, kind);
            match result {
                Ok(wait) => {
                    self.shared.queue.forget(&item.key);
                    if let Some(wait) = wait {
                        self.shared.queue.add_after(item.key.clone(), Lane::Resync, wait.min(LONGEST_WAIT));
                    }
                }
                Err(()) => drop(self.shared.queue.failed(item.key.clone())),
            }
        }
    }

    /// Returns when to look again; an error is to be tried again.
    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Result<Option<Duration>, ()> {
        let state = match self.shared.api.object::<GeneratorState>(key).await {
            Ok(Some(state)) => state,
            Ok(None) => {
                self.forget(key);
                return Ok(None);
            }
            Err(error) => {
                debug!(%error, "cannot read the state of a generator");
                return Err(());
            }
        };
        let is_marked = state.metadata.finalizers.iter().any(|name| name == GENERATOR_STATE_FINALIZER);
        if state.metadata.deletion_timestamp.is_some() {
            return if is_marked { self.take_back(key, &state, guard).await } else { Ok(None) };
        }
        if !is_marked {
            self.mark(&state, true, guard).await?;
        }
        let Some(deadline) = state.spec.garbage_collection_deadline.as_deref() else { return Ok(None) };
        let Ok(deadline) = deadline.parse::<Timestamp>() else { return Ok(None) };
        let left = deadline.as_second() - Timestamp::now().as_second();
        if left > 0 {
            return Ok(Some(Duration::from_secs(left.unsigned_abs())));
        }
        guard.check().map_err(drop)?;
        let body = serde_json::json!({ "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": { "uid": state.metadata.uid } });
        let body = Some((JSON, body.to_string().into()));
        match self
            .shared
            .api
            .send(Method::DELETE, &resource_path::<GeneratorState>(key), body, AS_METADATA)
            .await
        {
            Err(refusal) if !refusal.is_not_found() => {
                debug!(object = %key, %refusal, "cannot delete the state of a generator");
                Err(())
            }
            _ => Ok(None),
        }
    }

    /// Takes back at the provider what is recorded, then lets the object go.
    async fn take_back(
        &self,
        key: &ObjectKey,
        state: &GeneratorState,
        guard: &WriteGuard,
    ) -> Result<Option<Duration>, ()> {
        guard.check().map_err(drop)?;
        let (resource, recorded) = (&state.spec.resource, &state.spec.state);
        let done = clean_up(resource, recorded, &key.namespace, &self.shared.reader, &self.environment).await;
        if let Err(problem) = done {
            let now = Timestamp::now().as_second();
            let deleted =
                state.metadata.deletion_timestamp.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
            let given_up = deleted.is_some_and(|deleted| deleted.as_second() + GIVE_UP < now);
            let ended = expires(recorded).is_some_and(|end| end + MARGIN < now);
            if !ended && !given_up {
                let text = format!("could not cleanup generator state: {problem}");
                if lock(&self.said).insert(key.clone(), text.clone()).as_ref() != Some(&text) {
                    warn!(object = %key, problem, "what a generator left behind cannot be taken back yet");
                    self.shared.say(state, &Event::warning("CleanupFailed", text));
                }
                return Err(());
            }
            if ended {
                info!(object = %key, problem, "what a generator left behind has ended by itself");
            } else {
                warn!(object = %key, problem, "what a generator left behind is given up");
                self.shared.say(state, &Event::warning("CleanupGivenUp", problem));
            }
        }
        self.mark(state, false, guard).await?;
        self.forget(key);
        Ok(None)
    }

    async fn mark(&self, state: &GeneratorState, on: bool, guard: &WriteGuard) -> Result<(), ()> {
        guard.check().map_err(drop)?;
        let others = state.metadata.finalizers.iter().filter(|name| *name != GENERATOR_STATE_FINALIZER);
        let next: Vec<String> =
            others.cloned().chain(on.then(|| GENERATOR_STATE_FINALIZER.to_owned())).collect();
        match self.shared.api.set_finalizers(state, &next, FIELD_MANAGER).await {
            Err(refusal) if !refusal.is_not_found() => Err(()),
            _ => Ok(()),
        }
    }
}

impl Term for StateDriver {
    /// One term of leadership: everything is looked at once, then what the watch and the clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known: Vec<ObjectKey> = lock(&self.known).iter().cloned().collect();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        futures::future::join_all((0..WORKERS).map(|_| self.work(guard))).await;
    }
}
