use std::collections::BTreeMap;

use sealops_crds::{ClusterSecretStore, ExternalSecret, Metadata, SecretStore};
use sealops_formats::Plaintext;
use sealops_formats::manifest::to_json;
use serde_json::{Value, json};

use super::*;
use crate::external::{
    DirectStores, ObjectGenerators, Options, Settled, StoreEnvironment, StoreRules, Surroundings,
};
use crate::object::{BoxFuture, ConfigMapObject, ObjectReader, ReadError, SecretObject};

/// One namespace with a fake store, one object, and a cluster that serves two kinds.
#[derive(Clone, Default)]
struct Cluster {
    existing: Option<Value>,
}

impl ClusterReader for Cluster {
    fn in_namespace(&self, _: &str) -> Box<dyn ObjectReader> {
        Box::new(self.clone())
    }
    fn cluster_secret_store<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    fn namespace_labels<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    fn served<'a>(&'a self, kind: &'a ManifestKind) -> BoxFuture<'a, Result<Option<ServedKind>, ReadError>> {
        let served = |plural: &str, namespaced| {
            Some(ServedKind { kind: kind.clone(), plural: plural.to_owned(), namespaced })
        };
        let served = match kind.kind.as_str() {
            "ConfigMap" => served("configmaps", true),
            "App" => served("apps", true),
            "Node" => served("nodes", false),
            _ => None,
        };
        Box::pin(async move { Ok(served) })
    }
}

impl ObjectReader for Cluster {
    fn secret<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    fn config_map<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        let data = [("tpl".to_owned(), Plaintext::from("x: '{{ .b }}'"))].into();
        Box::pin(async { Ok(Some(ConfigMapObject { metadata: Metadata::default(), data })) })
    }
    fn secret_store<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        let data = json!([{ "key": "k", "value": "{\"a\": \"1\", \"b\": \"{{ .a }}\"}" }]);
        let store = json!({ "metadata": { "name": "s", "namespace": "n" }, "spec": { "provider": { "fake": { "data": data } } } });
        Box::pin(async move { Ok(serde_json::from_value(store).ok()) })
    }
    fn manifest<'a>(
        &'a self,
        _: &'a ServedKind,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<ManifestObject>, ReadError>> {
        let found = self
            .existing
            .as_ref()
            .map(|object| ManifestObject::from_json(&object.to_string().as_str().into()).unwrap());
        Box::pin(async move { Ok(found) })
    }
}

fn external(kind: &str, target: Value) -> ExternalSecret {
    let mut target = target;
    let version = if kind == "App" { "example.com/v1" } else { "v1" };
    target["manifest"] = json!({ "apiVersion": version, "kind": kind });
    serde_json::from_value(json!({
        "metadata": { "name": "app", "namespace": "n", "uid": "e", "labels": { "team": "blue" } },
        "spec": { "secretStoreRef": { "name": "s" }, "target": target, "dataFrom": [{ "extract": { "key": "k" } }] },
    }))
    .unwrap()
}

fn decided(external: &ExternalSecret, cluster: &Cluster, moment: &Moment) -> Result<Decision, Failure> {
    let surroundings = Surroundings {
        cluster,
        stores: &DirectStores::new(StoreRules::default(), StoreEnvironment::default()),
        generators: &ObjectGenerators::new("", StoreEnvironment::default()),
        ledger: None,
        options: Options { generic_targets: true, ..Options::default() },
    };
    pollster::block_on(crate::external::reconcile(external, &surroundings, moment))
}

fn made(external: &ExternalSecret, cluster: &Cluster) -> (ManifestWrite, Value) {
    let decision = decided(external, cluster, &Moment::default()).unwrap();
    let change = decision.manifest.expect("a change");
    let text = change.object.to_json();
    (change.write, serde_json::from_slice(text.expose()).unwrap())
}

