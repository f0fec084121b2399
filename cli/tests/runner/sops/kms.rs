//! Keys in AWS KMS: moto stands in for AWS, the real sops judges.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sealops_testenv::{Moto, OpenBaoServer, Recorder};

use super::fixtures::{PGP, fixtures};
use super::network_keys::{Key, operations_both_ways, two_of_three};
use super::world::{AGE_A, AGE_B, BOTH, Outcome, Side, World, finish, unbroken};

pub(super) const REGION: &str = "eu-west-1";
pub(super) const SECRET: &str = "CANARY-secret-key-7c1f";
const SESSION: &str = "CANARY-session-token-90aa";

pub(super) struct Cloud {
    pub(super) moto: Moto,
    pub(super) recorder: Recorder,
}

impl Cloud {
    pub(super) fn start(delay: Duration) -> Self {
        Self::start_with(&[], delay)
    }

    fn start_with(variables: &[(&str, &str)], delay: Duration) -> Self {
        let moto = Moto::start_with_env(variables).unwrap();
        let recorder = Recorder::start(moto.address(), delay);
        Self { moto, recorder }
    }

    pub(super) fn new_key(&self) -> String {
        let answer = self.moto.call("kms", REGION, "TrentService.CreateKey", "{}").unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    /// A command with credentials that nothing else in the environment has.
    pub(super) fn environment(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", self.recorder.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_SESSION_TOKEN", SESSION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("RUST_LOG", "trace");
    }

    pub(super) fn run(&self, world: &World, side: Side, line: &[&str]) -> Outcome {
        let mut command = world.command(side);
        self.environment(&mut command);
        let editor = "sed -i s/three/four/";
        command.args(line).env("EDITOR", editor);
        shown(finish(command, &[]))
    }

    fn sealops(&self, world: &World, line: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
        world.environment(&mut command);
        self.environment(&mut command);
        command.args(line);
        shown(finish(command, &[]))
    }
}

/// No credential in anything that is shown, at any level.
fn shown(outcome: Outcome) -> Outcome {
    let out = String::from_utf8_lossy(&outcome.out);
    for secret in [SECRET, SESSION] {
        assert!(!outcome.err.contains(secret) && !out.contains(secret), "{}", outcome.err);
    }
    outcome
}

fn five_operations(cloud: &Cloud, world: &World, key: &str, flags: &[&str]) {
    let key = Key { flags: &[&["--kms", key], flags].concat(), rule: format!("kms: {key}"), mark: REGION };
    operations_both_ways(world, &key, &|side, line| cloud.run(world, side, line), &|| {});
}

#[test]
fn five_operations_both_ways_by_kms() {
    let cloud = Cloud::start(Duration::ZERO);
    let key = cloud.new_key();
    let world = World::new();
    five_operations(&cloud, &world, &key, &[]);
    five_operations(&cloud, &world, &key, &["--encryption-context", "app:web,stage:prod"]);
    // A role: the session has sops's name, whoever asks.
    let with_role = format!("{key}+arn:aws:iam::123456789012:role/sops");
    cloud.recorder.forget();
    five_operations(&cloud, &world, &with_role, &[]);
    let asked = cloud.recorder.count("Action=AssumeRole&");
    assert!(asked > 0 && asked == cloud.recorder.count("RoleSessionName=sops%40"), "{asked}");
    // A profile is asked before the environment, by both.
    let folder = world.root().join("home/.aws");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("credentials"),
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = CANARY-secret-key-7c1f\n",
    )
    .unwrap();
    cloud.recorder.forget();
    for (writer, reader) in BOTH {
        world.write("a.yaml", "a: one\n");
        cloud.run(&world, writer, &["encrypt", "-i", "--kms", &key, "--aws-profile", "work", "a.yaml"]).ok();
        assert_eq!(cloud.run(&world, reader, &["decrypt", "a.yaml"]).ok(), b"a: one\n");
    }
    let signed = |id: &str| cloud.recorder.count(&format!("Credential={id}/"));
    assert_eq!((signed("AKIDWORK"), signed("AKIDTEST")), (4, 0));
}

