//! AWS profiles whose roles want the code of an MFA device. The real sops 3.13.3 refuses them, so AWS's own Python client
//! judges what is sent; moto looks at no code.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use sealops_testenv::{Fault, FaultProxy, Moto, Parts, Recorder};

use super::kms::{Cloud, REGION, SECRET};
use super::world::{AGE_A, Outcome, Side, World, finish, unbroken};
use crate::terminal::Terminal;

const CODE: &str = "492817";
const QUESTION: &str = "Assume Role MFA token code:";
const DEVICE: &str = "arn:aws:iam::123456789012:mfa/me";

fn config() -> String {
    let role = |name: &str, rest: &str| {
        format!("[profile {name}]\nrole_arn = arn:aws:iam::123456789012:role/{name}\n{rest}\n")
    };
    [
        format!("[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = {SECRET}\n"),
        role("short", &format!("source_profile = base\nmfa_serial = {DEVICE}\n")),
        role(
            "long",
            &format!(
                "source_profile = base\nmfa_serial = {DEVICE}\nrole_session_name = me@work\nduration_seconds = 7200\nexternal_id = one\n"
            ),
        ),
        role("outer", "source_profile = long\nrole_session_name = outside\n"),
        role("plain", "source_profile = base\nrole_session_name = plain\n"),
        role("inner", "source_profile = plain\nmfa_serial = GAHT12345678\nduration_seconds = soon\n"),
        role("machine", &format!("credential_source = Environment\nmfa_serial = {DEVICE}\n")),
    ]
    .concat()
}

/// A cloud, and a folder with profiles.
struct Case {
    cloud: Cloud,
    world: World,
}

impl Case {
    fn new() -> Self {
        let (cloud, world) = (Cloud::start(std::time::Duration::ZERO), World::new());
        let folder = world.root().join("home/.aws");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config"), config()).unwrap();
        Self { cloud, world }
    }

    fn environment(&self, command: &mut Command) {
        self.world.environment(command);
        self.cloud.environment(command);
    }

    /// Runs a line on a terminal, types each of the answers once it is asked, and counts the questions.
    fn typed(&self, line: &str, variables: &[(&str, &str)], answers: &[&str]) -> (i32, String, usize) {
        let line = line.replace("sops ", &format!("'{}' ", Side::Ours.program().display()));
        let mut terminal = Terminal::start(&line, |command| {
            self.environment(command);
            command.envs(variables.iter().copied());
        });
        for answer in answers {
            terminal.answer(QUESTION, answer);
        }
        let (code, shown) = terminal.finish();
        assert!(!shown.contains(SECRET), "{shown}");
        (code, shown.clone(), shown.matches(QUESTION).count())
    }

    /// Without a terminal.
    fn alone(&self, side: Side, line: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new("setsid");
        self.environment(&mut command);
        command.arg("--wait").arg(side.program()).args(line).envs(variables.iter().copied());
        finish(command, &[])
    }

    /// What AWS's own client sends for a profile.
    fn vendor(&self, profile: &str) -> Vec<Form> {
        let server = Parts::locate().unwrap().path("moto_server").unwrap();
        let mut command = Command::new(server.with_file_name("python3"));
        self.environment(&mut command);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../testenv/python/botocore_login.py"))
            .args([profile, CODE])
            .env("AWS_DEFAULT_REGION", REGION)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        self.cloud.recorder.forget();
        finish(command, &[]).ok();
        roles(&self.cloud.recorder)
    }
}

type Form = BTreeMap<String, String>;

/// The roles that were asked for. Of sessions that the profile does not name, the name is the client's own.
fn roles(recorder: &Recorder) -> Vec<Form> {
    let bodies = recorder.bodies("Action=AssumeRole&");
    let form = |body: &String| {
        let pairs = body.trim().split('&').filter_map(|pair| pair.split_once('='));
        let mut form: Form = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let own =
            |name: &String| name.starts_with("botocore-session-") || name.starts_with("assume-role-from-");
        if form.get("RoleSessionName").is_some_and(own) {
            form.remove("RoleSessionName");
        }
        form
    };
    bodies.iter().map(form).collect()
}

