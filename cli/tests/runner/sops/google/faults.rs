//! A network that misbehaves between us and Google: every fault ends in success or in an error, in time, with nothing
//! half written and nothing told.

use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::{Fault, FaultProxy, Pki, Scope, Turns, stretched};

use super::{Cloud, shown};
use crate::sops::network_keys::Faulty;
use crate::sops::world::{Outcome, Side, World, finish, unbroken};

/// Longer than all attempts of one call may take together, and the login.
const PATIENCE: Duration = Duration::from_secs(55);
const PLAIN: &[u8] = b"a: CANARY-value\n";

/// A file that the key has encrypted, one that is plain, and the way to Google.
struct Case {
    cloud: Cloud,
    proxy: FaultProxy,
    key: String,
}

impl Case {
    /// Login and calls go through the proxy.
    fn new() -> Self {
        let cloud = Cloud::start();
        let proxy = FaultProxy::http(cloud.google.address()).unwrap();
        Self::with(cloud, proxy, None)
    }

    /// With another authority of certificates than the cloud's.
    fn with(mut cloud: Cloud, proxy: FaultProxy, authority: Option<String>) -> Self {
        let key = cloud.google.new_key("one");
        cloud.world.write("p.yaml", PLAIN);
        let encrypted = cloud.run(Side::Theirs, &["encrypt", "--gcp-kms", &key, "p.yaml"]).ok();
        cloud.world.write("e.yaml", encrypted);
        let token_url = format!("{}/token", proxy.url());
        cloud.google.also_at(&token_url);
        let mut account = cloud.google.service_account("faults").unwrap();
        account["token_uri"] = token_url.into();
        cloud.login = vec![
            ("GOOGLE_APPLICATION_CREDENTIALS", cloud.file("login.json", &account)),
            ("SOPS_GCP_KMS_ENDPOINT", proxy.url()),
        ];
        if let Some(authority) = &authority {
            let path = cloud.path("other.pem");
            std::fs::write(&path, authority).unwrap();
            cloud.login.push(("SSL_CERT_FILE", path.display().to_string()));
        }
        cloud.google.forget();
        proxy.reset_calls();
        Self { cloud, proxy, key }
    }
}

impl Faulty for Case {
    const PLAIN: &'static [u8] = PLAIN;

    fn world(&self) -> &World {
        &self.cloud.world
    }

    fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    fn key(&self) -> (&'static str, String) {
        ("--gcp-kms", self.key.clone())
    }

    fn run(&self, line: &[&str]) -> Outcome {
        let started = Instant::now();
        let mut command = self.cloud.google.command(Side::Ours.program());
        self.cloud.environment(&mut command);
        command.args(line);
        let outcome = finish(command, b"");
        assert!(started.elapsed() < stretched(PATIENCE), "{line:?} took {:?}", started.elapsed());
        if line[0] == "decrypt" && outcome.code == 0 {
            assert!(!outcome.err.contains(super::CANARY), "{}", outcome.err);
            return outcome;
        }
        shown(Side::Ours, outcome)
    }
}

fn body(status: u16, headers: &[(&str, &str)]) -> Fault {
    let text = r#"{"error":{"message":"CANARY-body","status":"CANARY"},"plaintext":"CANARY-body"}"#;
    Fault::answer(status, headers, text)
}

/// By KMS and by the login, each alone.
const PARTS: [&str; 2] = ["crypt", "/token"];

#[test]
fn faults_that_pass_are_survived() {
    let cases: [(&str, Turns, Fault); 8] = [
        ("delay", Turns::All, Fault::Delay(Duration::from_millis(300))),
        ("long delay", Turns::First(1), Fault::Delay(Duration::from_secs(6))),
        ("reset once", Turns::First(1), Fault::Reset),
        ("half-open once", Turns::First(1), Fault::HalfOpen),
        ("429 twice", Turns::First(2), Fault::too_many(1)),
        ("503 once", Turns::First(1), body(503, &[("Retry-After", "1")])),
        ("500 once", Turns::First(1), body(500, &[])),
        ("cut once", Turns::First(1), Fault::Cut(40)),
    ];
    thread::scope(|scope| {
        for (name, turns, fault) in cases {
            for part in PARTS {
                let fault = fault.clone();
                scope.spawn(move || {
                    let case = Case::new();
                    case.proxy.add(part, turns, fault);
                    case.passes(&format!("{name} {part}"));
                });
            }
        }
    });
}

