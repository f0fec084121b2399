//! `publish`, ours and the real one, against the same S3 (moto) and Vault (OpenBao): prompts, exit codes, what is there.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use sealops_testenv::{Moto, OpenBao, http_call, http_get};

use super::world::{AGE_A, AGE_C, Outcome, Side, World, finish, masked};

const PLAIN: &[u8] = b"a: 1\nb: two\nc:\n    - x\nd_unencrypted: open\nwhen: 2024-01-02\n";
const TEXTS: &[u8] = b"user: me\npassword: hunter2\n";
/// moto looks into it for the region, and checks nothing.
const SIGNED: (&str, &str) = (
    "Authorization",
    "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
);

struct Clouds {
    moto: Moto,
    bao: OpenBao,
}

/// Arguments behind `publish`, and what is typed.
type Line<'a> = (&'a [&'a str], &'a str);

/// What a run did: its outcome, the objects, the secrets with their versions.
#[derive(Debug, PartialEq)]
struct Result {
    code: i32,
    out: String,
    objects: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
}

impl Clouds {
    fn start() -> Self {
        let clouds = Self { moto: Moto::start().unwrap(), bao: OpenBao::start().unwrap() };
        let mount = r#"{"type":"kv","options":{"version":"1"}}"#;
        let answer =
            http_call(clouds.bao.address(), "POST", "/v1/sys/mounts/kv1", &[TOKEN], mount.as_bytes())
                .unwrap();
        assert!((200..300).contains(&answer.status), "{answer:?}");
        clouds
    }

    /// Removes all objects and secrets.
    fn empty(&self) {
        assert_eq!(http_call(self.moto.address(), "POST", "/moto-api/reset", &[], b"").unwrap().status, 200);
        let bucket = http_call(self.moto.address(), "PUT", "/bucket", &[SIGNED], b"").unwrap();
        assert_eq!(bucket.status, 200, "{bucket:?}");
        for path in SECRETS {
            let path = path.replacen("/secret/data/", "/secret/metadata/", 1);
            http_call(self.bao.address(), "DELETE", &path, &[TOKEN], b"").unwrap();
        }
    }

    fn objects(&self, world: &World) -> BTreeMap<String, String> {
        let list = http_get(self.moto.address(), "/bucket?list-type=2", &[SIGNED]).unwrap();
        assert_eq!(list.status, 200, "{list:?}");
        let names = list.body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        names
            .map(|name| {
                let object = http_get(self.moto.address(), &format!("/bucket/{name}"), &[SIGNED]).unwrap();
                assert_eq!(object.status, 200);
                (name.to_owned(), masked(object.body.as_bytes(), world.root()))
            })
            .collect()
    }

    fn secrets(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for path in SECRETS {
            let answer = http_get(self.bao.address(), path, &[TOKEN]).unwrap();
            if answer.status == 200 {
                let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
                let data = &json["data"];
                let text = match data.get("metadata") {
                    Some(metadata) => format!("version {} {}", metadata["version"], data["data"]),
                    None => data.to_string(),
                };
                found.insert((*path).to_owned(), text);
            }
        }
        found
    }

    fn command(&self, world: &World, side: Side) -> Command {
        let mut command = world.command(side);
        command
            .env("AWS_ENDPOINT_URL", self.moto.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "hunter2-secret-key")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("VAULT_ADDR", self.bao.url())
            .env("VAULT_TOKEN", OpenBao::ROOT_TOKEN);
        command
    }

    fn run(&self, world: &World, side: Side, arguments: &[&str], stdin: &str) -> Outcome {
        let mut command = self.command(world, side);
        command.arg("publish").args(arguments);
        finish(command, stdin.as_bytes())
    }

    /// Runs the lines one after the other, from nothing.
    fn judge(&self, world: &World, side: Side, lines: &[Line<'_>]) -> (Result, String) {
        self.empty();
        let mut last = Outcome { code: 0, out: Vec::new(), err: String::new() };
        for (arguments, stdin) in lines {
            last = self.run(world, side, arguments, stdin);
        }
        let result = Result {
            code: last.code,
            out: masked(&last.out, world.root()),
            objects: self.objects(world),
            secrets: self.secrets(),
        };
        (result, last.err)
    }
}

const TOKEN: (&str, &str) = ("X-Vault-Token", OpenBao::ROOT_TOKEN);
const SECRETS: &[&str] = &[
    "/v1/secret/data/team/v2.yaml",
    "/v1/secret/data/team/v2",
    "/v1/secret/data/team/broken.yaml",
    "/v1/secret/data/team/texts.yaml",
    "/v1/secret/data/team/several.yaml",
    "/v1/secret/data/team/raw.bin",
    "/v1/kv1/old/v1.json",
];

fn clouds() -> &'static std::sync::Mutex<Clouds> {
    static CLOUDS: OnceLock<std::sync::Mutex<Clouds>> = OnceLock::new();
    CLOUDS.get_or_init(|| std::sync::Mutex::new(Clouds::start()))
}

