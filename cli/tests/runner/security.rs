//! The rows of our security plan that concern sealing and its files, one test each, by number: advisories (B1), the list
//! of bad input (B7, 1 to 30), faults of the command line (B6).
//!
//! Rows of the controller (verify, renewal, budgets per object) are in `controller/tests/runner`.

use std::fs;
use std::time::Instant;

use sealops_formats::base64;

use crate::sandbox::{Run, Sandbox};

const SECRET: &str =
    "kind: Secret\napiVersion: v1\nmetadata: {name: web, namespace: shop}\ndata: {a: Zm9v}\n";
const NO_KEY: &str = "no key could decrypt secret (a)";

fn vector(name: &str) -> String {
    let path = format!("{}/../testdata/vectors/sealed/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    text.split_once("\n\n").unwrap().1.trim_end_matches('\n').to_owned()
}

fn manifest(value: &str) -> String {
    let lines = value.replace('\n', "\n      ");
    format!(
        "kind: SealedSecret\napiVersion: bitnami.com/v1alpha1\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  \
         encryptedData:\n    a: |-\n      {lines}\n"
    )
}

fn sealed(sandbox: &Sandbox, flags: &str, secret: &str) -> String {
    sandbox.run(&format!("kubeseal --cert keys/interop-2048.crt -o yaml {flags}"), secret).ok()
}

fn unseal(sandbox: &Sandbox, manifest: impl AsRef<[u8]>) -> Run {
    sandbox.run("sealops unseal --key keys/interop-2048.key --key keys/first-4096.key", manifest)
}

/// Every way to open says the same: unsealing, recovery, validation, re-encryption. Nothing is written.
fn refused(manifest: &str, text: &str) {
    let sandbox = Sandbox::new();
    sandbox.write("s.yaml", manifest);
    let before = sandbox.files();
    for line in [
        "sealops unseal --key keys/interop-2048.key -f s.yaml -o out.yaml",
        "kubeseal --recovery-unseal --recovery-private-key keys/interop-2048.key -f s.yaml -w out.yaml",
        "sealops validate s.yaml --key keys/interop-2048.key",
        "sealops re-encrypt s.yaml --key keys/interop-2048.key --cert keys/third-2048.crt",
        "sealops render s.yaml --key keys/interop-2048.key -o out",
    ] {
        sandbox.run(line, "").fails(1, &[text]);
    }
    assert_eq!(sandbox.files(), before);
}

#[test]
fn b7_01_to_06_broken_layouts_are_one_error() {
    for name in [
        "empty",
        "one-byte",
        "length-ffff",
        "length-zero",
        "length-one-short",
        "truncated-in-block",
        "block-above-modulus",
    ] {
        refused(&manifest(&vector(name)), NO_KEY);
    }
    // 5: a block of one byte less and one more than the key.
    let mut value = base64::decode(vector("interop-strict").as_bytes()).unwrap().expose().to_vec();
    for length in [255u16, 257] {
        value[..2].copy_from_slice(&length.to_be_bytes());
        refused(&manifest(&base64::encode_public(&value)), NO_KEY);
    }
}

#[test]
fn b7_07_short_session_keys_open_as_upstream_does() {
    for name in ["session-key-16", "session-key-24"] {
        let sandbox = Sandbox::new();
        unseal(&sandbox, manifest(&vector(name))).ok();
    }
}

#[test]
fn b7_08_session_keys_of_other_lengths_are_refused() {
    for name in ["session-key-0", "session-key-31", "session-key-33"] {
        refused(&manifest(&vector(name)), NO_KEY);
    }
}

#[test]
fn b7_09_and_11_wrong_lengths_of_the_tag_are_refused() {
    for name in ["tag-15-bytes", "truncated-in-tag", "trailing-byte", "nonce-not-zero"] {
        refused(&manifest(&vector(name)), NO_KEY);
    }
}

#[test]
fn b7_10_a_flipped_bit_gives_the_same_words_wherever_it_is() {
    let good = base64::decode(vector("interop-strict").as_bytes()).unwrap().expose().to_vec();
    // In the RSA block, in the data, in the tag.
    for at in [2, 130, 257, 258, good.len() - 17, good.len() - 16, good.len() - 1] {
        let mut value = good.clone();
        value[at] ^= 1;
        refused(&manifest(&base64::encode_public(&value)), NO_KEY);
    }
}

#[test]
fn b7_12_base64_is_the_standard_one_and_line_breaks_are_accepted() {
    refused(&manifest(&vector("url-alphabet")), "illegal base64 data at input byte");
    refused(&manifest(&vector("no-padding")), "illegal base64 data at input byte");
    refused(&manifest(&vector("blank-inside")), "illegal base64 data at input byte");
    unseal(&Sandbox::new(), manifest(&vector("line-breaks"))).ok();
}

#[test]
fn b7_13_a_wrong_label_names_the_likely_cause() {
    let sandbox = Sandbox::new();
    let strict = sealed(&sandbox, "", SECRET);
    unseal(&sandbox, strict.replace("name: web", "name: api")).fails(
        1,
        &[NO_KEY, "hint: it was sealed for another key, or for another name or namespace than shop/api"],
    );
    let wide = sealed(&sandbox, "--scope cluster-wide", SECRET);
    let forgotten = wide.replace("sealedsecrets.bitnami.com/cluster-wide: \"true\"", "x: y");
    unseal(&sandbox, forgotten).fails(
        1,
        &[
            NO_KEY,
            "hint: the values were sealed for the scope cluster-wide, the object's annotations say strict",
        ],
    );
}

#[test]
fn b7_14_of_both_scope_annotations_cluster_wide_wins() {
    let sandbox = Sandbox::new();
    let both = "  annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true', sealedsecrets.bitnami.com/namespace-wide: 'true'}\n";
    let wide = sealed(&sandbox, "--scope cluster-wide", SECRET);
    let annotations = "  annotations:\n    sealedsecrets.bitnami.com/cluster-wide: \"true\"\n";
    let object = wide.replacen(annotations, both, 1).replacen("namespace: shop", "namespace: elsewhere", 1);
    assert!(object.contains(both));
    unseal(&sandbox, object).ok();
}

#[test]
fn b7_15_other_spellings_of_true_mean_strict() {
    let sandbox = Sandbox::new();
    let wide = sealed(&sandbox, "--scope cluster-wide", SECRET);
    for word in ["True", "1", "TRUE", "yes", ""] {
        unseal(&sandbox, wide.replace("\"true\"", &format!("\"{word}\""))).fails(1, &[NO_KEY]);
    }
}

/// 16 and CVE-2026-22728 / GHSA-465p-v42x-3fmj: the scope is that of the object's own annotations, in and out. An
/// annotation in the template changes nothing, and re-encryption keeps the label.
#[test]
fn b7_16_cve_2026_22728_the_template_does_not_choose_the_scope() {
    let sandbox = Sandbox::new();
    let strict = sealed(&sandbox, "", SECRET);
    let name = "      name: web\n";
    let wider = strict.replace(
        name,
        &format!("      annotations: {{sealedsecrets.bitnami.com/cluster-wide: \"true\"}}\n{name}"),
    );
    assert_ne!(strict, wider);
    sandbox.write("s.yaml", &wider);
    sandbox
        .run("sealops re-encrypt s.yaml --key keys/interop-2048.key --cert keys/interop-2048.crt --all", "")
        .ok();
    let again = sandbox.read("s.yaml");
    assert_ne!(again, wider);
    unseal(&sandbox, &again).ok();
    // Moved elsewhere it does not open, nor when the object claims to be wider than it was sealed.
    unseal(&sandbox, again.replacen("namespace: shop", "namespace: evil", 1)).fails(1, &[NO_KEY]);
    let claimed = again.replacen(
        "  name: web\n",
        "  annotations: {sealedsecrets.bitnami.com/cluster-wide: \"true\"}\n  name: web\n",
        1,
    );
    sandbox.write("claimed.yaml", &claimed);
    sandbox
        .run("sealops re-encrypt claimed.yaml --key keys/interop-2048.key --cert keys/third-2048.crt", "")
        .fails(1, &[NO_KEY]);
    assert_eq!(sandbox.read("claimed.yaml"), claimed);
}

/// The other half of CVE-2026-22728: a controller that answers with a wider scope is not believed.
#[cfg(feature = "cluster")]
#[test]
fn cve_2026_22728_an_answer_of_another_scope_is_refused() {
    let sandbox = Sandbox::new();
    let strict = sealed(&sandbox, "", SECRET);
    let answer = sandbox.run("kubeseal --cert keys/interop-2048.crt --scope cluster-wide", SECRET).ok();
    let services = "/api/v1/namespaces/kube-system/services";
    let path = |name: &str| -> &'static str { format!("{services}/{name}").leak() };
    let service = "{\"kind\": \"Service\", \"spec\": {\"ports\": [{\"name\": \"http\"}]}}".to_owned();
    let address = super::bad_input::serve(vec![
        (path("sealed-secrets-controller"), "200 OK", service),
        (path("http:sealed-secrets-controller:http/proxy/v1/rotate"), "200 OK", answer),
    ]);
    sandbox.write("s.yaml", &strict);
    let before = sandbox.files();
    for front in ["kubeseal --re-encrypt -f s.yaml", "sealops re-encrypt s.yaml"] {
        let run = sandbox.run(&format!("{front} --server http://{address} --token x"), "");
        let code = if front.starts_with("kubeseal") { 1 } else { 3 };
        run.fails(code, &["the answer is not the object with all its values"]);
    }
    assert_eq!(sandbox.files(), before);
}

#[test]
fn b7_17_old_and_new_values_at_once_are_refused() {
    let sandbox = Sandbox::new();
    let both = sealed(&sandbox, "", SECRET).replace("spec:\n", "spec:\n  data: AgAB\n");
    unseal(&sandbox, both)
        .fails(1, &["cannot use the field 'encryptedData' and the deprecated field 'data' at the same time"]);
}

#[test]
fn b7_19_keys_that_no_secret_can_have_are_refused() {
    let sandbox = Sandbox::new();
    let long = "k".repeat(254);
    for key in ["../x", "", "a/b", "ÜBER", "a b", "..", &long] {
        let secret = format!(
            "kind: Secret\napiVersion: v1\nmetadata: {{name: x, namespace: s}}\nstringData: {{{key:?}: hunter2}}\n"
        );
        let run = sandbox.run("sealops seal --cert keys/interop-2048.crt", &secret);
        run.fails(1, &["is no key of a Secret"]);
        assert!(!run.err.contains("hunter2"));
        sandbox.run("kubeseal --cert keys/interop-2048.crt", &secret).ok();
    }
    let longest = format!(
        "kind: Secret\napiVersion: v1\nmetadata: {{name: x, namespace: s}}\nstringData: {{{}: v}}\n",
        "k".repeat(253)
    );
    sandbox.run("sealops seal --cert keys/interop-2048.crt", longest).ok();
}

#[test]
fn b7_22_a_missing_name_or_namespace_is_an_error() {
    let sandbox = Sandbox::new();
    let strict = sealed(&sandbox, "", SECRET);
    sandbox.write("name.yaml", strict.replacen("  name: web\n", "", 1));
    sandbox.write("namespace.yaml", strict.replacen("  namespace: shop\n", "", 1));
    for part in ["name", "namespace"] {
        let line =
            format!("sealops re-encrypt {part}.yaml --key keys/interop-2048.key --cert keys/third-2048.crt");
        sandbox.run(&line, "").fails(1, &[&format!("the SealedSecret has no {part}, which its scope needs")]);
        let line = format!("sealops validate {part}.yaml --key keys/interop-2048.key");
        sandbox.run(&line, "").fails(1, &[&format!("has no {part}")]);
    }
}

#[test]
fn b7_23_to_27_and_30_unusable_keys_and_certificates() {
    let sandbox = Sandbox::new();
    let encoded = |name: &str| base64::encode_public(&fs::read(sandbox.path(name)).unwrap());
    let secret = |key: &str, certificate: &str| {
        format!(
            "kind: Secret\napiVersion: v1\nmetadata: {{name: k}}\ndata: {{tls.key: {key}, tls.crt: {certificate}}}\n"
        )
    };
    let key = encoded("keys/interop-2048.key");
    sandbox.write("mismatch.yaml", secret(&key, &encoded("keys/third-2048.crt")));
    sandbox.write("empty.yaml", secret(&key, "''"));
    sandbox.write("no-certificate.yaml", secret(&key, &key));
    sandbox.write("large.pem", "x".repeat(10 << 20));
    let sealed = sealed(&sandbox, "", SECRET);
    for (file, text) in [
        ("keys/ec.key", "the private key is not a valid RSA key of 2048 to 8192 bits"), // 23
        ("mismatch.yaml", "the certificate does not belong to the private key"),        // 24
        ("empty.yaml", "data does not contain any valid RSA or ECDSA certificates"),    // 25
        ("no-certificate.yaml", "data does not contain any valid RSA or ECDSA certificates"),
        ("keys/weak-1024.key", "the private key is not a valid RSA key of 2048 to 8192 bits"), // 26
        ("large.pem", "there is no private key in this file"),                                 // 30
    ] {
        sandbox.run(&format!("sealops unseal --key {file}"), &sealed).fails(1, &[text]);
    }
    for (file, text) in [
        ("keys/ec.crt", "expected RSA public key but found an elliptic curve key"),
        ("keys/weak-1024.crt", "unsupported size"),
        ("keys/exponent-1.crt", "unsupported size"), // 27
        ("keys/modulus-even.crt", "unsupported size"),
        ("large.pem", "the input is larger than 1 MiB"),
    ] {
        for front in ["kubeseal", "sealops seal"] {
            sandbox.run(&format!("{front} --cert {file}"), SECRET).fails(1, &[text]);
        }
    }
}

#[test]
fn b7_28_and_29_the_time_of_a_certificate() {
    let sandbox = Sandbox::new();
    sandbox.run("sealops seal --cert keys/expired.crt", SECRET).fails(
        1,
        &["failed to encrypt using an expired certificate on February 3, 2020", "hint: sealops fetch-cert"],
    );
    sandbox.run("sealops seal --cert keys/expired.crt --allow-expired", SECRET).ok();
    let early = sandbox.run("sealops seal --cert keys/not-yet-valid.crt", SECRET);
    assert!(early.err.contains("warning: the certificate is not valid before 2099"), "{}", early.err);
    early.ok();
}

/// Issue #227 of sealed-secrets: the annotation that kubectl writes holds the plaintext.
#[test]
fn ss_227_the_last_applied_annotation_is_not_carried_along() {
    let sandbox = Sandbox::new();
    let secret = SECRET.replace(
        "namespace: shop}",
        "namespace: shop, annotations: {kubectl.kubernetes.io/last-applied-configuration: CANARY, kubecfg.ksonnet.io/last-applied-configuration: CANARY}}",
    );
    sandbox.write("f.yaml", sealed(&sandbox, "", SECRET));
    sandbox.run("kubeseal --cert keys/interop-2048.crt --merge-into f.yaml", &secret).ok();
    for text in [sealed(&sandbox, "", &secret), sandbox.read("f.yaml")] {
        assert!(!text.contains("CANARY") && !text.contains("last-applied"), "{text}");
    }
}

/// CVE-2020-14040 was a text that never ends to be decoded: whatever comes in, an answer comes soon.
#[test]
fn cve_2020_14040_no_input_hangs() {
    let sandbox = Sandbox::new();
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("{text}a{level}: &a{level} [{list}]\n")
    });
    let utf16: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let started = Instant::now();
    for input in ["{{{".as_bytes(), bomb.as_bytes(), "[".repeat(100_000).as_bytes(), &utf16, &[0xd8, 0x00]] {
        sandbox.write("in.yaml", input);
        for line in [
            "kubeseal --cert keys/interop-2048.crt -f in.yaml",
            "kubeseal --cert keys/interop-2048.crt --merge-into in.yaml",
            "sealops re-encrypt in.yaml --key keys/interop-2048.key --cert keys/third-2048.crt",
            "sealops validate in.yaml --key keys/interop-2048.key",
        ] {
            assert_eq!(sandbox.run(line, SECRET).code, 1, "{line}");
        }
        assert_eq!(fs::read(sandbox.path("in.yaml")).unwrap(), input);
    }
    // Far from a measurement: upstream is killed after eight seconds for the first one alone.
    assert!(started.elapsed().as_secs() < 60);
}

