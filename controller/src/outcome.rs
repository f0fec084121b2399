//! What a reconciler wants to become true. Nothing happens until a committer makes it so.

use std::time::Duration;

use crate::object::{ManifestObject, SecretObject, ServedKind};

/// The decision of one reconcile.
#[derive(Debug)]
pub struct Outcome {
    /// What shall be written, in order.
    pub changes: Vec<Change>,
    /// When to look again although nothing changes.
    pub again: Option<Duration>,
    /// The target where it is right already, as it was read.
    pub kept: Option<SecretObject>,
}

impl Outcome {
    /// Returns the decision that everything is as it should be.
    pub fn nothing() -> Self {
        Self { changes: Vec::new(), again: None, kept: None }
    }

    /// Returns the decision that the target is as it should be.
    pub fn kept(secret: SecretObject) -> Self {
        Self { kept: Some(secret), ..Self::nothing() }
    }

    /// Returns the decision for one change.
    pub fn one(change: Change) -> Self {
        Self { changes: vec![change], again: None, kept: None }
    }
}

/// One write of a Secret. The whole object is decided beforehand; the precondition makes a stale decision fail.
#[derive(Debug)]
pub enum Change {
    /// Create it; fails where one exists.
    Create(SecretObject),
    /// Replace it; fails where the object is not the one that was read (uid and resourceVersion in its metadata).
    Replace(SecretObject),
    /// Remove it; fails where the object is not the one that was read.
    Delete(SecretObject),
}

impl Change {
    /// Returns the Secret as it shall be, or as it was before it goes.
    pub fn secret(&self) -> &SecretObject {
        match self {
            Self::Create(secret) | Self::Replace(secret) | Self::Delete(secret) => secret,
        }
    }
}

/// One write of an object that is no Secret; the rules are those of [`Change`].
#[derive(Debug)]
pub struct ManifestChange {
    /// How the kind is served.
    pub served: ServedKind,
    /// What is done.
    pub write: ManifestWrite,
    /// The object as it shall be, or as it was before it goes.
    pub object: ManifestObject,
}

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestWrite {
    /// Create it.
    Create,
    /// Replace it.
    Replace,
    /// Remove it.
    Delete,
}

/// Why a change was not made. Carries the API server's words where they quote no value of the Secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommitError {
    /// What kind of failure it is.
    pub kind: CommitErrorKind,
    /// The words for status and event.
    pub message: String,
}

/// Kinds of [`CommitError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitErrorKind {
    /// The object changed since it was read, or exists already: read and decide again.
    Conflict,
    /// The Secret is immutable and its data would change: no retry helps.
    Immutable,
    /// The API server refuses this object (invalid, forbidden, quota).
    Refused,
    /// Not reachable, overloaded or unclear: try again.
    Unavailable,
    /// This process is not (or no longer) the leader: nothing was sent.
    NotLeader,
}

/// An event on the object that was reconciled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// One word that others match.
    pub reason: &'static str,
    /// Text for people, without values.
    pub message: String,
}

impl Event {
    /// Returns an event of type Normal.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into() }
    }

    /// Returns an event of type Warning.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into() }
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same input gives the same failure: wait for a change of the object, a key, the target or a store.
    OnChange,
    /// Try again after a back-off.
    Backoff,
}
