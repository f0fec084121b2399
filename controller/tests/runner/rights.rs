//! The controller runs with exactly the rights of `deploy/`, and uses each of them; and with upstream's rights where it
//! has upstream's name.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use sealops_testenv::{AuditEntry, AuditMark, ControlPlane, SealedSecretsController, eventually};
use serde_json::json;

use super::both::{Side, put_key, testdata};
use super::harness::*;

/// A store of the cluster whose condition needs the namespace's labels, and an ExternalSecret that reads it.
const FROM_CLUSTER_STORE: &str = r#"
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: shared}
spec:
  conditions: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
  provider: {fake: {data: [{key: user, value: amber}]}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: shared, namespace: shop}
spec:
  secretStoreRef: {name: shared, kind: ClusterSecretStore}
  data: [{secretKey: user, remoteRef: {key: user}}]
"#;

/// An ExternalSecret whose target goes with it.
const REMOVED: &str = r#"
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: removed, namespace: shop}
spec:
  secretStoreRef: {name: fake}
  target: {deletionPolicy: Delete}
  data: [{secretKey: user, remoteRef: {key: user}}]
"#;

/// An ExternalSecret whose template comes from a ConfigMap.
const FROM_CONFIG_MAP: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: templates, namespace: shop}
data: {line: "user={{ .user }}"}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: rendered, namespace: shop}
spec:
  secretStoreRef: {name: fake}
  target:
    template:
      engineVersion: v2
      templateFrom: [{configMap: {name: templates, items: [{key: line}]}}]
  data: [{secretKey: user, remoteRef: {key: user}}]
"#;

/// Objects in which every kind of generator is read, and stores are selected by labels.
fn generators() -> String {
    let kinds = [
        ("Password", json!({ "length": 8 })),
        ("UUID", json!({})),
        ("Fake", json!({ "data": { "a": "b" } })),
        ("MFA", json!({ "secret": { "name": "none", "key": "k" } })),
        ("Webhook", json!({ "url": "http://127.0.0.1:1/", "result": {} })),
        ("SSHKey", json!({ "keyType": "ed25519" })),
        ("VaultDynamicSecret", json!({ "path": "x", "provider": { "server": "http://127.0.0.1:1" } })),
        ("ECRAuthorizationToken", json!({ "region": "nowhere!" })),
        ("STSSessionToken", json!({ "region": "nowhere!" })),
    ];
    let push = |name: &str, kind: &str, reference: serde_json::Value| {
        json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "secretStoreRefs": [{ "name": "none", "kind": kind }],
                "selector": { "generatorRef": reference } } })
    };
    let mut all = Vec::new();
    for (kind, spec) in kinds {
        let name = kind.to_lowercase();
        all.push(json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind,
            "metadata": { "name": name, "namespace": "shop" }, "spec": spec }));
        all.push(push(&name, "SecretStore", json!({ "kind": kind, "name": name })));
    }
    all.iter().map(|object| object.to_string()).collect::<Vec<_>>().join("\n---\n")
}

/// Stores that log in with a service account, and stores that are held by a PushSecret. `kinds` are those of stores.
async fn exercise_stores(plane: &ControlPlane, kinds: &[&str]) -> Result<()> {
    let client = plane.client()?;
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "login", "namespace": "shop", "annotations": { "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x" } } });
    plane.apply_manifests(&account.to_string()).await?;
    for (name, provider) in [(
        "by-token",
        json!({ "kubernetes": { "server": { "url": "https://127.0.0.1:1" }, "auth": { "serviceAccount": { "name": "login" } } } }),
    )] {
        let store = json!({ "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
            "metadata": { "name": name, "namespace": "shop" }, "spec": { "provider": provider } });
        plane.apply_manifests(&store.to_string()).await?;
    }
    eventually("the account is asked for a token", PATIENCE, async || {
        let entries = plane.audit().since_start().ok()?;
        let did = |verb: &str, subresource: &str| {
            entries.iter().any(|entry| {
                let what = (entry.resource.as_str(), entry.name.as_str(), entry.subresource.as_str());
                what == ("serviceaccounts", "login", subresource) && entry.verb == verb
            })
        };
        did("create", "token").then_some(())
    })
    .await?;
    for kind in kinds {
        let (name, namespace) =
            if *kind == "SecretStore" { ("fake", Some("shop")) } else { ("shared", None) };
        let push = json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": { "name": format!("holds-{name}"), "namespace": "shop" },
            "spec": { "deletionPolicy": "Delete", "secretStoreRefs": [{ "name": name, "kind": kind }],
                "selector": { "secret": { "name": "app" } } } });
        plane.apply_manifests(&push.to_string()).await?;
        let stores = super::cluster_kinds::api(&client, kind, namespace);
        eventually(&format!("the {kind} {name} is held"), PATIENCE, async || {
            stores.get(name).await.ok()?.metadata.finalizers.filter(|names| !names.is_empty())
        })
        .await?;
    }
    Ok(())
}

