//! What is put before both webhooks, and what ours has to say.

use serde_json::{Value, json};

/// One object.
pub struct Input {
    pub object: Value,
    /// The words of the refusal; `None` admits it.
    pub refused: Option<String>,
    /// Whether this rule is newer than 0.20.4, the release that judges here.
    pub newer: bool,
}

const OTHER_NAMESPACE: &str = "namespace should either be empty or match the namespace of the SecretStore for a \
                               namespaced SecretStore";
const DELETES: &str = "deletionPolicy=Delete must not be used when the controller doesn't own the secret. Please set \
                       creationPolicy=Owner";

fn input(kind: &str, spec: Value, refused: Option<&str>) -> Input {
    let mut metadata = json!({ "name": "x" });
    if kind != "ClusterSecretStore" {
        metadata["namespace"] = json!("shop");
    }
    let object =
        json!({ "apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": metadata, "spec": spec });
    Input { object, refused: refused.map(str::to_owned), newer: false }
}

pub fn inputs() -> Vec<Input> {
    let mut all = external_secrets();
    all.extend(newer());
    all.extend(conditions());
    all.extend(fake());
    all.extend(kubernetes());
    all.extend(vault());
    all.extend(aws());
    all
}

fn entry() -> Value {
    json!({ "secretKey": "a", "remoteRef": { "key": "k" } })
}

fn external_secrets() -> Vec<Input> {
    let external = |spec: Value, refused: Option<&str>| input("ExternalSecret", spec, refused);
    let target = |target: Value| json!({ "data": [entry()], "target": target });
    let generator = json!({ "generatorRef": { "kind": "UUID", "name": "u" } });
    let together = "extract, find, or generatorRef cannot be set at the same time";
    let extract = json!({ "key": "k" });
    vec![
        external(json!({ "data": [entry()] }), None),
        external(
            json!({ "secretStoreRef": { "name": "s" } }),
            Some("either data or dataFrom should be specified"),
        ),
        external(
            json!({ "dataFrom": [{ "extract": extract }, { "find": { "name": { "regexp": "x" } } }] }),
            None,
        ),
        external(json!({ "dataFrom": [{ "sourceRef": generator }] }), None),
        external(json!({ "dataFrom": [{ "sourceRef": { "storeRef": { "name": "s" } } }] }), None),
        external(
            json!({ "dataFrom": [{ "extract": extract, "sourceRef": { "storeRef": { "name": "s" } } }] }),
            None,
        ),
        external(json!({ "dataFrom": [{ "extract": extract, "sourceRef": generator }] }), Some(together)),
        external(json!({ "dataFrom": [{ "find": {}, "sourceRef": generator }] }), Some(together)),
        external(json!({ "dataFrom": [{ "extract": extract, "find": {} }] }), Some(together)),
        external(
            json!({ "dataFrom": [{ "rewrite": [] }] }),
            Some("either extract, find, or sourceRef must be set to dataFrom"),
        ),
        external(
            json!({ "data": [entry(), entry(), entry()] }),
            Some("duplicate secretKey found: a\nduplicate secretKey found: a"),
        ),
        external(json!({ "data": [entry(), entry()], "target": { "deletionPolicy": "Delete" } }), None),
        external(target(json!({ "deletionPolicy": "Delete", "creationPolicy": "Orphan" })), None),
        external(target(json!({ "deletionPolicy": "Delete", "creationPolicy": "Merge" })), Some(DELETES)),
        external(target(json!({ "deletionPolicy": "Delete", "creationPolicy": "None" })), Some(DELETES)),
        external(
            target(json!({ "deletionPolicy": "Merge", "creationPolicy": "None" })),
            Some(
                "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with",
            ),
        ),
        external(
            json!({ "target": { "deletionPolicy": "Delete", "creationPolicy": "None" },
                "dataFrom": [{ "extract": extract, "find": {} }, {}] }),
            Some(&format!(
                "{DELETES}\n{together}\neither extract, find, or sourceRef must be set to dataFrom"
            )),
        ),
        external(target(json!({ "template": { "type": "kubernetes.io/service-account-token" } })), None),
        external(
            target(json!({ "template": { "templateFrom": [{ "target": "Labels", "literal": "a: b" }] } })),
            None,
        ),
    ]
}

