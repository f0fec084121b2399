//! Targets that are no Secrets (`spec.target.manifest`), as External Secrets Operator 2.9 writes them.
//!
//! ```text
//!   kind allowed and served? ──► target (GET) ──► due, or changed by somebody? ──► values ──► render::fill
//!                                                                                     │
//!                                      ManifestChange { Create | Replace, whole object } ◄─ compared
//! ```
//!
//! Off unless `--unsafe-allow-generic-targets` is given; which kinds can be written then is what the controller's rights
//! say. Refused in any case, whatever the rights: Secrets (a target without `manifest` is one, with its rules), kinds
//! without a namespace, kinds that give rights, and our own kinds, by which an ExternalSecret could make itself another
//! one with more access.
//!
//! Different from upstream on purpose, beside what `render.rs` says: a path cannot reach `metadata`, `status`,
//! `apiVersion` or `kind`; `Secret` is refused. The owner policies replace every field but the status, `Merge` and
//! `CreateOrMerge` change what they name.
//!
//! Drift is found by upstream's hash over `spec` (or `data`). Fields that the API server adds by itself would look like
//! drift at each look; so what the last write left (uid and generation) counts as right too.

mod path;
mod render;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::{CreationPolicy, DeletionPolicy};
use sealops_formats::manifest::Node;

pub(super) use path::Path;

use super::report::{self, Settled};
use super::target::{self, DATA_HASH, MANAGED};
use super::template::{self, Scope};
use super::{
    Decision, Due, Failure, Moment, Surroundings, content_hash, data, due, field_manager, refresh,
    target_name,
};
use crate::object::{ClusterReader, ManifestKind, ManifestObject, ObjectKey, ServedKind};
use crate::outcome::{ManifestChange, ManifestWrite, Retry};

/// Groups whose objects give rights or are ours.
const REFUSED_GROUPS: [&str; 7] = [
    "rbac.authorization.k8s.io",
    "authorization.k8s.io",
    "authentication.k8s.io",
    "certificates.k8s.io",
    "external-secrets.io",
    "generators.external-secrets.io",
    "bitnami.com",
];

/// Returns the kind of a target that is no Secret.
pub fn wanted(external: &ExternalSecret) -> Option<ManifestKind> {
    let manifest = external.spec.target.as_ref()?.manifest.as_ref()?;
    Some(ManifestKind::new(manifest.api_version.as_str(), manifest.kind.as_str()))
}

/// Returns why a kind may not be a target, whatever the rights are; `None` where it may.
pub fn refusal(kind: &ManifestKind) -> Option<String> {
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    let version = kind.version();
    if kind.api_version.is_empty() {
        Some("target.manifest.apiVersion is required".to_owned())
    } else if kind.kind.is_empty() {
        Some("target.manifest.kind is required".to_owned())
    } else if !plain(version) || (!kind.group().is_empty() && !plain(kind.group())) || !plain(&kind.kind) {
        Some("target.manifest: this is no apiVersion and kind".to_owned())
    } else if kind.group().is_empty() && kind.kind == "Secret" {
        Some("target.manifest: leave it out to write a Secret".to_owned())
    } else if REFUSED_GROUPS.contains(&kind.group()) {
        Some(format!(
            "target.manifest: {kind} gives rights or is a kind of this controller, and is never a target"
        ))
    } else {
        None
    }
}

/// Finds how a kind is served, and refuses what may be no target.
async fn allowed(kind: &ManifestKind, cluster: &dyn ClusterReader) -> Result<ServedKind, Failure> {
    if let Some(problem) = refusal(kind) {
        return Err(Failure::refused_target(problem));
    }
    let served = cluster.served(kind).await.map_err(|error| Failure::read_target(error.to_string()))?;
    let served = served.ok_or_else(|| {
        Failure::read_target(format!("no matches for kind {:?} in version {:?}", kind.kind, kind.api_version))
    })?;
    if !served.namespaced {
        return Err(Failure::refused_target(format!(
            "target.manifest: {kind} has no namespace; a target lies in the namespace of its ExternalSecret"
        )));
    }
    Ok(served)
}

