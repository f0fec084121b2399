//! PushSecrets in a running cluster: reads the sources and stores, has a plan made, carries it out, reports.
//!
//! A source that changes is pushed at once: its metadata is watched, from the first PushSecret on. Upstream waits for the
//! interval.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use sealops_crds::push_secret::PUSH_SECRET_FINALIZER;
use sealops_crds::secret_store::LabelSelector;
use sealops_crds::{Metadata, PushSecret};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::api::{SecretApi, StatusWrite};
use super::driver::{Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Item, Lane, Queue};
use super::watch::{Namespaces, Seen, objects, secrets};
use super::workers;
use crate::external::push::{self, Due, Report};
use crate::external::{Generators, Stores, labels_match, version_of};
use crate::object::ObjectKey;
use crate::templates::TemplateOptions;

mod execute;
mod gather;

use execute::Failed;

const KIND: &str = "PushSecret";
/// Longest time that is slept for a write; a longer interval is looked at again in between.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Version of a source that does not exist.
const ABSENT: &str = "";

/// Everything that the workers share.
pub struct PushDriver {
    shared: Shared,
    namespaces: Namespaces,
    workers: usize,
    stores: Arc<dyn Stores>,
    generators: Arc<dyn Generators>,
    seen: Mutex<Watched>,
    /// Tells the watch of sources that there is something to watch for.
    any: watch::Sender<bool>,
}

/// What the watches have shown.
#[derive(Default)]
struct Watched {
    objects: HashMap<ObjectKey, Known>,
    /// Which objects read a Secret by its name.
    by_source: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// Which objects of a namespace select Secrets by labels.
    selecting: HashMap<String, BTreeSet<ObjectKey>>,
    /// Whether all Secrets were shown once: what comes later is news.
    complete: bool,
}

/// What is known of one PushSecret.
struct Known {
    uid: String,
    version: String,
    deletes: bool,
    selector: Option<LabelSelector>,
    /// Versions of its sources by name, as they were last pushed or seen.
    sources: HashMap<String, String>,
    /// Whether a source changed since the last push.
    changed: bool,
}

impl PushDriver {
    /// Makes the driver; nothing runs yet.
    pub fn new(
        api: SecretApi,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        namespaces: Namespaces,
        workers: usize,
        stores: Arc<dyn Stores>,
        generators: Arc<dyn Generators>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            namespaces,
            workers,
            stores,
            generators,
            seen: Mutex::default(),
            any: watch::Sender::new(false),
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows PushSecrets and their sources until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut pushes = objects::<PushSecret>(&self.shared.client, &self.namespaces, None);
        let sources = self.watch_sources();
        tokio::pin!(sources);
        loop {
            tokio::select! {
                Some(seen) = pushes.next() => self.saw_push(seen),
                () = &mut sources => return,
                else => return,
            }
        }
    }

    async fn watch_sources(&self) {
        let mut any = self.any.subscribe();
        if any.wait_for(|any| *any).await.is_err() {
            return;
        }
        let mut sources = secrets(&self.shared.client, &self.namespaces, None);
        while let Some(seen) = sources.next().await {
            self.saw_source(seen);
        }
    }

