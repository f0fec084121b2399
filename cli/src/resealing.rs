//! Values sealed anew with another key; nothing else of an object changes, its scope least of all.
//!
//! ```text
//!   sealed value ──private keys──► value ──certificate──► sealed value        here, offline
//!   object (names, scope, values) ──/v1/rotate──► values                      by the controller
//! ```

use std::collections::BTreeMap;
use std::thread;

use sealops_controller::HINT_ANNOTATION;
use sealops_controller::sealed::scope_of;
use sealops_crds::sealed_secret::{CLUSTER_WIDE, NAMESPACE_WIDE, TRUE};
use sealops_crds::{Metadata, SealedSecret, SealedSecretSpec};
use sealops_crypto::sealing::{Certificate, Fingerprint, Scope, SealingKeyRing, seal};
use sealops_formats::base64;
use sealops_formats::manifest::Edit;

use crate::connection::Controller;
use crate::error::CommandError;
use crate::sealed_file::SealedObject;

/// Who opens and seals.
pub(crate) enum Sealer<'a> {
    /// Private keys that are at hand.
    Offline {
        ring: &'a SealingKeyRing,
        certificate: &'a Certificate,
        /// Whether values of the right key are sealed anew as well.
        all: bool,
    },
    /// The controller, which always uses its current key.
    Controller(&'a Controller),
}

/// What came of one object.
pub(crate) struct Resealed {
    /// Sealed values by key; `None` is the deprecated `spec.data`.
    values: BTreeMap<Option<String>, String>,
    pub(crate) unchanged: usize,
}

impl Resealed {
    pub(crate) fn changed(&self) -> usize {
        self.values.len()
    }

    /// Returns the edits of the object's text. A hint is kept true where there is one and the key is known.
    pub(crate) fn edits(&self, object: &SealedObject, key: Option<&Fingerprint>) -> Vec<Edit> {
        let mut edits: Vec<Edit> = self
            .values
            .iter()
            .map(|(entry, value)| match entry {
                Some(entry) => object.edit(&["spec", "encryptedData", entry], value),
                None => object.edit(&["spec", "data"], value),
            })
            .collect();
        if let (Some(hint), Some(key)) = (object.hint(), key)
            && hint != *key
        {
            edits.push(object.edit(&["metadata", "annotations", HINT_ANNOTATION], key.as_str()));
        }
        edits
    }
}

/// Seals the values of objects anew, in order; offline on every core.
pub(crate) fn reseal(objects: &[&SealedObject], sealer: &Sealer<'_>) -> Vec<Result<Resealed, CommandError>> {
    let Sealer::Offline { ring, certificate, all } = sealer else {
        return objects.iter().map(|object| by_controller(object, sealer)).collect();
    };
    on_every_core(objects, |object| offline(object, ring, certificate, *all))
}

