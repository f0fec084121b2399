//! What the watches have shown, folded into the little that decides whether an object has work: plain, synchronous,
//! and without any secret data.

use std::collections::HashMap;

use sealops_crds::sealed_secret as names;
use sealops_crds::{Metadata, SealedSecret};

use crate::object::{ObjectKey, controller_of};
use crate::sealed::{TargetVersion, says_synced, spec_hash};

/// A SealedSecret as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedView {
    /// Uid.
    pub uid: String,
    /// Hash of what decides the Secret.
    pub spec: String,
    /// Generation.
    pub generation: Option<i64>,
    /// Whether its status says that this generation is synced.
    pub says_synced: bool,
    /// Label `app.kubernetes.io/instance`, for the metric.
    pub instance: Box<str>,
}

/// A Secret as last seen: no data, no annotation texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretView {
    /// Uid and version.
    pub version: TargetVersion,
    /// Uid of the controlling owner.
    pub controller: Option<Box<str>>,
    /// Whether it carries `managed: "true"`.
    pub managed: bool,
}

/// What a watch event means for the work queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing to do.
    Nothing,
    /// The object is new or changed.
    Changed,
    /// Its target changed or went.
    TargetMoved,
    /// The object is gone.
    Gone,
}

/// Both kinds as last seen.
#[derive(Debug, Default)]
pub struct Index {
    sealed: HashMap<ObjectKey, SealedView>,
    secrets: HashMap<ObjectKey, SecretView>,
}

/// Returns the label that the metrics carry.
pub(super) fn instance_of(sealed: &SealedSecret) -> &str {
    sealed.metadata.labels().get("app.kubernetes.io/instance").map_or("", String::as_str)
}

impl SealedView {
    /// Takes what matters out of an object.
    pub fn of(sealed: &SealedSecret) -> Self {
        Self {
            uid: sealed.metadata.uid.clone().unwrap_or_default(),
            spec: spec_hash(sealed),
            generation: sealed.metadata.generation,
            says_synced: says_synced(sealed),
            instance: instance_of(sealed).into(),
        }
    }

    fn same_object(&self, other: &Self) -> bool {
        self.uid == other.uid && self.spec == other.spec && self.generation == other.generation
    }
}

impl SecretView {
    /// Takes what matters out of metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            version: TargetVersion {
                uid: metadata.uid.clone().unwrap_or_default(),
                resource_version: metadata.resource_version.clone().unwrap_or_default(),
            },
            controller: controller_of(metadata).map(|owner| owner.uid.as_str().into()),
            managed: metadata.annotations().get(names::MANAGED).is_some_and(|value| value == names::TRUE),
        }
    }
}

impl Index {
    /// Takes in a SealedSecret. Changes of metadata or status alone are no work, except a status that stops saying
    /// that the object is synced.
    pub fn apply_sealed(&mut self, key: ObjectKey, view: SealedView) -> News {
        match self.sealed.insert(key, view.clone()) {
            Some(before) if before.same_object(&view) && (view.says_synced || !before.says_synced) => {
                News::Nothing
            }
            _ => News::Changed,
        }
    }

    /// Takes in that a SealedSecret is gone.
    pub fn remove_sealed(&mut self, key: &ObjectKey) -> News {
        if self.sealed.remove(key).is_some() { News::Gone } else { News::Nothing }
    }

    /// Takes in a Secret. Any change of a Secret that an object could be waiting for is news.
    pub fn apply_secret(&mut self, key: ObjectKey, view: SecretView) -> News {
        let relevant = self.sealed.contains_key(&key);
        let before = self.secrets.insert(key, view.clone());
        if relevant && before.as_ref() != Some(&view) { News::TargetMoved } else { News::Nothing }
    }

    /// Takes in that a Secret is gone: news where it was the target of an object, or `managed`, or in the way.
    pub fn remove_secret(&mut self, key: &ObjectKey) -> News {
        let gone = self.secrets.remove(key).is_some();
        if gone && self.sealed.contains_key(key) { News::TargetMoved } else { News::Nothing }
    }

    /// Returns whether a Secret that went belonged to the object of the same name, by upstream's rules.
    pub fn was_target(&self, key: &ObjectKey, secret: &SecretView) -> bool {
        let owner = self.sealed.get(key);
        secret.managed
            || owner.is_some_and(|sealed| secret.controller.as_deref() == Some(sealed.uid.as_str()))
    }

    /// Returns an object.
    pub fn sealed(&self, key: &ObjectKey) -> Option<&SealedView> {
        self.sealed.get(key)
    }

    /// Returns a Secret.
    pub fn secret(&self, key: &ObjectKey) -> Option<&SecretView> {
        self.secrets.get(key)
    }

    /// Returns every SealedSecret.
    pub fn all_sealed(&self) -> impl Iterator<Item = (&ObjectKey, &SealedView)> {
        self.sealed.iter()
    }

    /// Returns the keys that are not in a complete list; used when a watch starts again.
    pub fn sealed_outside(&self, listed: &std::collections::HashSet<ObjectKey>) -> Vec<ObjectKey> {
        self.sealed.keys().filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// As [`Index::sealed_outside`], for Secrets.
    pub fn secrets_outside(&self, listed: &std::collections::HashSet<ObjectKey>) -> Vec<ObjectKey> {
        self.secrets.keys().filter(|key| !listed.contains(*key)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(uid: &str, spec: &str, says_synced: bool) -> SealedView {
        SealedView {
            uid: uid.into(),
            spec: spec.into(),
            generation: Some(1),
            says_synced,
            instance: "".into(),
        }
    }

    fn secret(version: &str) -> SecretView {
        let version = TargetVersion { uid: "s".into(), resource_version: version.into() };
        SecretView { version, controller: Some("u".into()), managed: false }
    }

    #[test]
    fn only_changes_that_matter_are_news() {
        let key = || ObjectKey::new("shop", "web");
        let mut index = Index::default();
        assert_eq!(index.apply_sealed(key(), view("u", "1", false)), News::Changed);
        assert_eq!(index.apply_sealed(key(), view("u", "1", true)), News::Nothing, "our own status");
        assert_eq!(index.apply_sealed(key(), view("u", "1", true)), News::Nothing);
        assert_eq!(
            index.apply_sealed(key(), view("u", "1", false)),
            News::Changed,
            "somebody broke the status"
        );
        assert_eq!(index.apply_sealed(key(), view("u", "2", true)), News::Changed);
        assert_eq!(index.apply_sealed(key(), view("another", "2", true)), News::Changed);
        assert_eq!(index.remove_sealed(&key()), News::Gone);
        assert_eq!(index.remove_sealed(&key()), News::Nothing);
    }

    #[test]
    fn secrets_count_only_beside_an_object_of_their_name() {
        let key = || ObjectKey::new("shop", "web");
        let mut index = Index::default();
        assert_eq!(index.apply_secret(key(), secret("1")), News::Nothing);
        index.apply_sealed(key(), view("u", "1", true));
        assert_eq!(index.apply_secret(key(), secret("1")), News::Nothing);
        assert_eq!(index.apply_secret(key(), secret("2")), News::TargetMoved);
        assert!(index.was_target(&key(), &secret("2")));
        assert_eq!(index.remove_secret(&key()), News::TargetMoved);
        assert_eq!(index.remove_secret(&key()), News::Nothing);
    }
}
