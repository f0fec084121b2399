//! What sops does with keys of Huawei Cloud, both ways.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use sealops_testenv::{FakeHuawei, Process, free_port};

use super::super::fixtures::fixtures;
use super::super::network_keys::{Key, field, operations_both_ways, two_of_three};
use super::super::world::{BOTH, Side, World, finish, unbroken};
use super::{Cloud, KEY, id, shown};

#[test]
fn six_operations_both_ways_by_huawei() {
    let cloud = Cloud::start();
    let world = World::new();
    let elsewhere = format!("{}:{}", FakeHuawei::OTHER_REGION, id(KEY));
    for key in [KEY, &elsewhere] {
        let encrypted = || assert_eq!(field(&world, "a.yaml", "key_id"), key);
        let rule = format!("hckms: ['{key}']");
        let key = Key { flags: &["--hckms", key], rule, mark: "hckms" };
        operations_both_ways(&world, &key, &|side, line| cloud.run(&world, side, line), &encrypted);
    }
}

/// The service has the access key, its clients have none.
#[test]
fn key_services_hold_the_access_key_for_others() {
    const READY: Duration = Duration::from_secs(30);
    let cloud = Cloud::start();
    let world = World::new();
    for (server, client) in BOTH {
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let mut command = cloud.command(&world, server.program());
        command.args(["keyservice", "--network", "tcp", "--address", &address]);
        let mut process = Process::spawn("keyservice", command, world.root()).unwrap();
        process.wait_until(READY, || TcpStream::connect(&address).is_ok()).unwrap();
        let uri = format!("tcp://{address}");
        let run = |verb: &str, line: &[&str]| {
            let mut command = cloud.bare(&world, client.program());
            command.args([verb, "--enable-local-keyservice=false", "--keyservice", &uri]).args(line);
            // What a real service says of an error is passed on as it is.
            shown(if server == Side::Ours { client } else { Side::Theirs }, finish(command, &[]))
        };
        world.write("a.yaml", "a: one\n");
        cloud.fake.reset_calls();
        run("encrypt", &["-i", "--hckms", KEY, "a.yaml"]).ok();
        run("set", &["a.yaml", "[\"a\"]", "\"three\""]).ok();
        run("rotate", &["-i", "a.yaml"]).ok();
        assert_eq!(run("decrypt", &["a.yaml"]).ok(), b"a: three\n", "{server:?}");
        assert_eq!(cloud.counts()[..2], [2, 3], "{server:?}: {:?}", cloud.fake.calls());
        cloud.fake.disable(id(KEY));
        let refused = run("decrypt", &["a.yaml"]);
        assert!(
            refused.code == 128 && unbroken(&refused.err).contains("KMS.0209"),
            "{server:?} {}",
            refused.err
        );
        cloud.fake.enable(id(KEY));
        drop(process);
        let log = fs::read_to_string(world.root().join("keyservice.log")).unwrap();
        assert!(server == Side::Theirs || !super::SECRETS.iter().any(|secret| log.contains(secret)), "{log}");
    }
}

#[test]
fn keys_are_named_by_flags_and_by_the_variable() {
    let cloud = Cloud::start();
    let world = World::new();
    let second = format!("{}:{}", FakeHuawei::OTHER_REGION, id(KEY));
    let both = format!("{KEY},{second}");
    let keys = || String::from_utf8(world.read("a.yaml")).unwrap().matches("key_id: ").count();
    for (writer, reader) in BOTH {
        world.write("a.yaml", "a: one\n");
        let named = [("SOPS_HUAWEICLOUD_KMS_IDS", both.as_str())];
        cloud.run_with(&world, writer, &["encrypt", "-i", "a.yaml"], &named).ok();
        assert_eq!(keys(), 2, "{writer:?}");
        cloud.run(&world, writer, &["rotate", "-i", "--rm-hckms", KEY, "a.yaml"]).ok();
        assert_eq!((keys(), field(&world, "a.yaml", "key_id")), (1, second.clone()), "{writer:?}");
        cloud.run(&world, writer, &["rotate", "-i", "--add-hckms", KEY, "a.yaml"]).ok();
        assert_eq!(keys(), 2, "{writer:?}");
        assert_eq!(cloud.run(&world, reader, &["decrypt", "a.yaml"]).ok(), b"a: one\n");
    }
}

#[test]
fn groups_of_age_pgp_and_huawei_need_two_of_three() {
    let cloud = Cloud::start();
    let world = World::new().with_gnupg(&fixtures().gnupg);
    // Without a project the real sops panics here: its SDK cannot look for one.
    let wrong = [("HUAWEICLOUD_SDK_SK", "wrong"), ("HUAWEICLOUD_SDK_PROJECT_ID", FakeHuawei::PROJECT)];
    let locked_out = |side| cloud.run_with(&world, side, &["decrypt", "a.yaml"], &wrong);
    let group = format!("hckms:\n            - key_id: {KEY}");
    let asked = || cloud.fake.calls().len();
    two_of_three(&world, &group, &|side, line| cloud.run(&world, side, line), &locked_out, &asked);
}

