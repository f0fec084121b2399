//! Secrets Manager.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_providers::{Find, ProviderErrorKind, PushTarget, Validation};
use serde_json::json;

use super::{Cloud, Credentials, cloud, delete, exists, find, get, metadata, open, put, store, target};

#[tokio::test]
async fn secrets_are_read_by_stage_and_version() {
    let cloud = cloud();
    let made = cloud.call(
        "secretsmanager",
        "secretsmanager.CreateSecret",
        json!({ "Name": "team/read", "SecretString": "{\"a\":1}", "Tags": [{ "Key": "b", "Value": "c" }] }),
    );
    let first = format!("uuid/{}", made["VersionId"].as_str().unwrap());
    let put = json!({ "SecretId": "team/read", "SecretString": "two" });
    cloud.call("secretsmanager", "secretsmanager.PutSecretValue", put);
    let bytes = json!({ "Name": "team/bytes", "SecretBinary": "aGk=" });
    cloud.call("secretsmanager", "secretsmanager.CreateSecret", bytes);
    let store = store("SecretsManager", json!({ "prefix": "team/" })).await;
    assert_eq!(get(&store, "read", None).await.unwrap(), "two");
    assert_eq!(get(&store, "read", Some("AWSPREVIOUS")).await.unwrap(), "{\"a\":1}");
    assert_eq!(get(&store, "read", Some(&first)).await.unwrap(), "{\"a\":1}");
    assert_eq!(get(&store, "bytes", None).await.unwrap(), "hi");
    assert_eq!(metadata(&store, "read").await, json!({ "b": "c" }));
    for (name, version) in [
        ("none", None),
        ("read", Some("NOSUCHSTAGE")),
        ("read", Some("uuid/nosuchversion-of-this-secret-there-is")),
    ] {
        assert_eq!(
            get(&store, name, version).await.unwrap_err(),
            ProviderErrorKind::NotFound,
            "{name} {version:?}"
        );
    }
    assert_eq!(store.check.as_ref().unwrap().validate().await.unwrap(), Validation::Ready);
}

