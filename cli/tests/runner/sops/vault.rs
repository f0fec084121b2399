//! Transit keys of a real OpenBao, judged by the real sops.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;

use sealops_testenv::OpenBaoServer;
use serde_json::json;

use super::fixtures::fixtures;
use super::network_keys::{Key, operations_both_ways, two_of_three};
use super::world::{BOTH, Outcome, Side, World, finish};

/// The server that these tests share, with the engines `transit` and `team/deep/transit`.
fn bao() -> &'static OpenBaoServer {
    static SERVER: OnceLock<OpenBaoServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = OpenBaoServer::start().unwrap();
        for engine in ["transit", "team/deep/transit"] {
            server.put(&format!("sys/mounts/{engine}"), &json!({ "type": "transit" })).unwrap();
            for key in ["one", "two", "many", "listed"] {
                server.put(&format!("{engine}/keys/{key}"), &json!({})).unwrap();
            }
        }
        server.put("transit/keys/rsa", &json!({ "type": "rsa-4096" })).unwrap();
        let policy = r#"path "transit/*" { capabilities = ["update"] }"#;
        server.put("sys/policies/acl/sops", &json!({ "policy": policy })).unwrap();
        server
    })
}

fn uri(engine: &str, key: &str) -> String {
    format!("{}/v1/{engine}/keys/{key}", bao().url())
}

fn run_with(world: &World, side: Side, line: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let mut command = world.command(side);
    command.args(line).env("EDITOR", "sed -i s/three/four/").env("RUST_LOG", "trace");
    command.envs(variables.iter().copied());
    let outcome = finish(command, &[]);
    for (name, value) in
        variables.iter().filter(|(name, _)| ["VAULT_TOKEN", "SEALOPS_VAULT_SECRET_ID"].contains(name))
    {
        assert!(!outcome.err.contains(value), "{name} is shown: {}", outcome.err);
    }
    outcome
}

/// Takes line breaks and the blanks around them out of a message.
fn joined(text: &str) -> String {
    text.replace(['\n', ' ', '|'], "")
}

fn run(world: &World, side: Side, line: &[&str]) -> Outcome {
    run_with(world, side, line, &[("VAULT_TOKEN", bao().root_token())])
}

#[test]
fn five_operations_both_ways_by_transit_keys() {
    let world = World::new();
    for key in [uri("transit", "one"), uri("team/deep/transit", "one"), uri("transit", "rsa")] {
        let key = Key {
            flags: &["--hc-vault-transit", &key],
            rule: format!("hc_vault_transit_uri: {key}"),
            mark: "enc: vault:v1:",
        };
        operations_both_ways(&world, &key, &|side, line| run(&world, side, line), &|| {});
    }
}

#[test]
fn groups_of_age_pgp_and_vault_need_two_of_three() {
    let world = World::new().with_gnupg(&fixtures().gnupg);
    let key = uri("transit", "two");
    let locked_out = |side| run_with(&world, side, &["decrypt", "a.yaml"], &[("VAULT_TOKEN", "s.wrong")]);
    let run = |side, line: &[&str]| run(&world, side, line);
    let asked = || bao().count("transit/decrypt/two").unwrap();
    two_of_three(&world, &format!("hc_vault: [{key}]"), &run, &locked_out, &asked);
}

#[test]
fn a_token_comes_from_the_same_places_and_from_a_helper() {
    let world = World::new();
    let token = bao().root_token();
    world.write("a.yaml", "a: one\n");
    run(&world, Side::Ours, &["encrypt", "-i", "--hc-vault-transit", &uri("transit", "one"), "a.yaml"]).ok();
    let home = world.root().join("home");
    for side in [Side::Ours, Side::Theirs] {
        let none = run_with(&world, side, &["decrypt", "a.yaml"], &[]);
        assert_eq!(none.code, 128, "{side:?} {}", none.err);
        fs::write(home.join(".vault-token"), format!("{token}\n")).unwrap();
        assert_eq!(run_with(&world, side, &["decrypt", "a.yaml"], &[]).ok(), b"a: one\n", "{side:?}");
        let wrong = run_with(&world, side, &["decrypt", "a.yaml"], &[("VAULT_TOKEN", "s.wrong")]);
        assert!(wrong.code == 128, "the variable goes before the file: {side:?} {}", wrong.err);
        fs::remove_file(home.join(".vault-token")).unwrap();
    }
    let helper = home.join("helper");
    fs::write(&helper, format!("#!/bin/sh\necho {token}\n")).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join(".vault"), format!("token_helper = \"{}\"\n", helper.display())).unwrap();
    assert_eq!(run_with(&world, Side::Ours, &["decrypt", "a.yaml"], &[]).ok(), b"a: one\n");
}

