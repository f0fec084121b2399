//! Our chart of the half of ExternalSecrets beside upstream's (0.20.4): the same values give the same Deployment, service
//! account and disruption budget, but for what is listed here with its reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use sealops_testenv::{Parts, run_peer};
use tempfile::TempDir;

use super::chart::render;

/// What differs on purpose: the objects' kind, the beginning of the path, the reason.
const INTENDED: &[(&str, &str, &str)] = &[
    ("*", "/metadata/labels/helm.sh~1chart", "the chart's version"),
    ("*", "/metadata/labels/app.kubernetes.io~1version", "the program's version"),
    ("Deployment", "/spec/template/metadata/labels/helm.sh~1chart", "the chart's version"),
    ("Deployment", "/spec/template/metadata/labels/app.kubernetes.io~1version", "the program's version"),
    ("Deployment", "/spec/template/spec/containers/0/image", "the image is ours"),
    (
        "Deployment",
        "/spec/template/spec/containers/0/command",
        "the name under which the binary takes these flags",
    ),
    ("Deployment", "/spec/template/spec/containers/0/env", "the leader's name and the namespace"),
    ("Deployment", "/spec/template/spec/containers/0/readinessProbe", "upstream has none"),
    ("Deployment", "/spec/template/spec/containers/0/livenessProbe", "on by default"),
    ("Deployment", "/spec/template/spec/containers/0/args/--live-addr", "on by default"),
    ("Deployment", "/spec/template/spec/terminationGracePeriodSeconds", "work in hand is finished"),
];
/// The kinds that are compared setting by setting.
const COMPARED: &[&str] = &["Deployment", "ServiceAccount", "PodDisruptionBudget"];

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/external-secrets")
}

/// Upstream's chart without the one that it needs and switches off by default; Helm wants it there all the same.
pub fn without_dependencies(chart: &Path) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(chart)? {
        let entry = entry?;
        if entry.file_name() != "Chart.yaml" && entry.file_name() != "Chart.lock" {
            std::os::unix::fs::symlink(entry.path(), folder.path().join(entry.file_name()))?;
        }
    }
    let text = std::fs::read_to_string(chart.join("Chart.yaml"))?;
    let head = text.split("dependencies:").next().unwrap_or_default();
    std::fs::write(folder.path().join("Chart.yaml"), head)?;
    Ok(folder)
}

#[test]
fn the_values_of_upstreams_chart_give_the_same_deployment() -> Result<()> {
    let theirs = without_dependencies(Parts::locate()?.path("external-secrets-chart")?)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/helm-external");
    let (mut compared, mut used, mut faults) = (0, BTreeSet::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let values = entry?.path();
        let name = values.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (theirs, ours) = (render(theirs.path(), Some(&values))?, render(&ours(), Some(&values))?);
        for (key, theirs) in &theirs {
            let kind = key.split('/').next().unwrap_or_default();
            let helper = key.contains("webhook") || key.contains("cert-controller");
            if !COMPARED.contains(&kind) || helper {
                continue;
            }
            let Some(ours) = ours.get(key) else {
                faults.push(format!("{name}: {key} is missing"));
                continue;
            };
            for path in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                compared += 1;
                if theirs.get(path) == ours.get(path) {
                    continue;
                }
                let rule = INTENDED
                    .iter()
                    .position(|(of, begin, _)| (*of == "*" || *of == kind) && path.starts_with(begin));
                match rule {
                    Some(index) => drop(used.insert(index)),
                    None => faults.push(format!(
                        "{name}: {key} {path}: upstream {:?}, ours {:?}",
                        theirs.get(path),
                        ours.get(path)
                    )),
                }
            }
        }
    }
    println!("helm: {compared} settings compared, {} intended differences", used.len());
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    assert!(compared > 100, "only {compared} settings compared");
    assert_eq!(used.len(), INTENDED.len(), "a listed difference does not occur: {used:?}");
    Ok(())
}

#[test]
fn everything_is_there_by_default() -> Result<()> {
    let objects = render(&ours(), None)?;
    let definitions = objects.keys().filter(|key| key.starts_with("CustomResourceDefinition/")).count();
    assert_eq!(definitions, 25, "all but that of SealedSecrets");
    for key in [
        "Deployment/keys/rel-external-secrets",
        "ClusterRole//rel-external-secrets-controller",
        "ClusterRole//rel-external-secrets-view",
        "ValidatingAdmissionPolicy//externalsecret-validate",
        "ValidatingAdmissionPolicyBinding//externalsecret-validate",
    ] {
        assert!(objects.contains_key(key), "{key}: {:?}", objects.keys());
    }
    Ok(())
}

#[test]
fn what_would_be_unsafe_is_refused() -> Result<()> {
    for (setting, word) in
        [("metrics.listen.secure.enabled=true", "without TLS"), ("replicaCount=2", "leaderElect")]
    {
        let mut command: Command = Parts::locate()?.command("helm")?;
        command.args(["template", "rel"]).arg(ours()).args(["--set", setting]);
        command.env_clear().env("HOME", "/nonexistent");
        let output = run_peer(command, b"", Duration::from_secs(60))?;
        assert!(!output.status.success() && output.stderr.contains(word), "{setting}: {}", output.stderr);
    }
    Ok(())
}
