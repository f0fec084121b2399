//! The table of what the CRDs say beyond the types.
//!
//! Names, requirements and defaults are those of the upstream CRDs (sealed-secrets 0.40.0; external-secrets 1.3.2 with
//! what was seen of 2.9.0), so that what they accept is accepted here.

use schemars::Schema;
use serde_json::Value;

use crate::{ClusterSecretStore, ExternalSecret, SealedSecret, SecretStore};

mod providers;
mod vault;

/// A kind and what its CRD says beyond its type.
pub struct Kind {
    /// API group.
    pub group: &'static str,
    /// The version that is served and stored.
    pub version: &'static str,
    /// Versions that old objects may be stored in; present and not served.
    pub former_versions: &'static [&'static str],
    /// Kind.
    pub kind: &'static str,
    /// Plural name.
    pub plural: &'static str,
    /// `Namespaced` or `Cluster`.
    pub scope: &'static str,
    /// Short names for kubectl.
    pub short_names: &'static [&'static str],
    /// Categories for kubectl.
    pub categories: &'static [&'static str],
    /// Labels of the CRD itself.
    pub labels: &'static [(&'static str, &'static str)],
    /// Name, type and path of each printer column.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
    /// Paths that field selectors can name.
    pub selectable: &'static [&'static str],
    /// The schema of the type.
    pub(super) derived: fn() -> Schema,
    /// Additions to the schema.
    pub(super) extras: &'static [&'static [Extra]],
}

/// Path of a node, and the keywords it gets with their values in JSON.
///
/// The path lists the fields from the root; `[]` is each item, `{}` each value of a map.
pub(super) type Extra = (&'static str, &'static [(&'static str, &'static str)]);

/// All kinds.
pub const KINDS: [Kind; 4] = [
    Kind {
        group: SealedSecret::GROUP,
        version: SealedSecret::VERSION,
        former_versions: &[],
        kind: SealedSecret::KIND,
        plural: SealedSecret::PLURAL,
        scope: "Namespaced",
        short_names: &[],
        categories: &[],
        labels: &[],
        columns: &[
            ("Status", "string", ".status.conditions[0].message"),
            ("Synced", "string", ".status.conditions[0].status"),
            ("Age", "date", ".metadata.creationTimestamp"),
        ],
        selectable: &[],
        derived: super::derived::<SealedSecret>,
        extras: &[SEALED_SECRET],
    },
    Kind {
        kind: ExternalSecret::KIND,
        plural: ExternalSecret::PLURAL,
        short_names: &["es"],
        columns: &[
            ("StoreType", "string", ".spec.secretStoreRef.kind"),
            ("Store", "string", ".spec.secretStoreRef.name"),
            ("Refresh Interval", "string", ".spec.refreshInterval"),
            ("Status", "string", READY_REASON),
            ("Ready", "string", READY_STATUS),
            ("Last Sync", "date", ".status.refreshTime"),
        ],
        selectable: &[
            ".spec.secretStoreRef.name",
            ".spec.secretStoreRef.kind",
            ".spec.target.name",
            ".spec.refreshInterval",
        ],
        derived: super::derived::<ExternalSecret>,
        extras: &[EXTERNAL_SECRET, TEMPLATE, STATUS],
        ..STORE_KIND
    },
    STORE_KIND,
    Kind {
        kind: ClusterSecretStore::KIND,
        plural: ClusterSecretStore::PLURAL,
        scope: "Cluster",
        short_names: &["css"],
        derived: super::derived::<ClusterSecretStore>,
        ..STORE_KIND
    },
];

const STORE_KIND: Kind = Kind {
    group: SecretStore::GROUP,
    version: SecretStore::VERSION,
    former_versions: &["v1beta1"],
    kind: SecretStore::KIND,
    plural: SecretStore::PLURAL,
    scope: "Namespaced",
    short_names: &["ss"],
    categories: &["external-secrets"],
    labels: &[("external-secrets.io/component", "controller")],
    columns: &[
        ("AGE", "date", ".metadata.creationTimestamp"),
        ("Status", "string", READY_REASON),
        ("Capabilities", "string", ".status.capabilities"),
        ("Ready", "string", READY_STATUS),
    ],
    selectable: &[],
    derived: super::derived::<SecretStore>,
    extras: &[STORE, providers::PROVIDERS, vault::VAULT, STATUS],
};

const READY_REASON: &str = r#".status.conditions[?(@.type=="Ready")].reason"#;
const READY_STATUS: &str = r#".status.conditions[?(@.type=="Ready")].status"#;

type Keywords = &'static [(&'static str, &'static str)];

