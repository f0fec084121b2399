//! `sealops seal` and the layout of what both fronts print.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{Sandbox, without_ciphertexts};

const SECRET: &str = r#"apiVersion: v1
kind: Secret
metadata:
  name: web
  namespace: shop
  uid: u
  resourceVersion: "3"
  creationTimestamp: "2020-01-01T00:00:00Z"
  labels: {app: web, num: 5, nul: null}
  annotations:
    b: yes
    a: "x<y>&z"
    kubectl.kubernetes.io/last-applied-configuration: all of it
  finalizers: [z/a, a/b]
  ownerReferences: [{apiVersion: v1, kind: K, name: n, uid: x}]
  managedFields: [{fieldsV1: {"f:z": {}, "f:data": {}}, apiVersion: v1, manager: m}]
  unknown: dropped
type: Opaque
immutable: true
data: {b: Zm9v, a: YmFy}
stringData: {a: over, z: null}
"#;

/// Printed by kubeseal 0.40.0 for the same input.
const GOLDEN_JSON: &str = r#"{
  "kind": "SealedSecret",
  "apiVersion": "bitnami.com/v1alpha1",
  "metadata": {
    "name": "web",
    "namespace": "shop",
    "annotations": {
      "sealedsecrets.bitnami.com/namespace-wide": "true"
    }
  },
  "spec": {
    "template": {
      "metadata": {
        "name": "web",
        "namespace": "shop",
        "labels": {
          "app": "web",
          "nul": "",
          "num": "5"
        },
        "annotations": {
          "a": "x\u003cy\u003e\u0026z",
          "b": "true",
          "sealedsecrets.bitnami.com/namespace-wide": "true"
        },
        "finalizers": [
          "z/a",
          "a/b"
        ],
        "managedFields": [
          {
            "manager": "m",
            "apiVersion": "v1",
            "fieldsV1": {
              "f:data": {},
              "f:z": {}
            }
          }
        ]
      },
      "type": "Opaque",
      "immutable": true
    },
    "encryptedData": {
      "a": "SEALED",
      "b": "SEALED",
      "z": "SEALED"
    }
  }
}
"#;

const GOLDEN_YAML: &str = r#"---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  annotations:
    sealedsecrets.bitnami.com/cluster-wide: "true"
  name: web
  namespace: shop
spec:
  encryptedData:
    a: SEALED
  template:
    metadata:
      annotations:
        sealedsecrets.bitnami.com/cluster-wide: "true"
      name: web
      namespace: shop
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  annotations:
    sealedsecrets.bitnami.com/cluster-wide: "true"
  name: api
spec:
  encryptedData: {}
  template:
    metadata:
      annotations:
        sealedsecrets.bitnami.com/cluster-wide: "true"
      name: api
    type: t
"#;

#[test]
fn json_has_the_layout_of_kubeseal() {
    let line = "kubeseal --cert keys/interop-2048.crt --scope namespace-wide";
    assert_eq!(without_ciphertexts(&Sandbox::new().run(line, SECRET).ok()), GOLDEN_JSON);
}

#[test]
fn yaml_has_the_layout_of_kubeseal() {
    let input = concat!(
        r#"{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "shop"}, "data": {"a": "Zg=="}}"#,
        r#"{"kind": "Secret", "type": "t", "metadata": {"name": "api"}}"#,
    );
    let line = "kubeseal --cert keys/interop-2048.crt --scope cluster-wide --allow-empty-data -oyaml";
    assert_eq!(without_ciphertexts(&Sandbox::new().run(line, input).ok()), GOLDEN_YAML);
}

#[test]
fn our_own_front_adds_the_key_hint_and_kubeseal_does_not() {
    let sandbox = Sandbox::new();
    let own = sandbox.run("sealops seal --cert keys/interop-2048.crt", SECRET).ok();
    let hint = "sealops.io/sealing-key: SHA256:lqBEWPqapK2FoUD0nVcAVxaBpBjzNmBaYoxGiiK4XMM";
    assert_eq!(own.matches(hint).count(), 1, "{own}");
    assert!(!sandbox.run("kubeseal --cert keys/interop-2048.crt", SECRET).ok().contains("sealops.io"));
}

