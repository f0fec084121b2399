//! What was read from a store, shared by those who ask for the same: one call for all who wait, and for those who come
//! while it is fresh enough for them.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealops_formats::Plaintext;
use sealops_providers::{Find, ProviderError, RemoteKey, RemoteSecret, RemoteValue};
use tokio::time::Instant;

use super::store::Freshness;

/// Values that are kept of one store, and their bytes.
const MAX_KEPT: usize = 50_000;
/// Bytes of the values that are kept of one store.
const MAX_KEPT_BYTES: usize = 64 << 20;
/// How often old values are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// A value, with the property where the provider takes it.
    Value(RemoteKey, Option<String>),
    /// What the store knows about a value.
    Metadata(RemoteKey),
    /// All that match.
    Find(String),
}

impl Question {
    pub(super) fn find(find: &Find) -> Self {
        Self::Find(format!("{find:?}"))
    }
}

/// What was found.
#[derive(Clone)]
pub(super) enum Answer {
    Value(Arc<RemoteSecret>),
    Metadata(Arc<Plaintext>),
    Found(Arc<BTreeMap<String, RemoteSecret>>),
}

impl Answer {
    fn size(&self) -> usize {
        let secret = |secret: &RemoteSecret| match &secret.value {
            RemoteValue::Bytes(value) => value.len(),
            RemoteValue::Entries(entries) => entries.values().map(Plaintext::len).sum(),
        };
        match self {
            Self::Value(value) => secret(value),
            Self::Metadata(json) => json.len(),
            Self::Found(found) => found.values().map(secret).sum(),
        }
    }
}

struct Kept {
    result: Result<Answer, ProviderError>,
    /// When the call began: a caller that came later has not been answered by it.
    started: Instant,
    /// The shortest age that a user of it accepts.
    life: Duration,
}

impl Kept {
    fn serves(&self, arrived: Instant, fresh: Freshness) -> bool {
        if self.started >= arrived {
            return true;
        }
        self.result.is_ok() && self.started.elapsed() <= self.life.min(fresh.max_age)
    }
}

type Cell = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// The shared reads of one store and login.
#[derive(Default)]
pub(super) struct Reads {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cells: HashMap<Question, (Cell, Known)>,
    bytes: usize,
    swept: Option<Instant>,
}

/// What the list of cells knows of one without waiting for it.
#[derive(Clone, Copy, Default)]
struct Known {
    size: usize,
    until: Option<Instant>,
}

impl Reads {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question, by a call where that is needed.
    pub(super) async fn ask<F>(
        &self,
        question: Question,
        fresh: Freshness,
        call: impl FnOnce() -> F,
    ) -> Result<Answer, ProviderError>
    where
        F: Future<Output = Result<Answer, ProviderError>>,
    {
        let arrived = Instant::now();
        let cell = self.cell(&question);
        let mut kept = cell.lock().await;
        if let Some(known) = kept.as_mut().filter(|known| known.serves(arrived, fresh)) {
            if !fresh.max_age.is_zero() {
                known.life = known.life.min(fresh.max_age);
            }
            return known.result.clone();
        }
        let started = Instant::now();
        let result = call().await;
        let life = fresh.max_age;
        *kept = Some(Kept { result: result.clone(), started, life });
        drop(kept);
        self.note(&question, &cell, result.as_ref().ok().map(Answer::size), started + life);
        result
    }

