//! Status and event from the result: what upstream writes, and only when it says something new.

use sealops_crds::SealedSecret;
use sealops_crds::sealed_secret::{SYNCED, SealedSecretCondition, SealedSecretStatus};

use super::Failure;
use crate::outcome::Event;

/// What to tell others about a reconcile.
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The new status, or `None` where the stored one is true already.
    pub status: Option<SealedSecretStatus>,
    /// The event, or `None` where nothing changed.
    pub event: Option<Event>,
}

/// Compares the result with the stored status. `wrote` says whether the Secret was written; `now` is RFC 3339.
pub fn report(sealed: &SealedSecret, result: Result<(), &Failure>, wrote: bool, now: &str) -> Report {
    let status = new_status(sealed, result, now);
    let news = wrote || status.is_some();
    let event = match result {
        Ok(()) => Some(Event::normal("Unsealed", "SealedSecret unsealed successfully")),
        Err(failure) => failure.event.clone(),
    };
    Report { status, event: event.filter(|_| news) }
}

fn new_status(sealed: &SealedSecret, result: Result<(), &Failure>, now: &str) -> Option<SealedSecretStatus> {
    let (word, message) = match result {
        Ok(()) => ("True", None),
        Err(failure) => ("False", Some(failure.message.clone()).filter(|message| !message.is_empty())),
    };
    let stored = sealed.status.clone().unwrap_or_default();
    let synced = stored.conditions.iter().find(|condition| condition.type_ == SYNCED);
    let same_word = synced.is_some_and(|condition| condition.status == word);
    let stored_message =
        synced.and_then(|condition| condition.message.clone()).filter(|text| !text.is_empty());
    if same_word && stored_message == message && stored.observed_generation == sealed.metadata.generation {
        return None;
    }
    let transition =
        synced.filter(|_| same_word).and_then(|condition| condition.last_transition_time.clone());
    let condition = SealedSecretCondition {
        type_: SYNCED.to_owned(),
        status: word.to_owned(),
        last_update_time: Some(now.to_owned()),
        last_transition_time: Some(transition.unwrap_or_else(|| now.to_owned())),
        reason: None,
        message,
    };
    let others = stored.conditions.iter().filter(|condition| condition.type_ != SYNCED).cloned();
    Some(SealedSecretStatus {
        observed_generation: sealed.metadata.generation,
        conditions: std::iter::once(condition).chain(others).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(generation: i64, status: Option<SealedSecretStatus>) -> SealedSecret {
        let mut sealed = SealedSecret { status, ..SealedSecret::default() };
        sealed.metadata.generation = Some(generation);
        sealed
    }

    #[test]
    fn first_success_sets_both_times() {
        let report = report(&object(1, None), Ok(()), true, "2026-01-01T00:00:00Z");
        let status = report.status.unwrap();
        let condition = &status.conditions[0];
        assert_eq!(status.observed_generation, Some(1));
        assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("Synced", "True"));
        assert_eq!(condition.last_update_time, condition.last_transition_time);
        assert_eq!(report.event.unwrap().reason, "Unsealed");
    }

    #[test]
    fn what_is_true_already_is_not_written_again() {
        let first = report(&object(1, None), Ok(()), true, "2026-01-01T00:00:00Z").status;
        let again = report(&object(1, first), Ok(()), false, "2026-01-02T00:00:00Z");
        assert_eq!(again, Report { status: None, event: None });
    }

    #[test]
    fn a_new_generation_keeps_the_transition_time_and_a_flip_moves_it() {
        let first = report(&object(1, None), Ok(()), true, "T1").status;
        let second = report(&object(2, first), Ok(()), true, "T2").status.unwrap();
        assert_eq!(second.conditions[0].last_transition_time.as_deref(), Some("T1"));
        assert_eq!(second.conditions[0].last_update_time.as_deref(), Some("T2"));
        let failure = Failure::unseal("no key could decrypt secret (a)");
        let third = report(&object(2, Some(second)), Err(&failure), false, "T3").status.unwrap();
        assert_eq!(third.conditions[0].last_transition_time.as_deref(), Some("T3"));
        assert_eq!(third.conditions[0].message.as_deref(), Some("no key could decrypt secret (a)"));
    }

    /// Upstream never persists a changed message of the same status; we do.
    #[test]
    fn a_changed_message_is_written() {
        let one = report(&object(1, None), Err(&Failure::unseal("one")), false, "T1").status;
        let two = report(&object(1, one), Err(&Failure::unseal("two")), false, "T2");
        assert_eq!(two.status.unwrap().conditions[0].message.as_deref(), Some("two"));
        assert_eq!(two.event.unwrap().message, "Failed to unseal: two");
    }
}