#[test]
fn many_files_cost_one_call_each_and_one_look_for_the_project() {
    const FILES: usize = 40;
    let cloud = Cloud::start();
    let world = World::new();
    let names: Vec<String> = (0..FILES).map(|number| format!("deep/f{number}.yaml")).collect();
    for name in &names {
        world.write(name, "a: one\n");
    }
    let mut line = vec!["encrypt", "-i", "--hckms", KEY];
    line.extend(names.iter().map(String::as_str));
    cloud.sealops(&world, &line).ok();
    assert_eq!((cloud.counts(), cloud.fake.calls().len()), ([FILES, 0, 1], FILES + 1));
    cloud.fake.reset_calls();
    let run = cloud.sealops(&world, &["verify", "deep", "deep"]);
    assert!(run.code == 0 && run.err.contains("80 files verified, 0 failed"), "{}", run.err);
    // What was unwrapped once is known.
    assert_eq!((cloud.counts(), cloud.fake.calls().len()), ([0, FILES, 1], FILES + 1));
    // A login that is refused writes nothing, and KMS is not asked.
    let before = world.files();
    let mut command = cloud.command(&world, Path::new(env!("CARGO_BIN_EXE_sealops")));
    command.args(["rotate", "-i"]).args(&names).env("HUAWEICLOUD_SDK_SK", "wrong");
    cloud.fake.reset_calls();
    let refused = shown(Side::Ours, finish(command, &[]));
    assert!(refused.code != 0 && refused.err.contains("APIGW.0301"), "{}", refused.err);
    assert_eq!((world.files(), &cloud.counts()[..2]), (before, &[0, 0][..]));
}

#[test]
fn foreign_keys_are_refused_under_a_policy() {
    let cloud = Cloud::start();
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--hckms", KEY, "a.yaml"]).ok();
    let foreign = "tr-west-1:*";
    cloud.fake.reset_calls();
    let refused = cloud.sealops(&world, &["decrypt", "--allow-key", foreign, "a.yaml"]);
    assert!(refused.code == 128 && refused.out.is_empty(), "{}", refused.err);
    let reason = unbroken(&refused.err);
    assert!(reason.contains(&format!("{KEY} is not on the list")), "{reason}");
    world.write("b.yaml", "a: one\n");
    let refused = cloud.sealops(&world, &["encrypt", "--allow-key", foreign, "--hckms", KEY, "b.yaml"]);
    assert!(refused.code != 0 && refused.err.contains("is not on the list"), "{}", refused.err);
    assert_eq!(world.read("b.yaml"), b"a: one\n");
    let explained = cloud.sealops(&world, &["explain", "--json", "--allow-key", foreign, "a.yaml"]);
    assert_eq!(explained.code, 1, "{}", explained.err);
    let json: serde_json::Value = serde_json::from_slice(&explained.out).unwrap();
    let key = &json[0]["groups"][0][0];
    assert!(key["type"] == "hckms" && key["key"] == KEY && key["allowed"] == false, "{json}");
    assert_eq!(
        key["contacts"],
        serde_json::json!([
            "https://kms.eu-west-101.myhuaweicloud.eu",
            "https://iam.myhuaweicloud.com for the project"
        ]),
        "{json}"
    );
    world.write("policy", format!("# ours\n{foreign}\n"));
    let mut command = cloud.command(&world, Side::Ours.program());
    command.args(["decrypt", "a.yaml"]).env("SEALOPS_KEY_POLICY", world.path("policy"));
    assert_eq!(finish(command, &[]).code, 128);
    assert_eq!(cloud.fake.calls(), Vec::<String>::new(), "nothing was sent");
    for allowed in ["eu-west-101:*", KEY] {
        cloud.sealops(&world, &["decrypt", "--allow-key", allowed, "a.yaml"]).ok();
    }
}

/// Whoever writes a file chooses the region: it never becomes an address that is not known here.
#[test]
fn regions_of_files_lead_nowhere_else() {
    let cloud = Cloud::start();
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--hckms", KEY, "a.yaml"]).ok();
    let text = String::from_utf8(world.read("a.yaml")).unwrap();
    cloud.fake.reset_calls();
    for region in ["kms.proxied.example/", "evil", "x@kms.proxied.example", "..", "a b"] {
        world.write("e.yaml", text.replace("eu-west-101:", &format!("{region}:")));
        for side in super::SIDES {
            let run = cloud.run(&world, side, &["decrypt", "e.yaml"]);
            assert_eq!(run.code, 128, "{side:?} {region}: {}", run.err);
            assert!(unbroken(&run.err).contains("region"), "{side:?} {region}: {}", run.err);
        }
    }
    // The real sops looks for the project first; ours asks nobody.
    assert_eq!(cloud.counts()[..2], [0, 0]);
}
