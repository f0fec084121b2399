//! What is missing before a folder becomes Secrets: every problem of every object, never a value.
//!
//! ```text
//!   SealedSecrets ─► open ─┐ (their Secrets are credentials)
//!   stores ─────────────► do they answer? ─► ExternalSecrets: each entry, then the whole ─┐
//!                                            PushSecrets                                  ├─► Findings, in order
//!   targets, owners ──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Nothing is written, neither to a store nor to a folder; stores are only read.

mod external;
mod push;
mod sealed;
mod stores;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealops_crds::{ClusterSecretStore, ExternalSecret, PushSecret, SealedSecret, SecretStore};
use sealops_crypto::sealing::SealingKeyRing;
use sealops_providers::ProviderErrorKind;

use super::load::{Directory, Manifest};
use super::render::RenderOptions;
use super::session::{Session, at_once};
use crate::external::StoreKey;

/// How much a finding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something to know: it does not have to be wrong.
    Note,
    /// The object will not work as it stands.
    Problem,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// File and line.
    pub source: String,
    /// Kind, namespace and name.
    pub object: String,
    /// How much it says.
    pub severity: Severity,
    /// A word that scripts match, of a closed set: `store-missing`, `value-missing`, …
    pub code: &'static str,
    /// What, where and why, without a value.
    pub message: String,
    /// Whether a server did not answer as it should, so that another time may be better.
    pub is_unavailable: bool,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The findings, in the order of the files.
    pub findings: Vec<Finding>,
    /// Objects that were looked at, by kind.
    pub objects: BTreeMap<&'static str, usize>,
    /// Objects whose stores were not asked, by choice.
    pub not_asked: usize,
}

/// How a folder is checked.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// How it would be rendered.
    pub render: RenderOptions,
    /// Whether stores on a network are left alone without that being a finding.
    pub offline: bool,
}

/// Is told how many objects of how many are done.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

const KINDS: [(&str, &str); 5] = [
    (SealedSecret::GROUP, SealedSecret::KIND),
    (SecretStore::GROUP, SecretStore::KIND),
    (ClusterSecretStore::GROUP, ClusterSecretStore::KIND),
    (ExternalSecret::GROUP, ExternalSecret::KIND),
    (PushSecret::GROUP, PushSecret::KIND),
];

/// Looks at every object of a folder.
pub async fn check(
    directory: &Arc<Directory>,
    keys: &SealingKeyRing,
    options: &CheckOptions,
    progress: Progress<'_>,
) -> Checked {
    let session = Session::new(directory, &options.render);
    let manifests = directory.manifests();
    let mut objects = BTreeMap::new();
    for manifest in manifests {
        if let Some((_, kind)) = KINDS.iter().find(|(group, kind)| manifest.is(group, kind)) {
            *objects.entry(*kind).or_default() += 1;
        }
    }
    let total = objects.values().sum();
    let run = Run { session, keys, options, progress, done: AtomicUsize::new(0), total };
    let mut found: Vec<(usize, Vec<Finding>)> = Vec::new();
    for (index, manifest) in run.of_kind(manifests, SealedSecret::KIND) {
        found.push((index, run.finished(sealed::check(manifest, &run))));
    }
    let states = run.stores(manifests, &mut found).await;
    let (mut not_asked, mut work) = (0, Vec::new());
    for (index, manifest) in run.of_kind(manifests, ExternalSecret::KIND) {
        let states = &states;
        let run = &run;
        work.push(async move { (index, external::check(manifest, run, states).await) });
    }
    for (index, (findings, asked)) in at_once(work).await {
        not_asked += usize::from(!asked);
        found.push((index, findings));
    }
    for (index, manifest) in run.of_kind(manifests, PushSecret::KIND) {
        found.push((index, run.finished(push::check(manifest, &run, manifests))));
    }
    found.extend(targets::check(manifests, &run.session));
    found.sort_by_key(|(index, _)| *index);
    let findings = found.into_iter().flat_map(|(_, findings)| findings).collect();
    Checked { findings, objects, not_asked }
}

/// A check under way.
struct Run<'a> {
    session: Session<'a>,
    keys: &'a SealingKeyRing,
    options: &'a CheckOptions,
    progress: Progress<'a>,
    done: AtomicUsize,
    total: usize,
}

impl Run<'_> {
    fn of_kind<'m>(
        &self,
        manifests: &'m [Manifest],
        kind: &'static str,
    ) -> impl Iterator<Item = (usize, &'m Manifest)> + use<'m> {
        let group = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(group, _)| group);
        manifests.iter().enumerate().filter(move |(_, manifest)| manifest.is(group, kind))
    }

    fn finished<T>(&self, result: T) -> T {
        (self.progress)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total);
        result
    }

    /// Asks every store of the folder.
    async fn stores(
        &self,
        manifests: &[Manifest],
        found: &mut Vec<(usize, Vec<Finding>)>,
    ) -> BTreeMap<StoreKey, stores::State> {
        let kinds = [SecretStore::KIND, ClusterSecretStore::KIND];
        let work: Vec<_> =
            kinds
                .into_iter()
                .flat_map(|kind| self.of_kind(manifests, kind))
                .map(|(index, manifest)| async move {
                    (index, self.finished(stores::check(manifest, self).await))
                })
                .collect();
        let mut states = BTreeMap::new();
        for (index, (key, state, findings)) in at_once(work).await {
            states.extend(key.map(|key| (key, state)));
            found.push((index, findings));
        }
        states
    }
}

impl Finding {
    fn new(manifest: &Manifest, severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            source: manifest.source(),
            object: manifest.title(),
            severity,
            code,
            message: message.into(),
            is_unavailable: false,
        }
    }

    fn problem(manifest: &Manifest, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(manifest, Severity::Problem, code, message)
    }

    fn note(manifest: &Manifest, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(manifest, Severity::Note, code, message)
    }

    /// A problem that a provider has.
    fn of_provider(manifest: &Manifest, kind: &ProviderErrorKind, message: String) -> Self {
        let code = match kind {
            ProviderErrorKind::Forbidden(_) => "not-allowed",
            ProviderErrorKind::Unavailable(_) | ProviderErrorKind::Throttled(_) => "store-unavailable",
            ProviderErrorKind::Unauthenticated(_) | ProviderErrorKind::Denied(_) => "access-denied",
            ProviderErrorKind::NotBuilt | ProviderErrorKind::Unsupported(_) => "not-supported",
            ProviderErrorKind::NotFound => "value-missing",
            _ => "store-refused",
        };
        Self { is_unavailable: code == "store-unavailable", ..Self::problem(manifest, code, message) }
    }
}
