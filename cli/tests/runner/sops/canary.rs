//! A known plaintext goes through every command and error, and comes out only where it was asked for.

use super::world::{AGE_A, AGE_C, Side, World};

const CANARY: &str = "CANARY-e2b94f07";

fn leaks(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

#[test]
fn nothing_leaks_from_the_commands_of_sops() {
    let world = World::new();
    for (name, text) in [
        ("a.yaml", format!("k: {CANARY}\nl:\n    # {CANARY}\n    - {CANARY}\n")),
        ("a.json", format!("{{\"k\": \"{CANARY}\"}}")),
        ("a.env", format!("k={CANARY}\n# {CANARY}\n")),
        ("a.ini", format!("[s]\nk = {CANARY}\n")),
        ("a.bin", format!("{CANARY}\n")),
    ] {
        world.reset();
        world.write(name, &text);
        world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A},{AGE_C}\n"));
        world.write("value.json", format!("\"{CANARY}-new\""));
        let editor = format!("sed -i s/{CANARY}/{CANARY}-edited/");
        let lines = [
            vec!["encrypt", "-i", "--age", AGE_A, name],
            vec!["encrypt", "-i", name],
            vec!["filestatus", name],
            vec!["set", "--value-file", name, "[\"k\"]", "value.json"],
            vec!["edit", name],
            vec!["rotate", "-i", "--add-age", AGE_C, name],
            vec!["updatekeys", "-y", name],
            vec!["groups", "add", "-i", "-f", name, "--age", AGE_C],
            vec!["decrypt", "--output-type", "nosuch", "--extract", "[\"no\"]", name],
            vec!["unset", name, "[\"nosuch\"]"],
            vec!["exec-env", name, "true"],
            vec!["exec-file", name, "cat {} > /dev/null"],
            vec!["unset", name, "[\"k\"]"],
        ];
        for line in lines {
            let mut command = world.command(Side::Ours);
            command.args(&line).env("EDITOR", &editor);
            let run = super::world::finish(command, &[]);
            assert!(!leaks(&run.out) && !leaks(run.err.as_bytes()), "{line:?}: {}", run.err);
            let left = world.files().into_iter().chain(world.temporary());
            for (file, (_, content)) in left.filter(|(file, _)| file != "value.json") {
                assert!(!leaks(&content), "{line:?} leaves plaintext in {file}");
            }
        }
        // What is asked for is shown.
        world.reset();
        world.write(name, &text);
        world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, name], &[]).ok();
        assert!(leaks(&world.run(Side::Ours, &["decrypt", name], &[]).ok()), "{name}");
    }
}

/// An edit that cannot be encrypted is neither lost nor left readable.
#[test]
fn an_edit_that_does_not_parse_is_saved_encrypted() {
    let world = World::new();
    world.write("a.yaml", "k: one\n");
    world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "a.yaml"], &[]).ok();
    let before = world.read("a.yaml");
    let mut command = world.command(Side::Ours);
    command.args(["edit", "a.yaml"]).env("EDITOR", format!("sed -i s/one/[{CANARY}/"));
    let run = super::world::finish(command, &[]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains("your edit is saved") && !run.err.contains(CANARY), "{}", run.err);
    assert_eq!(world.read("a.yaml"), before);
    let rescued: Vec<_> = world.files().into_iter().filter(|(name, _)| name.ends_with(".rescued")).collect();
    let [(name, (mode, content))] = rescued.as_slice() else { panic!("{rescued:?}") };
    assert!(*mode == 0o600 && !leaks(content));
    assert_eq!(world.run(Side::Theirs, &["decrypt", name], &[]).ok(), format!("k: [{CANARY}\n").into_bytes());
    assert!(world.temporary().is_empty());
}
