//! The scenarios that a folder cannot have (`offline.yaml`).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Fewest scenarios that have to be equal.
const FEWEST: usize = 210;

/// What a folder cannot have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    reasons: BTreeMap<String, Reason>,
    scenarios: BTreeMap<String, String>,
}

/// Why a folder cannot have something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    why: String,
    /// Each difference has to hold one of these texts, so that the exception hides no other.
    differences: Vec<String>,
}

impl Exceptions {
    /// Reads the list.
    pub fn read() -> Result<Self> {
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

    /// Compares the list with the differences of each scenario.
    pub fn judge(&self, ended: &[(String, Vec<String>)], is_whole: bool) -> Result<()> {
        let equal = ended.iter().filter(|(_, differences)| differences.is_empty()).count();
        let mut counts = BTreeMap::<&str, usize>::new();
        let mut wrong = Vec::new();
        for (name, differences) in ended {
            match (self.scenarios.get(name), differences.is_empty()) {
                (None, false) => wrong.push(format!("{name}:\n  {}", differences.join("\n  "))),
                (Some(reason), true) => wrong.push(format!("{name} is an exception ({reason}), but equal")),
                (Some(reason), false) => {
                    let known = &self.reasons[reason].differences;
                    let is_known = |text: &&String| known.iter().any(|part| text.contains(part.as_str()));
                    let others: Vec<&str> =
                        differences.iter().filter(|text| !is_known(text)).map(String::as_str).collect();
                    if !others.is_empty() {
                        wrong.push(format!(
                            "{name} is an exception ({reason}), but:\n  {}",
                            others.join("\n  ")
                        ));
                    }
                    *counts.entry(reason).or_default() += 1;
                }
                (None, true) => {}
            }
        }
        println!("{equal} of {} scenarios render from a folder as recorded", ended.len());
        for (reason, count) in counts {
            println!("not from a folder: {count}: {reason}: {}", self.reasons[reason].why);
        }
        let is_known = |name: &String| !is_whole || ended.iter().any(|(played, _)| played == name);
        let unknown = self.scenarios.keys().filter(|name| !is_known(name));
        wrong.extend(unknown.map(|name| format!("{name} is an exception, but no scenario")));
        ensure!(
            wrong.is_empty(),
            "{} scenarios are not as they should be:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        ensure!(equal >= FEWEST || !is_whole, "only {equal} scenarios are equal");
        Ok(())
    }
}