    fn cell(&self, question: &Question) -> Cell {
        let mut state = self.lock();
        let now = Instant::now();
        if state.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            state.sweep(now);
        }
        Arc::clone(&state.cells.entry(question.clone()).or_default().0)
    }

    fn note(&self, question: &Question, cell: &Cell, size: Option<usize>, until: Instant) {
        let mut state = self.lock();
        let now = Instant::now();
        let Some((current, known)) = state.cells.get_mut(question) else { return };
        if !Arc::ptr_eq(current, cell) {
            return;
        }
        let before = std::mem::replace(known, Known { size: size.unwrap_or(0), until: Some(until) });
        if size.is_none() {
            state.cells.remove(question);
        }
        state.bytes = (state.bytes + size.unwrap_or(0)).saturating_sub(before.size);
        if state.cells.len() > MAX_KEPT || state.bytes > MAX_KEPT_BYTES {
            state.sweep(now);
        }
        if state.cells.len() > MAX_KEPT || state.bytes > MAX_KEPT_BYTES {
            state.cells.clear();
            state.bytes = 0;
        }
    }

    /// Forgets what is too old for everybody who asked for it.
    pub(super) fn sweep(&self) {
        self.lock().sweep(Instant::now());
    }

    /// Forgets everything: a value was written.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.cells.clear();
        state.bytes = 0;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().cells.len()
    }
}

impl State {
    fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        // A cell that somebody holds is in use.
        self.cells.retain(|_, (cell, known)| {
            Arc::strong_count(cell) > 1 || known.until.is_some_and(|until| until > now)
        });
        self.bytes = self.cells.values().map(|(_, known)| known.size).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use sealops_providers::ProviderErrorKind;

    fn question(key: &str) -> Question {
        Question::Value(RemoteKey { key: key.to_owned(), version: None }, None)
    }

    fn answer(text: &str) -> Answer {
        let value = RemoteValue::Bytes(text.into());
        Answer::Value(Arc::new(RemoteSecret { value, version: None }))
    }

    fn seconds(seconds: u64) -> Freshness {
        Freshness { max_age: Duration::from_secs(seconds) }
    }

    async fn ask(
        reads: &Reads,
        calls: &AtomicUsize,
        key: &str,
        fresh: Freshness,
    ) -> Result<Answer, ProviderError> {
        let call = || async {
            calls.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(answer("x"))
        };
        reads.ask(question(key), fresh, call).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_lives_as_long_as_its_most_hurried_user_says() {
        let (reads, calls) = (Reads::default(), AtomicUsize::new(0));
        let count = || calls.load(Ordering::Relaxed);
        ask(&reads, &calls, "a", seconds(3600)).await.unwrap();
        tokio::time::advance(Duration::from_secs(50)).await;
        ask(&reads, &calls, "a", seconds(60)).await.unwrap();
        assert_eq!(count(), 1);
        tokio::time::advance(Duration::from_secs(50)).await;
        ask(&reads, &calls, "a", seconds(3600)).await.unwrap();
        assert_eq!(count(), 2, "its life is now that of the user with 60 s");
        ask(&reads, &calls, "a", Freshness::NOW).await.unwrap();
        assert_eq!(count(), 3, "a changed object asks the store");
        ask(&reads, &calls, "a", seconds(60)).await.unwrap();
        assert_eq!(count(), 4, "and what it was told is kept for nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_a_call_even_when_they_want_it_fresh() {
        let (reads, calls) = (Reads::default(), AtomicUsize::new(0));
        let all = (0..200).map(|_| ask(&reads, &calls, "a", Freshness::NOW));
        assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
        assert!(calls.load(Ordering::Relaxed) <= 2, "{calls:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_shared_by_those_who_wait_and_not_kept() {
        let (reads, calls) = (Reads::default(), AtomicUsize::new(0));
        let fail = || {
            reads.ask(question("a"), seconds(60), || async {
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                let kind = ProviderErrorKind::NotFound;
                Err(ProviderError { backend: "b".into(), operation: "get", target: "t".into(), kind })
            })
        };
        assert!(futures::future::join_all((0..50).map(|_| fail())).await.iter().all(Result::is_err));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(fail().await.is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert_eq!(reads.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn old_values_are_forgotten() {
        let (reads, calls) = (Reads::default(), AtomicUsize::new(0));
        for key in ["a", "b", "c"] {
            ask(&reads, &calls, key, seconds(30)).await.unwrap();
        }
        assert_eq!(reads.len(), 3);
        tokio::time::advance(Duration::from_secs(61)).await;
        reads.sweep();
        assert_eq!(reads.len(), 0, "no value outlives its use");
    }
}
