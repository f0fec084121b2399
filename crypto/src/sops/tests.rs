use sealops_formats::tree::{Format, Layout, Node, Scalar, Tree, emit, parse};

use super::walk::{self, Direction};
use super::*;
use crate::random::{NoRandomness, Random, SystemRandom};

/// specs/sops.md appendix A: made with upstream's cipher and stores under the data key 32 x `f`.
const VECTOR: &str = "\
#ENC[AES256_GCM,data:K3s=,iv:M4XBJXXPEb0NUUZFoazvuv0ahLcNTlTcY9WwnNNHoLY=,tag:IsugaGlr460Ltnxq5kfNlw==,type:comment]
s: ENC[AES256_GCM,data:pShQ,iv:fkEPAP0SyEpD2aP+d/R2O7EUQXQyX/yCGQlIH/UBSzU=,tag:ZQLiBUbDNyhXnecFhzzaoA==,type:str]
i: ENC[AES256_GCM,data:fQA=,iv:l5HApL8lymIqrlppLKKmXGDmCde72NnJGlaU7jm2Qro=,tag:7FkQZd7kE4t+4r+ZkUsHbQ==,type:int]
f: ENC[AES256_GCM,data:jPux,iv:qOmL851f924pbbBb/DYUCdXqVW+vIXP2KZhH4ovHkuA=,tag:QDOjxEu//rz1K1xES5HrVw==,type:float]
b: ENC[AES256_GCM,data:pFQ51A==,iv:LoTmImCzHfqYmG9Hd/UpXEHClNhD5j361lviVkA/Rpo=,tag:0lMlTCEzUWzplgUL1pZgbQ==,type:bool]
t: ENC[AES256_GCM,data:+Mmqz6elYlFE0ByeHGdyYj90u7E=,iv:eYtY0UMkfTBKeoofAcWQaIRGfa+xpo1znTG9vEJLrJk=,tag:9ZTFIMba/2cYn9iD8f8CpQ==,type:time]
\"n\":
    x:
        - ENC[AES256_GCM,data:Xg==,iv:UFfh8i94nI1QqB6/orPGW4kmmy4EU6OEmlePPpxzuGA=,tag:ulnohhkciVuKfOCltrvOpQ==,type:str]
        - ENC[AES256_GCM,data:W3w=,iv:JnG2W239Dn/blk59wH2b7BuogFWByTNtx2C0PIXDaHY=,tag:P2U4QSYCwOPAkMWfXVGV7w==,type:comment]
        - ENC[AES256_GCM,data:og==,iv:vNnk3eB3Os97vQZBl8DDXnCekyugA4FNAHBU27N7JSU=,tag:GCfV5l/WRvaHmqR8S32rpg==,type:str]
u_unencrypted: 2.50
e: \"\"
z: null
sops:
    lastmodified: \"2026-01-02T03:04:05Z\"
    mac: ENC[AES256_GCM,data:uV+OcuyEYK+AYNYrUdE1rQ571vegV/9N5xFzIXBKDGElI+rc6QygXR2PCo+QgQGj0W1/pZUqKvW+tDxvMxUEm+5lSBCuFtmukPSNUoEvLMRenOiLEwMjZ+P73O4UGPq4LHmnRuuorAjgA0KyZPiZ+6oINmbxXl0bxeoRIWg4ZNI=,iv:8daenr7fCi17PeX1C01pEDL4P/0UoH0KIFEaRXguT0U=,tag:5aja5Z8Y/RAsnHmgFTGynQ==,type:str]
    version: 3.13.2
    unencrypted_suffix: _unencrypted
    age:
        - recipient: age1x
          enc: none
";

fn key() -> DataKey {
    DataKey::from_bytes(&[b'f'; 32]).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-05-06T07:08:09Z").unwrap()
}

fn groups() -> KeyGroups {
    KeyGroups::new([vec![MasterKey::Age { recipient: "age1x".to_owned() }]], 0)
}

fn yaml(text: &str) -> Tree {
    parse(Format::Yaml, text.as_bytes()).unwrap()
}

fn text_of(tree: &Tree) -> String {
    String::from_utf8(emit(Format::Yaml, tree, &Layout::default()).unwrap().expose().to_vec()).unwrap()
}

fn encrypted(text: &str) -> Result<EncryptedFile, MetadataProblem> {
    EncryptedFile::new(yaml(text), Format::Yaml)
}

fn open(text: &str) -> Result<OpenFile, OpenError> {
    encrypted(text).unwrap().open(key(), &Inline)
}

fn settings(kind: SelectorKind, text: &str) -> EncryptionSettings {
    EncryptionSettings { selector: Some(Selector::new(kind, text).unwrap()), mac_only_encrypted: false }
}

fn encrypt_with(text: &str, settings: &EncryptionSettings) -> (String, Vec<Warning>) {
    let (file, warnings) = ClearFile::new(yaml(text), Format::Yaml)
        .unwrap()
        .encrypt(&key(), groups(), settings, &mut SystemRandom, &now(), &Inline)
        .unwrap();
    (text_of(&file.into_tree().unwrap()), warnings)
}

fn encrypt(text: &str) -> String {
    encrypt_with(text, &EncryptionSettings::default()).0
}

/// Returns the encrypted text without its metadata.
fn body(text: &str) -> &str {
    text.split("sops:\n").next().unwrap()
}

#[test]
fn the_published_vector_opens() {
    let file = open(VECTOR).unwrap();
    assert_eq!(
        text_of(file.tree()),
        "# c\ns: foo\ni: 42\nf: 1.5\nb: true\nt: 2024-01-01T00:00:00Z\n\"n\":\n    x:\n        - a\n        # d\n        - b\n\
         u_unencrypted: 2.5\ne: \"\"\nz: null\n"
    );
    assert_eq!(file.warnings(), []);
}

#[test]
fn the_published_macs_are_computed() {
    let file = open(VECTOR).unwrap();
    let mut tree = file.into_tree();
    let selector = Selector::default();
    let leaves = walk::leaves(&mut tree, Some(&selector), Direction::Encrypt).unwrap();
    let mac = |only| super::mac::of(&leaves.leaves, only).unwrap();
    assert_eq!(
        mac(false).expose_str().unwrap(),
        "14274369DEE58C01560543CC666624C056D0D8BBF4F6332412751C6BD043811A52AE6E4DEA9493A851AC12E4035AF40E208AF425A955D5CE561426B739A7AFAA"
    );
    assert_eq!(
        mac(true).expose_str().unwrap(),
        "C9C3107084C0C0D0CFA9777308547B1E7257776E354B3ED470C9ADF42653F7682F7BB8846AFC657F09657B1AB74D27A2705B1E3B1A46D113D4CAD9DC8DA96C74"
    );
}

#[test]
fn an_unchanged_file_keeps_every_ciphertext() {
    let again = open(VECTOR).unwrap().seal(&mut SystemRandom, &now(), &Inline).unwrap();
    assert_eq!(again.metadata().last_modified, now());
    assert_eq!(body(&text_of(&again.into_tree().unwrap())), body(VECTOR).replace("2.50", "2.5"));
}

/// SOPS gives equal values of a list one ciphertext after an edit; that tells that they are equal.
#[test]
fn equal_values_of_a_list_keep_different_ciphertexts() {
    let first = encrypt("l:\n    - x\n    - x\n    - x\n");
    let again = open(&first).unwrap().seal(&mut SystemRandom, &now(), &Inline).unwrap();
    assert_eq!(body(&text_of(&again.into_tree().unwrap())), body(&first));
}

#[test]
fn an_edit_changes_what_was_edited() {
    let before = encrypt("a: 1\nb: two\nc: 3.0\n# note\nd: x\n");
    let mut file = open(&before).unwrap();
    // What an editor gives back: the float lost its fraction.
    file.replace_tree(yaml("a: 1\nb: changed\nc: 3\n# note\nd: x\ne: new\n"));
    let after = text_of(&file.seal(&mut SystemRandom, &now(), &Inline).unwrap().into_tree().unwrap());
    let lines = |text: &str| body(text).lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(&before), lines(&after));
    let changed: Vec<usize> = (0..before.len()).filter(|line| before[*line] != after[*line]).collect();
    assert_eq!(changed, [1]);
    assert!(after[2].ends_with("type:float]"));
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn rotation_changes_every_ciphertext() {
    let before = encrypt("a: 1\nb: two\n");
    let mut file = open(&before).unwrap();
    let new_key = DataKey::generate(&mut SystemRandom).unwrap();
    file.rotate(new_key.duplicate(), groups());
    let after = text_of(&file.seal(&mut SystemRandom, &now(), &Inline).unwrap().into_tree().unwrap());
    for (before, after) in body(&before).lines().zip(body(&after).lines()) {
        assert_ne!(before, after);
    }
    assert!(open(&after).is_err());
    assert!(encrypted(&after).unwrap().open(new_key, &Inline).is_ok());
}

/// Selector, text, which of the lines are encrypted: `E` or `-` for each line with a value or comment.
#[test]
fn selectors_select_as_upstream_does() {
    use SelectorKind as K;
    let table: &[(K, &str, &str, &str)] = &[
        (K::UnencryptedSuffix, "_u", "# c\na: 1\nb_u: 2\nb_u2:\n  c: 1\nd_u:\n  e: 1\n", "EE-E-"),
        (K::EncryptedSuffix, "_e", "# c\na: 1\nb_e: 2\nc_e:\n  # c\n  d: 1\n", "--EEE"),
        (K::EncryptedRegex, "^data$", "# c\nkind: x\ndata:\n  # c\n  a: 1\n", "--EE"),
        (K::UnencryptedRegex, "^meta", "# c\nmeta1:\n  a: 1\nb: 2\n", "E-E"),
        (
            K::UnencryptedCommentRegex,
            "clear",
            "# clear\na: 1\nb: 2\n# clear\nc:\n  d: 1\n  # x\n  e: 1\nf: 1\n",
            "--E----E",
        ),
        (K::EncryptedCommentRegex, "enc", "# enc\na: 1\nb: 2\n# enc\n# more\nc:\n  d: 1\ne: 1\n", "-E--EE-"),
        // With two comments before an element upstream forgets the marker when it decrypts (getsops/sops#2281).
        (K::EncryptedCommentRegex, "enc", "l:\n  # enc\n  # more\n  - a\n  - b\n", "-EE-"),
    ];
    for (kind, pattern, text, expected) in table {
        let (text_after, warnings) = encrypt_with(text, &settings(*kind, pattern));
        assert_eq!(warnings, [], "{text}");
        let found: String = body(&text_after)
            .lines()
            .filter(|line| !line.ends_with(':'))
            .map(|line| if line.contains("ENC[") { 'E' } else { '-' })
            .collect();
        assert_eq!(found, *expected, "{}\n{text_after}", kind.field());
        let opened =
            open(&text_after).unwrap_or_else(|error| panic!("{}: {error}\n{text_after}", kind.field()));
        assert_eq!(text_of(opened.tree()), text_of(&yaml(text)), "{}", kind.field());
    }
}

#[test]
fn selectors_that_match_nothing_or_do_not_compile_are_told() {
    let warning = |kind: SelectorKind, all_plaintext| {
        [Warning::SelectorMatchedNothing { field: kind.field(), all_plaintext }]
    };
    let (text, warnings) = encrypt_with("a: 1\n", &settings(SelectorKind::EncryptedRegex, "^data$"));
    assert_eq!(warnings, warning(SelectorKind::EncryptedRegex, true));
    assert!(text.contains("a: 1"));
    let (_, warnings) = encrypt_with("a: 1\n", &settings(SelectorKind::UnencryptedRegex, "^data$"));
    assert_eq!(warnings, warning(SelectorKind::UnencryptedRegex, false));
    assert!(Selector::new(SelectorKind::EncryptedRegex, "^(data").is_err());

    // A file of SOPS with such an expression is all plaintext: it is read, and not written again.
    let stored = text.replace("encrypted_regex: ^data$", "encrypted_regex: ^(data");
    let file = open(&stored).unwrap();
    assert_eq!(file.warnings(), [Warning::BrokenSelector]);
    let error = file.seal(&mut SystemRandom, &now(), &Inline).unwrap_err();
    assert!(matches!(error, EncryptError::BrokenSelector(_)));
}

#[test]
fn an_encrypted_comment_must_not_exempt_itself() {
    let result = ClearFile::new(yaml("# c\na: 1\n"), Format::Yaml).unwrap().encrypt(
        &key(),
        groups(),
        &settings(SelectorKind::UnencryptedCommentRegex, "AES256"),
        &mut SystemRandom,
        &now(),
        &Inline,
    );
    assert!(matches!(result, Err(EncryptError::CommentMatches { .. })));
}

/// security.md B4. What SOPS accepts is accepted (nothing in the format forbids it); `no` must fail.
#[test]
fn tamper_matrix() {
    let clear =
        "k_unencrypted: \"23\"\na:\n    b: \"1234\"\nl:\n    - x\n    - yy\n    # c\n    - z\n# note\nm: v\n";
    let file = encrypt(clear);
    let line =
        |start: &str| file.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
    let enc = |start: &str| line(start).split_once("ENC").map(|(_, rest)| format!("ENC{rest}")).unwrap();
    let (b, m) = (enc("b:"), enc("m:"));
    let items: Vec<String> =
        file.lines().filter(|line| line.starts_with("    - ENC")).map(str::to_owned).collect();
    let swapped = file.replace(&items[0], "%").replace(&items[1], &items[0]).replace('%', &items[1]);
    let comment = file.lines().find(|line| line.starts_with("#ENC")).unwrap();
    let selector = "unencrypted_suffix: _unencrypted";
    let mac = enc("mac:");
    let yes: &[(&str, String)] = &[
        ("I1 value into map", file.replace("k_unencrypted: \"23\"", "k_unencrypted: {a: \"2\", b: \"3\"}")),
        ("I2 renamed clear key", file.replace("k_unencrypted:", "other_unencrypted:")),
        ("I3 text into number", file.replace("\"23\"", "23")),
        ("I4 joined path", file.replace(&format!("a:\n    b: {b}"), &format!("\"a:b\": {b}"))),
        ("I5 str into int", file.replace(&b, &b.replace("type:str", "type:int"))),
        ("I6 str into bytes", file.replace(&m, &m.replace("type:str", "type:bytes"))),
        ("I8 comment replaced", file.replace(comment, "# free text")),
        ("I13 unknown field", file.replace("sops:\n", "sops:\n    sealops_new: {x: 1}\n")),
    ];
    for (name, text) in yes {
        assert_ne!(text, &file, "{name} changed nothing");
        assert!(open(text).is_ok(), "{name}: {:?}", open(text).err());
    }
    let commented = &yes[6].1;
    assert_eq!(open(commented).unwrap().warnings(), [Warning::PlainComment { path: String::new() }]);

    let no: &[(&str, String)] = &[
        ("I7 str into comment", file.replace(&m, &m.replace("type:str", "type:comment"))),
        ("I7 list str into comment", file.replace(&items[0], &items[0].replace("type:str", "type:comment"))),
        ("I9 list elements swapped", swapped.clone()),
        ("I10 other selector", file.replace(selector, "encrypted_suffix: _nothing")),
        (
            "I10 mac only encrypted",
            file.replace(selector, &format!("{selector}\n    mac_only_encrypted: true")),
        ),
        ("I10 MAC removed", file.replace(&format!("    mac: {mac}\n"), "")),
        ("clear value changed", file.replace("\"23\"", "\"24\"")),
        ("encrypted value removed", file.replace(&format!("m: {m}\n"), "")),
        ("value moved", file.replace(&format!("m: {m}"), &format!("n: {m}"))),
        ("lastmodified", file.replace("2026-05-06T07:08:09Z", "2026-05-06T07:08:10Z")),
        ("MAC of another value", file.replace(&mac, &m)),
        ("unknown type", file.replace(&m, &m.replace("type:str", "type:blob"))),
    ];
    for (name, text) in no {
        assert_ne!(text, &file, "{name} changed nothing");
        assert!(open(text).is_err(), "{name} was accepted");
    }
    // What a consumer that passes over the MAC gets: I9 stays readable, as in SOPS.
    assert!(encrypted(&swapped).unwrap().open_unverified(key(), &Inline).is_ok());
    // I11: emptiness is public. I12: nothing tells that a file is old; it opens.
    assert!(encrypt("e: \"\"\n").contains("e: \"\"\n"));
    // I13: kept where SOPS drops it.
    let kept = open(&yes[7].1).unwrap().seal(&mut SystemRandom, &now(), &Inline).unwrap();
    assert_eq!(kept.metadata().unknown_fields().collect::<Vec<_>>(), ["sealops_new"]);
    assert!(text_of(&kept.into_tree().unwrap()).contains("sealops_new:"));
}

/// B7 31-36, 41-46, 48, 56, 64: each number with what it must be.
#[test]
fn bad_input_of_metadata_and_values() {
    let file = encrypt("a: secret\n");
    let enc = body(&file).trim_end().strip_prefix("a: ").unwrap().to_owned();
    let problem = |text: &str| encrypted(text).unwrap_err();
    assert_eq!(problem("a: 1\n"), MetadataProblem::Missing); // 31
    for value in ["[]", "text", "1"] {
        assert!(matches!(problem(&format!("a: 1\nsops: {value}\n")), MetadataProblem::Tree(_))); // 32
    }
    let mac_error = |text: &str| match open(text).unwrap_err() {
        OpenError::Mac(error) => error,
        other => panic!("{other}"),
    };
    let mac_line = file.lines().find(|line| line.contains("mac: ")).unwrap();
    assert_eq!(mac_error(&file.replace(mac_line, "    mac: \"\"")), MacError::Missing); // 33
    let broken = mac_line.replace("tag:", "tag:AA");
    assert!(matches!(mac_error(&file.replace(mac_line, &broken)), MacError::Undecryptable(_))); // 34
    assert_eq!(mac_error(&file.replace("sops:\n", "new_unencrypted: 1\nsops:\n")), MacError::Mismatch); // 35
    for text in ["\"\"", "yesterday", "\"2026-05-06 07:08:09\""] {
        let changed = file.replace("\"2026-05-06T07:08:09Z\"", text); // 36
        assert_eq!(problem(&changed), MetadataProblem::Time { field: "lastmodified".to_owned() });
    }
    let value_error = |new: &str| match open(&file.replace(&enc, new)).unwrap_err() {
        OpenError::Value { path, problem } => {
            assert_eq!(path, "a");
            problem
        }
        other => panic!("{new}: {other}"),
    };
    for unknown in ["blob", "Str"] {
        assert_eq!(
            value_error(&enc.replace("type:str", &format!("type:{unknown}"))),
            ValueError::UnknownType
        ); // 41
    }
    assert_eq!(value_error(&enc.replace("type:str", "type:")), ValueError::NotEncrypted); // 41
    for type_name in ["int", "float", "bool", "time"] {
        let changed = enc.replace("type:str", &format!("type:{type_name}")); // 42, 43, 44
        assert!(matches!(value_error(&changed), ValueError::Malformed(_)), "{type_name}");
    }
    assert_eq!(value_error("12"), ValueError::NotText("int")); // 45
    assert_eq!(value_error("plain"), ValueError::NotEncrypted); // 46
    for structure in ["null", "[]", "{}"] {
        assert_eq!(mac_error(&file.replace(&enc, structure)), MacError::Mismatch); // 45
    }
    let keyed = ClearFile::new(yaml("1: x\n"), Format::Yaml).unwrap();
    let error =
        keyed.encrypt(&key(), groups(), &EncryptionSettings::default(), &mut SystemRandom, &now(), &Inline);
    assert_eq!(
        error.unwrap_err().to_string(),
        "Tree contains a non-string key (type int) under \"\". Only string keys are supported" // 48
    );
    let two = file.replace("unencrypted_suffix:", "encrypted_regex: x\n    unencrypted_suffix:");
    assert_eq!(problem(&two), MetadataProblem::Selectors(TooManySelectors)); // 64
}

#[test]
fn numbers_beyond_the_format_are_refused() {
    let number = ClearFile::new(yaml("a: 18446744073709551615\n"), Format::Yaml).unwrap();
    let error = number
        .encrypt(&key(), groups(), &EncryptionSettings::default(), &mut SystemRandom, &now(), &Inline)
        .unwrap_err();
    assert!(matches!(error, EncryptError::Value { ref path, .. } if path == "a"), "{error}");
}

#[test]
fn encrypted_files_are_not_encrypted_again() {
    let refused = |format, text: &str| {
        ClearFile::new(parse(format, text.as_bytes()).unwrap(), format).map(|_| ()).err()
    };
    let file = encrypt("a: 1\n");
    assert_eq!(refused(Format::Yaml, &file), Some(ClearFileError::AlreadyEncrypted));
    assert_eq!(refused(Format::Dotenv, "sops_mac=x\n"), Some(ClearFileError::AlreadyEncrypted));
    assert_eq!(refused(Format::Yaml, ""), Some(ClearFileError::Empty));
    // Binary: only what looks like an envelope (SOPS encrypts it twice).
    let (envelope, _) = ClearFile::new(parse(Format::Binary, b"\x00\xff").unwrap(), Format::Binary)
        .unwrap()
        .encrypt(&key(), groups(), &EncryptionSettings::default(), &mut SystemRandom, &now(), &Inline)
        .unwrap();
    assert_eq!(envelope.metadata().selector, None);
    let envelope = emit(Format::Json, &envelope.into_tree().unwrap(), &Layout::default()).unwrap();
    let envelope = envelope.expose_str().unwrap();
    assert_eq!(refused(Format::Binary, envelope), Some(ClearFileError::AlreadyEncrypted));
    assert_eq!(refused(Format::Binary, "{\"sops\": 1, \"data\": \"x\"}"), None);
    let opened = EncryptedFile::new(parse(Format::Json, envelope.as_bytes()).unwrap(), Format::Binary)
        .unwrap()
        .open(key(), &Inline)
        .unwrap();
    let plain = emit(Format::Binary, opened.tree(), &Layout::default()).unwrap();
    assert_eq!(plain.expose(), b"\x00\xff");
}

/// An empty comment of a list would become an element "" for SOPS; one with a blank is a comment for both.
#[test]
fn an_empty_comment_of_a_list_stays_a_comment() {
    let file = encrypt("l:\n    - a\n    #\n    - b\n");
    assert!(!body(&file).contains("\"\""), "{file}");
    let opened = open(&file).unwrap();
    let Some(Node::Seq(items)) = opened.tree().documents[0].find("l") else { panic!("no list") };
    assert_eq!(items.len(), 3);
    assert!(matches!(items[1], sealops_formats::tree::Item::Comment(_)));
}

#[test]
fn values_are_set_unset_and_extracted_by_path() {
    let file = encrypt("a:\n    b:\n        - 1\n        # c\n        - 2\n    k: v\n");
    let mut opened = open(&file).unwrap();
    let path = |text: &str| ValuePath::parse(text).unwrap();
    let int = |node: &Node| matches!(node, Node::Scalar(Scalar::Int(2)));
    // Positions count elements, not comments.
    assert!(int(opened.extract(&path("[\"a\"][\"b\"][1]")).unwrap()));
    assert_eq!(opened.extract(&path("[\"a\"][\"x\"]")).unwrap_err(), PathError::NoSuchKey("x".to_owned()));
    assert_eq!(opened.extract(&path("[\"a\"][\"b\"][2]")).unwrap_err(), PathError::OutOfBounds(2));
    assert_eq!(opened.extract(&path("[\"a\"][0]")).unwrap_err(), PathError::NotAList(0));
    assert_eq!(opened.set(&path("[\"a\"][\"k\"]"), Node::from("v")), Ok(false));
    assert_eq!(opened.set(&path("[\"a\"][\"b\"][9]"), Node::from("new")), Ok(true));
    assert_eq!(opened.set(&path("[\"x\"][\"y\"][0]"), Node::from("deep")), Ok(true));
    assert_eq!(
        opened.set(&path("[\"a\"][\"b\"][\"k\"]"), Node::Null),
        Err(PathError::NotAMap("k".to_owned()))
    );
    assert_eq!(opened.unset(&path("[\"a\"][\"b\"][0]")), Ok(()));
    assert_eq!(opened.unset(&path("[\"a\"][\"gone\"]")), Err(PathError::NoSuchKey("gone".to_owned())));
    assert_eq!(
        text_of(opened.tree()),
        "a:\n    b:\n        # c\n        - 2\n        - new\n    k: v\nx:\n    \"y\":\n        - deep\n"
    );
    for broken in ["", "a", "[", "[\"a\"", "[a]", "[-1]", "[1.5]"] {
        assert!(matches!(ValuePath::parse(broken), Err(PathError::Syntax(_))), "{broken}");
    }
}

#[test]
fn metadata_of_all_versions_is_read() {
    let file = encrypt("a: 1\n");
    let mac = file.lines().find(|line| line.contains("mac: ")).unwrap().trim();
    let read = |fields: &str| encrypted(&format!("a: 1\nsops:\n    {mac}\n{fields}"));
    // 3.7 to 3.9: empty lists, nulls, its own order; an unquoted time; no version.
    let old = read(
        "    kms: []\n    gcp_kms: null\n    azure_kv: []\n    hc_vault: []\n    age: []\n    lastmodified: 2021-01-02T03:04:05+00:00\n    pgp:\n        - created_at: \"2021-01-02T03:04:05Z\"\n          enc: |\n            -----BEGIN PGP MESSAGE-----\n          fp: AB\n",
    )
    .unwrap();
    assert_eq!(old.metadata().last_modified.as_str(), "2021-01-02T03:04:05Z");
    assert_eq!(old.metadata().version, None);
    assert_eq!(old.metadata().selector, Some(Selector::default()));
    assert_eq!(old.metadata().key_groups.keys().count(), 1);
    assert!(text_of(&old.into_tree().unwrap()).contains(&format!("version: {SOPS_VERSION}")));
    // Weak types, any case, one key for a list.
    let weak = read(
        "    LastModified: \"2021-01-02T03:04:05.5Z\"\n    version: 3\n    mac_only_encrypted: \"true\"\n    shamir_threshold: \"2\"\n    key_groups:\n        - age:\n              recipient: age1a\n              enc: x\n        - hc_vault: []\n          age:\n            - recipient: age1b\n              enc: y\n              new_field: kept\n",
    )
    .unwrap();
    let metadata = weak.metadata();
    assert!(metadata.mac_only_encrypted);
    assert_eq!((metadata.key_groups.threshold, metadata.key_groups.groups.len()), (2, 2));
    assert_eq!(
        (metadata.version.as_deref(), metadata.last_modified.as_str()),
        (Some("3"), "2021-01-02T03:04:05Z")
    );
    let text = text_of(&weak.into_tree().unwrap());
    assert!(text.contains("new_field: kept") && text.contains("hc_vault: []"), "{text}");
    // A list of a later version is kept and cannot be used.
    let later = read(
        "    lastmodified: \"2021-01-02T03:04:05Z\"\n    future_kms:\n        - id: 1\n          enc: z\n",
    )
    .unwrap();
    assert_eq!(later.metadata().key_groups.groups[0][0].key.list(), "future_kms");
    assert!(text_of(&later.into_tree().unwrap()).contains("future_kms:"));
    for broken in [
        "    lastmodified: \"2021-01-02T03:04:05Z\"\n",
        "    lastmodified: \"2021-01-02T03:04:05Z\"\n    pgp:\n        - fp: AB\n          enc: x\n",
        "    lastmodified: \"2021-01-02T03:04:05Z\"\n    age: text\n",
        "    lastmodified: \"2021-01-02T03:04:05Z\"\n    shamir_threshold: many\n    age: []\n",
        "    lastmodified: \"2021-01-02T03:04:05Z\"\n    hckms:\n        - key_id: x\n          created_at: \"2021-01-02T03:04:05Z\"\n",
    ] {
        assert!(read(broken).is_err(), "{broken}");
    }
}

/// Mutated files never panic, and what opens has an intact MAC.
#[test]
fn mutated_files_never_panic() {
    let seed = encrypt("a: secret\nl:\n    - 1\n    # c\n    - 2\nb_unencrypted: x\n");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let (mut parsed, mut opened) = (0, 0);
    for _ in 0..5_000 {
        let mut text = seed.clone().into_bytes();
        for _ in 0..=random(3) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = b"\n :-[]{},A1\"\xff"[random(13)],
                1 => text.insert(at, b"\n :-[]{},A1\"\xff"[random(13)]),
                _ => drop(text.drain(at..(at + 1 + random(8)).min(text.len()))),
            }
        }
        let Ok(tree) = parse(Format::Yaml, &text) else { continue };
        let Ok(file) = EncryptedFile::new(tree, Format::Yaml) else { continue };
        parsed += 1;
        opened += usize::from(file.open(key(), &Inline).is_ok());
    }
    assert!(parsed > 500 && opened > 0 && opened < parsed, "{parsed} parsed, {opened} opened");
}

