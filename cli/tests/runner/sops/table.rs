//! The same command lines on the real sops and on ours, in the same folders. The lines are in `table.txt`.
//!
//! Compared are stdout, the exit code, and every file that is left, with its mode. Ciphertexts are compared by length and
//! type, and then opened by the real sops.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::fixtures::{self, Fixtures};
use super::world::{Outcome, Side, World, finish, is_encrypted, masked};

const TABLE: &str = include_str!("table.txt");

/// Fewest lines: fewer means that the table was not read.
const FEWEST: usize = 200;

/// One line of the table.
#[derive(Debug)]
struct Case {
    number: usize,
    line: String,
    folder: String,
    variables: Vec<(String, String)>,
    stdin: Option<String>,
    arguments: Vec<String>,
    checks: Vec<Check>,
}

/// What a line says behind `##`.
#[derive(Debug)]
enum Check {
    /// Both say this on stderr.
    Err(String),
    /// Stdout is help: names of flags and commands are compared, not the words.
    Help,
    /// Ours ends with this code instead, for this reason.
    Code(i32),
    /// Stdout, the files or their modes differ, for the reason that follows.
    Stdout,
    Files,
    Modes,
    /// What was written opens to something else.
    Opens,
}

#[derive(Default)]
struct Totals {
    stderr: AtomicUsize,
    intended: AtomicUsize,
    crossed: AtomicUsize,
}

