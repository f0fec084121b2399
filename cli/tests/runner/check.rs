//! `sealops check`: each kind of finding, exit codes, and no value anywhere.

use std::time::Duration;

use sealops_testenv::Recorder;

use crate::render_stores::{bao, vault_folder};
use crate::sandbox::{Run, Sandbox};

/// In every value of the folder, and of the store.
const CANARY: &str = "CANARY";

fn check(sandbox: &Sandbox, flags: &str) -> Run {
    let run = sandbox.run(&format!("sealops check in {flags}"), "");
    for text in [&run.out, &run.err] {
        assert!(!text.contains(CANARY) && !text.contains("Q0FOQVJZ"), "a value is shown: {text}");
    }
    run
}

fn finds(run: &Run, code: i32, findings: &[(&str, &str)]) {
    assert_eq!(run.code, code, "{}\n{}", run.out, run.err);
    for (object, finding) in findings {
        let is_there = run.out.lines().any(|line| line.contains(object) && line.contains(finding));
        assert!(is_there, "{object} {finding:?} is not in\n{}", run.out);
    }
    assert_eq!(run.out.lines().count(), findings.len(), "{}", run.out);
}

const FAKE: &str = "apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake, namespace: shop}
spec:
  provider:
    fake:
      data:
      - {key: plain, value: CANARY text}
      - {key: map, value: '{\"a\": \"CANARY\", \"b\": \"!!\"}'}
---
";

fn external(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         secretStoreRef: {{name: fake}}\n  {}\n---\n",
        spec.replace('\n', "\n  ")
    )
}

#[test]
fn every_entry_that_is_wrong_is_named() {
    let sandbox = Sandbox::new();
    let objects = [
        external("good", "refreshInterval: 1h\ndata: [{secretKey: a, remoteRef: {key: map, property: a}}]"),
        external(
            "entries",
            "data:\n- {secretKey: a, remoteRef: {key: none}}\n- {secretKey: b, remoteRef: {key: map, property: zz}}\n\
             - {secretKey: c, remoteRef: {key: map, property: b, decodingStrategy: Base64}}\n\
             - {secretKey: d, remoteRef: {key: plain}}",
        ),
        external("list", "dataFrom: [{extract: {key: plain}}]"),
        external(
            "template",
            "target: {template: {data: {x: '{{ .a | nonsense }}'}}}\ndata: [{secretKey: a, remoteRef: {key: plain}}]",
        ),
        external(
            "fails",
            "target: {template: {data: {x: '{{ fail .a }}'}}}\ndata: [{secretKey: a, remoteRef: {key: plain}}]",
        ),
        external(
            "type",
            "target: {template: {type: bootstrap.kubernetes.io/token}}\ndata: [{secretKey: a, remoteRef: {key: plain}}]",
        ),
        external("interval", "refreshInterval: 1d\ndata: [{secretKey: a, remoteRef: {key: plain}}]"),
        external("never", "refreshInterval: 0s\ndata: [{secretKey: a, remoteRef: {key: plain}}]"),
        external("often", "refreshInterval: 5s\ndata: [{secretKey: a, remoteRef: {key: plain}}]"),
        external("nothing", "refreshInterval: 1h"),
        external("twice", "target: {name: good}\ndata: [{secretKey: a, remoteRef: {key: plain}}]"),
        external("made", "dataFrom: [{sourceRef: {generatorRef: {kind: UUID, name: id}}}]"),
        external("nostore", "data: [{secretKey: a, remoteRef: {key: plain}}]")
            .replace("{name: fake}", "{name: gone}"),
        external("outside", "data: [{secretKey: a, remoteRef: {key: plain}}]")
            .replace("{name: fake}", "{name: shared, kind: ClusterSecretStore}"),
    ];
    sandbox.write("in/objects.yaml", format!("{FAKE}{}", objects.concat()));
    let secrets = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: orphan\n  namespace: shop\n  ownerReferences: [{apiVersion: external-secrets.io/v1, kind: ExternalSecret, name: gone, uid: u}]\nstringData: {a: CANARY}\n---\n\
        apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: {name: push, namespace: shop}\nspec:\n  secretStoreRefs: [{name: fake}, {name: gone}]\n  selector: {secret: {name: orphan}}\n  data: [{match: {secretKey: b, remoteRef: {remoteKey: x}}}]\n";
    sandbox.write("in/secrets.yaml", secrets);
    let run = check(&sandbox, "");
    finds(
        &run,
        1,
        &[
            ("shop/entries", "problem (value-missing): spec.data[0] (key: none)"),
            ("shop/entries", "problem (value-missing): spec.data[1] (key: map)"),
            ("shop/entries", "problem (value): spec.data[2] (key: map)"),
            ("shop/list", "problem (value): spec.dataFrom[0]: unable to unmarshal secret"),
            ("shop/template", "problem (template)"),
            ("shop/fails", "problem (template)"),
            ("shop/type", "problem (template)"),
            ("shop/interval", "problem (interval)"),
            ("shop/interval", "problem (value): spec.data[0]"),
            ("shop/never", "note (interval)"),
            ("shop/often", "note (interval): it asks its stores every 5 s"),
            ("shop/nothing", "problem (invalid)"),
            (
                "shop/twice",
                "problem (duplicate-target): the Secret shop/good is made by ExternalSecret shop/good",
            ),
            ("shop/made", "note (generator-not-run)"),
            ("shop/nostore", "problem (store-missing)"),
            ("shop/outside", "note (store-outside)"),
            ("shop/orphan", "note (owner-missing): its owner ExternalSecret gone"),
            ("shop/push", "problem (store-missing): there is no SecretStore gone"),
            ("shop/push", "problem (value-missing): its Secret orphan has no key b"),
        ],
    );
    assert!(run.err.contains("16 objects: 14 problems, 5 notes"), "{}", run.err);
    let json = check(&sandbox, "--json");
    assert_eq!(json.code, 1);
    assert_eq!(json.out.matches("\"code\":").count(), 19);
    for part in ["\"problems\": 14", "\"notes\": 5", "\"ExternalSecret\": 14", "\"notAsked\": 0"] {
        assert!(json.out.contains(part), "{part}: {}", json.out);
    }
}

