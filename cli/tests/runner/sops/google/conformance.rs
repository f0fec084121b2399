//! One list of cases. Google's own clients and the real sops have to pass it against the fake, or the fake is wrong; then
//! ours has to.

use sealops_testenv::{AwsCredentials, LinkLocal, Parts};
use serde_json::{Value, json};

use super::Cloud;
use crate::sops::world::{AGE_A, Outcome, Side, World, finish, unbroken};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Action {
    /// Encrypt and decrypt.
    Both(&'static str),
    /// Decrypt what was changed.
    Tamper(&'static str),
    /// Decrypt by another key.
    Other(&'static str, &'static str),
    /// Put an object into a bucket.
    Put(&'static str),
}

/// What came of it: `OK`, the code of Google's error, or `LOGIN`.
type Verdict = String;

/// Login, action, verdict.
type Case = (&'static str, Action, &'static str);

const CASES: &[Case] = &[
    ("account", Action::Both("one"), "OK"),
    ("account", Action::Tamper("one"), "INVALID_ARGUMENT"),
    ("account", Action::Other("one", "two"), "INVALID_ARGUMENT"),
    ("account", Action::Both("none"), "NOT_FOUND"),
    ("account", Action::Both("disabled"), "FAILED_PRECONDITION"),
    ("account", Action::Both("forbidden"), "PERMISSION_DENIED"),
    ("account", Action::Put("bucket"), "OK"),
    ("account", Action::Put("none"), "NOT_FOUND"),
    ("account", Action::Put("closed"), "PERMISSION_DENIED"),
    ("user", Action::Both("one"), "OK"),
    ("user", Action::Put("bucket"), "OK"),
    ("wrong user", Action::Both("one"), "LOGIN"),
    ("wrong secret", Action::Both("one"), "LOGIN"),
    ("machine", Action::Both("one"), "OK"),
    ("machine", Action::Put("bucket"), "OK"),
    ("impersonated", Action::Both("one"), "OK"),
    ("impersonated", Action::Put("bucket"), "OK"),
    ("impersonated nobody", Action::Both("one"), "LOGIN"),
    ("federated", Action::Both("one"), "OK"),
    ("federated, impersonated", Action::Both("one"), "OK"),
    ("federated, impersonated", Action::Put("bucket"), "OK"),
    ("federated, unknown", Action::Both("one"), "LOGIN"),
    ("federated by url", Action::Both("one"), "OK"),
    ("federated by url", Action::Put("bucket"), "OK"),
    ("federated by url, json", Action::Both("one"), "OK"),
    ("federated by url of the machine", Action::Both("one"), "OK"),
    ("federated by url, no header", Action::Both("one"), "LOGIN"),
    ("federated by url, no field", Action::Both("one"), "LOGIN"),
    // Its key is nobody's: asked of Storage, since a client may sign for KMS without a login.
    ("foreign account", Action::Put("bucket"), "LOGIN"),
];

fn prepare() -> (Cloud, Vec<(&'static str, Value)>) {
    let cloud = Cloud::start();
    let google = &cloud.google;
    for name in ["one", "two", "disabled", "forbidden"] {
        google.new_key(name);
    }
    google.disable_key(&key("disabled"));
    google.forbid_key(&key("forbidden"), true);
    google.new_bucket("bucket", true);
    google.new_bucket("closed", false);
    let account = google.service_account("sops").unwrap();
    let email = account["client_email"].as_str().unwrap().to_owned();
    let user = google.user();
    let with = |field: &str, value: &str| {
        let mut user = user.clone();
        user[field] = value.into();
        user
    };
    for (name, content) in [("subject", "CANARY-subject-token-2f6a"), ("unknown", "CANARY-nobody")] {
        std::fs::write(cloud.path(name), content).unwrap();
    }
    let federated = |email| google.federated(&cloud.path("subject"), "CANARY-subject-token-2f6a", email);
    let mut unknown = federated(None);
    unknown["credential_source"]["file"] = cloud.path("unknown").display().to_string().into();
    let plain = format!("http://{}", google.address());
    let by_url = |server: &str, json| google.federated_by_url(server, "CANARY-subject-token-2f6a", json);
    let mut no_header = by_url(&plain, false);
    no_header["credential_source"]["headers"] = json!({});
    let mut no_field = by_url(&plain, true);
    no_field["credential_source"]["format"]["subject_token_field_name"] = "none".into();
    let logins = vec![
        ("account", account),
        ("foreign account", google.foreign_key("sops").unwrap()),
        ("user", user.clone()),
        ("wrong user", with("refresh_token", "CANARY-wrong")),
        ("wrong secret", with("client_secret", "CANARY-wrong")),
        ("machine", Value::Null),
        ("impersonated", google.impersonated(&user, &email)),
        ("impersonated nobody", google.impersonated(&user, "nobody@p.iam.gserviceaccount.com")),
        ("federated", federated(None)),
        ("federated, impersonated", federated(Some(email.as_str()))),
        ("federated, unknown", unknown),
        ("federated by url", by_url(&plain, false)),
        ("federated by url, json", by_url(&plain, true)),
        // As on machines of Azure: without TLS, with a header.
        ("federated by url of the machine", by_url("http://169.254.169.254", true)),
        ("federated by url, no header", no_header),
        ("federated by url, no field", no_field),
    ];
    (cloud, logins)
}

fn key(name: &str) -> String {
    format!("projects/p/locations/global/keyRings/r/cryptoKeys/{name}")
}

/// Takes a login as the default credentials; returns the file, none for the machine's own.
fn log_in(cloud: &mut Cloud, login: &Value) -> Option<String> {
    let file = (!login.is_null()).then(|| cloud.file("login.json", login));
    cloud.login = match &file {
        None => vec![("GCE_METADATA_HOST", cloud.google.address().to_string())],
        Some(file) => vec![("GOOGLE_APPLICATION_CREDENTIALS", file.clone())],
    };
    file
}

type Logins = [(&'static str, Value)];

fn of<'a>(logins: &'a Logins, name: &str) -> &'a Value {
    &logins.iter().find(|(other, _)| *other == name).unwrap().1
}

#[test]
fn the_fake_is_judged_by_googles_clients_and_by_sops_before_ours() {
    let link_local = LinkLocal::take();
    let (mut cloud, logins) = prepare();
    let _machine = link_local.machine(cloud.google.address()).unwrap();
    let google = python_all(&cloud, &logins);
    judge("Google's clients", &google);
    for (who, side) in [("sops", Side::Theirs), ("sealops", Side::Ours)] {
        let verdicts: Vec<(Verdict, String)> = CASES
            .iter()
            .map(|(login, action, _)| {
                log_in(&mut cloud, of(&logins, login));
                cloud.google.empty("bucket");
                cloud.google.forget();
                let (verdict, said) = command_line(&cloud, side, *action);
                (verdict, format!("{said}\n  {:?}", cloud.google.calls()))
            })
            .collect();
        judge(who, &verdicts);
    }
}

/// Who comes later is judged only by a fake that is right.
fn judge(who: &str, verdicts: &[(Verdict, String)]) {
    assert_eq!(verdicts.len(), CASES.len());
    let wrong: Vec<String> = CASES
        .iter()
        .zip(verdicts)
        .filter(|((_, _, expected), (verdict, _))| expected != verdict)
        .map(|((login, action, expected), (verdict, said))| {
            format!("{login} {action:?}: {verdict}, not {expected}\n  {said}")
        })
        .collect();
    println!("google conformance: {who}: {} of {} cases", CASES.len() - wrong.len(), CASES.len());
    assert!(wrong.is_empty(), "{who}:\n{}", wrong.join("\n"));
}

#[test]
fn what_ours_encrypted_googles_client_decrypts() {
    let (mut cloud, logins) = prepare();
    let file = log_in(&mut cloud, of(&logins, "account"));
    cloud.world.write("a.yaml", "a: one\n");
    cloud.run(Side::Ours, &["encrypt", "-i", "--gcp-kms", &key("one"), "a.yaml"]).ok();
    let text = String::from_utf8(cloud.world.read("a.yaml")).unwrap();
    let wrapped = text.lines().find_map(|line| line.trim().strip_prefix("enc: ")).unwrap();
    let action =
        json!([{ "do": "unwrap", "key": key("one"), "wrapped": wrapped, "bytes": 32, "credentials": file }]);
    let address = cloud.google.address().to_string();
    assert_eq!(python(&cloud, &action, Some(&address)), [("OK".to_owned(), String::new())]);
}

#[test]
fn the_metadata_server_is_found_where_machines_have_it() {
    let link_local = LinkLocal::take();
    let (mut cloud, logins) = prepare();
    log_in(&mut cloud, of(&logins, "account"));
    cloud.world.write("a.yaml", "a: one\n");
    cloud.run(Side::Ours, &["encrypt", "-i", "--gcp-kms", &key("one"), "a.yaml"]).ok();
    cloud.with(&[("GCE_METADATA_HOST", "")]);
    let opened = |machine: bool| {
        for side in [Side::Theirs, Side::Ours] {
            cloud.google.forget();
            let run = cloud.run(side, &["decrypt", "a.yaml"]);
            assert_eq!(run.code, if machine { 0 } else { 128 }, "{side:?}: {}", run.err);
            let asked = "169.254.169.254 /computeMetadata/v1/instance/service-accounts/default/token 200";
            assert_eq!(
                cloud.google.count(asked),
                usize::from(machine),
                "{side:?}: {:?}",
                cloud.google.calls()
            );
        }
    };
    opened(false);
    // A machine of another cloud.
    let aws = AwsCredentials::start().unwrap();
    let other = link_local.machine(aws.address()).unwrap();
    opened(false);
    drop(other);
    let _machine = link_local.machine(cloud.google.address()).unwrap();
    opened(true);
    let action = json!([{ "do": "both", "key": key("one"), "credentials": null }]);
    assert_eq!(python(&cloud, &action, None), [("OK".to_owned(), String::new())]);
}

fn python_all(cloud: &Cloud, logins: &Logins) -> Vec<(Verdict, String)> {
    let actions = CASES.iter().enumerate().map(|(number, (login, action, _))| {
        let login = of(logins, login);
        let file = (!login.is_null()).then(|| cloud.file(&format!("login-{number}.json"), login));
        let mut json = match action {
            Action::Both(name) => json!({ "do": "both", "key": key(name) }),
            Action::Tamper(name) => json!({ "do": "tamper", "key": key(name) }),
            Action::Other(name, other) => json!({ "do": "other", "key": key(name), "other": key(other) }),
            Action::Put(bucket) => {
                json!({ "do": "put", "bucket": bucket, "name": "a/ü?.yaml", "content": "a: ü\n" })
            }
        };
        json["credentials"] = file.into();
        json
    });
    python(cloud, &actions.collect(), Some(&cloud.google.address().to_string()))
}

/// Asks Google's clients; those who name no file ask the metadata server, there or where machines have it.
fn python(cloud: &Cloud, actions: &Value, metadata: Option<&str>) -> Vec<(Verdict, String)> {
    let mut command = cloud.google.command(Parts::locate().unwrap().path("google-python").unwrap());
    cloud.environment(&mut command);
    for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP"] {
        match metadata {
            Some(address) => command.env(name, address),
            None => command.env_remove(name),
        };
    }
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../testenv/python/google_judge.py"))
        .env("REQUESTS_CA_BUNDLE", cloud.google.authority())
        // Without it they ask yet another server for the name of a project, which nobody uses here.
        .env("GOOGLE_CLOUD_PROJECT", "p")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let outcome = finish(command, actions.to_string().as_bytes());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    serde_json::from_slice(&outcome.out).unwrap()
}

fn command_line(cloud: &Cloud, side: Side, action: Action) -> (Verdict, String) {
    let world = &cloud.world;
    let edit = |change: &dyn Fn(&str) -> String| {
        let text = String::from_utf8(world.read("a.yaml")).unwrap();
        world.write("a.yaml", change(&text));
    };
    let (name, outcome) = match action {
        Action::Both(name) | Action::Tamper(name) | Action::Other(name, _) => {
            world.write("a.yaml", "a: one\n");
            (name, cloud.run(side, &["encrypt", "-i", "--gcp-kms", &key(name), "a.yaml"]))
        }
        Action::Put(bucket) => return put(cloud, side, bucket),
    };
    if outcome.code != 0 {
        return verdict(&outcome);
    }
    match action {
        Action::Tamper(_) => edit(&|text| {
            let wrapped = text.lines().find_map(|line| line.trim().strip_prefix("enc: ")).unwrap();
            let (start, end) = wrapped.split_at(20);
            let changed = if end.starts_with('A') { "B" } else { "A" };
            text.replace(wrapped, &format!("{start}{changed}{}", &end[1..]))
        }),
        Action::Other(_, other) => edit(&|text| text.replace(&key(name), &key(other))),
        _ => {}
    }
    let outcome = cloud.run(side, &["decrypt", "a.yaml"]);
    assert!(outcome.code != 0 || outcome.out == b"a: one\n", "{side:?} {action:?}");
    verdict(&outcome)
}

fn put(cloud: &Cloud, side: Side, bucket: &str) -> (Verdict, String) {
    let world: &World = &cloud.world;
    world.write("p.yaml", "a: one\n");
    world.run(side, &["encrypt", "-i", "--age", AGE_A, "p.yaml"], b"").ok();
    world.write(
        ".sops.yaml",
        format!("destination_rules:\n  - gcs_bucket: {bucket}\n    gcs_prefix: 'a/ü?'\n"),
    );
    let outcome = cloud.run(side, &["publish", "-y", "p.yaml"]);
    std::fs::remove_file(world.path(".sops.yaml")).unwrap();
    let there = cloud.google.object(bucket, "a/ü?p.yaml");
    assert!(there.as_ref().is_none_or(|there| *there == world.read("p.yaml")), "{side:?}: another content");
    if side == Side::Theirs && outcome.code == 0 && there.is_none() {
        // sops drops the error of an upload: the fake's own words stand for it.
        let calls = cloud.google.calls();
        let has = |part: &str| calls.iter().any(|call| call.starts_with("POST") && call.ends_with(part));
        let word = if has("/token 400") {
            "LOGIN"
        } else if has(" 404") {
            "NOT_FOUND"
        } else if has(" 403") {
            "PERMISSION_DENIED"
        } else {
            "NOTHING"
        };
        return (word.to_owned(), outcome.err);
    }
    assert_eq!(outcome.code == 0, there.is_some(), "{side:?}: {}", outcome.err);
    verdict(&outcome)
}

/// Reads a verdict out of what a program said; sops's client writes codes as gRPC or HTTP does.
fn verdict(outcome: &Outcome) -> (Verdict, String) {
    let said = unbroken(&outcome.err);
    if outcome.code == 0 {
        return ("OK".to_owned(), said);
    }
    let words: [(&str, &[&str]); 6] = [
        (
            "LOGIN",
            &[
                "the login was refused",
                "cannot fetch token",
                "invalid_grant",
                "invalid_client",
                "credentials: status code",
                "credentials: provided subject_token_field_name",
            ],
        ),
        ("FAILED_PRECONDITION", &["FAILED_PRECONDITION", "FailedPrecondition", "it is not enabled"]),
        ("INVALID_ARGUMENT", &["INVALID_ARGUMENT", "InvalidArgument", "Error 400"]),
        ("NOT_FOUND", &["NOT_FOUND", "NotFound", "Error 404"]),
        ("PERMISSION_DENIED", &["PERMISSION_DENIED", "PermissionDenied", "Error 403"]),
        ("UNAUTHENTICATED", &["UNAUTHENTICATED", "Unauthenticated", "Error 401"]),
    ];
    let found = words.iter().find(|(_, texts)| texts.iter().any(|text| said.contains(text)));
    (found.map_or("ANOTHER", |(word, _)| word).to_owned(), said)
}