#[test]
fn warnings_name_places_and_no_values() {
    let input = "kind: Secret\nmetadata: {name: x, namespace: s}\nstringData:\n  pin: 0123\n  a: hunter2\n  a: hunter3\n";
    let sandbox = Sandbox::new();
    let run = sandbox.run("sealops seal --cert keys/interop-2048.crt", input);
    assert!(run.err.contains("warning: stdin: document 1, line 4: stringData.pin: "), "{}", run.err);
    assert!(run.err.contains("warning: stdin: document 1, line 6: stringData.a: "), "{}", run.err);
    assert!(!run.err.contains("hunter") && !run.err.contains("0123"), "{}", run.err);
    assert_eq!(sandbox.run("kubeseal --cert keys/interop-2048.crt", input).err, "");
}

#[test]
fn written_files_keep_their_mode_and_new_ones_follow_the_umask() {
    let sandbox = Sandbox::new();
    let line = "kubeseal --cert keys/interop-2048.crt -w out.yaml";
    let mode = || fs::metadata(sandbox.path("out.yaml")).unwrap().permissions().mode() & 0o777;
    sandbox.run(line, SECRET).ok();
    sandbox.write("plain", "");
    assert_eq!(mode(), fs::metadata(sandbox.path("plain")).unwrap().permissions().mode() & 0o777);
    fs::set_permissions(sandbox.path("out.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    sandbox.run(line, SECRET).ok();
    assert_eq!(mode(), 0o640);
    assert!(sandbox.read("out.yaml").starts_with("---\napiVersion: "), "the extension chooses the format");
}

#[test]
fn a_failed_run_changes_no_file_and_leaves_none_behind() {
    let sandbox = Sandbox::new();
    sandbox.write("out.yaml", "old");
    let before = sandbox.files();
    let good = "kind: Secret\nmetadata: {name: x, namespace: s}\ndata: {a: Zg==}\n";
    for front in ["kubeseal", "sealops seal"] {
        let line = format!("{front} --cert keys/interop-2048.crt -w out.yaml");
        sandbox
            .run(&line, format!("{good}---\nkind: ConfigMap\n"))
            .fails(1, &["document 2, line 5", "v1 ConfigMap"]);
        let line = format!("{front} --cert keys/interop-2048.crt -w nowhere/out.yaml");
        sandbox.run(&line, good).fails(1, &["write nowhere/out.yaml: no such file or directory"]);
        let line = format!("{front} --cert keys/interop-2048.crt -w keys");
        assert_eq!(sandbox.run(&line, good).code, 1);
    }
    assert_eq!(sandbox.files(), before);
}

#[test]
fn namespaces_come_from_flag_manifest_and_kubeconfig() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "config",
        "kind: Config\ncurrent-context: a\ncontexts:\n- {name: a, context: {cluster: c, namespace: here}}\n- {name: b, context: {cluster: c}}\n",
    );
    let nameless = "kind: Secret\nmetadata: {name: x}\ndata: {a: Zg==}\n";
    let namespaced = |line: &str, input: &str| {
        let out = sandbox.run(&format!("sealops seal --cert keys/interop-2048.crt {line}"), input).ok();
        out.lines().find_map(|line| line.strip_prefix("  namespace: ").map(str::to_owned)).unwrap_or_default()
    };
    assert_eq!(namespaced("-n flag", nameless), "flag");
    assert_eq!(namespaced("--kubeconfig config", nameless), "here");
    assert_eq!(namespaced("--kubeconfig config --context b", nameless), "default");
    assert_eq!(namespaced("--server https://x", nameless), "default");
    assert_eq!(namespaced("--scope cluster-wide", nameless), "");
    assert_eq!(namespaced("--kubeconfig config", &nameless.replace("x}", "x, namespace: own}")), "own");
    let variables = [("KUBECONFIG", "missing:config")];
    let out = sandbox.run_with("kubeseal --cert keys/interop-2048.crt -o yaml", nameless, &variables).ok();
    assert!(out.contains("  namespace: here\n"), "{out}");
}