/// What a PushSecret reads in its own namespace, and its finalizer on and off.
async fn exercise_pushes(plane: &ControlPlane, selected: &[&str]) -> Result<()> {
    let client = plane.client()?;
    exercise_stores(plane, selected).await?;
    plane.apply_manifests(&generators()).await?;
    for kind in selected {
        let push = json!({ "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": { "name": format!("selects-{}", kind.to_lowercase()), "namespace": "shop" },
            "spec": {
                "secretStoreRefs": [{ "labelSelector": { "matchLabels": { "a": "b" } }, "kind": kind }, { "name": "none" }],
                "selector": { "secret": { "selector": { "matchLabels": { "a": "b" } } } } } });
        plane.apply_manifests(&push.to_string()).await?;
        event(&client, "shop", &format!("selects-{}", kind.to_lowercase()), "Errored").await?;
    }
    for name in [
        "password",
        "uuid",
        "fake",
        "mfa",
        "webhook",
        "sshkey",
        "vaultdynamicsecret",
        "ecrauthorizationtoken",
        "stssessiontoken",
    ] {
        event(&client, "shop", name, "Errored").await?;
    }
    let pushes = super::cluster_kinds::api(&client, "PushSecret", Some("shop"));
    let patch = Patch::Merge(json!({ "spec": { "deletionPolicy": "Delete" } }));
    pushes.patch("uuid", &PatchParams::default(), &patch).await?;
    eventually("the finalizer is there", PATIENCE, async || {
        pushes.get("uuid").await.ok()?.metadata.finalizers.filter(|names| !names.is_empty())
    })
    .await?;
    Ok(())
}

/// A lease that is recorded and goes with its owner, and a state whose time is over.
async fn exercise_states(plane: &ControlPlane) -> Result<()> {
    let vault = tokio::task::spawn_blocking(sealops_testenv::OpenBao::start).await??;
    let client = plane.client()?;
    let token = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "root", "namespace": "shop" },
        "stringData": { "token": sealops_testenv::OpenBao::ROOT_TOKEN } });
    let generator = json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "VaultDynamicSecret",
        "metadata": { "name": "tokens", "namespace": "shop" },
        "spec": { "path": "auth/token/create", "method": "PUT", "parameters": { "ttl": "1h" }, "resultType": "Auth",
            "provider": { "server": vault.url(), "auth": { "tokenSecretRef": { "name": "root", "key": "token" } } } } });
    let external = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": { "name": "tokens", "namespace": "shop" },
        "spec": { "dataFrom": [{ "sourceRef": { "generatorRef": { "kind": "VaultDynamicSecret", "name": "tokens" } } }] } });
    let over = json!({ "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "GeneratorState",
        "metadata": { "name": "over", "namespace": "shop" },
        "spec": { "garbageCollectionDeadline": "2026-01-01T00:00:00Z", "resource": generator, "state": {} } });
    let all = [&token, &generator, &external, &over].map(ToString::to_string).join("\n---\n");
    plane.apply_manifests(&all).await?;
    secret(&client, "shop", "tokens").await?;
    let states = super::cluster_kinds::api(&client, "GeneratorState", Some("shop"));
    eventually("the state whose time is over is gone", PATIENCE, async || {
        states.get_opt("over").await.ok()?.is_none().then_some(())
    })
    .await?;
    assert_eq!(states.list(&ListParams::default()).await?.items.len(), 1);
    let externals = super::cluster_kinds::api(&client, "ExternalSecret", Some("shop"));
    externals.delete("tokens", &kube::api::DeleteParams::default()).await?;
    eventually("the state is gone with its owner", PATIENCE * 2, async || {
        states.list(&ListParams::default()).await.ok().filter(|list| list.items.is_empty())
    })
    .await
    .map(drop)
}

