//! What the drivers of both kinds have in common.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use sealops_crds::CustomResource;
use serde::Serialize;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::FIELD_MANAGER;
use super::api::{SecretApi, StatusWrite};
use super::events::{EventKind, Recorder};
use super::leader::{Leadership, WriteGuard};
use super::metrics::Metrics;
use super::queue::Queue;
use super::reader::LiveReader;
use crate::object::ObjectKey;
use crate::outcome::Event;

/// Longest time that is slept for an object; a longer interval is looked at again in between.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The parts that every worker uses.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) api: SecretApi,
    pub(super) reader: LiveReader,
    pub(super) metrics: Arc<Metrics>,
    pub(super) queue: Queue<ObjectKey>,
    recorder: Recorder,
}

impl Shared {
    pub(super) fn new(api: SecretApi, metrics: Arc<Metrics>, recorder: Recorder) -> Self {
        let client = api.client().clone();
        let queue = Queue::new(|key: &ObjectKey| key.namespace.clone());
        Self { reader: LiveReader::new(api.clone()), client, api, metrics, queue, recorder }
    }

    /// Writes a status while this process leads. Returns whether it is stored, or its object is gone or another one.
    pub(super) async fn write_status<T: CustomResource>(
        &self,
        object: &T,
        status: &impl Serialize,
        how: StatusWrite,
        guard: &WriteGuard,
    ) -> bool {
        let Ok(status) = serde_json::to_value(status) else { return false };
        if guard.check().is_err() {
            return false;
        }
        match self.api.write_status(object, status, how, FIELD_MANAGER).await {
            Ok(()) => true,
            Err(refusal) if refusal.is_not_found() => true,
            // Applied: another object of the name. Replaced: a newer version of this one, which is read again.
            Err(refusal) if refusal.is_conflict() => how == StatusWrite::Apply,
            Err(refusal) => {
                debug!(object = %ObjectKey::of(object.metadata()), %refusal, "cannot write the status");
                false
            }
        }
    }

    /// Records an event on an object.
    pub(super) fn say<T: CustomResource>(&self, object: &T, event: &Event) {
        let metadata = object.metadata();
        let reference = ObjectReference {
            api_version: Some(T::API_VERSION.to_owned()),
            kind: Some(T::KIND.to_owned()),
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            field_path: None,
        };
        let kind = if event.warning { EventKind::Warning } else { EventKind::Normal };
        self.recorder.record(&reference, kind, event.reason, &event.message);
    }
}

/// Runs workers until all have ended. Each is looked at only when it has been woken: `join_all` looks at every one of few
/// each time.
pub(super) async fn all_of(workers: impl Iterator<Item = impl Future<Output = ()>>) {
    workers.collect::<FuturesUnordered<_>>().collect::<()>().await;
}

/// A driver that works in terms of leadership.
pub(super) trait Term: Sync {
    /// One term: ends by itself only after `stop`, and is dropped wherever it is when the leadership is lost.
    fn term(&self, guard: &WriteGuard, stop: watch::Receiver<bool>) -> impl Future<Output = ()> + Send;
}

/// Works while this process leads, one term after the other; ends after `stop`.
pub(super) async fn terms(driver: &impl Term, leadership: Leadership, mut stop: watch::Receiver<bool>) {
    loop {
        let guard = tokio::select! {
            guard = leadership.acquired() => guard,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        tokio::select! {
            () = driver.term(&guard, stop.clone()) => {}
            () = guard.lost() => warn!("lost the leadership; writes have stopped"),
        }
        if *stop.borrow() {
            return;
        }
    }
}
