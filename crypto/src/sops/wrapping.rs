//! Wrapping a data key for key groups: the counterpart of recovery.
//!
//! ```text
//!   wrapping ──tasks──► WrapTask { key, part }      the caller asks age, gpg, a KMS …
//!            ◄──wrapped(text) / failed(reason)──
//!            ──finish(now)──► KeyGroups, all keys wrapped; or every failure
//! ```

use super::data_key::{DataKey, KeyPart};
use super::groups::KeyGroups;
use super::master_key::MasterKey;
use super::recovery::{KeyFailure, KeyPosition};
use super::shamir::{self, ShamirError};
use super::timestamp::Timestamp;
use crate::random::Random;

/// A part to wrap.
#[derive(Debug, Clone, Copy)]
pub struct WrapTask<'a> {
    /// Which key it is.
    pub position: KeyPosition,
    /// The key.
    pub key: &'a MasterKey,
    /// What to encrypt with it.
    pub part: &'a KeyPart,
}

/// A wrapping under way.
#[derive(Debug)]
pub struct DataKeyWrapping {
    groups: KeyGroups,
    parts: Vec<KeyPart>,
    results: Vec<Vec<Option<String>>>,
    failures: Vec<KeyFailure>,
}

/// Why a data key was not wrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// No group at all. The text is SOPS's.
    #[error("no key groups provided")]
    NoGroups,
    /// A group without keys. The text is SOPS's.
    #[error("empty key group provided")]
    EmptyGroup,
    /// The key cannot be split.
    #[error("could not split data key into parts for Shamir: {0}")]
    Shamir(#[from] ShamirError),
    /// Some keys could not wrap their part, or were not asked. Nothing is changed then.
    #[error("{}", failures_text(.0))]
    Keys(Vec<KeyFailure>),
}

fn failures_text(failures: &[KeyFailure]) -> String {
    let texts = failures.iter().flat_map(|failure| {
        let with_key =
            |reason| format!("failed to encrypt new data key with master key {:?}: {reason}", failure.key);
        failure.reasons.iter().map(with_key)
    });
    texts.collect::<Vec<_>>().join(" ")
}

impl DataKeyWrapping {
    /// Begins: splits the data key where there are several groups.
    ///
    /// # Errors
    /// Returns what is wrong with the groups or the threshold.
    pub fn new(key: &DataKey, mut groups: KeyGroups, random: &mut dyn Random) -> Result<Self, WrapError> {
        let count = groups.groups.len();
        let whole = || KeyPart::new(key.bytes().as_slice().into());
        let parts = match count {
            0 => return Err(WrapError::NoGroups),
            1 => vec![whole()],
            _ => {
                if groups.threshold == 0 {
                    groups.threshold = count;
                }
                shamir::split(key.bytes(), count, groups.threshold, random)?
            }
        };
        if groups.groups.iter().any(Vec::is_empty) {
            return Err(WrapError::EmptyGroup);
        }
        let results = groups.groups.iter().map(|group| vec![None; group.len()]).collect();
        Ok(Self { groups, parts, results, failures: Vec::new() })
    }

    /// Returns every part with the key that shall wrap it. They are independent of each other.
    pub fn tasks(&self) -> Vec<WrapTask<'_>> {
        let groups = self.groups.groups.iter().zip(&self.parts).enumerate();
        let tasks = groups.flat_map(|(group, (keys, part))| {
            keys.iter().enumerate().map(move |(key, entry)| WrapTask {
                position: KeyPosition { group, key },
                key: &entry.key,
                part,
            })
        });
        tasks.collect()
    }

    /// Takes what a key wrapped.
    pub fn wrapped(&mut self, position: KeyPosition, wrapped: String) {
        let result = self.results.get_mut(position.group).and_then(|group| group.get_mut(position.key));
        if let Some(result) = result {
            *result = Some(wrapped);
        }
    }

    /// Takes why a key could not wrap.
    pub fn failed(&mut self, position: KeyPosition, reasons: Vec<String>) {
        let entry = self.groups.groups.get(position.group).and_then(|group| group.get(position.key));
        if let Some(entry) = entry {
            self.failures.push(KeyFailure { position, key: entry.key.to_string(), reasons });
        }
    }

    /// Returns the groups with what their keys wrapped. Keys without a creation time get `now`.
    ///
    /// # Errors
    /// Returns every failure; no key may fail, or a group would lose a member in silence.
    pub fn finish(mut self, now: &Timestamp) -> Result<KeyGroups, WrapError> {
        let all = self.groups.groups.iter_mut().zip(self.results).enumerate();
        for (group, (keys, results)) in all {
            for (key, (entry, result)) in keys.iter_mut().zip(results).enumerate() {
                let position = KeyPosition { group, key };
                match result {
                    Some(wrapped) => entry.wrapped = wrapped,
                    None if self.failures.iter().any(|failure| failure.position == position) => {}
                    None => self.failures.push(KeyFailure {
                        position,
                        key: entry.key.to_string(),
                        reasons: vec!["no key service was asked".to_owned()],
                    }),
                }
                if entry.created_at.is_none() && !matches!(entry.key, MasterKey::Age { .. }) {
                    entry.created_at = Some(now.clone());
                }
            }
        }
        if self.failures.is_empty() { Ok(self.groups) } else { Err(WrapError::Keys(self.failures)) }
    }
}
