//! Edits of files with SealedSecrets: only sealed values change, to the byte.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::sandbox::Sandbox;

const INTEROP: &str = "SHA256:lqBEWPqapK2FoUD0nVcAVxaBpBjzNmBaYoxGiiK4XMM";

fn secret(name: &str, data: &str) -> String {
    format!("kind: Secret\napiVersion: v1\nmetadata: {{name: {name}, namespace: shop}}\ndata: {data}\n")
}

/// Returns a text with every long word masked.
fn masked(text: &str) -> String {
    let is_sealed = |word: &str| word.len() > 300;
    let words = text.split_inclusive(['"', '\'', ' ', '\n', '\r']);
    words
        .map(|word| {
            let value = word.trim_end_matches(['"', '\'', ' ', '\n', '\r']);
            if is_sealed(value) { word.replace(value, "SEALED") } else { word.to_owned() }
        })
        .collect()
}

/// Writes a folder in which every style of a value occurs; returns its files.
fn folder(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let seal = |name: &str, front: &str| {
        let line = format!("{front} --cert keys/interop-2048.crt -o yaml");
        sandbox.run(&line, secret(name, "{a: Zm9v, b: YmFy}")).ok()
    };
    let plain = seal("plain", "kubeseal");
    let value = plain.lines().find_map(|line| line.strip_prefix("    a: ")).unwrap().to_owned();
    let lines: Vec<&str> =
        value.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let block = format!("|\n      {}", lines.join("\n      "));
    sandbox.write("d/plain.yaml", format!("# top\n{plain}# end\n"));
    sandbox.write("d/quoted.yml", plain.replace(&value, &format!("'{value}' # kept")).replace('\n', "\r\n"));
    sandbox.write("d/block.yaml", plain.replace(&value, &block));
    sandbox.write("d/hinted.yaml", seal("hinted", "sealops seal"));
    let json = sandbox.run("kubeseal --cert keys/interop-2048.crt", secret("json", "{a: Zm9v}")).ok();
    sandbox.write("d/sub/one.json", json.replace("  ", "\t"));
    let item = format!("- {}", plain.trim_start_matches("---\n").trim_end().replace('\n', "\n  "));
    sandbox.write(
        "d/list.yaml",
        format!("apiVersion: v1\nkind: List\nitems:\n{item}\n- {{apiVersion: v1, kind: ConfigMap}}\n"),
    );
    sandbox.write("d/chart/template.yaml", "{{ if .Values.x }}\nkind: Deployment\n{{ end }}\n");
    sandbox.write("d/other.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n");
    sandbox.files().into_iter().filter(|(name, _)| name.starts_with("d/")).collect()
}

#[test]
fn re_encryption_changes_sealed_values_and_nothing_else() {
    let sandbox = Sandbox::new();
    let before = folder(&sandbox);
    let line = "sealops re-encrypt d --key keys/interop-2048.key --cert keys/third-2048.crt";
    let run = sandbox.run(&format!("{line} --dry-run --json"), "");
    let report: Json = serde_json::from_str(&run.ok()).unwrap();
    assert_eq!(report["files"].as_array().map(Vec::len), Some(6), "{report}");
    assert_eq!(
        report["files"].as_array().unwrap().iter().filter_map(|file| file["resealed"].as_i64()).sum::<i64>(),
        11
    );
    let files = || -> BTreeMap<String, Vec<u8>> {
        sandbox.files().into_iter().filter(|(name, _)| name.starts_with("d/")).collect()
    };
    assert_eq!(files(), before, "a dry run writes nothing");

    let run = sandbox.run(line, "");
    assert!(run.err.ends_with("11 values sealed anew, 0 values had the key already\n"), "{}", run.err);
    run.ok();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let after = files();
    for (name, old) in &before {
        let (old, new) = (text(old), text(&after[name]));
        if name.ends_with("block.yaml") {
            assert_eq!(old.lines().count(), new.lines().count(), "the breaks of the block are kept");
        } else if name.ends_with("hinted.yaml") {
            assert_eq!(masked(&old).lines().count(), masked(&new).lines().count());
            assert!(old.contains(INTEROP) && !new.contains(INTEROP), "the hint names the new key: {new}");
        } else {
            assert_eq!(masked(&old), masked(&new), "{name}");
        }
        assert_eq!(old == new, name.contains("template") || name.contains("other"), "{name}");
    }
    sandbox.run("sealops validate d --key keys/third-2048.key", "").ok();
    sandbox
        .run("sealops validate d --key keys/interop-2048.key", "")
        .fails(1, &["6 objects cannot be opened"]);

    // Once more: everything has the key. With --all it is sealed anew all the same.
    let run = sandbox.run(&line.replace("interop-2048.key", "third-2048.key"), "");
    assert!(run.err.ends_with("0 values sealed anew, 11 values had the key already\n"), "{}", run.err);
    assert_eq!(files(), after);
    let run = sandbox.run(&format!("{} --all", line.replace("interop-2048.key", "third-2048.key")), "");
    assert!(run.err.contains("11 values sealed anew"), "{}", run.err);
}