#[test]
fn kinds_that_give_rights_are_never_targets() {
    for (version, kind) in [
        ("v1", "Secret"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("external-secrets.io/v1", "SecretStore"),
        ("external-secrets.io/v1alpha1", "PushSecret"),
        ("generators.external-secrets.io/v1alpha1", "Password"),
        ("bitnami.com/v1alpha1", "SealedSecret"),
        ("certificates.k8s.io/v1", "CertificateSigningRequest"),
        ("authentication.k8s.io/v1", "TokenRequest"),
        ("", "ConfigMap"),
        ("v1", ""),
        ("v1/../../x", "ConfigMap"),
        ("a/b/c", "ConfigMap"),
        ("v1?x", "ConfigMap"),
    ] {
        assert!(refusal(&ManifestKind::new(version, kind)).is_some(), "{version} {kind}");
    }
    assert!(refusal(&ManifestKind::new("v1", "ConfigMap")).is_none());
    assert!(refusal(&ManifestKind::new("apps/v1", "Deployment")).is_none());
    for (kind, message) in [("Node", "invalid generic target"), ("Other", "could not get target resource")] {
        let failure =
            decided(&external(kind, json!({})), &Cluster::default(), &Moment::default()).unwrap_err();
        assert_eq!(failure.message, message, "{}", failure.cause);
    }
}

#[test]
fn without_a_template_values_go_where_upstream_puts_them() {
    let (write, map) = made(&external("ConfigMap", json!({})), &Cluster::default());
    assert_eq!(write, ManifestWrite::Create);
    assert_eq!(map["data"], json!({ "a": "1", "b": "{{ .a }}" }));
    assert_eq!(map["metadata"]["labels"]["team"], "blue");
    assert_eq!(map["metadata"]["labels"][MANAGED], "true");
    assert_eq!(map["metadata"]["ownerReferences"][0]["uid"], "e");
    let own = ManifestObject::from_json(&map.to_string().as_str().into()).unwrap();
    assert_eq!(map["metadata"]["annotations"][DATA_HASH], hash_of(&own));
    let (_, app) = made(&external("App", json!({ "creationPolicy": "Orphan" })), &Cluster::default());
    assert_eq!(app["spec"]["data"]["a"], "1");
    assert!(app["metadata"].get("ownerReferences").is_none());
}

#[test]
fn templates_fill_paths_and_values_are_not_executed() {
    let template = json!({ "metadata": { "labels": { "l": "x{{ .a }}" } }, "templateFrom": [
        { "target": "spec", "literal": "{replicas: {{ .a }}, deep: {k: old}}" },
        { "target": "spec.deep", "literal": "text: {{ .b | quote }}" },
        { "target": "spec.list[1].name", "literal": "n{{ .a }}" },
        { "target": "Annotations", "literal": "note: '{{ .a }}'" },
        { "target": "spec.map", "configMap": { "name": "c", "items": [{ "key": "tpl", "templateAs": "KeysAndValues" }] } },
    ] });
    let (_, app) = made(&external("App", json!({ "template": template })), &Cluster::default());
    let expected = json!({ "replicas": 1, "deep": { "k": "old", "text": "{{ .a }}" },
        "list": [null, { "name": "n1" }], "map": { "x": "{{ .a }}" } });
    assert_eq!(app["spec"], expected);
    assert_eq!(app["metadata"]["annotations"]["note"], "1");
    assert_eq!(app["metadata"]["labels"]["l"], "x1");
    for path in ["metadata.ownerReferences", "status", "spec..x", "kind"] {
        let template = json!({ "templateFrom": [{ "target": path, "literal": "a: b" }] });
        let external = external("App", json!({ "template": template }));
        let failure = decided(&external, &Cluster::default(), &Moment::default()).unwrap_err();
        assert!(failure.cause.contains("invalid path"), "{path}: {}", failure.cause);
    }
}

#[test]
fn owners_replace_and_merges_keep() {
    let existing = json!({ "apiVersion": "example.com/v1", "kind": "App",
        "metadata": { "name": "app", "namespace": "n", "uid": "u", "resourceVersion": "5", "generation": 2, "labels": { "theirs": "1" } },
        "spec": { "data": { "z": "9", "a": "old" }, "other": true }, "status": { "ok": 1 } });
    let cluster = Cluster { existing: Some(existing) };
    let (write, app) = made(&external("App", json!({})), &cluster);
    assert_eq!(write, ManifestWrite::Replace);
    assert_eq!(app["spec"], json!({ "data": { "a": "1", "b": "{{ .a }}" } }));
    assert_eq!((&app["status"]["ok"], &app["metadata"]["resourceVersion"]), (&json!(1), &json!("5")));
    assert_eq!(app["metadata"]["labels"]["theirs"], "1");
    let (_, app) = made(&external("App", json!({ "creationPolicy": "Merge" })), &cluster);
    assert_eq!(app["spec"], json!({ "data": { "z": "9", "a": "1", "b": "{{ .a }}" }, "other": true }));
    let merge = external("App", json!({ "creationPolicy": "Merge" }));
    let nothing = decided(&merge, &Cluster::default(), &Moment::default()).unwrap();
    assert_eq!((nothing.settled, nothing.manifest.is_none()), (Settled::Missing, true));
}

#[test]
fn what_the_api_server_adds_is_no_drift_but_a_change_is() {
    let external = external("App", json!({}));
    let (_, mut stored) = made(&external, &Cluster::default());
    stored["metadata"]["uid"] = json!("u");
    stored["metadata"]["generation"] = json!(1);
    let exact = Cluster { existing: Some(stored.clone()) };
    assert!(decided(&external, &exact, &Moment::default()).unwrap().manifest.is_none(), "nothing to write");
    stored["spec"]["added"] = json!("by the API server");
    let cluster = Cluster { existing: Some(stored.clone()) };
    let left = |version: &str| Moment { left: Some(version.to_owned()), ..Moment::default() };
    assert!(decided(&external, &cluster, &left("u 1")).unwrap().manifest.is_none());
    assert!(decided(&external, &cluster, &left("u 0")).unwrap().manifest.is_some());
    let object = cluster
        .existing
        .as_ref()
        .map(|of| ManifestObject::from_json(&of.to_string().as_str().into()).unwrap());
    assert!(is_right(&external, object.as_ref(), &left("u 1")));
    assert!(!is_right(&external, object.as_ref(), &left("u 2")));
}

#[test]
fn a_target_of_somebody_else_is_left_alone() {
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "d", "controller": true }]);
    let existing = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "app", "namespace": "n", "uid": "u", "ownerReferences": owner } });
    let cluster = Cluster { existing: Some(existing) };
    let failure = decided(&external("ConfigMap", json!({})), &cluster, &Moment::default()).unwrap_err();
    assert_eq!(failure.message, "failed to take ownership of target secret");
    let gone = pollster::block_on(deleted(
        &external("ConfigMap", json!({ "deletionPolicy": "Delete" })),
        &ManifestKind::new("v1", "ConfigMap"),
        &cluster,
    ));
    assert!(gone.unwrap().is_none());
    assert_eq!(to_json(&Node::map::<String>([])).expose(), b"{}\n");
}
