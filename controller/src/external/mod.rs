//! ExternalSecret → Secret, as External Secrets Operator 2.9 does it: the first slice.
//!
//! Here today: the stores of the fake provider, `data` and `dataFrom.extract`, templates, creation policy Owner, deletion
//! policy Retain, refresh by interval. Everything else is refused with a condition that names the field.

#[cfg(feature = "cluster")]
mod batches;
#[cfg(feature = "cluster")]
mod breaker;
pub mod children;
#[cfg(feature = "cluster")]
mod connections;
mod credentials;
mod data;
mod failure;
mod generators;
mod hash;
pub mod push;
#[cfg(feature = "cluster")]
mod reads;
mod refresh;
mod report;
mod selector;
mod store;
mod target;
mod template;

#[cfg(feature = "cluster")]
pub use breaker::Open;
#[cfg(feature = "cluster")]
pub use connections::{CheckError, Checked, Connections, Observer};
pub use credentials::{Referenced, StoreEnvironment, Used};
pub use failure::Failure;
pub use generators::{Generated, GeneratorProblem, Generators, ObjectGenerators};
pub use hash::{data_hash, object_version, owner_hash, version_of};
pub use refresh::{Due, due, go_duration};
pub use report::{Report, report};
pub use selector::matches as labels_match;
pub use store::{
    DirectStores, Freshness, StoreHandle, StoreKey, StoreObject, StoreProblem, StoreRules, Stores,
    connect_once, find_store, is_ours,
};
pub use target::{DATA_HASH, FINALIZER, MANAGED, field_manager};

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::CreationPolicy;

use crate::object::{ClusterReader, ObjectKey};
use crate::outcome::Outcome;
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

/// A decision, and how it came about.
#[derive(Debug)]
pub struct Decision {
    /// What to write.
    pub outcome: Outcome,
    /// What the provider answered.
    pub fetched: Fetched,
}

/// What was asked of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// Nothing: it is not due.
    NotDue,
    /// It had nothing at all; the Secret is left as it is.
    Empty,
    /// Values.
    Values,
}

/// Fetches if it is due, renders, and decides what to write. `now` is in seconds since 1970.
///
/// Rendering may take seconds of processor time ([`crate::templates::MAX_TIME`]); see [`renders`].
///
/// # Errors
/// Returns why the Secret cannot be written.
pub async fn reconcile(
    external: &ExternalSecret,
    reader: &dyn ClusterReader,
    stores: &dyn Stores,
    now: i64,
    templates: TemplateOptions,
) -> Result<Decision, Failure> {
    let key = ObjectKey::of(&external.metadata);
    supported(external)?;
    let objects = reader.in_namespace(&key.namespace);
    let existing = objects.secret(target_name(external)).await.map_err(|error| Failure::read(&error))?;
    let due = due(external, now)?;
    if due != Due::Now && existing.as_ref().is_some_and(target::is_valid) {
        let outcome = Outcome { again: due.wait(), ..Outcome::nothing() };
        return Ok(Decision { outcome, fetched: Fetched::NotDue });
    }
    let values = data::fetch(external, reader, stores, now).await?;
    let again = refresh::interval(external)?;
    if values.is_empty() {
        return Ok(Decision { outcome: Outcome { again, ..Outcome::nothing() }, fetched: Fetched::Empty });
    }
    let content = if target::is_frozen(external, existing.as_ref()) && renders(external) {
        Content::unchanged(existing.as_ref())
    } else {
        match template::gather(external, objects.as_ref()).await? {
            Some(gathered) => template::render(external, gathered, values, templates, existing.is_some())?,
            None => Content::copied(external, values),
        }
    };
    let changes = target::decide(external, content, existing)?.into_iter().collect();
    Ok(Decision { outcome: Outcome { changes, again, kept: None }, fetched: Fetched::Values })
}

/// Returns whether an object has templates to render.
pub fn renders(external: &ExternalSecret) -> bool {
    let template = external.spec.target.as_ref().and_then(|target| target.template.as_ref());
    template.is_some_and(|template| !template.is_null())
}

/// Refuses what this version does not do, by field.
fn supported(external: &ExternalSecret) -> Result<(), Failure> {
    let spec = &external.spec;
    let target = spec.target.clone().unwrap_or_default();
    let owner = target.creation_policy.as_ref().is_none_or(|policy| *policy == CreationPolicy::Owner);
    let retain = target.deletion_policy.as_ref().is_none_or(|policy| policy.as_str() == "Retain");
    for (is_used, field) in [
        (!owner, "spec.target.creationPolicy other than Owner"),
        (!retain, "spec.target.deletionPolicy other than Retain"),
        (target.manifest.is_some(), "spec.target.manifest"),
        (spec.sync_windows.is_some(), "spec.syncWindows"),
        (spec.data_from.iter().any(|entry| entry.find.is_some()), "spec.dataFrom[].find"),
        (spec.data_from.iter().any(|entry| !entry.rewrite.is_empty()), "spec.dataFrom[].rewrite"),
    ] {
        if is_used {
            return Err(Failure::unsupported(field));
        }
    }
    Ok(())
}
