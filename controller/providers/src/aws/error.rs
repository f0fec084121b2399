//! What AWS's errors mean here. Codes are told, messages are not.

use std::error::Error;
use std::time::Duration;

use aws_config::profile::credentials::ProfileFileError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ProviderErrorKind;

/// Longest error code that is quoted; AWS's longest has some fifty letters.
const MAX_CODE_BYTES: usize = 80;

/// Returns what a call's error means.
pub(super) fn kind<E>(error: &SdkError<E, HttpResponse>) -> ProviderErrorKind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(context) => {
            let (status, after) = raw(context.raw());
            by_code(context.err().code(), status, after)
        }
        SdkError::ResponseError(context) => {
            let (status, after) = raw(context.raw());
            if (200..300).contains(&status) {
                return chain(error)
                    .unwrap_or_else(|| ProviderErrorKind::Failed("the answer makes no sense".to_owned()));
            }
            by_code(None, status, after)
        }
        SdkError::TimeoutError(_) => ProviderErrorKind::Unavailable("no answer in time".to_owned()),
        _ => chain(error)
            .unwrap_or_else(|| ProviderErrorKind::Unavailable("the request was not sent".to_owned())),
    }
}

fn raw(response: &HttpResponse) -> (u16, Option<Duration>) {
    let after = response.headers().get("retry-after").and_then(|text| text.trim().parse().ok());
    (response.status().as_u16(), after.map(Duration::from_secs))
}

/// Looks for a cause that says more: ours, or that of a login.
fn chain(error: &(dyn Error + 'static)) -> Option<ProviderErrorKind> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(kind) = cause.downcast_ref::<ProviderErrorKind>() {
            return Some(kind.clone());
        }
        if let Some(error) = cause.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            return Some(login(error));
        }
        if let Some(error) = cause.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>() {
            return Some(login(error));
        }
        if let Some(error) = cause.downcast_ref::<AssumeRoleError>() {
            return Some(ProviderErrorKind::Unauthenticated(by_code(error.code(), 400, None).to_string()));
        }
        if let Some(error) = cause.downcast_ref::<AssumeRoleWithWebIdentityError>() {
            return Some(ProviderErrorKind::Unauthenticated(by_code(error.code(), 400, None).to_string()));
        }
        if let Some(ProfileFileError::MissingProfile { profile, .. }) = cause.downcast_ref() {
            let text = format!("there is no AWS profile {profile:?} with credentials");
            return Some(ProviderErrorKind::Unauthenticated(text));
        }
        if let Some(error) = cause.downcast_ref::<CredentialsError>() {
            found = found.or_else(|| Some(credentials(error)));
        }
        next = cause.source();
    }
    found
}

/// Returns why a role was not given: a refusal of STS is a refused login, whatever its code.
pub(super) fn login<E>(error: &SdkError<E, HttpResponse>) -> ProviderErrorKind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match kind(error) {
        ProviderErrorKind::Denied(text) | ProviderErrorKind::Failed(text) => {
            ProviderErrorKind::Unauthenticated(format!("STS gives no session for the role: {text}"))
        }
        other => other,
    }
}

/// Returns why there are no credentials.
pub(super) fn of_credentials(error: &CredentialsError) -> ProviderErrorKind {
    chain(error).unwrap_or_else(|| credentials(error))
}

fn credentials(error: &CredentialsError) -> ProviderErrorKind {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => ProviderErrorKind::Unauthenticated(
            "there are no AWS credentials in the environment, in a profile, as web identity, or of this container or \
             machine"
                .to_owned(),
        ),
        CredentialsError::ProviderTimedOut(_) => {
            ProviderErrorKind::Unavailable("no AWS credentials came in time".to_owned())
        }
        CredentialsError::InvalidConfiguration(_) => ProviderErrorKind::Unauthenticated(
            "the AWS configuration cannot be used: its profile, role or token file is wrong".to_owned(),
        ),
        _ => ProviderErrorKind::Unauthenticated("AWS gives no credentials".to_owned()),
    }
}

/// Returns what a code and a status mean.
pub(super) fn by_code(code: Option<&str>, status: u16, after: Option<Duration>) -> ProviderErrorKind {
    use ProviderErrorKind as Kind;
    let code = code.map(|code| code.rsplit('#').next().unwrap_or(code)).filter(|code| is_code(code));
    let text = code.map_or_else(|| format!("HTTP {status}"), ToOwned::to_owned);
    match code.unwrap_or_default() {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "PriorRequestNotComplete" => Kind::Throttled(after),
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => Kind::NotFound,
        "AccessDeniedException" | "AccessDenied" | "OptInRequired" => Kind::Denied(text),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidIdentityToken"
        | "NotAuthorized" => Kind::Unauthenticated(text),
        "InternalFailure"
        | "InternalServerError"
        | "InternalServiceError"
        | "KMSInternalException"
        | "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "InternalServiceErrorException"
        | "RequestTimeout" => Kind::Unavailable(text),
        _ => match status {
            429 => Kind::Throttled(after),
            401 => Kind::Unauthenticated(text),
            403 => Kind::Denied(text),
            500.. => match after {
                Some(after) => Kind::Throttled(Some(after)),
                None => Kind::Unavailable(text),
            },
            _ => Kind::Failed(text),
        },
    }
}

/// Codes are names; anything else is not quoted.
fn is_code(code: &str) -> bool {
    (1..=MAX_CODE_BYTES).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retry;

    #[test]
    fn codes_and_statuses_say_whether_trying_again_helps() {
        let after = Some(Duration::from_secs(3));
        for (code, status, retry) in [
            (Some("ThrottlingException"), 400, Retry::After(Duration::from_secs(3))),
            (Some("com.amazon.coral.service#ThrottlingException"), 400, Retry::After(Duration::from_secs(3))),
            (None, 429, Retry::After(Duration::from_secs(3))),
            (None, 503, Retry::After(Duration::from_secs(3))),
            (Some("KMSInternalException"), 500, Retry::Backoff),
            (Some("AccessDeniedException"), 400, Retry::Never),
            (Some("InvalidCiphertextException"), 400, Retry::Never),
            (Some("ExpiredTokenException"), 400, Retry::Never),
        ] {
            assert_eq!(by_code(code, status, after).retry(), retry, "{code:?} {status}");
        }
        assert_eq!(by_code(None, 500, None).retry(), Retry::Backoff);
    }

    #[test]
    fn what_is_no_code_is_not_quoted() {
        for code in ["secret text", "", "a\nb", &"x".repeat(81)] {
            assert_eq!(by_code(Some(code), 400, None), ProviderErrorKind::Failed("HTTP 400".to_owned()));
        }
    }
}
