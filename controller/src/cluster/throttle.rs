//! Rates, by the generic cell rate algorithm: one time per key says all about the past.
//!
//! Used twice: for what clients may ask of us (`http/limit.rs`), and for what we may ask of the API server
//! (`--kubeclient-qps`, `--kubeclient-burst`).

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::lock;

/// A rate: one event per interval, and some at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Time between two events that go on and on.
    pub interval: Duration,
    /// Events at once after a rest.
    pub at_once: u32,
}

impl Rate {
    /// Returns the rate of so many events a second. `None` where that is no positive number.
    pub fn per_second(events: f64, at_once: u32) -> Option<Self> {
        let interval =
            Duration::try_from_secs_f64(events.recip()).ok().filter(|interval| !interval.is_zero())?;
        Some(Self { interval, at_once: at_once.max(1) })
    }

    /// Takes one event at `now` after the past in `arrival`: the new past, and how far in the future the event lies.
    pub(super) fn next(self, arrival: Option<Instant>, now: Instant) -> (Instant, Duration) {
        let next = arrival.map_or(now, |arrival| arrival.max(now)) + self.interval;
        let ahead = next.duration_since(now);
        (next, ahead.saturating_sub(self.interval * self.at_once))
    }
}

/// Lets callers pass at a rate.
#[derive(Debug)]
pub struct Throttle {
    rate: Rate,
    arrival: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Makes a throttle that has rested.
    pub fn new(rate: Rate) -> Self {
        Self { rate, arrival: Mutex::default() }
    }

    /// Waits for the caller's turn.
    pub async fn turn(&self) {
        let now = Instant::now();
        let wait = {
            let mut arrival = lock(&self.arrival);
            let (next, wait) = self.rate.next(*arrival, now);
            *arrival = Some(next);
            wait
        };
        if !wait.is_zero() {
            sleep_until(now + wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lets_a_burst_pass_and_then_the_rate() {
        let throttle = Throttle::new(Rate::per_second(5.0, 10).unwrap());
        let start = Instant::now();
        for _ in 0..10 {
            throttle.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            throttle.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    }

    #[test]
    fn no_rate_is_none() {
        for events in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Rate::per_second(events, 1), None, "{events}");
        }
    }
}
