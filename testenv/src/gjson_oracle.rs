//! Go's gjson, one process for a batch of questions.

use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::parts::Parts;

/// What gjson says.
#[derive(Clone, Debug, Default)]
pub struct GjsonAnswer {
    /// Whether the document is JSON.
    pub valid: bool,
    /// Whether there is something at the path.
    pub exists: bool,
    /// Its `String()`.
    pub text: Vec<u8>,
}

/// Asks gjson what is at paths of documents.
///
/// # Errors
/// If the program is missing, dies, or answers less than it is asked.
pub fn ask_gjson(questions: &[(String, String)]) -> Result<Vec<GjsonAnswer>> {
    let lines: Vec<Value> = questions
        .iter()
        .map(|(document, path)| json!({ "doc": STANDARD.encode(document), "path": STANDARD.encode(path) }))
        .collect();
    let mut child = Parts::locate()?
        .command("gjson")?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start gjson")?;
    let mut input = child.stdin.take().context("no pipe")?;
    let writer = std::thread::spawn(move || lines.iter().try_for_each(|line| writeln!(input, "{line}")));
    let mut output = Vec::new();
    child.stdout.take().context("no pipe")?.read_to_end(&mut output)?;
    ensure!(child.wait()?.success(), "gjson died");
    writer.join().ok().context("the writer panicked")??;
    let answers = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answers: Vec<GjsonAnswer> = answers
        .map(|line| {
            let answer: Value = serde_json::from_slice(line)?;
            Ok(GjsonAnswer {
                valid: answer["valid"] == true,
                exists: answer["exists"] == true,
                text: STANDARD.decode(answer["text"].as_str().unwrap_or_default())?,
            })
        })
        .collect::<Result<_>>()?;
    ensure!(answers.len() == questions.len(), "{} answers to {} questions", answers.len(), questions.len());
    Ok(answers)
}
