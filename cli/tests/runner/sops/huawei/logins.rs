//! Who logs in: the same places as sops looks at, each judged by the real sops with the same variables.

use std::fs;

use sealops_testenv::{FakeHuawei, Fault, FaultProxy, LinkLocal, Turns};

use super::super::world::{Outcome, Side, World, finish, unbroken};
use super::{Cloud, KEY, LOGIN, SIDES, shown};

fn encrypted(cloud: &Cloud) -> World {
    let world = World::new();
    world.write("a.yaml", "a: one\n");
    cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--hckms", KEY, "a.yaml"]).ok();
    cloud.fake.reset_calls();
    world
}

fn decrypt(cloud: &Cloud, world: &World, side: Side, variables: &[(&str, &str)]) -> Outcome {
    let mut command = cloud.bare(world, side.program());
    command.args(["decrypt", "a.yaml"]).envs(variables.iter().copied());
    shown(side, finish(command, &[]))
}

#[test]
fn profiles_log_in() {
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    let folder = world.root().join("home/.huaweicloud");
    // The SDK leaves something there.
    fs::create_dir_all(&folder).unwrap();
    let (access, secret) = (FakeHuawei::ACCESS, FakeHuawei::SECRET);
    let basic = format!("; of ours\n[global]\nak = x\n\n[basic]\nak = {access}\nsk = {secret}\n");
    let quoted = format!("[basic]\nak = \"{access}\" # mine\nsk = `{secret}`\n");
    let project = format!("{basic}project_id = {}\n", FakeHuawei::PROJECT);
    for (text, asks) in [(&basic, 1), (&quoted, 1), (&project, 0)] {
        for (path, variables) in [
            (folder.join("credentials"), Vec::new()),
            (world.path("mine"), vec![("HUAWEICLOUD_SDK_CREDENTIALS_FILE", world.path("mine"))]),
        ] {
            fs::write(&path, text).unwrap();
            let variables: Vec<_> =
                variables.iter().map(|(name, path)| (*name, path.to_str().unwrap())).collect();
            for side in SIDES {
                cloud.fake.reset_calls();
                assert_eq!(decrypt(&cloud, &world, side, &variables).ok(), b"a: one\n", "{side:?} {text}");
                assert_eq!(cloud.counts(), [0, 1, asks], "{side:?} {text}");
            }
            fs::remove_file(&path).unwrap();
        }
    }
    // An address of IAM in it counts before the variable.
    let own = format!("{basic}iam_endpoint = https://iam.tr-west-1.myhuaweicloud.com\n");
    fs::write(folder.join("credentials"), own).unwrap();
    for side in SIDES {
        cloud.fake.reset_calls();
        let other = [("HUAWEICLOUD_SDK_IAM_ENDPOINT", "nowhere.example")];
        assert_eq!(decrypt(&cloud, &world, side, &other).ok(), b"a: one\n", "{side:?}");
        assert_eq!(cloud.fake.count("GET iam.tr-west-1.myhuaweicloud.com /v3/projects"), 1, "{side:?}");
    }
    // The environment comes first.
    for side in SIDES {
        let wrong =
            [LOGIN[0], ("HUAWEICLOUD_SDK_SK", "wrong"), ("HUAWEICLOUD_SDK_PROJECT_ID", FakeHuawei::PROJECT)];
        let refused = decrypt(&cloud, &world, side, &wrong);
        assert!(
            refused.code == 128 && unbroken(&refused.err).contains("APIGW.0301"),
            "{side:?} {}",
            refused.err
        );
    }
}

