//! P1: what it costs to start.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::command::{Invocation, Pairing};
use crate::objects::{SealedCheck, Values, secret_manifest};
use crate::programs::repository;
use crate::report::{Goal, Report};
use crate::seal::{CERTIFICATE, seal_arguments};
use crate::{Context, keys};

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let programs = &context.programs;
    let pairs = context.repetitions(30, 5);
    let version = |case: &'static str, ours: &Path, check| Pairing {
        benchmark: "P1",
        case,
        peer: Invocation::new(&programs.kubeseal, &["--version"]),
        ours: Invocation::new(ours, &["--version"]),
        check,
        cpu_goal: Goal::RatioAtLeast(8.0),
        memory_goal: Goal::OursAtMost(8.0),
        pairs,
    };
    version("sealops --version", &programs.sealops, &starts_with_name).measure(context, report)?;
    version("--version as kubeseal", &programs.as_kubeseal, &same_text).measure(context, report)?;

    let values = vec![Values::new("bench", "one", 1)];
    let file = programs.folder.path().join("one.yaml");
    std::fs::write(&file, secret_manifest(&values))?;
    let check = SealedCheck { ring: keys::test_ring()?, expected: values };
    let arguments = seal_arguments(&repository(CERTIFICATE), &file);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Pairing {
        benchmark: "P1",
        case: "seal 1 value --cert",
        peer: Invocation::new(&programs.kubeseal, &arguments),
        ours: Invocation::new(&programs.as_kubeseal, &arguments),
        check: &|peer, ours, thorough| check.both(peer, ours, thorough),
        cpu_goal: Goal::RatioAtLeast(8.0),
        memory_goal: Goal::OursAtMost(8.0),
        pairs,
    }
    .measure(context, report)
}

fn same_text(peer: &Path, ours: &Path, _: bool) -> Result<()> {
    let (peer, ours) = (std::fs::read_to_string(peer)?, std::fs::read_to_string(ours)?);
    ensure!(peer == ours, "{peer:?} and {ours:?}");
    Ok(())
}

fn starts_with_name(_: &Path, ours: &Path, _: bool) -> Result<()> {
    let ours = std::fs::read_to_string(ours)?;
    ensure!(ours.starts_with("sealops "), "{ours:?}");
    Ok(())
}
