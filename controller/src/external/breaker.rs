//! Leaves a store alone that keeps failing, or that asks for it.
//!
//! ```text
//!   closed ──THRESHOLD failures in a row, or Retry-After──► open ──time──► one attempt ──► closed, or open for longer
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealops_providers::ProviderErrorKind;
use tokio::time::Instant;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
/// How long it stays open at first; each further failure doubles it.
const OPEN_BASE: Duration = Duration::from_secs(5);
/// How long it stays open at most.
const OPEN_CAP: Duration = Duration::from_secs(300);
/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(3600);
/// How long others wait for the one attempt.
const PROBE: Duration = Duration::from_secs(60);

/// Why a store is left alone, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// From now.
    pub wait: Duration,
    /// Failures in a row.
    pub failures: u32,
    /// The last of them, without a value.
    pub reason: String,
}

impl Open {
    /// Returns what a call fails with meanwhile.
    pub(super) fn refusal(&self) -> ProviderErrorKind {
        ProviderErrorKind::Unavailable(format!(
            "the store is left alone for {} s more, after {} failures in a row: {}",
            self.wait.as_secs().max(1),
            self.failures,
            self.reason
        ))
    }
}

/// The breaker of one store.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    /// Whether the one attempt after the wait is under way.
    probing: bool,
    reason: String,
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns why the store is left alone at the moment.
    pub(super) fn open(&self) -> Option<Open> {
        let state = self.lock();
        let wait = state.open_until?.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then(|| Open { wait, failures: state.failures, reason: state.reason.clone() })
    }

    /// Returns why the store was left alone last, as long as no call came through since: what its status says. It is
    /// forgotten where nobody calls any more.
    pub(super) fn held(&self) -> Option<Open> {
        let state = self.lock();
        let until = state.open_until?;
        let wait = until.saturating_duration_since(Instant::now());
        let is_recent = Instant::now().saturating_duration_since(until) < 2 * OPEN_CAP;
        is_recent.then(|| Open { wait, failures: state.failures, reason: state.reason.clone() })
    }

    /// Lets a call pass, or says why not. After the wait one call passes, and the others wait for what becomes of it.
    pub(super) fn pass(&self) -> Result<(), ProviderErrorKind> {
        if let Some(open) = self.open() {
            return Err(open.refusal());
        }
        let mut state = self.lock();
        if state.open_until.is_some() {
            state.open_until = Some(Instant::now() + PROBE);
            state.probing = true;
        }
        Ok(())
    }

    /// Counts a call that came through. Returns whether that closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        let mut state = self.lock();
        let was_open = state.open_until.is_some();
        *state = State::default();
        was_open
    }

    /// Returns whether a failure is about the store, and not about one value or its settings.
    pub(super) fn counts(kind: &ProviderErrorKind) -> bool {
        use ProviderErrorKind::{Throttled, Unauthenticated, Unavailable};
        matches!(kind, Throttled(_) | Unavailable(_) | Unauthenticated(_))
    }

    /// Counts a failure. Returns whether that opened the breaker, or keeps it open.
    pub(super) fn failed(&self, kind: &ProviderErrorKind) -> bool {
        let asked = match kind {
            ProviderErrorKind::Throttled(after) => *after,
            kind if Self::counts(kind) => None,
            // The store answers.
            _ => {
                self.succeeded();
                return false;
            }
        };
        let mut state = self.lock();
        let is_open = state.open_until.is_some_and(|until| until > Instant::now());
        // Calls that were under way when it opened fail for the same reason: they say nothing new.
        if is_open && !std::mem::take(&mut state.probing) && asked.is_none() {
            return true;
        }
        state.failures = state.failures.saturating_add(1);
        state.reason = kind.to_string();
        let by_count = state
            .failures
            .checked_sub(THRESHOLD)
            .map(|more| OPEN_BASE.saturating_mul(1_u32.checked_shl(more).unwrap_or(u32::MAX)).min(OPEN_CAP));
        let wait = asked.map(|asked| asked.min(RETRY_AFTER_CAP)).max(by_count);
        let was_open = state.open_until.is_some();
        state.open_until = match wait {
            Some(wait) => Some(Instant::now() + wait),
            None if was_open => Some(Instant::now() + OPEN_BASE),
            None => None,
        };
        state.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> ProviderErrorKind {
        ProviderErrorKind::Unavailable("down".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_doubles_its_wait() {
        let breaker = Breaker::default();
        for _ in 1..THRESHOLD {
            assert!(!breaker.failed(&down()));
            assert_eq!(breaker.pass(), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert!(breaker.failed(&down()));
            let open = breaker.open().unwrap();
            assert!(breaker.pass().unwrap_err().to_string().contains("down"));
            waits.push(open.wait.as_secs());
            tokio::time::advance(open.wait).await;
            assert_eq!(breaker.pass(), Ok(()), "one attempt passes");
            assert!(breaker.pass().is_err(), "and only one");
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(breaker.succeeded());
        assert_eq!((breaker.open(), breaker.pass()), (None, Ok(())));
        assert!(!breaker.failed(&down()), "it counts from the start again");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_when_it_opens_count_once() {
        let breaker = Breaker::default();
        let fail = |times: u32| (0..times).filter(|_| breaker.failed(&down())).count();
        assert_eq!(fail(THRESHOLD + 20), 21);
        assert_eq!(breaker.open().unwrap().wait, OPEN_BASE);
        tokio::time::advance(OPEN_BASE).await;
        assert_eq!(breaker.pass(), Ok(()));
        assert_eq!(fail(20), 20);
        assert_eq!(breaker.open().unwrap().wait, 2 * OPEN_BASE);
    }

    #[tokio::test(start_paused = true)]
    async fn honours_what_the_server_asks_for() {
        let breaker = Breaker::default();
        assert!(breaker.failed(&ProviderErrorKind::Throttled(Some(Duration::from_secs(90)))));
        assert_eq!(breaker.open().unwrap().wait.as_secs(), 90);
        tokio::time::advance(Duration::from_secs(89)).await;
        assert!(breaker.pass().is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(breaker.pass().is_ok());
        breaker.failed(&ProviderErrorKind::Throttled(Some(Duration::from_secs(1_000_000))));
        assert_eq!(breaker.open().unwrap().wait, RETRY_AFTER_CAP);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_about_one_value_do_not_count() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            for kind in [
                ProviderErrorKind::NotFound,
                ProviderErrorKind::Denied("no".into()),
                ProviderErrorKind::Failed("odd".into()),
            ] {
                breaker.failed(&kind);
            }
        }
        assert_eq!(breaker.pass(), Ok(()));
    }
}
