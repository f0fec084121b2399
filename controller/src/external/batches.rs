//! Several single reads as one call, for stores that have such a call.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sealops_providers::{BoxFuture, ProviderError, RemoteKey, RemoteSecret};
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

    /// Returns a value. Whoever comes first waits a moment and calls for all; the others are answered by it, or ask
    /// again where it was dropped.
    pub(super) async fn get<'r, R>(&self, remote: &RemoteKey, read: R) -> Answer
    where
        R: Fn(Vec<RemoteKey>) -> BoxFuture<'r, Vec<Answer>> + Send + Sync,
    {
        loop {
            if let Some(answer) = self.answer(remote, &read).await {
                return answer;
            }
        }
    }

    /// `None` where the call that would have answered was given up by whoever made it.
    async fn answer<'r, R>(&self, remote: &RemoteKey, read: &R) -> Option<Answer>
    where
        R: Fn(Vec<RemoteKey>) -> BoxFuture<'r, Vec<Answer>> + Send + Sync,
    {
        let (sender, mut receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((remote.clone(), sender));
        loop {
            tokio::select! {
                biased;
                answer = &mut receiver => return answer.ok(),
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
                return receiver.await.ok();
            }
            let (remotes, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let answers = read(remotes).await;
            for (sender, answer) in senders.into_iter().zip(answers) {
                let _ = sender.send(answer);
            }
        }
    }
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

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_call_that_is_given_up_calls_again() {
        let (batches, calls) = (Batches::new(10), AtomicUsize::new(0));
        let read = |remotes: Vec<RemoteKey>| -> BoxFuture<'_, Vec<Answer>> {
            let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            Box::pin(async move {
                if is_first {
                    std::future::pending::<()>().await;
                }
                let value = || RemoteSecret { value: RemoteValue::Bytes("v".into()), version: None };
                remotes.iter().map(|_| Ok(value())).collect()
            })
        };
        let key = |name: &str| RemoteKey { key: name.to_owned(), version: None };
        let (first, second) = (key("first"), key("second"));
        let leading = tokio::time::timeout(Duration::from_secs(5), batches.get(&first, read));
        let later = async {
            sleep(WINDOW / 2).await;
            batches.get(&second, read).await
        };
        let (leading, answer) = tokio::join!(leading, later);
        assert!(leading.is_err() && answer.is_ok());
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