/// Works on objects in as many threads as there are cores, and returns the results in order.
pub(crate) fn on_every_core<T: Send>(
    objects: &[&SealedObject],
    work: impl Fn(&SealedObject) -> T + Sync,
) -> Vec<T> {
    if let [object] = objects {
        return vec![work(object)];
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = objects.len().div_ceil(cores).max(1);
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = objects
            .chunks(share)
            .map(|objects| scope.spawn(move || objects.iter().map(|object| work(object)).collect::<Vec<T>>()))
            .collect();
        let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
        results.flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn offline(
    object: &SealedObject,
    ring: &SealingKeyRing,
    certificate: &Certificate,
    all: bool,
) -> Result<Resealed, CommandError> {
    object.check_names()?;
    let label = object.label();
    let mut hint = object.hint();
    let mut resealed = Resealed { values: BTreeMap::new(), unchanged: 0 };
    let mut failures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (entry, text) in entries(&object.sealed) {
        let name = entry.clone().unwrap_or_else(|| "spec.data".to_owned());
        let mut fail = |problem: String| failures.entry(problem).or_default().push(name.clone());
        let sealed = match base64::decode(text.as_bytes()) {
            Ok(sealed) => sealed,
            Err(error) => {
                fail(error.to_string());
                continue;
            }
        };
        match ring.unseal(&label, sealed.expose(), hint.as_ref()) {
            Err(error) => fail(error.to_string()),
            Ok(opened) => {
                hint = Some(opened.key.clone());
                if !all && opened.key == *certificate.fingerprint() {
                    resealed.unchanged += 1;
                    continue;
                }
                match seal(certificate, &label, &opened.value) {
                    Ok(new) => drop(resealed.values.insert(entry, base64::encode_public(&new))),
                    Err(error) => fail(error.to_string()),
                }
            }
        }
    }
    if failures.is_empty() {
        return Ok(resealed);
    }
    let texts: Vec<String> =
        failures.iter().map(|(problem, entries)| format!("{problem} ({})", entries.join(", "))).collect();
    Err(CommandError::input(texts.join("; ")).within(&object.place))
}

fn entries(sealed: &SealedSecret) -> impl Iterator<Item = (Option<String>, &str)> {
    let values = sealed.spec.encrypted_data.iter();
    let values = values.map(|(entry, text)| (Some(entry.clone()), text.as_str()));
    values.chain(sealed.spec.data.as_deref().map(|text| (None, text)))
}

/// Sends names, scope and values, and takes the values of the answer: a controller that drops or invents metadata
/// (upstream's does) cannot change the file, and no template leaves the machine.
fn by_controller(object: &SealedObject, sealer: &Sealer<'_>) -> Result<Resealed, CommandError> {
    let Sealer::Controller(controller) = sealer else { return Err(CommandError::input("no controller")) };
    object.check_names()?;
    if object.sealed.spec.data.is_some() {
        return Err(CommandError::input(
            "the controller turns the deprecated field spec.data into another format",
        )
        .within(&object.place)
        .hint("sealops re-encrypt --key FILE keeps it; or unseal the object and seal it again"));
    }
    let body = serde_json::to_vec(&essence(&object.sealed)).map_err(CommandError::input)?;
    let answer = controller.rotate(&body)?;
    if answer.status == 409 {
        return Err(CommandError::input("unable to rotate secret"));
    }
    if !answer.is_success() {
        let text = format!("cannot re-encrypt secret: {}", controller.refusal(&answer));
        return Err(CommandError::connection(text));
    }
    let unfit = || {
        CommandError::connection("cannot re-encrypt secret: the answer is not the object with all its values")
            .within(&object.place)
    };
    let new: SealedSecret = serde_json::from_slice(answer.body.expose()).map_err(|_| unfit())?;
    // The controller seals for the scope of what was sent. One that says otherwise is not believed.
    if scope_of(new.metadata.annotations()) != object.scope() {
        return Err(unfit());
    }
    let mut values = BTreeMap::new();
    for entry in object.sealed.spec.encrypted_data.keys() {
        let value = new.spec.encrypted_data.get(entry).filter(|text| is_sealed(text)).ok_or_else(unfit)?;
        values.insert(Some(entry.clone()), value.clone());
    }
    Ok(Resealed { values, unchanged: 0 })
}

fn is_sealed(text: &str) -> bool {
    base64::decode(text.as_bytes()).is_ok_and(|bytes| !bytes.is_empty())
}

/// Returns the part of an object that decides how its values open.
pub(crate) fn essence(sealed: &SealedSecret) -> SealedSecret {
    let mut metadata = Metadata {
        name: sealed.metadata.name.clone(),
        namespace: sealed.metadata.namespace.clone(),
        ..Metadata::default()
    };
    let scope = match scope_of(sealed.metadata.annotations()) {
        Scope::Strict => None,
        Scope::NamespaceWide => Some(NAMESPACE_WIDE),
        Scope::ClusterWide => Some(CLUSTER_WIDE),
    };
    if let Some(scope) = scope {
        metadata.annotations_mut().insert(scope.to_owned(), TRUE.to_owned());
    }
    let spec = SealedSecretSpec {
        encrypted_data: sealed.spec.encrypted_data.clone(),
        data: sealed.spec.data.clone(),
        ..SealedSecretSpec::default()
    };
    SealedSecret { metadata, spec, ..SealedSecret::default() }
}
