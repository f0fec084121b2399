//! `dataFrom[].rewrite`: changes of key names, in order.

use std::collections::{BTreeMap, BTreeSet};

use sealops_crds::external_secret::{
    ConflictPolicy, MergeStrategy, PriorityPolicy, Rewrite, RewriteMerge, RewriteRegexp, RewriteTransform,
};
use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;
use sealops_providers::ValueRule;

use super::Failure;
use super::json::{self, Numbers};
use super::values::value_of;
use crate::templates::{Dialect, Problem, Renderer, TemplateOptions};

/// Go's replacement of every match, which templates have.
const REPLACE: &str = "{{ mustRegexReplaceAll .source .value .target }}";

type Values = BTreeMap<String, Plaintext>;

/// Applies every operation. Where two keys become one, the one that was later in the order of names stays.
pub(super) fn rewritten(
    mut values: Values,
    operations: &[Rewrite],
    templates: TemplateOptions,
) -> Result<Values, Failure> {
    for (index, operation) in operations.iter().enumerate() {
        let result = match operation {
            Rewrite { regexp: Some(regexp), .. } => by_regexp(values, regexp, templates)
                .map_err(|problem| format!("regexp failed with {problem}")),
            Rewrite { transform: Some(transform), .. } => by_template(values, transform, templates)
                .map_err(|problem| format!("transform failed with {problem}")),
            Rewrite { merge: Some(merge), .. } => {
                merged(values, merge).map_err(|problem| format!("merge failed with {problem}"))
            }
            _ => Ok(values),
        };
        values = result.map_err(|problem| {
            Failure::cause(format!(
                "error applying rewrite to keys: failed rewrite operation[{index}]: {problem}"
            ))
        })?;
    }
    Ok(values)
}

fn by_regexp(values: Values, regexp: &RewriteRegexp, templates: TemplateOptions) -> Result<Values, String> {
    GoRegex::new(&regexp.source).map_err(|error| format!("failed to compile: {error}"))?;
    let (source, target): (Plaintext, Plaintext) =
        (regexp.source.as_str().into(), regexp.target.as_str().into());
    renamed(values, |key| {
        let dot = [("source", &source), ("target", &target), ("value", key)];
        Renderer::new(Dialect::ExternalSecrets, templates, dot).render("regexp", &REPLACE.into())
    })
}

fn by_template(
    values: Values,
    transform: &RewriteTransform,
    templates: TemplateOptions,
) -> Result<Values, String> {
    let text: Plaintext = transform.template.as_str().into();
    renamed(values, |key| {
        Renderer::new(Dialect::StoreSettings, templates, [("value", key)]).render("transform", &text)
    })
}

fn renamed(
    values: Values,
    rename: impl Fn(&Plaintext) -> Result<Plaintext, Problem>,
) -> Result<Values, String> {
    let mut out = Values::new();
    for (key, value) in values {
        let name = rename(&key.as_str().into()).map_err(|problem| match &problem {
            Problem::Parse(_) => format!("failed to parse template: {problem}"),
            Problem::Execute(_) => format!("failed to execute template: {problem}"),
        })?;
        let name = name.expose_str().ok_or("a name that is not UTF-8")?.to_owned();
        out.insert(name, value);
    }
    Ok(out)
}

/// Joins the objects that the values are: the keys without priority by name, then those with, in their order.
fn merged(mut values: Values, merge: &RewriteMerge) -> Result<Values, String> {
    let into = merge.into.as_deref().unwrap_or_default();
    let is_json = merge.strategy == Some(MergeStrategy::Json);
    if is_json && into.is_empty() {
        return Err("missing 'into' field".to_owned());
    }
    let mut joined = BTreeMap::<String, &str>::new();
    let mut conflicts = BTreeSet::new();
    for key in order(&values, merge)? {
        let text = values[key].expose_str().unwrap_or_default();
        let fields = json::fields(text).ok_or_else(|| {
            format!("failed to unmarshal JSON: the value of key {key} is not a JSON object")
        })?;
        let fields: BTreeMap<String, &str> = fields.into_iter().collect();
        for (inner, raw) in fields {
            if joined.insert(inner.clone(), raw).is_some() {
                conflicts.insert(inner);
            }
        }
    }
    if !conflicts.is_empty() && merge.conflict_policy != Some(ConflictPolicy::Ignore) {
        let names: Vec<String> = conflicts.into_iter().collect();
        return Err(format!("conflicting keys: {}", names.join(", ")));
    }
    if !is_json {
        return Ok(joined.into_iter().map(|(key, raw)| (key, value_of(raw, ValueRule::Rewritten))).collect());
    }
    let parts: BTreeMap<&str, Plaintext> = joined
        .iter()
        .map(|(key, raw)| {
            let mut text = Plaintext::default();
            json::rewrite(raw, Numbers::Doubles, &mut text);
            (key.as_str(), text)
        })
        .collect();
    let object = json::write_object(parts.iter().map(|(key, text)| (*key, text)));
    drop(parts);
    drop(joined);
    values.insert(into.to_owned(), object);
    Ok(values)
}

