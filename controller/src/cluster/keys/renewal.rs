//! When the current key gets a successor: by age, or because somebody asks (SIGUSR1).

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;
use tracing::{error, info};

use super::KeyManager;
use crate::cluster::leader::WriteGuard;

/// Longest time between two looks at the clock: it can be set, and a machine can be put to sleep.
const LOOK: Duration = Duration::from_secs(60);
/// After a renewal that failed.
const PAUSE: Duration = Duration::from_secs(10);

impl KeyManager {
    /// Asks for a successor of the current key, whatever its age.
    pub fn ask_for_renewal(&self) {
        self.asked.notify_one();
    }

    /// Renews for ever. Only the leader runs this.
    pub async fn renew(&self, guard: &WriteGuard) {
        loop {
            let cause = self.cause().await;
            if let Err(problem) = self.renew_once(cause, guard).await {
                error!(problem, "Failed to generate new key");
                sleep(PAUSE).await;
            }
        }
    }

    async fn renew_once(&self, cause: Cause, guard: &WriteGuard) -> Result<(), String> {
        // The last attempt may have stored a key although its answer got lost.
        self.refresh().await.map_err(|error| error.to_string())?;
        if cause == Cause::Age && self.left() != Some(Duration::ZERO) {
            return Ok(());
        }
        info!("renewing the sealing key");
        self.make(guard).await
    }

    async fn cause(&self) -> Cause {
        loop {
            let left = self.left();
            if left == Some(Duration::ZERO) {
                return Cause::Age;
            }
            tokio::select! {
                () = self.asked.notified() => return Cause::Asked,
                () = sleep(left.map_or(LOOK, |left| left.min(LOOK))) => {}
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        until_due(self.options.renew_after, self.current().current_since, Timestamp::now().as_second())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Age,
    Asked,
}

/// Returns the time until the current key, which counts since `since`, is `period` old. A key from the future is as
/// good as new.
fn until_due(period: Option<Duration>, since: Option<i64>, now: i64) -> Option<Duration> {
    let (period, since) = (period?, since?);
    let age = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    Some(period.saturating_sub(Duration::from_secs(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B6 F15: clocks that jump.
    #[test]
    fn a_key_is_due_at_its_age() {
        let day = Duration::from_secs(86_400);
        for (period, since, now, left) in [
            (None, Some(0), i64::MAX, None),
            (Some(day), None, 5, None),
            (Some(day), Some(100), 100, Some(day)),
            (Some(day), Some(0), 86_399, Some(Duration::from_secs(1))),
            (Some(day), Some(0), 86_400, Some(Duration::ZERO)),
            (Some(day), Some(0), 315_360_000, Some(Duration::ZERO)),
            (Some(day), Some(315_360_000), 0, Some(day)),
            (Some(day), Some(i64::MIN), i64::MAX, Some(Duration::ZERO)),
        ] {
            assert_eq!(until_due(period, since, now), left, "{since:?} {now}");
        }
    }
}
