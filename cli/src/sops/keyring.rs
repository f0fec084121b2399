//! Who can wrap and unwrap data keys here.
//!
//! One [`KeyAccess`] knows some kinds of keys. The local one knows age and PGP; those that ask a network (KMS, Vault, key
//! services) plug in beside it.

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{
    DataKey, DataKeyWrapping, EncryptedFile, KeyGroups, KeyKind, KeyPart, MasterKey, RecoveryError,
    Timestamp, WrapError,
};

use super::threads;

/// Wraps and unwraps parts of data keys.
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

/// Everything that can be asked, in order.
pub(crate) struct Keyring {
    services: Vec<Box<dyn KeyAccess>>,
}

impl Keyring {
    pub(crate) fn new(services: Vec<Box<dyn KeyAccess>>) -> Self {
        Self { services }
    }

    /// Recovers the data key of a file: key after key, because one that asks for a passphrase must not do so in vain.
    ///
    /// # Errors
    /// Returns how every key failed.
    pub(crate) fn recover(&self, file: &EncryptedFile, order: &[KeyKind]) -> Result<DataKey, RecoveryError> {
        let mut recovery = file.recovery(order);
        while let Some(attempt) = recovery.next_attempt() {
            let mut reasons = Vec::new();
            let part = self.services.iter().find_map(|service| {
                service.unwrap(attempt.key, attempt.wrapped).map_err(|reason| reasons.push(reason)).ok()
            });
            match part {
                Some(part) => recovery.succeeded(attempt.position, part),
                None => recovery.failed(attempt.position, reasons),
            }
        }
        recovery.finish()
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
        let results = threads::map(&wrapping.tasks(), |task| {
            let mut reasons = Vec::new();
            if self.services.is_empty() {
                reasons.push("no key services provided, cannot update master keys".to_owned());
            }
            let wrapped = self.services.iter().find_map(|service| {
                service.wrap(task.key, task.part).map_err(|reason| reasons.push(reason)).ok()
            });
            (task.position, wrapped.ok_or(reasons))
        });
        for (position, result) in results {
            match result {
                Ok(wrapped) => wrapping.wrapped(position, wrapped),
                Err(reasons) => wrapping.failed(position, reasons),
            }
        }
        wrapping.finish(now)
    }
}