fn deploy(path: &str) -> Result<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Makes the controller do everything that it ever does.
async fn exercise(plane: &ControlPlane, controller: &Controller, external: &str) -> Result<()> {
    let client = plane.client()?;
    let certificate = controller.certificate().await?;
    let api = sealed_api(&client, "shop");
    let sealed = |value: &'static [u8]| Draft::new("shop", "web", vec![("a", value)]).sealed(&certificate);
    create(&api, sealed(b"one")).await?;
    synced(&client, "shop", "web", "True").await?;
    event(&client, "shop", "web", "Unsealed").await?;
    let patch = Patch::Merge(json!({ "spec": sealed(b"two")["spec"] }));
    api.patch("web", &PatchParams::default(), &patch).await?;
    synced(&client, "shop", "web", "True").await?;
    plane.apply_manifests(super::external::FIRST).await?;
    secret(&client, "shop", "app").await?;
    plane.apply_manifests(FROM_CONFIG_MAP).await?;
    secret(&client, "shop", "rendered").await?;
    plane.apply_manifests(REMOVED).await?;
    secret(&client, "shop", "removed").await?;
    let externals = super::cluster_kinds::api(&client, "ExternalSecret", Some("shop"));
    externals.delete("removed", &kube::api::DeleteParams::default()).await?;
    eventually("the object is gone", PATIENCE, async || {
        externals.get_opt("removed").await.ok()?.is_none().then_some(())
    })
    .await?;
    if !external.is_empty() {
        plane.apply_manifests(external).await?;
        secret(&client, "shop", "shared").await?;
    }
    put_key(&client, HOME, "broken", b"", &testdata("interop-2048.key")).await?;
    event(&client, HOME, "broken", "SealingKeyUnusable").await?;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), HOME);
    let shards = async || {
        let list = maps.list(&ListParams::default().labels("sealops.io/state")).await.ok()?;
        (!list.items.is_empty()).then_some(list)
    };
    let before = eventually("the state shards are stored", PATIENCE, shards).await?;
    let patch = Patch::Merge(json!({ "spec": sealed(b"three")["spec"] }));
    api.patch("web", &PatchParams::default(), &patch).await?;
    eventually("a shard is written again", PATIENCE, async || {
        let versions = |maps: &[ConfigMap]| -> Vec<_> {
            maps.iter().map(|map| map.metadata.resource_version.clone()).collect()
        };
        let now = shards().await?;
        (versions(&now.items) != versions(&before.items)).then_some(())
    })
    .await
}

/// One right: where (`*` is everywhere), on what, to do what, under which names.
type Right = (String, String, String, Vec<String>);

fn rights(namespace: &str, rules: &[PolicyRule]) -> Vec<Right> {
    let mut rights = Vec::new();
    for rule in rules {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                let names = rule.resource_names.clone().unwrap_or_default();
                rights.push((namespace.to_owned(), resource.clone(), verb.clone(), names));
            }
        }
    }
    rights
}

/// Everything that Roles and ClusterRoles of ours grant.
async fn granted(client: &Client) -> Result<Vec<Right>> {
    let ours =
        |name: &Option<String>| name.as_deref().is_some_and(|name| name.starts_with("sealops-controller"));
    let mut all = Vec::new();
    for role in Api::<ClusterRole>::all(client.clone()).list(&ListParams::default()).await? {
        if ours(&role.metadata.name) {
            all.extend(rights("*", role.rules.as_deref().unwrap_or_default()));
        }
    }
    for role in Api::<Role>::all(client.clone()).list(&ListParams::default()).await? {
        if ours(&role.metadata.name) {
            let namespace = role.metadata.namespace.clone().unwrap_or_default();
            all.extend(rights(&namespace, role.rules.as_deref().unwrap_or_default()));
        }
    }
    Ok(all)
}

