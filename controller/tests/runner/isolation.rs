//! T21: no reference of a SecretStore leads out of its namespace. The cases come from the definitions: every field that
//! names an object, in the settings of every provider that this build has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sealops_controller::external::{StoreEnvironment, StoreKey, StoreObject, connect_once};
use sealops_controller::object::{
    BoxFuture, ClusterReader, ConfigMapObject, ObjectReader, ReadError, SecretObject, TokenAsk,
};
use sealops_crds::secret_store::SecretStoreSpec;
use sealops_crds::{ClusterSecretStore, MANIFESTS, Metadata, SecretStore};
use sealops_formats::Plaintext;
use sealops_providers::ProviderErrorKind;
use serde_json::{Map, Value, json};

/// A cluster in which every object exists, in every namespace; it writes down where it was read.
#[derive(Clone, Default)]
struct Everywhere {
    read: Arc<Mutex<BTreeSet<String>>>,
}

struct Place(Everywhere, String);

impl Place {
    fn note(&self) {
        self.0.read.lock().unwrap().insert(self.1.clone());
    }
}

impl ObjectReader for Place {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        self.note();
        let mut metadata = Metadata::named(self.1.as_str(), name);
        metadata.labels_mut().insert("external-secrets.io/type".into(), "webhook".into());
        let data = BTreeMap::from([("k".to_owned(), Plaintext::from("value"))]);
        Box::pin(async { Ok(Some(SecretObject { metadata, data, ..SecretObject::default() })) })
    }
    fn config_map<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        self.note();
        let data = BTreeMap::from([("k".to_owned(), Plaintext::from("value"))]);
        Box::pin(async { Ok(Some(ConfigMapObject { data, ..ConfigMapObject::default() })) })
    }
    fn secret_store<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    fn service_account<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Metadata>, ReadError>> {
        self.note();
        Box::pin(async { Ok(Some(Metadata::default())) })
    }
    fn token<'a>(&'a self, _: &'a str, _: &'a TokenAsk) -> BoxFuture<'a, Result<Plaintext, ReadError>> {
        self.note();
        Box::pin(async { Ok("token".into()) })
    }
}

impl ClusterReader for Everywhere {
    fn in_namespace(&self, namespace: &str) -> Box<dyn ObjectReader> {
        Box::new(Place(self.clone(), namespace.to_owned()))
    }
    fn cluster_secret_store<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<ClusterSecretStore>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
    fn namespace_labels<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
}

fn is_reference(schema: &Value) -> bool {
    let has = |name: &str| schema["properties"].get(name).is_some();
    has("name") && has("namespace")
}

/// Every path to a field that names an object.
fn references(schema: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    if is_reference(schema) {
        found.push(path.to_vec());
        return;
    }
    let below = |name: &str| [path, &[name.to_owned()]].concat();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        references(property, &below(name), found);
    }
    if schema.get("items").is_some() {
        references(&schema["items"], &below("[]"), found);
    }
}

/// Something that the schema takes.
fn anything(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") if is_reference(schema) => reference(schema, None),
        Some("object") => required(schema),
        Some("array") => json!([]),
        Some("integer") => json!(1),
        Some("boolean") => json!(false),
        _ => json!("http://127.0.0.1:1"),
    }
}

fn required(schema: &Value) -> Value {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), anything(&schema["properties"][name]))).collect::<Map<_, _>>().into()
}

fn reference(schema: &Value, namespace: Option<&str>) -> Value {
    let mut reference = required(schema);
    reference["name"] = json!("x");
    if schema["properties"].get("key").is_some() {
        reference["key"] = json!("k");
    }
    if let Some(namespace) = namespace {
        reference["namespace"] = json!(namespace);
    }
    reference
}

