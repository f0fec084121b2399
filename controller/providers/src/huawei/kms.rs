//! Keys of SOPS in Huawei Cloud KMS: symmetric ones, what is encrypted is the part in base64.

use std::time::Duration;

use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::{Plaintext, base64};

use super::login::{Login, Session};
use super::signing::Target;
use super::{api, credentials, machine, regions};
use crate::ProviderErrorKind;
use crate::http::HttpClient;
use crate::json::Json;
use crate::key_service::KeyBackend;
use crate::local::Environment;

/// Longest time for an operation with its login and all attempts.
const DEADLINE: Duration = Duration::from_secs(50);
/// Time for all attempts of one request.
const CALL_DEADLINE: Duration = Duration::from_secs(45);
/// What SOPS encrypts with.
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

/// Wraps and unwraps by keys of Huawei Cloud KMS, of any region, with one login.
pub struct Kms {
    http: HttpClient,
    environment: Environment,
    login: Login,
}

/// A key, as KMS wants it.
struct Key<'a> {
    region: &'a str,
    id: &'a str,
}

impl<'a> Key<'a> {
    fn new(key: &'a MasterKey) -> Result<Self, ProviderErrorKind> {
        let MasterKey::HuaweiKms { key_id } = key else {
            return Err(ProviderErrorKind::Unsupported("a key that is none of Huawei Cloud KMS"));
        };
        let (region, id) = key_id.trim().split_once(':').unwrap_or_default();
        Ok(Self { region: region.trim(), id: id.trim() })
    }
}

impl Kms {
    /// Takes the client, one that knows no proxy for the metadata of the machine, and the environment, which is looked at
    /// when the first key is wanted.
    pub fn new(http: HttpClient, direct: HttpClient, environment: Environment) -> Self {
        let login = Login::new(http.clone(), direct, environment.clone());
        Self { http, environment, login }
    }

    /// Asks the key to do something to a field of the body, and returns the field of the answer.
    async fn ask(
        &self,
        key: &MasterKey,
        verb: &str,
        sent: (&str, Plaintext),
        wanted: &str,
    ) -> Result<Plaintext, ProviderErrorKind> {
        let key = Key::new(key)?;
        let endpoint = regions::kms(&self.environment, key.region)?;
        let late = || ProviderErrorKind::Unavailable(format!("{endpoint} did not answer in time"));
        let (name, content) = sent;
        let body = Json::map([
            ("encryption_algorithm", Json::text(ALGORITHM)),
            ("key_id", Json::text(key.id)),
            (name, Json::Text(content)),
        ])
        .to_text();
        let exchange = self.exchange(&key, &endpoint, verb, &body);
        let answer = tokio::time::timeout(DEADLINE, exchange).await.map_err(|_| late())??;
        if answer.str_at("key_id").is_some_and(|used| !used.eq_ignore_ascii_case(key.id)) {
            return Err(ProviderErrorKind::Failed("KMS answered for another key".to_owned()));
        }
        let got = answer.text_at(wanted).filter(|got| !got.is_empty()).map(Plaintext::duplicate);
        got.ok_or_else(|| ProviderErrorKind::Failed(format!("KMS answered without a {wanted}")))
    }

    /// Sends a request. Keys that end and were refused are replaced once.
    async fn exchange(
        &self,
        key: &Key<'_>,
        endpoint: &str,
        verb: &str,
        body: &Plaintext,
    ) -> Result<Json, ProviderErrorKind> {
        let session = self.login.session(None).await?;
        match self.send(&session, key, endpoint, verb, body).await {
            Err(ProviderErrorKind::Unauthenticated(_)) if session.renews() => {
                let session = self.login.session(Some(&session)).await?;
                self.send(&session, key, endpoint, verb, body).await
            }
            result => result,
        }
    }

