//! Values written: marked, merged, guarded, removed.

use std::sync::Arc;

use sealops_formats::Plaintext;
use sealops_providers::{ProviderErrorKind, PushTarget, StoreConnection};
use serde_json::{Value, json};

use super::{bao, rooted, stored};

fn target(key: &str, property: Option<&str>) -> PushTarget {
    PushTarget { key: key.to_owned(), property: property.map(str::to_owned), ..PushTarget::default() }
}

async fn put(
    store: &StoreConnection,
    key: &str,
    property: Option<&str>,
    value: &str,
) -> Result<(), ProviderErrorKind> {
    let target = target(key, property);
    store.writer.as_ref().unwrap().put(&target, &Plaintext::from(value)).await.map_err(|error| error.kind)
}

async fn delete(store: &StoreConnection, key: &str, property: Option<&str>) {
    store.writer.as_ref().unwrap().delete(&target(key, property)).await.unwrap();
}

async fn exists(store: &StoreConnection, key: &str, property: Option<&str>) -> bool {
    store.writer.as_ref().unwrap().exists(&target(key, property)).await.unwrap()
}

fn read(key: &str) -> Value {
    bao().get(&format!("secret/data/{key}")).unwrap()["data"].clone()
}

fn metadata(key: &str) -> Value {
    bao().get(&format!("secret/metadata/{key}")).unwrap()["data"].clone()
}

#[tokio::test]
async fn properties_are_merged_and_marked() {
    let store = rooted(json!({})).await;
    put(&store, "push/one", Some("name"), "amber").await.unwrap();
    put(&store, "push/one", Some("word"), "fake-pass").await.unwrap();
    let written = read("push/one");
    assert_eq!(written["data"], json!({ "name": "amber", "word": "fake-pass" }));
    assert_eq!(written["metadata"]["version"], 2);
    // As recorded of upstream: the mark is written each time.
    let described = metadata("push/one");
    assert_eq!(described["custom_metadata"], json!({ "managed-by": "external-secrets" }));
    assert_eq!(described["current_metadata_version"], 2);
    put(&store, "push/one", Some("word"), "fake-pass").await.unwrap();
    assert_eq!(read("push/one")["metadata"]["version"], 2, "nothing new, nothing written");
    assert!(exists(&store, "push/one", Some("name")).await && exists(&store, "push/one", None).await);
    assert!(!exists(&store, "push/one", Some("none")).await && !exists(&store, "push/none", None).await);
    delete(&store, "push/one", Some("name")).await;
    assert_eq!(read("push/one")["data"], json!({ "word": "fake-pass" }));
    delete(&store, "push/one", Some("none")).await;
    assert_eq!(read("push/one")["metadata"]["version"], 3);
    delete(&store, "push/one", Some("word")).await;
    assert!(metadata("push/one").is_null(), "the last property takes all with it");
    delete(&store, "push/one", Some("word")).await;
}

