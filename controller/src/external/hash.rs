//! The hashes that upstream writes: SHA3-224 (lower hex) over the text that Go's `%+v` prints.

use std::collections::BTreeMap;

use sealops_crds::{ExternalSecret, Metadata};
use sealops_formats::Plaintext;
use sealops_formats::manifest::{Node, Value};
use sha3::{Digest, Sha3_224};

/// Returns the value of the annotation `data-hash`: `map[key:[98 97 114] …]` with sorted keys.
pub fn data_hash(data: &BTreeMap<String, Plaintext>) -> String {
    let mut hash = Sha3_224::new();
    hash.update(b"map[");
    for (index, (key, value)) in data.iter().enumerate() {
        hash.update(if index == 0 { "" } else { " " });
        hash.update(key);
        hash.update(b":[");
        for (position, byte) in value.expose().iter().enumerate() {
            hash.update(if position == 0 { "" } else { " " });
            hash.update(byte.to_string());
        }
        hash.update(b"]");
    }
    hash.update(b"]");
    hex(hash)
}

/// Returns the value of the annotation `data-hash` of a target that is no Secret: over its `spec`, or else its `data`.
pub fn content_hash(content: &Node) -> String {
    let mut hash = Sha3_224::new();
    print(content, &mut hash);
    hex(hash)
}

fn print(node: &Node, hash: &mut Sha3_224) {
    match &node.value {
        Value::Null => hash.update("<nil>"),
        Value::Scalar(_, text) => hash.update(text.expose()),
        Value::List(items) => {
            hash.update("[");
            for (index, item) in items.iter().enumerate() {
                hash.update(if index == 0 { "" } else { " " });
                print(item, hash);
            }
            hash.update("]");
        }
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|one, other| one.0.cmp(&other.0));
            hash.update("map[");
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                hash.update(if index == 0 { "" } else { " " });
                hash.update(key);
                hash.update(":");
                print(item, hash);
            }
            hash.update("]");
        }
    }
}

/// Returns the value of the label `created-by`: the hash of `namespace/name`.
pub fn owner_hash(namespace: &str, name: &str) -> String {
    text_hash(&format!("{namespace}/{name}"))
}

/// Returns the hash of a text.
pub fn text_hash(text: &str) -> String {
    let mut hash = Sha3_224::new();
    hash.update(text);
    hex(hash)
}

/// Returns `status.syncedResourceVersion`: generation and hash of labels and annotations.
pub fn object_version(external: &ExternalSecret) -> String {
    version_of(&external.metadata)
}

/// Returns `status.syncedResourceVersion` of an object of any kind.
pub fn version_of(metadata: &Metadata) -> String {
    let print = |map: &BTreeMap<String, String>| {
        map.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(" ")
    };
    let mut hash = Sha3_224::new();
    hash.update(format!(
        "{{annotations:map[{}] labels:map[{}]}}",
        print(metadata.annotations()),
        print(metadata.labels())
    ));
    format!("{}-{}", metadata.generation.unwrap_or(0), hex(hash))
}

fn hex(hash: Sha3_224) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_hashed_as_go_prints_them() {
        let hash_of = |text: &str| {
            let mut hash = Sha3_224::new();
            hash.update(text);
            hex(hash)
        };
        for (tree, text) in [
            ("{}", "map[]"),
            ("{b: x, a: {d: 1, c: [true, null, 1.5]}}", "map[a:map[c:[true <nil> 1.5] d:1] b:x]"),
        ] {
            let node = sealops_formats::manifest::parse(tree.as_bytes()).unwrap().pop().unwrap().root;
            assert_eq!(content_hash(&node), hash_of(text), "{tree}");
        }
        assert_eq!(hash_of("map[]"), "74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b");
    }

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, Plaintext> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    }

    /// Values computed by upstream's own code.
    #[test]
    fn equal_upstreams() {
        let both = data(&[("foo", "value1"), ("bar", "value2")]);
        assert_eq!(data_hash(&both), "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64");
        assert_eq!(
            data_hash(&data(&[("foo", "bar")])),
            "f2a604b87eb0cf673761e8cfea850f901fe73a3d1b2f338802107f36"
        );
        assert_eq!(data_hash(&data(&[])), "74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b");
        assert_eq!(
            owner_hash("default", "my-es"),
            "b8464376b5fe3535e690594280bfe59b60be2603cb6cbb6d6c8bcbb4"
        );
        let mut external = ExternalSecret::default();
        assert_eq!(object_version(&external), "0-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2");
        external.metadata.annotations_mut().insert("a".into(), "b".into());
        external.metadata.labels_mut().insert("x".into(), "y".into());
        external.metadata.generation = Some(3);
        assert_eq!(object_version(&external), "3-6fda81beba3676cd00090793bbbb9fe2bbab4bd7d8c5c2cb1013a872");
    }
}
