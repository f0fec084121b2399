//! A network that misbehaves between us and KMS: every fault ends in success or in an error, in time, with nothing half
//! written and nothing told.

use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::{Fault, FaultProxy, Moto, Pki, Turns, stretched};

use super::world::{Outcome, Side, World, finish};

const PLAIN: &[u8] = b"a: 1\nb: hunter2-value\n";
/// Longer than all attempts of one call may take together, and the login.
const PATIENCE: Duration = Duration::from_secs(55);
/// In every body that the proxy makes up.
const CANARY: &str = "hunter2-body";
const SECRET: &str = "hunter2-secret-key";

struct Cloud {
    moto: Moto,
    arn: String,
}

fn cloud() -> &'static Cloud {
    static CLOUD: OnceLock<Cloud> = OnceLock::new();
    CLOUD.get_or_init(|| {
        let moto = Moto::start().unwrap();
        let answer = moto.call("kms", "eu-west-1", "TrentService.CreateKey", "{}").unwrap();
        let json: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let arn = json["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        Cloud { moto, arn }
    })
}

/// A folder with a file that KMS has encrypted and one that is plain, and the way to KMS.
struct Case {
    world: World,
    proxy: FaultProxy,
    roots: Option<String>,
}

impl Case {
    fn new() -> Self {
        let cloud = cloud();
        Self::with(FaultProxy::http(cloud.moto.address()).unwrap(), None)
    }

    fn with(proxy: FaultProxy, roots: Option<String>) -> Self {
        let cloud = cloud();
        let world = World::new();
        world.write("p.yaml", PLAIN);
        let mut command = world.command(Side::Ours);
        environment(&mut command, &cloud.moto.url());
        command.args(["encrypt", "--kms", &cloud.arn, "p.yaml"]);
        world.write("e.yaml", finish(command, b"").ok());
        proxy.reset_calls();
        Self { world, proxy, roots }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.world.command(Side::Ours);
        environment(&mut command, &self.proxy.url());
        command.args(arguments).env("RUST_LOG", "trace");
        if let Some(roots) = &self.roots {
            let path = self.world.root().join("home/roots.pem");
            std::fs::write(&path, roots).unwrap();
            command.env("AWS_CA_BUNDLE", path);
        }
        let started = Instant::now();
        let outcome = finish(command, b"");
        assert!(started.elapsed() < stretched(PATIENCE), "{arguments:?} took {:?}", started.elapsed());
        for secret in [CANARY, SECRET, "hunter2-value"] {
            assert!(!outcome.err.contains(secret), "{secret} is told: {}", outcome.err);
        }
        outcome
    }

    /// Both operations succeed in spite of the fault.
    fn passes(&self, name: &str) {
        let decrypted = self.run(&["decrypt", "e.yaml"]);
        assert_eq!((decrypted.code, decrypted.out.as_slice()), (0, PLAIN), "{name}: {}", decrypted.err);
        self.run(&["rotate", "-i", "e.yaml"]).ok();
        self.proxy.clear();
        assert_eq!(self.run(&["decrypt", "e.yaml"]).ok(), PLAIN, "{name}");
    }

    /// Both operations fail, with these words, and leave the files as they were.
    fn fails(&self, name: &str, words: &str) {
        let before = self.world.files();
        let rotated = self.run(&["rotate", "-i", "e.yaml"]);
        assert_eq!(rotated.code, 128, "{name}: {}", rotated.err);
        let flat = flat(&rotated.err);
        assert!(flat.contains(words) && flat.contains(&cloud().arn), "{name}: {flat}");
        let encrypted = self.run(&["encrypt", "-i", "--kms", &cloud().arn, "p.yaml"]);
        assert_eq!(encrypted.code, 1, "{name}: {}", encrypted.err);
        assert!(encrypted.err.contains("Could not generate data key"), "{name}: {}", encrypted.err);
        assert_eq!(self.world.files(), before, "{name}");
    }
}

