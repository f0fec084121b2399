//! `sealops re-encrypt` over many files: all of them or none, also when a signal comes, and with few open files.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sealops_crypto::sealing::{Certificate, Label, Scope, seal};
use sealops_formats::base64;
use sealops_testenv::{run_peer, stretched};

use crate::sandbox::Sandbox;

const FILES: usize = 200;
const LINE: &str = "re-encrypt d --key keys/interop-2048.key --cert keys/third-2048.crt";

fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    let certificate =
        Certificate::from_pem(&fs::read(sandbox.path("keys/interop-2048.crt")).unwrap()).unwrap();
    for number in 0..FILES {
        let name = format!("s{number}");
        let label = Label::for_secret(Scope::Strict, "shop", &name);
        let value = base64::encode_public(&seal(&certificate, &label, &"value".into()).unwrap());
        let text = format!(
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec:\n  encryptedData:\n    a: {value}\n"
        );
        sandbox.write(&format!("d/{name}.yaml"), text);
    }
    sandbox
}

fn files(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    sandbox.files().into_iter().filter(|(name, _)| name.starts_with("d/")).collect()
}

fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let mut command = Command::new("strace");
    // Each sync takes 5 ms, so that the files are being written for a second.
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_exit=5000"]);
    command.args(["sh", "-c", script]).current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

#[test]
fn f32_a_signal_while_files_are_written_changes_none() {
    let sandbox = folder();
    let before = files(&sandbox);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let script = format!("echo $$ > pid; exec bin/sealops {LINE}");
        let mut child = shell(&sandbox, &script).stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + stretched(Duration::from_secs(60));
        // Both there and a good way before the end.
        while files(&sandbox).len() < FILES + 5 {
            assert!(Instant::now() < end && child.try_wait().unwrap().is_none(), "nothing is being written");
            thread::sleep(Duration::from_millis(1));
        }
        let kill = format!("kill -{signal} {}", sandbox.read("pid").trim());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(err.contains("interrupted; nothing was written"), "{err}");
        assert_eq!(files(&sandbox), before, "{signal}");
    }
    let run = sandbox.run(&format!("sealops {LINE}"), "");
    assert!(run.err.contains(&format!("{FILES} values sealed anew")), "{}", run.err);
    run.ok();
}

#[test]
fn more_files_than_a_process_may_open() {
    let sandbox = folder();
    let before = files(&sandbox);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n 64; exec bin/sealops {LINE}")]);
    command.current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
    let output = run_peer(command, b"", Duration::from_secs(60)).unwrap();
    assert!(output.status.success(), "{}", output.stderr);
    let after = files(&sandbox);
    assert_eq!(after.len(), FILES);
    assert!(after.iter().all(|(name, text)| *text != before[name]));
}
