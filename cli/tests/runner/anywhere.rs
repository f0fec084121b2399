//! The command line is one file that needs nothing of the system, as the peers' are: no library, no folder, no device.

use std::fs;
use std::process::Command;

use crate::sops::world::{AGE_A, Outcome, finish, identity};

/// Runs the binary where there is a folder `/work` with the given files and nothing else.
fn run_alone(name: &str, files: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    const SCRIPT: &str = r#"mount --bind "$1" "$2/$3" && exec chroot "$2" "/$3" "${@:4}""#;
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("work")).unwrap();
    for (file, text) in files {
        fs::write(root.path().join("work").join(file), text).unwrap();
    }
    fs::write(root.path().join(name), "").unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "bash", "-c", SCRIPT, "bash", env!("CARGO_BIN_EXE_sealops")]);
    command
        .arg(root.path())
        .arg(name)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("SOPS_AGE_KEY_FILE", "/work/keys.txt");
    finish(command, &[])
}

#[test]
fn an_empty_file_system_is_enough() {
    const PLAIN: &str = "a: one\nb:\n    - 2\n    - true\n";
    let keys = identity("a");
    let encrypted =
        run_alone("sops", &[("p.yaml", PLAIN)], &["encrypt", "--age", AGE_A, "/work/p.yaml"]).ok();
    let encrypted = String::from_utf8(encrypted).unwrap();
    assert!(encrypted.contains("ENC[AES256_GCM"), "{encrypted}");
    let files = [("e.yaml", encrypted.as_str()), ("keys.txt", &keys)];
    assert_eq!(run_alone("sops", &files, &["decrypt", "/work/e.yaml"]).ok(), PLAIN.as_bytes());
    // Without HOME, whose place nobody asks the system's users for.
    let refused = run_alone("sops", &files[..1], &["decrypt", "/work/e.yaml"]);
    assert_eq!(refused.code, 128, "{}", refused.err);

    let certificate =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/keys/first-4096.crt"));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: n}\nstringData: {a: one}\n";
    let files = [("tls.crt", certificate.as_deref().unwrap()), ("s.yaml", secret)];
    let sealed = run_alone("kubeseal", &files, &["--cert", "/work/tls.crt", "-f", "/work/s.yaml"]).ok();
    assert!(String::from_utf8(sealed).unwrap().contains("encryptedData"));
    let nobody = run_alone("kubeseal", &files[1..], &["--fetch-cert"]);
    assert_eq!(nobody.code, 1, "{}", nobody.err);
}
