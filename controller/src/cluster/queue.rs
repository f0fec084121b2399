//! The work queue between the watches and the workers.
//!
//! ```text
//! add ──────────────▶ ready (New ▸ Drift ▸ Resync; round-robin over groups) ──next()──▶ worker
//! add_after, failed ─▶ delayed ──due──▲                        ▲── dirty? ── guard dropped ──┘
//! ```
//!
//! The semantics are those of client-go's rate-limited work queue with three differences: a failing key is retried
//! for ever (upstream Sealed Secrets forgets it after six attempts in 0.3 s), new objects overtake resyncs, and no
//! namespace can delay another. A key is handed to one worker at a time; an add meanwhile marks it dirty and it is
//! handed out once more afterwards.

mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use self::state::State;

/// Priority of a key that waits; earlier variants are served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody created or changed the object.
    New,
    /// Something moved under the object (its target, a sealing key), or an earlier attempt failed.
    Drift,
    /// Periodic: nothing is known to have happened.
    Resync,
}

/// What becomes of the keys that are ready when the queue is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// They are still handed out, then [`Queue::next`] returns `None`.
    Finish,
    /// They are dropped; only keys already in progress are finished.
    Discard,
}

/// A work queue for keys `K`; clones share the same queue.
pub struct Queue<K: Clone + Eq + Hash + Ord> {
    shared: Arc<Shared<K>>,
}

/// A key handed to a worker.
#[derive(Debug)]
pub struct Item<K: Clone + Eq + Hash + Ord> {
    /// The key to process.
    pub key: K,
    /// The lane it waited in.
    pub lane: Lane,
    /// Keeps the key from other workers until dropped.
    pub guard: InProgress<K>,
}

/// Marks a key as being processed. Dropping it (also by a panic) releases the key.
pub struct InProgress<K: Clone + Eq + Hash + Ord> {
    shared: Arc<Shared<K>>,
    key: K,
}

struct Shared<K> {
    state: Mutex<State<K>>,
    /// One permit per piece of news; a worker that takes a key while more is pending passes the permit on.
    work: Notify,
    /// Told whenever the queue may have become idle.
    idle: Notify,
    group_of: Box<dyn Fn(&K) -> String + Send + Sync>,
    /// A number in `0.0..1.0`.
    random: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// Makes a queue that is fair between the groups (namespaces) of its keys.
    pub fn new(group_of: impl Fn(&K) -> String + Send + Sync + 'static) -> Self {
        Self::with_random(group_of, random_fraction)
    }

