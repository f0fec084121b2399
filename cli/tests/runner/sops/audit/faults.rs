//! A database or a configuration that fails: nothing is done then, and nothing is shown.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use sealops_testenv::{Postgres, free_port};

use super::{Etc, encrypted, without_password};
use crate::sops::world::{AGE_A, Outcome, Side, World};

/// Fails as `code` says, has changed nothing and shown nothing; returns what it said.
fn refused(etc: &Etc, world: &World, side: Side) -> String {
    let lines: &[&[&str]] = &[
        &["decrypt", "e.yaml"],
        &["decrypt", "-i", "e.yaml"],
        &["rotate", "-i", "e.yaml"],
        &["set", "e.yaml", "[\"a\"]", "1"],
        &["exec-env", "e.yaml", "touch ran"],
        &["encrypt", "-i", "--age", AGE_A, "p.yaml"],
    ];
    world.write("p.yaml", "a: one\n");
    let before = world.files();
    let mut said = String::new();
    for line in lines {
        let Outcome { code, out, err } = etc.run(world, side, line, &[]);
        assert_eq!((code, out.as_slice()), (1, b"".as_slice()), "{side:?} {line:?} {err}");
        assert_eq!(world.files(), before, "{side:?} {line:?}");
        said = err;
    }
    said
}

#[test]
fn a_database_that_refuses_stops_everything() {
    let server = Postgres::start().unwrap();
    let world = World::new();
    encrypted(&world);
    let right = server.connection_string();
    let port = server.port();
    server.sql("CREATE DATABASE other").unwrap();
    server
        .sql(
            "CREATE ROLE reader LOGIN PASSWORD 'hunter2'; CREATE SCHEMA poor; \
                CREATE TABLE poor.audit_event (id int, who text); GRANT USAGE ON SCHEMA poor TO sops; \
                GRANT INSERT ON poor.audit_event TO sops;",
        )
        .unwrap();
    let (at_start, at_insert) =
        ("one or more audit backends reported errors, exiting", "Failed to insert audit record: ");
    for (string, words, ours) in [
        (
            format!("{right}?sslmode=disable").replace("5f2c", "wrong-secret"),
            at_start,
            "the password is wrong",
        ),
        (format!("{right}_nosuch?sslmode=disable"), at_start, "there is no such database"),
        (right.clone(), at_start, "the server speaks no TLS"),
        (
            format!("postgres://sops:hunter2@127.0.0.1:{}/postgres", free_port().unwrap()),
            at_start,
            "cannot reach the server",
        ),
        (format!("host=/nosuch/hunter2 port={port}"), at_start, "cannot reach the server"),
        (
            format!("{right}?sslmode=disable").replace("/postgres?", "/other?"),
            at_insert,
            "there is no table audit_event",
        ),
        (
            format!("postgres://reader:hunter2@127.0.0.1:{port}/postgres?sslmode=disable"),
            at_insert,
            "may not insert",
        ),
        (format!("{right}?sslmode=disable&search_path=poor"), at_insert, "lacks one of the columns"),
        (
            format!("{right}?sslmode=disable&options=-c%20default_transaction_read_only=on"),
            at_insert,
            "read-only",
        ),
    ] {
        let etc = Etc::new(&[&string]);
        for side in [Side::Theirs, Side::Ours] {
            let said = refused(&etc, &world, side);
            assert!(
                said.contains("[AUDIT]") && said.contains(words) && said.contains("level=fatal"),
                "{side:?} {said}"
            );
            if side == Side::Ours {
                assert!(said.contains(ours) && said.contains("/etc/sops/audit.yaml:3: "), "{said}");
                without_password(&said);
            }
        }
        let run = etc.sealops(&world, &["decrypt", "e.yaml"]);
        assert!(run.code == 1 && run.out.is_empty() && run.err.contains(ours), "{}", run.err);
        assert_eq!(run.err.matches("error: ").count(), 1, "{}", run.err);
        without_password(&run.err);
    }
    assert_eq!(server.take_events().unwrap(), [], "nobody got a row in");
}

