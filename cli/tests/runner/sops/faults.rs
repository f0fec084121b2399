//! A network that misbehaves between us and KMS or Vault: every fault ends in success or in an error, in time, with nothing half
//! written and nothing told.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::{Fault, FaultProxy, Moto, OpenBao, Pki, Turns, http_call, stretched};

use super::network_keys::Faulty;
use super::world::{Outcome, Side, World, finish};

const PLAIN: &[u8] = b"a: 1\nb: hunter2-value\n";
/// Longer than all attempts of one call may take together, and the login.
const PATIENCE: Duration = Duration::from_secs(55);
/// In every body that the proxy makes up.
const CANARY: &str = "hunter2-body";
const SECRET: &str = "hunter2-secret-key";

/// Who holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Kms,
    Transit,
}

struct Cloud {
    moto: Moto,
    bao: OpenBao,
    arn: String,
}

fn cloud() -> &'static Cloud {
    static CLOUD: OnceLock<Cloud> = OnceLock::new();
    CLOUD.get_or_init(|| {
        let moto = Moto::start().unwrap();
        let answer = moto.call("kms", "eu-west-1", "TrentService.CreateKey", "{}").unwrap();
        let json: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let arn = json["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        let bao = OpenBao::start().unwrap();
        let token = [("X-Vault-Token", OpenBao::ROOT_TOKEN)];
        for (path, body) in
            [("/v1/sys/mounts/transit", r#"{"type":"transit"}"#), ("/v1/transit/keys/k", "{}")]
        {
            let answer = http_call(bao.address(), "POST", path, &token, body.as_bytes()).unwrap();
            assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        }
        Cloud { moto, bao, arn }
    })
}

impl Backend {
    fn upstream(self) -> (SocketAddr, String) {
        let Cloud { moto, bao, .. } = cloud();
        match self {
            Self::Kms => (moto.address(), moto.url()),
            Self::Transit => (bao.address(), bao.url()),
        }
    }

    /// The flag for a key, and the key when it is reached there.
    fn key(self, url: &str) -> (&'static str, String) {
        match self {
            Self::Kms => ("--kms", cloud().arn.clone()),
            Self::Transit => ("--hc-vault-transit", format!("{url}/v1/transit/keys/k")),
        }
    }
}

/// A folder with a file that the key has encrypted and one that is plain, and the way to the key.
struct Case {
    backend: Backend,
    world: World,
    proxy: FaultProxy,
    roots: Option<String>,
}

impl Case {
    fn new(backend: Backend) -> Self {
        let (address, _) = backend.upstream();
        Self::with(backend, FaultProxy::http(address).unwrap(), None)
    }

    fn with(backend: Backend, proxy: FaultProxy, roots: Option<String>) -> Self {
        let (_, url) = backend.upstream();
        let world = World::new();
        world.write("p.yaml", PLAIN);
        let mut command = world.command(Side::Ours);
        environment(&mut command, &url);
        let (flag, key) = backend.key(&url);
        command.args(["encrypt", flag, &key, "p.yaml"]);
        let text = String::from_utf8(finish(command, b"").ok()).unwrap();
        // The address of Vault stands in the file.
        world.write("e.yaml", text.replace(&url, &proxy.url()));
        Self { backend, world, proxy, roots }
    }
}

impl Faulty for Case {
    const PLAIN: &'static [u8] = PLAIN;

    fn world(&self) -> &World {
        &self.world
    }

    fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    fn key(&self) -> (&'static str, String) {
        self.backend.key(&self.proxy.url())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.world.command(Side::Ours);
        environment(&mut command, &self.proxy.url());
        command.args(arguments).env("RUST_LOG", "trace");
        if let Some(roots) = &self.roots {
            let path = self.world.root().join("home/roots.pem");
            std::fs::write(&path, roots).unwrap();
            command.env("AWS_CA_BUNDLE", &path).env("VAULT_CACERT", &path);
        }
        let started = Instant::now();
        let outcome = finish(command, b"");
        assert!(started.elapsed() < stretched(PATIENCE), "{arguments:?} took {:?}", started.elapsed());
        for secret in [CANARY, SECRET, "hunter2-value"] {
            assert!(!outcome.err.contains(secret), "{secret} is told: {}", outcome.err);
        }
        outcome
    }
}

fn environment(command: &mut Command, url: &str) {
    command
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("VAULT_TOKEN", OpenBao::ROOT_TOKEN)
        .env("VAULT_CLIENT_TIMEOUT", "10");
}

fn body(status: u16, headers: &[(&str, &str)]) -> Fault {
    Fault::answer(status, headers, format!(r#"{{"message":"{CANARY}","Plaintext":"{CANARY}"}}"#))
}

fn survived(backend: Backend) {
    let throttled = if backend == Backend::Kms { Fault::aws_throttling() } else { Fault::too_many(1) };
    let cases: [(&str, Turns, Fault); 9] = [
        ("delay", Turns::All, Fault::Delay(Duration::from_millis(300))),
        ("long delay", Turns::First(1), Fault::Delay(Duration::from_secs(6))),
        ("reset once", Turns::First(1), Fault::Reset),
        ("half-open once", Turns::First(1), Fault::HalfOpen),
        ("429 once", Turns::First(1), Fault::too_many(1)),
        ("throttled twice", Turns::First(2), throttled),
        ("503 once", Turns::First(1), body(503, &[])),
        ("500 once", Turns::First(1), body(500, &[])),
        ("cut once", Turns::First(1), Fault::Cut(40)),
    ];
    thread::scope(|scope| {
        for (name, turns, fault) in cases {
            scope.spawn(move || {
                let case = Case::new(backend);
                case.proxy.set_for(turns, fault);
                case.passes(name);
            });
        }
    });
}

#[test]
fn faults_that_pass_are_survived_by_kms() {
    survived(Backend::Kms);
}

#[test]
fn faults_that_pass_are_survived_by_transit() {
    survived(Backend::Transit);
}

/// What stays, and the words for it from KMS and from Vault.
fn lasting() -> [(&'static str, Fault, [&'static str; 2]); 12] {
    let late = "did not answer in time";
    let often = "too many requests";
    [
        ("reset", Fault::Reset, ["cannot reach 127.0.0.1"; 2]),
        ("half-open", Fault::HalfOpen, [late; 2]),
        ("drip", Fault::Drip(Duration::from_millis(500)), [late; 2]),
        ("cut", Fault::Cut(40), ["127.0.0.1"; 2]),
        ("429", Fault::too_many(1), [often; 2]),
        ("429, much later", Fault::too_many(86_400), ["the server asks to wait 86400 s"; 2]),
        ("503", body(503, &[("Retry-After", "1")]), [often, "was answered 503"]),
        ("500", body(500, &[]), ["HTTP 500", "was answered 500"]),
        ("403", body(403, &[]), ["access was denied"; 2]),
        ("truncated", Fault::TruncatedBody, ["the answer makes no sense", "is not JSON"]),
        ("wrong length", Fault::WrongLength(9), ["was cut off"; 2]),
        ("oversized", Fault::oversized(9 << 20), ["is larger than"; 2]),
    ]
}

fn refused(backend: Backend) {
    thread::scope(|scope| {
        for (name, fault, words) in lasting() {
            scope.spawn(move || {
                let case = Case::new(backend);
                case.proxy.set(fault);
                case.fails(name, words[backend as usize]);
            });
        }
    });
}

#[test]
fn faults_of_kms_that_stay_are_errors_and_nothing_is_written() {
    refused(Backend::Kms);
    let case = Case::new(Backend::Kms);
    case.proxy.set(Fault::aws_throttling());
    case.fails("throttled", "too many requests");
}

#[test]
fn faults_of_transit_that_stay_are_errors_and_nothing_is_written() {
    refused(Backend::Transit);
}

#[test]
fn certificates_that_are_wrong_get_no_request() {
    for backend in [Backend::Kms, Backend::Transit] {
        let (address, _) = backend.upstream();
        let (ours, others) = (Pki::generate().unwrap(), Pki::generate().unwrap());
        let good = ours.server(&["127.0.0.1"]).unwrap();
        let case = Case::with(backend, FaultProxy::https(address, &good).unwrap(), Some(ours.ca_pem()));
        case.passes("a right certificate");
        for (name, identity, words) in [
            ("another authority", others.server(&["127.0.0.1"]).unwrap(), "invalid peer certificate"),
            ("another name", ours.server(&["kms.example"]).unwrap(), "not valid for name"),
            ("expired", ours.expired_server(&["127.0.0.1"]).unwrap(), "expired"),
        ] {
            let proxy = FaultProxy::https(address, &identity).unwrap();
            let case = Case::with(backend, proxy, Some(ours.ca_pem()));
            case.fails(name, words);
            assert_eq!(case.proxy.calls(), [], "{backend:?} {name}");
        }
    }
}

#[test]
fn one_call_for_each_wrapped_key() {
    for (backend, decrypt, encrypt) in [
        (Backend::Kms, "TrentService.Decrypt", "TrentService.Encrypt"),
        (Backend::Transit, "/v1/transit/decrypt/k", "/v1/transit/encrypt/k"),
    ] {
        let case = Case::new(backend);
        let calls = || (case.proxy.count(decrypt), case.proxy.count(encrypt), case.proxy.calls().len());
        assert_eq!(case.run(&["decrypt", "e.yaml"]).ok(), PLAIN);
        assert_eq!(calls(), (1, 0, 1), "{backend:?}");
        case.run(&["rotate", "-i", "e.yaml"]).ok();
        assert_eq!(calls(), (2, 1, 3), "{backend:?}");
    }
}
