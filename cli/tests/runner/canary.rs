//! A known plaintext goes through every command and every error path, and must come out only where it was asked for.

use std::collections::BTreeSet;

use sealops_formats::base64;

use crate::sandbox::{Run, Sandbox};

const CANARY: &str = "CANARY-3f9c1e77b2d84a60";

/// Checks output and files. A file that held the canary before may hold it still.
struct Watch {
    sandbox: Sandbox,
    fixtures: BTreeSet<String>,
}

impl Watch {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for (name, text) in inputs() {
            sandbox.write(&name, text);
        }
        sandbox.write("folder/store.yaml", STORE.replace("CANARY", CANARY));
        let fixtures = sandbox.files().into_keys().collect();
        Self { sandbox, fixtures }
    }

    /// Runs a command that nobody asked to show a value.
    fn run(&self, line: &str, stdin: &str) -> Run {
        let run = self.sandbox.run(line, stdin);
        assert_clean(line, run.out.as_bytes());
        assert_clean(line, run.err.as_bytes());
        for (name, content) in self.sandbox.files() {
            if !self.fixtures.contains(&name) {
                assert_clean(&format!("{line} ({name})"), &content);
            }
        }
        run
    }
}

/// Looks for the canary and its base64, at each of the three offsets that it can have in a longer text.
fn assert_clean(what: &str, haystack: &[u8]) {
    let mut needles = vec![CANARY.to_owned()];
    for offset in 0..3 {
        let encoded = base64::encode_public(format!("{}{CANARY}", "x".repeat(offset)).as_bytes());
        needles.push(encoded[4..encoded.len() - 4].to_owned());
    }
    for needle in needles {
        let found = haystack.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{what}: the canary leaked:\n{}", String::from_utf8_lossy(haystack));
    }
}

/// Of `keys/backup-first.age-key`.
const RECIPIENT: &str = "age1r66nezxjaxx0zzdc4pyglj6s9pmtel3wj3xapugvq2ysazdmhy2swahjvn";