#[test]
fn the_same_lines_do_the_same() {
    let cases = parse(TABLE);
    assert!(cases.len() >= FEWEST, "only {} lines", cases.len());
    let fixtures = fixtures::fixtures();
    let totals = Totals::default();
    let next = AtomicUsize::new(0);
    let only = std::env::var("SOPS_TABLE_LINE").ok().and_then(|line| line.parse::<usize>().ok());
    let mut differences: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let world = World::new().with_gnupg(&fixtures.gnupg);
                    let mut found = Vec::new();
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if only.is_none_or(|number| number == case.number) {
                            found.extend(compare(case, &world, fixtures, &totals));
                        }
                    }
                    found
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    differences.sort();
    println!(
        "sops command lines: {} compared, {} with a text of stderr, {} files opened across, {} intended differences, \
         {} differences",
        cases.len(),
        totals.stderr.into_inner(),
        totals.crossed.into_inner(),
        totals.intended.into_inner(),
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// What one side did.
struct Left {
    outcome: Outcome,
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

fn run(case: &Case, side: Side, world: &World, fixtures: &Fixtures) -> Left {
    world.reset();
    fixtures.copy_into(world);
    let mut command = world.command(side);
    command.current_dir(world.path(&case.folder)).args(&case.arguments);
    for (name, value) in &case.variables {
        command.env(name, value.replace("ROOT", &world.root().to_string_lossy()));
    }
    let stdin = case.stdin.as_ref().map(|name| world.read(name)).unwrap_or_default();
    let outcome = finish(command, &stdin);
    let temporary = world.temporary();
    assert!(temporary.is_empty(), "{}: {side:?} leaves {:?}", case.line, temporary.keys());
    Left { outcome, files: world.files() }
}

fn compare(case: &Case, world: &World, fixtures: &Fixtures, totals: &Totals) -> Vec<String> {
    let theirs = run(case, Side::Theirs, world, fixtures);
    let ours = run(case, Side::Ours, world, fixtures);
    let mut report = Report { case, found: Vec::new() };
    report.code(&theirs, &ours);
    report.stdout(&theirs, &ours, world);
    report.files(&theirs, &ours, world);
    for check in &case.checks {
        if let Check::Err(text) = check {
            totals.stderr.fetch_add(1, Ordering::Relaxed);
            for (side, err) in [("theirs", &theirs.outcome.err), ("ours", &ours.outcome.err)] {
                let err = err.replace(&*world.root().to_string_lossy(), "ROOT");
                if !err.contains(text) {
                    report.add(format!("{text:?} is not in the stderr of {side}: {err}"));
                }
            }
        }
    }
    let intended = |check: &&Check| !matches!(check, Check::Err(_) | Check::Help);
    totals.intended.fetch_add(case.checks.iter().filter(intended).count(), Ordering::Relaxed);
    let crossed = report.cross(&theirs, &ours, world);
    totals.crossed.fetch_add(crossed, Ordering::Relaxed);
    if !report.found.is_empty() {
        report.add(format!("their stderr: {}\n  our stderr: {}", theirs.outcome.err, ours.outcome.err));
    }
    report.found
}

struct Report<'a> {
    case: &'a Case,
    found: Vec<String>,
}

impl Report<'_> {
    fn add(&mut self, text: String) {
        self.found.push(format!("line {}: {}\n  {text}", self.case.number, self.case.line));
    }

    fn has(&self, wanted: fn(&Check) -> bool) -> bool {
        self.case.checks.iter().any(wanted)
    }

    fn code(&mut self, theirs: &Left, ours: &Left) {
        let (theirs, ours) = (theirs.outcome.code, ours.outcome.code);
        let wanted = self.case.checks.iter().find_map(|check| match check {
            Check::Code(code) => Some(*code),
            _ => None,
        });
        match wanted {
            Some(wanted) if wanted == theirs => {
                self.add(format!("both end with {wanted}: the reason is stale"));
            }
            Some(wanted) if wanted == ours => {}
            None if theirs == ours => {}
            _ => self.add(format!("exit code {theirs}, ours {ours}")),
        }
    }

    /// Notes a difference that is not intended, and an intended one that is gone.
    fn same(&mut self, what: &str, theirs: &str, ours: &str, intended: bool) {
        match (theirs == ours, intended) {
            (false, false) => {
                self.add(format!("{what} differ:\n--- theirs\n{theirs}\n--- ours\n{ours}\n---"));
            }
            (true, true) => self.add(format!("{what} are the same: the reason is stale")),
            _ => {}
        }
    }

    fn stdout(&mut self, theirs: &Left, ours: &Left, world: &World) {
        let text = |left: &Left| {
            let text = masked(&left.outcome.out, world.root());
            if self.has(|check| matches!(check, Check::Help)) { names(&text) } else { text }
        };
        let (theirs, ours) = (text(theirs), text(ours));
        self.same("outputs", &theirs, &ours, self.has(|check| matches!(check, Check::Stdout)));
    }

    fn files(&mut self, theirs: &Left, ours: &Left, world: &World) {
        let list = |left: &Left, modes: bool| {
            let lines = left.files.iter().map(|(name, (mode, content))| {
                let mode = if modes { format!("{mode:o} ") } else { String::new() };
                format!("{mode}{name}: {}", masked(content, world.root()))
            });
            lines.collect::<Vec<_>>()
        };
        let differing = |theirs: Vec<String>, ours: Vec<String>| {
            let only = |one: &[String], other: &[String]| {
                one.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>().join("\n")
            };
            (only(&theirs, &ours), only(&ours, &theirs))
        };
        let (contents, modes) = (
            self.has(|check| matches!(check, Check::Files)),
            self.has(|check| matches!(check, Check::Modes)),
        );
        let (left, right) = differing(list(theirs, false), list(ours, false));
        self.same("files", &left, &right, contents);
        if !contents {
            let (left, right) = differing(list(theirs, true), list(ours, true));
            if left != right || modes {
                let modes_of = |text: &str| {
                    text.lines()
                        .filter_map(|line| line.split_once(": "))
                        .map(|(name, _)| name.to_owned())
                        .collect::<Vec<_>>()
                        .join("\n")
                };
                self.same("modes", &modes_of(&left), &modes_of(&right), modes);
            }
        }
    }

    /// Opens what both have written with the real sops, and compares the plaintexts.
    fn cross(&mut self, theirs: &Left, ours: &Left, world: &World) -> usize {
        let mut pairs = vec![("stdout".to_owned(), &theirs.outcome.out, &ours.outcome.out)];
        for (name, (_, content)) in &theirs.files {
            if let Some((_, other)) = ours.files.get(name)
                && content != other
            {
                pairs.push((name.clone(), content, other));
            }
        }
        let mut crossed = 0;
        for (name, theirs, ours) in pairs {
            if !is_encrypted(theirs) || !is_encrypted(ours) {
                continue;
            }
            crossed += 1;
            let open = |bytes: &[u8], side| {
                world.reset();
                world.write("file", bytes);
                let format = format_of(bytes);
                let arguments = ["decrypt", "--input-type", format, "--output-type", format, "file"];
                let mut command = world.command(side);
                command.args(arguments).env("SOPS_AGE_KEY", super::world::identity("b"));
                finish(command, &[])
            };
            let (one, two) = (open(theirs, Side::Theirs), open(ours, Side::Theirs));
            let three = open(theirs, Side::Ours);
            let same =
                one.code == two.code && one.out == two.out && one.code == three.code && one.out == three.out;
            let intended = self.has(|check| matches!(check, Check::Opens));
            if same && intended {
                self.add(format!("{name} opens the same: the reason is stale"));
            }
            if !same && !intended {
                let shown = |outcome: &Outcome| {
                    format!("{} {} {}", outcome.code, String::from_utf8_lossy(&outcome.out), outcome.err)
                };
                self.add(format!(
                    "{name} opens differently:\n--- theirs by theirs\n{}\n--- ours by theirs\n{}\n--- theirs by ours\n{}",
                    shown(&one), shown(&two), shown(&three)
                ));
            }
        }
        crossed
    }
}

