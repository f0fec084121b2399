//! Objects as reconcilers see them, and the one way in which they read them.
//!
//! An [`ObjectReader`] sees one namespace and nothing else, so that a reference into another namespace cannot be
//! written down. What is not namespaced is read through a [`ClusterReader`].

mod manifest;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use sealops_crds::generators::ClusterGenerator;
use sealops_crds::secret_store::{ClusterSecretStore, SecretStore};
use sealops_crds::{Metadata, OwnerReference};
use sealops_formats::manifest::{Node, ReadError as ShapeError, parse, to_json};
use sealops_formats::{Plaintext, base64};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use manifest::{ManifestKind, ManifestObject, ServedKind, version as manifest_version};

/// All values of a Secret, as the API server counts them (`MaxSecretSize`).
const MAX_VALUES_BYTES: usize = 1 << 20;
/// Names and values of a Secret: an object of etcd, by its default (`--max-request-bytes`).
const MAX_STORED_BYTES: usize = 3 << 19;

/// The problem of a reader that makes no tokens: no server is at fault.
pub(crate) const NO_TOKENS: &str = "tokens of service accounts come from a cluster only";

/// A boxed future, so that the traits here can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Namespace and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// Returns the key of a namespace and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Returns the key of an object, with empty parts where the metadata has none.
    pub fn of(metadata: &Metadata) -> Self {
        Self::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A core/v1 Secret. Its data goes from the text of the API server or a file straight into [`Plaintext`].
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretObject {
    /// Metadata, complete.
    pub metadata: Metadata,
    /// Type; `None` means that the API server chooses (`Opaque`).
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// Whether the data is fixed for good.
    pub immutable: Option<bool>,
    /// Entries, decoded.
    #[serde(deserialize_with = "entries")]
    pub data: BTreeMap<String, Plaintext>,
}

/// Prints the key of the object only.
impl fmt::Debug for SecretObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", ObjectKey::of(&self.metadata))
    }
}

impl SecretObject {
    /// Reads the JSON of one Secret.
    ///
    /// # Errors
    /// Returns the place that does not fit, never a value.
    pub fn from_json(text: &Plaintext) -> Result<Self, ShapeError> {
        one_object(text)
    }

    /// Returns the object as a tree, in the order in which kubectl prints it.
    pub fn to_node(&self) -> Node {
        let metadata = serde_json::to_value(&self.metadata).unwrap_or_default();
        let data =
            self.data.iter().map(|(name, value)| (name.as_str(), Node::text(base64::encode(value.expose()))));
        let mut entries = vec![
            ("apiVersion", Node::text("v1")),
            ("kind", Node::text("Secret")),
            ("metadata", Node::from(metadata)),
        ];
        if !self.data.is_empty() {
            entries.push(("data", Node::map(data)));
        }
        if let Some(immutable) = self.immutable {
            entries.push(("immutable", Node::bool(immutable)));
        }
        if let Some(type_) = &self.type_ {
            entries.push(("type", Node::text(type_.as_str())));
        }
        Node::map(entries)
    }

    /// Returns the object as JSON: a request body.
    pub fn to_json(&self) -> Plaintext {
        to_json(&self.to_node())
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            type_: self.type_.clone(),
            immutable: self.immutable,
            data: self.data.iter().map(|(name, value)| (name.clone(), value.duplicate())).collect(),
        }
    }

    /// Returns why the API server could not store this, with sizes and the name of the largest entry; `None` where it
    /// could. Entries of any number are fine within the sizes.
    pub fn size_problem(&self) -> Option<String> {
        let values: usize = self.data.values().map(Plaintext::len).sum();
        let names: usize = self.data.keys().map(String::len).sum();
        let (what, most) = if values > MAX_VALUES_BYTES {
            ("data: Too long: may not be more than", MAX_VALUES_BYTES)
        } else if values + names > MAX_STORED_BYTES {
            ("data: names and values together may not be more than", MAX_STORED_BYTES)
        } else {
            return None;
        };
        let (largest, size) =
            self.data.iter().map(|(name, value)| (name, value.len())).max_by_key(|(_, size)| *size)?;
        Some(format!(
            "{what} {most} bytes; there are {} entries with {values} bytes in values and {names} in names, the largest is {largest} with {size}",
            self.data.len()
        ))
    }

    /// Returns whether both have the same entries.
    pub fn same_data(&self, other: &Self) -> bool {
        self.data.len() == other.data.len()
            && self.data.iter().all(|(name, value)| other.data.get(name).is_some_and(|own| own.ct_eq(value)))
    }

    /// Returns whether both are the same as far as a reconciler decides it.
    pub fn same_content(&self, other: &Self) -> bool {
        let type_of = |secret: &Self| secret.type_.clone().unwrap_or_else(|| "Opaque".to_owned());
        self.metadata.labels() == other.metadata.labels()
            && self.metadata.annotations() == other.metadata.annotations()
            && self.metadata.owner_references == other.metadata.owner_references
            && self.metadata.finalizers == other.metadata.finalizers
            && self.immutable.unwrap_or(false) == other.immutable.unwrap_or(false)
            && type_of(self) == type_of(other)
            && self.same_data(other)
    }
}