#[test]
fn one_value_that_does_not_open_stops_the_whole_run() {
    let sandbox = Sandbox::new();
    folder(&sandbox);
    let plain = sandbox.read("d/plain.yaml");
    sandbox.write("d/renamed.yaml", plain.replace("name: plain", "name: other"));
    sandbox.write("d/nameless.yaml", plain.replacen("  name: plain\n", "", 1));
    let before = sandbox.files();
    let run = sandbox.run("sealops re-encrypt d --key keys/interop-2048.key --cert keys/third-2048.crt", "");
    let parts = [
        "2 objects cannot be re-encrypted",
        "d/renamed.yaml: document 1, line 3: no key could decrypt secret (a, b)",
        "d/nameless.yaml: document 1, line 3: the SealedSecret has no name, which its scope needs",
    ];
    run.fails(1, &parts);
    assert_eq!(sandbox.files(), before);
    for (line, code, text) in [
        ("sealops re-encrypt d --key keys/interop-2048.key", 2, "there is no certificate to seal with"),
        (
            "sealops re-encrypt d/other.yaml --key keys/interop-2048.key --cert keys/third-2048.crt",
            1,
            "there is no SealedSecret",
        ),
        ("sealops re-encrypt gone --key keys/interop-2048.key --cert keys/third-2048.crt", 1, "gone: "),
        (
            "sealops re-encrypt --key keys/interop-2048.key --cert keys/third-2048.crt",
            1,
            "no sealed secrets found",
        ),
        (
            "sealops re-encrypt d --key keys/interop-2048.crt --cert keys/third-2048.crt",
            1,
            "there is no private key",
        ),
    ] {
        sandbox.run(line, "").fails(code, &[text]);
    }
    assert_eq!(sandbox.files(), before);
}

#[test]
fn stdin_goes_to_stdout_in_the_same_format() {
    let sandbox = Sandbox::new();
    let line = "sealops re-encrypt --key keys/interop-2048.key --cert keys/first-4096.crt";
    for format in ["yaml", "json"] {
        let seal = format!("kubeseal --cert keys/interop-2048.crt -o {format} --scope namespace-wide");
        let sealed = sandbox.run(&seal, secret("web", "{a: Zm9v}")).ok();
        let new = sandbox.run(line, &sealed).ok();
        assert_eq!(masked(&sealed), masked(&new));
        let opened = sandbox.run("sealops unseal --key keys/first-4096.key", &new).ok();
        assert!(opened.contains("  a: Zm9v\n"), "{opened}");
    }
}

