//! Credentials that AWS gives to a container or a machine: ours finds them where the real sops does.

use std::process::Command;
use std::time::Duration;

use sealops_testenv::{AwsCredentials, LinkLocal, NameServer, with_etc};

use super::kms::Cloud;
use super::world::{Outcome, Side, World, finish};
use crate::names::Etc;

const SIDES: [Side; 2] = [Side::Theirs, Side::Ours];

struct Case {
    cloud: Cloud,
    world: World,
    aws: AwsCredentials,
}

impl Case {
    /// A file that a key of AWS has encrypted.
    fn new() -> Self {
        let (cloud, world) = (Cloud::start(Duration::ZERO), World::new());
        let key = cloud.new_key();
        world.write("a.yaml", "a: one\n");
        cloud.run(&world, Side::Theirs, &["encrypt", "-i", "--kms", &key, "a.yaml"]).ok();
        Self { cloud, world, aws: AwsCredentials::start().unwrap() }
    }

    /// Decrypts; returns what came of it and whom that asked for credentials.
    fn decrypt(&self, side: Side, variables: &[(&str, &str)]) -> (Outcome, Vec<String>) {
        self.decrypt_by(self.world.command(side), side, variables)
    }

    fn decrypt_by(
        &self,
        mut command: Command,
        side: Side,
        variables: &[(&str, &str)],
    ) -> (Outcome, Vec<String>) {
        command
            .args(["decrypt", "a.yaml"])
            .env("AWS_ENDPOINT_URL", self.cloud.recorder.url())
            .env("RUST_LOG", "trace");
        command.envs(variables.iter().copied());
        self.cloud.recorder.forget();
        self.aws.take_calls();
        let outcome = finish(command, &[]);
        let secret = |text: &str| {
            text.contains(AwsCredentials::SECRET) || text.contains(AwsCredentials::AUTHORIZATION)
        };
        assert!(side == Side::Theirs || !secret(&outcome.err), "{}", outcome.err);
        (outcome, self.aws.take_calls())
    }

    /// Both decrypt with the key of that name.
    fn opens(&self, variables: &[(&str, &str)], key: &str) -> [Vec<String>; 2] {
        SIDES.map(|side| {
            let (outcome, calls) = self.decrypt(side, variables);
            assert_eq!(outcome.code, 0, "{side:?} {variables:?}: {} {calls:?}", outcome.err);
            assert_eq!(outcome.out, b"a: one\n");
            assert_eq!(self.cloud.recorder.count(&format!("Credential={key}/")), 1, "{side:?} {variables:?}");
            calls
        })
    }

    /// Neither decrypts, and KMS is not asked.
    fn refused(&self, variables: &[(&str, &str)]) -> [Vec<String>; 2] {
        SIDES.map(|side| {
            let (outcome, calls) = self.decrypt(side, variables);
            assert_eq!(outcome.code, 128, "{side:?} {variables:?}: {}", outcome.err);
            assert_eq!(self.cloud.recorder.count("TrentService"), 0, "{side:?} {variables:?}");
            calls
        })
    }
}

#[test]
fn containers_log_in() {
    let link_local = LinkLocal::take();
    let case = Case::new();
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AwsCredentials::AUTHORIZATION);
    case.world.write("token", AwsCredentials::AUTHORIZATION);
    let file = case.world.path("token").display().to_string();
    let full = format!("http://{}{}", case.aws.address(), AwsCredentials::PATH);
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str());
    let asked = ["GET /v2/credentials/one 200".to_owned()];
    for login in [token, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.as_str())] {
        assert_eq!(
            case.opens(&[full, login], AwsCredentials::CONTAINER),
            [asked.clone(), asked.clone()],
            "{login:?}"
        );
    }
    let _container = link_local.container(case.aws.address()).unwrap();
    let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AwsCredentials::PATH);
    assert_eq!(case.opens(&[relative, token], AwsCredentials::CONTAINER), [asked.clone(), asked]);
    let off = ("AWS_EC2_METADATA_DISABLED", "true");
    let calls = case.refused(&[full, (token.0, "wrong"), off]);
    assert!(calls.iter().flatten().all(|call| call == "GET /v2/credentials/one 401"), "{calls:?}");
    // Keys do not come without TLS from another machine: nobody is asked.
    let far = format!("http://10.99.0.1:{}{}", case.aws.address().port(), AwsCredentials::PATH);
    let calls = case.refused(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &far), token, off]);
    assert_eq!(calls, [[""; 0]; 2]);
}

#[test]
fn machines_log_in() {
    let link_local = LinkLocal::take();
    let case = Case::new();
    case.refused(&[]);
    let machine = link_local.machine(case.aws.address()).unwrap();
    let calls = case.opens(&[], AwsCredentials::MACHINE);
    for calls in &calls {
        assert_eq!(calls[0], "PUT /latest/api/token 200", "{calls:?}");
        assert_eq!(
            calls[calls.len() - 2..],
            [
                "GET /latest/meta-data/iam/security-credentials/ 200",
                "GET /latest/meta-data/iam/security-credentials/one 200"
            ],
            "{calls:?}"
        );
    }
    // Keys of the environment go before, and who switches it off is not asked.
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "fake")];
    assert_eq!(case.opens(&keys, "AKIDTEST"), [[""; 0]; 2]);
    assert_eq!(case.refused(&[("AWS_EC2_METADATA_DISABLED", "true")]), [[""; 0]; 2]);
    // At another address, as in tests of others.
    drop(machine);
    let elsewhere = format!("http://{}", case.aws.address());
    case.opens(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &elsewhere)], AwsCredentials::MACHINE);
}

/// It has to be this machine's, whatever it is called.
#[test]
fn the_server_of_a_container_may_have_a_name() {
    let case = Case::new();
    let server = NameServer::start("creds.test A 127.0.0.1\nfar.test A 192.0.2.1\n", &[]).unwrap();
    let etc = Etc::new("", &format!("nameserver {}\n", server.addresses()[0]), "");
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AwsCredentials::AUTHORIZATION);
    let port = case.aws.address().port();
    for side in SIDES {
        let decrypt = |host: &str| {
            let mut command = with_etc(side.program(), etc.path());
            case.world.environment(&mut command);
            let full = format!("http://{host}:{port}{}", AwsCredentials::PATH);
            let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str());
            case.decrypt_by(command, side, &[full, token, ("AWS_EC2_METADATA_DISABLED", "true")])
        };
        let (outcome, calls) = decrypt("creds.test");
        assert_eq!(
            (outcome.code, calls),
            (0, vec!["GET /v2/credentials/one 200".to_owned()]),
            "{side:?} {}",
            outcome.err
        );
        for host in ["far.test", "nowhere.test"] {
            let (outcome, calls) = decrypt(host);
            assert_eq!((outcome.code, calls), (128, vec![]), "{side:?} {host} {}", outcome.err);
        }
    }
    let asked = server.questions().unwrap();
    assert!(asked.iter().filter(|question| question.contains(" creds.test. ")).count() <= 8, "{asked:?}");
}
