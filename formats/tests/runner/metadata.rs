//! Metadata in and out of the tree, against SOPS's stores.

use sealops_formats::tree::{
    Format, Item, Layout, Map, MetadataError, Node, Tree, emit, has_metadata, join_metadata, parse,
    split_metadata,
};

use crate::oracle::{Request, ask};
use crate::{dump, generate, stores};

/// Metadata in the order in which SOPS writes it: sorted at every level.
fn metadata() -> Map {
    let key = |entries: &[(&str, &str)]| {
        let mut map = Map::default();
        entries.iter().for_each(|(name, value)| map.push(*name, *value));
        Item::Node(map.into())
    };
    let pgp = |fingerprint| {
        let enc = "-----BEGIN PGP MESSAGE-----\n\nhQEMA\\=\n-----END PGP MESSAGE-----\n";
        key(&[("created_at", "2026-01-02T03:04:05Z"), ("enc", enc), ("fp", fingerprint)])
    };
    let mut map = Map::default();
    map.push("age", Node::Seq(vec![key(&[("enc", "-----BEGIN AGE\nx\n"), ("recipient", "age1x")])]));
    map.push("encrypted_regex", "^(data|stringData)$ # ; `x`");
    map.push("lastmodified", "2026-01-02T03:04:05Z");
    map.push("mac", "ENC[AES256_GCM,data:K3s=,iv:M4XB=,tag:Is=,type:str]");
    map.push("pgp", Node::Seq(vec![pgp("AAAA"), pgp("BBBB")]));
    map.push("version", "3.13.3");
    map
}

fn shown(map: &Map) -> String {
    dump::readable(&dump::tree(&Tree { documents: vec![map.duplicate()] }))
}

/// Generated data with metadata: SOPS takes it out of our text and writes the same text again, and so do we.
#[test]
fn metadata_goes_in_and_out_as_in_sops() {
    let mut requests = Vec::new();
    let mut trees = Vec::new();
    for seed in 0..3_000 {
        let plain = generate::request(seed);
        let format = plain.format;
        let Ok(tree) = parse(format, &plain.input) else { continue };
        let shown = dump::tree(&tree);
        // What SOPS writes wrongly is the matter of `stores`.
        if stores::is_lossy_in_sops(&tree)
            || tree.documents.is_empty()
            || tree.documents.iter().any(|document| has_metadata(format, document))
        {
            continue;
        }
        let Ok(text) =
            emit(format.envelope(), &join_metadata(format, tree, &metadata()).unwrap(), &Layout::default())
        else {
            continue;
        };
        // What the format itself loses on the way is not the matter here.
        let again = parse(format.envelope(), text.expose()).unwrap();
        let (data, found) = split_metadata(format, again).unwrap();
        if dump::tree(&data) != shown {
            continue;
        }
        assert_eq!(shown_metadata(found), shown_metadata(Some(metadata())), "seed {seed}");
        requests.push(Request {
            format,
            output: format,
            indent: None,
            input: text.expose().to_vec(),
            encrypted: true,
        });
        trees.push(shown);
    }
    let mut counts = [0; 5];
    for ((request, answer), tree) in requests.iter().zip(ask(&requests)).zip(trees) {
        let text = String::from_utf8_lossy(&request.input);
        assert_eq!(answer.error, "", "{text}");
        assert_eq!(dump::readable(&answer.tree), dump::readable(&tree), "{text}");
        assert_eq!(String::from_utf8_lossy(&answer.emitted()), text);
        counts[Format::ALL.iter().position(|format| *format == request.format).unwrap()] += 1;
    }
    println!("metadata in and out: {:?} files of {:?}", counts, Format::ALL.map(Format::name));
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

fn shown_metadata(map: Option<Map>) -> String {
    shown(&map.unwrap())
}

#[test]
fn says_what_is_wrong_with_metadata() {
    let split = |format, text: &str| {
        split_metadata(format, parse(format, text.as_bytes()).unwrap())
            .map(|(_, metadata)| metadata.map(|map| shown(&map)))
    };
    assert_eq!(split(Format::Json, r#"{"sops": {}, "a": 1, "sops": {}}"#), Err(MetadataError::Duplicate));
    assert_eq!(split(Format::Yaml, "a: 1\nsops: 1\n"), Err(MetadataError::NotAMapping));
    assert_eq!(split(Format::Yaml, "a: 1\n---\nsops: 1\n"), Ok(None));
    assert_eq!(
        split(Format::Dotenv, "sops_mac=x\nsops_age__list_1__map_enc=y\n"),
        Err(MetadataError::Unflatten("Incomplete list"))
    );
    assert_eq!(
        split(Format::Dotenv, "sops_mac=x\nsops_mac=y\n"),
        Err(MetadataError::Unflatten("Duplicate value"))
    );
    assert_eq!(
        split(Format::Ini, "[sops]\nmac = x\nmac__map_y = z\n"),
        Err(MetadataError::Unflatten("Type mismatch"))
    );
    assert_eq!(
        split(Format::Ini, "[sops]\nage__list_0__map_enc = a\\nb\nmac = x\n"),
        Ok(Some("{s\"age\":[{s\"enc\":s\"a\\nb\",},],s\"mac\":s\"x\",};".to_owned()))
    );
}

#[test]
fn refuses_data_under_a_reserved_key() {
    let join = |format, text: &str| {
        join_metadata(format, parse(format, text.as_bytes()).unwrap(), &metadata())
            .map(|tree| tree.documents.len())
    };
    assert_eq!(
        join(Format::Yaml, "a: 1\n---\nsops: 1\n"),
        Err(MetadataError::Reserved { key: "sops".into() })
    );
    assert_eq!(
        join(Format::Dotenv, "sops_x=1\n"),
        Err(MetadataError::ReservedPrefix { key: "sops_x".into() })
    );
    assert_eq!(join(Format::Dotenv, "sops=1\n"), Ok(1));
    assert!(has_metadata(Format::Json, &parse(Format::Json, b"{\"sops\": 1}").unwrap().documents[0]));
    assert!(!has_metadata(Format::Yaml, &parse(Format::Yaml, b"sops_mac: 1").unwrap().documents[0]));
}
