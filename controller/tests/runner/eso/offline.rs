//! Each recorded scenario up to its first step with an ExternalSecret as a folder: the same Secrets as the controller leaves
//! in a cluster, the same objects that fail, and the same words for why.
//!
//! ```text
//!   NN-apply.yaml ──► Directory ──render──► Secrets, problems ─┐
//!   NN-outcome.yaml ──Lists::expected──► secrets, conditions, ─┴─► equal?
//!                                        UpdateFailed events
//! ```
//!
//! `offline.yaml` names the scenarios that a folder cannot have, with reasons; one that is equal may not be listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use sealops_controller::directory::{Directory, RenderOptions, Rendered, render};
use sealops_controller::external::{StoreEnvironment, field_manager};
use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use sealops_crypto::sealing::SealingKeyRing;
use sealops_formats::Plaintext;
use serde_json::{Map, Value, json};

use super::exceptions::Exceptions;
use super::lists::Lists;
use super::names::Names;
use super::outcome::{self, Past};
use super::scenario::{Scenario, Step};
use super::stage::Stage;
use super::world::Place;
use super::{control_plane, run};

/// Scenarios at a time.
const AT_ONCE: usize = 16;
/// Time for one folder.
const DEADLINE: Duration = Duration::from_secs(300);
/// Services of AWS, by the variables that replace their addresses.
const AWS: [&str; 3] = ["AWS_SECRETSMANAGER_ENDPOINT", "AWS_SSM_ENDPOINT", "AWS_STS_ENDPOINT"];
/// What a folder does not have: owners need a uid, and nobody writes.
const CLUSTER_ONLY: [&str; 2] = ["ownerReferences", "managers"];

#[test]
fn recorded_scenarios_render_from_a_folder_as_recorded() {
    run(async {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/vectors/eso"));
        let wanted = std::env::var("SEALOPS_ESO_SCENARIOS").unwrap_or_default();
        let mut scenarios = Vec::new();
        for entry in std::fs::read_dir(root)? {
            let path = entry?.path();
            if path.is_dir() && path.to_string_lossy().contains(&wanted) {
                scenarios.push(Scenario::read(&path)?);
            }
        }
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        let lists = Lists::read()?;
        let exceptions = Exceptions::read()?;
        let stage = Stage::set_up(control_plane().await?).await?;
        let play = async |(number, scenario): (usize, Scenario)| {
            let names = stage.names(&format!("zf{number:03}v"));
            let played = Folder { stage: &stage, lists: &lists, scenario: &scenario, names }.play().await;
            let differences = played.unwrap_or_else(|error| vec![format!("{error:#}")]);
            (scenario.name, differences)
        };
        let plays = futures::stream::iter(scenarios.into_iter().enumerate()).map(play);
        let mut ended: Vec<(String, Vec<String>)> = plays.buffer_unordered(AT_ONCE).collect().await;
        ended.sort();
        exceptions.judge(&ended, wanted.is_empty())
    });
}

/// A scenario as a folder.
struct Folder<'a> {
    stage: &'a Stage,
    lists: &'a Lists,
    scenario: &'a Scenario,
    names: Names,
}

