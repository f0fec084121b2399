//! `edit`, when something goes wrong: the editor or we are killed. No plaintext stays, and no edit is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::stretched;

use super::world::{AGE_A, Outcome, Side, World, finish};

const CANARY: &str = "CANARY-90be";

/// A world with an encrypted file and a folder for plaintext in memory; an editor that edits, says so, and waits for its file
/// to go.
fn scene() -> (World, PathBuf) {
    let world = World::new();
    world.write("file.yaml", format!("a: {CANARY}\n"));
    world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "file.yaml"], &[]).ok();
    let run = tempfile::Builder::new().prefix("sealops-edit-test-").tempdir_in("/dev/shm").unwrap().keep();
    (world, run)
}

fn editor(world: &World, script: &str) -> PathBuf {
    let path = world.root().join("editor.sh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const WAITS: &str =
    "sed -i 's/a: /a: mine-/' \"$1\"; touch \"$HOME/edited\"\nwhile [ -e \"$1\" ]; do sleep 0.05; done";

fn edit(world: &World, run: &std::path::Path, script: &str) -> Command {
    let mut command = world.command(Side::Ours);
    command.args(["edit", "file.yaml"]).env("EDITOR", editor(world, script)).env("XDG_RUNTIME_DIR", run);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn plaintext_places(world: &World, run: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![run.to_owned(), world.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(CANARY) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// Starts an edit, waits until it is made, and sends a signal to us.
fn signalled(world: &World, run: &std::path::Path, signal: &str) -> Outcome {
    let mut child: Child = edit(world, run, WAITS).spawn().unwrap();
    let end = Instant::now() + stretched(Duration::from_secs(60));
    while !world.root().join("home/edited").exists() {
        assert!(Instant::now() < end && child.try_wait().unwrap().is_none(), "the editor has not begun");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(plaintext_places(world, run).len(), 1, "the editor's file, in memory");
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(status.success());
    let status = child.wait().unwrap();
    let mut err = String::new();
    if signal == "KILL" {
        // The editor lives on and holds the pipe.
        drop(child.stderr.take());
    } else {
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    }
    Outcome { code: status.code().unwrap_or(-1), out: Vec::new(), err }
}

fn assert_rescued(world: &World, before: &[u8]) {
    assert_eq!(world.read("file.yaml"), before, "the file is as it was");
    let rescued =
        world.files().into_keys().find(|name| name.ends_with(".rescued")).expect("the edit is saved");
    let text = world.run(Side::Ours, &["decrypt", &rescued], &[]).ok();
    assert_eq!(text, format!("a: mine-{CANARY}\n").as_bytes());
}

#[test]
fn signals_during_an_edit_leave_no_plaintext_and_lose_nothing() {
    for signal in ["INT", "TERM", "HUP"] {
        let (world, run) = scene();
        let before = world.read("file.yaml");
        let outcome = signalled(&world, &run, signal);
        assert_eq!(outcome.code, 1, "{signal}: {}", outcome.err);
        assert!(outcome.err.contains("your edit is saved"), "{signal}: {}", outcome.err);
        assert_eq!(plaintext_places(&world, &run), [""; 0], "{signal}");
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0, "{signal}: not even the folder");
        assert_rescued(&world, &before);
        fs::remove_dir_all(run).unwrap();
    }
}

#[test]
fn an_editor_that_is_killed_loses_nothing() {
    for end in ["kill -9 $$", "kill -15 $$", "exit 7"] {
        let (world, run) = scene();
        let before = world.read("file.yaml");
        let command = edit(&world, &run, &format!("sed -i 's/a: /a: mine-/' \"$1\"; {end}"));
        let outcome = finish(command, &[]);
        assert_eq!(outcome.code, 201, "{end}: {}", outcome.err);
        assert_eq!(plaintext_places(&world, &run), [""; 0], "{end}");
        assert_rescued(&world, &before);
        fs::remove_dir_all(run).unwrap();
    }
}

/// After SIGKILL nobody can clean up, but the next edit does; also while a third one is open.
#[test]
fn what_a_sigkill_leaves_goes_with_the_next_edit() {
    let (world, run) = scene();
    signalled(&world, &run, "KILL");
    assert_eq!(plaintext_places(&world, &run).len(), 1, "a killed process cleans nothing");
    let check = format!("ls {} | wc -l > \"$HOME/count\"", run.display());
    let outcome = finish(edit(&world, &run, &check), &[]);
    assert_eq!(outcome.code, 200, "{}", outcome.err);
    let count = fs::read_to_string(world.root().join("home/count")).unwrap();
    assert_eq!(count.trim(), "1", "only its own folder was there while the next one ran");
    assert_eq!(plaintext_places(&world, &run), [""; 0]);

    // One edit within the other: the outer one's folder stays.
    let inner = format!(
        "EDITOR=true \"{}\" edit file.yaml; test -e \"$1\" || exit 9",
        Side::Ours.program().display()
    );
    let outcome = finish(edit(&world, &run, &inner), &[]);
    assert_eq!(outcome.code, 200, "{}", outcome.err);
    fs::remove_dir_all(run).unwrap();
}

/// The folder for plaintext: XDG_RUNTIME_DIR if it is in memory, else /dev/shm; on a disk only with a warning.
#[test]
fn plaintext_goes_to_memory_first() {
    let (world, run) = scene();
    let place = "dirname \"$1\" > \"$HOME/place\"";
    let place_of = |variable: Option<&str>, prefix: &[&str]| {
        let mut command = match prefix {
            [] => world.command(Side::Ours),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                world.environment(&mut command);
                command.args(arguments).arg(Side::Ours.program());
                command
            }
        };
        command.args(["edit", "file.yaml"]).env("EDITOR", editor(&world, place)).stdin(Stdio::null());
        if let Some(variable) = variable {
            command.env("XDG_RUNTIME_DIR", variable);
        }
        let outcome = finish(command, &[]);
        assert_eq!(outcome.code, 200, "{}", outcome.err);
        (fs::read_to_string(world.root().join("home/place")).unwrap(), outcome.err)
    };
    let run_text = run.display().to_string();
    let (place, err) = place_of(Some(&run_text), &[]);
    assert!(place.starts_with(&run_text) && !err.contains("disk"), "{place} {err}");
    for variable in [None, Some("/proc"), Some("/nonexistent"), Some("relative")] {
        let (place, err) = place_of(variable, &[]);
        assert!(
            place.starts_with("/dev/shm/sealops-plain-") && !err.contains("disk"),
            "{variable:?}: {place} {err}"
        );
    }
    // Nothing in memory: another file system lies over /dev/shm, and TMPDIR is on none either.
    let hide = "mount --bind /proc /dev/shm && TMPDIR=\"$PLACE\" exec \"$@\"";
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let hide = hide.replace("$PLACE", &disk.path().display().to_string());
    let (place, err) = place_of(None, &["unshare", "-r", "-m", "sh", "-c", &hide, "sh"]);
    assert!(place.starts_with(&*disk.path().to_string_lossy()), "{place}");
    assert!(err.contains("the text is on a disk while you edit"), "{err}");
    fs::remove_dir_all(run).unwrap();
}
