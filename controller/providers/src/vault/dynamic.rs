//! Secrets that Vault makes: the call of the generator `VaultDynamicSecret`.

use std::collections::BTreeMap;

use sealops_crds::secret_store::{RetrySettings, VaultProvider};
use sealops_formats::Plaintext;
use serde_json::Value;

use super::client::{Call, Verb};
use super::connect::session;
use super::kv::fail;
use super::leases::{Intent, Lease, announce, left};
use super::{Json, Session};
use crate::{ConnectContext, ProviderError, ProviderErrorKind};

/// What a generator asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamicRequest {
    /// Path below `/v1/`.
    pub path: String,
    /// `GET` (empty is that), `LIST`, `DELETE`; every other word writes.
    pub method: String,
    /// Body of a write.
    pub parameters: Option<Value>,
    /// Query of a read: names and values.
    pub query: BTreeMap<String, Vec<String>>,
    /// Which part of the answer is the result.
    pub result: DynamicResult,
    /// Whether an answer without a body is a result without entries.
    pub allow_empty: bool,
}

/// Which part of an answer is the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DynamicResult {
    /// `data`.
    #[default]
    Data,
    /// `auth`, of logins and new tokens.
    Auth,
    /// The whole answer.
    Raw,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Dynamic {
    /// The result.
    pub values: BTreeMap<String, Plaintext>,
    /// What there is to take back.
    pub lease: Option<Lease>,
}

/// Asks Vault for a secret. It is made anew at each call, so this is an effect and not a read; `intent` hears of it
/// first.
///
/// The token of its login is not revoked as long as there is a lease, which would go with it.
///
/// # Errors
/// Returns what is wrong with the settings, the login or the answer.
pub async fn generate(
    settings: &VaultProvider,
    retries: Option<&RetrySettings>,
    request: &DynamicRequest,
    context: &ConnectContext<'_>,
    intent: &dyn Intent,
) -> Result<Dynamic, ProviderError> {
    let generated = async {
        let session = session(settings, retries, context).await?;
        let announced = announce(&session, intent).await?;
        let is_own = announced.is_some();
        let asked = ask(&session, request).await;
        let made = asked.map(|(values, made)| Dynamic { values, lease: left(made, announced) });
        if matches!(&made, Ok(Dynamic { lease: Some(_), .. })) {
            session.keep_token().await;
        } else if session.close().await.is_ok() && is_own {
            // The token took along whatever an answer that was lost might have made.
            intent.withdraw().await;
        }
        made
    };
    generated.await.map_err(|kind| fail("generate from", &request.path, kind))
}

async fn ask(
    session: &Session,
    request: &DynamicRequest,
) -> Result<(BTreeMap<String, Plaintext>, Lease), ProviderErrorKind> {
    let mut call = match request.method.as_str() {
        "" | "GET" => Call::get(&request.path),
        "LIST" => Call::new(Verb::List, &request.path),
        "DELETE" => Call::new(Verb::Delete, &request.path),
        _ => {
            let body = request.parameters.as_ref().map_or_else(|| Json::map::<&str>([]), Json::public);
            Call::put(&request.path, body)
        }
    };
    if call.verb == Verb::Get {
        call.query.extend(
            request
                .query
                .iter()
                .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_str()))),
        );
    }
    let answer = match session.call(&call).await {
        Ok(answer) => answer,
        Err(ProviderErrorKind::NotFound) => None,
        Err(error) => return Err(error),
    };
    let Some(answer) = answer else {
        let text = "unable to get dynamic secret: empty response from Vault";
        return if request.allow_empty {
            Ok((BTreeMap::new(), Lease::default()))
        } else {
            Err(ProviderErrorKind::Failed(text.to_owned()))
        };
    };
    let lease = Lease::read(&answer);
    let part = match request.result {
        DynamicResult::Data => answer.take("data"),
        DynamicResult::Auth => answer.take("auth"),
        DynamicResult::Raw => Some(answer),
    };
    let values = match part {
        Some(Json::Map(entries)) => {
            entries.into_iter().map(|(name, value)| (name, value.into_bytes())).collect()
        }
        _ => BTreeMap::new(),
    };
    Ok((values, lease))
}