#[test]
fn a_wrong_context_opens_nothing() {
    let cloud = Cloud::start(Duration::ZERO);
    let key = cloud.new_key();
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    let line = ["encrypt", "-i", "--kms", &key, "--encryption-context", "app:web", "a.yaml"];
    cloud.run(&world, Side::Ours, &line).ok();
    let text = String::from_utf8(world.read("a.yaml")).unwrap();
    let changed = text.replace("app: web", "app: other");
    assert_ne!(text, changed);
    world.write("a.yaml", &changed);
    for side in [Side::Ours, Side::Theirs] {
        let run = cloud.run(&world, side, &["decrypt", "a.yaml"]);
        assert!(run.code == 128 && run.out.is_empty(), "{side:?} {}: {}", run.code, run.err);
        assert!(run.err.contains(&format!("{key}|app:other: FAILED")), "{}", run.err);
        assert!(run.err.contains("InvalidCiphertextException"), "{}", run.err);
        let reason = unbroken(&run.err);
        assert!(reason.contains("failed to decrypt sops data key with AWS KMS:"), "{reason}");
    }
    // The bug of sops before 3.3.0: every entry had the value of one.
    world.write("b.yaml", "a: one\n");
    let line = ["encrypt", "-i", "--kms", &key, "--encryption-context", "app:web,stage:web", "b.yaml"];
    cloud.run(&world, Side::Theirs, &line).ok();
    let text = String::from_utf8(world.read("b.yaml")).unwrap().replace("stage: web", "stage: prod");
    assert!(text.contains("stage: prod"));
    world.write("b.yaml", text);
    assert_eq!(cloud.run(&world, Side::Ours, &["decrypt", "b.yaml"]).ok(), b"a: one\n");
}

#[test]
fn groups_of_age_pgp_and_kms_need_two_of_three() {
    let cloud = Cloud::start(Duration::ZERO);
    let key = cloud.new_key();
    let world = World::new().with_gnupg(&fixtures().gnupg);
    let locked_out = |side| {
        let mut command = world.command(side);
        command.args(["decrypt", "a.yaml"]).env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y");
        finish(command, &[])
    };
    let run = |side, line: &[&str]| cloud.run(&world, side, line);
    let asked = || cloud.recorder.count("TrentService");
    two_of_three(&world, &format!("kms:\n            - arn: {key}"), &run, &locked_out, &asked);
}

#[test]
fn groups_of_four_kinds_need_any_two() {
    let cloud = Cloud::start(Duration::ZERO);
    let vault = OpenBaoServer::start().unwrap();
    vault.put("sys/mounts/transit", &serde_json::json!({ "type": "transit" })).unwrap();
    vault.put("transit/keys/one", &serde_json::json!({})).unwrap();
    let (key, uri) = (cloud.new_key(), format!("{}/v1/transit/keys/one", vault.url()));
    let world = World::new().with_gnupg(&fixtures().gnupg);
    let without_gnupg = World::new();
    world.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n    - shamir_threshold: 2\n      key_groups:\n        - age: [{AGE_B}]\n        - pgp: [{PGP}]\n\
             \x20       - kms:\n            - arn: {key}\n        - hc_vault: ['{uri}']\n"
        ),
    );
    let decrypt = |world: &World, side, token: &str| {
        let mut command = world.command(side);
        cloud.environment(&mut command);
        command.args(["decrypt", "a.yaml"]).env("VAULT_TOKEN", token);
        shown(finish(command, &[]))
    };
    for (writer, reader) in BOTH {
        world.write("a.yaml", "a: one\n");
        let mut command = world.command(writer);
        cloud.environment(&mut command);
        command.args(["encrypt", "-i", "a.yaml"]).env("VAULT_TOKEN", vault.root_token());
        shown(finish(command, &[])).ok();
        // PGP and a network key; two network keys; one of four.
        assert_eq!(decrypt(&world, reader, "wrong").ok(), b"a: one\n");
        without_gnupg.write("a.yaml", world.read("a.yaml"));
        assert_eq!(decrypt(&without_gnupg, reader, vault.root_token()).ok(), b"a: one\n");
        let run = decrypt(&without_gnupg, reader, "wrong");
        assert!(run.code == 128 && run.err.contains("Group 2: SUCCESS"), "{}", run.err);
        assert!(run.err.contains("Group 3: FAILED") && run.err.contains("Group 0: FAILED"), "{}", run.err);
        let reason = unbroken(&run.err);
        assert!(reason.contains("failed to decrypt sops data key from Vault transit backend"), "{reason}");
    }
}

