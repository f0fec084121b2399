//! Pairs of commands: the peer's and ours, by turns, on the same files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::Context;
use crate::report::{Goal, Report, Row, Unit};

/// A command line.
pub(crate) struct Invocation {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
}

impl Invocation {
    /// Returns `program` with `arguments`.
    pub(crate) fn new(program: &Path, arguments: &[&str]) -> Self {
        Self { program: program.to_owned(), arguments: arguments.iter().map(OsString::from).collect() }
    }
}

/// What one run of a command cost.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Cost {
    cpu_us: f64,
    wall_us: f64,
    max_rss_kib: f64,
    success: bool,
}

impl Cost {
    /// Returns the time on the clock, in milliseconds.
    pub(crate) fn wall_ms(&self) -> f64 {
        self.wall_us / 1e3
    }
}

/// Compares what both have printed. The flag tells the first pair, for which no care is too much.
pub(crate) type Check<'a> = &'a dyn Fn(&Path, &Path, bool) -> Result<()>;

/// Two commands that do the same.
pub(crate) struct Pairing<'a> {
    pub(crate) benchmark: &'static str,
    pub(crate) case: &'a str,
    pub(crate) peer: Invocation,
    pub(crate) ours: Invocation,
    pub(crate) check: Check<'a>,
    pub(crate) cpu_goal: Goal,
    pub(crate) memory_goal: Goal,
    /// Number of pairs.
    pub(crate) pairs: usize,
}

impl Pairing<'_> {
    /// Runs the pairs and adds a row for each of processor time and memory.
    pub(crate) fn measure(&self, context: &Context, report: &mut Report) -> Result<()> {
        eprintln!("{} {}: {} pairs", self.benchmark, self.case, self.pairs);
        let peer_output = context.programs.folder.path().join("peer.out");
        let our_output = context.programs.folder.path().join("ours.out");
        let (mut peer, mut ours) = (Vec::new(), Vec::new());
        for pair in 0..self.pairs {
            peer.push(launch(context, &self.peer, &peer_output)?);
            ours.push(launch(context, &self.ours, &our_output)?);
            (self.check)(&peer_output, &our_output, pair == 0)
                .with_context(|| format!("{}: the outputs disagree", self.case))?;
        }
        let mut add = |unit, goal, figure: fn(&Cost) -> f64| {
            report.add(Row {
                benchmark: self.benchmark,
                case: self.case.to_owned(),
                unit,
                peer: peer.iter().map(figure).collect(),
                ours: ours.iter().map(figure).collect(),
                goal,
            });
        };
        add(Unit::CpuMilliseconds, self.cpu_goal, |cost| cost.cpu_us / 1e3);
        add(Unit::WallMilliseconds, Goal::None, |cost| cost.wall_us / 1e3);
        add(Unit::Megabytes, self.memory_goal, |cost| cost.max_rss_kib * 1024.0 / 1e6);
        Ok(())
    }
}

/// Runs a command once and returns what it cost.
pub(crate) fn launch(context: &Context, invocation: &Invocation, output: &Path) -> Result<Cost> {
    let answer = Command::new(&context.programs.launch)
        .arg(output)
        .arg(&invocation.program)
        .args(&invocation.arguments)
        .env_clear()
        .env("HOME", context.programs.folder.path())
        .stdin(Stdio::null())
        .output()?;
    let program = invocation.program.display();
    if !answer.status.success() {
        bail!("cannot start {program}: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    let cost: Cost = serde_json::from_slice(&answer.stdout)?;
    if !cost.success {
        bail!("{program} failed: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    Ok(cost)
}
