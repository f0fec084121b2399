//! Stores as reconcilers use them: found by the rules, opened by whoever keeps connections.
//!
//! ```text
//!   StoreRef ──find──► StoreObject ──Stores::open──► StoreHandle { get, metadata, find, writer }
//!             class, conditions,      │
//!             ready                   ├─ DirectStores: a connection each time; offline (direct.rs)
//!                                     └─ cluster: one login for all users, shared reads, a breaker (connections.rs)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sealops_crds::external_secret::{StoreKind, StoreRef};
use sealops_crds::secret_store::{SecretStoreSpec, StoreCondition};
use sealops_crds::{ClusterSecretStore, ExternalSecret, Metadata, SecretStore, SecretStoreStatus};
use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, Dialect, Egress, Find, ProviderError, RemoteKey, RemoteSecret, SecretsWriter,
};

use super::refresh::{Due, due, interval};
use super::selector;
use crate::object::{ClusterReader, ReadError};

const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Which stores this process uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRules {
    /// Its class: stores of another class are left alone.
    pub class: String,
    /// Whether stores that are not ready are left alone, and their users fail without a call.
    pub flood_gate: bool,
    /// Whether ClusterSecretStores are used.
    pub cluster_stores: bool,
    /// Which addresses stores may be reached at.
    pub egress: Egress,
}

impl Default for StoreRules {
    fn default() -> Self {
        Self {
            class: "default".to_owned(),
            flood_gate: true,
            cluster_stores: true,
            egress: Egress::NoLinkLocal,
        }
    }
}

/// Names a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey {
    /// Namespace of a SecretStore; `None` for a ClusterSecretStore.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl StoreKey {
    /// Returns the kind.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_some() { SecretStore::KIND } else { ClusterSecretStore::KIND }
    }
}

/// A store of either kind.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreObject {
    /// Which one.
    pub key: StoreKey,
    /// Tells it from a successor of the same name.
    pub uid: String,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// Its settings.
    pub spec: SecretStoreSpec,
    /// What its status says about `Ready`; `None` where it says nothing.
    pub ready: Option<bool>,
}

impl StoreObject {
    fn new(
        key: StoreKey,
        metadata: &Metadata,
        spec: SecretStoreSpec,
        status: Option<&SecretStoreStatus>,
    ) -> Self {
        let conditions = status.into_iter().flat_map(|status| &status.conditions);
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        Self {
            key,
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            spec,
            ready: ready.map(|ready| ready.status == "True"),
        }
    }
}

impl From<SecretStore> for StoreObject {
    fn from(store: SecretStore) -> Self {
        let name = store.metadata.name.clone().unwrap_or_default();
        let namespace = Some(store.metadata.namespace.clone().unwrap_or_default());
        Self::new(StoreKey { namespace, name }, &store.metadata, store.spec, store.status.as_ref())
    }
}

impl From<ClusterSecretStore> for StoreObject {
    fn from(store: ClusterSecretStore) -> Self {
        let name = store.metadata.name.clone().unwrap_or_default();
        Self::new(StoreKey { namespace: None, name }, &store.metadata, store.spec, store.status.as_ref())
    }
}

/// Why a store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreProblem {
    /// It is for a controller of another class: nothing is to be said about its users.
    #[error("the store is for the controller class {0:?}")]
    ForeignClass(String),
    /// This process uses no ClusterSecretStores: nothing is to be said about its users.
    #[error("this controller uses no ClusterSecretStores")]
    ClusterStoresOff,
    /// There is none of that name.
    #[error("could not get {kind} \"{name}\", {kind}.external-secrets.io \"{name}\" not found")]
    Missing {
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
    },
    /// The kind is none of a store.
    #[error("the store kind {0:?} is not known")]
    UnknownKind(String),
    /// Its conditions do not admit the namespace.
    #[error(
        "using cluster store \"{store}\" is not allowed from namespace \"{namespace}\": denied by spec.condition"
    )]
    Denied {
        /// Name of the store.
        store: String,
        /// Namespace of the user.
        namespace: String,
    },
    /// Its conditions make no sense.
    #[error("{0}")]
    BadCondition(String),
    /// It is known not to work.
    #[error("{kind} \"{name}\" is not ready")]
    NotReady {
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
    },
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] ReadError),
}

impl StoreProblem {
    /// Returns whether the user of the store is none of this process's business.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::ForeignClass(_) | Self::ClusterStoresOff)
    }
}

/// Finds the store that an object in `user_namespace` names, by every rule that does not need the store itself.
///
/// # Errors
/// Returns why it cannot be used.
pub async fn find_store(
    rules: &StoreRules,
    reference: &StoreRef,
    user_namespace: &str,
    cluster: &dyn ClusterReader,
) -> Result<StoreObject, StoreProblem> {
    let name = reference.name.as_deref().unwrap_or_default();
    let store = match reference.kind.as_ref() {
        None | Some(StoreKind::SecretStore) => {
            cluster.in_namespace(user_namespace).secret_store(name).await?.map(StoreObject::from)
        }
        Some(StoreKind::ClusterSecretStore) if !rules.cluster_stores => {
            return Err(StoreProblem::ClusterStoresOff);
        }
        Some(StoreKind::ClusterSecretStore) => {
            cluster.cluster_secret_store(name).await?.map(StoreObject::from)
        }
        Some(StoreKind::Other(kind)) => return Err(StoreProblem::UnknownKind(kind.clone())),
    };
    let is_cluster = matches!(reference.kind, Some(StoreKind::ClusterSecretStore));
    let kind = if is_cluster { ClusterSecretStore::KIND } else { SecretStore::KIND };
    let store = store.ok_or_else(|| StoreProblem::Missing { kind, name: name.to_owned() })?;
    if !is_ours(rules, &store.spec) {
        return Err(StoreProblem::ForeignClass(store.spec.controller.unwrap_or_default()));
    }
    if is_cluster && !admits(&store.spec.conditions, user_namespace, cluster).await? {
        let namespace = user_namespace.to_owned();
        return Err(StoreProblem::Denied { store: name.to_owned(), namespace });
    }
    if rules.flood_gate && store.ready == Some(false) {
        return Err(StoreProblem::NotReady { kind, name: name.to_owned() });
    }
    Ok(store)
}

