//! Known secrets go through every call and error; errors and logs at every level are searched for them.
//!
//! In a process of its own: KMS takes its address and its credentials from the environment.

use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;

use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::base64;
use sealops_providers::aws::Kms;
use sealops_providers::http::{HttpClient, TlsSettings};
use sealops_providers::{KeyService, RemoteKey};
use sealops_testenv::run_peer;
use serde_json::json;

use super::{Cloud, Credentials, REGION, get, open, put, target};
use crate::vault::canary::{Everything, LOG};

const CANARY: &str = "CANARY-aws-31c7";
const INNER: &str = "SEALOPS_TEST_AWS_CANARY";

#[test]
fn no_secret_comes_into_an_error_or_a_log() {
    if std::env::var_os(INNER).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(inner());
    }
    let cloud = Cloud::start(&[]);
    let made = cloud.call("kms", "TrentService.CreateKey", json!({}));
    let name = concat!(module_path!(), "::no_secret_comes_into_an_error_or_a_log");
    let name = name.split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .env(INNER, cloud.recorder.url())
        .env("SEALOPS_TEST_AWS_KEY", made["KeyMetadata"]["Arn"].as_str().unwrap())
        .env("AWS_ENDPOINT_URL", cloud.recorder.url())
        .env("AWS_ACCESS_KEY_ID", "AKIDENV")
        .env("AWS_SECRET_ACCESS_KEY", format!("{CANARY}-env-key"))
        .env("AWS_SESSION_TOKEN", format!("{CANARY}-env-session"));
    let output = run_peer(command, &[], Duration::from_secs(120)).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn inner() {
    tracing::subscriber::set_global_default(Everything).unwrap();
    let mut errors = Vec::new();
    let url = std::env::var(INNER).unwrap();
    let arn = std::env::var("SEALOPS_TEST_AWS_KEY").unwrap();
    let kms = Kms::new(HttpClient::new(TlsSettings::default()), "sops@test".to_owned());
    let part = KeyPart::new(format!("{CANARY}-data-key-of-32-b").as_str().into());
    let key = |arn: &str, role: &str, profile: &str| MasterKey::Kms {
        arn: arn.to_owned(),
        role: role.to_owned(),
        context: [("app".to_owned(), "web".to_owned())].into(),
        aws_profile: profile.to_owned(),
    };
    let other = format!("arn:aws:kms:{REGION}:123456789012:key/00000000-0000-0000-0000-000000000000");
    let role = "arn:aws:iam::123456789012:role/sops";
    let wrapped = kms.wrap(&key(&arn, role, ""), &part).await.unwrap();
    assert!(kms.unwrap(&key(&arn, "", ""), &wrapped).await.unwrap().plaintext().ct_eq(part.plaintext()));
    for key in
        [key(&other, "", ""), key(&arn, "", "nosuchprofile"), key(&arn, "norole", ""), key("arn:x", "", "")]
    {
        errors.extend(kms.wrap(&key, &part).await.err().map(|error| format!("{error} {error:?}")));
        errors.extend(kms.unwrap(&key, "AAAA").await.err().map(|error| format!("{error} {error:?}")));
    }
    let mut credentials = Credentials { address: url, secrets: Default::default() };
    for (name, value) in [("id", "AKIDSTORE"), ("key", "CANARY-aws-31c7-store-key"), ("token", "x")] {
        credentials.secrets.insert(name, value.to_owned());
    }
    let jwt = json!({ "jwt": { "serviceAccountRef": { "name": "app" } } });
    for settings in [
        json!({ "service": "SecretsManager" }),
        json!({ "service": "ParameterStore", "role": role }),
        json!({ "service": "SecretsManager", "auth": jwt }),
    ] {
        let store = open(settings, &credentials).await.unwrap();
        for format in ["string", "binary"] {
            let spec = json!({ "secretPushFormat": format });
            let pushed = put(&store, &target("/canary", None, spec), &format!("{CANARY}-{format}")).await;
            errors.extend(pushed.err().map(|error| format!("{error} {error:?}")));
            errors.extend(get(&store, "/canary", None).await.err().map(|error| format!("{error}")));
            errors.extend(get(&store, "/none", None).await.err().map(|error| format!("{error}")));
            let pushed = put(&store, &target("/canary-2", None, json!({})), CANARY).await;
            errors.extend(pushed.err().map(|error| format!("{error} {error:?}")));
            let remote = |key: &str| RemoteKey { key: key.to_owned(), version: None };
            let remotes = ["/canary", "/none", "/canary-2"].map(remote);
            for answer in store.reader.as_ref().unwrap().get_batch(&remotes).await {
                errors.extend(answer.err().map(|error| format!("{error} {error:?}")));
            }
            let property = put(&store, &target("/canary", Some("p"), json!({})), CANARY).await;
            errors.extend(property.err().map(|error| format!("{error} {error:?}")));
        }
    }
    assert!(errors.len() > 10, "{errors:?}");
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.len() > 10_000, "the SDK logs at trace level");
    let errors = errors.join("\n");
    let encoded = base64::encode(part.plaintext().expose()).expose_str().unwrap().to_owned();
    for secret in
        [CANARY, "CANARY-token", &encoded, &base64::encode_public(format!("{CANARY}-binary").as_bytes())]
    {
        assert!(!errors.contains(secret), "{errors}");
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
    // What STS hands out, whatever it is.
    assert!(!log.contains("SecretAccessKey>") && !errors.contains("SecretAccessKey>"));
    // Bytes as the debug output of a list of numbers shows them.
    let numbers = format!("{:?}", &part.plaintext().expose()[..8]);
    assert!(!log.contains(numbers.trim_end_matches(']')));
}
