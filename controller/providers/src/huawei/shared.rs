//! One attempt for all who wait, its failure included.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::ProviderErrorKind;

/// Something that is made once.
pub(super) struct Shared<T> {
    /// Attempts so far.
    tried: AtomicU64,
    made: Mutex<Option<Result<T, ProviderErrorKind>>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { tried: AtomicU64::new(0), made: Mutex::default() }
    }
}

impl<T: Clone> Shared<T> {
    /// Returns what there is, or makes it. Who has waited for an attempt that failed gets its failure; who comes later
    /// tries again.
    pub(super) async fn get(
        &self,
        is_good: impl Fn(&T) -> bool,
        make: impl Future<Output = Result<T, ProviderErrorKind>>,
    ) -> Result<T, ProviderErrorKind> {
        let before = self.tried.load(Ordering::SeqCst);
        let mut made = self.made.lock().await;
        match made.as_ref() {
            Some(Ok(value)) if is_good(value) => return Ok(value.clone()),
            Some(Err(error)) if self.tried.load(Ordering::SeqCst) != before => return Err(error.clone()),
            _ => {}
        }
        let result = make.await;
        self.tried.fetch_add(1, Ordering::SeqCst);
        made.insert(result).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_share_one_attempt() {
        for fails in [false, true] {
            let (shared, calls) = (Arc::new(Shared::default()), Arc::new(AtomicU32::new(0)));
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let (shared, calls) = (Arc::clone(&shared), Arc::clone(&calls));
                    tokio::spawn(async move {
                        let make = async {
                            tokio::task::yield_now().await;
                            let number = calls.fetch_add(1, Ordering::SeqCst);
                            if fails { Err(ProviderErrorKind::NotFound) } else { Ok(number) }
                        };
                        shared.get(|_| true, make).await
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap().is_err(), fails);
            }
            assert_eq!(calls.load(Ordering::SeqCst), 1);
            let again = shared.get(|_| true, async { Ok(7) }).await.unwrap();
            assert_eq!(again, if fails { 7 } else { 0 });
            assert_eq!(shared.get(|value| *value == 9, async { Ok(9) }).await.unwrap(), 9);
        }
    }
}
