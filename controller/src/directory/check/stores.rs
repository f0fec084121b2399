//! Stores: do they answer.

use sealops_crds::{ClusterSecretStore, SecretStore};
use sealops_providers::{ProviderError, ProviderErrorKind, Validation};

use super::{Finding, Run};
use crate::directory::load::Manifest;
use crate::external::{Failure, StoreKey, StoreObject, StoreRules, Stores, is_ours};

/// What is known of a store of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It can be asked.
    Answers,
    /// It cannot be used, which is a finding of its own.
    Broken,
    /// It was not asked, by choice.
    NotAsked,
}

type Outcome = (Option<StoreKey>, State, Vec<Finding>);

pub(super) async fn check(manifest: &Manifest, run: &Run<'_>) -> Outcome {
    let store = match read(manifest, run) {
        Ok(store) => store,
        Err(message) => {
            return (None, State::Broken, vec![Finding::problem(manifest, "invalid", message)]);
        }
    };
    let key = Some(store.key.clone());
    let rules: &StoreRules = run.session.stores.rules();
    if !is_ours(rules, &store.spec) {
        let class = store.spec.controller.as_deref().unwrap_or_default();
        let text = format!("it is for a controller of the class {class:?}");
        return (key, State::NotAsked, vec![Finding::note(manifest, "other-class", text)]);
    }
    let checked = run.session.in_time(async { Ok(ask(&store, run).await) }).await;
    let result = match checked {
        Ok(result) => result,
        Err(failure) => return (key, State::Broken, vec![late(manifest, &failure)]),
    };
    match result {
        Ok(Validation::Ready | Validation::Unknown) => (key, State::Answers, Vec::new()),
        Ok(Validation::Unclear(why)) => {
            let text = format!("whether it can be used is not clear: {why}");
            (key, State::Answers, vec![Finding::note(manifest, "store-unclear", text)])
        }
        Err(ProviderError { kind: ProviderErrorKind::Forbidden(_), .. }) if run.options.offline => {
            (key, State::NotAsked, Vec::new())
        }
        Err(error) => {
            let finding = Finding::of_provider(manifest, &error.kind, error.kind.to_string());
            (key, State::Broken, vec![finding])
        }
    }
}

fn late(manifest: &Manifest, failure: &Failure) -> Finding {
    let finding = Finding::problem(manifest, "store-unavailable", failure.cause.clone());
    Finding { is_unavailable: true, ..finding }
}

fn read(manifest: &Manifest, run: &Run<'_>) -> Result<StoreObject, String> {
    if manifest.kind() == SecretStore::KIND {
        return run.session.read::<SecretStore>(manifest).map(StoreObject::from);
    }
    let store: ClusterSecretStore = manifest.root.read().map_err(|error| error.to_string())?;
    if store.metadata.name.as_deref().unwrap_or_default().is_empty() {
        return Err("metadata.name is missing".to_owned());
    }
    Ok(store.into())
}

/// Asks through the session's logins, so that those who read the store later find it open.
#[cfg(feature = "stores")]
async fn ask(store: &StoreObject, run: &Run<'_>) -> Result<Validation, ProviderError> {
    use crate::external::CheckError;
    let (checked, _) = run.session.stores.check(store, &run.session.reader).await;
    checked.result.map_err(|error| match error {
        CheckError::Open(error) | CheckError::Validate(error) => error,
    })
}

/// Opens it: without a network there is nobody to ask.
#[cfg(not(feature = "stores"))]
async fn ask(store: &StoreObject, run: &Run<'_>) -> Result<Validation, ProviderError> {
    let user = store.key.namespace.clone().unwrap_or_default();
    run.session.stores.open(store, &user, &run.session.reader).await.map(|_| Validation::Ready)
}
