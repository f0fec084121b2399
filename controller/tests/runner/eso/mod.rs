//! What External Secrets Operator 2.9.0 was seen to do (`testdata/vectors/eso`), done by our controller on the same kind of
//! servers: every scenario, step by step.
//!
//! ```text
//!   scenario ──► Stage (API server, OpenBao, moto, webhook server) ◄── sealops-controller
//!                  │ watches
//!                World ──outcome::look──► ours ─┐
//!   NN-outcome.yaml ──Lists::expected──► theirs ┴─► equal, and still so after two seconds?
//! ```
//!
//! `departures.yaml` holds what differs on purpose, `pending.yaml` what is missing: a scenario there has to fail.

#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

mod exceptions;
pub mod http;
mod lists;
mod names;
mod offline;
mod outcome;
mod scenario;
mod stage;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use sealops_testenv::{eventually, stretched};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use self::lists::Lists;
use self::names::Names;
use self::outcome::Past;
use self::scenario::{Scenario, Step};
use self::stage::Stage;
use super::harness::{Controller, control_plane, run};

/// Scenarios at a time.
const AT_ONCE: usize = 48;
/// How long an outcome has to stay equal.
const REST: Duration = Duration::from_secs(2);
/// After this long without a change an outcome that differs is final.
const STUCK: Duration = Duration::from_secs(15);
/// An outcome that keeps changing is given up.
const STEP_LIMIT: Duration = Duration::from_secs(120);
/// Longest wait for the conditions of stores, which some never get.
const STORES: Duration = Duration::from_secs(5);
const SECOND: [&str; 4] = ["ExternalSecret", "PushSecret", "ClusterExternalSecret", "ClusterPushSecret"];
const STORE_KINDS: [&str; 2] = ["SecretStore", "ClusterSecretStore"];

#[test]
fn recorded_scenarios_end_as_recorded() {
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
        ensure!(scenarios.len() >= 200 || !wanted.is_empty(), "only {} scenarios", scenarios.len());
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        let lists = Lists::read()?;
        let stage = Stage::set_up(control_plane().await?).await?;
        let moto = stage.moto.url();
        let variables: Vec<(&str, &str)> = ["SECRETSMANAGER", "SSM", "STS"]
            .map(|service| match service {
                "SECRETSMANAGER" => ("AWS_SECRETSMANAGER_ENDPOINT", moto.as_str()),
                "SSM" => ("AWS_SSM_ENDPOINT", moto.as_str()),
                _ => ("AWS_STS_ENDPOINT", moto.as_str()),
            })
            .to_vec();
        let controller = Controller::start_with(&stage.plane, &[], &variables).await?;
        let result = all(&stage, &lists, scenarios).await;
        if let Ok(file) = std::env::var("SEALOPS_ESO_LOG") {
            std::fs::write(file, controller.log())?;
        }
        result
    });
}

/// What became of a scenario.
struct Ended {
    name: String,
    covers: Vec<String>,
    problems: Vec<String>,
    departures: Vec<usize>,
}

async fn all(stage: &Stage, lists: &Lists, scenarios: Vec<Scenario>) -> Result<()> {
    let play = async |(number, scenario): (usize, Scenario)| {
        let mut play = Play::new(stage, lists, &scenario, number);
        let result = play.run().await;
        let mut problems = std::mem::take(&mut play.problems);
        problems.extend(result.err().map(|error| format!("{error:#}")));
        let departures = std::mem::take(&mut play.departures);
        Ended { name: scenario.name, covers: scenario.options.covers, problems, departures }
    };
    let plays = futures::stream::iter(scenarios.into_iter().enumerate()).map(play);
    let mut ended: Vec<Ended> = plays.buffer_unordered(AT_ONCE).collect().await;
    ended.sort_by(|a, b| a.name.cmp(&b.name));
    judge(lists, &ended)
}

