//! Why a SealedSecret did not become a Secret, in upstream's words where others match them.

use std::collections::BTreeMap;

use sealops_crds::sealed_secret as names;

use crate::object::ReadError;
use crate::outcome::{CommitError, CommitErrorKind, Event, Retry};

/// A failed reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Closed set: the metric label.
    pub reason: FailureReason,
    /// Text of the `Synced` condition.
    pub message: String,
    /// What to do about it; in the conditions that upstream does not have.
    pub advice: Option<String>,
    /// The event, if this failure is worth one.
    pub event: Option<Event>,
    /// Whether trying again can help.
    pub retry: Retry,
}

/// The label `reason` of `sealed_secrets_controller_unseal_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// The object could not be read.
    Fetch,
    /// The Secret exists and is not ours.
    Unmanaged,
    /// A value does not open.
    Unseal,
    /// The API server did not take the Secret.
    Update,
}

const UNSEAL_EVENT: &str = "ErrUnsealFailed";
const UPDATE_EVENT: &str = "ErrUpdateFailed";
const IMMUTABLE_TEXT: &str = "the target Secret is immutable. Once a Secret is marked as immutable, it is not possible to revert this change nor to mutate the contents of the data field. You can only delete and recreate the Secret.";

impl Failure {
    /// Returns the failure to open an object as a whole.
    pub fn unseal(message: impl Into<String>) -> Self {
        let message = message.into();
        let event = Event::warning(UNSEAL_EVENT, format!("Failed to unseal: {message}"));
        Self {
            reason: FailureReason::Unseal,
            message,
            advice: None,
            event: Some(event),
            retry: Retry::OnChange,
        }
    }

    /// Adds what to do about it, if that is not said yet.
    pub fn advising(mut self, advice: Option<String>) -> Self {
        self.advice = self.advice.or(advice);
        self
    }

    /// Groups the failures of single entries by their text: `text (entry, entry)`, one line each, sorted.
    pub(super) fn entries(failures: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut by_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (entry, text) in failures {
            by_text.entry(text).or_default().push(entry);
        }
        let lines: Vec<String> = by_text
            .into_iter()
            .map(|(text, mut entries)| {
                entries.sort();
                format!("{text} ({})", entries.join(", "))
            })
            .collect();
        Self::unseal(lines.join("\n"))
    }

    /// Returns the failure that the target belongs to somebody else.
    pub(super) fn unmanaged(name: &str) -> Self {
        let text = format!("Resource \"{name}\" already exists and is not managed by SealedSecret");
        Self {
            reason: FailureReason::Unmanaged,
            message: format!("failed update: {text}"),
            advice: Some(format!(
                "delete the Secret, or let the controller have it: kubectl annotate secret {name} {}=true",
                names::MANAGED
            )),
            event: Some(Event::warning(UPDATE_EVENT, text)),
            retry: Retry::OnChange,
        }
    }

    /// Returns the failure that the Secret would be larger than one may be.
    pub(super) fn too_large(name: &str, problem: &str) -> Self {
        let message = format!("Secret \"{name}\" is invalid: {problem}");
        Self {
            reason: FailureReason::Update,
            event: Some(Event::warning(UPDATE_EVENT, message.clone())),
            message,
            advice: Some("split it into several SealedSecrets".to_owned()),
            retry: Retry::OnChange,
        }
    }

    /// Returns the failure that an object which is needed cannot be read.
    pub fn read(error: &ReadError) -> Self {
        let message = error.to_string();
        let event = Event::warning(UPDATE_EVENT, message.clone());
        Self {
            reason: FailureReason::Update,
            message,
            advice: None,
            event: Some(event),
            retry: Retry::Backoff,
        }
    }

    /// Returns the failure that the Secret could not be written.
    pub fn commit(namespace: &str, name: &str, error: &CommitError) -> Self {
        let event = match error.kind {
            CommitErrorKind::Immutable => Some(Event::warning(
                UPDATE_EVENT,
                format!("Error updating {namespace}/{name}: {IMMUTABLE_TEXT}"),
            )),
            CommitErrorKind::Refused | CommitErrorKind::Unavailable => {
                Some(Event::warning(UPDATE_EVENT, error.message.clone()))
            }
            CommitErrorKind::Conflict | CommitErrorKind::NotLeader => None,
        };
        let retry = if error.kind == CommitErrorKind::Immutable { Retry::OnChange } else { Retry::Backoff };
        let advice = match error.kind {
            CommitErrorKind::Immutable => Some("delete the Secret; the controller makes it anew".to_owned()),
            CommitErrorKind::Refused => Some("mend what the API server names; it is tried again".to_owned()),
            _ => None,
        };
        Self { reason: FailureReason::Update, message: error.message.clone(), advice, event, retry }
    }
}
