//! The names of the binary, and the flags of kubeseal.

use crate::sandbox::Sandbox;

const SECRET: &str = "kind: Secret\nmetadata: {name: x, namespace: s}\ndata: {a: Zg==}\n";

#[test]
fn the_name_chooses_the_front() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.run("sealops --version", "").ok(),
        concat!("sealops ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(sandbox.run("kubeseal --version extra", "").ok(), "kubeseal version: v0.40.0\n");
    assert_eq!(sandbox.run("sops --version", "").ok(), "sops 3.13.3\n");
}

#[test]
fn flag_errors_print_the_usage() {
    let sandbox = Sandbox::new();
    for (line, text) in [
        ("kubeseal --nope", "unknown flag: --nope\n"),
        ("kubeseal --name", "flag needs an argument: --name\n"),
        ("kubeseal --raw=maybe", "strconv.ParseBool: parsing \"maybe\": invalid syntax\n"),
        ("kubeseal --scope foo", "must be one of: strict, namespace-wide, cluster-wide\n"),
    ] {
        let run = sandbox.run(line, "");
        assert_eq!(run.code, 2, "{line}");
        assert!(run.out.contains("\n  -o, --format string ") && run.out.ends_with(text), "{}", run.out);
        assert!(run.err.starts_with("Usage of ") && run.err.ends_with("kubeseal:\n"), "{}", run.err);
    }
    assert_eq!(sandbox.run("kubeseal -h", "").code, 0);
    assert_eq!(sandbox.run("kubeseal --help", "").code, 0);
}

#[test]
fn the_environment_fills_in_what_the_command_line_leaves_open() {
    let sandbox = Sandbox::new();
    let variables = [
        ("SEALED_SECRETS_CERT", "keys/interop-2048.crt"),
        ("SEALED_SECRETS_FORMAT", "yaml"),
        ("SEALED_SECRETS_SCOPE", "nonsense"),
        ("SEALED_SECRETS_ALLOW_EMPTY_DATA", "nonsense"),
    ];
    assert!(sandbox.run_with("kubeseal", SECRET, &variables).ok().starts_with("---\n"));
    assert!(sandbox.run_with("kubeseal -o json", SECRET, &variables).ok().starts_with("{\n"));
    assert!(sandbox.run_with("sealops seal", SECRET, &variables[..2]).ok().starts_with("---\n"));
    let help = sandbox.run_with("sealops seal --help", "", &[("SEALED_SECRETS_TOKEN", "hunter2")]).ok();
    assert!(help.contains("SEALED_SECRETS_TOKEN") && !help.contains("hunter2"), "{help}");
}

#[test]
fn certificates_are_copied_from_file_and_url() {
    let sandbox = Sandbox::new();
    let text = sandbox.read("keys/interop-2048.crt");
    let url = format!("file://{}", sandbox.path("keys/interop-2048.crt").display());
    for line in [
        "kubeseal --fetch-cert --cert keys/interop-2048.crt".to_owned(),
        format!("kubeseal --fetch-cert --cert {url}"),
        format!("sealops fetch-cert --cert {url}"),
    ] {
        assert_eq!(sandbox.run(&line, "").ok(), text);
    }
}

#[test]
fn raw_asks_for_what_the_scope_needs() {
    let sandbox = Sandbox::new();
    let raw = "kubeseal --raw --cert keys/interop-2048.crt";
    let fails = |flags: &str, text: &str| sandbox.run(&format!("{raw} {flags}"), "v").fails(1, &[text]);
    fails("-n x", "must provide the --name flag with --raw and --scope strict\n");
    fails("", "invalid configuration: no configuration has been provided");
    fails("--scope namespace-wide", "invalid configuration: no configuration has been provided");
    fails(
        "--scope cluster-wide --from-file a,b",
        "must provide only one --from-file when encrypting a single item",
    );
    fails("--scope cluster-wide --from-file nope", "error: open nope: no such file or directory\n");
    sandbox
        .run("kubeseal --cert keys/interop-2048.crt --from-file a", "")
        .fails(1, &["--from-file requires --raw\n"]);
    sandbox.run(&format!("{raw} --scope cluster-wide"), "v").ok();
    sandbox.run(&format!("{raw} --scope namespace-wide -n x"), "v").ok();
}

#[test]
fn everything_that_is_generated_prints() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run("sealops crds", "").ok().contains("name: sealedsecrets.bitnami.com"));
    assert!(sandbox.run("sealops completions bash", "").ok().contains("sealops"));
    assert!(sandbox.run("sealops man", "").ok().contains(".TH sealops"));
    sandbox.run("sealops man -o man", "").ok();
    assert!(sandbox.path("man/sealops-seal.1").is_file());
}
