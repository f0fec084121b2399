//! Private sealing keys from files: PEM, or Secrets and Lists of them as `kubectl get -o yaml` saves them.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_controller::object::SecretObject;
use sealops_controller::sealed::{KeyOrder, read_key_secret};
use sealops_crypto::sealing::{KeyError, RingKey, SealingKey, SealingKeyRing};
use sealops_formats::Plaintext;
use sealops_formats::manifest::{self, Node, Value};

use crate::error::CommandError;
use crate::files;

/// Largest file with keys that is read.
const MAX_BYTES: usize = 16 << 20;

/// Reads every key of every file.
pub(crate) fn read(paths: &[PathBuf]) -> Result<SealingKeyRing, CommandError> {
    let mut keys = Vec::new();
    for path in paths {
        let found = read_file(path)?;
        if found.is_empty() {
            return Err(CommandError::input(format!(
                "{}: there is no private key in this file",
                path.display()
            ))
            .hint(
                "a key is PEM, or a Secret with tls.key: kubectl get secret -n kube-system -l \
                       sealedsecrets.bitnami.com/sealed-secrets-key -o yaml > keys.yaml",
            ));
        }
        keys.extend(found);
    }
    Ok(SealingKeyRing::new(keys))
}

/// Reads the keys of one file; a file without any is no error here.
pub(crate) fn read_file(path: &Path) -> Result<Vec<RingKey>, CommandError> {
    let text = files::read(path, MAX_BYTES)?;
    match SealingKey::from_pem(&text) {
        Ok(key) => Ok(vec![RingKey { key: Arc::new(key), order: 0 }]),
        Err(KeyError::Missing | KeyError::TooLarge) => from_manifests(&text, path),
        Err(error) => Err(CommandError::input(error).within(path.display())),
    }
}

fn from_manifests(text: &Plaintext, path: &Path) -> Result<Vec<RingKey>, CommandError> {
    // Neither PEM nor a manifest: nothing that could be a key.
    let Ok(documents) = manifest::parse(text.expose()) else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for document in &documents {
        for node in items(&document.root) {
            keys.push(from_secret(node, path)?);
        }
    }
    Ok(keys)
}

/// Returns the Secrets of a document: itself, or the items of a List.
fn items(root: &Node) -> impl Iterator<Item = &Node> {
    let list = match root.child("items").map(|items| &items.value) {
        Some(Value::List(items)) => items.iter().collect(),
        _ => vec![root],
    };
    list.into_iter().filter(|node| node.str_at(&["kind"]) == Some("Secret"))
}

fn from_secret(node: &Node, path: &Path) -> Result<RingKey, CommandError> {
    let secret: SecretObject =
        node.read().map_err(|error| CommandError::input(error).within(path.display()))?;
    let name = secret.metadata.name.clone().unwrap_or_default();
    let place = format!("{}: Secret {name}", path.display());
    let fail = |error: &dyn Display| CommandError::input(error).within(&place);
    let Some(key) = secret.data.get("tls.key") else {
        // Upstream's text, with its slip of the pen and without a place.
        return Err(CommandError::input("secret must contain a 'tls.data' key"));
    };
    // A key without its certificate opens as well; only its place in the order is not known.
    if secret.data.contains_key("tls.crt") {
        read_key_secret(&secret, KeyOrder::CertNotBefore).map(|(key, _)| key).map_err(|error| fail(&error))
    } else {
        let key = SealingKey::from_pem(key).map_err(|error| fail(&error))?;
        Ok(RingKey { key: Arc::new(key), order: 0 })
    }
}
