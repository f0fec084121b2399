//! What sops does with keys of Azure, both ways.

use std::fs;

use super::super::fixtures::fixtures;
use super::super::network_keys::{Key, field, operations_both_ways, two_of_three};
use super::super::world::{Side, World, finish, unbroken};
use super::Cloud;

#[test]
fn five_operations_both_ways_by_azure() {
    let cloud = Cloud::start();
    let world = World::new();
    let newest = format!("{}/{:032x}", cloud.key(), 0xa0);
    for key in [cloud.key(), newest] {
        let encrypted = || {
            assert_eq!(field(&world, "a.yaml", "vault_url"), cloud.fake.vault());
            assert_eq!(field(&world, "a.yaml", "name"), "k");
            assert_eq!(field(&world, "a.yaml", "version"), format!("{:032x}", 0xa0));
            let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(field(&world, "a.yaml", "enc").bytes().all(is_url_safe));
        };
        let rule = format!("azure_keyvault: {key}");
        let key = Key { flags: &["--azure-kv", &key], rule, mark: "azure_kv" };
        operations_both_ways(&world, &key, &|side, line| cloud.run(&world, side, line), &encrypted);
    }
}

#[test]
fn a_new_version_is_found_wherever_keys_are_named() {
    let cloud = Cloud::start();
    let world = World::new();
    let key = cloud.key();
    let versions = |side: Side, operation: &str| {
        let text = String::from_utf8(world.read("a.yaml")).unwrap();
        assert!(!text.contains("version: \"\""), "{side:?} {operation}: {text}");
        text.lines().filter(|line| line.contains("version: 0000")).count()
    };
    for side in [Side::Ours, Side::Theirs] {
        let add = |line: &[&str]| cloud.run(&world, side, line).ok();
        world.write("a.yaml", "a: one\n");
        add(&["encrypt", "-i", "--azure-kv", &key, "a.yaml"]);
        let newest = cloud.fake.add_version("k").unwrap();
        add(&["rotate", "-i", "--add-azure-kv", &key, "a.yaml"]);
        assert_eq!(versions(side, "rotate --add"), 2);
        // Without a version it is the newest that goes.
        add(&["rotate", "-i", "--rm-azure-kv", &key, "a.yaml"]);
        assert_eq!(versions(side, "rotate --rm"), 1);
        assert_ne!(field(&world, "a.yaml", "version"), newest);
        world.write(".sops.yaml", format!("creation_rules:\n    - azure_keyvault: {key}\n"));
        add(&["updatekeys", "-y", "a.yaml"]);
        assert_eq!(field(&world, "a.yaml", "version"), newest, "{side:?}");
        let text = world.read("a.yaml");
        add(&["updatekeys", "-y", "a.yaml"]);
        assert_eq!(world.read("a.yaml"), text, "{side:?}: there is nothing to do");
        fs::remove_file(world.path(".sops.yaml")).unwrap();
        add(&["groups", "add", "-i", "-f", "a.yaml", "--azure-kv", &key]);
        assert_eq!(versions(side, "groups add"), 2);
        // Whoever cannot ask for the version encrypts nothing.
        world.write("b.yaml", "a: one\n");
        let wrong = [("AZURE_CLIENT_SECRET", "wrong")];
        let failed = cloud.run_with(&world, side, &["encrypt", "-i", "--azure-kv", &key, "b.yaml"], &wrong);
        assert!(failed.code != 0 && world.read("b.yaml") == b"a: one\n", "{side:?}");
        assert!(unbroken(&failed.err).contains("to retrieve key version"), "{side:?}: {}", failed.err);
    }
}

#[test]
fn groups_of_age_pgp_and_azure_need_two_of_three() {
    let cloud = Cloud::start();
    let world = World::new().with_gnupg(&fixtures().gnupg);
    let group =
        format!("azure_keyvault:\n            - vaultUrl: {}\n              key: k", cloud.fake.vault());
    let wrong = [("AZURE_CLIENT_SECRET", "wrong")];
    let locked_out = |side| cloud.run_with(&world, side, &["decrypt", "a.yaml"], &wrong);
    let asked = || cloud.fake.calls().len();
    two_of_three(&world, &group, &|side, line| cloud.run(&world, side, line), &locked_out, &asked);
}

