//! What the definitions of stores say about the settings of single providers.

use super::{Extra, KEY, Keywords, NAME, NAMESPACE, ONE_PROPERTY};

const BYTES: Keywords = &[("format", r#""byte""#)];
const CA_PROVIDER: Keywords = &[("required", r#"["name", "type"]"#)];
const CA_TYPES: Keywords = &[("enum", r#"["Secret", "ConfigMap"]"#)];
const NAME_REQUIRED: Keywords = &[("required", r#"["name"]"#)];

/// Rows of the providers, from the root of a store.
pub(super) const PROVIDERS: &[Extra] = &[
    ("spec.provider.kubernetes.server.url", &[("default", r#""kubernetes.default""#)]),
    ("spec.provider.kubernetes.server.caBundle", BYTES),
    ("spec.provider.kubernetes.server.caProvider", CA_PROVIDER),
    ("spec.provider.kubernetes.server.caProvider.type", CA_TYPES),
    ("spec.provider.kubernetes.server.caProvider.name", NAME),
    ("spec.provider.kubernetes.server.caProvider.key", KEY),
    ("spec.provider.kubernetes.server.caProvider.namespace", NAMESPACE),
    ("spec.provider.kubernetes.auth", ONE_PROPERTY),
    ("spec.provider.kubernetes.auth.cert.clientCert.name", NAME),
    ("spec.provider.kubernetes.auth.cert.clientCert.namespace", NAMESPACE),
    ("spec.provider.kubernetes.auth.cert.clientCert.key", KEY),
    ("spec.provider.kubernetes.auth.cert.clientKey.name", NAME),
    ("spec.provider.kubernetes.auth.cert.clientKey.namespace", NAMESPACE),
    ("spec.provider.kubernetes.auth.cert.clientKey.key", KEY),
    ("spec.provider.kubernetes.auth.token", &[("required", r#"["bearerToken"]"#)]),
    ("spec.provider.kubernetes.auth.token.bearerToken.name", NAME),
    ("spec.provider.kubernetes.auth.token.bearerToken.namespace", NAMESPACE),
    ("spec.provider.kubernetes.auth.token.bearerToken.key", KEY),
    ("spec.provider.kubernetes.auth.serviceAccount", NAME_REQUIRED),
    ("spec.provider.kubernetes.auth.serviceAccount.name", NAME),
    ("spec.provider.kubernetes.auth.serviceAccount.namespace", NAMESPACE),
    ("spec.provider.kubernetes.authRef.name", NAME),
    ("spec.provider.kubernetes.authRef.namespace", NAMESPACE),
    ("spec.provider.kubernetes.authRef.key", KEY),
    (
        "spec.provider.kubernetes.remoteNamespace",
        &[
            ("default", r#""default""#),
            ("minLength", "1"),
            ("maxLength", "63"),
            ("pattern", r#""^[a-z0-9]([-a-z0-9]*[a-z0-9])?$""#),
        ],
    ),
    ("spec.provider.webhook", &[("required", r#"["url"]"#)]),
];

/// Rows of the settings of a webhook.
pub(super) const WEBHOOK: &[Extra] = &[
    ("auth", &[("maxProperties", "1"), ("minProperties", "1")]),
    ("auth.ntlm", &[("required", r#"["passwordSecret", "usernameSecret"]"#)]),
    ("auth.ntlm.usernameSecret.name", NAME),
    ("auth.ntlm.usernameSecret.namespace", NAMESPACE),
    ("auth.ntlm.usernameSecret.key", KEY),
    ("auth.ntlm.passwordSecret.name", NAME),
    ("auth.ntlm.passwordSecret.namespace", NAMESPACE),
    ("auth.ntlm.passwordSecret.key", KEY),
    ("secrets[]", &[("required", r#"["name", "secretRef"]"#)]),
    ("secrets[].secretRef.name", NAME),
    ("secrets[].secretRef.namespace", NAMESPACE),
    ("secrets[].secretRef.key", KEY),
    ("caBundle", BYTES),
    ("caProvider", CA_PROVIDER),
    ("caProvider.type", CA_TYPES),
    ("caProvider.name", NAME),
    ("caProvider.key", KEY),
    ("caProvider.namespace", NAMESPACE),
];
