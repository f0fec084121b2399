//! The calls whose functions stand together: what people and scripts run by the hundred.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

const RECIPIENT: &str = "age19au0y7s5nqeuhh6kz9sygha6md3ae7wzekx90lzs08099ghk5a4shqvx72";

/// One call.
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) folder: PathBuf,
}

const CALLS: &[&[&str]] = &[
    &["sops", "decrypt", "e.yaml"],
    &["sops", "-d", "e.json"],
    &["sops", "decrypt", "-i", "i.yaml"],
    &["sops", "exec-env", "--same-process", "e.env", "true"],
    &["sops", "encrypt", "--age", RECIPIENT, "p.yaml"],
    &["sops", "encrypt", "p.json"],
    &["sops", "decrypt", "--extract", "[\"a\"]", "e.yaml"],
    &["sops", "set", "s.yaml", "[\"a\"]", "\"b\""],
    &["sops", "rotate", "-i", "r.yaml"],
    &["sops", "updatekeys", "-y", "r.yaml"],
    &["sops", "filestatus", "e.yaml"],
    &["sops", "decrypt", "e.ini"],
    &["sops", "decrypt", "e.bin"],
    &["kubeseal", "--cert", "first-4096.crt", "-o", "yaml", "-f", "secret.yaml"],
    &["kubeseal", "--cert", "first-4096.crt", "-f", "secret.json"],
    &[
        "kubeseal",
        "--cert",
        "first-4096.crt",
        "--raw",
        "--name",
        "a",
        "--namespace",
        "b",
        "--from-file",
        "p.bin",
    ],
    &["sealops", "seal", "--cert", "first-4096.crt", "-f", "secret.yaml"],
    &["sealops", "verify", "e.yaml"],
    &["sops", "--version"],
    &["kubeseal", "--version"],
    &["sealops", "--version"],
];

/// Returns the calls, with their files in `folder`.
///
/// # Errors
/// If these cannot be made.
pub(crate) fn all(program: &Path, folder: &Path) -> Result<Vec<Call>> {
    for name in ["sops", "kubeseal", "sealops"] {
        symlink(fs::canonicalize(program)?, folder.join(name))?;
    }
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/keys");
    for name in ["sops-a.age", "first-4096.crt"] {
        fs::copy(keys.join(name), folder.join(name))?;
    }
    write_files(folder)?;
    let call = |line: &&[&str]| Call {
        program: folder.join(line[0]),
        arguments: line[1..].iter().map(OsString::from).collect(),
        environment: vec![
            ("PATH", "/usr/bin:/bin".into()),
            ("HOME", folder.into()),
            ("SOPS_AGE_KEY_FILE", folder.join("sops-a.age").into()),
        ],
        folder: folder.to_owned(),
    };
    Ok(CALLS.iter().map(call).collect())
}

fn write_files(folder: &Path) -> Result<()> {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write(".sops.yaml", &format!("creation_rules:\n    - age: {RECIPIENT}\n"))?;
    let yaml = "# comment\na: text\nb: [1, true, 2.5]\nc:\n    d: |\n        lines\n        more\n    e: \"quoted\"\n";
    for (name, text) in [
        ("yaml", yaml),
        ("json", "{\"a\": \"text\", \"b\": [1, true], \"c\": {\"d\": null}}"),
        ("env", "A=text\n# comment\nB=more\n"),
        ("ini", "[a]\nb = text\n"),
        ("bin", "text"),
    ] {
        write(&format!("p.{name}"), text)?;
        encrypt(folder, &format!("p.{name}"), &format!("e.{name}"))?;
    }
    for name in ["i", "r", "s"] {
        fs::copy(folder.join("e.yaml"), folder.join(name).with_extension("yaml"))?;
    }
    write(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\n  labels:\n    c: d\ndata:\n  e: dGV4dA==\nstringData:\n  f: text\n",
    )?;
    write(
        "secret.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"data\":{\"e\":\"dGV4dA==\"}}",
    )?;
    Ok(())
}

fn encrypt(folder: &Path, plain: &str, encrypted: &str) -> Result<()> {
    let line = ["encrypt", "--filename-override", encrypted, "--output", encrypted, plain];
    let output = Command::new(folder.join("sops")).args(line).current_dir(folder).env_clear().output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