/// As [`super::reconcile`], for such a target.
pub(super) async fn reconcile(
    external: &ExternalSecret,
    kind: &ManifestKind,
    surroundings: &Surroundings<'_>,
    moment: &Moment,
) -> Result<Decision, Failure> {
    if !surroundings.options.generic_targets {
        return Err(Failure::generic_target());
    }
    let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
    let served = allowed(kind, surroundings.cluster).await?;
    let objects = surroundings.cluster.in_namespace(namespace);
    let existing = objects.manifest(&served, target_name(external)).await;
    let existing = existing.map_err(|error| Failure::read_target(error.to_string()))?;
    let due = due(external, moment.now, moment.moved)?;
    if due != Due::Now && is_right(external, existing.as_ref(), moment) {
        let mut decision = Decision::nothing(Settled::NotDue, Vec::new());
        decision.outcome.again = due.wait();
        return Ok(decision);
    }
    if super::is_foreign(external, surroundings).await {
        return Ok(Decision::nothing(Settled::Ignored, Vec::new()));
    }
    let fetched = match data::fetch(external, surroundings, moment).await {
        Err(failure) if failure.is_foreign => return Ok(Decision::nothing(Settled::Ignored, Vec::new())),
        fetched => fetched?,
    };
    let with_events = |failure| Failure { events: fetched.events.clone(), ..failure };
    let policy = target::creation_policy(external);
    let deletion = external.spec.target.as_ref().and_then(|target| target.deletion_policy.clone());
    let (settled, change) = if fetched.values.is_empty() && deletion != Some(DeletionPolicy::Merge) {
        left_with_nothing(&served, &policy, existing, deletion).map_err(with_events)?
    } else if policy == CreationPolicy::None {
        (Settled::Synced, None)
    } else if policy == CreationPolicy::Merge && existing.is_none() {
        (Settled::Missing, None)
    } else {
        let gathered =
            template::gather(external, objects.as_ref(), Scope::Manifest).await.map_err(with_events)?;
        let templates = surroundings.options.templates;
        let mut next = base(external, kind, existing.as_ref());
        let marks = render::fill(external, kind, gathered, fetched.values, templates, &mut next);
        let marks = marks.map_err(|cause| with_events(Failure::manifest(cause)))?;
        (Settled::Synced, decide(external, &served, next, marks, existing, moment).map_err(with_events)?)
    };
    let mut decision = Decision::nothing(settled, fetched.events);
    decision.manifest = change;
    decision.outcome.again = refresh::interval(external)?;
    Ok(decision)
}

/// Returns what the templates are applied to.
fn base(external: &ExternalSecret, kind: &ManifestKind, existing: Option<&ManifestObject>) -> ManifestObject {
    let own = ObjectKey::of(&external.metadata);
    let fresh = ManifestObject::new(kind, &ObjectKey::new(own.namespace, target_name(external)));
    let Some(existing) = existing else { return fresh };
    let mut next = existing.duplicate();
    if !matches!(target::creation_policy(external), CreationPolicy::Merge | CreationPolicy::CreateOrMerge) {
        next.fields.retain(|(name, _)| matches!(name.as_str(), "apiVersion" | "kind" | "status"));
    }
    next
}

