//! Several single reads as one call, for stores that have such a call.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sealops_providers::{BoxFuture, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long a read waits for others to go with.
const WINDOW: Duration = Duration::from_millis(10);

type Answer = Result<RemoteSecret, ProviderError>;

/// The reads that wait for a call.
pub(super) struct Batches {
    size: usize,
    waiting: Mutex<Vec<(RemoteKey, oneshot::Sender<Answer>)>>,
}

impl Batches {
    pub(super) fn new(size: usize) -> Self {
        Self { size: size.max(1), waiting: Mutex::default() }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns a value. Whoever comes first waits a moment and calls for all; the others are answered by it, or call
    /// themselves where it was dropped.
    pub(super) async fn get<'r, R>(&self, remote: &RemoteKey, read: R) -> Answer
    where
        R: Fn(Vec<RemoteKey>) -> BoxFuture<'r, Vec<Answer>> + Send + Sync,
    {
        let (sender, mut receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((remote.clone(), sender));
        loop {
            tokio::select! {
                biased;
                answer = &mut receiver => return answer.unwrap_or_else(|_| Err(lost(remote))),
                () = sleep(WINDOW) => {}
            }
            let batch: Vec<_> = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.retain(|(_, sender)| !sender.is_closed());
                let count = waiting.len().min(self.size);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                // Somebody else's call has it.
                return receiver.await.unwrap_or_else(|_| Err(lost(remote)));
            }
            let (remotes, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let answers = read(remotes).await;
            for (sender, answer) in senders.into_iter().zip(answers) {
                let _ = sender.send(answer);
            }
        }
    }
}

fn lost(remote: &RemoteKey) -> ProviderError {
    let kind = ProviderErrorKind::Unavailable("the call that would have answered was given up".to_owned());
    ProviderError { backend: "this".to_owned(), operation: "get", target: remote.key.clone(), kind }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sealops_providers::RemoteValue;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_at_the_same_time_go_together() {
        let (batches, calls) = (Batches::new(10), AtomicUsize::new(0));
        let read = |remotes: Vec<RemoteKey>| -> BoxFuture<'_, Vec<Answer>> {
            calls.fetch_add(1, Ordering::Relaxed);
            assert!(remotes.len() <= 10);
            let value = |remote: RemoteKey| RemoteSecret {
                value: RemoteValue::Bytes(remote.key.into()),
                version: None,
            };
            Box::pin(async move {
                sleep(Duration::from_millis(50)).await;
                remotes.into_iter().map(|remote| Ok(value(remote))).collect()
            })
        };
        let keys: Vec<RemoteKey> =
            (0..95).map(|number| RemoteKey { key: format!("k{number}"), version: None }).collect();
        let answers = futures::future::join_all(keys.iter().map(|key| batches.get(key, read))).await;
        for (key, answer) in keys.iter().zip(answers) {
            let RemoteValue::Bytes(value) = answer.unwrap().value else { panic!("bytes") };
            assert_eq!(value.expose(), key.key.as_bytes());
        }
        assert_eq!(calls.load(Ordering::Relaxed), 10);
    }
}
