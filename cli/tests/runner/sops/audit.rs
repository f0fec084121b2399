//! The audit of SOPS: the real sops and ours write the same rows into the same PostgreSQL, before they do anything.

mod faults;
mod many;
mod protected;
mod published;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use sealops_testenv::{Postgres, with_etc};
use tempfile::TempDir;

use super::world::{AGE_A, AGE_B, AGE_C, Outcome, Side, World, finish};

/// A folder that lies over /etc, with an audit configuration.
struct Etc(TempDir);

impl Etc {
    /// Writes the configuration for these connection strings.
    fn new(connection_strings: &[&str]) -> Self {
        let list = connection_strings
            .iter()
            .map(|text| format!("  - connection_string: '{}'\n", text.replace('\'', "''")));
        Self::with(format!("backends:\n  postgres:\n{}", list.collect::<String>()))
    }

    fn with(configuration: impl AsRef<[u8]>) -> Self {
        let etc = Self::without();
        fs::write(etc.file(), configuration).unwrap();
        etc
    }

    /// A folder for the configuration, without one.
    fn without() -> Self {
        let folder = tempfile::Builder::new().prefix("etc-").tempdir().unwrap();
        fs::create_dir(folder.path().join("sops")).unwrap();
        Self(folder)
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("sops/audit.yaml")
    }

    fn run(&self, world: &World, side: Side, line: &[&str], stdin: &[u8]) -> Outcome {
        self.run_program(world, side.program(), line, stdin, &[])
    }

    fn sealops(&self, world: &World, line: &[&str]) -> Outcome {
        self.run_program(world, Path::new(env!("CARGO_BIN_EXE_sealops")), line, &[], &[])
    }

    fn run_program(
        &self,
        world: &World,
        program: &Path,
        line: &[&str],
        stdin: &[u8],
        variables: &[(&str, &str)],
    ) -> Outcome {
        let mut command = with_etc(program, self.0.path());
        world.environment(&mut command);
        command.args(line).envs(variables.iter().copied());
        finish(command, stdin)
    }
}

/// Returns a world's file `e.yaml`, encrypted for A, without an audit.
fn encrypted(world: &World) -> Vec<u8> {
    world.write("e.yaml", "a: one\nb: two\n");
    world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "e.yaml"], &[]).ok();
    world.read("e.yaml")
}

/// What is run: a name, the arguments, and what differs from a run in the working folder without input.
struct Operation {
    line: &'static [&'static str],
    stdin: Stdin,
    variables: &'static [(&'static str, &'static str)],
    /// Folder below the working one, as the shell calls it.
    folder: &'static str,
}

#[derive(Clone, Copy)]
enum Stdin {
    Nothing,
    Plain,
    Encrypted,
}

const fn op(line: &'static [&'static str]) -> Operation {
    Operation { line, stdin: Stdin::Nothing, variables: &[], folder: "" }
}

const fn with(
    line: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
) -> Operation {
    Operation { variables, ..op(line) }
}

const fn of(stdin: Stdin, line: &'static [&'static str]) -> Operation {
    Operation { stdin, ..op(line) }
}

