//! Our Helm chart beside upstream's: the same values give the same objects, but for what is listed here with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sealops_formats::manifest;
use sealops_testenv::{Parts, run_peer};
use serde_json::Value;

/// What differs on purpose: the objects' kind (`*` for any), the beginning of the path, the reason.
const INTENDED: &[(&str, &str, &str)] = &[
    ("*", "/metadata/labels/helm.sh~1chart", "the chart's version"),
    ("*", "/metadata/labels/app.kubernetes.io~1version", "the program's version"),
    ("*", "/metadata/annotations", "common annotations are on every object"),
    ("Deployment", "/spec/template/spec/containers/0/image", "the image is ours"),
    (
        "Deployment",
        "/spec/template/spec/containers/0/env",
        "the leader's name and the namespace, no Go settings",
    ),
    (
        "Deployment",
        "/spec/template/spec/containers/0/readinessProbe/httpGet/path",
        "/readyz says more than /healthz",
    ),
    (
        "Deployment",
        "/spec/template/spec/containers/0/volumeMounts",
        "no temporary folder: nothing is written",
    ),
    ("Deployment", "/spec/template/spec/volumes", "no temporary folder: nothing is written"),
    (
        "Deployment",
        "/spec/template/spec/containers/0/ports/0/hostPort",
        "upstream takes the container's port",
    ),
    (
        "Deployment",
        "/spec/template/spec/containers/0/ports/1/hostPort",
        "upstream takes the container's port",
    ),
    ("Deployment", "/spec/template/spec/terminationGracePeriodSeconds", "work in hand is finished"),
    ("Role", "/rules", "no deletion; the state shards"),
    ("ClusterRole", "/rules", "no deletion; the addresses of API servers"),
    ("RoleBinding", "/subjects/0/apiGroup", "the empty group, left out"),
    ("ClusterRoleBinding", "/subjects/0/apiGroup", "the empty group, left out"),
    ("NetworkPolicy", "/spec/ingress/0/ports", "a policy is about the container's ports"),
];

/// Objects that only one of the two has.
const ONLY: &[(&str, &str)] = &[
    ("Role/keys/secrets-unsealer", "the controller's own namespace gets the rights too"),
    ("RoleBinding/keys/sealed-secrets-controller", "the same"),
];

pub type Objects = BTreeMap<String, BTreeMap<String, String>>;

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/sealed-secrets")
}

pub fn render(chart: &Path, values: Option<&Path>) -> Result<Objects> {
    let mut command: Command = Parts::locate()?.command("helm")?;
    command.args(["template", "rel"]).arg(chart).args(["--namespace", "keys"]);
    if let Some(values) = values {
        command.arg("--values").arg(values);
    }
    command.env_clear().env("HOME", "/nonexistent");
    let output = run_peer(command, b"", Duration::from_secs(60))?;
    let text = output.text().with_context(|| format!("helm template {}", chart.display()))?;
    // Upstream names a key twice in places, which Helm lets pass: the last one counts.
    let documents = manifest::parse(text.as_bytes())?;
    let documents: Vec<Value> =
        documents.iter().map(|document| document.root.read()).collect::<Result<_, _>>()?;
    let mut objects = Objects::new();
    for document in documents.iter().filter(|document| document.is_object()) {
        let metadata = &document["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = format!(
            "{}/{}/{}",
            word(&document["kind"]),
            word(&metadata["namespace"]),
            word(&metadata["name"])
        );
        let mut paths = BTreeMap::new();
        flatten(document, "", &mut paths);
        assert!(objects.insert(key.clone(), paths).is_none(), "{key} twice");
    }
    Ok(objects)
}

/// Leaves by their path. Arguments become one leaf per flag; empty maps, lists and nulls say nothing.
fn flatten(value: &Value, path: &str, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                flatten(value, &format!("{path}/{}", key.replace('/', "~1")), leaves);
            }
        }
        Value::Array(list) if path.ends_with("/args") => {
            for (flag, value) in flags(list) {
                leaves.insert(format!("{path}/{flag}"), value);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                flatten(value, &format!("{path}/{index}"), leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_owned(), leaf.to_string());
        }
    }
}

fn flags(arguments: &[Value]) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    let mut words = arguments.iter().map(|word| word.as_str().unwrap_or_default()).peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None => (word, words.next_if(|next| !next.starts_with("--")).unwrap_or("true")),
        };
        flags.insert(name.to_owned(), value.to_owned());
    }
    flags
}

#[test]
fn the_values_of_upstreams_chart_give_the_same_objects() -> Result<()> {
    let theirs = Parts::locate()?.path("sealed-secrets-chart")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/helm");
    let mut files: Vec<Option<PathBuf>> = vec![None];
    for entry in std::fs::read_dir(&folder)? {
        files.push(Some(entry?.path()));
    }
    assert!(files.len() >= 4, "{} holds too little", folder.display());
    let (mut compared, mut used, mut faults) = (0, BTreeSet::new(), Vec::new());
    for values in &files {
        let name = values.as_ref().map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
        let (theirs, ours) = (render(theirs, values.as_deref())?, render(&ours(), values.as_deref())?);
        for key in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
            let (Some(theirs), Some(ours)) = (theirs.get(key), ours.get(key)) else {
                match ONLY.iter().position(|(only, _)| only == key) {
                    Some(index) => drop(used.insert(("only", index))),
                    None => faults.push(format!(
                        "{name}: {key}: only in {}",
                        if theirs.contains_key(key) { "upstream's" } else { "ours" }
                    )),
                }
                continue;
            };
            for path in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                compared += 1;
                if theirs.get(path) == ours.get(path) {
                    continue;
                }
                let kind = key.split('/').next().unwrap_or_default();
                let rule = INTENDED
                    .iter()
                    .position(|(of, begin, _)| (*of == "*" || *of == kind) && path.starts_with(begin));
                match rule {
                    Some(index) => drop(used.insert(("differs", index))),
                    None => faults.push(format!(
                        "{name}: {key} {path}: upstream {:?}, ours {:?}",
                        theirs.get(path),
                        ours.get(path)
                    )),
                }
            }
        }
    }
    println!(
        "helm: {} value files, {compared} settings compared, {} intended differences",
        files.len(),
        used.len()
    );
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    assert!(compared > 500, "only {compared} settings compared");
    assert_eq!(used.len(), INTENDED.len() + ONLY.len(), "a listed difference does not occur: {used:?}");
    Ok(())
}

#[test]
fn the_static_manifest_is_what_the_kustomization_and_the_definitions_give() -> Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Parts::locate()?.command("kustomize")?;
    command.arg("build").arg(top.join("deploy/kustomize/base")).env_clear();
    let built = run_peer(command, b"", Duration::from_secs(60))?.text()?;
    let mut expected = String::new();
    for (_, yaml) in sealops_crds::MANIFESTS {
        expected.push_str("---\n");
        expected.push_str(yaml);
    }
    expected.push_str("---\n");
    expected.push_str(&built);
    let written = std::fs::read_to_string(top.join("deploy/static/sealops.yaml"))?;
    assert!(written.ends_with(&expected), "deploy/static/sealops.yaml is stale: run deploy/static.sh");
    assert!(manifest::parse(written.as_bytes()).is_ok());
    Ok(())
}
