//! The Secret of an ExternalSecret: its content, and the marks that upstream puts on it.

use std::collections::{BTreeMap, BTreeSet};

use sealops_crds::{ExternalSecret, Metadata, OwnerReference};
use sealops_formats::Plaintext;
use serde_json::Value;
use sha3::{Digest, Sha3_224};

use super::{Failure, data_hash, owner_hash, target_name};
use crate::object::{ObjectKey, SecretObject, controller_of};
use crate::outcome::Change;

/// Label on every target.
pub const MANAGED: &str = "reconcile.external-secrets.io/managed";
/// Label with the hash of the owner.
const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";
/// Annotation with the hash of the data.
pub const DATA_HASH: &str = "reconcile.external-secrets.io/data-hash";
/// Finalizer on every ExternalSecret.
pub const FINALIZER: &str = "externalsecrets.external-secrets.io/externalsecret-cleanup";
const MANAGER_PREFIX: &str = "externalsecrets.external-secrets.io/";
/// Longest field manager that is used as it is; a longer one is hashed.
const MAX_MANAGER: usize = 63;

/// Returns the field manager under which the target is written, as upstream's.
pub fn field_manager(name: &str) -> String {
    let manager = format!("{MANAGER_PREFIX}{name}");
    if manager.len() <= MAX_MANAGER {
        return manager;
    }
    let mut hash = Sha3_224::new();
    hash.update(name);
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{MANAGER_PREFIX}sha3/{hex}")
}

/// What the target is made of.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The type; `None` leaves it.
    pub(super) type_: Option<String>,
    /// Every entry.
    pub(super) data: BTreeMap<String, Plaintext>,
    /// Labels, without the marks.
    pub(super) labels: BTreeMap<String, String>,
    /// Annotations, without the marks.
    pub(super) annotations: BTreeMap<String, String>,
    /// Finalizers to add; they are never removed.
    pub(super) finalizers: Vec<String>,
}

impl Content {
    /// Returns the content without a template: the values, and labels and annotations of the object itself.
    pub(super) fn copied(external: &ExternalSecret, data: BTreeMap<String, Plaintext>) -> Self {
        let metadata = &external.metadata;
        Self {
            data,
            labels: metadata.labels().clone(),
            annotations: metadata.annotations().clone(),
            ..Self::default()
        }
    }

    /// Returns the content of a Secret that is there.
    pub(super) fn unchanged(existing: Option<&SecretObject>) -> Self {
        let Some(existing) = existing.map(SecretObject::duplicate) else { return Self::default() };
        Self {
            type_: existing.type_,
            data: existing.data,
            labels: existing.metadata.labels().clone(),
            annotations: existing.metadata.annotations().clone(),
            finalizers: existing.metadata.finalizers,
        }
    }
}

/// Returns whether the data may not change any more.
pub(super) fn is_frozen(external: &ExternalSecret, existing: Option<&SecretObject>) -> bool {
    immutable(external).is_some() && existing.is_some_and(|secret| secret.immutable == Some(true))
}

fn immutable(external: &ExternalSecret) -> Option<bool> {
    external.spec.target.as_ref().and_then(|target| target.immutable).filter(|is_set| *is_set)
}

/// Returns whether the target is as it was written: marked, and its data is what the hash says.
pub(super) fn is_valid(secret: &SecretObject) -> bool {
    let marked = secret.metadata.labels().get(MANAGED).is_some_and(|value| value == "true");
    marked && secret.metadata.annotations().get(DATA_HASH) == Some(&data_hash(&secret.data))
}

