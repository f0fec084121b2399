//! Secret manifests → SealedSecrets, for both fronts.
//!
//! ```text
//!   text ──parse──► documents ──Draft::read──► drafts ──seal (all cores)──► SealedSecrets ──layout──► YAML or JSON
//! ```
//!
//! The rules are those of kubeseal 0.40.0 (`pkg/kubeseal/kubeseal.go`, `pkg/apis/sealedsecrets/v1alpha1`), except that a
//! document which does not parse or is no Secret is an error: upstream skips the one and seals the other.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::thread;

use sealops_controller::HINT_ANNOTATION;
use sealops_controller::sealed::scope_of;
use sealops_crds::sealed_secret::{CLUSTER_WIDE, NAMESPACE_WIDE, TRUE};
use sealops_crds::{Metadata, SealedSecret};
use sealops_crypto::sealing::{Certificate, Label, Scope, SealError, seal};
use sealops_formats::manifest::{self, Node, ReadError, ScalarKind, Value, WarningKind, to_json, to_yaml};
use sealops_formats::{Plaintext, base64};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::error::CommandError;
use crate::input::Input;

/// Which tool speaks. Upstream's texts stand alone under its name; ours name file, document and line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Kubeseal,
    Sealops,
}

/// Finds the namespace of objects that name none.
pub(crate) type NamespaceLookup<'a> = &'a dyn Fn() -> Result<Option<String>, CommandError>;

/// How Secrets are sealed, or merged into a SealedSecret.
#[derive(Clone, Copy)]
pub(crate) struct SealOptions<'a> {
    pub(crate) front: Front,
    pub(crate) certificate: &'a Certificate,
    /// Rewrites the annotations of the input; `None` lets them decide. In a merge another one than the file's is an error.
    pub(crate) scope: Option<Scope>,
    /// In a merge: which SealedSecret of several.
    pub(crate) name: Option<&'a str>,
    /// The namespace that was asked for by name: another one in the input is an error.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) other_namespace: NamespaceLookup<'a>,
    pub(crate) allow_empty_data: bool,
    pub(crate) allow_any_kind: bool,
    /// The object that the values go into; set by the merge itself.
    pub(crate) into: Option<MergeTarget<'a>>,
}

/// An existing SealedSecret: its namespace and scope count, whatever the Secret says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergeTarget<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) scope: Scope,
}

/// What came of a text.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) objects: Vec<Node>,
    /// Legal and probably not meant: places, never values.
    pub(crate) warnings: Vec<String>,
}

/// Seals every Secret of a text, or none.
pub(crate) fn seal_manifests(input: &Input, options: &SealOptions<'_>) -> Result<Sealed, CommandError> {
    let documents = manifest::parse(input.text.expose())
        .map_err(|error| CommandError::input(error).within(&input.name))?;
    if documents.is_empty() {
        return Err(CommandError::input("no secrets found. Ensure the input is valid and UTF-8 encoded"));
    }
    let mut warnings = Vec::new();
    let mut drafts = Vec::new();
    for (index, mut document) in documents.into_iter().enumerate() {
        let place = format!("{}: document {}", input.name, index + 1);
        warnings.extend(document.warnings.iter().filter_map(|warning| warning_text(&place, warning)));
        let draft =
            Draft::read(&mut document.root, options).map_err(|problem| problem.at(&place, options.front))?;
        drafts.push((place, draft));
    }
    let sealed = seal_values(drafts.iter().map(|(_, draft)| draft), options.certificate);
    let mut sealed = sealed.into_iter();
    let mut objects = Vec::new();
    for (place, draft) in drafts {
        let mut values = Vec::new();
        for entry in draft.values.keys() {
            let value = sealed.next().unwrap_or(Err(SealError::Encryption));
            let value = value.map_err(|error| CommandError::input(format!("{place}: {entry}: {error}")))?;
            values.push((entry.clone(), Node::text(base64::encode_public(&value))));
        }
        objects.push(draft.into_object(values, options));
    }
    Ok(Sealed { objects, warnings })
}

/// Seals one value of its own: standard base64 without a newline.
pub(crate) fn seal_raw(
    certificate: &Certificate,
    label: &Label,
    value: &Plaintext,
) -> Result<String, CommandError> {
    seal(certificate, label, value).map(|sealed| base64::encode_public(&sealed)).map_err(CommandError::input)
}

