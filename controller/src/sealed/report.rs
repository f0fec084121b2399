//! Status and event from the result: what upstream writes, and only when it says something new.
//!
//! `Synced` comes first and says what upstream's says, word for word: Argo CD and the printer columns read it. `Ready`
//! follows, and `Reconciling` or `Stalled` only while they are true, which is what kstatus (Flux, kpt) asks for. They
//! are absent in a status of upstream's controller; that alone is no reason to write.

use sealops_crds::SealedSecret;
use sealops_crds::sealed_secret::{
    READY, RECONCILING, STALLED, SYNCED, SealedSecretCondition, SealedSecretStatus,
};

use super::{Failure, FailureReason};
use crate::outcome::Event;

/// What to tell others about a reconcile.
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The new status, or `None` where the stored one is true already.
    pub status: Option<SealedSecretStatus>,
    /// The event, or `None` where nothing changed.
    pub event: Option<Event>,
}

/// What comes after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The controller tries again by itself and expects it to help.
    Retrying,
    /// Somebody has to change something.
    Stalled,
}

/// Compares the result with the stored status. `wrote` says whether the Secret was written; `now` is RFC 3339.
pub fn report(
    sealed: &SealedSecret,
    result: Result<(), (&Failure, Progress)>,
    wrote: bool,
    now: &str,
) -> Report {
    let status = new_status(sealed, result, now);
    let news = wrote || status.is_some();
    let event = match result {
        Ok(()) => Some(Event::normal("Unsealed", "SealedSecret unsealed successfully")),
        Err((failure, _)) => failure.event.clone(),
    };
    Report { status, event: event.filter(|_| news) }
}

/// Returns whether the stored status says that this very generation is synced, and nothing else.
pub fn says_synced(sealed: &SealedSecret) -> bool {
    let Some(status) = observed(sealed) else { return false };
    let word = |name| find(status, name).map(|condition| condition.status.as_str());
    let clean = find(status, SYNCED).is_some_and(|synced| message_of(synced).is_none());
    clean
        && word(SYNCED) == Some("True")
        && word(READY).is_none_or(|ready| ready == "True")
        && word(RECONCILING).is_none_or(|word| word == "False")
        && word(STALLED).is_none_or(|word| word == "False")
}

/// Returns whether the stored status says that this very generation has failed, in our words.
pub fn says_failed(sealed: &SealedSecret) -> bool {
    let said = |status: &SealedSecretStatus, name, word| {
        find(status, name).is_some_and(|condition| condition.status == word)
    };
    observed(sealed).is_some_and(|status| said(status, SYNCED, "False") && said(status, STALLED, "True"))
}

fn observed(sealed: &SealedSecret) -> Option<&SealedSecretStatus> {
    sealed.status.as_ref().filter(|status| status.observed_generation == sealed.metadata.generation)
}

fn find<'a>(status: &'a SealedSecretStatus, name: &str) -> Option<&'a SealedSecretCondition> {
    status.conditions.iter().find(|condition| condition.type_ == name)
}

fn message_of(condition: &SealedSecretCondition) -> Option<&str> {
    condition.message.as_deref().filter(|message| !message.is_empty())
}

fn new_status(
    sealed: &SealedSecret,
    result: Result<(), (&Failure, Progress)>,
    now: &str,
) -> Option<SealedSecretStatus> {
    let stored = sealed.status.clone().unwrap_or_default();
    if result.is_ok() && says_synced(sealed) {
        return None;
    }
    let wanted = wanted(result);
    let ours = [SYNCED, READY, RECONCILING, STALLED];
    let same = |condition: &SealedSecretCondition| {
        find(&stored, &condition.type_).is_some_and(|own| {
            own.status == condition.status
                && own.reason == condition.reason
                && message_of(own) == message_of(condition)
        })
    };
    let extra = |own: &&SealedSecretCondition| {
        ours.contains(&own.type_.as_str()) && wanted.iter().all(|condition| condition.type_ != own.type_)
    };
    if stored.observed_generation == sealed.metadata.generation
        && wanted.iter().all(same)
        && !stored.conditions.iter().any(|own| extra(&own))
    {
        return None;
    }
    let dated = wanted.into_iter().map(|condition| {
        let transition = find(&stored, &condition.type_)
            .filter(|own| own.status == condition.status)
            .and_then(|own| own.last_transition_time.clone());
        SealedSecretCondition {
            last_update_time: Some(now.to_owned()),
            last_transition_time: Some(transition.unwrap_or_else(|| now.to_owned())),
            ..condition
        }
    });
    let others = stored.conditions.iter().filter(|condition| !ours.contains(&condition.type_.as_str()));
    Some(SealedSecretStatus {
        observed_generation: sealed.metadata.generation,
        conditions: dated.chain(others.cloned()).collect(),
    })
}

