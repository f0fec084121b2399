//! What generators make of a login.

use sealops_crds::generators::{EcrAuthorizationTokenSpec, StsSessionTokenSpec};
use sealops_formats::Plaintext;
use sealops_providers::{ConnectContext, ProviderErrorKind, StoreIdentity, aws};
use serde_json::{Value, json};

use super::{Cloud, Credentials, REGION, keys};

fn store() -> StoreIdentity {
    StoreIdentity {
        namespace: Some("apps".to_owned()),
        name: "generator".to_owned(),
        user_namespace: "apps".to_owned(),
    }
}

fn spec<T: serde::de::DeserializeOwned>(more: Value) -> T {
    let mut spec = json!({ "region": REGION, "auth": keys() });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn texts(values: &std::collections::BTreeMap<String, Plaintext>) -> Vec<(&str, &str)> {
    values.iter().map(|(key, value)| (key.as_str(), value.expose_str().unwrap())).collect()
}

#[tokio::test]
async fn a_registry_gives_a_login() {
    let cloud = Cloud::start(&[]);
    let (credentials, store) = (Credentials::of(&cloud), store());
    let context = ConnectContext { store: &store, credentials: &credentials, network: true };
    let role = json!({ "role": "arn:aws:iam::123456789012:role/ecr" });
    let spec: EcrAuthorizationTokenSpec = spec(role);
    let values = aws::registry_login(&spec, &context).await.unwrap();
    assert_eq!(
        texts(&values),
        [
            ("expires_at", "1420070400"),
            ("password", "123456789012-auth-token"),
            ("proxy_endpoint", "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
            ("username", "AWS"),
        ]
    );
    assert_eq!(cloud.recorder.count("Action=AssumeRole&"), 1);
    assert_eq!(cloud.recorder.count("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"), 1);
    let offline = ConnectContext { network: false, ..context };
    let refused = aws::registry_login(&spec, &offline).await.unwrap_err();
    assert!(matches!(refused.kind, ProviderErrorKind::Forbidden(_)), "{refused}");
}

#[tokio::test]
async fn a_session_is_made_of_keys_and_never_of_a_token() {
    let cloud = Cloud::start(&[]);
    let (credentials, store) = (Credentials::of(&cloud), store());
    let context = ConnectContext { store: &store, credentials: &credentials, network: true };
    let parameters = json!({ "requestParameters": { "sessionDuration": 900,
        "serialNumber": "arn:aws:iam::123456789012:mfa/me", "tokenCode": "123456" } });
    let session = spec::<StsSessionTokenSpec>(parameters);
    assert!(!format!("{session:?}").contains("123456\""), "codes are not shown");
    let values = aws::session(&session, &context).await.unwrap();
    assert_eq!(
        values.keys().collect::<Vec<_>>(),
        ["access_key_id", "expiration", "secret_access_key", "session_token"]
    );
    let expiration: i64 = values["expiration"].expose_str().unwrap().parse().unwrap();
    assert!(expiration > 1_700_000_000, "{expiration}");
    for text in ["Action=GetSessionToken&", "DurationSeconds=900", "TokenCode=123456", "SerialNumber=arn"] {
        assert_eq!(cloud.recorder.count(text), 1, "{text}");
    }
    let jwt = json!({ "auth": { "jwt": { "serviceAccountRef": { "name": "app" } } } });
    let refused = aws::session(&spec(jwt), &context).await.unwrap_err();
    assert_eq!(refused.kind.to_string(), "jwt auth cannot be used for STS Session Token generation");
}
