//! Rules over the source that no compiler checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The only places where a plaintext may come out of its type (ARCHITECTURE.md). A new one needs a reason there.
const EXPOSE: &[&str] = &[
    "cli/src/",                         // the edge: what was asked for, and the text that was read
    "controller/providers/src/aws/",    // parts of data keys, values of stores, bodies
    "controller/providers/src/gcp/",    // tokens, credentials, parts of data keys, bodies
    "controller/providers/src/azure/",  // parts of data keys, tokens, bodies
    "controller/providers/src/huawei/", // access keys, parts of data keys, bodies
    "controller/providers/src/http.rs", // bodies of requests, keys of client certificates
    "controller/providers/src/key_service/message.rs", // parts of data keys in messages
    "controller/providers/src/local/",  // what gpg and gpg-agent are told and say; keys given as texts
    "controller/src/cluster/api.rs",    // request bodies, and a check that messages quote no value
    "controller/src/directory/load.rs", // the text of a manifest, parsed
    "controller/providers/src/authorities.rs", // certificates of authorities, which are public
    "controller/providers/src/json.rs", // JSON of answers and requests
    "controller/providers/src/kubernetes/", // Secrets in base64, logins, kubeconfigs
    "controller/providers/src/postgres/", // connection strings, passwords; keys of client certificates
    "controller/providers/src/vault/",  // tokens, answers
    "controller/providers/src/webhook/", // what templates rendered, paths into answers
    "controller/src/external/gjson/",   // paths into values that are JSON
    "controller/src/external/json.rs",  // values that are JSON, read and written
    "controller/src/cluster/objects.rs", // answers of the API server, parsed
    "controller/src/cluster/receiver.rs", // the keys that sign notices
    "controller/src/cluster/serving/",  // the webhook's certificate with its key; webhook configurations
    "controller/src/external/rewrite.rs", // names that templates yield; values that are merged
    "controller/src/external/values.rs", // decoding and properties of fetched values
    "controller/src/external/generators/", // encoding what was made; JSON of a webhook
    "controller/src/external/hash.rs",  // the data hash
    "controller/src/external/push/",    // whole Secrets as JSON; names that a template yields
    "controller/src/object.rs",         // base64 of a Secret, its JSON parsed
    "controller/src/object/manifest.rs", // other objects as JSON
    "controller/src/external/manifest/", // texts that templates put into other objects
    "controller/src/cluster/api/manifests.rs", // answers of the API server, parsed
    "controller/src/restarts.rs",       // MACs over what the Secrets of a workload hold
    "controller/src/cluster/ledger.rs", // answers of the API server, parsed
    "controller/src/sealed/",           // MACs of proofs, keys read from Secrets
    "crypto/src/age/",                  // parts of data keys, identities, passphrases
    "crypto/src/pkcs12/",               // private keys in files under a password, the password
    "crypto/src/pgp.rs",                // parts of data keys, secret keys, their passphrase
    "crypto/src/sealing/",              // sealing, and keys in PEM
    "crypto/src/serving.rs",            // keys of an authority and a server, in PEM
    "crypto/src/sops/", // values and comments that are encrypted, hashed and compared; key parts
    "formats/src/",     // the type itself, encoders and parsers
    "controller/src/external/template.rs", // labels and annotations, and maps that templates yield
    "controller/src/templates.rs", // the text of a template, parsed
    "controller/template/src/", // templates compute with values; what leaves is a plaintext again
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file that is shipped, with its path from the top and its text without tests.
fn shipped() -> Vec<(String, String)> {
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut files = Vec::new();
    for folder in [
        "formats/src",
        "crypto/src",
        "crds/src",
        "controller/src",
        "controller/providers/src",
        "controller/template/src",
        "cli/src",
    ] {
        sources(&top.join(folder), &mut files);
    }
    assert!(files.len() > 50, "only {} source files found", files.len());
    files
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            (path.strip_prefix(top).unwrap().display().to_string(), code)
        })
        .collect()
}

#[test]
fn plaintext_comes_out_only_where_it_may() {
    let mut used = BTreeSet::new();
    for (path, code) in shipped() {
        if [".expose()", ".expose_mut()", ".expose_str()"].iter().any(|call| code.contains(call)) {
            let place = EXPOSE.iter().find(|place| path.starts_with(**place));
            used.insert(
                *place.unwrap_or_else(|| panic!("{path} exposes a plaintext and is not on the list")),
            );
        }
    }
    let listed: BTreeSet<&str> = EXPOSE.iter().copied().collect();
    assert_eq!(used, listed, "the list names places that expose nothing any more");
}

#[test]
fn nothing_unsafe_unfinished_or_of_one_machine() {
    for (path, code) in shipped() {
        for word in ["unsafe {", "unsafe fn", "todo!(", "unimplemented!(", "dbg!(", "/root/", "/home/"] {
            assert!(!code.contains(word), "{path} contains {word}");
        }
    }
}
