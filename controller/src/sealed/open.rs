//! From a SealedSecret to the Secret that it describes: pure, and all the RSA work.

use std::collections::BTreeMap;

use sealops_crds::sealed_secret::{self as names, SealedSecret};
use sealops_crds::{Metadata, OwnerReference};
use sealops_crypto::sealing::{Fingerprint, Label, Scope, SealingKeyRing};
use sealops_formats::{Plaintext, base64, manifest};

use super::Failure;
use crate::object::SecretObject;
use crate::templates::{Dialect, Renderer, TemplateOptions};

/// How objects are opened.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// Whether the deprecated field `spec.data` (kubeseal before 0.7) is opened; upstream's default is yes.
    pub accept_v1_data: bool,
    /// What templates may use.
    pub templates: TemplateOptions,
    /// Whether Secrets may be made whose type turns them into credentials of the cluster itself (CVE-2026-42876).
    pub allow_token_secrets: bool,
}

/// Types that the control plane turns into, or takes for, credentials. Whoever may create a SealedSecret but no Secret
/// would get a token of any ServiceAccount, or let a node join.
const TOKEN_TYPES: [&str; 2] = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];
/// RSA private operations that one object may spend on values that do not open. A value that opens costs nothing of
/// it, however many there are.
const MAX_WASTED_RSA_OPERATIONS: usize = 256;
/// Upstream's text for `--accept-deprecated-v1-data=false`.
pub(super) const V1_REFUSED: &str =
    "using deprecated 'data' field, use 'encryptedData' or flip the feature flag";
const NOT_TRIED: &str = "not tried, since too many other values of this object do not open";

impl Default for OpenOptions {
    fn default() -> Self {
        Self { accept_v1_data: true, templates: TemplateOptions::default(), allow_token_secrets: false }
    }
}

/// An opened object.
#[derive(Debug)]
pub struct Opened {
    /// The Secret as it shall be where there is none yet.
    pub secret: SecretObject,
    /// The key that opened the values (of several the first that was needed); `None` without values.
    pub key: Option<Fingerprint>,
    /// RSA private operations that this took.
    pub rsa_operations: usize,
}

/// Returns the scope that an object's own annotations choose. Only the exact text `true` counts.
pub fn scope_of(annotations: &BTreeMap<String, String>) -> Scope {
    let is_set = |name| annotations.get(name).is_some_and(|value| value == names::TRUE);
    if is_set(names::CLUSTER_WIDE) {
        Scope::ClusterWide
    } else if is_set(names::NAMESPACE_WIDE) {
        Scope::NamespaceWide
    } else {
        Scope::Strict
    }
}

/// Opens every value and renders every template, all or nothing.
///
/// # Errors
/// Returns every entry that does not open and every template that fails, with its reason.
pub fn open(
    sealed: &SealedSecret,
    keys: &SealingKeyRing,
    hint: Option<&Fingerprint>,
    options: OpenOptions,
) -> Result<Opened, Failure> {
    let metadata = &sealed.metadata;
    let (Some(namespace), Some(name)) = (metadata.namespace.as_deref(), metadata.name.as_deref()) else {
        return Err(Failure::unseal("the object has no name or no namespace"));
    };
    let label = Label::for_secret(scope_of(metadata.annotations()), namespace, name);
    let mut opener = Opener::new(keys, label, hint);
    let opened = match &sealed.spec.data {
        Some(data) => old_format(sealed, data, &mut opener, options),
        None => current_format(sealed, &mut opener, options.templates),
    };
    let mut secret = opened.map_err(|failure| failure.advising(advice(sealed, &opener)))?;
    check_type(&secret, options)?;
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.namespace = Some(namespace.to_owned());
    secret.metadata.owner_references = owner(sealed).into_iter().collect();
    Ok(Opened { secret, key: opener.used, rsa_operations: opener.rsa_operations })
}

