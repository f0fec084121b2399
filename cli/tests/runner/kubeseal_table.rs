//! The same command lines on kubeseal 0.40.0 and on ours, in two sandboxes with the same files.
//!
//! ```text
//!   line ──► sandbox A, the real kubeseal ──► exit code, stdout, stderr, files ─┐ sealed values opened with the
//!        ──► sandbox B, ours              ──►     〃                          ─┴► test keys, then compared
//! ```
//!
//! Each row says what is the same. A difference is intended only where the row gives its reason.

mod cluster;
mod offline;

pub(crate) use cluster::Live;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sealops_crypto::sealing::{Label, RingKey, SealingKey, SealingKeyRing};
use sealops_formats::manifest::{self, Node, Value};
use sealops_formats::{Plaintext, base64};
use sealops_testenv::{Peers, run_peer};

use crate::sandbox::Sandbox;

/// One command line: variables, then arguments; what comes in on stdin (a file of the sandbox, or nothing).
type Row = (&'static str, &'static str, Want);

/// What both tools have in common for a row.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// Exit code, stdout and files to the byte (sealed values opened), and the text on stderr.
    Same,
    /// As [`Want::Same`], but the error's words are our own. Scripts do not match them.
    Words,
    /// Exit code and meaning of stdout and files are the same; the layout differs for a reason.
    Layout(&'static str),
    /// Ours exits with this code and says this, for a reason.
    Ours(i32, &'static str, &'static str),
}

use Want::{Layout, Ours, Same, Words};

// Reasons for differences.
const PARSES: &str =
    "a document that does not parse, or is not what is expected, is an error and is not skipped";
const KIND: &str = "the kind is checked: a ConfigMap or List is not sealed as if it were a Secret";
const NO_FILES_LEFT: &str = "a run that writes nothing makes no file and leaves no temporary one";
const KEEPS_FORMAT: &str = "an edited file keeps its format, order and comments";
const OWN_SCOPE: &str = "values that go into a file are sealed for the file's scope, so that they open";
const NO_PANIC: &str = "upstream panics";
const NO_OWNER: &str = "a recovered Secret has no owner reference with an empty uid, so it can be applied";
const ALL_DOCUMENTS: &str = "every Secret of the input is merged, where upstream drops all but the first";
const NOTICE: &str = "the notice about --rotate goes to stderr, where upstream puts it among the data";
const FOLDERS: &str = "a folder with keys is accepted";
const ONLY_VALUES: &str =
    "re-encryption changes sealed values only, where upstream loses metadata and templates";

const TIMEOUT: Duration = Duration::from_secs(20);

/// The two sandboxes are made anew for every row: a run leaves nothing for the next.
struct Table {
    fixtures: BTreeMap<String, Vec<u8>>,
    ring: SealingKeyRing,
    /// Counted for the summary.
    rows: usize,
    intended: BTreeMap<&'static str, usize>,
    problems: Vec<String>,
    /// Every flag that a row used.
    flags: BTreeSet<String>,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
    files: BTreeMap<String, String>,
}

impl Table {
    fn new(fixtures: BTreeMap<String, Vec<u8>>) -> Self {
        let keys = ["interop-2048", "third-2048", "first-4096"].map(|name| ring_key(&test_key(name)));
        Self {
            fixtures,
            ring: SealingKeyRing::new(keys),
            rows: 0,
            intended: BTreeMap::new(),
            problems: Vec::new(),
            flags: BTreeSet::new(),
        }
    }

    fn run(&mut self, rows: &[Row]) {
        for row in rows {
            self.rows += 1;
            let words = row.0.split_whitespace().filter(|word| word.starts_with('-'));
            self.flags.extend(words.map(|word| word.split('=').next().unwrap_or_default().to_owned()));
            let ours = self.outcome(row, Path::new(env!("CARGO_BIN_EXE_sealops")));
            let theirs = self.outcome(row, &real());
            if let Err(problem) = self.judge(row, &ours, &theirs) {
                self.problems.push(format!(
                    "{} < {:?} ({:?}): {problem}\n  ours:   {ours:?}\n  theirs: {theirs:?}",
                    row.0, row.1, row.2
                ));
            }
        }
    }