#[test]
fn merging_keeps_every_byte_that_is_not_new() {
    let sandbox = Sandbox::new();
    let sealed =
        sandbox.run("kubeseal --cert keys/interop-2048.crt -o yaml", secret("web", "{a: Zm9v}")).ok();
    let text = format!(
        "# why\n{sealed}    type: Opaque # type\n---\nkind: Namespace # other\nmetadata: {{name: shop}}\n"
    );
    for front in ["kubeseal", "sealops seal"] {
        sandbox.write("f.yaml", text.replace('\n', "\r\n"));
        let line = format!("{front} --cert keys/interop-2048.crt --merge-into f.yaml");
        let input = "kind: Secret\napiVersion: v1\nmetadata: {name: x, labels: {l: '1'}}\nstringData: {b: bar, a: new}\n";
        assert_eq!(sandbox.run(&line, input).ok(), "");
        let expected = masked(&text)
            .replace("    a: SEALED\n", "    a: SEALED\n    b: SEALED\n")
            .replace("      namespace: shop\n", "      namespace: shop\n      labels:\n        l: \"1\"\n")
            .replace('\n', "\r\n");
        let mut new = masked(&sandbox.read("f.yaml"));
        if front == "sealops seal" {
            let hint = format!(
                "  namespace: shop\r\n  annotations:\r\n    sealops.io/sealing-key: {INTEROP}\r\nspec:"
            );
            assert!(new.contains(&hint), "all values are new, so the hint is written: {new}");
            new = new.replace(&hint, "  namespace: shop\r\nspec:");
        }
        assert_eq!(new, expected, "{front}");
        let first = sandbox.read("f.yaml").replace('\r', "");
        let first = first.split("---\nkind").next().unwrap().to_owned();
        let opened = sandbox.run("sealops unseal --key keys/interop-2048.key", first).ok();
        assert!(opened.contains("  a: bmV3\n  b: YmFy\n"), "{opened}");
    }
}

#[test]
fn merging_chooses_by_name_among_several() {
    let sandbox = Sandbox::new();
    let two = format!("{}---\n{}", secret("web", "{a: Zm9v}"), secret("api", "{a: Zm9v}"));
    let sealed = sandbox.run("kubeseal --cert keys/interop-2048.crt -o yaml", two).ok();
    sandbox.write("f.yaml", &sealed);
    let line = "sealops seal --cert keys/interop-2048.crt --merge-into f.yaml";
    let input = secret("whatever", "{b: YmFy}");
    sandbox
        .run(line, &input)
        .fails(1, &["there are several SealedSecrets: shop/web, shop/api", "hint: --name NAME"]);
    assert_eq!(sandbox.read("f.yaml"), sealed);
    sandbox.run(&format!("{line} --name api"), &input).ok();
    let opened = sandbox.run("sealops unseal --key keys/interop-2048.key", sandbox.read("f.yaml")).ok();
    assert_eq!(opened.matches("b: YmFy").count(), 1);
    assert!(opened.contains("  b: YmFy\nkind: Secret\nmetadata:\n  name: api\n"), "{opened}");
}

#[test]
fn validation_reports_every_object() {
    let sandbox = Sandbox::new();
    folder(&sandbox);
    let plain = sandbox.read("d/plain.yaml");
    sandbox.write("d/renamed.yaml", plain.replace("name: plain", "name: other"));
    let run = sandbox.run("sealops validate d --key keys/interop-2048.key --json", "");
    assert_eq!(run.code, 1);
    let report: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((report["opened"].as_i64(), report["failed"].as_i64()), (Some(6), Some(1)), "{report}");
    let row = report["objects"].as_array().unwrap().iter().find(|row| row["name"] == "other").unwrap();
    assert_eq!(row["problem"], "no key could decrypt secret (a, b)");
    assert!(run.err.contains("hint: "), "{}", run.err);
    sandbox.run("sealops validate d/plain.yaml --key keys/interop-2048.key", "").ok();
    sandbox.run("sealops validate --key keys/interop-2048.key", plain).ok();
    sandbox
        .run("sealops validate d/other.yaml --key keys/interop-2048.key", "")
        .fails(1, &["there is no SealedSecret"]);
}