/// Returns whether a store is for this process: it names no class, or this one.
pub fn is_ours(rules: &StoreRules, spec: &SecretStoreSpec) -> bool {
    spec.controller.as_deref().is_none_or(|class| class.is_empty() || class == rules.class)
}

/// Judges the conditions of a cluster store: one of them has to match, unless there are none.
async fn admits(
    conditions: &[StoreCondition],
    namespace: &str,
    cluster: &dyn ClusterReader,
) -> Result<bool, StoreProblem> {
    if conditions.is_empty() {
        return Ok(true);
    }
    let mut labels = cluster.namespace_labels(namespace).await?.unwrap_or_default();
    labels.insert(NAMESPACE_NAME.to_owned(), namespace.to_owned());
    for condition in conditions {
        if matches_condition(condition, namespace, &labels).map_err(StoreProblem::BadCondition)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Expressions match anywhere in the name, as upstream's: `prod` admits `nonprod`.
fn matches_condition(
    condition: &StoreCondition,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Result<bool, String> {
    if let Some(selector) = &condition.namespace_selector
        && selector::matches(selector, labels)?
    {
        return Ok(true);
    }
    if condition.namespaces.iter().any(|name| name == namespace) {
        return Ok(true);
    }
    for pattern in &condition.namespace_regexes {
        let regex =
            GoRegex::new(pattern).map_err(|error| format!("failed to compile regex {pattern}: {error}"))?;
        if regex.is_match(namespace.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How old a value may be that was fetched for another object, or for an earlier attempt of the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Longest age. Zero asks the store: only a read that begins later counts.
    pub max_age: Duration,
}

/// Share of a user's interval for which a value is good: less than all of it, so that nobody refreshes from its own
/// last read.
const SHARE: f64 = 0.9;
/// Longest age for an object that never fetched, or that has no interval.
const FIRST_MAX_AGE: Duration = Duration::from_secs(300);

impl Freshness {
    /// Asks the store.
    pub const NOW: Self = Self { max_age: Duration::ZERO };

    /// Returns what an object may be given at `now`, in seconds since 1970. A changed object (its spec, a label, an
    /// annotation such as `force-sync`) asks the store; one that only repairs its target or is due by its interval
    /// shares reads.
    pub fn of(external: &ExternalSecret, now: i64) -> Self {
        let status = external.status.as_ref();
        let synced = status.and_then(|status| status.synced_resource_version.as_deref());
        let synced = synced.filter(|version| !version.is_empty());
        if synced.is_some_and(|version| version != super::object_version(external)) {
            return Self::NOW;
        }
        let interval = interval(external).ok().flatten();
        let share = interval.map_or(FIRST_MAX_AGE, |interval| interval.mul_f64(SHARE));
        let is_first = synced.is_none() || matches!(due(external, now, false), Ok(Due::OnChange));
        Self { max_age: if is_first { share.min(FIRST_MAX_AGE) } else { share } }
    }
}

/// An open store. Reads may be shared with other users of the store.
pub trait StoreHandle: Send + Sync {
    /// Returns how upstream looks into values of this provider; `None` where the store cannot be read.
    fn dialect(&self) -> Option<Dialect>;

    /// Returns how many values are best asked for at the same time.
    fn batch_size(&self) -> usize {
        1
    }

    /// Returns one value. The property is passed on where the provider asks for it, else it is the caller's to apply.
    fn get<'a>(
        &'a self,
        remote: &'a RemoteKey,
        property: Option<&'a str>,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<RemoteSecret>, ProviderError>>;

    /// Returns what the store knows about a value, as JSON.
    fn metadata<'a>(
        &'a self,
        remote: &'a RemoteKey,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<Plaintext>, ProviderError>>;

    /// Returns every value that matches, by its name.
    fn find<'a>(
        &'a self,
        find: &'a Find,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<BTreeMap<String, RemoteSecret>>, ProviderError>>;

    /// Returns what writes; `None` where the store cannot be written.
    fn writer(&self) -> Option<&dyn SecretsWriter>;
}

/// Opens stores.
pub trait Stores: Send + Sync {
    /// Returns which stores are used.
    fn rules(&self) -> &StoreRules;

    /// Opens a store for a user in a namespace.
    fn open<'a>(
        &'a self,
        store: &'a StoreObject,
        user_namespace: &'a str,
        cluster: &'a dyn ClusterReader,
    ) -> BoxFuture<'a, Result<Arc<dyn StoreHandle>, ProviderError>>;
}

#[cfg(test)]
mod tests;
