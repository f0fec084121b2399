//! Secrets that more than one object makes, and Secrets whose owner is not there.

use std::collections::BTreeMap;

use sealops_crds::external_secret::CreationPolicy;
use sealops_crds::{ExternalSecret, Metadata, SealedSecret};
use serde::Deserialize;

use super::Finding;
use crate::directory::load::Manifest;
use crate::directory::session::Session;
use crate::external::{CREATED_BY, creation_policy, owner_hash, target_name};
use crate::object::ObjectKey;

/// Who makes a Secret.
struct Maker<'a> {
    index: usize,
    manifest: &'a Manifest,
    /// Whether it adds to what others make.
    merges: bool,
}

pub(super) fn check(manifests: &[Manifest], session: &Session<'_>) -> Vec<(usize, Vec<Finding>)> {
    let mut makers: BTreeMap<ObjectKey, Vec<Maker<'_>>> = BTreeMap::new();
    let mut owners: Vec<(&'static str, ObjectKey)> = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let Some((kind, own, target, merges)) = target(manifest, session) else { continue };
        owners.push((kind, own));
        makers.entry(target).or_default().push(Maker { index, manifest, merges });
    }
    let mut found = Vec::new();
    for (target, makers) in &makers {
        let alone: Vec<&Maker<'_>> = makers.iter().filter(|maker| !maker.merges).collect();
        if let Some((first, others)) = alone.split_first() {
            for other in others {
                let text = format!("the Secret {target} is made by {} already", place(first.manifest));
                found.push((other.index, vec![Finding::problem(other.manifest, "duplicate-target", text)]));
            }
            if session.reader.has("Secret", &target.namespace, &target.name) {
                let text = format!(
                    "the Secret {target} is in the folder too: whoever applies it and the controller take turns"
                );
                found.push((first.index, vec![Finding::problem(first.manifest, "duplicate-target", text)]));
            }
        }
    }
    for (index, manifest) in manifests.iter().enumerate().filter(|(_, manifest)| manifest.is("", "Secret")) {
        let missing = orphaned(manifest, session, &owners);
        found.extend(missing.map(|text| (index, vec![Finding::note(manifest, "owner-missing", text)])));
    }
    found
}

fn place(manifest: &Manifest) -> String {
    format!("{} ({})", manifest.title(), manifest.source())
}

type Target = (&'static str, ObjectKey, ObjectKey, bool);

/// Returns the kind and name of an object that makes a Secret, the Secret, and whether it only merges.
fn target(manifest: &Manifest, session: &Session<'_>) -> Option<Target> {
    if manifest.is(SealedSecret::GROUP, SealedSecret::KIND) {
        let sealed: SealedSecret = session.read(manifest).ok()?;
        let key = ObjectKey::of(&sealed.metadata);
        return Some((SealedSecret::KIND, key.clone(), key, false));
    }
    if !manifest.is(ExternalSecret::GROUP, ExternalSecret::KIND) {
        return None;
    }
    let external: ExternalSecret = session.read(manifest).ok()?;
    let own = ObjectKey::of(&external.metadata);
    let target = ObjectKey::new(own.namespace.as_str(), target_name(&external));
    let merges = !matches!(creation_policy(&external), CreationPolicy::Owner | CreationPolicy::Orphan);
    Some((ExternalSecret::KIND, own, target, merges))
}

/// Returns what a Secret says of an owner that the folder does not have.
fn orphaned(
    manifest: &Manifest,
    session: &Session<'_>,
    owners: &[(&'static str, ObjectKey)],
) -> Option<String> {
    #[derive(Deserialize)]
    struct Secret {
        metadata: Metadata,
    }
    let mut metadata = manifest.root.read::<Secret>().ok()?.metadata;
    session.place(&mut metadata);
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let has = |kind: &str, name: &str| {
        owners.iter().any(|(own, key)| *own == kind && key.namespace == namespace && key.name == name)
    };
    let kinds = [ExternalSecret::KIND, SealedSecret::KIND];
    let owner = metadata
        .owner_references
        .iter()
        .find(|owner| kinds.contains(&owner.kind.as_str()) && !has(&owner.kind, &owner.name));
    if let Some(owner) = owner {
        return Some(format!("its owner {} {} is not in the folder", owner.kind, owner.name));
    }
    let mark = metadata.labels().get(CREATED_BY)?;
    let known = owners
        .iter()
        .any(|(kind, key)| *kind == ExternalSecret::KIND && owner_hash(&key.namespace, &key.name) == *mark);
    (!known).then(|| format!("the label {CREATED_BY} names an ExternalSecret that is not in the folder"))
}
