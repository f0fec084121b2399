//! The Secret of an ExternalSecret: its content, and the marks that upstream puts on it.

use std::collections::{BTreeMap, BTreeSet};

use sealops_crds::external_secret::CreationPolicy;
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
pub const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";
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
}

/// Returns what happens to a target by default.
pub(crate) fn creation_policy(external: &ExternalSecret) -> CreationPolicy {
    let target = external.spec.target.as_ref();
    target.and_then(|target| target.creation_policy.clone()).unwrap_or(CreationPolicy::Owner)
}

/// Returns whether the content of a target may not change any more.
pub(super) fn is_frozen(external: &ExternalSecret, existing: Option<&SecretObject>) -> bool {
    existing.is_some() && immutable(external)
}

fn immutable(external: &ExternalSecret) -> bool {
    external.spec.target.as_ref().and_then(|target| target.immutable).unwrap_or(false)
}

/// Returns whether the target is as it was written: marked, and its data is what the hash says.
pub fn is_valid(secret: &SecretObject) -> bool {
    let marked = secret.metadata.labels().get(MANAGED).is_some_and(|value| value == "true");
    marked && secret.metadata.annotations().get(DATA_HASH) == Some(&data_hash(&secret.data))
}

/// Returns whether the object is the controlling owner of a target.
pub(super) fn controls(external: &ExternalSecret, target: &Metadata) -> bool {
    let uid = external.metadata.uid.as_deref();
    uid.is_some() && controller_of(target).map(|owner| owner.uid.as_str()) == uid
}

/// Compares the wanted Secret with the existing one. `content` is `None` where the target is frozen. The failure is what
/// is to be said once the change is made: data that may not change, beside marks that may.
pub(super) fn decide(
    external: &ExternalSecret,
    content: Option<Content>,
    existing: Option<SecretObject>,
) -> Result<(Option<Change>, Option<Failure>), Failure> {
    let own = ObjectKey::of(&external.metadata);
    let name = target_name(external);
    let mut next = match &existing {
        Some(existing) => existing.duplicate(),
        None => SecretObject {
            metadata: Metadata::named(own.namespace.as_str(), name),
            type_: Some("Opaque".to_owned()),
            ..SecretObject::default()
        },
    };
    own_or_disown(external, &mut next.metadata, "secret", existing.is_some())?;
    if immutable(external) {
        next.immutable = Some(true);
    }
    if let Some(content) = content {
        fill(external, &own, content, &mut next);
    }
    let hash = data_hash(&next.data);
    mark(external, &own, &mut next.metadata, hash);
    let Some(existing) = existing else { return Ok((Some(Change::Create(next)), None)) };
    if next.same_content(&existing) {
        return Ok((None, None));
    }
    if existing.immutable != Some(true) {
        return Ok((Some(Change::Replace(next)), None));
    }
    // Only the metadata of this one can be written.
    let mut marked = existing.duplicate();
    marked.metadata = next.metadata.clone();
    let failure = (!next.same_content(&marked)).then(|| Failure::immutable(name));
    let change = (!marked.same_content(&existing)).then(|| Change::Replace(marked));
    Ok((change, failure))
}

/// Sets entries and metadata; what is ours and not wanted any more goes.
fn fill(external: &ExternalSecret, own: &ObjectKey, content: Content, secret: &mut SecretObject) {
    let Content { type_, data, labels, annotations, finalizers } = content;
    let manager = field_manager(&own.name);
    relabel(&manager, &mut secret.metadata, labels, annotations);
    match creation_policy(external) {
        CreationPolicy::Merge | CreationPolicy::CreateOrMerge => {
            let ours = owned_keys(&secret.metadata, &manager, &["f:data"]);
            secret.data.retain(|key, _| !ours.contains(key));
            secret.data.extend(data);
        }
        _ => secret.data = data,
    }
    secret.type_ = type_.or(secret.type_.take());
    add_finalizers(&mut secret.metadata, finalizers);
}

