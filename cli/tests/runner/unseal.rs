//! What was sealed opens again: whole Secrets, single values, folders; and only where it may.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealops_formats::base64;
use serde_json::Value;

use crate::sandbox::Sandbox;

fn secret_with(values: &[&[u8]]) -> String {
    let data: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(index, value)| format!("\"k{index}\": \"{}\"", base64::encode_public(value)))
        .collect();
    format!(
        "{{\"kind\": \"Secret\", \"apiVersion\": \"v1\", \"metadata\": {{\"name\": \"web\", \"namespace\": \"shop\"}}, \
         \"data\": {{{}}}}}",
        data.join(", ")
    )
}

#[test]
fn any_bytes_come_back_in_every_scope() {
    let sandbox = Sandbox::new();
    let every: Vec<u8> = (0..=255).collect();
    let large = vec![0xa5; 300_000];
    let mut values: Vec<&[u8]> = vec![b"", b"\n", &every, &large, "grüße".as_bytes()];
    let many: Vec<Vec<u8>> = (0..40u8).map(|index| vec![index; usize::from(index)]).collect();
    values.extend(many.iter().map(Vec::as_slice));
    for scope in ["strict", "namespace-wide", "cluster-wide"] {
        for front in ["sealops seal", "kubeseal"] {
            let line = format!("{front} --cert keys/interop-2048.crt --scope {scope}");
            let sealed = sandbox.run(&line, secret_with(&values)).ok();
            let out = sandbox.run("sealops unseal --key keys/interop-2048.key --format json", sealed).ok();
            let opened: Value = serde_json::from_str(&out).unwrap();
            for (index, value) in values.iter().enumerate() {
                assert_eq!(
                    opened["data"][format!("k{index}")],
                    base64::encode_public(value),
                    "{scope} {index}"
                );
            }
        }
    }
}

#[test]
fn single_values_open_inside_a_manifest() {
    let sandbox = Sandbox::new();
    sandbox.write("value", "exact\n");
    for line in [
        "sealops seal --raw --cert keys/interop-2048.crt -n shop --name web --from-file value",
        "kubeseal --raw --cert keys/interop-2048.crt --namespace=shop --name=web --from-file=k=value",
        "kubeseal --raw --cert keys/interop-2048.crt --namespace=shop --name=web --from-file=/dev/stdin",
    ] {
        let sealed = sandbox.run(line, "exact\n").ok();
        assert!(!sealed.contains('\n'));
        let manifest = format!(
            "kind: SealedSecret\napiVersion: bitnami.com/v1alpha1\nmetadata: {{name: web, namespace: shop}}\n\
             spec: {{encryptedData: {{k: {sealed}}}}}\n"
        );
        let out = sandbox.run("sealops unseal --key keys/interop-2048.key", &manifest).ok();
        assert!(out.contains("  k: ZXhhY3QK\n"), "{out}");
        let elsewhere = manifest.replace("shop", "other");
        let run = sandbox.run("sealops unseal --key keys/interop-2048.key", elsewhere);
        run.fails(1, &["stdin: document 1", "no key could decrypt secret (k)"]);
    }
}

#[test]
fn unsealed_files_are_private_and_kept_out_of_git() {
    let sandbox = Sandbox::new();
    let sealed = sandbox.run("sealops seal --cert keys/interop-2048.crt", secret_with(&[b"v"])).ok();
    sandbox.write("out.yaml", "old");
    sandbox.run("sealops unseal --key keys/interop-2048.key -o out.yaml", &sealed).ok();
    let mode = fs::metadata(sandbox.path("out.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::create_dir_all(sandbox.path("tree/.git")).unwrap();
    let line = "sealops unseal --key keys/interop-2048.key -o tree/out.yaml";
    sandbox.run(line, &sealed).fails(1, &["tree/out.yaml lies in a git work tree", "hint: --force"]);
    sandbox.run(&format!("{line} --force"), &sealed).ok();
}

#[test]
fn key_files_may_be_secrets_and_lists() {
    let sandbox = Sandbox::new();
    let encoded = |name: &str| base64::encode_public(&fs::read(sandbox.path(name)).unwrap());
    let entry = format!(
        "apiVersion: v1\n  kind: Secret\n  metadata: {{name: k}}\n  data: {{tls.key: {}, tls.crt: {}}}\n",
        encoded("keys/interop-2048.key"),
        encoded("keys/interop-2048.crt")
    );
    sandbox.write("list.yaml", format!("apiVersion: v1\nkind: List\nitems:\n- {entry}"));
    sandbox.write("secret.yaml", entry.replace("\n  ", "\n"));
    let sealed = sandbox.run("kubeseal --cert keys/interop-2048.crt", secret_with(&[b"v"])).ok();
    for keys in ["list.yaml", "secret.yaml", "keys/third-2048.key,secret.yaml"] {
        let line = format!("kubeseal --recovery-unseal --recovery-private-key {keys}");
        let out = sandbox.run(&line, &sealed).ok();
        assert!(out.starts_with("{\n  \"kind\": \"Secret\",\n  \"apiVersion\": \"v1\","), "{out}");
        assert!(out.contains("\"k0\": \"dg==\"") && !out.contains("ownerReferences"), "{out}");
    }
}

#[test]
fn folders_render_and_one_problem_stops_everything() {
    let sandbox = Sandbox::new();
    let sealed = sandbox.run("sealops seal --cert keys/interop-2048.crt", secret_with(&[b"v"])).ok();
    sandbox.write("in/a.yaml", &sealed);
    sandbox.run("sealops render in --key keys/interop-2048.key -o out", "").ok();
    assert!(sandbox.read("out/shop.web.yaml").contains("k0: dg=="));
    let mode = fs::metadata(sandbox.path("out/shop.web.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    sandbox.write("in/b.yaml", sealed.replace("namespace: shop", "namespace: other"));
    let run = sandbox.run("sealops render in --key keys/interop-2048.key -o second", "");
    run.fails(1, &["1 object cannot be rendered", "b.yaml", "other/web", "no key could decrypt secret (k0)"]);
    assert!(!sandbox.path("second").exists());
    sandbox.write("empty/readme.txt", "");
    sandbox
        .run("sealops render empty", "")
        .fails(1, &["empty: there is no Secret to render", "--allow-empty"]);
    sandbox.run("sealops render empty --allow-empty", "").ok();
}

#[test]
fn generated_keys_seal_and_open() {
    let sandbox = Sandbox::new();
    sandbox.run("sealops keys generate -o new/pair --bits 2048 --days 2", "").ok();
    let mode = fs::metadata(sandbox.path("new/pair/tls.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sealed = sandbox.run("sealops seal --cert new/pair/tls.crt", secret_with(&[b"v"])).ok();
    assert!(sandbox.run("sealops unseal --key new/pair/tls.key", sealed).ok().contains("k0: dg=="));
    let before = sandbox.files();
    sandbox
        .run("sealops keys generate -o new/pair --bits 2048", "")
        .fails(1, &["tls.key: the file exists already"]);
    assert_eq!(sandbox.files(), before);
}
