//! The content of a target that is no Secret, as External Secrets Operator 2.9 fills it.
//!
//! | template | into |
//! | --- | --- |
//! | none, or one that names no key | `data` of a ConfigMap, `spec.data` of anything else |
//! | `data`, `templateFrom` with target `Data` or none | `data` |
//! | `templateFrom` with a path | there; a map is merged into a map, except at the top |
//!
//! Different from upstream on purpose: a template that names no key keeps the values (upstream leaves the object empty);
//! labels and annotations are rendered; what comes from a ConfigMap or Secret is rendered once, so that a value with
//! `{{` in it is not executed.

use std::collections::BTreeMap;

use sealops_crds::ExternalSecret;
use sealops_crds::template::MergePolicy;
use sealops_formats::Plaintext;
use sealops_formats::manifest::{Node, Value, parse};

use super::path::{Path, Room, set};
use crate::external::template::{Field, Gathered, Part, Shape, at_key, keys_and_values, text_of};
use crate::external::values;
use crate::object::{ManifestKind, ManifestObject};
use crate::templates::{Dialect, Renderer, TemplateOptions};

/// What a target is made of beside its fields.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) finalizers: Vec<String>,
}

/// Fills an object. Returns the labels and the like that it gets.
///
/// # Errors
/// Returns the template or value that does not fit, without a value.
pub(super) fn fill(
    external: &ExternalSecret,
    kind: &ManifestKind,
    gathered: Option<Gathered>,
    values: BTreeMap<String, Plaintext>,
    options: TemplateOptions,
    object: &mut ManifestObject,
) -> Result<Marks, String> {
    let Some(Gathered { template, parts }) = gathered else {
        plain(values, kind, object)?;
        let metadata = &external.metadata;
        return Ok(Marks {
            labels: metadata.labels().clone(),
            annotations: metadata.annotations().clone(),
            finalizers: Vec::new(),
        });
    };
    let dot = values.iter().map(|(key, value)| (key.as_str(), value));
    let renderer = Renderer::new(Dialect::ExternalSecrets, options, dot);
    let metadata = template.metadata.unwrap_or_default();
    let mut marks = Marks { finalizers: metadata.finalizers, ..Marks::default() };
    let texts = template.data.unwrap_or_default();
    if (texts.is_empty() && parts.is_empty()) || template.merge_policy == Some(MergePolicy::Merge) {
        plain(values, kind, object)?;
    }
    let mut content = Content { object, marks: &mut marks, room: Room::default() };
    for part in &parts {
        content.add(&renderer, part)?;
    }
    for (key, text) in texts {
        let value = renderer.render(&key, &text.into()).map_err(|problem| at_key(&key, &problem))?;
        content.datum(key, value)?;
    }
    for (map, into) in [(metadata.labels, &mut marks.labels), (metadata.annotations, &mut marks.annotations)]
    {
        for (key, text) in map.unwrap_or_default() {
            let value = renderer.render(&key, &text.into()).map_err(|problem| at_key(&key, &problem))?;
            into.insert(key.clone(), text_of(&key, &value)?);
        }
    }
    Ok(marks)
}

/// Puts the values where they stand without a template.
fn plain(
    values: BTreeMap<String, Plaintext>,
    kind: &ManifestKind,
    object: &mut ManifestObject,
) -> Result<(), String> {
    let place = Path::parse(if kind.kind == "ConfigMap" { "data" } else { "spec.data" })?;
    let entries: Vec<(String, Node)> = values
        .into_iter()
        .map(|(key, value)| Ok((key.clone(), text(&key, value)?)))
        .collect::<Result<_, String>>()?;
    place.put(&mut object.fields, Node::map(entries), true, &mut Room::default())
}

/// Objects other than Secrets hold text.
fn text(key: &str, value: Plaintext) -> Result<Node, String> {
    match value.expose_str() {
        Some(_) => Ok(Node::text(value)),
        None => Err(format!("the value of {key} is not UTF-8: only a Secret holds bytes")),
    }
}

struct Content<'a> {
    object: &'a mut ManifestObject,
    marks: &'a mut Marks,
    room: Room,
}

impl Content<'_> {
    fn add(&mut self, renderer: &Renderer, part: &Part) -> Result<(), String> {
        let key = match &part.shape {
            Shape::Value(key) | Shape::KeysAndValues(key) => key,
        };
        let rendered = renderer.render(key, &part.text).map_err(|problem| at_key(key, &problem))?;
        match (&part.shape, &part.field) {
            (Shape::Value(key), Field::Path(path)) if path.single().is_some() => {
                let value = values::decoded(rendered, part.decoding.as_ref())?;
                let entry = Node::map([(key.clone(), text(key, value)?)]);
                path.put(&mut self.object.fields, entry, true, &mut self.room)
            }
            (Shape::Value(key), Field::Path(path)) => {
                let value = values::decoded(rendered, part.decoding.as_ref())?;
                let value = tree(&value).map_or_else(|_| text(key, value), Ok)?;
                path.put(&mut self.object.fields, value, false, &mut self.room)
            }
            (Shape::KeysAndValues(place), Field::Path(path)) => {
                let value = tree(&rendered).map_err(|problem| format!("{place}: {problem}"))?;
                path.put(&mut self.object.fields, value, path.single().is_none(), &mut self.room)
            }
            (Shape::Value(key), _) => self.entry(part, key.clone(), rendered),
            (Shape::KeysAndValues(_), _) => {
                let entries = keys_and_values(&rendered).map_err(|problem| {
                    format!("could not unmarshal template to 'map[string][]byte': {problem}")
                })?;
                entries.into_iter().try_for_each(|(key, value)| self.entry(part, key, value))
            }
        }
    }

    fn entry(&mut self, part: &Part, key: String, value: Plaintext) -> Result<(), String> {
        match &part.field {
            Field::Labels => drop(self.marks.labels.insert(key.clone(), text_of(&key, &value)?)),
            Field::Annotations => drop(self.marks.annotations.insert(key.clone(), text_of(&key, &value)?)),
            Field::Data | Field::Path(_) => {
                let value = values::decoded(value, part.decoding.as_ref())?;
                self.datum(key, value)?;
            }
        }
        Ok(())
    }

    fn datum(&mut self, key: String, value: Plaintext) -> Result<(), String> {
        let value = text(&key, value)?;
        match self.object.fields.iter_mut().find(|(name, _)| name == "data") {
            Some((_, Node { value: Value::Map(entries), .. })) => set(entries, key, value),
            Some((_, node)) if !node.is_null() => return Err("the field data is no map".to_owned()),
            _ => set(&mut self.object.fields, "data".to_owned(), Node::map([(key, value)])),
        }
        Ok(())
    }
}

/// Reads YAML; of several documents the first counts.
fn tree(text: &Plaintext) -> Result<Node, String> {
    let documents =
        parse(text.expose()).map_err(|error| format!("could not unmarshal template YAML: {error}"))?;
    Ok(documents.into_iter().next().map(|document| document.root).unwrap_or_default())
}