    fn saw_push(&self, seen: Seen<PushSecret>) {
        match seen {
            Seen::Applied(key, push) => {
                self.any.send_replace(true);
                let deleting = push.metadata.deletion_timestamp.is_some();
                let version = format!("{} {deleting}", version_of(&push.metadata));
                if lock(&self.seen).note(&key, &push, version) {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.forget(&key),
            Seen::Complete(listed) => {
                let gone: Vec<ObjectKey> =
                    lock(&self.seen).objects.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                gone.iter().for_each(|key| self.forget(key));
            }
        }
    }

    fn forget(&self, key: &ObjectKey) {
        self.shared.metrics.external_gone(ExternalKind::PushSecret, &key.namespace, &key.name);
        lock(&self.seen).forget(key);
        self.shared.queue.forget(key);
    }

    fn saw_source(&self, seen: Seen<Metadata>) {
        let moved = lock(&self.seen).source(seen);
        moved.into_iter().for_each(|key| self.shared.queue.add(key, Lane::New));
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        workers::work(&self.shared.queue, |item| self.take(item, guard)).await;
    }

    async fn take(&self, item: Item<ObjectKey>, guard: &WriteGuard) {
        let started = Instant::now();
        let again = self.reconcile(&item.key, guard).await;
        let ready = match &again {
            Again::Done { ready, .. } => *ready,
            Again::Backoff(_) | Again::OnChange => Some(false),
        };
        if let Some(ready) = ready {
            let (kind, took) = (ExternalKind::PushSecret, started.elapsed());
            let ObjectKey { namespace, name } = &item.key;
            self.shared.metrics.external_condition(kind, namespace, name, ready, took);
        }
        let result = match &again {
            Again::Done { wrote: true, .. } => ReconcileResult::Written,
            Again::Done { .. } => ReconcileResult::Unchanged,
            Again::Backoff(_) | Again::OnChange => ReconcileResult::Error,
        };
        self.shared.metrics.reconcile(KIND, result);
        match again {
            Again::Done { wait, .. } => {
                self.shared.queue.forget(&item.key);
                if let Some(wait) = wait {
                    self.shared.queue.add_after(item.key.clone(), Lane::Resync, wait.min(LONGEST_WAIT));
                }
            }
            Again::Backoff(minimum) => {
                self.shared.queue.failed_not_before(item.key.clone(), minimum);
            }
            Again::OnChange => {}
        }
    }

    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let object = match self.shared.api.object::<PushSecret>(key).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.forget(key);
                return Again::done(None);
            }
            Err(error) => {
                debug!(%error, "cannot read the object");
                return Again::BACKOFF;
            }
        };
        let is_marked = object.metadata.finalizers.iter().any(|name| name == PUSH_SECRET_FINALIZER);
        if object.metadata.deletion_timestamp.is_some() {
            return if is_marked { self.clean_up(&object, guard).await } else { Again::done(None) };
        }
        if is_marked != push::deletes(&object) {
            if !self.mark(&object, !is_marked, guard).await {
                return Again::BACKOFF;
            }
            // Its version is another one now, and the status is written for a version.
            return match self.shared.api.object::<PushSecret>(key).await {
                Ok(Some(object)) => self.synchronise(key, &object, guard).await,
                Ok(None) => Again::done(None),
                Err(_) => Again::BACKOFF,
            };
        }
        self.synchronise(key, &object, guard).await
    }

    /// Puts the finalizer on or takes it off. Returns whether that is stored.
    async fn mark(&self, object: &PushSecret, on: bool, guard: &WriteGuard) -> bool {
        let others = object.metadata.finalizers.iter().filter(|name| *name != PUSH_SECRET_FINALIZER);
        let own = on.then(|| PUSH_SECRET_FINALIZER.to_owned());
        let next: Vec<String> = others.cloned().chain(own).collect();
        guard.check().is_ok()
            && self.shared.api.set_finalizers(object, &next, super::FIELD_MANAGER).await.is_ok()
    }

    /// Removes everything that was written, then the finalizer.
    async fn clean_up(&self, object: &PushSecret, guard: &WriteGuard) -> Again {
        let now = now_text(Timestamp::now());
        let recorded = object.status.as_ref().and_then(|status| status.synced_push_secrets.clone());
        let mut left = recorded.unwrap_or_default();
        let stale = left.clone();
        match self.remove(object, stale, &mut left, guard).await {
            Ok(()) if self.mark(object, false, guard).await => Again::done(None),
            Ok(()) => Again::BACKOFF,
            Err(failed) => self.tell_failed(object, failed, "", Some(left), &now, guard).await,
        }
    }

    async fn synchronise(&self, key: &ObjectKey, object: &PushSecret, guard: &WriteGuard) -> Again {
        let started = Timestamp::now();
        let now = now_text(started);
        let changed = lock(&self.seen).take_change(key);
        match push::due(object, started.as_second()) {
            Err(problem) => {
                self.tell(object, push::failed(object, &problem, None, &now), guard).await;
                return Again::OnChange;
            }
            Ok(Due::Later(wait)) if !changed => {
                return Again::Done { wait, wrote: false, ready: stored_ready(object) };
            }
            Ok(_) => {}
        }
        let again = self.push(key, object, &now, guard).await;
        if changed && matches!(again, Again::Backoff(_)) {
            // What changed is not pushed yet.
            lock(&self.seen).put_back(key);
        }
        again
    }

    async fn push(&self, key: &ObjectKey, object: &PushSecret, now: &str, guard: &WriteGuard) -> Again {
        let second = now.parse::<Timestamp>().unwrap_or_default().as_second();
        let sources = match self.sources(key, object, second).await {
            Ok(gather::Sources::Foreign) => return Again::done(None),
            Ok(gather::Sources::Gone) => return self.source_gone(object, now, guard).await,
            Ok(gather::Sources::Values(sources)) => sources,
            Err(gather::Problem { message, cause }) => {
                warn!(object = %key, problem = cause, "not pushed");
                self.tell(object, push::failed(object, &message, None, now), guard).await;
                return Again::BACKOFF;
            }
        };
        let stores = match self.selected_stores(object).await {
            Ok(stores) if stores.is_empty() => return Again::done(None),
            Ok(stores) => stores,
            Err(problem) => {
                self.tell(object, push::failed(object, &problem, None, now), guard).await;
                return Again::BACKOFF;
            }
        };
        let before = object.status.as_ref().and_then(|status| status.synced_push_secrets.clone());
        let mut written = before.clone().unwrap_or_default();
        let no_source = sources.is_empty();
        let plan = push::plan(object, &sources, stores);
        let wanted = match self.carry_out(object, plan, &mut written, guard).await {
            Ok(wanted) => wanted,
            Err(failed) => {
                return self
                    .tell_failed(object, failed, "set secret failed: ", Some(written), now, guard)
                    .await;
            }
        };
        // A selector that finds nothing, perhaps for a moment, removes nothing.
        if push::deletes(object) && !no_source {
            let stale = push::stale(&before.clone().unwrap_or_default(), &wanted);
            if let Err(failed) = self.remove(object, stale, &mut written, guard).await {
                return self.tell_failed(object, failed, "", Some(written), now, guard).await;
            }
        }
        let mut report = push::synced(object, wanted, now);
        if no_source && let Some(status) = &mut report.status {
            status.synced_push_secrets = before;
        }
        if !self.tell(object, report, guard).await {
            return Again::BACKOFF;
        }
        Again::Done { wait: push::interval(object).ok().flatten(), wrote: true, ready: Some(true) }
    }

    /// The source is gone. What was written of it goes too under the deletion policy Delete.
    async fn source_gone(&self, object: &PushSecret, now: &str, guard: &WriteGuard) -> Again {
        let status = object.status.clone().unwrap_or_default();
        let is_cleaned = status.conditions.iter().any(|of| of.reason.as_deref() == Some("SourceDeleted"));
        let recorded = status.synced_push_secrets.unwrap_or_default();
        if push::deletes(object) && is_cleaned && recorded.is_empty() {
            return Again::done(None);
        }
        if !push::deletes(object) || recorded.is_empty() {
            self.tell(object, push::failed(object, push::NO_SOURCE, None, now), guard).await;
            return Again::BACKOFF;
        }
        let mut left = recorded.clone();
        if let Err(failed) = self.remove(object, recorded, &mut left, guard).await {
            return self.tell_failed(object, failed, "", Some(left), now, guard).await;
        }
        match self.tell(object, push::source_deleted(object, now), guard).await {
            true => Again::Done { wait: None, wrote: true, ready: Some(false) },
            false => Again::BACKOFF,
        }
    }

    async fn tell_failed(
        &self,
        object: &PushSecret,
        failed: Failed,
        before: &str,
        written: Option<sealops_crds::push_secret::SyncedPushSecrets>,
        now: &str,
        guard: &WriteGuard,
    ) -> Again {
        if failed.stopped {
            return Again::BACKOFF;
        }
        let message = format!("{before}{}", failed.message);
        warn!(object = %ObjectKey::of(&object.metadata), problem = message, "not pushed");
        self.tell(object, push::failed(object, &message, written, now), guard).await;
        Again::Backoff(failed.not_before)
    }

    /// Writes status and event. Returns whether they are stored.
    async fn tell(&self, object: &PushSecret, report: Report, guard: &WriteGuard) -> bool {
        if let Some(event) = &report.event {
            self.shared.say(object, event);
        }
        match report.status {
            // Replaced: what is recorded no more has to go, whoever wrote it.
            Some(status) => self.shared.write_status(object, &status, StatusWrite::Replace, guard).await,
            None => true,
        }
    }

    fn templates() -> TemplateOptions {
        TemplateOptions { allow_random_functions: true }
    }
}