fn flat(text: &str) -> String {
    text.replace(['|', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn environment(command: &mut Command, url: &str) {
    command
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_EC2_METADATA_DISABLED", "true");
}

fn body(status: u16, headers: &[(&str, &str)]) -> Fault {
    Fault::answer(status, headers, format!(r#"{{"message":"{CANARY}","Plaintext":"{CANARY}"}}"#))
}

#[test]
fn faults_that_pass_are_survived() {
    let throttled = Fault::aws_throttling;
    let cases: [(&str, Turns, Fault); 8] = [
        ("delay", Turns::All, Fault::Delay(Duration::from_millis(300))),
        ("reset once", Turns::First(1), Fault::Reset),
        ("half-open once", Turns::First(1), Fault::HalfOpen),
        ("429 once", Turns::First(1), Fault::too_many(1)),
        ("throttled twice", Turns::First(2), throttled()),
        ("503 once", Turns::First(1), body(503, &[])),
        ("500 once", Turns::First(1), body(500, &[])),
        ("cut once", Turns::First(1), Fault::Cut(40)),
    ];
    thread::scope(|scope| {
        for (name, turns, fault) in cases {
            scope.spawn(move || {
                let case = Case::new();
                case.proxy.set_for(turns, fault);
                case.passes(name);
            });
        }
    });
}

#[test]
fn faults_that_stay_are_errors_and_nothing_is_written() {
    let cases: [(&str, Fault, &str); 13] = [
        ("reset", Fault::Reset, "cannot reach 127.0.0.1"),
        ("half-open", Fault::HalfOpen, "did not answer in time"),
        ("drip", Fault::Drip(Duration::from_millis(500)), "did not answer in time"),
        ("cut", Fault::Cut(40), "127.0.0.1"),
        ("429", Fault::too_many(1), "too many requests"),
        ("429, much later", Fault::too_many(86_400), "the server asks to wait 86400 s"),
        ("throttled", Fault::aws_throttling(), "too many requests"),
        ("503", body(503, &[("Retry-After", "1")]), "too many requests"),
        ("500", body(500, &[]), "HTTP 500"),
        ("403", body(403, &[]), "access was denied"),
        ("truncated", Fault::TruncatedBody, "the answer makes no sense"),
        ("wrong length", Fault::WrongLength(9), "was cut off"),
        ("oversized", Fault::oversized(3 << 20), "is larger than"),
    ];
    thread::scope(|scope| {
        for (name, fault, words) in cases {
            scope.spawn(move || {
                let case = Case::new();
                case.proxy.set(fault);
                case.fails(name, words);
            });
        }
    });
}

#[test]
fn certificates_that_are_wrong_get_no_request() {
    let address = cloud().moto.address();
    let (ours, others) = (Pki::generate().unwrap(), Pki::generate().unwrap());
    let good = ours.server(&["127.0.0.1"]).unwrap();
    let case = Case::with(FaultProxy::https(address, &good).unwrap(), Some(ours.ca_pem()));
    case.passes("a right certificate");
    for (name, identity, words) in [
        ("another authority", others.server(&["127.0.0.1"]).unwrap(), "invalid peer certificate"),
        ("another name", ours.server(&["kms.example"]).unwrap(), "not valid for name"),
        ("expired", ours.expired_server(&["127.0.0.1"]).unwrap(), "expired"),
    ] {
        let case = Case::with(FaultProxy::https(address, &identity).unwrap(), Some(ours.ca_pem()));
        case.fails(name, words);
        assert_eq!(case.proxy.calls(), [], "{name}");
    }
}

#[test]
fn one_call_for_each_wrapped_key() {
    let case = Case::new();
    assert_eq!(case.run(&["decrypt", "e.yaml"]).ok(), PLAIN);
    assert_eq!((case.proxy.count("TrentService.Decrypt"), case.proxy.calls().len()), (1, 1));
    case.run(&["rotate", "-i", "e.yaml"]).ok();
    assert_eq!((case.proxy.count("TrentService.Decrypt"), case.proxy.count("TrentService.Encrypt")), (2, 1));
}
