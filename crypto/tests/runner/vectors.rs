//! `testdata/vectors/sealed/*`: a header, an empty line, the base64 value. Every file is one test; an unknown header
//! or an unknown expectation fails the run, so a vector cannot be forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crypto::sealing::{Label, RingKey, Scope, SealingKeyRing};
use sealops_formats::base64;

struct Vector {
    header: BTreeMap<String, String>,
    body: String,
}

fn parse(text: &str) -> Vector {
    let (head, body) = text.split_once("\n\n").expect("header, empty line, value");
    let header = head
        .lines()
        .map(|line| line.split_once(": ").expect("name: value"))
        .map(|(name, value)| {
            let known = ["expect", "scope", "namespace", "name", "key", "plaintext", "comment"];
            assert!(known.contains(&name), "unknown header {name}");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    Vector { header, body: body.trim_end_matches('\n').to_owned() }
}

fn run(vector: &Vector) -> String {
    let field = |name: &str| vector.header.get(name).unwrap_or_else(|| panic!("no header {name}")).as_str();
    let scope: Scope = field("scope").parse().unwrap();
    let ring = SealingKeyRing::new([RingKey { key: Arc::new(super::key(field("key"))), order: 0 }]);
    let sealed = match base64::decode(vector.body.as_bytes()) {
        Ok(sealed) => sealed,
        Err(error) => return error.to_string(),
    };
    match ring.unseal(&Label::for_secret(scope, field("namespace"), field("name")), sealed.expose(), None) {
        Ok(unsealed) => {
            assert_eq!(unsealed.value.expose(), field("plaintext").as_bytes());
            "success".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_vector_gives_its_expectation() {
    let mut count = 0;
    for entry in std::fs::read_dir(super::testdata("vectors/sealed")).unwrap() {
        let path = entry.unwrap().path();
        let vector = parse(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(run(&vector), vector.header["expect"], "{}", path.display());
        count += 1;
    }
    assert!(count >= 30, "only {count} vectors found");
}
