//! Why an ExternalSecret did not become a Secret. Condition messages are upstream's closed set; causes go to events.

use crate::object::ReadError;
use crate::outcome::{CommitError, CommitErrorKind, Retry};

/// A failed reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Message of the `Ready` condition.
    pub message: String,
    /// Text of the `UpdateFailed` event: what, where and why, never a value.
    pub cause: String,
    /// Whether trying again can help.
    pub retry: Retry,
}

const FETCH: &str = "could not get secret data from provider";
const UPDATE: &str = "could not update secret";

impl Failure {
    /// Returns the failure to fetch one entry, such as `spec.data[1] (key: pass)`.
    pub(super) fn fetch(place: &str, cause: &str) -> Self {
        let cause = format!("error processing {place}, err: {cause}");
        Self { message: FETCH.to_owned(), cause, retry: Retry::Backoff }
    }

    /// Returns the failure of a template; `existing` is the name of a target that is there already.
    pub(super) fn template(existing: Option<&str>, cause: &str) -> Self {
        let mutate = existing.map(|name| format!("unable to mutate secret {name}: ")).unwrap_or_default();
        let cause = format!("{mutate}could not apply template: {cause}");
        Self { message: UPDATE.to_owned(), cause, retry: Retry::Backoff }
    }

    /// Returns the failure that a field is not supported by this version.
    pub(super) fn unsupported(field: &str) -> Self {
        let text = format!("{field} is not supported by this version of sealops yet");
        Self { message: text.clone(), cause: text, retry: Retry::OnChange }
    }

    /// Returns the failure that a field makes no sense.
    pub(super) fn invalid(field: &str, problem: &str) -> Self {
        let text = format!("{field}: {problem}");
        Self { message: text.clone(), cause: text, retry: Retry::OnChange }
    }

    /// Returns the failure that the target belongs to another object.
    pub(super) fn owned(message: &str, cause: String) -> Self {
        Self { message: message.to_owned(), cause, retry: Retry::Backoff }
    }

    /// Returns the failure that an object which is needed cannot be read.
    pub(super) fn read(error: &ReadError) -> Self {
        Self { message: UPDATE.to_owned(), cause: error.to_string(), retry: Retry::Backoff }
    }

    /// Returns the failure that the Secret could not be written.
    pub fn commit(error: &CommitError) -> Self {
        let immutable = error.kind == CommitErrorKind::Immutable;
        let message = if immutable { "could not update secret, target is immutable" } else { UPDATE };
        let retry = if immutable { Retry::OnChange } else { Retry::Backoff };
        Self { message: message.to_owned(), cause: error.message.clone(), retry }
    }
}
