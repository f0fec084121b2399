//! What stands in for the network where this build has none.

use sealops_crypto::sops::{Attempt, DataKeyRecovery, KeyPolicy, KeyPosition, MasterKey, WrapTask};

const REASON: &str = "this build of sealops asks no network for keys";

/// Refuses.
pub(crate) struct NetworkKeys;

impl NetworkKeys {
    pub(crate) fn new(_: bool, _: Vec<String>) -> Self {
        Self
    }

    pub(crate) fn with_policy(self, _: KeyPolicy) -> Self {
        self
    }

    pub(crate) fn covers(&self, key: &MasterKey) -> bool {
        !key.is_local()
    }

    pub(crate) fn complete<'a>(&self, _: impl Iterator<Item = &'a mut MasterKey>) -> Result<(), String> {
        // Nobody is asked; wrapping says so.
        Ok(())
    }

    pub(crate) fn recover(
        &self,
        recovery: &mut DataKeyRecovery<'_>,
        attempts: Vec<(Attempt<'_>, Vec<String>)>,
    ) {
        for (attempt, mut reasons) in attempts {
            reasons.push(REASON.to_owned());
            recovery.failed(attempt.position, reasons);
        }
    }

    pub(crate) fn wrap(
        &self,
        tasks: Vec<(WrapTask<'_>, Vec<String>)>,
    ) -> Vec<(KeyPosition, Result<String, Vec<String>>)> {
        let refused = tasks.into_iter().map(|(task, mut reasons)| {
            reasons.push(REASON.to_owned());
            (task.position, Err(reasons))
        });
        refused.collect()
    }
}

/// What sops would contact.
pub(crate) fn google_contacts() -> Vec<String> {
    vec!["https://cloudkms.googleapis.com".to_owned()]
}

/// What sops would contact, as far as a region says it.
pub(crate) fn huawei_contacts(key_id: &str) -> Vec<String> {
    let region = key_id.split(':').next().unwrap_or_default();
    vec![format!("https://kms.{region}.myhuaweicloud.com")]
}

/// Nobody logs in.
pub(crate) fn azure_authority(_: &str) -> String {
    "its authority".to_owned()
}

/// Nothing is asked, so nothing needs to be forbidden.
pub(crate) fn forbidden(_: &MasterKey) -> Option<String> {
    None
}
