//! A recorded scenario as it lies in its folder.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// One scenario.
pub struct Scenario {
    pub name: String,
    pub options: Options,
    pub steps: Vec<Step>,
}

/// What `scenario.yaml` says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    #[serde(rename = "description")]
    pub _description: String,
    pub covers: Vec<String>,
    #[serde(default)]
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub normalise: Vec<Normalise>,
    #[serde(default)]
    pub replace: Vec<Replace>,
    #[serde(default)]
    pub settle: Option<f64>,
    #[serde(default)]
    pub observe: Observe,
    #[serde(default)]
    pub in_order: bool,
}

/// A value that is random: a path and its pattern.
#[derive(Deserialize)]
pub struct Normalise {
    pub at: String,
    pub pattern: String,
}

/// A part of a message that is random.
#[derive(Deserialize)]
pub struct Replace {
    pub pattern: String,
    pub with: String,
}

/// What is read from the providers at the end of a step.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Observe {
    pub vault: Vec<String>,
    pub aws: Vec<Value>,
    pub webhook: bool,
}

/// What is done, and what there is afterwards.
pub struct Step {
    pub number: String,
    /// `vault`, `aws`, `webhook`, `apply`, `patch` or `delete`, with the documents or entries of the file.
    pub inputs: Vec<(String, Vec<Value>)>,
    pub outcome: Value,
}

const ORDER: [&str; 6] = ["vault", "aws", "webhook", "apply", "patch", "delete"];

impl Scenario {
    pub fn read(folder: &Path) -> Result<Self> {
        let name = folder.file_name().context("a folder")?.to_string_lossy().into_owned();
        let options = std::fs::read_to_string(folder.join("scenario.yaml"))?;
        let options = serde_saphyr::from_str(&options).with_context(|| name.clone())?;
        let mut steps = BTreeMap::<String, Step>::new();
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.file_name().to_string_lossy().into_owned();
            let Some((number, kind)) = file.strip_suffix(".yaml").and_then(|stem| stem.split_once('-'))
            else {
                continue;
            };
            let text = std::fs::read_to_string(folder.join(&file))?;
            let step = steps.entry(number.to_owned()).or_insert_with(|| Step {
                number: number.to_owned(),
                inputs: Vec::new(),
                outcome: Value::Null,
            });
            // The record was written with YAML 1.1's booleans but for `y` and `n`, and quotes what is none.
            let options = serde_saphyr::options! { strict_booleans: true };
            let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options)
                .with_context(|| format!("{name}/{file}"))?;
            match kind {
                "outcome" => step.outcome = documents.into_iter().next().unwrap_or_default(),
                _ => {
                    ensure!(ORDER.contains(&kind), "{name}/{file}: an unknown kind of input");
                    let entries = documents.into_iter().flat_map(|document| match document {
                        Value::Array(entries) => entries,
                        other => vec![other],
                    });
                    step.inputs.push((kind.to_owned(), entries.collect()));
                }
            }
        }
        let mut steps: Vec<Step> = steps.into_values().collect();
        for step in &mut steps {
            step.inputs.sort_by_key(|(kind, _)| ORDER.iter().position(|known| known == kind));
        }
        ensure!(!steps.is_empty(), "{name} has no steps");
        Ok(Self { name, options, steps })
    }
}
