//! The flags of External Secrets Operator 2.9.0, with its defaults; hidden are those that only some releases had.

use sealops_controller::pflag::{Flag, Kind};

const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: None, kind, help }
}

/// The controller.
pub(super) static CONTROLLER: &[Flag] = &[
    flag("metrics-addr", Kind::Text(":8080"), "Address of the metrics; 0: none."),
    flag("metrics-auth", Kind::Bool, "Refused: the metrics have no login here."),
    flag("metrics-secure", Kind::Bool, "Refused: the metrics have no TLS here."),
    flag("metrics-cert-dir", Kind::Text(""), "Folder of the metrics' certificate."),
    flag("metrics-cert-name", Kind::Text("tls.crt"), "File of the metrics' certificate."),
    flag("metrics-key-name", Kind::Text("tls.key"), "File of the metrics' key."),
    flag("live-addr", Kind::Text(":8082"), "Address of the probes."),
    flag(
        "refresh-addr",
        Kind::Text(""),
        "Ours: address for signed notices of changed values; none unless given.",
    ),
    flag("refresh-key-file", Kind::Texts, "Ours: file with a key that signs notices; any of several."),
    flag(
        "controller-class",
        Kind::Text("default"),
        "Handle stores and generators of this class, and those without one.",
    ),
    flag("enable-leader-election", Kind::Bool, "Elect a leader among the replicas."),
    flag("leader-election-id", Kind::Text("external-secrets-controller"), "Name of the lease."),
    flag(
        "leader-election-lease-duration",
        Kind::Duration("15s"),
        "How long the other replicas wait for an unchanged lease.",
    ),
    flag(
        "leader-election-renew-deadline",
        Kind::Duration("10s"),
        "How long after its last renewal the leader goes on writing.",
    ),
    flag(
        "leader-election-retry-period",
        Kind::Duration("2s"),
        "Between two renewals, or two attempts to lead.",
    ),
    flag("concurrent", Kind::Int(1), "Objects in work at once; eight at least."),
    flag(
        "client-qps",
        Kind::Float("50"),
        "Requests to the API server a second; no limit unless it is given.",
    ),
    flag("client-burst", Kind::Int(100), "Requests to the API server at once, beside --client-qps."),
    flag("loglevel", Kind::Text("info"), "Least level that is logged: debug, info, warn, error."),
    flag("zap-time-encoding", Kind::Text("epoch"), "No effect: times are RFC 3339."),
    flag("namespace", Kind::Text(""), "Watch this namespace only."),
    flag("enable-cluster-store-reconciler", Kind::On, "Handle ClusterSecretStores."),
    flag("enable-secret-store-reconciler", Kind::On, "Handle SecretStores."),
    flag("enable-cluster-external-secret-reconciler", Kind::On, "Handle ClusterExternalSecrets."),
    flag("enable-cluster-push-secret-reconciler", Kind::On, "Handle ClusterPushSecrets."),
    flag("enable-push-secret-reconciler", Kind::On, "Handle PushSecrets."),
    flag("enable-secrets-caching", Kind::Bool, "No effect: no Secret is cached."),
    flag("enable-configmaps-caching", Kind::Bool, "No effect: no ConfigMap is cached."),
    flag(
        "enable-managed-secrets-caching",
        Kind::On,
        "No effect: only metadata of managed Secrets is cached.",
    ),
    flag(
        "enable-secret-api-read-on-cache-mismatch",
        Kind::On,
        "No effect: Secrets are read from the API server.",
    ),
    flag(
        "store-requeue-interval",
        Kind::Duration("5m0s"),
        "Time between two checks of a store without an interval of its own.",
    ),
    flag("enable-flood-gate", Kind::On, "Ask no store that is known not to work."),
    flag("enable-generator-state", Kind::On, "Handle GeneratorStates."),
    flag(
        "generator-gc-grace-period",
        Kind::Duration("2m0s"),
        "How long a replaced state of a generator is kept.",
    ),
    flag("enable-extended-metric-labels", Kind::Bool, "No effect: no labels of objects stand in metrics."),
    flag("enable-http2", Kind::Bool, "No effect: probes and metrics speak HTTP/1."),
    flag("no-local-stores", Kind::Bool, "Refuse stores at addresses of this pod; upstream has no such flag."),
    flag(
        "unsafe-allow-generic-targets",
        Kind::Bool,
        "Let targets be other objects than Secrets; needs rights of its own.",
    ),
    flag(
        "restart-workloads",
        Kind::Bool,
        "Ours: restart workloads that ask for it when their Secrets change; needs rights of its own.",
    ),
    flag("template-left-delimiter", Kind::Text("{{"), "There is only this one."),
    flag("template-right-delimiter", Kind::Text("}}"), "There is only this one."),
    flag("enable-vault-token-cache", Kind::Bool, "No effect: logins are always kept for their life."),
    flag("vault-token-cache-size", Kind::Int(262_144), "No effect, as --enable-vault-token-cache."),
    flag("experimental-enable-vault-token-cache", Kind::Bool, ""),
    flag("experimental-vault-token-cache-size", Kind::Int(262_144), ""),
    flag("experimental-enable-aws-session-cache", Kind::Bool, ""),
    flag("experimental-enable-doppler-oidc-cache", Kind::Bool, ""),
    flag("experimental-doppler-oidc-cache-size", Kind::Int(262_144), ""),
    flag("doppler-etag-cache-size", Kind::Int(16_384), ""),
    flag("pulumi-oidc-cache-size", Kind::Int(262_144), ""),
    flag("mysterybox-tokens-cache-size", Kind::Int(0), ""),
    flag("mysterybox-connections-cache-size", Kind::Int(0), ""),
];

