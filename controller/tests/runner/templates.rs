//! The scenarios `template-*` recorded from External Secrets Operator 2.9.0, without a cluster: each step goes through the
//! reconciler, and data, metadata, status and the text of a failure are compared with the record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sealops_controller::external::{
    self, DirectStores, Done, Failure, Moment, ObjectGenerators, Options, StoreEnvironment, Surroundings,
    field_manager,
};
use sealops_controller::object::{
    BoxFuture, ClusterReader, ConfigMapObject, ObjectReader, ReadError, SecretObject,
};
use sealops_controller::outcome::{Change, CommitError, CommitErrorKind};
use sealops_controller::templates::TemplateOptions;
use sealops_crds::ExternalSecret;
use sealops_crds::secret_store::{ClusterSecretStore, SecretStore};
use sealops_formats::{Plaintext, base64, manifest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Failures whose text differs from upstream's on purpose: scenario, object, the end of upstream's text, of ours. Upstream
/// quotes the value, or an argument that may be one.
const DEPARTURES: &[(&str, &str, &str, &str)] = &[
    ("template-errors-2", "app-index-range", "index out of range: 5", "index out of range"),
    (
        "template-errors-3",
        "app-bad-regex",
        "regexp: Compile(`(`): error parsing regexp: missing closing ): `(`",
        "error parsing regexp: the pattern is not valid",
    ),
    (
        "template-errors-3",
        "app-must-bad-regex",
        "error parsing regexp: missing closing ): `(`",
        "error parsing regexp: the pattern is not valid",
    ),
    (
        "template-errors-3",
        "app-range-string",
        "range can't iterate over amber",
        "range can't iterate over a value of type string",
    ),
    (
        "template-fn-json-must-error",
        "app",
        "invalid character 'b' looking for beginning of object key string",
        "the text is not JSON",
    ),
];

/// Scenarios in which something else differs: what each difference says, and why.
const KNOWN: &[(&str, &[&str], &str)] = &[
    (
        "template-fn-semver",
        &[
            "ExternalSecret/app status",
            "ExternalSecret/app reason",
            "ExternalSecret/app message",
            "the names of the Secrets",
            "can't evaluate field Compare in type *semver.Version",
        ],
        "values have no methods with arguments here",
    ),
    (
        "template-fn-yaml",
        &["reconcile.external-secrets.io/data-hash", "yaml: line 1, column 4: this is not YAML"],
        "the text of fromYaml's error, which is a value there, is our parser's",
    ),
];

/// The objects of one namespace.
#[derive(Clone, Default)]
struct World(Arc<Mutex<BTreeMap<(String, String), Value>>>);

impl World {
    fn find<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Option<T> {
        let objects = self.0.lock().unwrap();
        let object = objects.get(&(kind.to_owned(), name.to_owned()))?;
        let text = serde_json::to_vec(object).unwrap();
        let documents = manifest::parse(&text).unwrap();
        Some(documents[0].root.read().unwrap_or_else(|error| panic!("{kind}/{name}: {error}")))
    }

    fn value(&self, kind: &str, name: &str) -> Option<Value> {
        self.0.lock().unwrap().get(&(kind.to_owned(), name.to_owned())).cloned()
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let objects = self.0.lock().unwrap();
        objects.keys().filter(|(own, _)| own == kind).map(|(_, name)| name.clone()).collect()
    }

    fn put(&self, kind: &str, name: &str, object: Value) {
        self.0.lock().unwrap().insert((kind.to_owned(), name.to_owned()), object);
    }

    /// Takes an object as the API server does: what it counts stays, the generation follows the spec.
    fn apply(&self, mut object: Value) {
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let before = self.value(&kind, &name).unwrap_or(json!({ "metadata": { "generation": 0 } }));
        let changed = before["spec"] != object["spec"];
        object["metadata"]["namespace"] = json!("test");
        if kind == "Secret" && object["type"].is_null() {
            object["type"] = json!("Opaque");
        }
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        object["metadata"]["generation"] =
            json!(before["metadata"]["generation"].as_i64().unwrap_or(1) + i64::from(changed));
        object["status"] = before["status"].clone();
        self.put(&kind, &name, object);
    }

    /// Writes a Secret; all of its labels and annotations then count as the manager's.
    fn commit(&self, change: &Change, manager: &str) -> Result<(), CommitError> {
        let secret = change.secret();
        let name = secret.metadata.name.clone().unwrap();
        let before = self.value("Secret", &name);
        let mut object = json(&secret.to_json());
        if let Some(before) = &before
            && before["type"] != object["type"]
        {
            let message = format!("Secret \"{name}\" is invalid: type: field is immutable");
            return Err(CommitError { kind: CommitErrorKind::Refused, message });
        }
        let fields = |map: &Value| -> Value {
            map.as_object().into_iter().flatten().map(|(key, _)| (format!("f:{key}"), json!({}))).collect()
        };
        // A write owns the entries that it changes, and those that it owned before.
        let before = before.unwrap_or_default();
        let mut data = object["data"].clone();
        if let Some(entries) = data.as_object_mut() {
            let owned = &before["metadata"]["managedFields"][0]["fieldsV1"]["f:data"];
            entries
                .retain(|key, value| before["data"][key] != *value || !owned[format!("f:{key}")].is_null());
        }
        let metadata = &object["metadata"];
        let owned = json!({
            "f:metadata": {
                "f:labels": fields(&metadata["labels"]), "f:annotations": fields(&metadata["annotations"]),
            },
            "f:data": fields(&data),
        });
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        object["metadata"]["managedFields"] = json!([{ "manager": manager, "fieldsV1": owned }]);
        self.put("Secret", &name, object);
        Ok(())
    }
}

impl ClusterReader for World {
    fn in_namespace(&self, _: &str) -> Box<dyn ObjectReader> {
        Box::new(self.clone())
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

impl ObjectReader for World {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretObject>, ReadError>> {
        Box::pin(async move { Ok(self.find("Secret", name)) })
    }

    fn config_map<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMapObject>, ReadError>> {
        Box::pin(async move { Ok(self.find("ConfigMap", name)) })
    }

    fn secret_store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretStore>, ReadError>> {
        Box::pin(async move { Ok(self.find("SecretStore", name)) })
    }
}

fn json(text: &Plaintext) -> Value {
    serde_json::from_slice(text.expose()).unwrap()
}

/// Reads documents as the recording's runner did: YAML 1.2, where `y` is a text.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n---\n")
        .map(|text| {
            serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let into = into.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Says whether a value has the recorded form; the patterns are those of the record.
fn fits(pattern: &str, text: &str) -> bool {
    let all =
        |text: &str, length: usize, fits: fn(char) -> bool| text.len() == length && text.chars().all(fits);
    match pattern {
        "^[0-9A-Za-z]{12}$" => all(text, 12, |c| c.is_ascii_alphanumeric()),
        "^[A-Za-z]{8}$" => all(text, 8, |c| c.is_ascii_alphabetic()),
        "^[0-9]{6}$" => all(text, 6, |c| c.is_ascii_digit()),
        "^[A-Za-z0-9+/]{8}$" => all(text, 8, |c| c.is_ascii_alphanumeric() || "+/".contains(c)),
        r"^\$2a\$10\$.{53}$" => text.starts_with("$2a$10$") && text.len() == 60,
        r"^amber:\$2a\$10\$.{53}$" => text.starts_with("amber:$2a$10$") && text.len() == 66,
        "^20[0-9][0-9]$" => text.starts_with("20") && all(text, 4, |c| c.is_ascii_digit()),
        "^-----BEGIN CERTIFICATE-----\n" => text.starts_with("-----BEGIN CERTIFICATE-----\n"),
        "^-----BEGIN PRIVATE KEY-----\n" => text.starts_with("-----BEGIN PRIVATE KEY-----\n"),
        "^MII[A-Za-z0-9+/]+=*$" => {
            text.starts_with("MII") && text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c))
        }
        "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$" => {
            let groups: Vec<_> = text.split('-').map(str::len).collect();
            groups == [8, 4, 4, 4, 12] && &text[14..15] == "4" && "89ab".contains(&text[19..20])
        }
        other => panic!("the record has a pattern that this test does not know: {other}"),
    }
}

/// One scenario on its way.
struct Run {
    name: String,
    folder: PathBuf,
    world: World,
    /// Seconds since 1970.
    now: i64,
    /// Failures so far, by object: the set of events.
    failures: BTreeSet<(String, String)>,
    problems: Vec<String>,
    secrets_of_others: BTreeSet<String>,
}

impl Run {
    fn of(folder: PathBuf) -> Self {
        Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            folder,
            world: World::default(),
            now: 1_800_000_000,
            failures: BTreeSet::new(),
            problems: Vec::new(),
            secrets_of_others: BTreeSet::new(),
        }
    }

    fn steps(mut self) -> Vec<String> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.sort_by_key(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name[..2].to_owned(), name.contains("outcome"))
        });
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            match name.split_once('-').map(|(_, rest)| rest) {
                Some("apply.yaml") => {
                    for object in documents(&file) {
                        if object["kind"] == "Secret" {
                            self.secrets_of_others
                                .insert(object["metadata"]["name"].as_str().unwrap().into());
                        }
                        self.world.apply(object);
                    }
                }
                Some("patch.yaml") => {
                    for patch in documents(&file) {
                        let (kind, name) = (patch["kind"].as_str().unwrap(), patch["name"].as_str().unwrap());
                        let mut object = self.world.value(kind, name).unwrap();
                        merge(&mut object, &patch["patch"]);
                        self.world.put(kind, name, object);
                    }
                }
                Some("outcome.yaml") => {
                    self.reconcile();
                    self.compare(&name, &documents(&file)[0]);
                }
                _ if name == "scenario.yaml" => {}
                _ => panic!("{}/{name}: this test does not know such a step", self.name),
            }
        }
        self.problems
    }

    /// Twice each: the second time has to find everything as it should be.
    fn reconcile(&mut self) {
        for pass in 0..2 {
            self.now += 5;
            for name in self.world.names("ExternalSecret") {
                let wrote = self.reconcile_one(&name);
                if wrote && pass == 1 {
                    self.problems.push(format!("{}: ExternalSecret/{name} is written again", self.name));
                }
            }
        }
    }

    fn reconcile_one(&mut self, name: &str) -> bool {
        let object: ExternalSecret = self.world.find("ExternalSecret", name).unwrap();
        let templates = TemplateOptions { allow_random_functions: true };
        let surroundings = Surroundings {
            cluster: &self.world,
            stores: &DirectStores::default(),
            generators: &ObjectGenerators::new("default", StoreEnvironment::default()),
            ledger: None,
            options: Options { templates, ..Options::default() },
        };
        let moment = Moment { now: self.now, ..Moment::default() };
        let result = pollster::block_on(external::reconcile(&object, &surroundings, &moment));
        let result = result.and_then(|decision| {
            let change = decision.outcome.changes.into_iter().next();
            if let Some(change) = &change {
                let existing = matches!(change, Change::Replace(_)).then_some(external::target_name(&object));
                let made = self.world.commit(change, &field_manager(name));
                made.map_err(|error| Failure {
                    bound: existing.is_some(),
                    ..Failure::commit(&error, existing)
                })?;
            }
            Ok((decision.settled, decision.binds, change, decision.failed))
        });
        let now = jiff::Timestamp::from_second(self.now).unwrap().to_string();
        let report = match &result {
            Ok((settled, bound, change, failed)) => {
                let done = Done { written: change.as_ref(), bound: *bound, ..Done::default() };
                let settled = failed.as_ref().map_or(Ok(*settled), Err);
                self.failures.extend(failed.iter().map(|failure| (name.to_owned(), failure.cause.clone())));
                external::report(&object, settled, &done, &[], &now)
            }
            Err(failure) => {
                self.failures.insert((name.to_owned(), failure.cause.clone()));
                let done = Done { bound: failure.bound, ..Done::default() };
                external::report(&object, Err(failure), &done, &[], &now)
            }
        };
        if let Some(status) = report.status {
            let mut object = self.world.value("ExternalSecret", name).unwrap();
            object["status"] = serde_json::to_value(status).unwrap();
            self.world.put("ExternalSecret", name, object);
        }
        matches!(result, Ok((_, _, Some(_), _)))
    }

    fn compare(&mut self, step: &str, record: &Value) {
        let mut problems = Vec::new();
        let mut differs = |what: String, ours: Value, theirs: Value| {
            if ours != theirs {
                problems
                    .push(format!("{}/{step}: {what}\n  ours:     {ours}\n  recorded: {theirs}", self.name));
            }
        };
        for (object, recorded) in record["objects"].as_object().into_iter().flatten() {
            let Some(name) = object.strip_prefix("ExternalSecret/") else { continue };
            let status = self.world.value("ExternalSecret", name).unwrap()["status"].clone();
            for (index, condition) in recorded["status"]["conditions"].as_array().unwrap().iter().enumerate()
            {
                for field in ["type", "status", "reason", "message"] {
                    let ours = status["conditions"][index][field].clone();
                    differs(format!("{object} {field}"), ours, condition[field].clone());
                }
            }
        }
        let empty = serde_json::Map::new();
        let recorded = record["secrets"].as_object().unwrap_or(&empty);
        let ours: BTreeSet<String> = self
            .world
            .names("Secret")
            .into_iter()
            .filter(|name| !self.secrets_of_others.contains(name) || recorded.contains_key(name))
            .collect();
        differs(
            "the names of the Secrets".into(),
            json!(ours),
            json!(recorded.keys().collect::<BTreeSet<_>>()),
        );
        for (name, theirs) in recorded {
            let Some(secret) = self.world.value("Secret", name) else { continue };
            self.compare_secret(name, &secret, theirs, &mut differs);
        }
        let failed = "Warning UpdateFailed ";
        let theirs: BTreeSet<(String, String)> = record["events"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|event| event.as_str()?.strip_prefix("ExternalSecret/")?.split_once(' '))
            .filter_map(|(name, rest)| Some((name.to_owned(), rest.strip_prefix(failed)?.to_owned())))
            .filter(|(_, text)| !text.starts_with("unable to update secret")) // the API server's words
            .map(|(name, text)| {
                let departure = DEPARTURES.iter().find(|entry| (entry.0, entry.1) == (&*self.name, &*name));
                let text = match departure {
                    Some((_, _, theirs, ours)) => {
                        text.strip_suffix(theirs).expect("upstream's text").to_owned() + ours
                    }
                    None => text,
                };
                (name, text)
            })
            .collect();
        let ours: BTreeSet<_> =
            self.failures.iter().filter(|(_, text)| !text.contains("field is immutable")).cloned().collect();
        differs("failures".into(), json!(ours), json!(theirs));
        self.problems.append(&mut problems);
    }

    fn compare_secret(
        &self,
        name: &str,
        secret: &Value,
        theirs: &Value,
        differs: &mut dyn FnMut(String, Value, Value),
    ) {
        const HASH: &str = "reconcile.external-secrets.io/data-hash";
        let object = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        differs(format!("{name}: type"), secret["type"].clone(), theirs["type"].clone());
        differs(format!("{name}: immutable"), secret["immutable"].clone(), theirs["immutable"].clone());
        differs(format!("{name}: labels"), object(&secret["metadata"]["labels"]), object(&theirs["labels"]));
        differs(
            format!("{name}: finalizers"),
            secret["metadata"]["finalizers"].clone(),
            theirs["finalizers"].clone(),
        );
        let mut annotations = object(&secret["metadata"]["annotations"]);
        if theirs["annotations"][HASH] == "<hash of the data>" {
            annotations[HASH] = theirs["annotations"][HASH].clone();
        }
        differs(format!("{name}: annotations"), annotations, object(&theirs["annotations"]));
        let data = object(&secret["data"]);
        let decoded: BTreeMap<String, Value> = data
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| {
                let bytes = base64::decode(value.as_str().unwrap().as_bytes()).unwrap();
                let recorded = theirs["data"][key].as_str().unwrap_or_default();
                let pattern = recorded
                    .strip_prefix('<')
                    .and_then(|text| text.strip_suffix('>'))
                    .filter(|text| text.starts_with('^'));
                let text = bytes.expose_str().map_or_else(|| json!({ "base64": value }), |text| json!(text));
                let fits =
                    pattern.is_some_and(|pattern| fits(pattern, bytes.expose_str().unwrap_or_default()));
                (key.clone(), if fits { json!(recorded) } else { text })
            })
            .collect();
        differs(format!("{name}: data"), json!(decoded), object(&theirs["data"]));
    }
}

#[test]
fn recorded_templates_give_what_is_recorded() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/vectors/eso"));
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("template-"))
    });
    folders.sort();
    assert!(folders.len() >= 51, "{} scenarios", folders.len());
    let (mut passed, mut departs, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for folder in folders {
        let run = Run::of(folder);
        let name = run.name.clone();
        let problems = run.steps();
        if let Some((_, texts, _)) = KNOWN.iter().find(|(scenario, ..)| *scenario == name) {
            let known = |problem: &String| texts.iter().any(|text| problem.contains(text));
            assert!(problems.len() == texts.len() && problems.iter().all(known), "{}", problems.join("\n"));
            departs.push(name);
            continue;
        }
        if problems.is_empty() {
            passed.push(name);
        } else {
            failed.push(problems.join("\n"));
        }
    }
    println!("{} scenarios pass: {}", passed.len(), passed.join(" "));
    println!("{} depart as listed: {}", departs.len(), departs.join(" "));
    assert!(failed.is_empty(), "{} scenarios fail:\n{}", failed.len(), failed.join("\n"));
}
