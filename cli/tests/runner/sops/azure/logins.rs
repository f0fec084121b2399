//! Who logs in: the same places as sops looks at, each judged by the real sops with the same variables.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sealops_testenv::{AwsCredentials, FakeAzure, LinkLocal, Parts};

use super::super::world::BOTH;
use super::super::world::{Outcome, Side, World, finish, unbroken};
use super::conformance::SCRIPT;
use super::{Cloud, shown};

const SIDES: [Side; 2] = [Side::Theirs, Side::Ours];

fn encrypted(cloud: &Cloud) -> World {
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--azure-kv", &cloud.key(), "a.yaml"]).ok();
    cloud.fake.reset_calls();
    world
}

fn decrypt(cloud: &Cloud, world: &World, side: Side, variables: &[(&str, &str)]) -> Outcome {
    let mut command = cloud.bare(world, side.program());
    command.args(["decrypt", "a.yaml"]).envs(variables.iter().copied());
    shown(side, finish(command, &[]))
}

#[test]
fn tokens_of_a_cluster_log_in() {
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    world.write("token", FakeAzure::FEDERATED);
    let file = world.path("token");
    let variables = [
        ("AZURE_TENANT_ID", FakeAzure::TENANT),
        ("AZURE_CLIENT_ID", FakeAzure::CLIENT),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
    ];
    for side in SIDES {
        assert_eq!(decrypt(&cloud, &world, side, &variables).ok(), b"a: one\n", "{side:?}");
    }
    world.write("token", "wrong");
    for side in SIDES {
        let refused = decrypt(&cloud, &world, side, &variables);
        assert!(
            refused.code == 128 && unbroken(&refused.err).contains("AADSTS7000215"),
            "{side:?} {}",
            refused.err
        );
    }
}

#[test]
fn certificates_log_in() {
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    world.write("client.pem", cloud.fake.client_certificate());
    world.write("other.pem", FakeAzure::start(&[]).unwrap().client_certificate());
    let (right, other) = (world.path("client.pem"), world.path("other.pem"));
    let with = |file: &str, chain: &str| {
        [
            ("AZURE_TENANT_ID", FakeAzure::TENANT.to_owned()),
            ("AZURE_CLIENT_ID", FakeAzure::CLIENT.to_owned()),
            ("AZURE_CLIENT_CERTIFICATE_PATH", file.to_owned()),
            ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", chain.to_owned()),
        ]
    };
    let decrypt = |side: Side, variables: [(&str, String); 4]| {
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        decrypt(&cloud, &world, side, &variables)
    };
    for side in SIDES {
        for chain in ["", "true"] {
            let opened = decrypt(side, with(right.to_str().unwrap(), chain));
            assert_eq!(opened.ok(), b"a: one\n", "{side:?}");
        }
        let refused = decrypt(side, with(other.to_str().unwrap(), ""));
        assert!(
            refused.code == 128 && unbroken(&refused.err).contains("AADSTS7000215"),
            "{side:?} {}",
            refused.err
        );
    }
}

/// PKCS#12 of a PEM file, as the program openssl writes it.
fn pkcs12(world: &World, pem: &str, name: &str, password: &str, how: &[&str]) -> String {
    let mut command = Command::new("openssl");
    let file = world.path(name);
    command
        .current_dir(world.path(""))
        .args(["pkcs12", "-export", "-in", pem, "-inkey", pem, "-out"])
        .arg(&file);
    command.args(["-passout", &format!("pass:{password}")]).args(how);
    finish(command, &[]).ok();
    file.display().to_string()
}

