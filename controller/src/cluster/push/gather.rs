//! What a PushSecret reads: its sources and its stores.

use std::collections::BTreeMap;

use sealops_crds::external_secret::{StoreKind, StoreRef};
use sealops_crds::push_secret::PushStoreRef;
use sealops_crds::secret_store::LabelSelector;
use sealops_crds::{ClusterSecretStore, CustomResource, PushSecret, SecretStore};
use sealops_formats::Plaintext;

use super::PushDriver;
use super::watched::ABSENT;
use crate::cluster::lock;
use crate::external::push::{self, SelectedStore};
use crate::external::{GeneratorProblem, StoreKey, StoreRules, Usage, find_store};
use crate::object::{ClusterReader, ObjectKey, SecretObject};

/// The sources of a PushSecret.
pub(super) enum Sources {
    /// The values of each, templated.
    Values(Vec<BTreeMap<String, Plaintext>>),
    /// The Secret that is named does not exist.
    Gone,
    /// The generator is for another controller.
    Foreign,
}

/// Why the sources cannot be had.
pub(super) struct Problem {
    /// For the condition.
    pub(super) message: String,
    /// For the log.
    pub(super) cause: String,
}

impl Problem {
    fn source(cause: impl ToString) -> Self {
        Self { message: push::NO_SOURCE.to_owned(), cause: cause.to_string() }
    }
}

impl PushDriver {
    /// Reads the sources, and lays the template over them.
    pub(super) async fn sources(
        &self,
        key: &ObjectKey,
        object: &PushSecret,
        now: i64,
    ) -> Result<Sources, Problem> {
        let selector = &object.spec.selector;
        let secret = selector.secret.clone().unwrap_or_default();
        let values = if let Some(name) = secret.name.filter(|name| !name.is_empty()) {
            let objects = self.shared.reader.in_namespace(&key.namespace);
            let Some(found) = objects.secret(&name).await.map_err(Problem::source)? else {
                lock(&self.seen).read(key, &name, ABSENT);
                return Ok(Sources::Gone);
            };
            vec![self.took(key, found)]
        } else if let Some(reference) = &selector.generator_ref {
            // What is pushed is somebody else's from then on: nothing takes it back.
            let (namespace, cluster) = (key.namespace.as_str(), &self.shared.reader);
            let usage = Usage { reference, namespace, cluster, now, ledger: None, part: "selector" };
            match self.generators.generate(usage).await {
                Ok(generated) => vec![generated.values],
                Err(GeneratorProblem::ForeignClass(_)) => return Ok(Sources::Foreign),
                Err(problem) => return Err(Problem::source(problem)),
            }
        } else if let Some(labels) = &secret.selector {
            let found = self.shared.api.selected_secrets(&key.namespace, labels).await;
            found.map_err(Problem::source)?.into_iter().map(|secret| self.took(key, secret)).collect()
        } else {
            return Err(Problem::source("no secret selector provided"));
        };
        self.templated(object, values).await.map(Sources::Values)
    }

    fn took(&self, key: &ObjectKey, secret: SecretObject) -> BTreeMap<String, Plaintext> {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let version = secret.metadata.resource_version.as_deref().unwrap_or_default();
        lock(&self.seen).read(key, name, version);
        secret.data
    }

