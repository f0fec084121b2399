//! ClusterExternalSecret and ClusterPushSecret: one object in each namespace that is selected. Pure; the cluster side
//! makes it so (`cluster/fan_out.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use sealops_crds::cluster_external_secret::{
    CLUSTER_EXTERNAL_SECRET_FINALIZER, ChildMetadata, ClusterCondition, FailedNamespace,
    NAMESPACE_FINALIZER_PREFIX,
};
use sealops_crds::secret_store::LabelSelector;
use sealops_crds::{
    ClusterExternalSecret, ClusterExternalSecretStatus, ClusterPushSecret, ClusterPushSecretStatus,
    Condition, CustomResource, ExternalSecret, Metadata, OwnerReference, PushSecret,
};
use serde::Serialize;
use serde_json::Value;

use super::{go_duration, labels_match};
use crate::object::controller_of;

/// Annotation of a parent that its children get too.
pub const FORCE_SYNC: &str = "external-secrets.io/force-sync";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);
const FAILED: &str = "one or more namespaces failed";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A kind that makes objects of another kind in namespaces.
pub trait Family: Send + Sync + 'static {
    /// The kind that stands for all namespaces.
    type Parent: CustomResource + Send + Sync + 'static;
    /// The kind that is made.
    type Child: CustomResource + Send + Sync + 'static;

    /// Why a namespace fails that has a foreign object of the name.
    const EXISTS: &'static str;
    /// Finalizer of the parent; `None` has none.
    const FINALIZER: Option<&'static str>;

    /// Returns the finalizer that a namespace with a child carries.
    fn namespace_finalizer(parent: &str) -> Option<String>;
    /// Returns what the parent says, whatever its kind.
    fn wish(parent: &Self::Parent) -> Wish;
    /// Returns the child without metadata.
    fn child(parent: &Self::Parent) -> Self::Child;
    /// Returns the spec of a child, to compare it.
    fn spec(child: &Self::Child) -> Value;
    /// Gives a child the spec of another one.
    fn take_spec(child: &mut Self::Child, from: &Self::Child);
    /// Returns the status, and whether it differs from the stored one.
    fn status(parent: &Self::Parent, found: Found, now: &str) -> (Value, bool);
}

/// What a parent says.
#[derive(Debug, Default)]
pub struct Wish {
    /// Name of the children.
    pub child_name: String,
    /// Name of the children before, where it was another one.
    pub former_name: Option<String>,
    /// Labels and annotations of the children.
    pub metadata: ChildMetadata,
    /// Selectors of the namespaces; one match is enough.
    pub selectors: Vec<LabelSelector>,
    /// Namespaces by name.
    pub names: Vec<String>,
    /// Namespaces that had a child.
    pub provisioned: Vec<String>,
    /// Time between two looks.
    pub interval: Option<Duration>,
}

/// What became of the namespaces.
#[derive(Debug, Default)]
pub struct Found {
    /// Name of the children.
    pub child_name: String,
    /// Namespaces that have their child, sorted.
    pub provisioned: Vec<String>,
    /// Namespaces that have none, sorted, and why.
    pub failed: Vec<FailedNamespace>,
}

