use super::*;

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap()
}

fn rule(text: &str, path: &str) -> Result<Option<CreationRule>, ConfigError> {
    config(text).creation_rule("/repo", path, &BTreeMap::new())
}

fn identities(rule: &CreationRule) -> Vec<Vec<String>> {
    rule.groups.groups.iter().map(|group| group.iter().map(|entry| entry.key.to_string()).collect()).collect()
}

#[test]
fn the_first_matching_rule_counts() {
    let text = "creation_rules:\n  - path_regex: ^dev/\n    age: age1dev\n  - path_regex: \\.prod\\.yaml$\n    pgp: 'AB CD, EF'\n  - kms: [arn:a, arn:b]\n    aws_profile: p\n    encrypted_regex: ^data$\n    mac_only_encrypted: true\n";
    let keys = |path| identities(&rule(text, path).unwrap().unwrap());
    assert_eq!(keys("/repo/dev/x.yaml"), [["age1dev"]]);
    assert_eq!(keys("/repo/x.prod.yaml"), [["ABCD", "EF"]]);
    // Outside of the folder the whole path counts.
    assert_eq!(keys("/other/dev/x"), [["arn:a||p", "arn:b||p"]]);
    let last = rule(text, "/repo/x").unwrap().unwrap();
    assert_eq!((last.index, last.settings.mac_only_encrypted), (2, true));
    assert_eq!(last.settings.selector.unwrap().text(), "^data$");
}

#[test]
fn flat_keys_come_in_upstreams_order() {
    let text = "creation_rules:\n  - hc_vault_transit_uri: https://v/v1/t/keys/k\n    azure_keyvault: https://a/keys/k/1\n    hckms: [eu:1]\n    gcp_kms: g\n    kms: arn:x\n    pgp: AB\n    age: [age1a, age1b]\n";
    assert_eq!(
        identities(&rule(text, "/repo/x").unwrap().unwrap()),
        [["age1a", "age1b", "AB", "arn:x", "g", "eu:1", "https://a/keys/k/1", "https://v/v1/t/keys/k"]]
    );
}

#[test]
fn groups_merge_and_drop_what_is_double() {
    let text = "x: &shared\n  - age: [age1s]\n    pgp: [AB]\ncreation_rules:\n  - shamir_threshold: 2\n    age: age1ignored\n    key_groups:\n      - merge: *shared\n        age: [age1a, age1s]\n      - <<: {pgp: [CD]}\n        kms:\n          - arn: arn:x\n            context: {b: '2', a: '1'}\n        gcp_kms: [{resource_id: g}]\n        azure_keyvault: [{vaultUrl: https://v, key: k, version: '1'}]\n        hc_vault: ['https://v/v1/t/keys/k']\n        hckms: [{key_id: 'eu:1'}]\n";
    let rule = rule(text, "/repo/x").unwrap().unwrap();
    assert_eq!(rule.groups.threshold, 2);
    let found = identities(&rule);
    assert_eq!(found[0], ["age1s", "AB", "age1a"]);
    assert_eq!(found[1], ["CD", "arn:x|a:1,b:2", "g", "eu:1", "https://v/keys/k/1", "https://v/v1/t/keys/k"]);
}