#[test]
fn many_files_cost_one_call_each_and_one_login() {
    const FILES: usize = 40;
    let cloud = Cloud::start(Duration::from_millis(40));
    let key = cloud.new_key();
    let with_role = format!("{key}+arn:aws:iam::123456789012:role/sops");
    let world = World::new();
    let names: Vec<String> = (0..FILES).map(|number| format!("deep/f{number}.yaml")).collect();
    for name in &names {
        world.write(name, "a: one\n");
    }
    let mut line = vec!["encrypt", "-i", "--kms", &with_role];
    line.extend(names.iter().map(String::as_str));
    cloud.sealops(&world, &line).ok();
    assert_eq!(cloud.recorder.count("TrentService.Encrypt"), FILES);
    cloud.recorder.forget();
    // Every file twice: what was unwrapped once is known.
    let run = cloud.sealops(&world, &["verify", "deep", "deep"]);
    assert!(run.code == 0 && run.err.contains("80 files verified, 0 failed"), "{}", run.err);
    assert_eq!(cloud.recorder.count("TrentService.Decrypt"), FILES);
    assert_eq!(cloud.recorder.count("Action=AssumeRole&"), 1);
    // More files wait than this machine has cores.
    assert!(cloud.recorder.most_at_once() > 8, "{}", cloud.recorder.most_at_once());
}

#[test]
fn an_order_that_is_asked_for_is_kept() {
    let cloud = Cloud::start(Duration::ZERO);
    let key = cloud.new_key();
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Ours, &["encrypt", "-i", "--age", AGE_A, "--kms", &key, "a.yaml"]).ok();
    for (order, calls) in [(None, 0), (Some("age,kms"), 0), (Some("kms,age"), 1), (Some("kms"), 1)] {
        cloud.recorder.forget();
        let mut line = vec!["decrypt"];
        line.extend(order.iter().flat_map(|order| ["--decryption-order", order]));
        line.push("a.yaml");
        assert_eq!(cloud.run(&world, Side::Ours, &line).ok(), b"a: one\n");
        assert_eq!(cloud.recorder.count("TrentService.Decrypt"), calls, "{order:?}");
    }
}

#[test]
fn a_silent_key_costs_the_others_no_time() {
    let cloud = Cloud::start(Duration::ZERO);
    let (silent, good) = (cloud.new_key(), cloud.new_key());
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--kms", &format!("{silent},{good}"), "a.yaml"]).ok();
    cloud.recorder.forget();
    cloud.recorder.never_answer(&format!("\"KeyId\":\"{silent}\""));
    let before = Instant::now();
    assert_eq!(cloud.run(&world, Side::Ours, &["decrypt", "a.yaml"]).ok(), b"a: one\n");
    // One attempt alone would wait 10 s for the silent key, and all of its attempts 45 s.
    assert!(before.elapsed() < Duration::from_secs(40), "{:?}", before.elapsed());
    assert_eq!(cloud.recorder.count(&silent), 1);
}

#[test]
fn signatures_are_right_and_refusals_say_so() {
    // Free calls: the user, its key, its policy, the KMS key.
    let cloud = Cloud::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "4")], Duration::ZERO);
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action\
                  %22%3A%22kms%3AEncrypt%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
    cloud.moto.call_form("iam", "Action=CreateUser&UserName=u&Version=2010-05-08").unwrap();
    let keys = cloud.moto.call_form("iam", "Action=CreateAccessKey&UserName=u&Version=2010-05-08").unwrap();
    let form =
        format!("Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}&Version=2010-05-08");
    cloud.moto.call_form("iam", &form).unwrap();
    let key = cloud.new_key();
    let field = |name: &str| {
        let (_, rest) = keys.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let (id, secret) = (field("AccessKeyId"), field("SecretAccessKey"));
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    let run = |line: &[&str], id: &str, secret: &str| {
        let mut command = world.command(Side::Ours);
        cloud.environment(&mut command);
        command.args(line).env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        command.env_remove("AWS_SESSION_TOKEN");
        let outcome = finish(command, &[]);
        assert!(!outcome.err.contains(secret), "{}", outcome.err);
        outcome
    };
    run(&["encrypt", "-i", "--kms", &key, "a.yaml"], &id, &secret).ok();
    // The user may encrypt only.
    let refused = run(&["decrypt", "a.yaml"], &id, &secret);
    let reason = unbroken(&refused.err);
    assert!(refused.code == 128 && reason.contains("access was denied"), "{reason}");
    world.write("b.yaml", "b: one\n");
    let before = world.files();
    for (id, secret) in [(id.as_str(), "CANARY-wrong-secret"), ("AKIDNOBODY", "CANARY-wrong-secret")] {
        let refused = run(&["encrypt", "-i", "--kms", &key, "b.yaml"], id, secret);
        assert!(refused.code == 1 && refused.err.contains(&key), "{}", refused.err);
        assert_eq!(world.files(), before);
    }
}

