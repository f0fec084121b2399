//! Values of both versions: read, described, found.

use std::collections::BTreeMap;

use sealops_providers::{Find, ProviderErrorKind, RemoteKey, RemoteValue, StoreConnection};
use serde_json::{Value, json};

use super::{bao, get, rooted, stored};

/// What ESO makes of the values of the recorded scenarios: sorted keys, `<>&` escaped, numbers as they stand.
const WRITTEN: &str = r#"{"a":{"b":"path"},"a.b":"literal","big":12345678901234567890,"f":1.5,"inner":"{\"k\":\"v\"}","list":[1,"a",{"b":"\u003c","z":1}],"n":7,"nested":{"deep":{"x":"found"}},"nil":null,"pass":"fake\u003c\u0026\u003e","user":"amber","yes":true}"#;

fn values() -> Value {
    json!({
        "user": "amber", "pass": "fake<&>", "n": 7, "f": 1.5, "big": 12_345_678_901_234_567_890_u64, "yes": true,
        "nil": null, "list": [1, "a", { "z": 1, "b": "<" }], "nested": { "deep": { "x": "found" } }, "a.b": "literal",
        "a": { "b": "path" }, "inner": "{\"k\":\"v\"}",
    })
}

/// OpenBao keeps numbers of version 2 as doubles.
fn doubles() -> String {
    WRITTEN.replace("12345678901234567890", "12345678901234567000")
}

#[tokio::test]
async fn values_of_both_versions_are_those_of_upstream() {
    stored("kv/all", values());
    bao().put("kv1/kv/all", &values()).unwrap();
    let two = rooted(json!({})).await;
    for key in ["kv/all", "secret/kv/all", "secret/data/kv/all", "/kv//all"] {
        assert_eq!(get(&two, key, None).await.unwrap(), doubles(), "{key}");
    }
    assert_eq!(get(&two, "data/kv/all", None).await.unwrap_err(), ProviderErrorKind::NotFound);
    let one = rooted(json!({ "path": "kv1", "version": "v1" })).await;
    for key in ["kv/all", "kv1/kv/all"] {
        assert_eq!(get(&one, key, None).await.unwrap(), WRITTEN, "{key}");
    }
    let free = rooted(json!({ "path": null })).await;
    for key in ["secret/kv/all", "secret/data/kv/all"] {
        assert_eq!(get(&free, key, None).await.unwrap(), doubles(), "{key}");
    }
    // Stores of the wrong version find nothing, as upstream.
    let wrong = rooted(json!({ "path": "kv1" })).await;
    assert_eq!(get(&wrong, "kv/all", None).await.unwrap_err(), ProviderErrorKind::NotFound);
    let wrong = rooted(json!({ "version": "v1" })).await;
    assert_eq!(get(&wrong, "kv/all", None).await.unwrap_err(), ProviderErrorKind::NotFound);
}