/// A core/v1 ConfigMap, as far as templates and stores read it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ConfigMapObject {
    /// Metadata, complete.
    pub metadata: Metadata,
    /// Entries that are text.
    #[serde(deserialize_with = "texts")]
    pub data: BTreeMap<String, Plaintext>,
}

impl ConfigMapObject {
    /// Reads the JSON of one ConfigMap.
    ///
    /// # Errors
    /// Returns the place that does not fit, never a value.
    pub fn from_json(text: &Plaintext) -> Result<Self, ShapeError> {
        one_object(text)
    }
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Plaintext>, D::Error> {
    Ok(Option::<BTreeMap<String, Plaintext>>::deserialize(deserializer)?.unwrap_or_default())
}

fn one_object<T: DeserializeOwned>(text: &Plaintext) -> Result<T, ShapeError> {
    let unreadable = |problem: &str| ShapeError { line: 0, path: String::new(), problem: problem.to_owned() };
    let mut documents = parse(text.expose()).map_err(|_| unreadable("this is not JSON"))?;
    match documents.pop() {
        Some(document) if documents.is_empty() => document.root.read(),
        _ => Err(unreadable("expected one object")),
    }
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Plaintext>, D::Error> {
    let texts = Option::<BTreeMap<String, Option<Plaintext>>>::deserialize(deserializer)?.unwrap_or_default();
    texts
        .into_iter()
        .map(|(name, text)| {
            let text = text.unwrap_or_default();
            let value = base64::decode(text.expose()).map_err(serde::de::Error::custom)?;
            Ok((name, value))
        })
        .collect()
}

/// Returns the reference that marks the controlling owner, if there is one.
pub fn controller_of(metadata: &Metadata) -> Option<&OwnerReference> {
    metadata.owner_references.iter().find(|owner| owner.controller == Some(true))
}

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {kind} {name}: {problem}")]
pub struct ReadError {
    /// Kind of the object.
    pub kind: &'static str,
    /// Its name, with the namespace where it has one.
    pub name: String,
    /// Status of the API server or position in the file, without content.
    pub problem: String,
}

/// Reads the objects of one namespace.
pub trait ObjectReader: Send + Sync {
    /// Returns a Secret, `None` where there is none.
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>>;
    /// Returns a ConfigMap, `None` where there is none.
    fn config_map<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>>;
    /// Returns a SecretStore, `None` where there is none.
    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>>;

    /// Returns the metadata of a ServiceAccount, `None` where there is none. Files have none to show.
    fn service_account<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Metadata>, ReadError>> {
        Box::pin(async { Ok(None) })
    }

    /// Returns the settings of a generator by the plural of its kind, `None` where there is none. Files have none to
    /// show.
    fn generator<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<Value>, ReadError>> {
        Box::pin(async { Ok(None) })
    }

    /// Returns an object of any kind that has namespaces, `None` where there is none. Files have none to show.
    fn manifest<'a>(
        &'a self,
        _: &'a ServedKind,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<ManifestObject>, ReadError>> {
        Box::pin(async { Ok(None) })
    }

    /// Returns a new token of a ServiceAccount. Only a cluster makes tokens.
    fn token<'a>(&'a self, account: &'a str, _: &'a TokenAsk) -> BoxFuture<'a, Result<Plaintext, ReadError>> {
        let problem = NO_TOKENS.to_owned();
        let error = ReadError { kind: "ServiceAccount", name: account.to_owned(), problem };
        Box::pin(async move { Err(error) })
    }
}

/// What kind of token is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenAsk {
    /// Who it is for; none is the API server.
    pub audiences: Vec<String>,
    /// Its life in seconds; the API server gives 600 at least.
    pub seconds: i64,
}

/// Reads the objects that have no namespace, and hands out readers of one namespace.
pub trait ClusterReader: Send + Sync {
    /// Returns the reader of one namespace.
    fn in_namespace(&self, namespace: &str) -> Box<dyn ObjectReader>;
    /// Returns a ClusterSecretStore, `None` where there is none.
    fn cluster_secret_store<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>>;
    /// Returns a ClusterGenerator, `None` where there is none. Files have none to show.
    fn cluster_generator<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterGenerator>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    /// Returns how a kind is served, `None` where it is not. Files serve nothing.
    fn served<'a>(&'a self, _: &'a ManifestKind) -> BoxFuture<'a, Result<Option<ServedKind>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    /// Returns the labels of a namespace, `None` where there is none.
    fn namespace_labels<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>>;
}