/// Compares the wanted Secret with the existing one.
pub(super) fn decide(
    external: &ExternalSecret,
    content: Content,
    existing: Option<SecretObject>,
) -> Result<Option<Change>, Failure> {
    let own = ObjectKey::of(&external.metadata);
    let name = target_name(external);
    let frozen = is_frozen(external, existing.as_ref());
    let mut next = match &existing {
        Some(existing) => {
            check_owner(external, existing)?;
            existing.duplicate()
        }
        None => SecretObject {
            metadata: Metadata::named(own.namespace.as_str(), name),
            type_: Some("Opaque".to_owned()),
            ..SecretObject::default()
        },
    };
    let Content { type_, data, labels, annotations, finalizers } = content;
    if !frozen {
        next.data = data;
    }
    next.type_ = type_.or(next.type_);
    next.immutable = immutable(external).or(next.immutable);
    for finalizer in finalizers {
        if !next.metadata.finalizers.contains(&finalizer) {
            next.metadata.finalizers.push(finalizer);
        }
    }
    mark(external, &own, &mut next, [labels, annotations]);
    match existing {
        None => Ok(Some(Change::Create(next))),
        Some(existing) if next.same_content(&existing) => Ok(None),
        Some(_) => Ok(Some(Change::Replace(next))),
    }
}

/// Sets labels and annotations, removes those that are ours and not wanted any more, and sets the marks.
fn mark(
    external: &ExternalSecret,
    own: &ObjectKey,
    secret: &mut SecretObject,
    [labels, annotations]: [BTreeMap<String, String>; 2],
) {
    let manager = field_manager(&own.name);
    for (field, wanted) in [("f:labels", labels), ("f:annotations", annotations)] {
        let ours = owned_keys(&secret.metadata, &manager, field);
        let map = if field == "f:labels" {
            secret.metadata.labels_mut()
        } else {
            secret.metadata.annotations_mut()
        };
        map.retain(|key, _| !ours.contains(key));
        map.extend(wanted);
    }
    let hash = data_hash(&secret.data);
    let metadata = &mut secret.metadata;
    metadata.labels_mut().insert(MANAGED.to_owned(), "true".to_owned());
    metadata.labels_mut().insert(CREATED_BY.to_owned(), owner_hash(&own.namespace, &own.name));
    metadata.annotations_mut().insert(DATA_HASH.to_owned(), hash);
    if let (None, Some(uid)) = (controller_of(metadata), external.metadata.uid.clone()) {
        metadata.owner_references.push(OwnerReference {
            api_version: ExternalSecret::API_VERSION.to_owned(),
            kind: ExternalSecret::KIND.to_owned(),
            name: own.name.clone(),
            uid,
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
    }
}

fn check_owner(external: &ExternalSecret, existing: &SecretObject) -> Result<(), Failure> {
    let Some(owner) = controller_of(&existing.metadata) else { return Ok(()) };
    if external.metadata.uid.as_deref() == Some(owner.uid.as_str()) {
        return Ok(());
    }
    let target = target_name(external);
    let is_other_external =
        owner.kind == ExternalSecret::KIND && owner.api_version.starts_with(ExternalSecret::GROUP);
    if is_other_external && Some(owner.name.as_str()) != external.metadata.name.as_deref() {
        let cause = format!(
            "unable to mutate secret {target}: secret is owned by another ExternalSecret: {}",
            owner.name
        );
        return Err(Failure::owned("target is owned by another ExternalSecret", cause));
    }
    let cause =
        format!("unable to mutate secret {target}: it is controlled by {} {}", owner.kind, owner.name);
    Err(Failure::owned("failed to take ownership of target secret", cause))
}

/// Returns the keys below `metadata` that a field manager wrote last.
fn owned_keys(metadata: &Metadata, manager: &str, field: &str) -> BTreeSet<String> {
    let entries =
        metadata.other.get("managedFields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter(|entry| entry.get("manager").and_then(Value::as_str) == Some(manager))
        .filter_map(|entry| entry.pointer(&format!("/fieldsV1/f:metadata/{field}"))?.as_object())
        .flat_map(|fields| fields.keys())
        .filter_map(|key| key.strip_prefix("f:"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_give_a_hashed_field_manager() {
        assert_eq!(field_manager("app"), "externalsecrets.external-secrets.io/app");
        assert_eq!(field_manager(&"x".repeat(27)).len(), 63);
        assert!(field_manager(&"x".repeat(28)).starts_with("externalsecrets.external-secrets.io/sha3/"));
    }
}