#[tokio::test]
async fn names_that_need_escapes_and_names_that_lead_out() {
    let bao = bao();
    bao.put("secret/data/odd/a%20b%23%C3%BC%3F", &json!({ "data": { "u": "odd" } })).unwrap();
    let store = rooted(json!({})).await;
    assert_eq!(get(&store, "odd/a b#ü?", None).await.unwrap(), r#"{"u":"odd"}"#);
    for key in ["../../sys/mounts", "a/../../../kv1/kv/all", "..", "a/./b"] {
        let error = get(&store, key, None).await.unwrap_err();
        assert!(matches!(error, ProviderErrorKind::Invalid(_)), "{key}: {error}");
    }
}

#[tokio::test]
async fn versions_deleted_and_destroyed_ones() {
    let bao = bao();
    for value in ["first", "second", "third"] {
        stored("kv/versions", json!({ "u": value }));
    }
    let store = rooted(json!({})).await;
    for (version, value) in
        [(Some("1"), "first"), (Some("2"), "second"), (None, "third"), (Some(""), "third")]
    {
        assert_eq!(get(&store, "kv/versions", version).await.unwrap(), json!({ "u": value }).to_string());
    }
    let remote = RemoteKey { key: "kv/versions".to_owned(), version: None };
    let found = store.reader.as_ref().unwrap().get(&remote).await.unwrap();
    assert_eq!(found.version.as_deref(), Some("3"));
    assert_eq!(get(&store, "kv/versions", Some("9")).await.unwrap_err(), ProviderErrorKind::NotFound);
    let error = get(&store, "kv/versions", Some("latest")).await.unwrap_err();
    assert!(matches!(error, ProviderErrorKind::Failed(_)), "{error}");
    // Both are answered 404 with a body that describes the version.
    bao.put("secret/delete/kv/versions", &json!({ "versions": [3] })).unwrap();
    assert_eq!(get(&store, "kv/versions", None).await.unwrap_err(), ProviderErrorKind::NotFound);
    assert_eq!(get(&store, "kv/versions", Some("2")).await.unwrap(), r#"{"u":"second"}"#);
    bao.put("secret/undelete/kv/versions", &json!({ "versions": [3] })).unwrap();
    assert_eq!(get(&store, "kv/versions", None).await.unwrap(), r#"{"u":"third"}"#);
    bao.put("secret/destroy/kv/versions", &json!({ "versions": [1] })).unwrap();
    assert_eq!(get(&store, "kv/versions", Some("1")).await.unwrap_err(), ProviderErrorKind::NotFound);
    assert_eq!(get(&store, "kv/none", None).await.unwrap_err(), ProviderErrorKind::NotFound);
}

#[tokio::test]
async fn metadata_are_custom_ones_and_three_of_vaults() {
    stored("kv/described", json!({ "u": "1" }));
    let custom = json!({ "custom_metadata": { "owner": "blue", "tier": "web" } });
    bao().put("secret/metadata/kv/described", &custom).unwrap();
    let store = rooted(json!({})).await;
    let metadata = async |store: &StoreConnection, key: &str| {
        let remote = RemoteKey { key: key.to_owned(), version: None };
        let found = store.reader.as_ref().unwrap().metadata(&remote).await;
        found.map(|text| serde_json::from_slice::<BTreeMap<String, String>>(text.expose()).unwrap())
    };
    for key in ["kv/described", "secret/kv/described", "secret/data/kv/described"] {
        let mut found = metadata(&store, key).await.unwrap();
        assert!(
            found.remove("created_time").is_some_and(|time| time.starts_with("20") && time.ends_with('Z'))
        );
        let rest: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected =
            [("current_version", "1"), ("delete_version_after", "0s"), ("owner", "blue"), ("tier", "web")];
        assert_eq!(rest, expected, "{key}");
    }
    let error = metadata(&store, "kv/none").await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Failed("secret not found".to_owned()));
    let one = rooted(json!({ "path": "kv1", "version": "v1" })).await;
    let error = metadata(&one, "kv/all").await.unwrap_err().to_string();
    assert!(error.contains("cannot perform metadata fetch operations with kv version v1"), "{error}");
}

async fn find(store: &StoreConnection, find: Find) -> Result<BTreeMap<String, String>, ProviderErrorKind> {
    let found = store.reader.as_ref().unwrap().find(&find).await.map_err(|error| error.kind)?;
    let text = |value: RemoteValue| match value {
        RemoteValue::Bytes(value) => value.expose_str().unwrap().to_owned(),
        RemoteValue::Entries(_) => panic!("Vault has bytes"),
    };
    Ok(found.into_iter().map(|(name, found)| (name, text(found.value))).collect())
}

fn by_name(path: &str, name: &str) -> Find {
    Find { path: Some(path.to_owned()), name: Some(name.to_owned()), tags: BTreeMap::new() }
}

fn by_tags(path: &str, tags: &[(&str, &str)]) -> Find {
    let tags = tags.iter().map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned())).collect();
    Find { path: Some(path.to_owned()), name: None, tags }
}

