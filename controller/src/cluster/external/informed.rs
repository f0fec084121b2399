//! The cluster as a reconciler of ExternalSecrets reads it: live, but nothing twice.
//!
//! A store that is asked for by many objects at once is read once: an answer serves everybody who learned of its object
//! before the request began, so that nobody sees an older store than by a request of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealops_crds::generators::ClusterGenerator;
use sealops_crds::{ClusterSecretStore, Metadata, SecretStore};
use sealops_formats::Plaintext;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::lock;
use crate::cluster::reader::LiveReader;
use crate::object::{
    BoxFuture, ClusterReader, ConfigMapObject, ManifestKind, ManifestObject, ObjectKey, ObjectReader,
    ReadError, SecretObject, ServedKind, TokenAsk,
};

/// How long an answer is kept.
const LIFE: Duration = Duration::from_secs(5);
/// Answers that are kept.
const MAX_KEPT: usize = 1024;

type Answer<T> = Result<Option<T>, ReadError>;
type Cell<T> = Arc<tokio::sync::Mutex<Option<(Instant, Answer<T>)>>>;

/// Answers by key, each asked for once at a time.
struct Answers<T>(Mutex<HashMap<ObjectKey, Cell<T>>>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Answers<T> {
    async fn read(&self, key: ObjectKey, since: Instant, ask: impl Future<Output = Answer<T>>) -> Answer<T> {
        let arrived = Instant::now();
        let cell = {
            let mut cells = lock(&self.0);
            if cells.len() >= MAX_KEPT && !cells.contains_key(&key) {
                cells.clear();
            }
            Arc::clone(cells.entry(key).or_default())
        };
        let mut kept = cell.lock().await;
        if let Some((started, answer)) = kept.as_ref() {
            // A failure is told to those who have waited for it.
            let serves = match answer {
                Ok(_) => *started >= since && started.elapsed() <= LIFE,
                Err(_) => *started >= arrived,
            };
            if serves {
                return answer.clone();
            }
        }
        let started = Instant::now();
        let answer = ask.await;
        *kept = Some((started, answer.clone()));
        answer
    }

    fn forget(&self, key: &ObjectKey) {
        lock(&self.0).remove(key);
    }
}

/// What the reconciles of a process share.
#[derive(Default)]
pub(super) struct SharedReads {
    stores: Answers<SecretStore>,
    cluster_stores: Answers<ClusterSecretStore>,
}

impl SharedReads {
    /// A store has changed; an empty namespace is a ClusterSecretStore.
    pub(super) fn forget_store(&self, key: &ObjectKey) {
        if key.namespace.is_empty() { self.cluster_stores.forget(key) } else { self.stores.forget(key) }
    }
}

/// The cluster for one reconcile.
#[derive(Clone)]
pub(super) struct Informed {
    pub(super) live: LiveReader,
    pub(super) shared: Arc<SharedReads>,
    /// When this process learned of what it is about to do.
    pub(super) since: Instant,
    /// A Secret that is not there, as the watch says.
    pub(super) lacking: Option<ObjectKey>,
}

impl ClusterReader for Informed {
    fn in_namespace(&self, namespace: &str) -> Box<dyn ObjectReader> {
        let own = |lacking: &&ObjectKey| lacking.namespace == namespace;
        Box::new(InformedNamespace {
            live: self.live.in_namespace(namespace),
            shared: Arc::clone(&self.shared),
            namespace: namespace.to_owned(),
            since: self.since,
            lacking: self.lacking.as_ref().filter(own).map(|lacking| lacking.name.clone()),
        })
    }

    fn cluster_secret_store<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>> {
        let ask = self.live.cluster_secret_store(name);
        Box::pin(self.shared.cluster_stores.read(ObjectKey::new("", name), self.since, ask))
    }

    fn cluster_generator<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterGenerator>, ReadError>> {
        self.live.cluster_generator(name)
    }

    fn served<'a>(&'a self, kind: &'a ManifestKind) -> BoxFuture<'a, Result<Option<ServedKind>, ReadError>> {
        self.live.served(kind)
    }

    fn namespace_labels<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        self.live.namespace_labels(name)
    }
}

struct InformedNamespace {
    live: Box<dyn ObjectReader>,
    shared: Arc<SharedReads>,
    namespace: String,
    since: Instant,
    lacking: Option<String>,
}

impl ObjectReader for InformedNamespace {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        if self.lacking.as_deref() == Some(name) {
            return Box::pin(async { Ok(None) });
        }
        self.live.secret(name)
    }

    fn config_map<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        self.live.config_map(name)
    }

    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        let key = ObjectKey::new(self.namespace.as_str(), name);
        Box::pin(self.shared.stores.read(key, self.since, self.live.secret_store(name)))
    }

    fn service_account<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Metadata>, ReadError>> {
        self.live.service_account(name)
    }

    fn generator<'a>(
        &'a self,
        plural: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>, ReadError>> {
        self.live.generator(plural, name)
    }

    fn manifest<'a>(
        &'a self,
        served: &'a ServedKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ManifestObject>, ReadError>> {
        self.live.manifest(served, name)
    }

    fn token<'a>(
        &'a self,
        account: &'a str,
        ask: &'a TokenAsk,
    ) -> BoxFuture<'a, Result<Plaintext, ReadError>> {
        self.live.token(account, ask)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_those_who_came_before_it_was_asked_for() {
        let (answers, asked) = (Answers::<usize>::default(), AtomicUsize::new(0));
        let key = || ObjectKey::new("shop", "vault");
        let ask = || async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(Some(asked.fetch_add(1, Ordering::SeqCst)))
        };
        let early = Instant::now();
        let all = futures::future::join_all((0..50).map(|_| answers.read(key(), early, ask()))).await;
        assert!(all.into_iter().all(|answer| answer == Ok(Some(0))), "one request for all");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(answers.read(key(), early, ask()).await, Ok(Some(0)));
        let late = Instant::now();
        assert_eq!(
            answers.read(key(), late, ask()).await,
            Ok(Some(1)),
            "asked for before: too old for this one"
        );
        answers.forget(&key());
        assert_eq!(answers.read(key(), early, ask()).await, Ok(Some(2)), "the watch says that it changed");
        tokio::time::sleep(LIFE * 2).await;
        assert_eq!(answers.read(key(), early, ask()).await, Ok(Some(3)), "nothing is kept for long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_to_those_who_wait_and_not_kept() {
        let (answers, asked) = (Answers::<usize>::default(), AtomicUsize::new(0));
        let key = || ObjectKey::new("shop", "vault");
        let fail = || async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            asked.fetch_add(1, Ordering::SeqCst);
            let problem = "away".to_owned();
            Err(ReadError { kind: "SecretStore", name: "vault".to_owned(), problem })
        };
        let now = Instant::now();
        let all = futures::future::join_all((0..50).map(|_| answers.read(key(), now, fail()))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(answers.read(key(), now, async { Ok(None) }).await, Ok(None));
    }
}
