//! Keys in Google Cloud KMS and objects in Cloud Storage: a fake stands in for Google, the real sops and Google's own
//! clients judge both (`conformance`).

mod conformance;
mod faults;
mod publish;
mod universe;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sealops_testenv::{GoogleCloud, Scope};
use serde_json::Value;

use super::fixtures::fixtures;
use super::network_keys::{Key, operations_both_ways, two_of_three};
use super::world::{Outcome, Side, World, finish, unbroken};

/// In every token, secret and message of the fake.
const CANARY: &str = "CANARY";

/// A cloud, and a folder in which programs ask it.
struct Cloud {
    google: GoogleCloud,
    world: World,
    /// Variables that say who asks.
    login: Vec<(&'static str, String)>,
}

impl Cloud {
    /// With a service account that is found by default.
    fn start() -> Self {
        let google = GoogleCloud::start().unwrap();
        let mut cloud = Self { google, world: World::new(), login: Vec::new() };
        let account = cloud.google.service_account("sops").unwrap();
        cloud.login = vec![("GOOGLE_APPLICATION_CREDENTIALS", cloud.file("account.json", &account))];
        cloud
    }

    /// Writes a file beside the working folder and returns its path.
    fn file(&self, name: &str, content: &Value) -> String {
        let path = self.path(name);
        fs::write(&path, content.to_string()).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.root().join("home").join(name)
    }

    fn environment(&self, command: &mut Command) {
        self.world.environment(command);
        command
            .env("SSL_CERT_FILE", self.google.authority())
            .env("SOPS_GCP_KMS_CLIENT_TYPE", "rest")
            // Nobody is there, and Go asks it only where the variable is set.
            .env("GCE_METADATA_HOST", "127.0.0.1:9")
            .env("EDITOR", "sed -i s/three/four/")
            .env("RUST_LOG", "trace")
            .envs(self.login.iter().map(|(name, value)| (*name, value)));
    }

    fn run(&self, side: Side, line: &[&str]) -> Outcome {
        let mut command = self.google.command(side.program());
        self.environment(&mut command);
        command.args(line);
        shown(side, finish(command, &[]))
    }

    fn sealops(&self, line: &[&str]) -> Outcome {
        let mut command = self.google.command(env!("CARGO_BIN_EXE_sealops"));
        self.environment(&mut command);
        command.args(line);
        shown(Side::Ours, finish(command, &[]))
    }