/// The subcommand `webhook`.
pub(super) static WEBHOOK: &[Flag] = &[
    flag("metrics-addr", Kind::Text(":8080"), "Address of the metrics; 0: none."),
    flag("metrics-auth", Kind::Bool, "Refused: the metrics have no login here."),
    flag("metrics-secure", Kind::Bool, "Refused: the metrics have no TLS here."),
    flag("metrics-cert-dir", Kind::Text(""), "Folder of the metrics' certificate."),
    flag("metrics-cert-name", Kind::Text("tls.crt"), "File of the metrics' certificate."),
    flag("metrics-key-name", Kind::Text("tls.key"), "File of the metrics' key."),
    flag("healthz-addr", Kind::Text(":8081"), "Address of the probes."),
    flag("port", Kind::Int(10250), "Port of the webhook."),
    flag("dns-name", Kind::Text("localhost"), "Name that the certificate has to be for."),
    flag(
        "cert-dir",
        Kind::Text("/tmp/k8s-webhook-server/serving-certs"),
        "Folder with ca.crt, tls.crt and tls.key; followed when they change.",
    ),
    flag("check-interval", Kind::Duration("5m0s"), "Time between two looks at --lookahead-interval."),
    flag("lookahead-interval", Kind::Duration("2160h0m0s"), "Warn of a certificate that ends within it."),
    flag("tls-ciphers", Kind::Text(""), "Ciphers of TLS 1.2, by comma; all that are safe unless given."),
    flag("tls-min-version", Kind::Text("1.2"), "Least version of TLS; 1.2 at least."),
    flag("enable-http2", Kind::Bool, "No effect: reviews, probes and metrics speak HTTP/1."),
    flag("loglevel", Kind::Text("info"), "Least level that is logged: debug, info, warn, error."),
    flag("zap-time-encoding", Kind::Text("epoch"), "No effect: times are RFC 3339."),
];

/// The subcommand `certcontroller`.
pub(super) static CERT_CONTROLLER: &[Flag] = &[
    flag("metrics-addr", Kind::Text(":8080"), "Address of the metrics; 0: none."),
    flag("metrics-auth", Kind::Bool, "Refused: the metrics have no login here."),
    flag("metrics-secure", Kind::Bool, "Refused: the metrics have no TLS here."),
    flag("metrics-cert-dir", Kind::Text(""), "Folder of the metrics' certificate."),
    flag("metrics-cert-name", Kind::Text("tls.crt"), "File of the metrics' certificate."),
    flag("metrics-key-name", Kind::Text("tls.key"), "File of the metrics' key."),
    flag("healthz-addr", Kind::Text(":8081"), "Address of the probes."),
    flag("service-name", Kind::Text("external-secrets-webhook"), "The webhook's Service."),
    flag("service-namespace", Kind::Text("default"), "Its namespace."),
    flag("secret-name", Kind::Text("external-secrets-webhook"), "Secret of the webhook's certificate."),
    flag("secret-namespace", Kind::Text("default"), "Its namespace."),
    flag(
        "crd-names",
        Kind::Texts,
        "Definitions that may convert by the webhook. (default [externalsecrets.external-secrets.io,clustersecretstores.external-secrets.io,secretstores.external-secrets.io])",
    ),
    flag("crd-requeue-interval", Kind::Duration("5m0s"), "Time between two looks at everything."),
    flag("enable-leader-election", Kind::Bool, "Elect a leader among the replicas."),
    flag("leader-election-id", Kind::Text("crd-certs-controller"), "Name of the lease."),
    flag(
        "leader-election-lease-duration",
        Kind::Duration("15s"),
        "How long the other replicas wait for an unchanged lease.",
    ),
    flag(
        "leader-election-renew-deadline",
        Kind::Duration("10s"),
        "How long after its last renewal the leader goes on writing.",
    ),
    flag(
        "leader-election-retry-period",
        Kind::Duration("2s"),
        "Between two renewals, or two attempts to lead.",
    ),
    flag("enable-partial-cache", Kind::Bool, "No effect: nothing is cached."),
    flag("enable-http2", Kind::Bool, "No effect: probes and metrics speak HTTP/1."),
    flag("loglevel", Kind::Text("info"), "Least level that is logged: debug, info, warn, error."),
    flag("zap-time-encoding", Kind::Text("epoch"), "No effect: times are RFC 3339."),
];

/// Flags without an effect here; the log names those that were given.
pub(super) static SILENT: &[&str] = &[
    "metrics-cert-dir",
    "metrics-cert-name",
    "metrics-key-name",
    "zap-time-encoding",
    "enable-secrets-caching",
    "enable-configmaps-caching",
    "enable-managed-secrets-caching",
    "enable-secret-api-read-on-cache-mismatch",
    "enable-extended-metric-labels",
    "enable-http2",
    "enable-vault-token-cache",
    "vault-token-cache-size",
    "experimental-enable-vault-token-cache",
    "experimental-vault-token-cache-size",
    "experimental-enable-aws-session-cache",
    "experimental-enable-doppler-oidc-cache",
    "experimental-doppler-oidc-cache-size",
    "doppler-etag-cache-size",
    "pulumi-oidc-cache-size",
    "mysterybox-tokens-cache-size",
    "mysterybox-connections-cache-size",
    "enable-partial-cache",
];