impl Folder<'_> {
    async fn play(&self) -> Result<Vec<String>> {
        let position = self.scenario.steps.iter().position(has_external).unwrap_or_default();
        let step = &self.scenario.steps[position];
        let expected = self.lists.expected(&self.scenario.name, &step.number, &step.outcome, &mut Vec::new());
        let mut directory = Directory::default();
        let mut externals = BTreeSet::new();
        self.namespaces(&mut directory).await?;
        for step in &self.scenario.steps[..=position] {
            externals.extend(self.add(step, &mut directory).await?);
        }
        let random = TemplateOptions { allow_random_functions: true };
        let options = RenderOptions {
            default_namespace: Some(self.names.fresh.clone()),
            open: OpenOptions { templates: random, ..OpenOptions::default() },
            environment: self.environment(),
            generators: true,
            now: jiff::Timestamp::now().as_second(),
            deadline: Some(DEADLINE),
        };
        let rendered = render(&Arc::new(directory), &SealingKeyRing::new([]), &options).await;
        if externals.is_empty() {
            ensure!(rendered.secrets.is_empty(), "Secrets come out of nothing");
            ensure!(rendered.problems.is_empty(), "there are problems with nothing: {:?}", rendered.problems);
            return Ok(vec!["it has no ExternalSecret".to_owned()]);
        }
        let mut differences = self.secrets(&expected, &rendered, &externals)?;
        for external in &externals {
            differences.extend(self.external(external, &expected, &rendered));
        }
        Ok(differences)
    }

    /// The network is allowed, and AWS is the server that the stage has for it.
    fn environment(&self) -> StoreEnvironment {
        let addresses = AWS.map(|variable| (variable.to_owned(), self.stage.moto.url()));
        StoreEnvironment { network: true, addresses: addresses.into(), ..StoreEnvironment::default() }
    }

    /// Sets up the providers' side of a step and puts its objects into the folder; returns the ExternalSecrets.
    async fn add(&self, step: &Step, directory: &mut Directory) -> Result<BTreeSet<String>> {
        let mut externals = BTreeSet::new();
        for (kind, entries) in &step.inputs {
            match kind.as_str() {
                "apply" => {
                    for object in entries {
                        if is_rejected(step, object) {
                            continue;
                        }
                        let kind = object["kind"].as_str().unwrap_or_default();
                        let recorded = object["metadata"]["name"].as_str().unwrap_or_default();
                        let filled = self.cluster_side(kind, object).await?;
                        let shown = match object["metadata"]["namespace"].as_str() {
                            None | Some("test") => recorded.to_owned(),
                            Some(namespace) => format!("{namespace}/{recorded}"),
                        };
                        if kind == "ExternalSecret" {
                            externals.insert(shown.clone());
                        }
                        put(directory, &format!("{kind}|{shown}"), &filled)?;
                    }
                }
                "patch" | "delete" => {}
                provider => {
                    for entry in entries {
                        self.stage.provide(provider, entry, &self.names).await?;
                    }
                }
            }
        }
        Ok(externals)
    }

    async fn namespaces(&self, directory: &mut Directory) -> Result<()> {
        let own: (String, BTreeMap<String, String>) = (self.names.fresh.clone(), BTreeMap::new());
        let further = self.scenario.options.namespaces.iter().map(|(name, labels)| {
            let labels = labels.iter().map(|(key, value)| (key.clone(), self.names.fresh(value)));
            (self.names.fresh(name), labels.collect())
        });
        for (name, labels) in std::iter::once(own).chain(further) {
            let metadata = json!({ "name": name, "labels": labels });
            let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata });
            self.stage.apply(&object, &self.names).await?.map_err(anyhow::Error::msg)?;
            put(directory, "Namespace", &object)?;
        }
        Ok(())
    }

    /// The Kubernetes stores of the record read the scenario's own cluster: what they need is there too, and so is the owner
    /// that others name by its uid.
    async fn cluster_side(&self, kind: &str, object: &Value) -> Result<Value> {
        if kind == "UUID" {
            self.stage.apply(object, &self.names).await?.map_err(anyhow::Error::msg)?;
        }
        let is_read = matches!(
            kind,
            "Secret" | "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding"
        );
        if is_read && self.scenario.options.covers.iter().any(|topic| topic == "kubernetes") {
            self.stage.apply(object, &self.names).await?.map_err(anyhow::Error::msg)?;
        }
        self.stage.filled(object, &self.names).await
    }

    /// Compares the Secrets, in the form of the record.
    fn secrets(
        &self,
        expected: &Value,
        rendered: &Rendered,
        externals: &BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for secret in &rendered.secrets {
            let metadata = &secret.secret.metadata;
            let namespace = metadata.namespace.clone().context("a Secret without a namespace")?;
            let name = metadata.name.clone().unwrap_or_default();
            let mut object: Value = serde_json::from_slice(secret.secret.to_json().expose())?;
            object["metadata"]["managedFields"] = json!([{ "manager": field_manager(&name) }]);
            places.entry(namespace).or_default().objects.insert(("Secret", name), Arc::new(object));
        }
        // Their names are in hashes.
        for external in externals {
            let (namespace, name) = match external.split_once('/') {
                Some((namespace, name)) => (self.names.fresh(namespace), name),
                None => (self.names.fresh.clone(), external.as_str()),
            };
            let key = ("ExternalSecret", self.names.fresh(name));
            places.entry(namespace).or_default().objects.insert(key, Arc::new(json!({ "metadata": {} })));
        }
        let seen = outcome::look(&places, &self.names, &self.scenario.options, &mut Past::default());
        Ok(outcome::differences(&of_a_folder(&expected["secrets"]), &of_a_folder(&seen["secrets"])))
    }

    /// Compares whether an object fails, and why.
    fn external(&self, name: &str, expected: &Value, rendered: &Rendered) -> Option<String> {
        let file = format!("ExternalSecret|{name}");
        // A line follows the file's name, unless it is not known.
        let is_own = |source: &str| {
            source.strip_prefix(&file).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let problem = rendered.problems.iter().find(|problem| is_own(&problem.source));
        let condition = &expected["objects"][format!("ExternalSecret/{name}")]["status"]["conditions"][0];
        match (condition["status"].as_str(), problem) {
            (Some("False"), Some(problem)) => {
                let text = self.names.recorded(&problem.message);
                let text = outcome::replaced(&text, &self.scenario.options);
                let line = format!("ExternalSecret/{name} Warning UpdateFailed {text}");
                let events = expected["events"].as_array().into_iter().flatten();
                let events: Vec<&str> = events.filter_map(Value::as_str).collect();
                let prefix = format!("ExternalSecret/{name} Warning UpdateFailed");
                let theirs: Vec<&str> =
                    events.iter().copied().filter(|event| event.starts_with(&prefix)).collect();
                let is_same = theirs.iter().any(|event| *event == line || names_cause(event, &line, &events));
                (!is_same).then(|| {
                    format!("{name}: other words:\n      recorded {theirs:?}\n      here     {line}")
                })
            }
            (Some("False"), None) => Some(format!("{name} fails in the record, and not here")),
            (_, Some(problem)) => Some(format!("{name} fails only here: {}", problem.message)),
            (_, None) => None,
        }
    }
}

