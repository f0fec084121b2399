//! The folder as something that reconcilers read from, with the Secrets that were made of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use sealops_crds::generators::{self, ClusterGenerator};
use sealops_crds::{ClusterSecretStore, Metadata, SecretStore};
use sealops_formats::Plaintext;
use sealops_formats::manifest::ReadError as ShapeError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::load::{Directory, Manifest};
use crate::external::generator_plural;
use crate::object::{
    BoxFuture, ClusterReader, ConfigMapObject, ObjectKey, ObjectReader, ReadError, SecretObject,
};

type Index = HashMap<(&'static str, String, String), usize>;

/// Reads the objects of a folder. Namespaced objects without a namespace are in the default namespace.
#[derive(Clone)]
pub(super) struct DirectoryReader {
    directory: Arc<Directory>,
    index: Arc<Index>,
    made: Arc<RwLock<HashMap<ObjectKey, SecretObject>>>,
}

const KINDS: [(&str, &str); 7] = [
    ("", "Secret"),
    ("", "ConfigMap"),
    ("", "ServiceAccount"),
    (SecretStore::GROUP, SecretStore::KIND),
    (ClusterSecretStore::GROUP, ClusterSecretStore::KIND),
    (generators::GROUP, ClusterGenerator::KIND),
    ("", "Namespace"),
];
/// The type that the API server gives to a Secret without one.
const OPAQUE: &str = "Opaque";
const CLUSTER_WIDE: [&str; 3] = [ClusterSecretStore::KIND, ClusterGenerator::KIND, "Namespace"];

/// Returns the kind under which an object is found: its own, or the plural of a generator.
fn indexed(manifest: &Manifest) -> Option<&'static str> {
    let known = KINDS.into_iter().find(|(group, kind)| manifest.is(group, kind)).map(|(_, kind)| kind);
    known.or_else(|| {
        let plural = generator_plural(manifest.kind())?;
        manifest.is(generators::GROUP, manifest.kind()).then_some(plural)
    })
}

impl DirectoryReader {
    pub(super) fn new(directory: Arc<Directory>, default_namespace: &str) -> Self {
        let mut index = Index::new();
        for (position, manifest) in directory.manifests().iter().enumerate() {
            let Some(kind) = indexed(manifest) else { continue };
            let namespace = if CLUSTER_WIDE.contains(&kind) {
                ""
            } else {
                manifest.metadata("namespace").unwrap_or(default_namespace)
            };
            let name = manifest.metadata("name").unwrap_or_default();
            index.insert((kind, namespace.to_owned(), name.to_owned()), position);
        }
        Self { directory, index: Arc::new(index), made: Arc::default() }
    }

    /// Adds a Secret that was made of an object of the folder: others may read it.
    pub(super) fn add(&self, secret: SecretObject) {
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        made.insert(ObjectKey::of(&secret.metadata), secret);
    }

    /// Returns whether the folder has an object of a kind, as a manifest.
    pub(super) fn has(&self, kind: &'static str, namespace: &str, name: &str) -> bool {
        self.manifest(kind, namespace, name).is_some()
    }

    fn manifest(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Manifest> {
        let position = self.index.get(&(kind, namespace.to_owned(), name.to_owned()))?;
        Some(&self.directory.manifests()[*position])
    }

    fn find<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, ReadError> {
        let Some(manifest) = self.manifest(kind, namespace, name) else { return Ok(None) };
        let unfit = |error| unfit(manifest, kind, namespace, name, &error);
        manifest.root.read().map(Some).map_err(unfit)
    }

    /// A Secret as the API server would hold it: `stringData` wins over `data`, no type is `Opaque`, and it has a namespace.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Result<Option<SecretObject>, ReadError> {
        let key = ObjectKey::new(namespace, name);
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.get(&key) {
            return Ok(Some(made.duplicate()));
        }
        drop(made);
        let Some(manifest) = self.manifest("Secret", namespace, name) else { return Ok(None) };
        if manifest.root.child("sops").is_some() {
            let problem = format!(
                "{}: SOPS has encrypted it; decrypt the file into the folder first",
                manifest.source()
            );
            return Err(ReadError { kind: "Secret", name: key.to_string(), problem });
        }
        let unfit = |error| unfit(manifest, "Secret", namespace, name, &error);
        let mut secret: SecretObject = manifest.root.read().map_err(unfit)?;
        if let Some(texts) = manifest.root.child("stringData").filter(|texts| !texts.is_null()) {
            let texts: BTreeMap<String, Option<Plaintext>> = texts.read().map_err(unfit)?;
            secret.data.extend(texts.into_iter().map(|(key, text)| (key, text.unwrap_or_default())));
        }
        secret.type_.get_or_insert_with(|| OPAQUE.to_owned());
        secret.metadata.namespace = Some(namespace.to_owned());
        Ok(Some(secret))
    }
}

fn unfit(
    manifest: &Manifest,
    kind: &'static str,
    namespace: &str,
    name: &str,
    error: &ShapeError,
) -> ReadError {
    ReadError {
        kind,
        name: format!("{namespace}/{name}"),
        problem: format!("{}: {error}", manifest.source()),
    }
}

#[derive(Deserialize)]
struct OnlyMetadata {
    metadata: Metadata,
}

impl ClusterReader for DirectoryReader {
    fn in_namespace(&self, namespace: &str) -> Box<dyn ObjectReader> {
        Box::new(NamespaceReader { reader: self.clone(), namespace: namespace.to_owned() })
    }

    fn cluster_secret_store<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>> {
        Box::pin(async move { self.find(ClusterSecretStore::KIND, "", name) })
    }

    fn cluster_generator<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterGenerator>, ReadError>> {
        Box::pin(async move { self.find(ClusterGenerator::KIND, "", name) })
    }

    fn namespace_labels<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        Box::pin(async move {
            let found: Option<OnlyMetadata> = self.find("Namespace", "", name)?;
            Ok(found.map(|namespace| namespace.metadata.labels().clone()))
        })
    }
}

struct NamespaceReader {
    reader: DirectoryReader,
    namespace: String,
}

impl ObjectReader for NamespaceReader {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        Box::pin(async move { self.reader.secret(&self.namespace, name) })
    }

    fn config_map<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        Box::pin(async move { self.reader.find("ConfigMap", &self.namespace, name) })
    }

    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        Box::pin(async move {
            let mut found: Option<SecretStore> =
                self.reader.find(SecretStore::KIND, &self.namespace, name)?;
            if let Some(store) = &mut found {
                // It may name none, and what it refers to is in its own.
                store.metadata.namespace = Some(self.namespace.clone());
            }
            Ok(found)
        })
    }

    fn service_account<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Metadata>, ReadError>> {
        Box::pin(async move {
            let found: Option<OnlyMetadata> = self.reader.find("ServiceAccount", &self.namespace, name)?;
            Ok(found.map(|account| account.metadata))
        })
    }

    fn generator<'a>(
        &'a self,
        plural: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>, ReadError>> {
        #[derive(Deserialize)]
        struct Generator {
            #[serde(default)]
            spec: Value,
        }
        Box::pin(async move {
            let key = self.reader.index.keys().find(|(kind, ..)| *kind == plural).map(|(kind, ..)| *kind);
            let Some(kind) = key else { return Ok(None) };
            let found: Option<Generator> = self.reader.find(kind, &self.namespace, name)?;
            Ok(found.map(|generator| generator.spec))
        })
    }
}
