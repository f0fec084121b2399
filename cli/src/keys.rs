//! Private sealing keys from files: PEM, or Secrets and Lists of them as `kubectl get -o yaml` saves them; or folders.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_controller::object::SecretObject;
use sealops_controller::sealed::{KeyOrder, read_key_secret};
use sealops_crypto::sealing::{Certificate, KeyError, RingKey, SealingKey, SealingKeyRing};
use sealops_formats::Plaintext;
use sealops_formats::manifest::{self, Node, Value};

use crate::error::CommandError;
use crate::{files, ui};

/// Largest file with keys that is read.
const MAX_BYTES: usize = 16 << 20;
/// Most files of one folder with keys.
const MAX_FILES: usize = 10_000;

/// Keys with what is known of their certificates.
#[derive(Default)]
pub(crate) struct Keys {
    keys: Vec<RingKey>,
    /// With the time that orders the keys.
    certificates: Vec<(i64, Certificate)>,
}

impl Keys {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.certificates.extend(other.certificates);
    }

    /// Returns the certificate of the newest key, where key Secrets brought one.
    pub(crate) fn newest_certificate(&mut self) -> Option<Certificate> {
        self.certificates.sort_by_key(|(order, _)| *order);
        self.certificates.pop().map(|(_, certificate)| certificate)
    }

    pub(crate) fn into_ring(self) -> SealingKeyRing {
        SealingKeyRing::new(self.keys)
    }

    /// Takes the key of a Secret. `place` is for the error.
    pub(crate) fn add_secret(&mut self, secret: &SecretObject, place: &str) -> Result<(), CommandError> {
        let fail = |error: &dyn Display| CommandError::input(error).within(place);
        let Some(key) = secret.data.get("tls.key") else {
            // Upstream's text, with its slip of the pen and without a place.
            return Err(CommandError::input("secret must contain a 'tls.data' key"));
        };
        // A key without its certificate opens as well; only its place in the order is not known.
        if secret.data.contains_key("tls.crt") {
            let (key, certificate) =
                read_key_secret(secret, KeyOrder::CertNotBefore).map_err(|error| fail(&error))?;
            self.certificates.push((key.order, certificate));
            self.keys.push(key);
        } else {
            let key = SealingKey::from_pem(key).map_err(|error| fail(&error))?;
            self.keys.push(RingKey { key: Arc::new(key), order: 0 });
        }
        Ok(())
    }
}

/// Reads every key of every file; each has to hold one.
pub(crate) fn read(paths: &[PathBuf]) -> Result<SealingKeyRing, CommandError> {
    read_all(paths).map(Keys::into_ring)
}

/// As [`read`], with the certificates.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Keys, CommandError> {
    let mut keys = Keys::default();
    for path in paths {
        let found = read_path(path)?;
        if found.is_empty() {
            let text = format!("{}: there is no private key in this file", path.display());
            return Err(CommandError::input(text).hint(
                "a key is PEM, or a Secret with tls.key: kubectl get secret -n kube-system -l \
                 sealedsecrets.bitnami.com/sealed-secrets-key -o yaml > keys.yaml",
            ));
        }
        keys.extend(found);
    }
    Ok(keys)
}

/// Reads the keys of one file or folder; one without any is no error here.
pub(crate) fn read_path(path: &Path) -> Result<Keys, CommandError> {
    if !path.is_dir() {
        return from_text(&files::read(path, MAX_BYTES)?, &path.display().to_string());
    }
    let mut keys = Keys::default();
    for file in files::list(path, MAX_FILES)? {
        let name = file.display().to_string();
        match files::read(&file, MAX_BYTES).and_then(|text| from_text(&text, &name)) {
            Ok(found) => keys.extend(found),
            // A folder may hold more than keys.
            Err(error) => ui::warn(&format!("passed over: {}", error.error)),
        }
    }
    Ok(keys)
}

/// Reads the keys of a text.
pub(crate) fn from_text(text: &Plaintext, name: &str) -> Result<Keys, CommandError> {
    match SealingKey::from_pem(text) {
        Ok(key) => {
            Ok(Keys { keys: vec![RingKey { key: Arc::new(key), order: 0 }], certificates: Vec::new() })
        }
        Err(KeyError::Missing | KeyError::TooLarge) => from_manifests(text, name),
        Err(error) => Err(CommandError::input(error).within(name)),
    }
}

fn from_manifests(text: &Plaintext, name: &str) -> Result<Keys, CommandError> {
    let mut keys = Keys::default();
    for secret in secrets(text, name)? {
        let own = secret.metadata.name.as_deref().unwrap_or_default();
        keys.add_secret(&secret, &format!("{name}: Secret {own}"))?;
    }
    Ok(keys)
}

/// Reads the Secrets of a text. One that is no manifest has none.
pub(crate) fn secrets(text: &Plaintext, name: &str) -> Result<Vec<SecretObject>, CommandError> {
    let Ok(documents) = manifest::parse(text.expose()) else { return Ok(Vec::new()) };
    let nodes = documents.iter().flat_map(|document| items(&document.root));
    nodes.map(|node| node.read().map_err(|error| CommandError::input(error).within(name))).collect()
}

/// Returns the Secrets of a document: itself, or the items of a List.
fn items(root: &Node) -> impl Iterator<Item = &Node> {
    let list = match root.child("items").map(|items| &items.value) {
        Some(Value::List(items)) => items.iter().collect(),
        _ => vec![root],
    };
    // Items of the API server's own lists carry no kind.
    let is_list = root.str_at(&["kind"]) == Some("SecretList");
    list.into_iter().filter(move |node| match node.str_at(&["kind"]) {
        Some(kind) => kind == "Secret",
        None => is_list,
    })
}
