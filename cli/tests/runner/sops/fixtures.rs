//! The files that the table's commands find, encrypted once by the real sops.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::world::{AGE_A, AGE_B, AGE_C, Side, World};

/// A PGP key of the upstream project's tests, without a passphrase.
pub(crate) const PGP: &str = "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4";

pub(crate) struct Fixtures {
    folder: TempDir,
    pub(crate) gnupg: PathBuf,
}

const PLAIN_YAML: &str = "# head\na: 1\nb: two\nc:\n    - x\n    - y: true\nd:\n    e: 1.5\n    f: null\n    g_unencrypted: open\nwhen: 2024-01-02\n\
     text: |\n    one\n    two\nempty: \"\"\n";
const PLAIN_JSON: &str = "{\n\t\"a\": 1,\n\t\"b\": \"two\",\n\t\"c\": [\n\t\t\"x\",\n\t\t{\n\t\t\t\"y\": true\n\t\t}\n\t],\n\t\"d\": {\n\t\t\"e\": 1.5,\n\t\t\"f\": null\n\t}\n}\n";
const PLAIN_ENV: &str = "# comment\nA=1\nB=two words\nC=line\\nline\nD_unencrypted=open\nEMPTY=\n";
const PLAIN_INI: &str = "top = 1\n\n[section]\nkey   = value\n; note\nother = two words\n";

/// Returns them; made at the first call.
pub(crate) fn fixtures() -> &'static Fixtures {
    static FIXTURES: OnceLock<Fixtures> = OnceLock::new();
    FIXTURES.get_or_init(make)
}

/// Makes a keyring with the test key. The folder's name is short, for the agent's sockets.
pub(crate) fn keyring(folder: &Path) -> PathBuf {
    let gnupg = folder.join("gpg");
    fs::create_dir(&gnupg).unwrap();
    fs::set_permissions(&gnupg, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(gnupg.join("gpg-agent.conf"), "disable-scdaemon\n").unwrap();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/keys/sops-pgp.asc");
    let status = Command::new("gpg")
        .args(["--batch", "--quiet", "--import", key])
        .env("GNUPGHOME", &gnupg)
        .status()
        .unwrap();
    assert!(status.success());
    gnupg
}

impl Drop for Fixtures {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &self.gnupg).status();
    }
}

