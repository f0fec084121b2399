//! ClusterExternalSecrets and ClusterPushSecrets in a running cluster: one object in each namespace that is selected.
//!
//! A namespace that is selected no more loses the object and then the finalizer; upstream leaves the finalizer, and the
//! namespace cannot be deleted (#6677).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use sealops_crds::cluster_external_secret::FailedNamespace;
use sealops_crds::{CustomResource, Metadata};
use tokio::sync::watch;
use tracing::debug;

use super::api::{Refusal, SecretApi, StatusWrite};
use super::driver::{LONGEST_WAIT, Shared, Term, all_of, terms};
use super::events::Recorder;
use super::leader::{Leadership, WriteGuard};
use super::lock;
use super::metrics::{ExternalKind, Metrics, ReconcileResult};
use super::queue::{Lane, Queue};
use super::watch::{Namespaces, Seen, metadata_of, namespaces, objects};
use crate::external::children::{Family, Found, Wish, belongs, desired};
use crate::external::version_of;
use crate::object::{ObjectKey, controller_of};

/// Everything that the workers of one kind share.
pub struct FanOutDriver<F: Family> {
    shared: Shared,
    workers: usize,
    seen: Mutex<Watched>,
    /// Whether there is a parent: only then children are watched.
    any: watch::Sender<bool>,
    family: std::marker::PhantomData<F>,
}

/// What the watches have shown.
#[derive(Default)]
struct Watched {
    parents: HashMap<ObjectKey, String>,
    namespaces: BTreeMap<String, Metadata>,
    /// Whether all namespaces are known; before, none is given up.
    complete: bool,
}