#[test]
fn certificates_in_pkcs12_log_in() {
    const PASSWORD: &str = "CANARY-password-5c";
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    world.write("client.pem", cloud.fake.client_certificate());
    world.write("other.pem", FakeAzure::start(&[]).unwrap().client_certificate());
    let old = ["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"];
    let older = ["-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"];
    // Another certificate goes before the key's own one.
    let chain = [&old[..], &["-certfile", "other.pem"]].concat();
    let opens = |side: Side, file: &str, password: &str, chain: &str| {
        let variables = [
            ("AZURE_TENANT_ID", FakeAzure::TENANT),
            ("AZURE_CLIENT_ID", FakeAzure::CLIENT),
            ("AZURE_CLIENT_CERTIFICATE_PATH", file),
            ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password),
            ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", chain),
            ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"),
        ];
        let outcome = decrypt(&cloud, &world, side, &variables);
        assert!(!outcome.err.contains(PASSWORD) || side == Side::Theirs, "{}", outcome.err);
        assert!(outcome.code == 128 || outcome.out == b"a: one\n", "{}", outcome.err);
        (outcome.code == 0, unbroken(&outcome.err))
    };
    for (name, password, how) in [
        ("old.p12", PASSWORD, &old[..]),
        ("older.p12", PASSWORD, &older[..]),
        ("empty.p12", "", &old[..]),
        ("chain.p12", PASSWORD, &chain[..]),
    ] {
        let file = pkcs12(&world, "client.pem", name, password, how);
        for side in SIDES {
            for chain in ["", "1"] {
                let (opened, said) = opens(side, &file, password, chain);
                assert!(opened, "{side:?} {name}: {said}");
            }
            let (opened, said) = opens(side, &file, "wrong", "");
            assert!(!opened, "{side:?} {name}");
            assert!(side == Side::Theirs || said.contains("decryption password incorrect"), "{said}");
        }
    }
    // What openssl writes by itself: the real sops cannot read it, Azure's own library can, and so do we.
    let file = pkcs12(&world, "client.pem", "new.p12", PASSWORD, &[]);
    assert!(!opens(Side::Theirs, &file, PASSWORD, "").0);
    assert!(opens(Side::Ours, &file, PASSWORD, "").0);
    let mut command = cloud.bare(&world, Parts::locate().unwrap().path("azure-python").unwrap());
    command
        .args([SCRIPT, "version", &cloud.key()])
        .env("AZURE_TENANT_ID", FakeAzure::TENANT)
        .env("AZURE_CLIENT_ID", FakeAzure::CLIENT)
        .env("AZURE_CLIENT_CERTIFICATE_PATH", &file)
        .env("AZURE_CLIENT_CERTIFICATE_PASSWORD", PASSWORD);
    finish(command, &[]).ok();
    // The key's certificate is not the first one.
    let both =
        [&String::from_utf8(world.read("other.pem")).unwrap()[..], cloud.fake.client_certificate()].concat();
    let (foreign, rest) = both.split_once("-----BEGIN PRIVATE KEY").unwrap();
    let (_, own) = rest.split_once("-----END PRIVATE KEY-----\n").unwrap();
    world.write("second.pem", format!("{foreign}{own}"));
    for side in SIDES {
        let (opened, said) = opens(side, world.path("second.pem").to_str().unwrap(), "", "1");
        assert!(opened, "{side:?}: {said}");
    }
    // A key of somebody else, a PEM file with a password, two keys, a key without its certificate, and garbage: nobody.
    let pem = |name: &str| world.path(name).display().to_string();
    world.write("two.pem", [cloud.fake.client_certificate(), cloud.fake.client_certificate()].concat());
    let (own, foreign) =
        (cloud.fake.client_certificate(), String::from_utf8(world.read("other.pem")).unwrap());
    let (_, key) = own.split_once("-----BEGIN PRIVATE KEY").unwrap();
    let (certificate, _) = foreign.split_once("-----BEGIN PRIVATE KEY").unwrap();
    world.write("unpaired.pem", format!("{certificate}-----BEGIN PRIVATE KEY{key}"));
    world.write("garbage.p12", b"\x30\x82\x01\x00\xff");
    let other = pkcs12(&world, "other.pem", "other.p12", PASSWORD, &old);
    for (file, password) in [
        (other, PASSWORD),
        (pem("client.pem"), PASSWORD),
        (pem("two.pem"), ""),
        (pem("unpaired.pem"), ""),
        (pem("garbage.p12"), ""),
    ] {
        for side in SIDES {
            assert!(!opens(side, &file, password, "").0, "{side:?} {file}");
        }
    }
}

#[test]
fn the_identity_of_a_machine_is_found_where_machines_have_it() {
    let link_local = LinkLocal::take();
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    let assigned = [("AZURE_CLIENT_ID", FakeAzure::CLIENT)];
    let chosen = [("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")];
    // A machine of another cloud answers there too.
    let aws = AwsCredentials::start().unwrap();
    let other = link_local.machine(aws.address()).unwrap();
    for side in SIDES {
        assert_eq!(decrypt(&cloud, &world, side, &[]).code, 128, "{side:?}");
    }
    drop(other);
    let machine = link_local.machine(cloud.fake.plain()).unwrap();
    for variables in [&[][..], &assigned[..], &chosen[..]] {
        for side in SIDES {
            machine.reset_calls();
            let run = decrypt(&cloud, &world, side, variables);
            assert_eq!(run.code, 0, "{side:?} {variables:?}: {} {:?}", run.err, machine.calls());
            let asked = "GET /metadata/identity/oauth2/token?";
            assert!(machine.count(asked) >= 1, "{side:?}: {:?}", machine.calls());
            let client = machine.count(&format!("client_id={}", FakeAzure::CLIENT));
            assert_eq!(client, usize::from(variables == assigned), "{side:?}: {:?}", machine.calls());
        }
    }
    let python = Parts::locate().unwrap().path("azure-python").unwrap();
    let mut command = cloud.bare(&world, python);
    command.args([SCRIPT, "version", &cloud.key()]).env("JUDGE_CREDENTIAL", "machine");
    let version = finish(command, &[]).ok();
    assert_eq!(String::from_utf8(version).unwrap().trim().len(), 32);
}

