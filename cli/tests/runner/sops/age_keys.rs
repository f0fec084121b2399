//! Keys that ask: a plugin, SSH keys and identity files under passphrases. The real age and the real sops are the judges.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::world::{AGE_A, Outcome, Side, World, finish, identity};
use crate::terminal::Terminal;

const RECIPIENT: &str = "age1toy1wfjkx6tsd9jkuaq8kuvrh";
const IDENTITY: &str = "AGE-PLUGIN-TOY-1D9JX2MN5D968JT7Z92Z";

/// A plugin (protocol of C2SP's age-plugin) that locks nothing: a file key stands in its stanza. With TOY_PIN it asks before it
/// opens.
const PLUGIN: &str = r#"#!/bin/sh
stanza() {
  IFS= read -r head || exit 1
  body=
  while IFS= read -r line; do body=$body$line; [ ${#line} -lt 64 ] && break; done
}
say() { printf '%s\n' "-> $1" "$2"; }
ask() { say "$@"; stanza; }
text() { printf %s "$1" | base64 | tr -d =; }
key=
while stanza; do
  case $head in
    "-> wrap-file-key"* | "-> recipient-stanza 0 toy"*) key=$body ;;
    "-> done"*) break ;;
  esac
done
case $1 in
  --age-plugin=recipient-v1) ask "recipient-stanza 0 toy" "$key" ;;
  --age-plugin=identity-v1)
    if [ -n "$TOY_PIN" ]; then
      ask request-secret "$(text 'PIN of the toy')"
      [ "$body" = "$(text "$TOY_PIN")" ] || key=
    fi
    [ -z "$key" ] || ask "file-key 0" "$key" ;;
esac
say done ""
"#;

fn world() -> World {
    let world = World::new();
    fs::create_dir(world.root().join("bin")).unwrap();
    let plugin = world.root().join("bin/age-plugin-toy");
    fs::write(&plugin, PLUGIN).unwrap();
    fs::set_permissions(plugin, fs::Permissions::from_mode(0o755)).unwrap();
    world.write("a.yaml", "a: value of a\n");
    world
}

fn path(world: &World) -> String {
    format!("{}:/usr/bin:/bin", world.root().join("bin").display())
}

fn encrypt(world: &World, side: Side, recipient: &str) {
    let mut command = world.command(side);
    command.env("PATH", path(world)).args(["encrypt", "--age", recipient, "--output-type", "json", "a.yaml"]);
    let text = finish(command, &[]).ok();
    world.write("a.json", text);
}

fn decrypt(world: &World, side: Side, variables: &[(&str, &str)]) -> Outcome {
    let mut command = world.command(side);
    command.env("PATH", path(world)).env_remove("SOPS_AGE_KEY_FILE").envs(variables.iter().copied());
    command.args(["decrypt", "a.json"]);
    finish(command, &[])
}

/// Types into `sops decrypt a.json`, ours.
fn decrypt_on_terminal(
    world: &World,
    variables: &[(&str, &str)],
    question: &str,
    line: &str,
) -> (i32, String) {
    let command = format!("'{}' decrypt a.json", Side::Ours.program().display());
    let mut terminal = Terminal::start(&command, |command| {
        world.environment(command);
        command.env("PATH", path(world)).env_remove("SOPS_AGE_KEY_FILE").envs(variables.iter().copied());
    });
    terminal.answer(question, line);
    terminal.finish()
}

/// Opens the wrapped data key of the file with the real age.
fn judge(world: &World, identity_file: &Path) {
    let file: Value = serde_json::from_slice(&world.read("a.json")).unwrap();
    let wrapped = file["sops"]["age"][0]["enc"].as_str().unwrap().as_bytes().to_vec();
    let mut command = Command::new("age");
    world.environment(&mut command);
    command.env("PATH", path(world)).args(["--decrypt", "--identity"]).arg(identity_file);
    assert_eq!(finish(command, &wrapped).ok().len(), 32, "a data key");
}

