//! P7: sealing manifests with a certificate, as kubeseal does it.

use std::path::Path;

use anyhow::Result;

use crate::command::{Invocation, Pairing};
use crate::objects::{SealedCheck, Values, secret_manifest};
use crate::programs::repository;
use crate::report::{Goal, Report};
use crate::{Context, keys};

/// The certificate that both sides seal with, RSA-4096.
pub(crate) const CERTIFICATE: &str = "testdata/keys/first-4096.crt";

/// Returns the flags that make either tool seal a file without a cluster.
pub(crate) fn seal_arguments(certificate: &Path, file: &Path) -> [String; 6] {
    let path = |path: &Path| path.display().to_string();
    ["--cert", &path(certificate), "-o", "yaml", "-f", &path(file)].map(str::to_owned)
}

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let one = |count| vec![Values::new("bench", "values", count)];
    seal(context, report, "1 value", one(1), 20)?;
    seal(context, report, "10 values", one(10), 20)?;
    seal(context, report, "1,000 values", one(1000), 10)?;
    let many = (0..1000).map(|number| Values::new("bench", &format!("object-{number:04}"), 1)).collect();
    seal(context, report, "1,000 manifests of 1 value", many, 10)
}

fn seal(context: &Context, report: &mut Report, case: &str, values: Vec<Values>, pairs: usize) -> Result<()> {
    let programs = &context.programs;
    let file = programs.folder.path().join("secrets.yaml");
    std::fs::write(&file, secret_manifest(&values))?;
    let check = SealedCheck { ring: keys::test_ring()?, expected: values };
    let arguments = seal_arguments(&repository(CERTIFICATE), &file);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Pairing {
        benchmark: "P7",
        case,
        peer: Invocation::new(&programs.kubeseal, &arguments),
        ours: Invocation::new(&programs.as_kubeseal, &arguments),
        check: &|peer, ours, thorough| check.both(peer, ours, thorough),
        cpu_goal: Goal::RatioAtLeast(3.0),
        memory_goal: Goal::None,
        pairs: context.repetitions(pairs, 3),
    }
    .measure(context, report)
}
