//! Measures sealops against the real tools, side by side in one run: `make bench`.
//!
//! ```text
//!   bench [--quick] [P1] [SOPS] [P5] [KMS] [P7] [P8] [P9] [P11] [P12] [T1]
//! ```
//!
//! Peer and ours alternate on the same files and the same control plane; what both have made is compared before a
//! time counts. The figure is processor time (user and system, children included), which other jobs on the machine
//! disturb least; the ratio's interval is a bootstrap of 95 %. There are no timed assertions: the exit code tells only
//! whether everything ran and agreed.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this program is for")]

mod cluster;
mod command;
mod controller;
mod external;
mod keys;
mod kms;
mod machine;
mod objects;
mod programs;
mod render;
mod report;
mod restart;
mod seal;
mod slow_store;
mod sops_files;
mod sops_repository;
mod start;
mod stats;
mod unseal;
mod unseal_cluster;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::programs::Programs;
use crate::report::Report;

/// What every benchmark needs to know.
struct Context {
    programs: Programs,
    /// Few repetitions, to see whether everything runs.
    quick: bool,
}

impl Context {
    /// Returns the number of repetitions.
    fn repetitions(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

type Benchmark = fn(&Context, &mut Report) -> Result<()>;

const BENCHMARKS: [(&str, Benchmark); 11] = [
    ("P1", start::run),
    // P1 to P6 in one go: they share their files.
    ("SOPS", sops_files::run),
    ("P5", sops_repository::run),
    // P5 where the keys are far away.
    ("KMS", kms::run),
    ("P7", seal::run),
    ("P8", unseal::run),
    ("P8", unseal_cluster::run),
    ("P9", restart::run),
    // P12 of ExternalSecrets too.
    ("P11", external::run),
    ("P12", restart::run_memory),
    ("T1", render::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let (names, quick) = arguments()?;
    let context = Context { programs: Programs::locate()?, quick };
    let mut report = Report::default();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|given| given.eq_ignore_ascii_case(name));
    for (name, benchmark) in BENCHMARKS.into_iter().filter(|(name, _)| wanted(name)) {
        if let Err(error) = benchmark(&context, &mut report) {
            report.problem(format!("{name}: {error:#}"));
        }
    }
    print!("{}", report.table());
    let file = report.save(&context.programs, quick)?;
    println!("{}", file.display());
    Ok(report.is_clean())
}

fn arguments() -> Result<(Vec<String>, bool)> {
    let (mut names, mut quick) = (Vec::new(), false);
    for argument in std::env::args().skip(1) {
        if argument == "--quick" {
            quick = true;
        } else if BENCHMARKS.iter().any(|(name, _)| argument.eq_ignore_ascii_case(name)) {
            names.push(argument);
        } else {
            bail!("{argument}: the arguments are --quick and P1, SOPS, P5, KMS, P7, P8, P9, P11, P12, T1");
        }
    }
    Ok((names, quick))
}
