//! Secrets sealed into an existing SealedSecret, whose text stays as it is but for the new values.
//!
//! As kubeseal 0.40.0's `SealMergingInto`, but for what loses data there: the file keeps its format, comments and other
//! documents, and values are sealed for the file's own scope.

use std::collections::BTreeMap;
use std::path::Path;

use sealops_controller::HINT_ANNOTATION;
use sealops_formats::manifest::{Edit, MAX_BYTES, Node, Value};

use crate::error::CommandError;
use crate::files;
use crate::input::Input;
use crate::sealed_file::{SealedFile, SealedObject, write_back};
use crate::sealing::{Front, MergeTarget, SealOptions, Sealed, seal_manifests};

/// Merges every Secret of `input` into the file; returns warnings.
pub(crate) fn merge_into(
    path: &Path,
    input: &Input,
    options: &SealOptions<'_>,
) -> Result<Vec<String>, CommandError> {
    let text = files::read(path, MAX_BYTES)?;
    let file = SealedFile::read(Input { name: path.display().to_string(), text })?;
    file.check_not_empty()?;
    let object = choose(&file, options)?;
    let scope = object.scope();
    if let Some(asked) = options.scope.filter(|asked| *asked != scope) {
        return Err(CommandError::input(format!("the file's scope is {scope}, but {asked} was specified"))
            .within(&object.place)
            .hint("leave --scope out: the file's own scope counts"));
    }
    if object.sealed.spec.data.is_some() {
        return Err(CommandError::input("the deprecated field spec.data cannot be merged into")
            .within(&object.place)
            .hint("open it with `sealops unseal`, and seal it again"));
    }
    let sealed = seal_manifests(
        input,
        &SealOptions {
            scope: None,
            name: Some(object.name()).filter(|name| !name.is_empty()),
            into: Some(MergeTarget { namespace: object.namespace(), scope }),
            ..*options
        },
    )?;
    let edits = edits(object, &sealed, options);
    write_back(path, &file.input, &file.edited(&edits)?)?;
    Ok(sealed.warnings)
}

/// Returns what changes: values, and labels and annotations of the template. Of two values for one place the last counts.
fn edits(object: &SealedObject, sealed: &Sealed, options: &SealOptions<'_>) -> Vec<Edit> {
    let mut edits = BTreeMap::new();
    let mut put = |path: &[&str], value: &str| {
        let edit = object.edit(path, value);
        edits.insert(edit.path.clone(), edit);
    };
    let mut replaced = Vec::new();
    for secret in &sealed.objects {
        for (entry, value) in texts(secret, &["spec", "encryptedData"]) {
            put(&["spec", "encryptedData", entry], value);
            replaced.push(entry);
        }
        for map in ["annotations", "labels"] {
            for (name, value) in texts(secret, &["spec", "template", "metadata", map]) {
                put(&["spec", "template", "metadata", map, name], value);
            }
        }
    }
    // The hint speaks for all values; it moves on only when all of them are new.
    let all_new = object.sealed.spec.encrypted_data.keys().all(|entry| replaced.contains(&entry.as_str()));
    if options.front == Front::Sealops && all_new {
        put(&["metadata", "annotations", HINT_ANNOTATION], options.certificate.fingerprint().as_str());
    }
    edits.into_values().collect()
}

/// Returns the only SealedSecret, or the one that the flags name.
fn choose<'a>(file: &'a SealedFile, options: &SealOptions<'_>) -> Result<&'a SealedObject, CommandError> {
    if let [only] = file.objects.as_slice() {
        return Ok(only);
    }
    let fits = |object: &&SealedObject| {
        options.name.is_some_and(|name| name == object.name())
            && options.namespace.is_none_or(|namespace| namespace == object.namespace())
    };
    let mut found = file.objects.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(object), None) => Ok(object),
        _ => {
            let keys: Vec<String> = file.objects.iter().map(SealedObject::key).collect();
            Err(CommandError::input(format!("there are several SealedSecrets: {}", keys.join(", ")))
                .within(&file.input.name)
                .hint("--name NAME (and --namespace NAME) chooses one"))
        }
    }
}

/// Returns the texts of a map; there are no secrets in a sealed object.
fn texts<'a>(object: &'a Node, path: &[&str]) -> Vec<(&'a str, &'a str)> {
    let Some(Value::Map(entries)) = object.at(path).map(|node| &node.value) else { return Vec::new() };
    entries.iter().filter_map(|(key, node)| Some((key.as_str(), node.str_at(&[])?))).collect()
}