fn part(groups: &KeyGroups, position: KeyPosition) -> KeyPart {
    let text = &groups.groups[position.group][position.key].wrapped;
    let bytes: Vec<u8> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
    KeyPart::new(bytes.into())
}

/// "Wraps" in hexadecimal.
fn wrapped_groups(count: usize, threshold: usize) -> KeyGroups {
    let keys = |group: usize| {
        vec![
            MasterKey::GcpKms { resource_id: format!("g{group}") },
            MasterKey::Age { recipient: format!("age1{group}") },
        ]
    };
    let mut wrapping =
        DataKeyWrapping::new(&key(), KeyGroups::new((0..count).map(keys), threshold), &mut SystemRandom)
            .unwrap();
    let texts: Vec<(KeyPosition, String)> = wrapping
        .tasks()
        .iter()
        .map(|task| {
            let hex = task.part.plaintext().expose().iter().map(|byte| format!("{byte:02x}")).collect();
            (task.position, hex)
        })
        .collect();
    assert_eq!(texts.len(), 2 * count);
    for (position, text) in texts {
        wrapping.wrapped(position, text);
    }
    wrapping.finish(&now()).unwrap()
}

#[test]
fn recovery_asks_in_order_and_stops_when_it_has_enough() {
    let groups = wrapped_groups(5, 3);
    assert_eq!(groups.groups[0][0].created_at, Some(now()));
    assert_eq!(groups.groups[0][1].created_at, None);
    let mut recovery = DataKeyRecovery::new(&groups, &KeyKind::DEFAULT_ORDER);
    let mut asked = Vec::new();
    while let Some(attempt) = recovery.next_attempt() {
        asked.push(attempt.key.to_string());
        // Groups 0 and 2 have nobody; the shares used are 2, 4 and 5.
        if attempt.position.group % 2 == 0 && attempt.position.group < 4 {
            recovery.failed(attempt.position, vec!["no".to_owned()]);
        } else {
            recovery.succeeded(attempt.position, part(&groups, attempt.position));
        }
    }
    assert_eq!(asked, ["age10", "g0", "age11", "age12", "g2", "age13", "age14"]);
    assert_eq!(recovery.finish().unwrap().bytes(), key().bytes());
}

