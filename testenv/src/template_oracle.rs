//! Go's own text/template with the function sets of the upstreams, one process for each batch.
use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::parts::Parts;

/// Whose functions a template may call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TemplateSet {
    /// The Sealed Secrets controller 0.40.
    SealedSecrets,
    /// External Secrets Operator 2.9.
    ExternalSecrets,
}

impl TemplateSet {
    fn part(self) -> &'static str {
        match self {
            Self::SealedSecrets => "template-sealed-secrets",
            Self::ExternalSecrets => "template-external-secrets",
        }
    }
}

/// A template and what it is executed with.
#[derive(Clone, Debug, Default)]
pub struct TemplateCase {
    /// Its name, which errors quote.
    pub name: String,
    /// Its text.
    pub template: Vec<u8>,
    /// The root: keys and values.
    pub data: Vec<(String, Vec<u8>)>,
    /// Go's option: empty, `zero` or `error`.
    pub missing_key: &'static str,
    /// Delimiters other than braces.
    pub delimiters: Option<(&'static str, &'static str)>,
}

/// Evaluates templates with Go: the output, or the text of the error.
///
/// # Errors
/// If the program is missing, dies, or answers less than it is asked.
pub fn evaluate_with_go(
    set: TemplateSet,
    cases: &[TemplateCase],
) -> Result<Vec<std::result::Result<Vec<u8>, String>>> {
    let requests = cases.iter().map(|case| {
        let data = case.data.iter().map(|(key, value)| (key.clone(), json!(STANDARD.encode(value))));
        json!({
            "name": case.name,
            "template": STANDARD.encode(&case.template),
            "data": data.collect::<serde_json::Map<_, _>>(),
            "missingkey": case.missing_key,
            "delims": case.delimiters.map(|(left, right)| [left, right]),
        })
    });
    let answers = ask(set, requests.collect())?;
    ensure!(answers.len() == cases.len(), "{} answers to {} templates", answers.len(), cases.len());
    answers
        .into_iter()
        .map(|answer| {
            if answer["ok"] == true {
                Ok(Ok(STANDARD.decode(answer["output"].as_str().unwrap_or_default())?))
            } else {
                Ok(Err(answer["error"].as_str().unwrap_or_default().to_owned()))
            }
        })
        .collect()
}

/// Returns the names of a set's functions, Go's built-in ones apart.
///
/// # Errors
/// As [`evaluate_with_go`].
pub fn function_names_of_go(set: TemplateSet) -> Result<Vec<String>> {
    let answers = ask(set, vec![json!({ "names": true })])?;
    let names = answers.first().and_then(|answer| answer["names"].as_array()).context("no names")?;
    Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn ask(set: TemplateSet, requests: Vec<Value>) -> Result<Vec<Value>> {
    // UTC is the local zone, as in the containers of both.
    let mut child = Parts::locate()?
        .command(set.part())?
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", set.part()))?;
    let mut input = child.stdin.take().context("no pipe")?;
    let writer =
        std::thread::spawn(move || requests.iter().try_for_each(|request| writeln!(input, "{request}")));
    let mut output = Vec::new();
    child.stdout.take().context("no pipe")?.read_to_end(&mut output)?;
    ensure!(child.wait()?.success(), "{} died", set.part());
    writer.join().ok().context("the writer panicked")??;
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}
