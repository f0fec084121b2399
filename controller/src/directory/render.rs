//! What the controllers would write for a folder.

use std::sync::Arc;
use std::time::Duration;

use sealops_crds::{ClusterExternalSecret, ClusterPushSecret, ExternalSecret, PushSecret, SealedSecret};
use sealops_crypto::sealing::{Fingerprint, SealingKeyRing};

use super::load::{Directory, Manifest};
use super::session::{Session, at_once};
use crate::HINT_ANNOTATION;
use crate::external::{Decision, Failure, Settled, StoreEnvironment};
use crate::object::{ClusterReader, ObjectKey, SecretObject};
use crate::outcome::{Change, Outcome};
use crate::sealed::{self, OpenOptions, Opened};

/// How often objects are tried again that may need a Secret which another object makes.
const MAX_ROUNDS: usize = 4;

/// How a folder is rendered.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// Namespace of objects that name none; without it they are a problem.
    pub default_namespace: Option<String>,
    /// How SealedSecrets are opened. Its templates are those of everything else too.
    pub open: OpenOptions,
    /// What the stores of ExternalSecrets may use. By default no network.
    pub environment: StoreEnvironment,
    /// Whether generators run that make other values at each run, or leave something behind at their provider.
    pub generators: bool,
    /// The time, in seconds since 1970, for generators that need it.
    pub now: i64,
    /// How long all stores together may take; needs tokio's runtime.
    pub deadline: Option<Duration>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The Secrets, in the order of their sources.
    pub secrets: Vec<RenderedSecret>,
    /// What could not be rendered. Use the Secrets only when this is empty.
    pub problems: Vec<Problem>,
    /// Objects that were left out on purpose, and why.
    pub left_out: Vec<Problem>,
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
    /// Whether a server did not answer as it should, so that another time may be better.
    pub is_unavailable: bool,
}

/// What became of one object.
enum Made {
    Secret(Box<SecretObject>),
    /// Nothing is written, for this reason.
    Nothing(&'static str),
}

/// What became of one manifest, beside what is to be told.
struct Tried {
    made: Result<Made, Failed>,
    notes: Vec<String>,
}

struct Failed {
    message: String,
    is_unavailable: bool,
}

impl From<String> for Failed {
    fn from(message: String) -> Self {
        Self { message, is_unavailable: false }
    }
}

/// Runs the reconcilers of both kinds over the folder. Nothing is written and no API server is asked; stores are, as far as
/// the options say.
pub async fn render(directory: &Arc<Directory>, keys: &SealingKeyRing, options: &RenderOptions) -> Rendered {
    let session = Session::new(directory, options);
    let manifests = directory.manifests();
    let mut results: Vec<Option<Tried>> = manifests.iter().map(|_| None).collect();
    // First: others may read the Secrets.
    for (manifest, result) in manifests.iter().zip(&mut results) {
        if manifest.is(SealedSecret::GROUP, SealedSecret::KIND) {
            *result = Some(unseal(manifest, &session, keys, options).await);
        }
    }
    fetch_all(manifests, &session, &mut results).await;
    let mut rendered = Rendered::default();
    for (manifest, result) in manifests.iter().zip(results) {
        match result {
            Some(result) => rendered.take(manifest, result),
            None => rendered.left_out.extend(why_left_out(manifest).map(|why| problem(manifest, why.into()))),
        }
    }
    rendered
}

/// Renders the ExternalSecrets. One that fails is tried again once others have made further Secrets: a store may log in with
/// one of them.
async fn fetch_all(manifests: &[Manifest], session: &Session<'_>, results: &mut [Option<Tried>]) {
    let is_external = |index: &usize| manifests[*index].is(ExternalSecret::GROUP, ExternalSecret::KIND);
    let mut open: Vec<usize> = (0..manifests.len()).filter(is_external).collect();
    for _ in 0..MAX_ROUNDS {
        let work: Vec<_> = open.iter().map(|index| fetch(&manifests[*index], session)).collect();
        let done = at_once(work).await;
        let mut made = false;
        let mut failed = Vec::new();
        for (index, result) in open.into_iter().zip(done) {
            match &result.made {
                Ok(Made::Secret(secret)) => {
                    made = true;
                    session.reader.add(secret.duplicate());
                }
                Ok(Made::Nothing(_)) => {}
                Err(_) => failed.push(index),
            }
            results[index] = Some(result);
        }
        open = failed;
        if open.is_empty() || !made {
            return;
        }
    }
}

impl Rendered {
    fn take(&mut self, manifest: &Manifest, result: Tried) {
        self.left_out.extend(result.notes.into_iter().map(|note| problem(manifest, note.into())));
        match result.made {
            Ok(Made::Secret(secret)) => self.add(manifest, *secret),
            Ok(Made::Nothing(why)) => self.left_out.push(problem(manifest, why.to_owned().into())),
            Err(failed) => self.problems.push(problem(manifest, failed)),
        }
    }

