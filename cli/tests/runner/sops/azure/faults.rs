//! What goes wrong on the way to a vault and to its login: every fault ends in success or in an error, in time, with
//! nothing half written.

use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::{FakeAzure, Fault, FaultProxy, Pki, Turns, stretched};

use super::super::network_keys::Faulty;
use super::super::world::{Outcome, Side, World, finish, unbroken};
use super::{Cloud, shown};

const PLAIN: &[u8] = b"a: 1\nb: hunter2-value\n";
/// Longer than an operation with its login may take.
const PATIENCE: Duration = Duration::from_secs(58);

/// Where the proxy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Vault,
    Login,
}

struct Case<'a> {
    cloud: &'a Cloud,
    world: World,
    proxy: FaultProxy,
    place: Place,
    key: String,
}

fn proxy(cloud: &Cloud) -> FaultProxy {
    FaultProxy::https(cloud.fake.plain(), &cloud.fake.proxied().unwrap()).unwrap()
}

impl<'a> Case<'a> {
    fn new(cloud: &'a Cloud, place: Place) -> Self {
        Self::with(cloud, place, proxy(cloud))
    }

    fn with(cloud: &'a Cloud, place: Place, proxy: FaultProxy) -> Self {
        let world = World::new();
        world.write("p.yaml", PLAIN);
        let out = cloud.run(&world, Side::Ours, &["encrypt", "--azure-kv", &cloud.key(), "p.yaml"]).ok();
        let mut text = String::from_utf8(out).unwrap();
        let mut vault = cloud.fake.vault();
        if place == Place::Vault {
            let proxied = format!("https://{}:{}", FakeAzure::PROXIED_VAULT, proxy.address().port());
            text = text.replace(&vault, &proxied);
            vault = proxied;
        }
        world.write("e.yaml", text);
        let key = format!("{vault}/keys/k/{:032x}", 0xa0);
        Self { cloud, world, proxy, place, key }
    }
}

impl Faulty for Case<'_> {
    const PLAIN: &'static [u8] = PLAIN;

    fn world(&self) -> &World {
        &self.world
    }

    fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    fn key(&self) -> (&'static str, String) {
        ("--azure-kv", self.key.clone())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.cloud.command(&self.world, Side::Ours.program());
        command.args(arguments);
        if self.place == Place::Login {
            let port = self.proxy.address().port();
            command.env("AZURE_AUTHORITY_HOST", format!("https://{}:{port}", FakeAzure::PROXIED_AUTHORITY));
        }
        let started = Instant::now();
        let outcome = shown(Side::Ours, finish(command, b""));
        assert!(started.elapsed() < stretched(PATIENCE), "{arguments:?} took {:?}", started.elapsed());
        assert!(!outcome.err.contains("hunter2"), "{}", outcome.err);
        outcome
    }
}

fn body(status: u16, headers: &[(&str, &str)]) -> Fault {
    let text =
        format!(r#"{{"error":{{"code":"hunter2","message":"{}"}},"value":"hunter2"}}"#, FakeAzure::TEXT);
    Fault::answer(status, headers, text)
}

#[test]
fn faults_that_pass_are_survived() {
    let cloud = Cloud::start();
    let cases: [(&str, Turns, Fault); 8] = [
        ("delay", Turns::All, Fault::Delay(Duration::from_millis(300))),
        ("reset once", Turns::First(1), Fault::Reset),
        ("half-open once", Turns::First(1), Fault::HalfOpen),
        ("429 once", Turns::First(1), Fault::too_many(1)),
        ("429 at the operation", Turns::Only(2), Fault::too_many(1)),
        ("503 twice", Turns::First(2), body(503, &[])),
        ("500 at the operation", Turns::Only(2), body(500, &[])),
        ("cut once", Turns::First(1), Fault::Cut(40)),
    ];
    thread::scope(|scope| {
        for place in [Place::Vault, Place::Login] {
            for (name, turns, fault) in &cases {
                let cloud = &cloud;
                scope.spawn(move || {
                    let case = Case::new(cloud, place);
                    case.proxy.set_for(*turns, fault.clone());
                    case.passes(name);
                });
            }
        }
    });
}

/// What stays, and the words for it from the vault and from the login.
fn lasting() -> [(&'static str, Fault, [&'static str; 2]); 12] {
    let late = "did not answer in time";
    let often = "too many requests";
    [
        ("reset", Fault::Reset, ["cannot reach proxied.vault", "cannot reach login.proxied"]),
        ("half-open", Fault::HalfOpen, [late; 2]),
        ("drip", Fault::Drip(Duration::from_millis(500)), [late; 2]),
        ("cut", Fault::Cut(40), ["proxied.vault.azure.net", "login.proxied.example"]),
        ("429", Fault::too_many(1), [often; 2]),
        ("429, much later", Fault::too_many(86_400), ["the server asks to wait 86400 s"; 2]),
        ("503", body(503, &[("Retry-After", "1")]), ["was answered 503", "answered 503"]),
        ("500", body(500, &[]), ["was answered 500", "answered 500"]),
        ("403", body(403, &[]), ["access was denied", "the login was refused"]),
        ("truncated", Fault::TruncatedBody, ["is not JSON"; 2]),
        ("wrong length", Fault::WrongLength(9), ["was cut off"; 2]),
        ("oversized", Fault::oversized(2 << 20), ["is larger than"; 2]),
    ]
}