/// Settings with a reference at a path, and what has to stand beside it.
fn settings(schema: &Value, path: &[String], leaf: &Value) -> Value {
    let Some((name, rest)) = path.split_first() else { return leaf.clone() };
    if name == "[]" {
        return json!([settings(&schema["items"], rest, leaf)]);
    }
    let mut object = required(schema);
    if schema["maxProperties"] == 1 {
        object = json!({});
    } else {
        for (sibling, property) in schema["properties"].as_object().into_iter().flatten() {
            if is_reference(property) && sibling != name && rest.is_empty() && sibling != "caProvider" {
                object[sibling] = reference(property, None);
            }
        }
    }
    object[name] = settings(&schema["properties"][name], rest, leaf);
    object
}

fn leaves(schema: &Value, namespace: Option<&str>) -> Vec<Value> {
    let types = schema["properties"]["type"]["enum"].as_array().cloned().unwrap_or_default();
    let leaf = reference(schema, namespace);
    if types.is_empty() {
        return vec![leaf];
    }
    let of_type = |type_: &Value| {
        let mut leaf = leaf.clone();
        leaf["type"] = type_.clone();
        leaf
    };
    types.iter().map(of_type).collect()
}

fn at<'a>(schema: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(schema, |schema, name| match name.as_str() {
        "[]" => &schema["items"],
        name => &schema["properties"][name],
    })
}

struct Case {
    read: BTreeSet<String>,
    error: Option<ProviderErrorKind>,
}

fn open(provider: &str, config: &Value, own: Option<&str>, user: &str) -> Case {
    let spec: SecretStoreSpec = serde_json::from_value(json!({ "provider": { provider: config } })).unwrap();
    let store = StoreObject {
        key: StoreKey { namespace: own.map(str::to_owned), name: "s".into() },
        uid: "u".into(),
        generation: 1,
        spec,
        ready: None,
    };
    let cluster = Everywhere::default();
    let environment = StoreEnvironment { network: true, ..StoreEnvironment::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (opened, _) = runtime.block_on(connect_once(&store, user, &cluster, &environment));
    let read = cluster.read.lock().unwrap().clone();
    Case { read, error: opened.err().map(|error| error.kind) }
}

#[test]
fn every_reference_stays_in_its_namespace() {
    let text = MANIFESTS.iter().find(|(name, _)| *name == "external-secrets.io_secretstores.yaml").unwrap().1;
    let definition: Value = serde_saphyr::from_str(text).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let providers = &schema["properties"]["spec"]["properties"]["provider"];
    let (mut cases, mut reading) = (0, 0);
    let mut covered = BTreeSet::new();
    for (provider, schema) in providers["properties"].as_object().unwrap() {
        let mut paths = Vec::new();
        references(schema, &[], &mut paths);
        for path in &paths {
            let place = format!("{provider}.{}", path.join("."));
            for namespace in [None, Some("own"), Some("foreign"), Some("kube-system")] {
                for leaf in leaves(at(schema, path), namespace) {
                    let config = settings(schema, path, &leaf);
                    let case = open(provider, &config, Some("own"), "own");
                    if case.error == Some(ProviderErrorKind::NotBuilt) {
                        continue;
                    }
                    covered.insert(provider.as_str());
                    cases += 1;
                    reading += usize::from(!case.read.is_empty());
                    let own = BTreeSet::from(["own".to_owned()]);
                    assert!(case.read.is_subset(&own), "{place} {config}: reads {:?}", case.read);
                    let is_refused = matches!(
                        case.error,
                        Some(
                            ProviderErrorKind::Forbidden(_)
                                | ProviderErrorKind::Invalid(_)
                                | ProviderErrorKind::Unsupported(_)
                        )
                    );
                    assert!(!case.read.is_empty() || is_refused, "{place} {config}: {:?}", case.error);

                    // A ClusterSecretStore reads what it names, else the user's namespace, and nothing more.
                    let case = open(provider, &config, None, "user");
                    let named: BTreeSet<String> =
                        namespace.into_iter().chain(["user"]).map(str::to_owned).collect();
                    assert!(case.read.is_subset(&named), "{place} {config}: reads {:?}", case.read);
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} cases, {reading} of SecretStores read; providers {covered:?}");
    assert!(covered.contains("kubernetes") && covered.contains("webhook"), "{covered:?}");
    assert!(cases >= 80 && reading >= 30, "{cases} cases, {reading} read");
}
