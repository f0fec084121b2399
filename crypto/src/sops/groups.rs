//! Key groups: who can open a file, and how a change of that looks.

use super::master_key::{KeyEntry, MasterKey};

/// Keys that each hold the same part of the data key.
pub type KeyGroup = Vec<KeyEntry>;

/// The key groups of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyGroups {
    /// The groups in order: group n holds Shamir's share n. One group holds the data key itself.
    pub groups: Vec<KeyGroup>,
    /// How many groups are needed, as stored; 0 is "all". Without meaning for one group.
    pub threshold: usize,
}

/// Why a group cannot be added or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No such group.
    #[error("there is no key group {index}: the file has {count}")]
    NoSuchGroup {
        /// Asked for, from 0.
        index: usize,
        /// Groups of the file.
        count: usize,
    },
    /// Too few would be left. The text is SOPS's.
    #[error(
        "removing this key group will make the Shamir threshold impossible to satisfy: Shamir threshold is \
         {threshold}, but we only have {count} key groups"
    )]
    BelowThreshold {
        /// The threshold.
        threshold: usize,
        /// Groups that would be left.
        count: usize,
    },
    /// The last group cannot go.
    #[error("the file would have no key group left")]
    LastGroup,
}

impl KeyGroups {
    /// Makes groups of keys that have wrapped nothing yet.
    pub fn new(groups: impl IntoIterator<Item = Vec<MasterKey>>, threshold: usize) -> Self {
        let groups = groups.into_iter().map(|group| group.into_iter().map(KeyEntry::new).collect());
        Self { groups: groups.collect(), threshold }
    }

    /// Returns how many groups have to succeed.
    pub fn needed(&self) -> usize {
        match (self.groups.len(), self.threshold) {
            (0 | 1, _) => 1,
            (count, 0) => count,
            (_, threshold) => threshold,
        }
    }

    /// Returns every key with its group.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &KeyEntry)> {
        self.groups.iter().enumerate().flat_map(|(group, keys)| keys.iter().map(move |key| (group, key)))
    }

    /// Returns what is different in each group, by the keys' identities.
    pub fn diff(&self, new: &Self) -> Vec<GroupDiff> {
        let count = self.groups.len().max(new.groups.len());
        let none = KeyGroup::new();
        (0..count)
            .map(|index| {
                let old = self.groups.get(index).unwrap_or(&none);
                GroupDiff::of(old, new.groups.get(index).unwrap_or(&none))
            })
            .collect()
    }

    /// Plans what `updatekeys` does: new keys by the rule, the old threshold as far as there are groups.
    ///
    /// The rule's own `shamir_threshold` is not used, as in SOPS; `threshold` is the one that a flag gives.
    pub fn update(&self, rule: &Self, threshold: Option<usize>) -> KeyUpdate {
        let after =
            threshold.filter(|threshold| *threshold > 0).unwrap_or(self.threshold).min(rule.groups.len());
        KeyUpdate {
            groups: self.diff(rule),
            threshold_before: self.threshold,
            threshold_after: after,
            target: Self { groups: rule.groups.clone(), threshold: after },
        }
    }

    /// Adds a group at the end.
    #[must_use]
    pub fn with_group(mut self, keys: Vec<MasterKey>, threshold: Option<usize>) -> Self {
        self.groups.push(keys.into_iter().map(KeyEntry::new).collect());
        self.threshold = threshold.filter(|threshold| *threshold > 0).unwrap_or(self.threshold);
        self
    }

    /// Deletes a group, counted from 0.
    ///
    /// # Errors
    /// Fails where there is no such group, or too few are left for the threshold.
    pub fn without_group(mut self, index: usize, threshold: Option<usize>) -> Result<Self, GroupError> {
        let count = self.groups.len();
        if index >= count {
            return Err(GroupError::NoSuchGroup { index, count });
        }
        if count == 1 {
            return Err(GroupError::LastGroup);
        }
        self.groups.remove(index);
        self.threshold = threshold.filter(|threshold| *threshold > 0).unwrap_or(self.threshold);
        if self.groups.len() < self.threshold {
            return Err(GroupError::BelowThreshold { threshold: self.threshold, count: self.groups.len() });
        }
        Ok(self)
    }

    /// Adds keys to the first group, without looking for equal ones, as `rotate --add-…` does.
    pub fn add_keys(&mut self, keys: impl IntoIterator<Item = MasterKey>) {
        if self.groups.is_empty() {
            self.groups.push(KeyGroup::new());
        }
        self.groups[0].extend(keys.into_iter().map(KeyEntry::new));
    }

    /// Removes keys from every group; returns how many went.
    pub fn remove_keys(&mut self, keys: &[MasterKey]) -> usize {
        let identities: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let before = self.keys().count();
        for group in &mut self.groups {
            group.retain(|entry| !identities.contains(&entry.key.to_string()));
        }
        before - self.keys().count()
    }
}

/// What changes in one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupDiff {
    /// Keys that stay.
    pub common: Vec<MasterKey>,
    /// Keys that come.
    pub added: Vec<MasterKey>,
    /// Keys that go.
    pub removed: Vec<MasterKey>,
}

impl GroupDiff {
    fn of(old: &KeyGroup, new: &KeyGroup) -> Self {
        let names = |group: &KeyGroup| group.iter().map(|entry| entry.key.to_string()).collect::<Vec<_>>();
        let (old_names, new_names) = (names(old), names(new));
        let mut diff = Self::default();
        for (entry, name) in new.iter().zip(&new_names) {
            let list = if old_names.contains(name) { &mut diff.common } else { &mut diff.added };
            list.push(entry.key.clone());
        }
        let gone = old.iter().zip(&old_names).filter(|(_, name)| !new_names.contains(name));
        diff.removed = gone.map(|(entry, _)| entry.key.clone()).collect();
        diff
    }

    /// Returns whether keys come or go.
    pub fn changes(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
}

/// What `updatekeys` will do to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUpdate {
    /// Group by group.
    pub groups: Vec<GroupDiff>,
    /// The stored threshold; 0 is none.
    pub threshold_before: usize,
    /// The new one; 0 is none.
    pub threshold_after: usize,
    /// The groups to wrap the data key for.
    pub target: KeyGroups,
}

impl KeyUpdate {
    /// Returns whether the file changes at all.
    pub fn changes(&self) -> bool {
        self.threshold_before != self.threshold_after || self.groups.iter().any(GroupDiff::changes)
    }

    /// Returns whether someone loses access, who can still open the file with its present data key.
    pub fn removes_keys(&self) -> bool {
        self.groups.iter().any(|group| !group.removed.is_empty())
    }
}