    fn judge(&mut self, row: &Row, ours: &Outcome, theirs: &Outcome) -> Result<(), String> {
        let same = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            if a == b { Ok(()) } else { Err(format!("{what} differs")) }
        };
        match row.2 {
            Same | Words => {
                same("exit code", &ours.code, &theirs.code)?;
                same("stdout", &ours.out, &theirs.out)?;
                same("files", &ours.files, &without_leftovers(&theirs.files))?;
                match row.2 {
                    Same => same("stderr", &without_hints(&ours.err), &theirs.err),
                    _ if ours.err == theirs.err => Err("the words are the same after all".to_owned()),
                    _ => same("errors", &ours.err.contains("error: "), &theirs.err.contains("error: ")),
                }
            }
            Layout(reason) => {
                *self.intended.entry(reason).or_default() += 1;
                same("exit code", &ours.code, &theirs.code)?;
                same("meaning of stdout", &meaning(&ours.out), &meaning(&theirs.out))?;
                let files = |outcome: &Outcome| -> BTreeMap<String, Option<Vec<String>>> {
                    let files = without_leftovers(&outcome.files);
                    files.iter().map(|(name, text)| (name.clone(), meaning(text))).collect()
                };
                same("meaning of files", &files(ours), &files(theirs))?;
                match (&ours.out, &ours.files) == (&theirs.out, &theirs.files) {
                    true => Err("nothing differs after all".to_owned()),
                    false => Ok(()),
                }
            }
            Ours(code, says, reason) => {
                *self.intended.entry(reason).or_default() += 1;
                same("our exit code", &ours.code, &Some(code))?;
                let all = format!("{}{}{:?}", ours.out, ours.err, ours.files);
                if !all.contains(says) {
                    return Err(format!("we do not say {says:?}"));
                }
                if ours == theirs { Err("nothing differs after all".to_owned()) } else { Ok(()) }
            }
        }
    }

    fn outcome(&self, row: &Row, program: &Path) -> Outcome {
        let sandbox = Sandbox::with_kubeseal(program);
        for (name, content) in &self.fixtures {
            sandbox.write(name, content);
        }
        let stdin = if row.1.is_empty() { Vec::new() } else { fs::read(sandbox.path(row.1)).unwrap() };
        let mut command = Command::new(sandbox.path("bin/kubeseal"));
        command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/bin:/bin");
        let mut arguments = false;
        for word in row.0.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if !arguments && !word.starts_with('-') => drop(command.env(name, value)),
                _ => {
                    arguments = true;
                    // A word that is to be nothing.
                    command.arg(if word == "EMPTY" { "" } else { word });
                }
            }
        }
        command.current_dir(sandbox.path(""));
        let before = sandbox.files();
        let (code, out, err) = match run_peer(command, &stdin, TIMEOUT) {
            Ok(output) => {
                (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr)
            }
            Err(error) => (None, String::new(), format!("killed: {error}")),
        };
        let files = sandbox.files().into_iter().filter(|(name, content)| before.get(name) != Some(content));
        let clean = |text: &str| {
            let top = sandbox.path("").display().to_string();
            self.opened(text, row.0).replace(top.trim_end_matches('/'), "SANDBOX")
        };
        Outcome {
            code,
            out: clean(&out),
            err: clean(&err),
            files: files.map(|(name, content)| (name, clean(&String::from_utf8_lossy(&content)))).collect(),
        }
    }

    /// Puts in place of every sealed value what is in it.
    fn opened(&self, text: &str, line: &str) -> String {
        let mut opened = text.to_owned();
        if let Ok(bytes) = base64::decode(text.as_bytes())
            && text.len() > 300
        {
            let labels = raw_labels(line);
            let found =
                labels.iter().find_map(|(name, label)| Some((name, self.open(label, bytes.expose())?)));
            return found.map_or_else(|| "RAW?".to_owned(), |(name, value)| format!("RAW({name}: {value})"));
        }
        for document in manifest::parse(text.as_bytes()).unwrap_or_default() {
            self.open_values(&document.root, &mut opened);
        }
        opened
    }

    fn open_values(&self, root: &Node, text: &mut String) {
        let name = |field: &str| root.str_at(&["metadata", field]).unwrap_or_default();
        let is_set = |scope: &str| {
            let annotation = format!("sealedsecrets.bitnami.com/{scope}");
            root.str_at(&["metadata", "annotations", &annotation]) == Some("true")
        };
        let scope = match (is_set("cluster-wide"), is_set("namespace-wide")) {
            (true, _) => "cluster-wide",
            (_, true) => "namespace-wide",
            _ => "strict",
        };
        let label = Label::for_secret(scope.parse().unwrap(), name("namespace"), name("name"));
        let Some(Value::Map(values)) = root.at(&["spec", "encryptedData"]).map(|node| &node.value) else {
            return;
        };
        for (_, node) in values {
            let Some(sealed) = node.str_at(&[]) else { continue };
            let Ok(bytes) = base64::decode(sealed.as_bytes()) else { continue };
            let value = self.open(&label, bytes.expose());
            let shown = value
                .map_or_else(|| format!("UNOPENABLE-{scope}"), |value| format!("OPENED-{scope}-{value}"));
            for form in [sealed.to_owned(), sealed.replace('+', "\\u002b")] {
                *text = text.replace(&form, &shown);
            }
        }
    }

    fn open(&self, label: &Label, sealed: &[u8]) -> Option<String> {
        let unsealed = self.ring.unseal(label, sealed, None).ok()?;
        let key = self.ring.iter().position(|key| *key.fingerprint() == unsealed.key)?;
        Some(format!("{}-key{key}", base64::encode_public(unsealed.value.expose())))
    }

    #[expect(clippy::print_stderr, reason = "the counts are what the comparison shows")]
    /// Prints what was compared, and fails where something is not as it should be.
    fn finish(self, what: &str, at_least: usize) {
        eprintln!(
            "{what}: {} command lines, {} with an intended difference:",
            self.rows,
            self.intended.values().sum::<usize>()
        );
        for (reason, count) in &self.intended {
            eprintln!("  {count:3}  {reason}");
        }
        assert!(self.problems.is_empty(), "{} problems:\n{}", self.problems.len(), self.problems.join("\n"));
        assert!(self.rows >= at_least, "only {} rows", self.rows);
    }
}

