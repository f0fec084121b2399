//! Several values by one call, where the login may do that.
//!
//! The right to read many at once is another than that to read one, and what a batch says of one value is less exact.
//! So whatever a batch does not bring is read alone, and a login whose batches are denied makes none any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{ProviderErrorKind, RemoteSecret};

type Answer = Result<RemoteSecret, ProviderErrorKind>;

/// Whether a login may read several values by one call. Clones know the same.
#[derive(Clone, Default)]
pub(super) struct Together {
    denied: Arc<AtomicBool>,
}

impl Together {
    /// Returns whether it was not denied yet.
    pub(super) fn is_allowed(&self) -> bool {
        !self.denied.load(Ordering::Relaxed)
    }

    /// Reads values, in the order of their names: by `all`, and what that lacks by `one`. After a failure that is about
    /// the service nothing more is asked.
    pub(super) async fn read<F>(
        &self,
        names: &[String],
        all: impl Future<Output = Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind>>,
        one: impl Fn(String) -> F,
    ) -> Vec<Answer>
    where
        F: Future<Output = Answer>,
    {
        let (mut found, mut down) = (BTreeMap::new(), None);
        if names.len() > 1 && self.is_allowed() {
            match all.await {
                Ok(values) => found = values,
                Err(ProviderErrorKind::Denied(_)) => self.denied.store(true, Ordering::Relaxed),
                Err(error) => down = Some(error).filter(is_about_the_service),
            }
        }
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            let answer = match (found.remove(name), &down) {
                (Some(secret), _) => Ok(secret),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => one(name.clone()).await,
            };
            if down.is_none() {
                down = answer.as_ref().err().filter(|error| is_about_the_service(error)).cloned();
            }
            answers.push(answer);
        }
        answers
    }
}

fn is_about_the_service(error: &ProviderErrorKind) -> bool {
    use ProviderErrorKind::{Throttled, Unauthenticated, Unavailable};
    matches!(error, Throttled(_) | Unavailable(_) | Unauthenticated(_))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::RemoteValue;

    fn secret(text: &str) -> RemoteSecret {
        RemoteSecret { value: RemoteValue::Bytes(text.into()), version: None }
    }

    /// Reads `a`, `b`, `c`; returns the answers and who was asked for alone.
    async fn read(
        together: &Together,
        all: Result<&[&str], ProviderErrorKind>,
        one: impl Fn(&str) -> Answer,
    ) -> (Vec<Result<String, ProviderErrorKind>>, Vec<String>) {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let alone = Mutex::new(Vec::new());
        let all =
            async { all.map(|found| found.iter().map(|name| ((*name).to_owned(), secret(name))).collect()) };
        let answers = together.read(&names, all, |name| {
            alone.lock().unwrap().push(name.clone());
            let answer = one(&name);
            async { answer }
        });
        let text = |secret: RemoteSecret| match secret.value {
            RemoteValue::Bytes(value) => value.expose_str().unwrap().to_owned(),
            RemoteValue::Entries(_) => unreachable!(),
        };
        let answers = answers.await.into_iter().map(|answer| answer.map(text)).collect();
        (answers, alone.into_inner().unwrap())
    }

    #[tokio::test]
    async fn what_a_batch_lacks_is_read_alone_in_order() {
        let together = Together::default();
        let (answers, alone) = read(&together, Ok(&["c", "a"]), |name| Ok(secret(&format!("{name}!")))).await;
        assert_eq!(answers, [Ok("a".to_owned()), Ok("b!".to_owned()), Ok("c".to_owned())]);
        assert_eq!(alone, ["b"]);
        let (answers, alone) = read(&together, Ok(&[]), |name| match name {
            "b" => Err(ProviderErrorKind::NotFound),
            name => Ok(secret(name)),
        })
        .await;
        assert_eq!(answers, [Ok("a".to_owned()), Err(ProviderErrorKind::NotFound), Ok("c".to_owned())]);
        assert_eq!(alone, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_denied_batch_costs_nothing_but_itself_and_is_not_tried_again() {
        let together = Together::default();
        let denied = Err(ProviderErrorKind::Denied("AccessDeniedException".to_owned()));
        let (answers, alone) = read(&together, denied, |name| Ok(secret(name))).await;
        assert!(answers.iter().all(Result::is_ok) && alone.len() == 3, "{answers:?}");
        assert!(!together.clone().is_allowed());
        let (_, alone) = read(&together, Ok(&["a", "b", "c"]), |name| Ok(secret(name))).await;
        assert_eq!(alone.len(), 3);
        // A value that is denied says nothing about batches.
        let together = Together::default();
        let (_, _) = read(&together, Ok(&[]), |_| Err(ProviderErrorKind::Denied(String::new()))).await;
        assert!(together.is_allowed());
    }

    #[tokio::test]
    async fn a_service_that_is_down_is_asked_once() {
        let down = || ProviderErrorKind::Unavailable("down".to_owned());
        let (answers, alone) = read(&Together::default(), Err(down()), |name| Ok(secret(name))).await;
        assert!(answers.iter().all(|answer| *answer == Err(down())) && alone.is_empty());
        let (answers, alone) = read(&Together::default(), Ok(&["a"]), |_| Err(down())).await;
        assert_eq!(answers, [Ok("a".to_owned()), Err(down()), Err(down())]);
        assert_eq!(alone, ["b"]);
    }
}