/// F33 and F39: what cannot be written is an error, the original stays, and nothing is left behind.
#[test]
fn f33_f39_a_full_disk_or_a_closed_pipe_is_no_success() {
    let sandbox = Sandbox::new();
    sandbox.write("f.yaml", sealed(&sandbox, "", SECRET));
    sandbox.write("s.yaml", SECRET);
    let before = sandbox.files();
    sandbox
        .run("kubeseal --cert keys/interop-2048.crt -w /dev/full", SECRET)
        .fails(1, &["write /dev/full: no space left on device"]);
    // A limit on the size of files stands in for a quota: the signal is ignored, so the write fails.
    for line in [
        "bin/kubeseal --cert keys/interop-2048.crt --merge-into f.yaml",
        "bin/sealops seal --cert keys/interop-2048.crt --merge-into f.yaml",
        "bin/sealops re-encrypt f.yaml --key keys/interop-2048.key --cert keys/third-2048.crt",
    ] {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec {line}");
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(sandbox.path(""))
            .stdin(fs::File::open(sandbox.path("s.yaml")).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("error: write f.yaml: "), "{line}: {said}");
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert_eq!(sandbox.files(), before, "{line}");
    }
}

/// F31: killed at each system call of its write path, a command leaves the old file or the new one, and a temporary file
/// that holds sealed values only.
#[test]
fn f31_a_kill_at_any_system_call_loses_nothing() {
    let lines = [
        "bin/kubeseal --cert keys/interop-2048.crt --merge-into f.yaml -f s.yaml",
        "bin/sealops re-encrypt f.yaml --key keys/interop-2048.key --cert keys/third-2048.crt",
    ];
    let mut kills = 0;
    for line in lines {
        let sandbox = Sandbox::new();
        let old = sealed(&sandbox, "", SECRET);
        let secret = SECRET.replace("a: Zm9v", "b: Q0FOQVJZ");
        sandbox.write("s.yaml", &secret);
        for call in ["openat", "write", "fsync", "renameat,renameat2,rename", "fchmod", "close"] {
            let mut nth = 1;
            loop {
                sandbox.write("f.yaml", &old);
                let killed = !killed_at(&sandbox, line, call, nth).success();
                for (name, content) in sandbox.files() {
                    let text = String::from_utf8_lossy(&content).into_owned();
                    let is_ours = name == "f.yaml" || name.starts_with(".sealops-");
                    assert!(!is_ours || !(text.contains("Q0FOQVJZ") || text.contains("CANARY")), "{name}");
                    if name.starts_with(".sealops-") {
                        fs::remove_file(sandbox.path(&name)).unwrap();
                    }
                }
                let now = sandbox.read("f.yaml");
                let is_complete = now.ends_with(old.split_once("  template:").unwrap().1);
                assert!(now == old || is_complete, "{line}: {call} {nth}: the file is torn: {now}");
                assert!(killed || now != old, "{line} did its work");
                if !killed {
                    break;
                }
                kills += 1;
                nth += 1;
            }
        }
    }
    assert!(kills > 50, "only {kills} kills");
}

fn killed_at(sandbox: &Sandbox, line: &str, call: &str, nth: usize) -> std::process::ExitStatus {
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    std::process::Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &inject, "-o", "/dev/null"])
        .args(line.split(' '))
        .current_dir(sandbox.path(""))
        .output()
        .unwrap()
        .status
}