#[test]
fn roles_are_asked_for_as_by_the_vendors_client() {
    let case = Case::new();
    let key = case.cloud.new_key();
    for (profile, sessions) in
        [("short", 1), ("long", 1), ("outer", 2), ("inner", 2), ("machine", 1), ("plain", 1)]
    {
        let theirs = case.vendor(profile);
        assert_eq!(theirs.len(), sessions, "{profile}");
        case.cloud.recorder.forget();
        case.world.write("a.yaml", "a: one\n");
        let line = format!("sops encrypt -i --kms {key} --aws-profile {profile} a.yaml");
        let codes = if profile == "plain" { &[][..] } else { &[CODE] };
        let (code, shown, questions) = case.typed(&line, &[], codes);
        assert_eq!((code, questions), (0, codes.len()), "{profile}: {shown}");
        assert_eq!(roles(&case.cloud.recorder), theirs, "{profile}");
        let with_code = theirs.iter().filter(|form| form.get("TokenCode").is_some_and(|code| code == CODE));
        assert_eq!(with_code.count(), codes.len(), "{profile}");
    }
}

#[test]
fn the_real_sops_refuses_such_profiles() {
    let case = Case::new();
    let key = case.cloud.new_key();
    case.world.write("a.yaml", "a: one\n");
    let line = ["encrypt", "-i", "--kms", &key, "--aws-profile", "short", "a.yaml"];
    let run = case.alone(Side::Theirs, &line, &[]);
    assert!(run.code == 1 && run.err.contains("assume role with MFA enabled"), "{}", run.err);
    assert_eq!(roles(&case.cloud.recorder), []);
}

#[test]
fn one_question_for_all_files_and_regions() {
    const FILES: usize = 12;
    let case = Case::new();
    let far = case.cloud.moto.call("kms", "us-east-1", "TrentService.CreateKey", "{}").unwrap();
    let far: serde_json::Value = serde_json::from_str(&far).unwrap();
    let keys = [case.cloud.new_key(), far["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()];
    case.world.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n    - shamir_threshold: 2\n      key_groups:\n        - kms:\n            - {{arn: '{}', aws_profile: long}}\n\
             \x20       - kms:\n            - {{arn: '{}', aws_profile: outer}}\n",
            keys[0], keys[1]
        ),
    );
    for number in 0..FILES {
        case.world.write(&format!("deep/f{number}.yaml"), "a: one\n");
    }
    let line = format!("'{}' encrypt -i deep/*.yaml", env!("CARGO_BIN_EXE_sealops"));
    let (code, shown, questions) = case.typed(&line, &[], &[CODE]);
    assert_eq!((code, questions), (0, 1), "{shown}");
    assert_eq!(case.cloud.recorder.count("TrentService.Encrypt"), 2 * FILES);
    assert_eq!(case.cloud.recorder.count("SerialNumber="), 1);
    case.cloud.recorder.forget();
    let line = format!("'{}' verify deep", env!("CARGO_BIN_EXE_sealops"));
    let (code, shown, questions) = case.typed(&line, &[], &[CODE]);
    assert_eq!((code, questions), (0, 1), "{shown}");
    assert!(shown.contains("12 files verified, 0 failed"), "{shown}");
    assert_eq!(case.cloud.recorder.count("TrentService.Decrypt"), 2 * FILES);
    assert_eq!(case.cloud.recorder.count("SerialNumber="), 1);
}

