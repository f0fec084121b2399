//! Trying again: as often as it can help, as late as the server asks, within a deadline.

use std::time::Duration;

use ::http::{HeaderMap, header};
use tokio::time::{Instant, sleep};

use crate::{ProviderErrorKind, Retry};

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Attempts, the first one included.
    pub attempts: u32,
    /// Wait before the second attempt; each further one is twice as long.
    pub base: Duration,
    /// Longest wait, also where the server asks for more.
    pub cap: Duration,
    /// Time for all attempts together.
    pub deadline: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 4,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(20),
            deadline: Duration::from_secs(60),
        }
    }
}

/// Runs an attempt until it succeeds or trying again does not help.
///
/// # Errors
/// Returns the last failure.
pub async fn call<T, F>(policy: Policy, mut attempt: impl FnMut() -> F) -> Result<T, ProviderErrorKind>
where
    // Not AsyncFnMut: of that the compiler cannot say yet that its futures may change threads.
    F: Future<Output = Result<T, ProviderErrorKind>> + Send,
{
    let started = Instant::now();
    let mut wait = policy.base;
    for number in 1.. {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = match error.retry() {
            Retry::Never => return Err(error),
            Retry::Backoff => wait,
            Retry::After(asked) => asked.max(wait),
        };
        if number >= policy.attempts || pause > policy.cap || started.elapsed() + pause > policy.deadline {
            return Err(error);
        }
        sleep(pause).await;
        wait = (wait * 2).min(policy.cap);
    }
    unreachable!("the loop has no end but those in it")
}

/// Returns what `Retry-After` says, in seconds. Dates are not looked at: they need a clock that agrees.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