fn world() -> World {
    let world = World::new();
    let sops = |arguments: &[&str], stdin: &[u8]| world.run(Side::Theirs, arguments, stdin).ok();
    let encrypt =
        |name: &str, content: &[u8]| sops(&["encrypt", "--age", AGE_A, "--filename-override", name], content);
    for name in [
        "plain/a.enc.yaml",
        "tree/x.yaml",
        "tree/sub/y.enc.yaml",
        "anew/a.yaml",
        "suffix/a.yaml",
        "two/a.yaml",
    ] {
        world.write(name, encrypt("a.yaml", PLAIN));
    }
    world.write("vault/v2.yaml", encrypt("a.yaml", PLAIN));
    world.write("vault/texts.yaml", encrypt("a.yaml", TEXTS));
    world.write("vault/several.yaml", encrypt("a.yaml", b"a: one\nb: two\n---\nb: three\nc: four\n"));
    world.write("vault/raw.bin", encrypt("a.bin", b"bytes\n"));
    world.write("old/v1.json", encrypt("a.json", br#"{"user": "me", "n": 1.5, "deep": {"x": [1, null]}}"#));
    let broken = String::from_utf8(encrypt("a.yaml", PLAIN))
        .unwrap()
        .replace("d_unencrypted: open", "d_unencrypted: shut");
    world.write("vault/broken.yaml", broken);
    world.write("plain/clear.yaml", PLAIN);
    world.write("gcs/a.yaml", encrypt("a.yaml", PLAIN));
    world.write("nowhere/a.yaml", encrypt("a.yaml", PLAIN));
    let rules = [
        "path_regex: ^plain/\n    s3_bucket: bucket\n    s3_prefix: pre/".to_owned(),
        "path_regex: ^tree\n    s3_bucket: bucket".to_owned(),
        format!("path_regex: ^anew/\n    s3_bucket: bucket\n    recreation_rule: {{age: '{AGE_C}'}}"),
        format!(
            "path_regex: ^suffix/\n    s3_bucket: bucket\n    omit_extensions: true\n    recreation_rule: {{age: '{AGE_A}', encrypted_suffix: b}}"
        ),
        "path_regex: ^vault/\n    vault_path: team".to_owned(),
        "path_regex: ^old/\n    vault_path: old/\n    vault_kv_mount_name: kv1\n    vault_kv_version: 1"
            .to_owned(),
        "path_regex: ^gcs/\n    gcs_bucket: bucket".to_owned(),
        "path_regex: ^two/\n    gcs_bucket: bucket\n    s3_bucket: bucket".to_owned(),
        "path_regex: ^nowhere/\n    omit_extensions: true".to_owned(),
    ];
    let rules: Vec<String> = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
    world.write(".sops.yaml", format!("destination_rules:\n{}", rules.concat()));
    world
}

#[test]
fn both_leave_the_same_behind() {
    let clouds = clouds().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = world();
    let cases: &[(&str, &[Line<'_>])] = &[
        ("yes", &[(&["--yes", "plain/a.enc.yaml"], "")]),
        ("y", &[(&["plain/a.enc.yaml"], "y\n")]),
        ("n", &[(&["plain/a.enc.yaml"], "n\n")]),
        ("what, then y", &[(&["plain/a.enc.yaml"], "what\ny\n")]),
        ("no answer", &[(&["plain/a.enc.yaml"], "")]),
        ("two words", &[(&["plain/a.enc.yaml"], "y y\n")]),
        ("omit extensions", &[(&["-y", "--omit-extensions", "plain/a.enc.yaml"], "")]),
        ("twice", &[(&["-y", "plain/a.enc.yaml"], ""), (&["-y", "plain/a.enc.yaml"], "")]),
        ("folder", &[(&["-y", "tree"], "")]),
        ("folder, recursive", &[(&["-y", "--recursive", "tree"], "")]),
        ("folder, by a slash", &[(&["-y", "--recursive", "--omit-extensions", "tree/"], "")]),
        ("folder, one refused", &[(&["--recursive", "tree"], "n\ny\n")]),
        ("not encrypted", &[(&["-y", "plain/clear.yaml"], "")]),
        ("no such file", &[(&["-y", "plain/none.yaml"], "")]),
        ("no file", &[(&["-y"], "")]),
        ("no rule", &[(&["-y", "./plain/a.enc.yaml"], "")]),
        ("no destination", &[(&["-y", "nowhere/a.yaml"], "")]),
        ("two destinations", &[(&["-y", "two/a.yaml"], "")]),
        ("for another key", &[(&["anew/a.yaml"], "y\n")]),
        ("suffix", &[(&["-y", "suffix/a.yaml"], "")]),
        ("vault", &[(&["vault/v2.yaml"], "y\n")]),
        ("vault, omit extensions", &[(&["-y", "--omit-extensions", "vault/v2.yaml"], "")]),
        ("vault, texts twice", &[(&["-y", "vault/texts.yaml"], ""), (&["-y", "vault/texts.yaml"], "")]),
        ("vault, documents", &[(&["-y", "vault/several.yaml"], "")]),
        ("vault, binary", &[(&["-y", "vault/raw.bin"], "")]),
        ("vault, broken", &[(&["-y", "vault/broken.yaml"], "")]),
        ("vault, version 1", &[(&["old/v1.json"], "y\n")]),
    ];
    let mut differences = Vec::new();
    for (name, lines) in cases {
        let (theirs, their_words) = clouds.judge(&world, Side::Theirs, lines);
        let (mut ours, our_words) = clouds.judge(&world, Side::Ours, lines);
        // Without a selector sops writes none and so cannot read its own file where a key ends in `_unencrypted`: ours
        // does as `encrypt` does.
        for object in ours.objects.values_mut().filter(|_| *name == "for another key") {
            *object = object.replace("    unencrypted_suffix: _unencrypted\n", "");
        }
        if *name == "for another key" {
            let sealed = |text: &str| {
                text.lines()
                    .filter(|line| !line.starts_with("d_unencrypted"))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                ours.objects.values().map(|text| sealed(text)).collect::<Vec<_>>(),
                theirs.objects.values().map(|text| sealed(text)).collect::<Vec<_>>()
            );
            assert_eq!((ours.code, &ours.out), (theirs.code, &theirs.out), "{name}");
            continue;
        }
        if ours != theirs {
            differences.push(format!(
                "{name}:\n  theirs {theirs:?}\n    {their_words}\n  ours {ours:?}\n    {our_words}"
            ));
        }
        assert!(!our_words.contains("hunter2"), "{name}: {our_words}");
    }
    println!("sops publish: {} cases, {} differences", cases.len(), differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_was_encrypted_anew_is_for_the_new_key_only() {
    let clouds = clouds().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = world();
    clouds.empty();
    clouds.run(&world, Side::Ours, &["-y", "anew/a.yaml"], "").ok();
    let object = http_get(clouds.moto.address(), "/bucket/a.yaml", &[SIGNED]).unwrap();
    assert!(object.body.contains(AGE_C) && !object.body.contains(AGE_A));
    world.write("back.yaml", &object.body);
    for side in [Side::Theirs, Side::Ours] {
        let back = world.run(side, &["decrypt", "back.yaml"], b"").ok();
        let original = world.run(side, &["decrypt", "anew/a.yaml"], b"").ok();
        assert_eq!(back, original, "{side:?}");
    }
}

#[test]
fn equal_content_is_not_written_again() {
    let clouds = clouds().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = world();
    clouds.empty();
    for _ in 0..2 {
        let mut command = clouds.command(&world, Side::Ours);
        command.args(["publish", "-y", "--verbose", "vault/v2.yaml"]);
        finish(command, b"").ok();
    }
    // Numbers and all: sops writes a new version here, since its numbers are of another type than those it reads.
    let secrets = clouds.secrets();
    assert!(secrets["/v1/secret/data/team/v2.yaml"].starts_with("version 1 "), "{secrets:?}");
    // A map in a list stays one: sops writes its own list of keys and values in its place.
    world.write(
        "vault/v2.yaml",
        world
            .run(
                Side::Ours,
                &["encrypt", "--age", AGE_A, "--filename-override", "a.yaml"],
                b"c: [x, {y: true}]\n",
            )
            .ok(),
    );
    clouds.run(&world, Side::Ours, &["-y", "vault/v2.yaml"], "").ok();
    let secrets = clouds.secrets();
    assert_eq!(secrets["/v1/secret/data/team/v2.yaml"], r#"version 2 {"c":["x",{"y":true}]}"#);
}

#[test]
fn what_cannot_be_published_is_named() {
    let clouds = clouds().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = world();
    clouds.empty();
    let gcs = clouds.run(&world, Side::Ours, &["-y", "gcs/a.yaml"], "");
    assert_eq!(gcs.code, 1);
    assert!(gcs.err.contains("gcs://bucket/a.yaml") && gcs.err.contains("Google"), "{}", gcs.err);
    let mut command = clouds.command(&world, Side::Ours);
    command.args(["publish", "-y", "vault/v2.yaml"]).env("VAULT_TOKEN", "hunter2-wrong");
    let denied = finish(command, b"");
    assert_eq!(denied.code, 1);
    assert!(denied.err.contains("access was denied") && !denied.err.contains("hunter2"), "{}", denied.err);
    assert!(clouds.secrets().is_empty() && clouds.objects(&world).is_empty());
    http_call(clouds.moto.address(), "DELETE", "/bucket", &[SIGNED], b"").unwrap();
    let absent = clouds.run(&world, Side::Ours, &["-y", "plain/a.enc.yaml"], "");
    assert_eq!(absent.code, 1);
    assert!(
        absent.err.contains("s3://bucket/pre/a.enc.yaml") && absent.err.contains("NoSuchBucket"),
        "{}",
        absent.err
    );
}