    fn with(&mut self, variables: &[(&'static str, &str)]) {
        self.login = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    }

    fn logins(&self) -> usize {
        self.google.count(" oauth2.googleapis.com /token ")
    }
}

/// No token, secret or text of an answer in anything that we show, at any level.
fn shown(side: Side, outcome: Outcome) -> Outcome {
    if side == Side::Ours {
        let out = String::from_utf8_lossy(&outcome.out);
        for secret in [CANARY, "PRIVATE KEY", "Bearer", "eyJhbGciOi"] {
            assert!(!outcome.err.contains(secret) && !out.contains(secret), "{secret}: {}", outcome.err);
        }
    }
    outcome
}

#[test]
fn operations_both_ways_by_cloud_kms() {
    let cloud = Cloud::start();
    let key = cloud.google.new_key("one");
    let key = Key { flags: &["--gcp-kms", &key], rule: format!("gcp_kms: {key}"), mark: "cryptoKeys" };
    operations_both_ways(&cloud.world, &key, &|side, line| cloud.run(side, line), &|| {});
}

#[test]
fn groups_of_age_pgp_and_cloud_kms_need_two_of_three() {
    let mut cloud = Cloud::start();
    cloud.world = cloud.world.with_gnupg(&fixtures().gnupg);
    let key = cloud.google.new_key("one");
    let locked_out = |side| {
        cloud.google.forbid_key(&key, true);
        let outcome = cloud.run(side, &["decrypt", "a.yaml"]);
        cloud.google.forbid_key(&key, false);
        outcome
    };
    let group = format!("gcp_kms:\n            - resource_id: {key}");
    let asked = || cloud.google.calls().len();
    two_of_three(&cloud.world, &group, &|side, line| cloud.run(side, line), &locked_out, &asked);
}

#[test]
fn many_files_cost_one_call_each_and_one_login() {
    const FILES: usize = 40;
    let cloud = Cloud::start();
    let key = cloud.google.new_key("one");
    let names: Vec<String> = (0..FILES).map(|number| format!("deep/f{number}.yaml")).collect();
    for name in &names {
        cloud.world.write(name, "a: one\n");
    }
    let mut line = vec!["encrypt", "-i", "--gcp-kms", &key];
    line.extend(names.iter().map(String::as_str));
    cloud.sealops(&line).ok();
    assert_eq!((cloud.google.count(":encrypt 200"), cloud.logins()), (FILES, 1));
    cloud.google.forget();
    // Every file twice: what was unwrapped once is known.
    let run = cloud.sealops(&["verify", "deep", "deep"]);
    assert!(run.code == 0 && run.err.contains("80 files verified, 0 failed"), "{}", run.err);
    assert_eq!((cloud.google.count(":decrypt 200"), cloud.logins()), (FILES, 1));
    assert_eq!(cloud.google.calls().len(), FILES + 1);
    // A token that lives shorter than the margin is used nevertheless.
    cloud.google.set_life(std::time::Duration::from_secs(120));
    cloud.google.forget();
    cloud.sealops(&["verify", "deep"]).ok();
    assert_eq!(cloud.logins(), 1);
}

#[test]
fn credentials_are_found_where_sops_finds_them() {
    let mut cloud = Cloud::start();
    let key = cloud.google.new_key("one");
    cloud.world.write("a.yaml", "a: one\n");
    cloud.run(Side::Theirs, &["encrypt", "-i", "--gcp-kms", &key, "a.yaml"]).ok();
    let account = cloud.google.service_account("other").unwrap();
    let file = cloud.file("other.json", &account);
    let foreign = cloud.google.foreign_key("other").unwrap();
    let wrong = cloud.file("wrong.json", &foreign);
    let token = cloud.google.token(Scope::Kms);
    let narrow = cloud.google.token(Scope::Storage);
    let address = cloud.google.address().to_string();
    let inline = account.to_string();
    let cases: [(&[(&'static str, &str)], &str); 11] = [
        (&[("GOOGLE_CREDENTIALS", &file), ("GOOGLE_OAUTH_ACCESS_TOKEN", "x")], "oauth2"),
        (&[("GOOGLE_CREDENTIALS", &inline), ("GOOGLE_APPLICATION_CREDENTIALS", &wrong)], "oauth2"),
        (
            &[("GOOGLE_OAUTH_ACCESS_TOKEN", &token), ("GOOGLE_APPLICATION_CREDENTIALS", &wrong)],
            ":decrypt 200",
        ),
        (&[("GOOGLE_APPLICATION_CREDENTIALS", &file)], "oauth2"),
        (&[("GCE_METADATA_HOST", &address)], "/computeMetadata/v1/instance/service-accounts/default/token"),
        (
            &[("GOOGLE_OAUTH_ACCESS_TOKEN", &token), ("SOPS_GCP_KMS_ENDPOINT", &cloud.google.tls_url())],
            "127.0.0.1:",
        ),
        // What is refused.
        (&[("GOOGLE_CREDENTIALS", &wrong)], ""),
        (&[("GOOGLE_CREDENTIALS", "CANARY-no-json")], ""),
        (&[("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")], ""),
        (&[("GOOGLE_OAUTH_ACCESS_TOKEN", &narrow)], ""),
        (&[("GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.CANARY-ended")], ""),
    ];
    // gcloud's own file goes before the metadata server.
    let folder = cloud.path(".config/gcloud");
    for (variables, asked) in cases {
        cloud.with(variables);
        for side in [Side::Theirs, Side::Ours] {
            cloud.google.forget();
            let run = cloud.run(side, &["decrypt", "a.yaml"]);
            let calls = cloud.google.calls();
            assert_eq!(run.code == 0, !asked.is_empty(), "{side:?} {variables:?}: {} {calls:?}", run.err);
            assert!(calls.iter().any(|call| call.contains(asked)) || asked.is_empty(), "{side:?}: {calls:?}");
        }
    }
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("application_default_credentials.json"), cloud.google.user().to_string()).unwrap();
    cloud.with(&[("GCE_METADATA_HOST", &address)]);
    for side in [Side::Theirs, Side::Ours] {
        cloud.google.forget();
        cloud.run(side, &["decrypt", "a.yaml"]).ok();
        assert_eq!((cloud.logins(), cloud.google.count("/computeMetadata")), (1, 0), "{side:?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_sops() {
    let mut cloud = Cloud::start();
    let key = cloud.google.new_key("one");
    cloud.world.write("a.yaml", "a: one\n");
    cloud.run(Side::Ours, &["encrypt", "-i", "--gcp-kms", &key, "a.yaml"]).ok();
    cloud.google.forbid_key(&key, true);
    let refused = |cloud: &Cloud, words: &str| {
        for side in [Side::Theirs, Side::Ours] {
            let run = cloud.run(side, &["decrypt", "a.yaml"]);
            let said = unbroken(&run.err);
            assert_eq!(run.code, 128, "{side:?}: {said}");
            assert!(said.contains(words) && said.contains(&format!("{key}: FAILED")), "{side:?}: {said}");
        }
    };
    refused(&cloud, "failed to decrypt sops data key with GCP KMS key:");
    cloud.google.forbid_key(&key, false);
    cloud.with(&[("GOOGLE_CREDENTIALS", "{}")]);
    refused(&cloud, "GCP KMS");
    // A name that leads elsewhere is no key, for both.
    let text = String::from_utf8(cloud.world.read("a.yaml")).unwrap();
    for name in ["projects/p", "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"] {
        cloud.world.write("b.yaml", text.replace(&key, name));
        cloud.google.forget();
        for side in [Side::Theirs, Side::Ours] {
            let run = cloud.run(side, &["decrypt", "b.yaml"]);
            let said = unbroken(&run.err);
            let words = format!("cannot create GCP KMS service: no valid resource ID found in \"{name}\"");
            assert!(run.code == 128 && said.contains(&words), "{side:?}: {said}");
        }
        assert_eq!(cloud.google.calls(), [""; 0]);
    }
}

#[test]
fn what_is_not_allowed_is_not_asked() {
    let cloud = Cloud::start();
    let key = cloud.google.new_key("one");
    cloud.world.write("a.yaml", "a: one\n");
    cloud.run(Side::Ours, &["encrypt", "-i", "--gcp-kms", &key, "a.yaml"]).ok();
    cloud.google.forget();
    let foreign = "projects/other/locations/*";
    let refused = cloud.sealops(&["decrypt", "--allow-key", foreign, "a.yaml"]);
    let reason = unbroken(&refused.err);
    assert!(refused.code == 128 && refused.out.is_empty(), "{reason}");
    assert!(reason.contains(&format!("{key} is not on the list of allowed keys")), "{reason}");
    let explained = cloud.sealops(&["explain", "--json", "--allow-key", foreign, "a.yaml"]);
    assert_eq!(explained.code, 1, "{}", explained.err);
    let json: Value = serde_json::from_slice(&explained.out).unwrap();
    let explained_key = &json[0]["groups"][0][0];
    assert!(explained_key["allowed"] == false && explained_key["key"] == key.as_str(), "{json}");
    assert_eq!(explained_key["contacts"][0], "https://cloudkms.googleapis.com", "{json}");
    assert_eq!(explained_key["contacts"][1], "https://oauth2.googleapis.com/token for the login", "{json}");
    cloud.world.write("policy", format!("# ours\n{foreign}\n"));
    let policy = cloud.world.path("policy").display().to_string();
    assert_eq!(cloud.sealops(&["decrypt", "--key-policy", &policy, "a.yaml"]).code, 128);
    assert_eq!(cloud.google.calls(), [""; 0]);
    cloud.sealops(&["decrypt", "--allow-key", "projects/p/locations/global/*", "a.yaml"]).ok();
    assert_eq!(cloud.google.count(":decrypt 200"), 1);
}
