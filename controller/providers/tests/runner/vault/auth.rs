//! Every login, right and wrong; one for many; revoked at the end.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use sealops_formats::base64::encode_public;
use sealops_providers::ProviderErrorKind;
use sealops_providers::vault::Login;
use sealops_testenv::eventually;
use serde_json::{Value, json};

use super::{Credentials, approle, approle_login, bao, furnish, get, open, session, stored};

fn url_safe(bytes: &[u8]) -> String {
    encode_public(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// Makes a key for ES256: its public half in PEM, and a token for a subject.
fn jwt(subject: &str, expires: i64) -> (String, String) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    // SubjectPublicKeyInfo of a P-256 key is this, then the point.
    let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00".to_vec();
    der.extend_from_slice(key.public_key().as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", encode_public(&der));
    let claims = json!({ "sub": subject, "aud": "vault", "iss": "test", "exp": expires, "iat": 1 });
    let head = url_safe(br#"{"alg":"ES256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", url_safe(claims.to_string().as_bytes()));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    (pem, format!("{signed}.{}", url_safe(signature.as_ref())))
}

#[tokio::test]
async fn every_login_of_a_store_reads() {
    let bao = bao();
    stored("auth/x", json!({ "u": "amber" }));
    let (role, secret) = approle(bao, "", "every", json!({}));
    for mount in ["userpass", "ldap"] {
        let user = json!({ "password": "user-word", "token_policies": "app" });
        bao.put(&format!("auth/{mount}/users/anna"), &user).unwrap();
    }
    let (public, token) = jwt("anna", 4_102_444_800);
    bao.put("auth/jwt/config", &json!({ "jwt_validation_pubkeys": [public] })).unwrap();
    let role_of_jwt = json!({ "role_type": "jwt", "bound_audiences": "vault", "user_claim": "sub", "token_policies": "app" });
    bao.put("auth/jwt/role/app", &role_of_jwt).unwrap();
    let mut credentials = Credentials::of(&[
        ("s/root", bao.root_token()),
        ("s/role", &role),
        ("s/secret", &secret),
        ("s/word", "user-word"),
        ("s/jwt", &token),
    ]);
    credentials.token = token.clone();
    let key = |key: &str| json!({ "name": "s", "key": key });
    for auth in [
        json!({ "tokenSecretRef": key("root") }),
        json!({ "appRole": { "path": "approle", "roleId": role, "secretRef": key("secret") } }),
        json!({ "appRole": { "roleRef": key("role"), "secretRef": key("secret") } }),
        json!({ "userPass": { "path": "userpass", "username": "anna", "secretRef": key("word") } }),
        json!({ "ldap": { "path": "/ldap/", "username": " anna ", "secretRef": key("word") } }),
        json!({ "jwt": { "path": "jwt", "role": "app", "secretRef": key("jwt") } }),
        json!({ "jwt": { "role": "app", "kubernetesServiceAccountToken": { "serviceAccountRef": { "name": "a" } } } }),
    ] {
        let store = open(json!({ "server": bao.url(), "path": "secret", "auth": auth }), &credentials).await;
        let store = store.unwrap_or_else(|error| panic!("{auth}: {error}"));
        assert_eq!(get(&store, "auth/x", None).await.unwrap(), r#"{"u":"amber"}"#, "{auth}");
        store.check.as_ref().unwrap().validate().await.unwrap();
    }
}

#[tokio::test]
async fn wrong_logins_are_refused_and_say_so() {
    let bao = bao();
    let (role, _) = approle(bao, "", "wrong", json!({}));
    let (_, foreign) = jwt("anna", 4_102_444_800);
    let credentials = Credentials::of(&[("s/bad", "hunter2"), ("s/jwt", &foreign), ("s/line", "hunter2\n")]);
    let key = |key: &str| json!({ "name": "s", "key": key });
    for (auth, words) in [
        (json!({ "appRole": { "roleId": role, "secretRef": key("bad") } }), "invalid role or secret ID"),
        (
            json!({ "appRole": { "path": "nowhere", "roleId": role, "secretRef": key("bad") } }),
            "auth/nowhere/login",
        ),
        (
            json!({ "userPass": { "username": "nobody", "secretRef": key("bad") } }),
            "invalid username or password",
        ),
        (json!({ "userPass": { "username": "a/b", "secretRef": key("bad") } }), "no user name"),
        (json!({ "jwt": { "role": "app", "secretRef": key("jwt") } }), "login was refused"),
        (json!({ "jwt": { "role": "app" } }), "needs secretRef"),
        (json!({ "kubernetes": { "role": "app" } }), "controller's own token is not handed out"),
        (json!({ "appRole": { "secretRef": key("bad") } }), "roleId or roleRef is missing"),
        (json!({ "tokenSecretRef": key("none") }), "there is no s/none"),
        (json!({ "iam": { "vaultRole": "r" } }), "auth.iam (AWS identities) is not supported"),
        (json!({ "gcp": { "role": "r" } }), "auth.gcp (Google Cloud identities) is not supported"),
        (json!({}), "no valid auth method specified"),
    ] {
        let opened = open(json!({ "server": bao.url(), "path": "secret", "auth": auth }), &credentials).await;
        let error = opened.err().unwrap_or_else(|| panic!("{auth} was taken")).to_string();
        assert!(
            error.contains(words) && !error.contains("hunter2") && !error.contains(&foreign),
            "{auth}: {error}"
        );
    }
    // A token is looked at when it is used: the store opens, its check fails.
    for (auth, words) in [
        (json!({ "tokenSecretRef": key("bad") }), "permission denied"),
        (json!({ "tokenSecretRef": key("line") }), "non-printable"),
    ] {
        let store =
            open(json!({ "server": bao.url(), "path": "secret", "auth": auth }), &credentials).await.unwrap();
        let error = store.check.as_ref().unwrap().validate().await.unwrap_err();
        assert!(matches!(error.kind, ProviderErrorKind::Unauthenticated(_)), "{error}");
        assert!(error.to_string().contains(words) && !error.to_string().contains("hunter2"), "{error}");
    }
    let store = open(json!({ "server": bao.url(), "path": "secret" }), &credentials).await.unwrap();
    assert!(store.check.as_ref().unwrap().validate().await.is_err(), "without auth");
}

#[tokio::test]
async fn a_denied_read_is_denied_and_costs_no_second_login() {
    let bao = bao();
    let session = session(&bao.url(), approle_login(&approle(bao, "", "denied", json!({}))));
    session.open().await.unwrap();
    let (role, secret) = approle(bao, "", "denied", json!({}));
    let credentials = Credentials::of(&[("s/secret", &secret)]);
    let auth = json!({ "appRole": { "roleId": role, "secretRef": { "name": "s", "key": "secret" } } });
    let store =
        open(json!({ "server": bao.url(), "path": "secret", "auth": auth }), &credentials).await.unwrap();
    let error = get(&store, "forbidden", None).await.unwrap_err();
    let words = "access was denied: GET secret/data/forbidden was answered 403: permission denied";
    assert_eq!(error.to_string(), words);
}

#[tokio::test]
async fn many_who_wait_share_one_login_and_the_token_is_revoked() {
    // A server of its own: calls are counted.
    let bao = sealops_testenv::OpenBaoServer::start().unwrap();
    furnish(&bao, "");
    let session = Arc::new(session(&bao.url(), approle_login(&approle(&bao, "", "many", json!({})))));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let session = Arc::clone(&session);
        all.spawn(async move { session.check().await });
    }
    while let Some(checked) = all.join_next().await {
        checked.unwrap().unwrap();
    }
    assert_eq!(bao.count("auth/approle/login").unwrap(), 1);
    session.close().await.unwrap();
    assert_eq!(bao.count("auth/token/revoke-self").unwrap(), 1);
    session.check().await.unwrap();
    assert_eq!(bao.count("auth/approle/login").unwrap(), 2, "a closed session logs in again");
    drop(session);
    let revoked =
        eventually("the token of a dropped session is revoked", Duration::from_secs(30), async || {
            (bao.count("auth/token/revoke-self").unwrap() == 2).then_some(())
        });
    revoked.await.unwrap();
    // What is somebody else's stays.
    let token =
        bao.put("auth/token/create", &json!({ "policies": ["app"] })).unwrap()["auth"]["client_token"]
            .clone();
    let borrowed = super::session(&bao.url(), Login::Token(token.as_str().unwrap().into()));
    borrowed.check().await.unwrap();
    borrowed.close().await.unwrap();
    borrowed.check().await.unwrap();
    let batch = approle(&bao, "", "batch", json!({ "token_type": "batch" }));
    let batch = super::session(&bao.url(), approle_login(&batch));
    batch.check().await.unwrap();
    batch.close().await.unwrap();
    assert_eq!(bao.count("auth/token/revoke-self").unwrap(), 2, "batch tokens cannot be revoked");
}

#[tokio::test]
async fn namespaces_of_requests_and_of_logins() {
    let bao = bao();
    bao.put("sys/namespaces/team", &json!({})).unwrap();
    furnish(bao, "team/");
    bao.put("team/secret/data/only-here", &json!({ "data": { "u": "team" } })).unwrap();
    let (role, secret) = approle(bao, "team/", "app", json!({}));
    let credentials = Credentials::of(&[("s/root", bao.root_token()), ("s/secret", &secret)]);
    let of_role = json!({ "roleId": role, "secretRef": { "name": "s", "key": "secret" } });
    let root = json!({ "name": "s", "key": "root" });
    let store = |namespace: Value, auth: Value| json!({ "server": bao.url(), "path": "secret", "namespace": namespace, "auth": auth });
    for settings in [
        store(json!("team"), json!({ "appRole": of_role })),
        store(json!("/team/"), json!({ "namespace": "team", "appRole": of_role })),
        store(json!("team"), json!({ "tokenSecretRef": root })),
    ] {
        let store =
            open(settings.clone(), &credentials).await.unwrap_or_else(|error| panic!("{settings}: {error}"));
        assert_eq!(get(&store, "only-here", None).await.unwrap(), r#"{"u":"team"}"#, "{settings}");
    }
    let elsewhere = open(store(Value::Null, json!({ "tokenSecretRef": root })), &credentials).await.unwrap();
    assert_eq!(get(&elsewhere, "only-here", None).await.unwrap_err(), ProviderErrorKind::NotFound);
    let outside =
        open(store(Value::Null, json!({ "namespace": "nowhere", "appRole": of_role })), &credentials).await;
    assert!(outside.is_err());
}
