//! AWS as a store: calls counted on the server's side, and what becomes of it when AWS fails.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

use std::time::Duration;

use anyhow::{Context, Result};
use sealops_crds::ExternalSecret;
use sealops_testenv::{ControlPlane, Fault, FaultProxy, Moto, Recorder, eventually};
use serde_json::{Value, json};

use super::eso_calls::object;
use super::eso_faults::{OBJECTS, all, outlasts};
use super::eso_stores::{NAMESPACE, apply};
use super::harness::*;

const REGION: &str = "eu-west-1";
const KEYS: usize = 100;

/// The environment that sends AWS's calls to a server.
fn variables(url: &str) -> [(&'static str, &str); 5] {
    [
        ("AWS_SECRETSMANAGER_ENDPOINT", url),
        ("AWS_SSM_ENDPOINT", url),
        ("AWS_STS_ENDPOINT", url),
        ("AWS_ECR_ENDPOINT", url),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
}

fn auth() -> Value {
    let of = |key: &str| json!({ "name": "aws", "key": key });
    json!({ "secretRef": { "accessKeyIDSecretRef": of("id"), "secretAccessKeySecretRef": of("key") } })
}

/// A store for each service, and its keys.
async fn stores(plane: &ControlPlane, retries: u32) -> Result<()> {
    let keys = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "aws", "namespace": NAMESPACE }, "stringData": { "id": "AKIAFAKE", "key": "fake" } });
    let store = |name: &str, service: &str| {
        json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": { "retrySettings": { "maxRetries": retries },
                "provider": { "aws": { "service": service, "region": REGION, "auth": auth() } } } })
    };
    apply(plane, &[keys, store("sm", "SecretsManager"), store("ssm", "ParameterStore")]).await
}

fn fill(moto: &Moto, number: usize) -> Result<()> {
    let (name, value) = (format!("/k/{number}"), format!("amber-{number}"));
    let secret = json!({ "Name": name, "SecretString": value }).to_string();
    moto.call("secretsmanager", REGION, "secretsmanager.CreateSecret", &secret)?;
    let parameter = json!({ "Name": name, "Value": value, "Type": "SecureString" }).to_string();
    moto.call("ssm", REGION, "AmazonSSM.PutParameter", &parameter).map(drop)
}

#[test]
fn a_hundred_keys_of_one_object_are_read_by_few_calls() {
    run(async {
        let moto = Moto::start()?;
        (0..KEYS).try_for_each(|number| fill(&moto, number))?;
        let recorder = Recorder::start(moto.address(), Duration::ZERO);
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let url = recorder.url();
        let controller = Controller::start_with(&plane, &[], &variables(&url)).await?;
        stores(&plane, 3).await?;
        for (store, one, many, most) in [
            ("sm", "secretsmanager.GetSecretValue", "secretsmanager.BatchGetSecretValue", KEYS / 20),
            ("ssm", "AmazonSSM.GetParameter\r", "AmazonSSM.GetParameters\r", KEYS / 10),
        ] {
            let mut many_keys = object(store, store, &json!({}));
            let entry = |number: usize| json!({ "secretKey": format!("k{number}"), "remoteRef": { "key": format!("/k/{number}") } });
            many_keys["spec"]["data"] = (0..KEYS).map(entry).collect();
            apply(&plane, &[many_keys]).await?;
            let made = secret(&client, NAMESPACE, store).await.with_context(|| controller.log())?;
            let values = data(&made);
            assert_eq!(values.len(), KEYS);
            for number in 0..KEYS {
                assert_eq!(values[&format!("k{number}")], format!("amber-{number}").as_bytes());
            }
            let (batches, single) = (recorder.count(many), recorder.count(one));
            println!("{store}: {KEYS} keys by {batches} calls for many and {single} for one");
            assert!(batches <= most && single == 0, "{batches} calls, {single} single ones");
        }
        Ok(())
    });
}

#[test]
fn aws_that_fails_in_every_way_changes_no_secret() {
    let moto = Moto::start().unwrap();
    (0..OBJECTS).try_for_each(|number| fill(&moto, number)).unwrap();
    // It holds a runtime of its own, which has to end outside of this one.
    let proxy = FaultProxy::http(moto.address()).unwrap();
    let url = proxy.url();
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let controller = Controller::start_with(&plane, &[], &variables(&url)).await?;
        stores(&plane, 0).await?;
        let objects: Vec<Value> = (0..OBJECTS)
            .map(|number| {
                let store = if number % 2 == 0 { "sm" } else { "ssm" };
                object(&format!("app-{number}"), store, &json!({ "key": format!("/k/{number}") }))
            })
            .collect();
        apply(&plane, &objects).await?;
        all(&client, OBJECTS, "True").await.with_context(|| controller.log())?;
        let body = |code: &str| json!({ "__type": code, "message": "garbage" }).to_string();
        let faults = [
            ("throttling", Fault::aws_throttling()),
            (
                "throttling with Retry-After",
                Fault::answer(400, &[("Retry-After", "2")], body("ThrottlingException")),
            ),
            ("5xx", Fault::answer(500, &[], body("InternalServiceError"))),
            ("slow", Fault::Delay(Duration::from_secs(20))),
            ("garbage", Fault::answer(200, &[], "\u{1}garbage {")),
            ("expired token", Fault::answer(400, &[], body("ExpiredTokenException"))),
            ("denied", Fault::answer(400, &[], body("AccessDeniedException"))),
        ];
        outlasts(&client, &controller, &proxy, faults).await?;
        assert_eq!(data(&secret(&client, NAMESPACE, "app-3").await?)["x"], b"amber-3");
        assert!(!controller.log().contains("garbage"), "what AWS says is not told");
        Ok(())
    });
}

#[test]
fn generators_of_aws_make_logins_and_sessions() {
    run(async {
        let moto = Moto::start()?;
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace(NAMESPACE).await?;
        let url = moto.url();
        let _controller = Controller::start_with(&plane, &[], &variables(&url)).await?;
        stores(&plane, 0).await?;
        let mut objects = Vec::new();
        for (kind, name) in [("ECRAuthorizationToken", "ecr"), ("STSSessionToken", "sts")] {
            objects.push(json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind,
                "metadata": { "name": name, "namespace": NAMESPACE },
                "spec": { "region": REGION, "auth": auth() } }));
            let mut user = object(name, "sm", &json!({}));
            let spec = user["spec"].as_object_mut().unwrap();
            spec.remove("data");
            spec.insert(
                "dataFrom".to_owned(),
                json!([{ "sourceRef": { "generatorRef": { "apiVersion": "generators.external-secrets.io/v1alpha1",
                    "kind": kind, "name": name } } }]),
            );
            objects.push(user);
        }
        apply(&plane, &objects).await?;
        let keys =
            |values: std::collections::BTreeMap<String, Vec<u8>>| values.into_keys().collect::<Vec<_>>();
        let login = data(&secret(&client, NAMESPACE, "ecr").await?);
        assert_eq!(login["username"], b"AWS");
        assert_eq!(keys(login), ["expires_at", "password", "proxy_endpoint", "username"]);
        let session = data(&secret(&client, NAMESPACE, "sts").await?);
        assert_eq!(keys(session), ["access_key_id", "expiration", "secret_access_key", "session_token"]);
        eventually("both say so", PATIENCE, async || {
            let list = super::eso_stores::api(&client, NAMESPACE).list(&Default::default()).await.ok()?;
            let ready = list.items.iter().filter(|object| {
                object.data.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
            });
            (ready.count() == 2).then_some(())
        })
        .await
    });
}
