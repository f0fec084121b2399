//! Carries out a plan: the one place that writes to stores and removes from them.

use std::sync::Arc;
use std::time::Duration;

use sealops_crds::PushSecret;
use sealops_crds::external_secret::{StoreKind, StoreRef};
use sealops_crds::push_secret::{PushData, SyncedPushSecrets};
use sealops_formats::Plaintext;
use sealops_providers::{ProviderError, PushTarget, Retry, SecretsWriter};
use serde::Deserialize;

use super::PushDriver;
use crate::cluster::leader::WriteGuard;
use crate::external::push::{self, Plan, Pushed, StorePlan, Write};
use crate::external::{StoreHandle, StoreObject, find_store};
use crate::object::ClusterReader as _;

/// Why a plan was not carried out to its end.
pub(super) struct Failed {
    /// For condition and event.
    pub(super) message: String,
    /// Whether this replica must not write any more: nothing is to be said then.
    pub(super) stopped: bool,
    /// What the store asks to wait.
    pub(super) not_before: Duration,
}

impl Failed {
    fn because(message: String) -> Self {
        Self { message, stopped: false, not_before: Duration::ZERO }
    }

    fn provider(before: &str, error: &ProviderError) -> Self {
        let not_before = match error.kind.retry() {
            Retry::After(wait) => wait,
            Retry::Never | Retry::Backoff => Duration::ZERO,
        };
        Self { message: format!("{before}{}", error.kind), stopped: false, not_before }
    }
}

fn check(guard: &WriteGuard) -> Result<(), Failed> {
    guard.check().map_err(|_| Failed {
        message: "this replica does not lead any more".to_owned(),
        stopped: true,
        not_before: Duration::ZERO,
    })
}

impl PushDriver {
    /// Writes everything, and returns it; `record` has what is in the stores also where it fails halfway.
    pub(super) async fn carry_out(
        &self,
        object: &PushSecret,
        plan: Plan,
        record: &mut SyncedPushSecrets,
        guard: &WriteGuard,
    ) -> Result<SyncedPushSecrets, Failed> {
        let mut written = SyncedPushSecrets::new();
        for of in plan.stores {
            let key = of.store.status_key();
            record.entry(key.clone()).or_default();
            let entries = written.entry(key.clone()).or_default();
            let result = self
                .write_to(object, of, guard, &mut |data| {
                    entries.insert(push::place_of(&data), data.clone());
                    record.entry(key.clone()).or_default().insert(push::place_of(&data), data);
                })
                .await;
            result?;
        }
        Ok(written)
    }

    async fn write_to(
        &self,
        object: &PushSecret,
        of: StorePlan,
        guard: &WriteGuard,
        wrote: &mut (dyn FnMut(PushData) + Send),
    ) -> Result<(), Failed> {
        let store = &of.store.store;
        let name = &store.key.name;
        let opening = format!("could not get secrets client for store {name}: ");
        let handle = self.open(object, store).await.map_err(|error| Failed::provider(&opening, &error))?;
        let writer = writer_of(&handle, &opening)?;
        for Write { entry, mut target, value } in of.writes {
            check(guard)?;
            if push::keeps_existing(object) {
                let looking = "could not verify if secret exists in store: ";
                let exists = writer.exists(&target).await;
                if exists.map_err(|error| Failed::provider(looking, &error))? {
                    wrote(entry);
                    continue;
                }
            }
            let writing = format!(
                "could not write remote ref {} to target secretstore {name}: ",
                entry.match_.secret_key
            );
            target.resource_policy = self.policy(object, &target).await.map_err(|problem| {
                Failed::because(format!("{writing}failed to resolve resource policy: {problem}"))
            })?;
            put(writer, &target, &value)
                .await
                .map_err(Failed::because)?
                .map_err(|error| Failed::provider(&writing, &error))?;
            wrote(entry);
        }
        match of.stop {
            Some(problem) => Err(Failed::because(problem)),
            None => Ok(()),
        }
    }

