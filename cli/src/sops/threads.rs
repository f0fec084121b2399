//! Independent work on all cores, with the standard library's threads only.
//!
//! Files are worked on by more threads than there are cores: those that wait for a network ([`waiting`]) give their place
//! to others, so that a core is never idle and never shared.

use std::cell::RefCell;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use sealops_crypto::sops::{Chunk, Executor};

/// Spreads the values of a file over the cores. A small file has one chunk, which needs no thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threads;

impl Executor for Threads {
    fn run(&self, chunks: &mut [Chunk<'_, '_>]) {
        let workers = workers(chunks.len());
        if workers <= 1 {
            chunks.iter_mut().for_each(Chunk::run);
            return;
        }
        let left = Mutex::new(chunks.iter_mut());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(chunk) = next() {
                        chunk.run();
                    }
                });
            }
        });
    }
}

/// Files that are worked on at the same time, those included that wait for a network.
const MAX_FILES_AT_ONCE: usize = 32;

thread_local! {
    /// The places that this thread shares with others, where it has one of them.
    static PLACES: RefCell<Option<Arc<Places>>> = const { RefCell::new(None) };
}

/// Places at work, one per core.
struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Places {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) {
        let free = self.freed.wait_while(self.free(), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn give(&self) {
        *self.free() += 1;
        self.freed.notify_one();
    }
}

/// A place that is taken; one that panics gives it back too.
struct Place(Arc<Places>);

impl Place {
    fn take(places: &Arc<Places>) -> Self {
        places.take();
        PLACES.set(Some(Arc::clone(places)));
        Self(Arc::clone(places))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES.set(None);
        self.0.give();
    }
}

/// Does something that only waits. Meanwhile another thread of [`map_files`] works.
pub(crate) fn waiting<R>(wait: impl FnOnce() -> R) -> R {
    let places = PLACES.with_borrow(Clone::clone);
    let Some(places) = places else { return wait() };
    places.give();
    let result = wait();
    places.take();
    result
}

/// As [`map`], for files whose keys may be behind a network: many at once, as many at work as there are cores.
pub(crate) fn map_files<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let places = Arc::new(Places::new(workers(items.len())));
    map_on(items.len().min(MAX_FILES_AT_ONCE), items, |item| {
        let _place = Place::take(&places);
        work(item)
    })
}

/// Does something with every item, on all cores, and returns the results in the items' order.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    map_on(workers(items.len()), items, work)
}

fn map_on<T: Sync, R: Send>(workers: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if workers <= 1 {
        return items.iter().map(work).collect();
    }
    let left = Mutex::new(items.iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            while let Some((index, item)) = next() {
                done.push((index, work(item)));
            }
            done
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        // A worker that panics takes the whole command with it.
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Returns how many threads so many pieces need; counting the cores costs twenty system calls.
fn workers(pieces: usize) -> usize {
    if pieces <= 1 { pieces } else { thread::available_parallelism().map_or(1, NonZero::get).min(pieces) }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// All items wait for each other: with one thread per core this would never end.
    #[test]
    fn who_waits_gives_its_place_away() {
        let everybody = Barrier::new(MAX_FILES_AT_ONCE);
        let items: Vec<usize> = (0..MAX_FILES_AT_ONCE).collect();
        let results = map_files(&items, |item| {
            waiting(|| everybody.wait());
            *item
        });
        assert_eq!(results, items);
    }

    #[test]
    fn no_more_than_the_cores_are_at_work() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        map_files(&[(); 100], |()| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(most.into_inner() <= workers(100));
    }
}
