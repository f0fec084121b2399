//! Every name of the cases, looked up by Go and by us: addresses or the kind of the error, and what the servers were asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sealops_providers::names::{Files, LookupError, Names};
use sealops_testenv::{GoLookup, NameServer, lookup_by_go};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Etc;
use super::cases::{CASES, Case, DIFFERENT, ZONE};

/// What a lookup gave: addresses, sorted, or the problem.
type Result = std::result::Result<Vec<String>, String>;

#[test]
fn names_have_the_addresses_that_go_finds_by_the_same_questions() {
    let server = NameServer::start(ZONE, &["127.0.0.1", "::1"]).unwrap();
    let runtime = Runtime::new().unwrap();
    let (mut compared, mut different, mut questions) = (0, 0, 0);
    let mut wrong = Vec::new();
    for case in CASES {
        let etc = files(case, &server);
        let names: Vec<&str> = case.names.split(' ').collect();
        let before = server.questions().unwrap().len();
        let theirs = lookup_by_go(etc.path(), &names).unwrap();
        let between = server.questions().unwrap().len();
        let ours = runtime.block_on(lookups(&etc, &names));
        let asked = server.questions().unwrap();
        for their in theirs {
            let (own, wanted) = (shown(&ours[&their.name]), go_shown(&their));
            compared += 1;
            match DIFFERENT.iter().find(|(name, ..)| *name == their.name && own != wanted) {
                Some((_, expected, _)) => {
                    different += 1;
                    assert_eq!(own, Ok(expected.split(' ').map(str::to_owned).collect()), "{}", their.name);
                }
                None if own != wanted => {
                    wrong.push(format!("{}: {}: {own:?}, Go {wanted:?}", case.what, their.name));
                }
                None => {}
            }
        }
        let (their_questions, our_questions) = (counted(&asked[before..between]), counted(&asked[between..]));
        questions += asked.len() - between;
        for (question, count) in &our_questions {
            let theirs = their_questions.get(question).unwrap_or(&0);
            if count > theirs {
                wrong.push(format!("{}: {question}: asked {count} times, by Go {theirs}", case.what));
            }
        }
        for (question, count) in &their_questions {
            let own = our_questions.get(question).unwrap_or(&0);
            let is_kept =
                DIFFERENT.iter().any(|(name, ..)| question.contains(&format!(" {}", name.to_lowercase())));
            if own < count && !is_kept {
                wrong.push(format!("{}: {question}: asked {own} times, by Go {count}", case.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 200, "{compared}");
    println!(
        "names: {compared} lookups as Go's, {different} of them different on purpose, {questions} questions as Go's"
    );
}

/// A part may have 63 characters, a name 253.
#[test]
fn names_and_their_parts_may_be_as_long_as_for_go() {
    let server = NameServer::start("", &[]).unwrap();
    let runtime = Runtime::new().unwrap();
    let etc = Etc::new("", &format!("nameserver {}\nsearch one.test\n", server.addresses()[0]), "");
    let label = |length: usize| "a".repeat(length);
    let whole = |last: usize| [label(63), label(63), label(63), label(last)].join(".");
    let names =
        [label(63), label(64), whole(61), whole(62), whole(61) + ".", whole(62) + ".", whole(53), whole(52)];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let theirs = lookup_by_go(etc.path(), &names).unwrap();
    let asked = server.questions().unwrap();
    let ours = runtime.block_on(lookups(&etc, &names));
    for their in theirs {
        assert_eq!(shown(&ours[&their.name]), go_shown(&their), "{}", their.name);
    }
    assert_eq!(counted(&server.questions().unwrap()[asked.len()..]), counted(&asked));
    assert!(!asked.is_empty());
}

/// What can be reached comes first, and the files' order else.
#[test]
fn addresses_are_in_gos_order() {
    let server = NameServer::start(ZONE, &[]).unwrap();
    let runtime = Runtime::new().unwrap();
    let hosts = "192.0.2.1 far\n127.9.0.10 far\n2001:db8::1 far\n::1 far\n127.9.0.9 far\n10.99.0.1 pod\n127.0.0.1 pod\n::1 pod\n";
    let etc = Etc::new(hosts, &format!("nameserver {}\n", server.addresses()[0]), "");
    let names = ["far", "pod", "both.test", "six.test"];
    let ours = runtime.block_on(lookups(&etc, &names));
    for their in lookup_by_go(etc.path(), &names).unwrap() {
        let own: Vec<String> =
            ours[&their.name].as_ref().unwrap().iter().map(|found| found.ip().to_string()).collect();
        assert_eq!(own, their.addresses, "{}", their.name);
    }
}

fn files(case: &Case, server: &NameServer) -> Etc {
    let mut resolv_conf = case.resolv_conf.to_owned();
    for (index, address) in server.addresses().iter().take(3).enumerate() {
        resolv_conf = resolv_conf.replace(&format!("S{}", index + 1), address);
    }
    Etc::new(case.hosts, &resolv_conf, case.nsswitch)
}

async fn lookups(
    etc: &Etc,
    names: &[&str],
) -> BTreeMap<String, std::result::Result<Vec<SocketAddr>, LookupError>> {
    let file = |name: &str| etc.path().join(name);
    let files = Files {
        hosts: file("hosts"),
        resolv_conf: file("resolv.conf"),
        nsswitch: file("nsswitch.conf"),
        ..Files::default()
    };
    let resolver = Arc::new(Names::new(files));
    let mut all = JoinSet::new();
    for name in names {
        let (resolver, name) = (Arc::clone(&resolver), (*name).to_owned());
        all.spawn(async move {
            let found = resolver.lookup(&name, 7).await;
            (name, found)
        });
    }
    all.join_all().await.into_iter().collect()
}

fn shown(found: &std::result::Result<Vec<SocketAddr>, LookupError>) -> Result {
    match found {
        Ok(addresses) => {
            assert!(addresses.iter().all(|address| address.port() == 7));
            let mut shown: Vec<String> = addresses
                .iter()
                .map(|address| match address {
                    SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
                    address => address.ip().to_string(),
                })
                .collect();
            shown.sort();
            Ok(shown)
        }
        Err(error) => Err(error.problem().to_string()),
    }
}

fn go_shown(found: &GoLookup) -> Result {
    if found.error.is_empty() && !found.addresses.is_empty() {
        // A zone without an interface is 0, which is none; the loopback interface has the number 1.
        let mut shown: Vec<String> = found
            .addresses
            .iter()
            .map(|address| address.replace("%lo", "%1").replace("%nothing", ""))
            .collect();
        shown.sort();
        return Ok(shown);
    }
    let problem = match found.error.as_str() {
        // `.onion`: Go has neither an address nor an error.
        "" => "no such host",
        _ if found.timeout => "i/o timeout",
        "EOF" => "unexpected end of file",
        // The operation and its addresses precede the cause.
        text => text.rsplit(": ").next().unwrap_or_default(),
    };
    Err(problem.replace("network is unreachable", "network unreachable"))
}

fn counted(questions: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for question in questions {
        *counts.entry(question.to_lowercase()).or_default() += 1;
    }
    counts
}
