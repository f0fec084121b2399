//! Recovering a data key, as a state machine: it says which key to try, the caller tries it.
//!
//! ```text
//!   recovery ──next_attempt / open_attempts──► Attempt { key, wrapped }      the caller asks age, gpg, a KMS …
//!            ◄──succeeded(part) / failed(reasons)──
//!            ──finish──► DataKey, or RecoveryError with every group, key and reason
//! ```
//!
//! A group ends with its first success; all ends when enough groups have succeeded.

use super::data_key::{DATA_KEY_BYTES, DataKey, KeyPart};
use super::groups::KeyGroups;
use super::kind::KeyKind;
use super::master_key::MasterKey;
use super::shamir::{self, ShamirError};

/// Names one key of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPosition {
    /// The group, from 0.
    pub group: usize,
    /// The key in its group as stored, from 0.
    pub key: usize,
}

/// A key to try.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Which one it is.
    pub position: KeyPosition,
    /// The key.
    pub key: &'a MasterKey,
    /// What it wrapped, as stored.
    pub wrapped: &'a str,
}

/// A recovery under way.
#[derive(Debug)]
pub struct DataKeyRecovery<'a> {
    groups: &'a KeyGroups,
    states: Vec<GroupState>,
}

#[derive(Debug)]
struct GroupState {
    /// Keys in the order in which they are tried.
    order: Vec<usize>,
    /// How many of them were handed out by `next_attempt`.
    handed_out: usize,
    part: Option<KeyPart>,
    failures: Vec<KeyFailure>,
}

/// Why one key did not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFailure {
    /// Which one it is.
    pub position: KeyPosition,
    /// Its identity.
    pub key: String,
    /// What each key service said.
    pub reasons: Vec<String>,
}

/// How one group ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupResult {
    /// A key gave the part.
    Recovered,
    /// No key did.
    Failed(Vec<KeyFailure>),
}

/// The data key could not be recovered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// Too few groups succeeded.
    #[error("Error getting data key: {needed} successful groups required, got {}", recovered(.results))]
    NotEnoughKeys {
        /// Groups that have to succeed.
        needed: usize,
        /// The threshold as stored; 0 where there is none.
        threshold: usize,
        /// How each group ended.
        results: Vec<GroupResult>,
    },
    /// The parts are no shares of one key.
    #[error("could not get data key from shamir parts: {0}")]
    Shamir(#[from] ShamirError),
}

fn recovered(results: &[GroupResult]) -> usize {
    results.iter().filter(|result| **result == GroupResult::Recovered).count()
}

impl<'a> DataKeyRecovery<'a> {
    /// Begins. In each group keys are tried in the order of kinds given, others after them, else as stored.
    pub fn new(groups: &'a KeyGroups, order: &[KeyKind]) -> Self {
        let rank = |kind: Option<KeyKind>| {
            order.iter().position(|ordered| Some(*ordered) == kind).unwrap_or(order.len())
        };
        let states = groups.groups.iter().map(|group| {
            let mut order: Vec<usize> = (0..group.len()).collect();
            order.sort_by_key(|index| rank(group[*index].key.kind()));
            GroupState { order, handed_out: 0, part: None, failures: Vec::new() }
        });
        Self { groups, states: states.collect() }
    }

    /// Returns whether enough parts are in.
    pub fn is_complete(&self) -> bool {
        self.states.iter().filter(|state| state.part.is_some()).count() >= self.groups.needed()
    }

    /// Returns the next key to try, one group after the other, or `None` when there is nothing left or enough is in.
    pub fn next_attempt(&mut self) -> Option<Attempt<'a>> {
        if self.is_complete() {
            return None;
        }
        let (group, state) = self
            .states
            .iter_mut()
            .enumerate()
            .find(|(_, state)| state.part.is_none() && state.handed_out < state.order.len())?;
        let key = state.order[state.handed_out];
        state.handed_out += 1;
        Some(self.attempt(KeyPosition { group, key }))
    }

    /// Returns every key that could still help and was not tried, best first in each group: for trying several at once.
    pub fn open_attempts(&self) -> Vec<Attempt<'a>> {
        if self.is_complete() {
            return Vec::new();
        }
        let open = self.states.iter().enumerate().filter(|(_, state)| state.part.is_none());
        let positions = open.flat_map(|(group, state)| {
            let tried = |key: &usize| state.failures.iter().any(|failure| failure.position.key == *key);
            state.order.iter().filter(move |key| !tried(key)).map(move |key| KeyPosition { group, key: *key })
        });
        positions.map(|position| self.attempt(position)).collect()
    }

    fn attempt(&self, position: KeyPosition) -> Attempt<'a> {
        let entry = &self.groups.groups[position.group][position.key];
        Attempt { position, key: &entry.key, wrapped: &entry.wrapped }
    }

    /// Takes what a key decrypted. A part of a wrong length counts as a failure of that key.
    pub fn succeeded(&mut self, position: KeyPosition, part: KeyPart) {
        let expected = DATA_KEY_BYTES + usize::from(self.groups.groups.len() > 1);
        let length = part.plaintext().len();
        if length != expected {
            let reason = format!("the key gave {length} bytes, and a part of the data key has {expected}");
            return self.failed(position, vec![reason]);
        }
        if let Some(state) = self.states.get_mut(position.group) {
            state.part = Some(part);
        }
    }

    /// Takes why a key did not help: one reason for each key service that was asked.
    pub fn failed(&mut self, position: KeyPosition, reasons: Vec<String>) {
        let entry = self.groups.groups.get(position.group).and_then(|group| group.get(position.key));
        let (Some(state), Some(entry)) = (self.states.get_mut(position.group), entry) else { return };
        state.failures.push(KeyFailure { position, key: entry.key.to_string(), reasons });
    }

    /// Combines the parts.
    ///
    /// # Errors
    /// Returns how every group ended, or why the parts do not combine.
    pub fn finish(self) -> Result<DataKey, RecoveryError> {
        if !self.is_complete() {
            let results = self.states.into_iter().map(|state| match state.part {
                Some(_) => GroupResult::Recovered,
                None => GroupResult::Failed(state.failures),
            });
            return Err(RecoveryError::NotEnoughKeys {
                needed: self.groups.needed(),
                threshold: self.groups.threshold,
                results: results.collect(),
            });
        }
        let parts: Vec<&KeyPart> = self.states.iter().filter_map(|state| state.part.as_ref()).collect();
        let wrong = |_| RecoveryError::Shamir(ShamirError::Malformed);
        match parts.as_slice() {
            [part] if self.groups.groups.len() == 1 => DataKey::from_bytes(part.bytes()).map_err(wrong),
            parts => DataKey::from_bytes(&shamir::combine(parts)?).map_err(wrong),
        }
    }
}
