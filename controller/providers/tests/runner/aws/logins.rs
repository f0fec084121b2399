//! Roles, tokens of service accounts, signatures, settings that make no sense.

use sealops_providers::ProviderErrorKind;
use serde_json::json;

use super::{Cloud, Credentials, REGION, get, open, put, target};

#[tokio::test]
async fn roles_are_taken_one_after_the_other() {
    let cloud = Cloud::start(&[]);
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let settings = json!({
        "service": "SecretsManager", "additionalRoles": [role("first"), role("second")], "role": role("last"),
        "externalID": "outside", "sessionTags": [{ "key": "team", "value": "web" }], "transitiveTagKeys": ["team"],
        "sessionTagsPolicy": "Simple",
    });
    let store = open(settings, &Credentials::of(&cloud)).await.unwrap();
    let name = target("a", None, json!({}));
    put(&store, &name, "one").await.unwrap();
    assert_eq!(get(&store, "a", None).await.unwrap(), "one");
    for text in [
        "role%2Ffirst",
        "role%2Fsecond",
        "role%2Flast",
        "ExternalId=outside",
        "esoNamespace",
        "TransitiveTagKeys",
    ] {
        assert_eq!(cloud.recorder.count(text), 1, "one login for all calls: {text}");
    }
    assert_eq!(cloud.recorder.count("RoleSessionName=external-secrets-provider-aws"), 3);
    // The first role is asked for with the store's keys, the next ones with sessions, and so is the service.
    assert_eq!(cloud.recorder.count("Credential=AKIDSTORE/"), 1);
}

#[tokio::test]
async fn a_service_account_stands_for_a_role() {
    let cloud = Cloud::start(&[]);
    let auth =
        |name: &str| json!({ "jwt": { "serviceAccountRef": { "name": name, "audiences": ["more"] } } });
    let settings = json!({ "service": "ParameterStore", "auth": auth("app") });
    let store = open(settings, &Credentials::of(&cloud)).await.unwrap();
    put(&store, &target("/a", None, json!({})), "one").await.unwrap();
    assert_eq!(get(&store, "/a", None).await.unwrap(), "one");
    assert_eq!(cloud.recorder.count("Action=AssumeRoleWithWebIdentity&"), 1);
    assert_eq!(cloud.recorder.count("CANARY-token-for-sts.amazonaws.com-more"), 1);
    let settings = json!({ "service": "ParameterStore", "auth": auth("bare") });
    let Err(error) = open(settings, &Credentials::of(&cloud)).await else { panic!("no role") };
    assert!(
        error.to_string().contains("an IAM role must be associated with service account bare"),
        "{error}"
    );
}

/// moto checks signatures and rights after the first calls.
#[tokio::test]
async fn signatures_are_right_and_refusals_say_so() {
    let cloud = Cloud::start(&[("INITIAL_NO_AUTH_ACTION_COUNT", "3")]);
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action\
                  %22%3A%22secretsmanager%3A*%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
    cloud.moto.call_form("iam", "Action=CreateUser&UserName=u&Version=2010-05-08").unwrap();
    let keys = cloud.moto.call_form("iam", "Action=CreateAccessKey&UserName=u&Version=2010-05-08").unwrap();
    let form =
        format!("Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}&Version=2010-05-08");
    cloud.moto.call_form("iam", &form).unwrap();
    let field = |name: &str| {
        let (_, rest) = keys.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let mut credentials = Credentials::of(&cloud);
    credentials.secrets.insert("id", field("AccessKeyId"));
    credentials.secrets.insert("key", field("SecretAccessKey"));
    let store = open(json!({ "service": "SecretsManager" }), &credentials).await.unwrap();
    // A value that escapes, and a name that does: both are signed.
    put(&store, &target("a b/ä", None, json!({ "secretPushFormat": "string" })), "\u{1f511} \"one\"")
        .await
        .unwrap();
    assert_eq!(get(&store, "a b/ä", None).await.unwrap(), "\u{1f511} \"one\"");
    let parameters = open(json!({ "service": "ParameterStore" }), &credentials).await.unwrap();
    let denied = get(&parameters, "/a", None).await.unwrap_err();
    assert!(matches!(denied, ProviderErrorKind::Denied(_)), "{denied}");
    credentials.secrets.insert("key", "CANARY-wrong".to_owned());
    let wrong = open(json!({ "service": "SecretsManager" }), &credentials).await.unwrap();
    let error = get(&wrong, "a b/ä", None).await.unwrap_err();
    assert_eq!(error, ProviderErrorKind::Unauthenticated("SignatureDoesNotMatch".to_owned()));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let cloud = super::cloud();
    let credentials = Credentials::of(cloud);
    for (settings, text) in [
        (json!({ "service": "S3" }), "service has to be"),
        (json!({ "service": "CertificateManager" }), "is not supported"),
        (json!({ "service": "SecretsManager", "region": "evil.example/" }), "is no AWS region"),
        (
            json!({ "service": "SecretsManager", "auth": { "secretRef": {} } }),
            "accessKeyIDSecretRef.name is missing",
        ),
        (
            json!({ "service": "SecretsManager", "role": "r", "sessionTagsPolicy": "All" }),
            "sessionTagsPolicy",
        ),
    ] {
        let Err(error) = open(settings.clone(), &credentials).await else { panic!("{settings}") };
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(!REGION.is_empty());
}
