//! The verbs of `sealops`: what they do beyond sops.

use std::process::Command;

use super::world::{AGE_A, AGE_B, AGE_C, Outcome, World, finish};

fn sealops(world: &World, line: &[&str], stdin: &str) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
    world.environment(&mut command);
    command.args(line);
    finish(command, stdin.as_bytes())
}

fn repository(count: usize) -> World {
    let world = World::new();
    world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A}\n"));
    for number in 0..count {
        world.write(&format!("deep/f{number}.yaml"), format!("a: {number}\n"));
    }
    let names: Vec<String> = (0..count).map(|number| format!("deep/f{number}.yaml")).collect();
    let mut line = vec!["encrypt", "-i"];
    line.extend(names.iter().map(String::as_str));
    let run = sealops(&world, &line, "");
    assert!(run.code == 0 && run.err.contains(&format!("{count} files encrypted")), "{}", run.err);
    world
}

#[test]
fn verifies_files_and_folders_without_showing_them() {
    let world = repository(5);
    world.write("deep/plain.yaml", "not: encrypted\n");
    let run = sealops(&world, &["verify", "deep"], "");
    assert!(
        run.code == 0 && run.out.is_empty() && run.err.contains("5 files verified, 0 failed"),
        "{}",
        run.err
    );
    let broken = String::from_utf8(world.read("deep/f0.yaml")).unwrap().replace("data:", "data:AAAA");
    world.write("deep/f0.yaml", broken);
    let run = sealops(&world, &["verify", "--json", "deep"], "");
    assert_eq!(run.code, 25, "{}", run.err);
    let verdicts: serde_json::Value = serde_json::from_slice(&run.out).unwrap();
    let failed: Vec<_> =
        verdicts.as_array().unwrap().iter().filter(|verdict| verdict["status"] == "failed").collect();
    assert!(failed.len() == 1 && failed[0]["file"] == "deep/f0.yaml", "{verdicts}");
    let run = sealops(&world, &["verify", "deep/plain.yaml"], "");
    assert!(run.code == 1 && run.err.contains("sops metadata not found"), "{}", run.err);
    assert_eq!(sealops(&world, &["verify", "missing.yaml"], "").code, 2);
    std::fs::create_dir(world.path("none")).unwrap();
    assert_eq!(sealops(&world, &["verify", "none"], "").code, 1, "nothing verified is no success");
}

#[test]
fn updates_keys_of_many_files_with_one_summary() {
    let world = repository(6);
    world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A},{AGE_C}\n"));
    let before = world.files();
    let run = sealops(&world, &["updatekeys", "deep"], "");
    assert!(run.code == 1 && run.err.contains("6 out of date") && run.err.contains("--yes"), "{}", run.err);
    assert_eq!(world.files(), before);
    let run = sealops(&world, &["updatekeys", "--yes", "--json", "deep"], "");
    assert!(run.code == 0 && run.err.contains("6 updated, 0 up to date"), "{}", run.err);
    let reports: serde_json::Value = serde_json::from_slice(&run.out).unwrap();
    assert!(reports.as_array().unwrap().iter().all(|report| report["added"][0] == AGE_C), "{reports}");
    let run = sealops(&world, &["updatekeys", "deep"], "");
    assert!(run.code == 0 && run.err.contains("6 up to date"), "{}", run.err);
}

#[test]
fn sets_from_stdin_and_runs_without_a_shell() {
    let world = World::new();
    world.write("a.env", "KEY=one\n");
    sealops(&world, &["encrypt", "-i", "--age", AGE_A, "a.env"], "").ok();
    sealops(&world, &["set", "--text", "a.env", "[\"KEY\"]"], "two $HOME").ok();
    let run = sealops(&world, &["set", "--text", "a.env", "[\"KEY\"]"], "two $HOME");
    assert!(run.code == 0 && run.err.contains("nothing to change"), "{}", run.err);
    let run = sealops(&world, &["exec-env", "a.env", "--", "/usr/bin/printenv", "KEY"], "");
    assert_eq!(run.ok(), b"two $HOME\n");
    let run = sealops(&world, &["exec-file", "--no-fifo", "a.env", "--", "/bin/cat", "{}"], "");
    assert_eq!(run.ok(), b"KEY=two $HOME\n");
}

#[test]
fn rules_are_searched_from_the_files_folder() {
    let world = World::new();
    world.write("there/.sops.yaml", format!("creation_rules:\n    - age: {AGE_B}\n"));
    world.write("there/a.yaml", "a: 1\n");
    let run = sealops(&world, &["encrypt", "there/a.yaml"], "");
    assert!(String::from_utf8(run.ok()).unwrap().contains(AGE_B));
}

#[test]
fn plaintext_is_kept_out_of_git() {
    let world = World::new();
    std::fs::create_dir(world.path(".git")).unwrap();
    world.write("a.yaml", "a: 1\n");
    sealops(&world, &["encrypt", "-i", "--age", AGE_A, "a.yaml"], "").ok();
    let run = sealops(&world, &["decrypt", "-i", "a.yaml"], "");
    assert!(run.code == 1 && run.err.contains("--force"), "{}", run.err);
    sealops(&world, &["decrypt", "-i", "--force", "a.yaml"], "").ok();
}
