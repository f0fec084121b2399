//! What goes wrong on the way to KMS and to IAM: every fault ends in success or in an error, in time, with nothing half
//! written.

use std::thread;
use std::time::{Duration, Instant};

use sealops_testenv::{FakeHuawei, Fault, FaultProxy, Pki, Turns, stretched};

use super::super::network_keys::Faulty;
use super::super::world::{Outcome, Side, World, finish};
use super::{Cloud, KEY, shown};

const PLAIN: &[u8] = b"a: 1\nb: hunter2-value\n";
/// Longer than an operation with its login may take.
const PATIENCE: Duration = Duration::from_secs(58);

/// Where the proxy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Kms,
    Iam,
}

struct Case<'a> {
    cloud: &'a Cloud,
    world: World,
    proxy: FaultProxy,
    place: Place,
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
        let out = cloud.run(&world, Side::Ours, &["encrypt", "--hckms", KEY, "p.yaml"]).ok();
        world.write("e.yaml", out);
        Self { cloud, world, proxy, place }
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
        ("--hckms", KEY.to_owned())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.cloud.command(&self.world, Side::Ours.program());
        let port = self.proxy.address().port();
        match self.place {
            Place::Kms => command.env(
                "HUAWEICLOUD_SDK_REGION_KMS_EU_WEST_101",
                format!("https://{}:{port}", FakeHuawei::PROXIED_KMS),
            ),
            Place::Iam => {
                command.env("HUAWEICLOUD_SDK_IAM_ENDPOINT", format!("{}:{port}", FakeHuawei::PROXIED_IAM))
            }
        };
        command.args(arguments);
        let started = Instant::now();
        let outcome = shown(Side::Ours, finish(command, b""));
        assert!(started.elapsed() < stretched(PATIENCE), "{arguments:?} took {:?}", started.elapsed());
        assert!(!outcome.err.contains("hunter2"), "{}", outcome.err);
        outcome
    }
}

fn body(status: u16, headers: &[(&str, &str)]) -> Fault {
    let text = format!(
        r#"{{"error":{{"error_code":"hunter2","error_msg":"{}"}},"plain_text":"hunter2"}}"#,
        FakeHuawei::TEXT
    );
    Fault::answer(status, headers, text)
}

#[test]
fn faults_that_pass_are_survived() {
    let cloud = Cloud::start();
    let cases: [(&str, Turns, Fault); 7] = [
        ("delay", Turns::All, Fault::Delay(Duration::from_millis(300))),
        ("reset once", Turns::First(1), Fault::Reset),
        ("half-open once", Turns::First(1), Fault::HalfOpen),
        ("429 once", Turns::First(1), Fault::too_many(1)),
        ("503 once, later", Turns::First(1), body(503, &[("Retry-After", "1")])),
        ("503 twice", Turns::First(2), body(503, &[])),
        ("cut once", Turns::First(1), Fault::Cut(40)),
    ];
    thread::scope(|scope| {
        for place in [Place::Kms, Place::Iam] {
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

/// What stays, and the words for it.
fn lasting() -> [(&'static str, Fault, &'static str); 15] {
    let late = "did not answer in time";
    let garbage = Fault::answer(200, &[], "hunter2\u{0}<html>");
    [
        ("reset", Fault::Reset, "cannot reach "),
        ("half-open", Fault::HalfOpen, late),
        ("drip", Fault::Drip(Duration::from_millis(500)), late),
        ("cut", Fault::Cut(40), ".proxied.example"),
        ("429", Fault::too_many(1), "too many requests"),
        ("429, much later", Fault::too_many(86_400), "the server asks to wait 86400 s"),
        ("503", body(503, &[("Retry-After", "1")]), "too many requests"),
        ("500", body(500, &[]), "answered 500"),
        ("401", body(401, &[]), "the login was refused"),
        ("403", body(403, &[]), "access was denied"),
        ("302", body(302, &[("Location", "https://evil.example/")]), "nothing is sent to another address"),
        ("garbage", garbage, "is not JSON"),
        ("truncated", Fault::TruncatedBody, "is not JSON"),
        ("wrong length", Fault::WrongLength(9), "was cut off"),
        ("oversized", Fault::oversized(2 << 20), "is larger than"),
    ]
}

#[test]
fn faults_that_stay_are_errors_and_nothing_is_written() {
    let cloud = Cloud::start();
    thread::scope(|scope| {
        for place in [Place::Kms, Place::Iam] {
            for (name, fault, words) in lasting() {
                let cloud = &cloud;
                scope.spawn(move || {
                    let case = Case::new(cloud, place);
                    case.proxy.set(fault);
                    case.fails(name, words);
                });
            }
        }
    });
}

/// Answers of the right form that are wrong.
#[test]
fn answers_without_what_was_asked_for_are_errors() {
    let cloud = Cloud::start();
    let answer = |text: &str| Fault::answer(200, &[], text);
    let id = super::id(KEY);
    let other = r#"{"key_id":"other","cipher_text":"eHg=","plain_text":"eHg="}"#;
    let nothing = format!(r#"{{"key_id":"{id}","cipher_text":"","plain_text":"%%"}}"#);
    for (place, text, words) in [
        (Place::Kms, "{}", "KMS answered without a plain_text"),
        (Place::Kms, other, "KMS answered for another key"),
        (Place::Kms, &nothing, "what KMS decrypted is no base64"),
        (Place::Iam, "{}", "has no projects"),
        (Place::Iam, r#"{"projects":[{"id":"../../x"}]}"#, "the project of region 'eu-west-101' has no id"),
    ] {
        let case = Case::new(&cloud, place);
        case.proxy.set(answer(text));
        case.fails(text, words);
    }
}

#[test]
fn certificates_that_are_wrong_get_no_request() {
    let cloud = Cloud::start();
    let others = Pki::generate().unwrap();
    let names = [FakeHuawei::PROXIED_KMS, FakeHuawei::PROXIED_IAM];
    for (name, identity) in [
        ("another authority", others.server(&names).unwrap()),
        ("another name", others.server(&["kms.example"]).unwrap()),
    ] {
        for place in [Place::Kms, Place::Iam] {
            let proxy = FaultProxy::https(cloud.fake.plain(), &identity).unwrap();
            let case = Case::with(&cloud, place, proxy);
            case.fails(name, "invalid peer certificate");
            assert_eq!(case.proxy.calls(), [], "{place:?} {name}");
        }
    }
}
