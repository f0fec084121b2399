//! `/etc/sops/audit.yaml` as it should not be, and which commands do without its databases.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Etc, encrypted, without_password};
use crate::sops::world::{Side, World};

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
