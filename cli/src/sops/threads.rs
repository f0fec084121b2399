//! Independent work on all cores, with the standard library's threads only.

use std::num::NonZero;
use std::sync::Mutex;
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
        let next = || left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
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

/// Does something with every item, on all cores, and returns the results in the items' order.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = workers(items.len());
    if workers <= 1 {
        return items.iter().map(work).collect();
    }
    let left = Mutex::new(items.iter().enumerate());
    let next = || left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
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