#[test]
fn faults_that_stay_are_errors_and_nothing_is_written() {
    let late = "did not answer in time";
    let often = "too many requests";
    // Words for a fault of KMS, and of the login.
    let cases: [(&str, Fault, [&str; 2]); 11] = [
        ("reset", Fault::Reset, ["cannot reach 127.0.0.1"; 2]),
        ("half-open", Fault::HalfOpen, [late; 2]),
        ("drip", Fault::Drip(Duration::from_millis(500)), [late; 2]),
        ("cut", Fault::Cut(40), ["127.0.0.1"; 2]),
        ("429", Fault::too_many(1), [often; 2]),
        ("429, much later", Fault::too_many(86_400), ["the server asks to wait 86400 s"; 2]),
        ("503", body(503, &[]), ["HTTP 503", "the token server answered 503"]),
        ("403", body(403, &[]), ["access was denied: HTTP 403", "the token server answered 403"]),
        ("truncated", Fault::TruncatedBody, ["the answer makes no sense", "is not JSON"]),
        ("wrong length", Fault::WrongLength(9), ["was cut off"; 2]),
        ("oversized", Fault::oversized(9 << 20), ["is larger than"; 2]),
    ];
    thread::scope(|scope| {
        for (name, fault, words) in cases {
            for (part, words) in PARTS.into_iter().zip(words) {
                let fault = fault.clone();
                scope.spawn(move || {
                    let case = Case::new();
                    case.proxy.add(part, Turns::All, fault);
                    case.fails(&format!("{name} {part}"), words);
                });
            }
        }
    });
}