/// Says nothing, ever: connecting ends by `connect_timeout` or its own time.
#[test]
fn a_silent_server_stops_everything_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let world = World::new();
    encrypted(&world);
    for settings in ["sslmode=disable&connect_timeout=1", "connect_timeout=1"] {
        let etc = Etc::new(&[&format!("postgres://u:hunter2@127.0.0.1:{port}/d?{settings}")]);
        let before = world.files();
        let run = etc.run(&world, Side::Ours, &["decrypt", "-i", "e.yaml"], &[]);
        assert!(run.code == 1 && run.out.is_empty(), "{}", run.err);
        assert!(run.err.contains("did not answer within 1 s"), "{}", run.err);
        without_password(&run.err);
        assert_eq!(world.files(), before);
    }
    // Without a word about it there is an end as well.
    let etc = Etc::new(&[&format!("postgres://u:hunter2@127.0.0.1:{port}/d")]);
    let run = etc.run(&world, Side::Ours, &["decrypt", "e.yaml"], &[]);
    assert!(run.code == 1 && run.err.contains("did not answer within 10 s"), "{}", run.err);
}

/// A row that is never finished: the table is locked by somebody else.
#[test]
fn a_row_that_takes_too_long_stops_everything() {
    let server = Postgres::start().unwrap();
    server
        .sql("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END'; \
              CREATE TRIGGER slow BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION wait();")
        .unwrap();
    let world = World::new();
    encrypted(&world);
    world.write("f.yaml", world.read("e.yaml"));
    let before = world.files();
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    // Two files, and one wait for both.
    let run = etc.sealops(&world, &["decrypt", "-i", "--force", "e.yaml", "f.yaml"]);
    assert!(run.code == 1 && run.out.is_empty(), "{}", run.err);
    assert_eq!(run.err.matches("did not answer within 15 s").count(), 2, "{}", run.err);
    assert_eq!(world.files(), before);
}

/// While an editor is open the server ends the connection: the row goes over another one.
#[test]
fn a_connection_that_ends_meanwhile_is_made_again() {
    let server = Postgres::start().unwrap();
    let world = World::new();
    encrypted(&world);
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let kill = format!(
        "psql -X -q -h {} -p {} -U postgres -d postgres -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='sops'\"",
        server.socket_folder().display(),
        server.port()
    );
    world.write("editor.sh", format!("#!/bin/sh\n{kill} > /dev/null\nsed -i s/one/edited/ \"$1\"\n"));
    let editor = world.path("editor.sh");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let editor = editor.to_str().unwrap().to_owned();
    let run = etc.run_program(&world, Side::Ours.program(), &["edit", "e.yaml"], &[], &[("EDITOR", &editor)]);
    assert_eq!(run.code, 0, "{}", run.err);
    let actions: Vec<String> = server.take_events().unwrap().into_iter().map(|(action, ..)| action).collect();
    assert_eq!(actions, ["decrypt", "encrypt"]);
    assert_eq!(world.run(Side::Ours, &["decrypt", "e.yaml"], &[]).ok(), b"a: edited\nb: two\n");
}

/// The edit is made when its record fails: it is saved, encrypted, and the file is as it was.
#[test]
fn an_edit_without_its_record_is_saved_beside_the_file() {
    let server = Postgres::start().unwrap();
    let world = World::new();
    let before = encrypted(&world);
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let psql = format!(
        "psql -X -q -h {} -p {} -U postgres -d postgres",
        server.socket_folder().display(),
        server.port()
    );
    let revoke = "REVOKE INSERT ON audit_event FROM sops";
    world.write("editor.sh", format!("#!/bin/sh\n{psql} -c '{revoke}'\nsed -i s/one/edited/ \"$1\"\n"));
    let editor = world.path("editor.sh");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let editor = editor.to_str().unwrap().to_owned();
    let run = etc.run_program(&world, Side::Ours.program(), &["edit", "e.yaml"], &[], &[("EDITOR", &editor)]);
    assert!(run.code == 1 && run.err.contains("may not insert into audit_event"), "{}", run.err);
    assert_eq!(world.read("e.yaml"), before);
    let rescued: Vec<_> = world.files().into_keys().filter(|name| name.ends_with(".rescued")).collect();
    let [name] = rescued.as_slice() else { panic!("{rescued:?} {}", run.err) };
    let name = name.as_str();
    assert_eq!(world.run(Side::Theirs, &["decrypt", name], &[]).ok(), b"a: edited\nb: two\n");
    let actions: Vec<String> = server.take_events().unwrap().into_iter().map(|(action, ..)| action).collect();
    assert_eq!(actions, ["decrypt"]);
    assert!(world.temporary().is_empty());
}