/// B7 63, 64: and everything else that a configuration can have wrong.
#[test]
fn bad_input_63_64_of_configurations() {
    let error = |text: &str| match Config::parse(text.as_bytes()) {
        Err(error) => error,
        Ok(config) => config.creation_rule("/repo", "/repo/x", &BTreeMap::new()).unwrap_err(),
    };
    let said = |text: &str| error(text).to_string();
    assert!(said("a: [").starts_with("error loading config: Could not unmarshal config file: yaml: "));
    assert!(matches!(error("creation_rules: x\n"), ConfigError::WrongType { line: 1, .. }));
    assert!(matches!(error("creation_rules: [x]\n"), ConfigError::WrongType { .. }));
    assert!(matches!(error("stores: {yaml: {indent: two}}\n"), ConfigError::WrongType { .. }));
    assert!(matches!(error("creation_rules: []\ncreation_rules: []\n"), ConfigError::DuplicateKey { .. }));
    assert_eq!(error("creation_rules: []\n"), ConfigError::NoRule);
    assert_eq!(error("creation_rules: [{path_regex: ^y}]\n"), ConfigError::NoRule);
    assert!(matches!(error("creation_rules: [{path_regex: '('}]\n"), ConfigError::PathRegex(_)));
    assert!(matches!(
        error("creation_rules: [{encrypted_regex: '('}]\n"),
        ConfigError::SelectorRegex { field: "encrypted_regex", .. }
    ));
    assert_eq!(
        error("creation_rules: [{encrypted_regex: a, unencrypted_suffix: b}]\n"),
        ConfigError::SeveralSelectors
    );
    assert_eq!(
        said("creation_rules: [{age: 1}]\n"),
        "invalid age key configuration: expected string, []string, or nil, got int"
    );
    assert_eq!(
        said("creation_rules: [{age: nonsense}]\n"),
        "failed to parse input, unknown recipient type: \"nonsense\""
    );
    // An expression that takes other engines exponential time.
    let slow = format!("creation_rules: [{{path_regex: '^(a+)+$'}}]\n# {}", "a".repeat(64));
    assert_eq!(error(&slow), ConfigError::NoRule);
    let mut deep = "age: [age1x]".to_owned();
    for _ in 0..=MAX_MERGE_DEPTH {
        deep = format!("merge: [{{{deep}}}]");
    }
    assert_eq!(
        error(&format!("creation_rules: [{{key_groups: [{{{deep}}}]}}]\n")),
        ConfigError::MergeTooDeep
    );
    assert_eq!(error(&" ".repeat(MAX_CONFIG_BYTES + 1)), ConfigError::TooLarge);
}

#[test]
fn a_file_without_rules_is_no_configuration() {
    for text in ["", "stores: {}\n", "creation_rules: null\n", "{}\n"] {
        assert!(rule(text, "/repo/x").unwrap().is_none(), "{text:?}");
    }
    let read = config(
        "stores:\n  yaml: {indent: 2}\n  json: {indent: -1}\n  json_binary: {indent: 0}\n  ini: {}\nextra: 1\ncreation_rules:\n  - typo: x\n",
    );
    let stores = StoresSettings { yaml_indent: Some(2), json_indent: Some(-1), json_binary_indent: Some(0) };
    assert_eq!(read.stores, stores);
    assert_eq!(read.unknown_keys(), ["line 8: creation_rules[0]: typo", "line 6: the configuration: extra"]);
}

#[test]
fn destinations_are_chosen_by_the_path_as_typed() {
    let text = "destination_rules:\n  - path_regex: '('\n  - path_regex: ^s3/\n    s3_bucket: b\n    s3_prefix: p/\n    recreation_rule: {age: age1x}\n  - path_regex: two\n    s3_bucket: b\n    gcs_bucket: c\n  - path_regex: vault\n    vault_path: v/\n    omit_extensions: true\n";
    let find = |path: &str| config(text).destination_rule(path, &BTreeMap::new());
    let s3 = find("s3/x").unwrap();
    assert_eq!(s3.destination, Some(Destination::S3 { bucket: "b".to_owned(), prefix: "p/".to_owned() }));
    assert_eq!(identities(&s3.recreation_rule), [["age1x"]]);
    assert_eq!(find("two").unwrap_err(), ConfigError::SeveralDestinations);
    assert_eq!(find("none").unwrap_err(), ConfigError::NoDestination);
    let vault = find("vault").unwrap();
    assert!(vault.omit_extensions);
    let Some(Destination::Vault { mount, version, .. }) = vault.destination else { panic!("no Vault") };
    assert_eq!((mount.as_str(), version), ("secret/", 2));
}

/// Mutated configurations never panic.
#[test]
fn mutated_configurations_never_panic() {
    let seed = "creation_rules:\n  - path_regex: ^a\n    key_groups:\n      - merge: [{age: [age1x]}]\n        kms: [{arn: a, context: {b: c}}]\n    shamir_threshold: 2\nstores: {yaml: {indent: 2}}\n";
    let mut state = 0x9e37_79b9_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let mut resolved = 0;
    for _ in 0..5_000 {
        let mut text = seed.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(text.len());
            match random(2) {
                0 => text[at] = b"\n :-[]{},a1\"*&"[random(14)],
                _ => drop(text.drain(at..(at + 1 + random(6)).min(text.len()))),
            }
        }
        let Ok(config) = Config::parse(&text) else { continue };
        resolved += usize::from(config.creation_rule("/repo", "/repo/a", &BTreeMap::new()).is_ok());
    }
    assert!(resolved > 500, "{resolved}");
}
