//! Several values by one call: what comes back, what it costs, what happens where it is denied.

use sealops_providers::{ProviderErrorKind, RemoteKey, RemoteValue, StoreConnection};
use sealops_testenv::{Fault, FaultProxy, Turns};
use serde_json::json;

use super::{Cloud, Credentials, get, open};

/// Whether a fault is told as what it is.
type IsRight = fn(&ProviderErrorKind) -> bool;

const KEYS: usize = 100;
/// The calls that read one value, and those that read many.
const CALLS: [(&str, &str, &str); 2] = [
    ("SecretsManager", "secretsmanager.GetSecretValue", "secretsmanager.BatchGetSecretValue"),
    ("ParameterStore", "AmazonSSM.GetParameter\r", "AmazonSSM.GetParameters\r"),
];

fn fill(cloud: &Cloud, service: &str, name: &str, value: &str) {
    if service == "SecretsManager" {
        let body = json!({ "Name": name, "SecretString": value });
        cloud.call("secretsmanager", "secretsmanager.CreateSecret", body);
    } else {
        let body = json!({ "Name": name, "Value": value, "Type": "SecureString" });
        cloud.call("ssm", "AmazonSSM.PutParameter", body);
    }
}

/// Reads keys as the controller does: as many at a time as the store likes.
async fn read(store: &StoreConnection, keys: &[String]) -> Vec<Result<String, ProviderErrorKind>> {
    let reader = store.reader.as_ref().unwrap();
    let remotes: Vec<RemoteKey> =
        keys.iter().map(|key| RemoteKey { key: key.clone(), version: None }).collect();
    let mut answers = Vec::new();
    for batch in remotes.chunks(reader.batch_size()) {
        answers.extend(reader.get_batch(batch).await.into_iter().map(|answer| match answer {
            Ok(secret) => match secret.value {
                RemoteValue::Bytes(value) => Ok(value.expose_str().unwrap().to_owned()),
                RemoteValue::Entries(_) => panic!("AWS has bytes"),
            },
            Err(error) => Err(error.kind),
        }));
    }
    answers
}

fn keys() -> Vec<String> {
    (0..KEYS).map(|number| format!("/batch/{number}")).collect()
}

#[tokio::test]
async fn a_hundred_values_are_read_by_few_calls_each_in_its_place() {
    let cloud = Cloud::start(&[]);
    for (service, one, many) in CALLS {
        keys().iter().for_each(|key| fill(&cloud, service, key, &format!("value of {key}")));
        let store = open(json!({ "service": service }), &Credentials::of(&cloud)).await.unwrap();
        cloud.recorder.forget();
        let answers = read(&store, &keys()).await;
        for (key, answer) in keys().iter().zip(&answers) {
            assert_eq!(answer.as_ref().unwrap(), &format!("value of {key}"));
        }
        let calls = KEYS / store.reader.as_ref().unwrap().batch_size();
        assert_eq!((cloud.recorder.count(many), cloud.recorder.count(one)), (calls, 0), "{service}");
        // One that is not there, and a name twice: the others are not worse off, and each says for itself.
        let odd = ["/batch/1", "/batch/none", "/batch/2", "/batch/1"].map(str::to_owned);
        let answers = read(&store, &odd).await;
        assert_eq!(answers[1], Err(ProviderErrorKind::NotFound), "{service}");
        for (index, key) in [(0, "/batch/1"), (2, "/batch/2"), (3, "/batch/1")] {
            assert_eq!(answers[index], Ok(format!("value of {key}")), "{service}");
        }
    }
}

#[tokio::test]
async fn versions_are_not_batched_and_a_secret_that_goes_is_not_there() {
    let cloud = Cloud::start(&[]);
    let prefixed = json!({ "service": "SecretsManager", "prefix": "/batch/" });
    let store = open(prefixed, &Credentials::of(&cloud)).await.unwrap();
    for key in ["/batch/a", "/batch/b"] {
        fill(&cloud, "SecretsManager", key, key);
    }
    let reader = store.reader.as_ref().unwrap();
    let can = |version: Option<&str>| {
        reader.can_batch(&RemoteKey { key: "a".to_owned(), version: version.map(str::to_owned) })
    };
    assert!(can(None) && can(Some("AWSCURRENT")) && !can(Some("AWSPREVIOUS")) && !can(Some("uuid/x")));
    let delete = json!({ "SecretId": "/batch/b", "RecoveryWindowInDays": 7 });
    cloud.call("secretsmanager", "secretsmanager.DeleteSecret", delete);
    let answers = read(&store, &["a".to_owned(), "b".to_owned()]).await;
    assert_eq!(answers, [Ok("/batch/a".to_owned()), Err(ProviderErrorKind::NotFound)]);
    let parameters = open(json!({ "service": "ParameterStore" }), &Credentials::of(&cloud)).await.unwrap();
    let numbered = RemoteKey { key: "a".to_owned(), version: Some("1".to_owned()) };
    assert!(!parameters.reader.as_ref().unwrap().can_batch(&numbered));
}