/// Opens the values of one object, one after the other.
pub(super) struct Opener<'a> {
    keys: &'a SealingKeyRing,
    label: Label,
    /// Tried first: the hint, then whatever opened the value before.
    key: Option<Fingerprint>,
    used: Option<Fingerprint>,
    rsa_operations: usize,
    wasted: usize,
    /// The first value that no key opens.
    unopened: Option<Plaintext>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(keys: &'a SealingKeyRing, label: Label, hint: Option<&Fingerprint>) -> Self {
        Self { keys, label, key: hint.cloned(), used: None, rsa_operations: 0, wasted: 0, unopened: None }
    }

    pub(super) fn value(&mut self, text: &str) -> Result<Plaintext, String> {
        let sealed = base64::decode(text.as_bytes()).map_err(|error| error.to_string())?;
        if self.wasted >= MAX_WASTED_RSA_OPERATIONS {
            return Err(NOT_TRIED.to_owned());
        }
        match self.keys.unseal(&self.label, sealed.expose(), self.key.as_ref()) {
            Ok(unsealed) => {
                self.rsa_operations += unsealed.rsa_operations;
                self.used.get_or_insert_with(|| unsealed.key.clone());
                self.key = Some(unsealed.key);
                Ok(unsealed.value)
            }
            Err(error) => {
                self.rsa_operations += error.rsa_operations;
                self.wasted += error.rsa_operations.max(1);
                self.unopened.get_or_insert(sealed);
                Err(error.to_string())
            }
        }
    }

    /// Returns whether the first value that does not open would under another label.
    fn would_open(&self, label: &Label) -> bool {
        self.unopened.as_ref().is_some_and(|sealed| self.keys.unseal(label, sealed.expose(), None).is_ok())
    }
}

/// Says what to do about values that do not open. A wrong label looks like a wrong key, so the object's other two
/// scopes are tried with one value: two more operations a key, on the way to a failure only.
fn advice(sealed: &SealedSecret, opener: &Opener<'_>) -> Option<String> {
    let metadata = &sealed.metadata;
    let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    opener.unopened.as_ref()?;
    let own = scope_of(metadata.annotations());
    let other = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != own)
        .find(|scope| opener.would_open(&Label::for_secret(*scope, namespace, name)));
    Some(match other {
        Some(scope) => format!(
            "the value was sealed with the scope {scope}, the object says {own}: give the SealedSecret the annotations of that scope, or seal again"
        ),
        None => format!(
            "seal it again for this cluster, for the name {name:?} in the namespace {namespace:?} (scope {own}), with the certificate of `kubeseal --fetch-cert`, or restore the sealing key that it was sealed for"
        ),
    })
}

/// Refuses the types of [`TOKEN_TYPES`].
fn check_type(secret: &SecretObject, options: OpenOptions) -> Result<(), Failure> {
    match secret.type_.as_deref().filter(|type_| TOKEN_TYPES.contains(type_)) {
        Some(type_) if !options.allow_token_secrets => Err(Failure::unseal(format!(
            "the type {type_} makes a credential of the cluster itself and is refused"
        ))
        .advising(Some("use another type, or start the controller with --allow-token-secrets".to_owned()))),
        _ => Ok(()),
    }
}

fn current_format(
    sealed: &SealedSecret,
    opener: &mut Opener<'_>,
    templates: TemplateOptions,
) -> Result<SecretObject, Failure> {
    let template = &sealed.spec.template;
    let mut secret = SecretObject {
        metadata: without_server_fields(template.metadata.clone().unwrap_or_default()),
        type_: template.type_.clone().filter(|type_| !type_.is_empty()),
        immutable: template.immutable,
        data: BTreeMap::new(),
    };
    let mut failures = Vec::new();
    for (entry, text) in &sealed.spec.encrypted_data {
        match opener.value(text) {
            Ok(value) => {
                secret.data.insert(entry.clone(), value);
            }
            Err(problem) => failures.push((entry.clone(), problem)),
        }
    }
    render(sealed, &mut secret.data, &mut failures, templates);
    if failures.is_empty() { Ok(secret) } else { Err(Failure::entries(failures)) }
}

