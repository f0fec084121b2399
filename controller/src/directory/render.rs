//! What the controllers would write for a folder.

use std::sync::Arc;

use sealops_crds::{CustomResource, ExternalSecret, SealedSecret};
use sealops_crypto::sealing::{Fingerprint, SealingKeyRing};

use super::load::{Directory, Manifest};
use super::reader::DirectoryReader;
use crate::external::{
    DirectStores, Generated, GeneratorProblem, Generators, Moment, StoreEnvironment, StoreRules,
    Surroundings, Usage,
};
use crate::object::{BoxFuture, ClusterReader, ObjectKey, SecretObject};
use crate::outcome::{Change, Outcome};
use crate::sealed::{self, OpenOptions};
use crate::{HINT_ANNOTATION, external};

/// How a folder is rendered.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// Namespace of objects that name none; without it they are a problem.
    pub default_namespace: Option<String>,
    /// How SealedSecrets are opened.
    pub open: OpenOptions,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The Secrets, in the order of their sources.
    pub secrets: Vec<RenderedSecret>,
    /// What could not be rendered. Use the Secrets only when this is empty.
    pub problems: Vec<Problem>,
}

/// One Secret.
#[derive(Debug)]
pub struct RenderedSecret {
    /// File and line of the object that it comes from.
    pub source: String,
    /// The Secret.
    pub secret: SecretObject,
}

/// One object that could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line.
    pub source: String,
    /// Kind, namespace and name.
    pub object: String,
    /// Why, without values.
    pub message: String,
}

/// Runs the reconcilers of both kinds over the folder. Nothing is written and no API server is asked.
pub async fn render(directory: &Arc<Directory>, keys: &SealingKeyRing, options: &RenderOptions) -> Rendered {
    let default_namespace = options.default_namespace.as_deref().unwrap_or_default();
    let reader = DirectoryReader::new(Arc::clone(directory), default_namespace);
    let mut rendered = Rendered::default();
    for manifest in directory.manifests() {
        let result = if manifest.is(SealedSecret::GROUP, SealedSecret::KIND) {
            unseal(manifest, &reader, keys, options).await
        } else if manifest.is(ExternalSecret::GROUP, ExternalSecret::KIND) {
            fetch(manifest, &reader, options).await
        } else {
            continue;
        };
        match result {
            Ok(Some(secret)) => rendered.add(manifest, secret),
            Ok(None) => {}
            Err(message) => rendered.problems.push(problem(manifest, message)),
        }
    }
    rendered
}

impl Rendered {
    /// Adds a Secret; two sources for one Secret are a problem.
    fn add(&mut self, manifest: &Manifest, secret: SecretObject) {
        let key = ObjectKey::of(&secret.metadata);
        match self.secrets.iter().find(|other| ObjectKey::of(&other.secret.metadata) == key) {
            Some(other) => {
                let message = format!("{} makes the Secret {key} already", other.source);
                self.problems.push(problem(manifest, message));
            }
            None => self.secrets.push(RenderedSecret { source: manifest.source(), secret }),
        }
    }
}

async fn unseal(
    manifest: &Manifest,
    reader: &DirectoryReader,
    keys: &SealingKeyRing,
    options: &RenderOptions,
) -> Result<Option<SecretObject>, String> {
    let sealed: SealedSecret = read(manifest, options)?;
    let hint = sealed.metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text));
    let opened =
        sealed::open(&sealed, keys, hint.as_ref(), options.open).map_err(|failure| failure.message)?;
    let namespace = ObjectKey::of(&sealed.metadata).namespace;
    let objects = reader.in_namespace(&namespace);
    let outcome = sealed::reconcile(&sealed, opened, objects.as_ref(), None)
        .await
        .map_err(|failure| failure.message)?;
    Ok(written(outcome))
}

async fn fetch(
    manifest: &Manifest,
    reader: &DirectoryReader,
    options: &RenderOptions,
) -> Result<Option<SecretObject>, String> {
    let mut external: ExternalSecret = read(manifest, options)?;
    external.status = None; // what a cluster did once says nothing here
    let templates = options.open.templates;
    let allow_token_secrets = options.open.allow_token_secrets;
    let environment = StoreEnvironment { templates, ..StoreEnvironment::default() };
    let surroundings = Surroundings {
        cluster: reader,
        stores: &DirectStores::new(StoreRules::default(), environment),
        generators: &NoGenerators,
        ledger: None,
        options: external::Options { templates, allow_token_secrets, generic_targets: false },
    };
    let decision = external::reconcile(&external, &surroundings, &Moment::default())
        .await
        .map_err(|failure| failure.cause)?;
    if let Some(failure) = decision.failed {
        return Err(failure.cause);
    }
    Ok(written(decision.outcome))
}

/// A rendered folder is the same each time, which what a generator makes is not.
struct NoGenerators;

impl Generators for NoGenerators {
    fn generate<'a>(&'a self, usage: Usage<'a>) -> BoxFuture<'a, Result<Generated, GeneratorProblem>> {
        let reference = usage.reference;
        let text = format!("{} {} would make other values at each run", reference.kind, reference.name);
        Box::pin(async move { Err(GeneratorProblem::Use(text)) })
    }
}

fn written(outcome: Outcome) -> Option<SecretObject> {
    outcome.changes.into_iter().find_map(|change| match change {
        Change::Create(secret) | Change::Replace(secret) => Some(secret),
        Change::Delete(_) => None,
    })
}

fn read<T: CustomResource>(manifest: &Manifest, options: &RenderOptions) -> Result<T, String> {
    let mut object: T = manifest.root.read().map_err(|error| error.to_string())?;
    let metadata = object.metadata_mut();
    if metadata.namespace.as_deref().unwrap_or_default().is_empty() {
        let namespace = options.default_namespace.clone();
        metadata.namespace =
            Some(namespace.ok_or("metadata.namespace is missing and no namespace was given")?);
    }
    if metadata.name.as_deref().unwrap_or_default().is_empty() {
        return Err("metadata.name is missing".to_owned());
    }
    Ok(object)
}

fn problem(manifest: &Manifest, message: String) -> Problem {
    let part = |field| manifest.metadata(field).unwrap_or("?").to_owned();
    let object = format!("{} {}/{}", manifest.kind(), part("namespace"), part("name"));
    Problem { source: manifest.source(), object, message }
}
