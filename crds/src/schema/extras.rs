//! The table of what the CRDs say beyond the types.
//!
//! Names, requirements and defaults are those of the upstream CRDs (sealed-secrets 0.40.0; external-secrets 1.3.2 with
//! what was seen of 2.9.0), so that what they accept is accepted here.

use schemars::Schema;
use serde_json::Value;

use crate::{ClusterSecretStore, ExternalSecret, SealedSecret, SecretStore};

mod generators;
mod providers;
mod push;
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
    /// Additions to the schema: tables, each with the path that its rows are relative to.
    pub(super) extras: &'static [(&'static str, &'static [Extra])],
    /// Whether the status is a resource of its own.
    pub status: bool,
}

/// Path of a node, and the keywords it gets with their values in JSON.
///
/// The path lists the fields from where the table is applied; `[]` is each item, `{}` each value of a map.
pub(super) type Extra = (&'static str, &'static [(&'static str, &'static str)]);

/// All kinds.
pub const KINDS: [Kind; 26] = [
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
        extras: &[("", SEALED_SECRET)],
        status: true,
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
        extras: &[
            ("spec", EXTERNAL_SECRET_SPEC),
            ("spec.target.template", TEMPLATE),
            ("status", EXTERNAL_SECRET_STATUS),
            ("", STATUS),
        ],
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
    push::CLUSTER_EXTERNAL_SECRET,
    push::PUSH_SECRET,
    push::CLUSTER_PUSH_SECRET,
    generators::PASSWORD,
    generators::UUID,
    generators::FAKE,
    generators::SSH_KEY,
    generators::MFA,
    generators::WEBHOOK,
    generators::VAULT_DYNAMIC_SECRET,
    generators::CLUSTER_GENERATOR,
    generators::GENERATOR_STATE,
    generators::opaque(0),
    generators::opaque(1),
    generators::opaque(2),
    generators::opaque(3),
    generators::opaque(4),
    generators::opaque(5),
    generators::opaque(6),
    generators::opaque(7),
    generators::opaque(8),
    generators::opaque(9),
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
    extras: &[
        ("", STORE),
        ("spec.conditions[].namespaceSelector", SELECTOR),
        ("", providers::PROVIDERS),
        ("spec.provider.webhook", providers::WEBHOOK),
        ("", vault::VAULT),
        ("", STATUS),
    ],
    status: true,
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
/// The kinds of generators.
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

/// Rows of the spec of an ExternalSecret.
///
/// Defaults are those of upstream: 2.9.0 has none for the strategies of a remote reference, which drifted in Argo CD.
const EXTERNAL_SECRET_SPEC: &[Extra] = &[
    ("secretStoreRef.name", NAME),
    ("refreshInterval", &[("default", r#""1h0m0s""#)]),
    ("syncWindows.windows", &[("minItems", "1")]),
    ("target", &[("default", r#"{ "creationPolicy": "Owner", "deletionPolicy": "Retain" }"#)]),
    ("target.name", NAME),
    ("target.creationPolicy", &[("default", r#""Owner""#)]),
    ("target.deletionPolicy", &[("default", r#""Retain""#)]),
    ("target.manifest", &[("required", r#"["apiVersion", "kind"]"#)]),
    ("target.manifest.apiVersion", NOT_EMPTY),
    ("target.manifest.kind", NOT_EMPTY),
    ("data[]", &[("required", r#"["remoteRef", "secretKey"]"#)]),
    ("data[].secretKey", KEY),
    ("data[].remoteRef", KEY_REQUIRED),
    ("data[].sourceRef", ONE_PROPERTY),
    ("data[].sourceRef.storeRef.name", NAME),
    ("data[].sourceRef.generatorRef", KIND_AND_NAME),
    ("data[].sourceRef.generatorRef.apiVersion", GENERATOR_VERSION),
    ("data[].sourceRef.generatorRef.kind", GENERATOR),
    ("data[].sourceRef.generatorRef.name", NAME),
    ("dataFrom[].extract", KEY_REQUIRED),
    ("dataFrom[].rewrite[]", ONE_PROPERTY),
    ("dataFrom[].rewrite[].merge.into", &[("default", r#""""#)]),
    ("dataFrom[].rewrite[].merge.priorityPolicy", &[("default", r#""Strict""#)]),
    ("dataFrom[].rewrite[].merge.conflictPolicy", &[("default", r#""Error""#)]),
    ("dataFrom[].rewrite[].merge.strategy", &[("default", r#""Extract""#)]),
    ("dataFrom[].rewrite[].regexp", &[("required", r#"["source", "target"]"#)]),
    ("dataFrom[].rewrite[].transform", &[("required", r#"["template"]"#)]),
    ("dataFrom[].sourceRef", ONE_PROPERTY),
    ("dataFrom[].sourceRef.storeRef.name", NAME),
    ("dataFrom[].sourceRef.generatorRef", KIND_AND_NAME),
    ("dataFrom[].sourceRef.generatorRef.apiVersion", GENERATOR_VERSION),
    ("dataFrom[].sourceRef.generatorRef.kind", GENERATOR),
    ("dataFrom[].sourceRef.generatorRef.name", NAME),
];

const EXTERNAL_SECRET_STATUS: &[Extra] = &[
    ("refreshTime", &[("format", r#""date-time""#), ("nullable", "true")]),
    ("binding", ATOMIC_MAP),
    ("binding.name", &[("default", r#""""#)]),
];

/// Rows of a template.
const TEMPLATE: &[Extra] = &[
    ("engineVersion", &[("default", r#""v2""#)]),
    ("mergePolicy", &[("default", r#""Replace""#)]),
    ("templateFrom[].target", &[("default", r#""Data""#)]),
    ("templateFrom[].configMap", &[("required", r#"["items", "name"]"#)]),
    ("templateFrom[].configMap.name", NAME),
    ("templateFrom[].configMap.items[]", KEY_REQUIRED),
    ("templateFrom[].configMap.items[].key", KEY),
    ("templateFrom[].configMap.items[].templateAs", &[("default", r#""Values""#)]),
    ("templateFrom[].secret", &[("required", r#"["items", "name"]"#)]),
    ("templateFrom[].secret.name", NAME),
    ("templateFrom[].secret.items[]", KEY_REQUIRED),
    ("templateFrom[].secret.items[].key", KEY),
    ("templateFrom[].secret.items[].templateAs", &[("default", r#""Values""#)]),
];

/// Rows of a label selector.
const SELECTOR: &[Extra] = &[
    ("", ATOMIC_MAP),
    ("matchExpressions", ATOMIC_LIST),
    ("matchExpressions[]", &[("required", r#"["key", "operator"]"#)]),
    ("matchExpressions[].values", ATOMIC_LIST),
];

const STORE: &[Extra] = &[
    ("spec", &[("required", r#"["provider"]"#)]),
    // Upstream's definitions have rules too: then the API server says after other errors that rules were not checked.
    (
        "spec.retrySettings",
        &[(
            "x-kubernetes-validations",
            r#"[{ "rule": "!has(self.maxRetries) || self.maxRetries >= 0", "message": "maxRetries must not be negative" }]"#,
        )],
    ),
    ("spec.provider", ONE_PROPERTY),
    ("spec.provider.fake", &[("required", r#"["data"]"#)]),
    ("spec.provider.fake.data[]", &[("required", r#"["key", "value"]"#)]),
    ("spec.conditions[].namespaces[]", NAMESPACE),
];

/// Adds the keywords of a row to the part of a schema at `prefix`.
///
/// # Panics
///
/// When the schema has no such node: then the row is wrong, and so would be the CRD.
pub(super) fn apply(schema: &mut Value, prefix: &str, (path, keywords): &Extra) {
    let Some(Value::Object(node)) = schema.pointer_mut(&(pointer(prefix) + &pointer(path))) else {
        panic!("the table of extras names {prefix:?} {path:?}, which the types do not have");
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
