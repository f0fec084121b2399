//! Parameter Store.

use std::collections::BTreeMap;

use sealops_providers::{Find, ProviderErrorKind};
use serde_json::json;

use super::{cloud, delete, exists, find, get, metadata, put, store, target};

fn parameter(name: &str, value: &str, tags: serde_json::Value) {
    let body = json!({ "Name": name, "Value": value, "Type": "SecureString", "Tags": tags });
    cloud().call("ssm", "AmazonSSM.PutParameter", body);
}

#[tokio::test]
async fn parameters_are_read_by_version_and_label() {
    let cloud = cloud();
    parameter("/team/read", "one", json!([{ "Key": "b", "Value": "c" }]));
    let body = json!({ "Name": "/team/read", "Value": "two", "Type": "SecureString", "Overwrite": true });
    cloud.call("ssm", "AmazonSSM.PutParameter", body);
    let label = json!({ "Name": "/team/read", "ParameterVersion": 1, "Labels": ["old"] });
    cloud.call("ssm", "AmazonSSM.LabelParameterVersion", label);
    let store = store("ParameterStore", json!({ "prefix": "/team/" })).await;
    assert_eq!(get(&store, "read", None).await.unwrap(), "two");
    assert_eq!(get(&store, "read", Some("1")).await.unwrap(), "one");
    assert_eq!(get(&store, "read", Some("old")).await.unwrap(), "one");
    assert_eq!(metadata(&store, "read").await, json!({ "b": "c" }));
    for (name, version) in [("none", None), ("read", Some("99"))] {
        assert_eq!(
            get(&store, name, version).await.unwrap_err(),
            ProviderErrorKind::NotFound,
            "{name} {version:?}"
        );
    }
}

#[tokio::test]
async fn parameters_are_pushed_marked_and_deleted() {
    let cloud = cloud();
    let store = store("ParameterStore", json!({})).await;
    let first =
        target("/push/a", None, json!({ "secretType": "SecureString", "tags": { "x": "1", "y": "1" } }));
    assert!(!exists(&store, "/push/a").await);
    put(&store, &first, "one").await.unwrap();
    assert_eq!(get(&store, "/push/a", None).await.unwrap(), "one");
    assert_eq!(
        metadata(&store, "/push/a").await,
        json!({ "managed-by": "external-secrets", "x": "1", "y": "1" })
    );
    let writes = || cloud.recorder.count("\"Name\":\"/push/a\",\"Overwrite\"");
    let before = writes();
    assert!(before > 0);
    put(&store, &first, "one").await.unwrap();
    assert_eq!(writes(), before, "the same value costs no write");
    put(&store, &target("/push/a", None, json!({ "tags": { "x": "2" } })), "two").await.unwrap();
    assert_eq!(get(&store, "/push/a", None).await.unwrap(), "two");
    assert_eq!(metadata(&store, "/push/a").await, json!({ "managed-by": "external-secrets", "x": "2" }));
    parameter("/push/foreign", "theirs", json!([]));
    let error = put(&store, &target("/push/foreign", None, json!({})), "x").await.unwrap_err();
    assert_eq!(error.to_string(), "secret not managed by external-secrets");
    delete(&store, "/push/foreign").await.unwrap();
    assert_eq!(get(&store, "/push/foreign", None).await.unwrap(), "theirs");
    for _ in 0..2 {
        delete(&store, "/push/a").await.unwrap();
        assert!(!exists(&store, "/push/a").await);
    }
    let property = put(&store, &target("/push/b", Some("p"), json!({})), "x").await;
    assert!(matches!(property, Err(ProviderErrorKind::Unsupported(_))));
}

#[tokio::test]
async fn parameters_are_found_by_name_path_and_tags() {
    for number in 0..13 {
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        parameter(
            &format!("/found/{number}"),
            &number.to_string(),
            json!([{ "Key": "parity", "Value": parity }]),
        );
    }
    let store = store("ParameterStore", json!({})).await;
    let by_name = |name: &str, path: Option<&str>| Find {
        name: Some(name.to_owned()),
        path: path.map(str::to_owned),
        ..Find::default()
    };
    let all = find(&store, by_name("", Some("/found"))).await.unwrap();
    assert!(all.len() == 13 && all["/found/7"] == "7", "{all:?}");
    let some = find(&store, by_name("^/found/1[01]$", None)).await.unwrap();
    assert_eq!(some.keys().map(String::as_str).collect::<Vec<_>>(), ["/found/10", "/found/11"]);
    let tags = BTreeMap::from([("parity".to_owned(), "odd".to_owned())]);
    let odd = find(&store, Find { tags, path: Some("/found".to_owned()), name: None }).await.unwrap();
    assert!(odd.len() == 6 && odd["/found/11"] == "11", "{odd:?}");
    assert!(matches!(find(&store, Find::default()).await, Err(ProviderErrorKind::Invalid(_))));
}
