//! The CRDs, made from the types (feature `schema`).
//!
//! ```text
//! types ──schemars──► JSON schema ──structural──► structural schema ──extras (one table)──► CRD ──yaml──► crds/*.yaml
//! ```
//!
//! Structural schemas are the subset of OpenAPI 3.0 that apiextensions.k8s.io/v1 takes. The derived schema says which
//! fields there are, of which type, and what they mean; everything else (what is required, defaults, patterns, names,
//! printer columns) is in the table of [`extras`].

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

pub mod extras;
mod structural;
#[cfg(test)]
mod tests;
mod yaml;

use extras::Kind;

/// A file of `crds/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Name within `crds/`.
    pub name: String,
    /// Contents.
    pub text: String,
}

/// The command that writes the files.
pub const COMMAND: &str = "cargo run -p sealops-crds --features schema --bin crdgen";

/// Returns the CRD files.
///
/// # Panics
///
/// When the table of extras names a field that the types do not have.
pub fn files() -> Vec<File> {
    extras::KINDS.iter().map(file).collect()
}

fn file(kind: &Kind) -> File {
    let header =
        format!("# Generated from the types of sealops-crds; do not edit. To write it again: {COMMAND}\n");
    File {
        name: format!("{}_{}.yaml", kind.group, kind.plural),
        text: header + &yaml::document(&definition(kind)),
    }
}

fn definition(kind: &Kind) -> Value {
    let mut metadata = json!({ "name": format!("{}.{}", kind.plural, kind.group) });
    if !kind.labels.is_empty() {
        metadata["labels"] =
            kind.labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<Map<_, _>>().into();
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": { "group": kind.group, "names": names(kind), "scope": kind.scope, "versions": versions(kind) },
    })
}

fn names(kind: &Kind) -> Value {
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.kind.to_lowercase(),
    });
    if !kind.short_names.is_empty() {
        names["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        names["categories"] = json!(kind.categories);
    }
    names
}

fn versions(kind: &Kind) -> Vec<Value> {
    std::iter::once(current(kind)).chain(kind.former_versions.iter().map(|name| former(kind, name))).collect()
}

fn current(kind: &Kind) -> Value {
    let columns =
        kind.columns.iter().map(|(name, kind, path)| json!({ "name": name, "type": kind, "jsonPath": path }));
    let mut version = json!({
        "name": kind.version,
        "served": true,
        "storage": true,
    });
    if !kind.columns.is_empty() {
        version["additionalPrinterColumns"] = columns.collect::<Vec<_>>().into();
    }
    if !kind.selectable.is_empty() {
        version["selectableFields"] =
            kind.selectable.iter().map(|path| json!({ "jsonPath": path })).collect();
    }
    if kind.status {
        version["subresources"] = json!({ "status": {} });
    }
    version["schema"] = json!({ "openAPIV3Schema": schema(kind) });
    version
}

/// A version that may still stand in `status.storedVersions`: nobody can use it, and no field of it is lost.
fn former(kind: &Kind, name: &str) -> Value {
    let schema = json!({
        "description": format!("{} of a former version; not served.", kind.kind),
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    });
    json!({
        "name": name,
        "served": false,
        "storage": false,
        "deprecated": true,
        "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": schema },
    })
}

fn schema(kind: &Kind) -> Value {
    let mut schema = structural::of_object((kind.derived)().to_value());
    for (prefix, rows) in kind.extras {
        rows.iter().for_each(|row| extras::apply(&mut schema, prefix, row));
    }
    schema
}

/// Returns the schema as schemars derives it, with everything inlined.
fn derived<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}

/// The fields of a Secret template's metadata that have a type; the others are kept as they are.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct TemplateMetadata {
    /// Annotations of the Secret.
    annotations: std::collections::BTreeMap<String, String>,
    /// Finalizers of the Secret.
    finalizers: Vec<String>,
    /// Labels of the Secret.
    labels: std::collections::BTreeMap<String, String>,
    /// Has no effect.
    name: String,
    /// Has no effect.
    namespace: String,
}

/// A field that takes numbers and strings.
pub(crate) struct IntOrString;

impl JsonSchema for IntOrString {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrString".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
        })
    }
}

/// An object of which nothing is known; all of it is kept.
pub(crate) struct Object;

impl JsonSchema for Object {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Object".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// A value of any type; all of it is kept.
pub(crate) struct Anything;

impl JsonSchema for Anything {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anything".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}