/// Renders `spec.template.data` as Sealed Secrets 0.40 does (`sealedsecret_expansion.go`): dot has the opened values,
/// and the bare text of every other entry. An opened value stays, though its template runs too; a null entry goes.
fn render(
    sealed: &SealedSecret,
    data: &mut BTreeMap<String, Plaintext>,
    failures: &mut Vec<(String, String)>,
    options: TemplateOptions,
) {
    let Some(templates) = sealed.spec.template.data.as_ref().filter(|templates| !templates.is_empty()) else {
        return;
    };
    let texts: BTreeMap<&str, Plaintext> = templates
        .iter()
        .filter_map(|(entry, text)| Some((entry.as_str(), text.as_deref()?.into())))
        .collect();
    let sealed_entry = |entry: &str| sealed.spec.encrypted_data.contains_key(entry);
    let values = data.iter().map(|(entry, value)| (entry.as_str(), value));
    let siblings = texts.iter().filter(|(entry, _)| !data.contains_key(**entry));
    let dot = values.chain(siblings.map(|(entry, text)| (*entry, text)));
    let renderer = Renderer::new(Dialect::SealedSecrets, options, dot);
    for entry in templates.keys() {
        match texts.get(entry.as_str()).map(|text| renderer.render(entry, text)) {
            None => {
                data.remove(entry);
            }
            Some(Ok(value)) if !sealed_entry(entry) => {
                data.insert(entry.clone(), value);
            }
            Some(Ok(_)) => {}
            Some(Err(problem)) => failures.push((entry.clone(), problem.to_string())),
        }
    }
}

/// `spec.data`: one sealed value that holds a whole Secret.
fn old_format(
    sealed: &SealedSecret,
    data: &str,
    opener: &mut Opener<'_>,
    options: OpenOptions,
) -> Result<SecretObject, Failure> {
    if !sealed.spec.encrypted_data.is_empty() {
        return Err(Failure::unseal(
            "cannot use the field 'encryptedData' and the deprecated field 'data' at the same time",
        ));
    }
    if !options.accept_v1_data {
        return Err(Failure::unseal(V1_REFUSED));
    }
    let text = opener.value(data).map_err(Failure::unseal)?;
    let broken = || Failure::unseal("the sealed value is not one Secret in JSON or YAML");
    let mut documents = manifest::parse(text.expose()).map_err(|_| broken())?;
    let document = documents.pop().filter(|_| documents.is_empty()).ok_or_else(broken)?;
    let mut secret: SecretObject = document.root.read().map_err(|_| broken())?;
    secret.metadata = without_server_fields(secret.metadata);
    Ok(secret)
}

/// Drops what only the API server may set.
fn without_server_fields(mut metadata: Metadata) -> Metadata {
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.generation = None;
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.other.remove("managedFields");
    metadata.other.remove("selfLink");
    metadata
}

/// Returns the owner reference, unless the template asks for none or (offline) the object has no uid.
fn owner(sealed: &SealedSecret) -> Option<OwnerReference> {
    let template = sealed.spec.template.metadata.as_ref();
    let skip = template
        .and_then(|metadata| metadata.annotations().get(names::SKIP_SET_OWNER_REFERENCES))
        .is_some_and(|value| value == names::TRUE);
    if skip {
        return None;
    }
    Some(OwnerReference {
        api_version: SealedSecret::API_VERSION.to_owned(),
        kind: SealedSecret::KIND.to_owned(),
        name: sealed.metadata.name.clone()?,
        uid: sealed.metadata.uid.clone().filter(|uid| !uid.is_empty())?,
        controller: Some(true),
        block_owner_deletion: None,
    })
}
