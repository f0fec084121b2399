//! Workers that no slow store can keep busy.
//!
//! ```text
//!   queue ──► worker ──done within PATIENCE──► next item
//!                └── else set aside, up to MAX_ASIDE of a worker: goes on beside the next items
//! ```
//!
//! What is set aside costs memory and no thread. `SlowStores` knows for which stores objects were set aside, so that
//! further ones wait in the queue instead.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::sleep;

use super::lock;
use super::queue::{Item, Queue};
use crate::external::StoreKey;

/// How long a worker waits for one item before it takes the next one.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Items that a worker has beside the one that it waits for.
pub const MAX_ASIDE: usize = 8;
/// Objects that were set aside for a store before its others wait in the queue: as many as it has calls at once.
pub const SLOW_USERS: usize = 8;
/// How long they wait there.
pub const DEFERRED: Duration = Duration::from_secs(2);

/// Works off a queue until it ends, and what was set aside then.
pub(super) async fn work<K, F>(queue: &Queue<K>, run: impl Fn(Item<K>) -> F)
where
    K: Clone + Eq + Hash + Ord,
    F: Future<Output = ()>,
{
    let mut aside = FuturesUnordered::new();
    loop {
        let item = tokio::select! {
            item = queue.next(), if aside.len() < MAX_ASIDE => item,
            Some(()) = aside.next() => continue,
        };
        let Some(item) = item else { break };
        let mut running = Box::pin(run(item));
        let mut patience = std::pin::pin!(sleep(PATIENCE));
        loop {
            tokio::select! {
                () = &mut running => break,
                () = &mut patience => {
                    aside.push(running);
                    break;
                }
                Some(()) = aside.next() => {}
            }
        }
    }
    while aside.next().await.is_some() {}
}

/// Stores that objects are waiting for, and how many.
#[derive(Debug, Default)]
pub(super) struct SlowStores(Mutex<HashMap<StoreKey, usize>>);

impl SlowStores {
    /// Runs work on an object; while it takes longer than a worker waits, its stores count as slow.
    pub(super) async fn watched<T>(&self, stores: &[StoreKey], work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = sleep(PATIENCE) => {}
        }
        let _mark = self.mark(stores);
        work.await
    }

    /// Whether one of the stores has as many waiting as it serves at once.
    pub(super) fn is_any(&self, stores: &[StoreKey]) -> bool {
        let slow = self.all();
        stores.iter().any(|store| slow.get(store).is_some_and(|waiting| *waiting >= SLOW_USERS))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<StoreKey, usize>> {
        lock(&self.0)
    }

    fn mark<'a>(&'a self, stores: &'a [StoreKey]) -> Mark<'a> {
        let mut slow = self.all();
        stores.iter().for_each(|store| *slow.entry(store.clone()).or_default() += 1);
        Mark { all: self, stores }
    }
}

/// As long as it lives, one object more waits for the stores.
struct Mark<'a> {
    all: &'a SlowStores,
    stores: &'a [StoreKey],
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let mut slow = self.all.all();
        for store in self.stores {
            let Some(waiting) = slow.get_mut(store) else { continue };
            *waiting -= 1;
            if *waiting == 0 {
                slow.remove(store);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::cluster::queue::{Drain, Lane};

    fn queue() -> Queue<u32> {
        Queue::new(|_| String::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_item_does_not_hold_up_the_next_ones() {
        let (queue, done) = (queue(), AtomicUsize::new(0));
        (0..20).for_each(|key| queue.add(key, Lane::New));
        let started = Instant::now();
        let work = work(&queue, |item| {
            let (done, queue) = (&done, &queue);
            async move {
                // Every fifth hangs.
                if item.key % 5 == 0 {
                    sleep(Duration::from_secs(60)).await;
                }
                if done.fetch_add(1, Ordering::Relaxed) + 1 == 20 {
                    queue.shut_down(Drain::Discard);
                }
            }
        });
        let watch = async {
            sleep(Duration::from_secs(5)).await;
            done.load(Ordering::Relaxed)
        };
        let ((), early) = tokio::join!(work, watch);
        assert_eq!(early, 16, "the others are done while four hang");
        assert!(started.elapsed() < Duration::from_secs(70), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_set_aside_and_all_are_finished() {
        let (queue, open, most) = (queue(), AtomicUsize::new(0), AtomicUsize::new(0));
        (0..50).for_each(|key| queue.add(key, Lane::New));
        let finished = AtomicUsize::new(0);
        let work = work(&queue, |_| async {
            most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_secs(30)).await;
            open.fetch_sub(1, Ordering::Relaxed);
            finished.fetch_add(1, Ordering::Relaxed);
        });
        let stop = async {
            sleep(Duration::from_secs(45)).await;
            queue.shut_down(Drain::Discard);
        };
        timeout(Duration::from_secs(120), async { tokio::join!(work, stop) }).await.unwrap();
        assert!((2..=MAX_ASIDE + 1).contains(&most.load(Ordering::Relaxed)), "{most:?}");
        assert_eq!(open.load(Ordering::Relaxed), 0, "what was begun is finished");
        assert!(finished.load(Ordering::Relaxed) > MAX_ASIDE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_slow_while_many_wait_for_it() {
        let (slow, store) =
            (SlowStores::default(), |name: &str| StoreKey { namespace: None, name: name.to_owned() });
        let (one, other) = ([store("one")], [store("other")]);
        let waiting = (0..SLOW_USERS).map(|_| slow.watched(&one, sleep(Duration::from_secs(10))));
        let look = async {
            sleep(Duration::from_millis(500)).await;
            let early = slow.is_any(&one);
            sleep(Duration::from_secs(1)).await;
            (early, slow.is_any(&one), slow.is_any(&other))
        };
        let (_, seen) = tokio::join!(futures::future::join_all(waiting), look);
        assert_eq!(seen, (false, true, false));
        assert!(!slow.is_any(&one) && slow.all().is_empty());
    }
}