/// Returns what the stored status says about `Ready`.
fn stored_ready(object: &PushSecret) -> Option<bool> {
    let conditions = &object.status.as_ref()?.conditions;
    Some(conditions.iter().find(|condition| condition.type_ == "Ready")?.status == "True")
}

fn now_text(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Term for PushDriver {
    /// One term of leadership: everything is looked at once, then what the watches and the clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        let known: Vec<ObjectKey> = lock(&self.seen).objects.keys().cloned().collect();
        known.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Resync));
        all_of((0..self.workers).map(|_| self.work(guard))).await;
    }
}

/// When to look again.
enum Again {
    /// All is well; `None` waits for a change. `ready` is what the status says, where it says something.
    Done { wait: Option<Duration>, wrote: bool, ready: Option<bool> },
    /// It failed; not before this time.
    Backoff(Duration),
    /// It failed, and only a change of the object helps.
    OnChange,
}

impl Again {
    const BACKOFF: Self = Self::Backoff(Duration::ZERO);

    fn done(wait: Option<Duration>) -> Self {
        Self::Done { wait, wrote: false, ready: None }
    }
}

impl Watched {
    /// Takes an object in; returns whether that is news.
    fn note(&mut self, key: &ObjectKey, push: &PushSecret, version: String) -> bool {
        let uid = push.metadata.uid.clone().unwrap_or_default();
        if self.objects.get(key).is_some_and(|known| known.uid == uid && known.version == version) {
            return false;
        }
        let before = self.objects.remove(key);
        self.unlink(key);
        let source = push.spec.selector.secret.clone().unwrap_or_default();
        let name = source.name.filter(|name| !name.is_empty());
        let selector = source.selector.filter(|_| name.is_none());
        if let Some(name) = name {
            let source = ObjectKey::new(key.namespace.as_str(), name);
            self.by_source.entry(source).or_default().insert(key.clone());
        } else if selector.is_some() {
            self.selecting.entry(key.namespace.clone()).or_default().insert(key.clone());
        }
        let (sources, changed) = before.map(|known| (known.sources, known.changed)).unwrap_or_default();
        let deletes = push::deletes(push);
        self.objects.insert(key.clone(), Known { uid, version, deletes, selector, sources, changed });
        true
    }

