//! Accounts and services outside of Google's own universe: ours asks whom the real sops asks.

use sealops_testenv::Scope;
use serde_json::{Value, json};

use super::Cloud;
use crate::sops::world::{AGE_A, Side, unbroken};

const UNIVERSE: &str = "universe.example";

/// Whether it succeeded, and who was asked: each host with path and status once.
fn asked(cloud: &Cloud, side: Side, line: &[&str]) -> (bool, Vec<String>, String) {
    cloud.world.write("a.yaml", "a: one\n");
    cloud.google.empty("bucket");
    cloud.google.forget();
    let run = cloud.run(side, line);
    let mut calls = cloud.google.calls();
    if line[0] == "publish" {
        // sops ends with 0 whatever becomes of it, and uploads in another form.
        calls.retain(|call| call.starts_with("POST") && !call.ends_with(" 401"));
        let there = cloud.google.object("bucket", "p.yaml").is_some();
        calls.dedup();
        return (there, calls, unbroken(&run.err));
    }
    // Who is refused may have logged in before, or not: that nothing was sent to KMS counts.
    if run.code != 0 {
        calls.retain(|call| call.contains("cloudkms."));
    }
    calls.retain(|call| !call.contains("/computeMetadata/") || call.contains("/token"));
    calls.sort();
    calls.dedup();
    (run.code == 0, calls, unbroken(&run.err))
}

#[test]
fn a_foreign_universe_is_asked_as_by_sops() {
    let mut cloud = Cloud::start();
    let key = cloud.google.new_key("one");
    cloud.google.new_bucket("bucket", true);
    cloud.world.write("p.yaml", "a: one\n");
    cloud.world.run(Side::Theirs, &["encrypt", "-i", "--age", AGE_A, "p.yaml"], b"").ok();
    cloud.world.write("rules.yaml", "destination_rules:\n  - gcs_bucket: bucket\n");
    let own = cloud.google.service_account("own").unwrap();
    let with_universe = |login: &Value| {
        let mut login = login.clone();
        login["universe_domain"] = json!(UNIVERSE);
        login
    };
    let subject = cloud.path("subject");
    std::fs::write(&subject, "CANARY-subject-token-2f6a").unwrap();
    let federated = cloud.google.federated(&subject, "CANARY-subject-token-2f6a", None);
    let mut abroad = with_universe(&federated);
    abroad["token_url"] = json!(format!("https://sts.{UNIVERSE}/v1/token"));
    let user = cloud.google.user();
    let logins = [
        ("account", own.clone()),
        ("account abroad", with_universe(&own)),
        ("user", user.clone()),
        ("user abroad", with_universe(&user)),
        ("federated", federated),
        ("federated abroad", abroad),
    ];
    let logins = logins.map(|(name, login)| {
        (name, ("GOOGLE_APPLICATION_CREDENTIALS", cloud.file(&format!("{name}.json"), &login)))
    });
    let token = ("GOOGLE_OAUTH_ACCESS_TOKEN", cloud.google.token(Scope::CloudPlatform));
    let machine = ("GCE_METADATA_HOST", cloud.google.address().to_string());
    let logins = logins.into_iter().chain([("token", token), ("machine", machine)]);
    let mut differences = Vec::new();
    let mut count = 0;
    for (name, login) in logins {
        for variables in [
            &[][..],
            &["SOPS_GCP_KMS_UNIVERSE_DOMAIN"],
            &["GOOGLE_CLOUD_UNIVERSE_DOMAIN"],
            &["SOPS_GCP_KMS_UNIVERSE_DOMAIN", "GOOGLE_CLOUD_UNIVERSE_DOMAIN"],
        ] {
            cloud.login = vec![login.clone()];
            cloud.login.extend(variables.iter().map(|name| (*name, UNIVERSE.to_owned())));
            let encrypt = ["encrypt", "-i", "--gcp-kms", &key, "a.yaml"];
            let publish = ["publish", "-y", "--config", "rules.yaml", "p.yaml"];
            // Storage is not asked with a token out of a variable.
            for line in [&encrypt[..], &publish[..]]
                .into_iter()
                .filter(|line| name != "token" || line[0] == "encrypt")
            {
                let (theirs, ours) = (asked(&cloud, Side::Theirs, line), asked(&cloud, Side::Ours, line));
                count += 1;
                if (theirs.0, &theirs.1) != (ours.0, &ours.1) {
                    differences.push(format!(
                        "{name} {variables:?} {}:\n  theirs {theirs:?}\n  ours   {ours:?}",
                        line[0]
                    ));
                }
            }
        }
    }
    println!("universes: {count} cases, {} differences", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
