//! Why an ExternalSecret did not become a Secret. Condition messages are upstream's closed set; causes go to events.

use sealops_providers::ProviderErrorKind;

use crate::object::ReadError;
use crate::outcome::{CommitError, CommitErrorKind, Event, Retry};

/// A failed reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Message of the `Ready` condition.
    pub message: String,
    /// Text of the `UpdateFailed` event: what, where and why, never a value.
    pub cause: String,
    /// Whether trying again can help.
    pub retry: Retry,
    /// Whether the store has no such value, which a deletion policy may make good.
    pub is_missing: bool,
    /// Whether a part is another controller's, so that nothing is to be said.
    pub is_foreign: bool,
    /// Whether the status names the target all the same.
    pub bound: bool,
    /// What the provider said, where it is the provider's failure.
    pub provider: Option<ProviderErrorKind>,
    /// What happened before it.
    pub events: Vec<Event>,
}

const FETCH: &str = "could not get secret data from provider";
const UPDATE: &str = "could not update secret";
/// The only message of a target that is no Secret which has upstream's reason for Secrets.
pub(super) const INVALID_TARGET: &str = "invalid generic target";

impl Failure {
    fn new(message: &str, cause: String, retry: Retry) -> Self {
        Self {
            message: message.to_owned(),
            cause,
            retry,
            is_missing: false,
            is_foreign: false,
            bound: false,
            provider: None,
            events: Vec::new(),
        }
    }

    /// Returns the failure to fetch, with its cause only; [`Failure::at`] says where.
    pub fn cause(cause: impl Into<String>) -> Self {
        Self::new(FETCH, cause.into(), Retry::Backoff)
    }

    /// Returns the failure that a store has no such value.
    pub fn missing() -> Self {
        Self { is_missing: true, ..Self::cause("Secret does not exist") }
    }

    /// Returns whether a server did not answer as it should, so that another time may be better.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.provider, Some(ProviderErrorKind::Unavailable(_) | ProviderErrorKind::Throttled(_)))
    }

    /// Says at which entry it failed, such as `spec.data[1] (key: pass)`.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        Self { cause: format!("error processing {place}, err: {}", self.cause), ..self }
    }

    /// Returns the failure of a template; `existing` is the name of a target that is there already.
    pub(super) fn template(existing: Option<&str>, cause: &str) -> Self {
        let mutate = existing.map(|name| format!("unable to mutate secret {name}: ")).unwrap_or_default();
        let cause = format!("{mutate}could not apply template: {cause}");
        Self::new(UPDATE, cause, Retry::Backoff)
    }

    /// Returns the failure that a field makes no sense.
    pub(super) fn invalid(field: &str, problem: &str) -> Self {
        let text = format!("{field}: {problem}");
        Self::new(&text.clone(), text, Retry::OnChange)
    }

    /// Returns the failure that a target of another kind than Secret is wanted, which is not enabled.
    pub(super) fn generic_target() -> Self {
        let cause = "generic targets are disabled. Enable with --unsafe-allow-generic-targets flag";
        Self::new(INVALID_TARGET, cause.to_owned(), Retry::OnChange)
    }

    /// Returns the failure that a target is of a kind which may not be one.
    pub(super) fn refused_target(cause: String) -> Self {
        Self::new(INVALID_TARGET, cause, Retry::OnChange)
    }

    /// Returns the failure that a target other than a Secret cannot be read.
    pub(super) fn read_target(cause: String) -> Self {
        Self::new("could not get target resource", cause, Retry::Backoff)
    }

    /// Returns the failure that a target other than a Secret cannot be made of the values.
    pub(super) fn manifest(cause: String) -> Self {
        Self::new("could not apply template to manifest", cause, Retry::Backoff)
    }

    /// Returns the failure that a target other than a Secret could not be removed, or may not be.
    pub(super) fn delete_target(cause: String, retry: Retry) -> Self {
        Self::new("could not delete resource", cause, retry)
    }

    /// Returns the failure that the target belongs to another object.
    pub(super) fn owned(message: &str, cause: String) -> Self {
        Self::new(message, cause, Retry::OnChange)
    }

    /// Returns the failure that data of an immutable Secret would change.
    pub(super) fn immutable(target: &str) -> Self {
        let cause = format!("unable to update secret {target}: secret is immutable");
        Self::new("could not update secret, target is immutable", cause, Retry::OnChange)
    }

    /// Returns the failure that a Secret shall go which may not.
    pub(super) fn delete(target: &str, policy: &str) -> Self {
        let cause = format!("unable to delete secret {target}: creationPolicy={policy} is not Owner");
        Self::new("could not delete secret", cause, Retry::OnChange)
    }

    /// Returns the failure that an object which is needed cannot be read.
    pub(super) fn read(error: &ReadError) -> Self {
        Self::new(UPDATE, error.to_string(), Retry::Backoff)
    }

    /// Returns the failure that the Secret could not be written; `existing` is its name where it is there already.
    pub fn commit(error: &CommitError, existing: Option<&str>) -> Self {
        let prefix = existing.map(|name| format!("unable to update secret {name}: ")).unwrap_or_default();
        match error.kind {
            CommitErrorKind::Immutable => Self::immutable(existing.unwrap_or_default()),
            _ => Self::new(UPDATE, format!("{prefix}{}", error.message), Retry::Backoff),
        }
    }

    /// Returns the failure that a target other than a Secret could not be written or removed.
    pub fn commit_target(error: &CommitError, is_removal: bool) -> Self {
        if is_removal {
            return Self::delete_target(error.message.clone(), Retry::Backoff);
        }
        Self::new(UPDATE, error.message.clone(), Retry::Backoff)
    }

    /// Returns the failure that a Secret could not be removed: the target, or a former one.
    pub fn remove(error: &CommitError, is_target: bool) -> Self {
        let message = if is_target { "could not delete secret" } else { "could not delete orphaned secrets" };
        Self::new(message, error.message.clone(), Retry::Backoff)
    }
}
