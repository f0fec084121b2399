//! `exec-env` and `exec-file` as another user.

use std::process::Command;

use super::world::{AGE_A, Side, World};

/// Whether this process may take another user's identity: root of the machine may, root of a user namespace may not.
fn may_become_nobody() -> bool {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "true"]);
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_command_runs_as_another_user_with_nothing_of_ours() {
    let world = World::new();
    world.write("a.yaml", "KEY: value\n");
    world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "a.yaml"], &[]).ok();
    let show = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME $KEY";
    let run = world.run(Side::Ours, &["exec-env", "--user", "nobody", "a.yaml", show], &[]);
    let file = world.run(Side::Ours, &["exec-file", "--user", "nobody", "a.yaml", "id -u; cat {}"], &[]);
    if may_become_nobody() {
        let text = String::from_utf8(run.ok()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[3]), ("65534", "/nonexistent nobody nobody value"), "{text}");
        assert!(lines[1] == lines[2] && lines[1] != "0", "the user's groups and none of ours: {text}");
        assert_eq!(file.ok(), b"65534\nKEY: value\n", "the pipe is the user's own");
    } else {
        for run in [run, file] {
            assert_eq!(run.code, 1, "{}", run.err);
            assert!(run.err.contains("cannot become nobody") && run.out.is_empty(), "{}", run.err);
        }
    }
    for verb in ["exec-env", "exec-file"] {
        let ours = world.run(Side::Ours, &[verb, "--user", "no-such-user", "a.yaml", "true"], &[]);
        let theirs = world.run(Side::Theirs, &[verb, "--user", "no-such-user", "a.yaml", "true"], &[]);
        assert_eq!((ours.code, theirs.code), (1, 1), "{} {}", ours.err, theirs.err);
        let text = "unknown user no-such-user";
        assert!(ours.err.contains(text) && theirs.err.contains(text), "{} {}", ours.err, theirs.err);
    }
}
