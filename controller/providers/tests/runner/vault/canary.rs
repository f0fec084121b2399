//! Known secrets go through every call and error; errors and logs at every level are searched for them.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use sealops_formats::Plaintext;
use sealops_providers::{Find, PushTarget, RemoteKey};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{Credentials, approle, bao, open, stored};

const CANARY: &str = "CANARY-7d1f";

/// Everything that anybody in this process has logged.
pub(crate) static LOG: Mutex<String> = Mutex::new(String::new());

pub(crate) struct Everything;

struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(log, "{field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn no_secret_comes_into_an_error_or_a_log() {
    let _ = tracing::subscriber::set_global_default(Everything);
    let bao = bao();
    stored("canary/x", json!({ "u": CANARY, "n": 7 }));
    let user = json!({ "password": format!("{CANARY}-word"), "token_policies": "app" });
    bao.put("auth/userpass/users/canary", &user).unwrap();
    let (role, secret) = approle(bao, "", "canary", json!({}));
    let credentials = Credentials::of(&[
        ("s/word", &format!("{CANARY}-word")),
        ("s/bad", &format!("{CANARY}-bad")),
        ("s/line", &format!("{CANARY}\n")),
        ("s/secret", &secret),
        ("s/root", bao.root_token()),
    ]);
    let key = |key: &str| json!({ "name": "s", "key": key });
    let mut errors = Vec::new();
    for auth in [
        json!({ "tokenSecretRef": key("root") }),
        json!({ "tokenSecretRef": key("bad") }),
        json!({ "tokenSecretRef": key("line") }),
        json!({ "userPass": { "username": "canary", "secretRef": key("word") } }),
        json!({ "userPass": { "username": "canary", "secretRef": key("bad") } }),
        json!({ "appRole": { "roleId": role, "secretRef": key("secret") } }),
        json!({ "appRole": { "roleId": role, "secretRef": key("bad") } }),
        json!({ "jwt": { "role": "app", "secretRef": key("bad") } }),
        json!({ "ldap": { "username": "x", "secretRef": key("line") } }),
    ] {
        let headers = json!({ "X-Own": format!("{CANARY}-header") });
        let settings = json!({ "server": bao.url(), "path": "secret", "auth": auth, "headers": headers });
        let store = match open(settings, &credentials).await {
            Ok(store) => store,
            Err(error) => {
                errors.push(format!("{error} {error:?}"));
                continue;
            }
        };
        let (reader, writer) = (store.reader.as_ref().unwrap(), store.writer.as_ref().unwrap());
        for (name, version) in
            [("canary/x", None), ("canary/x", Some("99")), ("forbidden", None), ("canary/x", Some("x"))]
        {
            let remote = RemoteKey { key: name.to_owned(), version: version.map(str::to_owned) };
            errors.extend(reader.get(&remote).await.err().map(|error| format!("{error} {error:?}")));
        }
        let find = Find { path: Some("canary".to_owned()), name: Some(".*".to_owned()), ..Find::default() };
        errors.extend(reader.find(&find).await.err().map(|error| format!("{error} {error:?}")));
        for (name, property) in [("canary/x", Some("u")), ("canary/new", Some("u")), ("canary/new", None)] {
            let target = PushTarget {
                key: name.to_owned(),
                property: property.map(str::to_owned),
                ..PushTarget::default()
            };
            let pushed = writer.put(&target, &Plaintext::from(format!("{CANARY}-pushed"))).await;
            errors.extend(pushed.err().map(|error| format!("{error} {error:?}")));
        }
    }
    assert!(errors.len() > 10, "{errors:?}");
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.len() > 1000, "hyper logs at trace level");
    let errors = errors.join("\n");
    for secret in [CANARY, &secret, bao.root_token()] {
        assert!(!errors.contains(secret), "{errors}");
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}
