//! ExternalSecret → Secret, as External Secrets Operator 2.9 does it.
//!
//! ```text
//!   due? ──no, and the target is right──► NotDue
//!    │ yes
//!   data::fetch ──► store (resolve, open) or generator ──► values, rewrite ──► one map
//!    │
//!   nothing at all ──► deletion policy: Retained, Deleted
//!    │
//!   template::render or Content::copied ──► target::decide ──► Change ──► (committer) ──► report
//! ```

#[cfg(feature = "stores")]
mod batches;
#[cfg(feature = "stores")]
mod breaker;
pub mod children;
#[cfg(feature = "stores")]
mod connections;
mod credentials;
mod cron;
mod data;
mod direct;
mod failure;
mod generators;
mod gjson;
mod hash;
mod json;
mod ledger;
mod manifest;
pub mod notice;
pub mod push;
#[cfg(feature = "stores")]
mod reads;
mod refresh;
mod report;
mod rewrite;
mod selector;
mod store;
#[cfg(feature = "cluster")]
mod store_status;
mod target;
mod template;
#[cfg(test)]
mod test_world;
mod values;

#[cfg(feature = "stores")]
pub use breaker::Open;
#[cfg(feature = "stores")]
pub use connections::{CheckError, Checked, Connections, Observer};
pub use credentials::{Referenced, StoreEnvironment, Used};
pub(crate) use data::stores_of;
pub use direct::{DirectStores, connect_once};
pub use failure::Failure;
pub(crate) use generators::plural_of as generator_plural;
pub use generators::{Generated, GeneratorProblem, Generators, ObjectGenerators};
#[cfg(feature = "cluster")]
pub use generators::{clean_up, expires};
pub use hash::{content_hash, data_hash, object_version, owner_hash, text_hash, version_of};
pub use ledger::{Ledger, Left, Usage};
pub use manifest::{deleted as deleted_manifest, refusal, wanted as wanted_manifest};
pub(crate) use refresh::interval;
pub use refresh::{Due, due, go_duration};
pub use report::{Done, Report, Settled, report};
pub use selector::matches as labels_match;
pub use store::{
    Freshness, StoreHandle, StoreKey, StoreObject, StoreProblem, StoreRules, Stores, find_store, is_ours,
};
#[cfg(feature = "cluster")]
pub use store_status::{CIRCUIT_OPEN, Verdict, check_interval};
pub(crate) use target::creation_policy;
pub use target::{CREATED_BY, DATA_HASH, FINALIZER, MANAGED, field_manager, is_valid};

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::{CreationPolicy, DeletionPolicy};

use crate::object::{ClusterReader, ObjectKey, ObjectReader, SecretObject};
use crate::outcome::{Change, Event, ManifestChange, Outcome};
use crate::templates::TemplateOptions;
use target::Content;

/// Returns the name of the Secret to write.
pub fn target_name(external: &ExternalSecret) -> &str {
    let named = external
        .spec
        .target
        .as_ref()
        .and_then(|target| target.name.as_deref())
        .filter(|name| !name.is_empty());
    named.or(external.metadata.name.as_deref()).unwrap_or_default()
}

/// How objects are reconciled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What templates may use.
    pub templates: TemplateOptions,
    /// Whether Secrets may have types that are credentials of the cluster.
    pub allow_token_secrets: bool,
    /// Whether targets may be other objects than Secrets.
    pub generic_targets: bool,
}

/// What a reconcile reads beside its object.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Namespaces and their objects.
    pub cluster: &'a dyn ClusterReader,
    /// What opens stores.
    pub stores: &'a dyn Stores,
    /// Generators.
    pub generators: &'a dyn Generators,
    /// Where what generators leave behind is recorded; without, it is not.
    pub ledger: Option<&'a dyn Ledger>,
    /// The rules.
    pub options: Options,
}

/// What made somebody look at an object.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// Seconds since 1970.
    pub now: i64,
    /// Whether something that the object reads has changed.
    pub moved: bool,
    /// Secrets that carry the object's mark and are not its target.
    pub orphans: Vec<String>,
    /// The version of a target that is no Secret, as the last write left it.
    pub left: Option<String>,
}

/// A decision, and how it came about.
#[derive(Debug)]
pub struct Decision {
    /// What to write.
    pub outcome: Outcome,
    /// What to write where the target is no Secret.
    pub manifest: Option<ManifestChange>,
    /// What is true once it is written.
    pub settled: Settled,
    /// What is wrong although it is written.
    pub failed: Option<Failure>,
    /// What happened on the way.
    pub events: Vec<Event>,
    /// Whether the status names the target from now on.
    pub binds: bool,
}

