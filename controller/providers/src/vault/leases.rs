//! What a dynamic secret leaves behind at Vault, and taking it back.
//!
//! ```text
//!   log in ─► intend (accessor of the login) ─► ask ─► lease ─┬─► recorded by the caller
//!                                                └ none: the login is given back
//! ```
//!
//! A lease hangs on the token that asked for it. So the accessor of that token is recorded before anything is asked for:
//! whatever is lost afterwards (an answer, this process), revoking the token by its accessor takes all leases back. A
//! token that stands somewhere is somebody else's and not recorded; then the lease is known only once it is there.

use sealops_crds::secret_store::{RetrySettings, VaultProvider};
use serde::{Deserialize, Serialize};

use super::client::Call;
use super::connect::session;
use super::kv::fail;
use super::{Json, Session};
use crate::{BoxFuture, ConnectContext, ProviderError, ProviderErrorKind};

/// What there is to take back. Identifiers only: none of them opens anything by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lease {
    /// Id of the lease.
    #[serde(rename = "leaseID", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Accessor of the token that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_accessor: Option<String>,
    /// Accessor of the token on which they hang, where it is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_accessor: Option<String>,
    /// Seconds until it ends by itself; unset where that is not known.
    #[serde(skip)]
    pub seconds: Option<i64>,
}

impl Lease {
    /// Returns whether there is anything that outlives the call.
    fn is_some(&self) -> bool {
        self.id.is_some() || self.token_accessor.is_some()
    }

    /// Reads an answer.
    pub(super) fn read(answer: &Json) -> Self {
        let text =
            |json: &Json, key: &str| json.str_at(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let seconds = |json: &Json| json.integer_at("lease_duration").filter(|seconds| *seconds > 0);
        let auth = answer.get("auth");
        Self {
            id: text(answer, "lease_id"),
            token_accessor: auth.and_then(|auth| text(auth, "accessor")),
            login_accessor: None,
            seconds: auth.and_then(seconds).or_else(|| seconds(answer)),
        }
    }
}

/// Told what there may be to take back, before there is.
pub trait Intent: Send + Sync {
    /// Records it. Nothing is asked for unless this succeeds.
    fn intend<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), String>>;
    /// Says that nothing is left of what was announced.
    fn withdraw(&self) -> BoxFuture<'_, ()>;
}

/// Says to an intent what a session may leave behind.
pub(super) async fn announce(
    session: &Session,
    intent: &dyn Intent,
) -> Result<Option<Lease>, ProviderErrorKind> {
    let Some((accessor, seconds)) = session.accessor().await else { return Ok(None) };
    let lease = Lease { login_accessor: Some(accessor), seconds, ..Lease::default() };
    let recorded = intent.intend(&lease).await;
    recorded.map_err(|problem| {
        ProviderErrorKind::Failed(format!("what it leaves behind cannot be recorded: {problem}"))
    })?;
    Ok(Some(lease))
}

/// Puts what an answer says beside what was announced; `None` where nothing outlives the call.
pub(super) fn left(made: Lease, announced: Option<Lease>) -> Option<Lease> {
    let login_accessor = announced.and_then(|lease| lease.login_accessor);
    made.is_some().then_some(Lease { login_accessor, ..made })
}

/// Takes back what a generator left. What ended already is taken back.
///
/// # Errors
/// Returns what is wrong with the settings or the login, and that Vault does not allow it.
pub async fn revoke(
    settings: &VaultProvider,
    retries: Option<&RetrySettings>,
    lease: &Lease,
    context: &ConnectContext<'_>,
) -> Result<(), ProviderError> {
    let revoked = async {
        let session = session(settings, retries, context).await?;
        let mut result = Ok(());
        // The token first: everything hangs on it.
        for accessor in [&lease.login_accessor, &lease.token_accessor].into_iter().flatten() {
            result = by_accessor(&session, accessor).await;
            if result.is_ok() && Some(accessor) == lease.login_accessor.as_ref() {
                return Ok(());
            }
        }
        match &lease.id {
            Some(id) => {
                let body = Json::map([("lease_id", Json::text(id.as_str())), ("sync", Json::Bool(true))]);
                session.call(&Call::put("sys/leases/revoke", body)).await.map(drop)
            }
            None => result,
        }
    };
    revoked.await.map_err(|kind| fail("revoke what was made from", &settings.server, kind))
}

async fn by_accessor(session: &Session, accessor: &str) -> Result<(), ProviderErrorKind> {
    let body = Json::map([("accessor", Json::text(accessor))]);
    match session.call(&Call::put("auth/token/revoke-accessor", body)).await {
        Ok(_) | Err(ProviderErrorKind::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_it_leaves() {
        let read = |text: &str| Lease::read(&Json::parse(&text.into()).unwrap());
        let lease =
            read(r#"{"lease_id": "a/creds/x/1", "lease_duration": 60, "data": {"k": "v"}, "auth": null}"#);
        assert_eq!((lease.id.as_deref(), lease.seconds), (Some("a/creds/x/1"), Some(60)));
        let token = read(
            r#"{"lease_id": "", "lease_duration": 0, "auth": {"client_token": "t", "accessor": "acc", "lease_duration": 30}}"#,
        );
        assert_eq!(
            (token.id.as_deref(), token.token_accessor.as_deref(), token.seconds),
            (None, Some("acc"), Some(30))
        );
        let login = Lease { login_accessor: Some("l".into()), ..Lease::default() };
        assert_eq!(left(lease, Some(login.clone())).unwrap().login_accessor.as_deref(), Some("l"));
        assert_eq!(left(read(r#"{"lease_id": "", "data": {"k": "v"}}"#), Some(login)), None);
    }

    #[test]
    fn a_lease_is_stored_without_its_time() {
        let lease = Lease { id: Some("x".into()), seconds: Some(1), ..Lease::default() };
        let stored = serde_json::to_value(&lease).unwrap();
        assert_eq!(stored, serde_json::json!({ "leaseID": "x" }));
        assert_eq!(serde_json::from_value::<Lease>(serde_json::json!({})).unwrap(), Lease::default());
    }
}