#[test]
fn recovery_tells_every_group_key_and_reason() {
    let groups = wrapped_groups(3, 2);
    let mut recovery = DataKeyRecovery::new(&groups, &[]);
    assert_eq!(recovery.open_attempts().len(), 6);
    let position = KeyPosition { group: 1, key: 0 };
    recovery.succeeded(position, part(&groups, position));
    assert_eq!(recovery.open_attempts().len(), 4);
    recovery.succeeded(KeyPosition { group: 0, key: 0 }, KeyPart::new(b"short".as_slice().into()));
    recovery.failed(KeyPosition { group: 0, key: 1 }, vec!["denied".to_owned(), "away".to_owned()]);
    let error = recovery.finish().unwrap_err();
    assert_eq!(error.to_string(), "Error getting data key: 2 successful groups required, got 1");
    let RecoveryError::NotEnoughKeys { needed: 2, threshold: 2, results } = error else { panic!() };
    assert_eq!(results[1], GroupResult::Recovered);
    assert_eq!(results[2], GroupResult::Failed(Vec::new()));
    let GroupResult::Failed(failures) = &results[0] else { panic!() };
    assert_eq!(failures[0].reasons, ["the key gave 5 bytes, and a part of the data key has 33"]);
    assert_eq!((failures[1].key.as_str(), failures[1].reasons.len()), ("age10", 2));
}

