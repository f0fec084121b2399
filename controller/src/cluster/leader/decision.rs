//! What to do about a Lease: a pure function of what was seen, since when, and who we are.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// The holder's word in a Lease, and since when *we* have seen it unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Empty when released.
    holder: String,
    renew_time: Option<MicroTime>,
    acquire_time: Option<MicroTime>,
    transitions: Option<i32>,
    duration: Duration,
    since: Instant,
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is no Lease: create it.
    Create,
    /// The Lease is ours: renew it.
    Renew,
    /// It is released or expired: take it over, one transition more.
    TakeOver,
    /// Another holds it; it cannot expire earlier than this from now.
    Wait(Duration),
}

impl Observed {
    /// Takes a Lease that was read at `now` into account. An unchanged Lease keeps the time it was first seen.
    ///
    /// `default_duration` is for a Lease that tells no sensible duration.
    #[must_use]
    pub fn update(earlier: Option<Self>, lease: &Lease, now: Instant, default_duration: Duration) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let mut observed = Self {
            holder: spec.holder_identity.unwrap_or_default(),
            renew_time: spec.renew_time,
            acquire_time: spec.acquire_time,
            transitions: spec.lease_transitions,
            duration: seconds.filter(|seconds| *seconds > 0).map_or(default_duration, Duration::from_secs),
            since: now,
        };
        if let Some(earlier) = earlier {
            let since = earlier.since;
            if (Self { since: now, ..earlier }) == observed {
                observed.since = since;
            }
        }
        observed
    }
}

/// Decides by `observed` (`None`: there is no Lease) and the monotonic `now`; no wall clock is read.
#[must_use]
pub fn decide(observed: Option<&Observed>, now: Instant, identity: &str) -> Action {
    let Some(observed) = observed else { return Action::Create };
    if observed.holder == identity {
        return Action::Renew;
    }
    let left = observed.duration.saturating_sub(now.saturating_duration_since(observed.since));
    if observed.holder.is_empty() || left.is_zero() { Action::TakeOver } else { Action::Wait(left) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    const DEFAULT: Duration = Duration::from_secs(15);

    fn lease(holder: &str, renewed: &str, seconds: Option<i32>) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    fn seen(earlier: Option<Observed>, lease: &Lease, now: Instant) -> Observed {
        Observed::update(earlier, lease, now, DEFAULT)
    }

    const MORNING: &str = "2026-10-01T08:00:00Z";
    const LATER: &str = "2026-10-01T08:00:02Z";

    #[test]
    fn creates_an_absent_lease() {
        assert_eq!(decide(None, Instant::now(), "me"), Action::Create);
    }

    #[test]
    fn waits_for_another_until_it_was_unchanged_for_its_duration() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = seen(None, &lease("other", MORNING, Some(20)), start);
        assert_eq!(decide(Some(&first), start, "me"), Action::Wait(Duration::from_secs(20)));
        let same = seen(Some(first), &lease("other", MORNING, Some(20)), after(19));
        assert_eq!(decide(Some(&same), after(19), "me"), Action::Wait(Duration::from_secs(1)));
        assert_eq!(decide(Some(&same), after(20), "me"), Action::TakeOver);
        let renewed = seen(Some(same), &lease("other", LATER, Some(20)), after(21));
        assert_eq!(decide(Some(&renewed), after(21), "me"), Action::Wait(Duration::from_secs(20)));
    }

    #[test]
    fn another_holder_starts_the_wait_anew() {
        let start = Instant::now();
        let late = start + Duration::from_secs(14);
        let first = seen(None, &lease("other", MORNING, Some(15)), start);
        let next = seen(Some(first), &lease("third", MORNING, Some(15)), late);
        assert_eq!(decide(Some(&next), late, "me"), Action::Wait(DEFAULT));
    }

    #[test]
    fn clocks_of_others_do_not_matter() {
        let now = Instant::now();
        for skewed in ["1999-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let observed = seen(None, &lease("other", skewed, Some(15)), now);
            assert_eq!(decide(Some(&observed), now, "me"), Action::Wait(DEFAULT), "{skewed}");
            assert_eq!(decide(Some(&observed), now + DEFAULT, "me"), Action::TakeOver, "{skewed}");
        }
    }

    #[test]
    fn own_lease_after_a_restart_is_renewed_at_once() {
        let now = Instant::now();
        let observed = seen(None, &lease("me", MORNING, Some(15)), now);
        assert_eq!(decide(Some(&observed), now, "me"), Action::Renew);
        assert_eq!(decide(Some(&observed), now + Duration::from_secs(3600), "me"), Action::Renew);
    }

    #[test]
    fn a_released_or_empty_lease_is_taken_at_once() {
        let now = Instant::now();
        for lease in [lease("", MORNING, Some(15)), Lease::default()] {
            assert_eq!(decide(Some(&seen(None, &lease, now)), now, "me"), Action::TakeOver);
        }
    }

    #[test]
    fn a_senseless_duration_counts_as_the_default() {
        let now = Instant::now();
        for seconds in [None, Some(0), Some(-5)] {
            let observed = seen(None, &lease("other", MORNING, seconds), now);
            assert_eq!(decide(Some(&observed), now, "me"), Action::Wait(DEFAULT));
        }
    }
}
