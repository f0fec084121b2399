//! What differs on purpose, and what is not there yet.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Most kinds of reasons for departures.
const MAX_REASONS: usize = 10;

/// The two lists.
pub struct Lists {
    pub departures: Departures,
    /// Scenario and what it waits for.
    pub pending: BTreeMap<String, String>,
}

/// Intended differences.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departures {
    pub reasons: BTreeMap<String, String>,
    pub departures: Vec<Departure>,
}

/// One intended difference.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departure {
    pub scenario: String,
    pub reason: String,
    /// The steps that it is about; all of them otherwise.
    #[serde(default)]
    pub steps: Vec<String>,
    /// An event of the record that does not come, or comes as `ours` says.
    #[serde(default)]
    pub event: Option<String>,
    /// A place in the outcome (a JSON pointer) that is as `ours` says; null is not there.
    #[serde(default)]
    pub at: Option<String>,
    #[serde(default)]
    pub ours: Value,
}

impl Lists {
    pub fn read() -> Result<Self> {
        let departures: Departures =
            serde_saphyr::from_str(include_str!("departures.yaml")).context("departures.yaml")?;
        let pending: Option<BTreeMap<String, String>> =
            serde_saphyr::from_str(include_str!("pending.yaml")).context("pending.yaml")?;
        let reasons = &departures.reasons;
        ensure!(reasons.len() <= MAX_REASONS, "more than {MAX_REASONS} kinds of reasons");
        for departure in &departures.departures {
            ensure!(reasons.contains_key(&departure.reason), "{}: unknown reason", departure.scenario);
        }
        for reason in reasons.keys() {
            let used = departures.departures.iter().any(|departure| departure.reason == *reason);
            ensure!(used, "no departure has the reason {reason}");
        }
        Ok(Self { departures, pending: pending.unwrap_or_default() })
    }

    /// Puts our side of the intended differences into a recorded outcome. Adds to `used` which of them it had.
    pub fn expected(&self, scenario: &str, step: &str, recorded: &Value, used: &mut Vec<usize>) -> Value {
        let mut expected = recorded.clone();
        for (index, departure) in self.departures.departures.iter().enumerate() {
            let steps = &departure.steps;
            if departure.scenario != scenario || !(steps.is_empty() || steps.iter().any(|own| own == step)) {
                continue;
            }
            let before = expected.clone();
            departure.put(&mut expected);
            if expected != before {
                used.push(index);
            }
        }
        expected
    }

    /// Returns the departures of these scenarios that nothing needed.
    pub fn idle(&self, scenarios: &[&str], used: &[usize]) -> Vec<String> {
        let all = self.departures.departures.iter().enumerate();
        all.filter(|(index, departure)| {
            scenarios.contains(&departure.scenario.as_str()) && !used.contains(index)
        })
        .map(|(_, departure)| {
            format!("{}: {:?} {:?} changes nothing", departure.scenario, departure.event, departure.at)
        })
        .collect()
    }
}

impl Departure {
    fn put(&self, outcome: &mut Value) {
        if let Some(event) = &self.event {
            let Some(events) = outcome["events"].as_array_mut() else { return };
            let before = events.len();
            events.retain(|line| line != event.as_str());
            if events.len() < before && !self.ours.is_null() && !events.contains(&self.ours) {
                events.push(self.ours.clone());
            }
            return;
        }
        let Some((parent, last)) = self.at.as_deref().and_then(|at| at.rsplit_once('/')) else {
            // Neither an event of theirs nor a place: an event of ours.
            if let Some(events) = outcome["events"].as_array_mut()
                && !events.contains(&self.ours)
            {
                events.push(self.ours.clone());
            }
            return;
        };
        let key = last.replace("~1", "/");
        match outcome.pointer_mut(parent) {
            Some(Value::Object(fields)) if self.ours.is_null() => {
                fields.remove(&key);
                if fields.is_empty() && parent == "/secrets" {
                    *outcome.pointer_mut(parent).expect("it was just there") = Value::Null;
                }
            }
            Some(Value::Object(fields)) => drop(fields.insert(key, self.ours.clone())),
            Some(Value::Array(items)) => {
                if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    *item = self.ours.clone();
                }
            }
            _ => {}
        }
    }
}
