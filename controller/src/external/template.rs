//! `spec.target.template`, as External Secrets Operator 2.9 applies it.
//!
//! ```text
//!   values ──┐
//!   template.data, .metadata, templateFrom ──gather (reads objects)──► Parts ──render──► Content ──► target.rs
//! ```
//!
//! Precedence, last wins: values (where no template names keys, or `mergePolicy: Merge`), `templateFrom` in its order,
//! `data`. A template of `templateFrom` that yields keys and values is named by its place in errors; upstream puts its
//! whole text there, which may come from a Secret.

use std::collections::BTreeMap;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::DecodingStrategy;
use sealops_crds::template::{EngineVersion, MergePolicy, Template, TemplateAs, TemplateFrom, TemplateRef};
use sealops_formats::{Plaintext, manifest};
use serde::Deserialize;

use super::manifest::Path;
use super::target::Content;
use super::{Failure, target_name, values};
use crate::object::{ObjectReader, SecretObject};
use crate::templates::{Dialect, Problem, Renderer, TemplateOptions};

const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
const BOOTSTRAP_TOKEN: &str = "bootstrap.kubernetes.io/token";

/// Which part of the target a template fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Labels,
    Annotations,
    /// A place in a target that is no Secret.
    Path(Path),
}

/// What the target is: a Secret has three fields, anything else has paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Secret,
    Manifest,
}

/// What the rendered text is.
pub(super) enum Shape {
    Value(String),
    KeysAndValues(String),
}

/// A template of `templateFrom` with its text.
pub(super) struct Part {
    pub(super) field: Field,
    pub(super) shape: Shape,
    pub(super) text: Plaintext,
    pub(super) decoding: Option<DecodingStrategy>,
}

/// The template and everything that it needs.
pub(super) struct Gathered {
    pub(super) template: Template,
    pub(super) parts: Vec<Part>,
}

impl Gathered {
    /// Returns that the type is one of those that no Secret may have.
    pub(super) fn refused_type(&self) -> Option<Failure> {
        let secret = SecretObject { type_: self.template.type_.clone(), ..SecretObject::default() };
        refuse_tokens(&secret).err()
    }
}

/// Reads the template and what it refers to; `None` where there is none.
///
/// # Errors
/// Returns the field that makes no sense and the object or key that is missing.
pub(super) async fn gather(
    external: &ExternalSecret,
    objects: &dyn ObjectReader,
    scope: Scope,
) -> Result<Option<Gathered>, Failure> {
    let written = external.spec.target.as_ref().and_then(|target| target.template.as_ref());
    let Some(written) = written.filter(|template| !template.is_null()) else { return Ok(None) };
    let template = Template::deserialize(written)
        .map_err(|_| Failure::invalid("spec.target.template", "this is not a template"))?;
    check(&template, scope)?;
    let mut parts = Vec::new();
    for (index, from) in template.template_from.iter().enumerate() {
        gather_from(index, from, objects, scope, &mut parts).await.map_err(fetching)?;
    }
    Ok(Some(Gathered { template, parts }))
}

/// Refuses what upstream's admission webhook and controller refuse.
fn check(template: &Template, scope: Scope) -> Result<(), Failure> {
    let field = "spec.target.template";
    if let Some(EngineVersion::Other(_)) = &template.engine_version {
        return Err(Failure::invalid(&format!("{field}.engineVersion"), "there is only v2"));
    }
    if let Some(MergePolicy::Other(_)) = &template.merge_policy {
        return Err(Failure::invalid(&format!("{field}.mergePolicy"), "Replace and Merge are known"));
    }
    if scope == Scope::Manifest {
        return Ok(());
    }
    let problems = crate::admission::template_problems(template, true);
    if problems.is_empty() { Ok(()) } else { Err(Failure::template(None, &problems.join("\n"))) }
}

/// Refuses a Secret of a type for which the cluster makes or accepts credentials.
///
/// # Errors
/// Returns that the type is not allowed.
pub(super) fn refuse_tokens(secret: &SecretObject) -> Result<(), Failure> {
    match secret.type_.as_deref() {
        Some(type_ @ (SERVICE_ACCOUNT_TOKEN | BOOTSTRAP_TOKEN)) => {
            Err(Failure::template(None, &format!("template.type={type_:?} is not allowed")))
        }
        _ => Ok(()),
    }
}

