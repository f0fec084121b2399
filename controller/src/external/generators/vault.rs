//! The generator VaultDynamicSecret, and what it leaves behind.
//!
//! Upstream records nothing of it and takes nothing back. Here each lease is a GeneratorState: with the accessor of the
//! login before anything is asked for, with the lease before its values are used.

use jiff::Timestamp;
use sealops_crds::generators::{API_VERSION, VaultDynamicSecretSpec, VaultResultType};
use sealops_providers::vault::{Dynamic, DynamicRequest, DynamicResult, Intent, Lease};
use sealops_providers::{BoxFuture, ConnectContext, StoreIdentity};
use serde_json::{Value, json};
use std::sync::Mutex;

use super::{Found, Generated, GeneratorProblem, Run, settings, words};
use crate::external::credentials::Credentials;
use crate::external::ledger::{Left, Usage};

/// The field of a state that says when it ends by itself.
pub(super) const EXPIRES: &str = "expires";

/// Records what a session may leave behind, where there is a ledger.
struct Announced<'a> {
    usage: Usage<'a>,
    resource: &'a Value,
    entry: Mutex<Option<String>>,
}

impl Announced<'_> {
    fn left(&self, lease: &Lease) -> Left {
        let mut state = serde_json::to_value(lease).unwrap_or_default();
        let end = lease.seconds.and_then(|seconds| self.usage.now.checked_add(seconds));
        if let Some(end) = end.and_then(|end| Timestamp::from_second(end).ok()) {
            state[EXPIRES] = json!(end.to_string());
        }
        Left { part: self.usage.part.to_owned(), resource: self.resource.clone(), state }
    }

    fn entry(&self) -> Option<String> {
        self.entry.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl Intent for Announced<'_> {
    fn intend<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let Some(ledger) = self.usage.ledger else { return Ok(()) };
            let entry = ledger.intend(&self.left(lease)).await?;
            *self.entry.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(entry);
            Ok(())
        })
    }

    fn withdraw(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let (Some(ledger), Some(entry)) = (self.usage.ledger, self.entry()) {
                ledger.nothing(entry).await;
            }
        })
    }
}

pub(super) fn identity(namespace: &str) -> StoreIdentity {
    StoreIdentity {
        namespace: Some(namespace.to_owned()),
        name: "generator".to_owned(),
        user_namespace: namespace.to_owned(),
    }
}

impl Run<'_> {
    /// Asks an engine of Vault, as a store of the namespace would.
    pub(super) async fn vault(&self, found: &Found) -> Result<Generated, GeneratorProblem> {
        let spec: VaultDynamicSecretSpec = settings(found)?;
        let result = match spec.result_type {
            None | Some(VaultResultType::Data) => DynamicResult::Data,
            Some(VaultResultType::Auth) => DynamicResult::Auth,
            Some(VaultResultType::Raw) => DynamicResult::Raw,
            Some(VaultResultType::Other(word)) => {
                return Err(GeneratorProblem::Use(format!("spec.resultType: {word:?} is not known")));
            }
        };
        let request = DynamicRequest {
            path: spec.path,
            method: spec.method.unwrap_or_default(),
            parameters: spec.parameters,
            query: spec.get_parameters.unwrap_or_default(),
            result,
            allow_empty: spec.allow_empty_response.unwrap_or(false),
        };
        let resource = json!({ "apiVersion": API_VERSION, "kind": found.kind,
            "metadata": { "name": self.usage.reference.name, "namespace": self.usage.namespace },
            "spec": found.spec });
        let announced = Announced { usage: self.usage, resource: &resource, entry: Mutex::default() };
        let store = identity(self.usage.namespace);
        let credentials = Credentials::new(&store, self.usage.cluster, self.environment);
        let context =
            ConnectContext { store: &store, credentials: &credentials, network: self.environment.network };
        let made = sealops_providers::vault::generate(
            &spec.provider,
            spec.retry_settings.as_ref(),
            &request,
            &context,
            &announced,
        );
        // After an error, an intention that could not be withdrawn stays: what it may have made is taken back later.
        let Dynamic { values, lease } = made.await.map_err(|error| GeneratorProblem::Use(words(&error)))?;
        let Some(ledger) = self.usage.ledger else { return Ok(Generated::from(values)) };
        let Some(lease) = lease else { return Ok(Generated::from(values)) };
        let left = announced.left(&lease);
        if let Err(problem) = ledger.made(announced.entry(), &left).await {
            // What cannot be recorded is not used, and taken back at once.
            let _ = sealops_providers::vault::revoke(
                &spec.provider,
                spec.retry_settings.as_ref(),
                &lease,
                &context,
            )
            .await;
            return Err(GeneratorProblem::Use(format!("what it made cannot be recorded: {problem}")));
        }
        Ok(Generated { values, state: Some(left.state) })
    }
}
