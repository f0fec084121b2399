//! Kubernetes Events about our objects: best effort, aggregated, never in the way of a reconcile.
//!
//! ```text
//! Recorder::record ──bounded channel──▶ EventWriter::run ──POST (new) or PATCH count (seen within 10 min)──▶ API
//! ```
//!
//! A full channel drops the Event, as client-go's broadcaster does. RBAC: `events` create and patch.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::debug;

/// Importance of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Something went as it should.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Accepts Events from the reconcilers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    sender: mpsc::Sender<Occurrence>,
}

/// Writes the accepted Events; exactly one per recorder, driven by [`EventWriter::run`].
pub struct EventWriter {
    client: Client,
    component: String,
    instance: String,
    receiver: mpsc::Receiver<Occurrence>,
    memory: Memory,
}

#[derive(Debug)]
struct Occurrence {
    object: ObjectReference,
    kind: EventKind,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

impl Recorder {
    /// Makes a recorder whose Events name `component` (such as `sealed-secrets`) and `instance` (the pod) as source.
    #[must_use]
    pub fn new(
        client: Client,
        component: impl Into<String>,
        instance: impl Into<String>,
    ) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let (component, instance) = (component.into(), instance.into());
        (Self { sender }, EventWriter { client, component, instance, receiver, memory: Memory::default() })
    }

    /// Records that `reason` happened to `object`. Returns at once; never fails.
    ///
    /// `message` must not contain secret data: an Event is readable by more people than a Secret.
    pub fn record(&self, object: &ObjectReference, kind: EventKind, reason: &'static str, message: &str) {
        let message = truncate(message, MAX_MESSAGE_BYTES).to_owned();
        let occurrence = Occurrence { object: object.clone(), kind, reason, message, at: Timestamp::now() };
        if self.sender.try_send(occurrence).is_err() {
            debug!(reason, "event dropped, too many are waiting");
        }
    }
}

impl EventWriter {
    /// Writes Events until every [`Recorder`] is dropped.
    pub async fn run(mut self) {
        while let Some(occurrence) = self.receiver.recv().await {
            match timeout(WRITE_TIMEOUT, self.write(&occurrence)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(reason = occurrence.reason, %error, "cannot write event"),
                Err(_) => debug!(reason = occurrence.reason, "writing an event timed out"),
            }
        }
    }

    async fn write(&mut self, occurrence: &Occurrence) -> Result<(), kube::Error> {
        let namespace = occurrence.object.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let key = self.memory.key(occurrence);
        if let Some((name, count)) = self.memory.again(key, Instant::now()) {
            let patch = serde_json::json!({ "count": count, "lastTimestamp": Time(occurrence.at) });
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                // The API server forgets Events after an hour, and people may delete them.
                Err(kube::Error::Api(status)) if status.is_not_found() => self.memory.forget(key),
                other => return other.map(drop),
            }
        }
        let event = self.event(occurrence, namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        self.memory.remember(key, name, Instant::now());
        Ok(())
    }

    fn event(&self, occurrence: &Occurrence, namespace: &str) -> Event {
        let object = occurrence.object.name.as_deref().unwrap_or("unknown");
        // A name holds 253 bytes; the suffix makes it unique, as in client-go.
        let suffix = format!(".{:x}", occurrence.at.as_nanosecond());
        let name = format!("{}{suffix}", truncate(object, 253 - suffix.len()));
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: occurrence.object.clone(),
            type_: Some(occurrence.kind.as_str().to_owned()),
            reason: Some(occurrence.reason.to_owned()),
            message: Some(occurrence.message.clone()),
            count: Some(1),
            first_timestamp: Some(Time(occurrence.at)),
            last_timestamp: Some(Time(occurrence.at)),
            source: Some(EventSource { component: Some(self.component.clone()), host: None }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

impl EventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The Events of the last minutes, so that a repetition counts up instead of adding one.
#[derive(Default)]
struct Memory {
    hasher: RandomState,
    events: HashMap<u64, Remembered>,
}

struct Remembered {
    name: String,
    count: i32,
    last: Instant,
}

impl Memory {
    /// Keyed hash of what makes two Events the same; a collision merges two of them, which is harmless.
    fn key(&self, occurrence: &Occurrence) -> u64 {
        let Occurrence { object, kind, reason, message, .. } = occurrence;
        self.hasher.hash_one((&object.uid, &object.namespace, &object.name, kind, reason, message))
    }

    /// Counts a repetition; returns the Event's name and new count.
    fn again(&mut self, key: u64, now: Instant) -> Option<(String, i32)> {
        let event = self.events.get_mut(&key)?;
        if now.duration_since(event.last) >= AGGREGATION_WINDOW {
            self.events.remove(&key);
            return None;
        }
        event.count = event.count.saturating_add(1);
        event.last = now;
        Some((event.name.clone(), event.count))
    }

    fn remember(&mut self, key: u64, name: String, now: Instant) {
        if self.events.len() >= MAX_REMEMBERED {
            self.events.retain(|_, event| now.duration_since(event.last) < AGGREGATION_WINDOW);
        }
        if self.events.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.events.iter().min_by_key(|(_, event)| event.last).map(|(key, _)| *key)
        {
            self.events.remove(&oldest);
        }
        self.events.insert(key, Remembered { name, count: 1, last: now });
    }

    fn forget(&mut self, key: u64) {
        self.events.remove(&key);
    }
}

/// Cuts `text` to at most `limit` bytes, between two characters.
fn truncate(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The API server refuses longer messages.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Events that may wait to be written.
const MAX_WAITING: usize = 2048;
/// Events that may be counted up.
const MAX_REMEMBERED: usize = 4096;
/// How long after its last repetition an Event is still counted up.
const AGGREGATION_WINDOW: Duration = Duration::from_secs(600);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