fn judge(lists: &Lists, ended: &[Ended]) -> Result<()> {
    let mut topics = BTreeMap::<&str, (usize, usize)>::new();
    for scenario in ended {
        for topic in &scenario.covers {
            let (passed, total) = topics.entry(topic).or_default();
            *passed += usize::from(scenario.problems.is_empty());
            *total += 1;
        }
    }
    for (topic, (passed, total)) in &topics {
        println!("{topic}: {passed} of {total}");
    }
    let passed = ended.iter().filter(|scenario| scenario.problems.is_empty());
    println!("{} of {} scenarios pass", passed.clone().count(), ended.len());
    let mut wrong = Vec::new();
    for scenario in ended {
        match (lists.pending.get(&scenario.name), scenario.problems.is_empty()) {
            (None, false) => wrong.push(format!("{}:\n  {}", scenario.name, scenario.problems.join("\n  "))),
            (Some(_), true) => wrong.push(format!("{} is pending, but passes", scenario.name)),
            (Some(reason), false) => println!("pending: {}: {reason}", scenario.name),
            (None, true) => {}
        }
    }
    let done: Vec<&str> = passed.map(|scenario| scenario.name.as_str()).collect();
    let used: Vec<usize> = ended.iter().flat_map(|scenario| scenario.departures.iter().copied()).collect();
    wrong.extend(lists.idle(&done, &used));
    ensure!(wrong.is_empty(), "{} scenarios are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// One scenario on its way.
struct Play<'a> {
    stage: &'a Stage,
    lists: &'a Lists,
    scenario: &'a Scenario,
    names: Names,
    namespaces: Vec<String>,
    past: Past,
    problems: Vec<String>,
    departures: Vec<usize>,
}

impl<'a> Play<'a> {
    fn new(stage: &'a Stage, lists: &'a Lists, scenario: &'a Scenario, number: usize) -> Self {
        let names = stage.names(&format!("zq{number:03}v"));
        let further = scenario.options.namespaces.keys().map(|name| names.fresh(name));
        let namespaces = std::iter::once(names.fresh.clone()).chain(further).collect();
        Self {
            stage,
            lists,
            scenario,
            names,
            namespaces,
            past: Past::default(),
            problems: Vec::new(),
            departures: Vec::new(),
        }
    }

    async fn run(&mut self) -> Result<()> {
        self.namespace(&self.names.fresh.clone(), &BTreeMap::new()).await?;
        for (name, labels) in &self.scenario.options.namespaces {
            self.namespace(&self.names.fresh(name), labels).await?;
        }
        for step in &self.scenario.steps {
            let rejected = self.inputs(step).await.with_context(|| format!("step {}", step.number))?;
            self.outcome(step, rejected).await?;
            if !self.problems.is_empty() {
                break;
            }
        }
        Ok(())
    }

    async fn namespace(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        let labels: BTreeMap<&String, String> =
            labels.iter().map(|(key, value)| (key, self.names.fresh(value))).collect();
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        self.stage.apply(&object, &self.names).await?.map_err(anyhow::Error::msg)?;
        Ok(())
    }

    /// Does what a step does; returns what the API server refused.
    async fn inputs(&mut self, step: &Step) -> Result<Map<String, Value>> {
        let mut rejected = Map::new();
        for (kind, entries) in &step.inputs {
            match kind.as_str() {
                "apply" => self.apply(entries, &mut rejected).await?,
                "patch" => {
                    for entry in entries {
                        self.stage.patch(entry, &self.names).await?.map_err(anyhow::Error::msg)?;
                    }
                }
                "delete" => {
                    for entry in entries {
                        let name = self.names.fresh(entry["name"].as_str().unwrap_or_default());
                        let namespace = entry["namespace"].as_str().unwrap_or("test");
                        let kind = entry["kind"].as_str().unwrap_or_default().to_owned();
                        self.past.inputs.remove(&(kind, self.names.fresh(namespace), name));
                        self.stage.delete(entry, &self.names).await?.map_err(anyhow::Error::msg)?;
                    }
                }
                provider => {
                    for entry in entries {
                        self.stage.provide(provider, entry, &self.names).await?;
                    }
                }
            }
        }
        Ok(rejected)
    }

    async fn apply(&mut self, entries: &[Value], rejected: &mut Map<String, Value>) -> Result<()> {
        let is_second = |object: &&Value| SECOND.contains(&object["kind"].as_str().unwrap_or_default());
        let (second, first): (Vec<&Value>, Vec<&Value>) = if self.scenario.options.in_order {
            (Vec::new(), entries.iter().collect())
        } else {
            entries.iter().partition(is_second)
        };
        for object in &first {
            self.apply_one(object, rejected).await?;
        }
        if !second.is_empty()
            && first.iter().any(|object| STORE_KINDS.contains(&object["kind"].as_str().unwrap_or_default()))
        {
            self.wait_for_stores(&first).await;
            sleep(Duration::from_millis(500)).await;
        }
        for object in second {
            self.apply_one(object, rejected).await?;
        }
        Ok(())
    }

    async fn apply_one(&mut self, object: &Value, rejected: &mut Map<String, Value>) -> Result<()> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let recorded = object["metadata"]["name"].as_str().unwrap_or_default();
        let version = object["apiVersion"].as_str().unwrap_or_default();
        match self.stage.apply(object, &self.names).await? {
            Ok(_) if matches!(kind, "Secret" | "ConfigMap") => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or("test");
                let input = (kind.to_owned(), self.names.fresh(namespace), self.names.fresh(recorded));
                self.past.inputs.insert(input);
            }
            Ok(_) => {}
            Err(message) => {
                let unserved = message.contains("could not find the requested resource")
                    || message.contains("404 page not found");
                let message = if unserved {
                    format!("no matches for kind \"{kind}\" in version \"{version}\"")
                } else {
                    self.names.recorded(&message)
                };
                rejected.insert(format!("{kind}/{recorded}"), json!(message));
            }
        }
        Ok(())
    }

    /// Waits until the stores have a condition. Those of a foreign class and those that were refused get none.
    async fn wait_for_stores(&self, objects: &[&Value]) {
        let stores: Vec<String> = objects
            .iter()
            .filter(|object| STORE_KINDS.contains(&object["kind"].as_str().unwrap_or_default()))
            .filter(|object| object["spec"]["controller"].as_str().unwrap_or_default().is_empty())
            .map(|object| self.names.fresh(object["metadata"]["name"].as_str().unwrap_or_default()))
            .collect();
        // What never comes is seen in the outcome.
        let _ = eventually("the stores have a condition", STORES, async || {
            let places = self.stage.world.look(&self.namespaces);
            let conditions =
                places.values().flat_map(|place| &place.objects).filter(|((kind, name), object)| {
                    STORE_KINDS.contains(kind)
                        && stores.contains(name)
                        && object.pointer("/status/conditions/0").is_some()
                });
            (conditions.count() >= stores.len()).then_some(())
        })
        .await;
    }

    async fn look(&mut self, rejected: &Map<String, Value>) -> Result<Value> {
        let places = self.stage.world.look(&self.namespaces);
        let options = &self.scenario.options;
        let mut seen = outcome::look(&places, &self.names, options, &mut self.past);
        if !rejected.is_empty() {
            seen["rejected"] = Value::Object(rejected.clone());
        }
        let observed = self.stage.observe(&options.observe, &self.names).await?;
        if observed.as_object().is_some_and(|observed| !observed.is_empty()) {
            seen["observed"] = observed;
        }
        Ok(seen)
    }

    /// Waits until the outcome is as recorded, and stays so.
    async fn outcome(&mut self, step: &Step, rejected: Map<String, Value>) -> Result<()> {
        let theirs = normal(&step.outcome);
        let theirs = self.lists.expected(&self.scenario.name, &step.number, &theirs, &mut self.departures);
        let rest = self.scenario.options.settle.map_or(REST, Duration::from_secs_f64).max(REST);
        let start = Instant::now();
        let (mut last, mut since) = (Value::Null, Instant::now());
        loop {
            let ours = normal(&self.look(&rejected).await?);
            if ours != last {
                (last, since) = (ours, Instant::now());
            }
            let differences = outcome::differences(&theirs, &last);
            if differences.is_empty() && since.elapsed() >= rest {
                return Ok(());
            }
            let stuck = since.elapsed() >= stretched(STUCK) || start.elapsed() >= stretched(STEP_LIMIT);
            if !differences.is_empty() && stuck {
                if let Some(folder) = std::env::var_os("SEALOPS_ESO_DUMP") {
                    let file = format!("{}-{}.json", self.scenario.name, step.number);
                    let text = json!({ "theirs": theirs, "ours": last }).to_string();
                    std::fs::write(Path::new(&folder).join(file), text)?;
                }
                self.problems =
                    differences.iter().map(|text| format!("step {}: {text}", step.number)).collect();
                return Ok(());
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Brings an outcome, theirs or ours, into one form: requests as objects, statuses without null.
fn normal(outcome: &Value) -> Value {
    let mut outcome = outcome.clone();
    if let Some(requests) = outcome.pointer_mut("/observed/webhook").and_then(Value::as_array_mut) {
        let parsed = requests.iter().map(|text| {
            text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| text.clone())
        });
        let mut parsed: Vec<Value> = parsed.collect();
        parsed.sort_by_key(Value::to_string);
        *requests = parsed;
    }
    if let Some(objects) = outcome.get_mut("objects") {
        strip_null(objects);
    }
    outcome
}

fn strip_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip_null);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_null),
        _ => {}
    }
}
