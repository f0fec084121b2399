//! ExternalSecrets: their stores, each of their entries, then the whole.

use std::collections::BTreeMap;
use std::time::Duration;

use sealops_crds::external_secret::{DataEntry, DataFromEntry, StoreKind, StoreRef, Target};
use sealops_crds::{ClusterSecretStore, ExternalSecret};

use super::stores::State;
use super::{Finding, Run};
use crate::directory::load::Manifest;
use crate::directory::session::at_once;
use crate::external::{
    Failure, Settled, StoreKey, StoreProblem, Stores, find_store, interval, stores_of, template_problem,
};
use crate::object::{ClusterReader, ObjectKey};

/// Shortest interval that is not remarked upon.
const SHORT: Duration = Duration::from_secs(60);
/// What stands between the place of an entry and the reason in a reconciler's words.
const REASON: &str = ", err: ";

/// Returns what was found, and whether the stores were asked.
pub(super) async fn check(
    manifest: &Manifest,
    run: &Run<'_>,
    states: &BTreeMap<StoreKey, State>,
) -> (Vec<Finding>, bool) {
    let mut external: ExternalSecret = match run.session.read(manifest) {
        Ok(external) => external,
        Err(message) => return run.finished((vec![Finding::problem(manifest, "invalid", message)], true)),
    };
    external.status = None;
    let mut findings = shape(manifest, &external);
    let usable = usable(manifest, &external, run, states, &mut findings).await;
    let objects = run.session.reader.in_namespace(&ObjectKey::of(&external.metadata).namespace);
    let allowed = run.options.render.open.allow_token_secrets;
    if let Some(failure) = template_problem(&external, objects.as_ref(), allowed).await {
        findings.push(Finding::problem(manifest, "template", failure.cause));
        return run.finished((findings, usable == Usable::Yes));
    }
    if usable == Usable::Yes {
        findings.extend(fetched(manifest, &external, run).await);
    }
    run.finished((findings, usable != Usable::NotAsked))
}

/// What can be said without any other object.
fn shape(manifest: &Manifest, external: &ExternalSecret) -> Vec<Finding> {
    let spec = &external.spec;
    let mut findings = Vec::new();
    if spec.data.is_empty() && spec.data_from.is_empty() {
        findings.push(Finding::problem(manifest, "invalid", "either data or dataFrom should be specified"));
    }
    let mut seen: Vec<&str> = Vec::new();
    for entry in &spec.data {
        let key = entry.secret_key.as_str();
        if seen.contains(&key) {
            findings.push(Finding::problem(
                manifest,
                "duplicate-key",
                format!("the key {key} is in data twice"),
            ));
        }
        seen.push(key);
    }
    match interval(external) {
        Err(failure) => findings.push(Finding::problem(manifest, "interval", failure.cause)),
        Ok(None) if spec.refresh_interval.is_some() => {
            let text =
                "a refreshInterval of 0 fetches once and never again, not even after a change of the object";
            findings.push(Finding::note(manifest, "interval", text));
        }
        Ok(Some(wait)) if wait < SHORT => {
            let text = format!("it asks its stores every {} s", wait.as_secs());
            findings.push(Finding::note(manifest, "interval", text));
        }
        Ok(_) => {}
    }
    findings
}

/// Whether the stores of an object can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Usable {
    Yes,
    /// By choice not.
    NotAsked,
    /// That is a finding already.
    No,
}

/// Looks for the stores that an object names.
async fn usable(
    manifest: &Manifest,
    external: &ExternalSecret,
    run: &Run<'_>,
    states: &BTreeMap<StoreKey, State>,
    findings: &mut Vec<Finding>,
) -> Usable {
    let mut usable = Usable::Yes;
    let namespace = ObjectKey::of(&external.metadata).namespace;
    for reference in stores_of(external) {
        let rules = run.session.stores.rules();
        let found = match find_store(rules, reference, &namespace, &run.session.reader).await {
            Ok(store) => match states.get(&store.key) {
                Some(State::Broken) => Usable::No,
                Some(State::NotAsked) => Usable::NotAsked,
                Some(State::Answers) | None => Usable::Yes,
            },
            Err(problem) => {
                findings.extend(unusable(manifest, reference, &problem));
                Usable::No
            }
        };
        usable = usable.max(found);
    }
    usable
}