#[test]
fn a_plugin_wraps_and_opens_for_both() {
    let world = world();
    let file = world.root().join("home/toy.txt");
    fs::write(&file, format!("# the toy\n{IDENTITY}\n")).unwrap();
    for writer in [Side::Ours, Side::Theirs] {
        encrypt(&world, writer, RECIPIENT);
        judge(&world, &file);
        for reader in [Side::Ours, Side::Theirs] {
            for variables in [("SOPS_AGE_KEY", IDENTITY), ("SOPS_AGE_KEY_FILE", file.to_str().unwrap())] {
                let run = decrypt(&world, reader, &[variables]);
                assert!(run.code == 0 && run.out.starts_with(b"{"), "{writer:?} {reader:?}: {}", run.err);
            }
        }
    }
    // Without the program.
    let run = decrypt(&world, Side::Ours, &[("SOPS_AGE_KEY", IDENTITY), ("PATH", "/usr/bin:/bin")]);
    assert!(run.code == 128 && run.err.contains("age-plugin-toy"), "{} {}", run.code, run.err);
}

#[test]
fn a_plugin_asks_on_the_terminal() {
    let world = world();
    encrypt(&world, Side::Ours, RECIPIENT);
    let variables = [("SOPS_AGE_KEY", IDENTITY), ("TOY_PIN", "1357-geheim")];
    let (code, shown) = decrypt_on_terminal(&world, &variables, "PIN of the toy", "1357-geheim");
    assert!(code == 0 && shown.contains("value of a") && !shown.contains("1357"), "{code} {shown}");
    let (code, shown) = decrypt_on_terminal(&world, &variables, "PIN of the toy", "2468-falsch");
    assert!(code == 128 && !shown.contains("value of a") && !shown.contains("2468"), "{code} {shown}");
}

fn ssh_key(world: &World, kind: &[&str], passphrase: &str) -> (String, String) {
    let file = world.root().join("home").join(format!("{}-{}", kind[0], passphrase.len()));
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-a", "1", "-C", "", "-N", passphrase, "-f"]).arg(&file).arg("-t").args(kind);
    finish(command, &[]).ok();
    let public = fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_owned();
    (file.display().to_string(), public)
}