/// Rules of 2.9 that 0.20.4 does not have.
fn newer() -> Vec<Input> {
    let external = |target: Value, refused: &str| Input {
        newer: true,
        ..input("ExternalSecret", json!({ "data": [entry()], "target": target }), Some(refused))
    };
    let token = "kubernetes.io/service-account-token";
    vec![
        external(
            json!({ "template": { "type": "bootstrap.kubernetes.io/token" } }),
            "template.type=\"bootstrap.kubernetes.io/token\" is not allowed",
        ),
        external(
            json!({ "template": { "type": token,
                "metadata": { "annotations": { "kubernetes.io/service-account.name": "x" } } } }),
            "template.type=\"kubernetes.io/service-account-token\" with annotation \
             \"kubernetes.io/service-account.name\" is not allowed",
        ),
        external(
            json!({ "template": { "type": token, "templateFrom": [{ "target": "Annotations", "literal": "a: b" }] } }),
            "template.type=\"kubernetes.io/service-account-token\" with templateFrom target=\"Annotations\" is not \
             allowed",
        ),
        external(
            json!({ "template": { "templateFrom": [{ "target": "metadata.ownerReferences", "literal": "x" }] } }),
            "templateFrom target=\"metadata.ownerReferences\" is not allowed when targeting a Secret, must be one of \
             \"Data\", \"Annotations\" or \"Labels\"",
        ),
        external(json!({ "deletionPolicy": "Delete", "creationPolicy": "CreateOrMerge" }), DELETES),
    ]
}

fn conditions() -> Vec<Input> {
    let store = |regexes: Value, refused: Option<&str>| {
        input(
            "ClusterSecretStore",
            json!({ "conditions": [{ "namespaceRegexes": ["^a$"] }, { "namespaceRegexes": regexes }],
                "provider": { "fake": { "data": [{ "key": "a", "value": "b" }] } } }),
            refused,
        )
    };
    vec![
        store(json!(["^team-[a-z]+$"]), None),
        store(
            json!(["a", "["]),
            Some(
                "failed to compile 1th namespace regex in 1th condition: error parsing regexp: missing closing ]: `[`",
            ),
        ),
    ]
}

fn store(kind: &str, provider: Value, refused: Option<&str>) -> Input {
    input(kind, json!({ "provider": provider }), refused)
}

fn fake() -> Vec<Input> {
    let fake = |data: Value, refused| store("SecretStore", json!({ "fake": { "data": data } }), refused);
    vec![
        fake(json!([{ "key": "a", "value": "b" }]), None),
        fake(
            json!([{ "key": "a", "value": "b" }, { "key": "", "value": "b" }]),
            Some("key must be set in data 1"),
        ),
        fake(json!([{ "key": "a", "value": "" }]), Some("at least one value must be set in data 0")),
    ]
}