/// Sets labels and annotations; those that this field manager set before and are not wanted any more go.
pub(super) fn relabel(
    manager: &str,
    metadata: &mut Metadata,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
) {
    for (field, wanted) in [("f:labels", labels), ("f:annotations", annotations)] {
        let ours = owned_keys(metadata, manager, &["f:metadata", field]);
        let map = if field == "f:labels" { metadata.labels_mut() } else { metadata.annotations_mut() };
        map.retain(|key, _| !ours.contains(key));
        map.extend(wanted);
    }
}

/// Adds finalizers; none is ever removed.
pub(super) fn add_finalizers(metadata: &mut Metadata, finalizers: Vec<String>) {
    for finalizer in finalizers {
        if !metadata.finalizers.contains(&finalizer) {
            metadata.finalizers.push(finalizer);
        }
    }
}

/// Sets the marks of upstream.
pub(super) fn mark(external: &ExternalSecret, own: &ObjectKey, metadata: &mut Metadata, hash: String) {
    metadata.labels_mut().insert(MANAGED.to_owned(), "true".to_owned());
    if creation_policy(external) == CreationPolicy::Owner {
        metadata.labels_mut().insert(CREATED_BY.to_owned(), owner_hash(&own.namespace, &own.name));
    } else {
        metadata.labels_mut().remove(CREATED_BY);
    }
    metadata.annotations_mut().insert(DATA_HASH.to_owned(), hash);
}

/// Makes the object the controlling owner, or not any more, by its creation policy.
/// `noun` is what the target is called in the texts.
pub(super) fn own_or_disown(
    external: &ExternalSecret,
    metadata: &mut Metadata,
    noun: &str,
    exists: bool,
) -> Result<(), Failure> {
    let target = target_name(external);
    let mutate = if exists { format!("unable to mutate {noun} {target}: ") } else { String::new() };
    let own_name = external.metadata.name.as_deref().unwrap_or_default();
    let is_external = |owner: &OwnerReference| {
        owner.kind == ExternalSecret::KIND
            && owner.api_version.split('/').next() == Some(ExternalSecret::GROUP)
    };
    let is_own = |owner: &OwnerReference| is_external(owner) && owner.name == own_name;
    let owner = controller_of(metadata).cloned();
    if let Some(owner) = owner.as_ref().filter(|owner| is_external(owner) && !is_own(owner)) {
        let cause = format!("{mutate}{noun} is owned by another ExternalSecret: {}", owner.name);
        return Err(Failure::owned("target is owned by another ExternalSecret", cause));
    }
    if creation_policy(external) != CreationPolicy::Owner {
        metadata.owner_references.retain(|owner| !is_own(owner) || owner.controller != Some(true));
        return Ok(());
    }
    if let Some(owner) = owner.filter(|owner| !is_own(owner)) {
        let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
        let cause = format!(
            "{mutate}could not set controller reference on {noun}: Object {namespace}/{target} is already owned by another {} controller {}",
            owner.kind, owner.name
        );
        return Err(Failure::owned("failed to take ownership of target secret", cause));
    }
    // Offline there is no object in a cluster that could own anything.
    let Some(uid) = external.metadata.uid.clone() else { return Ok(()) };
    let reference = OwnerReference {
        api_version: ExternalSecret::API_VERSION.to_owned(),
        kind: ExternalSecret::KIND.to_owned(),
        name: own_name.to_owned(),
        uid,
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    match metadata.owner_references.iter_mut().find(|owner| is_own(owner)) {
        Some(own) => *own = reference,
        None => metadata.owner_references.push(reference),
    }
    Ok(())
}

/// Returns the keys of a map that a field manager wrote last.
fn owned_keys(metadata: &Metadata, manager: &str, path: &[&str]) -> BTreeSet<String> {
    let entries =
        metadata.other.get("managedFields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter(|entry| entry.get("manager").and_then(Value::as_str) == Some(manager))
        .filter_map(|entry| {
            let fields = path.iter().try_fold(entry.get("fieldsV1")?, |fields, step| fields.get(step))?;
            fields.as_object()
        })
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
