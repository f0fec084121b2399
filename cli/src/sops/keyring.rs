//! Who can wrap and unwrap data keys here.
//!
//! ```text
//!   keys of this machine (age, PGP): one after the other, because one may ask for a passphrase and must not do so in vain
//!   everything else: all at once, over the network, until enough parts are in
//! ```

use std::collections::HashMap;

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{
    Attempt, DataKey, DataKeyWrapping, EncryptedFile, KeyGroups, KeyKind, KeyPart, KeyPosition, MasterKey,
    RecoveryError, Timestamp, WrapError,
};

use super::network_keys::NetworkKeys;
use super::threads;

/// Wraps and unwraps parts of data keys with what this machine has.
pub(crate) trait KeyAccess: Send + Sync {
    /// Encrypts a part.
    ///
    /// # Errors
    /// Returns why not, for people.
    fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<String, String>;

    /// Decrypts a part.
    ///
    /// # Errors
    /// Returns why not, for people.
    fn unwrap(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, String>;
}

/// Everything that can be asked.
pub(crate) struct Keyring {
    /// Absent where the user wants key services only.
    machine: Option<Box<dyn KeyAccess>>,
    network: NetworkKeys,
}

/// Keys of one group that have the same preference; smaller is better.
type Tier = usize;

impl Keyring {
    pub(crate) fn new(machine: Option<Box<dyn KeyAccess>>, network: NetworkKeys) -> Self {
        Self { machine, network }
    }

    /// Recovers the data key of a file. In the default order keys of this machine come first, then everyone on the network
    /// at once; another order is kept kind by kind.
    ///
    /// # Errors
    /// Returns how every key failed.
    pub(crate) fn recover(&self, file: &EncryptedFile, order: &[KeyKind]) -> Result<DataKey, RecoveryError> {
        let tier = |attempt: &Attempt<'_>| -> Tier {
            if order == KeyKind::DEFAULT_ORDER {
                return 0;
            }
            order.iter().position(|kind| attempt.key.kind() == Some(*kind)).unwrap_or(order.len())
        };
        let mut recovery = file.recovery(order);
        // What the machine said of keys for which the network is still to be asked.
        let mut said: HashMap<KeyPosition, Vec<String>> = HashMap::new();
        loop {
            let open = best_of_each_group(recovery.open_attempts(), tier);
            if open.is_empty() {
                return recovery.finish();
            }
            let here =
                open.iter().find(|attempt| attempt.key.is_local() && !said.contains_key(&attempt.position));
            let Some(attempt) = here else {
                let attempts = open.into_iter().map(|attempt| {
                    let reasons = said.remove(&attempt.position).unwrap_or_default();
                    (attempt, reasons)
                });
                self.network.recover(&mut recovery, attempts.collect());
                continue;
            };
            match self.unwrap_here(attempt) {
                Ok(part) => recovery.succeeded(attempt.position, part),
                Err(reasons) if self.network.covers(attempt.key) => {
                    said.insert(attempt.position, reasons);
                }
                Err(reasons) => recovery.failed(attempt.position, reasons),
            }
        }
    }

    /// Gives keys what they lack before they are used: the newest version, where none is named.
    ///
    /// # Errors
    /// Returns why a key cannot be completed.
    pub(crate) fn complete<'a>(&self, keys: impl Iterator<Item = &'a mut MasterKey>) -> Result<(), String> {
        self.network.complete(keys)
    }

    fn unwrap_here(&self, attempt: &Attempt<'_>) -> Result<KeyPart, Vec<String>> {
        match &self.machine {
            Some(machine) => machine.unwrap(attempt.key, attempt.wrapped).map_err(|reason| vec![reason]),
            None => Err(Vec::new()),
        }
    }

    /// Wraps a data key for all keys of the groups, several at a time.
    ///
    /// # Errors
    /// Returns what is wrong with the groups, or every key that failed.
    pub(crate) fn wrap(
        &self,
        key: &DataKey,
        groups: KeyGroups,
        now: &Timestamp,
    ) -> Result<KeyGroups, WrapError> {
        let mut wrapping = DataKeyWrapping::new(key, groups, &mut SystemRandom)?;
        let (here, mut elsewhere): (Vec<_>, Vec<_>) =
            wrapping.tasks().into_iter().partition(|task| task.key.is_local());
        let mut results = Vec::new();
        let mut said: HashMap<KeyPosition, Vec<String>> = HashMap::new();
        let machine = self.machine.as_deref();
        let wrapped = threads::map(&here, |task| {
            machine.map_or(Err(Vec::new()), |machine| {
                machine.wrap(task.key, task.part).map_err(|reason| vec![reason])
            })
        });
        for (task, result) in here.into_iter().zip(wrapped) {
            match result {
                Err(reasons) if self.network.covers(task.key) => {
                    said.insert(task.position, reasons);
                    elsewhere.push(task);
                }
                result => results.push((task.position, result)),
            }
        }
        if !elsewhere.is_empty() {
            let tasks = elsewhere.into_iter().map(|task| {
                let reasons = said.remove(&task.position).unwrap_or_default();
                (task, reasons)
            });
            results.extend(self.network.wrap(tasks.collect()));
        }
        for (position, result) in results {
            match result {
                Ok(wrapped) => wrapping.wrapped(position, wrapped),
                Err(reasons) => wrapping.failed(position, or_nobody(reasons)),
            }
        }
        wrapping.finish(now)
    }
}

/// SOPS's words where nobody was asked.
fn or_nobody(reasons: Vec<String>) -> Vec<String> {
    if reasons.is_empty() {
        return vec!["no key services provided, cannot update master keys".to_owned()];
    }
    reasons
}

/// Keeps the attempts that are preferred in their group.
fn best_of_each_group<'a>(
    attempts: Vec<Attempt<'a>>,
    tier: impl Fn(&Attempt<'_>) -> Tier,
) -> Vec<Attempt<'a>> {
    let mut best: HashMap<usize, Tier> = HashMap::new();
    for attempt in &attempts {
        let tier = tier(attempt);
        best.entry(attempt.position.group).and_modify(|best| *best = tier.min(*best)).or_insert(tier);
    }
    attempts.into_iter().filter(|attempt| best.get(&attempt.position.group) == Some(&tier(attempt))).collect()
}