#[test]
fn many_files_cost_one_call_each_and_one_login() {
    const FILES: usize = 20;
    let cloud = Cloud::start();
    let world = World::new();
    let names: Vec<String> = (0..FILES).map(|number| format!("deep/f{number}.yaml")).collect();
    for name in &names {
        world.write(name, "a: one\n");
    }
    let key = cloud.key();
    let mut line = vec!["encrypt", "-i", "--azure-kv", &key];
    line.extend(names.iter().map(String::as_str));
    cloud.sealops(&world, &line).ok();
    let count = |part: &str| cloud.fake.count(part);
    assert_eq!(count("/encrypt with a token"), FILES);
    assert_eq!(count("/keys/k with a token"), 1, "the newest version: {:?}", cloud.fake.calls());
    assert_eq!((count("/oauth2/v2.0/token"), cloud.fake.calls().len()), (1, FILES + 3));
    cloud.fake.reset_calls();
    let run = cloud.sealops(&world, &["verify", "deep", "deep"]);
    assert!(run.code == 0 && run.err.contains("40 files verified, 0 failed"), "{}", run.err);
    assert_eq!(count("/decrypt with a token"), FILES, "what was unwrapped once is known");
    assert_eq!((count("/oauth2/v2.0/token"), cloud.fake.calls().len()), (1, FILES + 2));
}

#[test]
fn foreign_vaults_are_refused_under_a_policy() {
    let cloud = Cloud::start();
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--azure-kv", &cloud.key(), "a.yaml"]).ok();
    let foreign = "https://other.vault.azure.net";
    cloud.fake.reset_calls();
    let refused = cloud.sealops(&world, &["decrypt", "--allow-key", foreign, "a.yaml"]);
    assert!(refused.code == 128 && refused.out.is_empty(), "{}", refused.err);
    let reason = unbroken(&refused.err);
    let whole = format!("{}/keys/k/{:032x}", cloud.fake.vault(), 0xa0);
    assert!(reason.contains(&format!("{whole} is not on the list")), "{reason}");
    world.write("b.yaml", "a: one\n");
    let refused =
        cloud.sealops(&world, &["encrypt", "--allow-key", foreign, "--azure-kv", &cloud.key(), "b.yaml"]);
    assert!(refused.code != 0 && refused.err.contains("is not on the list"), "{}", refused.err);
    let explained = cloud.sealops(&world, &["explain", "--json", "--allow-key", foreign, "a.yaml"]);
    assert_eq!(explained.code, 1, "{}", explained.err);
    let json: serde_json::Value = serde_json::from_slice(&explained.out).unwrap();
    let key = &json[0]["groups"][0][0];
    assert!(key["type"] == "azure_kv" && key["key"] == whole.as_str() && key["allowed"] == false, "{json}");
    assert_eq!(
        key["contacts"],
        serde_json::json!([cloud.fake.vault(), "https://login.microsoftonline.com"]),
        "{json}"
    );
    world.write("policy", format!("# ours\n{foreign}/keys/*\n"));
    let mut command = cloud.command(&world, Side::Ours.program());
    command.args(["decrypt", "a.yaml"]).env("SEALOPS_KEY_POLICY", world.path("policy"));
    assert_eq!(finish(command, &[]).code, 128);
    assert_eq!(cloud.fake.calls(), Vec::<String>::new(), "nothing was sent");
    for allowed in [format!("{}/keys/k/*", cloud.fake.vault()), "https://*.vault.azure.net".to_owned()] {
        cloud.sealops(&world, &["decrypt", "--allow-key", &allowed, "a.yaml"]).ok();
    }
    // The address in a file counts, and without a policy a host of somebody else gets no token.
    let evil =
        String::from_utf8(world.read("a.yaml")).unwrap().replace("one.vault.azure.net", "vault.evil.example");
    world.write("evil.yaml", evil);
    cloud.fake.reset_calls();
    for side in [Side::Ours, Side::Theirs] {
        cloud.fake.ask_for(Some("https://vault.azure.net"));
        let run = cloud.run(&world, side, &["decrypt", "evil.yaml"]);
        cloud.fake.ask_for(None);
        assert_eq!(run.code, 128, "{side:?} {}", run.err);
    }
    assert_eq!(cloud.fake.count("with a token") + cloud.fake.count("/oauth2/v2.0/token"), 0);
}