/// Only targets other than Secrets have paths. The words are taken in any case, a path as it stands.
fn field_of(from: &TemplateFrom) -> Result<Field, String> {
    let target = from.target.as_deref().unwrap_or_default();
    match target.to_lowercase().as_str() {
        "" | "data" => Ok(Field::Data),
        "labels" => Ok(Field::Labels),
        "annotations" => Ok(Field::Annotations),
        "spec" => Path::parse("spec").map(Field::Path),
        _ => Path::parse(target).map(Field::Path),
    }
}

async fn gather_from(
    index: usize,
    from: &TemplateFrom,
    objects: &dyn ObjectReader,
    scope: Scope,
    parts: &mut Vec<Part>,
) -> Result<(), String> {
    let place = format!("templateFrom[{index}]");
    let field = field_of(from).map_err(|problem| format!("{place}.target: {problem}"))?;
    if scope == Scope::Secret && matches!(field, Field::Path(_)) {
        return Err(format!("{place}.target: a Secret has Data, Annotations and Labels"));
    }
    let mut add = |shape, text| {
        let (field, decoding) = (field.clone(), from.values_decoding_strategy.clone());
        parts.push(Part { field, shape, text, decoding });
    };
    if let Some(reference) = &from.config_map {
        let map = objects.config_map(&reference.name).await.map_err(|error| error.to_string())?;
        let mut map = map.ok_or_else(|| format!("configmaps \"{}\" not found", reference.name))?;
        for (item, shape) in items(reference, &place, "configMap")? {
            let text = map.data.remove(item).ok_or_else(|| missing("configmap", reference, item))?;
            map.data.insert(item.to_owned(), text.duplicate());
            add(shape, text);
        }
    }
    if let Some(reference) = &from.secret {
        let secret = objects.secret(&reference.name).await.map_err(|error| error.to_string())?;
        let secret = secret.ok_or_else(|| format!("secrets \"{}\" not found", reference.name))?;
        for (item, shape) in items(reference, &place, "secret")? {
            let text = secret.data.get(item).ok_or_else(|| missing("secret", reference, item))?;
            add(shape, text.duplicate());
        }
    }
    if let Some(literal) = &from.literal {
        add(Shape::KeysAndValues(format!("{place}.literal")), literal.as_str().into());
    }
    Ok(())
}

fn missing(kind: &str, reference: &TemplateRef, key: &str) -> String {
    format!("error in {kind} {}: missing key {key}", reference.name)
}

fn items<'a>(reference: &'a TemplateRef, place: &str, kind: &str) -> Result<Vec<(&'a str, Shape)>, String> {
    let shape = |(index, item): (usize, &'a sealops_crds::template::TemplateItem)| {
        let shape = match &item.template_as {
            None | Some(TemplateAs::Values) => Shape::Value(item.key.clone()),
            Some(TemplateAs::KeysAndValues) => Shape::KeysAndValues(format!("{place}.{kind}.items[{index}]")),
            Some(TemplateAs::Other(_)) => {
                return Err("unknown scope: expected 'Values' or 'KeysAndValues'".to_owned());
            }
        };
        Ok((item.key.as_str(), shape))
    };
    reference.items.iter().enumerate().map(shape).collect()
}

fn fetching(cause: String) -> Failure {
    Failure::template(None, &format!("error fetching templateFrom data: {cause}"))
}

/// Renders everything. `exists` says whether the target is there, which upstream's texts tell apart.
///
/// # Errors
/// Returns the first template that fails, in upstream's words.
pub(super) fn render(
    external: &ExternalSecret,
    gathered: Gathered,
    values: BTreeMap<String, Plaintext>,
    options: TemplateOptions,
    exists: bool,
) -> Result<Content, Failure> {
    let target = exists.then(|| target_name(external));
    let Gathered { template, parts } = gathered;
    let dot = values.iter().map(|(key, value)| (key.as_str(), value));
    let renderer = Renderer::new(Dialect::ExternalSecrets, options, dot);
    let templates = template.data.unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    let names_no_key = templates.is_empty() && parts.is_empty();
    let mut out = Content {
        type_: template.type_.filter(|type_| !type_.is_empty()),
        finalizers: metadata.finalizers,
        ..Content::default()
    };
    for part in &parts {
        apply(&renderer, part, &mut out).map_err(|cause| {
            Failure::template(target, &format!("error fetching templateFrom data: {cause}"))
        })?;
    }
    let failed = |cause: String| {
        let text = format!("could not execute template: could not execute template: {cause}");
        Failure::template(target, &text)
    };
    for (key, text) in &templates {
        let value =
            renderer.render(key, &text.as_str().into()).map_err(|problem| failed(at_key(key, &problem)))?;
        out.data.insert(key.clone(), value);
    }
    for (map, into) in [(metadata.labels, &mut out.labels), (metadata.annotations, &mut out.annotations)] {
        for (key, text) in map.unwrap_or_default() {
            let value = renderer
                .render(&key, &text.into())
                .map_err(|problem| at_key(&key, &problem))
                .and_then(|value| text_of(&key, &value))
                .map_err(failed)?;
            into.insert(key, value);
        }
    }
    if names_no_key || template.merge_policy == Some(MergePolicy::Merge) {
        for (key, value) in values {
            out.data.entry(key).or_insert(value);
        }
    }
    Ok(out)
}

