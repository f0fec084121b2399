//! The audit of SOPS: the real sops and ours write the same rows into the same PostgreSQL, before they do anything.

mod configurations;
mod faults;
mod many;
mod operations;
mod protected;
mod published;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use sealops_testenv::{Postgres, with_etc};
use tempfile::TempDir;

use self::operations::{DIFFERENT, OPERATIONS};
use super::world::{AGE_A, AGE_C, Outcome, Side, World, finish};

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

/// Checks a text of ours.
fn without_password(text: &str) {
    for secret in ["hunter2", "5f2c", "wrong-secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Returns a world's file `e.yaml`, encrypted for A, without an audit.
fn encrypted(world: &World) -> Vec<u8> {
    world.write("e.yaml", "a: one\nb: two\n");
    world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "e.yaml"], &[]).ok();
    world.read("e.yaml")
}

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
                    assert_eq!((run.code, found), (0, vec![name.to_owned()]), "{side:?} {id} {}", run.err);
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