#[tokio::test]
async fn secrets_are_pushed_marked_and_deleted() {
    let cloud = cloud();
    let store =
        store("SecretsManager", json!({ "secretsManager": { "forceDeleteWithoutRecovery": true } })).await;
    assert!(!exists(&store, "push/a").await);
    let first = target("push/a", None, json!({ "tags": { "x": "1", "y": "1" }, "description": "d" }));
    put(&store, &first, "one").await.unwrap();
    assert!(exists(&store, "push/a").await);
    assert_eq!(get(&store, "push/a", None).await.unwrap(), "one");
    assert_eq!(
        metadata(&store, "push/a").await,
        json!({ "managed-by": "external-secrets", "x": "1", "y": "1" })
    );
    // The same value costs no write.
    let writes = || cloud.recorder.count("secretsmanager.PutSecretValue");
    let before = writes();
    put(&store, &first, "one").await.unwrap();
    assert_eq!(writes(), before);
    let second = target("push/a", None, json!({ "tags": { "x": "2" }, "secretPushFormat": "string" }));
    put(&store, &second, "two").await.unwrap();
    assert_eq!(get(&store, "push/a", None).await.unwrap(), "two");
    assert_eq!(metadata(&store, "push/a").await, json!({ "managed-by": "external-secrets", "x": "2" }));
    // Properties are set in place.
    let property = |name: &str| target("push/json", Some(name), json!({}));
    put(&store, &property("a"), "1").await.unwrap();
    put(&store, &property("b.c"), "2").await.unwrap();
    assert_eq!(get(&store, "push/json", None).await.unwrap(), r#"{"a":"1","b":{"c":"2"}}"#);
    // What others wrote is neither changed nor deleted.
    let foreign = json!({ "Name": "push/foreign", "SecretString": "theirs" });
    cloud.call("secretsmanager", "secretsmanager.CreateSecret", foreign);
    let error = put(&store, &target("push/foreign", None, json!({})), "x").await.unwrap_err();
    assert_eq!(error.to_string(), "secret not managed by external-secrets");
    delete(&store, "push/foreign").await.unwrap();
    assert_eq!(get(&store, "push/foreign", None).await.unwrap(), "theirs");
    for _ in 0..2 {
        delete(&store, "push/a").await.unwrap();
        assert_eq!(get(&store, "push/a", None).await.unwrap_err(), ProviderErrorKind::NotFound);
    }
    for spec in [
        json!({ "resourcePolicy": { "policySourceRef": { "kind": "ConfigMap", "name": "p", "key": "k" } } }),
        json!({ "replicationLocations": "eu-west-1" }),
        json!({ "secretPushFormat": "hunter2" }),
        json!({ "tags": { "managed-by": "x" } }),
    ] {
        assert!(put(&store, &target("push/bad", None, spec.clone()), "x").await.is_err(), "{spec}");
        assert!(!exists(&store, "push/bad").await);
    }
}

#[tokio::test]
async fn policies_and_copies_are_attached_and_left_alone_where_nobody_names_them() {
    let cloud = Cloud::start(&[]);
    let store = open(json!({ "service": "SecretsManager" }), &Credentials::of(&cloud)).await.unwrap();
    let policy = |text: &str, spec: serde_json::Value| PushTarget {
        resource_policy: Some(Arc::new(text.into())),
        ..target("policy/a", None, spec)
    };
    let settings = |regions: &[&str]| {
        json!({ "resourcePolicy": { "blockPublicPolicy": true,
            "policySourceRef": { "kind": "ConfigMap", "name": "p", "key": "k" } },
            "replicationLocations": regions })
    };
    let ask = |action: &str| {
        let body = json!({ "SecretId": "policy/a" });
        cloud.call("secretsmanager", &format!("secretsmanager.{action}"), body)
    };
    let regions = || -> Vec<String> {
        let described = ask("DescribeSecret");
        let copies = described["ReplicationStatus"].as_array().cloned().unwrap_or_default();
        copies.iter().map(|copy| copy["Region"].as_str().unwrap().to_owned()).collect()
    };
    let first = r#"{"Version":"2012-10-17","Statement":[]}"#;
    put(&store, &policy(first, settings(&["eu-west-2", "eu-west-3"])), "one").await.unwrap();
    assert_eq!(ask("GetResourcePolicy")["ResourcePolicy"], first);
    assert_eq!(regions(), ["eu-west-2", "eu-west-3"]);
    assert_eq!(cloud.recorder.count("\"BlockPublicPolicy\":true"), 1);
    // The same in another order is no change; another value, and none of it is touched.
    cloud.recorder.forget();
    let same = r#"{ "Statement": [], "Version": "2012-10-17" }"#;
    put(&store, &policy(same, settings(&["eu-west-3", "eu-west-2"])), "one").await.unwrap();
    put(&store, &target("policy/a", None, json!({})), "two").await.unwrap();
    for action in ["PutResourcePolicy", "DeleteResourcePolicy", "Replicat", "RemoveRegions"] {
        assert_eq!(cloud.recorder.count(&format!("secretsmanager.{action}")), 0, "{action}");
    }
    let second = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#;
    put(&store, &policy(second, settings(&["eu-west-3", "us-east-2"])), "two").await.unwrap();
    assert_eq!(ask("GetResourcePolicy")["ResourcePolicy"], second);
    assert_eq!(regions(), ["eu-west-3", "us-east-2"]);
    put(&store, &policy("", settings(&[])), "two").await.unwrap();
    assert!(ask("GetResourcePolicy")["ResourcePolicy"].is_null());
    assert!(regions().is_empty());
    let error = put(&store, &policy("CANARY {", settings(&[])), "two").await.unwrap_err();
    assert!(matches!(&error, ProviderErrorKind::Invalid(text) if !text.contains("CANARY")), "{error}");
    let error = put(&store, &policy(first, settings(&["evil.example/"])), "two").await.unwrap_err();
    assert!(error.to_string().contains("is no AWS region"), "{error}");
}

#[tokio::test]
async fn a_secret_that_waits_for_its_deletion_is_not_there() {
    let store = store("SecretsManager", json!({ "secretsManager": { "recoveryWindowInDays": 7 } })).await;
    put(&store, &target("waits/a", None, json!({})), "one").await.unwrap();
    delete(&store, "waits/a").await.unwrap();
    assert_eq!(get(&store, "waits/a", None).await.unwrap_err(), ProviderErrorKind::NotFound);
    delete(&store, "waits/a").await.unwrap();
    let odd =
        super::store("SecretsManager", json!({ "secretsManager": { "recoveryWindowInDays": 3 } })).await;
    assert!(matches!(delete(&odd, "waits/a").await, Err(ProviderErrorKind::Invalid(_))));
}

#[tokio::test]
async fn secrets_are_found_by_name_path_and_tags() {
    // Of its own: calls are counted.
    let cloud = Cloud::start(&[]);
    for number in 0..25 {
        let tags = json!([{ "Key": "parity", "Value": if number % 2 == 0 { "even" } else { "odd" } }]);
        let body =
            json!({ "Name": format!("found/{number}"), "SecretString": number.to_string(), "Tags": tags });
        cloud.call("secretsmanager", "secretsmanager.CreateSecret", body);
    }
    let store = open(json!({ "service": "SecretsManager" }), &Credentials::of(&cloud)).await.unwrap();
    let by_name = |name: &str, path: Option<&str>| Find {
        name: Some(name.to_owned()),
        path: path.map(str::to_owned),
        ..Find::default()
    };
    cloud.recorder.forget();
    let all = find(&store, by_name("^found/", None)).await.unwrap();
    assert!(all.len() == 25 && all["found/7"] == "7", "{all:?}");
    assert_eq!(cloud.recorder.count("secretsmanager.GetSecretValue"), 0, "values come twenty at a time");
    let some = find(&store, by_name("/1[0-4]$", Some("found/"))).await.unwrap();
    assert_eq!(
        some.keys().map(String::as_str).collect::<Vec<_>>(),
        ["found/10", "found/11", "found/12", "found/13", "found/14"]
    );
    let tags = BTreeMap::from([("parity".to_owned(), "odd".to_owned())]);
    let odd = find(&store, Find { tags, ..Find::default() }).await.unwrap();
    assert!(odd.len() == 12 && odd.contains_key("found/1"), "{odd:?}");
    assert!(matches!(find(&store, Find::default()).await, Err(ProviderErrorKind::Invalid(_))));
    assert!(matches!(find(&store, by_name("(", None)).await, Err(ProviderErrorKind::Invalid(_))));
}
