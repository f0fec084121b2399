//! The folder as something that reconcilers read from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealops_crds::{ClusterSecretStore, Metadata, SecretStore};
use serde::de::DeserializeOwned;

use super::load::{Directory, Manifest};
use crate::object::{BoxFuture, ClusterReader, ConfigMapObject, ObjectReader, ReadError, SecretObject};

type Index = HashMap<(&'static str, String, String), usize>;

/// Reads the objects of a folder. Namespaced objects without a namespace are in the default namespace.
#[derive(Clone)]
pub(super) struct DirectoryReader {
    directory: Arc<Directory>,
    index: Arc<Index>,
}

const KINDS: [(&str, &str); 5] = [
    ("", "Secret"),
    ("", "ConfigMap"),
    (SecretStore::GROUP, SecretStore::KIND),
    (ClusterSecretStore::GROUP, ClusterSecretStore::KIND),
    ("", "Namespace"),
];

impl DirectoryReader {
    pub(super) fn new(directory: Arc<Directory>, default_namespace: &str) -> Self {
        let mut index = Index::new();
        for (position, manifest) in directory.manifests().iter().enumerate() {
            for (group, kind) in KINDS.into_iter().filter(|(group, kind)| manifest.is(group, kind)) {
                let cluster_wide =
                    kind == ClusterSecretStore::KIND || (group.is_empty() && kind == "Namespace");
                let namespace = if cluster_wide {
                    ""
                } else {
                    manifest.metadata("namespace").unwrap_or(default_namespace)
                };
                let name = manifest.metadata("name").unwrap_or_default();
                index.insert((kind, namespace.to_owned(), name.to_owned()), position);
            }
        }
        Self { directory, index: Arc::new(index) }
    }

    fn find<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, ReadError> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let Some(&position) = self.index.get(&key) else { return Ok(None) };
        let manifest: &Manifest = &self.directory.manifests()[position];
        manifest.root.read().map(Some).map_err(|error| ReadError {
            kind,
            name: format!("{namespace}/{name}"),
            problem: format!("{}: {error}", manifest.source()),
        })
    }
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

    fn namespace_labels<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        #[derive(serde::Deserialize)]
        struct Namespace {
            metadata: Metadata,
        }
        Box::pin(async move {
            let found: Option<Namespace> = self.find("Namespace", "", name)?;
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
        Box::pin(async move { self.reader.find("Secret", &self.namespace, name) })
    }

    fn config_map<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        Box::pin(async move { self.reader.find("ConfigMap", &self.namespace, name) })
    }

    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        Box::pin(async move { self.reader.find(SecretStore::KIND, &self.namespace, name) })
    }
}