/// Labels that a raw value may have been sealed for, from the line's own flags.
fn raw_labels(line: &str) -> Vec<(&'static str, Label)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = |names: &[&str]| {
        let mut pairs = words.iter().enumerate().filter_map(|(index, word)| match word.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(value),
            None if names.contains(word) => words.get(index + 1).copied(),
            _ => None,
        });
        pairs.next_back().unwrap_or("here").to_owned()
    };
    let namespace = value(&["-n", "--namespace", "SEALED_SECRETS_NAMESPACE"]);
    let name = value(&["--name", "SEALED_SECRETS_NAME"]);
    ["strict", "namespace-wide", "cluster-wide"]
        .map(|scope| (scope, Label::for_secret(scope.parse().unwrap(), &namespace, &name)))
        .into()
}

/// Returns documents as JSON with sorted keys, or `None` for what is no manifest.
fn meaning(text: &str) -> Option<Vec<String>> {
    let documents = manifest::parse(text.as_bytes()).ok()?;
    let json = |document: &manifest::Document| {
        let text = manifest::to_json(&document.root);
        let value: serde_json::Value = serde_json::from_slice(text.expose()).unwrap();
        sorted(&value).to_string()
    };
    Some(documents.iter().map(json).collect())
}

fn sorted(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let kept =
                map.iter().filter(|(key, value)| !(*key == "ownerReferences" && value[0]["uid"] == ""));
            let map: BTreeMap<_, _> = kept.map(|(key, value)| (key.clone(), sorted(value))).collect();
            serde_json::Value::Object(map.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// Ours adds lines with what can be done; the lines before them are the peer's.
fn without_hints(err: &str) -> String {
    err.lines().filter(|line| !line.starts_with("hint: ")).map(|line| format!("{line}\n")).collect()
}

/// A failed run of upstream leaves its temporary file behind.
fn without_leftovers(files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_leftover =
        |name: &str| Path::new(name).file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    files.iter().filter(|(name, _)| !is_leftover(name)).map(|(a, b)| (a.clone(), b.clone())).collect()
}

fn real() -> std::path::PathBuf {
    Peers::locate().unwrap().kubeseal().unwrap().get_program().into()
}

fn test_key(name: &str) -> Plaintext {
    let path = format!("{}/../testdata/keys/{name}.key", env!("CARGO_MANIFEST_DIR"));
    fs::read(path).unwrap().into()
}

fn ring_key(pem: &Plaintext) -> RingKey {
    RingKey { key: Arc::new(SealingKey::from_pem(pem).unwrap()), order: 0 }
}

/// Returns the flags that a usage lists.
fn flags_of(usage: &str) -> BTreeSet<String> {
    usage
        .lines()
        .filter_map(|line| line.trim_start().split_once("--").filter(|(short, _)| short.len() <= 4))
        .map(|(_, rest)| format!("--{}", rest.split([' ', '=']).next().unwrap_or_default()))
        .collect()
}