const fn within(folder: &'static str, line: &'static [&'static str]) -> Operation {
    Operation { folder, ..op(line) }
}

const EDIT: &[(&str, &str)] = &[("EDITOR", "sed -i s/one/edited/")];
const NO_KEY: &[(&str, &str)] = &[("SOPS_AGE_KEY_FILE", "/dev/null"), ("HOME", "/nonexistent")];

/// `e.yaml` is encrypted, `p.yaml` is plain, `link.yaml` leads to `e.yaml`, `bad.yaml` has a wrong MAC, `cut.yaml` a value
/// that does not decrypt, `here` leads to the folder `d`, and `.sops.yaml` names the keys A and C.
const OPERATIONS: &[Operation] = &[
    op(&["decrypt", "e.yaml"]),
    op(&["decrypt", "-i", "e.yaml"]),
    op(&["decrypt", "--output", "out.yaml", "e.yaml"]),
    op(&["decrypt", "--extract", "[\"a\"]", "e.yaml"]),
    op(&["decrypt", "--extract", "[\"nosuch\"]", "e.yaml"]),
    op(&["decrypt", "--extract", "a", "e.yaml"]),
    op(&["decrypt", "--filename-override", "other.yaml", "e.yaml"]),
    op(&["decrypt", "./d/../e.yaml"]),
    op(&["decrypt", "link.yaml"]),
    op(&["decrypt", "e.yaml", "p.yaml"]),
    op(&["decrypt", "p.yaml"]),
    op(&["decrypt", "nosuch.yaml"]),
    op(&["decrypt", "bad.yaml"]),
    op(&["decrypt", "--ignore-mac", "bad.yaml"]),
    op(&["decrypt", "cut.yaml"]),
    op(&["decrypt", "--output-type", "dotenv", "e.yaml"]),
    of(Stdin::Encrypted, &["decrypt", "--input-type", "yaml", "--output-type", "yaml"]),
    of(Stdin::Encrypted, &["decrypt", "--filename-override", "other.yaml"]),
    with(&["decrypt", "e.yaml"], NO_KEY),
    within("d", &["decrypt", "../e.yaml"]),
    within("here", &["decrypt", "inner.yaml"]),
    within("here", &["decrypt", "../e.yaml"]),
    op(&["-d", "e.yaml"]),
    op(&["-d", "-i", "e.yaml"]),
    op(&["encrypt", "p.yaml"]),
    op(&["encrypt", "-i", "p.yaml"]),
    op(&["encrypt", "--filename-override", "other.yaml", "p.yaml"]),
    op(&["encrypt", "e.yaml"]),
    op(&["encrypt", "broken.yaml"]),
    op(&["encrypt", "nosuch.yaml"]),
    op(&["encrypt", "--age", "age1nosuch", "p.yaml"]),
    op(&["encrypt", "--output-type", "ini", "deep.yaml"]),
    of(Stdin::Plain, &["encrypt", "--filename-override", "other.yaml"]),
    op(&["-e", "p.yaml"]),
    op(&["-e", "-i", "p.yaml"]),
    op(&["rotate", "e.yaml"]),
    op(&["rotate", "-i", "e.yaml"]),
    op(&["rotate", "-i", "--add-age", AGE_B, "e.yaml"]),
    op(&["rotate", "-i", "--rm-age", AGE_A, "e.yaml"]),
    op(&["rotate", "-i", "bad.yaml"]),
    op(&["rotate", "-i", "p.yaml"]),
    with(&["rotate", "-i", "e.yaml"], NO_KEY),
    op(&["-r", "-i", "e.yaml"]),
    op(&["set", "e.yaml", "[\"a\"]", "\"new\""]),
    op(&["set", "--idempotent", "e.yaml", "[\"a\"]", "\"one\""]),
    op(&["set", "e.yaml", "[\"a\"]", "no json"]),
    op(&["set", "e.yaml", "a", "1"]),
    op(&["set", "bad.yaml", "[\"a\"]", "1"]),
    op(&["set", "e.yaml", "[\"sops\"]", "1"]),
    op(&["--set", "[\"a\"] 1", "e.yaml"]),
    op(&["unset", "e.yaml", "[\"a\"]"]),
    op(&["unset", "e.yaml", "[\"nosuch\"]"]),
    op(&["unset", "--idempotent", "e.yaml", "[\"nosuch\"]"]),
    with(&["edit", "e.yaml"], EDIT),
    with(&["edit", "-s", "e.yaml"], EDIT),
    with(&["edit", "e.yaml"], &[("EDITOR", "true")]),
    with(&["edit", "e.yaml"], &[("EDITOR", "false")]),
    with(&["edit", "new.yaml"], &[("EDITOR", "sed -i s/Welcome/Hello/")]),
    with(&["edit", "bad.yaml"], EDIT),
    with(&["e.yaml"], EDIT),
    op(&["exec-env", "e.yaml", "true"]),
    op(&["exec-env", "./e.yaml", "exit 7"]),
    op(&["exec-env", "--same-process", "e.yaml", "true"]),
    op(&["exec-env", "deep.enc.yaml", "true"]),
    op(&["exec-file", "e.yaml", "cat {}"]),
    op(&["exec-file", "--no-fifo", "d/../e.yaml", "cat {}"]),
    op(&["updatekeys", "-y", "e.yaml"]),
    op(&["updatekeys", "-y", "e.yaml", "d/inner.yaml"]),
    of(Stdin::Plain, &["updatekeys", "e.yaml"]),
    op(&["groups", "add", "-i", "-f", "e.yaml", "--age", AGE_B]),
    op(&["groups", "delete", "-i", "-f", "e.yaml", "0"]),
    op(&["filestatus", "e.yaml"]),
    op(&["filestatus", "p.yaml"]),
    op(&["--help"]),
];

/// Operations whose exit codes differ on purpose, with theirs, ours and the reason; the rows are the same.
const DIFFERENT: &[(&[&str], [i32; 2], &str)] = &[
    (
        &["encrypt", "--output-type", "ini", "deep.yaml"],
        [0, 4],
        "INI has no place for it: theirs writes Go's text for a map",
    ),
    (&["groups", "delete", "-i", "-f", "e.yaml", "0"], [0, 1], "theirs leaves a file that nobody can open"),
];

fn prepare(world: &World, fixtures: &Fixtures) {
    world.reset();
    let text = |name: &str| &fixtures.files.iter().find(|(known, _)| *known == name).unwrap().1;
    world.write("e.yaml", text("e.yaml"));
    world.write("d/inner.yaml", text("e.yaml"));
    world.write("deep.enc.yaml", text("deep.enc.yaml"));
    world.write("bad.yaml", text("bad.yaml"));
    world.write("cut.yaml", text("cut.yaml"));
    world.write("p.yaml", "a: one\nb: two\n");
    world.write("deep.yaml", "a:\n  b:\n    c: 1\n");
    world.write("broken.yaml", "a: [\n");
    world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A},{AGE_C}\n"));
    symlink("e.yaml", world.path("link.yaml")).unwrap();
    symlink("d", world.path("here")).unwrap();
}