/// Returns whether the target is as the last refresh left it.
fn is_right(external: &ExternalSecret, existing: Option<&ManifestObject>, moment: &Moment) -> bool {
    let ready = external.status.as_ref().and_then(|status| {
        status.conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let was_left_out = ready.is_some_and(|ready| {
        let reason = ready.reason.as_deref().unwrap_or_default();
        matches!(reason, "ResourceMissing" | "ResourceDeleted")
            || ready.message.as_deref() == Some(report::RESOURCE_RETAINED)
    });
    match (target::creation_policy(external), existing) {
        (CreationPolicy::Orphan | CreationPolicy::None, _) => true,
        (_, None) => was_left_out,
        (_, Some(object)) => {
            let marked = object.metadata.labels().get(MANAGED).is_some_and(|value| value == "true");
            let hash = object.metadata.annotations().get(DATA_HASH);
            let is_left = moment.left.as_deref() == Some(object.version().as_str());
            marked && hash.is_some_and(|hash| is_left || *hash == hash_of(object))
        }
    }
}

fn hash_of(object: &ManifestObject) -> String {
    let content = object.field("spec").or_else(|| object.field("data"));
    content.map_or_else(|| content_hash(&Node::map::<String>([])), content_hash)
}

fn left_with_nothing(
    served: &ServedKind,
    policy: &CreationPolicy,
    existing: Option<ManifestObject>,
    deletion: Option<DeletionPolicy>,
) -> Result<(Settled, Option<ManifestChange>), Failure> {
    if deletion != Some(DeletionPolicy::Delete) {
        return Ok((Settled::Retained, None));
    }
    if *policy != CreationPolicy::Owner {
        let cause = format!("unable to delete resource: creationPolicy={} is not Owner", policy.as_str());
        return Err(Failure::delete_target(cause, Retry::OnChange));
    }
    let change = existing.map(|object| ManifestChange {
        served: served.clone(),
        write: ManifestWrite::Delete,
        object,
    });
    Ok((Settled::Deleted, change))
}

fn decide(
    external: &ExternalSecret,
    served: &ServedKind,
    mut next: ManifestObject,
    marks: render::Marks,
    existing: Option<ManifestObject>,
    moment: &Moment,
) -> Result<Option<ManifestChange>, Failure> {
    let own = ObjectKey::of(&external.metadata);
    target::own_or_disown(external, &mut next.metadata, "resource", existing.is_some())?;
    target::relabel(&field_manager(&own.name), &mut next.metadata, marks.labels, marks.annotations);
    target::add_finalizers(&mut next.metadata, marks.finalizers);
    let hash = hash_of(&next);
    target::mark(external, &own, &mut next.metadata, hash.clone());
    let change = |write, object| Ok(Some(ManifestChange { served: served.clone(), write, object }));
    let Some(existing) = existing else { return change(ManifestWrite::Create, next) };
    let is_left = moment.left.as_deref() == Some(existing.version().as_str())
        && existing.metadata.annotations().get(DATA_HASH) == Some(&hash);
    let mut compared = next.duplicate();
    if is_left {
        compared.fields = existing.duplicate().fields;
    }
    if compared.same_content(&existing) {
        return Ok(None);
    }
    change(ManifestWrite::Replace, next)
}

/// As [`super::deleted`], for such a target.
///
/// # Errors
/// Returns that the target cannot be read.
pub async fn deleted(
    external: &ExternalSecret,
    kind: &ManifestKind,
    cluster: &dyn ClusterReader,
) -> Result<Option<ManifestChange>, Failure> {
    let target = external.spec.target.as_ref();
    if target.and_then(|target| target.deletion_policy.as_ref()) != Some(&DeletionPolicy::Delete) {
        return Ok(None);
    }
    // What is refused was never written, and what is served no more is gone.
    if refusal(kind).is_some() {
        return Ok(None);
    }
    let served = cluster.served(kind).await.map_err(|error| Failure::read_target(error.to_string()))?;
    let Some(served) = served.filter(|served| served.namespaced) else { return Ok(None) };
    let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
    let found = cluster.in_namespace(namespace).manifest(&served, target_name(external)).await;
    let found = found.map_err(|error| Failure::read_target(error.to_string()))?;
    let own = found.filter(|object| target::controls(external, &object.metadata));
    Ok(own.map(|object| ManifestChange { served, write: ManifestWrite::Delete, object }))
}

#[cfg(test)]
mod tests;
