//! Status and events from the result.

use sealops_crds::external_secret::{Binding, ExternalSecretStatus};
use sealops_crds::{Condition, ExternalSecret};

use super::failure::INVALID_TARGET;
use super::{Failure, object_version, target_name};
use crate::outcome::{Change, Event, ManifestWrite};

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Another controller's object: nothing is said about it.
    Ignored,
    /// Nothing was due.
    NotDue,
    /// The target is as it should be.
    Synced,
    /// The store had nothing at all; the target is left as it is.
    Retained,
    /// The store had nothing at all; the target was removed.
    Deleted,
    /// There is no target to merge into.
    Missing,
}

pub(super) const RETAINED: &str = "secret retained due to DeletionPolicy=Retain";
pub(super) const RESOURCE_RETAINED: &str = "resource retained due to DeletionPolicy=Retain";

impl Settled {
    /// Reason and message of the condition.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Retained => ("SecretSynced", RETAINED),
            Self::Deleted => ("SecretDeleted", "secret deleted due to DeletionPolicy=Delete"),
            Self::Missing => ("SecretMissing", "secret will not be created due to CreationPolicy=Merge"),
            Self::Ignored | Self::NotDue | Self::Synced => ("SecretSynced", "secret synced"),
        }
    }

    /// The same of a target that is no Secret.
    fn resource_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Retained => ("ResourceSynced", RESOURCE_RETAINED),
            Self::Deleted => ("ResourceDeleted", "resource deleted due to DeletionPolicy=Delete"),
            Self::Missing => ("ResourceMissing", "resource will not be created due to CreationPolicy=Merge"),
            Self::Ignored | Self::NotDue | Self::Synced => ("ResourceSynced", "resource synced"),
        }
    }
}

/// What came of the changes.
#[derive(Debug, Default)]
pub struct Done<'a> {
    /// The Secret that was written.
    pub written: Option<&'a Change>,
    /// Whether the target was removed.
    pub removed: bool,
    /// Former targets that were removed.
    pub orphans_removed: bool,
    /// Whether the status names the target.
    pub bound: bool,
    /// What was done with a target that is no Secret, and its kind and name.
    pub resource: Option<(ManifestWrite, String)>,
}

/// What to tell others about a reconcile.
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The new status, or `None` where the stored one is true already.
    pub status: Option<ExternalSecretStatus>,
    /// The events; those of a failure come each time, so who sends them has to know what was said.
    pub events: Vec<Event>,
}

/// Compares the result with the stored status. `events` are what happened on the way; `now` is RFC 3339.
pub fn report(
    external: &ExternalSecret,
    result: Result<Settled, &Failure>,
    done: &Done<'_>,
    events: &[Event],
    now: &str,
) -> Report {
    if matches!(result, Ok(Settled::Ignored | Settled::NotDue)) {
        return Report { status: None, events: Vec::new() };
    }
    let is_resource = external.spec.target.as_ref().is_some_and(|target| target.manifest.is_some());
    let stored = external.status.clone().unwrap_or_default();
    let mut status = stored.clone();
    let condition = match result {
        Ok(settled) => {
            status.refresh_time = Some(now.to_owned());
            status.synced_resource_version = Some(object_version(external));
            let (reason, message) = if is_resource { settled.resource_words() } else { settled.words() };
            ("True", reason, message)
        }
        Err(failure) if is_resource && failure.message != INVALID_TARGET => {
            ("False", "ResourceSyncedError", failure.message.as_str())
        }
        Err(failure) => ("False", "SecretSyncedError", failure.message.as_str()),
    };
    status.conditions = with_ready(&stored.conditions, condition, now);
    let bound = done.bound.then(|| target_name(external).to_owned());
    let bound = bound.map(|name| Binding { name }).or(stored.binding.clone());
    status.binding = Some(bound.unwrap_or_default());
    let is_news = result.is_err()
        || status.conditions != stored.conditions
        || status.synced_resource_version != stored.synced_resource_version
        || done.written.is_some()
        || done.resource.is_some();
    let mut told: Vec<Event> = if is_news { events.to_vec() } else { Vec::new() };
    match result {
        Ok(_) => told.extend(done.events()),
        Err(failure) => told.push(Event::warning("UpdateFailed", failure.cause.clone())),
    }
    let changed = status != stored;
    Report { status: Some(status).filter(|_| changed), events: told }
}

impl Done<'_> {
    fn events(&self) -> impl Iterator<Item = Event> + use<> {
        let written = self.written.and_then(|change| match change {
            Change::Create(_) => Some(Event::normal("Created", "secret created")),
            Change::Replace(_) => Some(Event::normal("Updated", "secret updated")),
            Change::Delete(_) => None,
        });
        let removed =
            self.removed.then(|| Event::normal("Deleted", "secret deleted due to DeletionPolicy=Delete"));
        let orphans =
            self.orphans_removed.then(|| Event::normal("Deleted", "secret deleted because it was orphaned"));
        let resource = self.resource.as_ref().map(|(write, what)| match write {
            ManifestWrite::Create => Event::normal("Created", format!("Created {what}")),
            ManifestWrite::Replace => Event::normal("Updated", format!("Updated {what}")),
            ManifestWrite::Delete => Event::normal("Deleted", format!("Deleted {what}")),
        });
        written.into_iter().chain(removed).chain(orphans).chain(resource)
    }
}

fn with_ready(
    stored: &[Condition],
    (word, reason, message): (&str, &str, &str),
    now: &str,
) -> Vec<Condition> {
    let before = stored.iter().find(|condition| condition.type_ == "Ready");
    let since =
        before.filter(|before| before.status == word).and_then(|before| before.last_transition_time.clone());
    let ready = Condition {
        type_: "Ready".to_owned(),
        status: word.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since.unwrap_or_else(|| now.to_owned())),
    };
    let others = stored.iter().filter(|condition| condition.type_ != "Ready").cloned();
    std::iter::once(ready).chain(others).collect()
}