    /// As [`Queue::new`], with the source of jitter given: numbers in `0.0..1.0`.
    pub fn with_random(
        group_of: impl Fn(&K) -> String + Send + Sync + 'static,
        random: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            state: Mutex::new(State::new()),
            work: Notify::new(),
            idle: Notify::new(),
            group_of: Box::new(group_of),
            random: Box::new(random),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes `key` ready at once, or dirty if it is being processed. Cancels a delayed add of the key.
    pub fn add(&self, key: K, lane: Lane) {
        let group = (self.shared.group_of)(&key);
        if self.shared.lock().add(key, group, lane) {
            self.shared.work.notify_one();
        }
    }

    /// Makes `key` ready after `delay`. The earlier of two delayed adds wins; a key that is ready or dirty anyway
    /// stays as it is.
    pub fn add_after(&self, key: K, lane: Lane, delay: Duration) {
        if self.shared.lock().add_at(key, lane, Instant::now() + delay) {
            self.shared.work.notify_one();
        }
    }

    /// Re-adds `key` after an exponential back-off and returns the delay.
    pub fn failed(&self, key: K) -> Duration {
        self.failed_not_before(key, Duration::ZERO)
    }

    /// As [`Queue::failed`], but waits at least `minimum`, such as a server's `Retry-After`.
    pub fn failed_not_before(&self, key: K, minimum: Duration) -> Duration {
        let failures = self.shared.lock().count_failure(&key);
        let delay = backoff(failures, (self.shared.random)()).max(minimum);
        self.add_after(key, RETRY_LANE, delay);
        delay
    }

    /// Returns how often in a row `key` has failed before.
    pub fn failures(&self, key: &K) -> u32 {
        self.shared.lock().failures(key)
    }

    /// Resets the back-off of `key`, after a success or when its object is gone.
    pub fn forget(&self, key: &K) {
        self.shared.lock().forget(key);
    }

    /// Waits for the next key. Returns `None` once the queue is shut down and drained. Cancel safe.
    pub async fn next(&self) -> Option<Item<K>> {
        loop {
            let work = self.shared.work.notified();
            tokio::pin!(work);
            // Registered before looking, so that a shutdown between looking and waiting is not missed.
            work.as_mut().enable();
            let deadline = match self.poll_next() {
                Next::Item(item) => return Some(item),
                Next::Finished => return None,
                Next::Wait(deadline) => deadline,
            };
            match deadline {
                Some(at) => tokio::select! {
                    () = work => {}
                    () = sleep_until(at) => {}
                },
                None => work.await,
            }
        }
    }

    fn poll_next(&self) -> Next<K> {
        let mut state = self.shared.lock();
        state.promote(Instant::now(), &self.shared.group_of);
        if let Some((key, lane)) = state.pop() {
            let more = state.has_ready() || state.next_due().is_some();
            drop(state);
            if more {
                self.shared.work.notify_one();
            }
            return Next::Item(Item {
                key: key.clone(),
                lane,
                guard: InProgress { shared: Arc::clone(&self.shared), key },
            });
        }
        if state.is_finished() { Next::Finished } else { Next::Wait(state.next_due()) }
    }

    /// Stops accepting keys and drops the delayed ones; see [`Drain`] for the ready ones.
    pub fn shut_down(&self, drain: Drain) {
        self.shared.lock().shut_down(drain);
        self.shared.work.notify_waiters();
        self.shared.idle.notify_waiters();
    }

    /// Waits until nothing is ready and nothing in progress.
    pub async fn idle(&self) {
        loop {
            let idle = self.shared.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Number of ready keys, without those in progress or delayed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().ready_len()
    }

    /// Whether no key is ready.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of delayed keys.
    #[must_use]
    pub fn delayed_len(&self) -> usize {
        self.shared.lock().delayed_len()
    }

    /// Whether nothing is ready and nothing in progress. Delayed keys do not count.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.lock().is_idle()
    }
}

impl<K: Clone + Eq + Hash + Ord> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Eq + Hash + Ord> fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash + Ord> Drop for InProgress<K> {
    fn drop(&mut self) {
        let group = (self.shared.group_of)(&self.key);
        let mut state = self.shared.lock();
        let again = state.done(&self.key, group);
        let (finished, idle) = (state.is_finished(), state.is_idle());
        drop(state);
        if again {
            self.shared.work.notify_one();
        }
        if finished {
            self.shared.work.notify_waiters();
        }
        if idle {
            self.shared.idle.notify_waiters();
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> fmt::Debug for InProgress<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProgress").finish_non_exhaustive()
    }
}

impl<K> Shared<K> {
    /// No code that can panic runs under the lock, so a poisoned state is still consistent.
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next<K: Clone + Eq + Hash + Ord> {
    Item(Item<K>),
    Finished,
    Wait(Option<Instant>),
}

/// Returns the delay after the given number of failures in a row (1 for the first).
fn backoff(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let delay = BACKOFF_BASE.saturating_mul(1_u32 << doublings).min(BACKOFF_CAP);
    jittered(delay, BACKOFF_JITTER, random)
}

/// Spreads a delay by a share of it in both directions; `random` is in `0.0..1.0`.
pub(super) fn jittered(delay: Duration, share: f64, random: f64) -> Duration {
    delay.mul_f64(1.0 - share + 2.0 * share * random.clamp(0.0, 1.0))
}

/// A number in `0.0..1.0` from the system; the middle if the system has none.
pub(super) fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |n| f64::from(n) / (f64::from(u32::MAX) + 1.0))
}

/// Delay after the first failure.
pub const BACKOFF_BASE: Duration = Duration::from_millis(200);
/// Longest delay, before jitter.
pub const BACKOFF_CAP: Duration = Duration::from_secs(300);
/// Jitter as a share of the delay, in both directions; also at the cap, where it matters most.
pub const BACKOFF_JITTER: f64 = 0.2;
/// Retries never delay new objects, but go before the resync.
const RETRY_LANE: Lane = Lane::Drift;