/// Seals in parallel where it pays, and returns the results in order.
fn seal_values<'a>(
    drafts: impl Iterator<Item = &'a Draft>,
    certificate: &Certificate,
) -> Vec<Result<Vec<u8>, SealError>> {
    let jobs: Vec<(&Label, &Plaintext)> =
        drafts.flat_map(|draft| draft.values.values().map(move |value| (&draft.label, value))).collect();
    let work = |jobs: &[(&Label, &Plaintext)]| -> Vec<_> {
        jobs.iter().map(|(label, value)| seal(certificate, label, value)).collect()
    };
    if jobs.len() <= FEWEST_VALUES_PER_THREAD {
        return work(&jobs);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = jobs.len().div_ceil(cores).max(FEWEST_VALUES_PER_THREAD);
    thread::scope(|scope| {
        let threads: Vec<_> = jobs.chunks(share).map(|jobs| scope.spawn(move || work(jobs))).collect();
        let lost = |_| vec![Err(SealError::Encryption)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(lost)).collect()
    })
}

/// Starting a thread costs about as much as sealing one value, and counting the cores twenty system calls.
const FEWEST_VALUES_PER_THREAD: usize = 8;

/// A Secret that was read and judged, ready to be sealed.
struct Draft {
    metadata: Metadata,
    type_: Option<String>,
    immutable: Option<bool>,
    values: BTreeMap<String, Plaintext>,
    scope: Scope,
    label: Label,
}

impl Draft {
    fn read(root: &mut Node, options: &SealOptions<'_>) -> Result<Self, Problem> {
        check_kind(root, options)?;
        let values = values_of(root)?;
        if values.is_empty() && !options.allow_empty_data {
            return Err(Problem::upstream(
                "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty \
                 data, --allow-empty-data can be used",
            ));
        }
        if options.front == Front::Sealops
            && let Some(entry) = values.keys().find(|entry| !is_entry_name(entry))
        {
            return Err(Problem::own(
                root.line,
                format!("{entry:?} is no key of a Secret: letters, digits, `-`, `_` and `.`, at most 253"),
            ));
        }
        let mut metadata = metadata_of(root)?;
        if let Some(name) = options.name {
            metadata.name = Some(name.to_owned());
        }
        let Some(name) = metadata.name.clone().filter(|name| !name.is_empty()) else {
            return Err(Problem::upstream("missing metadata.name in input Secret"));
        };
        if let Some(scope) = options.scope {
            set_scope(&mut metadata, scope);
        }
        let mut scope = scope_of(metadata.annotations());
        if let Some(into) = options.into {
            scope = into_scope(&mut metadata, scope, into)?;
        }
        metadata.namespace = namespace_of(&metadata, scope, options)?;
        let label = Label::for_secret(scope, metadata.namespace.as_deref().unwrap_or_default(), &name);
        Ok(Self {
            type_: scalar(root, "type")?.filter(|type_: &String| !type_.is_empty()),
            immutable: scalar(root, "immutable")?,
            metadata,
            values,
            scope,
            label,
        })
    }

    /// Returns the SealedSecret in kubeseal's order. Its own metadata is name, namespace and scope, nothing else.
    fn into_object(self, values: Vec<(String, Node)>, options: &SealOptions<'_>) -> Node {
        let mut own = Metadata { name: self.metadata.name.clone(), ..Metadata::default() };
        own.namespace = self.metadata.namespace.clone();
        set_scope(&mut own, self.scope);
        if options.front == Front::Sealops {
            let key = options.certificate.fingerprint().to_string();
            own.annotations_mut().insert(HINT_ANNOTATION.to_owned(), key);
        }
        let mut template = vec![("metadata", metadata_node(&self.metadata))];
        template.extend(self.type_.map(|type_| ("type", Node::text(type_))));
        template.extend(self.immutable.map(|immutable| ("immutable", Node::bool(immutable))));
        let spec = [("template", Node::map(template)), ("encryptedData", Node::map(values))];
        Node::map([
            ("kind", Node::text(SealedSecret::KIND)),
            ("apiVersion", Node::text(SealedSecret::API_VERSION)),
            ("metadata", metadata_node(&own)),
            ("spec", Node::map(spec)),
        ])
    }
}

/// Takes the scope of the object that the values go into. A Secret that asks for another one is not meant for it.
fn into_scope(metadata: &mut Metadata, own: Scope, into: MergeTarget<'_>) -> Result<Scope, Problem> {
    if own != Scope::Strict && own != into.scope {
        return Err(Problem::own(
            0,
            format!("the Secret's annotations ask for the scope {own}, but the file's is {}", into.scope),
        ));
    }
    set_scope(metadata, Scope::Strict);
    if !into.namespace.is_empty() {
        metadata.namespace = Some(into.namespace.to_owned());
    }
    Ok(into.scope)
}

fn check_kind(root: &Node, options: &SealOptions<'_>) -> Result<(), Problem> {
    if !matches!(root.value, Value::Map(_)) {
        return Err(Problem::own(root.line, "this is not a Kubernetes object"));
    }
    let kind = root.str_at(&["kind"]).unwrap_or_default();
    let group = root.str_at(&["apiVersion"]).unwrap_or("v1");
    if (kind == "Secret" && group == "v1") || options.allow_any_kind {
        return Ok(());
    }
    let found = if kind.is_empty() { "nothing".to_owned() } else { format!("{group} {kind}") };
    let mut problem = Problem::own(root.line, format!("expected a v1 Secret, found {found}"));
    if options.front == Front::Sealops {
        problem.hint = Some("sealops seal --allow-any-kind seals the data of other kinds too");
    }
    Err(problem)
}

/// The API server's rule for keys of Secrets; kubeseal seals others too, into objects that no cluster takes.
fn is_entry_name(entry: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&entry.len())
        && entry.bytes().all(allowed)
        && entry != "."
        && entry != ".."
        && !entry.starts_with("..")
}

