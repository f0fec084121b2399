use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// The paths at which null is allowed, by plural name.
const NULLABLE: &[(&str, &[&str])] = &[
    ("sealedsecrets", &["spec.template.metadata", "spec.template.data", "spec.template.data{}"]),
    ("externalsecrets", &["status.refreshTime"]),
    ("pushsecrets", &["status.refreshTime"]),
];

#[test]
fn files_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in files() {
        let on_disk = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(on_disk == file.text, "crds/{} is stale; run: {COMMAND}", file.name);
    }
}

#[test]
fn embedded_files_are_those_files() {
    let embedded: Vec<_> = crate::MANIFESTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(embedded, files().into_iter().map(|file| file.name).collect::<Vec<_>>());
}

#[test]
fn every_node_is_structural() {
    for kind in &extras::KINDS {
        each_node(&schema(kind), String::new(), &mut |path, node| {
            let at = format!("{} {path}", kind.plural);
            let known = ["type", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"];
            assert!(known.iter().any(|keyword| node.get(*keyword).is_some()), "{at} has no type");
            assert!(node.get("type").is_none_or(Value::is_string), "{at} has more than one type");
            for keyword in ["$ref", "$schema", "$defs", "title", "oneOf", "allOf", "const", "examples"] {
                assert!(node.get(keyword).is_none(), "{at} has {keyword}");
            }
            let int_or_string = node.get("x-kubernetes-int-or-string").is_some();
            assert_eq!(node.get("anyOf").is_some(), int_or_string, "{at}: anyOf");
            assert!(!(int_or_string && node.get("type").is_some()), "{at}: type beside int-or-string");
            assert!(
                node.get("additionalProperties").is_none() || node.get("properties").is_none(),
                "{at}: both"
            );
            assert_eq!(node["type"] == "array", node.get("items").is_some(), "{at}: items");
        });
    }
}

#[test]
fn null_is_allowed_where_the_table_says() {
    for kind in &extras::KINDS {
        let mut nullable = BTreeSet::new();
        each_node(&schema(kind), String::new(), &mut |path, node| {
            if node.get("nullable").is_some() {
                nullable.insert(path.to_owned());
            }
        });
        let expected =
            NULLABLE.iter().filter(|(plural, _)| *plural == kind.plural).flat_map(|(_, paths)| *paths);
        assert_eq!(nullable, expected.map(|path| (*path).to_owned()).collect(), "{}", kind.plural);
    }
}

#[test]
fn required_fields_exist() {
    for kind in &extras::KINDS {
        each_node(&schema(kind), String::new(), &mut |path, node| {
            for field in node.get("required").and_then(Value::as_array).into_iter().flatten() {
                let name = field.as_str().unwrap();
                assert!(node["properties"].get(name).is_some(), "{} {path} requires {name}", kind.plural);
            }
        });
    }
}

#[test]
fn fields_are_documented() {
    for kind in &extras::KINDS {
        each_node(&schema(kind), String::new(), &mut |path, node| {
            let needs = path != "metadata" && !path.ends_with("[]") && !path.ends_with("{}");
            assert!(!needs || node.get("description").is_some(), "{} {path}", kind.plural);
        });
    }
}

#[test]
fn foreign_providers_are_kept_and_others_refused() {
    for plural in ["secretstores", "clustersecretstores"] {
        let kind = extras::KINDS.iter().find(|kind| kind.plural == plural).unwrap();
        let schema = schema(kind);
        let provider = schema.pointer(&extras::pointer("spec.provider")).unwrap();
        assert!(provider.get("x-kubernetes-preserve-unknown-fields").is_none());
        for name in ["gcpsm", "onepasswordSDK", "openBao", "azurekv"] {
            let known = &provider["properties"][name];
            assert!(
                known["x-kubernetes-preserve-unknown-fields"] == true || known["properties"].is_object(),
                "{name}"
            );
        }
        assert!(provider["properties"].get("hashicorp").is_none());
        assert_eq!((&provider["minProperties"], &provider["maxProperties"]), (&json!(1), &json!(1)));
    }
}

#[test]
fn one_version_is_stored_and_former_ones_stay_present() {
    for kind in &extras::KINDS {
        let versions = versions(kind);
        assert_eq!(versions.iter().filter(|version| version["storage"] == true).count(), 1);
        assert!(versions.iter().skip(1).all(|version| version["served"] == false));
        let formerly_v1beta1 = kind.group == "external-secrets.io" && kind.version == "v1";
        assert_eq!(versions.len(), if formerly_v1beta1 { 2 } else { 1 }, "{}", kind.plural);
    }
}

#[test]
fn files_fit_into_the_last_applied_annotation() {
    assert!(files().iter().all(|file| file.text.len() < 64 * 1024));
}

/// Calls back for every node of a schema with its path in the notation of the table.
fn each_node(node: &Value, path: String, check: &mut dyn FnMut(&str, &Value)) {
    check(&path, node);
    for (name, child) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        each_node(child, format!("{path}{dot}{name}"), check);
    }
    if let Some(items) = node.get("items") {
        each_node(items, format!("{path}[]"), check);
    }
    if let Some(values) = node.get("additionalProperties").filter(|values| values.is_object()) {
        each_node(values, format!("{path}{{}}"), check);
    }
}