/// The conditions of a result, in their order, without times.
fn wanted(result: Result<(), (&Failure, Progress)>) -> Vec<SealedSecretCondition> {
    let condition = |type_: &str, status: &str, reason: Option<&str>, message: Option<String>| {
        let (type_, status, reason) = (type_.to_owned(), status.to_owned(), reason.map(str::to_owned));
        SealedSecretCondition { type_, status, reason, message, ..SealedSecretCondition::default() }
    };
    let Err((failure, progress)) = result else {
        return vec![
            condition(SYNCED, "True", None, None),
            condition(READY, "True", Some("Unsealed"), Some("the Secret is up to date".to_owned())),
        ];
    };
    let reason = match failure.reason {
        FailureReason::Fetch => "FetchFailed",
        FailureReason::Unmanaged => "NotManaged",
        FailureReason::Unseal => "UnsealFailed",
        FailureReason::Update => "UpdateFailed",
    };
    let text = match &failure.advice {
        Some(advice) => format!("{}; to do: {advice}", failure.message),
        None => failure.message.clone(),
    };
    let (third, third_reason) = match progress {
        Progress::Retrying => (RECONCILING, "Retrying"),
        Progress::Stalled => (STALLED, reason),
    };
    vec![
        condition(SYNCED, "False", None, Some(failure.message.clone()).filter(|message| !message.is_empty())),
        condition(READY, "False", Some(reason), Some(text.clone())),
        condition(third, "True", Some(third_reason), Some(text)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(generation: i64, status: Option<SealedSecretStatus>) -> SealedSecret {
        let mut sealed = SealedSecret { status, ..SealedSecret::default() };
        sealed.metadata.generation = Some(generation);
        sealed
    }

    fn types(status: &SealedSecretStatus) -> Vec<(&str, &str)> {
        status.conditions.iter().map(|own| (own.type_.as_str(), own.status.as_str())).collect()
    }

    /// What upstream's controller leaves.
    fn upstream(word: &str, message: Option<&str>) -> SealedSecretStatus {
        SealedSecretStatus {
            observed_generation: Some(1),
            conditions: vec![SealedSecretCondition {
                type_: SYNCED.into(),
                status: word.into(),
                last_update_time: Some("T0".into()),
                last_transition_time: Some("T0".into()),
                message: message.map(str::to_owned),
                ..SealedSecretCondition::default()
            }],
        }
    }

    #[test]
    fn first_success_sets_both_times() {
        let report = report(&object(1, None), Ok(()), true, "2026-01-01T00:00:00Z");
        let status = report.status.unwrap();
        let condition = &status.conditions[0];
        assert_eq!(status.observed_generation, Some(1));
        assert_eq!(types(&status), [("Synced", "True"), ("Ready", "True")]);
        assert_eq!(condition.last_update_time, condition.last_transition_time);
        assert_eq!((&condition.message, &condition.reason), (&None, &None), "as upstream");
        assert_eq!(report.event.unwrap().reason, "Unsealed");
    }

    #[test]
    fn what_is_true_already_is_not_written_again() {
        let first = report(&object(1, None), Ok(()), true, "2026-01-01T00:00:00Z").status;
        let again = report(&object(1, first), Ok(()), false, "2026-01-02T00:00:00Z");
        assert_eq!(again, Report { status: None, event: None });
        let taken_over = report(&object(1, Some(upstream("True", None))), Ok(()), false, "T1");
        assert_eq!(taken_over.status, None, "upstream's success is ours");
    }

    #[test]
    fn a_failure_that_upstream_left_gets_our_conditions() {
        let failure = Failure::unseal("no key could decrypt secret (a)");
        let sealed = object(1, Some(upstream("False", Some("no key could decrypt secret (a)"))));
        assert!(!says_failed(&sealed), "kstatus would call it current");
        let status = report(&sealed, Err((&failure, Progress::Stalled)), false, "T1").status.unwrap();
        assert_eq!(types(&status), [("Synced", "False"), ("Ready", "False"), ("Stalled", "True")]);
        assert_eq!(status.conditions[0].last_transition_time.as_deref(), Some("T0"));
        assert!(says_failed(&object(1, Some(status))));
    }

    #[test]
    fn conditions_that_a_go_back_left_behind_are_put_right() {
        let failure = Failure::unseal("no key could decrypt secret (a)");
        let mut status =
            report(&object(1, None), Err((&failure, Progress::Stalled)), false, "T1").status.unwrap();
        // Upstream keeps up only its own condition.
        status.conditions[0].status = "True".into();
        status.conditions[0].message = Some(String::new());
        let sealed = object(1, Some(status));
        assert!(!says_synced(&sealed));
        let mended = report(&sealed, Ok(()), false, "T2").status.unwrap();
        assert_eq!(types(&mended), [("Synced", "True"), ("Ready", "True")]);
        assert!(says_synced(&object(1, Some(mended))));
    }

    #[test]
    fn a_new_generation_keeps_the_transition_time_and_a_flip_moves_it() {
        let first = report(&object(1, None), Ok(()), true, "T1").status;
        let second = report(&object(2, first), Ok(()), true, "T2").status.unwrap();
        assert_eq!(second.conditions[0].last_transition_time.as_deref(), Some("T1"));
        assert_eq!(second.conditions[0].last_update_time.as_deref(), Some("T2"));
        let failure = Failure::unseal("no key could decrypt secret (a)");
        let third = report(&object(2, Some(second)), Err((&failure, Progress::Stalled)), false, "T3");
        let third = third.status.unwrap();
        assert_eq!(third.conditions[0].last_transition_time.as_deref(), Some("T3"));
        assert_eq!(third.conditions[0].message.as_deref(), Some("no key could decrypt secret (a)"));
    }

    /// Upstream never persists a changed message of the same status; we do.
    #[test]
    fn a_changed_message_is_written() {
        let stalled = |text: &str, stored| {
            report(&object(1, stored), Err((&Failure::unseal(text), Progress::Stalled)), false, "T")
        };
        let two = stalled("two", stalled("one", None).status);
        assert_eq!(two.status.unwrap().conditions[0].message.as_deref(), Some("two"));
        assert_eq!(two.event.unwrap().message, "Failed to unseal: two");
    }

    #[test]
    fn upstreams_text_stays_and_ours_says_what_to_do() {
        let failure =
            Failure::unseal("no key could decrypt secret (a)").advising(Some("seal it again".to_owned()));
        let status =
            report(&object(1, None), Err((&failure, Progress::Retrying)), false, "T").status.unwrap();
        assert_eq!(types(&status), [("Synced", "False"), ("Ready", "False"), ("Reconciling", "True")]);
        assert_eq!(status.conditions[0].message.as_deref(), Some("no key could decrypt secret (a)"));
        let ready = status.conditions[1].message.as_deref().unwrap();
        assert_eq!(ready, "no key could decrypt secret (a); to do: seal it again");
    }

    #[test]
    fn foreign_conditions_are_kept_behind_ours() {
        let mut status = upstream("False", Some("x"));
        let other = SealedSecretCondition { type_: "Other".into(), ..status.conditions[0].clone() };
        status.conditions.insert(0, other);
        let next = report(&object(1, Some(status)), Ok(()), true, "T1").status.unwrap();
        assert_eq!(types(&next), [("Synced", "True"), ("Ready", "True"), ("Other", "False")]);
    }
}