#[tokio::test]
async fn whole_values_are_compared_as_a_whole() {
    let store = rooted(json!({})).await;
    let value = r#"{"n": 7, "big": 12345678901234567890, "deep": {"b": [1, {"x": "<"}], "a": null}}"#;
    put(&store, "push/whole", None, value).await.unwrap();
    put(&store, "push/whole", None, value).await.unwrap();
    assert_eq!(
        read("push/whole")["metadata"]["version"],
        1,
        "upstream writes a version each time, or panics"
    );
    put(&store, "push/whole", None, r#"{"n": 8}"#).await.unwrap();
    assert_eq!(read("push/whole")["data"], json!({ "n": 8 }));
    for value in ["amber", "\"amber\"", "[1]", "", "hunter2"] {
        let error = put(&store, "push/whole", None, value).await.unwrap_err().to_string();
        assert_eq!(error, "error unmarshalling vault secret: invalid JSON format");
    }
    let error = put(&store, "push/whole", Some("n"), "x").await.unwrap_err().to_string();
    assert!(error.contains("error converting n to string"), "{error}");
    let binary = store
        .writer
        .as_ref()
        .unwrap()
        .put(&target("push/whole", Some("b")), &Plaintext::from(&b"\xff"[..]))
        .await;
    assert!(binary.unwrap_err().to_string().contains("not UTF-8"));
    delete(&store, "push/whole", None).await;
    assert!(metadata("push/whole").is_null());
}

#[tokio::test]
async fn what_is_not_ours_stays() {
    stored("push/foreign", json!({ "name": "theirs" }));
    let store = rooted(json!({})).await;
    for property in [None, Some("name")] {
        let error = put(&store, "push/foreign", property, "{}").await.unwrap_err();
        assert_eq!(error, ProviderErrorKind::Forbidden("secret not managed by external-secrets".to_owned()));
        delete(&store, "push/foreign", property).await;
    }
    assert_eq!(read("push/foreign")["data"], json!({ "name": "theirs" }));
    // Marked by hand: ours, and other metadata stay.
    let custom = json!({ "custom_metadata": { "managed-by": "external-secrets", "team": "blue" } });
    bao().put("secret/metadata/push/foreign", &custom).unwrap();
    put(&store, "push/foreign", Some("keep"), "me").await.unwrap();
    assert_eq!(read("push/foreign")["data"], json!({ "keep": "me", "name": "theirs" }));
    assert_eq!(metadata("push/foreign")["custom_metadata"]["team"], "blue");
    // external-secrets up to 2.9.0 keeps the mark of a key with its mount elsewhere.
    stored("push/former", json!({ "a": "1" }));
    let mark = json!({ "custom_metadata": { "managed-by": "external-secrets" } });
    bao().put("secret/metadata/secret/push/former", &mark).unwrap();
    put(&store, "secret/push/former", Some("b"), "2").await.unwrap();
    assert_eq!(read("push/former")["data"], json!({ "a": "1", "b": "2" }));
}

#[tokio::test]
async fn writes_name_the_version_that_they_replace() {
    bao().put("secret/metadata/push/cas", &json!({ "cas_required": true })).unwrap();
    let plain = rooted(json!({})).await;
    let error = put(&plain, "push/cas", None, r#"{"a":"1"}"#).await.unwrap_err().to_string();
    assert!(error.contains("check-and-set parameter required for this call"), "{error}");
    let store = rooted(json!({ "checkAndSet": { "required": true } })).await;
    for value in ["1", "2", "3"] {
        put(&store, "push/cas", None, &json!({ "a": value }).to_string()).await.unwrap();
        assert_eq!(read("push/cas")["data"]["a"], value);
    }
    // Deleted versions count: zero would be refused.
    bao().put("secret/delete/push/cas", &json!({ "versions": [3] })).unwrap();
    put(&store, "push/cas", None, r#"{"a":"4"}"#).await.unwrap();
    assert_eq!(read("push/cas")["metadata"]["version"], 4);
}

#[tokio::test]
async fn properties_written_at_once_all_arrive() {
    let store = Arc::new(rooted(json!({})).await);
    put(&store, "push/race", Some("first"), "0").await.unwrap();
    let mut all = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = Arc::clone(&store);
        all.spawn(async move { put(&store, "push/race", Some(&format!("p{number}")), "x").await });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap().unwrap();
    }
    let written = json!({ "first": "0", "p0": "x", "p1": "x", "p2": "x", "p3": "x" });
    assert_eq!(read("push/race")["data"], written);
}

#[tokio::test]
async fn version_1_keeps_the_mark_in_the_value() {
    let store = rooted(json!({ "path": "kv1", "version": "v1" })).await;
    let read = || bao().get("kv1/push/one").unwrap()["data"].clone();
    put(&store, "push/one", Some("name"), "amber").await.unwrap();
    put(&store, "push/one", Some("word"), "w").await.unwrap();
    let mark = json!({ "managed-by": "external-secrets" });
    assert_eq!(read(), json!({ "name": "amber", "word": "w", "custom_metadata": mark }));
    delete(&store, "push/one", Some("word")).await;
    assert_eq!(read(), json!({ "name": "amber", "custom_metadata": mark }));
    put(&store, "push/one", None, r#"{"all":"new"}"#).await.unwrap();
    assert_eq!(read(), json!({ "all": "new", "custom_metadata": mark }));
    delete(&store, "push/one", Some("all")).await;
    assert!(read().is_null());
    for digits in ["12345678901234567890", "12345678901234567891"] {
        put(&store, "push/big", None, &format!(r#"{{"big":{digits}}}"#)).await.unwrap();
        let written = bao().call("GET", "kv1/push/big", None).unwrap().body;
        assert!(written.contains(digits), "version 1 keeps every digit: {written}");
    }
    bao().put("kv1/push/foreign", &json!({ "a": "b" })).unwrap();
    assert!(put(&store, "push/foreign", None, "{}").await.is_err());
}
