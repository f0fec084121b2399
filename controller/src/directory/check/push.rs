//! PushSecrets: their stores and their source. Nothing is pushed.

use std::collections::BTreeSet;

use sealops_crds::external_secret::StoreKind;
use sealops_crds::{ClusterSecretStore, ExternalSecret, PushSecret, SealedSecret, SecretStore};

use super::{Finding, Run};
use crate::directory::load::Manifest;
use crate::external::{go_duration, target_name};
use crate::object::{ObjectKey, SecretObject};

pub(super) fn check(manifest: &Manifest, run: &Run<'_>, manifests: &[Manifest]) -> Vec<Finding> {
    let push: PushSecret = match run.session.read(manifest) {
        Ok(push) => push,
        Err(message) => return vec![Finding::problem(manifest, "invalid", message)],
    };
    let mut findings = stores(manifest, &push, run);
    if push.spec.refresh_interval.as_deref().is_some_and(|text| go_duration(text).is_none()) {
        let text = "spec.refreshInterval: this is not a duration such as 1h30m";
        findings.push(Finding::problem(manifest, "interval", text));
    }
    findings.extend(source(manifest, &push, run, manifests));
    findings
}

fn stores(manifest: &Manifest, push: &PushSecret, run: &Run<'_>) -> Vec<Finding> {
    let namespace = ObjectKey::of(&push.metadata).namespace;
    if push.spec.secret_store_refs.is_empty() {
        return vec![Finding::problem(manifest, "store-missing", "it names no store")];
    }
    let mut findings = Vec::new();
    for reference in &push.spec.secret_store_refs {
        let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        match &reference.kind {
            None | Some(StoreKind::SecretStore) => {
                if !run.session.reader.has(SecretStore::KIND, &namespace, name) {
                    let text = format!("there is no SecretStore {name} in the namespace {namespace}");
                    findings.push(Finding::problem(manifest, "store-missing", text));
                }
            }
            Some(StoreKind::ClusterSecretStore) => {
                if !run.session.reader.has(ClusterSecretStore::KIND, "", name) {
                    let text = format!(
                        "its ClusterSecretStore {name} is not in the folder; it has to be in the cluster"
                    );
                    findings.push(Finding::note(manifest, "store-outside", text));
                }
            }
            Some(StoreKind::Other(kind)) => {
                let text = format!("the store kind {kind:?} is not known");
                findings.push(Finding::problem(manifest, "store-missing", text));
            }
        }
    }
    findings
}

/// What is known of the keys of a Secret.
enum Keys {
    These(BTreeSet<String>),
    Unknown,
}

fn source(manifest: &Manifest, push: &PushSecret, run: &Run<'_>, manifests: &[Manifest]) -> Vec<Finding> {
    let secret = push.spec.selector.secret.as_ref();
    let Some(name) = secret.and_then(|secret| secret.name.as_deref()).filter(|name| !name.is_empty()) else {
        return Vec::new();
    };
    let namespace = ObjectKey::of(&push.metadata).namespace;
    let key = ObjectKey::new(namespace, name);
    match keys_of(&key, run, manifests) {
        None => {
            let text = format!(
                "its Secret {name} is not in the folder and nothing in it makes it; it has to be in the cluster"
            );
            vec![Finding::note(manifest, "source-outside", text)]
        }
        Some(Keys::Unknown) => Vec::new(),
        Some(Keys::These(keys)) => {
            let wanted = push.spec.data.iter().map(|entry| entry.match_.secret_key.as_str());
            let missing = wanted.filter(|wanted| !wanted.is_empty() && !keys.contains(*wanted));
            missing
                .map(|wanted| {
                    let text = format!("its Secret {name} has no key {wanted}");
                    Finding::problem(manifest, "value-missing", text)
                })
                .collect()
        }
    }
}

/// Returns the keys of a Secret of the folder, or of one that an object of it makes.
fn keys_of(wanted: &ObjectKey, run: &Run<'_>, manifests: &[Manifest]) -> Option<Keys> {
    for manifest in manifests {
        if manifest.is(SealedSecret::GROUP, SealedSecret::KIND)
            && let Ok(sealed) = run.session.read::<SealedSecret>(manifest)
            && ObjectKey::of(&sealed.metadata) == *wanted
        {
            // A template may add to these.
            let is_plain = sealed.spec.template.data.is_none() && sealed.spec.data.is_none();
            let keys = sealed.spec.encrypted_data.into_keys().collect();
            return Some(if is_plain { Keys::These(keys) } else { Keys::Unknown });
        }
        if manifest.is(ExternalSecret::GROUP, ExternalSecret::KIND)
            && let Ok(external) = run.session.read::<ExternalSecret>(manifest)
            && ObjectKey::new(ObjectKey::of(&external.metadata).namespace, target_name(&external)) == *wanted
        {
            return Some(Keys::Unknown);
        }
    }
    let secret: Option<SecretObject> = run.session.reader.secret(&wanted.namespace, &wanted.name).ok()?;
    secret.map(|secret| Keys::These(secret.data.into_keys().collect()))
}