    /// Templates may take seconds of processor time, so they run where no other worker waits for them.
    async fn templated(
        &self,
        object: &PushSecret,
        sources: Vec<BTreeMap<String, Plaintext>>,
    ) -> Result<Vec<BTreeMap<String, Plaintext>>, Problem> {
        if object.spec.template.is_none() {
            return Ok(sources);
        }
        let (object, reader) = (object.clone(), self.shared.reader.clone());
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let objects = reader.in_namespace(object.metadata.namespace.as_deref().unwrap_or_default());
            let mut out = Vec::new();
            for values in sources {
                let one = push::templated(&object, values, objects.as_ref(), Self::templates());
                out.push(runtime.block_on(one)?);
            }
            Ok(out)
        };
        let done = tokio::task::spawn_blocking(work).await;
        let failed = |cause: String| Problem { message: cause.clone(), cause };
        done.map_err(|_| failed("the templates were not rendered".to_owned()))?.map_err(failed)
    }

    /// Finds the stores, each once, in the order in which they are named. Stores of other controllers are left out.
    pub(super) async fn selected_stores(&self, object: &PushSecret) -> Result<Vec<SelectedStore>, String> {
        let mut found: Vec<SelectedStore> = Vec::new();
        for reference in &object.spec.secret_store_refs {
            for name in self.names(object, reference).await? {
                let one = self.selected(object, reference, name).await?;
                if let Some(one) = one
                    && !found.iter().any(|known| known.store.key == one.store.key)
                {
                    found.push(one);
                }
            }
        }
        Ok(found)
    }

    async fn names(&self, object: &PushSecret, reference: &PushStoreRef) -> Result<Vec<String>, String> {
        let Some(labels) = &reference.label_selector else {
            let name = reference.name.clone().filter(|name| !name.is_empty());
            return Ok(vec![name.ok_or("refStore Name must be provided")?]);
        };
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let mut names = match reference.kind {
            Some(StoreKind::ClusterSecretStore) => self.listed::<ClusterSecretStore>(None, labels).await,
            _ => self.listed::<SecretStore>(Some(namespace), labels).await,
        }?;
        names.sort();
        Ok(names)
    }

    async fn listed<T: CustomResource>(
        &self,
        namespace: Option<&str>,
        labels: &LabelSelector,
    ) -> Result<Vec<String>, String> {
        let stores = self.shared.api.list::<T>(namespace, labels).await;
        let stores = stores.map_err(|error| format!("could not list {}s: {error}", T::KIND))?;
        Ok(stores.into_iter().filter_map(|store| store.metadata().name.clone()).collect())
    }

    async fn selected(
        &self,
        object: &PushSecret,
        reference: &PushStoreRef,
        name: String,
    ) -> Result<Option<SelectedStore>, String> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let wanted = StoreRef { name: Some(name.clone()), kind: reference.kind.clone() };
        let store = match find_store(&self.rules(), &wanted, namespace, &self.shared.reader).await {
            Ok(store) => store,
            Err(problem) if problem.is_foreign() => return Ok(None),
            Err(problem @ crate::external::StoreProblem::Missing { .. }) => return Err(problem.to_string()),
            Err(problem) => {
                return Err(format!(
                    "set secret failed: could not get secrets client for store {name}: {problem}"
                ));
            }
        };
        let labels = match object.spec.data_to.iter().any(uses_labels) {
            true => self.labels(&store.key).await?,
            false => BTreeMap::new(),
        };
        Ok(Some(SelectedStore { store, labels }))
    }

    /// A store that is not ready is written to all the same, as upstream.
    pub(super) fn rules(&self) -> StoreRules {
        StoreRules { flood_gate: false, ..self.stores.rules().clone() }
    }

    async fn labels(&self, key: &StoreKey) -> Result<BTreeMap<String, String>, String> {
        let object = ObjectKey::new(key.namespace.clone().unwrap_or_default(), key.name.as_str());
        let metadata = match key.namespace {
            Some(_) => {
                self.shared.api.object::<SecretStore>(&object).await.map(|store| store.map(|of| of.metadata))
            }
            None => self
                .shared
                .api
                .object::<ClusterSecretStore>(&object)
                .await
                .map(|store| store.map(|of| of.metadata)),
        };
        let metadata = metadata.map_err(|error| error.to_string())?;
        Ok(metadata.map(|metadata| metadata.labels().clone()).unwrap_or_default())
    }
}

fn uses_labels(rule: &sealops_crds::push_secret::PushDataTo) -> bool {
    rule.store_ref.as_ref().is_some_and(|reference| reference.label_selector.is_some())
}