/// Whether a request needed this right.
fn uses(entry: &AuditEntry, (namespace, resource, verb, names): &Right) -> bool {
    let what = match entry.subresource.as_str() {
        "" => entry.resource.clone(),
        subresource => format!("{}/{subresource}", entry.resource),
    };
    (namespace == "*" || *namespace == entry.namespace)
        && *resource == what
        && *verb == entry.verb
        && (names.is_empty() || names.contains(&entry.name))
}

fn requests(plane: &ControlPlane, mark: AuditMark, user: &str) -> Result<Vec<AuditEntry>> {
    let all = plane.audit().since(mark)?;
    Ok(all.into_iter().filter(|entry| entry.user.ends_with(user)).collect())
}

fn refusals(entries: &[AuditEntry]) -> BTreeSet<String> {
    let refused = entries.iter().filter(|entry| entry.code == 403);
    refused
        .map(|entry| format!("{} {}/{} {}", entry.verb, entry.resource, entry.subresource, entry.namespace))
        .collect()
}

async fn assert_exact(plane: &ControlPlane, mark: AuditMark, number: usize) -> Result<String> {
    let entries = requests(plane, mark, ":sealed-secrets-controller")?;
    assert_eq!(refusals(&entries), BTreeSet::new(), "the API server refused");
    let granted = granted(&plane.client()?).await?;
    let unused: Vec<&Right> =
        granted.iter().filter(|right| !entries.iter().any(|entry| uses(entry, right))).collect();
    assert!(unused.is_empty(), "granted and never used: {unused:?}");
    assert_eq!(granted.len(), number, "{granted:?}");
    Ok(format!("{} rights, each used, none missing ({} requests)", granted.len(), entries.len()))
}

#[test]
fn runs_with_exactly_the_rights_of_the_manifests() {
    run(async {
        let plane = control_plane().await?;
        for file in ["kustomize/base/service-account.yaml", "kustomize/base/rbac.yaml"] {
            plane.apply_manifests(&deploy(file)?).await?;
        }
        plane.ensure_namespace("shop").await?;
        let mark = plane.audit().mark()?;
        let kubeconfig = plane.service_account_kubeconfig(HOME, "sealed-secrets-controller").await?;
        let mut controller = Controller::start_as(&kubeconfig, &[]).await?;
        exercise(&plane, &controller, FROM_CLUSTER_STORE).await?;
        exercise_pushes(&plane, &["SecretStore", "ClusterSecretStore"]).await?;
        super::cluster_kinds::exercise(&plane).await?;
        exercise_states(&plane).await?;
        assert!(controller.process.terminate(PATIENCE)?.success());
        println!("all namespaces: {}", assert_exact(&plane, mark, 79).await?);
        Ok(())
    });
}

#[test]
fn named_namespaces_need_no_right_in_the_cluster() {
    run(async {
        let plane = control_plane().await?;
        let rules = deploy("named-namespaces.yaml")?;
        assert!(!rules.contains("ClusterRole"), "Roles only");
        for namespace in ["shop", "bank"] {
            plane.ensure_namespace(namespace).await?;
        }
        plane.apply_manifests(&deploy("kustomize/base/service-account.yaml")?).await?;
        plane.apply_manifests(&rules).await?;
        let mark = plane.audit().mark()?;
        let kubeconfig = plane.service_account_kubeconfig(HOME, "sealed-secrets-controller").await?;
        let mut controller = Controller::start_as(&kubeconfig, &["--namespaces=shop"]).await?;
        exercise(&plane, &controller, "").await?;
        exercise_pushes(&plane, &["SecretStore"]).await?;
        exercise_states(&plane).await?;
        assert!(controller.process.terminate(PATIENCE)?.success());
        println!("named namespaces: {}", assert_exact(&plane, mark, 59).await?);

        // A namespace without its Roles keeps no other waiting (B6 F14), and is handled as soon as it has them.
        let mut controller = Controller::start_as(&kubeconfig, &["--namespaces=bank,shop"]).await?;
        let client = plane.client()?;
        let certificate = controller.certificate().await?;
        for namespace in ["bank", "shop"] {
            let object = Draft::new(namespace, "later", vec![("a", b"one")]).sealed(&certificate);
            create(&sealed_api(&client, namespace), object).await?;
        }
        synced(&client, "shop", "later", "True").await?;
        let more = rules.replace("namespace: shop", "namespace: bank");
        plane.apply_manifests(&more).await?;
        synced(&client, "bank", "later", "True").await?;
        assert!(controller.process.terminate(PATIENCE)?.success());
        Ok(())
    });
}