impl<F: Family> FanOutDriver<F> {
    /// Makes the driver; nothing runs yet.
    pub fn new(api: SecretApi, metrics: Arc<Metrics>, recorder: Recorder, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(api, metrics, recorder),
            workers,
            seen: Mutex::default(),
            any: watch::Sender::new(false),
            family: std::marker::PhantomData,
        })
    }

    /// Returns the queue, to shut it down.
    pub fn queue(&self) -> &Queue<ObjectKey> {
        &self.shared.queue
    }

    /// Follows parents, children and namespaces until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut parents = objects::<F::Parent>(&self.shared.client, &Namespaces::All, None);
        let children = self.watch_children();
        tokio::pin!(children);
        let mut spaces = namespaces(&self.shared.client);
        loop {
            tokio::select! {
                Some(seen) = parents.next() => self.saw_parent(seen),
                Some(seen) = spaces.next() => self.saw_namespace(seen),
                () = &mut children => return,
                else => return,
            }
        }
    }

    /// Metadata only. What changed before the watch began is shown by its first list.
    async fn watch_children(&self) {
        let mut any = self.any.subscribe();
        if any.wait_for(|any| *any).await.is_err() {
            return;
        }
        let mut children = metadata_of::<F::Child>(&self.shared.client);
        while let Some(seen) = children.next().await {
            self.saw_child(seen);
        }
    }

    fn saw_parent(&self, seen: Seen<F::Parent>) {
        match seen {
            Seen::Applied(key, parent) => {
                self.any.send_replace(true);
                let metadata = parent.metadata();
                let uid = metadata.uid.clone().unwrap_or_default();
                let version = format!("{uid} {} {:?}", version_of(metadata), metadata.deletion_timestamp);
                let before = lock(&self.seen).parents.insert(key.clone(), version.clone());
                if before != Some(version) {
                    self.shared.queue.add(key, Lane::New);
                }
            }
            Seen::Deleted(key) => self.forget(&key),
            Seen::Complete(listed) => {
                let gone: Vec<ObjectKey> =
                    lock(&self.seen).parents.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                gone.iter().for_each(|key| self.forget(key));
            }
        }
    }

    fn forget(&self, key: &ObjectKey) {
        self.shared.metrics.external_gone(metric::<F>(), "", &key.name);
        lock(&self.seen).parents.remove(key);
        self.shared.queue.forget(key);
    }

    /// A child that goes or changes is looked at; what we wrote ourselves turns out to be right.
    fn saw_child(&self, seen: Seen<Metadata>) {
        match seen {
            Seen::Applied(_, metadata) => {
                let owner = controller_of(&metadata).filter(|owner| owner.kind == F::Parent::KIND);
                if let Some(owner) = owner {
                    self.look_at(ObjectKey::new("", owner.name.as_str()));
                }
            }
            // Whose it was is not known any more.
            Seen::Deleted(_) => self.look_at_all(),
            // Some may have gone while nobody watched.
            Seen::Complete(_) => self.look_at_all(),
        }
    }

    fn look_at(&self, key: ObjectKey) {
        if lock(&self.seen).parents.contains_key(&key) {
            self.shared.queue.add(key, Lane::Drift);
        }
    }

    fn look_at_all(&self) {
        let all: Vec<ObjectKey> = lock(&self.seen).parents.keys().cloned().collect();
        all.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Drift));
    }

    fn saw_namespace(&self, seen: Seen<Metadata>) {
        let mut watched = lock(&self.seen);
        let is_news = match seen {
            Seen::Applied(key, metadata) => {
                let before = watched.namespaces.insert(key.name, metadata.clone());
                let same = before.is_some_and(|before| {
                    before.labels() == metadata.labels()
                        && before.deletion_timestamp == metadata.deletion_timestamp
                });
                !same
            }
            Seen::Deleted(key) => watched.namespaces.remove(&key.name).is_some(),
            Seen::Complete(listed) => {
                watched.namespaces.retain(|name, _| listed.contains(&ObjectKey::new("", name.as_str())));
                watched.complete = true;
                true
            }
        };
        let is_news = is_news && watched.complete;
        drop(watched);
        if is_news {
            self.look_at_all();
        }
    }

    /// Works while this process leads; ends after `stop`.
    pub async fn lead(self: Arc<Self>, leadership: Leadership, stop: watch::Receiver<bool>) {
        terms(self.as_ref(), leadership, stop).await;
    }

    async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let started = Instant::now();
            let result = self.reconcile(&item.key, guard).await;
            let ready = result.as_ref().map_or(Some(false), |(_, ready)| *ready);
            if let Some(ready) = ready {
                let name = &item.key.name;
                self.shared.metrics.external_condition(metric::<F>(), "", name, ready, started.elapsed());
            }
            match result {
                Ok((wait, _)) => {
                    self.shared.metrics.reconcile(F::Parent::KIND, ReconcileResult::Unchanged);
                    self.shared.queue.forget(&item.key);
                    if let Some(wait) = wait {
                        self.shared.queue.add_after(item.key.clone(), Lane::Resync, wait.min(LONGEST_WAIT));
                    }
                }
                Err(problem) => {
                    debug!(object = %item.key, problem, "not done; trying again");
                    self.shared.metrics.reconcile(F::Parent::KIND, ReconcileResult::Error);
                    self.shared.queue.failed(item.key.clone());
                }
            }
        }
    }

    /// Returns when to look again, and whether all namespaces are as they shall be; an error is tried again.
    async fn reconcile(
        &self,
        key: &ObjectKey,
        guard: &WriteGuard,
    ) -> Result<(Option<Duration>, Option<bool>), String> {
        let read = async || self.shared.api.object::<F::Parent>(key).await.map_err(|error| error.to_string());
        let Some(mut parent) = read().await? else {
            self.forget(key);
            return Ok((None, None));
        };
        let spaces = {
            let watched = lock(&self.seen);
            if !watched.complete {
                return Err("not all namespaces are known yet".to_owned());
            }
            watched.namespaces.clone()
        };
        let deleting = parent.metadata().deletion_timestamp.is_some();
        if deleting {
            self.release(&parent, &spaces, guard).await?;
            return Ok((None, None));
        }
        if let Some(finalizer) = F::FINALIZER
            && !parent.metadata().finalizers.iter().any(|name| name == finalizer)
        {
            self.set_finalizer(&parent, finalizer, true, guard).await?;
            let Some(again) = read().await? else { return Ok((None, None)) };
            parent = again;
        }
        let wish = F::wish(&parent);
        let (found, retry) = self.provide(&parent, &wish, &spaces, guard).await;
        let ready = found.failed.is_empty();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (status, changed) = F::status(&parent, found, &now);
        let told = !changed || self.shared.write_status(&parent, &status, StatusWrite::Replace, guard).await;
        match (told, retry) {
            (false, _) => Err("the status is not stored".to_owned()),
            (true, Some(problem)) => Err(problem),
            (true, None) => Ok((wish.interval, Some(ready))),
        }
    }

    /// Makes every namespace as it shall be; returns what became of it, and what is to be tried again.
    async fn provide(
        &self,
        parent: &F::Parent,
        wish: &Wish,
        spaces: &BTreeMap<String, Metadata>,
        guard: &WriteGuard,
    ) -> (Found, Option<String>) {
        let mut found = Found { child_name: wish.child_name.clone(), ..Found::default() };
        let mut retry = None;
        for (name, space) in spaces {
            let lives = space.deletion_timestamp.is_none();
            let meant = match wish.selects(space) {
                Ok(meant) => meant && lives,
                Err(problem) => {
                    found.failed.push(FailedNamespace { namespace: name.clone(), reason: Some(problem) });
                    continue;
                }
            };
            let done = match meant {
                true => self.provide_one(parent, wish, space, guard).await,
                false => self.withdraw(parent, wish, space, guard).await,
            };
            match done {
                Ok(()) if meant => found.provisioned.push(name.clone()),
                Ok(()) => {}
                Err(problem) => {
                    if problem != F::EXISTS {
                        retry = Some(problem.clone());
                    }
                    let reason = Some(problem);
                    found.failed.push(FailedNamespace { namespace: name.clone(), reason });
                }
            }
        }
        (found, retry)
    }

    async fn provide_one(
        &self,
        parent: &F::Parent,
        wish: &Wish,
        space: &Metadata,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        let name = space.name.clone().unwrap_or_default();
        let key = ObjectKey::new(name.as_str(), wish.child_name.as_str());
        let existing = self.child(&key).await?;
        if existing.as_ref().is_some_and(|child| !belongs::<F>(child.metadata(), parent)) {
            return Err(F::EXISTS.to_owned());
        }
        self.mark_namespace(parent, space, true, guard).await?;
        if let Some(former) = &wish.former_name {
            self.delete_child(parent, &ObjectKey::new(name.as_str(), former.as_str()), guard).await?;
        }
        let is_new = existing.is_none();
        let Some(child) = desired::<F>(parent, wish, &name, existing) else { return Ok(()) };
        check(guard)?;
        let api = &self.shared.api;
        let stored = match is_new {
            true => api.create_object(&child, super::FIELD_MANAGER).await,
            false => api.replace_object(&child, super::FIELD_MANAGER).await,
        };
        stored.map_err(words)
    }

    /// Takes everything of a parent out of a namespace.
    async fn withdraw(
        &self,
        parent: &F::Parent,
        wish: &Wish,
        space: &Metadata,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        let name = space.name.clone().unwrap_or_default();
        let had = wish.provisioned.contains(&name) || self.is_marked(parent, space);
        if !had {
            return Ok(());
        }
        for child in std::iter::once(&wish.child_name).chain(&wish.former_name) {
            self.delete_child(parent, &ObjectKey::new(name.as_str(), child.as_str()), guard).await?;
        }
        self.mark_namespace(parent, space, false, guard).await
    }

    /// The parent goes: its children go with it, by their owner references; the namespaces are let go.
    async fn release(
        &self,
        parent: &F::Parent,
        spaces: &BTreeMap<String, Metadata>,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        for space in spaces.values() {
            self.mark_namespace(parent, space, false, guard).await?;
        }
        match F::FINALIZER {
            Some(finalizer) => self.set_finalizer(parent, finalizer, false, guard).await,
            None => Ok(()),
        }
    }

    async fn child(&self, key: &ObjectKey) -> Result<Option<F::Child>, String> {
        self.shared.api.object::<F::Child>(key).await.map_err(|error| error.to_string())
    }

    async fn delete_child(
        &self,
        parent: &F::Parent,
        key: &ObjectKey,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        match self.child(key).await? {
            Some(child)
                if belongs::<F>(child.metadata(), parent)
                    && child.metadata().deletion_timestamp.is_none() =>
            {
                check(guard)?;
                self.shared.api.delete_object(&child).await.map_err(words)
            }
            _ => Ok(()),
        }
    }

    fn is_marked(&self, parent: &F::Parent, space: &Metadata) -> bool {
        let name = parent.metadata().name.as_deref().unwrap_or_default();
        F::namespace_finalizer(name).is_some_and(|finalizer| space.finalizers.contains(&finalizer))
    }

    async fn mark_namespace(
        &self,
        parent: &F::Parent,
        space: &Metadata,
        on: bool,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        let name = parent.metadata().name.as_deref().unwrap_or_default();
        let Some(finalizer) = F::namespace_finalizer(name) else { return Ok(()) };
        if space.finalizers.contains(&finalizer) == on {
            return Ok(());
        }
        // What the watch has shown may be old.
        let fresh = self.shared.api.namespace(space.name.as_deref().unwrap_or_default()).await;
        let Some(fresh) = fresh.map_err(|error| error.to_string())? else { return Ok(()) };
        if fresh.finalizers.contains(&finalizer) == on {
            return Ok(());
        }
        let others = fresh.finalizers.iter().filter(|name| **name != finalizer).cloned();
        let next: Vec<String> = others.chain(on.then(|| finalizer.clone())).collect();
        check(guard)?;
        let stored = self.shared.api.set_namespace_finalizers(&fresh, &next, super::FIELD_MANAGER).await;
        stored.map_err(words)
    }

    async fn set_finalizer(
        &self,
        parent: &F::Parent,
        finalizer: &str,
        on: bool,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        let others = parent.metadata().finalizers.iter().filter(|name| *name != finalizer).cloned();
        let next: Vec<String> = others.chain(on.then(|| finalizer.to_owned())).collect();
        check(guard)?;
        let stored = self.shared.api.set_finalizers(parent, &next, super::FIELD_MANAGER).await;
        match stored {
            Err(refusal) if !refusal.is_not_found() => Err(words(refusal)),
            _ => Ok(()),
        }
    }
}

fn metric<F: Family>() -> ExternalKind {
    match F::Parent::KIND {
        "ClusterPushSecret" => ExternalKind::ClusterPushSecret,
        _ => ExternalKind::ClusterExternalSecret,
    }
}

fn check(guard: &WriteGuard) -> Result<(), String> {
    guard.check().map_err(|_| "this replica does not lead any more".to_owned())
}

fn words(refusal: Refusal) -> String {
    refusal.to_string()
}

impl<F: Family> Term for FanOutDriver<F> {
    /// One term of leadership: everything is looked at once, then what the watches and the clock bring.
    async fn term(&self, guard: &WriteGuard, _: watch::Receiver<bool>) {
        self.look_at_all();
        all_of((0..self.workers).map(|_| self.work(guard))).await;
    }
}
