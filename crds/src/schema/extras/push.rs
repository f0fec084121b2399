//! `PushSecret`, `ClusterPushSecret` and `ClusterExternalSecret`.

use super::{
    EXTERNAL_SECRET_SPEC, Extra, GENERATOR, GENERATOR_VERSION, KIND_AND_NAME, Kind, NAME, NAMESPACE,
    ONE_PROPERTY, READY_REASON, READY_STATUS, SELECTOR, STATUS, STORE_KIND, TEMPLATE, TIME,
};
use crate::{ClusterExternalSecret, ClusterPushSecret, PushSecret};

pub(super) const CLUSTER_EXTERNAL_SECRET: Kind = Kind {
    kind: ClusterExternalSecret::KIND,
    plural: ClusterExternalSecret::PLURAL,
    scope: "Cluster",
    short_names: &["ces"],
    columns: &[
        ("Store", "string", ".spec.externalSecretSpec.secretStoreRef.name"),
        ("Refresh Interval", "string", ".spec.refreshTime"),
        ("Ready", "string", READY_STATUS),
    ],
    derived: super::super::derived::<ClusterExternalSecret>,
    extras: &[
        ("spec.externalSecretSpec", EXTERNAL_SECRET_SPEC),
        ("spec.externalSecretSpec.target.template", TEMPLATE),
        ("spec.namespaceSelector", SELECTOR),
        ("spec.namespaceSelectors[]", SELECTOR),
        ("", CLUSTER_EXTERNAL_SECRET_ROWS),
    ],
    ..STORE_KIND
};

const CLUSTER_EXTERNAL_SECRET_ROWS: &[Extra] = &[
    ("spec", &[("required", r#"["externalSecretSpec"]"#)]),
    ("spec.externalSecretName", NAME),
    ("spec.namespaces[]", NAMESPACE),
    ("status.conditions[]", &[("required", r#"["status", "type"]"#)]),
    ("status.failedNamespaces[]", &[("required", r#"["namespace"]"#)]),
];

pub(super) const PUSH_SECRET: Kind = Kind {
    version: PushSecret::VERSION,
    former_versions: &[],
    kind: PushSecret::KIND,
    plural: PushSecret::PLURAL,
    short_names: &["ps"],
    columns: &[
        ("AGE", "date", ".metadata.creationTimestamp"),
        ("Status", "string", READY_REASON),
        ("Last Sync", "date", ".status.refreshTime"),
    ],
    derived: super::super::derived::<PushSecret>,
    extras: &[
        ("spec", PUSH_SECRET_SPEC),
        ("spec.template", TEMPLATE),
        ("spec.secretStoreRefs[].labelSelector", SELECTOR),
        ("spec.selector.secret.selector", SELECTOR),
        ("spec.dataTo[].storeRef.labelSelector", SELECTOR),
        ("spec.data[]", PUSH_DATA),
        ("status.syncedPushSecrets{}{}", PUSH_DATA),
        ("status.refreshTime", &[("", TIME), ("", super::NULLABLE)]),
        ("", STATUS),
    ],
    ..STORE_KIND
};

pub(super) const CLUSTER_PUSH_SECRET: Kind = Kind {
    kind: ClusterPushSecret::KIND,
    plural: ClusterPushSecret::PLURAL,
    scope: "Cluster",
    short_names: &[],
    columns: &[("AGE", "date", ".metadata.creationTimestamp"), ("Status", "string", READY_REASON)],
    derived: super::super::derived::<ClusterPushSecret>,
    extras: &[
        ("spec.pushSecretSpec", PUSH_SECRET_SPEC),
        ("spec.pushSecretSpec.template", TEMPLATE),
        ("spec.pushSecretSpec.secretStoreRefs[].labelSelector", SELECTOR),
        ("spec.pushSecretSpec.selector.secret.selector", SELECTOR),
        ("spec.pushSecretSpec.dataTo[].storeRef.labelSelector", SELECTOR),
        ("spec.pushSecretSpec.data[]", PUSH_DATA),
        ("spec.namespaceSelectors[]", SELECTOR),
        ("", CLUSTER_PUSH_SECRET_ROWS),
        ("", STATUS),
    ],
    ..PUSH_SECRET
};

const CLUSTER_PUSH_SECRET_ROWS: &[Extra] = &[
    ("spec", &[("required", r#"["pushSecretSpec"]"#)]),
    ("spec.pushSecretName", NAME),
    ("status.failedNamespaces[]", &[("required", r#"["namespace"]"#)]),
];

const STORE_KIND_DEFAULT: &[(&str, &str)] = &[("default", r#""SecretStore""#)];

/// Rows of the spec of a PushSecret. The rules are upstream's.
const PUSH_SECRET_SPEC: &[Extra] = &[
    ("", &[("required", r#"["secretStoreRefs", "selector"]"#)]),
    ("refreshInterval", &[("default", r#""1h0m0s""#)]),
    ("updatePolicy", &[("default", r#""Replace""#)]),
    ("deletionPolicy", &[("default", r#""None""#)]),
    ("secretStoreRefs[].name", NAME),
    ("secretStoreRefs[].kind", STORE_KIND_DEFAULT),
    ("selector", ONE_PROPERTY),
    ("selector.secret.name", NAME),
    ("selector.generatorRef", KIND_AND_NAME),
    ("selector.generatorRef.apiVersion", GENERATOR_VERSION),
    ("selector.generatorRef.kind", GENERATOR),
    ("selector.generatorRef.name", NAME),
    (
        "dataTo[]",
        &[(
            "x-kubernetes-validations",
            r#"[
                { "rule": "has(self.storeRef) && (has(self.storeRef.name) || has(self.storeRef.labelSelector))",
                  "message": "storeRef must specify either name or labelSelector" },
                { "rule": "!has(self.remoteKey) || !has(self.rewrite) || size(self.rewrite) == 0",
                  "message": "remoteKey and rewrite are mutually exclusive: rewrite is only supported in per-key mode (without remoteKey)" }
            ]"#,
        )],
    ),
    ("dataTo[].conversionStrategy", &[("default", r#""None""#)]),
    ("dataTo[].storeRef.name", NAME),
    ("dataTo[].storeRef.kind", STORE_KIND_DEFAULT),
    (
        "dataTo[].rewrite[]",
        &[(
            "x-kubernetes-validations",
            r#"[{ "rule": "has(self.regexp) != has(self.transform)", "message": "exactly one of regexp or transform must be set" }]"#,
        )],
    ),
    ("dataTo[].rewrite[].regexp", &[("required", r#"["source", "target"]"#)]),
    ("dataTo[].rewrite[].transform", &[("required", r#"["template"]"#)]),
];

/// Rows of an entry of `data`.
const PUSH_DATA: &[Extra] = &[
    ("", &[("required", r#"["match"]"#)]),
    ("conversionStrategy", &[("default", r#""None""#)]),
    ("match", &[("required", r#"["remoteRef"]"#)]),
    ("match.remoteRef", &[("required", r#"["remoteKey"]"#)]),
];