    fn unlink(&mut self, key: &ObjectKey) {
        self.by_source.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
        self.selecting.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.objects.remove(key);
        self.unlink(key);
    }

    /// Takes a change of a source in; returns the objects that have to be pushed for it.
    fn source(&mut self, seen: Seen<Metadata>) -> Vec<ObjectKey> {
        match seen {
            Seen::Applied(source, metadata) => self.source_is(&source, &metadata),
            Seen::Deleted(source) => self.source_is_gone(&source),
            Seen::Complete(listed) => {
                self.complete = true;
                let named: Vec<ObjectKey> =
                    self.by_source.keys().filter(|source| !listed.contains(*source)).cloned().collect();
                named.iter().flat_map(|source| self.source_is_gone(source)).collect()
            }
        }
    }

    fn source_is(&mut self, source: &ObjectKey, metadata: &Metadata) -> Vec<ObjectKey> {
        let version = metadata.resource_version.clone().unwrap_or_default();
        let selecting = self.selecting.get(&source.namespace).into_iter().flatten().filter(|key| {
            let selector = self.objects.get(*key).and_then(|known| known.selector.as_ref());
            selector.is_some_and(|selector| labels_match(selector, metadata.labels()).unwrap_or(false))
        });
        let named = self.by_source.get(source).into_iter().flatten();
        let readers: Vec<ObjectKey> = named.chain(selecting).cloned().collect();
        let mut moved = Vec::new();
        for key in readers {
            let Some(known) = self.objects.get_mut(&key) else { continue };
            let before = known.sources.insert(source.name.clone(), version.clone());
            // The first list shows what was there before this process was.
            let is_news = before.map_or(self.complete, |before| before != version);
            if is_news {
                known.changed = true;
                moved.push(key);
            }
        }
        moved
    }