impl Fixtures {
    /// Copies every file, its mode and every link.
    pub(crate) fn copy_into(&self, world: &World) {
        copy(&self.folder.path().join("files"), &world.path(""));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn make() -> Fixtures {
    let folder = tempfile::Builder::new().prefix("f").tempdir().unwrap();
    let gnupg = keyring(folder.path());
    let world = World::new().with_gnupg(&gnupg);
    plain_files(&world);
    encrypted_files(&world);
    broken_files(&world);
    let files = folder.path().join("files");
    copy(&world.path(""), &files);
    Fixtures { folder, gnupg }
}

fn plain_files(world: &World) {
    for (name, text) in [
        ("plain.yaml", PLAIN_YAML),
        ("plain.yml", "a: b\n"),
        ("plain.json", PLAIN_JSON),
        ("plain.env", PLAIN_ENV),
        ("plain.ini", PLAIN_INI),
        ("plain.bin", "any \u{1} bytes\r\nwithout end"),
        ("multi.yaml", "a: 1\n---\nb: 2\n---\nc: 3\n"),
        ("comments.yaml", "# head\na: 1 # inline\nb:\n    # in list\n    - x\n    # foot\nlast: 1\n# end\n"),
        ("marked.yaml", "# keep this\nopen: 1\nhidden: 2\n"),
        ("flat.yaml", "KEY: value\nNUMBER: 5\nFLAG: true\nNOTHING: null\n"),
        ("equals.yaml", "\"a=b\": 1\n"),
        ("empty.yaml", ""),
        ("empty.json", ""),
        ("empty.bin", ""),
        ("document.yaml", "---\n"),
        ("only-comment.yaml", "# nothing else\n"),
        ("bad.yaml", "a: [1\nb: }\n"),
        ("bad.json", "{\"a\": "),
        ("bad.env", "no equals sign\n"),
        ("list.yaml", "- a\n- b\n"),
        ("list.json", "[1, 2]\n"),
        ("twice.yaml", "a: 1\na: 2\n"),
        ("number-key.yaml", "1: a\n"),
        ("huge.yaml", "a: 18446744073709551615\n"),
        ("metadata.yaml", "a: 1\nsops: mine\n"),
        ("metadata.json", "{\"a\": 1, \"sops\": {}}\n"),
        ("metadata.env", "A=1\nsops_x=1\n"),
        ("tree.env.yaml", "a:\n    b: 1\n"),
        ("value.json", "{\"from\": \"file\"}"),
        ("value.txt", "\"text from a file\""),
        ("value.bad", "not json"),
        ("change.sh", "#!/bin/sh\nsed -i 's/two/three/; s/value/changed/; s/open/wide/' \"$1\"\n"),
        ("same.sh", "#!/bin/sh\nexit 0\n"),
        ("fail.sh", "#!/bin/sh\nexit 3\n"),
        ("list.sh", "#!/bin/sh\nls -ld \"$1\" | cut -c1-10 >&2; basename \"$1\"; cat \"$1\"; exit 1\n"),
        ("arguments.sh", "#!/bin/sh\necho \"$1\" \"$2\"; sed -i 's/two/three/' \"$3\"\n"),
        ("folder/inner.yaml", "a: 1\n"),
        ("conf/.sops.yaml", &configuration()),
        ("conf/secret.yaml", "a: 1\n"),
        ("conf/other.txt", "text\n"),
        ("conf/both.yaml", "a: 1\npublic: 2\n"),
        ("conf/deep/secret.yaml", "a: 1\n"),
        ("conf/regex.yaml", "data: 1\nmeta: 2\n"),
        ("conf/unregex.yaml", "data: 1\nmeta: 2\n"),
        ("conf/suffix.yaml", "a_enc: 1\nb: 2\n"),
        ("conf/marked.yaml", "# secret\na: 1\nb: 2\n"),
        ("conf/unmarked.yaml", "# public\na: 1\nb: 2\n"),
        ("conf/onlymac.yaml", "a: 1\nb_unencrypted: 2\n"),
        ("conf/shamir.yaml", "a: 1\n"),
        ("conf/merged.yaml", "a: 1\n"),
        ("conf/two.yaml", "a: 1\n"),
        ("conf/pgp.yaml", "a: 1\n"),
        ("conf/nokeys.yaml", "a: 1\n"),
        ("badconf/.sops.yaml", "creation_rules: [\n"),
        ("badconf/a.yaml", "a: 1\n"),
        ("norules/.sops.yaml", "stores:\n    yaml:\n        indent: 2\n    json:\n        indent: 2\n"),
        ("norules/a.yaml", "a:\n  b: 1\n"),
        ("norules/a.json", "{\"a\": {\"b\": 1}}"),
        ("yml/.sops.yml", "creation_rules: []\n"),
        ("yml/a.yaml", "a: 1\n"),
        ("other.sops.yaml", &format!("creation_rules:\n    - age: {AGE_C}\n")),
    ] {
        world.write(name, text);
        if name.ends_with(".sh") {
            fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    fs::set_permissions(world.path("plain.json"), fs::Permissions::from_mode(0o640)).unwrap();
}

fn configuration() -> String {
    format!(
        "creation_rules:
    - path_regex: ^secret\\.yaml$
      age: {AGE_A}
    - path_regex: deep/
      age: >-
        {AGE_A},
        {AGE_C}
    - path_regex: both\\.yaml
      age: [{AGE_A}, {AGE_B}]
      unencrypted_regex: ^public$
    - path_regex: ^regex\\.yaml
      age: {AGE_A}
      encrypted_regex: ^data$
    - path_regex: ^unregex\\.yaml
      age: {AGE_A}
      unencrypted_regex: ^meta$
    - path_regex: ^suffix\\.yaml
      age: {AGE_A}
      encrypted_suffix: _enc
    - path_regex: ^marked\\.yaml
      age: {AGE_A}
      encrypted_comment_regex: secret
    - path_regex: ^unmarked\\.yaml
      age: {AGE_A}
      unencrypted_comment_regex: public
    - path_regex: ^onlymac\\.yaml
      age: {AGE_A}
      mac_only_encrypted: true
    - path_regex: ^shamir\\.yaml
      shamir_threshold: 2
      key_groups:
          - age: [{AGE_A}]
          - age: [{AGE_B}]
          - age: [{AGE_C}]
    - path_regex: ^merged\\.yaml
      key_groups:
          - merge:
                - age: [{AGE_C}]
            age: [{AGE_A}, {AGE_C}]
    - path_regex: ^two\\.yaml
      age: {AGE_A}
      encrypted_regex: a
      encrypted_suffix: b
    - path_regex: ^pgp\\.yaml
      pgp: {PGP}
    - path_regex: ^nokeys\\.yaml
      age: ''
"
    )
}

fn encrypted_files(world: &World) {
    let ab = format!("{AGE_A},{AGE_B}");
    for (plain, name, flags) in [
        ("plain.yaml", "enc.yaml", ["--age", AGE_A, "", ""]),
        ("plain.json", "enc.json", ["--age", AGE_A, "", ""]),
        ("plain.env", "enc.env", ["--age", AGE_A, "", ""]),
        ("plain.ini", "enc.ini", ["--age", AGE_A, "", ""]),
        ("plain.bin", "enc.bin", ["--age", AGE_A, "", ""]),
        ("multi.yaml", "enc-multi.yaml", ["--age", AGE_A, "", ""]),
        ("comments.yaml", "enc-comments.yaml", ["--age", AGE_A, "", ""]),
        ("flat.yaml", "enc-flat.yaml", ["--age", AGE_A, "", ""]),
        ("equals.yaml", "enc-equals.yaml", ["--age", AGE_A, "", ""]),
        ("tree.env.yaml", "enc-tree.yaml", ["--age", AGE_A, "", ""]),
        ("plain.yaml", "enc-ab.yaml", ["--age", &ab, "", ""]),
        ("plain.yaml", "enc-b.yaml", ["--age", AGE_B, "", ""]),
        ("plain.yaml", "enc-pgp.yaml", ["--pgp", PGP, "", ""]),
        ("plain.yaml", "enc-both.yaml", ["--pgp", PGP, "--age", AGE_B]),
        ("plain.yaml", "enc-regex.yaml", ["--age", AGE_A, "--encrypted-regex", "^(b|c)$"]),
    ] {
        let flags = flags.into_iter().filter(|flag| !flag.is_empty());
        let mut arguments = vec!["encrypt", "--output", name];
        arguments.extend(flags);
        arguments.push(plain);
        world.run(Side::Theirs, &arguments, &[]).ok();
    }
    for (name, config) in [("groups.yaml", "shamir.yaml"), ("onlymac.yaml", "onlymac.yaml")] {
        let override_name = world.path("conf").join(config);
        let override_name = override_name.to_string_lossy();
        let arguments =
            ["--config", "conf/.sops.yaml", "encrypt", "--filename-override", &override_name, "plain.yaml"];
        let out = world.run(Side::Theirs, &arguments, &[]).ok();
        world.write(name, out);
    }
    for (folder, names) in
        [("conf", ["deep/secret.yaml", "other.yaml"]), ("upd", ["secret.yaml", "both.yaml"])]
    {
        for name in names {
            let out = world.run(Side::Theirs, &["encrypt", "--age", AGE_C, "plain.yml"], &[]).ok();
            if folder == "upd" {
                world.write(&format!("upd/{name}"), out);
            } else {
                world.write(&format!("conf/enc-{}", name.replace('/', "-")), out);
            }
        }
    }
    world.write("upd/.sops.yaml", configuration());
    fs::set_permissions(world.path("enc.json"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("enc.yaml", world.path("link.yaml")).unwrap();
}

fn broken_files(world: &World) {
    let text = String::from_utf8(world.read("enc.yaml")).unwrap();
    let line = |start: &str| {
        text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {text}"))
    };
    let without_mac: Vec<_> = text.lines().filter(|line| !line.starts_with("    mac:")).collect();
    world.write("nomac.yaml", without_mac.join("\n"));
    world.write("badmac.yaml", text.replace("g_unencrypted: open", "g_unencrypted: changed"));
    let mac = line("    mac:");
    world.write(
        "brokenmac.yaml",
        text.replace(mac, "    mac: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]"),
    );
    world.write("badversion.yaml", text.replace("version: 3.13.3", "version: unknown"));
    world.write("oldversion.yaml", text.replace("version: 3.13.3", "version: 3.9.0"));
    world.write("badtime.yaml", text.replace(line("    lastmodified:"), "    lastmodified: yesterday"));
    world.write(
        "tampered.yaml",
        text.replace(line("b: "), line("b: ").replace("data:", "data:AAAA").as_str()),
    );
    world.write("plainvalue.yaml", text.replace(line("b: "), "b: not encrypted"));
    world.write("numbervalue.yaml", text.replace(line("b: "), "b: 5"));
    world.write("nokeys.yaml", {
        let start = text.find("    age:").unwrap();
        let end = text.find("    lastmodified:").unwrap();
        format!("{}{}", &text[..start], &text[end..])
    });
    world.write("cut.yaml", &text[..text.len() / 2]);
}

/// The recipients, for lines of the table: `A`, `B` and `C` stand in it for these.
pub(crate) fn recipients() -> [(&'static str, &'static str); 4] {
    [("%A", AGE_A), ("%B", AGE_B), ("%C", AGE_C), ("%P", PGP)]
}
