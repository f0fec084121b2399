//! P5 with one command for many files: the real sops takes one file a call, so its costs are those of a loop.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::Context;
use crate::command::{Cost, Invocation, launch};
use crate::report::{Goal, Report, Row, Unit};
use crate::sops_files::{RECIPIENT, document, install_identity};

/// Files that the loop is measured with. For more of them its figures are multiplied: 10,000 files would take minutes a run.
const LOOP: usize = 200;
const VALUES: usize = 20;
/// A second recipient, which `updatekeys` adds and removes by turns.
const OTHER: &str = "age1gg9jkjehkqhlkuhdn5phq6w0fnuf3pcwqkn67aa4566yqvjsmvmq2z7xlg";

/// What is done with every file.
struct Verb {
    name: &'static str,
    peer: &'static str,
    ours: &'static [&'static str],
    /// Whether ours takes the folder instead of its files.
    takes_folder: bool,
}

const VERBS: [Verb; 3] = [
    Verb { name: "rotate -i", peer: "rotate -i", ours: &["rotate", "-i"], takes_folder: false },
    Verb { name: "updatekeys", peer: "updatekeys -y", ours: &["updatekeys", "--yes"], takes_folder: true },
    Verb { name: "decrypt -i", peer: "decrypt -i", ours: &["decrypt", "-i", "--force"], takes_folder: false },
];

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    install_identity(context)?;
    let bench = Bench { context, folder: context.programs.folder.path().join("many") };
    let counts: &[usize] = if context.quick { &[LOOP] } else { &[LOOP, 2_000, 10_000] };
    let pairs = context.repetitions(3, 1);
    for verb in &VERBS {
        eprintln!("P5 {} in one command: {pairs} runs, {counts:?} files", verb.name);
        let mut peer = Vec::new();
        bench.fill(LOOP)?;
        for number in 0..pairs {
            peer.push(bench.one_by_one(verb, number)?);
        }
        for &count in counts {
            let mut ours = Vec::new();
            bench.fill(count)?;
            for number in 0..pairs {
                ours.push(bench.at_once(verb, count, number)?);
            }
            add(report, verb, count, &peer, &ours);
        }
    }
    Ok(())
}

fn add(report: &mut Report, verb: &Verb, count: usize, peer: &[Cost], ours: &[Cost]) {
    let times = count as f64 / LOOP as f64;
    let note = if count == LOOP { String::new() } else { format!(" (sops: {LOOP} files, times {times})") };
    let mut row = |unit, goal, figure: fn(&Cost) -> f64| {
        report.add(Row {
            benchmark: "P5",
            case: format!("{count} files: {} in one command{note}", verb.name),
            unit,
            peer: peer.iter().map(|cost| figure(cost) * times).collect(),
            ours: ours.iter().map(figure).collect(),
            goal,
        });
    };
    row(Unit::CpuMilliseconds, Goal::RatioAtLeast(15.0), |cost| cost.cpu_us / 1e3);
    row(Unit::WallMilliseconds, Goal::None, |cost| cost.wall_us / 1e3);
    report.add(Row {
        benchmark: "P5",
        case: format!("{count} files: {} in one command, memory", verb.name),
        unit: Unit::Megabytes,
        peer: Vec::new(),
        ours: ours.iter().map(|cost| cost.max_rss_kib * 1024.0 / 1e6).collect(),
        goal: Goal::None,
    });
}

struct Bench<'a> {
    context: &'a Context,
    folder: PathBuf,
}

impl Bench<'_> {
    fn files(&self, count: usize) -> Vec<String> {
        (0..count).map(|number| self.folder.join(format!("f{number}.yaml")).display().to_string()).collect()
    }

    /// Makes the folder with so many plain files, encrypted in one command.
    fn fill(&self, count: usize) -> Result<()> {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder)?;
        let files = self.files(count);
        for file in &files {
            fs::write(file, document("yaml", VALUES))?;
        }
        self.encrypt(&files)
    }

    fn encrypt(&self, files: &[String]) -> Result<()> {
        let mut line = vec!["encrypt", "-i", "--age", RECIPIENT];
        line.extend(files.iter().map(String::as_str));
        self.run(&Invocation::new(&self.context.programs.sealops, &line)).map(drop)
    }

    /// Writes a configuration with one or two recipients, by turns.
    fn configuration(&self, number: usize) -> Result<String> {
        let path = self.context.programs.folder.path().join("many.sops.yaml");
        let other = if number.is_multiple_of(2) { format!(",{OTHER}") } else { String::new() };
        fs::write(&path, format!("creation_rules:\n    - age: {RECIPIENT}{other}\n"))?;
        Ok(path.display().to_string())
    }

    fn one_by_one(&self, verb: &Verb, number: usize) -> Result<Cost> {
        let config = self.configuration(number)?;
        let sops = self.context.programs.sops.display();
        let folder = self.folder.display();
        let script = format!(
            "for f in {folder}/f*.yaml; do {sops} --config {config} {} \"$f\" 2> /dev/null || exit 1; done",
            verb.peer
        );
        let cost = self.run(&Invocation::new(Path::new("/bin/sh"), &["-c", &script]))?;
        self.check(verb, LOOP, number)?;
        Ok(cost)
    }

    fn at_once(&self, verb: &Verb, count: usize, number: usize) -> Result<Cost> {
        let config = self.configuration(number)?;
        let (files, folder) = (self.files(count), self.folder.display().to_string());
        let mut line = verb.ours.to_vec();
        line.extend(["--config", &config]);
        if verb.takes_folder {
            line.push(&folder);
        } else {
            line.extend(files.iter().map(String::as_str));
        }
        let cost = self.run(&Invocation::new(&self.context.programs.sealops, &line))?;
        self.check(verb, count, number)?;
        Ok(cost)
    }

    fn run(&self, invocation: &Invocation) -> Result<Cost> {
        launch(self.context, invocation, &self.context.programs.folder.path().join("many.out"))
    }

    /// Every file is what it should be, and encrypted again for the next run.
    fn check(&self, verb: &Verb, count: usize, number: usize) -> Result<()> {
        let files = self.files(count);
        if verb.name == "decrypt -i" {
            for file in &files {
                ensure!(fs::read(file)? == document("yaml", VALUES).as_bytes(), "{file} is not what it was");
            }
            return self.encrypt(&files);
        }
        if verb.name == "updatekeys" {
            for file in &files {
                let has_other = fs::read_to_string(file)?.contains(OTHER);
                ensure!(has_other == number.is_multiple_of(2), "{file} has other keys");
            }
        }
        let folder = self.folder.display().to_string();
        self.run(&Invocation::new(&self.context.programs.sealops, &["verify", &folder])).map(drop)
    }
}