#[test]
fn a_token_that_ended_is_taken_anew_once() {
    let case = Case::new();
    let ended = || Fault::answer(401, &[], r#"{"error":{"code":401,"status":"UNAUTHENTICATED"}}"#);
    case.proxy.add(":decrypt", Turns::First(1), ended());
    assert_eq!(case.run(&["decrypt", "e.yaml"]).ok(), PLAIN);
    assert_eq!((case.proxy.count("/token"), case.proxy.count(":decrypt")), (2, 2));
    case.proxy.clear();
    case.proxy.reset_calls();
    case.proxy.add("crypt", Turns::All, ended());
    case.fails("401", "the login was refused: HTTP 401, UNAUTHENTICATED");
    // Two commands, each with two logins and two calls.
    assert_eq!((case.proxy.count("/token"), case.proxy.count("crypt")), (4, 4));
    // One that nobody can renew is asked with once.
    let mut case = Case::new();
    let token = case.cloud.google.token(Scope::Kms);
    case.cloud.google.end_tokens();
    case.cloud.login =
        vec![("GOOGLE_OAUTH_ACCESS_TOKEN", token), ("SOPS_GCP_KMS_ENDPOINT", case.proxy.url())];
    case.fails("ended", "the login was refused: HTTP 401, UNAUTHENTICATED");
    assert_eq!(case.proxy.calls().len(), 2);
}

#[test]
fn certificates_that_are_wrong_get_no_request() {
    let (ours, others) = (Pki::generate().unwrap(), Pki::generate().unwrap());
    for (name, identity, words) in [
        ("right", ours.server(&["127.0.0.1"]).unwrap(), None),
        ("another authority", others.server(&["127.0.0.1"]).unwrap(), Some("invalid peer certificate")),
        ("another name", ours.server(&["kms.example"]).unwrap(), Some("not valid for name")),
        ("expired", ours.expired_server(&["127.0.0.1"]).unwrap(), Some("expired")),
    ] {
        let cloud = Cloud::start();
        let proxy = FaultProxy::https(cloud.google.address(), &identity).unwrap();
        let case = Case::with(cloud, proxy, Some(ours.ca_pem()));
        match words {
            None => case.passes(name),
            Some(words) => {
                case.fails(name, words);
                assert_eq!(case.proxy.calls(), [], "{name}");
            }
        }
    }
}

#[test]
fn one_call_for_each_wrapped_key() {
    let case = Case::new();
    let calls = || ["/token", ":decrypt", ":encrypt", ""].map(|part| case.proxy.count(part));
    assert_eq!(case.run(&["decrypt", "e.yaml"]).ok(), PLAIN);
    assert_eq!(calls(), [1, 1, 0, 2]);
    case.run(&["rotate", "-i", "e.yaml"]).ok();
    assert_eq!(calls(), [2, 2, 1, 5]);
}

/// A file that is to be published, and the way to Storage, which asks nobody who it is.
fn publication() -> Case {
    let case = Case::new();
    case.cloud.google.new_bucket("bucket", true);
    case.cloud.google.open_storage();
    case.cloud.world.write(".sops.yaml", "destination_rules:\n  - gcs_bucket: bucket\n");
    case
}

/// Publishes; returns what came of it, and whether the object is there as it should be.
fn publish(case: &Case) -> (Outcome, bool) {
    let mut command = case.cloud.google.command(Side::Ours.program());
    case.cloud.environment(&mut command);
    command.args(["publish", "-y", "e.yaml"]).env("STORAGE_EMULATOR_HOST", case.proxy.url());
    let started = Instant::now();
    let outcome = shown(Side::Ours, finish(command, b""));
    assert!(started.elapsed() < stretched(PATIENCE), "{:?}", started.elapsed());
    let there = case.cloud.google.object("bucket", "e.yaml");
    assert!(there.as_ref().is_none_or(|there| *there == case.cloud.world.read("e.yaml")), "another content");
    (outcome, there.is_some())
}

#[test]
fn an_upload_that_meets_a_passing_fault_is_there() {
    let cases: [(&str, Turns, Fault); 6] = [
        ("delay", Turns::All, Fault::Delay(Duration::from_millis(300))),
        ("reset once", Turns::First(1), Fault::Reset),
        ("silent once", Turns::First(1), Fault::HalfOpen),
        ("429 twice", Turns::First(2), Fault::too_many(1)),
        ("503 once", Turns::First(1), body(503, &[("Retry-After", "1")])),
        ("cut once", Turns::First(1), Fault::Cut(40)),
    ];
    thread::scope(|scope| {
        for (name, turns, fault) in cases {
            scope.spawn(move || {
                let case = publication();
                case.proxy.add("/upload/", turns, fault);
                let (outcome, there) = publish(&case);
                assert_eq!((outcome.code, there), (0, true), "{name}: {}", outcome.err);
            });
        }
    });
}

/// sops drops the error and ends with 0.
#[test]
fn an_upload_that_failed_is_an_error() {
    let silent = "did not answer in time";
    let cases: [(&str, Fault, bool, &str); 11] = [
        ("429", Fault::too_many(1), false, "too many requests"),
        ("503", body(503, &[]), false, "HTTP 503"),
        ("403", body(403, &[]), false, "access was denied: HTTP 403"),
        ("401", body(401, &[]), false, "the login was refused: HTTP 401"),
        ("reset", Fault::Reset, false, "cannot reach 127.0.0.1"),
        ("silent", Fault::HalfOpen, false, silent),
        ("a lie", Fault::answer(200, &[], "{}"), false, "says nothing of the object"),
        (
            "a page",
            Fault::answer(200, &[("Content-Type", "text/html")], "<p>CANARY</p>"),
            false,
            "makes no sense",
        ),
        // The object is there, and nobody knows.
        ("truncated", Fault::TruncatedBody, true, "makes no sense"),
        ("cut", Fault::Cut(40), true, "127.0.0.1"),
        ("drip", Fault::Drip(Duration::from_millis(500)), true, silent),
    ];
    thread::scope(|scope| {
        for (name, fault, sent, words) in cases {
            scope.spawn(move || {
                let case = publication();
                case.proxy.add("/upload/", Turns::All, fault);
                let (outcome, there) = publish(&case);
                assert_eq!((outcome.code, there), (1, sent), "{name}: {}", outcome.err);
                let said = unbroken(&outcome.err);
                assert!(said.contains(words) && said.contains("gcs://bucket/e.yaml"), "{name}: {said}");
            });
        }
    });
}
