//! What generators make of a login: a login to a container registry, a session.

use std::collections::BTreeMap;

use sealops_crds::generators::{EcrAuthorizationTokenSpec, StsSessionTokenSpec};
use sealops_crds::secret_store::{AwsAuth, AwsProvider};
use sealops_formats::{Plaintext, base64};

use super::api::{Service, fail};
use super::auth;
use super::connect::{Login, api, login};
use super::error;
use crate::json::Json;
use crate::{ConnectContext, ProviderError, ProviderErrorKind};

const PRIVATE: Service = Service {
    name: "ecr",
    host: "api.ecr",
    target: "AmazonEC2ContainerRegistry_V20150921",
    variable: "AWS_ECR_ENDPOINT",
};
const PUBLIC: Service = Service {
    name: "ecr-public",
    host: "api.ecr-public",
    target: "SpencerFrontendService",
    variable: "AWS_ECR_PUBLIC_ENDPOINT",
};

type Values = BTreeMap<String, Plaintext>;

/// Asks for a login to the registries of an account, or to the public one.
///
/// # Errors
/// Returns why there is none, without a part of an answer.
pub async fn registry_login(
    spec: &EcrAuthorizationTokenSpec,
    context: &ConnectContext<'_>,
) -> Result<Values, ProviderError> {
    let asked = async {
        let settings = settings(&spec.region, spec.role.as_ref(), spec.auth.as_ref());
        let is_public = spec.scope.as_deref() == Some("public");
        let service = if is_public { &PUBLIC } else { &PRIVATE };
        let api = api(service, &settings, None, context).await?;
        let answer = api.call("GetAuthorizationToken", &Json::map::<String>([])).await?;
        let data = answer.take("authorizationData").ok_or_else(odd)?;
        match data {
            data if is_public => read_login(&data),
            Json::List(list) if list.len() == 1 => {
                let mut values = read_login(&list[0])?;
                let endpoint = list[0].text_at("proxyEndpoint").ok_or_else(odd)?;
                values.insert("proxy_endpoint".to_owned(), endpoint.duplicate());
                Ok(values)
            }
            Json::List(list) => Err(ProviderErrorKind::Failed(format!(
                "unexpected number of authorization tokens. expected 1, found {}",
                list.len()
            ))),
            _ => Err(odd()),
        }
    };
    asked.await.map_err(fail("get", "authorization token"))
}

/// Asks for a session of the login, with a code of a second factor where there is one.
///
/// # Errors
/// Returns why there is none, without a part of an answer.
pub async fn session(
    spec: &StsSessionTokenSpec,
    context: &ConnectContext<'_>,
) -> Result<Values, ProviderError> {
    let asked = async {
        if spec.auth.as_ref().is_some_and(|auth| auth.jwt.is_some()) {
            let text = "jwt auth cannot be used for STS Session Token generation";
            return Err(ProviderErrorKind::Invalid(text.to_owned()));
        }
        let settings = settings(&spec.region, spec.role.as_ref(), spec.auth.as_ref());
        let Login { config, .. } = login(&settings, context).await?;
        let mut builder = aws_sdk_sts::config::Builder::from(&config);
        let own = context.credentials.address("AWS_STS_ENDPOINT");
        let server = own.clone().unwrap_or_else(|| auth::address("sts", &spec.region));
        context.credentials.reach().server(&server)?;
        builder.set_endpoint_url(own.or_else(|| config.endpoint_url().map(ToOwned::to_owned)));
        let parameters = spec.request_parameters.clone().unwrap_or_default();
        let asked = aws_sdk_sts::Client::from_conf(builder.build())
            .get_session_token()
            .set_duration_seconds(parameters.session_duration)
            .set_serial_number(parameters.serial_number.filter(|text| !text.is_empty()))
            .set_token_code(parameters.token_code.filter(|text| !text.is_empty()))
            .send()
            .await;
        let answer = asked.map_err(|error| error::login(&error))?;
        let session = answer.credentials.ok_or_else(odd)?;
        Ok([
            ("access_key_id", Plaintext::from(session.access_key_id)),
            ("secret_access_key", Plaintext::from(session.secret_access_key)),
            ("session_token", Plaintext::from(session.session_token)),
            ("expiration", Plaintext::from(session.expiration.secs().to_string())),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into())
    };
    asked.await.map_err(fail("get", "authorization token"))
}

fn settings(region: &str, role: Option<&String>, auth: Option<&AwsAuth>) -> AwsProvider {
    AwsProvider {
        region: region.to_owned(),
        role: role.cloned(),
        auth: auth.cloned(),
        ..AwsProvider::default()
    }
}

fn odd() -> ProviderErrorKind {
    ProviderErrorKind::Failed("the answer makes no sense".to_owned())
}

/// A token is `USER:PASSWORD` in base64; times are seconds, such as `1.448878779809E9`.
fn read_login(data: &Json) -> Result<Values, ProviderErrorKind> {
    let token = data.text_at("authorizationToken").ok_or_else(odd)?;
    let token = base64::decode(token.expose()).map_err(|_| odd())?;
    let parts: Vec<&str> = token.expose_str().ok_or_else(odd)?.split(':').collect();
    let [username, password] = parts[..] else {
        return Err(ProviderErrorKind::Failed("unexpected token format".to_owned()));
    };
    let Some(Json::Number(expires)) = data.get("expiresAt") else { return Err(odd()) };
    let expires: f64 = expires.expose_str().and_then(|text| text.parse().ok()).ok_or_else(odd)?;
    Ok([("username", username), ("password", password), ("expires_at", &format!("{:.0}", expires.trunc()))]
        .map(|(key, value)| (key.to_owned(), Plaintext::from(value)))
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_taken_apart() {
        let read = |text: &str| read_login(&Json::parse(&text.into()).unwrap());
        for time in ["1700000000", "1700000000.5", "1.7000000009E9"] {
            let values = read(&format!(r#"{{"authorizationToken":"QVdTOnB3","expiresAt":{time}}}"#)).unwrap();
            let texts: Vec<_> =
                values.iter().map(|(key, value)| (key.as_str(), value.expose_str().unwrap())).collect();
            assert_eq!(texts, [("expires_at", "1700000000"), ("password", "pw"), ("username", "AWS")]);
        }
        // hunter2; AWS:hunter2:x
        for token in ["aHVudGVyMg==", "QVdTOmh1bnRlcjI6eA==", "hunter2!"] {
            let error = read(&format!(r#"{{"authorizationToken":"{token}","expiresAt":1}}"#)).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