    /// Reads the policy that the settings of a pushed value name: in the namespace of the PushSecret.
    async fn policy(
        &self,
        object: &PushSecret,
        target: &PushTarget,
    ) -> Result<Option<Arc<Plaintext>>, String> {
        let Some(PolicySource { kind, name, key }) = policy_source(target) else { return Ok(None) };
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let objects = self.shared.reader.in_namespace(namespace);
        let found = match kind.as_str() {
            "ConfigMap" => {
                let found = objects.config_map(&name).await.map_err(|error| error.to_string())?;
                found.map(|mut found| found.data.remove(&key))
            }
            "Secret" => {
                let found = objects.secret(&name).await.map_err(|error| error.to_string())?;
                found.map(|mut found| found.data.remove(&key))
            }
            _ => {
                let text = "must be ConfigMap or Secret";
                return Err(format!("unsupported PolicySourceRef kind: {kind:?} ({text})"));
            }
        };
        let found = found.ok_or_else(|| format!("there is no {kind} {namespace}/{name}"))?;
        let policy = found.ok_or_else(|| format!("key {key} not found in {kind} {namespace}/{name}"))?;
        Ok(Some(Arc::new(policy)))
    }

    /// Removes what is stale; `record` loses what is removed.
    pub(super) async fn remove(
        &self,
        object: &PushSecret,
        stale: SyncedPushSecrets,
        record: &mut SyncedPushSecrets,
        guard: &WriteGuard,
    ) -> Result<(), Failed> {
        const BEFORE: &str = "Failed to Delete Secrets from Provider: ";
        for (key, entries) in stale {
            if !entries.is_empty() {
                let opening = format!("{BEFORE}could not get secrets client for store {key}: ");
                let store = self.recorded_store(object, &key).await;
                let store = store.map_err(|problem| Failed::because(format!("{opening}{problem}")))?;
                let handle = self.open(object, &store).await;
                let handle = handle.map_err(|error| Failed::provider(&opening, &error))?;
                let writer = writer_of(&handle, &opening)?;
                for (place, data) in entries {
                    check(guard)?;
                    let target = target_of(&data);
                    writer.delete(&target).await.map_err(|error| Failed::provider(BEFORE, &error))?;
                    if let Some(left) = record.get_mut(&key) {
                        left.remove(&place);
                    }
                }
            }
            if record.get(&key).is_some_and(|left| left.is_empty()) {
                record.remove(&key);
            }
        }
        Ok(())
    }

    /// Finds the store of a key of the status: `Kind/name`.
    async fn recorded_store(&self, object: &PushSecret, key: &str) -> Result<StoreObject, String> {
        let (kind, name) = key.split_once('/').ok_or("the status names no store there")?;
        let reference =
            StoreRef { name: Some(name.to_owned()), kind: Some(StoreKind::from(kind.to_owned())) };
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let found = find_store(&self.rules(), &reference, namespace, &self.shared.reader).await;
        found.map_err(|problem| problem.to_string())
    }

    async fn open(
        &self,
        object: &PushSecret,
        store: &StoreObject,
    ) -> Result<Arc<dyn StoreHandle>, ProviderError> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        self.stores.open(store, namespace, &self.shared.reader).await
    }
}

fn writer_of<'a>(handle: &'a Arc<dyn StoreHandle>, opening: &str) -> Result<&'a dyn SecretsWriter, Failed> {
    handle.writer().ok_or_else(|| Failed::because(format!("{opening}the provider cannot be written to")))
}

fn target_of(data: &PushData) -> PushTarget {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    PushTarget {
        key: data.match_.remote_ref.remote_key.clone(),
        property: given(&data.match_.remote_ref.property),
        secret_key: given(&data.match_.secret_key),
        metadata: data.metadata.clone(),
        resource_policy: None,
    }
}

/// Which object's key the settings of a pushed value name for a policy.
fn policy_source(target: &PushTarget) -> Option<PolicySource> {
    let source = target.metadata.as_ref()?.pointer("/spec/resourcePolicy/policySourceRef")?;
    PolicySource::deserialize(source).ok()
}

/// A key of a ConfigMap or Secret.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PolicySource {
    kind: String,
    name: String,
    key: String,
}

/// Writes a value in the form that the store holds. The outer error says that it has no form for it.
async fn put(
    writer: &dyn SecretsWriter,
    target: &PushTarget,
    value: &Pushed,
) -> Result<Result<(), ProviderError>, String> {
    if let Pushed::Whole(values) = value
        && let Some(work) = writer.put_whole(target, values)
    {
        return Ok(work.await);
    }
    let text = value.text()?;
    Ok(writer.put(target, &text).await)
}