#[test]
fn what_is_not_allowed_is_not_asked() {
    let cloud = Cloud::start(Duration::ZERO);
    let key = cloud.new_key();
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Ours, &["encrypt", "-i", "--kms", &key, "a.yaml"]).ok();
    cloud.recorder.forget();
    let foreign = "arn:aws:kms:eu-west-1:999999999999:key/*";
    let refused = cloud.sealops(&world, &["decrypt", "--allow-key", foreign, "a.yaml"]);
    assert!(refused.code == 128 && refused.out.is_empty(), "{}", refused.err);
    let reason = unbroken(&refused.err);
    assert!(reason.contains(&format!("{key} is not on the list of allowed keys")), "{reason}");
    let explained = cloud.sealops(&world, &["explain", "--json", "--allow-key", foreign, "a.yaml"]);
    assert_eq!(explained.code, 1, "{}", explained.err);
    let json: serde_json::Value = serde_json::from_slice(&explained.out).unwrap();
    let explained_key = &json[0]["groups"][0][0];
    assert!(explained_key["allowed"] == false && explained_key["key"] == key.as_str(), "{json}");
    assert_eq!(explained_key["contacts"][0], cloud.recorder.url(), "{json}");
    world.write("b.yaml", "a: one\n");
    let refused = cloud.sealops(&world, &["encrypt", "--allow-key", foreign, "--kms", &key, "b.yaml"]);
    assert!(refused.code == 1 && refused.err.contains("is not on the list"), "{}", refused.err);
    // A file of the variable counts under both names.
    world.write("policy", format!("# ours\n{foreign}\n"));
    let mut command = world.command(Side::Ours);
    cloud.environment(&mut command);
    let policy = world.path("policy");
    command.args(["decrypt", "a.yaml"]).env("SEALOPS_KEY_POLICY", &policy);
    assert_eq!(finish(command, &[]).code, 128);
    assert_eq!(cloud.recorder.count("POST"), 0);
    // What is allowed works, and sops's name alone refuses nothing.
    let (account, _) = key.rsplit_once(':').unwrap();
    let allowed = format!("{account}:key/*");
    cloud.sealops(&world, &["decrypt", "--allow-key", &allowed, "a.yaml"]).ok();
    let explained = cloud.sealops(&world, &["explain", "--allow-key", &allowed, "a.yaml"]).ok();
    let explained = String::from_utf8(explained).unwrap();
    let lines = ["any of these keys opens it", &key, &format!("contacts {}", cloud.recorder.url())];
    assert!(
        lines.iter().all(|line| explained.contains(line)) && !explained.contains("refused"),
        "{explained}"
    );
    cloud.run(&world, Side::Ours, &["decrypt", "a.yaml"]).ok();
    assert_eq!(cloud.recorder.count("TrentService.Decrypt"), 2);
}

/// Counts threads and sockets that a command makes.
fn made(world: &World, cloud: Option<&Cloud>, line: &[&str]) -> usize {
    let log = world.root().join("strace.log");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-e", "trace=clone,clone3,socket", "-o"])
        .arg(&log)
        .arg(Side::Ours.program())
        .args(line);
    let path: &Path = &log;
    world.environment(&mut command);
    if let Some(cloud) = cloud {
        cloud.environment(&mut command);
    }
    let run = finish(command, &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("+++ exited with 0 +++"), "{text}");
    text.lines()
        .filter(|line| ["clone(", "clone3(", "socket("].iter().any(|call| line.contains(call)))
        .count()
}

#[test]
fn no_runtime_and_no_socket_before_a_network_key_is_wanted() {
    let cloud = Cloud::start(Duration::ZERO);
    let key = cloud.new_key();
    let world = World::new();
    world.write("age.yaml", "a: one\n");
    world.write("kms.yaml", "a: one\n");
    assert_eq!(made(&world, None, &["--version", "--disable-version-check"]), 0);
    assert_eq!(made(&world, None, &["encrypt", "-i", "--age", AGE_A, "age.yaml"]), 0);
    assert_eq!(made(&world, None, &["decrypt", "age.yaml"]), 0);
    assert_eq!(made(&world, None, &["filestatus", "age.yaml"]), 0);
    // The same sees them where they are.
    assert!(made(&world, Some(&cloud), &["encrypt", "-i", "--kms", &key, "kms.yaml"]) > 2);
}

#[test]
fn keys_that_nobody_is_asked_for_say_so_and_nothing_is_written() {
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    let key = "eu-west-101:11111111-2222-3333-4444-555555555555";
    for side in [Side::Theirs, Side::Ours] {
        let line = ["encrypt", "--enable-local-keyservice=false", "-i", "--hckms", key, "a.yaml"];
        let run = world.run(side, &line, &[]);
        assert!(run.code == 1 && world.read("a.yaml") == b"a: one\n", "{side:?} {}", run.err);
        let reason = unbroken(&run.err);
        assert!(reason.contains("no key services provided, cannot update master keys"), "{side:?} {reason}");
    }
}