#[test]
fn what_is_fine_is_silent_and_strictness_is_a_choice() {
    let sandbox = Sandbox::new();
    let good =
        external("good", "refreshInterval: 1h\ndata: [{secretKey: a, remoteRef: {key: map, property: a}}]");
    sandbox.write("in/objects.yaml", format!("{FAKE}{good}"));
    let run = check(&sandbox, "--strict");
    finds(&run, 0, &[]);
    assert!(run.err.contains("2 objects: 0 problems, 0 notes"), "{}", run.err);
    sandbox.write("in/objects.yaml", format!("{FAKE}{}", good.replace("1h", "30s")));
    finds(&check(&sandbox, ""), 0, &[("shop/good", "note (interval)")]);
    finds(&check(&sandbox, "--strict"), 1, &[("shop/good", "note (interval)")]);
    sandbox.run("sealops check in --offline --allow-network", "").fails(2, &["--offline"]);
    sandbox.run("sealops check nowhere", "").fails(1, &["nowhere"]);
}

#[test]
fn sealed_secrets_open_or_are_named() {
    let sandbox = Sandbox::new();
    vault_folder(&sandbox, "https://vault.example.com", 0);
    let key = "--key keys/interop-2048.key --offline";
    finds(&check(&sandbox, key), 0, &[]);
    finds(&check(&sandbox, "--offline"), 0, &[("shop/login", "note (not-opened): no private key was given")]);
    let renamed = sandbox.read("in/login.yaml").replace("name: login", "name: other");
    sandbox.write("in/login.yaml", renamed);
    finds(
        &check(&sandbox, key),
        1,
        &[("shop/other", "problem (not-opened): no key could decrypt secret (id)")],
    );
}

#[test]
fn stores_answer_or_are_named_and_nobody_is_asked_who_may_not_be() {
    let recorder = Recorder::start(bao().address(), Duration::ZERO);
    let (url, key) = (recorder.url(), "--key keys/interop-2048.key");
    let sandbox = Sandbox::new();
    vault_folder(&sandbox, &url, 7);
    let closed = check(&sandbox, key);
    finds(&closed, 1, &[("shop/vault", "problem (not-allowed)")]);
    assert!(closed.err.contains(&format!("--allow-server {url} lets stores ask there")), "{}", closed.err);
    let offline = check(&sandbox, &format!("{key} --offline"));
    finds(&offline, 0, &[]);
    assert!(offline.err.contains("the stores of 7 were not asked"), "{}", offline.err);
    assert_eq!(recorder.count("/v1/"), 0, "nobody was asked");

    let open = format!("{key} --allow-server {url}");
    finds(&check(&sandbox, &open), 0, &[]);
    assert_eq!(recorder.count("/v1/auth/approle/login"), 1, "one login");
    assert_eq!(recorder.count("GET /v1/secret/data/"), 5, "one call a key");
    assert_eq!(recorder.count("PUT /v1/secret") + recorder.count("POST /v1/secret"), 0, "nothing is written");

    let store = sandbox.read("in/store.yaml");
    sandbox.write("in/store.yaml", store.replace("role-of-the-folder", "no-such-role"));
    finds(&check(&sandbox, &open), 1, &[("shop/vault", "problem (access-denied)")]);
    sandbox.write("in/store.yaml", store.replace(&url, "http://127.0.0.1:9"));
    let down = check(&sandbox, &format!("{key} --allow-network"));
    finds(&down, 3, &[("shop/vault", "problem (store-unavailable)")]);
}