#[tokio::test]
async fn values_are_found_by_path_name_and_tags() {
    let bao = bao();
    for (key, value) in [
        ("find/app/db", "1"),
        ("find/app/web", "2"),
        ("find/other", "3"),
        ("find/app/deep/a/b", "4"),
        ("find/gone", "5"),
    ] {
        stored(key, json!({ "u": value }));
        bao.put(&format!("kv1/{key}"), &json!({ "u": value })).unwrap();
    }
    bao.put("secret/delete/find/gone", &json!({ "versions": [1] })).unwrap();
    for (key, team) in [("find/app/db", "blue"), ("find/app/web", "red"), ("find/app/deep/a/b", "blue")] {
        let custom = json!({ "custom_metadata": { "team": team, "x": "y" } });
        bao.put(&format!("secret/metadata/{key}"), &custom).unwrap();
    }
    let store = rooted(json!({})).await;
    let names =
        async |wanted: Find| find(&store, wanted).await.map(|found| found.into_keys().collect::<Vec<_>>());
    let all = ["find/app/db", "find/app/deep/a/b", "find/app/web"];
    assert_eq!(names(by_name("find/app", ".*")).await.unwrap(), all);
    assert_eq!(names(by_name("find", "db$")).await.unwrap(), ["find/app/db"]);
    assert_eq!(
        names(by_name("find", "^find/o")).await.unwrap(),
        ["find/other"],
        "names are paths from the mount"
    );
    assert_eq!(names(by_name("find", ".*")).await.unwrap().len(), 4, "what is deleted is not found");
    assert_eq!(names(by_name("find", "zzz")).await.unwrap(), [""; 0]);
    assert_eq!(names(by_tags("find", &[("team", "blue"), ("x", "y")])).await.unwrap(), [all[0], all[1]]);
    assert_eq!(names(by_tags("find", &[("team", "green")])).await.unwrap(), [""; 0]);
    assert_eq!(find(&store, by_name("find", "db$")).await.unwrap()["find/app/db"], r#"{"u":"1"}"#);
    assert_eq!(names(by_name("find/nowhere", ".*")).await.unwrap_err(), ProviderErrorKind::NotFound);
    assert!(names(by_name("find", "(")).await.unwrap_err().to_string().contains("find.name.regexp"));
    let free = rooted(json!({ "path": null })).await;
    let found = find(&free, by_name("secret/data/find/app", "web$")).await.unwrap();
    assert_eq!(found["secret/data/find/app/web"], r#"{"u":"2"}"#);
    assert!(find(&free, Find::default()).await.unwrap_err().to_string().contains("needs a path"));
    let one = rooted(json!({ "path": "kv1", "version": "v1" })).await;
    let found = find(&one, by_name("find/app", ".*")).await.unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), all);
    let error = find(&one, by_tags("find", &[("a", "b")])).await.unwrap_err().to_string();
    assert_eq!(error, "cannot perform find by tag operations with kv version v1");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    for (more, words) in [
        (json!({ "version": "v3" }), "neither v1 nor v2"),
        (json!({ "server": "vault.example" }), "no address of a Vault server"),
        (json!({ "version": "v1", "checkAndSet": { "required": true } }), "checkAndSet is not supported"),
        (json!({ "headers": { "a b": "x" } }), "can be no header"),
        (json!({ "headers": { "X-Vault-Token": "hunter2" } }), "x-vault-token cannot be set there"),
        (json!({ "caBundle": "!" }), "caBundle is not base64"),
    ] {
        let mut provider = json!({ "server": bao().url(), "path": "secret", "auth": { "tokenSecretRef": { "name": "vault", "key": "token" } } });
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let credentials = super::Credentials::of(&[("vault/token", "t")]);
        let error = super::open(provider, &credentials).await.err().unwrap().to_string();
        assert!(error.contains(words) && !error.contains("hunter2"), "{more}: {error}");
    }
    let spec = json!({
        "provider": { "openBao": { "server": bao().url(), "path": "secret", "auth": { "tokenSecretRef": { "name": "vault", "key": "token" } } } },
        "retrySettings": { "maxRetries": 1, "retryInterval": "soon" },
    });
    let credentials = super::Credentials::of(&[("vault/token", bao().root_token())]);
    let error = super::open_spec(spec.clone(), &credentials).await.err().unwrap().to_string();
    assert!(error.contains("retryInterval"), "{error}");
    let mut right = spec;
    right["retrySettings"]["retryInterval"] = json!("10ms");
    stored("kv/bao", json!({ "u": "1" }));
    let store = super::open_spec(right, &credentials).await.unwrap();
    assert_eq!(get(&store, "kv/bao", None).await.unwrap(), r#"{"u":"1"}"#);
}