#[test]
fn a_login_is_made_once_and_given_back() {
    const FILES: usize = 20;
    let bao = bao();
    bao.put("sys/auth/approle", &json!({ "type": "approle" })).unwrap();
    bao.put("auth/approle/role/sops", &json!({ "token_policies": "sops" })).unwrap();
    let role =
        bao.get("auth/approle/role/sops/role-id").unwrap()["data"]["role_id"].as_str().unwrap().to_owned();
    let secret = bao.put("auth/approle/role/sops/secret-id", &json!({})).unwrap()["data"]["secret_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let world = World::new();
    let names: Vec<String> = (0..FILES).map(|number| format!("deep/f{number}.yaml")).collect();
    for name in &names {
        world.write(name, "a: one\n");
    }
    let variables = [
        ("SEALOPS_VAULT_AUTH_METHOD", "approle"),
        ("SEALOPS_VAULT_ROLE_ID", role.as_str()),
        ("SEALOPS_VAULT_SECRET_ID", secret.as_str()),
    ];
    let sealops = |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
        world.environment(&mut command);
        command.args(line).envs(variables);
        finish(command, &[])
    };
    let count = |path: &str| bao.count(path).unwrap();
    let before = ["auth/approle/login", "auth/token/revoke-self", "transit/decrypt/many"].map(count);
    let key = uri("transit", "many");
    let mut line = vec!["encrypt", "-i", "--hc-vault-transit", &key];
    line.extend(names.iter().map(String::as_str));
    sealops(&line).ok();
    let verified = sealops(&["verify", "deep", "deep"]);
    assert!(verified.code == 0 && verified.err.contains("40 files verified, 0 failed"), "{}", verified.err);
    assert_eq!(count("auth/approle/login") - before[0], 2, "one for each command");
    assert_eq!(count("auth/token/revoke-self") - before[1], 2);
    assert_eq!(count("transit/decrypt/many") - before[2], FILES, "what was unwrapped is known");
    let mut wrong = variables;
    wrong[2].1 = "CANARY-wrong";
    let refused = run_with(&world, Side::Ours, &["decrypt", &names[0]], &wrong);
    assert!(refused.code == 128 && joined(&refused.err).contains("invalidroleorsecretID"), "{}", refused.err);
}

#[test]
fn servers_that_are_not_on_the_list_get_nothing() {
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    run(&world, Side::Theirs, &["encrypt", "-i", "--hc-vault-transit", &uri("transit", "listed"), "a.yaml"])
        .ok();
    let token = ("VAULT_TOKEN", bao().root_token());
    for (list, allowed) in [
        ("all", true),
        ("none", false),
        ("https://vault.example", false),
        (&*format!("https://vault.example, {}", bao().url()), true),
        ("https://vault.example,", false),
    ] {
        for side in [Side::Ours, Side::Theirs] {
            let before = bao().count("transit/decrypt/listed").unwrap();
            let opened =
                run_with(&world, side, &["decrypt", "a.yaml"], &[token, ("SOPS_HC_VAULT_ALLOWLIST", list)]);
            assert_eq!(opened.code == 0, allowed, "{side:?} {list}: {}", opened.err);
            let said = joined(&opened.err);
            let says = said.contains("Allowlistdoesnotallow") || said.contains("'sentry2isempty");
            assert_eq!(says, !allowed, "{side:?} {list}: {}", opened.err);
            if !allowed && side == Side::Ours {
                assert_eq!(bao().count("transit/decrypt/listed").unwrap(), before, "{list}");
            }
        }
    }
}

#[test]
fn tls_namespaces_and_what_is_wrong_with_them() {
    let bao = bao();
    bao.put("sys/namespaces/own", &json!({})).unwrap();
    bao.put("own/sys/mounts/transit", &json!({ "type": "transit" })).unwrap();
    bao.put("own/transit/keys/k", &json!({})).unwrap();
    let world = World::new();
    world.write("ca.pem", bao.pki().ca_pem());
    let authority = world.path("ca.pem");
    let key = format!("{}/v1/transit/keys/k", bao.tls_url());
    let token = ("VAULT_TOKEN", bao.root_token());
    let right = [token, ("VAULT_NAMESPACE", "own"), ("VAULT_CACERT", authority.to_str().unwrap())];
    for (writer, reader) in BOTH {
        world.write("a.yaml", "a: one\n");
        run_with(&world, writer, &["encrypt", "-i", "--hc-vault-transit", &key, "a.yaml"], &right).ok();
        assert_eq!(run_with(&world, reader, &["decrypt", "a.yaml"], &right).ok(), b"a: one\n");
        let unchecked = [token, ("VAULT_NAMESPACE", "own"), ("VAULT_SKIP_VERIFY", "true")];
        assert_eq!(run_with(&world, reader, &["decrypt", "a.yaml"], &unchecked).ok(), b"a: one\n");
        for wrong in
            [&[token, right[1]][..], &[token, right[2]], &[token, right[1], ("VAULT_CACERT", "/none")]]
        {
            let refused = run_with(&world, reader, &["decrypt", "a.yaml"], wrong);
            assert!(refused.code == 128 && refused.out.is_empty(), "{reader:?} {wrong:?}: {}", refused.err);
        }
    }
}
