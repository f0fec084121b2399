//! What the definitions say about the settings of Vault, wherever they stand.

use super::{Extra, KEY, NAME, NAMESPACE};

/// Rows of the settings at a path.
macro_rules! rows {
    ($path:literal) => {
        &[
            ($path, &[("required", r#"["server"]"#)]),
            (concat!($path, ".version"), &[("enum", r#"["v1", "v2"]"#), ("default", r#""v2""#)]),
            (concat!($path, ".caBundle"), &[("format", r#""byte""#)]),
            (concat!($path, ".caProvider"), &[("required", r#"["name", "type"]"#)]),
            (concat!($path, ".caProvider.type"), &[("enum", r#"["Secret", "ConfigMap"]"#)]),
            (concat!($path, ".caProvider.name"), NAME),
            (concat!($path, ".caProvider.key"), KEY),
            (concat!($path, ".caProvider.namespace"), NAMESPACE),
            (concat!($path, ".tls.certSecretRef.name"), NAME),
            (concat!($path, ".tls.certSecretRef.namespace"), NAMESPACE),
            (concat!($path, ".tls.certSecretRef.key"), KEY),
            (concat!($path, ".tls.keySecretRef.name"), NAME),
            (concat!($path, ".tls.keySecretRef.namespace"), NAMESPACE),
            (concat!($path, ".tls.keySecretRef.key"), KEY),
            (concat!($path, ".auth.tokenSecretRef.name"), NAME),
            (concat!($path, ".auth.tokenSecretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.tokenSecretRef.key"), KEY),
            (concat!($path, ".auth.appRole"), &[("required", r#"["path", "secretRef"]"#)]),
            (concat!($path, ".auth.appRole.path"), &[("default", r#""approle""#)]),
            (concat!($path, ".auth.appRole.roleRef.name"), NAME),
            (concat!($path, ".auth.appRole.roleRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.appRole.roleRef.key"), KEY),
            (concat!($path, ".auth.appRole.secretRef.name"), NAME),
            (concat!($path, ".auth.appRole.secretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.appRole.secretRef.key"), KEY),
            (concat!($path, ".auth.kubernetes"), &[("required", r#"["mountPath", "role"]"#)]),
            (concat!($path, ".auth.kubernetes.mountPath"), &[("default", r#""kubernetes""#)]),
            (concat!($path, ".auth.kubernetes.serviceAccountRef"), &[("required", r#"["name"]"#)]),
            (concat!($path, ".auth.kubernetes.serviceAccountRef.name"), NAME),
            (concat!($path, ".auth.kubernetes.serviceAccountRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.kubernetes.secretRef.name"), NAME),
            (concat!($path, ".auth.kubernetes.secretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.kubernetes.secretRef.key"), KEY),
            (concat!($path, ".auth.ldap"), &[("required", r#"["path", "username"]"#)]),
            (concat!($path, ".auth.ldap.path"), &[("default", r#""ldap""#)]),
            (concat!($path, ".auth.ldap.secretRef.name"), NAME),
            (concat!($path, ".auth.ldap.secretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.ldap.secretRef.key"), KEY),
            (concat!($path, ".auth.userPass"), &[("required", r#"["path", "username"]"#)]),
            (concat!($path, ".auth.userPass.path"), &[("default", r#""userpass""#)]),
            (concat!($path, ".auth.userPass.secretRef.name"), NAME),
            (concat!($path, ".auth.userPass.secretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.userPass.secretRef.key"), KEY),
            (concat!($path, ".auth.jwt"), &[("required", r#"["path"]"#)]),
            (concat!($path, ".auth.jwt.path"), &[("default", r#""jwt""#)]),
            (concat!($path, ".auth.jwt.secretRef.name"), NAME),
            (concat!($path, ".auth.jwt.secretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.jwt.secretRef.key"), KEY),
            (
                concat!($path, ".auth.jwt.kubernetesServiceAccountToken"),
                &[("required", r#"["serviceAccountRef"]"#)],
            ),
            (
                concat!($path, ".auth.jwt.kubernetesServiceAccountToken.serviceAccountRef"),
                &[("required", r#"["name"]"#)],
            ),
            (concat!($path, ".auth.jwt.kubernetesServiceAccountToken.serviceAccountRef.name"), NAME),
            (
                concat!($path, ".auth.jwt.kubernetesServiceAccountToken.serviceAccountRef.namespace"),
                NAMESPACE,
            ),
            (concat!($path, ".auth.cert.path"), &[("default", r#""cert""#)]),
            (concat!($path, ".auth.cert.clientCert.name"), NAME),
            (concat!($path, ".auth.cert.clientCert.namespace"), NAMESPACE),
            (concat!($path, ".auth.cert.clientCert.key"), KEY),
            (concat!($path, ".auth.cert.secretRef.name"), NAME),
            (concat!($path, ".auth.cert.secretRef.namespace"), NAMESPACE),
            (concat!($path, ".auth.cert.secretRef.key"), KEY),
        ]
    };
}

/// Rows of a store in Vault. OpenBao's is kept as it comes.
pub(super) const VAULT: &[Extra] = rows!("spec.provider.vault");

/// Rows of the settings that a VaultDynamicSecret has.
pub(super) const DYNAMIC: &[Extra] = rows!("provider");