fn kubernetes() -> Vec<Input> {
    let with = |kind, server: Value, auth: Value, refused| {
        store(kind, json!({ "kubernetes": { "server": server, "auth": auth } }), refused)
    };
    let account = json!({ "serviceAccount": { "name": "a" } });
    let bundle = json!({ "caBundle": "Q0E=" });
    let provider = |namespace: Value| {
        let mut provider = json!({ "type": "Secret", "name": "ca", "key": "ca.crt" });
        provider["namespace"] = namespace;
        if provider["namespace"].is_null() {
            provider.as_object_mut().unwrap().remove("namespace");
        }
        json!({ "caProvider": provider })
    };
    let token = |reference: Value| json!({ "token": { "bearerToken": reference } });
    let certificate = |reference: Value| json!({ "cert": { "clientCert": reference } });
    let (own, all) = ("SecretStore", "ClusterSecretStore");
    vec![
        with(own, bundle.clone(), account.clone(), None),
        with(own, json!({}), account.clone(), Some("a CABundle or CAProvider is required")),
        with(own, provider(Value::Null), account.clone(), None),
        with(
            own,
            provider(json!("shop")),
            account.clone(),
            Some("CAProvider.namespace must be empty with SecretStore"),
        ),
        with(
            all,
            provider(Value::Null),
            account.clone(),
            Some("CAProvider.namespace must not be empty with ClusterSecretStore"),
        ),
        with(all, provider(json!("shop")), account, None),
        with(
            own,
            bundle.clone(),
            json!({ "serviceAccount": { "name": "a", "namespace": "else" } }),
            Some(OTHER_NAMESPACE),
        ),
        with(own, bundle.clone(), token(json!({ "name": "n", "key": "k" })), None),
        with(own, bundle.clone(), token(json!({ "key": "k" })), Some("BearerToken.Name cannot be empty")),
        with(own, bundle.clone(), token(json!({ "name": "n" })), Some("BearerToken.Key cannot be empty")),
        with(
            own,
            bundle.clone(),
            token(json!({ "name": "n", "key": "k", "namespace": "else" })),
            Some(OTHER_NAMESPACE),
        ),
        with(
            all,
            bundle.clone(),
            token(json!({ "name": "n", "key": "k" })),
            Some("cluster scope requires namespace"),
        ),
        with(
            own,
            bundle.clone(),
            certificate(json!({ "key": "k" })),
            Some("ClientCert.Name cannot be empty"),
        ),
        with(
            own,
            bundle.clone(),
            certificate(json!({ "name": "n" })),
            Some("ClientCert.Key cannot be empty"),
        ),
        with(all, bundle, certificate(json!({ "name": "n", "key": "k", "namespace": "else" })), None),
    ]
}

fn vault() -> Vec<Input> {
    let base = json!({ "server": "https://vault", "path": "secret", "version": "v2" });
    let with = |kind: &str, more: Value, refused: Option<&str>| {
        let mut vault = base.clone();
        for (field, value) in more.as_object().unwrap() {
            vault[field] = value.clone();
        }
        store(kind, json!({ "vault": vault }), refused)
    };
    let (own, all) = ("SecretStore", "ClusterSecretStore");
    let foreign = || json!({ "name": "n", "key": "k", "namespace": "else" });
    let near = || json!({ "name": "n", "key": "k" });
    let account = json!({ "name": "a", "namespace": "else" });
    let auth = |auth: Value| json!({ "auth": auth });
    let mut out = vec![
        with(own, auth(json!({ "tokenSecretRef": near() })), None),
        with(all, auth(json!({ "tokenSecretRef": foreign() })), None),
        with(own, json!({}), None),
        with(
            own,
            auth(json!({ "appRole": { "path": "approle", "secretRef": near() } })),
            Some("invalid Auth.AppRole: neither `roleId` nor `roleRef` was supplied"),
        ),
        with(
            own,
            auth(json!({ "appRole": { "path": "approle", "roleRef": near(), "secretRef": near() } })),
            None,
        ),
        with(
            own,
            auth(json!({ "jwt": { "path": "jwt", "role": "r" } })),
            Some(
                "neither `secretRef` nor `kubernetesServiceAccountToken` was supplied as token source for jwt \
                 authentication",
            ),
        ),
        with(
            own,
            json!({ "auth": { "tokenSecretRef": near() }, "tls": { "certSecretRef": near() } }),
            Some("when provided, both ClientTLS.ClientCert and ClientTLS.SecretRef should be provided"),
        ),
        with(
            own,
            json!({ "version": "v1", "checkAndSet": { "required": true }, "auth": { "tokenSecretRef": near() } }),
            Some("checkAndSet is not supported with Vault KV version v1"),
        ),
    ];
    let references = [
        (json!({ "tokenSecretRef": foreign() }), "Auth.TokenSecretRef"),
        (
            json!({ "appRole": { "path": "a", "roleId": "r", "secretRef": foreign() } }),
            "Auth.AppRole.SecretRef",
        ),
        (
            json!({ "appRole": { "path": "a", "roleRef": foreign(), "secretRef": near() } }),
            "Auth.AppRole.RoleRef",
        ),
        (json!({ "cert": { "clientCert": foreign(), "secretRef": near() } }), "Auth.Cert.ClientCert"),
        (json!({ "cert": { "clientCert": near(), "secretRef": foreign() } }), "Auth.Cert.SecretRef"),
        (json!({ "jwt": { "path": "j", "secretRef": foreign() } }), "Auth.Jwt.SecretRef"),
        (
            json!({ "jwt": { "path": "j", "kubernetesServiceAccountToken": { "serviceAccountRef": account } } }),
            "Auth.Jwt.KubernetesServiceAccountToken.ServiceAccountRef",
        ),
        (
            json!({ "kubernetes": { "mountPath": "k", "role": "r", "serviceAccountRef": account } }),
            "Auth.Kubernetes.ServiceAccountRef",
        ),
        (
            json!({ "kubernetes": { "mountPath": "k", "role": "r", "secretRef": foreign() } }),
            "Auth.Kubernetes.SecretRef",
        ),
        (json!({ "ldap": { "path": "l", "username": "u", "secretRef": foreign() } }), "Auth.Ldap.SecretRef"),
        (
            json!({ "userPass": { "path": "u", "username": "u", "secretRef": foreign() } }),
            "Auth.UserPass.SecretRef",
        ),
        (
            json!({ "iam": { "vaultRole": "r", "jwt": { "serviceAccountRef": account } } }),
            "Auth.TokenSecretRef",
        ),
        (
            json!({ "iam": { "vaultRole": "r",
                "secretRef": { "accessKeyIDSecretRef": foreign(), "secretAccessKeySecretRef": near() } } }),
            "Auth.TokenSecretRef",
        ),
    ];
    for (settings, name) in references {
        out.push(with(own, auth(settings.clone()), Some(&format!("invalid {name}: {OTHER_NAMESPACE}"))));
        out.push(with(all, auth(settings), None));
    }
    for (first, second, name) in [
        ("certSecretRef", "keySecretRef", "ClientTLS.ClientCert"),
        ("keySecretRef", "certSecretRef", "ClientTLS.SecretRef"),
    ] {
        let tls = json!({ first: foreign(), second: near() });
        out.push(with(own, json!({ "tls": tls }), Some(&format!("invalid {name}: {OTHER_NAMESPACE}"))));
    }
    out
}

