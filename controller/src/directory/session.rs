//! What the reconcilers of a folder share: the folder, its stores and generators, and the time that they have.

use std::future::Future;
use std::sync::Arc;
#[cfg(feature = "stores")]
use std::time::Duration;

use sealops_crds::external_secret::GeneratorRef;
use sealops_crds::generators::ClusterGenerator;
use sealops_crds::{CustomResource, ExternalSecret, Metadata};

use super::load::{Directory, Manifest};
use super::reader::DirectoryReader;
use super::render::RenderOptions;
use crate::external::{
    self, Decision, Failure, Generated, GeneratorProblem, Generators, Moment, ObjectGenerators,
    StoreEnvironment, StoreRules, Surroundings, Usage,
};
use crate::object::{BoxFuture, ClusterReader};

#[cfg(feature = "stores")]
use crate::external::{Connections, Observer, StoreKey};
#[cfg(feature = "stores")]
pub(super) type FolderStores = Connections;
#[cfg(not(feature = "stores"))]
pub(super) type FolderStores = external::DirectStores;

/// Objects that wait for their stores at the same time.
#[cfg(feature = "stores")]
const AT_ONCE: usize = 32;
/// The generator that makes the same values at each run, and nothing elsewhere.
const FIXED: &str = "Fake";

/// A run over a folder.
pub(super) struct Session<'a> {
    pub(super) reader: DirectoryReader,
    pub(super) stores: FolderStores,
    generators: FolderGenerators,
    options: &'a RenderOptions,
    #[cfg(feature = "stores")]
    end: Option<tokio::time::Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(directory: &Arc<Directory>, options: &'a RenderOptions) -> Self {
        let default_namespace = options.default_namespace.as_deref().unwrap_or_default();
        let environment =
            StoreEnvironment { templates: options.open.templates, ..options.environment.clone() };
        // What a store's status says was true in some cluster, once.
        let rules = StoreRules { flood_gate: false, ..StoreRules::default() };
        let objects = ObjectGenerators::new(rules.class.clone(), environment.clone());
        Self {
            reader: DirectoryReader::new(Arc::clone(directory), default_namespace),
            stores: open(rules, environment),
            generators: FolderGenerators { objects, all: options.generators },
            options,
            #[cfg(feature = "stores")]
            end: options.deadline.map(|deadline| tokio::time::Instant::now() + deadline),
        }
    }

    /// Reads an object, which needs a name and a namespace.
    pub(super) fn read<T: CustomResource>(&self, manifest: &Manifest) -> Result<T, String> {
        let mut object: T = manifest.root.read().map_err(|error| error.to_string())?;
        let metadata = object.metadata_mut();
        self.place(metadata);
        if metadata.namespace.is_none() {
            return Err("metadata.namespace is missing and no namespace was given".to_owned());
        }
        if metadata.name.as_deref().unwrap_or_default().is_empty() {
            return Err("metadata.name is missing".to_owned());
        }
        Ok(object)
    }

    /// Puts an object that names no namespace into the default one, where there is one.
    pub(super) fn place(&self, metadata: &mut Metadata) {
        if metadata.namespace.as_deref().unwrap_or_default().is_empty() {
            metadata.namespace.clone_from(&self.options.default_namespace);
        }
    }

    /// Fetches and decides, as if nothing was there but the folder.
    pub(super) async fn reconcile(&self, external: &ExternalSecret) -> Result<Decision, Failure> {
        let templates = self.options.open.templates;
        let allow_token_secrets = self.options.open.allow_token_secrets;
        let surroundings = Surroundings {
            cluster: &self.reader,
            stores: &self.stores,
            generators: &self.generators,
            ledger: None,
            options: external::Options { templates, allow_token_secrets, generic_targets: false },
        };
        let moment = Moment { now: self.options.now, ..Moment::default() };
        self.in_time(external::reconcile(external, &surroundings, &moment)).await
    }

    /// Gives something up at the end of the session's time.
    #[cfg(feature = "stores")]
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(end) = self.end else { return work.await };
        tokio::time::timeout_at(end, work).await.unwrap_or_else(|_| Err(Failure::late(self.options.deadline)))
    }

    /// Nothing waits here.
    #[cfg(not(feature = "stores"))]
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        work.await
    }
}

/// Does independent things at the same time, as far as they wait; returns their results in order.
#[cfg(feature = "stores")]
pub(super) async fn at_once<T>(work: Vec<impl Future<Output = T>>) -> Vec<T> {
    use futures::StreamExt;
    futures::stream::iter(work).buffered(AT_ONCE).collect().await
}

/// Does independent things one after the other: nothing waits here.
#[cfg(not(feature = "stores"))]
pub(super) async fn at_once<T>(work: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut results = Vec::with_capacity(work.len());
    for work in work {
        results.push(work.await);
    }
    results
}

#[cfg(feature = "stores")]
fn open(rules: StoreRules, environment: StoreEnvironment) -> FolderStores {
    Connections::new(rules, environment, Arc::new(Nobody))
}

#[cfg(not(feature = "stores"))]
fn open(rules: StoreRules, environment: StoreEnvironment) -> FolderStores {
    external::DirectStores::new(rules, environment)
}

/// Counts nothing.
#[cfg(feature = "stores")]
struct Nobody;

#[cfg(feature = "stores")]
impl Observer for Nobody {
    fn called(&self, _: &str, _: &'static str, _: bool) {}
    fn breaker(&self, _: &StoreKey, _: bool) {}
}

/// A rendered folder is the same each time, which what most generators make is not; some leave something behind at a
/// provider.
struct FolderGenerators {
    objects: ObjectGenerators,
    all: bool,
}

impl Generators for FolderGenerators {
    fn generate<'a>(&'a self, usage: Usage<'a>) -> BoxFuture<'a, Result<Generated, GeneratorProblem>> {
        Box::pin(async move {
            let reference = usage.reference;
            if !self.all && kind_of(reference, usage.cluster).await.as_deref() != Some(FIXED) {
                let text = format!(
                    "{} {} makes other values at each run, or leaves something behind at its provider, and is not run \
                     here unless generators are allowed",
                    reference.kind, reference.name
                );
                return Err(GeneratorProblem::Use(text));
            }
            self.objects.generate(usage).await
        })
    }
}

async fn kind_of(reference: &GeneratorRef, cluster: &dyn ClusterReader) -> Option<String> {
    if reference.kind != ClusterGenerator::KIND {
        return Some(reference.kind.clone());
    }
    Some(cluster.cluster_generator(&reference.name).await.ok()??.spec.kind)
}

impl Failure {
    /// Returns the failure that the time for the whole folder is over.
    #[cfg(feature = "stores")]
    fn late(deadline: Option<Duration>) -> Self {
        let seconds = deadline.unwrap_or_default().as_secs();
        let text = format!("it was not done within the {seconds} s that all objects have together");
        let kind = sealops_providers::ProviderErrorKind::Unavailable(text.clone());
        Self { provider: Some(kind), ..Self::cause(text) }
    }
}