#[test]
fn agencies_of_machines_log_in_and_pods_after_them() {
    let link_local = LinkLocal::take();
    let cloud = Cloud::start();
    let world = encrypted(&cloud);
    world.write("token", FakeHuawei::METADATA_TOKEN);
    let (uri, token) = (format!("http://{}/pod", cloud.fake.plain()), world.path("token"));
    let pod = [
        ("HC_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ];
    for side in SIDES {
        cloud.fake.reset_calls();
        assert_eq!(decrypt(&cloud, &world, side, &pod).ok(), b"a: one\n", "{side:?}");
        assert_eq!((cloud.fake.count("POST"), cloud.counts()), (2, [0, 1, 1]), "{side:?}");
        let none = decrypt(&cloud, &world, side, &[]);
        assert_eq!(none.code, 128, "{side:?} {}", none.err);
        let reason = unbroken(&none.err);
        assert!(reason.contains("failed to get HuaweiCloud credentials"), "{side:?} {reason}");
        assert!(reason.contains("HC_CONTAINER_CREDENTIALS_FULL_URI"), "{side:?} {reason}");
        assert!(reason.contains(".huaweicloud/credentials"), "{side:?} {reason}");
    }
    fs::write(&token, "wrong").unwrap();
    for side in SIDES {
        assert_eq!(decrypt(&cloud, &world, side, &pod).code, 128, "{side:?}");
    }

    let metadata = cloud.fake.metadata().unwrap();
    let _machine = link_local.machine(metadata.address()).unwrap();
    for side in SIDES {
        // A project in a variable is for keys in variables.
        let other = [("HUAWEICLOUD_SDK_PROJECT_ID", FakeHuawei::OTHER_PROJECT), pod[0], pod[1]];
        cloud.fake.reset_calls();
        assert_eq!(decrypt(&cloud, &world, side, &other).ok(), b"a: one\n", "{side:?}");
        assert_eq!((cloud.fake.count("metadata"), cloud.counts()), (2, [0, 1, 1]), "{side:?}");
    }
    // Keys that have ended are not used again.
    cloud.fake.set_life(-10);
    for side in SIDES {
        assert_eq!(decrypt(&cloud, &world, side, &[]).ok(), b"a: one\n", "{side:?}");
    }
    cloud.fake.set_life(24 * 3600);
    // One login for all who wait.
    let names: Vec<String> = (0..10).map(|number| format!("f{number}.yaml")).collect();
    for name in &names {
        world.write(name, "a: one\n");
    }
    cloud.fake.reset_calls();
    let mut command = cloud.bare(&world, std::path::Path::new(env!("CARGO_BIN_EXE_sealops")));
    command.args(["encrypt", "-i", "--hckms", KEY]).args(&names);
    shown(Side::Ours, finish(command, &[])).ok();
    assert_eq!((cloud.fake.count("metadata"), cloud.counts()), (2, [10, 0, 1]));
    // Keys that are refused before their end are replaced once.
    let proxy = FaultProxy::https(cloud.fake.plain(), &cloud.fake.proxied().unwrap()).unwrap();
    let address = format!("https://{}:{}", FakeHuawei::PROXIED_KMS, proxy.address().port());
    let proxied = [("HUAWEICLOUD_SDK_REGION_KMS_EU_WEST_101", address.as_str())];
    let dead = Fault::answer(401, &[], r#"{"error_code":"APIGW.0301","error_msg":"hunter2"}"#);
    for (turns, code) in [(Turns::Only(1), 0), (Turns::All, 128)] {
        proxy.set_for(turns, dead.clone());
        proxy.reset_calls();
        cloud.fake.reset_calls();
        let run = decrypt(&cloud, &world, Side::Ours, &proxied);
        assert_eq!(run.code, code, "{}", run.err);
        assert_eq!((cloud.fake.count("metadata"), proxy.calls().len()), (4, 2), "{turns:?}");
        assert!(code == 0 || unbroken(&run.err).contains("APIGW.0301"), "{}", run.err);
    }
}

#[test]
fn regions_of_variables_and_of_the_users_file_are_known() {
    const HOST: &str = "kms.eu-west-101.myhuaweicloud.eu";
    let cloud = Cloud::start();
    let world = World::new();
    cloud.fake.set_projects("mars-1", &[FakeHuawei::PROJECT]);
    let key = KEY.replace(FakeHuawei::REGION, "mars-1");
    world.write("own.yaml", format!("Kms:\n  - id: mars-1\n    endpoint: https://{HOST}\n"));
    let folder = world.root().join("home/.huaweicloud");
    let (own, several) = (world.path("own.yaml"), format!("{HOST},nowhere.example"));
    let places = [
        ("HUAWEICLOUD_SDK_REGION_KMS_MARS_1", several.as_str()),
        ("HUAWEICLOUD_SDK_REGIONS_FILE", own.to_str().unwrap()),
        // The folder of the user, with this variable without a meaning.
        ("NOTHING", ""),
    ];
    for place in places {
        for side in SIDES {
            if place.0 == "NOTHING" {
                fs::create_dir_all(&folder).unwrap();
                let list = format!("KMS:\n  - id: mars-1\n    endpoints: ['https://{HOST}']\n");
                fs::write(folder.join("regions.yaml"), list).unwrap();
            }
            world.write("a.yaml", "a: one\n");
            cloud.fake.reset_calls();
            cloud.run_with(&world, side, &["encrypt", "-i", "--hckms", &key, "a.yaml"], &[place]).ok();
            assert_eq!(cloud.counts(), [1, 0, 1], "{side:?} {place:?}");
            assert_eq!(cloud.fake.count(&format!("POST {HOST} ")), 1, "{side:?} {place:?}");
        }
    }
}
