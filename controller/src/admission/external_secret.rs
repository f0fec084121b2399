//! The rules for ExternalSecrets.

use std::collections::BTreeSet;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::{CreationPolicy, DataFromEntry, DeletionPolicy, ExternalSecretSpec};
use sealops_crds::template::Template;
use serde::Deserialize;
use serde_json::Value;

use super::Judgement;

const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const BOOTSTRAP_TOKEN: &str = "bootstrap.kubernetes.io/token";

/// Judges an ExternalSecret; every problem is named.
pub(super) fn judge(object: &Value) -> Judgement {
    let Ok(external) = ExternalSecret::deserialize(object) else {
        return Judgement::refused("the object does not have the shape of an ExternalSecret");
    };
    let spec = &external.spec;
    let mut problems = policies(spec);
    if spec.data.is_empty() && spec.data_from.is_empty() {
        problems.push("either data or dataFrom should be specified".to_owned());
    }
    let target = spec.target.as_ref();
    let template = target.and_then(|target| target.template.as_ref()).filter(|template| !template.is_null());
    match template.map(Template::deserialize) {
        Some(Ok(template)) => problems.extend(template_problems(&template, makes_a_secret(object))),
        Some(Err(_)) => problems.push("spec.target.template: this is not a template".to_owned()),
        None => {}
    }
    problems.extend(spec.data_from.iter().flat_map(entry));
    problems.extend(repeated_keys(spec));
    Judgement { problems, warnings: Vec::new() }
}

fn policies(spec: &ExternalSecretSpec) -> Vec<String> {
    let target = spec.target.as_ref();
    let creation = target.and_then(|target| target.creation_policy.as_ref());
    let deletion = target.and_then(|target| target.deletion_policy.as_ref());
    let mut problems = Vec::new();
    let owns_nothing = matches!(
        creation,
        Some(CreationPolicy::Merge | CreationPolicy::None | CreationPolicy::CreateOrMerge)
    );
    if deletion == Some(&DeletionPolicy::Delete) && owns_nothing {
        problems.push(
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret. Please set \
             creationPolicy=Owner"
                .to_owned(),
        );
    }
    if deletion == Some(&DeletionPolicy::Merge) && creation == Some(&CreationPolicy::None) {
        problems.push(
            "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with"
                .to_owned(),
        );
    }
    problems
}

fn makes_a_secret(object: &Value) -> bool {
    let manifest = object.pointer("/spec/target/manifest").filter(|manifest| !manifest.is_null());
    manifest.is_none_or(|manifest| manifest["apiVersion"] == "v1" && manifest["kind"] == "Secret")
}

/// Returns what a template must not ask for: credentials that the cluster makes or accepts, and, where the target is a
/// Secret, parts that a Secret's template does not fill.
pub fn template_problems(template: &Template, is_secret: bool) -> Vec<String> {
    let targets = || template.template_from.iter().map(|from| from.target.as_deref().unwrap_or_default());
    let annotations = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let names_account = annotations.is_some_and(|map| map.contains_key(SERVICE_ACCOUNT_NAME));
    let fills_annotations = targets().any(|target| target.eq_ignore_ascii_case("annotations"));
    let privileged = match template.type_.as_deref() {
        Some(BOOTSTRAP_TOKEN) => Some(format!("template.type={BOOTSTRAP_TOKEN:?} is not allowed")),
        Some(SERVICE_ACCOUNT_TOKEN) if names_account => Some(format!(
            "template.type={SERVICE_ACCOUNT_TOKEN:?} with annotation {SERVICE_ACCOUNT_NAME:?} is not allowed"
        )),
        Some(SERVICE_ACCOUNT_TOKEN) if fills_annotations => Some(format!(
            "template.type={SERVICE_ACCOUNT_TOKEN:?} with templateFrom target=\"Annotations\" is not allowed"
        )),
        _ => None,
    };
    let is_known = |target: &str| {
        ["", "data", "annotations", "labels"].iter().any(|known| target.eq_ignore_ascii_case(known))
    };
    let outside = targets().filter(|target| is_secret && !is_known(target)).map(|target| {
        format!(
            "templateFrom target={target:?} is not allowed when targeting a Secret, must be one of \"Data\", \
             \"Annotations\" or \"Labels\""
        )
    });
    privileged.into_iter().chain(outside).collect()
}

fn entry(entry: &DataFromEntry) -> Vec<String> {
    let source = entry.source_ref.as_ref();
    let has_generator = source.is_some_and(|source| source.generator_ref.is_some());
    let kinds = [entry.find.is_some(), entry.extract.is_some(), has_generator];
    let mut problems = Vec::new();
    if kinds.iter().filter(|is| **is).count() > 1 {
        problems.push("extract, find, or generatorRef cannot be set at the same time".to_owned());
    }
    if entry.find.is_none() && entry.extract.is_none() && source.is_none() {
        problems.push("either extract, find, or sourceRef must be set to dataFrom".to_owned());
    }
    if source.is_some_and(|source| source.generator_ref.is_none() && source.store_ref.is_none()) {
        problems.push("generatorRef or storeRef must be set when using sourceRef in dataFrom".to_owned());
    }
    problems
}

/// Keys that `data` names twice count under the deletion policy Retain only, as upstream.
fn repeated_keys(spec: &ExternalSecretSpec) -> Vec<String> {
    let deletion = spec.target.as_ref().and_then(|target| target.deletion_policy.as_ref());
    if !matches!(deletion, None | Some(DeletionPolicy::Retain)) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let repeated = spec.data.iter().filter(|entry| !seen.insert(entry.secret_key.as_str()));
    repeated.map(|entry| format!("duplicate secretKey found: {}", entry.secret_key)).collect()
}
