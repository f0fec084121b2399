//! B6 F32: a signal in the middle of a command for many files.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::stretched;

use super::world::{AGE_A, AGE_C, Outcome, World, finish, is_encrypted};

/// Enough that the signal comes long before the end.
const FILES: usize = 400;

fn names() -> Vec<String> {
    (0..FILES).map(|number| format!("d/f{number:03}.yaml")).collect()
}

fn sealops(world: &World, line: &[&str], files: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
    world.environment(&mut command);
    command.env("XDG_STATE_HOME", world.root().join("state")).args(line).args(files);
    command
}

fn journals(world: &World) -> Vec<String> {
    let folder = world.root().join("state/sealops");
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

/// Starts a command, waits until it is in the middle, sends a signal, and waits for the end.
fn interrupt(mut command: Command, signal: &str, in_the_middle: impl Fn() -> bool) -> Outcome {
    let mut child: Child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + stretched(Duration::from_secs(60));
    while !in_the_middle() {
        assert!(Instant::now() < end && child.try_wait().unwrap().is_none(), "it was never in the middle");
        thread::sleep(Duration::from_millis(1));
    }
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap();
    before.trim_end().rsplit([' ', '\n']).next().unwrap().parse().unwrap_or_else(|_| panic!("{word}: {text}"))
}

fn contents(world: &World) -> BTreeMap<String, Vec<u8>> {
    let files = world.files().into_iter().filter(|(name, _)| name.starts_with("d/f"));
    files.map(|(name, (_, content))| (name, content)).collect()
}

fn plain_world() -> World {
    let world = World::new();
    for (number, name) in names().iter().enumerate() {
        world.write(name, format!("a: value {number}\n"));
    }
    world
}

fn assert_values(world: &World) {
    let run = finish(sealops(world, &["verify", "d"], &[]), b"");
    assert!(run.code == 0 && run.err.contains(&format!("{FILES} files verified")), "{}", run.err);
    for number in [0, FILES / 2, FILES - 1] {
        let run = finish(sealops(world, &["decrypt"], &names()[number..=number]), b"");
        assert_eq!(run.ok(), format!("a: value {number}\n").as_bytes());
    }
}

/// Interrupts, looks at what is there, and goes on.
fn scene(world: &World, line: &[&str], word: &str, signal: &str, code: i32, whole: fn(&[u8]) -> bool) {
    let before = contents(world);
    let begun = || journals(world).iter().any(|journal| journal.lines().count() >= 5);
    let run = interrupt(sealops(world, line, &names()), signal, begun);
    assert_eq!(run.code, code, "{}", run.err);
    let (done, left) =
        (number_before(&run.err, &format!("files {word}")), number_before(&run.err, "not begun"));
    assert_eq!(done + left, FILES, "{}", run.err);
    assert!(done >= 5 && left > 0 && run.err.contains("--resume"), "{}", run.err);
    let middle = contents(world);
    assert_eq!(middle.len(), FILES, "no file is lost");
    assert_eq!(world.files().len(), before.len() + 1, "and nothing is left beside them");
    let changed = middle.iter().filter(|(name, content)| **content != before[*name]);
    let mut count = 0;
    for (name, content) in changed {
        count += 1;
        assert!(whole(content), "{name}");
    }
    assert_eq!(count, done);
    for journal in journals(world) {
        assert!(!journal.contains("value"), "names, sizes and times only: {journal}");
    }

    let mut resume = line.to_vec();
    resume.push("--resume");
    let run = finish(sealops(world, &resume, &names()), b"");
    assert!(
        run.code == 0 && run.err.contains(&format!("{left} files {word}, {done} done before")),
        "{}",
        run.err
    );
    let after = contents(world);
    for (name, content) in &middle {
        assert_eq!(*content == after[name], *content != before[name], "{name}: each file is changed once");
    }
    assert!(journals(world).is_empty(), "nothing is left to resume");
}

#[test]
fn f32_encrypt_rotate_and_decrypt_end_cleanly_and_go_on() {
    let world = plain_world();
    scene(&world, &["encrypt", "-i", "--age", AGE_A], "encrypted", "TERM", 143, is_encrypted);
    assert_values(&world);
    scene(&world, &["rotate", "-i"], "rotated", "INT", 130, is_encrypted);
    assert_values(&world);
    scene(&world, &["decrypt", "-i"], "decrypted", "HUP", 129, |content| content.starts_with(b"a: value "));
    for (number, name) in names().iter().enumerate() {
        assert_eq!(world.read(name), format!("a: value {number}\n").as_bytes());
    }
}

#[test]
fn f32_a_file_that_was_touched_since_is_done_again() {
    let world = plain_world();
    finish(sealops(&world, &["encrypt", "-i", "--age", AGE_A], &names()), b"").ok();
    world.write("d/f007.yaml", "not: encrypted\n");
    let few = &names()[..20];
    let run = finish(sealops(&world, &["rotate", "-i"], few), b"");
    assert!(run.code == 1 && run.err.contains("19 files rotated, 1 failed"), "{}", run.err);
    // Mended, and one of the others rotated once more by hand.
    world.write("d/f007.yaml", "a: value 7\n");
    finish(sealops(&world, &["encrypt", "-i", "--age", AGE_A], &few[7..8]), b"").ok();
    finish(sealops(&world, &["rotate", "-i"], &few[3..4]), b"").ok();
    let other = finish(sealops(&world, &["rotate", "-i", "--resume", "--ignore-mac"], few), b"");
    assert!(other.err.contains("20 files rotated\n"), "another command has another journal: {}", other.err);
    let run = finish(sealops(&world, &["rotate", "-i", "--resume"], few), b"");
    assert!(run.code == 0 && run.err.contains("20 files rotated\n"), "every file was touched: {}", run.err);
}

#[test]
fn f32_updatekeys_ends_cleanly_and_goes_on_by_itself() {
    let world = plain_world();
    finish(sealops(&world, &["encrypt", "-i", "--age", AGE_A], &names()), b"").ok();
    world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A},{AGE_C}\n"));
    let updated = || {
        contents(&world).values().filter(|content| String::from_utf8_lossy(content).contains(AGE_C)).count()
    };
    let run = interrupt(sealops(&world, &["updatekeys", "--yes", "d"], &[]), "INT", || updated() >= 3);
    assert_eq!(run.code, 130, "{}", run.err);
    let (done, left) = (number_before(&run.err, "updated,"), number_before(&run.err, "not begun"));
    assert!(done + left == FILES && left > 0 && updated() == done, "{}", run.err);
    let run = finish(sealops(&world, &["updatekeys", "--yes", "d"], &[]), b"");
    assert!(run.err.contains(&format!("{left} updated, {done} up to date")), "{}", run.err);
    assert_eq!(updated(), FILES);
    assert_values(&world);
}