/// What upstream's manifest grants, by the facts of its `controller.jsonnet`.
const UPSTREAM: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: secrets-unsealer}
rules:
- {apiGroups: [bitnami.com], resources: [sealedsecrets], verbs: [get, list, watch]}
- {apiGroups: [bitnami.com], resources: [sealedsecrets/status], verbs: [update]}
- {apiGroups: [""], resources: [secrets], verbs: [get, list, create, update, delete, watch]}
- {apiGroups: [""], resources: [events], verbs: [create, patch]}
- {apiGroups: [""], resources: [namespaces], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sealed-secrets-key-admin, namespace: kube-system}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [create, list]}
- {apiGroups: [""], resources: [secrets], resourceNames: [sealed-secrets-key], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: key-admin, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sealed-secrets-key-admin}
subjects: [{kind: ServiceAccount, name: sealed-secrets-controller, namespace: kube-system}]
---
"#;

fn unsealer_binding(namespace: Option<&str>) -> String {
    let (kind, metadata) = match namespace {
        None => ("ClusterRoleBinding", json!({ "name": "unsealer" })),
        Some(namespace) => ("RoleBinding", json!({ "name": "unsealer", "namespace": namespace })),
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secrets-unsealer" },
        "subjects": [{ "kind": "ServiceAccount", "name": "sealed-secrets-controller", "namespace": HOME }],
    })
    .to_string()
}

/// An image is swapped and nothing else: `controller` makes do with what upstream's manifests and chart grant.
#[test]
fn upstreams_rights_are_enough_under_upstreams_name() {
    run(async {
        for (namespace, flags, expected) in [
            (
                None,
                &["--key-size=2048"][..],
                &["get endpointslices/ default", "list configmaps/ kube-system"][..],
            ),
            // The chart's Roles for additional namespaces leave the controller's own one out.
            (
                Some("shop"),
                &["--key-size=2048", "--additional-namespaces=shop"],
                &[
                    "get endpointslices/ default",
                    "list configmaps/ kube-system",
                    "list sealedsecrets/ kube-system",
                ],
            ),
        ] {
            let plane = control_plane().await?;
            let client = plane.client()?;
            plane.ensure_namespace("shop").await?;
            plane.apply_manifests(UPSTREAM).await?;
            plane.apply_manifests(&unsealer_binding(namespace)).await?;
            let mut controller =
                SealedSecretsController::start_program(&plane, HOME, Side::Ours.program()?, flags).await?;
            controller.wait_ready(&plane, HOME).await?;
            let certificate =
                sealops_crypto::sealing::Certificate::from_pem(controller.certificate_pem()?.as_bytes())?;
            let api = sealed_api(&client, "shop");
            create(&api, Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate)).await?;
            synced(&client, "shop", "web", "True").await.with_context(|| controller.log())?;
            event(&client, "shop", "web", "Unsealed").await?;
            let next = Draft::new("shop", "web", vec![("a", b"two")]).sealed(&certificate);
            api.patch("web", &PatchParams::default(), &Patch::Merge(json!({ "spec": next["spec"] }))).await?;
            synced(&client, "shop", "web", "True").await?;
            let secrets = Api::<k8s_openapi::api::core::v1::Secret>::namespaced(client.clone(), "shop");
            secrets.delete("web", &kube::api::DeleteParams::default()).await?;
            secret(&client, "shop", "web").await?;
            controller.process().terminate(PATIENCE)?;
            let entries: Vec<AuditEntry> = plane
                .audit()
                .since_start()?
                .into_iter()
                .filter(|entry| entry.user.ends_with(":sealed-secrets-controller"))
                .collect();
            let mut refused = refusals(&entries);
            refused.remove("watch sealedsecrets/ kube-system");
            refused.remove("watch secrets/ kube-system");
            assert_eq!(refused.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{namespace:?}");
        }
        Ok(())
    });
}