#[test]
fn wrapping_fails_as_a_whole() {
    let keys = KeyGroups::new([vec![MasterKey::Pgp { fingerprint: "AB".to_owned() }]], 0);
    let mut wrapping = DataKeyWrapping::new(&key(), keys, &mut SystemRandom).unwrap();
    wrapping.failed(KeyPosition { group: 0, key: 0 }, vec!["no such key".to_owned()]);
    let error = wrapping.finish(&now()).unwrap_err();
    assert_eq!(error.to_string(), "failed to encrypt new data key with master key \"AB\": no such key");
    let new = |groups: KeyGroups| DataKeyWrapping::new(&key(), groups, &mut SystemRandom).unwrap_err();
    assert_eq!(new(KeyGroups::default()), WrapError::NoGroups);
    assert_eq!(new(KeyGroups::new([vec![]], 0)), WrapError::EmptyGroup);
    let age = || vec![MasterKey::Age { recipient: "age1x".to_owned() }];
    assert!(matches!(new(KeyGroups::new([age(), age()], 1)), WrapError::Shamir(_)));
    assert!(matches!(new(KeyGroups::new([age(), age()], 3)), WrapError::Shamir(_)));
}

#[test]
fn group_changes_are_planned() {
    let age = |name: &str| MasterKey::Age { recipient: name.to_owned() };
    let old = KeyGroups::new([vec![age("a"), age("b")], vec![age("c")]], 2);
    let rule = KeyGroups::new([vec![age("b"), age("d")]], 0);
    let update = old.update(&rule, None);
    assert!(update.changes() && update.removes_keys());
    assert_eq!((update.threshold_before, update.threshold_after), (2, 1));
    assert_eq!(update.groups[0].common, [age("b")]);
    assert_eq!(update.groups[0].added, [age("d")]);
    assert_eq!(update.groups[0].removed, [age("a")]);
    assert_eq!(update.groups[1].removed, [age("c")]);
    let same = KeyGroups::new([vec![age("b"), age("a")], vec![age("c")]], 7);
    assert!(!old.update(&same, None).changes());
    assert_eq!(old.clone().without_group(2, None), Err(GroupError::NoSuchGroup { index: 2, count: 2 }));
    assert_eq!(
        old.clone().without_group(0, None),
        Err(GroupError::BelowThreshold { threshold: 2, count: 1 })
    );
    assert_eq!(old.clone().without_group(0, Some(1)).unwrap().groups.len(), 1);
    let mut changed = old.with_group(vec![age("e")], None);
    changed.add_keys([age("f")]);
    assert_eq!(changed.remove_keys(&[age("b"), age("c")]), 2);
    let left: Vec<String> = changed.keys().map(|(_, entry)| entry.key.to_string()).collect();
    assert_eq!(left, ["a", "f", "e"]);
}