/// Returns the format of an encrypted text.
pub(crate) fn format_of(bytes: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(bytes);
    match text.trim_start().chars().next() {
        Some('{') => "json",
        _ if text.contains("\nsops_") || text.starts_with("sops_") => "dotenv",
        _ if text.contains("[sops]") => "ini",
        _ => "yaml",
    }
}

/// Keeps of a help text what is no sentence: headings, the usage line's shape, names of flags and commands.
fn names(text: &str) -> String {
    let mut kept = Vec::new();
    let mut heading = "";
    for line in text.lines() {
        if !line.is_empty() && !line.starts_with(' ') && line.ends_with(':') {
            heading = line;
            kept.push(line.to_owned());
        } else if heading.is_empty() || heading == "VERSION:" {
            kept.push(line.to_owned());
        } else if heading.contains("OPTIONS") || heading == "COMMANDS:" {
            kept.push(line.trim().split("  ").next().unwrap_or_default().to_owned());
        }
    }
    // Whose program it is.
    kept.retain(|line| line != "AUTHOR:" && !line.is_empty());
    kept.join("\n")
}

fn parse(table: &'static str) -> Vec<Case> {
    let lines = table.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(index, line)| parse_line(index + 1, line)).collect()
}

fn parse_line(number: usize, line: &str) -> Case {
    let (command, checks) = line.split_once(" ## ").unwrap_or((line, ""));
    let mut case = Case {
        number,
        line: command.to_owned(),
        folder: String::new(),
        variables: Vec::new(),
        stdin: None,
        arguments: Vec::new(),
        checks: checks
            .split(" ; ")
            .filter(|text| !text.is_empty())
            .map(|text| parse_check(number, text))
            .collect(),
    };
    let mut started = false;
    for word in split(command) {
        let word = fixtures::recipients().iter().fold(word, |word, (name, key)| word.replace(name, key));
        if started {
            case.arguments.push(word);
        } else if word == "sops" {
            started = true;
        } else if let Some(folder) = word.strip_prefix('@') {
            case.folder = folder.to_owned();
        } else if let Some(name) = word.strip_prefix('<') {
            case.stdin = Some(name.to_owned());
        } else {
            let (name, value) =
                word.split_once('=').unwrap_or_else(|| panic!("table.txt line {number}: {word}"));
            case.variables.push((name.to_owned(), value.to_owned()));
        }
    }
    case
}

fn parse_check(number: usize, text: &str) -> Check {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let reasoned = |check| {
        assert!(rest.len() > 8, "table.txt line {number}: {word} needs a reason");
        check
    };
    match word {
        "err" => Check::Err(rest.to_owned()),
        "help" => Check::Help,
        "code" => reasoned(Check::Code(rest.split(' ').next().unwrap().parse().unwrap())),
        "stdout" => reasoned(Check::Stdout),
        "files" => reasoned(Check::Files),
        "modes" => reasoned(Check::Modes),
        "opens" => reasoned(Check::Opens),
        _ => panic!("table.txt line {number}: {word} is no check"),
    }
}

/// Splits at blanks outside of single quotes.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                open = true;
            }
            ' ' if !quoted => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            _ => word.push(letter),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}
