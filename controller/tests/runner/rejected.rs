//! What the definitions of external-secrets.io refuse, and with which words: the recorded scenarios of upstream 2.9.0.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, discovery};
use serde_json::Value;

use super::harness::*;

#[test]
fn objects_are_refused_in_upstreams_words() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("test").await?;
        let client = plane.client()?;
        let (mut compared, mut wrong) = (0, Vec::new());
        for folder in scenarios()? {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let expected = rejected(&folder)?;
            let mut differences = Vec::new();
            for object in documents(&folder.join("01-apply.yaml"))? {
                let of = format!("{}/{}", text(&object, "/kind"), text(&object, "/metadata/name"));
                let said = apply(&client, &object).await?;
                if said.as_ref() != expected.get(&of) {
                    differences.push(format!(
                        "{name} {of}:\n  said     {said:?}\n  expected {:?}",
                        expected.get(&of)
                    ));
                }
                compared += 1;
            }
            wrong.extend(differences);
        }
        assert!(wrong.is_empty(), "{} of {compared} objects:\n{}", wrong.len(), wrong.join("\n"));
        assert!(compared > 60, "only {compared} objects were compared");
        Ok(())
    });
}

/// The scenarios with something to refuse.
fn scenarios() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/vectors/eso");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("01-outcome.yaml").exists() && !rejected(&path)?.is_empty() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn rejected(folder: &Path) -> Result<BTreeMap<String, String>> {
    let outcome: Value = serde_saphyr::from_str(&std::fs::read_to_string(folder.join("01-outcome.yaml"))?)?;
    let messages = outcome.get("rejected").cloned().unwrap_or_else(|| Value::Object(Default::default()));
    Ok(serde_json::from_value(messages)?)
}

fn documents(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file)?;
    serde_saphyr::from_multiple(&text).with_context(|| file.display().to_string())
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Applies as the recording did; returns what the API server said against it.
async fn apply(client: &Client, object: &Value) -> Result<Option<String>> {
    let (group, version) = text(object, "/apiVersion").rsplit_once('/').unwrap_or(("", "v1"));
    let kind = GroupVersionKind::gvk(group, version, text(object, "/kind"));
    let served = discovery::oneshot::pinned_kind(client, &kind).await;
    let Ok((resource, _)) = served else {
        // What a client says that finds no such kind.
        return Ok(Some(format!("no matches for kind \"{}\" in version \"{group}/{version}\"", kind.kind)));
    };
    let api = api_of(client, &resource, &kind.kind);
    let mut parameters = PatchParams::apply("test").force();
    parameters.field_validation = Some(kube::api::ValidationDirective::Strict);
    match api.patch(text(object, "/metadata/name"), &parameters, &Patch::Apply(object)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

fn api_of(client: &Client, resource: &ApiResource, kind: &str) -> Api<DynamicObject> {
    if kind.starts_with("Cluster") {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), "test", resource)
    }
}
