//! Commands for many files, and which verbs of `sealops` record what.

use std::path::Path;

use sealops_testenv::Postgres;

use super::{Etc, encrypted};
use crate::sops::world::{AGE_A, Side, World};

const FILES: usize = 200;

fn connections(server: &mut Postgres) -> usize {
    server
        .process()
        .log()
        .unwrap()
        .lines()
        .filter(|line| line.contains("connection authorized: user=sops"))
        .count()
}

#[test]
fn many_files_are_as_many_rows_over_one_connection() {
    let mut server = Postgres::start().unwrap();
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let world = World::new();
    let text = encrypted(&world);
    let names: Vec<String> = (0..FILES).map(|number| format!("f{number:03}.yaml")).collect();
    for name in &names {
        world.write(name, &text);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (line, actions) in [
        (&["rotate", "-i"][..], &["decrypt", "encrypt", "rotate"][..]),
        (&["verify"], &["decrypt"]),
        (&["decrypt", "-i", "--force"], &["decrypt"]),
        (&["encrypt", "-i", "--age", AGE_A], &["encrypt"]),
    ] {
        let before = connections(&mut server);
        let run = etc.sealops(&world, &[line, &names].concat());
        assert_eq!(run.code, 0, "{line:?} {}", run.err);
        let events = server.take_events().unwrap();
        assert_eq!(events.len(), FILES * actions.len(), "{line:?}");
        for name in &names {
            let path = world.path(name).display().to_string();
            let mut of_file: Vec<&str> = events
                .iter()
                .filter(|(_, _, file)| *file == path)
                .map(|(action, ..)| action.as_str())
                .collect();
            of_file.sort_unstable();
            assert_eq!(of_file, actions, "{line:?} {name}");
        }
        assert_eq!(connections(&mut server) - before, 1, "{line:?}");
    }
    println!("{FILES} files: {} rows over 4 connections of 4 commands", FILES * 6);
    let said = server.process().log().unwrap();
    assert!(!said.contains("unexpected EOF") && !said.contains("reset by peer"), "goodbye is said: {said}");
}

#[test]
fn verbs_of_sealops_record_what_they_open() {
    let server = Postgres::start().unwrap();
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let world = World::new();
    for (line, actions) in [
        (&["decrypt", "e.yaml"][..], &["decrypt"][..]),
        (&["decrypt", "--extract", "[\"a\"]", "e.yaml"], &["decrypt"]),
        (&["verify", "e.yaml"], &["decrypt"]),
        (&["verify", "."], &["decrypt"]),
        (&["exec-env", "e.yaml", "--", "true"], &["decrypt"]),
        (&["exec-file", "e.yaml", "--", "cat", "{}"], &["decrypt"]),
        (&["encrypt", "--age", AGE_A, "p.yaml"], &["encrypt"]),
        (&["set", "--value-file", "value.json", "e.yaml", "[\"a\"]"], &["decrypt", "encrypt"]),
        (&["unset", "e.yaml", "[\"a\"]"], &["decrypt", "encrypt"]),
        (&["rotate", "-i", "e.yaml"], &["rotate", "decrypt", "encrypt"]),
        (&["edit", "e.yaml"], &["decrypt", "encrypt"]),
        (&["updatekeys", "--yes", "e.yaml"], &[]),
        (&["groups", "add", "-i", "--age", AGE_A, "e.yaml"], &[]),
        (&["filestatus", "e.yaml"], &[]),
        (&["explain", "e.yaml"], &[]),
    ] {
        world.reset();
        encrypted(&world);
        world.write("p.yaml", "a: one\n");
        world.write("value.json", "1");
        world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A}\n"));
        let program = Path::new(env!("CARGO_BIN_EXE_sealops"));
        let run = etc.run_program(&world, program, line, &[], &[("EDITOR", "sed -i s/one/edited/")]);
        assert_eq!(run.code, 0, "{line:?} {}", run.err);
        let events = server.take_events().unwrap();
        let found: Vec<&str> = events.iter().map(|(action, ..)| action.as_str()).collect();
        assert_eq!(found, actions, "{line:?}");
        let name = if line[0] == "encrypt" { "p.yaml" } else { "e.yaml" };
        let path = world.path(name).display().to_string();
        assert!(events.iter().all(|(_, user, file)| user == "root" && *file == path), "{line:?} {events:?}");
    }
}

/// 32 threads want a row at once, and the server takes none: one failure each, and all files as they were.
#[test]
fn many_files_without_rows_are_many_files_as_they_were() {
    let server = Postgres::start().unwrap();
    server.sql("REVOKE INSERT ON audit_event FROM sops").unwrap();
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let world = World::new();
    let text = encrypted(&world);
    let names: Vec<String> = (0..50).map(|number| format!("f{number:03}.yaml")).collect();
    for name in &names {
        world.write(name, &text);
    }
    let before = world.files();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = etc.sealops(&world, &[&["decrypt", "-i", "--force"][..], &names].concat());
    assert!(run.code == 1 && run.err.contains("0 files decrypted, 50 failed"), "{}", run.err);
    assert_eq!(world.files(), before);
}

/// Without an audit a run costs one call that fails: no thread, no socket, no runtime.
#[test]
fn without_an_audit_one_file_is_looked_for() {
    let world = World::new();
    encrypted(&world);
    let log = world.root().join("strace.log");
    let log = log.to_str().unwrap();
    let calls =
        "trace=openat,open,stat,statx,newfstatat,access,socket,connect,epoll_create1,eventfd2,clone,clone3";
    let etc = Etc::without();
    let line = ["-f", "-o", log, "-e", calls, Side::Ours.program().to_str().unwrap(), "decrypt", "e.yaml"];
    let run = etc.run_program(&world, Path::new("/usr/bin/strace"), &line, &[], &[]);
    assert_eq!(run.ok(), b"a: one\nb: two\n");
    let calls = std::fs::read_to_string(log).unwrap();
    let of_audit: Vec<&str> = calls.lines().filter(|call| call.contains("/etc/sops")).collect();
    assert!(of_audit.len() == 1 && of_audit[0].contains("ENOENT"), "{of_audit:?}");
    for call in ["socket(", "connect(", "epoll_create1(", "eventfd2(", "clone(", "clone3("] {
        assert!(!calls.contains(call), "{call} in {calls}");
    }
}
