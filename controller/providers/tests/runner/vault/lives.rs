//! Tokens that live for seconds: renewed while they are used, replaced when they die.

use std::time::Duration;

use sealops_formats::Plaintext;
use sealops_providers::ProviderErrorKind;
use sealops_providers::vault::Login;
use sealops_testenv::{OpenBaoServer, eventually};
use serde_json::json;

use super::{approle, approle_login, furnish, session};

const LONG: Duration = Duration::from_secs(120);

fn server() -> OpenBaoServer {
    let bao = OpenBaoServer::start().unwrap();
    furnish(&bao, "");
    bao
}

#[tokio::test]
async fn a_token_in_use_is_renewed() {
    let bao = server();
    let role = approle(&bao, "", "short", json!({ "token_ttl": "15s", "token_max_ttl": "1h" }));
    let session = session(&bao.url(), approle_login(&role));
    let renewed = eventually("the token is renewed", LONG, async || {
        session.check().await.unwrap();
        (bao.count("auth/token/renew-self").unwrap() > 0).then_some(())
    });
    renewed.await.unwrap();
    session.check().await.unwrap();
    assert_eq!(bao.count("auth/approle/login").unwrap(), 1);
}

#[tokio::test]
async fn a_token_at_the_end_of_its_life_is_replaced() {
    let bao = server();
    let role = approle(&bao, "", "end", json!({ "token_ttl": "3s", "token_max_ttl": "3s" }));
    let session = session(&bao.url(), approle_login(&role));
    let replaced = eventually("there is a second login", LONG, async || {
        session.check().await.unwrap();
        (bao.count("auth/approle/login").unwrap() > 1).then_some(())
    });
    replaced.await.unwrap();
}

#[tokio::test]
async fn a_token_that_the_server_revoked_is_replaced() {
    let bao = server();
    bao.put("secret/data/x", &json!({ "data": { "u": "1" } })).unwrap();
    let (role, secret) = approle(&bao, "", "revoked", json!({}));
    let credentials = super::Credentials::of(&[("s/secret", &secret)]);
    let auth = json!({ "appRole": { "roleId": role, "secretRef": { "name": "s", "key": "secret" } } });
    let settings = json!({ "server": bao.url(), "path": "secret", "auth": auth });
    let store = super::open(settings, &credentials).await.unwrap();
    super::get(&store, "x", None).await.unwrap();
    bao.put("sys/leases/revoke-prefix/auth/approle/login", &json!({})).unwrap();
    let back = eventually("the value is read again", LONG, async || super::get(&store, "x", None).await.ok());
    back.await.unwrap();
    assert_eq!(bao.count("auth/approle/login").unwrap(), 2);
    // A role that is gone cannot log in again.
    bao.delete("auth/approle/role/revoked").unwrap();
    bao.put("sys/leases/revoke-prefix/auth/approle/login", &json!({})).unwrap();
    let refused = eventually("the login is refused", LONG, async || {
        matches!(super::get(&store, "x", None).await, Err(ProviderErrorKind::Unauthenticated(_)))
            .then_some(())
    });
    refused.await.unwrap();
}

#[tokio::test]
async fn a_token_of_somebody_else_that_expired_is_named() {
    let bao = server();
    let made = bao.put("auth/token/create", &json!({ "ttl": "2s", "policies": ["app"] })).unwrap();
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let session = session(&bao.url(), Login::Token(Plaintext::from(token.as_str())));
    let expired = eventually("the token is dead", LONG, async || session.check().await.err());
    let error = expired.await.unwrap();
    assert!(matches!(error, ProviderErrorKind::Unauthenticated(_)), "{error}");
    assert!(
        error.to_string().contains("permission denied") && !error.to_string().contains(&token),
        "{error}"
    );
}
