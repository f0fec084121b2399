//! Services that are one JSON POST: Secrets Manager, Parameter Store. Bodies stay in wiped memory.

use std::time::{Duration, SystemTime};

use ::http::{HeaderName, HeaderValue, Method};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use sealops_formats::Plaintext;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{auth, error};
use crate::http::{HttpClient, Request};
use crate::json::Json;
use crate::retry::{self, Policy, retry_after};
use crate::{ProviderError, ProviderErrorKind, Validation};

/// Longest time for one request and its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for all attempts of one call.
const DEADLINE: Duration = Duration::from_secs(60);
/// Largest answer: twenty secrets of 64 KiB in base64, and what stands around them.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Credentials that end sooner than this are asked for anew.
const MARGIN: Duration = Duration::from_secs(300);

/// Makes the error of an operation.
pub(super) fn fail(operation: &'static str, target: &str) -> impl FnOnce(ProviderErrorKind) -> ProviderError {
    let target = target.to_owned();
    move |kind| ProviderError { backend: "aws".to_owned(), operation, target, kind }
}

/// A service of AWS.
#[derive(Debug)]
pub(super) struct Service {
    /// Its name in signatures.
    pub(super) name: &'static str,
    /// Its name in hosts.
    pub(super) host: &'static str,
    /// What stands before the actions' names.
    pub(super) target: &'static str,
    /// The variable with another address, as External Secrets names it.
    pub(super) variable: &'static str,
}

/// What is known of the login.
#[derive(Default)]
struct Known {
    credentials: Option<Credentials>,
    /// When and why there were none last.
    failed: Option<(Instant, ProviderErrorKind)>,
}

/// Calls a service in one region with one login.
pub(super) struct Api {
    service: &'static Service,
    http: HttpClient,
    region: String,
    address: String,
    login: SharedCredentialsProvider,
    known: Mutex<Known>,
    attempts: u32,
}

impl Api {
    /// Takes everything that a call needs. `address` replaces the region's.
    pub(super) fn new(
        service: &'static Service,
        http: HttpClient,
        region: &str,
        address: Option<String>,
        login: SharedCredentialsProvider,
        attempts: u32,
    ) -> Self {
        let address = address.unwrap_or_else(|| auth::address(service.host, region));
        let region = region.to_owned();
        Self { service, http, region, address, login, known: Mutex::default(), attempts }
    }

    /// Returns the credentials: one login for all who wait, until they run out; one failure for all who wait as well.
    pub(super) async fn credentials(&self) -> Result<Credentials, ProviderErrorKind> {
        let arrived = Instant::now();
        let mut known = self.known.lock().await;
        let lasts = |credentials: &Credentials| {
            credentials.expiry().is_none_or(|end| end > SystemTime::now() + MARGIN)
        };
        if let Some(credentials) = known.credentials.as_ref().filter(|credentials| lasts(credentials)) {
            return Ok(credentials.clone());
        }
        if let Some((_, error)) = known.failed.as_ref().filter(|(ended, _)| *ended > arrived) {
            return Err(error.clone());
        }
        let asked = timeout(auth::LOGIN_TIMEOUT, self.login.provide_credentials()).await;
        let credentials = match asked {
            Ok(credentials) => credentials.map_err(|error| error::of_credentials(&error)),
            Err(_) => Err(ProviderErrorKind::Unavailable("no AWS credentials came in time".to_owned())),
        };
        known.failed = credentials.as_ref().err().map(|error| (Instant::now(), error.clone()));
        known.credentials = credentials.as_ref().ok().cloned();
        credentials
    }

    /// Checks the login, unless it is each user's own.
    pub(super) async fn check(&self, can_check: bool) -> Result<Validation, ProviderErrorKind> {
        if !can_check {
            return Ok(Validation::Unknown);
        }
        self.credentials().await.map(|_| Validation::Ready)
    }

    /// Calls an action.
    ///
    /// # Errors
    /// Returns what AWS's error code means. Messages are not told.
    pub(super) async fn call(&self, action: &str, input: &Json) -> Result<Json, ProviderErrorKind> {
        let body = input.to_text();
        // Before the attempts: the login has its own, and a service without credentials is not asked again and again.
        let credentials = self.credentials().await?;
        let policy = Policy { attempts: self.attempts, deadline: DEADLINE, ..Policy::default() };
        retry::call(policy, || self.call_once(action, &body, credentials.clone())).await
    }

    async fn call_once(
        &self,
        action: &str,
        body: &Plaintext,
        credentials: Credentials,
    ) -> Result<Json, ProviderErrorKind> {
        let request = self.signed(action, body, credentials)?;
        let answer = self.http.send(request).await?;
        if answer.status == 200 {
            return Json::parse(&answer.body)
                .ok_or_else(|| ProviderErrorKind::Failed("the answer is no JSON".to_owned()));
        }
        let said = Json::parse(&answer.body);
        let code = said.as_ref().and_then(|said| said.str_at("__type")).or_else(|| xml_code(&answer.body));
        let message =
            said.as_ref().and_then(|said| said.str_at("message").or_else(|| said.str_at("Message")));
        // AWS has no code of its own for this; moto has other words.
        if message.is_some_and(|text| text.contains("marked for deletion") || text.contains("marked deleted"))
        {
            return Err(ProviderErrorKind::NotFound);
        }
        Err(error::by_code(code, answer.status, retry_after(&answer.headers)))
    }

    fn signed(
        &self,
        action: &str,
        body: &Plaintext,
        credentials: Credentials,
    ) -> Result<Request, ProviderErrorKind> {
        let failed = || ProviderErrorKind::Invalid(format!("{:?} cannot be asked", self.address));
        let target = format!("{}.{action}", self.service.target);
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| failed())?
            .into();
        let body_to_sign = SignableBody::Bytes(body.expose());
        let signable = SignableRequest::new("POST", &self.address, headers.into_iter(), body_to_sign)
            .map_err(|_| failed())?;
        let (instructions, _) = sign(signable, &parameters).map_err(|_| failed())?.into_parts();
        let mut request = Request::new(Method::POST, &self.address);
        request.timeout = REQUEST_TIMEOUT;
        request.max_bytes = MAX_ANSWER_BYTES;
        request.body = body.duplicate();
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| failed())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| failed())?;
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
        Ok(request)
    }
}

/// Some answers are XML, whatever was asked: gateways, and stand-ins for AWS.
fn xml_code(body: &Plaintext) -> Option<&str> {
    let (_, rest) = body.expose_str()?.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}
