//! Backups of sealing keys: made, restored into files, and proven.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealops_formats::base64;
use serde_json::Value as Json;

use crate::sandbox::Sandbox;

const FIRST: &str = "keys/backup-first.age-key";
const SECOND: &str = "keys/backup-second.age-key";

/// Returns the recipient that an identity file names in its comment.
fn recipient(sandbox: &Sandbox, file: &str) -> String {
    let text = sandbox.read(file);
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

fn key_list(sandbox: &Sandbox, names: &[&str]) -> String {
    let encoded = |name: String| base64::encode_public(&fs::read(sandbox.path(&name)).unwrap());
    let items: String = names
        .iter()
        .map(|name| {
            format!(
                "- apiVersion: v1\n  kind: Secret\n  type: kubernetes.io/tls\n  metadata:\n    name: {name}\n    namespace: kube-system\n    \
                 uid: u\n    resourceVersion: '3'\n    labels: {{sealedsecrets.bitnami.com/sealed-secrets-key: active}}\n    \
                 creationTimestamp: '2020-01-01T00:00:00Z'\n  data: {{tls.key: {}, tls.crt: {}}}\n",
                encoded(format!("keys/{name}.key")),
                encoded(format!("keys/{name}.crt"))
            )
        })
        .collect();
    format!("apiVersion: v1\nkind: List\nitems:\n{items}")
}

#[test]
fn a_backup_goes_around_and_only_its_recipients_open_it() {
    let sandbox = Sandbox::new();
    sandbox.write("keys.yaml", key_list(&sandbox, &["interop-2048", "third-2048"]));
    sandbox.write(
        "team.txt",
        format!("# both\n{}\n\n{}\n", recipient(&sandbox, FIRST), recipient(&sandbox, SECOND)),
    );
    sandbox.run("sealops keys export --key keys.yaml -R team.txt -o b.age", "").ok();
    let backup = sandbox.read("b.age");
    assert!(backup.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let mode = fs::metadata(sandbox.path("b.age")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (index, identity) in [FIRST, SECOND].iter().enumerate() {
        let line = format!("sealops keys import b.age --identity {identity} -o out{index}");
        sandbox.run(&line, "").ok();
        let text = sandbox.read(&format!("out{index}/interop-2048.yaml"));
        assert!(text.contains("sealedsecrets.bitnami.com/sealed-secrets-key: active"), "{text}");
        assert!(!text.contains("uid") && !text.contains("resourceVersion"), "{text}");
        let mode =
            fs::metadata(sandbox.path(&format!("out{index}/third-2048.yaml"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        sandbox.run(&line, "").fails(1, &["the file exists already"]);
    }
    let one = recipient(&sandbox, FIRST);
    let armored = sandbox.run(&format!("sealops keys export --key out0/third-2048.yaml -r {one}"), "").ok();
    sandbox.write("one.age", armored);
    sandbox
        .run(&format!("sealops keys import one.age -i {SECOND} -o out2"), "")
        .fails(1, &["one.age: none of the identities opens the backup"]);
    assert!(!sandbox.path("out2").exists());
}

#[test]
fn a_drill_proves_that_a_backup_opens_everything() {
    let sandbox = Sandbox::new();
    let secret = |name: &str| {
        format!("kind: Secret\nmetadata: {{name: {name}, namespace: shop}}\nstringData: {{a: CANARY}}\n")
    };
    for (name, key) in [("one", "interop-2048"), ("two", "third-2048")] {
        let line = format!("kubeseal --cert keys/{key}.crt -o yaml -w d-{name}.yaml");
        sandbox.run(&line, secret(name)).ok();
        sandbox.write(&format!("d/{name}.yaml"), sandbox.read(&format!("d-{name}.yaml")));
    }
    let recipient = recipient(&sandbox, FIRST);
    for (keys, failed) in [(&["interop-2048", "third-2048"][..], 0), (&["interop-2048"][..], 1)] {
        sandbox.write("keys.yaml", key_list(&sandbox, keys));
        sandbox.run(&format!("sealops keys export --key keys.yaml -r {recipient} -o b.age"), "").ok();
        let run = sandbox.run(&format!("sealops keys verify b.age -i {FIRST} d --json"), "");
        assert_eq!(run.code, failed, "{}", run.err);
        let report: Json = serde_json::from_str(&run.out).unwrap();
        assert_eq!(
            (report["opened"].as_i64(), report["failed"].as_i64()),
            (Some(2 - i64::from(failed)), Some(i64::from(failed)))
        );
        for needle in ["CANARY", &base64::encode_public(b"CANARY"), "PRIVATE KEY"] {
            assert!(!run.out.contains(needle) && !run.err.contains(needle), "{needle}");
        }
    }
    // The keys bring the certificate to seal with, of the newest of them.
    sandbox.write("both.yaml", key_list(&sandbox, &["interop-2048", "third-2048"]));
    sandbox.run("sealops re-encrypt d --key both.yaml", "").ok();
    let opens = |key: &str| sandbox.run(&format!("sealops validate d --key keys/{key}.key"), "").code == 0;
    assert!(opens("interop-2048") != opens("third-2048"), "one key has sealed everything");
    // A plain List is taken as it is.
    sandbox.run("sealops keys verify both.yaml d/one.yaml", "").ok();
}

#[test]
fn bad_backups_are_one_clear_error() {
    let sandbox = Sandbox::new();
    sandbox.write("keys.yaml", key_list(&sandbox, &["interop-2048"]));
    let one = recipient(&sandbox, FIRST);
    sandbox.run(&format!("sealops keys export --key keys.yaml -r {one} -o b.age"), "").ok();
    let backup = sandbox.read("b.age");
    let mut lines: Vec<&str> = backup.lines().collect();
    lines.swap(5, 6);
    sandbox.write("damaged.age", lines.join("\n"));
    sandbox.write("cut.age", &backup[..backup.len() / 2]);
    sandbox.write("empty.yaml", "kind: List\napiVersion: v1\nitems: []\n");
    let mismatch = key_list(&sandbox, &["interop-2048"]);
    let third = base64::encode_public(&fs::read(sandbox.path("keys/third-2048.crt")).unwrap());
    let own = base64::encode_public(&fs::read(sandbox.path("keys/interop-2048.crt")).unwrap());
    sandbox.write("mismatch.yaml", mismatch.replace(&own, &third));
    sandbox.write("traversal.yaml", mismatch.replace("name: interop-2048", "name: ../x"));
    let before = sandbox.files();
    for (line, code, text) in [
        (format!("import damaged.age -i {FIRST} -o out"), 1, "damaged.age: the backup is damaged"),
        (format!("import cut.age -i {FIRST} -o out"), 1, "cut.age: the backup is damaged"),
        ("import b.age -o out".to_owned(), 2, "hint: --identity FILE"),
        ("import b.age -i keys.yaml -o out".to_owned(), 1, "failed to parse 'keys.yaml' age identities"),
        ("import empty.yaml -o out".to_owned(), 1, "there is no key Secret in this backup"),
        ("import mismatch.yaml -o out".to_owned(), 1, "mismatch.yaml: Secret interop-2048: "),
        ("import traversal.yaml -o out".to_owned(), 1, "cannot be a file name"),
        ("export --key keys.yaml -o x.age".to_owned(), 2, "there is no recipient"),
        (
            "export --key keys.yaml -r age1nope -o x.age".to_owned(),
            2,
            "--recipient: this is not an age recipient",
        ),
        (
            format!("export --key keys/interop-2048.key -r {one} -o x.age"),
            1,
            "there is no key Secret in this file",
        ),
        (format!("export --key mismatch.yaml -r {one} -o x.age"), 1, "Secret interop-2048: "),
        (format!("verify b.age -i {FIRST} keys.yaml"), 1, "there is no SealedSecret"),
    ] {
        sandbox.run(&format!("sealops keys {line}"), "").fails(code, &[text]);
    }
    assert_eq!(sandbox.files(), before);
    fs::create_dir_all(sandbox.path("tree/.git")).unwrap();
    sandbox.run("sealops keys import keys.yaml -o tree/out", "").fails(1, &["lies in a git work tree"]);
}