const NULLABLE: Keywords = &[("nullable", "true")];
const TIME: Keywords = &[("format", r#""date-time""#)];
const ONE_PROPERTY: Keywords = &[("minProperties", "1"), ("maxProperties", "1")];
const ATOMIC_LIST: Keywords = &[("x-kubernetes-list-type", r#""atomic""#)];
const ATOMIC_MAP: Keywords = &[("x-kubernetes-map-type", r#""atomic""#)];
/// Name of an object: a DNS subdomain.
const NAME: Keywords = &[
    ("minLength", "1"),
    ("maxLength", "253"),
    ("pattern", r#""^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$""#),
];
/// Key of a Secret.
const KEY: Keywords = &[("minLength", "1"), ("maxLength", "253"), ("pattern", r#""^[-._a-zA-Z0-9]+$""#)];
/// Name of a namespace: a DNS label.
const NAMESPACE: Keywords =
    &[("minLength", "1"), ("maxLength", "63"), ("pattern", r#""^[a-z0-9]([-a-z0-9]*[a-z0-9])?$""#)];
const NOT_EMPTY: Keywords = &[("minLength", "1")];
const KEY_REQUIRED: Keywords = &[("required", r#"["key"]"#)];
/// Generators are resources of another group; the list is closed there.
const GENERATOR: Keywords = &[(
    "enum",
    r#"["ACRAccessToken", "BeyondtrustWorkloadCredentialsDynamicSecret", "ClusterGenerator", "CloudsmithAccessToken",
        "ECRAuthorizationToken", "Fake", "GCRAccessToken", "GithubAccessToken", "GitlabDeployToken", "Grafana", "MFA",
        "Password", "QuayAccessToken", "SSHKey", "STSSessionToken", "UUID", "VaultDynamicSecret", "Webhook"]"#,
)];
const GENERATOR_VERSION: Keywords = &[("default", r#""generators.external-secrets.io/v1alpha1""#)];
const KIND_AND_NAME: Keywords = &[("required", r#"["kind", "name"]"#)];

const SEALED_SECRET: &[Extra] = &[
    ("", &[("required", r#"["spec"]"#)]),
    ("spec", &[("required", r#"["encryptedData"]"#)]),
    ("spec.encryptedData", &[("x-kubernetes-preserve-unknown-fields", "true")]),
    ("spec.data", &[("format", r#""byte""#)]),
    ("spec.template.metadata", &[("nullable", "true"), ("x-kubernetes-preserve-unknown-fields", "true")]),
    ("spec.template.data", NULLABLE),
    ("spec.template.data{}", NULLABLE),
    ("status.conditions[]", &[("required", r#"["status", "type"]"#)]),
    ("status.conditions[].lastTransitionTime", TIME),
    ("status.conditions[].lastUpdateTime", TIME),
];

const STATUS: &[Extra] = &[
    ("status.conditions[]", &[("required", r#"["status", "type"]"#)]),
    ("status.conditions[].lastTransitionTime", TIME),
];

/// Defaults are those of upstream: 2.9.0 has none for the strategies of a remote reference, which drifted in Argo CD.
const EXTERNAL_SECRET: &[Extra] = &[
    ("spec.secretStoreRef.name", NAME),
    ("spec.refreshInterval", &[("default", r#""1h0m0s""#)]),
    ("spec.syncWindows.windows", &[("minItems", "1")]),
    ("spec.target", &[("default", r#"{ "creationPolicy": "Owner", "deletionPolicy": "Retain" }"#)]),
    ("spec.target.name", NAME),
    ("spec.target.creationPolicy", &[("default", r#""Owner""#)]),
    ("spec.target.deletionPolicy", &[("default", r#""Retain""#)]),
    ("spec.target.manifest", &[("required", r#"["apiVersion", "kind"]"#)]),
    ("spec.target.manifest.apiVersion", NOT_EMPTY),
    ("spec.target.manifest.kind", NOT_EMPTY),
    ("spec.data[]", &[("required", r#"["remoteRef", "secretKey"]"#)]),
    ("spec.data[].secretKey", KEY),
    ("spec.data[].remoteRef", KEY_REQUIRED),
    ("spec.data[].sourceRef", ONE_PROPERTY),
    ("spec.data[].sourceRef.storeRef.name", NAME),
    ("spec.data[].sourceRef.generatorRef", KIND_AND_NAME),
    ("spec.data[].sourceRef.generatorRef.apiVersion", GENERATOR_VERSION),
    ("spec.data[].sourceRef.generatorRef.kind", GENERATOR),
    ("spec.data[].sourceRef.generatorRef.name", NAME),
    ("spec.dataFrom[].extract", KEY_REQUIRED),
    ("spec.dataFrom[].rewrite[]", ONE_PROPERTY),
    ("spec.dataFrom[].rewrite[].merge.into", &[("default", r#""""#)]),
    ("spec.dataFrom[].rewrite[].merge.priorityPolicy", &[("default", r#""Strict""#)]),
    ("spec.dataFrom[].rewrite[].merge.conflictPolicy", &[("default", r#""Error""#)]),
    ("spec.dataFrom[].rewrite[].merge.strategy", &[("default", r#""Extract""#)]),
    ("spec.dataFrom[].rewrite[].regexp", &[("required", r#"["source", "target"]"#)]),
    ("spec.dataFrom[].rewrite[].transform", &[("required", r#"["template"]"#)]),
    ("spec.dataFrom[].sourceRef", ONE_PROPERTY),
    ("spec.dataFrom[].sourceRef.storeRef.name", NAME),
    ("spec.dataFrom[].sourceRef.generatorRef", KIND_AND_NAME),
    ("spec.dataFrom[].sourceRef.generatorRef.apiVersion", GENERATOR_VERSION),
    ("spec.dataFrom[].sourceRef.generatorRef.kind", GENERATOR),
    ("spec.dataFrom[].sourceRef.generatorRef.name", NAME),
    ("status.refreshTime", &[("format", r#""date-time""#), ("nullable", "true")]),
    ("status.binding", ATOMIC_MAP),
    ("status.binding.name", &[("default", r#""""#)]),
];

const TEMPLATE: &[Extra] = &[
    ("spec.target.template.engineVersion", &[("default", r#""v2""#)]),
    ("spec.target.template.mergePolicy", &[("default", r#""Replace""#)]),
    ("spec.target.template.templateFrom[].target", &[("default", r#""Data""#)]),
    ("spec.target.template.templateFrom[].configMap", &[("required", r#"["items", "name"]"#)]),
    ("spec.target.template.templateFrom[].configMap.name", NAME),
    ("spec.target.template.templateFrom[].configMap.items[]", KEY_REQUIRED),
    ("spec.target.template.templateFrom[].configMap.items[].key", KEY),
    ("spec.target.template.templateFrom[].configMap.items[].templateAs", &[("default", r#""Values""#)]),
    ("spec.target.template.templateFrom[].secret", &[("required", r#"["items", "name"]"#)]),
    ("spec.target.template.templateFrom[].secret.name", NAME),
    ("spec.target.template.templateFrom[].secret.items[]", KEY_REQUIRED),
    ("spec.target.template.templateFrom[].secret.items[].key", KEY),
    ("spec.target.template.templateFrom[].secret.items[].templateAs", &[("default", r#""Values""#)]),
];

const STORE: &[Extra] = &[
    ("spec", &[("required", r#"["provider"]"#)]),
    // Providers that we do not know have to outlive a write.
    (
        "spec.provider",
        &[("minProperties", "1"), ("maxProperties", "1"), ("x-kubernetes-preserve-unknown-fields", "true")],
    ),
    ("spec.provider.fake", &[("required", r#"["data"]"#)]),
    ("spec.provider.fake.data[]", &[("required", r#"["key", "value"]"#)]),
    ("spec.conditions[].namespaceSelector", ATOMIC_MAP),
    ("spec.conditions[].namespaceSelector.matchExpressions", ATOMIC_LIST),
    ("spec.conditions[].namespaceSelector.matchExpressions[]", &[("required", r#"["key", "operator"]"#)]),
    ("spec.conditions[].namespaceSelector.matchExpressions[].values", ATOMIC_LIST),
    ("spec.conditions[].namespaces[]", NAMESPACE),
];

/// Adds the keywords of a row to a schema.
///
/// # Panics
///
/// When the schema has no such node: then the row is wrong, and so would be the CRD.
pub(super) fn apply(schema: &mut Value, (path, keywords): &Extra) {
    let Some(Value::Object(node)) = schema.pointer_mut(&pointer(path)) else {
        panic!("the table of extras names {path:?}, which the types do not have");
    };
    for (keyword, json) in *keywords {
        let value = serde_json::from_str(json).expect("the table of extras holds JSON");
        node.insert((*keyword).to_owned(), value);
    }
}

/// Returns the JSON pointer to a node of a schema.
pub(super) fn pointer(path: &str) -> String {
    let fields = path.split('.').filter(|field| !field.is_empty());
    fields
        .map(|field| {
            format!("/properties/{field}").replace("[]", "/items").replace("{}", "/additionalProperties")
        })
        .collect()
}