/// A user of moto with a policy of one statement; its keys.
fn user(cloud: &Cloud, actions: &[&str]) -> (String, String) {
    let policy = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] });
    let policy: String = policy.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    cloud.moto.call_form("iam", "Action=CreateUser&UserName=u&Version=2010-05-08").unwrap();
    let keys = cloud.moto.call_form("iam", "Action=CreateAccessKey&UserName=u&Version=2010-05-08").unwrap();
    let form =
        format!("Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}&Version=2010-05-08");
    cloud.moto.call_form("iam", &form).unwrap();
    let field = |name: &str| {
        let (_, rest) = keys.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    (field("AccessKeyId"), field("SecretAccessKey"))
}

/// moto checks rights after the calls that set the stage.
#[tokio::test]
async fn a_login_that_may_read_one_by_one_only_does_that() {
    let cases = CALLS.into_iter().zip(["secretsmanager:GetSecretValue", "ssm:GetParameter"]);
    for ((service, one, many), right) in cases {
        let cloud = Cloud::start(&[("INITIAL_NO_AUTH_ACTION_COUNT", "7")]);
        let names = ["/one/a", "/one/b", "/one/c", "/one/d"].map(str::to_owned);
        names.iter().for_each(|name| fill(&cloud, service, name, name));
        let (id, key) = user(&cloud, &[right]);
        let mut credentials = Credentials::of(&cloud);
        credentials.secrets.insert("id", id);
        credentials.secrets.insert("key", key);
        let store = open(json!({ "service": service }), &credentials).await.unwrap();
        let remote = RemoteKey { key: names[0].clone(), version: None };
        assert!(store.reader.as_ref().unwrap().can_batch(&remote));
        let wanted: Vec<Result<String, ProviderErrorKind>> = names.iter().cloned().map(Ok).collect();
        assert_eq!(read(&store, &names).await, wanted, "{service}");
        let counts = || (cloud.recorder.count(many), cloud.recorder.count(one));
        assert_eq!(counts(), (1, 4), "{service}");
        assert!(!store.reader.as_ref().unwrap().can_batch(&remote), "the controller reads one by one now");
        assert_eq!(read(&store, &names).await, wanted);
        assert_eq!(counts(), (1, 8), "{service}: the denied call is not made again");
        assert_eq!(get(&store, &names[1], None).await, Ok(names[1].clone()));
    }
}

#[tokio::test]
async fn faults_of_a_batch_are_those_of_the_service() {
    let cloud = Cloud::start(&[]);
    let proxy = FaultProxy::http(cloud.moto.address()).unwrap();
    let mut credentials = Credentials::of(&cloud);
    credentials.address = proxy.url();
    for (service, _, many) in CALLS {
        for key in ["/f/a", "/f/b"] {
            fill(&cloud, service, key, key);
        }
        let settings = json!({ "service": service });
        let store = open(settings, &credentials).await.unwrap();
        let names = ["/f/a", "/f/b"].map(str::to_owned);
        let target = many.trim_end();
        let failed = |answers: Vec<Result<String, ProviderErrorKind>>| {
            let first = answers[0].clone().unwrap_err();
            assert!(answers.iter().all(|answer| answer.as_ref() == Err(&first)), "{answers:?}");
            first
        };
        let body = |code: &str| json!({ "__type": code, "message": "CANARY" }).to_string();
        let faults: [(Fault, IsRight); 4] = [
            (Fault::answer(503, &[("Retry-After", "99")], body("ServiceUnavailable")), |kind| {
                matches!(kind, ProviderErrorKind::Unavailable(_) | ProviderErrorKind::Throttled(_))
            }),
            (
                Fault::answer(400, &[("Retry-After", "99")], body("ThrottlingException")),
                |kind| matches!(kind, ProviderErrorKind::Throttled(Some(wait)) if wait.as_secs() == 99),
            ),
            (Fault::answer(400, &[], body("ExpiredTokenException")), |kind| {
                matches!(kind, ProviderErrorKind::Unauthenticated(_))
            }),
            (Fault::oversized(8 << 20), |kind| matches!(kind, ProviderErrorKind::Failed(_))),
        ];
        for (fault, is_right) in faults {
            proxy.set(fault.clone());
            let error = failed(read(&store, &names).await);
            assert!(
                is_right(&error) && !error.to_string().contains("CANARY"),
                "{service} {fault:?}: {error}"
            );
            proxy.clear();
            assert_eq!(read(&store, &names).await, names.clone().map(Ok), "{service}");
        }
        // A few failures at the beginning are repeated.
        proxy.set_for(Turns::First(2), Fault::aws_throttling());
        proxy.reset_calls();
        assert_eq!(read(&store, &names).await, names.clone().map(Ok), "{service}");
        assert_eq!(proxy.count(target), 3, "{service}");
        proxy.clear();
    }
}