fn has_external(step: &Step) -> bool {
    let applied = step.inputs.iter().filter(|(kind, _)| kind == "apply").flat_map(|(_, objects)| objects);
    applied.into_iter().any(|object| object["kind"] == "ExternalSecret" && !is_rejected(step, object))
}

/// Whether the API server refused an object of the record.
fn is_rejected(step: &Step, object: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]));
    step.outcome["rejected"].get(key).is_some()
}

/// Whether a folder says why a store is not ready, where an ExternalSecret of a cluster says only that it is not: the cause is
/// in an event of the store there.
fn names_cause(theirs: &str, here: &str, events: &[&str]) -> bool {
    let Some((place, store)) = theirs.rsplit_once(", err: ") else { return false };
    let Some((kind, name)) = store.strip_suffix("\" is not ready").and_then(|store| store.split_once(" \""))
    else {
        return false;
    };
    let prefix = format!("{kind}/{name} Warning InvalidProviderConfig ");
    let mut causes = events.iter().filter_map(|event| event.strip_prefix(&prefix));
    let Some(cause) = here.strip_prefix(&format!("{place}, err: ")) else { return false };
    // What was read of the cluster is named by the same words; what it was read for is not.
    let root = cause.find("cannot ").map(|start| &cause[start..]);
    causes.any(|theirs| cause.ends_with(theirs) || root.is_some_and(|root| theirs.ends_with(root)))
}

fn put(directory: &mut Directory, file: &str, object: &Value) -> Result<()> {
    directory.add(Path::new(file), &Plaintext::from(object.to_string()))?;
    Ok(())
}

/// The Secrets of an outcome without what only a cluster has.
fn of_a_folder(secrets: &Value) -> Value {
    let fields = secrets.as_object().cloned().unwrap_or_default();
    let kept = fields.into_iter().filter(|(_, secret)| *secret != "absent").map(|(name, mut secret)| {
        if let Some(fields) = secret.as_object_mut() {
            fields.retain(|field, _| !CLUSTER_ONLY.contains(&field.as_str()));
        }
        (name, secret)
    });
    Value::Object(kept.collect::<Map<_, _>>())
}