    /// Adds a Secret; two sources for one Secret are a problem.
    fn add(&mut self, manifest: &Manifest, secret: SecretObject) {
        let key = ObjectKey::of(&secret.metadata);
        match self.secrets.iter().find(|other| ObjectKey::of(&other.secret.metadata) == key) {
            Some(other) => {
                let message = format!("{} makes the Secret {key} already", other.source);
                self.problems.push(problem(manifest, message.into()));
            }
            None => self.secrets.push(RenderedSecret { source: manifest.source(), secret }),
        }
    }
}

/// Opens a SealedSecret by the private keys.
pub(super) fn open_sealed(
    sealed: &SealedSecret,
    keys: &SealingKeyRing,
    options: OpenOptions,
) -> Result<Opened, String> {
    let hint = sealed.metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text));
    sealed::open(sealed, keys, hint.as_ref(), options).map_err(|failure| failure.message)
}

async fn unseal(
    manifest: &Manifest,
    session: &Session<'_>,
    keys: &SealingKeyRing,
    options: &RenderOptions,
) -> Tried {
    let made = async {
        let sealed: SealedSecret = session.read(manifest)?;
        let opened = open_sealed(&sealed, keys, options.open)?;
        let namespace = ObjectKey::of(&sealed.metadata).namespace;
        let objects = session.reader.in_namespace(&namespace);
        let outcome = sealed::reconcile(&sealed, opened, objects.as_ref(), None)
            .await
            .map_err(|failure| failure.message)?;
        Ok(match written(outcome) {
            Some(secret) => {
                session.reader.add(secret.duplicate());
                Made::Secret(Box::new(secret))
            }
            None => Made::Nothing("the Secret in the folder is as it should be"),
        })
    };
    Tried { made: made.await, notes: Vec::new() }
}

async fn fetch(manifest: &Manifest, session: &Session<'_>) -> Tried {
    let mut external: ExternalSecret = match session.read(manifest) {
        Ok(external) => external,
        Err(message) => return Tried { made: Err(message.into()), notes: Vec::new() },
    };
    external.status = None; // what a cluster did once says nothing here
    match session.reconcile(&external).await {
        Ok(decision) => {
            let notes = decision.events.iter().map(|event| event.message.clone()).collect();
            Tried { made: made(decision), notes }
        }
        Err(failure) => Tried { made: Err(failed(failure)), notes: Vec::new() },
    }
}

fn failed(failure: Failure) -> Failed {
    Failed { is_unavailable: failure.is_unavailable(), message: failure.cause }
}

fn made(decision: Decision) -> Result<Made, Failed> {
    if let Some(failure) = decision.failed {
        return Err(failed(failure));
    }
    let settled = decision.settled;
    Ok(match written(decision.outcome) {
        Some(secret) => Made::Secret(Box::new(secret)),
        None => Made::Nothing(match settled {
            Settled::Ignored => "its store is another controller's",
            Settled::Missing => "its target is merged into, and is not in the folder",
            Settled::Retained | Settled::Deleted => "its stores have nothing for it",
            Settled::Synced | Settled::NotDue => {
                "there is nothing to write: the creation policy is None, or the Secret in the folder is as it should be"
            }
        }),
    })
}

/// Returns why an object that a controller acts on is not rendered; `None` for all others.
fn why_left_out(manifest: &Manifest) -> Option<String> {
    const LEFT_OUT: [(&str, &str, &str); 3] = [
        (PushSecret::GROUP, PushSecret::KIND, "it writes into stores, which rendering never does"),
        (
            ClusterPushSecret::GROUP,
            ClusterPushSecret::KIND,
            "it writes into stores, which rendering never does",
        ),
        (
            ClusterExternalSecret::GROUP,
            ClusterExternalSecret::KIND,
            "which namespaces it makes ExternalSecrets in is known in a cluster only",
        ),
    ];
    let found = LEFT_OUT.iter().find(|(group, kind, _)| manifest.is(group, kind));
    found.map(|(_, _, why)| (*why).to_owned())
}

fn written(outcome: Outcome) -> Option<SecretObject> {
    outcome.changes.into_iter().find_map(|change| match change {
        Change::Create(secret) | Change::Replace(secret) => Some(secret),
        Change::Delete(_) => None,
    })
}

fn problem(manifest: &Manifest, failed: Failed) -> Problem {
    let Failed { message, is_unavailable } = failed;
    Problem { source: manifest.source(), object: manifest.title(), message, is_unavailable }
}