impl Wish {
    /// Returns whether a namespace is meant.
    ///
    /// # Errors
    /// Returns the selector that makes no sense.
    pub fn selects(&self, namespace: &Metadata) -> Result<bool, String> {
        let name = namespace.name.clone().unwrap_or_default();
        if self.names.contains(&name) {
            return Ok(true);
        }
        let mut labels = namespace.labels().clone();
        labels.insert(NAME_LABEL.to_owned(), name);
        for selector in &self.selectors {
            if labels_match(selector, &labels)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns whether a child belongs to a parent.
pub fn belongs<F: Family>(child: &Metadata, parent: &F::Parent) -> bool {
    controller_of(child).is_some_and(|owner| {
        owner.kind == F::Parent::KIND
            && owner.api_version == F::Parent::API_VERSION
            && Some(&owner.name) == parent.metadata().name.as_ref()
    })
}

/// Returns the child as it shall be: new, or the existing one changed. `None` where it is right already.
pub fn desired<F: Family>(
    parent: &F::Parent,
    wish: &Wish,
    namespace: &str,
    existing: Option<F::Child>,
) -> Option<F::Child> {
    let made = F::child(parent);
    let is_new = existing.is_none();
    let mut child = existing.unwrap_or_else(|| made.clone());
    let before = child.clone();
    if F::spec(&child) != F::spec(&made) {
        F::take_spec(&mut child, &made);
    }
    let metadata = child.metadata_mut();
    metadata.name = Some(wish.child_name.clone());
    metadata.namespace = Some(namespace.to_owned());
    let mut annotations = wish.metadata.annotations.clone().unwrap_or_default();
    if let Some(value) = parent.metadata().annotations().get(FORCE_SYNC) {
        annotations.insert(FORCE_SYNC.to_owned(), value.clone());
    }
    set(&mut metadata.labels, wish.metadata.labels.clone().unwrap_or_default());
    set(&mut metadata.annotations, annotations);
    let owner = owner_of(parent);
    if !metadata.owner_references.contains(&owner) {
        metadata.owner_references.retain(|known| known.kind != owner.kind || known.name != owner.name);
        metadata.owner_references.push(owner);
    }
    let same = |a: &F::Child, b: &F::Child| {
        F::spec(a) == F::spec(b)
            && a.metadata().labels() == b.metadata().labels()
            && a.metadata().annotations() == b.metadata().annotations()
            && a.metadata().owner_references == b.metadata().owner_references
    };
    (is_new || !same(&before, &child)).then_some(child)
}

fn set(map: &mut Option<BTreeMap<String, String>>, to: BTreeMap<String, String>) {
    *map = Some(to).filter(|map| !map.is_empty());
}

fn owner_of<T: CustomResource>(parent: &T) -> OwnerReference {
    OwnerReference {
        api_version: T::API_VERSION.to_owned(),
        kind: T::KIND.to_owned(),
        name: parent.metadata().name.clone().unwrap_or_default(),
        uid: parent.metadata().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Returns a duration as Go prints it: `1h0m0s`. What is none stays as it is.
fn go_text(text: &str) -> String {
    let Some(duration) = go_duration(text) else { return text.to_owned() };
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos != 0 {
        return text.to_owned();
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn interval(text: Option<&str>) -> Option<Duration> {
    text.map_or(Some(DEFAULT_INTERVAL), |text| go_duration(text).or(Some(DEFAULT_INTERVAL)))
        .filter(|interval| !interval.is_zero())
}

/// Returns a value as JSON, and whether it is another than what is stored.
fn compared<T: Serialize + PartialEq>(status: T, stored: Option<&T>) -> (Value, bool) {
    let changed = stored != Some(&status);
    (serde_json::to_value(&status).unwrap_or_default(), changed)
}

fn named(parent: &Metadata, given: Option<&String>) -> String {
    given.filter(|name| !name.is_empty()).or(parent.name.as_ref()).cloned().unwrap_or_default()
}

/// ClusterExternalSecret.
pub struct ExternalSecrets;

impl Family for ExternalSecrets {
    type Parent = ClusterExternalSecret;
    type Child = ExternalSecret;
    const EXISTS: &'static str = "external secret already exists in namespace";
    const FINALIZER: Option<&'static str> = Some(CLUSTER_EXTERNAL_SECRET_FINALIZER);

    fn namespace_finalizer(parent: &str) -> Option<String> {
        Some(format!("{NAMESPACE_FINALIZER_PREFIX}{parent}"))
    }

    fn wish(parent: &ClusterExternalSecret) -> Wish {
        let spec = &parent.spec;
        let status = parent.status.clone().unwrap_or_default();
        let child_name = named(&parent.metadata, spec.external_secret_name.as_ref());
        Wish {
            former_name: status.external_secret_name.filter(|name| !name.is_empty() && *name != child_name),
            child_name,
            metadata: spec.external_secret_metadata.clone().unwrap_or_default(),
            selectors: spec.namespace_selectors.iter().chain(&spec.namespace_selector).cloned().collect(),
            names: spec.namespaces.clone(),
            provisioned: status.provisioned_namespaces,
            interval: interval(spec.refresh_time.as_deref()),
        }
    }

    fn child(parent: &ClusterExternalSecret) -> ExternalSecret {
        let mut spec = parent.spec.external_secret_spec.clone();
        spec.refresh_interval = spec.refresh_interval.as_deref().map(go_text);
        ExternalSecret { spec, ..ExternalSecret::default() }
    }

    fn spec(child: &ExternalSecret) -> Value {
        serde_json::to_value(&child.spec).unwrap_or_default()
    }

    fn take_spec(child: &mut ExternalSecret, from: &ExternalSecret) {
        child.spec = from.spec.clone();
    }

    fn status(parent: &ClusterExternalSecret, found: Found, _: &str) -> (Value, bool) {
        let ready = found.failed.is_empty();
        let status = ClusterExternalSecretStatus {
            external_secret_name: Some(found.child_name),
            conditions: vec![ClusterCondition {
                type_: "Ready".to_owned(),
                status: if ready { "True" } else { "False" }.to_owned(),
                message: (!ready).then(|| FAILED.to_owned()),
            }],
            failed_namespaces: found.failed,
            provisioned_namespaces: found.provisioned,
        };
        compared(status, parent.status.as_ref())
    }
}

/// ClusterPushSecret.
pub struct PushSecrets;

impl Family for PushSecrets {
    type Parent = ClusterPushSecret;
    type Child = PushSecret;
    const EXISTS: &'static str = "push secret already exists in namespace";
    const FINALIZER: Option<&'static str> = None;

    fn namespace_finalizer(_: &str) -> Option<String> {
        None
    }

    fn wish(parent: &ClusterPushSecret) -> Wish {
        let spec = &parent.spec;
        let status = parent.status.clone().unwrap_or_default();
        let child_name = named(&parent.metadata, spec.push_secret_name.as_ref());
        Wish {
            former_name: status.push_secret_name.filter(|name| !name.is_empty() && *name != child_name),
            child_name,
            metadata: spec.push_secret_metadata.clone().unwrap_or_default(),
            selectors: spec.namespace_selectors.clone(),
            names: Vec::new(),
            provisioned: status.provisioned_namespaces,
            interval: interval(spec.refresh_time.as_deref()),
        }
    }

    fn child(parent: &ClusterPushSecret) -> PushSecret {
        let mut spec = parent.spec.push_secret_spec.clone();
        spec.refresh_interval = spec.refresh_interval.as_deref().map(go_text);
        PushSecret { spec, ..PushSecret::default() }
    }

    fn spec(child: &PushSecret) -> Value {
        serde_json::to_value(&child.spec).unwrap_or_default()
    }

    fn take_spec(child: &mut PushSecret, from: &PushSecret) {
        child.spec = from.spec.clone();
    }

    fn status(parent: &ClusterPushSecret, found: Found, now: &str) -> (Value, bool) {
        let ready = found.failed.is_empty();
        let word = if ready { "True" } else { "False" };
        let stored = parent.status.as_ref().and_then(|status| status.conditions.first());
        let since = stored.filter(|stored| stored.status == word);
        let since = since.and_then(|stored| stored.last_transition_time.clone());
        let status = ClusterPushSecretStatus {
            push_secret_name: Some(found.child_name),
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: word.to_owned(),
                reason: None,
                message: (!ready).then(|| FAILED.to_owned()),
                last_transition_time: Some(since.unwrap_or_else(|| now.to_owned())),
            }],
            failed_namespaces: found.failed,
            provisioned_namespaces: found.provisioned,
        };
        compared(status, parent.status.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parent(annotations: Value) -> ClusterExternalSecret {
        serde_json::from_value(json!({
            "metadata": { "name": "all", "uid": "u", "annotations": annotations },
            "spec": {
                "externalSecretSpec": { "refreshInterval": "90m", "data": [] },
                "externalSecretMetadata": { "labels": { "a": "b" } },
                "namespaceSelectors": [{ "matchLabels": { "team": "blue" } }], "namespaces": ["named"],
            },
        }))
        .unwrap()
    }

    fn namespace(name: &str, team: &str) -> Metadata {
        serde_json::from_value(json!({ "name": name, "labels": { "team": team } })).unwrap()
    }

    #[test]
    fn namespaces_are_selected_by_label_or_name() {
        let wish = ExternalSecrets::wish(&parent(json!({})));
        for (name, team, meant) in [("x", "blue", true), ("x", "red", false), ("named", "red", true)] {
            assert_eq!(wish.selects(&namespace(name, team)), Ok(meant), "{name} {team}");
        }
        assert_eq!(
            Wish::default().selects(&namespace("x", "blue")),
            Ok(false),
            "no selector selects nothing"
        );
    }

    #[test]
    fn a_child_follows_its_parent() {
        let all = parent(json!({ "other": "x", FORCE_SYNC: "1" }));
        let wish = ExternalSecrets::wish(&all);
        let child = desired::<ExternalSecrets>(&all, &wish, "shop", None).unwrap();
        assert_eq!(child.spec.refresh_interval.as_deref(), Some("1h30m0s"));
        assert_eq!(child.metadata.annotations().keys().collect::<Vec<_>>(), [FORCE_SYNC]);
        assert_eq!(child.metadata.labels()["a"], "b");
        assert!(belongs::<ExternalSecrets>(&child.metadata, &all));
        assert!(
            desired::<ExternalSecrets>(&all, &wish, "shop", Some(child.clone())).is_none(),
            "right already"
        );
        let mut edited = child.clone();
        edited.spec.refresh_interval = Some("1s".into());
        edited.metadata.finalizers.push("f".into());
        let again = desired::<ExternalSecrets>(&all, &wish, "shop", Some(edited)).unwrap();
        assert_eq!(again.spec, child.spec);
        assert_eq!(again.metadata.finalizers, ["f"], "what others added stays");
        let calm = parent(json!({}));
        let pruned = desired::<ExternalSecrets>(&calm, &wish, "shop", Some(child)).unwrap();
        assert!(pruned.metadata.annotations().is_empty());
    }

    #[test]
    fn the_status_tells_what_failed() {
        let failed =
            vec![FailedNamespace { namespace: "x".into(), reason: Some(ExternalSecrets::EXISTS.into()) }];
        let found = Found { child_name: "all".into(), provisioned: vec!["y".into()], failed };
        let (status, changed) = ExternalSecrets::status(&parent(json!({})), found, "now");
        assert!(changed);
        assert_eq!(
            status,
            json!({ "externalSecretName": "all", "provisionedNamespaces": ["y"],
                "failedNamespaces": [{ "namespace": "x", "reason": "external secret already exists in namespace" }],
                "conditions": [{ "type": "Ready", "status": "False", "message": FAILED }] })
        );
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        for (text, printed) in
            [("1h", "1h0m0s"), ("90s", "1m30s"), ("0", "0s"), ("45s", "45s"), ("soon", "soon")]
        {
            assert_eq!(go_text(text), printed);
        }
    }
}