impl Decision {
    fn nothing(settled: Settled, events: Vec<Event>) -> Self {
        Self { outcome: Outcome::nothing(), manifest: None, settled, failed: None, events, binds: false }
    }
}

/// Fetches if it is due, renders, and decides what to write.
///
/// Rendering may take seconds of processor time ([`crate::templates::MAX_TIME`]); see [`renders`].
///
/// # Errors
/// Returns why the Secret cannot be written.
pub async fn reconcile(
    external: &ExternalSecret,
    surroundings: &Surroundings<'_>,
    moment: &Moment,
) -> Result<Decision, Failure> {
    let key = ObjectKey::of(&external.metadata);
    let objects = surroundings.cluster.in_namespace(&key.namespace);
    if let Some(wanted) = manifest::wanted(external) {
        return manifest::reconcile(external, &wanted, surroundings, moment).await;
    }
    let existing = objects.secret(target_name(external)).await.map_err(|error| Failure::read(&error))?;
    let due = due(external, moment.now, moment.moved)?;
    if due != Due::Now && moment.orphans.is_empty() && is_right(external, existing.as_ref()) {
        let mut decision = Decision::nothing(Settled::NotDue, Vec::new());
        decision.outcome.again = due.wait();
        decision.outcome.kept = existing.filter(target::is_valid);
        return Ok(decision);
    }
    if is_foreign(external, surroundings).await {
        return Ok(Decision::nothing(Settled::Ignored, Vec::new()));
    }
    let mut decision = refresh(external, surroundings, objects.as_ref(), existing, moment).await?;
    decision.outcome.again = refresh::interval(external)?;
    Ok(decision)
}

/// Returns the decision about an object whose target is known to be as it was left; `None` where [`reconcile`] has to look.
pub fn rests(external: &ExternalSecret, moment: &Moment) -> Option<Decision> {
    if !moment.orphans.is_empty() || external.spec.target.as_ref().is_some_and(|it| it.manifest.is_some()) {
        return None;
    }
    let due = due(external, moment.now, moment.moved).ok().filter(|due| *due != Due::Now)?;
    let mut decision = Decision::nothing(Settled::NotDue, Vec::new());
    decision.outcome.again = due.wait();
    Some(decision)
}

/// Returns whether the object is left alone: it uses a store of another class, or a cluster store where those are off.
/// Any other problem with a store is a failure later.
async fn is_foreign(external: &ExternalSecret, surroundings: &Surroundings<'_>) -> bool {
    let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
    let rules = surroundings.stores.rules();
    for reference in data::stores_of(external) {
        let store = find_store(rules, reference, namespace, surroundings.cluster).await;
        if store.is_err_and(|problem| problem.is_foreign()) {
            return true;
        }
    }
    false
}

