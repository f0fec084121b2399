//! A database or a configuration that fails: nothing is done then, and nothing is shown.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use sealops_testenv::{Postgres, free_port};

use super::{Etc, encrypted};
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

fn without_password(text: &str) {
    for secret in ["hunter2", "5f2c", "wrong-secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
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

/// The exit codes of both for configurations that are strange, and what ours says.
#[test]
fn configurations_that_cannot_be_used_are_errors_and_those_that_name_nobody_are_not() {
    let world = World::new();
    encrypted(&world);
    let before = world.files();
    for (text, theirs, ours) in [
        ("", 0, None),
        ("# nothing\n", 0, None),
        ("backends:\n  postgres: []\n", 0, None),
        // The real one panics.
        ("backends: [\"hunter2\n", 2, Some("audit.yaml:")),
        ("backends: hunter2\n", 2, Some("audit.yaml:1: there has to be a map with postgres")),
        ("backends:\n  postgres: hunter2\n", 2, Some("audit.yaml:2: postgres is no list")),
        // The real one goes on without audit.
        (
            "backend:\n  postgres:\n  - connection_string: hunter2\n",
            0,
            Some("audit.yaml:2: only backends may stand here"),
        ),
        (
            "backends:\n  mysql:\n  - connection_string: hunter2\n",
            0,
            Some("audit.yaml:3: only postgres may stand here"),
        ),
        // The real one connects to whatever is on this machine.
        (
            "backends:\n  postgres:\n  - connection: hunter2\n",
            1,
            Some("audit.yaml:3: only connection_string"),
        ),
        (
            "backends:\n  postgres:\n  - connection_string: 'password=hunter2 passfile=/x'\n",
            1,
            Some("audit.yaml:3: the setting passfile is not supported"),
        ),
    ] {
        let etc = Etc::with(text);
        let real = etc.run(&world, Side::Theirs, &["decrypt", "e.yaml"], &[]);
        assert_eq!(real.code, theirs, "{text} {}", real.err);
        for run in [
            etc.run(&world, Side::Ours, &["decrypt", "e.yaml"], &[]),
            etc.sealops(&world, &["decrypt", "e.yaml"]),
        ] {
            match ours {
                None => assert_eq!(
                    (run.code, run.out.as_slice()),
                    (0, b"a: one\nb: two\n".as_slice()),
                    "{}",
                    run.err
                ),
                Some(words) => {
                    assert!(
                        run.code == 1 && run.out.is_empty() && run.err.contains(words),
                        "{text} {}",
                        run.err
                    );
                    without_password(&run.err);
                }
            }
        }
        assert_eq!(world.files(), before, "{text}");
    }
}

#[test]
fn a_configuration_that_is_there_and_cannot_be_read_is_an_error() {
    let world = World::new();
    encrypted(&world);
    let code = |etc: &Etc, side| etc.run(&world, side, &["decrypt", "e.yaml"], &[]).code;
    // Neither a missing file nor a link to nowhere is an audit.
    let etc = Etc::without();
    assert_eq!((code(&etc, Side::Theirs), code(&etc, Side::Ours)), (0, 0));
    symlink("nowhere.yaml", etc.file()).unwrap();
    assert_eq!((code(&etc, Side::Theirs), code(&etc, Side::Ours)), (0, 0));
    // A link is followed.
    let etc = Etc::without();
    fs::write(etc.0.path().join("sops/real.yaml"), "backends: x\n").unwrap();
    symlink("real.yaml", etc.file()).unwrap();
    assert_eq!((code(&etc, Side::Theirs), code(&etc, Side::Ours)), (2, 1));
    // The real one takes a folder, and a loop, for no audit.
    let folder = Etc::without();
    fs::create_dir(folder.file()).unwrap();
    let endless = Etc::without();
    symlink("audit.yaml", endless.file()).unwrap();
    for etc in [folder, endless] {
        assert_eq!((code(&etc, Side::Theirs), code(&etc, Side::Ours)), (0, 1));
        let run = etc.run(&world, Side::Ours, &["decrypt", "e.yaml"], &[]);
        assert!(run.out.is_empty() && run.err.contains("/etc/sops/audit.yaml: "), "{}", run.err);
    }
    let large = Etc::with(format!("# {}\n", "x".repeat(64 << 10)));
    assert_eq!((code(&large, Side::Theirs), code(&large, Side::Ours)), (0, 1));
}

/// No variable leads around the audit, and what opens no file needs no database.
#[test]
fn only_what_opens_no_file_works_without_the_database() {
    let world = World::new();
    encrypted(&world);
    let etc = Etc::new(&["postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable"]);
    // The real one fails in all of these.
    for line in [&["--version", "--disable-version-check"][..1], &["--help"]] {
        assert_eq!(etc.run(&world, Side::Ours, line, &[]).code, 0, "{line:?}");
    }
    for line in [&["explain", "e.yaml"][..], &["filestatus", "e.yaml"], &["--version"]] {
        assert_eq!(etc.sealops(&world, line).code, 0, "{line:?}");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_sealops"));
    for line in [&["verify", "e.yaml"][..], &["updatekeys", "e.yaml"], &["exec-env", "e.yaml", "--", "true"]]
    {
        let around = [("SOPS_AUDIT", "off"), ("PGHOST", "/nosuch"), ("AUDIT_CONFIG", "/dev/null")];
        let run = etc.run_program(&world, program, line, &[], &around);
        assert!(
            run.code == 1 && run.err.contains("cannot reach the server"),
            "{line:?} {} {}",
            run.code,
            run.err
        );
        without_password(&run.err);
    }
}