/// Takes the values out of the tree: `data` decoded, then `stringData` over it.
fn values_of(root: &mut Node) -> Result<BTreeMap<String, Plaintext>, Problem> {
    let mut values = BTreeMap::new();
    for (entry, node) in take_map(root, "data")? {
        let fail = |text: &str| Problem::own(node.line, format!("data.{entry}: {text}"));
        let value = match &node.value {
            Value::Null => Plaintext::default(),
            Value::Scalar(ScalarKind::Text, text) => {
                base64::decode(text.expose()).map_err(|error| fail(&error.to_string()))?
            }
            _ => {
                return Err(fail(
                    "expected text in base64, found a number, a word such as `true`, a list or a map",
                ));
            }
        };
        values.insert(entry, value);
    }
    for (entry, node) in take_map(root, "stringData")? {
        let value = match node.value {
            Value::Null => Plaintext::default(),
            Value::Scalar(_, text) => text,
            _ => {
                return Err(Problem::own(
                    node.line,
                    format!("stringData.{entry}: expected text, found a list or a map"),
                ));
            }
        };
        values.insert(entry, value);
    }
    Ok(values)
}

fn take_map(root: &mut Node, key: &str) -> Result<Vec<(String, Node)>, Problem> {
    let Some(node) = root.child_mut(key) else { return Ok(Vec::new()) };
    match std::mem::take(&mut node.value) {
        Value::Map(entries) => Ok(entries),
        Value::Null => Ok(Vec::new()),
        _ => Err(Problem::own(node.line, format!("{key}: expected a map"))),
    }
}

fn scalar<T: DeserializeOwned>(root: &Node, key: &str) -> Result<Option<T>, Problem> {
    match root.child(key) {
        Some(node) => node.read().map_err(|error| Problem::read(key, node.line, &error)),
        None => Ok(None),
    }
}

/// Reads the metadata and drops what only the API server may set, and what would hold the plaintext again.
fn metadata_of(root: &Node) -> Result<Metadata, Problem> {
    let Some(node) = root.child("metadata").filter(|node| !node.is_null()) else {
        return Ok(Metadata::default());
    };
    let read: Metadata = node.read().map_err(|error| Problem::read("metadata", node.line, &error))?;
    let mut kept = Metadata {
        name: read.name,
        generate_name: read.generate_name.filter(|prefix| !prefix.is_empty()),
        namespace: read.namespace,
        labels: read.labels,
        annotations: read.annotations,
        finalizers: read.finalizers,
        ..Metadata::default()
    };
    if let Some(annotations) = &mut kept.annotations {
        annotations.retain(|name, _| !LAST_APPLIED.contains(&name.as_str()));
    }
    // Upstream keeps these by accident, but its files do hold them.
    if let Some(Json::Array(entries)) = read.other.get("managedFields")
        && !entries.is_empty()
    {
        let entries = entries.iter().map(managed_field).collect();
        kept.other.insert("managedFields".to_owned(), Json::Array(entries));
    }
    Ok(kept)
}

/// Written by `kubectl apply` and `kubecfg`: the whole manifest, with its values.
const LAST_APPLIED: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "kubecfg.ksonnet.io/last-applied-configuration"];