fn aws() -> Vec<Input> {
    let with = |more: Value, refused: Option<&str>| {
        let mut aws = json!({ "service": "SecretsManager", "region": "eu-west-1" });
        for (field, value) in more.as_object().unwrap() {
            aws[field] = value.clone();
        }
        store("SecretStore", json!({ "aws": aws }), refused)
    };
    let keys = |first: Value, second: Value| json!({ "auth": { "secretRef": { "accessKeyIDSecretRef": first, "secretAccessKeySecretRef": second } } });
    let (near, foreign) =
        (json!({ "name": "n", "key": "k" }), json!({ "name": "n", "key": "k", "namespace": "else" }));
    let deletion = |window: i64, force: bool| json!({ "secretsManager": { "recoveryWindowInDays": window, "forceDeleteWithoutRecovery": force } });
    let account = json!({ "auth": { "jwt": { "serviceAccountRef": { "name": "a", "namespace": "else" } } } });
    let invalid = |name: &str| format!("invalid {name}: {OTHER_NAMESPACE}");
    vec![
        with(json!({}), None),
        with(json!({ "service": "ParameterStore", "region": "xx-nowhere-9" }), None),
        with(json!({ "region": "not a region" }), Some("region not found: not a region")),
        with(keys(near.clone(), near.clone()), None),
        with(keys(foreign.clone(), near.clone()), Some(&invalid("Auth.SecretRef.AccessKeyID"))),
        with(keys(near, foreign), Some(&invalid("Auth.SecretRef.SecretAccessKey"))),
        with(account, Some(&invalid("Auth.JWT.ServiceAccountRef"))),
        with(deletion(0, true), None),
        with(deletion(7, false), None),
        with(
            deletion(6, false),
            Some("invalid DeleteSecretInput: RecoveryWindowInDays must be between 7 and 30 days"),
        ),
        with(
            deletion(31, false),
            Some("invalid DeleteSecretInput: RecoveryWindowInDays must be between 7 and 30 days"),
        ),
        with(
            deletion(30, true),
            Some("invalid DeleteSecretInput: ForceDeleteWithoutRecovery conflicts with RecoveryWindowInDays"),
        ),
    ]
}