const STORE: &str = "apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake, namespace: shop}
spec: {provider: {fake: {data: [{key: k, value: CANARY}]}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: es, namespace: shop}
spec:
  secretStoreRef: {name: fake, kind: SecretStore}
  data: [{secretKey: a, remoteRef: {key: k, property: missing}}]
";

/// Returns inputs that hold the canary: one that is good, and many that are broken around it.
fn inputs() -> Vec<(String, String)> {
    let head = "kind: Secret\nmetadata: {name: web, namespace: shop}\n";
    let encoded = base64::encode_public(CANARY.as_bytes());
    let broken = [
        format!("{head}data: {{a: {CANARY}}}\n"),
        format!("{head}data: {{a: '{encoded}!'}}\n"),
        format!("{head}data: {CANARY}\n"),
        format!("{head}data: [{CANARY}]\n"),
        format!("{head}data: {{a: [{CANARY}]}}\n"),
        format!("{head}stringData: {{a: [{CANARY}]}}\n"),
        format!("{head}stringData: {{a: {{b: {CANARY}}}}}\n"),
        format!("{head}stringData: {CANARY}\n"),
        format!("{head}stringData:\n  a: '{CANARY}\n"),
        format!("{head}stringData:\n  a: \"\\q{CANARY}\"\n"),
        format!("{head}stringData:\n  a: *{CANARY}\n"),
        format!("{head}stringData:\n  a: !{CANARY} x\n"),
        format!("{head}stringData:\n\ta: {CANARY}\n"),
        format!("{head}stringData: {{a: {CANARY}}}\nimmutable: {CANARY}\n"),
        format!("{head}stringData: {{a: {CANARY}}}\ntype: [{CANARY}]\n"),
        format!("kind: Secret\nmetadata: {{namespace: shop}}\nstringData: {{a: {CANARY}}}\n"),
        format!("kind: Secret\nmetadata: {{name: web}}\nstringData: {{a: {CANARY}}}\n"),
        format!("kind: Secret\nmetadata: {CANARY}\nstringData: {{a: {CANARY}}}\n"),
        format!("kind: Secret\nmetadata: {{name: web, annotations: {CANARY}}}\n"),
        format!("kind: Secret\nmetadata: {{name: web, generation: {CANARY}}}\nstringData: {{a: {CANARY}}}\n"),
        format!("kind: ConfigMap\ndata: {{a: {CANARY}}}\n"),
        format!(
            "kind: Secret\nmetadata: {{name: web, namespace: shop}}\nstringData: {{a: {CANARY}}}\n---\n{{{{{{\n"
        ),
        format!("{{\"kind\": \"Secret\", \"stringData\": {{\"a\": \"{CANARY}\"}} "),
        format!("{{\"kind\": \"Secret\", \"stringData\": {{\"a\": \"{CANARY}\\q\"}}}}"),
        format!("clusters: [{{name: c, cluster: {{server: [{CANARY}]}}}}]\n"),
        format!(
            "clusters: [{{name: c, cluster: {{server: '{CANARY} x'}}}}]\nusers: [{{name: u, user: {{token: [{CANARY}]}}}}]\n"
        ),
        format!(
            "kind: SealedSecret\napiVersion: bitnami.com/v1alpha1\nmetadata: {{name: web, namespace: shop}}\nspec: {{encryptedData: {{a: {CANARY}}}}}\n"
        ),
        format!(
            "kind: SealedSecret\napiVersion: bitnami.com/v1alpha1\nmetadata: {{name: web, namespace: shop}}\nspec: {CANARY}\n"
        ),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{encoded}\n-----END RSA PRIVATE KEY-----\n"),
        format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n"),
        format!("-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n"),
        format!("kind: Secret\nmetadata: {{name: k}}\ndata: {{tls.key: {encoded}, tls.crt: {encoded}}}\n"),
        CANARY.to_owned(),
    ];
    let good = format!(
        "kind: Secret\nmetadata:\n  name: web\n  namespace: shop\n  annotations:\n    \
         kubectl.kubernetes.io/last-applied-configuration: '{CANARY}'\n\
         data: {{b: {encoded}}}\nstringData: {{a: {CANARY}, a: {CANARY}}}\n"
    );
    let mut inputs = vec![("good.yaml".to_owned(), good)];
    inputs.extend(broken.into_iter().enumerate().map(|(index, text)| (format!("broken-{index}.yaml"), text)));
    inputs
}

#[test]
fn nothing_leaks() {
    let watch = Watch::new();
    let cert = "--cert keys/interop-2048.crt";
    let good = watch.sandbox.read("good.yaml");
    for format in ["json", "yaml"] {
        watch.run(&format!("sealops seal {cert} -o {format}"), &good).ok();
        watch.run(&format!("kubeseal {cert} -o {format} -w sealed.{format}"), &good).ok();
    }
    watch.run(&format!("sealops seal {cert} -n other"), &good).fails(1, &["namespace mismatch"]);
    watch.run(&format!("sealops seal --raw {cert} --scope cluster-wide"), CANARY).ok();
    watch.run(&format!("kubeseal --raw {cert} --from-file good.yaml --scope cluster-wide"), "").ok();
    watch.run(&format!("kubeseal {cert} -w nowhere/x.yaml"), &good).fails(1, &["nowhere"]);
    for (name, text) in inputs() {
        // Every input where a manifest, a certificate, a key or a kubeconfig is expected.
        for line in [
            format!("sealops seal {cert}"),
            format!("sealops seal {cert} -f {name} -w out.yaml"),
            format!("sealops seal {cert} --allow-any-kind -f {name}"),
            format!("kubeseal {cert} -f {name}"),
            format!("sealops seal --cert {name}"),
            format!("sealops fetch-cert --cert {name}"),
            format!("sealops unseal --key keys/interop-2048.key -f {name}"),
            format!("sealops unseal --key {name} -f sealed.yaml"),
            format!("kubeseal --recovery-unseal --recovery-private-key {name} -f sealed.yaml"),
            format!("kubeseal --recovery-unseal --recovery-private-key keys/interop-2048.key -f {name}"),
            format!("kubeseal --kubeconfig {name} --server https://127.0.0.1:1"),
            format!("kubeseal --kubeconfig {name}"),
            format!("sealops render {name} --key keys/interop-2048.key"),
            format!("sealops validate {name} --key keys/interop-2048.key --json"),
            format!("sealops validate sealed.yaml --key {name}"),
            format!("sealops re-encrypt {name} --key keys/interop-2048.key --cert keys/third-2048.crt"),
            format!("sealops re-encrypt sealed.yaml --key {name} --cert {name} --dry-run"),
            format!("kubeseal {cert} --merge-into {name}"),
            format!("sealops seal {cert} --merge-into sealed.yaml -f {name}"),
            format!("sealops keys export --key {name} -r {RECIPIENT} -o backup.age"),
            format!("sealops keys export --key {name} -r {name} -R {name}"),
            format!("sealops keys import {name} -i {name} -o imported"),
            format!("sealops keys verify {name} sealed.yaml -i keys/backup-first.age-key"),
            format!("sealops release --kubeconfig {name} --server https://127.0.0.1:1"),
            format!("sealops render {name} --key {name} -o rendered"),
            format!("sealops check {name} --key keys/interop-2048.key --offline"),
            format!("sealops check {name} --key {name} --allow-network --json"),
        ] {
            watch.run(&line, &text);
        }
    }
    let run = watch.run("sealops render folder --key keys/interop-2048.key -o rendered", "");
    run.fails(1, &["ExternalSecret shop/es"]);
    let run = watch.run("sealops check folder --json", "");
    assert!(run.code == 1 && run.out.contains("value-missing"), "{}{}", run.out, run.err);
}

/// The other half: where it is asked for, it comes out.
#[test]
fn what_is_asked_for_is_shown() {
    let watch = Watch::new();
    let good = watch.sandbox.read("good.yaml");
    let sealed = watch.run("sealops seal --cert keys/interop-2048.crt", &good).ok();
    let out = watch.sandbox.run("sealops unseal --key keys/interop-2048.key", sealed).ok();
    assert!(out.contains(&base64::encode_public(CANARY.as_bytes())));
}