/// Orders an entry as the type in `apimachinery` does; what is below `fieldsV1` is sorted.
fn managed_field(entry: &Json) -> Json {
    let Json::Object(fields) = entry else { return Json::Null };
    let order = ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
    let present =
        order.iter().filter_map(|name| fields.get(*name).map(|value| ((*name).to_owned(), sorted(value))));
    Json::Object(present.collect())
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let map: BTreeMap<_, _> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Json::Object(map.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// Replaces the scope annotations, as upstream's `UpdateScopeAnnotations`.
fn set_scope(metadata: &mut Metadata, scope: Scope) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(CLUSTER_WIDE);
        annotations.remove(NAMESPACE_WIDE);
    }
    let name = match scope {
        Scope::Strict => return,
        Scope::NamespaceWide => NAMESPACE_WIDE,
        Scope::ClusterWide => CLUSTER_WIDE,
    };
    metadata.annotations_mut().insert(name.to_owned(), TRUE.to_owned());
}

fn namespace_of(
    metadata: &Metadata,
    scope: Scope,
    options: &SealOptions<'_>,
) -> Result<Option<String>, Problem> {
    let written = metadata.namespace.clone().filter(|namespace| !namespace.is_empty());
    if scope == Scope::ClusterWide {
        return Ok(written);
    }
    let found = match (written, options.namespace) {
        (Some(written), Some(asked)) if written != asked => {
            return Err(Problem::upstream(format!(
                "namespace mismatch: input secret is in namespace {written:?} but {asked:?} was specified"
            )));
        }
        (Some(written), _) => Some(written),
        (None, Some(asked)) => Some(asked.to_owned()),
        (None, None) => (options.other_namespace)().map_err(Problem::command)?,
    };
    if found.is_none() {
        return Err(Problem {
            hint: Some("--namespace NAME gives one"),
            ..Problem::upstream("secret must declare a namespace")
        });
    }
    Ok(found)
}

fn metadata_node(metadata: &Metadata) -> Node {
    Node::from(serde_json::to_value(metadata).unwrap_or_default())
}

fn warning_text(place: &str, warning: &manifest::Warning) -> Option<String> {
    let is_value = ["data.", "stringData."].iter().any(|start| warning.path.starts_with(start));
    let text = match warning.kind {
        WarningKind::DuplicateKey => "the key stands twice, the last one counts",
        WarningKind::Reinterpreted => {
            "unquoted, YAML takes this for a number or a yes-or-no word and its sealed text differs from what stands \
             here; put it in quotes"
        }
    };
    is_value.then(|| format!("{place}, line {}: {}: {text}", warning.line, warning.path))
}

/// Why one document cannot be sealed.
struct Problem {
    line: usize,
    text: String,
    hint: Option<&'static str>,
    is_upstreams: bool,
    /// An error from elsewhere, which needs no place.
    command: Option<CommandError>,
}

impl Problem {
    fn own(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into(), hint: None, is_upstreams: false, command: None }
    }

    fn upstream(text: impl Into<String>) -> Self {
        Self { is_upstreams: true, ..Self::own(0, text) }
    }

    fn command(error: CommandError) -> Self {
        Self { command: Some(error), ..Self::own(0, "") }
    }

    fn read(path: &str, line: usize, error: &ReadError) -> Self {
        let path = if error.path.is_empty() { path.to_owned() } else { format!("{path}.{}", error.path) };
        let line = if error.line > 0 { error.line } else { line };
        Self::own(line, format!("{path}: {}", error.problem))
    }

    fn at(self, place: &str, front: Front) -> CommandError {
        if let Some(error) = self.command {
            return error;
        }
        let mut error = CommandError::input(self.text);
        if !(self.is_upstreams && front == Front::Kubeseal) {
            let line = if self.line > 0 { format!(", line {}", self.line) } else { String::new() };
            error = error.within(format!("{place}{line}"));
        }
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Format of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Json,
    Yaml,
}

impl FromStr for Format {
    type Err = CommandError;

    fn from_str(name: &str) -> Result<Self, CommandError> {
        match name.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err(CommandError::input(format!("unsupported output format: {name}"))),
        }
    }
}

impl Format {
    /// Writes objects one after another, in kubeseal's layout.
    pub(crate) fn text(self, objects: &[Node]) -> Plaintext {
        let mut text = Plaintext::default();
        for object in objects {
            match self {
                Self::Json => text.push(to_json(object).expose()),
                Self::Yaml => {
                    text.push(b"---\n");
                    text.push(to_yaml(object).expose());
                }
            }
        }
        text
    }
}