struct Fixtures {
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Fixtures {
    fn new(world: &World) -> Self {
        let good = encrypted(world);
        world.write("deep.yaml", "a:\n  b:\n    c: 1\n");
        let deep = world.run(Side::Ours, &["encrypt", "--age", AGE_A, "deep.yaml"], &[]).ok();
        let text = String::from_utf8(good.clone()).unwrap();
        let second = text.lines().position(|line| line.starts_with("b: ")).unwrap();
        let lines = |change: &dyn Fn(usize, &str) -> Option<String>| -> Vec<u8> {
            let changed = text.lines().enumerate().filter_map(|(index, line)| change(index, line));
            changed.map(|line| line + "\n").collect::<String>().into_bytes()
        };
        let bad = lines(&|index, line| (index != second).then(|| line.to_owned()));
        let cut = lines(&|index, line| {
            Some(if index == second { line.replace("tag:", "tag:A") } else { line.to_owned() })
        });
        Self { files: vec![("e.yaml", good), ("deep.enc.yaml", deep), ("bad.yaml", bad), ("cut.yaml", cut)] }
    }
}

impl Operation {
    fn run(&self, world: &World, etc: &Etc, side: Side, encrypted: &[u8]) -> Outcome {
        let mut command = with_etc(side.program(), etc.0.path());
        world.environment(&mut command);
        let folder = world.path(self.folder);
        command.current_dir(&folder).env("PWD", &folder).args(self.line).envs(self.variables.iter().copied());
        let plain: &[u8] = b"a: one\nb: two\n";
        finish(
            command,
            match self.stdin {
                Stdin::Nothing => b"",
                Stdin::Plain => plain,
                Stdin::Encrypted => encrypted,
            },
        )
    }
}

#[test]
fn both_record_the_same_before_they_do_anything() {
    let server = Postgres::start().unwrap();
    let connection = format!("{}?sslmode=disable", server.connection_string());
    let etc = Etc::new(&[&connection]);
    let world = World::new();
    let fixtures = Fixtures::new(&world);
    let good = fixtures.files[0].1.clone();
    let (mut rows, mut quiet, mut wrong) = (0, 0, Vec::new());
    for operation in OPERATIONS {
        let mut results = Vec::new();
        for side in [Side::Theirs, Side::Ours] {
            prepare(&world, &fixtures);
            let outcome = operation.run(&world, &etc, side, &good);
            results.push((outcome.code, server.take_events().unwrap(), outcome.err));
        }
        let ((code, events, err), (our_code, our_events, our_err)) = (&results[0], &results[1]);
        rows += events.len();
        quiet += usize::from(events.is_empty());
        let on_purpose = DIFFERENT.iter().find(|(line, ..)| *line == operation.line);
        let codes = on_purpose.map_or([*code, *code], |(_, codes, _)| *codes);
        if events != our_events || codes != [*code, *our_code] {
            wrong.push(format!(
                "{:?}\n  theirs {code} {events:?} {err}\n  ours   {our_code} {our_events:?} {our_err}",
                operation.line
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} operations, {rows} rows alike, {quiet} operations without a row alike", OPERATIONS.len());
    assert!(rows > 50 && quiet > 10, "{rows} {quiet}");
}

/// Every backend gets every row, in the order of the list.
#[test]
fn every_database_has_every_row() {
    let (one, two) = (Postgres::start().unwrap(), Postgres::start().unwrap());
    let strings = [&one, &two].map(|server| format!("{}?sslmode=disable", server.connection_string()));
    let etc = Etc::new(&[&strings[0], &strings[1]]);
    let world = World::new();
    encrypted(&world);
    for side in [Side::Theirs, Side::Ours] {
        etc.run(&world, side, &["rotate", "-i", "e.yaml"], &[]).ok();
        let events = one.take_events().unwrap();
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!(two.take_events().unwrap(), events);
    }
}

/// The name is that of the real user id; variables count only where the system has none for it.
#[test]
fn both_name_the_user_alike() {
    let server = Postgres::start().unwrap();
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let world = World::new();
    encrypted(&world);
    let forged = [("USER", "forged"), ("LOGNAME", "forged")];
    for (id, variables, name) in [
        ("0", &forged[..], Some("root")),
        ("65534", &forged, Some("nobody")),
        ("64123", &forged, Some("forged")),
        ("64123", &[], None),
    ] {
        for side in [Side::Theirs, Side::Ours] {
            let (user, group) = (format!("--map-user={id}"), format!("--map-group={id}"));
            let program = side.program().to_str().unwrap();
            let line = ["--user", &user, &group, program, "decrypt", "e.yaml"];
            let run = etc.run_program(&world, Path::new("/usr/bin/unshare"), &line, &[], variables);
            let found: Vec<String> =
                server.take_events().unwrap().into_iter().map(|(_, user, _)| user).collect();
            match name {
                Some(name) => {
                    assert_eq!((run.code, found), (0, vec![name.to_owned()]), "{side:?} {id} {}", run.err)
                }
                None => {
                    assert!(
                        run.code == 1 && run.out.is_empty() && found.is_empty(),
                        "{side:?} {id} {}",
                        run.err
                    );
                }
            }
        }
    }
}