fn order<'a>(values: &'a Values, merge: &'a RewriteMerge) -> Result<Vec<&'a str>, String> {
    let mut keys: Vec<&str> = values
        .keys()
        .map(String::as_str)
        .filter(|key| !merge.priority.iter().any(|own| own == key))
        .collect();
    for key in &merge.priority {
        if values.contains_key(key) {
            keys.push(key);
        } else if merge.priority_policy != Some(PriorityPolicy::IgnoreNotFound) {
            return Err(format!("key {key} of priority not found"));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(values: &[(&str, &str)], operations: &str) -> Result<Vec<(String, String)>, String> {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let operations: Vec<Rewrite> = serde_json::from_str(operations).unwrap();
        let out =
            rewritten(values, &operations, TemplateOptions::default()).map_err(|failure| failure.cause)?;
        Ok(out.into_iter().map(|(key, value)| (key, value.expose_str().unwrap().to_owned())).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_are_replaced_and_rendered() {
        let values = [("db/user", "u"), ("db/pass", "p"), ("other", "o")];
        let regexp = r#"[{"regexp":{"source":"^db/(?P<k>.*)$","target":"DB_${k}$2"}}]"#;
        assert_eq!(
            apply(&values, regexp).unwrap(),
            pairs(&[("DB_pass", "p"), ("DB_user", "u"), ("other", "o")])
        );
        let transform = r#"[{"transform":{"template":"{{ .value | upper }}_x"}}]"#;
        assert_eq!(apply(&[("a", "1")], transform).unwrap(), pairs(&[("A_x", "1")]));
        for (operation, text) in [
            (
                r#"[{"regexp":{"source":"(","target":"x"}}]"#,
                "regexp failed with failed to compile: error parsing regexp",
            ),
            (
                r#"[{"transform":{"template":"{{ .value"}}]"#,
                "transform failed with failed to parse template: template: transform:1: unclosed action",
            ),
        ] {
            let error = apply(&[("a", "1")], operation).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn objects_are_merged_by_name_then_priority() {
        let values = [("a", r#"{"user":"1","x":1.50}"#), ("b", r#"{"user":"2"}"#)];
        let merge = |options: &str| apply(&values, &format!(r#"[{{"merge":{options}}}]"#));
        assert!(merge("{}").unwrap_err().ends_with("conflicting keys: user"));
        let ignore = r#""conflictPolicy":"Ignore""#;
        assert_eq!(merge(&format!("{{{ignore}}}")).unwrap(), pairs(&[("user", "2"), ("x", "1.5")]));
        assert_eq!(
            merge(&format!(r#"{{{ignore},"priority":["a"]}}"#)).unwrap(),
            pairs(&[("user", "1"), ("x", "1.5")])
        );
        assert!(merge(&format!(r#"{{{ignore},"priority":["c"]}}"#)).is_err());
        assert!(
            merge(&format!(r#"{{{ignore},"priority":["c"],"priorityPolicy":"IgnoreNotFound"}}"#)).is_ok()
        );
        let json = merge(&format!(r#"{{{ignore},"strategy":"JSON","into":"all"}}"#)).unwrap();
        assert_eq!(json[1], ("all".to_owned(), r#"{"user":"2","x":1.5}"#.to_owned()));
        assert_eq!(json.len(), 3);
        let error = apply(&[("a", "hunter2")], r#"[{"merge":{}}]"#).unwrap_err();
        assert!(error.contains("not a JSON object") && !error.contains("hunter2"), "{error}");
    }
}