/// Upstream's text says the key twice.
pub(super) fn at_key(key: &str, problem: &Problem) -> String {
    let inner = match problem {
        Problem::Parse(_) => "parse",
        Problem::Execute(_) => "execute",
    };
    format!("unable to execute template at key {key}: unable to {inner} template at key {key}: {problem}")
}

/// Labels and annotations are public, so this is where a value may leave; the API server says what it does not take.
pub(super) fn text_of(key: &str, value: &Plaintext) -> Result<String, String> {
    value
        .expose_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("unable to execute template at key {key}: the result is not UTF-8"))
}

fn apply(renderer: &Renderer, part: &Part, out: &mut Content) -> Result<(), String> {
    let entries = match &part.shape {
        Shape::Value(key) => {
            let value = renderer.render(key, &part.text).map_err(|problem| at_key(key, &problem))?;
            BTreeMap::from([(key.clone(), value)])
        }
        Shape::KeysAndValues(place) => {
            let text = renderer.render(place, &part.text).map_err(|problem| at_key(place, &problem))?;
            keys_and_values(&text).map_err(|problem| {
                format!("could not unmarshal template to 'map[string][]byte': {problem}")
            })?
        }
    };
    for (key, value) in entries {
        match part.field {
            Field::Data | Field::Path(_) => {
                let value = values::decoded(value, part.decoding.as_ref())?;
                out.data.insert(key, value);
            }
            Field::Labels => {
                let value = text_of(&key, &value)?;
                out.labels.insert(key, value);
            }
            Field::Annotations => {
                let value = text_of(&key, &value)?;
                out.annotations.insert(key, value);
            }
        }
    }
    Ok(())
}

/// Reads a YAML map of scalars as Go reads it into a `map[string]string`: of several documents the first counts, of a
/// key that stands twice the last.
pub(super) fn keys_and_values(text: &Plaintext) -> Result<BTreeMap<String, Plaintext>, String> {
    const GO: &str = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal";
    let documents =
        manifest::parse(text.expose()).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    let Some(mut document) = documents.into_iter().next() else { return Ok(BTreeMap::new()) };
    let manifest::Value::Map(entries) = &document.root.value else {
        let kind = if matches!(document.root.value, manifest::Value::List(_)) { "array" } else { "string" };
        return Err(format!("{GO} {kind} into Go value of type map[string]string"));
    };
    for (_, node) in entries {
        match node.value {
            manifest::Value::Map(_) => return Err(format!("{GO} object into Go value of type string")),
            manifest::Value::List(_) => return Err(format!("{GO} array into Go value of type string")),
            _ => {}
        }
    }
    document.root.stringify_map(&[]);
    let texts: BTreeMap<String, Option<Plaintext>> =
        document.root.read().map_err(|error| format!("the text is not a map of texts: {error}"))?;
    Ok(texts.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let map = keys_and_values(&text.into())?;
        Ok(map.into_iter().map(|(key, value)| (key, value.expose_str().unwrap().to_owned())).collect())
    }

    #[test]
    fn keys_and_values_are_yaml_1_1_scalars() {
        for (text, value) in [
            ("a: y", "true"),
            ("a: 1", "1"),
            ("a: 0777", "511"),
            ("a: \"0777\"", "0777"),
            ("a: 1.50", "1.5"),
            ("a: null", ""),
            ("a:", ""),
            ("a: x\na: z", "z"),
            ("{\"a\": \"b\"}", "b"),
        ] {
            assert_eq!(read(text).unwrap(), [("a".to_owned(), value.to_owned())], "{text}");
        }
        assert_eq!(read("").unwrap(), []);
        for text in ["just text", "[1]", "a: [1]", "a: {b: c}", "a: b: c"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