/// Returns whether the target is as the last refresh left it. Orphans are left to themselves until the next one.
fn is_right(external: &ExternalSecret, existing: Option<&SecretObject>) -> bool {
    let ready = external.status.as_ref().and_then(|status| {
        status.conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let was_left_out = ready.is_some_and(|ready| {
        let reason = ready.reason.as_deref().unwrap_or_default();
        matches!(reason, "SecretMissing" | "SecretDeleted")
            || ready.message.as_deref() == Some(report::RETAINED)
    });
    match (target::creation_policy(external), existing) {
        (CreationPolicy::Orphan | CreationPolicy::None, _) => true,
        (_, None) => was_left_out,
        (_, Some(secret)) => target::is_valid(secret),
    }
}

async fn refresh(
    external: &ExternalSecret,
    surroundings: &Surroundings<'_>,
    objects: &dyn ObjectReader,
    existing: Option<SecretObject>,
    moment: &Moment,
) -> Result<Decision, Failure> {
    let fetched = match data::fetch(external, surroundings, moment).await {
        Err(failure) if failure.is_foreign => return Ok(Decision::nothing(Settled::Ignored, Vec::new())),
        fetched => fetched?,
    };
    let events = fetched.events;
    let deletion = external.spec.target.as_ref().and_then(|target| target.deletion_policy.as_ref());
    if fetched.values.is_empty() && deletion != Some(&DeletionPolicy::Merge) {
        let result = left_with_nothing(external, existing, deletion == Some(&DeletionPolicy::Delete));
        return match result {
            Ok(decision) => Ok(Decision { events, ..decision }),
            Err(failure) => Err(Failure { events, ..failure }),
        };
    }
    match target::creation_policy(external) {
        CreationPolicy::None => return Ok(Decision::nothing(Settled::Synced, events)),
        CreationPolicy::Merge if existing.is_none() => {
            return Ok(Decision::nothing(Settled::Missing, events));
        }
        _ => {}
    }
    let exists = existing.is_some();
    let decided = write(external, surroundings, objects, existing, fetched.values).await;
    let (change, failed) =
        decided.map_err(|failure| Failure { events: events.clone(), bound: exists, ..failure })?;
    let mut changes: Vec<Change> = change.into_iter().collect();
    for name in moment.orphans.iter().filter(|_| failed.is_none()) {
        let orphan = objects.secret(name).await.map_err(|error| Failure::read(&error))?;
        changes.extend(orphan.filter(|orphan| is_orphan(external, orphan)).map(Change::Delete));
    }
    let outcome = Outcome { changes, again: None, kept: None };
    Ok(Decision { outcome, manifest: None, settled: Settled::Synced, failed, events, binds: true })
}

/// A former target: it carries our mark, and we own it.
fn is_orphan(external: &ExternalSecret, secret: &SecretObject) -> bool {
    let own = ObjectKey::of(&external.metadata);
    let marked = secret.metadata.labels().get(CREATED_BY) == Some(&owner_hash(&own.namespace, &own.name));
    let is_target = secret.metadata.name.as_deref() == Some(target_name(external));
    marked && !is_target && target::controls(external, &secret.metadata)
}

/// The stores have nothing at all: the target stays, or goes where that is asked for.
fn left_with_nothing(
    external: &ExternalSecret,
    existing: Option<SecretObject>,
    delete: bool,
) -> Result<Decision, Failure> {
    if !delete {
        return Ok(Decision::nothing(Settled::Retained, Vec::new()));
    }
    let policy = target::creation_policy(external);
    if policy != CreationPolicy::Owner {
        return Err(Failure::delete(target_name(external), policy.as_str()));
    }
    let mut decision = Decision::nothing(Settled::Deleted, Vec::new());
    decision.outcome.changes.extend(existing.map(Change::Delete));
    Ok(decision)
}

async fn write(
    external: &ExternalSecret,
    surroundings: &Surroundings<'_>,
    objects: &dyn ObjectReader,
    existing: Option<SecretObject>,
    values: std::collections::BTreeMap<String, sealops_formats::Plaintext>,
) -> Result<(Option<Change>, Option<Failure>), Failure> {
    let options = surroundings.options;
    let content = if target::is_frozen(external, existing.as_ref()) {
        None
    } else {
        Some(match template::gather(external, objects, template::Scope::Secret).await? {
            Some(gathered) => {
                template::render(external, gathered, values, options.templates, existing.is_some())?
            }
            None => Content::copied(external, values),
        })
    };
    let decided = target::decide(external, content, existing)?;
    if let (Some(Change::Create(secret)), _) = &decided
        && !options.allow_token_secrets
    {
        template::refuse_tokens(secret)?;
    }
    Ok(decided)
}

/// Decides what becomes of the target of an object that is being deleted: it goes where the deletion policy says so and
/// it is this object's.
///
/// # Errors
/// Returns that the target cannot be read.
pub async fn deleted(external: &ExternalSecret, cluster: &dyn ClusterReader) -> Result<Outcome, Failure> {
    let target = external.spec.target.as_ref();
    if target.and_then(|target| target.deletion_policy.as_ref()) != Some(&DeletionPolicy::Delete) {
        return Ok(Outcome::nothing());
    }
    let namespace = external.metadata.namespace.as_deref().unwrap_or_default();
    let secret = cluster.in_namespace(namespace).secret(target_name(external)).await;
    let secret = secret.map_err(|error| Failure::read(&error))?;
    let own = secret.filter(|secret| target::controls(external, &secret.metadata));
    Ok(own.map_or_else(Outcome::nothing, |secret| Outcome::one(Change::Delete(secret))))
}

/// Returns what is wrong with an object's template, or with what it refers to, before there are values.
pub(crate) async fn template_problem(
    external: &ExternalSecret,
    objects: &dyn ObjectReader,
    allow_token_secrets: bool,
) -> Option<Failure> {
    let is_secret = wanted_manifest(external).is_none();
    let scope = if is_secret { template::Scope::Secret } else { template::Scope::Manifest };
    match template::gather(external, objects, scope).await {
        Err(failure) => Some(failure),
        Ok(gathered) if !allow_token_secrets => gathered.and_then(|gathered| gathered.refused_type()),
        Ok(_) => None,
    }
}

/// Returns whether a target that is not there is created, and nothing else depends on whether it is.
pub fn only_creates(external: &ExternalSecret) -> bool {
    target::creation_policy(external) == CreationPolicy::Owner && !renders(external)
}

/// Returns whether an object has templates to render.
pub fn renders(external: &ExternalSecret) -> bool {
    let template = external.spec.target.as_ref().and_then(|target| target.template.as_ref());
    template.is_some_and(|template| !template.is_null())
        || external.spec.data_from.iter().any(|entry| !entry.rewrite.is_empty())
}