fn unusable(manifest: &Manifest, reference: &StoreRef, problem: &StoreProblem) -> Option<Finding> {
    let name = reference.name.as_deref().unwrap_or_default();
    match problem {
        StoreProblem::ForeignClass(_) | StoreProblem::ClusterStoresOff => None,
        StoreProblem::Missing { .. } if matches!(reference.kind, Some(StoreKind::ClusterSecretStore)) => {
            let text = format!(
                "its {} {name} is not in the folder; it has to be in the cluster, and nothing was asked of it",
                ClusterSecretStore::KIND
            );
            Some(Finding::note(manifest, "store-outside", text))
        }
        StoreProblem::Missing { .. } => {
            Some(Finding::problem(manifest, "store-missing", problem.to_string()))
        }
        _ => Some(Finding::problem(manifest, "store-refused", problem.to_string())),
    }
}

/// Fetches each entry by itself, so that each one that is wrong is named; then everything, as the controller would.
async fn fetched(manifest: &Manifest, external: &ExternalSecret, run: &Run<'_>) -> Vec<Finding> {
    let probes = probes(external, run.options.render.generators);
    let work: Vec<_> = probes
        .iter()
        .map(|(place, probe)| async move { entry(manifest, place, run.session.reconcile(probe).await) })
        .collect();
    let mut findings: Vec<Finding> = at_once(work).await.into_iter().flatten().collect();
    let entries = external.spec.data.len() + external.spec.data_from.len();
    if probes.len() < entries {
        let text = "its generators were not run, so what they make was not looked at";
        findings.push(Finding::note(manifest, "generator-not-run", text));
        return findings;
    }
    if findings.is_empty() {
        findings.extend(whole(manifest, run.session.reconcile(external).await));
    }
    findings
}

/// The object once for each entry: only this one, for a Secret that is not there, without a template.
fn probes(external: &ExternalSecret, generators: bool) -> Vec<(String, ExternalSecret)> {
    let mut base = external.clone();
    base.spec.data.clear();
    base.spec.data_from.clear();
    let name = external.metadata.name.as_deref().unwrap_or_default();
    base.spec.target = Some(Target { name: Some(format!("{name}.check")), ..Target::default() });
    let of_data = external.spec.data.iter().enumerate().map(|(index, entry): (usize, &DataEntry)| {
        let mut probe = base.clone();
        probe.spec.data.push(entry.clone());
        (format!("spec.data[{index}] (key: {})", entry.remote_ref.key), probe)
    });
    let runs = |entry: &DataFromEntry| {
        generators || entry.source_ref.as_ref().is_none_or(|source| source.generator_ref.is_none())
    };
    let sets = external.spec.data_from.iter().enumerate().filter(|(_, entry)| runs(entry));
    let of_sets = sets.map(|(index, entry)| {
        let mut probe = base.clone();
        probe.spec.data_from.push(entry.clone());
        (format!("spec.dataFrom[{index}]"), probe)
    });
    of_data.chain(of_sets).collect()
}

fn entry(
    manifest: &Manifest,
    place: &str,
    result: Result<crate::external::Decision, Failure>,
) -> Option<Finding> {
    match result {
        Ok(decision) if decision.settled == Settled::Retained => {
            let text = format!("{place}: nothing in the store matches");
            Some(Finding::note(manifest, "nothing-found", text))
        }
        Ok(_) => None,
        Err(failure) => {
            let reason =
                failure.cause.split_once(REASON).map_or(failure.cause.as_str(), |(_, reason)| reason);
            let text = format!("{place}: {reason}");
            Some(match &failure.provider {
                Some(kind) => Finding::of_provider(manifest, kind, text),
                None if failure.is_missing => Finding::problem(manifest, "value-missing", text),
                None => Finding::problem(manifest, "value", text),
            })
        }
    }
}

fn whole(manifest: &Manifest, result: Result<crate::external::Decision, Failure>) -> Option<Finding> {
    let failure = match result {
        Ok(decision) => decision.failed?,
        Err(failure) => failure,
    };
    let code = if failure.cause.contains("could not apply template") { "template" } else { "target" };
    Some(match &failure.provider {
        Some(kind) => Finding::of_provider(manifest, kind, failure.cause.clone()),
        None => Finding::problem(manifest, code, failure.cause),
    })
}