#[test]
fn no_randomness_is_an_error_and_never_a_weak_key() {
    struct Dry;
    impl Random for Dry {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), NoRandomness> {
            Err(NoRandomness)
        }
    }
    assert!(DataKey::generate(&mut Dry).is_err());
    let result = ClearFile::new(yaml("a: 1\n"), Format::Yaml).unwrap().encrypt(
        &key(),
        groups(),
        &EncryptionSettings::default(),
        &mut Dry,
        &now(),
        &Inline,
    );
    assert!(matches!(result, Err(EncryptError::NoRandomness(_))));
}

/// Chunks may run anywhere, in any order, or not at all: the result is the same.
#[test]
fn an_executor_cannot_change_the_result() {
    struct Threads;
    impl Executor for Threads {
        fn run(&self, chunks: &mut [Chunk<'_, '_>]) {
            std::thread::scope(|scope| {
                // The first is left to the core.
                for chunk in chunks.iter_mut().skip(1).rev() {
                    scope.spawn(|| chunk.run());
                }
            });
        }
    }
    let clear: String = (0..10_000).map(|n| format!("k{n}: v{n}\n")).collect();
    let (file, _) = ClearFile::new(yaml(&clear), Format::Yaml)
        .unwrap()
        .encrypt(&key(), groups(), &EncryptionSettings::default(), &mut SystemRandom, &now(), &Threads)
        .unwrap();
    assert_eq!(text_of(file.open(key(), &Threads).unwrap().tree()), clear);
}