#[test]
fn identities_of_a_machine_log_in() {
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    let endpoint = format!("http://{}/msi/token", cloud.fake.plain());
    let right = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", FakeAzure::IDENTITY_HEADER)];
    for side in SIDES {
        assert_eq!(decrypt(&cloud, &world, side, &right).ok(), b"a: one\n", "{side:?}");
        let wrong = decrypt(&cloud, &world, side, &[right[0], ("IDENTITY_HEADER", "wrong")]);
        assert_eq!(wrong.code, 128, "{side:?} {}", wrong.err);
    }
}

#[test]
fn the_program_az_logs_in() {
    // Nobody has an identity before `az` is asked.
    let _nobody = LinkLocal::take();
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    let home = world.root().join("home");
    let token = cloud.fake.issue("https://vault.azure.net");
    let script = |status: &str| {
        let answer =
            format!(r#"{{"accessToken": "{token}", "expires_on": 4102444800, "tokenType": "Bearer"}}"#);
        let text =
            format!("#!/bin/sh\necho \"$@\" >> {}/asked\necho '{answer}'\nexit {status}\n", home.display());
        fs::write(home.join("az"), text).unwrap();
        fs::set_permissions(home.join("az"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:/usr/bin:/bin", home.display());
    let chosen = [("PATH", path.as_str()), ("AZURE_TOKEN_CREDENTIALS", "AzureCLICredential")];
    for variables in [&chosen[..1], &chosen[..]] {
        script("0");
        for side in SIDES {
            assert_eq!(decrypt(&cloud, &world, side, variables).ok(), b"a: one\n", "{side:?} {variables:?}");
        }
        script("1");
        for side in SIDES {
            assert_eq!(decrypt(&cloud, &world, side, variables).code, 128, "{side:?} {variables:?}");
        }
    }
    let asked = fs::read_to_string(home.join("asked")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(lines.len(), 8, "{asked}");
    assert!(lines.iter().all(|line| *line == lines[0]), "both ask the same: {asked}");
    assert_eq!(cloud.fake.count("/oauth2/v2.0/token"), 0);
}

#[test]
fn a_vault_of_another_tenant_gets_no_token() {
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    let other = [
        ("AZURE_TENANT_ID", "11111111-2222-3333-4444-555555555555"),
        ("AZURE_CLIENT_ID", FakeAzure::CLIENT),
        ("AZURE_CLIENT_SECRET", FakeAzure::SECRET),
    ];
    for side in SIDES {
        let refused = decrypt(&cloud, &world, side, &other);
        assert_eq!(refused.code, 128, "{side:?} {}", refused.err);
        assert!(
            unbroken(&refused.err).contains("AZURE_ADDITIONALLY_ALLOWED_TENANTS") || side == Side::Theirs
        );
        assert_eq!(cloud.fake.count("/oauth2/v2.0/token"), 0, "{side:?}");
        let allowed = [&other[..], &[("AZURE_ADDITIONALLY_ALLOWED_TENANTS", FakeAzure::TENANT)]].concat();
        assert_eq!(decrypt(&cloud, &world, side, &allowed).ok(), b"a: one\n", "{side:?}");
        cloud.fake.reset_calls();
    }
}

#[test]
fn without_credentials_every_place_is_named() {
    let _nobody = LinkLocal::take();
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    for side in SIDES {
        let none = decrypt(&cloud, &world, side, &[]);
        assert_eq!(none.code, 128, "{side:?} {}", none.err);
        let reason = unbroken(&none.err);
        for name in [
            "EnvironmentCredential",
            "WorkloadIdentityCredential",
            "ManagedIdentityCredential",
            "AzureCLICredential",
        ] {
            assert!(reason.contains(name), "{side:?} {name}: {reason}");
        }
        assert_eq!(cloud.fake.count("with a token"), 0);
    }
}

#[test]
fn every_cloud_has_its_own_authority() {
    let cloud = Cloud::start();
    let world = World::new();
    for (domain, authority) in [
        ("vault.azure.cn", "login.chinacloudapi.cn"),
        ("vault.usgovcloudapi.net", "login.microsoftonline.us"),
        ("vault.azure.net", "login.microsoftonline.com"),
    ] {
        let key = format!("https://one.{domain}/keys/k");
        let host = format!("https://{authority}/");
        for (writer, reader) in BOTH {
            world.write("a.yaml", "a: one\n");
            cloud.fake.reset_calls();
            // sops has to be told; ours knows, and is told too.
            let told = [("AZURE_AUTHORITY_HOST", host.as_str())];
            let of = |side| if side == Side::Ours { &told[..0] } else { &told[..] };
            cloud.run_with(&world, writer, &["encrypt", "-i", "--azure-kv", &key, "a.yaml"], of(writer)).ok();
            assert_eq!(cloud.run_with(&world, reader, &["decrypt", "a.yaml"], of(reader)).ok(), b"a: one\n");
            assert_eq!(cloud.run_with(&world, reader, &["decrypt", "a.yaml"], &told).ok(), b"a: one\n");
            let logins = cloud.fake.count("/oauth2/v2.0/token");
            assert!(logins >= 3 && cloud.fake.count(&format!("POST {authority} ")) == logins, "{domain}");
        }
    }
}
