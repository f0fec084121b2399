use sealops_crds::secret_store::{LabelSelector, StoreCondition};
use serde_json::json;

use super::*;
use crate::external::test_world::World;

fn find(
    world: &World,
    rules: &StoreRules,
    kind: Option<&str>,
    name: &str,
    namespace: &str,
) -> Result<StoreObject, String> {
    let reference: StoreRef = serde_json::from_value(json!({ "name": name, "kind": kind })).unwrap();
    pollster::block_on(find_store(rules, &reference, namespace, world)).map_err(|problem| problem.to_string())
}

fn ready(status: &str) -> serde_json::Value {
    json!({ "spec": {}, "status": { "conditions": [{ "type": "Ready", "status": status }] } })
}

/// B7 84: missing, not ready, of another class, forbidden.
#[test]
fn stores_are_found_by_the_rules() {
    let world = World::with_stores([
        ("plain", json!({ "spec": {} })),
        ("ours", json!({ "spec": { "controller": "default" } })),
        ("other", json!({ "spec": { "controller": "other" } })),
        ("ready", ready("True")),
        ("broken", ready("False")),
    ]);
    let rules = StoreRules::default();
    let own = |name: &str| find(&world, &rules, None, name, "shop");
    for name in ["plain", "ours", "ready"] {
        let store = own(name).unwrap();
        assert_eq!(store.key, StoreKey { namespace: Some("shop".into()), name: name.into() });
        assert_eq!((store.uid.as_str(), store.generation), ("u", 3));
        let cluster = find(&world, &rules, Some("ClusterSecretStore"), name, "elsewhere").unwrap();
        assert_eq!(cluster.key, StoreKey { namespace: None, name: name.into() });
    }
    assert_eq!(own("other").unwrap_err(), "the store is for the controller class \"other\"");
    assert_eq!(own("broken").unwrap_err(), "SecretStore \"broken\" is not ready");
    let missing = "could not get SecretStore \"none\", SecretStore.external-secrets.io \"none\" not found";
    assert_eq!(own("none").unwrap_err(), missing);
    assert!(find(&world, &rules, None, "plain", "elsewhere").unwrap_err().contains("not found"));
    assert!(find(&world, &rules, Some("Vault"), "plain", "shop").unwrap_err().contains("is not known"));
    let open = StoreRules { flood_gate: false, ..StoreRules::default() };
    assert!(find(&world, &open, None, "broken", "shop").is_ok());
    let off = StoreRules { cluster_stores: false, ..StoreRules::default() };
    assert!(find(&world, &off, Some("ClusterSecretStore"), "plain", "shop").unwrap_err().contains("uses no"));
    assert!(
        StoreProblem::ClusterStoresOff.is_foreign() && StoreProblem::ForeignClass("x".into()).is_foreign()
    );
}

/// T22: who is admitted. Expressions match anywhere, as upstream's.
#[test]
fn conditions_admit_by_name_label_and_expression() {
    let shop = BTreeMap::from([
        ("team".to_owned(), "blue".to_owned()),
        (NAMESPACE_NAME.to_owned(), "shop".to_owned()),
    ]);
    let condition = |value: serde_json::Value| serde_json::from_value::<StoreCondition>(value).unwrap();
    let admits = |value: serde_json::Value| matches_condition(&condition(value), "shop", &shop);
    for (value, expected) in [
        (json!({}), false),
        (json!({ "namespaces": ["shop"] }), true),
        (json!({ "namespaces": ["sho", "shops"] }), false),
        (json!({ "namespaceRegexes": ["^shop$"] }), true),
        (json!({ "namespaceRegexes": ["ho"] }), true),
        (json!({ "namespaceRegexes": ["^ho", "^zzz"] }), false),
        (json!({ "namespaceSelector": {} }), true),
        (json!({ "namespaceSelector": { "matchLabels": { "team": "blue" } } }), true),
        (json!({ "namespaceSelector": { "matchLabels": { "team": "red" } } }), false),
        (json!({ "namespaceSelector": { "matchLabels": { NAMESPACE_NAME: "shop" } } }), true),
        (
            json!({ "namespaceSelector": { "matchExpressions": [{ "key": "team", "operator": "NotIn", "values": ["red"] }] } }),
            true,
        ),
        (json!({ "namespaceSelector": { "matchLabels": { "team": "red" } }, "namespaces": ["shop"] }), true),
    ] {
        assert_eq!(admits(value.clone()), Ok(expected), "{value}");
    }
    let error = admits(json!({ "namespaceRegexes": ["("] })).unwrap_err();
    assert!(error.starts_with("failed to compile regex (: error parsing regexp"), "{error}");
    let odd = LabelSelector::default();
    assert_eq!(selector::matches(&odd, &shop), Ok(true));
    let world =
        World::with_stores([("store", json!({ "spec": { "conditions": [{ "namespaces": ["other"] }] } }))]);
    let denied =
        find(&world, &StoreRules::default(), Some("ClusterSecretStore"), "store", "shop").unwrap_err();
    let expected =
        "using cluster store \"store\" is not allowed from namespace \"shop\": denied by spec.condition";
    assert_eq!(denied, expected);
}

#[test]
fn freshness_follows_interval_and_changes() {
    let mut external = ExternalSecret::default();
    let seconds = |external: &ExternalSecret, now| Freshness::of(external, now).max_age.as_secs();
    assert_eq!(seconds(&external, 0), 300, "a new object shares what is five minutes old");
    external.spec.refresh_interval = Some("10s".into());
    assert_eq!(seconds(&external, 0), 9);
    external.spec.refresh_interval = Some("1h".into());
    external.status = Some(sealops_crds::ExternalSecretStatus {
        refresh_time: Some("1970-01-01T00:01:40Z".into()),
        synced_resource_version: Some(super::super::object_version(&external)),
        ..sealops_crds::ExternalSecretStatus::default()
    });
    assert_eq!(
        seconds(&external, 3800),
        3240,
        "less than the interval: nobody refreshes from its own last read"
    );
    external.metadata.annotations_mut().insert("force-sync".into(), "1".into());
    assert_eq!(Freshness::of(&external, 3800), Freshness::NOW);
}