#[test]
fn without_a_terminal_it_is_an_error_and_nobody_is_asked() {
    let case = Case::new();
    let key = case.cloud.new_key();
    case.world.write("a.yaml", "a: one\n");
    let flag = ["encrypt", "-i", "--kms", &key, "--aws-profile", "short", "a.yaml"];
    let default = ["encrypt", "-i", "--kms", &key, "a.yaml"];
    let by_variable = [("AWS_PROFILE", "short"), ("AWS_ACCESS_KEY_ID", "")];
    for (line, variables) in [(&flag[..], &[][..]), (&default[..], &by_variable[..])] {
        case.cloud.recorder.forget();
        let run = case.alone(Side::Ours, line, variables);
        let said = unbroken(&run.err);
        assert_eq!(run.code, 1, "{said}");
        for words in [
            "AWS profile \"short\"",
            DEVICE,
            "no terminal",
            "aws sts get-session-token",
            "credential_process",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(roles(&case.cloud.recorder), []);
        assert_eq!(case.world.read("a.yaml"), b"a: one\n");
    }
    // Keys of the environment go before its profile, as in sops: nothing to ask for.
    for side in [Side::Theirs, Side::Ours] {
        case.world.write("a.yaml", "a: one\n");
        case.alone(side, &default, &[("AWS_PROFILE", "short")]).ok();
    }
    assert_eq!(roles(&case.cloud.recorder), []);
}

#[test]
fn a_file_on_stdin_and_a_question_do_not_meet() {
    let case = Case::new();
    let key = case.cloud.new_key();
    case.world.write("a.yaml", "a: one\n");
    case.cloud.run(&case.world, Side::Theirs, &["encrypt", "-i", "--kms", &key, "a.yaml"]).ok();
    let line = "sops decrypt --filename-override a.yaml < a.yaml > out.yaml 2> err.txt";
    let variables = [("AWS_PROFILE", "long"), ("AWS_ACCESS_KEY_ID", "")];
    let (code, shown, _) = case.typed(line, &variables, &[CODE]);
    let said = String::from_utf8(case.world.read("err.txt")).unwrap();
    assert_eq!((code, case.world.read("out.yaml")), (0, b"a: one\n".to_vec()), "{shown} {said}");
    assert!(!said.contains(CODE), "{said}");
}

#[test]
fn codes_that_are_none_or_wrong_are_asked_for_once() {
    let case = Case::new();
    let keys = [case.cloud.new_key(), case.cloud.new_key()].join(",");
    let line = format!("sops encrypt -i --kms '{keys}' --aws-profile short a.yaml");
    case.world.write("a.yaml", "a: one\n");
    for typed in ["hunter2", "", "12345678901234567"] {
        let (code, shown, questions) = case.typed(&line, &[], &[typed]);
        assert_eq!((code, questions), (1, 1), "{shown}");
        assert!(unbroken(&shown).contains("what was typed is no code"), "{shown}");
    }
    assert_eq!(roles(&case.cloud.recorder), []);
    let proxy = FaultProxy::http(case.cloud.moto.address()).unwrap();
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>CANARY invalid MFA one time pass \
                code</Message></Error></ErrorResponse>";
    proxy.set(Fault::answer(403, &[("Content-Type", "text/xml")], body));
    let (code, shown, questions) = case.typed(&line, &[("AWS_ENDPOINT_URL_STS", &proxy.url())], &[CODE]);
    assert_eq!((code, questions, proxy.calls().len()), (1, 1, 1), "{shown}");
    assert!(
        unbroken(&shown).replace("\r", "").contains("AWS profile \"short\": STS gives no session"),
        "{shown}"
    );
    assert!(!shown.contains("CANARY"), "{shown}");
    assert_eq!(case.world.read("a.yaml"), b"a: one\n");
}

#[test]
fn published_to_s3_by_a_profile_with_a_device() {
    let case = Case::new();
    let moto: &Moto = &case.cloud.moto;
    let signed = ("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/us-east-1/s3/aws4_request");
    sealops_testenv::http_call(moto.address(), "PUT", "/bucket", &[signed], b"").unwrap();
    case.world.write("a.yaml", "a: one\n");
    case.world.run(Side::Theirs, &["encrypt", "-i", "--age", AGE_A, "a.yaml"], b"").ok();
    case.world.write(".sops.yaml", "destination_rules:\n  - s3_bucket: bucket\n");
    let variables = [("AWS_PROFILE", "long"), ("AWS_ACCESS_KEY_ID", ""), ("AWS_REGION", "us-east-1")];
    case.cloud.recorder.forget();
    let (code, shown, questions) = case.typed("sops publish -y a.yaml", &variables, &[CODE]);
    assert_eq!((code, questions, roles(&case.cloud.recorder).len()), (0, 1, 1), "{shown}");
    let object = sealops_testenv::http_get(moto.address(), "/bucket/a.yaml", &[signed]).unwrap();
    assert_eq!(object.body.into_bytes(), case.world.read("a.yaml"));
    let run = case.alone(Side::Ours, &["publish", "-y", "a.yaml"], &variables);
    assert!(run.code == 1 && unbroken(&run.err).contains("no terminal"), "{}", run.err);
}