#[test]
fn ssh_keys_with_and_without_a_passphrase() {
    for kind in [&["ed25519"][..], &["rsa", "-b", "2048"]] {
        let world = world();
        let (open, public) = ssh_key(&world, kind, "");
        for writer in [Side::Ours, Side::Theirs] {
            encrypt(&world, writer, &public);
            judge(&world, Path::new(&open));
            for reader in [Side::Ours, Side::Theirs] {
                decrypt(&world, reader, &[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", &open)]).ok();
            }
        }
        let (locked, public) = ssh_key(&world, kind, "geheimes-wort");
        encrypt(&world, Side::Theirs, &public);
        let variables = [("SOPS_AGE_SSH_PRIVATE_KEY_FILE", locked.as_str())];
        let (code, shown) = decrypt_on_terminal(&world, &variables, "Enter passphrase for", "geheimes-wort");
        assert!(code == 0 && shown.contains("value of a") && !shown.contains("geheimes"), "{code} {shown}");
        let (code, shown) = decrypt_on_terminal(&world, &variables, "Enter passphrase for", "falsches-wort");
        assert!(
            code == 128 && !shown.contains("value of a") && !shown.contains("falsches"),
            "{code} {shown}"
        );
    }
}

#[test]
fn an_identity_file_under_a_passphrase() {
    let world = world();
    let (plain, locked) = (world.root().join("home/plain.txt"), world.root().join("home/locked.age"));
    fs::write(&plain, identity("a")).unwrap();
    let line = format!("age --passphrase --output '{}' '{}'", locked.display(), plain.display());
    let mut terminal = Terminal::start(&line, |command| world.environment(command));
    terminal.answer("Enter passphrase", "geheimes-wort");
    terminal.answer("Confirm passphrase", "geheimes-wort");
    assert_eq!(terminal.finish().0, 0);
    fs::remove_file(plain).unwrap();
    encrypt(&world, Side::Theirs, AGE_A);
    let variables = [("SOPS_AGE_KEY_FILE", locked.to_str().unwrap())];
    let (code, shown) =
        decrypt_on_terminal(&world, &variables, "Enter passphrase for identity", "geheimes-wort");
    assert!(code == 0 && shown.contains("value of a") && !shown.contains("geheimes"), "{code} {shown}");
    let (code, shown) =
        decrypt_on_terminal(&world, &variables, "Enter passphrase for identity", "falsches-wort");
    assert!(code == 128 && !shown.contains("value of a") && !shown.contains("falsches"), "{code} {shown}");
}

/// `keys export` takes every kind of recipient; the real age opens what the kinds that it knows are for.
#[test]
fn backups_of_sealing_keys_are_for_every_kind_of_recipient() {
    let world = world();
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/keys/");
    let encoded =
        |name: &str| sealops_formats::base64::encode_public(&fs::read(format!("{keys}{name}")).unwrap());
    world.write(
        "keys.yaml",
        format!(
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: one, namespace: kube-system}}\n\
             data: {{tls.key: {}, tls.crt: {}}}\n",
            encoded("interop-2048.key"),
            encoded("interop-2048.crt")
        ),
    );
    let (ssh, ssh_public) = ssh_key(&world, &["ed25519"], "");
    let (rsa, rsa_public) = ssh_key(&world, &["rsa", "-b", "2048"], "");
    let toy = world.root().join("home/toy.txt");
    fs::write(&toy, IDENTITY).unwrap();
    let toy = toy.to_str().unwrap();
    let sealops = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
        world.environment(&mut command);
        command.env("PATH", path(&world)).args(arguments);
        finish(command, &[])
    };
    let line = ["keys", "export", "--key", "keys.yaml", "-o", "b.age"];
    let recipients = ["-r", &ssh_public, "-r", &rsa_public, "-r", RECIPIENT, "-r", AGE_A];
    sealops(&[&line[..], &recipients[..]].concat()).ok();
    for (number, identity) in [ssh.as_str(), rsa.as_str(), toy, "../home/keys.txt"].into_iter().enumerate() {
        let folder = format!("out{number}");
        sealops(&["keys", "import", "b.age", "-i", identity, "-o", &folder]).ok();
        assert!(world.path(&folder).join("one.yaml").exists());
        let mut command = Command::new("age");
        world.environment(&mut command);
        command.env("PATH", path(&world)).args(["--decrypt", "--identity", identity, "b.age"]);
        let text = String::from_utf8(finish(command, &[]).ok()).unwrap();
        assert!(text.contains("kind: List\n") && text.contains("tls.key"));
    }
    // Under a passphrase: asked for on the terminal.
    let (locked, public) = ssh_key(&world, &["ed25519"], "geheimes-wort");
    sealops(&["keys", "export", "--key", "keys.yaml", "-o", "c.age", "-r", &public]).ok();
    let command = format!("'{}' keys import c.age -i '{locked}' -o locked", env!("CARGO_BIN_EXE_sealops"));
    let mut terminal = Terminal::start(&command, |command| world.environment(command));
    terminal.answer("Enter passphrase for", "geheimes-wort");
    let (code, shown) = terminal.finish();
    assert!(
        code == 0 && !shown.contains("geheimes") && world.path("locked/one.yaml").exists(),
        "{code} {shown}"
    );
    let run = sealops(&["keys", "export", "--key", "keys.yaml", "-r", "age1nonsense"]);
    assert!(run.code == 2 && run.err.contains("this is not an age recipient"), "{}", run.err);
}
