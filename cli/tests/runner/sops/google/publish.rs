//! `publish` to Cloud Storage, ours and the real one.

use sealops_testenv::Scope;

use super::{Cloud, shown};
use crate::sops::world::BOTH;
use crate::sops::world::{AGE_A, Side, finish};

#[test]
fn published_files_are_the_same_by_both() {
    let mut cloud = Cloud::start();
    cloud.google.new_bucket("bucket", true);
    cloud.google.new_bucket("closed", false);
    let world = &cloud.world;
    let key = cloud.google.new_key("one");
    for name in
        ["gcs/a.enc.yaml", "tree/x.yaml", "tree/sub/y.yaml", "anew/a.yaml", "closed/a.yaml", "none/a.yaml"]
    {
        world.write(name, "a: one\n");
        cloud.run(Side::Theirs, &["encrypt", "-i", "--age", AGE_A, name]).ok();
    }
    world.write(
        ".sops.yaml",
        format!(
            "destination_rules:\n  - path_regex: ^gcs/\n    gcs_bucket: bucket\n    gcs_prefix: pre/\n  - path_regex: ^tree\n    gcs_bucket: bucket\n\
             \x20 - path_regex: ^anew/\n    gcs_bucket: bucket\n    recreation_rule: {{gcp_kms: '{key}', encrypted_suffix: a}}\n\
             \x20 - path_regex: ^closed/\n    gcs_bucket: closed\n  - path_regex: ^none/\n    gcs_bucket: nowhere\n"
        ),
    );
    let publish = |side: Side, line: &[&str], typed: &str| {
        cloud.google.empty("bucket");
        let mut command = cloud.google.command(side.program());
        cloud.environment(&mut command);
        command.arg("publish").args(line);
        let outcome = shown(side, finish(command, typed.as_bytes()));
        let out = String::from_utf8_lossy(&outcome.out).into_owned();
        (outcome.code, out, cloud.google.objects("bucket"), outcome.err)
    };
    let cases: [(&[&str], &str, usize); 7] = [
        (&["--yes", "gcs/a.enc.yaml"], "", 1),
        (&["gcs/a.enc.yaml"], "y\n", 1),
        (&["gcs/a.enc.yaml"], "n\n", 0),
        (&["-y", "--omit-extensions", "gcs/a.enc.yaml"], "", 1),
        (&["-y", "tree"], "", 0),
        (&["-y", "--recursive", "tree"], "", 2),
        (&["--recursive", "tree"], "n\ny\n", 1),
    ];
    for (line, typed, objects) in cases {
        let (theirs, ours) = (publish(Side::Theirs, line, typed), publish(Side::Ours, line, typed));
        assert_eq!(
            (theirs.0, &theirs.1, &theirs.2),
            (ours.0, &ours.1, &ours.2),
            "{line:?}: {} {}",
            theirs.3,
            ours.3
        );
        assert_eq!(ours.2.len(), objects, "{line:?}");
    }
    // Encrypted anew: for the new key only, and whoever reads it.
    for (writer, reader) in BOTH {
        let (code, _, objects, said) = publish(writer, &["-y", "anew/a.yaml"], "");
        assert_eq!(code, 0, "{said}");
        let text = String::from_utf8(objects["a.yaml"].clone()).unwrap();
        assert!(text.contains(&key) && !text.contains(AGE_A), "{text}");
        world.write("back.yaml", &text);
        assert_eq!(cloud.run(reader, &["decrypt", "back.yaml"]).ok(), b"a: one\n");
    }
    // sops drops the error of an upload and ends with 0; here it is one.
    for (name, words) in [("closed/a.yaml", "PERMISSION_DENIED"), ("none/a.yaml", "NOT_FOUND")] {
        let (code, _, objects, said) = publish(Side::Ours, &["-y", name], "");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("gcs://") && said.contains(words) && objects.is_empty(), "{said}");
        assert_eq!(publish(Side::Theirs, &["-y", name], "").0, 0);
    }
    // Storage knows the default credentials only, as in sops.
    let token = cloud.google.token(Scope::Storage);
    cloud.with(&[("GOOGLE_OAUTH_ACCESS_TOKEN", &token)]);
    let run = cloud.run(Side::Ours, &["publish", "-y", "gcs/a.enc.yaml"]);
    assert!(run.code == 1 && run.err.contains("127.0.0.1:9"), "{}", run.err);
}
