//! The first step of each recorded scenario as a folder: the same Secrets as the controller leaves in a cluster, the same
//! objects that fail, and the same words for why.
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
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
/// Fewest scenarios that have to be equal.
const FEWEST: usize = 180;
/// What a folder does not have: owners need a uid, and nobody writes.
const CLUSTER_ONLY: [&str; 2] = ["ownerReferences", "managers"];

/// What a folder cannot have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    reasons: BTreeMap<String, String>,
    scenarios: BTreeMap<String, String>,
}

impl Exceptions {
    fn read() -> Result<Self> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runner/eso/offline.yaml");
        let read: Self = serde_saphyr::from_str(&std::fs::read_to_string(path)?).context("offline.yaml")?;
        for (scenario, reason) in &read.scenarios {
            ensure!(read.reasons.contains_key(reason), "{scenario}: the reason {reason} is not known");
        }
        for reason in read.reasons.keys() {
            ensure!(
                read.scenarios.values().any(|used| used == reason),
                "no scenario has the reason {reason}"
            );
        }
        Ok(read)
    }
}

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
        judge(&exceptions, &ended, wanted.is_empty())
    });
}

fn judge(exceptions: &Exceptions, ended: &[(String, Vec<String>)], is_whole: bool) -> Result<()> {
    let equal = ended.iter().filter(|(_, differences)| differences.is_empty()).count();
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    for (name, differences) in ended {
        match (exceptions.scenarios.get(name), differences.is_empty()) {
            (None, false) => wrong.push(format!("{name}:\n  {}", differences.join("\n  "))),
            (Some(reason), true) => wrong.push(format!("{name} is an exception ({reason}), but equal")),
            (Some(reason), false) => *counts.entry(reason).or_default() += 1,
            (None, true) => {}
        }
    }
    println!("{equal} of {} scenarios render from a folder as recorded", ended.len());
    for (reason, count) in counts {
        println!("not from a folder: {count}: {reason}: {}", exceptions.reasons[reason]);
    }
    ensure!(wrong.is_empty(), "{} scenarios are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(equal >= FEWEST || !is_whole, "only {equal} scenarios are equal");
    Ok(())
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
        let step = &self.scenario.steps[0];
        let expected = self.lists.expected(&self.scenario.name, &step.number, &step.outcome, &mut Vec::new());
        let (directory, externals) = self.directory(step, &expected).await?;
        ensure!(!externals.is_empty(), "its first step has no ExternalSecret");
        let random = TemplateOptions { allow_random_functions: true };
        let options = RenderOptions {
            default_namespace: Some(self.names.fresh.clone()),
            open: OpenOptions { templates: random, ..OpenOptions::default() },
            environment: StoreEnvironment { network: true, ..StoreEnvironment::default() },
            generators: true,
            now: jiff::Timestamp::now().as_second(),
            deadline: Some(DEADLINE),
        };
        let rendered = render(&Arc::new(directory), &SealingKeyRing::new([]), &options).await;
        let mut differences = self.secrets(&expected, &rendered, &externals)?;
        for external in &externals {
            differences.extend(self.external(external, &expected, &rendered));
        }
        Ok(differences)
    }

    /// Sets up the providers' side and puts the objects into a folder; returns also the ExternalSecrets.
    async fn directory(&self, step: &Step, expected: &Value) -> Result<(Directory, BTreeSet<String>)> {
        let mut directory = Directory::default();
        let mut externals = BTreeSet::new();
        self.namespaces(&mut directory).await?;
        for (kind, entries) in &step.inputs {
            match kind.as_str() {
                "apply" => {
                    for object in entries {
                        let kind = object["kind"].as_str().unwrap_or_default();
                        let recorded = object["metadata"]["name"].as_str().unwrap_or_default();
                        if expected["rejected"].get(format!("{kind}/{recorded}")).is_some() {
                            continue;
                        }
                        let filled = self.cluster_side(kind, object).await?;
                        let shown = match object["metadata"]["namespace"].as_str() {
                            None | Some("test") => recorded.to_owned(),
                            Some(namespace) => format!("{namespace}/{recorded}"),
                        };
                        if kind == "ExternalSecret" {
                            externals.insert(shown.clone());
                        }
                        put(&mut directory, &format!("{kind}|{shown}"), &filled)?;
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
        Ok((directory, externals))
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

    /// The Kubernetes stores of the record read the scenario's own cluster: what they need is there too.
    async fn cluster_side(&self, kind: &str, object: &Value) -> Result<Value> {
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
            let namespace = metadata.namespace.clone().unwrap_or_default();
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
        let is_own = |source: &str| source.rsplit_once(':').is_some_and(|(own, _)| own == file);
        let problem = rendered.problems.iter().find(|problem| is_own(&problem.source));
        let condition = &expected["objects"][format!("ExternalSecret/{name}")]["status"]["conditions"][0];
        match (condition["status"].as_str(), problem) {
            (Some("False"), Some(problem)) => {
                let text = self.names.recorded(&problem.message);
                let text = outcome::replaced(&text, &self.scenario.options);
                let line = format!("ExternalSecret/{name} Warning UpdateFailed {text}");
                let events = expected["events"].as_array().into_iter().flatten();
                let prefix = format!("ExternalSecret/{name} Warning UpdateFailed");
                let theirs: Vec<&str> =
                    events.filter_map(Value::as_str).filter(|event| event.starts_with(&prefix)).collect();
                (!theirs.contains(&line.as_str())).then(|| {
                    format!("{name}: other words:\n      recorded {theirs:?}\n      here     {line}")
                })
            }
            (Some("False"), None) => Some(format!("{name} fails in the record, and not here")),
            (_, Some(problem)) => Some(format!("{name} fails only here: {}", problem.message)),
            (_, None) => None,
        }
    }
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
