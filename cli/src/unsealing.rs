//! SealedSecrets → Secrets without a cluster, for both fronts.

use sealops_controller::HINT_ANNOTATION;
use sealops_controller::object::SecretObject;
use sealops_controller::sealed::{OpenOptions, open, scope_of};
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{Fingerprint, Label, Scope, SealingKeyRing};
use sealops_formats::base64;
use sealops_formats::manifest::{Node, Value};

use crate::error::CommandError;

/// Reads a SealedSecret. `default_namespace` is for objects that name none.
pub(crate) fn read_sealed(
    root: &Node,
    default_namespace: Option<&str>,
) -> Result<SealedSecret, CommandError> {
    let kind = root.str_at(&["kind"]).unwrap_or("nothing");
    if kind != SealedSecret::KIND || root.str_at(&["apiVersion"]) != Some(SealedSecret::API_VERSION) {
        return Err(CommandError::input(format!(
            "expected a bitnami.com/v1alpha1 SealedSecret, found {kind}"
        )));
    }
    let mut sealed: SealedSecret = root.read().map_err(CommandError::input)?;
    let namespace = &mut sealed.metadata.namespace;
    if namespace.as_ref().is_none_or(String::is_empty) {
        *namespace = default_namespace.map(str::to_owned);
    }
    Ok(sealed)
}

/// Opens a SealedSecret. A cluster-wide one may be without a namespace, as sealing leaves it.
pub(crate) fn unseal(
    mut sealed: SealedSecret,
    keys: &SealingKeyRing,
    options: OpenOptions,
) -> Result<SecretObject, CommandError> {
    let metadata = &mut sealed.metadata;
    if metadata.namespace.is_none() {
        if scope_of(metadata.annotations()) != Scope::ClusterWide {
            return Err(
                CommandError::input("the SealedSecret has no namespace").hint("--namespace NAME gives one")
            );
        }
        metadata.namespace = Some(String::new());
    }
    let hint = metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text));
    let opened = open(&sealed, keys, hint.as_ref(), options)
        .map_err(|failure| CommandError::input(failure.message).hint(likely_cause(&sealed, keys)))?;
    let mut secret = opened.secret;
    secret.metadata.namespace = secret.metadata.namespace.filter(|namespace| !namespace.is_empty());
    Ok(secret)
}

/// Returns what is probably wrong. RSA cannot tell a wrong label from a wrong key, so one value is tried for the other two
/// scopes.
fn likely_cause(sealed: &SealedSecret, keys: &SealingKeyRing) -> String {
    let metadata = &sealed.metadata;
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let (namespace, name) = (part(&metadata.namespace), part(&metadata.name));
    let own = scope_of(metadata.annotations());
    let value = sealed.spec.encrypted_data.values().find_map(|text| base64::decode(text.as_bytes()).ok());
    let opens = |scope: &Scope| {
        let label = Label::for_secret(*scope, &namespace, &name);
        value.as_ref().is_some_and(|value| keys.unseal(&label, value.expose(), None).is_ok())
    };
    match Scope::ALL.into_iter().filter(|scope| *scope != own).find(opens) {
        Some(scope) => format!(
            "the values were sealed for the scope {scope}, the object's annotations say {own}: the annotation \
             sealedsecrets.bitnami.com/{scope} belongs into the SealedSecret's own metadata"
        ),
        None if own == Scope::Strict => format!(
            "it was sealed for another key, or for another name or namespace than {namespace}/{name}: a strict value \
             opens under its own only"
        ),
        None => "it was sealed for another key or namespace".to_owned(),
    }
}

/// Returns a Secret as a tree in the order in which kubeseal prints it.
pub(crate) fn secret_node(secret: &SecretObject) -> Node {
    let mut node = secret.to_node();
    if let Value::Map(entries) = &mut node.value {
        entries.sort_by_key(|(name, _)| ORDER.iter().position(|own| own == name));
    }
    node
}

const ORDER: [&str; 6] = ["kind", "apiVersion", "metadata", "immutable", "data", "type"];
