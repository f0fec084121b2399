//! One store: is it ours, is it right, who holds it, what is said.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealops_crds::push_secret::STORE_FINALIZER;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::kinds::{Store, store_key};
use super::{Again, StoreDriver};
use crate::cluster::FIELD_MANAGER;
use crate::cluster::api::StatusWrite;
use crate::cluster::leader::WriteGuard;
use crate::cluster::lock;
use crate::external::{CheckError, Checked, StoreObject, Stores, Verdict, check_interval, is_ours};
use crate::object::ObjectKey;

/// Longest time of one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

impl StoreDriver {
    pub(super) async fn reconcile<T: Store>(&self, key: &ObjectKey, guard: &WriteGuard) -> Again {
        let started = Instant::now();
        let store = match self.shared.api.object::<T>(key).await {
            Ok(Some(store)) => store,
            Ok(None) => {
                self.forget(key, T::METRICS);
                return Again::OnChange;
            }
            Err(error) => {
                debug!(%error, "cannot read the store");
                return Again::Backoff;
            }
        };
        if !is_ours(self.connections.rules(), store.spec()) {
            self.connections.forget(&store_key(key));
            return Again::OnChange;
        }
        if !self.hold(&store, guard).await {
            return Again::Backoff;
        }
        if store.metadata().deletion_timestamp.is_some() {
            return Again::OnChange;
        }
        let interval = check_interval(store.spec(), self.options.interval);
        let verdict = match &interval {
            Ok(_) => Verdict::of(self.check(key, store.clone().into()).await),
            Err(problem) => Verdict::unfit(problem),
        };
        if guard.check().is_err() {
            return Again::Backoff;
        }
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        self.shared.metrics.external_condition(
            T::METRICS,
            namespace,
            name,
            verdict.is_ready,
            started.elapsed(),
        );
        if !self.tell(key, &store, &verdict, guard).await {
            return Again::Backoff;
        }
        match interval {
            Ok(interval) if verdict.is_ready => Again::After(interval),
            Ok(_) => Again::Backoff,
            Err(_) => Again::OnChange,
        }
    }

    /// Checks a store, and notes what it was made from.
    async fn check(&self, key: &ObjectKey, store: StoreObject) -> Checked {
        let checking = self.connections.check(&store, &self.shared.reader);
        let Ok((checked, uses)) = timeout(CHECK_TIMEOUT, checking).await else {
            let problem = format!("the check did not end within {} s", CHECK_TIMEOUT.as_secs());
            let kind = sealops_providers::ProviderErrorKind::Unavailable(problem);
            let backend = store.spec.provider.as_ref().map_or("unknown", |it| it.name()).to_owned();
            let target = "the store".to_owned();
            let error = sealops_providers::ProviderError { backend, operation: "validate", target, kind };
            return Checked { result: Err(CheckError::Validate(error)), capabilities: None };
        };
        let from_secrets = uses.iter().any(|used| used.kind == "Secret");
        lock(&self.seen).note_uses(key, uses);
        self.any.send_if_modified(|any| from_secrets && !std::mem::replace(any, true));
        checked
    }

    /// Puts the finalizer on a store while something that deletes what it pushed uses it, and takes it off after.
    async fn hold<T: Store>(&self, store: &T, guard: &WriteGuard) -> bool {
        let metadata = store.metadata();
        let is_held = metadata.finalizers.iter().any(|name| name == STORE_FINALIZER);
        let key = ObjectKey::of(metadata);
        let deleting = metadata.deletion_timestamp.is_some();
        let is_used = lock(&self.seen).pushers.use_store(&key, metadata.labels());
        if is_held == is_used || (deleting && !is_held) {
            return true;
        }
        let mut next: Vec<String> =
            metadata.finalizers.iter().filter(|name| *name != STORE_FINALIZER).cloned().collect();
        if is_used {
            next.push(STORE_FINALIZER.to_owned());
        }
        guard.check().is_ok() && self.shared.api.set_finalizers(store, &next, FIELD_MANAGER).await.is_ok()
    }

    /// Writes the status and records events, both only where they say something new. Returns whether it is stored.
    async fn tell<T: Store>(
        &self,
        key: &ObjectKey,
        store: &T,
        verdict: &Verdict,
        guard: &WriteGuard,
    ) -> bool {
        let stored = store.status().cloned().unwrap_or_default();
        let open = self.connections.left_alone(&store_key(key));
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = verdict.status(&stored, open.as_ref(), &now);
        let is_news = status.conditions.first() != stored.conditions.iter().find(|it| it.type_ == "Ready");
        if status != stored && !self.shared.write_status(store, &status, StatusWrite::Apply, guard).await {
            return false;
        }
        let events = verdict.events(store.spec(), store.metadata().annotations());
        let causes: Vec<String> = events.iter().map(|event| event.message.clone()).collect();
        let before = lock(&self.seen).causes.insert(key.clone(), causes.clone());
        // After a restart nothing is known of the last text; the status says whether there is news.
        if is_news || before.is_some_and(|before| before != causes) {
            if !verdict.is_ready {
                warn!(store = %key, problem = causes.join("; "), "the store is not ready");
            }
            events.iter().for_each(|event| self.shared.say(store, event));
        }
        true
    }
}