#[test]
fn faults_that_stay_are_errors_and_nothing_is_written() {
    let cloud = Cloud::start();
    thread::scope(|scope| {
        for place in [Place::Vault, Place::Login] {
            for (name, fault, words) in lasting() {
                let cloud = &cloud;
                scope.spawn(move || {
                    let case = Case::new(cloud, place);
                    if place == Place::Vault {
                        // What the vault asks for is told; then it begins.
                        case.proxy.add("", Turns::Only(1), Fault::Delay(Duration::ZERO));
                    }
                    case.proxy.add("", Turns::All, fault);
                    case.fails(name, words[place as usize]);
                });
            }
        }
    });
}

#[test]
fn a_token_that_dies_is_replaced_once() {
    let cloud = Cloud::start();
    let case = Case::new(&cloud, Place::Vault);
    let challenge = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{}\", resource=\"https://vault.azure.net\"",
        FakeAzure::TENANT
    );
    let dead = body(401, &[("WWW-Authenticate", &challenge)]);
    case.proxy.set_for(Turns::Only(2), dead.clone());
    cloud.fake.reset_calls();
    assert_eq!(case.run(&["decrypt", "e.yaml"]).ok(), PLAIN);
    assert_eq!(cloud.fake.count("/oauth2/v2.0/token"), 2, "{:?}", cloud.fake.calls());
    case.proxy.set(dead);
    cloud.fake.reset_calls();
    let refused = case.run(&["decrypt", "e.yaml"]);
    assert!(
        refused.code == 128 && unbroken(&refused.err).contains("the login was refused"),
        "{}",
        refused.err
    );
    assert_eq!(cloud.fake.count("/oauth2/v2.0/token"), 2);
    // A vault that turns to another resource, or to nothing, gets no token for it.
    let other = challenge.replace("vault.azure.net", "graph.microsoft.com");
    for header in [other.as_str(), "Basic realm=x"] {
        case.proxy.set(body(401, &[("WWW-Authenticate", header)]));
        cloud.fake.reset_calls();
        assert_eq!(case.run(&["decrypt", "e.yaml"]).code, 128, "{header}");
        assert_eq!(cloud.fake.count("/oauth2/v2.0/token"), 0, "{header}");
    }
}

#[test]
fn certificates_that_are_wrong_get_no_request() {
    let cloud = Cloud::start();
    let others = Pki::generate().unwrap();
    for (name, identity) in [
        (
            "another authority",
            others.server(&[FakeAzure::PROXIED_VAULT, FakeAzure::PROXIED_AUTHORITY]).unwrap(),
        ),
        ("another name", others.server(&["other.vault.azure.net"]).unwrap()),
    ] {
        for place in [Place::Vault, Place::Login] {
            let proxy = FaultProxy::https(cloud.fake.plain(), &identity).unwrap();
            let case = Case::with(&cloud, place, proxy);
            case.fails(name, "invalid peer certificate");
            assert_eq!(case.proxy.calls(), [], "{place:?} {name}");
        }
    }
}