    async fn send(
        &self,
        session: &Session,
        key: &Key<'_>,
        endpoint: &str,
        verb: &str,
        body: &Plaintext,
    ) -> Result<Json, ProviderErrorKind> {
        let project = self.login.project(session, key.region).await?;
        let target = Target {
            endpoint: endpoint.to_owned(),
            path: format!("/v1.0/{project}/kms/{verb}"),
            query: String::new(),
        };
        api::call(&self.http, &session.keys, Some(&project), &target, Some(body), CALL_DEADLINE).await
    }
}

impl KeyBackend for Kms {
    const NAME: &'static str = "Huawei Cloud KMS";

    async fn wrap_part(&self, key: &MasterKey, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        let part = base64::encode(part.plaintext().expose());
        let wrapped = self.ask(key, "encrypt-data", ("plain_text", part), "cipher_text").await?;
        let text =
            wrapped.expose_str().filter(|text| !text.contains(char::is_control)).map(ToOwned::to_owned);
        text.ok_or_else(|| {
            ProviderErrorKind::Failed("KMS answered with a cipher_text that is none".to_owned())
        })
    }

    async fn unwrap_part(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        let wrapped = Plaintext::from(wrapped);
        let part = self.ask(key, "decrypt-data", ("cipher_text", wrapped), "plain_text").await?;
        let part = base64::decode(part.expose()).ok().filter(|part| !part.is_empty());
        part.map(KeyPart::new)
            .ok_or_else(|| ProviderErrorKind::Failed("what KMS decrypted is no base64".to_owned()))
    }
}

/// Returns whom a key (`REGION:ID`) contacts: KMS, IAM where the project has to be asked for, and where the login goes.
/// Files are read, nobody is asked.
pub fn contacts(environment: &Environment, key_id: &str) -> Vec<String> {
    let region = key_id.split(':').next().unwrap_or_default().trim();
    let mut contacts = vec![regions::kms(environment, region).unwrap_or_else(|error| error.to_string())];
    match credentials::find(environment) {
        Ok(found) => {
            if found.project.is_none() {
                let iam = regions::iam(environment, region, found.iam.as_deref());
                let iam = iam.unwrap_or_else(|error| error.to_string());
                contacts.push(format!("{iam} for the project"));
            }
            if matches!(found.source, credentials::Source::Machine(_)) {
                contacts.push(format!("{} for the login", machine::METADATA));
                let pod = environment.set_variable("HC_CONTAINER_CREDENTIALS_FULL_URI");
                contacts.extend(pod.map(|uri| format!("{} for the login", uri.to_string_lossy())));
            }
        }
        Err(error) => contacts.push(error.to_string()),
    }
    contacts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_region_and_an_id() {
        for (text, region, id) in
            [(" eu-west-101 : a:b ", "eu-west-101", "a:b"), ("x:y", "x", "y"), ("nothing", "", "")]
        {
            let key = MasterKey::HuaweiKms { key_id: text.to_owned() };
            let key = Key::new(&key).unwrap();
            assert_eq!((key.region, key.id), (region, id));
        }
        assert!(Key::new(&MasterKey::Age { recipient: String::new() }).is_err());
    }

    #[test]
    fn contacts_are_told_without_asking() {
        let keys = [("HUAWEICLOUD_SDK_AK", "CANARY"), ("HUAWEICLOUD_SDK_SK", "CANARY")];
        let of = |variables: &[(&str, &str)]| {
            contacts(&Environment::new(variables.iter().copied()), "tr-west-1:k")
        };
        let kms = "https://kms.tr-west-1.myhuaweicloud.com";
        let iam = "https://iam.tr-west-1.myhuaweicloud.com for the project";
        assert_eq!(of(&keys), [kms, iam]);
        assert_eq!(of(&[keys[0], keys[1], ("HUAWEICLOUD_SDK_PROJECT_ID", "p")]), [kms]);
        assert_eq!(of(&[]), [kms, iam, "http://169.254.169.254 for the login"]);
    }
}
