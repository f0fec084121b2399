//! Status and events of a PushSecret from what became of it.

use sealops_crds::push_secret::SyncedPushSecrets;
use sealops_crds::{Condition, PushSecret, PushSecretStatus};

use super::keeps_existing;
use crate::external::version_of;
use crate::outcome::Event;

/// What to tell others.
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The new status, or `None` where the stored one is true already.
    pub status: Option<PushSecretStatus>,
    /// The event, or `None` where it would be no news.
    pub event: Option<Event>,
}

/// Everything was written; `written` is all of it. `now` is the start, RFC 3339.
pub fn synced(push: &PushSecret, written: SyncedPushSecrets, now: &str) -> Report {
    let mut message = "PushSecret synced successfully".to_owned();
    if keeps_existing(push) {
        message.push_str(". Existing secrets in providers unchanged.");
    }
    let event = Event::normal("Synced", message.clone());
    let mut status = with_ready(push, "True", "Synced", message, now);
    status.synced_push_secrets = Some(written);
    status.refresh_time = Some(now.to_owned());
    status.synced_resource_version = Some(version_of(&push.metadata));
    told(push, status, event)
}

/// It failed; `written` is what is known to be in the stores, `None` leaves the record as it is.
pub fn failed(push: &PushSecret, message: &str, written: Option<SyncedPushSecrets>, now: &str) -> Report {
    let mut status = with_ready(push, "False", "Errored", message.to_owned(), now);
    if written.is_some() {
        status.synced_push_secrets = written;
    }
    told(push, status, Event::warning("Errored", message))
}

/// The source is gone, and what was written of it too.
pub fn source_deleted(push: &PushSecret, now: &str) -> Report {
    const MESSAGE: &str = "source secret deleted; provider secrets cleaned up";
    let mut status = with_ready(push, "False", "SourceDeleted", MESSAGE.to_owned(), now);
    status.synced_push_secrets = None;
    told(push, status, Event::normal("SourceDeleted", MESSAGE))
}

/// A warning is news when it changes the status; a success always, as upstream has it.
fn told(push: &PushSecret, status: PushSecretStatus, event: Event) -> Report {
    let changed = push.status.as_ref() != Some(&status);
    Report { status: changed.then_some(status), event: Some(event).filter(|_| changed) }
}

fn with_ready(
    push: &PushSecret,
    word: &str,
    reason: &'static str,
    message: String,
    now: &str,
) -> PushSecretStatus {
    let stored = push.status.clone().unwrap_or_default();
    let before = stored.conditions.iter().find(|condition| condition.type_ == "Ready");
    let since =
        before.filter(|before| before.status == word).and_then(|before| before.last_transition_time.clone());
    let ready = Condition {
        type_: "Ready".to_owned(),
        status: word.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(since.unwrap_or_else(|| now.to_owned())),
    };
    let others = stored.conditions.iter().filter(|condition| condition.type_ != "Ready").cloned();
    PushSecretStatus { conditions: std::iter::once(ready).chain(others).collect(), ..stored }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";
    const LATER: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn a_failure_keeps_what_is_recorded() {
        let mut push = PushSecret::default();
        let written = SyncedPushSecrets::from([("SecretStore/a".to_owned(), Default::default())]);
        push.status = synced(&push, written.clone(), NOW).status;
        let report = failed(&push, "no", None, LATER);
        let status = report.status.unwrap();
        assert_eq!(status.synced_push_secrets, Some(written));
        assert_eq!(status.refresh_time.as_deref(), Some(NOW));
        assert_eq!(report.event.unwrap(), Event::warning("Errored", "no"));
        push.status = Some(status);
        assert_eq!(failed(&push, "no", None, "2026-01-03T00:00:00Z"), Report { status: None, event: None });
        let gone = source_deleted(&push, LATER).status.unwrap();
        assert_eq!(
            (gone.synced_push_secrets, gone.conditions[0].reason.as_deref()),
            (None, Some("SourceDeleted"))
        );
        assert_eq!(gone.conditions[0].last_transition_time.as_deref(), Some(LATER));
    }

    #[test]
    fn the_policy_stands_in_the_message() {
        let push: PushSecret =
            serde_json::from_value(serde_json::json!({ "spec": { "updatePolicy": "IfNotExists" } })).unwrap();
        let message = synced(&push, SyncedPushSecrets::new(), NOW).event.unwrap().message;
        assert_eq!(message, "PushSecret synced successfully. Existing secrets in providers unchanged.");
    }
}
