//! What was measured, as a table and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::machine;
use crate::programs::{Programs, repository};
use crate::stats::{Estimate, bootstrap, median};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// User and system time.
    CpuMilliseconds,
    /// Time on the clock; shown, but no goal on a shared machine.
    WallMilliseconds,
    /// Largest resident set, in 10^6 bytes.
    Megabytes,
    /// Requests to the API server.
    Requests,
    /// One cost divided by another.
    Times,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::CpuMilliseconds => "ms CPU",
            Self::WallMilliseconds => "ms wall",
            Self::Megabytes => "MB",
            Self::Requests => "requests",
            Self::Times => "times",
        }
    }

    fn has_ratio(self) -> bool {
        !matches!(self, Self::Requests | Self::Times)
    }
}

/// The floor that a figure must pass (benchmarks, A5).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Shown only.
    None,
    /// The lower end of the interval of peer/ours.
    RatioAtLeast(f64),
    /// The median of ours.
    OursAtMost(f64),
}

/// One line: the same thing measured on both sides, in pairs.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) benchmark: &'static str,
    pub(crate) case: String,
    pub(crate) unit: Unit,
    /// Empty where there is no peer.
    pub(crate) peer: Vec<f64>,
    pub(crate) ours: Vec<f64>,
    pub(crate) goal: Goal,
}

impl Row {
    fn ratio(&self) -> Option<Estimate> {
        let comparable = self.unit.has_ratio() && !self.peer.is_empty() && self.peer.len() == self.ours.len();
        let ratios: Vec<f64> = self.peer.iter().zip(&self.ours).map(|(peer, ours)| peer / ours).collect();
        comparable.then(|| bootstrap(&ratios))
    }

    fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::RatioAtLeast(floor) => Some(self.ratio().is_some_and(|ratio| ratio.low >= floor)),
            Goal::OursAtMost(limit) => Some(median(&self.ours) <= limit),
        }
    }

    fn cells(&self) -> [String; 9] {
        let figure = |values: &[f64]| if values.is_empty() { "-".into() } else { number(median(values)) };
        let (ratio, interval) = match self.ratio() {
            None => ("-".to_owned(), "-".to_owned()),
            Some(ratio) => (number(ratio.median), format!("{} - {}", number(ratio.low), number(ratio.high))),
        };
        let goal = match self.goal {
            Goal::None => "-".to_owned(),
            Goal::RatioAtLeast(floor) => format!(">= {floor} x"),
            Goal::OursAtMost(limit) => format!("<= {limit}"),
        };
        let met = self.is_met().map_or("-", |met| if met { "yes" } else { "NO" }).to_owned();
        let (benchmark, case) = (self.benchmark.to_owned(), self.case.clone());
        let unit = self.unit.name().to_owned();
        [benchmark, case, unit, figure(&self.peer), figure(&self.ours), ratio, interval, goal, met]
    }

    fn json(&self) -> Value {
        json!({
            "benchmark": self.benchmark,
            "case": self.case,
            "unit": self.unit.name(),
            "peer": self.peer,
            "ours": self.ours,
            "ratio": self.ratio(),
            "goal": format!("{:?}", self.goal),
            "met": self.is_met(),
        })
    }
}

/// All that was measured in one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    problems: Vec<String>,
}

impl Report {
    /// Adds a line.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Notes that something did not run or the two sides disagree.
    pub(crate) fn problem(&mut self, problem: String) {
        eprintln!("bench: {problem}");
        self.problems.push(problem);
    }

    /// Returns whether everything ran and agreed.
    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the table, with the problems under it.
    pub(crate) fn table(&self) -> String {
        let head =
            ["", "case", "unit", "peer", "ours", "peer/ours", "95 %", "floor", "met"].map(str::to_owned);
        let lines: Vec<[String; 9]> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 9] = std::array::from_fn(width);
        let mut table = String::new();
        for line in &lines {
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                // Names to the left, figures to the right.
                let _ = if column < 3 {
                    write!(table, "{cell:<width$}  ")
                } else {
                    write!(table, "{cell:>width$}  ")
                };
            }
            table.truncate(table.trim_end().len());
            table.push('\n');
        }
        for problem in &self.problems {
            let _ = writeln!(table, "PROBLEM {problem}");
        }
        table
    }

    /// Writes everything into a new file and returns its path.
    pub(crate) fn save(&self, programs: &Programs, quick: bool) -> Result<PathBuf> {
        let folder = repository("bench-results");
        std::fs::create_dir_all(&folder)?;
        let now = jiff::Zoned::now();
        let file = folder.join(format!("{}-{}.json", now.strftime("%Y-%m-%d-%H%M"), machine::short_name()));
        let content = json!({
            "date": now.timestamp().to_string(),
            "quick": quick,
            "machine": machine::describe(),
            "versions": machine::versions(programs),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "problems": self.problems,
        });
        let text = serde_json::to_string_pretty(&content)?;
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        Ok(file.canonicalize()?)
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &[f64], ours: &[f64], goal: Goal) -> Row {
        let (peer, ours) = (peer.to_vec(), ours.to_vec());
        Row { benchmark: "P0", case: "c".to_owned(), unit: Unit::CpuMilliseconds, peer, ours, goal }
    }

    #[test]
    fn the_lower_end_of_the_ratio_must_pass() {
        let good = row(&[10.0, 12.0, 11.0], &[1.0, 1.0, 1.0], Goal::RatioAtLeast(10.0));
        assert_eq!(good.is_met(), Some(true));
        let uneven = row(&[10.0, 12.0, 2.0], &[1.0, 1.0, 1.0], Goal::RatioAtLeast(10.0));
        assert_eq!(uneven.is_met(), Some(false));
    }

    #[test]
    fn without_a_peer_there_is_no_ratio() {
        let alone = row(&[], &[1.0], Goal::OursAtMost(1.0));
        assert!(alone.ratio().is_none());
        assert_eq!(alone.is_met(), Some(true));
    }
}
