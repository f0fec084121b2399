//! Objects of any kind, as targets of ExternalSecrets. Their leaves may be secrets, so they are trees of
//! [`sealops_formats::Plaintext`] and no `serde_json::Value`.

use std::fmt;

use sealops_crds::Metadata;
use sealops_formats::Plaintext;
use sealops_formats::manifest::{Node, ReadError as ShapeError, Value, parse, to_json};

use super::ObjectKey;

/// Group, version and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ManifestKind {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
}

impl ManifestKind {
    /// Returns the kind of a version.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }

    /// Returns the group; empty for the core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Returns the version without the group.
    pub fn version(&self) -> &str {
        self.api_version.split_once('/').map_or(self.api_version.as_str(), |(_, version)| version)
    }
}

impl fmt::Display for ManifestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version, self.kind)
    }
}

/// A kind as the API server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKind {
    /// The kind.
    pub kind: ManifestKind,
    /// Its plural name, as in paths and rights.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// An object of any kind.
#[derive(Default)]
pub struct ManifestObject {
    /// Metadata, complete.
    pub metadata: Metadata,
    /// Every other field at the top, `apiVersion` and `kind` among them.
    pub fields: Vec<(String, Node)>,
}

/// Prints the key of the object only.
impl fmt::Debug for ManifestObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({})", ObjectKey::of(&self.metadata))
    }
}

impl ManifestObject {
    /// Returns an object of a kind without content.
    pub fn new(kind: &ManifestKind, key: &ObjectKey) -> Self {
        let fields = vec![
            ("apiVersion".to_owned(), Node::text(kind.api_version.as_str())),
            ("kind".to_owned(), Node::text(kind.kind.as_str())),
        ];
        Self { metadata: Metadata::named(key.namespace.as_str(), key.name.as_str()), fields }
    }

    /// Reads the JSON of one object.
    ///
    /// # Errors
    /// Returns the place that does not fit, never a value.
    pub fn from_json(text: &Plaintext) -> Result<Self, ShapeError> {
        let unreadable =
            |problem: &str| ShapeError { line: 0, path: String::new(), problem: problem.to_owned() };
        let mut documents = parse(text.expose()).map_err(|_| unreadable("this is not JSON"))?;
        let root = documents
            .pop()
            .filter(|_| documents.is_empty())
            .ok_or_else(|| unreadable("expected one object"))?;
        let Value::Map(entries) = root.root.value else { return Err(unreadable("expected an object")) };
        let mut object = Self::default();
        for (name, node) in entries {
            if name == "metadata" {
                object.metadata = node.read()?;
            } else {
                object.fields.push((name, node));
            }
        }
        Ok(object)
    }

    /// Returns the object as JSON: a request body.
    pub fn to_json(&self) -> Plaintext {
        let metadata = serde_json::to_value(&self.metadata).unwrap_or_default();
        let mut entries = vec![("metadata".to_owned(), Node::from(metadata))];
        entries.extend(self.fields.iter().map(|(name, node)| (name.clone(), duplicate(node))));
        to_json(&Node::map(entries))
    }

    /// Returns a field at the top.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, node)| node)
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        let fields = self.fields.iter().map(|(name, node)| (name.clone(), duplicate(node))).collect();
        Self { metadata: self.metadata.clone(), fields }
    }

    /// Returns what changes with each change of the content: the uid, and the generation where the kind counts one.
    pub fn version(&self) -> String {
        version(&self.metadata)
    }

    /// Returns whether both are the same as far as a reconciler decides it: all but the status.
    pub fn same_content(&self, other: &Self) -> bool {
        let (own, others) = (&self.metadata, &other.metadata);
        let decided = |object: &Self| object.fields.iter().filter(|(name, _)| name != "status").count();
        own.labels() == others.labels()
            && own.annotations() == others.annotations()
            && own.owner_references == others.owner_references
            && own.finalizers == others.finalizers
            && decided(self) == decided(other)
            && self
                .fields
                .iter()
                .filter(|(name, _)| name != "status")
                .all(|(name, node)| other.field(name).is_some_and(|other| same(node, other)))
    }

    /// Returns every text in the object's fields.
    pub fn leaves(&self) -> Vec<&Plaintext> {
        let mut found = Vec::new();
        let own = |name: &str| !matches!(name, "apiVersion" | "kind" | "status");
        self.fields.iter().filter(|(name, _)| own(name)).for_each(|(_, node)| leaves(node, &mut found));
        found
    }
}

/// As [`ManifestObject::version`], of metadata alone.
pub fn version(metadata: &Metadata) -> String {
    let uid = metadata.uid.as_deref().unwrap_or_default();
    match metadata.generation {
        Some(generation) => format!("{uid} {generation}"),
        None => format!("{uid} {}", metadata.resource_version.as_deref().unwrap_or_default()),
    }
}

/// Makes a second copy of a tree, on purpose.
fn duplicate(node: &Node) -> Node {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::Scalar(kind, text) => Value::Scalar(*kind, text.duplicate()),
        Value::List(items) => Value::List(items.iter().map(duplicate).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(name, node)| (name.clone(), duplicate(node))).collect())
        }
    };
    Node { line: 0, value }
}

/// Compares two trees; the order in maps does not count.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(kind, text), Value::Scalar(others, other)) => kind == others && text.ct_eq(other),
        (Value::List(items), Value::List(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(one, other)| same(one, other))
        }
        (Value::Map(entries), Value::Map(others)) => {
            entries.len() == others.len()
                && entries.iter().all(|(name, node)| other.child(name).is_some_and(|other| same(node, other)))
        }
        _ => false,
    }
}

fn leaves<'a>(node: &'a Node, found: &mut Vec<&'a Plaintext>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(_, text) => found.push(text),
        Value::List(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, node)| leaves(node, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n",
        "uid": "u", "resourceVersion": "7", "labels": {"x": "y"}}, "data": {"k": "hunter2", "yes": "true"},
        "spec": {"on": true, "n": 3, "list": [1.5, null]}, "status": {"a": 1}}"#;

    #[test]
    fn an_object_survives_a_round_trip_and_is_never_printed() {
        let object = ManifestObject::from_json(&TEXT.into()).unwrap();
        assert_eq!(object.version(), "u 7");
        let again = ManifestObject::from_json(&object.to_json()).unwrap();
        assert!(again.same_content(&object) && object.duplicate().same_content(&object));
        assert_eq!(format!("{object:?}"), "Manifest(n/a)");
        assert_eq!(object.field("data").unwrap().str_at(&["yes"]), Some("true"));
    }

    #[test]
    fn the_status_alone_is_no_difference() {
        let object = ManifestObject::from_json(&TEXT.into()).unwrap();
        for (change, expected) in [(r#"{"a": 1}}"#, r#"{"a": 2}}"#), (r#", "status": {"a": 1}}"#, "}")]
            .map(|(from, to)| (TEXT.replace(from, to), true))
            .into_iter()
            .chain(
                [("hunter2", "hunter3"), ("\"n\": 3", "\"n\": \"3\""), ("null", "0"), ("\"x\": \"y\"", "")]
                    .map(|(from, to)| (TEXT.replace(from, to), false)),
            )
        {
            let other = ManifestObject::from_json(&change.as_str().into()).unwrap();
            assert_eq!(object.same_content(&other), expected, "{change}");
        }
        assert!(ManifestObject::from_json(&"[1]".into()).is_err());
    }
}