    /// Only who cleans up has something to do at once; the others say so when they are due, as upstream.
    fn source_is_gone(&mut self, source: &ObjectKey) -> Vec<ObjectKey> {
        let named = self.by_source.get(source).into_iter().flatten();
        let selecting = self.selecting.get(&source.namespace).into_iter().flatten();
        let readers: Vec<ObjectKey> = named.chain(selecting).cloned().collect();
        let mut moved = Vec::new();
        for key in readers {
            let Some(known) = self.objects.get_mut(&key) else { continue };
            let before = known.sources.get_mut(&source.name);
            if let Some(before) = before.filter(|before| *before != ABSENT) {
                ABSENT.clone_into(before);
                if known.deletes {
                    known.changed = true;
                    moved.push(key);
                }
            }
        }
        moved
    }

    /// Remembers which versions of its sources an object was made of.
    fn read(&mut self, key: &ObjectKey, name: &str, version: &str) {
        if let Some(known) = self.objects.get_mut(key) {
            known.sources.insert(name.to_owned(), version.to_owned());
        }
    }

    fn take_change(&mut self, key: &ObjectKey) -> bool {
        self.objects.get_mut(key).is_some_and(|known| std::mem::take(&mut known.changed))
    }

    fn put_back(&mut self, key: &ObjectKey) {
        if let Some(known) = self.objects.get_mut(key) {
            known.changed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn pushed(name: &str, spec: serde_json::Value) -> PushSecret {
        serde_json::from_value(
            json!({ "metadata": { "namespace": "shop", "name": name, "uid": name }, "spec": spec }),
        )
        .unwrap()
    }

    fn source(version: &str, team: &str) -> Metadata {
        serde_json::from_value(json!({ "resourceVersion": version, "labels": { "team": team } })).unwrap()
    }

    #[test]
    fn a_source_that_changes_is_news_for_its_readers() {
        let mut seen = Watched::default();
        let named =
            pushed("named", json!({ "selector": { "secret": { "name": "s" } }, "deletionPolicy": "Delete" }));
        let by_label = pushed(
            "label",
            json!({ "selector": { "secret": { "selector": { "matchLabels": { "team": "blue" } } } } }),
        );
        assert!(seen.note(&key("named"), &named, "1".into()));
        assert!(seen.note(&key("label"), &by_label, "1".into()));
        assert!(!seen.note(&key("named"), &named, "1".into()), "the same again");
        let apply =
            |seen: &mut Watched, version: &str| seen.source(Seen::Applied(key("s"), source(version, "blue")));
        assert!(apply(&mut seen, "1").is_empty(), "the first list is no news");
        assert!(seen.source(Seen::Complete([key("s")].into())).is_empty());
        assert_eq!(apply(&mut seen, "2"), [key("named"), key("label")]);
        assert!(apply(&mut seen, "2").is_empty());
        assert!(seen.take_change(&key("named")) && !seen.take_change(&key("named")));
        seen.read(&key("named"), "s", "3");
        assert_eq!(apply(&mut seen, "3"), [key("label")], "what was pushed already is no news");
        assert_eq!(seen.source(Seen::Deleted(key("s"))), [key("named")], "who cleans up");
        assert!(seen.source(Seen::Deleted(key("s"))).is_empty());
        seen.forget(&key("named"));
        seen.forget(&key("label"));
        assert!(seen.by_source.is_empty() && seen.selecting.is_empty() && seen.objects.is_empty());
    }

    #[test]
    fn a_source_that_appears_is_news() {
        let mut seen = Watched::default();
        let named = pushed("named", json!({ "selector": { "secret": { "name": "s" } } }));
        seen.note(&key("named"), &named, "1".into());
        seen.read(&key("named"), "s", ABSENT);
        assert_eq!(seen.source(Seen::Applied(key("s"), source("1", "red"))), [key("named")]);
    }
}
