//! Status and events from the result.

use sealops_crds::external_secret::{Binding, ExternalSecretStatus};
use sealops_crds::{Condition, ExternalSecret};

use super::{Failure, Fetched, object_version, target_name};
use crate::outcome::{Change, Event};

/// What to tell others about a reconcile.
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The new status, or `None` where the stored one is true already.
    pub status: Option<ExternalSecretStatus>,
    /// The event, or `None` where nothing happened.
    pub event: Option<Event>,
}

/// Compares the result (what was fetched, and the change that was made) with the stored status. `now` is RFC 3339.
pub fn report(
    external: &ExternalSecret,
    result: Result<(Fetched, Option<&Change>), &Failure>,
    now: &str,
) -> Report {
    let stored = external.status.clone().unwrap_or_default();
    let (condition, event) = match result {
        Ok((Fetched::NotDue, _)) => return Report { status: None, event: None },
        Ok((fetched, change)) => {
            let message = match fetched {
                Fetched::Empty => "secret retained due to DeletionPolicy=Retain",
                _ => "secret synced",
            };
            let event = change.map(|change| match change {
                Change::Create(_) => Event::normal("Created", "secret created"),
                Change::Replace(_) => Event::normal("Updated", "secret updated"),
            });
            (("True", "SecretSynced", message.to_owned()), event)
        }
        Err(failure) => {
            let event = Event::warning("UpdateFailed", failure.cause.clone());
            (("False", "SecretSyncedError", failure.message.clone()), Some(event))
        }
    };
    let mut status =
        ExternalSecretStatus { conditions: with_ready(&stored.conditions, condition, now), ..stored.clone() };
    if result.is_ok() {
        status.refresh_time = Some(now.to_owned());
        status.synced_resource_version = Some(object_version(external));
    }
    if matches!(result, Ok((Fetched::Values, _))) {
        status.binding = Some(Binding { name: target_name(external).to_owned() });
    }
    let changed = status != stored;
    Report {
        status: Some(status).filter(|_| changed),
        event: event.filter(|event| changed || !event.warning),
    }
}

fn with_ready(
    stored: &[Condition],
    (word, reason, message): (&str, &str, String),
    now: &str,
) -> Vec<Condition> {
    let before = stored.iter().find(|condition| condition.type_ == "Ready");
    let since =
        before.filter(|before| before.status == word).and_then(|before| before.last_transition_time.clone());
    let ready = Condition {
        type_: "Ready".to_owned(),
        status: word.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(since.unwrap_or_else(|| now.to_owned())),
    };
    let others = stored.iter().filter(|condition| condition.type_ != "Ready").cloned();
    std::iter::once(ready).chain(others).collect()
}
