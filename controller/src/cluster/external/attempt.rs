//! What became of one look at an object, and what was said about it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use crate::cluster::commit::Committed;
use crate::cluster::lock;
use crate::external::{Done, Failure, Settled};
use crate::object::ObjectKey;
use crate::outcome::{Change, Event};

/// What an attempt has come to.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) wait: Option<Duration>,
    pub(super) events: Vec<Event>,
    pub(super) bound: bool,
    pub(super) written: Option<Change>,
    has_removed: bool,
}

impl Attempt {
    pub(super) fn add(&mut self, committed: Committed) {
        self.has_removed |= !committed.removed.is_empty();
        self.written = committed.change.map(|(change, _)| change).or(self.written.take());
    }

    pub(super) fn done(&self, result: Result<Settled, &Failure>) -> Done<'_> {
        let is_deletion = result == Ok(Settled::Deleted);
        Done {
            written: self.written.as_ref(),
            removed: self.has_removed && is_deletion,
            orphans_removed: self.has_removed && !is_deletion,
            bound: self.bound || result.is_err_and(|failure| failure.bound),
        }
    }
}

/// Failures that were told, so that a repetition is not news. Hashes only.
#[derive(Default)]
pub(super) struct Said {
    hasher: RandomState,
    causes: Mutex<HashMap<ObjectKey, u64>>,
}

impl Said {
    pub(super) fn is_news(&self, key: &ObjectKey, failure: Option<&Failure>) -> bool {
        let mut causes = lock(&self.causes);
        let Some(failure) = failure else {
            causes.remove(key);
            return true;
        };
        let hash = self.hasher.hash_one(&failure.cause);
        causes.insert(key.clone(), hash) != Some(hash)
    }

    pub(super) fn forget(&self, key: &ObjectKey) {
        lock(&self.causes).remove(key);
    }
}
